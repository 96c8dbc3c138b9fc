/* SPDX-License-Identifier: MIT
 *
 * explore.c - see explore.h.
 *
 *   explore [--case NAME] [--preemptions N] [--limit N] [--random N]
 *           [--seed N]
 *
 * Writes a line a case: name, schedules, steps, whether all were explored.
 * Exit code 1: something is wrong, and the schedule is on stderr.
 */
#define _GNU_SOURCE
#include "explore.h"
#include "thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define STACK (256 * 1024)
#define MAX_STEPS 20000

enum state { ENDED, READY, LOCKING, WAITING, SPINNING };

static struct thread {
    ucontext_t context;
    enum state state;
    const void *lock, *condition;
    bool timed_out;
    struct nb_thread own;  /* its nb_this_thread */
} threads[MODEL_THREADS];
static _Alignas(64) char stacks[MODEL_THREADS][STACK];
static ucontext_t outside;
static const struct model_case *now;
static int running = -1;

/* Choices of this schedule; those before `replay` are given. */
static struct choice {
    uint8_t taken, options;
} trail[MAX_STEPS];
static uint32_t depth, replay;
static uint32_t steps, preemptions, most_preemptions;
static uint64_t all_steps, seed;
static bool random_order;

#define MAX_LOCKS 32
static const void *held[MAX_LOCKS];

int model_thread(void)
{
    return running;
}

void model_check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s: %s\nschedule (step by step, 0 goes on): ",
        now->name, what);
    for (uint32_t i = 0; i < depth; i++)
        fputc('0' + trail[i].taken, stderr);
    fputc('\n', stderr);
    exit(1);
}

static uint32_t random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % limit;
}

static uint32_t choose(uint32_t options, uint32_t others_in)
{
    uint8_t taken = 0;

    model_check(depth < MAX_STEPS, "it never ends");
    if (depth < replay) {
        taken = trail[depth].taken;
        model_check(trail[depth].options == options,
            "the case does not go the same way each time");
    } else if (random_order && random_below(others_in) == 0)
        taken = (uint8_t)random_below(options);
    trail[depth].taken = taken;
    trail[depth++].options = (uint8_t)options;
    return taken;
}

static bool is_held(const void *lock)
{
    for (int i = 0; i < MAX_LOCKS; i++)
        if (held[i] == lock)
            return true;
    return false;
}

static bool can_go_on(const struct thread *thread)
{
    return thread->state == READY
        || (thread->state == LOCKING && !is_held(thread->lock));
}

static uint32_t list_ready(int *list, int except)
{
    uint32_t count = 0;

    for (int i = 0; i < MODEL_THREADS; i++)
        if (i != except && can_go_on(&threads[i]))
            list[count++] = i;
    return count;
}

static void go_to(int next)
{
    int before = running;

    if (next == before)
        return;
    if (before >= 0)
        threads[before].own = nb_this_thread;
    nb_this_thread = threads[next].own;
    running = next;
    threads[next].state = READY;
    swapcontext(before < 0 ? &outside : &threads[before].context,
        &threads[next].context);
}

/* The running thread cannot go on: another must. */
static void leave_it(void)
{
    int list[MODEL_THREADS];
    uint32_t count = list_ready(list, -1);

    for (int i = 0; count == 0 && i < MODEL_THREADS; i++)
        if (threads[i].state == SPINNING) {
            threads[i].state = READY;
            count = list_ready(list, -1);
        }
    for (int i = 0; count == 0 && i < MODEL_THREADS; i++)
        if (threads[i].state == WAITING) {
            threads[i].timed_out = true;
            threads[i].state = READY;
            count = list_ready(list, -1);
        }
    if (count == 0) {
        for (int i = 0; i < MODEL_THREADS; i++)
            model_check(threads[i].state == ENDED, "deadlock");
        running = -1;
        setcontext(&outside);
    }
    go_to(list[count == 1 ? 0 : choose(count, 1)]);
}

void model_step(const volatile void *address)
{
    int list[MODEL_THREADS];
    uint32_t count, taken;

    if (running < 0
        || (address != NULL && now->is_quiet != NULL
            && now->is_quiet(address)))
        return;
    all_steps++;
    model_check(++steps < MAX_STEPS, "it never ends");
    for (int i = 0; i < MODEL_THREADS; i++)
        if (i != running && threads[i].state == SPINNING)
            threads[i].state = READY;
    count = list_ready(list, running);
    if (count == 0 || preemptions >= most_preemptions)
        return;
    taken = choose(count + 1, 8);
    if (taken == 0)
        return;
    preemptions++;
    go_to(list[taken - 1]);
}

int model_lock(const void *lock)
{
    if (running < 0)
        return 0;
    model_step(NULL);
    while (is_held(lock)) {
        threads[running].state = LOCKING;
        threads[running].lock = lock;
        leave_it();
    }
    for (int i = 0; i < MAX_LOCKS; i++)
        if (held[i] == NULL) {
            held[i] = lock;
            return 0;
        }
    abort();
}

int model_unlock(const void *lock)
{
    if (running < 0)
        return 0;
    for (int i = 0; i < MAX_LOCKS; i++)
        if (held[i] == lock)
            held[i] = NULL;
    model_step(NULL);
    return 0;
}

int model_wait(const void *condition, const void *lock)
{
    struct thread *own;

    if (running < 0)
        return ETIMEDOUT;
    own = &threads[running];
    for (int i = 0; i < MAX_LOCKS; i++)
        if (held[i] == lock)
            held[i] = NULL;
    own->timed_out = false;
    own->condition = condition;
    own->state = WAITING;
    leave_it();
    model_lock(lock);
    return own->timed_out ? ETIMEDOUT : 0;
}

int model_broadcast(const void *condition)
{
    for (int i = 0; running >= 0 && i < MODEL_THREADS; i++)
        if (threads[i].state == WAITING && threads[i].condition == condition)
            threads[i].state = READY;
    return 0;
}

int model_spin(void)
{
    if (running >= 0) {
        threads[running].state = SPINNING;
        leave_it();
    }
    return 0;
}

static void begin_thread(void)
{
    now->threads[running]();
    threads[running].state = ENDED;
    leave_it();
}

static void run_once(void)
{
    running = -1;
    depth = steps = preemptions = 0;
    memset(held, 0, sizeof held);
    /* The same each time, or a schedule could not be replayed. */
    nb_this_thread = (struct nb_thread){ .number_plus_1 = 1 };
    now->setup();
    for (int i = 0; i < MODEL_THREADS; i++) {
        threads[i].own =
            (struct nb_thread){ .number_plus_1 = (uint32_t)i + 1 };
        threads[i].state = now->threads[i] != NULL ? READY : ENDED;
        getcontext(&threads[i].context);
        threads[i].context.uc_stack.ss_sp = stacks[i];
        threads[i].context.uc_stack.ss_size = STACK;
        makecontext(&threads[i].context, begin_thread, 0);
    }
    {
        int list[MODEL_THREADS];
        uint32_t count = list_ready(list, -1);

        go_to(list[count == 1 ? 0 : choose(count, 1)]);
    }
    running = -1;
    nb_this_thread = (struct nb_thread){ .number_plus_1 = 1 };
    now->check();
}

/* Whether there is a next schedule; trail[0 .. replay) leads to it. */
static bool next_schedule(void)
{
    while (depth > 0 && trail[depth - 1].taken + 1 >= trail[depth - 1].options)
        depth--;
    if (depth == 0)
        return false;
    trail[depth - 1].taken++;
    replay = depth;
    return true;
}

static void explore(const struct model_case *one, uint64_t limit,
    uint64_t random_count)
{
    uint64_t schedules = 0;
    bool more = true;

    now = one;
    all_steps = 0;
    replay = 0;
    random_order = false;
    for (; more && schedules < limit; schedules++) {
        run_once();
        more = next_schedule();
    }
    random_order = true;
    replay = 0;
    for (uint64_t i = 0; i < random_count; i++, schedules++) {
        uint32_t bound = most_preemptions;

        most_preemptions = 64;
        run_once();
        most_preemptions = bound;
    }
    printf("%s %llu %llu %s\n", one->name, (unsigned long long)schedules,
        (unsigned long long)all_steps, more ? "part" : "all");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct model_case *sets[] = { bitmap_cases, pool_cases,
        table_cases };
    const char *only = NULL;
    uint64_t limit = UINT64_MAX, random_count = 0;

    most_preemptions = 2;
    seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t number = strtoull(argv[i + 1], NULL, 10);

        if (strcmp(argv[i], "--case") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--preemptions") == 0)
            most_preemptions = (uint32_t)number;
        else if (strcmp(argv[i], "--limit") == 0)
            limit = number;
        else if (strcmp(argv[i], "--random") == 0)
            random_count = number;
        else if (strcmp(argv[i], "--seed") == 0)
            seed = number != 0 ? number : 1;
        else
            return 2;
    }
    for (int i = 0; i < 3; i++)
        for (const struct model_case *one = sets[i]; one->name; one++)
            if (only == NULL || strcmp(only, one->name) == 0)
                explore(one, limit, random_count);
    return 0;
}
