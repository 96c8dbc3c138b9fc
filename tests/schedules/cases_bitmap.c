/* SPDX-License-Identifier: MIT
 *
 * cases_bitmap.c - luid_bitmap.c: every history must be one of a simple
 * space whose operations happen one at a time, "exhausted" included.
 */
#include "explore.h"
#include "history.h"
#include "luid_bitmap.h"

#include <string.h>

#define WORDS 2  /* of block 0; the rest of it is retained throughout */
#define INDEXES HISTORY_INDEXES  /* 0, 1 and 64, 65 */

enum kind { ALLOCATE, TRY, CLAIM, FREE, HOLD, UNHOLD, SETTLE, PUT_BACK, LEASE,
    UNLEASE, TEST };

static struct nb_bitmap space, *const bitmap = &space;
static uint8_t first[INDEXES];
static bool trims;  /* a failing unlease hides free indexes for a moment */

static uint32_t index_of(uint32_t small)
{
    return small / 2 * 64 + small % 2;
}

static uint8_t small_of(uint32_t index)
{
    return index == NB_NO_INDEX ? NONE : (uint8_t)(index / 64 * 2 + index % 2);
}

static bool is_quiet(const volatile void *address)
{
    size_t at = (size_t)((const volatile char *)address
        - (const volatile char *)&bitmap->blocks[0]);

    return at < sizeof bitmap->blocks
        && (at >= sizeof(struct nb_block)
            || at / 8 % NB_BLOCK_WORDS >= WORDS);
}

/* ---- the simple space --------------------------------------------------- */

static bool apply(const struct op *op, uint8_t *state)
{
    uint8_t *one = &state[op->index % INDEXES];

    switch (op->kind) {
    case TRY:
        return op->index == NONE
            || history_turn(one, IS_FREE, IS_ALLOCATED, true);
    case ALLOCATE:
        if (op->index != NONE)
            return history_turn(one, IS_FREE, IS_ALLOCATED, true);
        for (uint32_t i = 0; !trims && i < INDEXES; i++)
            if (state[i] == IS_FREE)
                return false;
        return true;
    case CLAIM:
        if (trims && !op->result)
            return true;
        return history_turn(one, IS_FREE, IS_ALLOCATED, op->result);
    case FREE:
        return history_turn(one, IS_ALLOCATED, IS_FREE, op->result);
    case HOLD:
        return history_turn(one, IS_ALLOCATED, IS_RETAINED, op->result);
    case UNHOLD:
        return history_turn(one, IS_RETAINED, IS_ALLOCATED, true);
    case SETTLE:
        return *one == IS_RETAINED;
    case PUT_BACK:
        return history_turn(one, IS_RETAINED, IS_FREE, true);
    case LEASE:
        for (uint32_t i = 0; op->result && i < INDEXES; i++)
            state[i] = state[i] == IS_BOTH ? IS_RETAINED : IS_FREE;
        return true;
    case UNLEASE:
        for (uint32_t i = 0; op->result && i < INDEXES; i++) {
            if (state[i] != IS_FREE && state[i] != IS_RETAINED)
                return false;
            state[i] = state[i] == IS_FREE ? IS_UNLEASED : IS_BOTH;
        }
        return true;
    default:
        return *one == op->result
            || (*one == IS_BOTH && op->result == IS_UNLEASED);
    }
}

/* ---- operations --------------------------------------------------------- */

/* As allocate_slow() of luid_pool.c does, without leases. */
static uint8_t allocate_by(bool hints)
{
    struct op *op = history_begin(ALLOCATE, NONE);
    uint32_t stripe = (uint32_t)model_thread(), found = NB_NO_INDEX;

    if (hints)
        found = nb_bitmap_allocate(bitmap, stripe);

    if (found == NB_NO_INDEX) {
        uint64_t frees = nb_bitmap_verify_begin(bitmap);

        do {
            found = nb_bitmap_scan(bitmap);
        } while (found == NB_NO_INDEX
            && !nb_bitmap_verify_unchanged(bitmap, &frees));
        nb_bitmap_verify_end(bitmap);
    }
    op->index = small_of(found);
    history_end(op, op->index != NONE);
    return op->index;
}

static uint8_t allocate(void)
{
    return allocate_by(true);
}

static bool claim(uint8_t i)
{
    struct op *op = history_begin(CLAIM, i);

    history_end(op, nb_bitmap_claim(bitmap, index_of(i)));
    return op->result;
}

static bool release(uint8_t i)
{
    struct op *op = history_begin(FREE, i);

    history_end(op,
        nb_bitmap_free(bitmap, (uint32_t)model_thread(), index_of(i)));
    return op->result;
}

/* Stands for `moving` of the pool: holding, leasing and unleasing exclude
 * each other. */
static const char moving;

static bool hold(uint8_t i)
{
    struct op *op = history_begin(HOLD, i);
    bool held;

    model_lock(&moving);
    held = nb_bitmap_hold_one(bitmap, index_of(i));
    model_unlock(&moving);
    history_end(op, held);
    return op->result;
}

static void unhold(uint8_t i)
{
    struct op *op = history_begin(UNHOLD, i);

    nb_bitmap_unhold_one(bitmap, index_of(i));
    history_end(op, true);
}

static const uint64_t *mask_of(uint8_t i)
{
    static uint64_t masks[INDEXES][NB_BLOCK_WORDS];

    masks[i][i / 2] = nb_bit(index_of(i));
    return masks[i];
}

static void settle(uint8_t i)
{
    struct op *op = history_begin(SETTLE, i);

    nb_bitmap_settle(bitmap, 0, mask_of(i));
    history_end(op, true);
}

static void put_back(uint8_t i)
{
    struct op *op = history_begin(PUT_BACK, i);

    nb_bitmap_put_back(bitmap, 0, mask_of(i));
    history_end(op, true);
}

static uint64_t retained[NB_BLOCK_WORDS];

/* Gives the block back; leases it again. */
static void unlease_once(bool again)
{
    struct op *op = history_begin(UNLEASE, NONE);
    bool unleased;

    model_lock(&moving);
    unleased = nb_bitmap_unlease(bitmap, 0, retained);
    model_unlock(&moving);
    history_end(op, unleased);
    if (op->result && again) {
        nb_bitmap_unleased(bitmap);
        op = history_begin(LEASE, NONE);
        model_lock(&moving);
        unleased = nb_bitmap_lease(bitmap, 0, retained);
        model_unlock(&moving);
        history_end(op, unleased);
        model_check(op->result, "a block that was unleased is leased");
    }
}

/* ---- setup and check ---------------------------------------------------- */

/* Block 0 leased, with these of the four allocated or retained. */
static void start(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    const uint8_t wanted[INDEXES] = { a, b, c, d };
    uint64_t others[NB_BLOCK_WORDS];

    memset(bitmap, 0, offsetof(struct nb_bitmap, pins));
    bitmap->pins[0] = 0;
    bitmap->summaries[0] = 0;
    memset(&bitmap->blocks[0], 0, sizeof bitmap->blocks[0]);
    memset(others, 0xFF, sizeof others);
    for (uint8_t i = 0; i < INDEXES; i++)
        if (wanted[i] != IS_RETAINED)
            others[i / 2] &= ~nb_bit(index_of(i));
    nb_bitmap_lease(bitmap, 0, others);
    for (uint8_t i = 0; i < INDEXES; i++)
        if (wanted[i] == IS_ALLOCATED)
            nb_bitmap_claim(bitmap, index_of(i));
    memcpy(first, wanted, sizeof first);
    history_clear();
    trims = false;
}

static void check(void)
{
    static const uint8_t states[] = {
        [NDISBRIDGE_INDEX_UNLEASED] = IS_UNLEASED,
        [NDISBRIDGE_INDEX_FREE] = IS_FREE,
        [NDISBRIDGE_INDEX_ALLOCATED] = IS_ALLOCATED,
        [NDISBRIDGE_INDEX_RETAINED] = IS_RETAINED,
    };

    for (uint8_t i = 0; i < INDEXES; i++) {
        struct op *op = history_begin(TEST, i);

        history_end(op, states[nb_bitmap_test(bitmap, index_of(i))]);
    }
    history_check(apply, first);
    for (uint32_t i = 0; i < WORDS; i++)
        model_check(bitmap->blocks[0].free[i] == 0
                || ((bitmap->summaries[0] & nb_bit(i))
                    && (bitmap->sections[0] & 1) && (bitmap->top & 1)),
            "a free index that no hint leads to");
    model_check(bitmap->verifying == 0 && bitmap->pins[0] == 0,
        "a pin or a verifier is left");
}

/* ---- cases -------------------------------------------------------------- */

static void all_free(void) { start(IS_FREE, IS_FREE, IS_FREE, IS_RETAINED); }
static void two_free(void)
{
    start(IS_FREE, IS_RETAINED, IS_FREE, IS_RETAINED);
}
static void one_taken(void)
{
    start(IS_ALLOCATED, IS_RETAINED, IS_RETAINED, IS_RETAINED);
}
static void last_two(void)
{
    start(IS_ALLOCATED, IS_RETAINED, IS_FREE, IS_RETAINED);
}
static void trimming(void)
{
    start(IS_ALLOCATED, IS_RETAINED, IS_FREE, IS_RETAINED);
    trims = true;
}
static void allocate_and_free(void)
{
    uint8_t i = allocate();

    if (i != NONE)
        release(i);
}
static void allocate_one(void) { allocate(); }
static void scan_one(void) { allocate_by(false); }
static void try_one(void)
{
    struct op *op = history_begin(TRY, NONE);

    op->index = small_of(
        nb_bitmap_allocate(bitmap, (uint32_t)model_thread()));
    history_end(op, true);
}
static void unlease(void) { unlease_once(true); }
static void give_back(void) { unlease_once(false); }
static void claim_0(void) { claim(0); }
static void claim_2(void) { claim(2); }
static void free_0(void) { release(0); }
static void claim_and_free_2(void)
{
    if (claim(2))
        release(2);
}
/* Moves the last free index to where a scan has been already. */
static void move(void)
{
    release(0);
    claim(2);
}
static void hold_and_undo(void)
{
    if (hold(0))
        unhold(0);
    release(0);
}
static void retain_and_release(void)
{
    if (hold(0)) {
        nb_bitmap_pin(bitmap, 0, 1);
        settle(0);
        put_back(0);
        nb_bitmap_unpin(bitmap, 0, 1);
    }
}

static void one_retained(void)
{
    start(IS_RETAINED, IS_RETAINED, IS_FREE, IS_RETAINED);
}
static void trimming_retained(void)
{
    one_retained();
    trims = true;
}
/* What is released goes to where a scan has been already. */
static void put_back_and_claim(void)
{
    nb_bitmap_pin(bitmap, 0, 1);
    put_back(0);
    nb_bitmap_unpin(bitmap, 0, 1);
    claim(2);
}
/* A release: nothing to do here if the block is not leased here. */
static void put_back_if_leased(void)
{
    nb_bitmap_pin(bitmap, 0, 1);
    if (nb_bitmap_is_leased(bitmap, 0))
        put_back(0);
    nb_bitmap_unpin(bitmap, 0, 1);
}

const struct model_case bitmap_cases[] = {
    { "allocate-free", all_free,
        { allocate_and_free, allocate_and_free, allocate_one }, check,
        is_quiet },
    { "allocate-claim", two_free, { allocate_one, claim_0, claim_2 }, check,
        is_quiet },
    { "free-twice", one_taken, { free_0, free_0, allocate_one }, check,
        is_quiet },
    { "resources", one_taken, { allocate_one, free_0, allocate_one }, check,
        is_quiet },
    { "hints", one_taken, { try_one, free_0, NULL }, check, is_quiet },
    { "resources-moving", last_two, { scan_one, move, allocate_one }, check,
        is_quiet },
    { "resources-put-back", one_retained,
        { scan_one, put_back_and_claim, NULL }, check, is_quiet },
    { "put-back-unlease", trimming_retained,
        { put_back_if_leased, give_back, NULL }, check, is_quiet },
    { "resources-release", one_taken,
        { allocate_one, retain_and_release, NULL }, check, is_quiet },
    { "hold-unlease", trimming, { hold_and_undo, unlease, claim_and_free_2 },
        check, is_quiet },
    { "release-unlease", trimming,
        { retain_and_release, unlease, claim_and_free_2 }, check, is_quiet },
    { "free-unlease", trimming, { free_0, unlease, allocate_one }, check,
        is_quiet },
    { NULL, NULL, { NULL }, NULL, NULL },
};
