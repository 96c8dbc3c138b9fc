/* SPDX-License-Identifier: MIT
 *
 * if_stack.h - the interface stack: rows (higher, lower), always acyclic.
 *
 * Kept twice, ordered by (higher, lower) and by (lower, higher), so that
 * both directions are one binary search away.  Everything here happens under
 * the table's `writer`: the stack is small and changes rarely.
 */
#ifndef NB_IF_STACK_H
#define NB_IF_STACK_H

#include "if_table.h"

struct nb_rows {
    uint64_t *rows;  /* first << 32 | second, ascending */
    uint32_t count;
};

struct nb_stack {
    struct nb_table *table;
    struct nb_rows down;  /* first is the higher interface */
    struct nb_rows up;  /* first is the lower interface */
    uint32_t capacity;  /* of both, and of pending */
    uint32_t *pending;  /* work list of searches */
    uint64_t visits;  /* searches so far */
};

/* Makes the stack the table's `forget`. */
void nb_stack_init(struct nb_stack *stack, struct nb_table *table);
void nb_stack_destroy(struct nb_stack *stack);

ndisbridge_status nb_stack_add(
    struct nb_stack *stack, uint32_t higher, uint32_t lower);
void nb_stack_delete(
    struct nb_stack *stack, uint32_t higher, uint32_t lower);

/* Copies up to *count rows, first member first; BUFFER_TOO_SHORT and the
 * number needed if there are more. */
ndisbridge_status nb_stack_copy(struct nb_stack *stack, bool inverted,
    uint32_t (*rows)[2], uint32_t *count);

/* Ends of the filter chain of an interface. */
ndisbridge_status nb_stack_binding(struct nb_stack *stack,
    uint32_t if_index, uint32_t *bound, uint32_t *lowest);

#endif
