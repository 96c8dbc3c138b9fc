/* SPDX-License-Identifier: MIT
 *
 * history.h - what the operations of a schedule were asked and answered, and
 * whether some order of them, one at a time, explains all of it.
 */
#ifndef NB_MODEL_HISTORY_H
#define NB_MODEL_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_INDEXES 4
#define NONE 255

struct op {
    int kind;
    uint8_t index;  /* 0 .. 3, or NONE */
    uint8_t result;
    uint32_t begin, end;
};

/* States of the simple space that explains a history. */
enum { IS_UNLEASED, IS_FREE, IS_ALLOCATED, IS_RETAINED, IS_BOTH };

/* Does an operation to the states of the indexes; false if there it would
 * have answered otherwise. */
typedef bool apply_op(const struct op *op, uint8_t *state);

void history_clear(void);
struct op *history_begin(int kind, uint8_t index);
void history_end(struct op *op, uint8_t result);
/* Checks the whole history, from these states on. */
void history_check(apply_op *apply, const uint8_t first[HISTORY_INDEXES]);

/* from -> to if it answered that it did so; else not from. */
bool history_turn(uint8_t *state, uint8_t from, uint8_t to, bool done);

#endif
