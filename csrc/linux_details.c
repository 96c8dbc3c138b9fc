/* SPDX-License-Identifier: MIT
 *
 * linux_details.c - see linux_details.h.
 *
 * The families are looked up in the list of those that are there, because
 * asking for one by name makes the kernel load its module.
 */
#include "linux_details.h"

#ifdef __linux__

#include <linux/genetlink.h>
#include <linux/netlink.h>

enum {
    GENERIC_BUFFER = 1024 * 1024,

    ETHTOOL_LINK_MODES_GET = 4,
    ETHTOOL_LINK_MODES_HEADER = 1,
    ETHTOOL_HEADER_IF_INDEX = 1,
    ETHTOOL_HEADER_FLAGS = 3,
    ETHTOOL_FLAG_COMPACT = 1,
    ETHTOOL_VERSION = 1,

    NL80211_GET_INTERFACE = 5,
    NL80211_IF_INDEX = 3,
    NL80211_VERSION = 1
};

static void begin_generic(struct nb_request *request, uint16_t family,
    uint16_t flags, uint8_t command, uint8_t version)
{
    const struct genlmsghdr header = { .cmd = command, .version = version };

    nb_request_begin(request, family, flags, &header, sizeof header);
}

static void find_families(struct nb_details *details)
{
    struct nb_request request;
    struct nb_dump dump = { .take = nb_take_family,
        .context = &details->families };

    begin_generic(
        &request, GENL_ID_CTRL, NLM_F_DUMP, CTRL_CMD_GETFAMILY, 1);
    (void)nb_socket_request(&details->generic, &request, &dump);
}

void nb_details_open(struct nb_details *details)
{
    details->families = (struct nb_families) { 0, 0 };
    if (nb_socket_open(&details->generic, NETLINK_GENERIC, GENERIC_BUFFER)
        == 0)
        find_families(details);
}

void nb_details_close(struct nb_details *details)
{
    nb_socket_close(&details->generic);
}

/* if_index 0: of all. */
static void ask_link_modes(
    struct nb_details *details, struct nb_link_list *list, uint32_t if_index)
{
    /* Bit sets instead of a name for each bit: a tenth of the bytes. */
    const uint32_t flags = ETHTOOL_FLAG_COMPACT;
    struct nb_request request, header = { .size = 0 };
    struct nb_dump dump = { .take = nb_take_link_modes, .context = list };

    begin_generic(&request, details->families.ethtool,
        if_index == 0 ? NLM_F_DUMP : NLM_F_ACK, ETHTOOL_LINK_MODES_GET,
        ETHTOOL_VERSION);
    if (if_index != 0)
        (void)nb_request_add(
            &header, ETHTOOL_HEADER_IF_INDEX, &if_index, sizeof if_index);
    (void)nb_request_add(&header, ETHTOOL_HEADER_FLAGS, &flags, sizeof flags);
    (void)nb_request_add(&request,
        ETHTOOL_LINK_MODES_HEADER | NLA_F_NESTED, header.body, header.size);
    (void)nb_socket_request(&details->generic, &request, &dump);
}

static void ask_wireless(
    struct nb_details *details, struct nb_link_list *list, uint32_t if_index)
{
    struct nb_request request;
    struct nb_dump dump = { .take = nb_take_wireless, .context = list };

    begin_generic(&request, details->families.nl80211,
        if_index == 0 ? NLM_F_DUMP : NLM_F_ACK, NL80211_GET_INTERFACE,
        NL80211_VERSION);
    if (if_index != 0)
        (void)nb_request_add(
            &request, NL80211_IF_INDEX, &if_index, sizeof if_index);
    (void)nb_socket_request(&details->generic, &request, &dump);
}

void nb_details_of_all(
    struct nb_details *details, struct nb_link_list *list)
{
    if (details->generic.fd < 0)
        return;
    /* A module may have been loaded, and even another one its number now. */
    details->families = (struct nb_families) { 0, 0 };
    find_families(details);
    if (details->families.ethtool != 0)
        ask_link_modes(details, list, 0);
    if (details->families.nl80211 != 0)
        ask_wireless(details, list, 0);
}

void nb_details_of_one(
    struct nb_details *details, ndisbridge_linux_link *link)
{
    struct nb_link_list list = { .links = link, .capacity = 1, .count = 1 };
    bool hardware = link->kind[0] == '\0';

    if (details->generic.fd < 0)
        return;
    if (details->families.ethtool != 0)
        ask_link_modes(details, &list, link->if_index);
    if (hardware && details->families.nl80211 == 0)
        find_families(details);
    if (hardware && details->families.nl80211 != 0)
        ask_wireless(details, &list, link->if_index);
}

#else

typedef int nb_no_linux_details;

#endif
