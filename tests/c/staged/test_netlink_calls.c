/* SPDX-License-Identifier: MIT
 *
 * test_netlink_calls.c - sockets that fail, and a kernel that answers late,
 * in part, with an error or not at all: the error is told, and what is asked
 * next is answered.  In a network namespace of its own; skipped without the
 * right to make one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "linux_socket.h"
#include "netlink_kit.h"

#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/nl80211.h>

enum { LOOPBACK = 1, ANSWERS = 8 };

static ndisbridge_linux_host *host;
static ndisbridge_linux_link links[ANSWERS];
static ndisbridge_linux_change changes[ANSWERS];

static ndisbridge_status read_all(int32_t *error)
{
    uint32_t count = ANSWERS;
    ndisbridge_status status =
        ndisbridge_read_linux_links(host, links, &count, error);

    if (status == NDISBRIDGE_STATUS_SUCCESS)
        CHECK(count == 1 && strcmp(links[0].name, "lo") == 0);
    return status;
}

static ndisbridge_status set_mtu(uint32_t mtu)
{
    return ndisbridge_set_linux_link(host, LOOPBACK,
        NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE, &mtu, sizeof mtu, NULL);
}

/* ---- opening ----------------------------------------------------------- */

static void test_open_host(void)
{
    static const struct {
        enum staged_call call;
        int error;
        ndisbridge_status status;
    } cases[] = { { STAGED_MALLOC, ENOMEM, NDISBRIDGE_STATUS_RESOURCES },
        { STAGED_MUTEX_INIT, ENOMEM, NDISBRIDGE_STATUS_RESOURCES },
        { STAGED_SOCKET, EMFILE, NDISBRIDGE_STATUS_RESOURCES },
        { STAGED_BIND, EADDRINUSE, NDISBRIDGE_STATUS_IN_USE } };
    ndisbridge_linux_host *opened;
    uint32_t count = ANSWERS;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t error = 0;

        staged_fail(cases[i].call, 1, 1, cases[i].error);
        CHECK_EQUAL(
            ndisbridge_open_linux_host(&opened, &error), cases[i].status);
        CHECK(staged_failed() == 1 && opened == NULL);
        CHECK_EQUAL(error, cases[i].error);
        staged_fail(cases[i].call, 1, 1, cases[i].error);
        CHECK_EQUAL(
            ndisbridge_open_linux_host(&opened, NULL), cases[i].status);
        staged_fail(cases[i].call, 1, 1, cases[i].error);
        CHECK_STATUS(
            ndisbridge_get_linux_links(links, &count, NULL), FAILURE);
        CHECK(staged_failed() == 1);
    }
    CHECK_STATUS(ndisbridge_open_linux_host(NULL, NULL), INVALID_PARAMETER);
    ndisbridge_close_linux_host(NULL);
}

/* Without generic netlink there are links, but no details. */
static void test_open_without_details(void)
{
    static const enum staged_call calls[] = { STAGED_SOCKET, STAGED_BIND };
    ndisbridge_linux_host *before = host;

    for (int i = 0; i < 2; i++) {
        staged_fail(calls[i], 2, 1, EPROTONOSUPPORT);
        CHECK_STATUS(ndisbridge_open_linux_host(&host, NULL), SUCCESS);
        CHECK(staged_failed() == 1);
        CHECK_STATUS(read_all(NULL), SUCCESS);
        CHECK_STATUS(ndisbridge_read_linux_link(
                         host, &links[0], LOOPBACK, NULL),
            SUCCESS);
        CHECK(strcmp(links[0].name, "lo") == 0);
        ndisbridge_close_linux_host(host);
    }
    host = before;
}

/* More than rmem_max needs a right; with less it works too. */
static void test_receive_buffer(void)
{
    ndisbridge_linux_host *before = host;

    staged_fail(STAGED_SETSOCKOPT, 1, 1, EPERM);
    CHECK_STATUS(ndisbridge_open_linux_host(&host, NULL), SUCCESS);
    CHECK(staged_failed() == 1);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    ndisbridge_close_linux_host(host);
    host = before;
}

static void test_open_monitor(void)
{
    ndisbridge_linux_monitor *monitor;
    int32_t error = 0;

    CHECK_STATUS(
        ndisbridge_open_linux_monitor(NULL, 0, NULL), INVALID_PARAMETER);
    ndisbridge_close_linux_monitor(NULL);
    CHECK_EQUAL(ndisbridge_linux_monitor_fd(NULL), -1);
    staged_fail(STAGED_MALLOC, 1, 1, ENOMEM);
    CHECK_STATUS(
        ndisbridge_open_linux_monitor(&monitor, 0, &error), RESOURCES);
    CHECK(staged_failed() == 1 && monitor == NULL && error == ENOMEM);
    staged_fail(STAGED_SOCKET, 1, 1, ENFILE);
    CHECK_STATUS(
        ndisbridge_open_linux_monitor(&monitor, 0, NULL), RESOURCES);
    /* Buffer, membership. */
    staged_fail(STAGED_SETSOCKOPT, 2, 1, EPERM);
    CHECK_STATUS(
        ndisbridge_open_linux_monitor(&monitor, 0, &error), ACCESS_DENIED);
    CHECK(staged_failed() == 2 && monitor == NULL && error == EPERM);
    CHECK_STATUS(ndisbridge_open_linux_monitor(&monitor, UINT32_MAX, NULL),
        SUCCESS);
    ndisbridge_close_linux_monitor(monitor);
}

/* ---- requests ---------------------------------------------------------- */

static void test_interrupted_calls(void)
{
    staged_fail(STAGED_SENDMSG, 1, 2, EINTR);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    CHECK(staged_failed() == 2);
    staged_fail(STAGED_RECVMSG, 1, 2, EINTR);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    CHECK(staged_failed() == 2);
    /* It answers late: wait, which a signal interrupts. */
    staged_fail(STAGED_RECVMSG, 1, 1, EAGAIN);
    staged_fail(STAGED_POLL, 1, 2, EINTR);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    CHECK(staged_failed() == 3);
}

static void test_failing_requests(void)
{
    int32_t error = 0;
    uint32_t count = ANSWERS;

    staged_fail(STAGED_SENDMSG, 1, 1, ENOBUFS);
    CHECK_STATUS(read_all(&error), FAILURE);
    CHECK(staged_failed() == 1 && error == ENOBUFS);
    staged_fail(STAGED_SENDMSG, 1, 1, ENOBUFS);
    CHECK_STATUS(read_all(NULL), FAILURE);
    staged_fail(STAGED_SENDMSG, 1, 1, EPERM);
    CHECK_STATUS(set_mtu(9000), ACCESS_DENIED);
    staged_fail(STAGED_RECVMSG, 1, 1, ENOBUFS);
    CHECK_STATUS(read_all(&error), FAILURE);
    CHECK(error == ENOBUFS);
    staged_fail(STAGED_RECVMSG, 1, 1, STAGED_TRUNCATED);
    CHECK_STATUS(read_all(&error), FAILURE);
    CHECK(error == EMSGSIZE);
    staged_fail(STAGED_RECVMSG, 1, 1, STAGED_MALFORMED);
    CHECK_STATUS(read_all(&error), FAILURE);
    CHECK(error == EBADMSG);
    /* No answer. */
    staged_fail(STAGED_RECVMSG, 1, 1, EAGAIN);
    staged_fail(STAGED_POLL, 1, 1, 0);
    CHECK_STATUS(
        ndisbridge_read_linux_link(host, links, LOOPBACK, &error), TIMEOUT);
    CHECK(staged_failed() > 0 && error == ETIMEDOUT);
    staged_fail(STAGED_RECVMSG, 1, 1, EAGAIN);
    staged_fail(STAGED_POLL, 1, 1, ENOMEM);
    CHECK_STATUS(
        ndisbridge_read_linux_link(host, links, LOOPBACK, NULL), RESOURCES);
    CHECK(staged_failed() == 2);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_get_linux_links(links, &count, NULL), SUCCESS);
    count = 0;
    CHECK_STATUS(ndisbridge_read_linux_links(host, NULL, &count, NULL),
        BUFFER_TOO_SHORT);
    CHECK(count == 1);
}

/* A dump is asked for again if links came or went meanwhile, or if another
 * is on its way; not for ever. */
static void test_dump_again(void)
{
    int32_t error = 0;

    staged_fail(STAGED_RECVMSG, 1, 1, STAGED_INTERRUPTED);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    CHECK(staged_failed() == 1);
    staged_fail(STAGED_SENDMSG, 1, 2, EBUSY);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    CHECK(staged_failed() == 2);
    out.size = 0;
    put_error(-EINTR);
    staged_answer(1, out.bytes, out.size);
    CHECK_STATUS(read_all(NULL), SUCCESS);
    staged_fail(STAGED_SENDMSG, 1, 0, EBUSY);
    CHECK_STATUS(read_all(&error), FAILURE);
    CHECK(staged_failed() == 10 && error == EAGAIN);
}

/* The kernel says that all is well, and nothing of the link. */
static void test_no_link(void)
{
    int32_t error = 0;

    out.size = 0;
    put_error(0);
    staged_answer(1, out.bytes, out.size);
    CHECK_STATUS(ndisbridge_read_linux_link(host, links, LOOPBACK, &error),
        INTERFACE_NOT_FOUND);
    CHECK(staged_failed() == 0 && error == ENODEV);
}

static void test_refused_parameters(void)
{
    const uint32_t too_high = NDISBRIDGE_IF_INDEX_MAX + 1U;
    uint32_t count = ANSWERS, mtu = 1500;
    const uint32_t oid = NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE;
    ndisbridge_linux_monitor *monitor;

#define REFUSED(call) CHECK_STATUS((call), INVALID_PARAMETER)
    REFUSED(ndisbridge_read_linux_links(NULL, links, &count, NULL));
    REFUSED(ndisbridge_read_linux_links(host, links, NULL, NULL));
    REFUSED(ndisbridge_read_linux_links(host, NULL, &count, NULL));
    REFUSED(ndisbridge_get_linux_links(links, NULL, NULL));
    REFUSED(ndisbridge_get_linux_links(NULL, &count, NULL));
    REFUSED(ndisbridge_read_linux_link(NULL, links, 1, NULL));
    REFUSED(ndisbridge_read_linux_link(host, NULL, 1, NULL));
    REFUSED(ndisbridge_read_linux_link(host, links, 0, NULL));
    REFUSED(ndisbridge_read_linux_link(host, links, too_high, NULL));
    REFUSED(ndisbridge_set_linux_link(NULL, 1, oid, &mtu, 4, NULL));
    REFUSED(ndisbridge_set_linux_link(host, 1, oid, NULL, 4, NULL));
    REFUSED(ndisbridge_set_linux_link(host, 0, oid, &mtu, 4, NULL));
    REFUSED(ndisbridge_set_linux_link(host, too_high, oid, &mtu, 4, NULL));
    REFUSED(ndisbridge_tag_linux_link(NULL, 1, 0, 0, NULL));
    REFUSED(ndisbridge_tag_linux_link(host, 0, 0, 0, NULL));
    REFUSED(ndisbridge_tag_linux_link(host, too_high, 0, 0, NULL));
    REFUSED(ndisbridge_tag_linux_link(host, 1, 1, 0, NULL));
    REFUSED(ndisbridge_tag_linux_link(host, 1, 0, 1, NULL));
    REFUSED(ndisbridge_tag_linux_link(host, 1, 0x6000000000001, 0, NULL));
    CHECK_STATUS(
        ndisbridge_open_linux_monitor(&monitor, 0, NULL), SUCCESS);
    REFUSED(ndisbridge_next_linux_changes(NULL, changes, &count, 0, NULL));
    REFUSED(ndisbridge_next_linux_changes(monitor, NULL, &count, 0, NULL));
    REFUSED(ndisbridge_next_linux_changes(monitor, changes, NULL, 0, NULL));
    count = 0;
    REFUSED(ndisbridge_next_linux_changes(monitor, changes, &count, 0, NULL));
    ndisbridge_close_linux_monitor(monitor);
#undef REFUSED
}

static void test_tags(void)
{
    const uint64_t one = UINT64_C(6) << 48 | 1 << 24;
    const uint64_t two = UINT64_C(6) << 48 | 2 << 24;
    int32_t error = 0;

    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, LOOPBACK, one, 0, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, LOOPBACK, one, one, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, LOOPBACK, one, 0, &error), FAILURE);
    CHECK(error == EEXIST);
    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, LOOPBACK, one, 0, NULL), FAILURE);
    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, LOOPBACK, two, one, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, LOOPBACK, 0, two, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, LOOPBACK, 0, 0, NULL), SUCCESS);
}

/* An attribute that there is no room for is left out, whole. */
static void test_request_room(void)
{
    static const uint8_t value[sizeof((struct nb_request *)0)->body + 8];
    struct nb_request request = { .size = 0 };
    const size_t room = sizeof request.body - sizeof(struct nlattr);

    CHECK_EQUAL(nb_request_add(&request, 1, value, SIZE_MAX), EMSGSIZE);
    CHECK_EQUAL(nb_request_add(&request, 1, value, room + 1), EMSGSIZE);
    CHECK(request.size == 0);
    CHECK_EQUAL(nb_request_add(&request, 1, NULL, 0), 0);
    CHECK_EQUAL(nb_request_add(&request, 1, value, room), EMSGSIZE);
    CHECK_EQUAL(nb_request_add(&request, 1, value, room - 4), 0);
    CHECK(request.size == sizeof request.body);
}

/* ---- details ----------------------------------------------------------- */

static void put_family(uint16_t id, const char *name)
{
    const struct genlmsghdr header = { .cmd = CTRL_CMD_NEWFAMILY };
    size_t at = begin_message(GENL_ID_CTRL, 0, SEQUENCE);

    put(&header, sizeof header);
    attribute(CTRL_ATTR_FAMILY_ID, &id, sizeof id);
    text(CTRL_ATTR_FAMILY_NAME, name);
    end_message(at);
}

/* The kernel has the families whose names are given. */
static void answer_families(uint32_t at, const char *name)
{
    out.size = 0;
    if (name != NULL)
        put_family(GENL_ID_CTRL, name);
    put_done();
    staged_answer(at, out.bytes, out.size);
}

/* Links of a kernel without ethtool, or with nl80211; the ids lead to the
 * family of families, which knows neither command. */
static void test_families(void)
{
    static const char *const names[] = { NULL, "ethtool", "nl80211" };

    for (int i = 0; i < 3; i++) {
        ndisbridge_linux_host *before = host;

        answer_families(2, names[i]);  /* after the dump of links */
        CHECK_STATUS(read_all(NULL), SUCCESS);
        answer_families(1, names[i]);
        CHECK_STATUS(ndisbridge_open_linux_host(&host, NULL), SUCCESS);
        CHECK_STATUS(ndisbridge_read_linux_link(
                         host, links, LOOPBACK, NULL),
            SUCCESS);
        CHECK(strcmp(links[0].name, "lo") == 0);
        ndisbridge_close_linux_host(host);
        host = before;
    }
    (void)staged_failed();
    CHECK_STATUS(read_all(NULL), SUCCESS);
}

/* A link made by software is not asked about there. */
static void test_software_link(void)
{
    size_t at, nest, data;

    out.size = 0;
    at = begin_link(LOOPBACK, ARPHRD_ETHER, IFF_UP, "relay");
    nest = begin_nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "amt");
    data = begin_nest(IFLA_INFO_DATA);
    number(4, 9);  /* IFLA_AMT_LINK */
    end_nest(data);
    end_nest(nest);
    end_message(at);
    put_error(0);
    staged_answer(1, out.bytes, out.size);
    CHECK_STATUS(
        ndisbridge_read_linux_link(host, links, LOOPBACK, NULL), SUCCESS);
    CHECK_EQUAL(links[0].lower_if_index, 9);
    out.size = 0;
    at = begin_link(LOOPBACK, ARPHRD_ETHER, IFF_UP, "made");
    nest = begin_nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "dummy");
    end_nest(nest);
    number(IFLA_LINK_NETNSID, UINT32_MAX);
    end_message(at);
    put_error(0);
    staged_answer(1, out.bytes, out.size);
    CHECK_STATUS(
        ndisbridge_read_linux_link(host, links, LOOPBACK, NULL), SUCCESS);
    CHECK(strcmp(links[0].kind, "dummy") == 0);
    CHECK_EQUAL(links[0].link_net_ns_id, INT32_MAX);
}

/* A link that nl80211 lists is a wireless one. */
static void test_wireless(void)
{
    const struct genlmsghdr header = { .cmd = NL80211_CMD_NEW_INTERFACE };
    ndisbridge_linux_host *before = host;
    size_t at;

    answer_families(1, "nl80211");
    CHECK_STATUS(ndisbridge_open_linux_host(&host, NULL), SUCCESS);
    out.size = 0;
    at = begin_message(GENL_ID_CTRL, 0, SEQUENCE);
    put(&header, sizeof header);
    number(NL80211_ATTR_IFINDEX, LOOPBACK);
    end_message(at);
    put_error(0);
    staged_answer(2, out.bytes, out.size);
    CHECK_STATUS(
        ndisbridge_read_linux_link(host, links, LOOPBACK, NULL), SUCCESS);
    CHECK_EQUAL(links[0].if_type, NDISBRIDGE_IF_TYPE_IEEE80211);
    ndisbridge_close_linux_host(host);
    host = before;
}

/* ---- changes ----------------------------------------------------------- */

static ndisbridge_status next(
    ndisbridge_linux_monitor *monitor, uint32_t *count, uint32_t timeout_ms)
{
    *count = ANSWERS;
    return ndisbridge_next_linux_changes(
        monitor, changes, count, timeout_ms, NULL);
}

static void test_waiting(ndisbridge_linux_monitor *monitor)
{
    uint32_t count;

    /* For ever, which is over 60 s at a time. */
    CHECK_STATUS(set_mtu(2000), SUCCESS);
    CHECK_STATUS(next(monitor, &count, UINT32_MAX), SUCCESS);
    CHECK_STATUS(set_mtu(2001), SUCCESS);
    staged_fail(STAGED_RECVMSG, 1, 1, EAGAIN);
    staged_fail(STAGED_POLL, 1, 1, 0);
    CHECK_STATUS(next(monitor, &count, UINT32_MAX), SUCCESS);
    CHECK(staged_failed() == 2 && count == 1);
    /* The time is over before it has begun to wait, and as it begins. */
    for (uint32_t at = 1; at <= 4; at++) {
        staged_fail(STAGED_CLOCK, at, 0, 100);
        if (at == 1)
            CHECK_STATUS(next(monitor, &count, 0), TIMEOUT);
        else
            CHECK_STATUS(next(monitor, &count, 1000), TIMEOUT);
        (void)staged_failed();
    }
}

static void test_lost(ndisbridge_linux_monitor *monitor)
{
    static const int errors[] = { ENOBUFS, STAGED_TRUNCATED,
        STAGED_MALFORMED };
    uint32_t count;
    int32_t error = 0;

    for (int i = 0; i < 3; i++) {
        /* What is lost is lost at the first reading, and at the second,
         * which is dropped too. */
        CHECK_STATUS(set_mtu(3000), SUCCESS);
        CHECK_STATUS(set_mtu(3001), SUCCESS);
        CHECK_STATUS(set_mtu(3002), SUCCESS);
        staged_fail(STAGED_RECVMSG, 1, 2, errors[i]);
        CHECK_STATUS(next(monitor, &count, 0), SUCCESS);
        CHECK(staged_failed() == 2);
        CHECK(count == 1
            && changes[0].kind == NDISBRIDGE_LINUX_CHANGE_RESYNC);
        CHECK_STATUS(next(monitor, &count, 0), TIMEOUT);
        CHECK(count == 0);
    }
    staged_fail(STAGED_RECVMSG, 1, 1, EIO);
    count = ANSWERS;
    CHECK_STATUS(ndisbridge_next_linux_changes(
                     monitor, changes, &count, 0, &error),
        FAILURE);
    CHECK(staged_failed() == 1 && error == EIO && count == 0);
    staged_fail(STAGED_RECVMSG, 1, 1, EIO);
    CHECK_STATUS(next(monitor, &count, 0), FAILURE);
}

/* The socket fails for good while the queue is emptied. */
static void test_socket_gone(void)
{
    ndisbridge_linux_monitor *monitor;
    int null = open("/dev/null", O_RDONLY);
    uint32_t count;

    CHECK_STATUS(
        ndisbridge_open_linux_monitor(&monitor, 0, NULL), SUCCESS);
    REQUIRE(dup2(null, ndisbridge_linux_monitor_fd(monitor)) >= 0);
    staged_fail(STAGED_RECVMSG, 1, 1, ENOBUFS);
    CHECK_STATUS(next(monitor, &count, 0), FAILURE);
    CHECK(staged_failed() == 1 && count == 0);
    ndisbridge_close_linux_monitor(monitor);
    close(null);
}

/* The details of a link are asked for once, by its last change. */
static void test_changes_of_one(ndisbridge_linux_monitor *monitor)
{
    uint32_t count;

    CHECK_STATUS(set_mtu(4000), SUCCESS);
    CHECK_STATUS(set_mtu(4001), SUCCESS);
    CHECK_STATUS(set_mtu(4002), SUCCESS);
    count = 1;
    CHECK_STATUS(ndisbridge_next_linux_changes(
                     monitor, changes, &count, 0, NULL),
        SUCCESS);
    CHECK(count == 1);
    CHECK(changes[0].link.published.information.if_mtu == 4000);
    CHECK_STATUS(next(monitor, &count, 1000), SUCCESS);
    CHECK(count == 2);
    CHECK(changes[0].link.published.information.if_mtu == 4001);
}

/* Only the kernel is believed. */
static void test_other_sender(ndisbridge_linux_monitor *monitor)
{
    struct sockaddr_nl to = { 0 };
    socklen_t size = sizeof to;
    uint32_t count;
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

    CHECK(getsockname(ndisbridge_linux_monitor_fd(monitor),
              (struct sockaddr *)&to, &size)
        == 0);
    out.size = 0;
    put_simple_link(77, "forged");
    CHECK(sendto(fd, out.bytes, out.size, 0, (struct sockaddr *)&to, size)
        == (ssize_t)out.size);
    CHECK_STATUS(next(monitor, &count, 0), TIMEOUT);
    CHECK(count == 0);
    close(fd);
}

int main(void)
{
    ndisbridge_linux_monitor *monitor;

    (void)check_begin("netlink_calls");
    if (unshare(CLONE_NEWNET) != 0) {
        printf("no network namespaces: skipped, errno %d\n", errno);
        return check_end();
    }
    CHECK_STATUS(ndisbridge_open_linux_host(&host, NULL), SUCCESS);
    test_open_host();
    test_open_without_details();
    test_receive_buffer();
    test_open_monitor();
    test_interrupted_calls();
    test_failing_requests();
    test_dump_again();
    test_no_link();
    test_refused_parameters();
    test_tags();
    test_request_room();
    test_families();
    test_wireless();
    test_software_link();
    CHECK_STATUS(
        ndisbridge_open_linux_monitor(&monitor, 0, NULL), SUCCESS);
    test_waiting(monitor);
    test_lost(monitor);
    test_changes_of_one(monitor);
    test_other_sender(monitor);
    ndisbridge_close_linux_monitor(monitor);
    test_socket_gone();
    ndisbridge_close_linux_host(host);
    return check_end();
}
