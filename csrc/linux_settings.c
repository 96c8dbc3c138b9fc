/* SPDX-License-Identifier: MIT
 *
 * linux_settings.c - see linux_settings.h.
 */
#include "linux_settings.h"

#include <errno.h>

/* Numbers of the kernel's ABI. */
enum {
    LINK_FLAG_UP = 0x1,
    LINK_FLAG_PROMISCUOUS = 0x100,
    LINK_MTU = 4,
    LINK_IFALIAS = 20
};

size_t nb_utf16_to_utf8(uint8_t *utf8, const uint16_t *units, size_t count)
{
    uint8_t *at = utf8;

    for (size_t i = 0; i < count; i++) {
        uint32_t character = units[i];

        if (character == 0)
            return SIZE_MAX;
        if (character >= 0xD800 && character <= 0xDFFF) {
            if (character > 0xDBFF || i + 1 == count
                || units[i + 1] < 0xDC00 || units[i + 1] > 0xDFFF)
                return SIZE_MAX;
            character = 0x10000 + ((character & 0x3FF) << 10)
                + (units[++i] & 0x3FFU);
        }
        if (character < 0x80) {
            *at++ = (uint8_t)character;
            continue;
        }
        if (character < 0x800) {
            *at++ = (uint8_t)(0xC0 | character >> 6);
        } else {
            if (character < 0x10000) {
                *at++ = (uint8_t)(0xE0 | character >> 12);
            } else {
                *at++ = (uint8_t)(0xF0 | character >> 18);
                *at++ = (uint8_t)(0x80 | (character >> 12 & 0x3F));
            }
            *at++ = (uint8_t)(0x80 | (character >> 6 & 0x3F));
        }
        *at++ = (uint8_t)(0x80 | (character & 0x3F));
    }
    return (size_t)(at - utf8);
}

static ndisbridge_status set_flag(
    struct nb_link_setting *setting, uint32_t flag, bool on)
{
    setting->change = flag;
    setting->flags = on ? flag : 0;
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status set_alias(
    struct nb_link_setting *setting, const uint8_t *input, uint32_t length)
{
    uint16_t units[NDISBRIDGE_MAX_STRING_SIZE];
    uint16_t bytes = 0;

    if (length >= sizeof bytes)
        memcpy(&bytes, input, sizeof bytes);
    if (length < sizeof bytes || bytes % 2 != 0 || bytes > sizeof units
        || bytes > length - sizeof bytes)
        return NDISBRIDGE_STATUS_INVALID_LENGTH;
    memcpy(units, input + sizeof bytes, bytes);
    setting->size = nb_utf16_to_utf8(setting->value, units, bytes / 2);
    if (setting->size == SIZE_MAX)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    setting->attribute = LINK_IFALIAS;
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status nb_link_setting_of(struct nb_link_setting *setting,
    uint32_t oid, const void *input, uint32_t length)
{
    uint32_t number = 0;

    setting->flags = setting->change = 0;
    setting->attribute = 0;
    setting->size = 0;
    switch (oid) {
    case NDISBRIDGE_OID_GEN_ALIAS:
        return set_alias(setting, input, length);
    case NDISBRIDGE_OID_GEN_PROMISCUOUS_MODE:
        if (length != 1)
            return NDISBRIDGE_STATUS_INVALID_LENGTH;
        return set_flag(
            setting, LINK_FLAG_PROMISCUOUS, *(const uint8_t *)input != 0);
    case NDISBRIDGE_OID_GEN_ADMIN_STATUS:
    case NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE:
        if (length != sizeof number)
            return NDISBRIDGE_STATUS_INVALID_LENGTH;
        memcpy(&number, input, sizeof number);
        break;
    default:
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    }
    if (oid == NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE) {
        setting->attribute = LINK_MTU;
        setting->size = sizeof number;
        memcpy(setting->value, &number, sizeof number);
        return NDISBRIDGE_STATUS_SUCCESS;
    }
    /* RFC 2863 has testing(3) too; the kernel has nothing like it. */
    if (number == NDISBRIDGE_NET_IF_ADMIN_STATUS_TESTING)
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    if (number != NDISBRIDGE_NET_IF_ADMIN_STATUS_UP
        && number != NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    return set_flag(setting, LINK_FLAG_UP,
        number == NDISBRIDGE_NET_IF_ADMIN_STATUS_UP);
}

ndisbridge_status nb_status_of_errno(int32_t error)
{
    switch (error) {
    case 0:
        return NDISBRIDGE_STATUS_SUCCESS;
    case EPERM:
    case EACCES:
        return NDISBRIDGE_STATUS_ACCESS_DENIED;
    case ENODEV:
    case ENXIO:
        return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
    case EINVAL:
    case ERANGE:
    case EMSGSIZE:
    case EADDRNOTAVAIL:
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    case EOPNOTSUPP:
    case ENOSYS:
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    case EBUSY:
    case EEXIST:
    case EADDRINUSE:
        return NDISBRIDGE_STATUS_IN_USE;
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
        return NDISBRIDGE_STATUS_RESOURCES;
    case ETIMEDOUT:
        return NDISBRIDGE_STATUS_TIMEOUT;
    default:
        return NDISBRIDGE_STATUS_FAILURE;
    }
}
