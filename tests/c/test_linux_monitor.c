/* SPDX-License-Identifier: MIT
 *
 * test_linux_monitor.c - the kernel itself: in a network namespace of its
 * own, the loopback link is set, read and heard of, and too slow a reader is
 * told so.  Skipped without the right to make a namespace.
 */
#ifndef __linux__

int main(void)
{
    return 0;
}

#else

#define _GNU_SOURCE  /* unshare */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ndisbridge.h"

enum { LOOPBACK = 1, UP = 1, ROOM = 16 };

static ndisbridge_linux_change changes[ROOM];

static ndisbridge_status set_number(
    ndisbridge_linux_host *host, uint32_t oid, uint32_t number)
{
    return ndisbridge_set_linux_link(
        host, LOOPBACK, oid, &number, sizeof number, NULL);
}

/* The last change of a wake-up, all of which are of the loopback link. */
static const ndisbridge_linux_link *heard(ndisbridge_linux_monitor *monitor)
{
    uint32_t count = ROOM;

    CHECK_STATUS(ndisbridge_next_linux_changes(
                     monitor, changes, &count, 10000, NULL),
        SUCCESS);
    REQUIRE(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(changes[i].kind == NDISBRIDGE_LINUX_CHANGE_LINK);
        CHECK(changes[i].link.if_index == LOOPBACK);
    }
    return &changes[count - 1].link;
}

static void test_sets_are_heard_of(ndisbridge_linux_host *host)
{
    ndisbridge_if_counted_string alias = { .length = 4,
        .string = { 'h', 'i' } };
    ndisbridge_linux_monitor *monitor;
    ndisbridge_linux_link link;
    uint32_t count = ROOM;
    struct pollfd readable = { .events = POLLIN };

    CHECK_STATUS(ndisbridge_open_linux_monitor(&monitor, 0, NULL), SUCCESS);
    readable.fd = ndisbridge_linux_monitor_fd(monitor);
    CHECK_STATUS(
        ndisbridge_next_linux_changes(monitor, changes, &count, 20, NULL),
        TIMEOUT);
    CHECK(count == 0 && poll(&readable, 1, 0) == 0);
    CHECK_STATUS(set_number(host, NDISBRIDGE_OID_GEN_ADMIN_STATUS,
                     NDISBRIDGE_NET_IF_ADMIN_STATUS_UP),
        SUCCESS);
    CHECK(poll(&readable, 1, 10000) == 1);
    CHECK(heard(monitor)->flags & UP);
    CHECK_STATUS(
        set_number(host, NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE, 9000),
        SUCCESS);
    CHECK(heard(monitor)->published.information.if_mtu == 9000);
    CHECK_STATUS(ndisbridge_set_linux_link(host, LOOPBACK,
                     NDISBRIDGE_OID_GEN_ALIAS, &alias, 6, NULL),
        SUCCESS);
    CHECK(heard(monitor)->published.alias.length == 4);
    CHECK_STATUS(
        ndisbridge_read_linux_link(host, &link, LOOPBACK, NULL), SUCCESS);
    CHECK(strcmp(link.name, "lo") == 0 && link.flags & UP);
    CHECK(link.published.alias.string[1] == 'i');
    CHECK(link.published.information.if_mtu == 9000);
    ndisbridge_close_linux_monitor(monitor);
}

static void test_refusals(ndisbridge_linux_host *host)
{
    uint32_t number = NDISBRIDGE_NET_IF_ADMIN_STATUS_UP;
    int32_t error = 0;

    CHECK_STATUS(ndisbridge_set_linux_link(host, 12345,
                     NDISBRIDGE_OID_GEN_ADMIN_STATUS, &number, 4, &error),
        INTERFACE_NOT_FOUND);
    CHECK(error == ENODEV);
    error = 0;
    CHECK_STATUS(ndisbridge_set_linux_link(host, LOOPBACK,
                     NDISBRIDGE_OID_GEN_ADMIN_STATUS, &number, 3, &error),
        INVALID_LENGTH);
    CHECK(error == 0);
}

/* More changes than there is room for: one RESYNC, at the end of which what
 * comes next is heard of again. */
static void test_overrun(ndisbridge_linux_host *host)
{
    ndisbridge_linux_monitor *monitor;
    uint32_t count = ROOM;

    CHECK_STATUS(
        ndisbridge_open_linux_monitor(&monitor, 1, NULL), SUCCESS);
    for (uint32_t i = 0; i < 200; i++)
        CHECK_STATUS(set_number(host, NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE,
                         2000 + i),
            SUCCESS);
    CHECK_STATUS(
        ndisbridge_next_linux_changes(monitor, changes, &count, 0, NULL),
        SUCCESS);
    REQUIRE(count == 1);
    CHECK(changes[0].kind == NDISBRIDGE_LINUX_CHANGE_RESYNC);
    CHECK(changes[0].link.if_index == 0);
    count = ROOM;
    CHECK_STATUS(
        ndisbridge_next_linux_changes(monitor, changes, &count, 0, NULL),
        TIMEOUT);
    CHECK(count == 0);
    CHECK_STATUS(
        set_number(host, NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE, 1500),
        SUCCESS);
    CHECK(heard(monitor)->published.information.if_mtu == 1500);
    ndisbridge_close_linux_monitor(monitor);
}

int main(void)
{
    ndisbridge_linux_host *host;

    (void)check_begin("linux_monitor");
    if (unshare(CLONE_NEWNET) != 0) {
        printf("no network namespaces: skipped, errno %d\n", errno);
        return check_end();
    }
    CHECK_STATUS(ndisbridge_open_linux_host(&host, NULL), SUCCESS);
    test_sets_are_heard_of(host);
    test_refusals(host);
    test_overrun(host);
    ndisbridge_close_linux_host(host);
    return check_end();
}

#endif
