/* SPDX-License-Identifier: MIT
 *
 * session_indexes.c - the public functions on NET_LUID indexes: check
 * arguments, call one layer, map to a status.
 */
#include "session.h"

#include <string.h>

#define MAX_INDEX NDISBRIDGE_NET_LUID_INDEX_MAX

/* ---- allocate, free --------------------------------------------------- */

ndisbridge_status ndisbridge_allocate_net_luid_index(
    ndisbridge_session *session, uint32_t *net_luid_index, uint16_t if_type)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(net_luid_index != NULL && if_type != 0);
    return nb_pool_allocate(&session->pool, net_luid_index, if_type);
}

ndisbridge_status ndisbridge_try_allocate_net_luid_index(
    ndisbridge_session *session, uint32_t *net_luid_index, uint16_t if_type)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(net_luid_index != NULL && if_type != 0);
    return nb_pool_try_allocate(&session->pool, net_luid_index, if_type);
}

ndisbridge_status ndisbridge_allocate_net_luid_indexes(
    ndisbridge_session *session, uint32_t *net_luid_indexes, uint32_t count,
    uint16_t if_type)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE((net_luid_indexes != NULL || count == 0) && if_type != 0);
    if (count > MAX_INDEX + 1)
        return NDISBRIDGE_STATUS_RESOURCES;
    return nb_pool_allocate_many(
        &session->pool, net_luid_indexes, count, if_type);
}

ndisbridge_status ndisbridge_claim_net_luid_index(
    ndisbridge_session *session, uint16_t if_type, uint32_t net_luid_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_type != 0 && net_luid_index <= MAX_INDEX);
    return nb_pool_claim(&session->pool, if_type, net_luid_index);
}

ndisbridge_status ndisbridge_free_net_luid_index(
    ndisbridge_session *session, uint16_t if_type, uint32_t net_luid_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_type != 0);
    return nb_pool_free(&session->pool, if_type, net_luid_index);
}

ndisbridge_status ndisbridge_free_net_luid_indexes(
    ndisbridge_session *session, uint32_t *freed, uint16_t if_type,
    const uint32_t *net_luid_indexes, uint32_t count)
{
    struct nb_space *space;
    uint32_t done = 0;

    if (freed != NULL)
        *freed = 0;
    NB_SESSION_ENTER(session);
    NB_REQUIRE((net_luid_indexes != NULL || count == 0) && if_type != 0);
    space = nb_pool_peek(&session->pool, if_type);
    if (space != NULL)
        done = nb_bitmap_free_many(&space->bitmap, net_luid_indexes, count);
    if (freed != NULL)
        *freed = done;
    return done == count ? NDISBRIDGE_STATUS_SUCCESS
                         : NDISBRIDGE_STATUS_INVALID_PARAMETER;
}

ndisbridge_status ndisbridge_test_net_luid_index(ndisbridge_session *session,
    uint32_t *state, uint16_t if_type, uint32_t net_luid_index)
{
    struct nb_space *space;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(
        state != NULL && if_type != 0 && net_luid_index <= MAX_INDEX);
    space = nb_pool_peek(&session->pool, if_type);
    *state = space == NULL ? NDISBRIDGE_INDEX_UNLEASED
                           : nb_bitmap_test(&space->bitmap, net_luid_index);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_count_net_luid_indexes(
    ndisbridge_session *session, ndisbridge_index_counts *counts,
    uint16_t if_type)
{
    struct nb_space *space;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(counts != NULL && if_type != 0);
    memset(counts, 0, sizeof *counts);
    space = nb_pool_peek(&session->pool, if_type);
    if (space != NULL)
        nb_bitmap_count(&space->bitmap, counts);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_trim(
    ndisbridge_session *session, uint32_t *returned)
{
    uint32_t count = 0;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    status = nb_host_enter(&session->host, false);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = nb_pool_trim(&session->pool, &count, 1);
    nb_host_leave(&session->host);
    if (returned != NULL && status == NDISBRIDGE_STATUS_SUCCESS)
        *returned = count;
    return status;
}

ndisbridge_status ndisbridge_allocate_if_index(
    ndisbridge_session *session, uint32_t *if_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_index != NULL);
    return nb_pool_allocate_if_index(
        &session->pool, if_index, session->table.lowest);
}

ndisbridge_status ndisbridge_free_if_index(
    ndisbridge_session *session, uint32_t if_index)
{
    NB_SESSION_ENTER(session);
    return nb_pool_free(&session->pool, NB_IF_INDEX_SPACE, if_index);
}

/* ---- retain, release -------------------------------------------------- */

/* The indexes of one call, by block: those of the IfType, and the ifIndex
 * that goes with them. */
struct masks {
    ndisbridge_index_set sets[2];
    uint32_t set_count;
    ndisbridge_block_mask *blocks;
    ndisbridge_block_mask if_index_block;
    size_t size;
};

static ndisbridge_status make_masks(struct masks *masks,
    const struct nb_memory *memory, const uint32_t *indexes, uint32_t count)
{
    uint64_t used[NB_SECTIONS] = { 0 };
    uint16_t place[NB_BLOCKS];
    uint32_t blocks = 0;

    for (uint32_t i = 0; i < count; i++) {
        NB_REQUIRE(indexes[i] <= MAX_INDEX);
        used[indexes[i] >> 18] |= nb_bit(indexes[i] >> 12);
    }
    for (uint32_t i = 0; i < NB_SECTIONS; i++)
        blocks += nb_count_bits(used[i]);
    masks->size = blocks * sizeof *masks->blocks;
    masks->blocks = nb_allocate(memory, masks->size);
    if (masks->blocks == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    masks->sets[0].blocks = masks->blocks;
    blocks = 0;
    for (uint32_t block = 0; block < NB_BLOCKS; block++) {
        if (!(used[block / 64] & nb_bit(block)))
            continue;
        masks->blocks[blocks].block = block;
        place[block] = (uint16_t)blocks++;
    }
    masks->sets[0].block_count = blocks;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = indexes[i];
        uint64_t *word = &masks->blocks[place[index >> 12]]
                              .mask[index / 64 % NB_BLOCK_WORDS];

        if (*word & nb_bit(index)) {
            nb_deallocate(memory, masks->blocks, masks->size);
            return NDISBRIDGE_STATUS_INVALID_PARAMETER;
        }
        *word |= nb_bit(index);
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

static void add_if_index(struct masks *masks, uint32_t if_index)
{
    ndisbridge_block_mask *block = &masks->if_index_block;

    if (if_index == 0)
        return;
    block->block = if_index / NDISBRIDGE_BLOCK_SIZE;
    block->mask[if_index / 64 % NB_BLOCK_WORDS] = nb_bit(if_index);
    masks->sets[masks->set_count].if_type = NB_IF_INDEX_SPACE;
    masks->sets[masks->set_count].block_count = 1;
    masks->sets[masks->set_count].blocks = block;
    masks->set_count++;
}

/* Masks of everything that a retain or release speaks of. */
static ndisbridge_status gather(struct masks *masks,
    ndisbridge_session *session, uint16_t if_type, const uint32_t *indexes,
    uint32_t count, uint32_t if_index, uint32_t flags)
{
    ndisbridge_status status;

    NB_REQUIRE(
        if_type != 0 && (indexes != NULL || count == 0)
        && count <= MAX_INDEX + 1 && if_index <= MAX_INDEX
        && !(flags & ~(uint32_t)NDISBRIDGE_RETAIN_NON_PERSISTENT));
    memset(masks, 0, sizeof *masks);
    if (count > 0) {
        masks->sets[0].if_type = if_type;
        masks->set_count = 1;
        status = make_masks(masks, &session->host.memory, indexes, count);
        if (status != NDISBRIDGE_STATUS_SUCCESS)
            return status;
    }
    add_if_index(masks, if_index);
    return NDISBRIDGE_STATUS_SUCCESS;
}

static void free_masks(struct masks *masks, ndisbridge_session *session)
{
    nb_deallocate(&session->host.memory, masks->blocks, masks->size);
}

/* Without a store, or for a non-persistent identity, what is retained is
 * held here, and its blocks stay pinned. */
static bool stays_held(const ndisbridge_session *session, uint32_t flags)
{
    return (flags & NDISBRIDGE_RETAIN_NON_PERSISTENT)
        || session->host.hooks.lease_blocks == NULL;
}

/* Undoes the first `blocks` holds, or settles them. */
static void settle(ndisbridge_session *session, const struct masks *masks,
    uint32_t blocks, bool retained)
{
    for (uint32_t i = 0; i < masks->set_count; i++) {
        const ndisbridge_index_set *set = &masks->sets[i];
        struct nb_space *space =
            nb_pool_peek(&session->pool, set->if_type);

        for (uint32_t j = 0; j < set->block_count && blocks > 0;
             j++, blocks--) {
            if (retained)
                nb_bitmap_settle(&space->bitmap, set->blocks[j].block,
                    set->blocks[j].mask);
            else
                nb_bitmap_unhold(&space->bitmap, set->blocks[j].block,
                    set->blocks[j].mask);
        }
    }
}

static ndisbridge_status hold_all(
    ndisbridge_session *session, const struct masks *masks)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < masks->set_count; i++) {
        const ndisbridge_index_set *set = &masks->sets[i];
        struct nb_space *space =
            nb_pool_peek(&session->pool, set->if_type);

        for (uint32_t j = 0; j < set->block_count; j++, held++) {
            if (space != NULL
                && nb_bitmap_hold(&space->bitmap, set->blocks[j].block,
                    set->blocks[j].mask))
                continue;
            settle(session, masks, held, false);
            return NDISBRIDGE_STATUS_INVALID_PARAMETER;
        }
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status call_retain(ndisbridge_session *session,
    const struct masks *masks, uint32_t flags, void *record)
{
    struct nb_hook hook;
    struct nb_host *host = &session->host;
    ndisbridge_status status;

    if (host->hooks.retain == NULL)
        return NDISBRIDGE_STATUS_SUCCESS;
    status = nb_host_enter_hook(host, &hook, false);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = host->hooks.retain(host->hooks.context, masks->sets,
            masks->set_count, flags, record);
        nb_host_leave_hook(host, &hook);
    }
    return status;
}

ndisbridge_status ndisbridge_retain(ndisbridge_session *session,
    uint16_t if_type, const uint32_t *net_luid_indexes, uint32_t count,
    uint32_t if_index, uint32_t flags, void *record)
{
    struct masks masks;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    status = gather(&masks, session, if_type, net_luid_indexes, count,
        if_index, flags);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = hold_all(session, &masks);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = call_retain(session, &masks, flags, record);
        if (status != NDISBRIDGE_STATUS_SUCCESS
            || !stays_held(session, flags))
            settle(session, &masks, UINT32_MAX,
                status == NDISBRIDGE_STATUS_SUCCESS);
    }
    free_masks(&masks, session);
    return status;
}

static bool is_registered(ndisbridge_session *session, uint16_t if_type,
    const uint32_t *indexes, uint32_t count, uint32_t if_index)
{
    if (if_index != 0
        && nb_table_find_if_index(&session->table, if_index) != NULL)
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (nb_table_find(&session->table,
                (uint64_t)if_type << 48 | (uint64_t)indexes[i] << 24)
            != NULL)
            return true;
    return false;
}

/* Whether all are held here, as retained ones are without a store. */
static bool all_held(
    ndisbridge_session *session, const struct masks *masks)
{
    for (uint32_t i = 0; i < masks->set_count; i++) {
        const ndisbridge_index_set *set = &masks->sets[i];
        struct nb_space *space =
            nb_pool_peek(&session->pool, set->if_type);

        for (uint32_t j = 0; j < set->block_count; j++) {
            const ndisbridge_block_mask *mask = &set->blocks[j];

            if (space == NULL
                || !nb_bitmap_is_leased(&space->bitmap, mask->block))
                return false;
            for (uint32_t k = 0; k < NB_BLOCK_WORDS; k++) {
                struct nb_block *block =
                    &space->bitmap.blocks[mask->block];

                if ((nb_load(&block->mine[k]) | nb_load(&block->free[k]))
                    & mask->mask[k])
                    return false;
            }
        }
    }
    return true;
}

static void put_back(
    ndisbridge_session *session, const struct masks *masks, bool held)
{
    for (uint32_t i = 0; i < masks->set_count; i++) {
        const ndisbridge_index_set *set = &masks->sets[i];
        struct nb_space *space =
            nb_pool_peek(&session->pool, set->if_type);

        for (uint32_t j = 0; space != NULL && j < set->block_count; j++)
            nb_bitmap_put_back(&space->bitmap, set->blocks[j].block,
                set->blocks[j].mask, held);
    }
}

static ndisbridge_status call_release(ndisbridge_session *session,
    const struct masks *masks, uint32_t flags, void *record)
{
    struct nb_hook hook;
    struct nb_host *host = &session->host;
    ndisbridge_status status;

    if (host->hooks.release == NULL)
        return NDISBRIDGE_STATUS_SUCCESS;
    status = nb_host_enter_hook(host, &hook, false);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = host->hooks.release(host->hooks.context, masks->sets,
            masks->set_count, flags, record);
        nb_host_leave_hook(host, &hook);
    }
    return status;
}

ndisbridge_status ndisbridge_release(ndisbridge_session *session,
    uint16_t if_type, const uint32_t *net_luid_indexes, uint32_t count,
    uint32_t if_index, uint32_t flags, void *record)
{
    struct masks masks;
    bool held;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    status = gather(&masks, session, if_type, net_luid_indexes, count,
        if_index, flags);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    held = stays_held(session, flags);
    if (is_registered(
            session, if_type, net_luid_indexes, count, if_index))
        status = NDISBRIDGE_STATUS_IN_USE;
    else if (held && !all_held(session, &masks))
        status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    else
        status = call_release(session, &masks, flags, record);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        put_back(session, &masks, held);
    free_masks(&masks, session);
    return status;
}
