/* SPDX-License-Identifier: MIT
 *
 * linux_changes.c - see linux_changes.h.
 *
 * The group of links carries more than changes of links.  With the family of
 * bridges come messages about ports, of which DELLINK means that a link has
 * left its bridge; and those of wireless drivers have a link's name, and
 * nothing else of it.
 */
#include "linux_changes.h"

/* Numbers of the kernel's ABI. */
enum {
    MESSAGE_OVERRUN = 4,
    NEW_LINK = 16,
    DELETE_LINK = 17,
    LINK_HEADER = 16,
    FAMILY_UNSPECIFIED = 0,

    LINK_NAME = 3,
    LINK_MTU = 4,
    LINK_WIRELESS = 11
};

/* Whether a NEWLINK message tells all of its link. */
static bool is_whole(const struct nb_netlink_message *message)
{
    struct nb_bytes left = message->payload;
    struct nb_netlink_attribute attribute;
    bool has_mtu = false;

    nb_netlink_advance(&left, LINK_HEADER);
    while (nb_netlink_next_attribute(&left, &attribute) == NB_NETLINK_GOT) {
        if (attribute.type == LINK_WIRELESS)
            return false;
        if (attribute.type == LINK_MTU)
            has_mtu = true;
    }
    return has_mtu;
}

static enum nb_netlink_step take_new(
    const struct nb_netlink_message *message, ndisbridge_linux_change *change)
{
    struct nb_link_list list = { .links = &change->link, .capacity = 1 };

    if (!is_whole(message))
        return NB_NETLINK_END;
    if (!nb_take_link(&list, message))
        return NB_NETLINK_MALFORMED;
    change->kind = NDISBRIDGE_LINUX_CHANGE_LINK;
    return NB_NETLINK_GOT;
}

static enum nb_netlink_step take_gone(
    const struct nb_netlink_message *message, ndisbridge_linux_change *change)
{
    struct nb_bytes left = message->payload;
    struct nb_netlink_attribute attribute;
    uint32_t if_index = nb_read_u32(left.at + 4);

    if (if_index == 0 || if_index > NDISBRIDGE_IF_INDEX_MAX)
        return NB_NETLINK_MALFORMED;
    change->kind = NDISBRIDGE_LINUX_CHANGE_GONE;
    change->link.if_index = if_index;
    nb_netlink_advance(&left, LINK_HEADER);
    while (nb_netlink_next_attribute(&left, &attribute) == NB_NETLINK_GOT)
        if (attribute.type == LINK_NAME)
            nb_netlink_get_string(
                &attribute, change->link.name, sizeof change->link.name);
    return NB_NETLINK_GOT;
}

/* END: it says nothing of a link. */
static enum nb_netlink_step take(
    const struct nb_netlink_message *message, ndisbridge_linux_change *change)
{
    if (message->type == MESSAGE_OVERRUN)
        return NB_NETLINK_MALFORMED;
    if (message->type != NEW_LINK && message->type != DELETE_LINK)
        return NB_NETLINK_END;
    if (message->payload.size < LINK_HEADER)
        return NB_NETLINK_MALFORMED;
    if (message->payload.at[0] != FAMILY_UNSPECIFIED)
        return NB_NETLINK_END;
    return message->type == NEW_LINK ? take_new(message, change)
                                     : take_gone(message, change);
}

enum nb_netlink_step nb_next_change(
    struct nb_bytes *bytes, ndisbridge_linux_change *change)
{
    struct nb_netlink_message message;
    enum nb_netlink_step step;

    while ((step = nb_netlink_next_message(bytes, &message))
        == NB_NETLINK_GOT) {
        memset(change, 0, sizeof *change);
        step = take(&message, change);
        if (step != NB_NETLINK_END)
            return step;
    }
    return step;
}
