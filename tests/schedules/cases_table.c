/* SPDX-License-Identifier: MIT
 *
 * cases_table.c - if_table.c: registration, lookup, rundown, and records
 * that are used again.
 */
#include "explore.h"
#include "if_table.h"

#include <stdlib.h>
#include <string.h>

#define LUIDS 2

static struct nb_table *table;
static struct nb_host host;
static struct nb_pool pool;
static struct nb_events events;
static nb_atomic_u32 life = NB_LIFE_OPEN, registered;
static int contexts[LUIDS];  /* what a handler of each would be given */
static int inside[LUIDS];
static int successes;

static void *take(void *context, size_t size)
{
    void *block = aligned_alloc(64, (size + 63) / 64 * 64);

    (void)context;
    if (block != NULL)
        memset(block, 0, size);
    return block;
}

static void give(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

/* What a session does here to its stack rows is not explored. */
static void forget(void *context, uint32_t if_index)
{
    (void)context;
    (void)if_index;
}

static ndisbridge_net_luid luid_of(int i)
{
    return (uint64_t)6 << 48 | (uint64_t)(i + 1) << 24;
}

static uint32_t if_index_of(int i)
{
    return 0x1000000 + (uint32_t)i;  /* not of the pool */
}

static ndisbridge_status add(int i)
{
    static const ndisbridge_mib_if_row2 row;
    static const ndisbridge_interface_information information;
    struct nb_registration registration = {
        .provider_interfaces = &registered,
        .context = &contexts[i],
        .net_luid = luid_of(i),
        .row = &row,
        .information = &information,
    };
    struct nb_interface *made;
    uint32_t if_index = if_index_of(i);
    ndisbridge_status status = nb_table_reserve(table, &registration, &made);

    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = nb_table_open(table, made, &if_index);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        nb_table_cancel(table, made);
    else
        successes++;
    return status;
}

static void drop(int i)
{
    ndisbridge_status status =
        nb_table_deregister(table, if_index_of(i), 1000);

    model_check(status == NDISBRIDGE_STATUS_SUCCESS
            || status == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND
            || status == NDISBRIDGE_STATUS_INVALID_STATE,
        "deregistering did not succeed");
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        model_check(inside[i] == 0, "a handler runs on after deregistering");
}

/* What a query does around the call of a handler. */
static void enter(int i)
{
    struct nb_interface *interface = nb_table_find(table, luid_of(i));

    if (interface == NULL || !nb_interface_enter(interface, luid_of(i)))
        return;
    inside[i]++;
    model_check(interface->context == &contexts[i],
        "entered another's interface");
    model_step(NULL);
    model_check(interface->context == &contexts[i],
        "the record was used again with a handler inside");
    inside[i]--;
    nb_interface_leave(table, interface);
}

/* An event is read while its record may become another's. */
static void look(int i)
{
    struct nb_interface *interface =
        nb_table_find_if_index(table, if_index_of(i));
    ndisbridge_event event;
    uint64_t sequence;

    if (interface == NULL)
        return;
    nb_interface_read(interface, &event, &sequence);
    model_check(event.if_index == 0
            || (event.net_luid == luid_of(0)
                && event.if_index == if_index_of(0))
            || (event.net_luid == luid_of(1)
                && event.if_index == if_index_of(1)),
        "an ifIndex with another's NET_LUID");
}

static void setup(void)
{
    if (table == NULL) {
        table = take(NULL, sizeof *table);
        host.memory.allocate = take;
        host.memory.deallocate = give;
        host.life = &life;
        pool.host = &host;
        pool.if_index_first = 1;
        if (nb_table_init(table, &host, &pool, &events)
            != NDISBRIDGE_STATUS_SUCCESS)
            abort();
        table->forget = forget;
    }
    memset(inside, 0, sizeof inside);
    add(0);
    successes = 0;
}

static void setup_empty(void)
{
    setup();
    drop(0);
}

static void check(void)
{
    uint32_t left = 0;

    for (int i = 0; i < LUIDS; i++) {
        model_check(inside[i] == 0, "a handler is left");
        model_check((nb_table_find(table, luid_of(i)) == NULL)
                == (nb_table_find_if_index(table, if_index_of(i)) == NULL),
            "found by one of NET_LUID and ifIndex only");
        left += nb_table_find(table, luid_of(i)) != NULL;
    }
    model_check(nb_load(&table->count) == left, "the count is wrong");
    model_check(nb_load(&registered) == left, "the provider's count is wrong");
    for (int i = 0; i < LUIDS; i++)
        nb_table_deregister(table, if_index_of(i), 0);
    model_check(nb_load(&table->count) == 0, "one cannot be deregistered");
}

static void check_once(void)
{
    model_check(successes == 1, "registered twice");
    check();
}

static void enter_0(void) { enter(0); }
static void enter_1(void) { enter(1); }
static void drop_0(void) { drop(0); }
static void add_0(void) { add(0); }
static void look_0(void) { look(0); }
static void drop_and_add_1(void)
{
    drop(0);
    add(1);
}
static void drop_and_add_0(void)
{
    drop(0);
    add(0);
}

const struct model_case table_cases[] = {
    { "rundown", setup, { enter_0, enter_0, drop_0 }, check, NULL },
    { "close-twice", setup, { enter_0, drop_0, drop_0 }, check, NULL },
    { "used-again", setup, { enter_0, drop_and_add_1, enter_1 }, check,
        NULL },
    { "generation", setup, { enter_0, drop_and_add_0, enter_0 }, check,
        NULL },
    { "register-twice", setup_empty, { add_0, add_0, enter_0 }, check_once,
        NULL },
    { "lookup", setup, { look_0, drop_and_add_1, NULL }, check, NULL },
    { NULL, NULL, { NULL }, NULL, NULL },
};
