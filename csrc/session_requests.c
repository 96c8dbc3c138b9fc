/* SPDX-License-Identifier: MIT
 *
 * session_requests.c - the public functions that publish, query and set
 * OIDs, replace facts and copy the interface table.
 */
#include "session.h"

#include <string.h>

/* ---- publish ---------------------------------------------------------- */

static ndisbridge_status publish_one(ndisbridge_session *session,
    ndisbridge_net_luid net_luid, const ndisbridge_published *values)
{
    struct nb_interface *interface =
        nb_table_find(&session->table, net_luid);

    NB_REQUIRE(nb_values_valid(values));
    if (interface == NULL || !nb_interface_enter(interface, net_luid))
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    nb_values_publish(&session->events, interface, values);
    nb_interface_leave(&session->table, interface);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_publish(ndisbridge_session *session,
    ndisbridge_net_luid net_luid, const ndisbridge_published *values)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(values != NULL);
    return publish_one(session, net_luid, values);
}

ndisbridge_status ndisbridge_publish_many(ndisbridge_session *session,
    uint32_t *published, const ndisbridge_net_luid *net_luids,
    uint32_t count, const ndisbridge_published *values, uint32_t stride)
{
    const uint8_t *at = (const uint8_t *)values;
    uint32_t done = 0, skipped = 0;

    if (published != NULL)
        *published = 0;
    NB_SESSION_ENTER(session);
    NB_REQUIRE((net_luids != NULL && values != NULL) || count == 0);
    NB_REQUIRE(stride == 0
        || (stride % 8 == 0 && stride >= sizeof(ndisbridge_published)));
    for (uint32_t i = 0; i < count; i++) {
        if (net_luids[i] == NDISBRIDGE_NET_LUID_UNSPECIFIED)
            skipped++;
        else
            done += publish_one(session, net_luids[i],
                        (const void *)(at + (size_t)i * stride))
                == NDISBRIDGE_STATUS_SUCCESS;
    }
    if (published != NULL)
        *published = done;
    return done + skipped == count ? NDISBRIDGE_STATUS_SUCCESS
                                   : NDISBRIDGE_STATUS_FAILURE;
}

ndisbridge_status ndisbridge_replace_interface_information(
    ndisbridge_session *session, ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *information,
    uint32_t information_length)
{
    struct nb_interface *interface;
    bool replaced;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(information != NULL
        && information_length >= sizeof *information);
    if (!nb_header_is(&information->header, sizeof *information))
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    interface = nb_table_find(&session->table, net_luid);
    if (interface == NULL || !nb_interface_enter(interface, net_luid))
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    replaced = nb_values_replace_facts(&session->events, interface, net_luid,
        information, information_length);
    nb_interface_leave(&session->table, interface);
    NB_REQUIRE(replaced);
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* ---- query, set ------------------------------------------------------- */

ndisbridge_status ndisbridge_query(ndisbridge_session *session, void *output,
    uint32_t *length, ndisbridge_net_luid net_luid, uint32_t oid)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(length != NULL && (output != NULL || *length == 0));
    return nb_dispatch_query(
        &session->table, output, length, net_luid, oid, false);
}

ndisbridge_status ndisbridge_try_query(ndisbridge_session *session,
    void *output, uint32_t *length, ndisbridge_net_luid net_luid,
    uint32_t oid)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(length != NULL && (output != NULL || *length == 0));
    return nb_dispatch_query(
        &session->table, output, length, net_luid, oid, true);
}

/* Why nothing of a batch is tried, or SUCCESS. */
static ndisbridge_status check_batch(const ndisbridge_session *session,
    const void *output, uint32_t stride, const ndisbridge_status *statuses,
    const ndisbridge_net_luid *net_luids, uint32_t count, uint32_t oid)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(count == 0
        || ((output != NULL || stride == 0) && statuses != NULL
            && net_luids != NULL));
    /* Handlers may write any type, so every answer must be aligned. */
    NB_REQUIRE(count <= 1 || stride % 8 == 0 || !nb_dispatch_in_place(oid));
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Batches that do not fit a cache ask for what some interfaces have to be
 * read from, all at once, before they read it. */
#define LARGE_BATCH 2048
#define AT_ONCE 32

static NB_NOINLINE void fetch_members(struct nb_table *table,
    const ndisbridge_net_luid *net_luids, uint32_t count, uint32_t member)
{
    const uint32_t word = nb_members[member].offset / 8;

    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(
            (const void *)nb_table_luid_slot(table, net_luids[i]));
    for (uint32_t i = 0; i < count; i++) {
        struct nb_interface *interface = nb_table_find(table, net_luids[i]);

        if (interface == NULL)
            continue;
        __builtin_prefetch(interface);
        __builtin_prefetch((const void *)&interface->information[word]);
    }
}

/* Writes the members that are there to be read at one look, each in its
 * place, until one is not; how many. */
static inline uint32_t look_at_members(struct nb_table *table, uint8_t *at,
    uint32_t stride, const ndisbridge_net_luid *net_luids, uint32_t count,
    struct nb_member is)
{
    nb_interface_slot *leaf = NULL;
    uint64_t prefix = 0;
    uint32_t i;

    for (i = 0; i < count; i++, at += stride) {
        ndisbridge_net_luid net_luid = net_luids[i];
        struct nb_interface *interface;

        /* A leaf is never freed, and most of a batch are in the same one. */
        if (NB_UNLIKELY(leaf == NULL || net_luid >> 36 != prefix)) {
            prefix = net_luid >> 36;
            leaf = nb_table_luid_leaf(table, net_luid);
            if (NB_UNLIKELY(leaf == NULL))
                break;
        }
        interface = nb_load_acquire(&leaf[(net_luid >> 24) & 4095]);
        if (NB_UNLIKELY(interface == NULL)
            || NB_UNLIKELY(nb_values_look(interface, net_luid, &is, at)
                != NB_LOOK_GIVEN))
            break;
    }
    return i;
}

/* Answers with a published member, which most batches ask for, until one is
 * not there to be read; how many it has answered.  What is the same for all
 * of them is written afterwards. */
static NB_NOINLINE uint32_t query_members(struct nb_table *table, uint8_t *at,
    uint32_t stride, uint32_t *lengths, ndisbridge_status *statuses,
    const ndisbridge_net_luid *net_luids, uint32_t count, uint32_t member)
{
    struct nb_member is = nb_members[member];
    uint32_t n, size = is.size;

    if (size == 8) {
        is.size = 8;  /* a loop without a choice */
        n = look_at_members(table, at, stride, net_luids, count, is);
    } else {
        n = look_at_members(table, at, stride, net_luids, count, is);
    }
    for (uint32_t i = 0; i < n; i++)
        statuses[i] = NDISBRIDGE_STATUS_SUCCESS;
    for (uint32_t i = 0; lengths != NULL && i < n; i++)
        lengths[i] = size;
    if (size < stride)
        for (uint32_t i = 0; i < n; i++, at += stride)
            memset(at + size, 0, stride - size);
    return n;
}

ndisbridge_status ndisbridge_query_many(ndisbridge_session *session,
    void *output, uint32_t stride, uint32_t *lengths,
    ndisbridge_status *statuses, const ndisbridge_net_luid *net_luids,
    uint32_t count, uint32_t oid)
{
    uint8_t *at = output;
    uint32_t member = nb_dispatch_member(oid, stride);
    ndisbridge_status status = check_batch(
        session, output, stride, statuses, net_luids, count, oid);

    if (status != NDISBRIDGE_STATUS_SUCCESS) {
        for (uint32_t i = 0; statuses != NULL && i < count; i++)
            statuses[i] = status;
        if (lengths != NULL && count > 0)
            memset(lengths, 0, count * sizeof *lengths);
        return status;
    }
    for (uint32_t i = 0, fetched = 0; i < count;) {
        uint32_t length = stride;

        if (member < NB_MEMBER_COUNT) {
            uint32_t done, n = count - i;

            if (count >= LARGE_BATCH) {
                if (i == fetched) {
                    fetched += n < AT_ONCE ? n : AT_ONCE;
                    fetch_members(
                        &session->table, net_luids + i, fetched - i, member);
                }
                n = fetched - i;
            }
            done = query_members(&session->table, at, stride,
                lengths == NULL ? NULL : lengths + i, statuses + i,
                net_luids + i, n, member);
            i += done;
            at += (size_t)done * stride;
            if (done == n)
                continue;
        }
        statuses[i] = nb_dispatch_query_again(
            &session->table, at, &length, net_luids[i], oid, false);
        if (lengths != NULL)
            lengths[i] = length;
        if (statuses[i] == NDISBRIDGE_STATUS_SUCCESS) {
            if (length < stride)
                memset(at + length, 0, stride - length);
        } else {
            if (stride != 0)
                memset(at, 0, stride);
            status = NDISBRIDGE_STATUS_FAILURE;
        }
        i++;
        at += stride;
    }
    return status;
}

ndisbridge_status ndisbridge_set(ndisbridge_session *session,
    ndisbridge_net_luid net_luid, uint32_t oid, const void *input,
    uint32_t length)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(input != NULL || length == 0);
    return nb_dispatch_set(&session->table, net_luid, oid, input, length);
}

/* ---- the interface table ---------------------------------------------- */

static bool level_is_known(uint32_t level)
{
    return level == NDISBRIDGE_IF_TABLE_NORMAL
        || level == NDISBRIDGE_IF_TABLE_PUBLISHED;
}

/* The row of a record that a NET_LUID or an ifIndex (the other is 0) has led
 * to.  A record that has meanwhile become another interface's is none. */
static bool read_row(ndisbridge_session *session,
    struct nb_interface *interface, ndisbridge_net_luid net_luid,
    uint32_t if_index, ndisbridge_mib_if_row2 *row, uint32_t level)
{
    const uint64_t all = NDISBRIDGE_PUBLISH_INFORMATION
        | NDISBRIDGE_PUBLISH_ADMIN_STATUS | NDISBRIDGE_PUBLISH_ALIAS;
    uint64_t published;

    if (interface == NULL
        || !nb_values_read_row(interface, net_luid, row, &published)
        || (if_index != 0 && row->interface_index != if_index))
        return false;
    if (level == NDISBRIDGE_IF_TABLE_NORMAL && (published & all) != all)
        nb_dispatch_complete_row(&session->table, interface, row, published);
    return true;
}

ndisbridge_status ndisbridge_get_if_table(ndisbridge_session *session,
    ndisbridge_mib_if_row2 *rows, uint32_t *count, uint32_t level)
{
    struct nb_table *table;
    uint32_t room, n = 0;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(count != NULL && (rows != NULL || *count == 0));
    NB_REQUIRE(level_is_known(level));
    table = &session->table;
    room = *count;
    for (uint32_t if_index = 0;
         (if_index = nb_table_next(table, if_index)) != 0;) {
        ndisbridge_mib_if_row2 beyond;

        /* Rows that do not fit are read too: only open ones count. */
        n += read_row(session, nb_table_find_if_index(table, if_index), 0,
            if_index, n < room ? &rows[n] : &beyond,
            n < room ? level : NDISBRIDGE_IF_TABLE_PUBLISHED);
    }
    *count = n;
    return n <= room ? NDISBRIDGE_STATUS_SUCCESS
                     : NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
}

ndisbridge_status ndisbridge_get_if_entry(ndisbridge_session *session,
    ndisbridge_mib_if_row2 *row, ndisbridge_net_luid net_luid,
    uint32_t level)
{
    ndisbridge_mib_if_row2 found;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(row != NULL && level_is_known(level));
    if (!read_row(session, nb_table_find(&session->table, net_luid),
            net_luid, 0, &found, level))
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    *row = found;
    return NDISBRIDGE_STATUS_SUCCESS;
}
