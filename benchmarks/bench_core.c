/* SPDX-License-Identifier: MIT
 *
 * bench_core.c - the loops of bench_core.py: the core without Python, and
 * the floors that it is measured against.  Each returns what proves that it
 * did its work.
 */
#define _GNU_SOURCE
#include <ndisbridge.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* ---- one index --------------------------------------------------------- */

uint64_t pairs(ndisbridge_session *session, uint16_t if_type, uint32_t n)
{
    uint64_t done = 0;
    uint32_t index;

    for (uint32_t i = 0; i < n; i++) {
        done += !ndisbridge_allocate_net_luid_index(
            session, &index, if_type);
        done += !ndisbridge_free_net_luid_index(session, if_type, index);
    }
    return done;
}

/* Claims the lowest 1 of a cached word and sets it again. */
uint64_t floor_pairs(uint32_t n)
{
    static _Alignas(64) _Atomic(uint64_t) word = ~(uint64_t)0;
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t seen = atomic_load_explicit(&word, memory_order_relaxed);
        uint64_t bit = (uint64_t)1 << __builtin_ctzll(seen);

        done += (atomic_fetch_and(&word, ~bit) & bit) != 0;
        done += (atomic_fetch_or(&word, bit) & bit) == 0;
    }
    return done;
}

/* Frees the oldest of a window and allocates another: what a program that
 * holds many does. */
uint64_t churn(ndisbridge_session *session, uint16_t if_type,
    uint32_t *window, uint32_t size, uint32_t n)
{
    static uint32_t at;
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++, at = (at + 1) % size) {
        done += !ndisbridge_free_net_luid_index(
            session, if_type, window[at % size]);
        done += !ndisbridge_allocate_net_luid_index(
            session, &window[at % size], if_type);
    }
    return done;
}

/* Sets and clears bits that are known, in the order of a churn's window: its
 * cache misses, without a search. */
uint64_t floor_churn(_Atomic(uint64_t) *words, const uint32_t *window,
    uint32_t size, uint32_t n)
{
    static uint32_t at;
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++, at = (at + 1) % size) {
        uint32_t index = window[at % size];
        uint64_t bit = (uint64_t)1 << (index & 63);

        done += (atomic_fetch_or(&words[index >> 6], bit) & bit) == 0;
        done += (atomic_fetch_and(&words[index >> 6], ~bit) & bit) != 0;
    }
    return done;
}

struct work {
    ndisbridge_session *session;
    uint16_t if_type;
    uint32_t n;
    uint32_t cpu;
    uint64_t done;
};

static void *work(void *argument)
{
    struct work *own = argument;
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(own->cpu, &cpus);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    own->done = own->session != NULL
        ? pairs(own->session, own->if_type, own->n)
        : floor_pairs(own->n);
    return NULL;
}

/* Two threads, each with n pairs; without a session, on the floor's word. */
uint64_t two_threads(
    ndisbridge_session *session, uint16_t if_type, uint32_t n)
{
    struct work works[2];
    pthread_t threads[2];

    for (uint32_t i = 0; i < 2; i++) {
        works[i] = (struct work){ session, if_type, n, i, 0 };
        if (pthread_create(&threads[i], NULL, work, &works[i]) != 0)
            return 0;
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return works[0].done + works[1].done;
}

/* ---- many indexes ------------------------------------------------------ */

uint64_t batch(ndisbridge_session *session, uint16_t if_type,
    uint32_t *indexes, uint32_t count)
{
    uint32_t freed = 0;

    if (ndisbridge_allocate_net_luid_indexes(
            session, indexes, count, if_type)
        != NDISBRIDGE_STATUS_SUCCESS)
        return 0;
    ndisbridge_free_net_luid_indexes(
        session, &freed, if_type, indexes, count);
    return freed;
}

/* Takes whole words, writes their indexes, puts the words back. */
uint64_t floor_batch(
    _Atomic(uint64_t) *words, uint32_t *indexes, uint32_t count)
{
    uint64_t done = 0;

    for (uint32_t w = 0; w < count / 64; w++) {
        uint64_t taken = atomic_exchange(&words[w], 0);

        for (uint32_t i = 0; i < 64; i++)
            indexes[w * 64 + i] = w * 64 + i;
        done += (uint64_t)__builtin_popcountll(taken);
    }
    for (uint32_t w = 0; w < count / 64; w++)
        atomic_fetch_or(&words[w], ~(uint64_t)0);
    return done;
}

/* ---- OIDs -------------------------------------------------------------- */

ndisbridge_status answer(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid;
    memcpy(output, &(uint64_t){ 77 }, 8);
    *length = 8;
    return NDISBRIDGE_STATUS_SUCCESS;
}

uint64_t queries(ndisbridge_session *session, uint64_t net_luid,
    uint32_t oid, uint32_t n)
{
    uint64_t sum = 0, value;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = 8;

        if (ndisbridge_query(session, &value, &length, net_luid, oid) == 0)
            sum += value;
    }
    return sum;
}

uint64_t floor_queries(uint32_t oid, uint32_t n)
{
    ndisbridge_status (*volatile handler)(
        void *, uint32_t, uint32_t *, void *) = answer;
    uint64_t sum = 0, value;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = 8;

        if (handler(NULL, oid, &length, &value) == 0)
            sum += value;
    }
    return sum;
}

/* ---- the table --------------------------------------------------------- */

uint64_t table(ndisbridge_session *session, ndisbridge_mib_if_row2 *rows,
    uint32_t room)
{
    uint32_t count = room;

    return ndisbridge_get_if_table(
               session, rows, &count, NDISBRIDGE_IF_TABLE_NORMAL)
            == NDISBRIDGE_STATUS_SUCCESS
        ? count
        : 0;
}

uint64_t floor_table(void *to, const void *from, uint32_t rows)
{
    memcpy(to, from, (size_t)rows * sizeof(ndisbridge_mib_if_row2));
    return rows;
}
