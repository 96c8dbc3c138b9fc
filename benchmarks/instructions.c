/* SPDX-License-Identifier: MIT
 *
 * instructions.c - the core paths, each in a function of its own, for
 * instructions.py to count their instructions under callgrind.  A number
 * after the name says how many operations it is.
 */
#include <ndisbridge.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT 1024
#define PATH __attribute__((noinline)) void

uint64_t pairs(ndisbridge_session *session, uint16_t if_type, uint32_t n);
uint64_t churn(ndisbridge_session *session, uint16_t if_type,
    uint32_t *window, uint32_t size, uint32_t n);
uint64_t claims(ndisbridge_session *session, uint16_t if_type,
    uint32_t net_luid_index, uint32_t n);
uint64_t claim_many(ndisbridge_session *session, uint16_t if_type,
    uint32_t *indexes, uint32_t count);
uint64_t free_many(ndisbridge_session *session, uint16_t if_type,
    uint32_t *indexes, uint32_t count);
ndisbridge_provider provide(ndisbridge_session *session);
uint64_t populate(ndisbridge_session *session, ndisbridge_provider provider,
    uint64_t *net_luids, uint32_t *if_indexes, uint32_t count,
    uint64_t octets);
uint64_t registrations(ndisbridge_session *session,
    ndisbridge_provider provider, uint64_t net_luid, uint32_t n);
uint64_t find_if_indexes(ndisbridge_session *session,
    const uint64_t *net_luids, uint32_t count, uint32_t n);
uint64_t find_net_luids(ndisbridge_session *session,
    const uint32_t *if_indexes, uint32_t count, uint32_t n);
uint64_t queries(ndisbridge_session *session, const uint64_t *net_luids,
    uint32_t count, uint32_t oid, uint32_t n);
uint64_t query_many(ndisbridge_session *session, const uint64_t *net_luids,
    uint32_t count, uint32_t oid, uint64_t *values, uint32_t *lengths,
    int32_t *statuses, uint32_t times);
uint64_t table(ndisbridge_session *session, ndisbridge_mib_if_row2 *rows,
    uint32_t room);

static ndisbridge_session *session, *native;
static ndisbridge_provider provider;
static uint64_t net_luids[COUNT], native_luids[COUNT], values[COUNT];
static uint32_t if_indexes[COUNT], native_indexes[COUNT], lengths[COUNT];
static uint32_t indexes[64 * COUNT], halves[32 * COUNT];
static int32_t statuses[COUNT];
static ndisbridge_mib_if_row2 rows[COUNT];

static void is(uint64_t result, uint64_t expected)
{
    if (result != expected) {
        fprintf(stderr, "%llu instead of %llu\n", (unsigned long long)result,
            (unsigned long long)expected);
        exit(1);
    }
}

static void done(ndisbridge_status status)
{
    is(status != NDISBRIDGE_STATUS_SUCCESS, 0);
}

PATH path_pair_1024(void)
{
    is(pairs(session, 6, COUNT), 2 * COUNT);
}

PATH path_churn_1024(void)
{
    is(churn(session, 7, indexes, COUNT, COUNT), 2 * COUNT);
}

PATH path_claim_1024(void)
{
    is(claims(session, 9, 4095, COUNT), 2 * COUNT);
}

PATH path_batch_claim_65536(void)
{
    is(claim_many(session, 8, indexes, 64 * COUNT), 64 * COUNT);
}

/* From words of which every other index is free. */
PATH path_batch_claim_half_32768(void)
{
    is(claim_many(session, 8, halves, 32 * COUNT), 32 * COUNT);
}

PATH path_batch_free_half_32768(void)
{
    is(free_many(session, 8, halves, 32 * COUNT), 32 * COUNT);
}

PATH path_batch_free_65536(void)
{
    is(free_many(session, 8, indexes, 64 * COUNT), 64 * COUNT);
}

PATH path_find_by_net_luid_1024(void)
{
    is(find_if_indexes(session, net_luids, COUNT, COUNT),
        (uint64_t)COUNT * (COUNT + 1) / 2);
}

PATH path_find_by_if_index_1024(void)
{
    is(find_net_luids(session, if_indexes, COUNT, COUNT),
        (uint64_t)COUNT * (COUNT - 1) / 2);
}

PATH path_query_published_1024(void)
{
    is(queries(session, net_luids, COUNT, NDISBRIDGE_OID_GEN_BYTES_RCV,
           COUNT),
        78 * COUNT);
}

PATH path_query_native_1024(void)
{
    is(queries(native, native_luids, COUNT, NDISBRIDGE_OID_GEN_BYTES_RCV,
           COUNT),
        77 * COUNT);
}

PATH path_batch_query_1024(void)
{
    is(query_many(session, net_luids, COUNT, NDISBRIDGE_OID_GEN_BYTES_RCV,
           values, lengths, statuses, 1),
        COUNT);
}

PATH path_table_row_1024(void)
{
    is(table(session, rows, COUNT), COUNT);
}

PATH path_register_1024(void)
{
    is(registrations(session, provider, (uint64_t)10 << 48, COUNT),
        2 * COUNT);
}

int main(void)
{
    uint32_t index;

    done(ndisbridge_session_create(&session, NULL));
    done(ndisbridge_session_create(&native, NULL));
    provider = provide(session);
    is(populate(session, provider, net_luids, if_indexes, COUNT, 78), COUNT);
    is(populate(native, provide(native), native_luids, native_indexes, COUNT,
           0),
        COUNT);
    done(ndisbridge_allocate_net_luid_index(session, &index, 10));
    /* Each once before it is counted: what is made on first use is there. */
    for (int counted = 0; counted < 2; counted++) {
        path_pair_1024();
        path_claim_1024();
        path_batch_claim_65536();
        for (uint32_t i = 0; i < 32 * COUNT; i++)
            halves[i] = indexes[2 * i];
        path_batch_free_half_32768();
        path_batch_claim_half_32768();
        path_batch_free_65536();
        is(claim_many(session, 7, indexes, COUNT), COUNT);
        path_churn_1024();
        is(free_many(session, 7, indexes, COUNT), COUNT);
        path_find_by_net_luid_1024();
        path_find_by_if_index_1024();
        path_query_published_1024();
        path_query_native_1024();
        path_batch_query_1024();
        path_table_row_1024();
        path_register_1024();
    }
    done(ndisbridge_session_destroy(session));
    done(ndisbridge_session_destroy(native));
    return 0;
}
