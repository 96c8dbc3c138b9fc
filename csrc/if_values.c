/* SPDX-License-Identifier: MIT
 *
 * if_values.c - see if_values.h.
 */
#include "if_values.h"

#include <sched.h>

/* ---- the members of ndisbridge_interface_information, in order --------- */

#define MEMBER(number, name) \
    { offsetof(ndisbridge_interface_information, name), \
        sizeof(((ndisbridge_interface_information *)0)->name), number }

const struct nb_member nb_members[NB_MEMBER_COUNT] = {
    MEMBER(0, if_oper_status), MEMBER(1, if_oper_status_flags),
    MEMBER(2, media_connect_state), MEMBER(3, media_duplex_state),
    MEMBER(4, if_mtu), MEMBER(5, if_promiscuous_mode),
    MEMBER(6, if_device_wake_up_enable), MEMBER(7, xmit_link_speed),
    MEMBER(8, rcv_link_speed), MEMBER(9, if_last_change),
    MEMBER(10, if_counter_discontinuity_time),
    MEMBER(11, if_in_unknown_protos), MEMBER(12, if_in_discards),
    MEMBER(13, if_in_errors), MEMBER(14, if_hc_in_octets),
    MEMBER(15, if_hc_in_ucast_pkts), MEMBER(16, if_hc_in_multicast_pkts),
    MEMBER(17, if_hc_in_broadcast_pkts), MEMBER(18, if_hc_out_octets),
    MEMBER(19, if_hc_out_ucast_pkts), MEMBER(20, if_hc_out_multicast_pkts),
    MEMBER(21, if_hc_out_broadcast_pkts), MEMBER(22, if_out_errors),
    MEMBER(23, if_out_discards), MEMBER(24, if_hc_in_ucast_octets),
    MEMBER(25, if_hc_in_multicast_octets),
    MEMBER(26, if_hc_in_broadcast_octets), MEMBER(27, if_hc_out_ucast_octets),
    MEMBER(28, if_hc_out_multicast_octets),
    MEMBER(29, if_hc_out_broadcast_octets), MEMBER(30, compartment_id),
    MEMBER(31, supported_statistics)
};

/* Bit of a member in ndisbridge_published.fields. */
static inline uint64_t field_bit(uint32_t field)
{
    return nb_bit(field - NB_FIELD_OPER_STATUS);
}

/* A counter in the two structures that carry it, with its two bits: valid
 * in OID_GEN_STATISTICS, supported in OID_GEN_INTERFACE_INFO. */
#define COUNTER(field, name, bit) \
    { NB_FIELD_##field, \
        offsetof(ndisbridge_statistics_info, name), \
        NDISBRIDGE_STATISTICS_FLAGS_VALID_##bit, \
        NDISBRIDGE_STATISTICS_##bit##_SUPPORTED }

static const struct {
    uint16_t field, offset;
    uint32_t valid, supported;
} counters[] = {
    COUNTER(IN_DISCARDS, if_in_discards, RCV_DISCARDS),
    COUNTER(IN_ERRORS, if_in_errors, RCV_ERROR),
    COUNTER(IN_OCTETS, if_hc_in_octets, BYTES_RCV),
    COUNTER(IN_UCAST_PKTS, if_hc_in_ucast_pkts, DIRECTED_FRAMES_RCV),
    COUNTER(IN_MULTICAST_PKTS, if_hc_in_multicast_pkts,
        MULTICAST_FRAMES_RCV),
    COUNTER(IN_BROADCAST_PKTS, if_hc_in_broadcast_pkts,
        BROADCAST_FRAMES_RCV),
    COUNTER(OUT_OCTETS, if_hc_out_octets, BYTES_XMIT),
    COUNTER(OUT_UCAST_PKTS, if_hc_out_ucast_pkts, DIRECTED_FRAMES_XMIT),
    COUNTER(OUT_MULTICAST_PKTS, if_hc_out_multicast_pkts,
        MULTICAST_FRAMES_XMIT),
    COUNTER(OUT_BROADCAST_PKTS, if_hc_out_broadcast_pkts,
        BROADCAST_FRAMES_XMIT),
    COUNTER(OUT_ERRORS, if_out_errors, XMIT_ERROR),
    COUNTER(OUT_DISCARDS, if_out_discards, XMIT_DISCARDS),
    COUNTER(IN_UCAST_OCTETS, if_hc_in_ucast_octets, DIRECTED_BYTES_RCV),
    COUNTER(IN_MULTICAST_OCTETS, if_hc_in_multicast_octets,
        MULTICAST_BYTES_RCV),
    COUNTER(IN_BROADCAST_OCTETS, if_hc_in_broadcast_octets,
        BROADCAST_BYTES_RCV),
    COUNTER(OUT_UCAST_OCTETS, if_hc_out_ucast_octets, DIRECTED_BYTES_XMIT),
    COUNTER(OUT_MULTICAST_OCTETS, if_hc_out_multicast_octets,
        MULTICAST_BYTES_XMIT),
    COUNTER(OUT_BROADCAST_OCTETS, if_hc_out_broadcast_octets,
        BROADCAST_BYTES_XMIT)
};
#define COUNTER_COUNT (sizeof counters / sizeof *counters)

/* ---- reading ---------------------------------------------------------- */

NB_NOINLINE uint64_t nb_read_wait(struct nb_interface *interface)
{
    uint64_t sequence;

    while ((sequence = nb_load_acquire(&interface->sequence)) & 1)
        sched_yield();
    return sequence;
}

static inline void read_word(uint8_t *to, nb_atomic_u64 *from)
{
    uint64_t word = nb_load_acquire(from);

    memcpy(to, &word, 8);
}

static void read_words(void *to, nb_atomic_u64 *from, size_t words)
{
    uint8_t *at = to;

    /* Compilers do not unroll a loop of atomics by themselves. */
    for (; words >= 8; words -= 8, from += 8, at += 64) {
        read_word(at, from);
        read_word(at + 8, from + 1);
        read_word(at + 16, from + 2);
        read_word(at + 24, from + 3);
        read_word(at + 32, from + 4);
        read_word(at + 40, from + 5);
        read_word(at + 48, from + 6);
        read_word(at + 56, from + 7);
    }
    for (; words > 0; words--, from++, at += 8)
        read_word(at, from);
}

/* Reads length bytes at an offset of the row, which need not be aligned. */
static void read_row_bytes(struct nb_interface *interface, size_t offset,
    void *to, size_t length)
{
    uint64_t words[68];
    size_t first = offset / 8, end = (offset + length + 7) / 8;

    read_words(words, interface->row + first, end - first);
    memcpy(to, (uint8_t *)words + offset % 8, length);
}

#define READ_ROW(interface, member, to) \
    read_row_bytes(interface, offsetof(ndisbridge_mib_if_row2, member), \
        to, sizeof *(to))

static ndisbridge_object_header header_of(size_t size)
{
    ndisbridge_object_header header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
        NDISBRIDGE_OBJECT_REVISION_1, (uint16_t)size };

    return header;
}

static uint32_t statistics_from(ndisbridge_statistics_info *to,
    const ndisbridge_interface_information *from, uint64_t published)
{
    memset(to, 0, sizeof *to);
    to->header = header_of(sizeof *to);
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        if (!(published & field_bit(counters[i].field)))
            continue;
        memcpy((uint8_t *)to + counters[i].offset,
            (const uint8_t *)from
                + nb_members[counters[i].field - NB_FIELD_OPER_STATUS].offset,
            8);
        to->supported_statistics |= counters[i].valid;
    }
    return sizeof *to;
}

static uint64_t counter_fields(void)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < COUNTER_COUNT; i++)
        bits |= field_bit(counters[i].field);
    return bits;
}

/* The bits of fields of which one, or all, must be published. */
static bool is_published(uint32_t field, uint64_t published)
{
    const uint64_t speeds = field_bit(NB_FIELD_XMIT_LINK_SPEED)
        | field_bit(NB_FIELD_RCV_LINK_SPEED);

    switch (field) {
    case NB_FIELD_ADMIN_STATUS:
        return (published & NDISBRIDGE_PUBLISH_ADMIN_STATUS) != 0;
    case NB_FIELD_ALIAS:
        return (published & NDISBRIDGE_PUBLISH_ALIAS) != 0;
    case NB_FIELD_INTERFACE_INFO:
        return (published & NDISBRIDGE_PUBLISH_INFORMATION)
            == NDISBRIDGE_PUBLISH_INFORMATION;
    case NB_FIELD_STATISTICS:
        return (published & counter_fields()) != 0;
    case NB_FIELD_LINK_SPEED_EX:
        return (published & speeds) == speeds;
    case NB_FIELD_LINK_STATE:
        return (published & speeds) == speeds
            && (published & field_bit(NB_FIELD_MEDIA_CONNECT_STATE));
    default:
        return true;  /* registration facts */
    }
}

/* A physical address; an interface whose medium is not 802.3 has none to
 * give by these OIDs.  Its IfType does not matter: bridges and VLANs have
 * one of their own. */
static uint32_t read_address(
    struct nb_interface *interface, uint32_t field, uint8_t *to)
{
    uint32_t length, media_type;
    uint8_t address[NDISBRIDGE_MAX_PHYS_ADDRESS_LENGTH];

    READ_ROW(interface, physical_address_length, &length);
    READ_ROW(interface, media_type, &media_type);
    if (field == NB_FIELD_CURRENT_ADDRESS)
        READ_ROW(interface, physical_address, &address);
    else
        READ_ROW(interface, permanent_physical_address, &address);
    if (media_type != NDISBRIDGE_MEDIUM_802_3 || length != 6)
        return 0;
    memcpy(to, address, 6);
    return 6;
}

static void link_state_from(ndisbridge_link_state *to,
    const ndisbridge_interface_information *from)
{
    memset(to, 0, sizeof *to);
    to->header = header_of(sizeof *to);
    to->media_connect_state = from->media_connect_state;
    to->media_duplex_state = from->media_duplex_state;
    to->xmit_link_speed = from->xmit_link_speed;
    to->rcv_link_speed = from->rcv_link_speed;
    to->pause_functions = NDISBRIDGE_PAUSE_FUNCTIONS_UNKNOWN;
}

/* Reads what a composite or a fact is made of; size 0 means unknown. */
static uint32_t read_composite(struct nb_interface *interface,
    uint32_t field, uint64_t published, union nb_value *value)
{
    ndisbridge_interface_information information;

    switch (field) {
    case NB_FIELD_ADMIN_STATUS:
        READ_ROW(interface, admin_status, &value->number);
        return 4;
    case NB_FIELD_MEDIA_TYPE:
        READ_ROW(interface, media_type, &value->number);
        return 4;
    case NB_FIELD_PHYSICAL_MEDIUM:
        READ_ROW(interface, physical_medium_type, &value->number);
        return 4;
    case NB_FIELD_CURRENT_ADDRESS:
    case NB_FIELD_PERMANENT_ADDRESS:
        return read_address(interface, field, value->bytes);
    case NB_FIELD_ALIAS:
        memset(&value->string, 0, sizeof value->string);
        READ_ROW(interface, alias, &value->string.string);
        value->string.length = 0;
        while (value->string.length < 2 * NDISBRIDGE_MAX_STRING_SIZE
            && value->string.string[value->string.length / 2] != 0)
            value->string.length = (uint16_t)(value->string.length + 2);
        return sizeof value->string;
    default:
        break;
    }
    read_words(&information, interface->information, NB_INFORMATION_WORDS);
    switch (field) {
    case NB_FIELD_INTERFACE_INFO:
        value->information = information;
        return sizeof information;
    case NB_FIELD_STATISTICS:
        return statistics_from(&value->statistics, &information, published);
    case NB_FIELD_LINK_SPEED_EX:
        value->link_speed.xmit_link_speed = information.xmit_link_speed;
        value->link_speed.rcv_link_speed = information.rcv_link_speed;
        return sizeof value->link_speed;
    default:  /* NB_FIELD_LINK_STATE: there is no other */
        NB_ASSERT(1, field == NB_FIELD_LINK_STATE);
        link_state_from(&value->link_state, &information);
        return sizeof value->link_state;
    }
}

enum nb_answer nb_values_read_member(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, uint32_t member, void *value)
{
    const struct nb_member *is = &nb_members[member];
    uint64_t sequence, published, word;

    do {
        if (!nb_read_begin(interface, net_luid, &sequence))
            return NB_ANSWER_GONE;
        published = nb_load_acquire(&interface->published);
        word = nb_load_acquire(&interface->information[is->offset / 8]);
    } while (nb_read_again(interface, sequence));
    if (!(published & nb_bit(member)))
        return NB_ANSWER_UNKNOWN;
    nb_give_member(value, word, is);
    return NB_ANSWER_GIVEN;
}

enum nb_answer nb_values_answer(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, const struct nb_oid_entry *entry,
    union nb_value *value, uint32_t *size)
{
    uint32_t field = entry->field, member = field - NB_FIELD_OPER_STATUS;
    uint64_t sequence, published;

    if (member < NB_MEMBER_COUNT) {
        *size = nb_members[member].size;
        return nb_values_read_member(
            interface, net_luid, member, value->bytes);
    }
    do {
        if (!nb_read_begin(interface, net_luid, &sequence))
            return NB_ANSWER_GONE;
        published = nb_load_acquire(&interface->published);
        if (is_published(field, published)) {
            *size = read_composite(interface, field, published, value);
        } else {
            *size = 0;
        }
    } while (nb_read_again(interface, sequence));
    if (*size != 0)
        return NB_ANSWER_GIVEN;
    return field == NB_FIELD_INTERFACE_INFO
            && (published & NDISBRIDGE_PUBLISH_INFORMATION)
        ? NB_ANSWER_PARTLY
        : NB_ANSWER_UNKNOWN;
}

static void copy_members(ndisbridge_interface_information *to,
    const ndisbridge_interface_information *from, uint64_t fields)
{
    for (uint64_t left = fields & NDISBRIDGE_PUBLISH_INFORMATION; left != 0;
         left &= left - 1) {
        uint32_t i = nb_lowest_bit(left);

        memcpy((uint8_t *)to + nb_members[i].offset,
            (const uint8_t *)from + nb_members[i].offset, nb_members[i].size);
    }
}

/* Unless it says so itself, an interface supports what it publishes, beside
 * what its registration or its handler says. */
static void support_published(
    ndisbridge_interface_information *is, uint64_t published)
{
    if (published & field_bit(NB_FIELD_SUPPORTED_STATISTICS))
        return;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        if (published & field_bit(counters[i].field))
            is->supported_statistics |= counters[i].supported;
}

void nb_values_lay_over(struct nb_interface *interface,
    ndisbridge_interface_information *information, bool answered)
{
    ndisbridge_interface_information own;
    uint64_t sequence, published;

    do {
        nb_read_begin(interface, 0, &sequence);
        published = nb_load_acquire(&interface->published);
        read_words(&own, interface->information, NB_INFORMATION_WORDS);
    } while (nb_read_again(interface, sequence));
    if (!answered) {
        *information = own;
        return;
    }
    copy_members(information, &own, published);
    support_published(information, published);
}

bool nb_values_read_row(struct nb_interface *interface,
    ndisbridge_net_luid net_luid, ndisbridge_mib_if_row2 *row,
    uint64_t *published)
{
    uint64_t sequence;

    do {
        if (!nb_read_begin(interface, net_luid, &sequence))
            return false;
        *published = nb_load_acquire(&interface->published);
        read_words(row, interface->row, NB_ROW_WORDS);
    } while (nb_read_again(interface, sequence));
    return true;
}

/* ---- writing ---------------------------------------------------------- */

static bool in_range(uint64_t fields, uint32_t field, uint32_t value,
    uint32_t lowest, uint32_t highest)
{
    return !(fields & field_bit(field))
        || (value >= lowest && value <= highest);
}

bool nb_values_valid(const ndisbridge_published *values)
{
    const ndisbridge_interface_information *is = &values->information;
    const uint64_t known = NDISBRIDGE_PUBLISH_INFORMATION
        | NDISBRIDGE_PUBLISH_ADMIN_STATUS | NDISBRIDGE_PUBLISH_ALIAS;
    uint64_t fields = values->fields;

    return !(fields & ~known)
        && in_range(fields, NB_FIELD_OPER_STATUS, is->if_oper_status,
            NDISBRIDGE_NET_IF_OPER_STATUS_UP,
            NDISBRIDGE_NET_IF_OPER_STATUS_LOWER_LAYER_DOWN)
        && in_range(fields, NB_FIELD_MEDIA_CONNECT_STATE,
            is->media_connect_state, 0, 2)
        && in_range(fields, NB_FIELD_MEDIA_DUPLEX_STATE,
            is->media_duplex_state, 0, 2)
        && in_range(fields, NB_FIELD_PROMISCUOUS_MODE,
            is->if_promiscuous_mode, 0, 1)
        && in_range(fields, NB_FIELD_DEVICE_WAKE_UP_ENABLE,
            is->if_device_wake_up_enable, 0, 1)
        && (!(fields & NDISBRIDGE_PUBLISH_ADMIN_STATUS)
            || (values->admin_status >= 1 && values->admin_status <= 3))
        && (!(fields & NDISBRIDGE_PUBLISH_ALIAS)
            || (values->alias.length % 2 == 0
                && values->alias.length <= 2 * NDISBRIDGE_MAX_STRING_SIZE));
}

void nb_values_row_information(ndisbridge_mib_if_row2 *row,
    const ndisbridge_interface_information *from)
{
    /* NotAuthenticated, NotMediaConnected, Paused, LowPower: the four
     * reason flags, in their own order. */
    row->interface_and_oper_status_flags =
        (uint8_t)((row->interface_and_oper_status_flags & 0x87)
            | ((from->if_oper_status_flags & 0xF) << 3));
    row->oper_status = from->if_oper_status;
    row->media_connect_state = from->media_connect_state;
    row->mtu = from->if_mtu;
    row->transmit_link_speed =
        from->xmit_link_speed == NDISBRIDGE_LINK_SPEED_UNKNOWN
        ? 0
        : from->xmit_link_speed;
    row->receive_link_speed =
        from->rcv_link_speed == NDISBRIDGE_LINK_SPEED_UNKNOWN
        ? 0
        : from->rcv_link_speed;
    row->in_octets = from->if_hc_in_octets;
    row->in_ucast_pkts = from->if_hc_in_ucast_pkts;
    row->in_nucast_pkts =
        from->if_hc_in_multicast_pkts + from->if_hc_in_broadcast_pkts;
    row->in_discards = from->if_in_discards;
    row->in_errors = from->if_in_errors;
    row->in_unknown_protos = from->if_in_unknown_protos;
    row->in_ucast_octets = from->if_hc_in_ucast_octets;
    row->in_multicast_octets = from->if_hc_in_multicast_octets;
    row->in_broadcast_octets = from->if_hc_in_broadcast_octets;
    row->out_octets = from->if_hc_out_octets;
    row->out_ucast_pkts = from->if_hc_out_ucast_pkts;
    row->out_nucast_pkts =
        from->if_hc_out_multicast_pkts + from->if_hc_out_broadcast_pkts;
    row->out_discards = from->if_out_discards;
    row->out_errors = from->if_out_errors;
    row->out_ucast_octets = from->if_hc_out_ucast_octets;
    row->out_multicast_octets = from->if_hc_out_multicast_octets;
    row->out_broadcast_octets = from->if_hc_out_broadcast_octets;
}

/* Whether publishing `fields` sets the total of octets that consist of three
 * parts: not if the publisher gives a total himself. */
static bool sums_up(uint64_t fields, uint64_t published, uint32_t total,
    uint32_t first_part)
{
    const uint64_t parts = (uint64_t)7 << (first_part - NB_FIELD_OPER_STATUS);

    return (fields & parts) && !(fields & field_bit(total))
        && (published & parts) == parts;
}

/* Puts new values into what is published; `published` is what is then. */
static void merge_information(ndisbridge_interface_information *into,
    const ndisbridge_published *values, uint64_t *published)
{
    copy_members(into, &values->information, values->fields);
    if (sums_up(values->fields, *published, NB_FIELD_IN_OCTETS,
            NB_FIELD_IN_UCAST_OCTETS)) {
        into->if_hc_in_octets = into->if_hc_in_ucast_octets
            + into->if_hc_in_multicast_octets
            + into->if_hc_in_broadcast_octets;
        *published |= field_bit(NB_FIELD_IN_OCTETS);
    }
    if (sums_up(values->fields, *published, NB_FIELD_OUT_OCTETS,
            NB_FIELD_OUT_UCAST_OCTETS)) {
        into->if_hc_out_octets = into->if_hc_out_ucast_octets
            + into->if_hc_out_multicast_octets
            + into->if_hc_out_broadcast_octets;
        *published |= field_bit(NB_FIELD_OUT_OCTETS);
    }
    support_published(into, *published);
}

static void write_words(
    nb_atomic_u64 *to, const void *from, const void *before, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t word, old;

        memcpy(&word, (const uint8_t *)from + i * 8, 8);
        memcpy(&old, (const uint8_t *)before + i * 8, 8);
        if (word != old)
            nb_store_release(&to[i], word);
    }
}

static uint64_t write_begin(struct nb_interface *interface)
{
    for (;;) {
        uint64_t sequence = nb_load(&interface->sequence);

        if (!(sequence & 1)
            && nb_compare_exchange(
                &interface->sequence, &sequence, sequence + 1))
            return sequence;
        sched_yield();
    }
}

/* What a publication changes. */
struct state {
    uint64_t published;
    ndisbridge_interface_information information;
    ndisbridge_mib_if_row2 row;
};

/* Fields that an event tells of: those given that differ now, or were not
 * published before. */
static uint64_t changed_fields(const struct state *before,
    const struct state *after, uint64_t fields)
{
    uint64_t changed = fields & ~before->published;

    fields &= ~(changed | (uint64_t)NDISBRIDGE_PUBLISH_STATISTICS);
    changed &= ~(uint64_t)NDISBRIDGE_PUBLISH_STATISTICS;
    for (uint64_t left = fields & NDISBRIDGE_PUBLISH_INFORMATION; left != 0;
         left &= left - 1) {
        uint32_t i = nb_lowest_bit(left);

        if (memcmp((const uint8_t *)&before->information + nb_members[i].offset,
                (const uint8_t *)&after->information + nb_members[i].offset,
                nb_members[i].size)
            != 0)
            changed |= nb_bit(i);
    }
    if ((fields & NDISBRIDGE_PUBLISH_ADMIN_STATUS)
        && before->row.admin_status != after->row.admin_status)
        changed |= NDISBRIDGE_PUBLISH_ADMIN_STATUS;
    if ((fields & NDISBRIDGE_PUBLISH_ALIAS)
        && memcmp(before->row.alias, after->row.alias,
               sizeof before->row.alias)
            != 0)
        changed |= NDISBRIDGE_PUBLISH_ALIAS;
    return changed;
}

/* In the writer's turn, so that events come in the order of the values. */
static void post_change(struct nb_events *events, const struct state *before,
    const struct state *after, uint64_t changed, uint64_t sequence)
{
    ndisbridge_event event = {
        .net_luid = after->row.interface_luid,
        .if_index = after->row.interface_index,
        .kind = NDISBRIDGE_EVENT_PARAMETER,
        .changed = changed,
        .link = nb_link_transition(before->information.if_oper_status,
            after->information.if_oper_status),
        .oper_status = after->information.if_oper_status,
        .admin_status = after->row.admin_status,
    };

    if (changed != 0)
        nb_events_post(events, &event, sequence);
}

/* Not inlined: that makes publishing slower for those whom nobody listens
 * to. */
static NB_NOINLINE void tell(struct nb_events *events,
    const struct state *before, const struct state *after, uint64_t fields,
    uint64_t sequence)
{
    post_change(events, before, after,
        changed_fields(before, after, fields), sequence);
}

void nb_values_publish(struct nb_events *events,
    struct nb_interface *interface, const ndisbridge_published *values)
{
    struct state before, after;
    uint64_t sequence = write_begin(interface);

    before.published = nb_load_relaxed(&interface->published);
    read_words(
        &before.information, interface->information, NB_INFORMATION_WORDS);
    read_words(&before.row, interface->row, NB_ROW_WORDS);
    after = before;
    after.published |= values->fields;
    if (values->fields & NDISBRIDGE_PUBLISH_INFORMATION) {
        merge_information(&after.information, values, &after.published);
        nb_values_row_information(&after.row, &after.information);
    }
    if (values->fields & NDISBRIDGE_PUBLISH_ADMIN_STATUS)
        after.row.admin_status = values->admin_status;
    if (values->fields & NDISBRIDGE_PUBLISH_ALIAS) {
        memset(after.row.alias, 0, sizeof after.row.alias);
        memcpy(
            after.row.alias, values->alias.string, values->alias.length);
    }
    write_words(interface->information, &after.information,
        &before.information, NB_INFORMATION_WORDS);
    write_words(interface->row, &after.row, &before.row, NB_ROW_WORDS);
    nb_store_release(&interface->published, after.published);
    if (nb_events_wanted(events))
        tell(events, &before, &after, values->fields, sequence + 2);
    nb_store_release(&interface->sequence, sequence + 2);
}

/* ---- registration ----------------------------------------------------- */

/* offset and length inside [fixed part, length), or nothing there. */
static bool inside(uint32_t offset, uint32_t part, uint32_t length)
{
    return part == 0
        || (offset >= sizeof(ndisbridge_net_if_information)
            && offset <= length && part <= length - offset);
}

static bool information_valid(
    const ndisbridge_net_if_information *is, uint32_t length)
{
    static const ndisbridge_guid none;

    return is->phys_address_length <= NDISBRIDGE_MAX_PHYS_ADDRESS_LENGTH
        && inside(is->phys_address_offset, is->phys_address_length, length)
        && inside(is->permanent_phys_address_offset,
            is->phys_address_length, length)
        && is->friendly_name_length % 2 == 0
        && is->friendly_name_length <= 2 * NDISBRIDGE_MAX_STRING_SIZE
        && inside(
            is->friendly_name_offset, is->friendly_name_length, length)
        && is->access_type >= 1 && is->access_type <= 4
        && is->direction_type <= 2 && is->connection_type >= 1
        && is->connection_type <= 3 && is->if_connector_present <= 1
        && memcmp(&is->interface_guid, &none, sizeof none) != 0;
}

/* InterfaceAndOperStatusFlags: HardwareInterface, FilterInterface,
 * ConnectorPresent, (four reasons), EndPointInterface. */
static uint8_t row_flags(const ndisbridge_net_if_information *is)
{
    return (uint8_t)((is->flags & NDISBRIDGE_NIIF_HARDWARE_INTERFACE ? 1 : 0)
        | (is->flags & NDISBRIDGE_NIIF_FILTER_INTERFACE ? 2 : 0)
        | (is->if_connector_present ? 4 : 0)
        | (is->flags & NDISBRIDGE_NIIF_NDIS_ENDPOINT_INTERFACE ? 0x80 : 0));
}

bool nb_values_from_registration(ndisbridge_mib_if_row2 *row,
    ndisbridge_interface_information *values, ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *is, uint32_t length)
{
    const uint8_t *bytes = (const uint8_t *)is;

    if (!information_valid(is, length))
        return false;
    memset(values, 0, sizeof *values);
    values->if_oper_status = NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN;
    values->xmit_link_speed = NDISBRIDGE_LINK_SPEED_UNKNOWN;
    values->rcv_link_speed = NDISBRIDGE_LINK_SPEED_UNKNOWN;
    values->supported_statistics = is->supported_statistics;
    memset(row, 0, sizeof *row);
    nb_values_row_information(row, values);
    row->interface_luid = net_luid;
    row->interface_guid = is->interface_guid;
    memcpy(row->description, bytes + is->friendly_name_offset,
        is->friendly_name_length);
    row->physical_address_length = is->phys_address_length;
    memcpy(row->physical_address, bytes + is->phys_address_offset,
        is->phys_address_length);
    memcpy(row->permanent_physical_address,
        bytes + is->permanent_phys_address_offset, is->phys_address_length);
    row->type = (uint32_t)(net_luid >> 48);
    row->tunnel_type = row->type == NDISBRIDGE_IF_TYPE_TUNNEL
            && is->wan_tunnel_type != UINT32_MAX
        ? is->wan_tunnel_type
        : 0;
    row->media_type = is->media_type;
    row->physical_medium_type = is->physical_medium_type;
    row->access_type = is->access_type;
    row->direction_type = is->direction_type;
    row->interface_and_oper_status_flags = row_flags(is);
    /* RFC 2863: down until the managed system decides. */
    row->admin_status = NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN;
    row->network_guid = is->network_guid;
    row->connection_type = is->connection_type;
    return true;
}

/* Puts the columns that are facts into a row. */
static void take_facts(
    ndisbridge_mib_if_row2 *row, const ndisbridge_mib_if_row2 *facts)
{
    memcpy(row->description, facts->description, sizeof row->description);
    row->physical_address_length = facts->physical_address_length;
    memcpy(row->physical_address, facts->physical_address,
        sizeof row->physical_address);
    memcpy(row->permanent_physical_address,
        facts->permanent_physical_address,
        sizeof row->permanent_physical_address);
    row->tunnel_type = facts->tunnel_type;
    row->media_type = facts->media_type;
    row->physical_medium_type = facts->physical_medium_type;
    row->access_type = facts->access_type;
    row->direction_type = facts->direction_type;
    row->interface_and_oper_status_flags =
        (uint8_t)((row->interface_and_oper_status_flags & 0x78)
            | (facts->interface_and_oper_status_flags & 0x87));
    row->network_guid = facts->network_guid;
    row->connection_type = facts->connection_type;
}

bool nb_values_replace_facts(struct nb_events *events,
    struct nb_interface *interface,
    ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *is, uint32_t length)
{
    ndisbridge_interface_information unused;
    ndisbridge_mib_if_row2 facts;
    struct state before, after;
    uint64_t sequence;
    bool same;

    if (!nb_values_from_registration(&facts, &unused, net_luid, is, length))
        return false;
    sequence = write_begin(interface);
    before.published = nb_load_relaxed(&interface->published);
    read_words(
        &before.information, interface->information, NB_INFORMATION_WORDS);
    read_words(&before.row, interface->row, NB_ROW_WORDS);
    same = memcmp(&before.row.interface_guid, &facts.interface_guid,
               sizeof facts.interface_guid)
            == 0
        && !((before.row.interface_and_oper_status_flags
                 ^ facts.interface_and_oper_status_flags)
            & 2);
    if (same) {
        after = before;
        take_facts(&after.row, &facts);
        write_words(interface->row, &after.row, &before.row, NB_ROW_WORDS);
        if (nb_events_wanted(events)
            && memcmp(&before.row, &after.row, sizeof after.row) != 0)
            post_change(events, &before, &after, NDISBRIDGE_CHANGED_FACTS,
                sequence + 2);
    }
    nb_store_release(&interface->sequence, sequence + 2);
    return same;
}
