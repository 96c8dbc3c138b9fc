/* SPDX-License-Identifier: MIT
 *
 * linux_host.c - the public functions that read and set the links of a
 * network namespace.
 */
#include "linux_details.h"

#ifdef __linux__

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <stdlib.h>

#include "host.h"
#include "linux_settings.h"

_Static_assert(sizeof(struct ifinfomsg) + sizeof(struct nlattr)
            + sizeof(((struct nb_link_setting *)0)->value)
        <= sizeof(((struct nb_request *)0)->body),
    "every setting fits into a request");

/* A dump of rtnetlink is consistent if no link came or went meanwhile. */
#define MAX_ATTEMPTS 10

enum { ROUTE_BUFFER = 1024 * 1024 };

struct ndisbridge_linux_host {
    pthread_mutex_t lock;  /* of all that follows */
    struct nb_socket route;
    struct nb_details details;
};

static int32_t dump_links(struct nb_socket *route, struct nb_link_list *list)
{
    const struct ifinfomsg header = { .ifi_index = 0 };  /* all */
    struct nb_request request;
    struct nb_dump dump = { .take = nb_take_link, .context = list };
    int32_t error = EAGAIN;

    nb_request_begin(
        &request, RTM_GETLINK, NLM_F_DUMP, &header, sizeof header);
    for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        list->count = 0;
        error = nb_socket_request(route, &request, &dump);
        if (error != 0 && error != EINTR && error != EBUSY)
            break;
        if (error == 0 && !dump.interrupted)
            break;
        error = EAGAIN;
    }
    return error;
}

static ndisbridge_status failure(int32_t error, int32_t *error_number)
{
    if (error_number != NULL)
        *error_number = error;
    return nb_status_of_errno(error);
}

ndisbridge_status ndisbridge_open_linux_host(
    ndisbridge_linux_host **host, int32_t *error_number)
{
    ndisbridge_linux_host *opened;
    int32_t error;

    if (host == NULL)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    *host = NULL;
    opened = malloc(sizeof *opened);
    if (opened == NULL || !nb_mutex_init(&opened->lock)) {
        free(opened);
        return failure(ENOMEM, error_number);
    }
    error = nb_socket_open(&opened->route, NETLINK_ROUTE, ROUTE_BUFFER);
    if (error != 0) {
        pthread_mutex_destroy(&opened->lock);
        free(opened);
        return failure(error, error_number);
    }
    nb_details_open(&opened->details);
    *host = opened;
    return NDISBRIDGE_STATUS_SUCCESS;
}

void ndisbridge_close_linux_host(ndisbridge_linux_host *host)
{
    if (host == NULL)
        return;
    nb_socket_close(&host->route);
    nb_details_close(&host->details);
    pthread_mutex_destroy(&host->lock);
    free(host);
}

ndisbridge_status ndisbridge_read_linux_links(ndisbridge_linux_host *host,
    ndisbridge_linux_link *links, uint32_t *count, int32_t *error_number)
{
    struct nb_link_list list = { .links = links };
    int32_t error;

    if (host == NULL || count == NULL || (links == NULL && *count > 0))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    list.capacity = *count;
    pthread_mutex_lock(&host->lock);
    error = dump_links(&host->route, &list);
    if (error == 0 && list.count <= list.capacity)
        nb_details_of_all(&host->details, &list);
    pthread_mutex_unlock(&host->lock);
    if (error != 0) {
        if (error_number != NULL)
            *error_number = error;
        return NDISBRIDGE_STATUS_FAILURE;
    }
    *count = list.count;
    return list.count > list.capacity ? NDISBRIDGE_STATUS_BUFFER_TOO_SHORT
                                      : NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_get_linux_links(
    ndisbridge_linux_link *links, uint32_t *count, int32_t *error_number)
{
    ndisbridge_linux_host *host;
    ndisbridge_status status;

    if (count == NULL || (links == NULL && *count > 0))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    if (ndisbridge_open_linux_host(&host, error_number)
        != NDISBRIDGE_STATUS_SUCCESS)
        return NDISBRIDGE_STATUS_FAILURE;
    status = ndisbridge_read_linux_links(host, links, count, error_number);
    ndisbridge_close_linux_host(host);
    return status;
}

ndisbridge_status ndisbridge_read_linux_link(ndisbridge_linux_host *host,
    ndisbridge_linux_link *link, uint32_t if_index, int32_t *error_number)
{
    const struct ifinfomsg header = { .ifi_index = (int)if_index };
    struct nb_link_list list = { .links = link, .capacity = 1 };
    struct nb_dump dump = { .take = nb_take_link, .context = &list };
    struct nb_request request;
    int32_t error;

    if (host == NULL || link == NULL || if_index == 0
        || if_index > NDISBRIDGE_IF_INDEX_MAX)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    nb_request_begin(
        &request, RTM_GETLINK, NLM_F_ACK, &header, sizeof header);
    pthread_mutex_lock(&host->lock);
    error = nb_socket_request(&host->route, &request, &dump);
    if (error == 0 && list.count == 0)
        error = ENODEV;
    if (error == 0)
        nb_details_of_one(&host->details, link);
    pthread_mutex_unlock(&host->lock);
    return error == 0 ? NDISBRIDGE_STATUS_SUCCESS
                      : failure(error, error_number);
}

static bool take_nothing(
    void *context, const struct nb_netlink_message *message)
{
    (void)context;
    (void)message;
    return true;
}

ndisbridge_status ndisbridge_set_linux_link(ndisbridge_linux_host *host,
    uint32_t if_index, uint32_t oid, const void *input, uint32_t length,
    int32_t *error_number)
{
    struct nb_link_setting setting;
    struct ifinfomsg header = { .ifi_index = (int)if_index };
    struct nb_dump dump = { .take = take_nothing };
    struct nb_request request;
    ndisbridge_status status;
    int32_t error;

    if (host == NULL || (input == NULL && length > 0) || if_index == 0
        || if_index > NDISBRIDGE_IF_INDEX_MAX)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    status = nb_link_setting_of(&setting, oid, input, length);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    header.ifi_flags = setting.flags;
    header.ifi_change = setting.change;
    nb_request_begin(
        &request, RTM_SETLINK, NLM_F_ACK, &header, sizeof header);
    /* It fits: see the assertion above. */
    if (setting.attribute != 0)
        (void)nb_request_add(
            &request, setting.attribute, setting.value, setting.size);
    pthread_mutex_lock(&host->lock);
    error = nb_socket_request(&host->route, &request, &dump);
    pthread_mutex_unlock(&host->lock);
    return error == 0 ? NDISBRIDGE_STATUS_SUCCESS
                      : failure(error, error_number);
}

/* ---- tags ------------------------------------------------------------- */

/* Of the kernel's ABI; headers older than 5.5 do not have them. */
enum {
    NEW_LINK_PROPERTY = 108,
    DELETE_LINK_PROPERTY = 109,
    LINK_PROPERTY_LIST = 52,
    LINK_ALT_NAME = 53
};

static int32_t change_tag(struct nb_socket *route, uint16_t type,
    uint32_t if_index, uint64_t net_luid)
{
    static const char digits[] = "0123456789abcdef";
    const struct ifinfomsg header = { .ifi_index = (int)if_index };
    char text[NB_TAG_SIZE] = NB_TAG_PREFIX;
    struct nb_dump dump = { .take = take_nothing };
    struct nb_request request, list = { .size = 0 };

    for (size_t i = 0; i < 16; i++)
        text[sizeof NB_TAG_PREFIX - 1 + i] =
            digits[net_luid >> (60 - 4 * i) & 0xF];
    nb_request_begin(&request, type,
        type == NEW_LINK_PROPERTY
            ? NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND
            : NLM_F_ACK,
        &header, sizeof header);
    (void)nb_request_add(&list, LINK_ALT_NAME, text, sizeof text);
    (void)nb_request_add(
        &request, LINK_PROPERTY_LIST | NLA_F_NESTED, list.body, list.size);
    return nb_socket_request(route, &request, &dump);
}

static bool is_net_luid(uint64_t net_luid)
{
    return net_luid >> 48 != 0 && (net_luid & 0xFFFFFF) == 0;
}

ndisbridge_status ndisbridge_tag_linux_link(ndisbridge_linux_host *host,
    uint32_t if_index, uint64_t net_luid, uint64_t previous,
    int32_t *error_number)
{
    int32_t error = 0;

    if (host == NULL || if_index == 0 || if_index > NDISBRIDGE_IF_INDEX_MAX
        || (net_luid != 0 && !is_net_luid(net_luid))
        || (previous != 0 && !is_net_luid(previous)))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&host->lock);
    /* The new one first, so that the link is never without one. */
    if (net_luid != 0 && net_luid != previous)
        error = change_tag(
            &host->route, NEW_LINK_PROPERTY, if_index, net_luid);
    if (error == 0 && previous != 0 && net_luid != previous)
        error = change_tag(
            &host->route, DELETE_LINK_PROPERTY, if_index, previous);
    pthread_mutex_unlock(&host->lock);
    if (error == 0)
        return NDISBRIDGE_STATUS_SUCCESS;
    if (error_number != NULL)
        *error_number = error;
    return NDISBRIDGE_STATUS_FAILURE;
}

#else

/* ISO C wants a declaration in every file. */
typedef int nb_no_linux_host;

#endif
