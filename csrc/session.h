/* SPDX-License-Identifier: MIT
 *
 * session.h - what a session is made of, and the checks at its door.
 */
#ifndef NB_SESSION_H
#define NB_SESSION_H

#include "if_stack.h"
#include "oid_dispatch.h"

/* A registered provider; its handle is generation << 32 | slot + 1. */
struct nb_provider_entry {
    struct nb_provider *provider;  /* NULL: the slot is free */
    uint32_t generation;
    nb_atomic_u32 *interfaces;  /* registered, or on their way */
};

struct ndisbridge_session {
    struct nb_host host;
    struct nb_events events;
    struct nb_pool pool;
    struct nb_table table;
    struct nb_stack stack;
    nb_atomic_u32 closer;  /* 1: a thread is in ndisbridge_session_close() */
    pthread_mutex_t providers_lock;
    struct nb_provider_entry *providers;
    uint32_t provider_capacity;
};

/* Why the door is closed. */
ndisbridge_status nb_session_refuse(const ndisbridge_session *session);

/* SUCCESS if the session may be used by this thread now. */
static inline ndisbridge_status nb_session_check(
    const ndisbridge_session *session)
{
    if (NB_LIKELY(session != NULL
            && nb_host_life(&session->host) == NB_LIFE_OPEN
            && !nb_thread_in_hook_of(session)))
        return NDISBRIDGE_STATUS_SUCCESS;
    return nb_session_refuse(session);
}

#define NB_SESSION_ENTER(session) \
    do { \
        ndisbridge_status refused_ = nb_session_check(session); \
        if (NB_UNLIKELY(refused_ != NDISBRIDGE_STATUS_SUCCESS)) \
            return refused_; \
    } while (0)

#define NB_REQUIRE(condition) \
    do { \
        if (NB_UNLIKELY(!(condition))) \
            return NDISBRIDGE_STATUS_INVALID_PARAMETER; \
    } while (0)

static inline uint32_t nb_session_timeout(
    const ndisbridge_session *session, uint32_t timeout_ms)
{
    return timeout_ms == NDISBRIDGE_TIMEOUT_DEFAULT
        ? session->host.wait_timeout_ms
        : timeout_ms;
}

/* Whether a structure that the caller has filled is one that is known. */
static inline bool nb_header_is(
    const ndisbridge_object_header *header, size_t size)
{
    return header->type == NDISBRIDGE_OBJECT_TYPE_DEFAULT
        && header->revision == NDISBRIDGE_OBJECT_REVISION_1
        && header->size >= size;
}

/* Finds a provider and keeps it from being deregistered, until *interfaces
 * is counted down again. */
bool nb_session_hold_provider(ndisbridge_session *session,
    ndisbridge_provider handle, const struct nb_provider **provider,
    nb_atomic_u32 **interfaces);
/* Frees every provider; no interface may be left. */
void nb_session_free_providers(ndisbridge_session *session);

#endif
