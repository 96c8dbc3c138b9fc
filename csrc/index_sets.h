/* SPDX-License-Identifier: MIT
 *
 * index_sets.h - the indexes of one retain or release, by IfType and block,
 * as the hooks take them; and what becomes of their bits.
 */
#ifndef NB_INDEX_SETS_H
#define NB_INDEX_SETS_H

#include "luid_pool.h"

struct nb_index_sets {
    const struct nb_memory *memory;
    ndisbridge_index_set *sets;
    ndisbridge_block_mask *blocks;  /* of all sets, in their order */
    uint32_t set_count, set_capacity, block_count;
};

/* Indexes of one IfType, and an ifIndex unless it is 0.  INVALID_PARAMETER if
 * one is given twice or out of range. */
ndisbridge_status nb_sets_of_indexes(struct nb_index_sets *sets,
    const struct nb_memory *memory, uint16_t if_type, const uint32_t *indexes,
    uint32_t count, uint32_t if_index);
/* NET_LUIDs of any IfTypes; the same. */
ndisbridge_status nb_sets_of_net_luids(struct nb_index_sets *sets,
    const struct nb_memory *memory, const ndisbridge_net_luid *net_luids,
    uint32_t count);
void nb_sets_free(struct nb_index_sets *sets);

/* allocated -> held, all or none; false if one is not allocated here. */
bool nb_sets_hold(
    const struct nb_index_sets *sets, struct nb_pool *pool);
/* held -> allocated. */
void nb_sets_unhold(
    const struct nb_index_sets *sets, struct nb_pool *pool);
/* held -> retained by the store. */
void nb_sets_settle(
    const struct nb_index_sets *sets, struct nb_pool *pool);
/* Held ones are held for good, as what is retained without a store. */
void nb_sets_keep(
    const struct nb_index_sets *sets, struct nb_pool *pool);
/* Not for good any more, all or none; false if one was not. */
bool nb_sets_unkeep(
    const struct nb_index_sets *sets, struct nb_pool *pool);
/* held -> free. */
void nb_sets_free_held(
    const struct nb_index_sets *sets, struct nb_pool *pool);

/* A release of what a store has retained: from begin to end the blocks that
 * are leased here stay so, and no other is leased. */
struct nb_sets_release {
    struct nb_trip trips[2];
    bool travels[2];  /* of each set: it has blocks that are not leased */
};
/* RESOURCES, TIMEOUT; sets has one or two sets. */
ndisbridge_status nb_sets_begin_release(const struct nb_index_sets *sets,
    struct nb_pool *pool, struct nb_sets_release *release);
/* `released`: retained -> free, where it is leased here. */
void nb_sets_end_release(const struct nb_index_sets *sets,
    struct nb_pool *pool, struct nb_sets_release *release, bool released);

#endif
