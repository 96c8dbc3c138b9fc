/* SPDX-License-Identifier: MIT
 *
 * linux_monitor.c - the public functions that wait for changes of links.
 *
 * The kernel drops what a reader is too slow for, says so once (ENOBUFS),
 * and then drops everything until the reader has emptied its queue.  So
 * whatever is wrong ends in one change RESYNC, given when the queue is empty:
 * a dump that begins after it misses nothing.
 */
#include "linux_changes.h"

#ifdef __linux__

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "host.h"
#include "linux_details.h"
#include "linux_settings.h"

enum { DEFAULT_BUFFER = 64 * 1024 * 1024 };

struct ndisbridge_linux_monitor {
    struct nb_socket route;
    struct nb_details details;
    struct nb_bytes left;  /* of bytes */
    uint64_t bytes[NB_DATAGRAM_SIZE / sizeof(uint64_t)];
};

ndisbridge_status ndisbridge_open_linux_monitor(
    ndisbridge_linux_monitor **monitor, uint32_t receive_buffer,
    int32_t *error_number)
{
    ndisbridge_linux_monitor *opened;
    int32_t error = ENOMEM;

    if (monitor == NULL)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    *monitor = NULL;
    opened = malloc(sizeof *opened);
    if (opened != NULL) {
        opened->left = (struct nb_bytes) { NULL, 0 };
        error = nb_socket_open(&opened->route, NETLINK_ROUTE,
            receive_buffer == 0 ? DEFAULT_BUFFER : receive_buffer);
        if (error == 0)
            error = nb_socket_join(&opened->route, RTNLGRP_LINK);
    }
    if (error != 0) {
        if (opened != NULL)
            nb_socket_close(&opened->route);
        free(opened);
        if (error_number != NULL)
            *error_number = error;
        return nb_status_of_errno(error);
    }
    nb_details_open(&opened->details);
    *monitor = opened;
    return NDISBRIDGE_STATUS_SUCCESS;
}

void ndisbridge_close_linux_monitor(ndisbridge_linux_monitor *monitor)
{
    if (monitor == NULL)
        return;
    nb_socket_close(&monitor->route);
    nb_details_close(&monitor->details);
    free(monitor);
}

int32_t ndisbridge_linux_monitor_fd(const ndisbridge_linux_monitor *monitor)
{
    return monitor == NULL ? -1 : monitor->route.fd;
}

static int32_t read_more(
    ndisbridge_linux_monitor *monitor, uint32_t timeout_ms)
{
    size_t size = 0;
    int32_t error = nb_socket_receive(
        &monitor->route, (uint8_t *)monitor->bytes, &size, timeout_ms);

    monitor->left =
        (struct nb_bytes) { (const uint8_t *)monitor->bytes, size };
    return error;
}

/* There is more in the group than changes of links: the clock runs on. */
static uint32_t time_left(uint64_t deadline_ms, uint32_t timeout_ms)
{
    uint64_t now = nb_now_ms();

    if (timeout_ms == UINT32_MAX || timeout_ms == 0)
        return timeout_ms;
    return deadline_ms > now ? (uint32_t)(deadline_ms - now) : 0;
}

/* Empties the queue.  EAGAIN is what it should end with; ENOBUFS says what
 * is known already. */
static int32_t drop_all(ndisbridge_linux_monitor *monitor)
{
    int32_t error;

    do {
        error = read_more(monitor, 0);
        monitor->left.size = 0;
    } while (error == 0 || error == ENOBUFS || error == EMSGSIZE);
    return error == EAGAIN ? 0 : error;
}

/* Asks for the details of every link once, by the last that is known of it:
 * its earlier changes cannot be asked about any more. */
static void add_details(ndisbridge_linux_monitor *monitor,
    ndisbridge_linux_change *changes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ndisbridge_linux_link *link = &changes[i].link;
        bool last = changes[i].kind == NDISBRIDGE_LINUX_CHANGE_LINK;

        for (uint32_t j = i + 1; last && j < count; j++)
            last = changes[j].link.if_index != link->if_index;
        if (last)
            nb_details_of_one(&monitor->details, link);
        else
            link->published.fields &= ~nb_link_detail_fields();
    }
}

ndisbridge_status ndisbridge_next_linux_changes(
    ndisbridge_linux_monitor *monitor, ndisbridge_linux_change *changes,
    uint32_t *count, uint32_t timeout_ms, int32_t *error_number)
{
    const uint64_t deadline = nb_now_ms() + timeout_ms;
    uint32_t got = 0;
    int32_t error = 0;

    if (monitor == NULL || count == NULL || changes == NULL || *count == 0)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    while (got < *count && error == 0) {
        enum nb_netlink_step step =
            nb_next_change(&monitor->left, &changes[got]);

        if (step == NB_NETLINK_GOT)
            got++;
        else if (step == NB_NETLINK_MALFORMED)
            error = ENOBUFS;
        else
            error = read_more(
                monitor, got == 0 ? time_left(deadline, timeout_ms) : 0);
    }
    if (error == ENOBUFS || error == EMSGSIZE) {
        error = drop_all(monitor);
        memset(&changes[0], 0, sizeof changes[0]);
        changes[0].kind = NDISBRIDGE_LINUX_CHANGE_RESYNC;
        got = 1;
    }
    if (error == EAGAIN)
        error = 0;
    *count = error == 0 ? got : 0;
    if (error != 0) {
        if (error_number != NULL)
            *error_number = error;
        return NDISBRIDGE_STATUS_FAILURE;
    }
    add_details(monitor, changes, got);
    return got > 0 ? NDISBRIDGE_STATUS_SUCCESS : NDISBRIDGE_STATUS_TIMEOUT;
}

#endif
