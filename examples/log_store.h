/* SPDX-License-Identifier: MIT
 *
 * log_store.h - lasting identity for a C program: persistence hooks over one
 * checksummed append log, for one process at a time.  docs/stores.md says
 * how it is made; lasting.c is a program that uses it.
 *
 *   cc -pthread lasting.c log_store.c \
 *       $(pkg-config --cflags --libs ndisbridge) -o lasting
 *
 * What is durable when a call returns: retaining, releasing, and the
 * identities that go with them.  What lives in memory only: leases and
 * in-use marks, which end with the process, as they must.
 *
 * All functions may be called from any thread.
 */
#ifndef LOG_STORE_H
#define LOG_STORE_H

#include <ndisbridge.h>

/** Room for a key with its NUL, in bytes. */
#define LOG_STORE_KEY_SIZE 256

typedef struct log_store log_store;

/** Whose an index is.  Given as the record of ndisbridge_retain() and of
 *  ndisbridge_release(), it is made and goes with its indexes, in the same
 *  write. */
typedef struct log_store_identity {
    char key[LOG_STORE_KEY_SIZE];  /* the program's own name for it */
    ndisbridge_net_luid net_luid;
    ndisbridge_guid interface_guid;
    uint32_t if_index;  /* its own, retained with it; 0 for none */
    uint32_t reserved;
} log_store_identity;

/** Opens a store, making it if there is none.
 *
 *  @param[out] store         the store; log_store_close() ends it
 *  @param[out] error_number  errno of a failure, or 0; may be NULL
 *  @param      path          the log; path.lock and path.new are beside it
 *
 *  @retval IN_USE        another process has it open
 *  @retval INVALID_DATA  it is damaged, or no such log; nothing is changed
 *  @retval RESOURCES     no memory, or no room on the disk
 *  @retval FAILURE       see error_number
 *
 *  What a crash has left of an unfinished write is cut off.
 */
ndisbridge_status log_store_open(
    log_store **store, int *error_number, const char *path);

/** Closes a store.  After the sessions on it, whose hooks it has.  In a
 *  child of fork() it lets go, and the parent's store stays locked. */
void log_store_close(log_store *store);

/** The hooks, for ndisbridge_session_config; they live as long as the
 *  store, and are of one session at a time.
 *
 *  Retain says LEASE_LOST for a block that is not leased, INVALID_PARAMETER
 *  for a retained index, IN_USE for a key that has an identity.  Release says
 *  INVALID_PARAMETER for what is not retained, an identity's index without
 *  the identity, or the reverse, and IN_USE for what is registered.
 *
 *  RESOURCES says that nothing was changed.  After FAILURE nobody can tell
 *  whether it is done: don't use the indexes.  The store then refuses every
 *  change, and opening it again tells. */
const ndisbridge_persistence_hooks *log_store_hooks(log_store *store);

/** Finds the identity of a key.
 *  @retval INTERFACE_NOT_FOUND  it has none */
ndisbridge_status log_store_find(
    log_store *store, log_store_identity *identity, const char *key);

/** Finds the identity of a key or makes one, with a NET_LUID, a GUID and an
 *  ifIndex of its own, durably.
 *
 *  @param session  a session with the store's hooks
 *
 *  @retval INVALID_PARAMETER  no key, too long a key, or the identity has
 *                             another IfType
 *  @retval other              what allocating or retaining said
 */
ndisbridge_status log_store_identify(
    log_store *store, log_store_identity *identity,
    ndisbridge_session *session, const char *key, uint16_t if_type);

/** Releases an identity and its indexes, durably.  It must not be
 *  registered.  Statuses as for ndisbridge_release(). */
ndisbridge_status log_store_forget(
    ndisbridge_session *session, log_store_identity *identity);

/** Writes the log anew, without what is released.  The store does so by
 *  itself when most of a log is past.
 *  @retval RESOURCES, FAILURE  as for retain; the old log may stay */
ndisbridge_status log_store_compact(log_store *store);

/** Bytes of the log.  */
uint64_t log_store_size(log_store *store);

#endif
