/* SPDX-License-Identifier: MIT
 *
 * netlink_kit.h - netlink messages, made by hand.  Numbers come from the
 * system's headers, so that the parser's own are checked against them.
 */
#ifndef NB_TEST_NETLINK_KIT_H
#define NB_TEST_NETLINK_KIT_H

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "check.h"

enum { SEQUENCE = 77, ROOM = 16384 };

/* A datagram in the making. */
static struct {
    uint8_t bytes[ROOM];
    size_t size;
} out;

static inline void put(const void *bytes, size_t size)
{
    REQUIRE(size <= ROOM - out.size);
    if (size > 0)
        memcpy(out.bytes + out.size, bytes, size);
    out.size += size;
    while (out.size % 4 != 0)
        out.bytes[out.size++] = 0;
}

static inline size_t begin_message(uint16_t type, uint16_t flags, uint32_t sequence)
{
    struct nlmsghdr header = { .nlmsg_type = type,
        .nlmsg_flags = (uint16_t)(flags | NLM_F_MULTI),
        .nlmsg_seq = sequence };
    size_t at = out.size;

    put(&header, sizeof header);
    return at;
}

static inline void end_message(size_t at)
{
    uint32_t length = (uint32_t)(out.size - at);

    memcpy(out.bytes + at, &length, sizeof length);
}

static inline size_t begin_nest(uint16_t type)
{
    struct nlattr header = { .nla_type =
                                 (uint16_t)(type | NLA_F_NESTED) };
    size_t at = out.size;

    put(&header, sizeof header);
    return at;
}

static inline void end_nest(size_t at)
{
    uint16_t length = (uint16_t)(out.size - at);

    memcpy(out.bytes + at, &length, sizeof length);
}

static inline void attribute(uint16_t type, const void *value, size_t size)
{
    struct nlattr header = { .nla_type = type,
        .nla_len = (uint16_t)(sizeof header + size) };

    put(&header, sizeof header);
    put(value, size);
}

static inline void text(uint16_t type, const char *value)
{
    attribute(type, value, strlen(value) + 1);
}

static inline void number(uint16_t type, uint32_t value)
{
    attribute(type, &value, sizeof value);
}

static inline void byte(uint16_t type, uint8_t value)
{
    attribute(type, &value, sizeof value);
}

static inline size_t begin_link(
    uint32_t if_index, uint16_t arphrd, uint32_t flags, const char *name)
{
    struct ifinfomsg info = { .ifi_type = arphrd,
        .ifi_index = (int)if_index,
        .ifi_flags = flags };
    size_t at = begin_message(RTM_NEWLINK, 0, SEQUENCE);

    put(&info, sizeof info);
    text(IFLA_IFNAME, name);
    return at;
}

static inline void put_done(void)
{
    int32_t zero = 0;
    size_t at = begin_message(NLMSG_DONE, 0, SEQUENCE);

    put(&zero, sizeof zero);
    end_message(at);
}

static inline void put_error(int32_t error)
{
    struct nlmsgerr body = { .error = error };
    size_t at = begin_message(NLMSG_ERROR, 0, SEQUENCE);

    put(&body, sizeof body);
    end_message(at);
}

static inline void put_simple_link(uint32_t if_index, const char *name)
{
    end_message(begin_link(if_index, ARPHRD_ETHER, IFF_UP, name));
}

#endif
