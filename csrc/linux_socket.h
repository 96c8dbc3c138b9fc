/* SPDX-License-Identifier: MIT
 *
 * linux_socket.h - netlink sockets, and requests through them: all the I/O
 * that the core does.  Errors are numbers of errno, 0 for none.
 *
 * A socket belongs to the network namespace that its thread was in when it
 * was opened, whichever thread uses it later.
 */
#ifndef NB_LINUX_SOCKET_H
#define NB_LINUX_SOCKET_H

#ifdef __linux__

#include "linux_links.h"

/* The kernel writes no more than 32 KiB at once, unless one link alone needs
 * more. */
#define NB_DATAGRAM_SIZE (64 * 1024)

/* One at a time may use it. */
struct nb_socket {
    int fd;  /* -1: not open */
    uint32_t sequence;  /* of the last request */
};

/* A request: its body begins with the header of its kind. */
struct nb_request {
    uint16_t type, flags;
    size_t size;  /* of the body */
    uint8_t body[1024];
};

/* receive_buffer: bytes of what may wait to be read. */
int32_t nb_socket_open(
    struct nb_socket *opened, int protocol, uint32_t receive_buffer);
/* Has it told the multicasts of a group from now on. */
int32_t nb_socket_join(const struct nb_socket *socket, uint32_t group);
/* Twice is once. */
void nb_socket_close(struct nb_socket *socket);

/* Takes one datagram of the kernel; those of other senders are dropped.
 * Waits up to timeout_ms for it, UINT32_MAX for ever; EAGAIN if none has
 * come.  bytes has room for NB_DATAGRAM_SIZE. */
int32_t nb_socket_receive(const struct nb_socket *socket, uint8_t *bytes,
    size_t *size, uint32_t timeout_ms);

/* Sends a request and feeds the answer to dump. */
int32_t nb_socket_request(struct nb_socket *socket,
    const struct nb_request *request, struct nb_dump *dump);

/* Starts a request whose body is one header. */
void nb_request_begin(struct nb_request *request, uint16_t type,
    uint16_t flags, const void *header, size_t size);
/* Appends an attribute; what does not fit is EMSGSIZE. */
int32_t nb_request_add(struct nb_request *request, uint16_t type,
    const void *value, size_t size);

#endif
#endif
