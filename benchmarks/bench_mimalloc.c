/* SPDX-License-Identifier: MIT
 *
 * bench_mimalloc.c - a space of 2^24 indexes in bitmaps of mimalloc 3, with
 * the functions of the peers of bench_floors.c.  A set bit is free; one of
 * them has 2^18 at most, so that it takes 64.  As they are made to be used, a
 * thread has a number by which searches are spread, and begins where it last
 * found one.  That none is free is said of what was seen, not of a moment.
 */
#include "bench.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BITS 18u
#define EACH (1u << BITS)
#define BITMAPS (1u << (24 - BITS))

/* Out of mimalloc's static library; internal there. */
typedef struct mi_bbitmap_s mi_bbitmap_t;
size_t mi_bbitmap_size(size_t bits, size_t *chunks);
size_t mi_bbitmap_init(mi_bbitmap_t *bitmap, size_t bits, bool zeroed);
bool mi_bbitmap_setN(mi_bbitmap_t *bitmap, size_t bit, size_t count);
bool mi_bbitmap_try_find_and_clear(
    mi_bbitmap_t *bitmap, size_t thread, size_t *bit);

struct peer {
    mi_bbitmap_t *bitmaps[BITMAPS];
};

static _Thread_local uint32_t number, last;

static bool take(struct peer *peer, uint32_t *index)
{
    static atomic_uint threads;
    size_t bit;

    if (number == 0)
        number = 1 + atomic_fetch_add(&threads, 1);
    for (uint32_t i = 0; i < BITMAPS; i++) {
        uint32_t at = (last + i) % BITMAPS;

        if (mi_bbitmap_try_find_and_clear(peer->bitmaps[at], number, &bit)) {
            last = at;
            *index = at << BITS | (uint32_t)bit;
            return true;
        }
    }
    return false;
}

/* Whether it was taken. */
static bool give(struct peer *peer, uint32_t index)
{
    return mi_bbitmap_setN(peer->bitmaps[index >> BITS], index % EACH, 1);
}

void peer_end(struct peer *peer)
{
    for (uint32_t i = 0; i < BITMAPS; i++)
        free(peer->bitmaps[i]);
    free(peer);
}

/* There is no second kind. */
struct peer *peer_begin(const uint32_t *indexes, uint32_t count, int tree)
{
    size_t chunks, size = (mi_bbitmap_size(EACH, &chunks) + 63) / 64 * 64;
    struct peer *peer = calloc(1, sizeof *peer);

    (void)tree;
    for (uint32_t i = 0; peer != NULL && i < BITMAPS; i++) {
        peer->bitmaps[i] = aligned_alloc(64, size);
        if (peer->bitmaps[i] == NULL) {
            peer_end(peer);
            return NULL;
        }
        memset(peer->bitmaps[i], 0, size);
        mi_bbitmap_init(peer->bitmaps[i], EACH, true);
    }
    for (uint32_t i = 0; peer != NULL && i < count; i++)
        give(peer, indexes[i]);
    return peer;
}

uint64_t peer_pairs(struct peer *peer, uint32_t n)
{
    uint64_t done = 0;
    uint32_t index;

    for (uint32_t i = 0; i < n; i++)
        if (take(peer, &index))
            done += 1 + (uint64_t)give(peer, index);
    return done;
}

uint64_t peer_churn(
    struct peer *peer, uint32_t *window, uint32_t size, uint32_t n)
{
    static uint32_t from;
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = next_of(&from, size);

        done += give(peer, window[at]);
        done += take(peer, &window[at]);
    }
    return done;
}
