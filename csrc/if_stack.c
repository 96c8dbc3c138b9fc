/* SPDX-License-Identifier: MIT
 *
 * if_stack.c - see if_stack.h.
 */
#include "if_stack.h"

#include <string.h>

#define FIRST_CAPACITY 64

static inline uint64_t row_of(uint32_t first, uint32_t second)
{
    return (uint64_t)first << 32 | second;
}

/* Position of the first row not below `row`. */
static uint32_t position_of(const struct nb_rows *rows, uint64_t row)
{
    uint32_t low = 0, high = rows->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (rows->rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool contains(const struct nb_rows *rows, uint64_t row)
{
    uint32_t at = position_of(rows, row);

    return at < rows->count && rows->rows[at] == row;
}

static void insert(struct nb_rows *rows, uint64_t row)
{
    uint32_t at = position_of(rows, row);

    memmove(rows->rows + at + 1, rows->rows + at,
        (rows->count - at) * sizeof *rows->rows);
    rows->rows[at] = row;
    rows->count++;
}

static void erase(struct nb_rows *rows, uint64_t row)
{
    uint32_t at = position_of(rows, row);

    rows->count--;
    memmove(rows->rows + at, rows->rows + at + 1,
        (rows->count - at) * sizeof *rows->rows);
}

/* What has happened to a row of the stack, of which both interfaces are in
 * the table. */
static void tell(struct nb_stack *stack, uint32_t higher, uint32_t lower,
    enum ndisbridge_event_kind kind)
{
    struct nb_events *events = stack->table->events;
    ndisbridge_event event = { .kind = kind,
        .if_index = higher,
        .lower_if_index = lower };

    nb_store_release(&events->stack_last_change, nb_recent_ms());
    if (!nb_events_wanted(events))
        return;
    event.net_luid = nb_load_relaxed(
        &nb_table_find_if_index(stack->table, higher)->net_luid);
    nb_events_post(events, &event, 0);
}

static void forget(void *context, uint32_t if_index)
{
    struct nb_stack *stack = context;

    for (int side = 0; side < 2; side++) {
        struct nb_rows *own = side == 0 ? &stack->down : &stack->up;
        struct nb_rows *other = side == 0 ? &stack->up : &stack->down;
        uint32_t from = position_of(own, row_of(if_index, 0));
        uint32_t to = position_of(own, row_of(if_index + 1, 0));

        for (uint32_t i = from; i < to; i++) {
            uint32_t neighbour = (uint32_t)own->rows[i];

            erase(other, row_of(neighbour, if_index));
            if (side == 0)
                tell(stack, if_index, neighbour,
                    NDISBRIDGE_EVENT_STACK_DELETE);
            else
                tell(stack, neighbour, if_index,
                    NDISBRIDGE_EVENT_STACK_DELETE);
        }
        if (to == from)
            continue;
        memmove(own->rows + from, own->rows + to,
            (own->count - to) * sizeof *own->rows);
        own->count -= to - from;
    }
}

void nb_stack_init(struct nb_stack *stack, struct nb_table *table)
{
    stack->table = table;
    table->forget = forget;
    table->forget_context = stack;
}

static void release_arrays(struct nb_stack *stack)
{
    const struct nb_memory *memory = &stack->table->host->memory;

    nb_deallocate(memory, stack->down.rows,
        stack->capacity * sizeof *stack->down.rows);
    nb_deallocate(
        memory, stack->up.rows, stack->capacity * sizeof *stack->up.rows);
    nb_deallocate(
        memory, stack->pending, stack->capacity * sizeof *stack->pending);
}

void nb_stack_destroy(struct nb_stack *stack)
{
    if (stack->table != NULL)
        release_arrays(stack);
}

static bool grow(struct nb_stack *stack)
{
    const struct nb_memory *memory = &stack->table->host->memory;
    uint32_t capacity =
        stack->capacity == 0 ? FIRST_CAPACITY : stack->capacity * 2;
    uint64_t *down = nb_allocate(memory, capacity * sizeof *down);
    uint64_t *up = nb_allocate(memory, capacity * sizeof *up);
    uint32_t *pending = nb_allocate(memory, capacity * sizeof *pending);

    if (down == NULL || up == NULL || pending == NULL) {
        nb_deallocate(memory, down, capacity * sizeof *down);
        nb_deallocate(memory, up, capacity * sizeof *up);
        nb_deallocate(memory, pending, capacity * sizeof *pending);
        return false;
    }
    if (stack->capacity != 0) {
        memcpy(down, stack->down.rows, stack->down.count * sizeof *down);
        memcpy(up, stack->up.rows, stack->up.count * sizeof *up);
    }
    release_arrays(stack);
    stack->down.rows = down;
    stack->up.rows = up;
    stack->pending = pending;
    stack->capacity = capacity;
    return true;
}

/* Whether `wanted` lies below `from`, or is it.  Each interface is put on
 * the work list once; there is room, because every one but the first is the
 * lower end of some row, and the list is one longer than the rows. */
static bool reaches(
    struct nb_stack *stack, uint32_t from, uint32_t wanted)
{
    uint32_t count = 0;

    stack->visits++;
    stack->pending[count++] = from;
    while (count > 0) {
        uint32_t higher = stack->pending[--count];
        uint32_t i = position_of(&stack->down, row_of(higher, 0));

        if (higher == wanted)
            return true;
        for (; i < stack->down.count && stack->down.rows[i] >> 32 == higher;
             i++) {
            uint32_t lower = (uint32_t)stack->down.rows[i];
            struct nb_interface *interface =
                nb_table_find_if_index(stack->table, lower);

            if (interface->visit == stack->visits)
                continue;
            interface->visit = stack->visits;
            stack->pending[count++] = lower;
        }
    }
    return false;
}

static bool is_open(struct nb_table *table, uint32_t if_index)
{
    struct nb_interface *interface =
        nb_table_find_if_index(table, if_index);

    return interface != NULL
        && !(nb_load(&interface->rundown) & NB_RUNDOWN_CLOSED);
}

static ndisbridge_status add(
    struct nb_stack *stack, uint32_t higher, uint32_t lower)
{
    if (!is_open(stack->table, higher) || !is_open(stack->table, lower))
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    if (contains(&stack->down, row_of(higher, lower)))
        return NDISBRIDGE_STATUS_SUCCESS;
    if (stack->down.count + 1 >= stack->capacity && !grow(stack))
        return NDISBRIDGE_STATUS_RESOURCES;
    if (reaches(stack, lower, higher))
        return NDISBRIDGE_STATUS_STACK_LOOP;
    insert(&stack->down, row_of(higher, lower));
    insert(&stack->up, row_of(lower, higher));
    tell(stack, higher, lower, NDISBRIDGE_EVENT_STACK_ADD);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status nb_stack_add(
    struct nb_stack *stack, uint32_t higher, uint32_t lower)
{
    ndisbridge_status status;

    pthread_mutex_lock(&stack->table->writer);
    status = add(stack, higher, lower);
    pthread_mutex_unlock(&stack->table->writer);
    return status;
}

void nb_stack_delete(struct nb_stack *stack, uint32_t higher, uint32_t lower)
{
    pthread_mutex_lock(&stack->table->writer);
    if (contains(&stack->down, row_of(higher, lower))) {
        erase(&stack->down, row_of(higher, lower));
        erase(&stack->up, row_of(lower, higher));
        tell(stack, higher, lower, NDISBRIDGE_EVENT_STACK_DELETE);
    }
    pthread_mutex_unlock(&stack->table->writer);
}

ndisbridge_status nb_stack_copy(struct nb_stack *stack, bool inverted,
    uint32_t (*rows)[2], uint32_t *count)
{
    const struct nb_rows *from = inverted ? &stack->up : &stack->down;
    ndisbridge_status status = NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;

    pthread_mutex_lock(&stack->table->writer);
    if (from->count <= *count) {
        for (uint32_t i = 0; i < from->count; i++) {
            rows[i][0] = (uint32_t)(from->rows[i] >> 32);
            rows[i][1] = (uint32_t)from->rows[i];
        }
        status = NDISBRIDGE_STATUS_SUCCESS;
    }
    *count = from->count;
    pthread_mutex_unlock(&stack->table->writer);
    return status;
}

static bool is_filter(struct nb_table *table, uint32_t if_index)
{
    struct nb_interface *interface =
        nb_table_find_if_index(table, if_index);

    /* The caller has found it, under `writer`. */
    return NB_ALWAYS(interface != NULL)
        && (interface->flags & NDISBRIDGE_NIIF_FILTER_INTERFACE);
}

/* The neighbour of if_index; above, only a filter module counts. */
static uint32_t neighbour(
    struct nb_stack *stack, const struct nb_rows *rows, uint32_t if_index)
{
    uint32_t i = position_of(rows, row_of(if_index, 0));

    for (; i < rows->count && rows->rows[i] >> 32 == if_index; i++) {
        uint32_t next = (uint32_t)rows->rows[i];

        /* One that is being deregistered is no part of it any more. */
        if (is_open(stack->table, next)
            && (rows == &stack->down || is_filter(stack->table, next)))
            return next;
    }
    return 0;
}

ndisbridge_status nb_stack_binding(struct nb_stack *stack,
    uint32_t if_index, uint32_t *bound, uint32_t *lowest)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;

    pthread_mutex_lock(&stack->table->writer);
    if (is_open(stack->table, if_index)) {
        uint32_t next;

        *lowest = if_index;
        while (is_filter(stack->table, *lowest)
            && (next = neighbour(stack, &stack->down, *lowest)) != 0)
            *lowest = next;
        *bound = *lowest;
        while ((next = neighbour(stack, &stack->up, *bound)) != 0)
            *bound = next;
        status = NDISBRIDGE_STATUS_SUCCESS;
    }
    pthread_mutex_unlock(&stack->table->writer);
    return status;
}
