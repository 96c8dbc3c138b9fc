/* SPDX-License-Identifier: MIT
 *
 * thread.c - see thread.h.
 */
#include "thread.h"

_Thread_local struct nb_thread nb_this_thread;

NB_NOINLINE uint32_t nb_thread_number_slow(void)
{
    nb_this_thread.number_plus_1 =
        nb_system_thread_number() % NB_STRIPE_COUNT + 1;
    return nb_this_thread.number_plus_1;
}
