/* SPDX-License-Identifier: MIT
 *
 * host.c - see host.h.
 */
#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <time.h>

#ifndef CLOCK_MONOTONIC_COARSE
#define CLOCK_MONOTONIC_COARSE CLOCK_MONOTONIC
#endif

static inline uint64_t read_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t nb_now_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

uint64_t nb_recent_ms(void)
{
    return read_ms(CLOCK_MONOTONIC_COARSE);
}

bool nb_mutex_init(pthread_mutex_t *mutex)
{
    return pthread_mutex_init(mutex, NULL) == 0;
}

bool nb_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    bool made;

    if (pthread_condattr_init(&attributes) != 0)
        return false;
    made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0
        && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made;
}

bool nb_condition_wait(
    pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ms)
{
    struct timespec at = { .tv_sec = (time_t)(deadline_ms / 1000),
        .tv_nsec = (long)(deadline_ms % 1000) * 1000000 };

    return nb_now_ms() < deadline_ms
        && pthread_cond_timedwait(condition, mutex, &at) != ETIMEDOUT;
}
