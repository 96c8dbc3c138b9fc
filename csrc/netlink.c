/* SPDX-License-Identifier: MIT
 *
 * netlink.c - see netlink.h.
 */
#include "netlink.h"

#include <errno.h>

/* Numbers of the kernel's ABI, which never change. */
enum {
    MESSAGE_HEADER = 16,
    ATTRIBUTE_HEADER = 4,
    ATTRIBUTE_TYPE_MASK = 0x3FFF,  /* without NESTED and NET_BYTEORDER */
    GENERIC_HEADER = 4,

    MESSAGE_NOOP = 1,
    MESSAGE_ERROR = 2,
    MESSAGE_DONE = 3,
    MESSAGE_OVERRUN = 4,
    MESSAGE_FLAG_DUMP_INTR = 0x10
};

void nb_netlink_advance(struct nb_bytes *bytes, size_t length)
{
    size_t padding = (4 - length % 4) % 4;

    bytes->at += length;
    bytes->size -= length;
    if (padding > bytes->size)
        padding = bytes->size;
    bytes->at += padding;
    bytes->size -= padding;
}

enum nb_netlink_step nb_netlink_next_message(
    struct nb_bytes *bytes, struct nb_netlink_message *message)
{
    uint32_t length;

    if (bytes->size < MESSAGE_HEADER)
        return bytes->size == 0 ? NB_NETLINK_END : NB_NETLINK_MALFORMED;
    length = nb_read_u32(bytes->at);
    if (length < MESSAGE_HEADER || length > bytes->size)
        return NB_NETLINK_MALFORMED;
    message->type = nb_read_u16(bytes->at + 4);
    message->flags = nb_read_u16(bytes->at + 6);
    message->sequence = nb_read_u32(bytes->at + 8);
    message->payload.at = bytes->at + MESSAGE_HEADER;
    message->payload.size = length - MESSAGE_HEADER;
    nb_netlink_advance(bytes, length);
    return NB_NETLINK_GOT;
}

enum nb_netlink_step nb_netlink_next_attribute(
    struct nb_bytes *bytes, struct nb_netlink_attribute *attribute)
{
    uint16_t length;

    if (bytes->size < ATTRIBUTE_HEADER)
        return NB_NETLINK_END;
    length = nb_read_u16(bytes->at);
    if (length < ATTRIBUTE_HEADER || length > bytes->size)
        return NB_NETLINK_MALFORMED;
    attribute->type =
        (uint16_t)(nb_read_u16(bytes->at + 2) & ATTRIBUTE_TYPE_MASK);
    attribute->payload.at = bytes->at + ATTRIBUTE_HEADER;
    attribute->payload.size = (size_t)length - ATTRIBUTE_HEADER;
    nb_netlink_advance(bytes, length);
    return NB_NETLINK_GOT;
}

/* errno in the payload of an ERROR or DONE message; -1 if there is none. */
static int32_t error_in(const struct nb_netlink_message *message)
{
    int32_t error;

    if (message->payload.size < sizeof error)
        return -1;
    memcpy(&error, message->payload.at, sizeof error);
    return error > 0 || error == INT32_MIN ? EBADMSG : -error;
}

static enum nb_dump_state fail(struct nb_dump *dump, int32_t error_number)
{
    dump->error_number = error_number;
    return NB_DUMP_FAILED;
}

enum nb_dump_state nb_dump_feed(
    struct nb_dump *dump, const uint8_t *bytes, size_t size)
{
    struct nb_bytes left = { bytes, size };
    struct nb_netlink_message message;
    enum nb_netlink_step step;
    int32_t error;

    while ((step = nb_netlink_next_message(&left, &message))
        == NB_NETLINK_GOT) {
        if (message.sequence != dump->sequence)
            continue;
        if (message.flags & MESSAGE_FLAG_DUMP_INTR)
            dump->interrupted = true;
        switch (message.type) {
        case MESSAGE_NOOP:
            break;
        case MESSAGE_OVERRUN:
            dump->interrupted = true;
            break;
        case MESSAGE_DONE:
            /* Old kernels send DONE without a number. */
            error = error_in(&message);
            return error > 0 ? fail(dump, error) : NB_DUMP_DONE;
        case MESSAGE_ERROR:
            error = error_in(&message);
            if (error != 0)
                return fail(dump, error > 0 ? error : EBADMSG);
            if (dump->acknowledged)
                return NB_DUMP_DONE;
            break;
        default:
            if (!dump->take(dump->context, &message))
                return fail(dump, EBADMSG);
        }
    }
    return step == NB_NETLINK_END ? NB_DUMP_MORE : fail(dump, EBADMSG);
}

/* ---- values ----------------------------------------------------------- */

bool nb_netlink_get_u32(
    const struct nb_netlink_attribute *attribute, uint32_t *value)
{
    if (attribute->payload.size < sizeof *value)
        return false;
    *value = nb_read_u32(attribute->payload.at);
    return true;
}

size_t nb_netlink_string_length(const struct nb_bytes *payload)
{
    const uint8_t *nul =
        payload->size > 0 ? memchr(payload->at, 0, payload->size) : NULL;

    return nul != NULL ? (size_t)(nul - payload->at) : payload->size;
}

void nb_netlink_get_string(
    const struct nb_netlink_attribute *attribute, char *to, size_t size)
{
    size_t length = nb_netlink_string_length(&attribute->payload);

    if (length > size - 1)
        length = size - 1;
    if (length > 0)
        memcpy(to, attribute->payload.at, length);
}

bool nb_netlink_generic(const struct nb_netlink_message *message,
    uint8_t command, struct nb_bytes *attributes)
{
    *attributes = message->payload;
    if (attributes->size < GENERIC_HEADER || attributes->at[0] != command)
        return false;
    nb_netlink_advance(attributes, GENERIC_HEADER);
    return true;
}
