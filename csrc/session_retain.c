/* SPDX-License-Identifier: MIT
 *
 * session_retain.c - retains NET_LUIDs of several IfTypes at once: what
 * adopts a host's links has some of each, and one transaction for all.
 */
#include <stdlib.h>
#include <string.h>

#include "session.h"

/* NET_LUIDs as the retain hook takes them: by IfType, and by block. */
struct groups {
    ndisbridge_net_luid *sorted;
    ndisbridge_index_set *sets;
    ndisbridge_block_mask *blocks;
    uint32_t count, set_count, block_count;
};

static int compare_net_luids(const void *left, const void *right)
{
    ndisbridge_net_luid a, b;

    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

/* IfType and block together: what one mask is for. */
static uint64_t block_of(ndisbridge_net_luid net_luid)
{
    return net_luid >> 36;
}

static void free_groups(
    struct groups *groups, const struct nb_memory *memory)
{
    nb_deallocate(
        memory, groups->sorted, groups->count * sizeof *groups->sorted);
    nb_deallocate(
        memory, groups->sets, groups->set_count * sizeof *groups->sets);
    nb_deallocate(memory, groups->blocks,
        groups->block_count * sizeof *groups->blocks);
}

/* Sorts, checks and counts; false if one is invalid or given twice. */
static bool sort(struct groups *groups)
{
    const ndisbridge_net_luid *sorted = groups->sorted;

    qsort(groups->sorted, groups->count, sizeof *sorted, compare_net_luids);
    for (uint32_t i = 0; i < groups->count; i++) {
        if (sorted[i] >> 48 == 0 || (sorted[i] & 0xFFFFFF) != 0
            || (i > 0 && sorted[i] == sorted[i - 1]))
            return false;
        if (i == 0 || sorted[i] >> 48 != sorted[i - 1] >> 48)
            groups->set_count++;
        if (i == 0 || block_of(sorted[i]) != block_of(sorted[i - 1]))
            groups->block_count++;
    }
    return true;
}

static void fill(struct groups *groups)
{
    const ndisbridge_net_luid *sorted = groups->sorted;
    ndisbridge_index_set *set = groups->sets;
    ndisbridge_block_mask *block = groups->blocks;

    for (uint32_t i = 0; i < groups->count; i++) {
        uint32_t index = (uint32_t)(sorted[i] >> 24) & 0xFFFFFF;

        if (i > 0 && block_of(sorted[i]) != block_of(sorted[i - 1]))
            block++;
        if (i > 0 && sorted[i] >> 48 != sorted[i - 1] >> 48)
            set++;
        if (set->blocks == NULL) {
            set->if_type = (uint16_t)(sorted[i] >> 48);
            set->blocks = block;
        }
        set->block_count = (uint32_t)(block - set->blocks) + 1;
        block->block = index / NDISBRIDGE_BLOCK_SIZE;
        block->mask[index / 64 % NB_BLOCK_WORDS] |= nb_bit(index);
    }
}

static ndisbridge_status make_groups(struct groups *groups,
    const struct nb_memory *memory, const ndisbridge_net_luid *net_luids,
    uint32_t count)
{
    memset(groups, 0, sizeof *groups);
    groups->count = count;
    groups->sorted = nb_allocate(memory, count * sizeof *net_luids);
    if (groups->sorted == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    memcpy(groups->sorted, net_luids, count * sizeof *net_luids);
    if (!sort(groups)) {
        free_groups(groups, memory);
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    }
    groups->sets =
        nb_allocate(memory, groups->set_count * sizeof *groups->sets);
    groups->blocks =
        nb_allocate(memory, groups->block_count * sizeof *groups->blocks);
    if (groups->sets == NULL || groups->blocks == NULL) {
        free_groups(groups, memory);
        return NDISBRIDGE_STATUS_RESOURCES;
    }
    fill(groups);
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Undoes the first `blocks` holds, or settles them. */
static void let_go(ndisbridge_session *session, const struct groups *groups,
    uint32_t blocks, bool retained)
{
    for (uint32_t i = 0; i < groups->set_count; i++) {
        const ndisbridge_index_set *set = &groups->sets[i];
        struct nb_space *space = nb_pool_peek(&session->pool, set->if_type);

        for (uint32_t j = 0; j < set->block_count && blocks > 0;
             j++, blocks--) {
            const ndisbridge_block_mask *each = &set->blocks[j];

            if (retained)
                nb_bitmap_settle(&space->bitmap, each->block, each->mask);
            else
                nb_bitmap_unhold(&space->bitmap, each->block, each->mask);
        }
    }
}

static bool hold(ndisbridge_session *session, const struct groups *groups)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < groups->set_count; i++) {
        const ndisbridge_index_set *set = &groups->sets[i];
        struct nb_space *space = nb_pool_peek(&session->pool, set->if_type);

        for (uint32_t j = 0; j < set->block_count; j++, held++) {
            if (space != NULL
                && nb_bitmap_hold(&space->bitmap, set->blocks[j].block,
                    set->blocks[j].mask))
                continue;
            let_go(session, groups, held, false);
            return false;
        }
    }
    return true;
}

ndisbridge_status ndisbridge_retain_net_luids(ndisbridge_session *session,
    const ndisbridge_net_luid *net_luids, uint32_t count, uint32_t flags,
    void *record)
{
    struct nb_hook hook;
    struct nb_host *host;
    struct groups groups;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(net_luids != NULL && count > 0
        && count <= NDISBRIDGE_NET_LUID_INDEX_MAX
        && !(flags & ~(uint32_t)NDISBRIDGE_RETAIN_NON_PERSISTENT));
    host = &session->host;
    status = make_groups(&groups, &host->memory, net_luids, count);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    if (!hold(session, &groups)) {
        free_groups(&groups, &host->memory);
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    }
    if (host->hooks.retain != NULL) {
        status = nb_host_enter_hook(host, &hook, false);
        if (status == NDISBRIDGE_STATUS_SUCCESS) {
            status = host->hooks.retain(host->hooks.context, groups.sets,
                groups.set_count, flags, record);
            nb_host_leave_hook(host, &hook);
        }
    }
    /* As in ndisbridge_retain(): without a store, and for non-persistent
     * identities, what is retained stays held here. */
    if (status != NDISBRIDGE_STATUS_SUCCESS
        || !((flags & NDISBRIDGE_RETAIN_NON_PERSISTENT)
            || host->hooks.lease_blocks == NULL))
        let_go(session, &groups, UINT32_MAX,
            status == NDISBRIDGE_STATUS_SUCCESS);
    free_groups(&groups, &host->memory);
    return status;
}
