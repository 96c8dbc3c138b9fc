/* SPDX-License-Identifier: MIT
 *
 * if_values.h - what the core answers for an interface itself: the facts of
 * its registration and the values it has published.  Read without lock or
 * reference.
 *
 * The values of a record lie in words under its sequence.  A writer makes
 * the sequence odd by a compare-and-swap, stores words, and makes it even; a
 * reader that saw the same even number before and after has read one state.
 * Loads of words are acquires and stores are releases, so that no word read
 * is later than the second look and no word written is earlier than the
 * first mark; it costs nothing on x86-64 and needs no fence.
 */
#ifndef NB_IF_VALUES_H
#define NB_IF_VALUES_H

#include "if_table.h"
#include "oid_catalog.h"

/* The longest value that is answered from here. */
union nb_value {
    uint64_t counter;
    uint32_t number;
    uint8_t bytes[520];
    ndisbridge_interface_information information;
    ndisbridge_statistics_info statistics;
    ndisbridge_link_speed link_speed;
    ndisbridge_link_state link_state;
    ndisbridge_if_counted_string string;
};

enum nb_answer {
    NB_ANSWER_GIVEN,
    NB_ANSWER_PARTLY,  /* OID_GEN_INTERFACE_INFO: not every member is
                        * published; nothing is given */
    NB_ANSWER_UNKNOWN,  /* not published: ask the handler */
    NB_ANSWER_GONE  /* the interface is not registered any more */
};

/* Answers an OID of the catalog; *size is the value's length in bytes. */
enum nb_answer nb_values_answer(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, const struct nb_oid_entry *entry,
    union nb_value *value, uint32_t *size);

/* Lays the published members over an answer to OID_GEN_INTERFACE_INFO; or,
 * if nobody answered, writes it all: what is not published is unknown or 0.
 * The caller has entered the interface. */
void nb_values_lay_over(struct nb_interface *interface,
    ndisbridge_interface_information *information, bool answered);

/* Copies the row and the published fields; false if the interface is gone
 * (net_luid 0: whatever interface the record is of). */
bool nb_values_read_row(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, ndisbridge_mib_if_row2 *row,
    uint64_t *published);

/* Checks values to publish. */
bool nb_values_valid(const ndisbridge_published *values);

/* Publishes, and tells of what has changed; the caller has entered the
 * interface. */
void nb_values_publish(struct nb_events *events,
    struct nb_interface *interface, const ndisbridge_published *values);

/* Puts what is in information into the columns of a row. */
void nb_values_row_information(ndisbridge_mib_if_row2 *row,
    const ndisbridge_interface_information *information);

/* Row and information of a new registration; false if a member of
 * information has no such value or lies outside its length. */
bool nb_values_from_registration(ndisbridge_mib_if_row2 *row,
    ndisbridge_interface_information *values, ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *information, uint32_t length);

/* Puts other facts in place of those of the registration; what is published
 * stays.  False if a member has no such value, or if the interface would
 * become another one by it: the interface GUID and whether it is a filter
 * stay.  The caller has entered the interface. */
bool nb_values_replace_facts(struct nb_events *events,
    struct nb_interface *interface, ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *information, uint32_t length);

#endif
