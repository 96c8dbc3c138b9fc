/* SPDX-License-Identifier: MIT
 *
 * thread.h - what the core remembers of the calling thread: a small number
 * that spreads threads over cache lines, the handlers that it is inside of,
 * and the session whose hook it runs.
 *
 * This is the only state outside a session.  It exists once per process,
 * because the core does (libndisbridge.so); it refers to nothing that could
 * outlive a call.
 */
#ifndef NB_THREAD_H
#define NB_THREAD_H

#include "system.h"

/* Number of cache lines that threads are spread over. */
#define NB_STRIPE_COUNT 64

/* One handler that the thread is inside of; lives on its stack. */
struct nb_frame {
    const void *session;
    const void *interface;
    struct nb_frame *outer;
};

/* One hook that the thread runs; a hook of one session may use another
 * session that has hooks too. */
struct nb_hook {
    const void *session;
    struct nb_hook *outer;
};

struct nb_thread {
    uint32_t number_plus_1;  /* 0: not asked for yet */
    struct nb_hook *hooks;
    struct nb_frame *frames;
};

extern _Thread_local struct nb_thread nb_this_thread;

/* Works the number out: 0 for the first thread of the process. */
uint32_t nb_thread_number_slow(void);

static inline uint32_t nb_thread_stripe(void)
{
    uint32_t number = nb_this_thread.number_plus_1;

    if (NB_UNLIKELY(number == 0))
        number = nb_thread_number_slow();
    return (number - 1) % NB_STRIPE_COUNT;
}

static inline bool nb_thread_in_handler_of(const void *interface)
{
    const struct nb_frame *frame = nb_this_thread.frames;

    while (frame != NULL && frame->interface != interface)
        frame = frame->outer;
    return frame != NULL;
}

static inline bool nb_thread_in_hook_of(const void *session)
{
    const struct nb_hook *hook = nb_this_thread.hooks;

    while (NB_UNLIKELY(hook != NULL && hook->session != session))
        hook = hook->outer;
    return hook != NULL;
}

static inline bool nb_thread_in_session(const void *session)
{
    const struct nb_frame *frame = nb_this_thread.frames;

    while (frame != NULL && frame->session != session)
        frame = frame->outer;
    return frame != NULL;
}

#endif
