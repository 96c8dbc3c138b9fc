/* SPDX-License-Identifier: MIT
 *
 * oid_dispatch.h - OID requests: handlers, the rules of buffers, batches.
 *
 * A provider has one slot per OID of the catalog, filled at registration and
 * never NULL: the OID's own handler, or query_object / set_object, or a
 * function that answers NOT_SUPPORTED.  An OID that is not in the catalog
 * goes to query_object / set_object, or is INVALID_OID.
 *
 * The rules of an OID's size are enforced here, once, before a handler is
 * called and after it has answered.
 */
#ifndef NB_OID_DISPATCH_H
#define NB_OID_DISPATCH_H

#include "if_table.h"
#include "if_values.h"
#include "oid_catalog.h"

struct nb_oid_slot {
    ndisbridge_if_query_object query;
    ndisbridge_if_set_object set;
    uint32_t flags;  /* NDISBRIDGE_HANDLER_* of query */
};

struct nb_provider {
    struct nb_oid_slot slots[NB_OID_COUNT];
    struct nb_oid_slot other;  /* OIDs that the catalog does not know */
};

/* Fills the slots; false if handlers names an unknown OID or one twice, or
 * a flag has no meaning. */
bool nb_provider_fill(struct nb_provider *provider,
    const ndisbridge_if_provider_characteristics *characteristics,
    uint32_t flags, const ndisbridge_oid_handler *handlers,
    uint32_t count);

/* Asks the handler, inside the interface. */
ndisbridge_status nb_dispatch_query_handler(struct nb_table *table,
    struct nb_interface *interface, void *output, uint32_t *length,
    ndisbridge_net_luid net_luid, uint32_t oid, bool only_non_blocking);

/* nb_dispatch_query() of everything, at its leisure. */
ndisbridge_status nb_dispatch_query_again(struct nb_table *table,
    void *output, uint32_t *length, ndisbridge_net_luid net_luid,
    uint32_t oid, bool only_non_blocking);

/* ndisbridge_query(); `only_non_blocking` makes it ndisbridge_try_query().
 * One look answers what most queries ask for, in registers that need not be
 * saved; the rest is called with the arguments as they came. */
static inline ndisbridge_status nb_dispatch_query(struct nb_table *table,
    void *output, uint32_t *length, ndisbridge_net_luid net_luid,
    uint32_t oid, bool only_non_blocking)
{
    struct nb_interface *interface = nb_table_find(table, net_luid);
    const struct nb_oid_hash_slot *found = nb_oid_slot(oid);
    uint32_t member = (uint32_t)found->field - NB_FIELD_OPER_STATUS;

    if (NB_LIKELY(interface != NULL && found->oid == oid
            && member < NB_MEMBER_COUNT
            && *length >= nb_members[member].size)) {
        const struct nb_member *is = &nb_members[member];
        enum nb_look look =
            nb_values_look(interface, net_luid, is, output);

        if (NB_LIKELY(look == NB_LOOK_GIVEN)) {
            *length = is->size;
            return NDISBRIDGE_STATUS_SUCCESS;
        }
        if (look == NB_LOOK_UNKNOWN)
            return nb_dispatch_query_handler(table, interface, output,
                length, net_luid, oid, only_non_blocking);
    }
    return nb_dispatch_query_again(
        table, output, length, net_luid, oid, only_non_blocking);
}

/* The one member of ndisbridge_interface_information that is all of an OID's
 * answer and fits `room` bytes as it is: its number, for
 * nb_values_read_member(); NB_MEMBER_COUNT if it is none. */
uint32_t nb_dispatch_member(uint32_t oid, uint32_t room);

/* Whether handlers write answers to this OID straight into the asker's
 * buffer, which must be aligned then. */
bool nb_dispatch_in_place(uint32_t oid);

ndisbridge_status nb_dispatch_set(struct nb_table *table,
    ndisbridge_net_luid net_luid, uint32_t oid, const void *input,
    uint32_t length);

/* Asks for what a row lacks because it is not published; a row whose
 * handlers fail, or are none, stays as it is. */
void nb_dispatch_complete_row(struct nb_table *table,
    struct nb_interface *interface, ndisbridge_mib_if_row2 *row,
    uint64_t published);

#endif
