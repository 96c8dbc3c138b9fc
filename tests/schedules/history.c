/* SPDX-License-Identifier: MIT
 *
 * history.c - see history.h.
 */
#include "history.h"

#include <string.h>

#include "explore.h"

#define MAX_OPS 24

static struct op ops[MAX_OPS];
static uint32_t op_count, now;

void history_clear(void)
{
    op_count = now = 0;
}

struct op *history_begin(int kind, uint8_t index)
{
    struct op *op = &ops[op_count++];

    *op = (struct op){ kind, index, 1, ++now, UINT32_MAX };
    return op;
}

void history_end(struct op *op, uint8_t result)
{
    op->result = result;
    op->end = ++now;
}

bool history_turn(uint8_t *state, uint8_t from, uint8_t to, bool done)
{
    if ((*state == from) != done)
        return false;
    if (done)
        *state = to;
    return true;
}

/* Whether some order that respects who came after whom explains it all. */
static bool linearize(apply_op *apply, uint32_t left, const uint8_t *state)
{
    uint32_t earliest_end = UINT32_MAX;

    if (left == 0)
        return true;
    for (uint32_t i = 0; i < op_count; i++)
        if ((left >> i & 1) && ops[i].end < earliest_end)
            earliest_end = ops[i].end;
    for (uint32_t i = 0; i < op_count; i++) {
        uint8_t after[HISTORY_INDEXES];

        if (!(left >> i & 1) || ops[i].begin > earliest_end)
            continue;
        memcpy(after, state, sizeof after);
        if (apply(&ops[i], after)
            && linearize(apply, left & ~(1U << i), after))
            return true;
    }
    return false;
}

void history_check(apply_op *apply, const uint8_t first[HISTORY_INDEXES])
{
    model_check(linearize(apply, (1U << op_count) - 1, first),
        "no order of the operations explains what they answered");
}
