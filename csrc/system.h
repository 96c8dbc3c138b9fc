/* SPDX-License-Identifier: MIT
 *
 * system.h - what the C core needs of the operating system: memory, a word
 * that a child of fork() finds wiped, a clock, waits with a deadline, the
 * number of a thread, and a descriptor that can be polled.
 *
 * Systems differ in system_posix.c and system_windows.c, of which one is
 * compiled to nothing, and nowhere else.  (The links of a Linux host are in
 * linux_*.c; linux_absent.c stands for them elsewhere.)
 */
#ifndef NB_SYSTEM_H
#define NB_SYSTEM_H

#include <pthread.h>

#include "platform.h"

/* ---- memory ----------------------------------------------------------- */

/* From here on, memory comes straight from the system, zeroed and lazily: an
 * index space takes 4 MiB of addresses and what it uses of memory. */
#define NB_MAP_THRESHOLD ((size_t)64 * 1024)

/* The allocator of a session that was given none: see struct nb_memory. */
void *nb_system_allocate(void *context, size_t size);
void nb_system_deallocate(void *context, void *memory, size_t size);

/* A word that is 0 now, and again in a child of fork(), where there is
 * fork(); NULL without memory.  nb_free_life() takes no NULL. */
nb_atomic_u32 *nb_make_life(void);
void nb_free_life(nb_atomic_u32 *life);

/* ---- time ------------------------------------------------------------- */

/* Of a clock that is never set, in ms. */
uint64_t nb_now_ms(void);
/* The same as of the last tick, which may be some ms ago, for less. */
uint64_t nb_recent_ms(void);

/* False without what a mutex needs of the system, which is nothing on
 * Linux. */
static inline bool nb_mutex_init(pthread_mutex_t *mutex)
{
    return pthread_mutex_init(mutex, NULL) == 0;
}

/* A condition whose waits end by nb_now_ms(); false without memory. */
bool nb_condition_init(pthread_cond_t *condition);
/* False once the deadline has passed: look at the predicate all the same. */
bool nb_condition_wait(
    pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ms);

/* ---- threads, descriptors --------------------------------------------- */

/* Numbers the calling thread: neighbours differ by little. */
uint32_t nb_system_thread_number(void);

/* What is readable when it is told to be, for poll() and event loops;
 * NOT_SUPPORTED where the system has none, RESOURCES if it gives none. */
ndisbridge_status nb_descriptor_open(int *descriptor);
void nb_descriptor_close(int descriptor);
/* Only ever changes it: from what it is to what it is not. */
void nb_descriptor_set(int descriptor, bool readable);

#endif
