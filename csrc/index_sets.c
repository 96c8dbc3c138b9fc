/* SPDX-License-Identifier: MIT
 *
 * index_sets.c - see index_sets.h.
 */
#include "index_sets.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INDEX NDISBRIDGE_NET_LUID_INDEX_MAX

/* ---- making them ------------------------------------------------------ */

static ndisbridge_status take_memory(struct nb_index_sets *sets,
    const struct nb_memory *memory, uint32_t set_count, uint32_t block_count)
{
    memset(sets, 0, sizeof *sets);
    sets->memory = memory;
    sets->set_capacity = set_count;
    sets->block_count = block_count;
    if (set_count == 0)
        return NDISBRIDGE_STATUS_SUCCESS;
    sets->sets = nb_allocate(memory, set_count * sizeof *sets->sets);
    if (sets->sets == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    sets->blocks = nb_allocate(memory, block_count * sizeof *sets->blocks);
    if (sets->blocks == NULL) {
        nb_sets_free(sets);
        return NDISBRIDGE_STATUS_RESOURCES;
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

void nb_sets_free(struct nb_index_sets *sets)
{
    nb_deallocate(
        sets->memory, sets->sets, sets->set_capacity * sizeof *sets->sets);
    nb_deallocate(sets->memory, sets->blocks,
        sets->block_count * sizeof *sets->blocks);
    sets->sets = NULL;
    sets->blocks = NULL;
}

static void add_set(struct nb_index_sets *sets, uint16_t if_type,
    const ndisbridge_block_mask *blocks, uint32_t block_count)
{
    ndisbridge_index_set *set = &sets->sets[sets->set_count++];

    set->if_type = if_type;
    set->block_count = block_count;
    set->blocks = blocks;
}

/* Adds an index to the mask of its block; false if it is there. */
static bool add_index(ndisbridge_block_mask *block, uint32_t index)
{
    uint64_t *word = &block->mask[index / 64 % NB_BLOCK_WORDS];

    if (*word & nb_bit(index))
        return false;
    *word |= nb_bit(index);
    return true;
}

/* Numbers the blocks that are used, ascending; how many. */
static uint32_t place_blocks(
    const uint64_t used[NB_SECTIONS], uint16_t place[NB_BLOCKS])
{
    uint32_t count = 0;

    for (uint32_t section = 0; section < NB_SECTIONS; section++)
        for (uint64_t left = used[section]; left != 0; left &= left - 1)
            place[section * 64 + nb_lowest_bit(left)] = (uint16_t)count++;
    return count;
}

ndisbridge_status nb_sets_of_indexes(struct nb_index_sets *sets,
    const struct nb_memory *memory, uint16_t if_type, const uint32_t *indexes,
    uint32_t count, uint32_t if_index)
{
    uint64_t used[NB_SECTIONS] = { 0 };
    uint16_t place[NB_BLOCKS];
    uint32_t blocks, own = count > 0 ? 1 : 0, extra = if_index != 0 ? 1 : 0;
    ndisbridge_status status;

    for (uint32_t i = 0; i < count; i++) {
        if (indexes[i] > MAX_INDEX)
            return NDISBRIDGE_STATUS_INVALID_PARAMETER;
        used[indexes[i] >> 18] |= nb_bit(indexes[i] >> 12);
    }
    blocks = place_blocks(used, place);
    status = take_memory(sets, memory, own + extra, blocks + extra);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        ndisbridge_block_mask *block = &sets->blocks[place[indexes[i] >> 12]];

        block->block = indexes[i] >> 12;
        if (!add_index(block, indexes[i])) {
            nb_sets_free(sets);
            return NDISBRIDGE_STATUS_INVALID_PARAMETER;
        }
    }
    if (count > 0)
        add_set(sets, if_type, sets->blocks, blocks);
    if (if_index != 0) {
        sets->blocks[blocks].block = if_index >> 12;
        add_index(&sets->blocks[blocks], if_index);
        add_set(sets, NB_IF_INDEX_SPACE, &sets->blocks[blocks], 1);
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

static int compare_net_luids(const void *left, const void *right)
{
    ndisbridge_net_luid a, b;

    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

/* Fills from NET_LUIDs in ascending order. */
static void fill_sorted(struct nb_index_sets *sets,
    const ndisbridge_net_luid *sorted, uint32_t count)
{
    ndisbridge_block_mask *block = sets->blocks, *first = block;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = (uint32_t)(sorted[i] >> 24) & MAX_INDEX;

        block->block = index >> 12;
        add_index(block, index);
        if (i + 1 < count && sorted[i + 1] >> 36 == sorted[i] >> 36)
            continue;
        block++;
        if (i + 1 < count && sorted[i + 1] >> 48 == sorted[i] >> 48)
            continue;
        add_set(sets, (uint16_t)(sorted[i] >> 48), first,
            (uint32_t)(block - first));
        first = block;
    }
}

static ndisbridge_status of_sorted(struct nb_index_sets *sets,
    const struct nb_memory *memory, const ndisbridge_net_luid *sorted,
    uint32_t count)
{
    uint32_t set_count = 0, block_count = 0;
    ndisbridge_status status;

    for (uint32_t i = 0; i < count; i++) {
        if (sorted[i] >> 48 == 0 || (sorted[i] & 0xFFFFFF) != 0
            || (i > 0 && sorted[i] == sorted[i - 1]))
            return NDISBRIDGE_STATUS_INVALID_PARAMETER;
        set_count += i == 0 || sorted[i] >> 48 != sorted[i - 1] >> 48;
        block_count += i == 0 || sorted[i] >> 36 != sorted[i - 1] >> 36;
    }
    status = take_memory(sets, memory, set_count, block_count);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        fill_sorted(sets, sorted, count);
    return status;
}

ndisbridge_status nb_sets_of_net_luids(struct nb_index_sets *sets,
    const struct nb_memory *memory, const ndisbridge_net_luid *net_luids,
    uint32_t count)
{
    size_t size = count * sizeof *net_luids;
    ndisbridge_net_luid *sorted = nb_allocate(memory, size);
    ndisbridge_status status;

    if (sorted == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    memcpy(sorted, net_luids, size);
    qsort(sorted, count, sizeof *sorted, compare_net_luids);
    status = of_sorted(sets, memory, sorted, count);
    nb_deallocate(memory, sorted, size);
    return status;
}

/* ---- their bits ------------------------------------------------------- */

/* The space of a set; NULL if there is none. */
static struct nb_bitmap *bitmap_of(
    const ndisbridge_index_set *set, struct nb_pool *pool)
{
    struct nb_space *space = nb_pool_peek(pool, set->if_type);

    return space == NULL ? NULL : &space->bitmap;
}

typedef void change_block(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);

/* Changes the first `blocks` blocks; their spaces are there. */
static void change_blocks(const struct nb_index_sets *sets,
    struct nb_pool *pool, uint32_t blocks, change_block *change)
{
    for (uint32_t i = 0; i < sets->set_count; i++) {
        const ndisbridge_index_set *set = &sets->sets[i];
        struct nb_bitmap *bitmap = bitmap_of(set, pool);

        for (uint32_t j = 0; j < set->block_count && blocks > 0;
             j++, blocks--)
            change(bitmap, set->blocks[j].block, set->blocks[j].mask);
    }
}

typedef bool try_block(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);

/* Tries to change all blocks; where one cannot be, undoes those before. */
static bool try_blocks(const struct nb_index_sets *sets,
    struct nb_pool *pool, try_block *try, change_block *undo)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < sets->set_count; i++) {
        const ndisbridge_index_set *set = &sets->sets[i];
        struct nb_bitmap *bitmap = bitmap_of(set, pool);

        for (uint32_t j = 0; j < set->block_count; j++, done++) {
            if (bitmap != NULL
                && try(bitmap, set->blocks[j].block, set->blocks[j].mask))
                continue;
            change_blocks(sets, pool, done, undo);
            return false;
        }
    }
    return true;
}

bool nb_sets_hold(const struct nb_index_sets *sets, struct nb_pool *pool)
{
    bool held;

    pthread_mutex_lock(&pool->moving);
    held = try_blocks(sets, pool, nb_bitmap_hold, nb_bitmap_unhold);
    pthread_mutex_unlock(&pool->moving);
    return held;
}

void nb_sets_unhold(const struct nb_index_sets *sets, struct nb_pool *pool)
{
    change_blocks(sets, pool, UINT32_MAX, nb_bitmap_unhold);
}

void nb_sets_settle(const struct nb_index_sets *sets, struct nb_pool *pool)
{
    change_blocks(sets, pool, UINT32_MAX, nb_bitmap_settle);
}

void nb_sets_keep(const struct nb_index_sets *sets, struct nb_pool *pool)
{
    change_blocks(sets, pool, UINT32_MAX, nb_bitmap_keep);
}

bool nb_sets_unkeep(const struct nb_index_sets *sets, struct nb_pool *pool)
{
    return try_blocks(sets, pool, nb_bitmap_unkeep, nb_bitmap_keep);
}

static void free_held(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS])
{
    nb_bitmap_put_back(bitmap, block, mask);
    nb_bitmap_settle(bitmap, block, mask);
}

void nb_sets_free_held(
    const struct nb_index_sets *sets, struct nb_pool *pool)
{
    change_blocks(sets, pool, UINT32_MAX, free_held);
}

/* ---- release ---------------------------------------------------------- */

/* The set of ifIndexes comes last in every release, so that no two of them
 * can wait for each other's leases in turn. */

static void unpin(const ndisbridge_index_set *set, struct nb_bitmap *bitmap)
{
    for (uint32_t j = 0; j < set->block_count; j++)
        nb_bitmap_unpin(bitmap, set->blocks[j].block, 1);
}

/* Pins the blocks of one set, and if one of them is not leased here begins a
 * trip: when it has begun, nobody is leasing or unleasing them. */
static ndisbridge_status begin_set(const ndisbridge_index_set *set,
    struct nb_pool *pool, struct nb_trip *trip, bool *travels)
{
    struct nb_space *space = nb_pool_space(pool, set->if_type);
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    if (space == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    *travels = false;
    for (uint32_t j = 0; j < set->block_count; j++) {
        /* Pin first, then look: pairs with nb_bitmap_unlease(), which takes
         * the mark of the lease off and then looks for pins. */
        nb_bitmap_pin(&space->bitmap, set->blocks[j].block, 1);
        if (!nb_bitmap_is_leased(&space->bitmap, set->blocks[j].block))
            *travels = true;
    }
    if (*travels)
        status = nb_transit_begin(&space->transit, trip, NB_TRIP_RELEASE,
            nb_host_deadline(pool->host));
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        unpin(set, &space->bitmap);
    return status;
}

static void end_set(const ndisbridge_index_set *set, struct nb_pool *pool,
    struct nb_trip *trip, bool travels, bool released)
{
    struct nb_space *space = nb_pool_peek(pool, set->if_type);

    for (uint32_t j = 0; released && j < set->block_count; j++) {
        const ndisbridge_block_mask *block = &set->blocks[j];

        if (!travels || nb_bitmap_is_leased(&space->bitmap, block->block))
            nb_bitmap_put_back(&space->bitmap, block->block, block->mask);
    }
    unpin(set, &space->bitmap);
    if (travels)
        nb_transit_end(&space->transit, trip);
}

ndisbridge_status nb_sets_begin_release(const struct nb_index_sets *sets,
    struct nb_pool *pool, struct nb_sets_release *release)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    for (uint32_t i = 0; i < sets->set_count; i++) {
        status = begin_set(&sets->sets[i], pool, &release->trips[i],
            &release->travels[i]);
        if (status == NDISBRIDGE_STATUS_SUCCESS)
            continue;
        while (i-- > 0)
            end_set(&sets->sets[i], pool, &release->trips[i],
                release->travels[i], false);
        break;
    }
    return status;
}

void nb_sets_end_release(const struct nb_index_sets *sets,
    struct nb_pool *pool, struct nb_sets_release *release, bool released)
{
    for (uint32_t i = 0; i < sets->set_count; i++)
        end_set(&sets->sets[i], pool, &release->trips[i],
            release->travels[i], released);
}
