/* SPDX-License-Identifier: MIT
 *
 * system_posix.c - see system.h: Linux, and systems like it.
 */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "system.h"

#ifdef _WIN32

/* ISO C wants a declaration in every file. */
typedef int nb_no_posix_system;

#else

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#endif

#ifndef CLOCK_MONOTONIC_COARSE
#define CLOCK_MONOTONIC_COARSE CLOCK_MONOTONIC
#endif

/* ---- memory ----------------------------------------------------------- */

static void *map_pages(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void *nb_system_allocate(void *context, size_t size)
{
    void *memory = NULL;

    (void)context;
    if (size >= NB_MAP_THRESHOLD)
        return map_pages(size);
    if (posix_memalign(&memory, NB_CACHE_LINE, size) != 0)
        return NULL;
    return memset(memory, 0, size);
}

void nb_system_deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    if (size >= NB_MAP_THRESHOLD)
        munmap(memory, size);
    else
        free(memory);
}

nb_atomic_u32 *nb_make_life(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = map_pages(page);

#ifdef MADV_WIPEONFORK
    if (memory != NULL && madvise(memory, page, MADV_WIPEONFORK) != 0) {
        munmap(memory, page);
        return NULL;
    }
#endif
    return memory;
}

void nb_free_life(nb_atomic_u32 *life)
{
    munmap(life, (size_t)sysconf(_SC_PAGESIZE));
}

/* ---- time ------------------------------------------------------------- */

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

/* ---- threads, descriptors --------------------------------------------- */

/* The kernel numbers threads in the order of their making, so that those of
 * a pool land on neighbouring stripes; counting from the process's own
 * number puts the first thread on stripe 0 in every run. */
uint32_t nb_system_thread_number(void)
{
#ifdef SYS_gettid
    return (uint32_t)syscall(SYS_gettid) - (uint32_t)getpid();
#else
    return (uint32_t)((uintptr_t)pthread_self() >> 12);
#endif
}

#ifdef __linux__

ndisbridge_status nb_descriptor_open(int *descriptor)
{
    *descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *descriptor >= 0 ? NDISBRIDGE_STATUS_SUCCESS
                            : NDISBRIDGE_STATUS_RESOURCES;
}

void nb_descriptor_close(int descriptor)
{
    close(descriptor);
}

/* An eventfd's number is 0 or 1 here: neither call can block, be interrupted
 * or fall short.  It can fail: then the caller has taken the number. */
void nb_descriptor_set(int descriptor, bool readable)
{
    uint64_t number = 1;
    ssize_t done;

    done = readable ? write(descriptor, &number, sizeof number)
                    : read(descriptor, &number, sizeof number);
    (void)done;
}

#else

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
#endif
