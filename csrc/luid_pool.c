/* SPDX-License-Identifier: MIT
 *
 * luid_pool.c - see luid_pool.h.
 */
#include "luid_pool.h"

#include <string.h>

#define SPACES_BITS 16
#define SPACES 65536
#define TRIM_BLOCKS 32  /* blocks given back in one hook call */
#define ASK_AGAIN 64  /* allocations, for a lower block that was refused */

ndisbridge_status nb_pool_init(
    struct nb_pool *pool, struct nb_host *host, uint32_t if_index_first)
{
    pool->host = host;
    pool->if_index_first = if_index_first;
    pool->spaces =
        nb_allocate(&host->memory, SPACES * sizeof *pool->spaces);
    if (pool->spaces == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    if (!nb_mutex_init(&pool->moving)) {
        nb_deallocate(
            &host->memory, pool->spaces, SPACES * sizeof *pool->spaces);
        pool->spaces = NULL;
        return NDISBRIDGE_STATUS_RESOURCES;
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

static void free_space(struct nb_pool *pool, struct nb_space *space)
{
    if (space != NULL && !nb_host_forked(pool->host))
        nb_transit_destroy(&space->transit);
    nb_deallocate(&pool->host->memory, space, sizeof *space);
}

static inline uint32_t next_space(struct nb_pool *pool, uint32_t if_type)
{
    return nb_next_used(nb_load(&pool->spaces_used), SPACES_BITS, if_type);
}

void nb_pool_destroy(struct nb_pool *pool)
{
    if (pool->spaces == NULL)
        return;
    for (uint32_t i = next_space(pool, 0); i < SPACES;
         i = next_space(pool, i + 1))
        free_space(pool, nb_load_relaxed(&pool->spaces[i]));
    nb_deallocate(
        &pool->host->memory, pool->spaces, SPACES * sizeof *pool->spaces);
    pool->spaces = NULL;
    if (!nb_host_forked(pool->host))
        pthread_mutex_destroy(&pool->moving);
}

static NB_NOINLINE struct nb_space *make_space(
    struct nb_pool *pool, uint16_t if_type)
{
    struct nb_space *space =
        nb_allocate(&pool->host->memory, sizeof *space);
    struct nb_space *there = NULL;

    if (space == NULL)
        return NULL;
    if (!nb_transit_init(&space->transit)) {
        nb_deallocate(&pool->host->memory, space, sizeof *space);
        return NULL;
    }
    nb_bitmap_init(&space->bitmap);
    space->if_type = if_type;
    if (if_type == NB_IF_INDEX_SPACE)
        space->first = pool->if_index_first;
    nb_store_relaxed(&space->next_lease, 1);
    nb_store_relaxed(&space->cursor, space->first);
    nb_fetch_or(&pool->spaces_used, nb_used_bit(SPACES_BITS, if_type));
    /* Publishes the space: pairs with the acquire in nb_pool_peek(). */
    /* by chance: another thread makes it at the same moment */
    if (nb_compare_exchange(&pool->spaces[if_type], &there, space))
        return space;
    free_space(pool, space);
    return there;
}

struct nb_space *nb_pool_space(struct nb_pool *pool, uint16_t if_type)
{
    struct nb_space *space = nb_pool_peek(pool, if_type);

    return NB_LIKELY(space != NULL) ? space : make_space(pool, if_type);
}

/* ---- leases ----------------------------------------------------------- */

/* Publishes a leased block, minus what lies below the space's first. */
static bool publish_block(
    struct nb_space *space, ndisbridge_block_mask *lease)
{
    uint32_t first_word = space->first / 64;

    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
        uint32_t word = lease->block * NB_BLOCK_WORDS + i;

        if (word < first_word)
            lease->mask[i] = ~(uint64_t)0;
        else if (word == first_word)
            lease->mask[i] |= ~nb_bits_from(space->first);
    }
    return nb_bitmap_lease(&space->bitmap, lease->block, lease->mask);
}

static ndisbridge_status lease_own(struct nb_pool *pool,
    struct nb_space *space, uint32_t lowest, uint32_t highest,
    uint32_t count)
{
    uint32_t leased = 0;

    pthread_mutex_lock(&pool->moving);
    for (uint32_t block = lowest; block <= highest && leased < count;
         block++) {
        ndisbridge_block_mask lease;

        if (nb_bitmap_is_leased(&space->bitmap, block))
            continue;
        memset(&lease, 0, sizeof lease);
        lease.block = block;
        leased += publish_block(space, &lease);
    }
    pthread_mutex_unlock(&pool->moving);
    return leased > 0 ? NDISBRIDGE_STATUS_SUCCESS
                      : NDISBRIDGE_STATUS_RESOURCES;
}

/* Publishes what the hook has leased; how many blocks. */
static uint32_t publish_blocks(struct nb_pool *pool, struct nb_space *space,
    ndisbridge_block_mask *leases, uint32_t count, uint32_t lowest,
    uint32_t highest)
{
    uint32_t published = 0;

    pthread_mutex_lock(&pool->moving);
    for (uint32_t i = 0; i < count; i++)
        if (leases[i].block >= lowest && leases[i].block <= highest)
            published += publish_block(space, &leases[i]);
    pthread_mutex_unlock(&pool->moving);
    return published;
}

static ndisbridge_status call_lease_hook(struct nb_pool *pool,
    struct nb_space *space, ndisbridge_block_mask *leases, uint32_t wanted,
    uint32_t lowest, uint32_t highest)
{
    struct nb_hook hook;
    struct nb_trip trip;
    struct nb_host *host = pool->host;
    uint32_t count = wanted;
    ndisbridge_status status = nb_host_enter_hook(host, &hook, false);

    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = nb_transit_begin(
        &space->transit, &trip, NB_TRIP_LEASE, nb_host_deadline(host));
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = host->hooks.lease_blocks(host->hooks.context, leases,
            &count, space->if_type, lowest, highest);
        /* A hook that leased nothing, or what it was not asked for. */
        if (status == NDISBRIDGE_STATUS_SUCCESS
            && publish_blocks(pool, space, leases,
                   count < wanted ? count : wanted, lowest, highest)
                == 0)
            status = count == 0 ? NDISBRIDGE_STATUS_RESOURCES
                                : NDISBRIDGE_STATUS_INVALID_DATA;
        nb_transit_end(&space->transit, &trip);
    }
    nb_host_leave_hook(host, &hook);
    return status;
}

static ndisbridge_status lease_by_hook(struct nb_pool *pool,
    struct nb_space *space, uint32_t lowest, uint32_t highest,
    uint32_t count)
{
    const struct nb_memory *memory = &pool->host->memory;
    size_t size = count * sizeof(ndisbridge_block_mask);
    ndisbridge_block_mask one, *leases = NULL;
    ndisbridge_status status;

    /* One block needs no memory, so that RESOURCES is the store's word. */
    if (count > 1)
        leases = nb_allocate(memory, size);
    if (leases == NULL)
        return call_lease_hook(pool, space, &one, 1, lowest, highest);
    status = call_lease_hook(pool, space, leases, count, lowest, highest);
    nb_deallocate(memory, leases, size);
    return status;
}

static ndisbridge_status lease(struct nb_pool *pool, struct nb_space *space,
    uint32_t lowest, uint32_t highest, uint32_t count)
{
    return pool->host->hooks.lease_blocks != NULL
        ? lease_by_hook(pool, space, lowest, highest, count)
        : lease_own(pool, space, lowest, highest, count);
}

/* Leases blocks at or above `lowest` for `wanted` more indexes. */
static ndisbridge_status lease_more(struct nb_pool *pool,
    struct nb_space *space, uint32_t lowest, uint32_t wanted)
{
    uint32_t next = nb_load_relaxed(&space->next_lease);
    uint32_t needed =
        (wanted + NDISBRIDGE_BLOCK_SIZE - 1) / NDISBRIDGE_BLOCK_SIZE;
    uint32_t count = needed > next ? needed : next;
    ndisbridge_status status;

    status = lease(pool, space, lowest, NB_BLOCKS - 1,
        count < NB_LEASE_MAX ? count : NB_LEASE_MAX);
    if (status == NDISBRIDGE_STATUS_SUCCESS && next < NB_LEASE_MAX)
        nb_store_relaxed(&space->next_lease, next * 2);
    /* What a hook says when the last block was the only one asked for. */
    return status == NDISBRIDGE_STATUS_IN_USE ? NDISBRIDGE_STATUS_RESOURCES
                                              : status;
}

/* ---- allocate --------------------------------------------------------- */

/* How one attempt goes about it: any index, or an ifIndex by policy. */
enum search { SEARCH_ANY, SEARCH_LOWEST, SEARCH_NEXT };

static uint32_t search_once(struct nb_space *space, enum search search)
{
    if (search == SEARCH_ANY)
        return nb_bitmap_allocate(&space->bitmap, nb_thread_stripe());
    return nb_bitmap_allocate_from(&space->bitmap,
        search == SEARCH_LOWEST ? space->first
                                : nb_load_relaxed(&space->cursor));
}

static void move_cursor(struct nb_space *space, uint32_t index)
{
    nb_store_relaxed(&space->cursor,
        index == NDISBRIDGE_NET_LUID_INDEX_MAX ? space->first : index + 1);
}

/* Policy `lowest`: leases a block below one where a free ifIndex was found,
 * if there is one to be had. */
static bool lease_below(
    struct nb_pool *pool, struct nb_space *space, uint32_t found)
{
    uint32_t block = found / NDISBRIDGE_BLOCK_SIZE;
    uint32_t gap = nb_load_relaxed(&space->asked_below);
    ndisbridge_status status;
    uint64_t moment;

    if (gap < space->first / NDISBRIDGE_BLOCK_SIZE)
        gap = space->first / NDISBRIDGE_BLOCK_SIZE;
    while (gap < block && nb_bitmap_is_leased(&space->bitmap, gap))
        gap++;
    if (gap >= block) {
        /* Another session may have given one back that was not to be had:
         * that is noticed some time. */
        if (nb_fetch_add(&space->not_asked, 1) % ASK_AGAIN == ASK_AGAIN - 1)
            nb_store_relaxed(&space->asked_below, 0);
        return false;
    }
    moment = nb_transit_moment(&space->transit);
    status = lease(pool, space, gap, block - 1, 1);
    if (status == NDISBRIDGE_STATUS_RESOURCES
        || status == NDISBRIDGE_STATUS_IN_USE) {
        nb_store_relaxed(&space->asked_below, block);
        /* by chance: a return by another thread during the hook */
        if (nb_transit_returned_since(&space->transit, moment))
            nb_store_relaxed(&space->asked_below, 0);
    }
    return status == NDISBRIDGE_STATUS_SUCCESS;
}

/* Searches, and leases until there is something to be found or nothing to
 * be leased; the status says why nothing was found. */
static uint32_t search_and_lease(struct nb_pool *pool,
    struct nb_space *space, enum search search, ndisbridge_status *status)
{
    for (;;) {
        uint32_t found = search_once(space, search), from = space->first;

        if (found != NB_NO_INDEX) {
            if (search != SEARCH_LOWEST || !lease_below(pool, space, found))
                return found;
            nb_bitmap_free(&space->bitmap, nb_thread_stripe(), found);
            continue;
        }
        if (search == SEARCH_NEXT)
            from = nb_load_relaxed(&space->cursor);
        *status = lease_more(pool, space, from / NDISBRIDGE_BLOCK_SIZE, 1);
        if (*status == NDISBRIDGE_STATUS_SUCCESS)
            continue;
        /* A round of ifIndexes is over only when there is nothing left to
         * lease for it. */
        if (*status != NDISBRIDGE_STATUS_RESOURCES || from == space->first)
            return NB_NO_INDEX;
        nb_store_relaxed(&space->cursor, space->first);
    }
}

/* Nothing was found: lease, and search again; when nothing can be leased
 * either, say so only by the rule of luid_bitmap.h, and when no block has
 * been on its way meanwhile. */
static NB_NOINLINE ndisbridge_status allocate_slow(struct nb_pool *pool,
    struct nb_space *space, uint32_t *index, enum search search)
{
    uint64_t frees = nb_bitmap_verify_begin(&space->bitmap), moment;
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;
    uint32_t found;

    do {
        found = search_and_lease(pool, space, search, &status);
        /* The hook may have said that nothing is left because the last is
         * on its way here, or has yet to be given back. */
        if (found == NB_NO_INDEX && status == NDISBRIDGE_STATUS_RESOURCES
            && !nb_transit_wait(
                &space->transit, nb_host_deadline(pool->host)))
            status = NDISBRIDGE_STATUS_TIMEOUT;
        moment = nb_transit_moment(&space->transit);
        if (found == NB_NO_INDEX)
            found = nb_bitmap_scan(&space->bitmap);
    } while (found == NB_NO_INDEX && status == NDISBRIDGE_STATUS_RESOURCES
        /* by chance: a return by another thread during the scan */
        && (nb_transit_returned_since(&space->transit, moment)
            || !nb_bitmap_verify_unchanged(&space->bitmap, &frees)));
    nb_bitmap_verify_end(&space->bitmap);
    if (found == NB_NO_INDEX)
        return status;
    if (search == SEARCH_NEXT)
        move_cursor(space, found);
    *index = found;
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status nb_pool_allocate(
    struct nb_pool *pool, uint32_t *index, uint16_t if_type)
{
    struct nb_space *space = nb_pool_space(pool, if_type);
    uint32_t found;

    if (NB_UNLIKELY(space == NULL))
        return NDISBRIDGE_STATUS_RESOURCES;
    found = nb_bitmap_allocate(&space->bitmap, nb_thread_stripe());
    if (NB_UNLIKELY(found == NB_NO_INDEX))
        return allocate_slow(pool, space, index, SEARCH_ANY);
    *index = found;
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status nb_pool_try_allocate(
    struct nb_pool *pool, uint32_t *index, uint16_t if_type)
{
    struct nb_space *space = nb_pool_peek(pool, if_type);
    uint32_t found;

    if (NB_UNLIKELY(space == NULL))
        return NDISBRIDGE_STATUS_PENDING;
    found = nb_bitmap_allocate(&space->bitmap, nb_thread_stripe());
    if (NB_UNLIKELY(found == NB_NO_INDEX))
        return NDISBRIDGE_STATUS_PENDING;
    *index = found;
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status nb_pool_allocate_if_index(
    struct nb_pool *pool, uint32_t *if_index, bool lowest)
{
    struct nb_space *space = nb_pool_space(pool, NB_IF_INDEX_SPACE);

    if (space == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    return allocate_slow(
        pool, space, if_index, lowest ? SEARCH_LOWEST : SEARCH_NEXT);
}

ndisbridge_status nb_pool_allocate_many(struct nb_pool *pool,
    uint32_t *indexes, uint32_t count, uint16_t if_type)
{
    struct nb_space *space = nb_pool_space(pool, if_type);
    uint32_t stripe = nb_thread_stripe(), n = 0;
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    if (space == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    while (n < count && status == NDISBRIDGE_STATUS_SUCCESS) {
        n += nb_bitmap_allocate_many(
            &space->bitmap, stripe, indexes + n, count - n);
        if (n == count)
            break;
        if (lease_more(pool, space, space->first / NDISBRIDGE_BLOCK_SIZE,
                count - n)
            == NDISBRIDGE_STATUS_SUCCESS)
            continue;
        /* The careful way finds the last ones, and says why it is over. */
        status = allocate_slow(pool, space, &indexes[n], SEARCH_ANY);
        if (status == NDISBRIDGE_STATUS_SUCCESS)
            n++;
    }
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        nb_bitmap_free_many(&space->bitmap, indexes, n);
    return status;
}

ndisbridge_status nb_pool_try_allocate_many(struct nb_pool *pool,
    uint32_t *indexes, uint32_t count, uint16_t if_type)
{
    struct nb_space *space = nb_pool_peek(pool, if_type);
    uint32_t found;

    if (space == NULL)
        return NDISBRIDGE_STATUS_PENDING;
    found = nb_bitmap_allocate_many(
        &space->bitmap, nb_thread_stripe(), indexes, count);
    if (found == count)
        return NDISBRIDGE_STATUS_SUCCESS;
    nb_bitmap_free_many(&space->bitmap, indexes, found);
    return NDISBRIDGE_STATUS_PENDING;
}

ndisbridge_status nb_pool_claim(
    struct nb_pool *pool, uint16_t if_type, uint32_t index)
{
    struct nb_space *space = nb_pool_space(pool, if_type);
    uint32_t block = index / NDISBRIDGE_BLOCK_SIZE;
    ndisbridge_status status;

    if (space == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    for (;;) {
        uint64_t moment = nb_transit_moment(&space->transit);
        bool leased = nb_bitmap_is_leased(&space->bitmap, block);

        if (leased && nb_bitmap_claim(&space->bitmap, index))
            return NDISBRIDGE_STATUS_SUCCESS;
        status = leased ? NDISBRIDGE_STATUS_IN_USE
                        : lease(pool, space, block, block, 1);
        if (status == NDISBRIDGE_STATUS_SUCCESS)
            continue;
        if (status != NDISBRIDGE_STATUS_RESOURCES
            && status != NDISBRIDGE_STATUS_IN_USE)
            return status;
        /* Somebody here may be giving the block back, or leasing it. */
        if (!leased || nb_transit_returned_since(&space->transit, moment)) {
            if (!nb_transit_wait(
                    &space->transit, nb_host_deadline(pool->host)))
                return NDISBRIDGE_STATUS_TIMEOUT;
            if (leased || nb_bitmap_is_leased(&space->bitmap, block)
                /* by chance: a return by another thread during the hook */
                || nb_transit_returned_since(&space->transit, moment))
                continue;
        }
        return NDISBRIDGE_STATUS_IN_USE;
    }
}

ndisbridge_status nb_pool_free(
    struct nb_pool *pool, uint16_t if_type, uint32_t index)
{
    struct nb_space *space = nb_pool_peek(pool, if_type);

    if (NB_UNLIKELY(
            space == NULL || index > NDISBRIDGE_NET_LUID_INDEX_MAX
            || !nb_bitmap_free(&space->bitmap, nb_thread_stripe(), index)))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    return NDISBRIDGE_STATUS_SUCCESS;
}

bool nb_pool_hold_one(
    struct nb_pool *pool, uint16_t if_type, uint32_t index)
{
    struct nb_space *space = nb_pool_peek(pool, if_type);
    bool held;

    if (space == NULL)
        return false;
    pthread_mutex_lock(&pool->moving);
    held = nb_bitmap_hold_one(&space->bitmap, index);
    pthread_mutex_unlock(&pool->moving);
    return held;
}

void nb_pool_unhold_one(
    struct nb_pool *pool, uint16_t if_type, uint32_t index)
{
    nb_bitmap_unhold_one(&nb_pool_peek(pool, if_type)->bitmap, index);
}

bool nb_pool_is_kept(struct nb_pool *pool, uint16_t if_type, uint32_t index)
{
    struct nb_space *space = nb_pool_peek(pool, if_type);

    return space != NULL && nb_bitmap_is_kept(&space->bitmap, index);
}

uint32_t nb_pool_test(struct nb_pool *pool, uint16_t if_type, uint32_t index)
{
    struct nb_space *space = nb_pool_peek(pool, if_type);
    uint32_t state;

    if (space == NULL)
        return NDISBRIDGE_INDEX_UNLEASED;
    state = nb_bitmap_test(&space->bitmap, index);
    if (state == NDISBRIDGE_INDEX_UNLEASED) {
        /* An index may be had a moment before its block is marked as
         * leased. */
        pthread_mutex_lock(&pool->moving);
        state = nb_bitmap_test(&space->bitmap, index);
        pthread_mutex_unlock(&pool->moving);
    }
    return state;
}

/* ---- give back -------------------------------------------------------- */

static ndisbridge_status return_blocks(struct nb_pool *pool,
    uint16_t if_type, const uint32_t *blocks, uint32_t count)
{
    struct nb_hook hook;
    struct nb_host *host = pool->host;
    ndisbridge_status status;

    if (count == 0 || host->hooks.return_blocks == NULL)
        return NDISBRIDGE_STATUS_SUCCESS;
    /* Who trims has entered, and who closes is alone. */
    status = nb_host_enter_hook(host, &hook, true);
    if (NB_ALWAYS(status == NDISBRIDGE_STATUS_SUCCESS)) {
        status = host->hooks.return_blocks(
            host->hooks.context, if_type, blocks, count);
        nb_host_leave_hook(host, &hook);
    }
    return status;
}

/* Takes up to TRIM_BLOCKS empty blocks at or after *block out, skipping the
 * first *keep; moves *block on. */
static uint32_t unlease_some(struct nb_space *space,
    ndisbridge_block_mask *taken, uint32_t *block, uint32_t *keep)
{
    uint32_t count = 0;

    for (*block = nb_bitmap_next_leased(&space->bitmap, *block);
         *block < NB_BLOCKS && count < TRIM_BLOCKS;
         *block = nb_bitmap_next_leased(&space->bitmap, *block + 1)) {
        if (*keep > 0) {
            *keep -= nb_bitmap_block_is_empty(&space->bitmap, *block);
            continue;
        }
        if (nb_bitmap_unlease(&space->bitmap, *block, taken[count].mask))
            taken[count++].block = *block;
    }
    return count;
}

static void lease_again(struct nb_pool *pool, struct nb_space *space,
    const ndisbridge_block_mask *taken, uint32_t count)
{
    pthread_mutex_lock(&pool->moving);
    for (uint32_t i = 0; i < count; i++)
        nb_bitmap_lease(&space->bitmap, taken[i].block, taken[i].mask);
    pthread_mutex_unlock(&pool->moving);
}

/* One trip: takes some blocks out and gives them back, or goes on using
 * them if the store will not have them. */
static ndisbridge_status return_some(struct nb_pool *pool,
    struct nb_space *space, uint32_t *block, uint32_t *keep,
    uint32_t *returned)
{
    ndisbridge_block_mask taken[TRIM_BLOCKS];
    uint32_t blocks[TRIM_BLOCKS], count;
    struct nb_trip trip;
    ndisbridge_status status = nb_transit_begin(&space->transit, &trip,
        NB_TRIP_RETURN, nb_host_deadline(pool->host));

    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    pthread_mutex_lock(&pool->moving);
    count = unlease_some(space, taken, block, keep);
    pthread_mutex_unlock(&pool->moving);
    for (uint32_t i = 0; i < count; i++)
        blocks[i] = taken[i].block;
    status = return_blocks(pool, space->if_type, blocks, count);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        *returned += count;
    else
        lease_again(pool, space, taken, count);
    nb_store_relaxed(&space->asked_below, 0);
    nb_bitmap_unleased(&space->bitmap);
    nb_transit_end(&space->transit, &trip);
    return status;
}

ndisbridge_status nb_pool_trim_space(struct nb_pool *pool,
    struct nb_space *space, uint32_t *returned, uint32_t keep)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    for (uint32_t block = 0;
         block < NB_BLOCKS && status == NDISBRIDGE_STATUS_SUCCESS;)
        status = return_some(pool, space, &block, &keep, returned);
    return status;
}

ndisbridge_status nb_pool_trim(
    struct nb_pool *pool, uint32_t *returned, uint32_t keep)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    *returned = 0;
    for (uint32_t i = next_space(pool, 0);
         i < SPACES && status == NDISBRIDGE_STATUS_SUCCESS;
         i = next_space(pool, i + 1)) {
        struct nb_space *space = nb_pool_peek(pool, (uint16_t)i);

        if (space != NULL)
            status = nb_pool_trim_space(pool, space, returned, keep);
    }
    return status;
}

ndisbridge_status nb_pool_return_all(struct nb_pool *pool)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    for (uint32_t i = next_space(pool, 0); i < SPACES;
         i = next_space(pool, i + 1)) {
        struct nb_space *space = nb_pool_peek(pool, (uint16_t)i);
        uint32_t blocks[NB_BLOCKS], count = 0;
        ndisbridge_status one;

        if (space == NULL)
            continue;
        for (uint32_t block = nb_bitmap_next_leased(&space->bitmap, 0);
             block < NB_BLOCKS;
             block = nb_bitmap_next_leased(&space->bitmap, block + 1))
            blocks[count++] = block;
        one = return_blocks(pool, space->if_type, blocks, count);
        if (one != NDISBRIDGE_STATUS_SUCCESS)
            status = one;
    }
    return status;
}
