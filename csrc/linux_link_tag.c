/* SPDX-License-Identifier: MIT
 *
 * linux_link_tag.c - writes a link's NET_LUID onto the link itself, as an
 * alternative name (altname) that goes with it wherever it goes.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE  /* SOCK_CLOEXEC */
#endif

#include "linux_links.h"

#ifndef __linux__

ndisbridge_status ndisbridge_tag_linux_link(uint32_t if_index,
    uint64_t net_luid, uint64_t previous, int32_t *error_number)
{
    (void)if_index;
    (void)net_luid;
    (void)previous;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

#else

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Of the kernel's ABI; headers older than 5.5 do not have them. */
enum {
    NEW_LINK_PROPERTY = 108,
    DELETE_LINK_PROPERTY = 109,
    LINK_PROPERTY_LIST = 52,
    LINK_ALT_NAME = 53,

    TIMEOUT_S = 10
};

/* A request with one altname in it. */
struct request {
    struct nlmsghdr header;
    struct ifinfomsg link;
    struct nlattr list, name;
    char text[NB_TAG_SIZE];
    uint8_t padding[1];
};

_Static_assert(sizeof(struct request) % NLMSG_ALIGNTO == 0,
    "what is behind the name is padding");

/* What the kernel says of a request: 0 or an errno. */
static int32_t answer_to(int fd, uint32_t sequence)
{
    uint32_t bytes[1024];

    for (;;) {
        struct sockaddr_nl sender = { 0 };
        socklen_t size = sizeof sender;
        ssize_t received = recvfrom(fd, bytes, sizeof bytes, 0,
            (struct sockaddr *)&sender, &size);
        struct nb_bytes left = { (const uint8_t *)bytes,
            received > 0 ? (size_t)received : 0 };
        struct nb_netlink_message message;
        int32_t error;

        if (received < 0 && errno != EINTR)
            return errno == EAGAIN ? ETIMEDOUT : errno;
        if (received < 0 || sender.nl_pid != 0
            || nb_netlink_next_message(&left, &message) != NB_NETLINK_GOT
            || message.sequence != sequence || message.type != NLMSG_ERROR
            || message.payload.size < sizeof error)
            continue;
        memcpy(&error, message.payload.at, sizeof error);
        return error > 0 || error == INT32_MIN ? EBADMSG : -error;
    }
}

static int32_t ask(int fd, const struct request *request)
{
    const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    ssize_t sent;

    do {
        sent = sendto(fd, request, request->header.nlmsg_len, 0,
            (const struct sockaddr *)&kernel, sizeof kernel);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : answer_to(fd, request->header.nlmsg_seq);
}

static int32_t change_tag(
    int fd, uint16_t type, uint32_t if_index, uint64_t net_luid)
{
    static const char digits[] = "0123456789abcdef";
    struct request request = {
        .header = { .nlmsg_len = sizeof request,
            .nlmsg_type = type,
            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
            .nlmsg_seq = type },
        .link = { .ifi_index = (int)if_index },
        .list = { .nla_len = (uint16_t)(sizeof request
                      - offsetof(struct request, list)),
            .nla_type = LINK_PROPERTY_LIST | NLA_F_NESTED },
        .name = { .nla_len = (uint16_t)(NLA_HDRLEN + NB_TAG_SIZE),
            .nla_type = LINK_ALT_NAME },
        .text = NB_TAG_PREFIX,
    };

    for (size_t i = 0; i < 16; i++)
        request.text[sizeof NB_TAG_PREFIX - 1 + i] =
            digits[net_luid >> (60 - 4 * i) & 0xF];
    if (type == NEW_LINK_PROPERTY)
        request.header.nlmsg_flags |=
            NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
    return ask(fd, &request);
}

static bool is_net_luid(uint64_t net_luid)
{
    return net_luid >> 48 != 0 && (net_luid & 0xFFFFFF) == 0;
}

ndisbridge_status ndisbridge_tag_linux_link(uint32_t if_index,
    uint64_t net_luid, uint64_t previous, int32_t *error_number)
{
    const struct timeval timeout = { .tv_sec = TIMEOUT_S };
    int32_t error = 0;
    int fd;

    if (if_index == 0 || if_index > NDISBRIDGE_IF_INDEX_MAX
        || (net_luid != 0 && !is_net_luid(net_luid))
        || (previous != 0 && !is_net_luid(previous)))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        error = errno;
    } else {
        (void)setsockopt(
            fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        /* The new one first, so that the link is never without one. */
        if (net_luid != 0 && net_luid != previous)
            error =
                change_tag(fd, NEW_LINK_PROPERTY, if_index, net_luid);
        if (error == 0 && previous != 0 && net_luid != previous)
            error =
                change_tag(fd, DELETE_LINK_PROPERTY, if_index, previous);
        close(fd);
    }
    if (error == 0)
        return NDISBRIDGE_STATUS_SUCCESS;
    if (error_number != NULL)
        *error_number = error;
    return NDISBRIDGE_STATUS_FAILURE;
}

#endif
