/* SPDX-License-Identifier: MIT
 *
 * net_luid.c - NET_LUID values and their names.  No session is needed.
 */
#include "oid_catalog.h"

#include <stdio.h>
#include <string.h>

#define MAX_INDEX NDISBRIDGE_NET_LUID_INDEX_MAX
#define RESERVED_BITS ((uint64_t)0xFFFFFF)

ndisbridge_status ndisbridge_make_net_luid(
    ndisbridge_net_luid *net_luid, uint32_t if_type, uint32_t net_luid_index)
{
    if (net_luid == NULL || if_type == 0 || if_type > UINT16_MAX
        || net_luid_index > MAX_INDEX)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    *net_luid = (uint64_t)if_type << 48 | (uint64_t)net_luid_index << 24;
    return NDISBRIDGE_STATUS_SUCCESS;
}

uint16_t ndisbridge_net_luid_if_type(ndisbridge_net_luid net_luid)
{
    return (uint16_t)(net_luid >> 48);
}

uint32_t ndisbridge_net_luid_index(ndisbridge_net_luid net_luid)
{
    return (uint32_t)(net_luid >> 24) & MAX_INDEX;
}

ndisbridge_status ndisbridge_net_luid_to_name(
    char *name, uint32_t *size, ndisbridge_net_luid net_luid)
{
    uint16_t if_type = ndisbridge_net_luid_if_type(net_luid);
    uint32_t index = ndisbridge_net_luid_index(net_luid), needed;
    const char *prefix = nb_if_type_prefix(if_type);
    char text[NDISBRIDGE_NET_LUID_NAME_SIZE];
    int length;

    if (size == NULL || (name == NULL && *size != 0) || if_type == 0
        || (net_luid & RESERVED_BITS) != 0)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    if (prefix != NULL)
        length = snprintf(text, sizeof text, "%s_%u", prefix, index);
    else
        length = snprintf(text, sizeof text, "iftype%u_%u", if_type, index);
    needed = (uint32_t)length + 1;
    if (*size < needed) {
        *size = needed;
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    }
    memcpy(name, text, needed);
    *size = needed;
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Reads decimal digits up to the end of a part, without leading zeros, as
 * the names are written; false if that is not all there is, or too much. */
static bool read_number(
    const char *text, size_t length, uint32_t highest, uint32_t *number)
{
    uint32_t value = 0;

    if (length == 0 || length > 9 || (text[0] == '0' && length > 1))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *number = value;
    return value <= highest;
}

/* "iftype53" in any case; a type that has a name of its own is accepted by
 * its number too. */
static bool read_if_type(const char *text, size_t length, uint32_t *if_type)
{
    static const char word[] = "iftype";
    const size_t letters = sizeof word - 1;

    if (length <= letters)
        return false;
    for (size_t i = 0; i < letters; i++)
        if ((text[i] | 0x20) != word[i])
            return false;
    return read_number(
        text + letters, length - letters, UINT16_MAX, if_type);
}

ndisbridge_status ndisbridge_net_luid_from_name(
    ndisbridge_net_luid *net_luid, const char *name)
{
    const char *separator;
    uint32_t if_type, index;
    size_t prefix;

    if (net_luid == NULL)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    *net_luid = NDISBRIDGE_NET_LUID_UNSPECIFIED;
    separator = name == NULL ? NULL : strchr(name, '_');
    if (separator == NULL)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    prefix = (size_t)(separator - name);
    if_type = nb_if_type_of_prefix(name, prefix);
    if (if_type == 0 && !read_if_type(name, prefix, &if_type))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    if (!read_number(
            separator + 1, strlen(separator + 1), MAX_INDEX, &index))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    return ndisbridge_make_net_luid(net_luid, if_type, index);
}
