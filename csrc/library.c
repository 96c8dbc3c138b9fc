/* SPDX-License-Identifier: MIT
 *
 * library.c - what the library tells of itself: version, names of statuses,
 * the OID catalog.
 */
#include "oid_catalog.h"

const char *ndisbridge_version(void)
{
    return NDISBRIDGE_VERSION;
}

#define NAME(status) \
    case NDISBRIDGE_STATUS_##status: \
        return "NDIS_STATUS_" #status

/* No default: -Wswitch reports a status without a name. */
const char *ndisbridge_status_string(ndisbridge_status status)
{
    switch ((enum ndisbridge_status_code)status) {
        NAME(SUCCESS);
        NAME(PENDING);
        NAME(FAILURE);
        NAME(INVALID_PARAMETER);
        NAME(RESOURCES);
        NAME(NOT_SUPPORTED);
        NAME(INVALID_STATE);
        NAME(ACCESS_DENIED);
        NAME(DUPLICATE_OBJECTID);
        NAME(INVALID_LENGTH);
        NAME(INVALID_DATA);
        NAME(BUFFER_TOO_SHORT);
        NAME(INVALID_OID);
        NAME(INTERFACE_NOT_FOUND);
        NAME(STACK_LOOP);
        NAME(PROVIDER_HAS_INTERFACES);
        NAME(IN_OWN_HANDLER);
        NAME(TIMEOUT);
        NAME(IN_USE);
        NAME(LEASE_LOST);
        NAME(FORKED);
    }
    return "an NDIS_STATUS of a provider";
}

ndisbridge_status ndisbridge_describe_oid(
    ndisbridge_oid_description *description, uint32_t oid)
{
    uint16_t dense = nb_oid_find(oid);
    const struct nb_oid_entry *entry;

    if (description == NULL)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    if (dense == NB_OID_NONE)
        return NDISBRIDGE_STATUS_INVALID_OID;
    entry = nb_oid_entry(dense);
    description->oid = entry->oid;
    description->size = entry->size;
    description->size_rule = entry->size_rule;
    description->type = entry->type;
    description->access = entry->access;
    description->name = entry->name;
    description->type_name = entry->type_name;
    description->if_mib_object = entry->if_mib_object;
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_list_oids(uint32_t *oids, uint32_t *count)
{
    uint32_t room;

    if (count == NULL || (oids == NULL && *count != 0))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    room = *count;
    *count = NB_OID_COUNT;
    if (room < NB_OID_COUNT)
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    for (uint16_t i = 0; i < NB_OID_COUNT; i++)
        oids[i] = nb_oid_entry(i)->oid;
    return NDISBRIDGE_STATUS_SUCCESS;
}
