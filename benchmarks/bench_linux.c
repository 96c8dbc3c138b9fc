/* SPDX-License-Identifier: MIT
 *
 * bench_linux.c - the floor of bench_linux.py: one bare dump of all links,
 * of which nothing but the messages are counted.
 */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How many links there are; -1 if it fails. */
int64_t floor_dump(void)
{
    static uint64_t bytes[64 * 1024 / sizeof(uint64_t)];
    const int size = 1024 * 1024;
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = { .header = { .nlmsg_len = sizeof request,
                      .nlmsg_type = RTM_GETLINK,
                      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                      .nlmsg_seq = 1 } };
    int64_t links = 0;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (send(fd, &request, sizeof request, 0) < 0)
        links = -1;
    while (links >= 0) {
        ssize_t received = recv(fd, bytes, sizeof bytes, 0);
        size_t left = received < 0 ? 0 : (size_t)received;
        const uint8_t *at = (const uint8_t *)bytes;

        if (received < 0)
            links = -1;
        while (left >= sizeof(struct nlmsghdr)) {
            struct nlmsghdr header;
            size_t length;

            memcpy(&header, at, sizeof header);
            length = NLMSG_ALIGN((size_t)header.nlmsg_len);
            if (header.nlmsg_type == NLMSG_DONE) {
                close(fd);
                return links;
            }
            if (header.nlmsg_type == RTM_NEWLINK)
                links++;
            at += length;
            left = length > left ? 0 : left - length;
        }
    }
    close(fd);
    return -1;
}
