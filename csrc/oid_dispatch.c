/* SPDX-License-Identifier: MIT
 *
 * oid_dispatch.c - see oid_dispatch.h.
 */
#include "oid_dispatch.h"

#include <string.h>

/* NDIS_STATUS_BUFFER_OVERFLOW (0x80000005): a warning that only handlers
 * give, as one more way to ask for room. */
#define BUFFER_OVERFLOW ((ndisbridge_status)-2147483643)

/* ---- slots ------------------------------------------------------------ */

static ndisbridge_status query_not_supported(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid, (void)length, (void)output;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

static ndisbridge_status set_not_supported(
    void *context, uint32_t oid, uint32_t length, const void *input)
{
    (void)context, (void)oid, (void)length, (void)input;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

static ndisbridge_status query_invalid_oid(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid, (void)length, (void)output;
    return NDISBRIDGE_STATUS_INVALID_OID;
}

static ndisbridge_status set_invalid_oid(
    void *context, uint32_t oid, uint32_t length, const void *input)
{
    (void)context, (void)oid, (void)length, (void)input;
    return NDISBRIDGE_STATUS_INVALID_OID;
}

static bool flags_known(uint32_t flags)
{
    return !(flags & ~(uint32_t)NDISBRIDGE_HANDLER_NON_BLOCKING);
}

/* Flags are about queries: whoever sets waits for the handler anyway. */
bool nb_provider_fill(struct nb_provider *provider,
    const ndisbridge_if_provider_characteristics *characteristics,
    uint32_t flags, const ndisbridge_oid_handler *handlers, uint32_t count)
{
    struct nb_oid_slot usual = { query_not_supported, set_not_supported,
        flags | NDISBRIDGE_HANDLER_NON_BLOCKING };
    struct nb_oid_slot other = { query_invalid_oid, set_invalid_oid,
        usual.flags };
    bool named[NB_OID_COUNT] = { false };

    if (!flags_known(flags))
        return false;
    if (characteristics->query_object_handler != NULL) {
        usual.query = other.query = characteristics->query_object_handler;
        usual.flags = other.flags = flags;
    }
    if (characteristics->set_object_handler != NULL)
        usual.set = other.set = characteristics->set_object_handler;
    provider->other = other;
    for (uint32_t i = 0; i < NB_OID_COUNT; i++)
        provider->slots[i] = usual;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t dense = nb_oid_find(handlers[i].object_id);

        if (dense == NB_OID_NONE || named[dense]
            || !flags_known(handlers[i].flags)
            || (handlers[i].query == NULL && handlers[i].set == NULL))
            return false;
        named[dense] = true;
        if (handlers[i].query != NULL) {
            provider->slots[dense].query = handlers[i].query;
            provider->slots[dense].flags = handlers[i].flags;
        }
        if (handlers[i].set != NULL)
            provider->slots[dense].set = handlers[i].set;
    }
    return true;
}

/* The caller is inside the interface. */
static const struct nb_oid_slot *slot_of(
    const struct nb_interface *interface, uint16_t dense)
{
    return dense == NB_OID_NONE ? &interface->provider->other
                                : &interface->provider->slots[dense];
}

static bool may_call(const struct nb_oid_slot *slot, bool only_non_blocking)
{
    return !only_non_blocking
        || (slot->flags & NDISBRIDGE_HANDLER_NON_BLOCKING);
}

/* ---- the rules of buffers --------------------------------------------- */

/* Whether a buffer of `length` bytes can take an OID's answer at all. */
static ndisbridge_status check_room(
    const struct nb_oid_entry *entry, uint32_t *length)
{
    uint32_t room = *length;

    switch (entry->size_rule) {
    case NDISBRIDGE_OID_SIZE_COUNTER:
        if (room >= 4)
            return NDISBRIDGE_STATUS_SUCCESS;
        *length = 8;
        return NDISBRIDGE_STATUS_INVALID_LENGTH;
    case NDISBRIDGE_OID_SIZE_FIXED:
    case NDISBRIDGE_OID_SIZE_COUNTED_STRING:
        if (room >= entry->size)
            return NDISBRIDGE_STATUS_SUCCESS;
        *length = entry->size;
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    default:
        return NDISBRIDGE_STATUS_SUCCESS;
    }
}

/* Gives a value that passed check_room(). */
static ndisbridge_status give(const struct nb_oid_entry *entry, void *output,
    uint32_t *length, const void *value, uint32_t size)
{
    uint64_t low;

    if (entry->size_rule == NDISBRIDGE_OID_SIZE_COUNTER && *length < 8) {
        /* The low 32 bits, on a machine of either byte order. */
        memcpy(&low, value, 8);
        memcpy(output, &(uint32_t){ (uint32_t)low }, 4);
        *length = 4;
        return NDISBRIDGE_STATUS_SUCCESS;
    }
    if (*length < size) {
        *length = size;
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    }
    nb_copy_value(output, value, size);
    *length = size;
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Checks what a handler wrote into `value`, of which it said `written`. */
static inline ndisbridge_status check_written(const struct nb_oid_entry *entry,
    void *value, uint32_t written, uint32_t capacity, uint32_t *size)
{
    ndisbridge_if_counted_string *string = value;

    if (written > capacity)
        return NDISBRIDGE_STATUS_INVALID_DATA;
    *size = written;
    switch (entry->size_rule) {
    case NDISBRIDGE_OID_SIZE_FIXED:
        return written == entry->size ? NDISBRIDGE_STATUS_SUCCESS
                                      : NDISBRIDGE_STATUS_INVALID_DATA;
    case NDISBRIDGE_OID_SIZE_COUNTER:
        if (written == 4) {
            /* A 32-bit counter reads as its 64-bit self. */
            uint32_t low;

            memcpy(&low, value, 4);
            memcpy(value, &(uint64_t){ low }, 8);
            *size = 8;
            return NDISBRIDGE_STATUS_SUCCESS;
        }
        return written == 8 ? NDISBRIDGE_STATUS_SUCCESS
                            : NDISBRIDGE_STATUS_INVALID_DATA;
    case NDISBRIDGE_OID_SIZE_COUNTED_STRING:
        if (written < 2 || string->length % 2 != 0
            || string->length > 2 * NDISBRIDGE_MAX_STRING_SIZE
            || string->length > written - 2)
            return NDISBRIDGE_STATUS_INVALID_DATA;
        memset((uint8_t *)value + 2 + string->length, 0,
            sizeof *string - 2 - string->length);
        *size = sizeof *string;
        return NDISBRIDGE_STATUS_SUCCESS;
    case NDISBRIDGE_OID_SIZE_ARRAY:
        return written % entry->size == 0
            ? NDISBRIDGE_STATUS_SUCCESS
            : NDISBRIDGE_STATUS_INVALID_DATA;
    default:
        return NDISBRIDGE_STATUS_SUCCESS;
    }
}

/* ---- calls into handlers ---------------------------------------------- */

static bool asks_for_room(ndisbridge_status status)
{
    return status == NDISBRIDGE_STATUS_BUFFER_TOO_SHORT
        || status == NDISBRIDGE_STATUS_INVALID_LENGTH
        || status == BUFFER_OVERFLOW;
}

/* A failure of a handler, as the asker may see it. */
static ndisbridge_status failure_of(ndisbridge_status status)
{
    return status == NDISBRIDGE_STATUS_PENDING
        ? NDISBRIDGE_STATUS_FAILURE
        : status;
}

static void push_frame(struct nb_frame *frame, const struct nb_table *table,
    const struct nb_interface *interface)
{
    frame->session = table->host->session;
    frame->interface = interface;
    frame->outer = nb_this_thread.frames;
    nb_this_thread.frames = frame;
}

static ndisbridge_status call_query(struct nb_table *table,
    struct nb_interface *interface, ndisbridge_if_query_object query,
    uint32_t oid, uint32_t *length, void *output)
{
    struct nb_frame frame;
    ndisbridge_status status;

    push_frame(&frame, table, interface);
    status = query(interface->context, oid, length, output);
    nb_this_thread.frames = frame.outer;
    return status;
}

/* A value of fixed length goes through a scratch of its own, so that a
 * handler's mistake does not reach the asker's buffer. */
static inline ndisbridge_status query_scratch(struct nb_table *table,
    struct nb_interface *interface, const struct nb_oid_slot *slot,
    const struct nb_oid_entry *entry, union nb_value *value, uint32_t *size)
{
    uint32_t written = entry->size;
    ndisbridge_status status;

    memset(value, 0, sizeof value->counter);
    status = call_query(
        table, interface, slot->query, entry->oid, &written, value);
    /* It had all the room that the OID ever takes. */
    if (asks_for_room(status))
        return NDISBRIDGE_STATUS_INVALID_DATA;
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return failure_of(status);
    return check_written(entry, value, written, entry->size, size);
}

static inline ndisbridge_status query_fixed(struct nb_table *table,
    struct nb_interface *interface, const struct nb_oid_slot *slot,
    const struct nb_oid_entry *entry, void *output, uint32_t *length)
{
    union nb_value value;
    uint32_t size;
    ndisbridge_status status =
        query_scratch(table, interface, slot, entry, &value, &size);

    return status == NDISBRIDGE_STATUS_SUCCESS
        ? give(entry, output, length, &value, size)
        : status;
}

static NB_NOINLINE ndisbridge_status query_variable(struct nb_table *table,
    struct nb_interface *interface, const struct nb_oid_slot *slot,
    const struct nb_oid_entry *entry, uint32_t oid, void *output,
    uint32_t *length)
{
    uint32_t capacity = *length, written = capacity, size = 0;
    ndisbridge_status status = call_query(
        table, interface, slot->query, oid, &written, output);

    if (asks_for_room(status)) {
        /* Whoever asks again with what is needed must get on. */
        if (written <= capacity)
            return NDISBRIDGE_STATUS_INVALID_DATA;
        *length = written;
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    }
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return failure_of(status);
    if (entry != NULL)
        status = check_written(entry, output, written, capacity, &size);
    else
        status = written > capacity ? NDISBRIDGE_STATUS_INVALID_DATA
                                    : NDISBRIDGE_STATUS_SUCCESS;
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        *length = written;
    return status;
}

static bool fits_scratch(const struct nb_oid_entry *entry)
{
    return entry != NULL && entry->size_rule != NDISBRIDGE_OID_SIZE_VARIABLE
        && entry->size_rule != NDISBRIDGE_OID_SIZE_ARRAY
        && NB_ALWAYS(entry->size <= sizeof(union nb_value));
}

bool nb_dispatch_in_place(uint32_t oid)
{
    uint16_t dense = nb_oid_find(oid);

    return !fits_scratch(dense == NB_OID_NONE ? NULL : nb_oid_entry(dense));
}

uint32_t nb_dispatch_member(uint32_t oid, uint32_t room)
{
    uint16_t dense = nb_oid_find(oid);
    uint32_t member;

    if (dense == NB_OID_NONE)
        return NB_MEMBER_COUNT;
    member = (uint32_t)nb_oid_entry(dense)->field - NB_FIELD_OPER_STATUS;
    return member < NB_MEMBER_COUNT && nb_members[member].size <= room
        ? member
        : NB_MEMBER_COUNT;
}

static inline ndisbridge_status query_handler(struct nb_table *table,
    struct nb_interface *interface, const struct nb_oid_entry *entry,
    uint16_t dense, uint32_t oid, void *output, uint32_t *length,
    bool only_non_blocking)
{
    const struct nb_oid_slot *slot = slot_of(interface, dense);

    if (!may_call(slot, only_non_blocking))
        return NDISBRIDGE_STATUS_PENDING;
    if (fits_scratch(entry))
        return query_fixed(table, interface, slot, entry, output, length);
    return query_variable(
        table, interface, slot, entry, oid, output, length);
}

/* OID_GEN_INTERFACE_INFO of an interface that has published some of its
 * members: what the handler answers, with those laid over it; they alone
 * where no handler answers it. */
static NB_NOINLINE ndisbridge_status query_partly_published(
    struct nb_table *table, struct nb_interface *interface,
    ndisbridge_net_luid net_luid, const struct nb_oid_entry *entry,
    uint16_t dense, void *output, uint32_t *length, bool only_non_blocking)
{
    const struct nb_oid_slot *slot;
    union nb_value value;
    uint32_t size = entry->size;
    ndisbridge_status status = check_room(entry, length);
    bool answered;

    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    if (!nb_interface_enter(interface, net_luid))
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    slot = slot_of(interface, dense);
    if (slot->query == query_not_supported)
        status = NDISBRIDGE_STATUS_NOT_SUPPORTED;
    else if (may_call(slot, only_non_blocking))
        status = query_scratch(table, interface, slot, entry, &value, &size);
    else
        status = NDISBRIDGE_STATUS_PENDING;
    answered = status == NDISBRIDGE_STATUS_SUCCESS;
    if (answered || status == NDISBRIDGE_STATUS_NOT_SUPPORTED
        || status == NDISBRIDGE_STATUS_INVALID_OID) {
        nb_values_lay_over(interface, &value.information, answered);
        status = give(entry, output, length, &value, size);
    }
    nb_interface_leave(table, interface);
    return status;
}

NB_NOINLINE ndisbridge_status nb_dispatch_query_handler(
    struct nb_table *table, struct nb_interface *interface, void *output,
    uint32_t *length, ndisbridge_net_luid net_luid, uint32_t oid,
    bool only_non_blocking)
{
    uint16_t dense = nb_oid_find(oid);
    const struct nb_oid_entry *entry =
        dense == NB_OID_NONE ? NULL : nb_oid_entry(dense);
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    if (!nb_interface_enter(interface, net_luid))
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    if (entry != NULL)
        status = check_room(entry, length);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = query_handler(table, interface, entry, dense, oid, output,
            length, only_non_blocking);
    nb_interface_leave(table, interface);
    return status;
}

/* What the core may know but does not read as one member. */
static NB_NOINLINE ndisbridge_status query_values(struct nb_table *table,
    struct nb_interface *interface, uint16_t dense, void *output,
    uint32_t *length, ndisbridge_net_luid net_luid, uint32_t oid,
    bool only_non_blocking)
{
    const struct nb_oid_entry *entry = nb_oid_entry(dense);
    union nb_value value;
    ndisbridge_status status;
    uint32_t size;

    switch (nb_values_answer(interface, net_luid, entry, &value, &size)) {
    case NB_ANSWER_GIVEN:
        status = check_room(entry, length);
        return status == NDISBRIDGE_STATUS_SUCCESS
            ? give(entry, output, length, &value, size)
            : status;
    case NB_ANSWER_GONE:
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    case NB_ANSWER_PARTLY:
        return query_partly_published(table, interface, net_luid, entry,
            dense, output, length, only_non_blocking);
    default:
        return nb_dispatch_query_handler(table, interface, output, length,
            net_luid, oid, only_non_blocking);
    }
}

ndisbridge_status nb_dispatch_query_again(struct nb_table *table,
    void *output, uint32_t *length, ndisbridge_net_luid net_luid,
    uint32_t oid, bool only_non_blocking)
{
    struct nb_interface *interface = nb_table_find(table, net_luid);
    uint16_t dense = nb_oid_find(oid);
    uint32_t field, member;

    if (interface == NULL)
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    field = dense == NB_OID_NONE ? NB_FIELD_NONE : nb_oid_entry(dense)->field;
    member = field - NB_FIELD_OPER_STATUS;
    if (member < NB_MEMBER_COUNT && *length >= nb_members[member].size) {
        switch (nb_values_read_member(interface, net_luid, member, output)) {
        case NB_ANSWER_GIVEN:
            *length = nb_members[member].size;
            return NDISBRIDGE_STATUS_SUCCESS;
        case NB_ANSWER_GONE:
            return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
        default:
            break;
        }
    } else if (field != NB_FIELD_NONE) {
        return query_values(table, interface, dense, output, length,
            net_luid, oid, only_non_blocking);
    }
    return nb_dispatch_query_handler(table, interface, output, length,
        net_luid, oid, only_non_blocking);
}

/* Whether `length` bytes can be a value of an OID. */
static bool length_allowed(const struct nb_oid_entry *entry, uint32_t length)
{
    switch (entry->size_rule) {
    case NDISBRIDGE_OID_SIZE_FIXED:
        return length == entry->size;
    case NDISBRIDGE_OID_SIZE_COUNTER:
        return length == 4 || length == 8;
    case NDISBRIDGE_OID_SIZE_COUNTED_STRING:
        return length >= 2 && length <= entry->size;
    case NDISBRIDGE_OID_SIZE_ARRAY:
        return length % entry->size == 0;
    default:
        return true;
    }
}

ndisbridge_status nb_dispatch_set(struct nb_table *table,
    ndisbridge_net_luid net_luid, uint32_t oid, const void *input,
    uint32_t length)
{
    struct nb_interface *interface = nb_table_find(table, net_luid);
    uint16_t dense = nb_oid_find(oid);
    const struct nb_oid_slot *slot;
    struct nb_frame frame;
    ndisbridge_status status;

    if (interface == NULL || !nb_interface_enter(interface, net_luid))
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    slot = slot_of(interface, dense);
    if (dense != NB_OID_NONE && !length_allowed(nb_oid_entry(dense), length)) {
        status = NDISBRIDGE_STATUS_INVALID_LENGTH;
    } else {
        push_frame(&frame, table, interface);
        status =
            failure_of(slot->set(interface->context, oid, length, input));
        nb_this_thread.frames = frame.outer;
    }
    nb_interface_leave(table, interface);
    return status;
}

/* ---- rows ------------------------------------------------------------- */

static bool ask(struct nb_table *table, ndisbridge_net_luid net_luid,
    uint32_t oid, void *answer, uint32_t size)
{
    return nb_dispatch_query_again(
               table, answer, &size, net_luid, oid, false)
        == NDISBRIDGE_STATUS_SUCCESS;
}

/* The caller is inside the interface. */
static bool has_handler(const struct nb_interface *interface, uint32_t oid)
{
    return slot_of(interface, nb_oid_find(oid))->query
        != query_not_supported;
}

void nb_dispatch_complete_row(struct nb_table *table,
    struct nb_interface *interface, ndisbridge_mib_if_row2 *row,
    uint64_t published)
{
    const uint64_t all = NDISBRIDGE_PUBLISH_INFORMATION;
    ndisbridge_net_luid net_luid = row->interface_luid;
    ndisbridge_interface_information information;
    ndisbridge_if_counted_string string;
    uint32_t number;
    bool values, admin_status, alias;

    if (!nb_interface_enter(interface, net_luid))
        return;
    values = (published & all) != all
        && has_handler(interface, NDISBRIDGE_OID_GEN_INTERFACE_INFO);
    admin_status = !(published & NDISBRIDGE_PUBLISH_ADMIN_STATUS)
        && has_handler(interface, NDISBRIDGE_OID_GEN_ADMIN_STATUS);
    alias = !(published & NDISBRIDGE_PUBLISH_ALIAS)
        && has_handler(interface, NDISBRIDGE_OID_GEN_ALIAS);
    nb_interface_leave(table, interface);
    if (values
        && ask(table, net_luid, NDISBRIDGE_OID_GEN_INTERFACE_INFO,
            &information, sizeof information))
        nb_values_row_information(row, &information);
    if (admin_status
        && ask(table, net_luid, NDISBRIDGE_OID_GEN_ADMIN_STATUS, &number,
            sizeof number))
        row->admin_status = number;
    if (alias
        && ask(table, net_luid, NDISBRIDGE_OID_GEN_ALIAS, &string,
            sizeof string)) {
        memset(row->alias, 0, sizeof row->alias);
        memcpy(row->alias, string.string, string.length);
    }
}
