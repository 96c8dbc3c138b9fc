/* SPDX-License-Identifier: MIT
 *
 * linux_link_parse.c - RTM_NEWLINK messages to flat records.
 */
#include "linux_links.h"

#include <string.h>

/* Numbers of the kernel's ABI, which never change.  They are written here
 * because this file is also built where <linux/> is not, or is older than
 * the attributes. */
enum {
    NEW_LINK = 16,
    LINK_HEADER = 16,

    LINK_ADDRESS = 1,
    LINK_NAME = 3,
    LINK_MTU = 4,
    LINK_LINK = 5,
    LINK_MASTER = 10,
    LINK_OPERSTATE = 16,
    LINK_INFO = 18,
    LINK_IFALIAS = 20,
    LINK_STATS64 = 23,
    LINK_PROMISCUITY = 30,
    LINK_CARRIER = 33,
    LINK_LINK_NETNSID = 37,
    LINK_PROP_LIST = 52,
    LINK_ALT_NAME = 53,
    LINK_PERM_ADDRESS = 54,
    LINK_PARENT_DEVICE = 56,

    INFO_KIND = 1,
    INFO_DATA = 2
};

static void get_address(const struct nb_netlink_attribute *attribute,
    ndisbridge_if_physical_address *to)
{
    size_t length = attribute->payload.size;

    if (length == 0 || length > sizeof to->address)
        return;
    to->length = (uint16_t)length;
    memcpy(to->address, attribute->payload.at, length);
}

/* The NET_LUID that an alternative name carries, or 0. */
static uint64_t tagged_net_luid(const struct nb_bytes *payload)
{
    const size_t prefix = sizeof NB_TAG_PREFIX - 1;
    uint64_t net_luid = 0;

    if (nb_netlink_string_length(payload) != prefix + 16
        || memcmp(payload->at, NB_TAG_PREFIX, prefix) != 0)
        return 0;
    for (size_t i = prefix; i < prefix + 16; i++) {
        uint8_t c = payload->at[i];
        uint32_t digit = c >= '0' && c <= '9' ? c - (uint32_t)'0'
            : c >= 'a' && c <= 'f'            ? c - (uint32_t)'a' + 10
            : c >= 'A' && c <= 'F'            ? c - (uint32_t)'A' + 10
                                              : 16;

        if (digit == 16)
            return 0;
        net_luid = net_luid << 4 | digit;
    }
    return net_luid >> 48 != 0 && (net_luid & 0xFFFFFF) == 0 ? net_luid : 0;
}

/* What is needed until the whole message has been read. */
struct reading {
    ndisbridge_linux_link *link;
    uint32_t data_links[5];  /* IFLA_INFO_DATA by attribute: 1, 3, 4 */
    struct nb_link_state state;
};

static bool take_link_info(struct reading *reading, struct nb_bytes info)
{
    struct nb_netlink_attribute attribute, datum;
    enum nb_netlink_step step;

    while ((step = nb_netlink_next_attribute(&info, &attribute))
        == NB_NETLINK_GOT) {
        if (attribute.type == INFO_KIND) {
            nb_netlink_get_string(
                &attribute, reading->link->kind, sizeof reading->link->kind);
            continue;
        }
        if (attribute.type != INFO_DATA)
            continue;
        /* The layout of the data is the kind's own, and for some kinds it is
         * no list of attributes: what does not parse is passed over. */
        while (nb_netlink_next_attribute(&attribute.payload, &datum)
            == NB_NETLINK_GOT)
            if (datum.type < sizeof reading->data_links
                    / sizeof *reading->data_links)
                (void)nb_netlink_get_u32(
                    &datum, &reading->data_links[datum.type]);
    }
    return step == NB_NETLINK_END;
}

static bool take_properties(
    ndisbridge_linux_link *link, struct nb_bytes properties)
{
    struct nb_netlink_attribute attribute;
    enum nb_netlink_step step;

    while ((step = nb_netlink_next_attribute(&properties, &attribute))
        == NB_NETLINK_GOT)
        if (attribute.type == LINK_ALT_NAME && link->tagged_net_luid == 0)
            link->tagged_net_luid = tagged_net_luid(&attribute.payload);
    return step == NB_NETLINK_END;
}

static bool take_link_attribute(
    struct reading *reading, const struct nb_netlink_attribute *attribute)
{
    ndisbridge_linux_link *link = reading->link;
    ndisbridge_published *published = &link->published;
    const struct nb_bytes *payload = &attribute->payload;
    uint32_t number;

    switch (attribute->type) {
    case LINK_NAME:
        nb_netlink_get_string(attribute, link->name, sizeof link->name);
        break;
    case LINK_ADDRESS:
        get_address(attribute, &link->address);
        break;
    case LINK_PERM_ADDRESS:
        get_address(attribute, &link->permanent_address);
        break;
    case LINK_PARENT_DEVICE:
        nb_netlink_get_string(
            attribute, link->parent_device, sizeof link->parent_device);
        break;
    case LINK_MASTER:
        (void)nb_netlink_get_u32(attribute, &link->master_if_index);
        break;
    case LINK_LINK:
        (void)nb_netlink_get_u32(attribute, &link->link_if_index);
        break;
    case LINK_LINK_NETNSID:
        if (payload->size >= sizeof link->link_net_ns_id) {
            memcpy(&link->link_net_ns_id, payload->at,
                sizeof link->link_net_ns_id);
            /* NETNSA_NSID_NOT_ASSIGNED is -1, which means "this one" in the
             * record; the kernel tells it of a namespace without a number. */
            if (link->link_net_ns_id == -1)
                link->link_net_ns_id = INT32_MAX;
        }
        break;
    case LINK_MTU:
        if (nb_netlink_get_u32(attribute, &number))
            nb_link_publish_mtu(published, number);
        break;
    case LINK_PROMISCUITY:
        reading->state.promiscuity_told =
            nb_netlink_get_u32(attribute, &reading->state.promiscuity);
        break;
    case LINK_OPERSTATE:
        if (payload->size >= 1)
            reading->state.operstate = payload->at[0];
        break;
    case LINK_CARRIER:
        if (payload->size >= 1)
            reading->state.carrier = payload->at[0];
        break;
    case LINK_IFALIAS:
        nb_utf8_to_counted_string(&published->alias, payload->at,
            nb_netlink_string_length(payload));
        break;
    case LINK_STATS64:
        nb_link_publish_statistics(published, payload);
        break;
    case LINK_INFO:
        return take_link_info(reading, *payload);
    case LINK_PROP_LIST:
        return take_properties(link, *payload);
    default:
        break;
    }
    return true;
}

static uint32_t lower_if_index_of(const struct reading *reading)
{
    const ndisbridge_linux_link *link = reading->link;
    uint32_t lower = 0;

    if (link->link_net_ns_id != -1)
        return 0;  /* in another namespace, where numbers mean others */
    switch (nb_lower_link_of_kind(link->kind)) {
    case NB_LOWER_NONE:
        break;
    case NB_LOWER_LINK:
        lower = link->link_if_index;
        break;
    case NB_LOWER_DATA_1:
        lower = reading->data_links[1];
        break;
    case NB_LOWER_DATA_3:
        lower = reading->data_links[3];
        break;
    case NB_LOWER_DATA_4:
    default:
        lower = reading->data_links[4];
        break;
    }
    return lower != link->if_index && lower <= NDISBRIDGE_IF_INDEX_MAX
        ? lower
        : 0;
}

bool nb_take_link(void *context, const struct nb_netlink_message *message)
{
    struct nb_link_list *list = context;
    struct nb_bytes left = message->payload;
    struct nb_netlink_attribute attribute;
    enum nb_netlink_step step;
    ndisbridge_linux_link beyond, *link;
    struct reading reading = { .state = { .carrier = 0xFF } };

    if (message->type != NEW_LINK)
        return true;
    if (left.size < LINK_HEADER)
        return false;
    link = list->count < list->capacity ? &list->links[list->count] : &beyond;
    memset(link, 0, sizeof *link);
    reading.link = link;
    link->arphrd = nb_read_u16(left.at + 2);
    link->if_index = nb_read_u32(left.at + 4);
    link->flags = nb_read_u32(left.at + 8);
    link->link_net_ns_id = -1;
    nb_netlink_advance(&left, LINK_HEADER);
    while ((step = nb_netlink_next_attribute(&left, &attribute))
        == NB_NETLINK_GOT)
        if (!take_link_attribute(&reading, &attribute))
            return false;
    if (step == NB_NETLINK_MALFORMED || link->name[0] == '\0'
        || link->if_index == 0 || link->if_index > NDISBRIDGE_IF_INDEX_MAX
        /* not reached: there are half as many ifIndexes */
        || list->count == UINT32_MAX)
        return false;
    nb_link_publish_state(link, &reading.state);
    link->lower_if_index = lower_if_index_of(&reading);
    nb_classify_link(link, false);
    list->count++;
    return true;
}
