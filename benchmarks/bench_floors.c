/* SPDX-License-Identifier: MIT
 *
 * bench_floors.c - what the core is measured against: what the machine asks
 * for the bare operation, and what one would write instead.  Each returns
 * what proves that it did its work.
 */
#include "bench.h"

#include <ndisbridge.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SPACE (1u << 24)
#define NOTHING UINT32_MAX

typedef _Atomic(uint64_t) word;

/* ---- floors of one index ----------------------------------------------- */

/* Claims the lowest 1 of a cached word and sets it again. */
static inline uint64_t claim_and_set(word *leaf, uint32_t n)
{
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t seen = atomic_load_explicit(leaf, memory_order_relaxed);
        uint64_t bit = (uint64_t)1 << (__builtin_ctzll(seen) & 63);

        done += (atomic_fetch_and(leaf, ~bit) & bit) != 0;
        done += (atomic_fetch_or(leaf, bit) & bit) == 0;
    }
    return done;
}

/* On a word of its own for each thread. */
uint64_t floor_pairs(uint32_t thread, uint32_t n)
{
    static struct {
        _Alignas(128) word leaf;
    } lines[2] = { { ~(uint64_t)0 }, { ~(uint64_t)0 } };

    return claim_and_set(&lines[thread & 1].leaf, n);
}

/* Sets and clears bits that are known, in the order of a churn's window: its
 * cache misses, without a search. */
uint64_t floor_churn(
    word *words, const uint32_t *window, uint32_t size, uint32_t n)
{
    static uint32_t from;
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = window[next_of(&from, size)];
        uint64_t bit = (uint64_t)1 << (index & 63);

        done += (atomic_fetch_or(&words[index >> 6], bit) & bit) == 0;
        done += (atomic_fetch_and(&words[index >> 6], ~bit) & bit) != 0;
    }
    return done;
}

/* ---- floors of many indexes -------------------------------------------- */

/* Takes whole words and stores the indexes of their bits. */
uint64_t floor_claim_many(word *words, uint32_t *indexes, uint32_t count)
{
    uint64_t done = 0;

    for (uint32_t w = 0; w < count / 64; w++) {
        uint64_t taken = atomic_exchange(&words[w], 0);

        for (uint32_t i = 0; i < 64; i++)
            indexes[w * 64 + i] = w * 64 + i;
        done += taken == ~(uint64_t)0 ? 64 : 0;
    }
    return done;
}

uint64_t floor_free_many(word *words, uint32_t count)
{
    for (uint32_t w = 0; w < count / 64; w++)
        atomic_fetch_or(&words[w], ~(uint64_t)0);
    return count;
}

/* ---- peers: what is exact about being full, and takes a lock ------------ */

struct peer {
    pthread_mutex_t lock;
    uint32_t count;   /* of the free list */
    uint32_t *list;   /* 64 MiB */
    uint64_t *taken;  /* a bit for each, so that a double free is seen */
    /* or four levels of bits, 1 = there is a free one below: 2 MiB */
    uint64_t *levels[4];
};

void peer_end(struct peer *peer)
{
    pthread_mutex_destroy(&peer->lock);
    for (uint32_t level = 0; level < 4; level++)
        free(peer->levels[level]);
    free(peer->list);
    free(peer->taken);
    free(peer);
}

/* The free indexes of a space of 2^24, as a list (tree = 0) or as a tree. */
struct peer *peer_begin(const uint32_t *indexes, uint32_t count, int tree)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (peer == NULL)
        return NULL;
    pthread_mutex_init(&peer->lock, NULL);
    if (tree) {
        for (uint32_t level = 0; level < 4; level++)
            peer->levels[level] = calloc(SPACE >> (6 * level + 6), 8);
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t level = 0, at = indexes[i]; level < 4; level++) {
                peer->levels[level][at / 64] |= (uint64_t)1 << at % 64;
                at /= 64;
            }
        return peer;
    }
    peer->list = malloc((size_t)SPACE * sizeof *peer->list);
    peer->taken = malloc(SPACE / 8);
    if (peer->list == NULL || peer->taken == NULL) {
        peer_end(peer);
        return NULL;
    }
    memset(peer->taken, 0xFF, SPACE / 8);
    for (uint32_t i = 0; i < count; i++)
        peer->taken[indexes[i] / 64] &= ~((uint64_t)1 << indexes[i] % 64);
    memcpy(peer->list, indexes, (size_t)count * sizeof *indexes);
    peer->count = count;
    return peer;
}

static uint32_t list_take(struct peer *peer)
{
    uint32_t index;

    if (peer->count == 0)
        return NOTHING;
    index = peer->list[--peer->count];
    peer->taken[index / 64] |= (uint64_t)1 << index % 64;
    return index;
}

static int list_give(struct peer *peer, uint32_t index)
{
    uint64_t bit = (uint64_t)1 << index % 64;

    if (!(peer->taken[index / 64] & bit))
        return 0;
    peer->taken[index / 64] &= ~bit;
    peer->list[peer->count++] = index;
    return 1;
}

/* The lowest free one, as Linux's IDA gives it. */
static uint32_t tree_take(struct peer *peer)
{
    uint32_t index = 0;

    for (uint32_t level = 4; level-- > 0;) {
        uint64_t bits = peer->levels[level][index];

        if (bits == 0)
            return NOTHING;
        index = index * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    for (uint32_t level = 0, at = index; level < 4; level++, at /= 64)
        if ((peer->levels[level][at / 64] &= ~((uint64_t)1 << at % 64)) != 0)
            break;
    return index;
}

static int tree_give(struct peer *peer, uint32_t index)
{
    if (peer->levels[0][index / 64] >> index % 64 & 1)
        return 0;
    for (uint32_t level = 0; level < 4; level++, index /= 64) {
        uint64_t before = peer->levels[level][index / 64];

        peer->levels[level][index / 64] |= (uint64_t)1 << index % 64;
        if (before != 0)
            break;
    }
    return 1;
}

static __attribute__((noinline)) uint32_t peer_take(struct peer *peer)
{
    uint32_t index;

    pthread_mutex_lock(&peer->lock);
    index = peer->list != NULL ? list_take(peer) : tree_take(peer);
    pthread_mutex_unlock(&peer->lock);
    return index;
}

static __attribute__((noinline)) int peer_give(
    struct peer *peer, uint32_t index)
{
    int done;

    pthread_mutex_lock(&peer->lock);
    done = peer->list != NULL ? list_give(peer, index)
                              : tree_give(peer, index);
    pthread_mutex_unlock(&peer->lock);
    return done;
}

uint64_t peer_pairs(struct peer *peer, uint32_t n)
{
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = peer_take(peer);

        if (index == NOTHING)
            continue;
        done += 1 + (uint64_t)peer_give(peer, index);
    }
    return done;
}

uint64_t peer_churn(
    struct peer *peer, uint32_t *window, uint32_t size, uint32_t n)
{
    static uint32_t from;
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = next_of(&from, size);

        done += (uint64_t)peer_give(peer, window[at]);
        window[at] = peer_take(peer);
        done += window[at] != NOTHING;
    }
    return done;
}

/* ---- interfaces by direct index, without guards ------------------------- */

#define OID_SLOTS 64

struct record;
typedef int32_t (*query_function)(
    struct record *record, uint32_t *length, void *output);

struct record {
    uint64_t net_luid;
    const struct oids *oids;
    uint32_t if_index, value_offset;
};

struct oids {
    struct {
        uint32_t oid;
        query_function query;
    } slots[OID_SLOTS];
};

struct direct {
    struct record **by_index;  /* of the NET_LUID index */
    uint8_t *memory;
    struct oids oids;
};

static int32_t copy_value(
    struct record *record, uint32_t *length, void *output)
{
    if (*length < 8)
        return -1;
    memcpy(output, (uint8_t *)record + record->value_offset, 8);
    *length = 8;
    return 0;
}

static inline uint32_t oid_slot(uint32_t oid)
{
    return oid * UINT32_C(2654435769) >> 26;
}

void direct_end(struct direct *direct)
{
    free(direct->by_index);
    free(direct->memory);
    free(direct);
}

/* Records of so many bytes, with the value at an offset of them. */
struct direct *direct_begin(const uint64_t *net_luids, uint32_t count,
    const uint32_t *oids, uint32_t oid_count, uint32_t size,
    uint32_t value_offset, uint64_t value)
{
    struct direct *direct = calloc(1, sizeof *direct);

    if (direct == NULL)
        return NULL;
    direct->by_index = calloc(SPACE, sizeof *direct->by_index);
    direct->memory = aligned_alloc(64, (size_t)count * size);
    if (direct->by_index == NULL || direct->memory == NULL) {
        direct_end(direct);
        return NULL;
    }
    for (uint32_t i = 0; i < oid_count; i++) {
        uint32_t at = oid_slot(oids[i]);

        while (direct->oids.slots[at].oid != 0)
            at = (at + 1) % OID_SLOTS;
        direct->oids.slots[at].oid = oids[i];
        direct->oids.slots[at].query = copy_value;
    }
    memset(direct->memory, 1, (size_t)count * size);
    for (uint32_t i = 0; i < count; i++) {
        struct record *made = (void *)(direct->memory + (size_t)i * size);

        made->net_luid = net_luids[i];
        made->oids = &direct->oids;
        made->if_index = i + 1;
        made->value_offset = value_offset;
        memcpy((uint8_t *)made + value_offset, &value, 8);
        direct->by_index[net_luids[i] >> 24 & (SPACE - 1)] = made;
    }
    return direct;
}

static inline struct record *direct_find(
    struct direct *direct, uint64_t net_luid)
{
    struct record *found = direct->by_index[net_luid >> 24 & (SPACE - 1)];

    return found != NULL && found->net_luid == net_luid ? found : NULL;
}

static inline query_function find_query(
    const struct oids *oids, uint32_t oid)
{
    uint32_t at = oid_slot(oid);

    while (oids->slots[at].oid != oid) {
        if (oids->slots[at].oid == 0)
            return NULL;
        at = (at + 1) % OID_SLOTS;
    }
    return oids->slots[at].query;
}

static __attribute__((noinline)) int32_t direct_query(struct direct *direct,
    void *output, uint32_t *length, uint64_t net_luid, uint32_t oid)
{
    struct record *record = direct_find(direct, net_luid);
    query_function query;

    if (record == NULL)
        return -1;
    query = find_query(record->oids, oid);
    return query == NULL ? -1 : query(record, length, output);
}

/* Look-up, OID table, indirect call, copy. */
uint64_t floor_queries(struct direct *direct, const uint64_t *net_luids,
    uint32_t count, uint32_t oid, uint32_t n)
{
    static _Thread_local uint32_t from;
    uint64_t sum = 0, value;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = 8;

        if (direct_query(direct, &value, &length,
                net_luids[next_of(&from, count)], oid)
            == 0)
            sum += value;
    }
    return sum;
}

static __attribute__((noinline)) uint32_t direct_if_index(
    struct direct *direct, uint64_t net_luid)
{
    struct record *record = direct_find(direct, net_luid);

    return record == NULL ? 0 : record->if_index;
}

uint64_t floor_find(struct direct *direct, const uint64_t *net_luids,
    uint32_t count, uint32_t n)
{
    static uint32_t from;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += direct_if_index(direct, net_luids[next_of(&from, count)]);
    return sum;
}

/* The loop of a batch, without its guards and without an indirect call. */
static __attribute__((noinline)) uint32_t direct_query_many(
    struct direct *direct, const uint64_t *net_luids, uint32_t count,
    uint32_t oid, uint64_t *values, uint32_t *lengths, int32_t *statuses)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct record *record = direct_find(direct, net_luids[i]);

        if (record == NULL || find_query(record->oids, oid) == NULL) {
            statuses[i] = -1;
            continue;
        }
        memcpy(&values[i], (uint8_t *)record + record->value_offset, 8);
        lengths[i] = 8;
        statuses[i] = 0;
        done++;
    }
    return done;
}

uint64_t floor_query_many(struct direct *direct, const uint64_t *net_luids,
    uint32_t count, uint32_t oid, uint64_t *values, uint32_t *lengths,
    int32_t *statuses, uint32_t times)
{
    uint64_t done = 0;

    while (times-- > 0)
        done += direct_query_many(
            direct, net_luids, count, oid, values, lengths, statuses);
    return done;
}

/* A bare indirect call of a handler. */
uint64_t floor_indirect_calls(ndisbridge_status (*volatile handler)(void *,
                                  uint32_t, uint32_t *, void *),
    uint32_t oid, uint32_t n)
{
    uint64_t sum = 0, value;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = 8;

        if (handler(NULL, oid, &length, &value) == 0)
            sum += value;
    }
    return sum;
}

/* ---- the table --------------------------------------------------------- */

uint64_t floor_table(void *to, const void *from, uint32_t rows)
{
    memcpy(to, from, (size_t)rows * sizeof(ndisbridge_mib_if_row2));
    return rows;
}
