/* SPDX-License-Identifier: MIT
 *
 * test_session_retain.c - ndisbridge_retain_net_luids(): NET_LUIDs of
 * several IfTypes reach the retain hook once, in order, all or none, also
 * when memory runs out.
 */
#include <string.h>

#include "../../csrc/session.h"
#include "check.h"

enum { COUNT = 9000 };

/* What the hook has seen, and what it answers. */
static struct {
    ndisbridge_status answer;
    uint32_t calls, sets, indexes;
    bool ordered;
} hook;

static ndisbridge_status retain(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    (void)context;
    (void)flags;
    (void)record;
    hook.calls++;
    hook.sets = set_count;
    hook.indexes = 0;
    hook.ordered = true;
    for (uint32_t i = 0; i < set_count; i++) {
        const ndisbridge_block_mask *blocks = sets[i].blocks;

        hook.ordered &= i == 0 || sets[i].if_type > sets[i - 1].if_type;
        for (uint32_t j = 0; j < sets[i].block_count; j++) {
            hook.ordered &= j == 0 || blocks[j].block > blocks[j - 1].block;
            for (uint32_t k = 0; k < 64; k++)
                hook.indexes += nb_count_bits(blocks[j].mask[k]);
        }
    }
    return hook.answer;
}

/* Allocations left until one fails. */
static uint32_t allocations_left = UINT32_MAX;

static void *allocate(void *context, size_t size)
{
    if (allocations_left != UINT32_MAX && allocations_left-- == 0)
        return NULL;
    return nb_system_allocate(context, size);
}

static void deallocate(void *context, void *memory, size_t size)
{
    nb_system_deallocate(context, memory, size);
}

static uint32_t allocated(ndisbridge_session *session, uint16_t if_type)
{
    ndisbridge_index_counts counts;

    REQUIRE(ndisbridge_count_net_luid_indexes(session, &counts, if_type)
        == NDISBRIDGE_STATUS_SUCCESS);
    return counts.allocated;
}

int main(void)
{
    ndisbridge_persistence_hooks hooks = { .header = { 0x80, 1,
                                               sizeof hooks },
        .retain = retain, .release = retain };
    ndisbridge_session_config config = { .header = { 0x80, 1,
                                             sizeof config },
        .hooks = &hooks,
        .allocate = allocate,
        .deallocate = deallocate };
    static const uint16_t types[] = { 131, 6, 209 };
    static ndisbridge_net_luid net_luids[COUNT];
    ndisbridge_session *session;
    uint32_t index;

    (void)check_begin("session_retain");
    REQUIRE(ndisbridge_session_create(&session, &config)
        == NDISBRIDGE_STATUS_SUCCESS);
    for (uint32_t i = 0; i < COUNT; i++) {
        REQUIRE(ndisbridge_allocate_net_luid_index(
                    session, &index, types[i % 3])
            == NDISBRIDGE_STATUS_SUCCESS);
        REQUIRE(ndisbridge_make_net_luid(&net_luids[i], types[i % 3], index)
            == NDISBRIDGE_STATUS_SUCCESS);
    }

    /* No memory, at each place: nothing is asked of the store. */
    for (uint32_t i = 0; i < 3; i++) {
        allocations_left = i;
        CHECK_STATUS(ndisbridge_retain_net_luids(
                         session, net_luids, COUNT, 0, NULL),
            RESOURCES);
    }
    allocations_left = UINT32_MAX;
    CHECK_EQUAL(hook.calls, 0);

    /* The store refuses: all are allocated as before. */
    hook.answer = NDISBRIDGE_STATUS_FAILURE;
    CHECK_STATUS(
        ndisbridge_retain_net_luids(session, net_luids, COUNT, 0, NULL),
        FAILURE);
    CHECK(hook.calls == 1 && hook.sets == 3 && hook.ordered);
    CHECK_EQUAL(hook.indexes, COUNT);
    CHECK_EQUAL(allocated(session, 6), COUNT / 3);

    /* One that is given twice, not allocated, or no NET_LUID. */
    for (uint32_t i = 0; i < 4; i++) {
        ndisbridge_net_luid kept = net_luids[7];
        const ndisbridge_net_luid bad[] = { net_luids[8],
            (uint64_t)6 << 48 | (uint64_t)0xFFFFFF << 24,
            (uint64_t)77 << 48, kept | 1 };

        net_luids[7] = bad[i];
        CHECK_STATUS(
            ndisbridge_retain_net_luids(session, net_luids, COUNT, 0, NULL),
            INVALID_PARAMETER);
        net_luids[7] = kept;
    }
    CHECK_STATUS(ndisbridge_retain_net_luids(session, NULL, 1, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_retain_net_luids(session, net_luids, 0, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_retain_net_luids(session, net_luids, 1, 8, NULL),
        INVALID_PARAMETER);
    CHECK_EQUAL(hook.calls, 1);

    hook.answer = NDISBRIDGE_STATUS_SUCCESS;
    CHECK_STATUS(
        ndisbridge_retain_net_luids(session, net_luids, COUNT, 0, NULL),
        SUCCESS);
    CHECK_EQUAL(hook.calls, 2);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQUAL(allocated(session, types[i]), 0);
    CHECK_STATUS(
        ndisbridge_retain_net_luids(session, net_luids, 1, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    return check_end();
}
