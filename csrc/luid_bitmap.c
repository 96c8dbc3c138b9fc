/* SPDX-License-Identifier: MIT
 *
 * luid_bitmap.c - see luid_bitmap.h for the picture and the argument.
 */
#include "luid_bitmap.h"

#include <string.h>

#define LINE_WORDS 8  /* words of `free` in a cache line */

static inline nb_atomic_u64 *free_word(struct nb_bitmap *bitmap, uint32_t word)
{
    return &bitmap->blocks[word / NB_BLOCK_WORDS]
                .free[word % NB_BLOCK_WORDS];
}

static inline nb_atomic_u64 *mine_word(struct nb_bitmap *bitmap, uint32_t word)
{
    return &bitmap->blocks[word / NB_BLOCK_WORDS]
                .mine[word % NB_BLOCK_WORDS];
}

void nb_bitmap_init(struct nb_bitmap *bitmap)
{
    /* Every stripe another line: eight of them to a block. */
    for (uint32_t i = 0; i < NB_STRIPE_COUNT; i++)
        nb_store_relaxed(&bitmap->stripes[i].word, i * LINE_WORDS);
}

/* ---- hints ------------------------------------------------------------ */

/* Sets the hints above a word that has got a free index.  Pairs with the
 * reload in unmark(): whichever of the two comes second sees the other. */
static NB_NOINLINE void mark(struct nb_bitmap *bitmap, uint32_t word)
{
    uint32_t block = word / 64, section = block / 64;

    if (!(nb_load(&bitmap->summaries[block]) & nb_bit(word)))
        nb_fetch_or(&bitmap->summaries[block], nb_bit(word));
    if (!(nb_load(&bitmap->sections[section]) & nb_bit(block)))
        nb_fetch_or(&bitmap->sections[section], nb_bit(block));
    if (!(nb_load(&bitmap->top) & nb_bit(section)))
        nb_fetch_or(&bitmap->top, nb_bit(section));
}

static inline void mark_if_needed(struct nb_bitmap *bitmap, uint32_t word)
{
    if (NB_UNLIKELY(
            !(nb_load(&bitmap->summaries[word / 64]) & nb_bit(word))))
        mark(bitmap, word);
}

/* Clears the hint of a word that was seen empty. */
static void unmark(struct nb_bitmap *bitmap, uint32_t word)
{
    nb_fetch_and(&bitmap->summaries[word / 64], ~nb_bit(word));
    if (nb_load(free_word(bitmap, word)) != 0)
        mark(bitmap, word);
}

static void unmark_block(struct nb_bitmap *bitmap, uint32_t block)
{
    uint64_t summary;

    nb_fetch_and(&bitmap->sections[block / 64], ~nb_bit(block));
    summary = nb_load(&bitmap->summaries[block]);
    if (summary != 0)
        mark(bitmap, block * 64 + nb_lowest_bit(summary));
}

static void unmark_section(struct nb_bitmap *bitmap, uint32_t section)
{
    uint64_t blocks;

    nb_fetch_and(&bitmap->top, ~nb_bit(section));
    blocks = nb_load(&bitmap->sections[section]);
    if (blocks != 0)
        nb_fetch_or(&bitmap->top, nb_bit(section));
}

/* First block at or after `from` whose hint is set, cyclically; NB_BLOCKS
 * if no hint is set. */
static uint32_t find_block(struct nb_bitmap *bitmap, uint32_t from)
{
    uint32_t section = from / 64;
    uint64_t blocks =
        nb_load_relaxed(&bitmap->sections[section]) & nb_bits_from(from);

    while (blocks == 0) {
        uint64_t top = nb_load(&bitmap->top), after;

        if (top == 0)
            return NB_BLOCKS;
        after = section == 63 ? 0 : top & nb_bits_from(section + 1);
        section = nb_lowest_bit(after != 0 ? after : top);
        blocks = nb_load(&bitmap->sections[section]);
        if (blocks == 0)
            unmark_section(bitmap, section);
    }
    return section * 64 + nb_lowest_bit(blocks);
}

/* First word after `word` whose hint is set, cyclically; in another block
 * it starts at the line `rotate`, so that threads spread inside a block.
 * NB_NO_INDEX if no hint is set. */
static uint32_t find_word(
    struct nb_bitmap *bitmap, uint32_t word, uint32_t rotate)
{
    uint32_t block = word / 64;
    uint64_t summary = nb_load_relaxed(&bitmap->summaries[block]);

    summary &= word % 64 == 63 ? 0 : nb_bits_from(word + 1);
    while (summary == 0) {
        uint64_t rotated;

        block = find_block(bitmap, (block + 1) % NB_BLOCKS);
        if (block == NB_BLOCKS)
            return NB_NO_INDEX;
        summary = nb_load(&bitmap->summaries[block]);
        rotated = summary & nb_bits_from(rotate * LINE_WORDS);
        if (rotated != 0)
            summary = rotated;
        else if (summary == 0)
            unmark_block(bitmap, block);
    }
    return block * 64 + nb_lowest_bit(summary);
}

/* ---- allocate --------------------------------------------------------- */

/* Claims the lowest index of a word among those in mask. */
static inline uint32_t claim_in_word(
    struct nb_bitmap *bitmap, uint32_t word, uint64_t mask)
{
    nb_atomic_u64 *leaf = free_word(bitmap, word);
    uint64_t seen = nb_load_relaxed(leaf) & mask;

    while (seen != 0) {
        uint32_t position = nb_lowest_bit(seen);

        /* One bit, so that this becomes a bit-test-and-reset. */
        if (nb_fetch_and(leaf, ~nb_bit(position)) & nb_bit(position))
            return word * 64 + position;
        seen = nb_load_relaxed(leaf) & mask;
    }
    return NB_NO_INDEX;
}

static inline uint32_t found_at(struct nb_stripe *mine, uint32_t index)
{
    nb_store_relaxed(&mine->word, index / 64);
    return index;
}

static NB_NOINLINE uint32_t allocate_slow(
    struct nb_bitmap *bitmap, uint32_t stripe, uint32_t word)
{
    struct nb_stripe *own = &bitmap->stripes[stripe];
    uint32_t line = word - word % LINE_WORDS, index, freed;

    for (uint32_t i = 0; i < LINE_WORDS; i++) {
        index = claim_in_word(bitmap, line + i, ~(uint64_t)0);
        if (index != NB_NO_INDEX)
            return found_at(own, index);
    }
    freed = nb_load_relaxed(&own->freed_word_plus_1);
    if (freed != 0) {
        nb_store_relaxed(&own->freed_word_plus_1, 0);
        index = claim_in_word(bitmap, freed - 1, ~(uint64_t)0);
        if (index != NB_NO_INDEX)
            return index;
    }
    for (;;) {
        word = find_word(bitmap, word, stripe % LINE_WORDS);
        if (word == NB_NO_INDEX)
            return NB_NO_INDEX;
        index = claim_in_word(bitmap, word, ~(uint64_t)0);
        if (index != NB_NO_INDEX)
            return found_at(own, index);
        unmark(bitmap, word);
    }
}

uint32_t nb_bitmap_allocate(struct nb_bitmap *bitmap, uint32_t stripe)
{
    uint32_t word = nb_load_relaxed(&bitmap->stripes[stripe].word);
    uint32_t index = claim_in_word(bitmap, word, ~(uint64_t)0);

    if (NB_LIKELY(index != NB_NO_INDEX))
        return index;
    return allocate_slow(bitmap, stripe, word);
}

uint32_t nb_bitmap_allocate_from(struct nb_bitmap *bitmap, uint32_t from)
{
    uint32_t word = from / 64;
    uint32_t index = claim_in_word(bitmap, word, nb_bits_from(from));

    while (index == NB_NO_INDEX) {
        uint32_t next = find_word(bitmap, word, 0);

        /* It goes round; this search does not. */
        if (next == NB_NO_INDEX || next <= word)
            return NB_NO_INDEX;
        index = claim_in_word(bitmap, next, ~(uint64_t)0);
        if (index == NB_NO_INDEX)
            unmark(bitmap, next);
        word = next;
    }
    return index;
}

/* Takes up to count indexes of a word; returns them as a mask. */
static inline uint64_t take_from_word(nb_atomic_u64 *leaf, uint32_t count)
{
    uint64_t seen = nb_load_relaxed(leaf);

    if (seen == 0)
        return 0;
    if (count >= 64)
        return nb_exchange(leaf, 0);
    for (;;) {
        uint64_t wanted = seen, rest = seen;

        if (nb_count_bits(seen) > count) {
            for (uint32_t i = 0; i < count; i++)
                rest &= rest - 1;
            wanted = seen & ~rest;
        } else {
            rest = 0;
        }
        if (wanted == 0 || nb_compare_exchange(leaf, &seen, rest))
            return wanted;
    }
}

/* The numbers of the 1s of four bits, and how many there are. */
static const uint32_t offsets_of_four[16][4] = { { 0 }, { 0 }, { 1 },
    { 0, 1 }, { 2 }, { 0, 2 }, { 1, 2 }, { 0, 1, 2 }, { 3 }, { 0, 3 },
    { 1, 3 }, { 0, 1, 3 }, { 2, 3 }, { 0, 2, 3 }, { 1, 2, 3 },
    { 0, 1, 2, 3 } };
static const uint8_t count_of_four[16] = { 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2,
    3, 2, 3, 3, 4 };

/* Stores the indexes of what was taken from a word, where there is room for
 * so many; returns how many they are. */
static inline uint32_t expand(
    uint32_t *indexes, uint32_t room, uint32_t first, uint64_t taken)
{
    uint32_t n = 0;

    if (taken == ~(uint64_t)0) {
        for (uint32_t i = 0; i < 64; i++)
            indexes[i] = first + i;
        return 64;
    }
    /* Four bits at a time, and four stores, of which the next overwrite
     * those that are too many: no branch depends on what was taken.  It
     * takes as long as one bit after the other takes for eight. */
    if (room >= 64 && nb_count_bits(taken) > 8) {
        uint32_t *at = indexes;

        for (uint32_t i = 0; i < 16; i++, first += 4, taken >>= 4) {
            const uint32_t *offsets = offsets_of_four[taken & 15];

            for (uint32_t j = 0; j < 4; j++)
                at[j] = first + offsets[j];
            at += count_of_four[taken & 15];
        }
        return (uint32_t)(at - indexes);
    }
    while (taken != 0) {
        indexes[n++] = first + nb_lowest_bit(taken);
        taken &= taken - 1;
    }
    return n;
}

/* Takes from the words of one block whose hints are in summary. */
static uint32_t take_from_block(struct nb_bitmap *bitmap, uint32_t block,
    uint64_t summary, uint32_t *indexes, uint32_t count)
{
    uint64_t emptied = 0;
    uint32_t n = 0;

    while (summary != 0 && n < count) {
        uint32_t word = block * 64 + nb_lowest_bit(summary);
        nb_atomic_u64 *leaf = free_word(bitmap, word);
        uint64_t taken = take_from_word(leaf, count - n);

        n += expand(indexes + n, count - n, word * 64, taken);
        if (nb_load_relaxed(leaf) == 0)
            emptied |= nb_bit(word);
        summary &= summary - 1;
    }
    if (emptied != 0) {
        /* As unmark(), for all of them at once. */
        nb_fetch_and(&bitmap->summaries[block], ~emptied);
        for (; emptied != 0; emptied &= emptied - 1) {
            uint32_t word = block * 64 + nb_lowest_bit(emptied);

            if (NB_UNLIKELY(nb_load(free_word(bitmap, word)) != 0))
                mark(bitmap, word);
        }
    }
    return n;
}

uint32_t nb_bitmap_allocate_many(struct nb_bitmap *bitmap, uint32_t stripe,
    uint32_t *indexes, uint32_t count)
{
    struct nb_stripe *own = &bitmap->stripes[stripe];
    uint32_t word = nb_load_relaxed(&own->word), block = word / 64;
    uint32_t n = 0;
    uint64_t summary =
        nb_load_relaxed(&bitmap->summaries[block]) & nb_bits_from(word);

    for (;;) {
        n += take_from_block(
            bitmap, block, summary, indexes + n, count - n);
        if (n == count)
            break;
        block = find_block(bitmap, (block + 1) % NB_BLOCKS);
        if (block == NB_BLOCKS)
            break;
        summary = nb_load(&bitmap->summaries[block]);
        if (summary == 0)
            unmark_block(bitmap, block);
    }
    /* The buffer is the caller's, where others may write meanwhile. */
    if (n > 0)
        nb_store_relaxed(&own->word, indexes[n - 1] / 64 % NB_WORDS);
    return n;
}

uint32_t nb_bitmap_scan(struct nb_bitmap *bitmap)
{
    for (uint32_t section = 0; section < NB_SECTIONS; section++) {
        uint64_t leased = nb_load(&bitmap->leased[section]);

        for (; leased != 0; leased &= leased - 1) {
            uint32_t block = section * 64 + nb_lowest_bit(leased);

            for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
                uint32_t word = block * 64 + i, index;

                if (nb_load(free_word(bitmap, word)) == 0)
                    continue;
                mark(bitmap, word);
                index = claim_in_word(bitmap, word, ~(uint64_t)0);
                if (index != NB_NO_INDEX)
                    return index;
            }
        }
    }
    return NB_NO_INDEX;
}

bool nb_bitmap_claim(struct nb_bitmap *bitmap, uint32_t index)
{
    return (nb_fetch_and(free_word(bitmap, index / 64), ~nb_bit(index))
               & nb_bit(index)) != 0;
}

/* ---- free ------------------------------------------------------------- */

/* After a fetch_or on `free`: see "Linearization" in the header. */
static inline void tell_verifiers(struct nb_bitmap *bitmap)
{
    if (NB_UNLIKELY(nb_load(&bitmap->verifying) != 0))
        nb_fetch_add(&bitmap->frees, 1);
}

bool nb_bitmap_free(
    struct nb_bitmap *bitmap, uint32_t stripe, uint32_t index)
{
    uint32_t word = index / 64;

    if (NB_UNLIKELY(!(nb_load_relaxed(mine_word(bitmap, word))
                        & nb_bit(index))))
        return false;
    if (NB_UNLIKELY(nb_fetch_or(free_word(bitmap, word), nb_bit(index))
                    & nb_bit(index)))
        return false;
    mark_if_needed(bitmap, word);
    tell_verifiers(bitmap);
    nb_store_relaxed(&bitmap->stripes[stripe].freed_word_plus_1, word + 1);
    return true;
}

/* Frees those of mask that are allocated; returns how many. */
static inline uint32_t free_in_word(
    struct nb_bitmap *bitmap, uint32_t word, uint64_t mask)
{
    nb_atomic_u64 *leaf = free_word(bitmap, word);
    uint64_t before;

    mask &= nb_load_relaxed(mine_word(bitmap, word));
    if (mask == 0)
        return 0;
    before = mask == ~(uint64_t)0 ? nb_exchange(leaf, mask)
                                  : nb_fetch_or(leaf, mask);
    mark_if_needed(bitmap, word);
    return nb_count_bits(mask & ~before);
}

/* Whether the indexes of a whole word come next, in order. */
static inline bool is_whole_word(const uint32_t *indexes, uint32_t count)
{
    uint32_t first = indexes[0], others = 0;

    if (first % 64 != 0 || count < 64 || indexes[63] != first + 63)
        return false;
    for (uint32_t i = 0; i < 64; i++)
        others |= indexes[i] ^ (first + i);
    return others == 0;
}

uint32_t nb_bitmap_free_many(
    struct nb_bitmap *bitmap, const uint32_t *indexes, uint32_t count)
{
    uint32_t freed = 0, i = 0;

    while (i < count) {
        /* Read once: others may write into the buffer meanwhile. */
        uint32_t word = *(const volatile uint32_t *)&indexes[i] / 64;
        uint64_t mask = 0;

        if (NB_UNLIKELY(word >= NB_WORDS)) {
            i++;
            continue;
        }
        /* Those that follow in the same word go together; one that is there
         * twice is freed once. */
        if (is_whole_word(indexes + i, count - i)) {
            mask = ~(uint64_t)0;
            i += 64;
        } else {
            do
                mask |= nb_bit(indexes[i]);
            while (++i < count && indexes[i] / 64 == word);
        }
        freed += free_in_word(bitmap, word, mask);
    }
    tell_verifiers(bitmap);
    return freed;
}

/* ---- hold, retain, put back ------------------------------------------- */

void nb_bitmap_pin(struct nb_bitmap *bitmap, uint32_t block, uint32_t count)
{
    nb_fetch_add(&bitmap->pins[block], count);
}

void nb_bitmap_unpin(
    struct nb_bitmap *bitmap, uint32_t block, uint32_t count)
{
    uint32_t before = nb_fetch_sub(&bitmap->pins[block], count);

    NB_ASSERT(1, before >= count);
    (void)before;
}

static uint32_t count_mask(const uint64_t mask[NB_BLOCK_WORDS])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
        count += nb_count_bits(mask[i]);
    return count;
}

bool nb_bitmap_hold(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS])
{
    struct nb_block *own = &bitmap->blocks[block];
    uint32_t count = count_mask(mask);

    if (!nb_bitmap_is_leased(bitmap, block))
        return false;
    nb_bitmap_pin(bitmap, block, count);
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
        uint64_t before;

        if (mask[i] == 0)
            continue;
        if (!(nb_load(&own->free[i]) & mask[i])) {
            before = nb_fetch_and(&own->mine[i], ~mask[i]);
            if ((before & mask[i]) == mask[i])
                continue;
            nb_fetch_or(&own->mine[i], before & mask[i]);
        }
        while (i-- > 0)
            nb_fetch_or(&own->mine[i], mask[i]);
        nb_bitmap_unpin(bitmap, block, count);
        return false;
    }
    return true;
}

void nb_bitmap_unhold(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS])
{
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
        if (mask[i] != 0)
            nb_fetch_or(&bitmap->blocks[block].mine[i], mask[i]);
    nb_bitmap_unpin(bitmap, block, count_mask(mask));
}

void nb_bitmap_settle(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS])
{
    nb_bitmap_unpin(bitmap, block, count_mask(mask));
}

void nb_bitmap_put_back(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS])
{
    struct nb_block *own = &bitmap->blocks[block];

    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
        uint64_t before;

        if (mask[i] == 0)
            continue;
        before = nb_fetch_or(&own->mine[i], mask[i]);
        nb_fetch_or(&own->free[i], mask[i] & ~before);
        mark_if_needed(bitmap, block * 64 + i);
    }
    tell_verifiers(bitmap);
}

void nb_bitmap_keep(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS])
{
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
        if (mask[i] != 0)
            nb_fetch_or(
                &bitmap->kept[block * NB_BLOCK_WORDS + i], mask[i]);
}

bool nb_bitmap_unkeep(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS])
{
    nb_atomic_u64 *kept = &bitmap->kept[block * NB_BLOCK_WORDS];

    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
        uint64_t before;

        if (mask[i] == 0)
            continue;
        before = nb_fetch_and(&kept[i], ~mask[i]);
        if ((before & mask[i]) == mask[i])
            continue;
        nb_fetch_or(&kept[i], before & mask[i]);
        while (i-- > 0)
            nb_fetch_or(&kept[i], mask[i]);
        return false;
    }
    return true;
}

bool nb_bitmap_hold_one(struct nb_bitmap *bitmap, uint32_t index)
{
    uint32_t block = index / NDISBRIDGE_BLOCK_SIZE, word = index / 64;

    if (!nb_bitmap_is_leased(bitmap, block))
        return false;
    nb_bitmap_pin(bitmap, block, 1);
    if (!(nb_load(free_word(bitmap, word)) & nb_bit(index))
        && (nb_fetch_and(mine_word(bitmap, word), ~nb_bit(index))
            & nb_bit(index)))
        return true;
    nb_bitmap_unpin(bitmap, block, 1);
    return false;
}

void nb_bitmap_unhold_one(struct nb_bitmap *bitmap, uint32_t index)
{
    nb_fetch_or(mine_word(bitmap, index / 64), nb_bit(index));
    nb_bitmap_unpin(bitmap, index / NDISBRIDGE_BLOCK_SIZE, 1);
}

/* ---- leases ----------------------------------------------------------- */

uint32_t nb_bitmap_next_leased(struct nb_bitmap *bitmap, uint32_t block)
{
    while (block < NB_BLOCKS) {
        uint64_t leased =
            nb_load(&bitmap->leased[block / 64]) & nb_bits_from(block);

        block -= block % 64;
        if (leased != 0)
            return block + nb_lowest_bit(leased);
        block += 64;
    }
    return NB_BLOCKS;
}

bool nb_bitmap_lease(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t retained[NB_BLOCK_WORDS])
{
    struct nb_block *own = &bitmap->blocks[block];
    uint64_t summary = 0;

    if (nb_bitmap_is_leased(bitmap, block))
        return false;
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
        nb_store_relaxed(&own->mine[i], ~retained[i]);
    /* Each pairs with the fetch_and that claims: whoever has an index of
     * this word also sees its `mine`. */
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
        nb_store_release(&own->free[i], ~retained[i]);
        if (~retained[i] != 0)
            summary |= nb_bit(i);
    }
    nb_fetch_or(&bitmap->leased[block / 64], nb_bit(block));
    nb_fetch_or(&bitmap->summaries[block], summary);
    if (summary != 0)
        mark(bitmap, block * 64 + nb_lowest_bit(summary));
    tell_verifiers(bitmap);
    return true;
}

void nb_bitmap_unleased(struct nb_bitmap *bitmap)
{
    tell_verifiers(bitmap);
}

bool nb_bitmap_block_is_empty(struct nb_bitmap *bitmap, uint32_t block)
{
    struct nb_block *own = &bitmap->blocks[block];

    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
        if (nb_load(&own->free[i]) != nb_load(&own->mine[i]))
            return false;
    return nb_load(&bitmap->pins[block]) == 0;
}

bool nb_bitmap_unlease(struct nb_bitmap *bitmap, uint32_t block,
    uint64_t retained[NB_BLOCK_WORDS])
{
    struct nb_block *own = &bitmap->blocks[block];
    uint64_t taken[NB_BLOCK_WORDS];
    uint32_t zeroed = 0;
    bool empty = true;

    if (!nb_bitmap_block_is_empty(bitmap, block))
        return false;
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
        taken[i] = nb_exchange(&own->free[i], 0);
    /* What is allocated, or held a moment ago, differs from `mine`. */
    while (empty && zeroed < NB_BLOCK_WORDS) {
        uint64_t expected = taken[zeroed];

        empty = nb_compare_exchange(&own->mine[zeroed], &expected, 0);
        zeroed += empty;
    }
    if (empty) {
        nb_fetch_and(&bitmap->leased[block / 64], ~nb_bit(block));
        empty = nb_load(&bitmap->pins[block]) == 0;
        /* A hold may have ended between the exchange and that look; it put
         * its bit into `mine` before it took its pin off. */
        for (uint32_t i = 0; empty && i < NB_BLOCK_WORDS; i++)
            empty = nb_load(&own->mine[i]) == 0;
        if (empty) {
            nb_fetch_and(&bitmap->summaries[block], 0);
            for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
                retained[i] = ~taken[i];
            return true;
        }
        nb_fetch_or(&bitmap->leased[block / 64], nb_bit(block));
    }
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
        if (i < zeroed)
            nb_fetch_or(&own->mine[i], taken[i]);
        if (taken[i] != 0) {
            nb_fetch_or(&own->free[i], taken[i]);
            mark_if_needed(bitmap, block * 64 + i);
        }
    }
    return false;
}

/* ---- exhausted -------------------------------------------------------- */

uint64_t nb_bitmap_verify_begin(struct nb_bitmap *bitmap)
{
    nb_fetch_add(&bitmap->verifying, 1);
    return nb_load(&bitmap->frees);
}

bool nb_bitmap_verify_unchanged(struct nb_bitmap *bitmap, uint64_t *frees)
{
    uint64_t before = *frees;

    *frees = nb_load(&bitmap->frees);
    return *frees == before;
}

void nb_bitmap_verify_end(struct nb_bitmap *bitmap)
{
    nb_fetch_sub(&bitmap->verifying, 1);
}

/* ---- looks ------------------------------------------------------------ */

uint32_t nb_bitmap_test(struct nb_bitmap *bitmap, uint32_t index)
{
    uint32_t word = index / 64;

    if (!nb_bitmap_is_leased(bitmap, index / NDISBRIDGE_BLOCK_SIZE))
        return NDISBRIDGE_INDEX_UNLEASED;
    if (nb_load(free_word(bitmap, word)) & nb_bit(index))
        return NDISBRIDGE_INDEX_FREE;
    if (nb_load(mine_word(bitmap, word)) & nb_bit(index))
        return NDISBRIDGE_INDEX_ALLOCATED;
    return NDISBRIDGE_INDEX_RETAINED;
}

void nb_bitmap_count(
    struct nb_bitmap *bitmap, ndisbridge_index_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (uint32_t block = nb_bitmap_next_leased(bitmap, 0);
         block < NB_BLOCKS;
         block = nb_bitmap_next_leased(bitmap, block + 1)) {
        uint32_t mine = 0, vacant = 0;

        for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
            uint64_t word = nb_load_relaxed(&bitmap->blocks[block].mine[i]);

            mine += nb_count_bits(word);
            vacant += nb_count_bits(
                word & nb_load_relaxed(&bitmap->blocks[block].free[i]));
        }
        counts->leased_blocks++;
        counts->free += vacant;
        counts->allocated += mine - vacant;
        counts->retained += NDISBRIDGE_BLOCK_SIZE - mine;
    }
}

#if NB_ASSERT_LEVEL >= 3
bool nb_bitmap_validate(struct nb_bitmap *bitmap)
{
    for (uint32_t block = 0; block < NB_BLOCKS; block++) {
        struct nb_block *own = &bitmap->blocks[block];
        bool leased = nb_bitmap_is_leased(bitmap, block);

        for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++) {
            uint64_t vacant = nb_load(&own->free[i]);
            uint64_t mine = nb_load(&own->mine[i]);

            if ((vacant & ~mine) != 0 || (!leased && (vacant | mine) != 0))
                return false;
            if (vacant != 0
                && (!(nb_load(&bitmap->summaries[block]) & nb_bit(i))
                    || !(nb_load(&bitmap->sections[block / 64])
                        & nb_bit(block))
                    || !(nb_load(&bitmap->top) & nb_bit(block / 64))))
                return false;
        }
    }
    return true;
}
#endif
