/* SPDX-License-Identifier: MIT
 *
 * staged.h - included ahead of every file of the core (-include): before
 * each atomic operation a test may have something done that another thread
 * could have done there, and system calls may be made to fail (staged.c).
 *
 * What runs in between is a whole call, on the same thread: so a race has
 * one outcome, whatever the machine does meanwhile.
 */
#ifndef NB_TEST_STAGED_H
#define NB_TEST_STAGED_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>

#include "../../../csrc/platform.h"

/* Has `act` run before the n-th step (1 is the first) of this thread from
 * now on, once.  Steps with more than `locked` mutexes locked are not counted;
 * act must then lock none of those. */
struct staged_act {
    void (*act)(void *context);
    void *context;
    uint32_t at, steps;
    uint32_t locked;
    bool done;
};

extern _Thread_local struct staged_act staged_act;
void staged_begin(void (*act)(void *context), void *context, uint32_t at,
    uint32_t locked);
/* Whether it has run. */
bool staged_end(void);

void staged_step(void);
int staged_lock(pthread_mutex_t *mutex);
int staged_unlock(pthread_mutex_t *mutex);
/* A wait is where the act runs, if it has not: with the mutex unlocked. */
int staged_wait(pthread_cond_t *condition, pthread_mutex_t *mutex,
    const struct timespec *deadline);

/* Calls of the system that can be made to fail. */
enum staged_call {
    STAGED_SOCKET,
    STAGED_SETSOCKOPT,
    STAGED_BIND,
    STAGED_POLL,
    STAGED_RECVMSG,
    STAGED_SENDMSG,
    STAGED_MUTEX_INIT,
    STAGED_CONDATTR_INIT,
    STAGED_CONDATTR_SETCLOCK,
    STAGED_COND_INIT,
    STAGED_MMAP,
    STAGED_MADVISE,
    STAGED_MEMALIGN,
    STAGED_MALLOC,
    STAGED_EVENTFD,
    STAGED_CLOCK,  /* does not fail: it is `error` s later then */
    STAGED_CALLS
};

/* What a datagram that has been received may have suffered, for `error` of
 * STAGED_RECVMSG. */
enum { STAGED_TRUNCATED = 10001, STAGED_MALFORMED, STAGED_INTERRUPTED };

/* The calls of this thread from the at-th on (1 is the next) fail with a
 * number of errno (0 for poll: nothing is ready); times 0 is for ever. */
void staged_fail(
    enum staged_call call, uint32_t at, uint32_t times, int error);
/* How many have failed; none will from now on. */
uint32_t staged_failed(void);

/* What is sent at the at-th sendmsg() from now on goes nowhere, and is
 * answered with a datagram; its sequence numbers are made to fit. */
void staged_answer(uint32_t at, const void *bytes, size_t size);

#ifndef STAGED_ITSELF
#include "../no_atomics.h"
#define nb_load(p) (staged_step(), atomic_load(p))
#define nb_load_relaxed(p) \
    (staged_step(), atomic_load_explicit((p), memory_order_relaxed))
#define nb_load_acquire(p) \
    (staged_step(), atomic_load_explicit((p), memory_order_acquire))
#define nb_store(p, v) (staged_step(), atomic_store((p), (v)))
#define nb_store_relaxed(p, v) \
    (staged_step(), atomic_store_explicit((p), (v), memory_order_relaxed))
#define nb_store_release(p, v) \
    (staged_step(), atomic_store_explicit((p), (v), memory_order_release))
#define nb_exchange(p, v) (staged_step(), atomic_exchange((p), (v)))
#define nb_fetch_or(p, v) (staged_step(), atomic_fetch_or((p), (v)))
#define nb_fetch_and(p, v) (staged_step(), atomic_fetch_and((p), (v)))
#define nb_fetch_add(p, v) (staged_step(), atomic_fetch_add((p), (v)))
#define nb_fetch_sub(p, v) (staged_step(), atomic_fetch_sub((p), (v)))
#define nb_compare_exchange(p, e, v) \
    (staged_step(), atomic_compare_exchange_strong((p), (e), (v)))
#define pthread_mutex_lock(m) staged_lock(m)
#define pthread_mutex_unlock(m) staged_unlock(m)
#define pthread_cond_timedwait(c, m, t) staged_wait((c), (m), (t))
#endif

#endif
