/* SPDX-License-Identifier: MIT
 *
 * luid_pool.h - one index space per IfType, made on first use, and the
 * leases of its blocks.
 *
 * IfType 0, which no NET_LUID has, is the space of the ifIndexes that are
 * handed out: if_index_first .. 0xFFFFFF.
 *
 * A thread that finds nothing to allocate leases blocks, by the hook or, if
 * there is none, from the pool itself; two that run dry both lease.  Leases
 * double, 1 to NB_LEASE_MAX blocks a call.  "Nothing is left" and "taken" are
 * said only when no block is on its way (transit.h).
 */
#ifndef NB_LUID_POOL_H
#define NB_LUID_POOL_H

#include "luid_bitmap.h"
#include "transit.h"

#define NB_LEASE_MAX 256
#define NB_IF_INDEX_SPACE 0

struct nb_space {
    struct nb_bitmap bitmap;
    uint16_t if_type;
    uint32_t first;  /* lowest index that may be handed out */
    nb_atomic_u32 next_lease;  /* blocks to ask for */
    nb_atomic_u32 cursor;  /* next index of the sticky policy */
    nb_atomic_u32 asked_below;  /* no block below could be leased */
    nb_atomic_u32 not_asked;  /* times since then */
    struct nb_transit transit;
};

struct nb_pool {
    struct nb_host *host;
    _Atomic(struct nb_space *) *spaces;  /* 65,536 */
    nb_atomic_u64 spaces_used;  /* nb_next_used() */
    /* Never held in a hook: one thread at a time takes blocks out, publishes
     * leased ones or holds indexes.  A leased block can be allocated from
     * before it is marked as leased; who holds such an index waits here. */
    pthread_mutex_t moving;
    uint32_t if_index_first;
};

ndisbridge_status nb_pool_init(
    struct nb_pool *pool, struct nb_host *host, uint32_t if_index_first);
void nb_pool_destroy(struct nb_pool *pool);

/* The space of an IfType if it exists. */
static inline struct nb_space *nb_pool_peek(
    struct nb_pool *pool, uint16_t if_type)
{
    return nb_load_acquire(&pool->spaces[if_type]);
}

/* The space of an IfType, made if need be; NULL without memory. */
struct nb_space *nb_pool_space(struct nb_pool *pool, uint16_t if_type);

/* Allocation that may lease. */
ndisbridge_status nb_pool_allocate(
    struct nb_pool *pool, uint32_t *index, uint16_t if_type);
/* As nb_bitmap_allocate(): no lease, no new space; PENDING instead.  Likewise
 * of many. */
ndisbridge_status nb_pool_try_allocate(
    struct nb_pool *pool, uint32_t *index, uint16_t if_type);
ndisbridge_status nb_pool_allocate_many(struct nb_pool *pool,
    uint32_t *indexes, uint32_t count, uint16_t if_type);
ndisbridge_status nb_pool_try_allocate_many(struct nb_pool *pool,
    uint32_t *indexes, uint32_t count, uint16_t if_type);
ndisbridge_status nb_pool_claim(
    struct nb_pool *pool, uint16_t if_type, uint32_t index);
ndisbridge_status nb_pool_free(
    struct nb_pool *pool, uint16_t if_type, uint32_t index);
/* ndisbridge_index_state of an index. */
uint32_t nb_pool_test(
    struct nb_pool *pool, uint16_t if_type, uint32_t index);
/* nb_bitmap_hold_one() of an IfType whose space may not be there. */
bool nb_pool_hold_one(
    struct nb_pool *pool, uint16_t if_type, uint32_t index);
void nb_pool_unhold_one(
    struct nb_pool *pool, uint16_t if_type, uint32_t index);
bool nb_pool_is_kept(
    struct nb_pool *pool, uint16_t if_type, uint32_t index);
/* An ifIndex, the lowest or the next round. */
ndisbridge_status nb_pool_allocate_if_index(
    struct nb_pool *pool, uint32_t *if_index, bool lowest);

/* Gives empty blocks of a space back, but for `keep`; adds how many to
 * *returned. */
ndisbridge_status nb_pool_trim_space(struct nb_pool *pool,
    struct nb_space *space, uint32_t *returned, uint32_t keep);
/* The same of each space. */
ndisbridge_status nb_pool_trim(
    struct nb_pool *pool, uint32_t *returned, uint32_t keep);
/* Gives every leased block back, whatever is allocated in it. */
ndisbridge_status nb_pool_return_all(struct nb_pool *pool);

#endif
