/* SPDX-License-Identifier: MIT
 *
 * linux_socket.c - see linux_socket.h: the only file of the core that does
 * I/O.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE  /* SOCK_CLOEXEC */
#endif

#include "linux_socket.h"

#ifdef __linux__

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

/* How long the kernel may take to answer a request. */
enum { ANSWER_TIMEOUT_MS = 10 * 1000 };

int32_t nb_socket_open(
    struct nb_socket *opened, int protocol, uint32_t receive_buffer)
{
    const struct sockaddr_nl own = { .nl_family = AF_NETLINK };
    const int size =
        receive_buffer > INT32_MAX ? INT32_MAX : (int)receive_buffer;
    int32_t error;

    opened->sequence = 0;
    opened->fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (opened->fd < 0)
        return errno;
    /* As much as is wanted, or else as net.core.rmem_max allows; it works
     * with less too. */
    if (setsockopt(
            opened->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)
        != 0)
        (void)setsockopt(
            opened->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(opened->fd, (const struct sockaddr *)&own, sizeof own) == 0)
        return 0;
    error = errno;
    nb_socket_close(opened);
    return error;
}

int32_t nb_socket_join(const struct nb_socket *joined, uint32_t group)
{
    const int number = (int)group;

    return setsockopt(joined->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
               &number, sizeof number)
            == 0
        ? 0
        : errno;
}

void nb_socket_close(struct nb_socket *closed)
{
    if (closed->fd >= 0)
        close(closed->fd);
    closed->fd = -1;
}

/* Waits until there is something to read, an error too; EAGAIN if not. */
static int32_t await(int fd, uint64_t deadline_ms)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };

    for (;;) {
        uint64_t now = nb_now_ms();
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        int ready = poll(&one, 1, left > 60000 ? 60000 : (int)left);

        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return errno;
        if (ready == 0 && left <= 60000)
            return EAGAIN;
    }
}

int32_t nb_socket_receive(const struct nb_socket *from, uint8_t *bytes,
    size_t *size, uint32_t timeout_ms)
{
    const uint64_t deadline =
        timeout_ms == UINT32_MAX ? UINT64_MAX : nb_now_ms() + timeout_ms;

    for (;;) {
        struct sockaddr_nl sender = { 0 };
        struct iovec part = { bytes, NB_DATAGRAM_SIZE };
        struct msghdr message = { .msg_name = &sender,
            .msg_namelen = sizeof sender,
            .msg_iov = &part,
            .msg_iovlen = 1 };
        ssize_t received = recvmsg(from->fd, &message, 0);

        if (received < 0) {
            int32_t error = errno;

            if (error == EINTR)
                continue;
            if (error == EAGAIN)
                error = timeout_ms == 0 ? EAGAIN
                                        : await(from->fd, deadline);
            if (error != 0)
                return error;
            continue;
        }
        if (sender.nl_pid != 0)
            continue;
        if (message.msg_flags & MSG_TRUNC)
            return EMSGSIZE;
        *size = (size_t)received;
        return 0;
    }
}

static int32_t send_request(
    struct nb_socket *through, const struct nb_request *request)
{
    const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    struct nlmsghdr header = {
        .nlmsg_len = (uint32_t)(sizeof header + request->size),
        .nlmsg_type = request->type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | request->flags),
        .nlmsg_seq = ++through->sequence
    };
    struct iovec parts[] = { { &header, sizeof header },
        { (void *)(uintptr_t)request->body, request->size } };
    const struct msghdr message = { .msg_name = (void *)(uintptr_t)&kernel,
        .msg_namelen = sizeof kernel,
        .msg_iov = parts,
        .msg_iovlen = 2 };
    ssize_t sent;

    do {
        sent = sendmsg(through->fd, &message, 0);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

int32_t nb_socket_request(struct nb_socket *through,
    const struct nb_request *request, struct nb_dump *dump)
{
    uint64_t bytes[NB_DATAGRAM_SIZE / sizeof(uint64_t)];
    enum nb_dump_state state;
    int32_t error = send_request(through, request);
    size_t size = 0;

    dump->interrupted = false;
    dump->error_number = 0;
    dump->sequence = through->sequence;
    dump->acknowledged = (request->flags & NLM_F_DUMP) != NLM_F_DUMP;
    if (error != 0)
        return error;
    do {
        error = nb_socket_receive(
            through, (uint8_t *)bytes, &size, ANSWER_TIMEOUT_MS);
        if (error != 0)
            return error == EAGAIN ? ETIMEDOUT : error;
        state = nb_dump_feed(dump, (const uint8_t *)bytes, size);
    } while (state == NB_DUMP_MORE);
    return state == NB_DUMP_DONE ? 0 : dump->error_number;
}

void nb_request_begin(struct nb_request *request, uint16_t type,
    uint16_t flags, const void *header, size_t size)
{
    request->type = type;
    request->flags = flags;
    request->size = size;
    memcpy(request->body, header, size);
}

int32_t nb_request_add(struct nb_request *request, uint16_t type,
    const void *value, size_t size)
{
    const struct nlattr header = { .nla_type = type,
        .nla_len = (uint16_t)(sizeof header + size) };
    const size_t padded = sizeof header + ((size + 3) & ~(size_t)3);
    uint8_t *at = request->body + request->size;

    if (size > sizeof request->body
        || padded > sizeof request->body - request->size)
        return EMSGSIZE;
    memset(at, 0, padded);
    memcpy(at, &header, sizeof header);
    if (size > 0)
        memcpy(at + sizeof header, value, size);
    request->size += padded;
    return 0;
}

#else

/* ISO C wants a declaration in every file. */
typedef int nb_no_linux_socket;

#endif
