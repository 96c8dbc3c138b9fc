/* SPDX-License-Identifier: MIT
 *
 * platform.h - what the C core needs of compiler and machine: atomics with
 * their memory order in the name, bit tricks, memory, assertions.
 *
 * Orders are chosen here, by name, and nowhere else; a plain name is
 * sequentially consistent.  There are no stand-alone fences: thread
 * sanitizers do not model them.
 */
#ifndef NB_PLATFORM_H
#define NB_PLATFORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ndisbridge/include/ndisbridge.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free");
_Static_assert(ATOMIC_POINTER_LOCK_FREE == 2, "pointers must be lock-free");

#define NB_CACHE_LINE 64
#define NB_LIKELY(x) __builtin_expect(!!(x), 1)
#define NB_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NB_NOINLINE __attribute__((noinline))

/* Assertion levels: 0 release, 1 arguments of internal functions, 2 results
 * of searches, 3 whole structures (nb_*_validate). */
#ifndef NB_ASSERT_LEVEL
#define NB_ASSERT_LEVEL 0
#endif
#if NB_ASSERT_LEVEL > 0
#include <assert.h>
#define NB_ASSERT(level, condition) \
    do { \
        if ((level) <= NB_ASSERT_LEVEL) \
            assert(condition); \
    } while (0)
#else
#define NB_ASSERT(level, condition) ((void)0)
#endif

/* What an invariant rules out and is answered all the same, so that a
 * mistake stays small; a test in which it comes about aborts.  Where
 * branches are counted it is none. */
#if defined(NB_COVERAGE)
static inline void nb_must(bool condition)
{
    NB_ASSERT(1, condition);
}
#define NB_ALWAYS(condition) (nb_must(condition), true)
#define NB_NEVER(condition) (nb_must(!(condition)), false)
#elif NB_ASSERT_LEVEL > 0
#define NB_ALWAYS(condition) ((condition) || (assert(!#condition), false))
#define NB_NEVER(condition) ((condition) && (assert(!#condition), true))
#else
#define NB_ALWAYS(condition) NB_LIKELY(condition)
#define NB_NEVER(condition) NB_UNLIKELY(condition)
#endif

/* ---- atomics ---------------------------------------------------------- */

typedef _Atomic(uint64_t) nb_atomic_u64;
typedef _Atomic(uint32_t) nb_atomic_u32;

#define nb_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define nb_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define nb_load(p) atomic_load_explicit((p), memory_order_seq_cst)
#define nb_store_relaxed(p, v) \
    atomic_store_explicit((p), (v), memory_order_relaxed)
#define nb_store_release(p, v) \
    atomic_store_explicit((p), (v), memory_order_release)
#define nb_store(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define nb_exchange(p, v) \
    atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define nb_fetch_or(p, v) \
    atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define nb_fetch_and(p, v) \
    atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define nb_fetch_add(p, v) \
    atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define nb_fetch_sub(p, v) \
    atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define nb_compare_exchange(p, expected, desired) \
    atomic_compare_exchange_strong_explicit((p), (expected), (desired), \
        memory_order_seq_cst, memory_order_seq_cst)

/* ---- bits ------------------------------------------------------------- */

static inline uint32_t nb_lowest_bit(uint64_t word)
{
    return (uint32_t)__builtin_ctzll(word);
}

static inline uint32_t nb_count_bits(uint64_t word)
{
    return (uint32_t)__builtin_popcountll(word);
}

static inline uint64_t nb_bit(uint32_t position)
{
    return (uint64_t)1 << (position & 63);
}

/* The word whose first bytes in memory are those that lie `bytes` (0 .. 7)
 * further on in this one. */
static inline uint64_t nb_shift_bytes(uint64_t word, uint32_t bytes)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return word << (8 * bytes);
#else
    return word >> (8 * bytes);
#endif
}

/* Bits at and above a position, 0 .. 63. */
static inline uint64_t nb_bits_from(uint32_t position)
{
    return ~(uint64_t)0 << (position & 63);
}

/* An array of 2^bits entries, most of them empty, has a word beside it of
 * which a bit stands for each 64th: set before the first entry there is.  The
 * first at or after a number that may be there; 2^bits if there is none. */
static inline uint32_t nb_next_used(
    uint64_t used, uint32_t bits, uint32_t number)
{
    uint32_t part = number >> (bits - 6);
    uint64_t left = part < 64 ? used & nb_bits_from(part) : 0;

    if (left & nb_bit(part))
        return number;
    return left == 0 ? (uint32_t)1 << bits
                     : nb_lowest_bit(left) << (bits - 6);
}

/* To be set in that word. */
static inline uint64_t nb_used_bit(uint32_t bits, uint32_t number)
{
    return nb_bit(number >> (bits - 6));
}

/* ---- memory ----------------------------------------------------------- */

/* The session's allocator: see ndisbridge_session_config. */
struct nb_memory {
    void *(*allocate)(void *context, size_t size);
    void (*deallocate)(void *context, void *memory, size_t size);
    void *context;
};

/* Zeroed, aligned to a cache line, or NULL. */
static inline void *nb_allocate(const struct nb_memory *memory, size_t size)
{
    return memory->allocate(memory->context, size);
}

static inline void nb_deallocate(
    const struct nb_memory *memory, void *block, size_t size)
{
    if (block != NULL)
        memory->deallocate(memory->context, block, size);
}

#endif
