/* SPDX-License-Identifier: MIT
 *
 * thread.c - see thread.h.
 */
#define _GNU_SOURCE
#include "thread.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <sys/syscall.h>
#include <unistd.h>
#endif

_Thread_local struct nb_thread nb_this_thread;

/* The kernel numbers threads in the order of their making, so that those of
 * a pool land on neighbouring stripes; counting from the process's own
 * number puts the first thread on stripe 0 in every run. */
NB_NOINLINE uint32_t nb_thread_number_slow(void)
{
#ifdef _WIN32
    uint32_t number = (uint32_t)GetCurrentThreadId() / 4;
#elif defined(SYS_gettid)
    uint32_t number = (uint32_t)syscall(SYS_gettid) - (uint32_t)getpid();
#else
    uint32_t number = (uint32_t)((uintptr_t)&nb_this_thread >> 12);
#endif
    nb_this_thread.number_plus_1 = number % NB_STRIPE_COUNT + 1;
    return nb_this_thread.number_plus_1;
}
