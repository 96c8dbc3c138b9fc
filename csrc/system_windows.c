/* SPDX-License-Identifier: MIT
 *
 * system_windows.c - see system.h: Windows, with the pthreads of mingw-w64.
 */
#include "system.h"

#ifndef _WIN32

/* ISO C wants a declaration in every file. */
typedef int nb_no_windows_system;

#else

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <windows.h>

/* ---- memory ----------------------------------------------------------- */

void *nb_system_allocate(void *context, size_t size)
{
    void *memory;

    (void)context;
    if (size >= NB_MAP_THRESHOLD)
        return VirtualAlloc(
            NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    memory = _aligned_malloc(size, NB_CACHE_LINE);
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

void nb_system_deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    if (size >= NB_MAP_THRESHOLD)
        VirtualFree(memory, 0, MEM_RELEASE);
    else
        _aligned_free(memory);
}

/* There is no fork(). */
nb_atomic_u32 *nb_make_life(void)
{
    return calloc(1, sizeof(nb_atomic_u32));
}

void nb_free_life(nb_atomic_u32 *life)
{
    free(life);
}

/* ---- time ------------------------------------------------------------- */

uint64_t nb_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t nb_recent_ms(void)
{
    return nb_now_ms();
}

bool nb_condition_init(pthread_cond_t *condition)
{
    return pthread_cond_init(condition, NULL) == 0;
}

/* Conditions here go by the time of day, which may be set, unless they are
 * told how long to wait. */
bool nb_condition_wait(
    pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ms)
{
    const uint64_t now = nb_now_ms();
    const uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
    const struct timespec most = { .tv_sec = (time_t)(left / 1000),
        .tv_nsec = (long)(left % 1000) * 1000000 };

    return left > 0
        && pthread_cond_timedwait_relative_np(condition, mutex, &most)
        != ETIMEDOUT;
}

/* ---- threads, descriptors --------------------------------------------- */

/* Numbers of threads are multiples of four. */
uint32_t nb_system_thread_number(void)
{
    return (uint32_t)GetCurrentThreadId() / 4;
}

ndisbridge_status nb_descriptor_open(int *descriptor)
{
    *descriptor = -1;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

void nb_descriptor_close(int descriptor)
{
    (void)descriptor;
}

void nb_descriptor_set(int descriptor, bool readable)
{
    (void)descriptor, (void)readable;
}

#endif
