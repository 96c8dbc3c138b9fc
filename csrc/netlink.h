/* SPDX-License-Identifier: MIT
 *
 * netlink.h - messages, attributes and dumps of Linux netlink, as bytes.
 *
 * No byte is trusted: each length is checked against what is left before
 * anything behind it is read, and nothing in a message says how much to
 * allocate or how often to loop.  Nothing of the system is needed here, so
 * that it is tested and fuzzed on any machine.
 */
#ifndef NB_NETLINK_H
#define NB_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A part of a message that has not been read yet. */
struct nb_bytes {
    const uint8_t *at;
    size_t size;
};

struct nb_netlink_message {
    uint16_t type, flags;
    uint32_t sequence;
    struct nb_bytes payload;
};

struct nb_netlink_attribute {
    uint16_t type;  /* without the flags of its two highest bits */
    struct nb_bytes payload;
};

enum nb_netlink_step { NB_NETLINK_GOT, NB_NETLINK_END, NB_NETLINK_MALFORMED };

/* Takes the next message, or attribute, off the front of bytes.  Fewer bytes
 * than a header at the end are padding. */
enum nb_netlink_step nb_netlink_next_message(
    struct nb_bytes *bytes, struct nb_netlink_message *message);
enum nb_netlink_step nb_netlink_next_attribute(
    struct nb_bytes *bytes, struct nb_netlink_attribute *attribute);

enum nb_dump_state {
    NB_DUMP_MORE,
    NB_DUMP_DONE,  /* complete; interrupted says whether to do it again */
    NB_DUMP_FAILED  /* see error_number */
};

/* The answer to one request, fed datagram by datagram: a dump, or what ends
 * with an acknowledgement. */
struct nb_dump {
    uint32_t sequence;  /* of the request; other messages are skipped */
    bool acknowledged;  /* an acknowledgement ends it */
    int32_t error_number;  /* errno; EBADMSG for a malformed message */
    bool interrupted;  /* something changed while the kernel was at it */
    /* Takes one message; false if it is malformed. */
    bool (*take)(void *context, const struct nb_netlink_message *message);
    void *context;
};

enum nb_dump_state nb_dump_feed(
    struct nb_dump *dump, const uint8_t *bytes, size_t size);

/* ---- values ----------------------------------------------------------- */

static inline uint16_t nb_read_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t nb_read_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* Takes the first length bytes, length <= bytes->size, and the padding to
 * the next multiple of 4, of which the last part may be missing. */
void nb_netlink_advance(struct nb_bytes *bytes, size_t length);

/* An attribute too short for its type is as if it were not there: *value
 * stays, and false is returned. */
bool nb_netlink_get_u32(
    const struct nb_netlink_attribute *attribute, uint32_t *value);

/* Bytes of a string without its NUL, which need not be there. */
size_t nb_netlink_string_length(const struct nb_bytes *payload);

/* Copies a string; to has room for size bytes and is all zero. */
void nb_netlink_get_string(
    const struct nb_netlink_attribute *attribute, char *to, size_t size);

/* The attributes of a generic netlink message of a command; false if it is
 * of another one. */
bool nb_netlink_generic(const struct nb_netlink_message *message,
    uint8_t command, struct nb_bytes *attributes);

#endif
