/* SPDX-License-Identifier: MIT
 *
 * fuzz_netlink.c - what the kernel may say, to the parsers of dumps, of
 * changes, of generic netlink and of acknowledgements: the first byte says
 * which, the rest is a datagram.
 */
#include "fuzz.h"
#include "if_values.h"
#include "linux_changes.h"

enum { LINKS = 4, SEQUENCE = 77 };

/* A record is one that can be published as it is. */
static void check_link(const ndisbridge_linux_link *link)
{
    ENSURE(link->if_index >= 1 && link->if_index <= NDISBRIDGE_IF_INDEX_MAX);
    ENSURE(memchr(link->name, 0, sizeof link->name) != NULL);
    ENSURE(memchr(link->kind, 0, sizeof link->kind) != NULL);
    ENSURE(memchr(link->parent_device, 0, sizeof link->parent_device)
        != NULL);
    ENSURE(link->address.length <= NDISBRIDGE_MAX_PHYS_ADDRESS_LENGTH);
    ENSURE(link->permanent_address.length
        <= NDISBRIDGE_MAX_PHYS_ADDRESS_LENGTH);
    ENSURE(link->if_type != 0);
    ENSURE(link->tagged_net_luid == 0
        || (link->tagged_net_luid >> 48 != 0
            && (link->tagged_net_luid & 0xFFFFFF) == 0));
    ENSURE(nb_values_valid(&link->published));
}

static void feed_links(
    const uint8_t *bytes, size_t size, bool (*more)(void *,
        const struct nb_netlink_message *))
{
    static ndisbridge_linux_link links[LINKS];
    struct nb_link_list list = { .links = links, .capacity = LINKS };
    struct nb_dump dump = { .sequence = SEQUENCE,
        .take = nb_take_link, .context = &list };
    enum nb_dump_state state;

    memset(links, 0xA5, sizeof links);
    state = nb_dump_feed(&dump, bytes, size);
    ENSURE((state == NB_DUMP_FAILED) == (dump.error_number != 0));
    if (more != NULL) {
        dump = (struct nb_dump){ .sequence = SEQUENCE, .take = more,
            .context = &list };
        nb_dump_feed(&dump, bytes, size);
    }
    if (state != NB_DUMP_FAILED)
        for (uint32_t i = 0; i < list.count && i < LINKS; i++)
            check_link(&links[i]);
}

static void feed_changes(const uint8_t *bytes, size_t size)
{
    struct nb_bytes left = { bytes, size };
    ndisbridge_linux_change change;

    for (;;) {
        size_t before = left.size;

        memset(&change, 0xA5, sizeof change);
        if (nb_next_change(&left, &change) != NB_NETLINK_GOT)
            break;
        ENSURE(left.size < before);
        if (change.kind == NDISBRIDGE_LINUX_CHANGE_LINK)
            check_link(&change.link);
        else {
            ENSURE(change.kind == NDISBRIDGE_LINUX_CHANGE_GONE);
            ENSURE(change.link.if_index >= 1
                && change.link.if_index <= NDISBRIDGE_IF_INDEX_MAX);
            ENSURE(memchr(change.link.name, 0, sizeof change.link.name)
                != NULL);
        }
    }
}

static void feed_families(const uint8_t *bytes, size_t size)
{
    struct nb_families families = { 0, 0 };
    struct nb_dump dump = { .sequence = SEQUENCE, .acknowledged = true,
        .take = nb_take_family, .context = &families };

    nb_dump_feed(&dump, bytes, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes;

    if (size < 1)
        return 0;
    bytes = fuzz_copy(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0: feed_links(bytes, size - 1, NULL); break;
    case 1: feed_links(bytes, size - 1, nb_take_link_modes); break;
    case 2: feed_links(bytes, size - 1, nb_take_wireless); break;
    case 3: feed_changes(bytes, size - 1); break;
    default: feed_families(bytes, size - 1); break;
    }
    free(bytes);
    return 0;
}
