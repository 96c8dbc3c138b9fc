/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the loops of the benchmarks share.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

/* The next position in an array, cyclically, without a division. */
static inline uint32_t next_of(uint32_t *from, uint32_t size)
{
    uint32_t at = *from < size ? *from : 0;

    *from = at + 1;
    return at;
}

#endif
