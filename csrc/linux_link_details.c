/* SPDX-License-Identifier: MIT
 *
 * linux_link_details.c - what dumps of generic netlink add to links: speed
 * and duplex from ethtool, and which are wireless from nl80211.
 */
#include "linux_links.h"

#include <string.h>

/* Numbers of the kernel's ABI. */
enum {
    CONTROL_NEW_FAMILY = 1,
    CONTROL_FAMILY_ID = 1,
    CONTROL_FAMILY_NAME = 2,

    ETHTOOL_LINK_MODES_REPLY = 4,
    ETHTOOL_LINK_MODES_HEADER = 1,
    ETHTOOL_LINK_MODES_SPEED = 5,
    ETHTOOL_LINK_MODES_DUPLEX = 6,
    ETHTOOL_HEADER_IF_INDEX = 1,

    NL80211_NEW_INTERFACE = 7,
    NL80211_IF_INDEX = 3
};

/* Dumps list links in the same order, most of the time: the search begins
 * behind the last one found. */
static ndisbridge_linux_link *find_link(
    struct nb_link_list *list, uint32_t if_index)
{
    uint32_t stored =
        list->count < list->capacity ? list->count : list->capacity;

    for (uint32_t i = 0, at = list->next; i < stored; i++, at++) {
        if (at >= stored)
            at = 0;
        if (list->links[at].if_index == if_index) {
            list->next = at + 1;
            return &list->links[at];
        }
    }
    return NULL;
}

bool nb_take_link_modes(
    void *context, const struct nb_netlink_message *message)
{
    struct nb_bytes left;
    struct nb_netlink_attribute attribute, header;
    enum nb_netlink_step step;
    uint32_t if_index = 0, speed = 0;
    uint8_t duplex = 0xFF;  /* DUPLEX_UNKNOWN */
    ndisbridge_linux_link *link;

    if (!nb_netlink_generic(message, ETHTOOL_LINK_MODES_REPLY, &left))
        return true;
    while ((step = nb_netlink_next_attribute(&left, &attribute))
        == NB_NETLINK_GOT) {
        if (attribute.type == ETHTOOL_LINK_MODES_HEADER) {
            while ((step = nb_netlink_next_attribute(
                        &attribute.payload, &header))
                == NB_NETLINK_GOT)
                if (header.type == ETHTOOL_HEADER_IF_INDEX)
                    (void)nb_netlink_get_u32(&header, &if_index);
            if (step == NB_NETLINK_MALFORMED)
                return false;
        } else if (attribute.type == ETHTOOL_LINK_MODES_SPEED) {
            (void)nb_netlink_get_u32(&attribute, &speed);
        } else if (attribute.type == ETHTOOL_LINK_MODES_DUPLEX
            && attribute.payload.size >= 1) {
            duplex = attribute.payload.at[0];
        }
    }
    if (step == NB_NETLINK_MALFORMED)
        return false;
    link = find_link(context, if_index);
    if (link != NULL)
        nb_link_publish_modes(link, speed, duplex);
    return true;
}

bool nb_take_wireless(
    void *context, const struct nb_netlink_message *message)
{
    struct nb_bytes left;
    struct nb_netlink_attribute attribute;
    enum nb_netlink_step step;
    uint32_t if_index = 0;
    ndisbridge_linux_link *link;

    if (!nb_netlink_generic(message, NL80211_NEW_INTERFACE, &left))
        return true;
    while ((step = nb_netlink_next_attribute(&left, &attribute))
        == NB_NETLINK_GOT)
        if (attribute.type == NL80211_IF_INDEX)
            (void)nb_netlink_get_u32(&attribute, &if_index);
    if (step == NB_NETLINK_MALFORMED)
        return false;
    link = find_link(context, if_index);
    if (link != NULL)
        nb_classify_link(link, true);
    return true;
}

bool nb_take_family(void *context, const struct nb_netlink_message *message)
{
    struct nb_families *families = context;
    struct nb_bytes left;
    struct nb_netlink_attribute attribute;
    enum nb_netlink_step step;
    char name[16] = "";
    uint16_t id = 0;

    if (!nb_netlink_generic(message, CONTROL_NEW_FAMILY, &left))
        return true;
    while ((step = nb_netlink_next_attribute(&left, &attribute))
        == NB_NETLINK_GOT) {
        if (attribute.type == CONTROL_FAMILY_NAME)
            nb_netlink_get_string(&attribute, name, sizeof name);
        else if (attribute.type == CONTROL_FAMILY_ID
            && attribute.payload.size >= sizeof id)
            id = nb_read_u16(attribute.payload.at);
    }
    if (step == NB_NETLINK_MALFORMED)
        return false;
    if (strcmp(name, "ethtool") == 0)
        families->ethtool = id;
    else if (strcmp(name, "nl80211") == 0)
        families->nl80211 = id;
    return true;
}
