/* SPDX-License-Identifier: MIT
 *
 * cases_pool.c - luid_pool.c, transit.c and index_sets.c over a store of one
 * block, which leases it and takes it back: whether the block is here, there
 * or on its way must not show in any answer.
 */
#include "explore.h"
#include "history.h"
#include "index_sets.h"

#include <stdlib.h>
#include <string.h>

#define TYPE 6
#define WORDS 2  /* of block 0; the rest of it is retained throughout */
#define INDEXES HISTORY_INDEXES  /* 0, 1 and 64, 65 */

enum kind { ALLOCATE, CLAIM, FREE, HOLD, UNHOLD, RETAIN, RELEASE, TEST };

static struct nb_host host;
static struct nb_pool pool;
static struct nb_space *space;
static nb_atomic_u32 life = NB_LIFE_OPEN;
static uint8_t first[INDEXES];

/* The store. */
static uint64_t retained[NB_BLOCK_WORDS];
static bool leased, refuses_returns;

static uint32_t index_of(uint32_t small)
{
    return small / 2 * 64 + small % 2;
}

static uint8_t small_of(uint32_t index)
{
    return (uint8_t)(index / 64 * 2 + index % 2);
}

/* What is of no block but the first, of no word but the first two, or only a
 * place to look at first. */
static bool is_quiet(const volatile void *address)
{
    const struct nb_bitmap *bitmap = &space->bitmap;
    size_t at = (size_t)((const volatile char *)address
        - (const volatile char *)bitmap);

    if (at >= sizeof *bitmap)
        return address == &life || address == &host.calls
            || (size_t)((const volatile char *)address
                   - (const volatile char *)pool.spaces)
            < 65536 * sizeof *pool.spaces;
    if (at >= offsetof(struct nb_bitmap, blocks)) {
        at -= offsetof(struct nb_bitmap, blocks);
        return at >= sizeof(struct nb_block)
            || at / 8 % NB_BLOCK_WORDS >= WORDS;
    }
    return (at > offsetof(struct nb_bitmap, sections)
               && at < offsetof(struct nb_bitmap, leased))
        || (at > offsetof(struct nb_bitmap, leased)
            && at < offsetof(struct nb_bitmap, pins));
}

/* ---- the store ---------------------------------------------------------- */

static ndisbridge_status lease(void *context, ndisbridge_block_mask *leases,
    uint32_t *count, uint16_t if_type, uint32_t lowest, uint32_t highest)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    (void)context;
    (void)if_type;
    model_step(NULL);
    if (leased || lowest > 0) {
        status = lowest == highest ? NDISBRIDGE_STATUS_IN_USE
                                   : NDISBRIDGE_STATUS_RESOURCES;
    } else {
        leased = true;
        *count = 1;
        leases->block = 0;
        memcpy(leases->mask, retained, sizeof retained);
    }
    model_step(NULL);
    return status;
}

static ndisbridge_status take_back(void *context, uint16_t if_type,
    const uint32_t *blocks, uint32_t count)
{
    (void)context;
    (void)if_type;
    (void)blocks;
    model_step(NULL);
    model_check(leased && count == 1, "given back twice");
    if (refuses_returns)
        return NDISBRIDGE_STATUS_FAILURE;
    leased = false;
    model_step(NULL);
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* ---- the simple space --------------------------------------------------- */

static bool apply(const struct op *op, uint8_t *state)
{
    uint8_t *one = &state[op->index % INDEXES];

    switch (op->kind) {
    case ALLOCATE:
        if (op->index != NONE)
            return history_turn(one, IS_FREE, IS_ALLOCATED, true);
        for (uint32_t i = 0; i < INDEXES; i++)
            if (state[i] == IS_FREE)
                return false;
        return true;
    case CLAIM:
        return history_turn(one, IS_FREE, IS_ALLOCATED, op->result);
    case FREE:
        return history_turn(one, IS_ALLOCATED, IS_FREE, op->result);
    case HOLD:
    case RETAIN:
        return history_turn(one, IS_ALLOCATED, IS_RETAINED, op->result);
    case UNHOLD:
        return history_turn(one, IS_RETAINED, IS_ALLOCATED, true);
    case RELEASE:
        return history_turn(one, IS_RETAINED, IS_FREE, true);
    default:
        switch (op->result) {
        case NDISBRIDGE_INDEX_FREE:
            return *one == IS_FREE;
        case NDISBRIDGE_INDEX_ALLOCATED:
            return *one == IS_ALLOCATED;
        case NDISBRIDGE_INDEX_RETAINED:
            return *one == IS_RETAINED;
        default:
            return *one == IS_FREE || *one == IS_RETAINED;
        }
    }
}

/* ---- operations --------------------------------------------------------- */

static uint8_t allocate(void)
{
    struct op *op = history_begin(ALLOCATE, NONE);
    uint32_t index;
    ndisbridge_status status = nb_pool_allocate(&pool, &index, TYPE);

    model_check(status == NDISBRIDGE_STATUS_SUCCESS
            || status == NDISBRIDGE_STATUS_RESOURCES,
        "neither an index nor RESOURCES");
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        op->index = small_of(index);
    history_end(op, status == NDISBRIDGE_STATUS_SUCCESS);
    return op->index;
}

static bool claim(uint8_t i)
{
    struct op *op = history_begin(CLAIM, i);
    ndisbridge_status status = nb_pool_claim(&pool, TYPE, index_of(i));

    model_check(status == NDISBRIDGE_STATUS_SUCCESS
            || status == NDISBRIDGE_STATUS_IN_USE,
        "neither claimed nor in use");
    history_end(op, status == NDISBRIDGE_STATUS_SUCCESS);
    return op->result;
}

static bool release_one(uint8_t i)
{
    struct op *op = history_begin(FREE, i);

    history_end(op,
        nb_pool_free(&pool, TYPE, index_of(i)) == NDISBRIDGE_STATUS_SUCCESS);
    return op->result;
}

static bool hold(uint8_t i)
{
    struct op *op = history_begin(HOLD, i);

    history_end(op, nb_pool_hold_one(&pool, TYPE, index_of(i)));
    return op->result;
}

static void unhold(uint8_t i)
{
    struct op *op = history_begin(UNHOLD, i);

    nb_pool_unhold_one(&pool, TYPE, index_of(i));
    history_end(op, true);
}

static void test(uint8_t i)
{
    struct op *op = history_begin(TEST, i);

    history_end(op, (uint8_t)nb_pool_test(&pool, TYPE, index_of(i)));
}

static void sets_of(struct nb_index_sets *sets, uint8_t i)
{
    uint32_t index = index_of(i);

    model_check(nb_sets_of_indexes(sets, &host.memory, TYPE, &index, 1, 0)
            == NDISBRIDGE_STATUS_SUCCESS,
        "no memory");
}

/* As retain() of session_retain.c does. */
static bool retain(uint8_t i)
{
    struct op *op = history_begin(RETAIN, i);
    struct nb_index_sets sets;
    bool held;

    sets_of(&sets, i);
    held = nb_sets_hold(&sets, &pool);
    if (held) {
        model_step(NULL);
        model_check(leased, "retained in a block that was given back");
        retained[i / 2] |= nb_bit(index_of(i));
        model_step(NULL);
        nb_sets_settle(&sets, &pool);
    }
    nb_sets_free(&sets);
    history_end(op, held);
    return held;
}

/* As release_stored() of session_retain.c does. */
static void give_up(uint8_t i)
{
    struct op *op = history_begin(RELEASE, i);
    struct nb_sets_release way;
    struct nb_index_sets sets;

    sets_of(&sets, i);
    model_check(nb_sets_begin_release(&sets, &pool, &way)
            == NDISBRIDGE_STATUS_SUCCESS,
        "a release cannot begin");
    model_step(NULL);
    retained[i / 2] &= ~nb_bit(index_of(i));
    model_step(NULL);
    nb_sets_end_release(&sets, &pool, &way, true);
    nb_sets_free(&sets);
    history_end(op, true);
}

static void trim(void)
{
    uint32_t returned = 0;
    ndisbridge_status status =
        nb_pool_trim_space(&pool, space, &returned, 0);

    model_check(status == NDISBRIDGE_STATUS_SUCCESS || refuses_returns,
        "a trim failed");
}

/* ---- setup and check ---------------------------------------------------- */

static void *take(void *context, size_t size)
{
    (void)context;
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

static void *take_zeroed(void *context, size_t size)
{
    void *memory = take(context, size);

    return memory == NULL ? NULL : memset(memory, 0, size);
}

static void give(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static void make_pool(void)
{
    host.memory.allocate = take_zeroed;
    host.memory.deallocate = give;
    host.hooks.lease_blocks = lease;
    host.hooks.return_blocks = take_back;
    host.wait_timeout_ms = 3600000;
    host.life = &life;
    if (nb_pool_init(&pool, &host, 1) != NDISBRIDGE_STATUS_SUCCESS)
        abort();
    space = nb_pool_space(&pool, TYPE);
    if (space == NULL)
        abort();
}

/* Nothing leased; these of the four retained. */
static void start(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    const uint8_t wanted[INDEXES] = { a, b, c, d };

    if (space == NULL)
        make_pool();
    memset(&space->bitmap, 0, offsetof(struct nb_bitmap, pins));
    nb_bitmap_init(&space->bitmap);
    space->bitmap.pins[0] = 0;
    space->bitmap.summaries[0] = 0;
    memset(&space->bitmap.blocks[0], 0, sizeof space->bitmap.blocks[0]);
    space->next_lease = 1;
    space->cursor = space->asked_below = space->not_asked = 0;
    memset(retained, 0xFF, sizeof retained);
    for (uint8_t i = 0; i < INDEXES; i++)
        if (wanted[i] != IS_RETAINED)
            retained[i / 2] &= ~nb_bit(index_of(i));
    memcpy(first, wanted, sizeof first);
    leased = refuses_returns = false;
    history_clear();
}

static void nothing_leased(void)
{
    start(IS_FREE, IS_RETAINED, IS_FREE, IS_RETAINED);
}

static void one_index(void)
{
    start(IS_FREE, IS_RETAINED, IS_RETAINED, IS_RETAINED);
}

/* The block is leased here, and empty. */
static void leased_here(void)
{
    nothing_leased();
    release_one(allocate());
    history_clear();
}

static void one_leased(void)
{
    one_index();
    release_one(allocate());
    history_clear();
}

static void refusing(void)
{
    one_leased();
    refuses_returns = true;
}

static void check(void)
{
    struct op *op;
    uint32_t returned = 0, allocated = 0;
    ndisbridge_index_counts counts;

    for (uint8_t i = 0; i < INDEXES; i++)
        test(i);
    /* All that is free can be had, wherever the block is. */
    do {
        op = history_begin(ALLOCATE, NONE);
        if (nb_pool_allocate(&pool, &returned, TYPE)
            == NDISBRIDGE_STATUS_SUCCESS)
            op->index = small_of(returned);
        history_end(op, op->index != NONE);
    } while (op->index != NONE);
    history_check(apply, first);
    nb_bitmap_count(&space->bitmap, &counts);
    for (uint32_t i = 0; i < INDEXES; i++)
        allocated += nb_pool_test(&pool, TYPE, index_of(i))
            == NDISBRIDGE_INDEX_ALLOCATED;
    model_check(counts.allocated == allocated && counts.free == 0,
        "the counts are wrong");
    model_check(space->bitmap.verifying == 0 && space->bitmap.pins[0] == 0
            && space->transit.first == NULL,
        "a pin, a verifier or a trip is left");
}

/* ---- cases -------------------------------------------------------------- */

static void allocate_one(void) { allocate(); }
static void claim_0(void) { claim(0); }
static void allocate_and_free(void)
{
    uint8_t i = allocate();

    if (i != NONE)
        release_one(i);
}
static void lease_and_trim(void)
{
    allocate_and_free();
    trim();
}
/* Once allocated an index is one's own, whoever is leasing its block. */
static void allocate_and_hold(void)
{
    uint8_t i = allocate();

    if (i != NONE && hold(i))
        unhold(i);
}
static void allocate_and_test(void)
{
    uint8_t i = allocate();

    if (i != NONE)
        test(i);
}
static void allocate_and_retain(void)
{
    uint8_t i = allocate();

    if (i != NONE && retain(i))
        give_up(i);
}
static void retain_0(void)
{
    if (claim(0))
        retain(0);
}
static void one_retained(void)
{
    start(IS_RETAINED, IS_RETAINED, IS_FREE, IS_RETAINED);
}
static void give_up_0(void) { give_up(0); }
static void give_up_and_allocate(void)
{
    give_up(0);
    allocate();
}

const struct model_case pool_cases[] = {
    { "lease-twice", nothing_leased,
        { allocate_one, allocate_one, allocate_one }, check, is_quiet },
    { "lease-hold", one_index, { allocate_and_hold, lease_and_trim, NULL },
        check, is_quiet },
    { "lease-test", one_index, { allocate_and_test, lease_and_trim, NULL },
        check, is_quiet },
    { "lease-retain", nothing_leased,
        { allocate_and_retain, lease_and_trim, NULL }, check, is_quiet },
    { "trim-allocate", one_leased, { trim, allocate_and_free, allocate_one },
        check, is_quiet },
    { "trim-claim", leased_here, { trim, claim_0, allocate_one }, check,
        is_quiet },
    { "trim-twice", leased_here, { trim, lease_and_trim, retain_0 }, check,
        is_quiet },
    { "trim-refused", refusing, { trim, allocate_and_hold, claim_0 }, check,
        is_quiet },
    { "release-lease", one_retained,
        { give_up_0, allocate_one, allocate_one }, check, is_quiet },
    { "release-trim", one_retained,
        { give_up_and_allocate, lease_and_trim, NULL }, check, is_quiet },
    { NULL, NULL, { NULL }, NULL, NULL },
};
