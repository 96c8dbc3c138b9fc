/* SPDX-License-Identifier: MIT
 *
 * fuzz_api.c - bytes to operations of the public API, each compared with a
 * model too simple to be wrong: a list of indexes, of which each is free,
 * allocated or retained, and may be registered; and a matrix of stack rows.
 */
#define _GNU_SOURCE
#include "fuzz_session.h"

enum { MOST = 48, OPERATIONS = 200 };
enum state { FREE, ALLOCATED, RETAINED };

struct index {
    uint16_t if_type;
    uint32_t index;
    enum state state;
    uint32_t if_index;  /* 0: not registered */
    uint32_t mtu;  /* 0: not published */
    bool above[MOST];  /* rows: this one above those */
};

static struct fuzz_input input;
static struct index model[MOST];
static uint32_t used;
static ndisbridge_session *session;
static ndisbridge_provider provider;
static bool lowest;

static ndisbridge_status no_answer(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid, (void)length, (void)output;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

static ndisbridge_net_luid luid_of(uint16_t if_type, uint32_t index)
{
    return (uint64_t)if_type << 48 | (uint64_t)index << 24;
}

/* The entry of an index that was ever in use; NULL if there is no room. */
static struct index *entry_of(uint16_t if_type, uint32_t index)
{
    for (uint32_t i = 0; i < used; i++)
        if (model[i].if_type == if_type && model[i].index == index)
            return &model[i];
    if (used == MOST)
        return NULL;
    model[used] = (struct index){ .if_type = if_type, .index = index };
    return &model[used++];
}

/* An entry by a byte of the input: mostly one that is there. */
static struct index *any_entry(void)
{
    static const uint32_t indexes[] = { 0, 1, 63, 64, 4095, 4096, 8191,
        0x7FFFFF, 0xFFFFFE, 0xFFFFFF };
    uint8_t choice = fuzz_u8(&input);
    struct index *entry;

    if (choice < 192 && used > 0)
        return &model[choice % used];
    entry = entry_of((uint16_t)(1 + choice % 3),
        indexes[fuzz_u8(&input) % (sizeof indexes / sizeof *indexes)]);
    return entry != NULL ? entry : &model[choice % used];
}

static void check_allocate(void)
{
    uint16_t if_type = (uint16_t)(fuzz_u8(&input) % 4);
    uint32_t index = 0;
    struct index *entry;

    if (used == MOST)
        return;
    if (if_type == 0) {
        ENSURE_STATUS(ndisbridge_allocate_net_luid_index(session, &index, 0),
            INVALID_PARAMETER);
        return;
    }
    ENSURE_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, if_type),
        SUCCESS);
    entry = entry_of(if_type, index);
    ENSURE(entry != NULL && entry->state == FREE);
    entry->state = ALLOCATED;
}

static void check_allocate_many(void)
{
    uint32_t indexes[8], count = fuzz_u8(&input) % 9, freed = 0;
    uint16_t if_type = (uint16_t)(1 + fuzz_u8(&input) % 3);

    if (used + count > MOST)
        return;
    ENSURE_STATUS(ndisbridge_allocate_net_luid_indexes(
                      session, indexes, count, if_type),
        SUCCESS);
    for (uint32_t i = 0; i < count; i++) {
        struct index *entry = entry_of(if_type, indexes[i]);

        ENSURE(entry != NULL && entry->state == FREE);
        entry->state = ALLOCATED;
    }
    if (fuzz_u8(&input) & 1)
        return;
    ENSURE_STATUS(ndisbridge_free_net_luid_indexes(
                      session, &freed, if_type, indexes, count),
        SUCCESS);
    ENSURE(freed == count);
    for (uint32_t i = 0; i < count; i++)
        entry_of(if_type, indexes[i])->state = FREE;
}

static void check_claim(struct index *entry)
{
    ndisbridge_status status = ndisbridge_claim_net_luid_index(
        session, entry->if_type, entry->index);

    ENSURE(status
        == (entry->state == FREE ? NDISBRIDGE_STATUS_SUCCESS
                                 : NDISBRIDGE_STATUS_IN_USE));
    if (entry->state == FREE)
        entry->state = ALLOCATED;
}

static void check_free(struct index *entry)
{
    bool can = entry->state == ALLOCATED && entry->if_index == 0;
    ndisbridge_status status = ndisbridge_free_net_luid_index(
        session, entry->if_type, entry->index);

    ENSURE(status
        == (can ? NDISBRIDGE_STATUS_SUCCESS
                : NDISBRIDGE_STATUS_INVALID_PARAMETER));
    if (can)
        entry->state = FREE;
}

static void check_retain(struct index *entry)
{
    ndisbridge_status status = ndisbridge_retain(session, entry->if_type,
        &entry->index, 1, 0, NDISBRIDGE_RETAIN_NON_PERSISTENT, NULL);

    /* A registered one is held already. */
    if (entry->state == ALLOCATED && entry->if_index == 0) {
        ENSURE(status == NDISBRIDGE_STATUS_SUCCESS);
        entry->state = RETAINED;
    } else
        ENSURE(status == NDISBRIDGE_STATUS_INVALID_PARAMETER);
}

static void check_release(struct index *entry)
{
    ndisbridge_status status = ndisbridge_release(session, entry->if_type,
        &entry->index, 1, 0, NDISBRIDGE_RETAIN_NON_PERSISTENT, NULL);

    if (entry->if_index != 0)
        ENSURE(status == NDISBRIDGE_STATUS_IN_USE);
    else if (entry->state == RETAINED) {
        ENSURE(status == NDISBRIDGE_STATUS_SUCCESS);
        entry->state = FREE;
    } else
        ENSURE(status == NDISBRIDGE_STATUS_INVALID_PARAMETER);
}

static bool has_if_index(uint32_t if_index)
{
    uint32_t i = 0;

    while (i < used && model[i].if_index != if_index)
        i++;
    return i < used;
}

static void check_register(struct index *entry)
{
    ndisbridge_net_if_information information = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof information },
        .interface_guid = { .data1 = 1 },
        .wan_tunnel_type = 0xFFFFFFFF,
        .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
        .direction_type = NDISBRIDGE_NET_IF_DIRECTION_SENDRECEIVE,
        .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED,
    };
    uint32_t wanted = fuzz_u8(&input) % 16, if_index = wanted;
    bool taken = wanted != 0 && has_if_index(wanted);
    ndisbridge_status status = ndisbridge_register_interface(session,
        &if_index, provider, luid_of(entry->if_type, entry->index),
        &information, sizeof information, NULL);

    if (entry->if_index != 0)
        ENSURE(status == NDISBRIDGE_STATUS_DUPLICATE_OBJECTID
            || (taken && status == NDISBRIDGE_STATUS_IN_USE));
    else if (entry->state == FREE)
        ENSURE(status == NDISBRIDGE_STATUS_INVALID_PARAMETER
            || (taken && status == NDISBRIDGE_STATUS_IN_USE));
    else if (taken)
        ENSURE(status == NDISBRIDGE_STATUS_IN_USE);
    else {
        ENSURE(status == NDISBRIDGE_STATUS_SUCCESS);
        ENSURE(if_index >= 1 && if_index <= NDISBRIDGE_IF_INDEX_MAX);
        ENSURE(wanted == 0 || if_index == wanted);
        ENSURE(!has_if_index(if_index));
        for (uint32_t i = 1; lowest && wanted == 0 && i < if_index; i++)
            ENSURE(has_if_index(i));
        entry->if_index = if_index;
        entry->mtu = 0;
    }
}

static void check_deregister(struct index *entry)
{
    uint32_t i = (uint32_t)(entry - model);
    ndisbridge_status status =
        ndisbridge_deregister_interface(session, entry->if_index, 0);

    if (entry->if_index == 0) {
        ENSURE(status == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND
            || status == NDISBRIDGE_STATUS_INVALID_PARAMETER);
        return;
    }
    ENSURE(status == NDISBRIDGE_STATUS_SUCCESS);
    entry->if_index = 0;
    memset(entry->above, 0, sizeof entry->above);
    for (uint32_t j = 0; j < used; j++)
        model[j].above[i] = false;
}

static bool is_above(uint32_t higher, uint32_t lower)
{
    if (higher == lower)
        return true;
    for (uint32_t i = 0; i < used; i++)
        if (model[higher].above[i] && is_above(i, lower))
            return true;
    return false;
}

static void check_stack_add(struct index *higher, struct index *lower)
{
    ndisbridge_status status = ndisbridge_add_if_stack_entry(
        session, higher->if_index, lower->if_index);
    uint32_t i = (uint32_t)(higher - model), j = (uint32_t)(lower - model);

    if (higher->if_index == 0 || lower->if_index == 0)
        ENSURE(status != NDISBRIDGE_STATUS_SUCCESS);
    else if (is_above(j, i))
        ENSURE(status == NDISBRIDGE_STATUS_STACK_LOOP);
    else {
        ENSURE(status == NDISBRIDGE_STATUS_SUCCESS);
        higher->above[j] = true;
    }
}

static void check_stack_delete(struct index *higher, struct index *lower)
{
    if (higher->if_index == 0 || lower->if_index == 0)
        return;
    ENSURE_STATUS(ndisbridge_delete_if_stack_entry(
                      session, higher->if_index, lower->if_index),
        SUCCESS);
    higher->above[lower - model] = false;
}

static void check_publish(struct index *entry)
{
    uint32_t mtu = 1 + fuzz_u16(&input);
    ndisbridge_published values = {
        .fields = 1 << 4,  /* the fifth member of information */
        .information.if_mtu = mtu,
    };
    ndisbridge_status status;

    status = ndisbridge_publish(
        session, luid_of(entry->if_type, entry->index), &values);
    if (entry->if_index == 0)
        ENSURE(status == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
    else {
        ENSURE(status == NDISBRIDGE_STATUS_SUCCESS);
        entry->mtu = mtu;
    }
}

static void check_entry(const struct index *entry)
{
    ndisbridge_net_luid net_luid = luid_of(entry->if_type, entry->index);
    ndisbridge_net_luid found = 1;
    uint32_t state = 9, if_index = 1, mtu = 0, length = sizeof mtu;
    ndisbridge_status status;

    ENSURE_STATUS(ndisbridge_test_net_luid_index(
                      session, &state, entry->if_type, entry->index),
        SUCCESS);
    if (entry->state == FREE)
        ENSURE(state == NDISBRIDGE_INDEX_FREE
            || state == NDISBRIDGE_INDEX_UNLEASED);
    else
        ENSURE(state
            == (entry->state == RETAINED || entry->if_index != 0
                    ? NDISBRIDGE_INDEX_RETAINED
                    : NDISBRIDGE_INDEX_ALLOCATED));
    status = ndisbridge_get_interface_index_from_net_luid(
        session, &if_index, net_luid);
    ENSURE(if_index == entry->if_index);
    ENSURE((status == NDISBRIDGE_STATUS_SUCCESS) == (if_index != 0));
    status = ndisbridge_query(session, &mtu, &length, net_luid,
        NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE);
    if (entry->if_index == 0) {
        ENSURE(status == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
        return;
    }
    ENSURE_STATUS(ndisbridge_get_net_luid_from_interface_index(
                      session, &found, if_index),
        SUCCESS);
    ENSURE(found == net_luid);
    if (entry->mtu != 0)
        ENSURE(status == NDISBRIDGE_STATUS_SUCCESS && mtu == entry->mtu);
}

static void check_counts(void)
{
    uint32_t registered = 0, count = MOST;
    static ndisbridge_mib_if_row2 rows[MOST];

    for (uint16_t if_type = 1; if_type <= 3; if_type++) {
        ndisbridge_index_counts counts;
        uint32_t allocated = 0, retained = 0;

        for (uint32_t i = 0; i < used; i++) {
            if (model[i].if_type != if_type || model[i].state == FREE)
                continue;
            if (model[i].state == RETAINED || model[i].if_index != 0)
                retained++;
            else
                allocated++;
        }
        ENSURE_STATUS(ndisbridge_count_net_luid_indexes(
                          session, &counts, if_type),
            SUCCESS);
        ENSURE(counts.allocated == allocated);
        ENSURE(counts.retained == retained);
        ENSURE(counts.free + allocated + retained
            == counts.leased_blocks * NDISBRIDGE_BLOCK_SIZE);
    }
    for (uint32_t i = 0; i < used; i++)
        registered += model[i].if_index != 0;
    ENSURE(ndisbridge_interface_count(session) == registered);
    ENSURE_STATUS(ndisbridge_get_if_table(session, rows, &count,
                      NDISBRIDGE_IF_TABLE_PUBLISHED),
        SUCCESS);
    ENSURE(count == registered);
    for (uint32_t i = 1; i < count; i++)
        ENSURE(rows[i - 1].interface_index < rows[i].interface_index);
}

static void step(void)
{
    switch (fuzz_u8(&input) % 14) {
    case 0: check_allocate(); break;
    case 1: check_allocate_many(); break;
    case 2: check_claim(any_entry()); break;
    case 3: check_free(any_entry()); break;
    case 4: check_retain(any_entry()); break;
    case 5: check_release(any_entry()); break;
    case 6: case 7: check_register(any_entry()); break;
    case 8: check_deregister(any_entry()); break;
    case 9: case 10: {
        struct index *higher = any_entry();

        check_stack_add(higher, any_entry());
        break;
    }
    case 11: {
        struct index *higher = any_entry();

        check_stack_delete(higher, any_entry());
        break;
    }
    case 12: check_publish(any_entry()); break;
    default:
        if (fuzz_u8(&input) == 0xFF)
            ENSURE_STATUS(ndisbridge_trim(session, NULL), SUCCESS);
    }
}

static const ndisbridge_if_provider_characteristics characteristics = {
    .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
        NDISBRIDGE_OBJECT_REVISION_1, sizeof characteristics },
    .query_object_handler = no_answer,
};

/* Gives everything back; then nothing is in use. */
static void clear(void)
{
    for (uint32_t i = 0; i < used; i++) {
        if (model[i].if_index != 0)
            check_deregister(&model[i]);
        if (model[i].state == ALLOCATED)
            check_free(&model[i]);
        if (model[i].state == RETAINED)
            check_release(&model[i]);
    }
    used = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_session sticky_one, lowest_one;
    struct fuzz_session *own;

    /* Not by a byte: those that were found before say the same for ever. */
    lowest = size % 2 != 0;
    own = lowest ? &lowest_one : &sticky_one;
    fuzz_begin(own, &characteristics,
        lowest ? NDISBRIDGE_IF_INDEX_POLICY_LOWEST
               : NDISBRIDGE_IF_INDEX_POLICY_STICKY);
    session = own->session;
    provider = own->provider;
    input = (struct fuzz_input){ data, size };
    for (uint32_t i = 0; i < OPERATIONS && input.size > 0; i++)
        step();
    for (uint32_t i = 0; i < used; i++)
        check_entry(&model[i]);
    check_counts();
    clear();
    fuzz_end(own);
    return 0;
}
