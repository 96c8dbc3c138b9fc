/* SPDX-License-Identifier: MIT
 *
 * linux_absent.c - the public functions of Linux links where there are none.
 */
#include "linux_links.h"

#ifdef __linux__

/* ISO C wants a declaration in every file. */
typedef int nb_linux_is_here;

#else

ndisbridge_status ndisbridge_get_linux_links(
    ndisbridge_linux_link *links, uint32_t *count, int32_t *error_number)
{
    (void)links;
    (void)count;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

ndisbridge_status ndisbridge_open_linux_host(
    ndisbridge_linux_host **host, int32_t *error_number)
{
    (void)host;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

ndisbridge_status ndisbridge_read_linux_links(
    ndisbridge_linux_host *host, ndisbridge_linux_link *links,
    uint32_t *count, int32_t *error_number)
{
    (void)host;
    (void)links;
    (void)count;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

ndisbridge_status ndisbridge_read_linux_link(
    ndisbridge_linux_host *host, ndisbridge_linux_link *link,
    uint32_t if_index, int32_t *error_number)
{
    (void)host;
    (void)link;
    (void)if_index;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

ndisbridge_status ndisbridge_set_linux_link(
    ndisbridge_linux_host *host, uint32_t if_index, uint32_t oid,
    const void *input, uint32_t length, int32_t *error_number)
{
    (void)host;
    (void)if_index;
    (void)oid;
    (void)input;
    (void)length;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

ndisbridge_status ndisbridge_tag_linux_link(ndisbridge_linux_host *host,
    uint32_t if_index, uint64_t net_luid, uint64_t previous,
    int32_t *error_number)
{
    (void)host;
    (void)if_index;
    (void)net_luid;
    (void)previous;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

ndisbridge_status ndisbridge_open_linux_monitor(
    ndisbridge_linux_monitor **monitor, uint32_t receive_buffer,
    int32_t *error_number)
{
    (void)monitor;
    (void)receive_buffer;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

ndisbridge_status ndisbridge_next_linux_changes(
    ndisbridge_linux_monitor *monitor, ndisbridge_linux_change *changes,
    uint32_t *count, uint32_t timeout_ms, int32_t *error_number)
{
    (void)monitor;
    (void)changes;
    (void)count;
    (void)timeout_ms;
    (void)error_number;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

void ndisbridge_close_linux_host(ndisbridge_linux_host *host)
{
    (void)host;
}

void ndisbridge_close_linux_monitor(ndisbridge_linux_monitor *monitor)
{
    (void)monitor;
}

int32_t ndisbridge_linux_monitor_fd(const ndisbridge_linux_monitor *monitor)
{
    (void)monitor;
    return -1;
}

#endif
