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

#include <string.h>

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

/* memcpy() that makes no call for the sizes that nearly all values have. */
static inline void nb_copy_value(void *to, const void *from, uint32_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else if (size == 4)
        memcpy(to, from, 4);
    else
        memcpy(to, from, size);
}

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

/* Where a member of ndisbridge_interface_information lies, by its number:
 * field - NB_FIELD_OPER_STATUS.  None crosses a word; sizes are 1, 4 or 8. */
struct nb_member {
    uint16_t offset;
    uint8_t size;
    uint8_t number;
};
#define NB_MEMBER_COUNT 32
extern const struct nb_member nb_members[NB_MEMBER_COUNT];

/* Waits for the end of a writer's turn; the sequence then. */
uint64_t nb_read_wait(struct nb_interface *interface);

/* Begins a read: false if the interface is gone (net_luid 0: whatever
 * interface the record is of).  Pairs with the release that ends the
 * writer's turn. */
static inline bool nb_read_begin(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, uint64_t *sequence)
{
    *sequence = nb_load_acquire(&interface->sequence);
    if (NB_UNLIKELY(*sequence & 1))
        *sequence = nb_read_wait(interface);
    return !(nb_load_acquire(&interface->rundown) & NB_RUNDOWN_CLOSED)
        && (net_luid == 0
            || nb_load_acquire(&interface->net_luid) == net_luid);
}

/* Whether what was read since is of more than one state. */
static inline bool nb_read_again(
    struct nb_interface *interface, uint64_t sequence)
{
    return NB_UNLIKELY(nb_load_relaxed(&interface->sequence) != sequence);
}

/* Writes the member that a word of information holds. */
static inline void nb_give_member(
    void *value, uint64_t word, const struct nb_member *is)
{
    if (NB_LIKELY(is->size == 8)) {
        memcpy(value, &word, 8);
        return;
    }
    /* Its bytes come first, without a way through memory. */
    word = nb_shift_bytes(word, is->offset % 8u);
    if (is->size == 4)
        memcpy(value, &word, 4);
    else
        memcpy(value, &word, 1);
}

enum nb_look {
    NB_LOOK_GIVEN,
    NB_LOOK_UNKNOWN,  /* not published */
    NB_LOOK_AGAIN  /* gone, or being written: nb_values_read_member() */
};

/* One look at a member; value has its size.  It waits for nobody, calls
 * nothing and holds little at a time, so that who looks needs no frame.  A
 * member that was not published at a moment is unknown, whatever state that
 * was of: who then asks the handler enters the interface. */
static inline enum nb_look nb_values_look(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, const struct nb_member *is, void *value)
{
    uint64_t sequence = nb_load_acquire(&interface->sequence), word;

    if (NB_UNLIKELY(sequence & 1)
        || NB_UNLIKELY(
            nb_load_acquire(&interface->rundown) & NB_RUNDOWN_CLOSED)
        || NB_UNLIKELY(nb_load_acquire(&interface->net_luid) != net_luid))
        return NB_LOOK_AGAIN;
    if (NB_UNLIKELY(
            !(nb_load_acquire(&interface->published) >> is->number & 1)))
        return NB_LOOK_UNKNOWN;
    word = nb_load_acquire(&interface->information[(size_t)is->offset / 8]);
    if (nb_read_again(interface, sequence))
        return NB_LOOK_AGAIN;
    nb_give_member(value, word, is);
    return NB_LOOK_GIVEN;
}

/* Reads one member; waits for the end of a writer's turn. */
enum nb_answer nb_values_read_member(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, uint32_t member, void *value);

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
