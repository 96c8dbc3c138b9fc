/* SPDX-License-Identifier: MIT
 *
 * linux_details.h - speed, duplex and "is wireless", which no message of
 * rtnetlink has, asked of generic netlink.  What cannot be had stays unknown,
 * and is no error.
 */
#ifndef NB_LINUX_DETAILS_H
#define NB_LINUX_DETAILS_H

#ifdef __linux__

#include "linux_socket.h"

struct nb_details {
    struct nb_socket generic;
    struct nb_families families;
};

void nb_details_open(struct nb_details *details);
void nb_details_close(struct nb_details *details);

/* Of all links in a list, by a dump. */
void nb_details_of_all(
    struct nb_details *details, struct nb_link_list *list);
/* Of one link. */
void nb_details_of_one(
    struct nb_details *details, ndisbridge_linux_link *link);

#endif
#endif
