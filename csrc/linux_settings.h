/* SPDX-License-Identifier: MIT
 *
 * linux_settings.h - what setting an OID asks of the kernel, and what its
 * refusal means.  Needs nothing of the system.
 */
#ifndef NB_LINUX_SETTINGS_H
#define NB_LINUX_SETTINGS_H

#include "linux_links.h"

/* The changing parts of a RTM_SETLINK message. */
struct nb_link_setting {
    uint32_t flags, change;  /* of struct ifinfomsg */
    uint16_t attribute;  /* IFLA_*; 0: none */
    size_t size;
    uint8_t value[3 * NDISBRIDGE_MAX_STRING_SIZE];
};

/* NOT_SUPPORTED: not one that a link can be set by. */
ndisbridge_status nb_link_setting_of(struct nb_link_setting *setting,
    uint32_t oid, const void *input, uint32_t length);

/* UTF-16 to UTF-8, which has at most three bytes a unit; how many, or
 * SIZE_MAX if it is not UTF-16 or has a NUL. */
size_t nb_utf16_to_utf8(uint8_t *utf8, const uint16_t *units, size_t count);

/* The status that a number of errno of the kernel is. */
ndisbridge_status nb_status_of_errno(int32_t error);

#endif
