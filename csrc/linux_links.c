/* SPDX-License-Identifier: MIT
 *
 * linux_links.c - reads the links of the calling thread's network namespace.
 *
 * One RTM_GETLINK dump gives the links.  Speed, duplex and "is wireless" are
 * not in it; three small generic netlink dumps add them where the kernel has
 * them to give.  They are looked up in the list of families that are there,
 * because asking for one by name makes the kernel load its module.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE  /* SOCK_CLOEXEC */
#endif

#include "linux_links.h"

#ifndef __linux__

ndisbridge_status ndisbridge_get_linux_links(
    ndisbridge_linux_link *links, uint32_t *count, int32_t *error_number)
{
    (void)links;
    (void)count;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

#else

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A dump of rtnetlink is consistent if no link came or went meanwhile. */
#define MAX_ATTEMPTS 10

/* The kernel writes no more than 32 KiB at once, unless one link alone needs
 * more. */
#define DATAGRAM_SIZE (64 * 1024)

enum {
    RECEIVE_BUFFER = 1024 * 1024,
    RECEIVE_TIMEOUT_S = 10,

    ETHTOOL_LINK_MODES_GET = 4,
    ETHTOOL_LINK_MODES_HEADER = 1,
    ETHTOOL_HEADER_FLAGS = 3,
    ETHTOOL_FLAG_COMPACT = 1,
    ETHTOOL_VERSION = 1,

    NL80211_GET_INTERFACE = 5,
    NL80211_VERSION = 1
};

/* A request of any of the dumps; what is unused is not sent. */
struct request {
    struct nlmsghdr header;
    union {
        struct ifinfomsg link;
        struct {
            struct genlmsghdr header;
            uint8_t attributes[12];
        } generic;
    } body;
};

static int open_netlink(int protocol)
{
    const struct timeval timeout = { .tv_sec = RECEIVE_TIMEOUT_S };
    const int size = RECEIVE_BUFFER;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

    if (fd < 0)
        return -1;
    /* Neither is needed for a dump to work; both make it work better. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return fd;
}

static int32_t send_request(int fd, const struct request *request)
{
    const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    ssize_t sent;

    do {
        sent = sendto(fd, request, request->header.nlmsg_len, 0,
            (const struct sockaddr *)&kernel, sizeof kernel);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

/* One datagram of the kernel; those of other senders are dropped. */
static int32_t receive(int fd, uint8_t *bytes, size_t *size)
{
    for (;;) {
        struct sockaddr_nl sender = { 0 };
        struct iovec part = { bytes, DATAGRAM_SIZE };
        struct msghdr message = { .msg_name = &sender,
            .msg_namelen = sizeof sender,
            .msg_iov = &part,
            .msg_iovlen = 1 };
        ssize_t received = recvmsg(fd, &message, 0);

        if (received < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN ? ETIMEDOUT : errno;
        }
        if (sender.nl_pid != 0)
            continue;
        if (message.msg_flags & MSG_TRUNC)
            return EMSGSIZE;
        *size = (size_t)received;
        return 0;
    }
}

/* Sends a request and feeds the answers to dump; 0 or an errno. */
static int32_t run_dump(
    int fd, struct request *request, struct nb_dump *dump)
{
    uint64_t bytes[DATAGRAM_SIZE / sizeof(uint64_t)];
    enum nb_dump_state state;
    int32_t error;
    size_t size = 0;

    dump->interrupted = false;
    dump->error_number = 0;
    dump->sequence = ++request->header.nlmsg_seq;
    request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    error = send_request(fd, request);
    if (error != 0)
        return error;
    do {
        error = receive(fd, (uint8_t *)bytes, &size);
        if (error != 0)
            return error;
        state = nb_dump_feed(dump, (const uint8_t *)bytes, size);
    } while (state == NB_DUMP_MORE);
    return state == NB_DUMP_DONE ? 0 : dump->error_number;
}

static int32_t dump_links(struct nb_link_list *list)
{
    struct request request = { .header = { .nlmsg_type = RTM_GETLINK,
                                   .nlmsg_len = NLMSG_LENGTH(
                                       sizeof(struct ifinfomsg)) } };
    struct nb_dump dump = { .take = nb_take_link, .context = list };
    int fd = open_netlink(NETLINK_ROUTE);
    int32_t error = fd < 0 ? errno : EAGAIN;

    for (int attempt = 0; fd >= 0 && attempt < MAX_ATTEMPTS; attempt++) {
        list->count = 0;
        error = run_dump(fd, &request, &dump);
        if (error != 0 && error != EINTR && error != EBUSY)
            break;
        if (error == 0 && !dump.interrupted)
            break;
        error = EAGAIN;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static void begin_generic(
    struct request *request, uint16_t family, uint8_t command, uint8_t version)
{
    request->header.nlmsg_type = family;
    request->header.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
    request->body.generic.header.cmd = command;
    request->body.generic.header.version = version;
}

static void write_u16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

/* Asks for bit sets instead of a name for each bit: a tenth of the bytes. */
static void add_compact_flag(struct request *request)
{
    const uint32_t flags = ETHTOOL_FLAG_COMPACT;
    uint8_t *at = request->body.generic.attributes;

    write_u16(at, 12);
    write_u16(at + 2, ETHTOOL_LINK_MODES_HEADER | NLA_F_NESTED);
    write_u16(at + 4, 8);
    write_u16(at + 6, ETHTOOL_HEADER_FLAGS);
    memcpy(at + 8, &flags, sizeof flags);
    request->header.nlmsg_len += 12;
}

/* What cannot be had stays unknown, and is no error. */
static void dump_details(struct nb_link_list *list)
{
    struct nb_families families = { 0, 0 };
    struct request request = { .header = { .nlmsg_seq = 0 } };
    struct nb_dump dump = { .take = nb_take_family, .context = &families };
    int fd = open_netlink(NETLINK_GENERIC);

    if (fd < 0)
        return;
    begin_generic(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
    if (run_dump(fd, &request, &dump) == 0) {
        dump.context = list;
        if (families.ethtool != 0) {
            begin_generic(&request, families.ethtool, ETHTOOL_LINK_MODES_GET,
                ETHTOOL_VERSION);
            add_compact_flag(&request);
            dump.take = nb_take_link_modes;
            (void)run_dump(fd, &request, &dump);
        }
        if (families.nl80211 != 0) {
            begin_generic(&request, families.nl80211, NL80211_GET_INTERFACE,
                NL80211_VERSION);
            dump.take = nb_take_wireless;
            (void)run_dump(fd, &request, &dump);
        }
    }
    close(fd);
}

ndisbridge_status ndisbridge_get_linux_links(
    ndisbridge_linux_link *links, uint32_t *count, int32_t *error_number)
{
    struct nb_link_list list = { .links = links };
    int32_t error;

    if (count == NULL || (links == NULL && *count > 0))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    list.capacity = *count;
    error = dump_links(&list);
    if (error != 0) {
        if (error_number != NULL)
            *error_number = error;
        return NDISBRIDGE_STATUS_FAILURE;
    }
    *count = list.count;
    if (list.count > list.capacity)
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    dump_details(&list);
    return NDISBRIDGE_STATUS_SUCCESS;
}

#endif
