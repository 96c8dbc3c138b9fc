/* SPDX-License-Identifier: MIT
 *
 * test_luid_bitmap.c - the bitmap against a byte for every index, on one
 * thread: long random sequences of every operation, on a few blocks chosen
 * so that words, blocks and sections end in between; then exhaustion.
 */
#include "luid_bitmap.h"

#include <string.h>

#include "check.h"

#define SPACE ((uint32_t)NDISBRIDGE_NET_LUID_INDEX_MAX + 1)
#define BLOCK NDISBRIDGE_BLOCK_SIZE

/* First and last of a section, neighbours, and the ends of the space. */
static const uint32_t blocks_used[] = { 0, 1, 62, 63, 64, 127, 2049, 4095 };
#define USED (sizeof blocks_used / sizeof *blocks_used)

enum state { UNLEASED, FREE, ALLOCATED, HELD, RETAINED };

/* The model: a state for every index of the blocks in use. */
static uint8_t model[USED][BLOCK];
static struct nb_bitmap *bitmap;
static uint64_t random_state;

static struct nb_bitmap *make_bitmap(void)
{
    struct nb_bitmap *made = nb_system_allocate(NULL, sizeof *made);

    REQUIRE(made != NULL);
    nb_bitmap_init(made);
    return made;
}

static uint32_t below(uint32_t limit)
{
    return check_below(&random_state, limit);
}

static uint32_t slot_of(uint32_t index)
{
    for (uint32_t i = 0; i < USED; i++)
        if (blocks_used[i] == index / BLOCK)
            return i;
    return USED;
}

static uint8_t *state_of(uint32_t index)
{
    uint32_t slot = slot_of(index);

    REQUIRE(slot < USED);
    return &model[slot][index % BLOCK];
}

static uint32_t count_state(uint32_t slot, enum state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < BLOCK; i++)
        n += model[slot][i] == state;
    return n;
}

static uint32_t total_of(enum state state)
{
    uint32_t n = 0;

    for (uint32_t slot = 0; slot < USED; slot++)
        n += count_state(slot, state);
    return n;
}

static uint32_t random_index(void)
{
    return blocks_used[below(USED)] * BLOCK + below(BLOCK);
}

static void took(uint32_t index)
{
    uint8_t *state = state_of(index);

    CHECK_EQUAL(*state, FREE);
    *state = ALLOCATED;
}

/* ---- one operation each ------------------------------------------------ */

static void allocate_some(void)
{
    for (uint32_t n = below(200); n > 0; n--) {
        uint32_t index = nb_bitmap_allocate(bitmap, below(NB_STRIPE_COUNT));

        if (index == NB_NO_INDEX) {
            /* Single-threaded, the hints are exact where it matters. */
            CHECK_EQUAL(total_of(FREE), 0);
            return;
        }
        took(index);
    }
}

static void allocate_from(void)
{
    uint32_t from = random_index(), slot = slot_of(from);
    uint32_t index = nb_bitmap_allocate_from(bitmap, from);
    uint32_t wanted = NB_NO_INDEX;

    for (uint32_t i = from % BLOCK; slot < USED; slot++, i = 0)
        for (; i < BLOCK && wanted == NB_NO_INDEX; i++)
            if (model[slot][i] == FREE)
                wanted = blocks_used[slot] * BLOCK + i;
    CHECK_EQUAL(index, wanted);
    if (index != NB_NO_INDEX)
        took(index);
}

static void allocate_many(void)
{
    static uint32_t indexes[3 * BLOCK];
    uint32_t wanted = below(8) == 0 ? below(3 * BLOCK) : below(300);
    uint32_t vacant = total_of(FREE);
    uint32_t n = nb_bitmap_allocate_many(
        bitmap, below(NB_STRIPE_COUNT), indexes, wanted);

    CHECK_EQUAL(n, wanted < vacant ? wanted : vacant);
    for (uint32_t i = 0; i < n; i++)
        took(indexes[i]);
}

static void claim_one(void)
{
    uint32_t index = random_index();
    bool good = nb_bitmap_claim(bitmap, index);

    CHECK_EQUAL(good, *state_of(index) == FREE);
    if (good)
        *state_of(index) = ALLOCATED;
}

static void free_one(void)
{
    uint32_t index = random_index();
    bool good = nb_bitmap_free(bitmap, below(NB_STRIPE_COUNT), index);

    CHECK_EQUAL(good, *state_of(index) == ALLOCATED);
    if (good)
        *state_of(index) = FREE;
}

static void free_many(void)
{
    static uint32_t indexes[2000];
    uint32_t n = 0, wanted = below(2000), freed = 0, from = random_index();

    /* A run, with gaps and repetitions, or indexes from anywhere. */
    for (uint32_t scattered = below(2); n < wanted; n++) {
        if (scattered || below(50) == 0)
            from = random_index();
        else if (below(10) != 0 && slot_of(from + 1) < USED && from + 1 < SPACE)
            from++;
        indexes[n] = below(500) == 0 ? SPACE + below(9) : from;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (indexes[i] >= SPACE || *state_of(indexes[i]) != ALLOCATED)
            continue;
        *state_of(indexes[i]) = FREE;
        freed++;
    }
    CHECK_EQUAL(nb_bitmap_free_many(bitmap, indexes, n), freed);
}

static void set_states(
    uint32_t slot, const uint64_t mask[NB_BLOCK_WORDS], enum state state)
{
    for (uint32_t i = 0; i < BLOCK; i++)
        if (mask[i / 64] & nb_bit(i))
            model[slot][i] = (uint8_t)state;
}

/* A mask of up to `most` indexes of a block that are in a state. */
static uint32_t mask_of(uint32_t slot, enum state state, uint32_t most,
    uint64_t mask[NB_BLOCK_WORDS])
{
    uint32_t start = below(BLOCK), n = 0;

    memset(mask, 0, NB_BLOCK_WORDS * sizeof *mask);
    for (uint32_t i = 0; i < BLOCK && n < most; i++) {
        uint32_t at = (start + i) % BLOCK;

        if (model[slot][at] != state || below(3) == 0)
            continue;
        mask[at / 64] |= nb_bit(at);
        n++;
    }
    return n;
}

static void hold(void)
{
    uint64_t mask[NB_BLOCK_WORDS];
    uint32_t slot = below(USED), index;

    if (mask_of(slot, ALLOCATED, below(300), mask) == 0)
        return;
    if (below(3) == 0) {
        /* One that is not allocated spoils it for all. */
        index = below(BLOCK);
        if (model[slot][index] == ALLOCATED)
            return;
        mask[index / 64] |= nb_bit(index);
        CHECK(!nb_bitmap_hold(bitmap, blocks_used[slot], mask));
        return;
    }
    CHECK(nb_bitmap_hold(bitmap, blocks_used[slot], mask));
    set_states(slot, mask, HELD);
}

static void end_hold(void)
{
    uint64_t mask[NB_BLOCK_WORDS];
    uint32_t slot = below(USED);

    if (mask_of(slot, HELD, below(300), mask) == 0)
        return;
    switch (below(3)) {
    case 0:
        nb_bitmap_unhold(bitmap, blocks_used[slot], mask);
        set_states(slot, mask, ALLOCATED);
        break;
    case 1:
        nb_bitmap_settle(bitmap, blocks_used[slot], mask);
        set_states(slot, mask, RETAINED);
        break;
    default:
        nb_bitmap_put_back(bitmap, blocks_used[slot], mask);
        nb_bitmap_settle(bitmap, blocks_used[slot], mask);
        set_states(slot, mask, FREE);
        break;
    }
}

static void put_back_retained(void)
{
    uint64_t mask[NB_BLOCK_WORDS];
    uint32_t slot = below(USED);

    if (mask_of(slot, RETAINED, below(300), mask) == 0)
        return;
    nb_bitmap_pin(bitmap, blocks_used[slot], 1);
    nb_bitmap_put_back(bitmap, blocks_used[slot], mask);
    /* What has been put back is free; again it changes nothing. */
    nb_bitmap_put_back(bitmap, blocks_used[slot], mask);
    nb_bitmap_unpin(bitmap, blocks_used[slot], 1);
    set_states(slot, mask, FREE);
}

static void hold_one(void)
{
    uint32_t index = random_index();
    uint8_t *state = state_of(index);

    if (*state == HELD && below(2)) {
        nb_bitmap_unhold_one(bitmap, index);
        *state = ALLOCATED;
        return;
    }
    if (CHECK(nb_bitmap_hold_one(bitmap, index) == (*state == ALLOCATED))
        && *state == ALLOCATED)
        *state = HELD;
}

static void lease(void)
{
    uint64_t retained[NB_BLOCK_WORDS] = { 0 };
    uint32_t slot = below(USED);
    bool leased = model[slot][0] != UNLEASED;

    for (uint32_t n = below(4) == 0 ? below(5000) : below(9); n > 0; n--) {
        uint32_t i = below(BLOCK);

        retained[i / 64] |= nb_bit(i);
    }
    CHECK_EQUAL(
        nb_bitmap_lease(bitmap, blocks_used[slot], retained), !leased);
    if (leased)
        return;
    memset(model[slot], FREE, BLOCK);
    set_states(slot, retained, RETAINED);
}

static void unlease(void)
{
    uint64_t retained[NB_BLOCK_WORDS];
    uint32_t slot = below(USED);
    bool empty = count_state(slot, ALLOCATED) + count_state(slot, HELD) == 0;

    if (model[slot][0] == UNLEASED)
        return;
    CHECK_EQUAL(nb_bitmap_block_is_empty(bitmap, blocks_used[slot]), empty);
    /* A pin keeps it. */
    nb_bitmap_pin(bitmap, blocks_used[slot], 2);
    CHECK(!nb_bitmap_unlease(bitmap, blocks_used[slot], retained));
    nb_bitmap_unpin(bitmap, blocks_used[slot], 2);
    CHECK_EQUAL(
        nb_bitmap_unlease(bitmap, blocks_used[slot], retained), empty);
    if (!empty)
        return;
    for (uint32_t i = 0; i < BLOCK; i++)
        CHECK(((retained[i / 64] & nb_bit(i)) != 0)
            == (model[slot][i] == RETAINED));
    memset(model[slot], UNLEASED, BLOCK);
}

/* Empties a block in the ways that there are, so that it can be unleased. */
static void empty_block(void)
{
    uint32_t slot = below(USED);

    for (uint32_t i = 0; i < BLOCK; i++) {
        uint32_t index = blocks_used[slot] * BLOCK + i;

        if (model[slot][i] == HELD) {
            nb_bitmap_unhold_one(bitmap, index);
            model[slot][i] = ALLOCATED;
        }
        if (model[slot][i] == ALLOCATED) {
            CHECK(nb_bitmap_free(bitmap, 0, index));
            model[slot][i] = FREE;
        }
    }
}

static void scan(void)
{
    uint32_t index = nb_bitmap_scan(bitmap);

    if (index == NB_NO_INDEX)
        CHECK_EQUAL(total_of(FREE), 0);
    else
        took(index);
}

/* ---- comparison -------------------------------------------------------- */

static void compare(void)
{
    static const uint32_t public_state[] = { NDISBRIDGE_INDEX_UNLEASED,
        NDISBRIDGE_INDEX_FREE, NDISBRIDGE_INDEX_ALLOCATED,
        NDISBRIDGE_INDEX_RETAINED, NDISBRIDGE_INDEX_RETAINED };
    ndisbridge_index_counts counts;
    uint32_t leased = 0;

    for (uint32_t slot = 0; slot < USED; slot++) {
        bool same = true;

        leased += model[slot][0] != UNLEASED;
        for (uint32_t i = 0; i < BLOCK; i++)
            same &= nb_bitmap_test(bitmap, blocks_used[slot] * BLOCK + i)
                == public_state[model[slot][i]];
        CHECK(same);
    }
    nb_bitmap_count(bitmap, &counts);
    CHECK_EQUAL(counts.leased_blocks, leased);
    CHECK_EQUAL(counts.free, total_of(FREE));
    CHECK_EQUAL(counts.allocated, total_of(ALLOCATED));
    CHECK_EQUAL(counts.retained, total_of(HELD) + total_of(RETAINED));
    CHECK(nb_bitmap_validate(bitmap));
    CHECK_EQUAL(nb_load(&bitmap->verifying), 0);
}

static void test_random(void)
{
    static void (*const operations[])(void) = { allocate_some, allocate_some,
        allocate_from, allocate_many, claim_one, free_one, free_many,
        free_many, hold, end_hold, put_back_retained, hold_one, lease,
        unlease, scan };
    const uint32_t rounds = 20000 / CHECK_SLOWNESS;

    bitmap = make_bitmap();
    for (uint32_t round = 0; round < rounds; round++) {
        operations[below(sizeof operations / sizeof *operations)]();
        if (below(60) == 0)
            empty_block();
        if (below(200) == 0)
            compare();
    }
    compare();
    nb_system_deallocate(NULL, bitmap, sizeof *bitmap);
}

/* ---- many at a time ---------------------------------------------------- */

/* Words of every number of free indexes, taken at once, with room to spare
 * and with none. */
static void test_words_of_every_density(void)
{
    const uint64_t none[NB_BLOCK_WORDS] = { 0 };
    uint32_t indexes[BLOCK], expected[BLOCK], n = 0;

    bitmap = make_bitmap();
    CHECK(nb_bitmap_lease(bitmap, 0, none));
    for (uint32_t spare = 0; spare < 2; spare++) {
        n = nb_bitmap_allocate_many(bitmap, 0, indexes, BLOCK);
        CHECK_EQUAL(n, BLOCK);
        n = 0;
        for (uint32_t i = 0; i < BLOCK; i++)
            if (below(64) < i / 64)
                expected[n++] = i;
        CHECK_EQUAL(nb_bitmap_free_many(bitmap, expected, n), n);
        memset(indexes, 0xFF, sizeof indexes);
        /* From the first word, where its hint was left. */
        nb_store_relaxed(&bitmap->stripes[0].word, 0);
        CHECK_EQUAL(nb_bitmap_allocate_many(
                        bitmap, 0, indexes, spare ? BLOCK : n),
            n);
        CHECK(memcmp(indexes, expected, n * sizeof *indexes) == 0);
        /* Nothing beyond what there was room for. */
        for (uint32_t i = spare ? BLOCK : n; i < BLOCK; i++)
            CHECK_EQUAL(indexes[i], UINT32_MAX);
        for (uint32_t i = 0; i < BLOCK; i++)
            nb_bitmap_free(bitmap, 0, i);
    }
    nb_system_deallocate(NULL, bitmap, sizeof *bitmap);
}

/* Runs that are a whole word, and those that only look like one. */
static void test_free_whole_words(void)
{
    const uint64_t none[NB_BLOCK_WORDS] = { 0 };
    uint32_t indexes[128];

    bitmap = make_bitmap();
    CHECK(nb_bitmap_lease(bitmap, 0, none));
    for (uint32_t i = 0; i < 4; i++) {
        /* In order; two swapped; one twice; short of one. */
        uint32_t count = i == 3 ? 127 : 128;

        for (uint32_t j = 0; j < 128; j++) {
            CHECK(nb_bitmap_claim(bitmap, j));
            indexes[j] = j;
        }
        if (i == 1)
            indexes[20] = 21, indexes[21] = 20;
        if (i == 2)
            indexes[90] = 91;
        CHECK_EQUAL(nb_bitmap_free_many(bitmap, indexes, count),
            i < 2 ? 128 : 127);
        for (uint32_t j = 0; j < 128; j++)
            CHECK_EQUAL(nb_bitmap_free(bitmap, 0, j),
                (i == 2 && j == 90) || (i == 3 && j == 127));
        CHECK(nb_bitmap_validate(bitmap));
    }
    nb_system_deallocate(NULL, bitmap, sizeof *bitmap);
}

/* ---- exhaustion -------------------------------------------------------- */

static void test_exhaust_three_blocks(void)
{
    static const uint32_t three[] = { 7, 8, 4095 };
    const uint64_t none[NB_BLOCK_WORDS] = { 0 };
    uint64_t frees, mask[NB_BLOCK_WORDS] = { 0 }, retained[NB_BLOCK_WORDS];
    uint32_t last = 0;

    bitmap = make_bitmap();
    CHECK_EQUAL(nb_bitmap_allocate(bitmap, 0), NB_NO_INDEX);
    CHECK_EQUAL(nb_bitmap_allocate_from(bitmap, 12345), NB_NO_INDEX);
    CHECK_EQUAL(nb_bitmap_scan(bitmap), NB_NO_INDEX);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(nb_bitmap_lease(bitmap, three[i], none));
    for (uint32_t i = 0; i < 3 * BLOCK; i++)
        CHECK((last = nb_bitmap_allocate(bitmap, 9)) != NB_NO_INDEX);
    CHECK_EQUAL(nb_bitmap_allocate(bitmap, 9), NB_NO_INDEX);
    CHECK_EQUAL(nb_bitmap_allocate(bitmap, 10), NB_NO_INDEX);
    CHECK_EQUAL(nb_bitmap_scan(bitmap), NB_NO_INDEX);
    CHECK_EQUAL(nb_bitmap_allocate_many(bitmap, 0, &last, 1), 0);

    /* Nobody freed: the scan may be believed.  Freeing is noticed. */
    frees = nb_bitmap_verify_begin(bitmap);
    CHECK(nb_bitmap_verify_unchanged(bitmap, &frees));
    CHECK(nb_bitmap_free(bitmap, 3, 7 * BLOCK + 100));
    CHECK(!nb_bitmap_verify_unchanged(bitmap, &frees));
    CHECK(nb_bitmap_verify_unchanged(bitmap, &frees));
    /* So is every other way in which an index becomes free. */
    last = 7 * BLOCK + 101;
    CHECK_EQUAL(nb_bitmap_free_many(bitmap, &last, 1), 1);
    CHECK(!nb_bitmap_verify_unchanged(bitmap, &frees));
    CHECK(nb_bitmap_claim(bitmap, last));
    CHECK(nb_bitmap_verify_unchanged(bitmap, &frees));
    mask[0] = 6;
    CHECK(nb_bitmap_hold(bitmap, 8, mask));
    CHECK(nb_bitmap_verify_unchanged(bitmap, &frees));
    nb_bitmap_put_back(bitmap, 8, mask);
    CHECK(!nb_bitmap_verify_unchanged(bitmap, &frees));
    nb_bitmap_settle(bitmap, 8, mask);
    CHECK(nb_bitmap_claim(bitmap, 8 * BLOCK + 1));
    CHECK(nb_bitmap_claim(bitmap, 8 * BLOCK + 2));
    CHECK(nb_bitmap_lease(bitmap, 9, none));
    CHECK(!nb_bitmap_verify_unchanged(bitmap, &frees));
    CHECK(nb_bitmap_unlease(bitmap, 9, retained));
    CHECK(nb_bitmap_verify_unchanged(bitmap, &frees));
    nb_bitmap_unleased(bitmap);
    CHECK(!nb_bitmap_verify_unchanged(bitmap, &frees));
    nb_bitmap_verify_end(bitmap);

    /* Any thread finds the only free one, whatever it saw before. */
    CHECK_EQUAL(nb_bitmap_allocate(bitmap, 40), 7 * BLOCK + 100);
    CHECK_EQUAL(nb_bitmap_allocate(bitmap, 40), NB_NO_INDEX);
    CHECK(nb_bitmap_free(bitmap, 3, NDISBRIDGE_NET_LUID_INDEX_MAX));
    CHECK(!nb_bitmap_free(bitmap, 3, NDISBRIDGE_NET_LUID_INDEX_MAX));
    CHECK_EQUAL(
        nb_bitmap_allocate_from(bitmap, 0), NDISBRIDGE_NET_LUID_INDEX_MAX);
    nb_system_deallocate(NULL, bitmap, sizeof *bitmap);
}

static void test_exhaust_everything(void)
{
    const uint64_t none[NB_BLOCK_WORDS] = { 0 };
    uint32_t *indexes = malloc(SPACE * sizeof *indexes);
    uint8_t *seen = calloc(SPACE, 1);
    ndisbridge_index_counts counts;
    uint32_t twice = 0, n;

    REQUIRE(indexes != NULL && seen != NULL);
    bitmap = make_bitmap();
    for (uint32_t block = 0; block < NB_BLOCKS; block++)
        CHECK(nb_bitmap_lease(bitmap, block, none));
    /* Half one at a time, the rest at once. */
    for (n = 0; n < SPACE / 2; n++) {
        indexes[n] = nb_bitmap_allocate(bitmap, n % NB_STRIPE_COUNT);
        if (indexes[n] == NB_NO_INDEX)
            break;
    }
    CHECK_EQUAL(n, SPACE / 2);
    n += nb_bitmap_allocate_many(bitmap, 5, indexes + n, SPACE - n);
    CHECK_EQUAL(n, SPACE);
    CHECK_EQUAL(nb_bitmap_allocate(bitmap, 1), NB_NO_INDEX);
    CHECK_EQUAL(nb_bitmap_scan(bitmap), NB_NO_INDEX);
    for (uint32_t i = 0; i < n; i++) {
        REQUIRE(indexes[i] < SPACE);
        twice += seen[indexes[i]]++;
    }
    CHECK_EQUAL(twice, 0);
    nb_bitmap_count(bitmap, &counts);
    CHECK_EQUAL(counts.allocated, SPACE);
    CHECK_EQUAL(counts.free, 0);
    CHECK_EQUAL(nb_bitmap_free_many(bitmap, indexes, n), SPACE);
    CHECK_EQUAL(nb_bitmap_free_many(bitmap, indexes, n), 0);
    nb_bitmap_count(bitmap, &counts);
    CHECK_EQUAL(counts.free, SPACE);
    CHECK(nb_bitmap_validate(bitmap));
    nb_system_deallocate(NULL, bitmap, sizeof *bitmap);
    free(seen);
    free(indexes);
}

int main(void)
{
    random_state = check_begin("test_luid_bitmap");
    test_random();
    test_words_of_every_density();
    test_free_whole_words();
    test_exhaust_three_blocks();
    test_exhaust_everything();
    return check_end();
}
