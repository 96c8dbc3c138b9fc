/* SPDX-License-Identifier: MIT
 *
 * bench_threads.c - two threads that do the same at the same time, one
 * workload after the other in turns.  A machine that is shared runs its two
 * processors one after the other at times; a sample counts only if both
 * threads really ran together.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

uint64_t pairs(void *session, uint16_t if_type, uint32_t n);
uint64_t queries(void *session, const uint64_t *net_luids, uint32_t count,
    uint32_t oid, uint32_t n);
uint64_t floor_pairs(uint32_t thread, uint32_t n);

enum kind { PAIRS, FLOOR_PAIRS, PEER_PAIRS, QUERIES };

/* What both threads do n times; only what its kind asks for is set. */
struct workload {
    uint32_t kind, n;
    void *object;  /* session or peer */
    const uint64_t *net_luids;
    uint32_t count, oid;
    uint32_t threads;  /* 1: the other thread waits */
    uint64_t done;  /* by all samples of both */
    uint64_t (*peer_pairs)(void *peer, uint32_t n);  /* of PEER_PAIRS */
};

struct crew {
    struct workload *workloads;
    uint32_t count, samples;
    atomic_uint arrived;
    uint64_t *begin[2], *end[2];
    atomic_ullong *done;
};

struct member {
    struct crew *crew;
    uint32_t number;
};

static uint64_t now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static uint64_t run(const struct workload *work, uint32_t thread)
{
    switch (work->kind) {
    case PAIRS:
        return pairs(work->object, 6, work->n);
    case FLOOR_PAIRS:
        return floor_pairs(thread, work->n);
    case PEER_PAIRS:
        return work->peer_pairs(work->object, work->n);
    default:
        return queries(work->object, work->net_luids, work->count, work->oid,
            work->n);
    }
}

static void meet(struct crew *crew, unsigned turn)
{
    atomic_fetch_add(&crew->arrived, 1);
    for (uint64_t spins = 0; atomic_load(&crew->arrived) < 2 * (turn + 1);)
        if (++spins % 100000 == 0)
            sched_yield();
}

static void *work(void *argument)
{
    struct member *own = argument;
    struct crew *crew = own->crew;
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(own->number, &cpus);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    for (uint32_t turn = 0; turn < crew->samples * crew->count; turn++) {
        uint32_t which = turn % crew->count;
        uint64_t done = 0;

        meet(crew, turn);
        crew->begin[own->number][turn] = now();
        if (own->number < crew->workloads[which].threads)
            done = run(&crew->workloads[which], own->number);
        crew->end[own->number][turn] = now();
        atomic_fetch_add(&crew->done[which], done);
    }
    return NULL;
}

/* The nanoseconds of one operation of one thread; NAN if they did not run
 * together for 80 % of the shorter one's time, or at different speeds. */
static double sample_of(const struct crew *crew, uint32_t turn)
{
    const struct workload *work = &crew->workloads[turn % crew->count];
    uint64_t begin[2], end[2], took[2], shorter, from, to;

    for (int i = 0; i < 2; i++) {
        begin[i] = crew->begin[i][turn];
        end[i] = crew->end[i][turn];
        took[i] = end[i] - begin[i];
    }
    if (work->threads == 1)
        return (double)took[0] / work->n;
    from = begin[0] > begin[1] ? begin[0] : begin[1];
    to = end[0] < end[1] ? end[0] : end[1];
    shorter = took[0] < took[1] ? took[0] : took[1];
    if (to <= from || (double)(to - from) < 0.8 * (double)shorter
        || took[0] > 2 * took[1] || took[1] > 2 * took[0])
        return NAN;
    return (double)(took[0] + took[1]) / 2 / work->n;
}

/* samples of each of count workloads in turns, into out[sample * count +
 * workload].  0 if there are no threads to be had. */
int together(struct workload *workloads, uint32_t count, uint32_t samples,
    double *out, uint64_t *times)
{
    atomic_ullong done[16] = { 0 };
    uint32_t turns = count * samples;
    struct crew crew = { .workloads = workloads, .count = count,
        .samples = samples, .done = done };
    struct member members[2] = { { &crew, 0 }, { &crew, 1 } };
    pthread_t threads[2];

    if (count > 16)
        return 0;
    for (uint32_t i = 0; i < 2; i++) {
        crew.begin[i] = times + 2 * i * turns;
        crew.end[i] = times + (2 * i + 1) * turns;
    }
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, work, &members[i]) != 0)
            return 0;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t turn = 0; turn < turns; turn++)
        out[turn] = sample_of(&crew, turn);
    for (uint32_t i = 0; i < count; i++)
        workloads[i].done = atomic_load(&done[i]);
    return 1;
}
