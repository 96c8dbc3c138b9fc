/* SPDX-License-Identifier: MIT
 *
 * luid_bitmap.h - the lock-free bitmap of one 24-bit space.
 *
 *   top        1 word     bit s: section s may have a free index
 *   sections   64 words   bit b: block s * 64 + b may have one
 *   blocks     4,096      each: summary word, 64 words `free`, 64 `mine`
 *
 * `free` bit 1: the index may be handed out.
 * `mine` bit 1: the index is leased here, and neither retained nor held.
 *
 *     mine free
 *      0    0    not leased here; or retained; or held (see below)
 *      1    1    free
 *      1    0    allocated
 *      0    1    never, but inside a failing free (see "accepted")
 *
 * Zeroed memory is a space of which nothing is leased.
 *
 * Invariants
 *   - A bit of `free` goes 1 -> 0 only by the thread that thereby owns the
 *     index (allocate, claim) or the block (unlease); 0 -> 1 only by the
 *     thread that owned it.
 *   - Summary, section and top bits are hints: 0 with a free index below is
 *     repaired by whoever freed it, 1 without one by whoever searched it.
 *     They steer searches and decide when to lease, never what is said.
 *   - pins[block] > 0 keeps a block from being unleased while one of its
 *     indexes is held (retained from here a moment ago, or the volatile
 *     NET_LUID of a registered interface) or its bits are being put back.
 *
 * Linearization: allocate, claim: the fetch_and that clears the bit of
 * `free`.  free: the fetch_or that sets it.  A whole word at a time the
 * same.  "Exhausted" is said by nb_pool after nb_bitmap_scan() under the
 * rule of `verifying` and `frees`: a searcher raises `verifying`, notes
 * `frees`, scans, and believes the scan only if `frees` has not moved; who
 * makes an index free loads `verifying` after its fetch_or, and if it is
 * raised counts `frees` up before it returns.  By sequential consistency
 * either the scan sees the bit, or the freeing thread sees `verifying`.
 *
 * Accepted: freeing an index while another thread retains, registers or
 * unleases it is a program error that leaves its two bits wrong, as is
 * freeing one twice while its block is unleased.  The store still refuses to
 * retain an index twice.
 */
#ifndef NB_LUID_BITMAP_H
#define NB_LUID_BITMAP_H

#include "thread.h"

#define NB_NO_INDEX UINT32_MAX
#define NB_BLOCKS NDISBRIDGE_BLOCK_COUNT
#define NB_BLOCK_WORDS 64
#define NB_WORDS (NB_BLOCKS * NB_BLOCK_WORDS)
#define NB_SECTIONS 64

struct nb_block {
    nb_atomic_u64 free[NB_BLOCK_WORDS];
    nb_atomic_u64 mine[NB_BLOCK_WORDS];
};

/* Where a thread looks first; one cache line a thread, shared harmlessly. */
struct nb_stripe {
    _Alignas(NB_CACHE_LINE) nb_atomic_u32 word;  /* where it last found one */
    nb_atomic_u32 freed_word_plus_1;  /* where it last freed one; 0 none */
};

struct nb_bitmap {
    _Alignas(NB_CACHE_LINE) nb_atomic_u32 verifying;
    _Alignas(NB_CACHE_LINE) nb_atomic_u64 frees;
    _Alignas(NB_CACHE_LINE) nb_atomic_u64 top;
    nb_atomic_u64 sections[NB_SECTIONS];
    nb_atomic_u64 leased[NB_SECTIONS];
    struct nb_stripe stripes[NB_STRIPE_COUNT];
    nb_atomic_u32 pins[NB_BLOCKS];
    /* Bit 1: held for good, as retained without a store.  Of no use to a
     * search: it tells these from what a store has retained. */
    nb_atomic_u64 kept[NB_WORDS];
    nb_atomic_u64 summaries[NB_BLOCKS];
    struct nb_block blocks[NB_BLOCKS];
};

/* Spreads the first looks of threads; the memory must be zeroed. */
void nb_bitmap_init(struct nb_bitmap *bitmap);

/* Allocates one index; NB_NO_INDEX if the hints show none. */
uint32_t nb_bitmap_allocate(struct nb_bitmap *bitmap, uint32_t stripe);

/* Allocates the first free index at or after `from`; NB_NO_INDEX if the
 * hints show none there. */
uint32_t nb_bitmap_allocate_from(struct nb_bitmap *bitmap, uint32_t from);

/* Allocates up to count, whole words at a time; returns how many. */
uint32_t nb_bitmap_allocate_many(struct nb_bitmap *bitmap, uint32_t stripe,
    uint32_t *indexes, uint32_t count);

/* Looks at every leaf of the leased blocks; allocates the first free. */
uint32_t nb_bitmap_scan(struct nb_bitmap *bitmap);

/* Takes a given index; false if its `free` bit is not 1. */
bool nb_bitmap_claim(struct nb_bitmap *bitmap, uint32_t index);

/* Frees an allocated index; false if it is not allocated. */
bool nb_bitmap_free(
    struct nb_bitmap *bitmap, uint32_t stripe, uint32_t index);

/* Frees the allocated ones of many; returns how many were. */
uint32_t nb_bitmap_free_many(struct nb_bitmap *bitmap,
    const uint32_t *indexes, uint32_t count);

/* allocated -> held: clears `mine` of the indexes in mask and pins the
 * block once for each; all or none; false if one is not allocated.  Not
 * beside nb_bitmap_lease(), which marks the block as leased last, nor beside
 * nb_bitmap_unlease(), in the middle of which a free index looks like an
 * allocated one. */
bool nb_bitmap_hold(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);
/* held -> allocated. */
void nb_bitmap_unhold(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);
/* held -> retained by the store: takes the pins off. */
void nb_bitmap_settle(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);
/* retained -> free, in a block that is leased here and pinned; what is not
 * retained is left alone.  The pins remain. */
void nb_bitmap_put_back(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);
/* Keeps a block from being unleased.  One that is leased after this remains
 * so, though a thread that is about to unlease it may take its mark off for
 * a moment. */
void nb_bitmap_pin(struct nb_bitmap *bitmap, uint32_t block, uint32_t count);
void nb_bitmap_unpin(
    struct nb_bitmap *bitmap, uint32_t block, uint32_t count);

/* Marks held ones as held for good, and takes the marks off, all or none;
 * false if one has none. */
void nb_bitmap_keep(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);
bool nb_bitmap_unkeep(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t mask[NB_BLOCK_WORDS]);
static inline bool nb_bitmap_is_kept(struct nb_bitmap *bitmap, uint32_t index)
{
    return (nb_load(&bitmap->kept[index / 64]) & nb_bit(index)) != 0;
}

/* Hold and unhold of one index, of which one must be allocated or held. */
bool nb_bitmap_hold_one(struct nb_bitmap *bitmap, uint32_t index);
void nb_bitmap_unhold_one(struct nb_bitmap *bitmap, uint32_t index);

static inline bool nb_bitmap_is_leased(
    struct nb_bitmap *bitmap, uint32_t block)
{
    return (nb_load(&bitmap->leased[block / 64]) & nb_bit(block)) != 0;
}

/* The first leased block at or after one; NB_BLOCKS if there is none. */
uint32_t nb_bitmap_next_leased(struct nb_bitmap *bitmap, uint32_t block);

/* Publishes a block as leased; its retained bits stay out of reach.  False
 * if it is leased here already.  Not beside nb_bitmap_unlease(). */
bool nb_bitmap_lease(struct nb_bitmap *bitmap, uint32_t block,
    const uint64_t retained[NB_BLOCK_WORDS]);

/* Whether nothing in a leased block is allocated or held, at one look. */
bool nb_bitmap_block_is_empty(struct nb_bitmap *bitmap, uint32_t block);

/* Takes an empty block out of the leased ones; false if it is not empty.
 * retained gets what nb_bitmap_lease() would need to lease it again.  One
 * thread at a time, which calls nb_bitmap_unleased() once the block can be
 * leased again. */
bool nb_bitmap_unlease(struct nb_bitmap *bitmap, uint32_t block,
    uint64_t retained[NB_BLOCK_WORDS]);
void nb_bitmap_unleased(struct nb_bitmap *bitmap);

/* Bracket of an answer "exhausted"; see the head of this file. */
uint64_t nb_bitmap_verify_begin(struct nb_bitmap *bitmap);
bool nb_bitmap_verify_unchanged(struct nb_bitmap *bitmap, uint64_t *frees);
void nb_bitmap_verify_end(struct nb_bitmap *bitmap);

/* ndisbridge_index_state of an index. */
uint32_t nb_bitmap_test(struct nb_bitmap *bitmap, uint32_t index);
void nb_bitmap_count(
    struct nb_bitmap *bitmap, ndisbridge_index_counts *counts);

#if NB_ASSERT_LEVEL >= 3
/* Checks every invariant that holds while no other thread is inside. */
bool nb_bitmap_validate(struct nb_bitmap *bitmap);
#endif

#endif
