/* SPDX-License-Identifier: MIT
 *
 * linux_changes.h - from the bytes that rtnetlink multicasts to changes.
 * Needs nothing of the system.
 */
#ifndef NB_LINUX_CHANGES_H
#define NB_LINUX_CHANGES_H

#include "linux_links.h"

/* Takes messages off the front of bytes until one says what has happened to
 * a link: GOT.  END: none did.  MALFORMED: what is left cannot be read, so
 * that something may be missed. */
enum nb_netlink_step nb_next_change(
    struct nb_bytes *bytes, ndisbridge_linux_change *change);

#endif
