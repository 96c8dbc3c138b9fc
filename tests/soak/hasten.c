/* SPDX-License-Identifier: MIT */
/*
 * Preloaded: waiting takes a hundredth of its time.  SQLite waits for locks
 * by counting its sleeps, so what takes minutes when every lock fails takes
 * seconds, and goes the same way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>
#include <unistd.h>

#define FASTER 100

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    long long ns = (wanted->tv_sec * 1000000000LL + wanted->tv_nsec) / FASTER;
    const struct timespec shorter = { (time_t)(ns / 1000000000),
                                      (long)(ns % 1000000000) };
    int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &shorter, left);

    if (error) {
        errno = error;
        return -1;
    }
    return 0;
}

int usleep(useconds_t us)
{
    const struct timespec wanted = { us / 1000000, us % 1000000 * 1000 };

    return nanosleep(&wanted, NULL);
}

unsigned int sleep(unsigned int seconds)
{
    const struct timespec wanted = { seconds, 0 };

    return nanosleep(&wanted, NULL) ? seconds : 0;
}
