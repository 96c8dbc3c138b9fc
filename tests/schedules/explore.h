/* SPDX-License-Identifier: MIT
 *
 * explore.h - runs the threads of a case in every order, up to a number of
 * preemptions, or in random ones.
 */
#ifndef NB_MODEL_EXPLORE_H
#define NB_MODEL_EXPLORE_H

#include "steps.h"

#define MODEL_THREADS 3

struct model_case {
    const char *name;
    void (*setup)(void);
    void (*threads[MODEL_THREADS])(void);
    void (*check)(void);  /* when all threads have ended */
    /* Whether a step there commutes with all others; NULL: none does. */
    bool (*is_quiet)(const volatile void *address);
};

/* 0, 1, 2 in a thread; -1 outside. */
int model_thread(void);

/* Ends the program, with the schedule, unless the condition holds. */
void model_check(bool condition, const char *what);

extern const struct model_case bitmap_cases[], pool_cases[], table_cases[];

#endif
