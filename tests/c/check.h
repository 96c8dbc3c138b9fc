/* SPDX-License-Identifier: MIT
 *
 * check.h - what every C test needs: a check that is counted, numbers that
 * are random but can be had again, and a measure of how slow this build is.
 *
 * A test is a program: main() calls check_begin(), then whatever it tests,
 * and returns check_end(), which prints "N passed, M failed".  A failed
 * check prints where and goes on; after CHECK_MOST failures the program
 * gives up.  NDISBRIDGE_TEST_SEED=<number> repeats a run.
 *
 * CHECK may be used on any thread.
 */
#ifndef NB_TEST_CHECK_H
#define NB_TEST_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHECK_THREAD_SANITIZER 1
#elif __has_feature(address_sanitizer)
#define CHECK_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(CHECK_THREAD_SANITIZER)
#define CHECK_THREAD_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__) && !defined(CHECK_ADDRESS_SANITIZER)
#define CHECK_ADDRESS_SANITIZER 1
#endif

/* Divides the number of rounds of a random test, and the time of a stress.
 * CHECK_EMULATED: for another machine or system than this, run by an emulator
 * (tests/test_cross.py). */
#if defined(CHECK_EMULATED)
#define CHECK_SLOWNESS 20
#elif defined(CHECK_THREAD_SANITIZER)
#define CHECK_SLOWNESS 10
#elif defined(CHECK_ADDRESS_SANITIZER)
#define CHECK_SLOWNESS 4
#else
#define CHECK_SLOWNESS 1
#endif

/* How long threads work together, without an emulator, in ms. */
#ifdef CHECK_EMULATED
#define CHECK_DURATION_MS(ms) ((ms) / 4)
#else
#define CHECK_DURATION_MS(ms) (ms)
#endif

/* Where the lowest byte of a number of so many bytes lies. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define CHECK_LOW_BYTE(size) ((size) - 1)
#else
#define CHECK_LOW_BYTE(size) ((size) * 0)
#endif

/* QEMU translates what a program says to the kernel over netlink if the byte
 * orders differ, but not all of it. */
#if defined(CHECK_EMULATED) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define CHECK_HAS_NETLINK false
#else
#define CHECK_HAS_NETLINK true
#endif

#define CHECK_MOST 20

static atomic_uint check_passed, check_failed;

static inline bool check_count(
    bool good, const char *file, int line, const char *text)
{
    if (good) {
        atomic_fetch_add_explicit(&check_passed, 1, memory_order_relaxed);
        return true;
    }
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    if (atomic_fetch_add(&check_failed, 1) + 1 == CHECK_MOST) {
        fprintf(stderr, "too many failures\n");
        exit(1);
    }
    return false;
}

/* Counts and reports; the value is whether it held. */
#define CHECK(condition) \
    check_count((condition), __FILE__, __LINE__, #condition)

/* For what a test cannot go on without. */
#define REQUIRE(condition) \
    do { \
        if (!CHECK(condition)) \
            exit(1); \
    } while (0)

/* Checks two numbers, and prints them if they differ. */
#define CHECK_EQUAL(is, wanted) \
    do { \
        long long is_ = (long long)(is), wanted_ = (long long)(wanted); \
        if (!check_count(is_ == wanted_, __FILE__, __LINE__, #is)) \
            fprintf(stderr, "    is %lld (0x%llX), should be %lld" \
                " (0x%llX)\n", is_, (unsigned long long)is_, wanted_, \
                (unsigned long long)wanted_); \
    } while (0)

/* Checks a status by its last name: CHECK_STATUS(call, IN_USE). */
#define CHECK_STATUS(call, name) \
    CHECK_EQUAL(call, NDISBRIDGE_STATUS_##name)

/* ---- random numbers (splitmix64) --------------------------------------- */

static inline uint64_t check_mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* 0 .. below - 1; the bias of the remainder does not matter here. */
static inline uint32_t check_below(uint64_t *state, uint32_t below)
{
    return (uint32_t)(check_mix(state) % below);
}

/* The seed of this run; prints it. */
static inline uint64_t check_begin(const char *name)
{
    const char *wanted = getenv("NDISBRIDGE_TEST_SEED");
    uint64_t seed = wanted != NULL ? strtoull(wanted, NULL, 0)
                                   : (uint64_t)time(NULL);

    printf("%s, seed %llu\n", name, (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

#ifdef NB_COVERAGE
extern void __gcov_dump(void);
#endif

/* Ends a child of fork(): without what atexit() has, but with what it has
 * covered. */
static inline _Noreturn void check_leave(int code)
{
#ifdef NB_COVERAGE
    __gcov_dump();
#endif
    _exit(code);
}

static inline int check_end(void)
{
    printf("%u passed, %u failed\n", atomic_load(&check_passed),
        atomic_load(&check_failed));
    return atomic_load(&check_failed) == 0 ? 0 : 1;
}

#endif
