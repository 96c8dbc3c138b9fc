/* SPDX-License-Identifier: MIT
 *
 * test_steps.c - how many atomic steps a call takes, which does not depend on
 * the machine: what is empty is not walked over.
 */
#include "session.h"

#include "block_store.h"
#include "interface_kit.h"

enum { REGISTRATIONS = 20000 };

static void never(void *context)
{
    (void)context;
    CHECK(false);
}

static void begin_steps(void)
{
    staged_begin(never, NULL, UINT32_MAX, UINT32_MAX);
}

static uint32_t end_steps(void)
{
    (void)staged_end();
    return staged_act.steps;
}

/* A walk of the table costs what is in it, however many have come and gone,
 * each with an ifIndex of its own. */
static void test_walk(void)
{
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider = kit_provider(session, kit_no_answer, NULL);
    uint32_t if_index, last = NDISBRIDGE_IF_INDEX_MAX, steps, count = 0;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, NULL);

    for (uint32_t i = 0; i < REGISTRATIONS; i++) {
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
        if_index = 0;
        CHECK_STATUS(kit_register(
                         session, &if_index, provider, net_luid, 0, NULL),
            SUCCESS);
        CHECK_EQUAL(if_index, i + 2);
    }
    (void)kit_interface(session, &last, provider, 0, NULL);
    begin_steps();
    CHECK_STATUS(ndisbridge_get_if_table(
                     session, NULL, &count, NDISBRIDGE_IF_TABLE_PUBLISHED),
        BUFFER_TOO_SHORT);
    steps = end_steps();
    CHECK_EQUAL(count, 2);
    CHECK(steps < 1500);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* Nor does a trim or an end look at each of 65,536 IfTypes. */
static void test_spaces(void)
{
    ndisbridge_session *session = check_open(NULL);
    uint32_t index;

    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 0xFFFF), SUCCESS);
    begin_steps();
    CHECK_STATUS(ndisbridge_trim(session, NULL), SUCCESS);
    CHECK(end_steps() < 10000);
    begin_steps();
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    CHECK(end_steps() < 20000);
}

int main(void)
{
    (void)check_begin("steps");
    test_walk();
    test_spaces();
    return check_end();
}
