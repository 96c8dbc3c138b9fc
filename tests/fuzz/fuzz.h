/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what the fuzz targets share.  A target is a function of bytes,
 * LLVMFuzzerTestOneInput(): clang's libFuzzer calls it with what it makes up,
 * replay.c with files.  Every byte string is allowed; what must hold is an
 * ENSURE(), and the sanitizers watch the rest.
 */
#ifndef NB_FUZZ_H
#define NB_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ndisbridge.h"

#define ENSURE(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, \
                #condition); \
            abort(); \
        } \
    } while (0)

#define ENSURE_STATUS(call, name) \
    ENSURE((call) == NDISBRIDGE_STATUS_##name)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of the input; reads as zeros behind its end. */
struct fuzz_input {
    const uint8_t *at;
    size_t size;
};

static inline void fuzz_take(
    struct fuzz_input *input, void *to, size_t size)
{
    size_t there = size < input->size ? size : input->size;

    memset(to, 0, size);
    if (there > 0)
        memcpy(to, input->at, there);
    input->at += there;
    input->size -= there;
}

static inline uint8_t fuzz_u8(struct fuzz_input *input)
{
    uint8_t value;

    fuzz_take(input, &value, sizeof value);
    return value;
}

static inline uint16_t fuzz_u16(struct fuzz_input *input)
{
    uint16_t value;

    fuzz_take(input, &value, sizeof value);
    return value;
}

static inline uint32_t fuzz_u32(struct fuzz_input *input)
{
    uint32_t value;

    fuzz_take(input, &value, sizeof value);
    return value;
}

/* Bytes in a heap block of their size, so that one byte too far is seen. */
static inline void *fuzz_copy(const void *bytes, size_t size)
{
    void *copy = malloc(size > 0 ? size : 1);

    ENSURE(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

#endif
