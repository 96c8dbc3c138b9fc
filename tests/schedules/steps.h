/* SPDX-License-Identifier: MIT
 *
 * steps.h - included ahead of every file of the core (-include), makes each
 * atomic operation and each lock a step of the explorer (explore.c).
 *
 * Steps are interleaved, sequentially consistent: what an order weaker than
 * that allows is not explored here; see tests/schedules/ *.litmus.
 */
#ifndef NB_MODEL_STEPS_H
#define NB_MODEL_STEPS_H

#include <pthread.h>
#include <sched.h>

#include "../../csrc/platform.h"

/* Where another thread may go on instead; address NULL: always. */
void model_step(const volatile void *address);
int model_lock(const void *lock);
int model_unlock(const void *lock);
/* ETIMEDOUT only if nothing else could go on. */
int model_wait(const void *condition, const void *lock);
int model_broadcast(const void *condition);
/* Others must go on first. */
int model_spin(void);

#include "../c/no_atomics.h"
#define nb_load(p) (model_step(p), atomic_load(p))
#define nb_load_relaxed(p) nb_load(p)
#define nb_load_acquire(p) nb_load(p)
#define nb_store(p, v) (model_step(p), atomic_store((p), (v)))
#define nb_store_relaxed(p, v) nb_store(p, v)
#define nb_store_release(p, v) nb_store(p, v)
#define nb_exchange(p, v) (model_step(p), atomic_exchange((p), (v)))
#define nb_fetch_or(p, v) (model_step(p), atomic_fetch_or((p), (v)))
#define nb_fetch_and(p, v) (model_step(p), atomic_fetch_and((p), (v)))
#define nb_fetch_add(p, v) (model_step(p), atomic_fetch_add((p), (v)))
#define nb_fetch_sub(p, v) (model_step(p), atomic_fetch_sub((p), (v)))
#define nb_compare_exchange(p, e, v) \
    (model_step(p), atomic_compare_exchange_strong((p), (e), (v)))

#define pthread_mutex_lock(m) model_lock(m)
#define pthread_mutex_unlock(m) model_unlock(m)
#define pthread_cond_wait(c, m) model_wait((c), (m))
#define pthread_cond_timedwait(c, m, t) ((void)(t), model_wait((c), (m)))
#define pthread_cond_clockwait(c, m, k, t) \
    ((void)(k), (void)(t), model_wait((c), (m)))
#define pthread_cond_broadcast(c) model_broadcast(c)
#define pthread_cond_signal(c) model_broadcast(c)
#define sched_yield() model_spin()

#endif
