/* SPDX-License-Identifier: MIT
 *
 * oid_catalog.h - every OID that the library knows: its number, name, type,
 * size rule, access, and from where the core answers it; and the text
 * prefixes of IfTypes.
 *
 * Each OID has a dense number, 0 .. NB_OID_COUNT - 1, ascending with the
 * OID: providers index their flat arrays of handlers with it.  Everything
 * here is constant, so any thread may read it at any time.
 *
 * The tables are in oid_catalog.c, which generate_catalog.py writes from
 * ndis_constants.json (numbers), oid_catalog.csv and if_types.csv (the
 * rest); it also rewrites the marked region below.  This header is the only
 * place that lists the fields: the generator reads their names here.
 */
#ifndef NB_OID_CATALOG_H
#define NB_OID_CATALOG_H

#include "platform.h"

/* generated: begin catalog */
#define NB_OID_COUNT 117
#define NB_OID_HASH_SLOTS 512
#define NB_OID_HASH_SHIFT 23
#define NB_OID_HASH_MULTIPLIER UINT32_C(0x657EECDD)
/* generated: end catalog */

/* What nb_oid_find() answers for an OID that is not in the catalog. */
#define NB_OID_NONE UINT16_MAX

/* From where the core answers an OID without a handler, once it knows the
 * value.  NB_FIELD_OPER_STATUS .. NB_FIELD_SUPPORTED_STATISTICS are the
 * members of ndisbridge_interface_information in their order, then come
 * admin status and alias: a field up to NB_FIELD_ALIAS is bit
 * field - NB_FIELD_OPER_STATUS of ndisbridge_published.fields. */
enum nb_oid_field {
    NB_FIELD_NONE = 0,  /* by a handler only */
    NB_FIELD_OPER_STATUS,
    NB_FIELD_OPER_STATUS_FLAGS,
    NB_FIELD_MEDIA_CONNECT_STATE,
    NB_FIELD_MEDIA_DUPLEX_STATE,
    NB_FIELD_MTU,
    NB_FIELD_PROMISCUOUS_MODE,
    NB_FIELD_DEVICE_WAKE_UP_ENABLE,
    NB_FIELD_XMIT_LINK_SPEED,
    NB_FIELD_RCV_LINK_SPEED,
    NB_FIELD_LAST_CHANGE,
    NB_FIELD_COUNTER_DISCONTINUITY_TIME,
    NB_FIELD_IN_UNKNOWN_PROTOS,
    NB_FIELD_IN_DISCARDS,
    NB_FIELD_IN_ERRORS,
    NB_FIELD_IN_OCTETS,
    NB_FIELD_IN_UCAST_PKTS,
    NB_FIELD_IN_MULTICAST_PKTS,
    NB_FIELD_IN_BROADCAST_PKTS,
    NB_FIELD_OUT_OCTETS,
    NB_FIELD_OUT_UCAST_PKTS,
    NB_FIELD_OUT_MULTICAST_PKTS,
    NB_FIELD_OUT_BROADCAST_PKTS,
    NB_FIELD_OUT_ERRORS,
    NB_FIELD_OUT_DISCARDS,
    NB_FIELD_IN_UCAST_OCTETS,
    NB_FIELD_IN_MULTICAST_OCTETS,
    NB_FIELD_IN_BROADCAST_OCTETS,
    NB_FIELD_OUT_UCAST_OCTETS,
    NB_FIELD_OUT_MULTICAST_OCTETS,
    NB_FIELD_OUT_BROADCAST_OCTETS,
    NB_FIELD_COMPARTMENT_ID,
    NB_FIELD_SUPPORTED_STATISTICS,
    NB_FIELD_ADMIN_STATUS,
    NB_FIELD_ALIAS,
    /* composites of the above */
    NB_FIELD_INTERFACE_INFO,
    NB_FIELD_STATISTICS,
    NB_FIELD_LINK_SPEED_EX,
    NB_FIELD_LINK_STATE,
    /* facts given at registration */
    NB_FIELD_CURRENT_ADDRESS,
    NB_FIELD_PERMANENT_ADDRESS,
    NB_FIELD_MEDIA_TYPE,
    NB_FIELD_PHYSICAL_MEDIUM
};

_Static_assert(NB_FIELD_ADMIN_STATUS - NB_FIELD_OPER_STATUS == 32,
    "32 members of ndisbridge_interface_information");
_Static_assert(NB_FIELD_PHYSICAL_MEDIUM <= UINT8_MAX, "nb_oid_entry.field");

/* Bits of nb_oid_entry.access. */
#define NB_OID_QUERY 1
#define NB_OID_SET 2
#define NB_OID_SETTABLE NDISBRIDGE_OID_ACCESS_SETTABLE

struct nb_oid_entry {
    uint32_t oid;
    uint32_t size;      /* bytes: fixed, counter 8, counted string 516, or
                         * of one array member; 0 where variable */
    uint8_t size_rule;  /* enum ndisbridge_oid_size_rule */
    uint8_t type;       /* enum ndisbridge_oid_type */
    uint8_t access;     /* NB_OID_QUERY | NB_OID_SET | NB_OID_SETTABLE */
    uint8_t field;      /* enum nb_oid_field */
    const char *name;   /* without OID_, such as "GEN_ALIAS" */
    const char *type_name;  /* of an enumeration or a structure, as in NDIS,
                             * such as "NET_IF_OPER_STATUS"; else "" */
    const char *if_mib_object;  /* of RFC 2863, such as "ifAlias", or "", or
                                 * two with ", " between them */
};

/* Ascending by OID; the position is the dense number. */
extern const struct nb_oid_entry nb_oid_entries[NB_OID_COUNT];

/* One slot of the hash table: an OID, its dense number and its field, or 0,
 * NB_OID_NONE and NB_FIELD_NONE.  No two OIDs of the catalog share one. */
struct nb_oid_hash_slot {
    uint32_t oid;
    uint16_t dense;
    uint8_t field;  /* enum nb_oid_field; also in nb_oid_entry */
};

extern const struct nb_oid_hash_slot nb_oid_hash_slots[NB_OID_HASH_SLOTS];

/* The slot of an OID, or one of another: one multiplication, no collisions. */
static inline const struct nb_oid_hash_slot *nb_oid_slot(uint32_t oid)
{
    return &nb_oid_hash_slots[
        (uint32_t)(oid * NB_OID_HASH_MULTIPLIER) >> NB_OID_HASH_SHIFT];
}

/* Dense number of an OID, or NB_OID_NONE: one load, one comparison. */
static inline uint16_t nb_oid_find(uint32_t oid)
{
    const struct nb_oid_hash_slot *slot = nb_oid_slot(oid);

    return slot->oid == oid ? slot->dense : NB_OID_NONE;
}

/* Entry of a dense number, which must be less than NB_OID_COUNT. */
static inline const struct nb_oid_entry *nb_oid_entry(uint16_t dense)
{
    NB_ASSERT(1, dense < NB_OID_COUNT);
    return &nb_oid_entries[dense];
}

/* What the ifName of a NET_LUID of this type begins with, such as
 * "ethernet"; NULL where that is "iftype<number>". */
const char *nb_if_type_prefix(uint16_t if_type);

/* The IfType of such a prefix of `length` bytes (no NUL needed), in any
 * mixture of ASCII cases; 0, which is no IfType, where there is none. */
uint16_t nb_if_type_of_prefix(const char *prefix, size_t length);

#endif
