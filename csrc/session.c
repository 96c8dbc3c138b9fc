/* SPDX-License-Identifier: MIT
 *
 * session.c - making, closing and freeing a session.
 */
#define _GNU_SOURCE
#include "session.h"

#include <string.h>
#include <time.h>

ndisbridge_status nb_session_refuse(const ndisbridge_session *session)
{
    if (session == NULL)
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    return nb_host_life(&session->host) == NB_LIFE_FORKED
        ? NDISBRIDGE_STATUS_FORKED
        : NDISBRIDGE_STATUS_INVALID_STATE;
}

/* ---- create ----------------------------------------------------------- */

static ndisbridge_status check_config(
    const ndisbridge_session_config *config)
{
    const ndisbridge_persistence_hooks *hooks = config->hooks;

    if (!nb_header_is(&config->header, sizeof *config)
        || (hooks != NULL && !nb_header_is(&hooks->header, sizeof *hooks)))
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    NB_REQUIRE(config->if_index_policy <= NDISBRIDGE_IF_INDEX_POLICY_LOWEST);
    NB_REQUIRE(config->if_index_first <= NDISBRIDGE_NET_LUID_INDEX_MAX);
    NB_REQUIRE(
        (config->allocate == NULL) == (config->deallocate == NULL));
    /* What comes from one place goes back to it. */
    NB_REQUIRE(hooks == NULL
        || ((hooks->lease_blocks == NULL) == (hooks->return_blocks == NULL)
            && (hooks->retain == NULL) == (hooks->release == NULL)
            && (hooks->confirm == NULL) == (hooks->unconfirm == NULL)));
    return NDISBRIDGE_STATUS_SUCCESS;
}

static void free_session(ndisbridge_session *session)
{
    struct nb_memory memory = session->host.memory;

    nb_events_destroy(&session->events);
    nb_stack_destroy(&session->stack);
    nb_table_destroy(&session->table);
    nb_pool_destroy(&session->pool);
    if (session->host.life != NULL) {
        nb_session_free_providers(session);
        if (!nb_host_forked(&session->host))
            pthread_mutex_destroy(&session->providers_lock);
        nb_free_life(session->host.life);
    }
    nb_deallocate(&memory, session, sizeof *session);
}

static ndisbridge_status fill_session(
    ndisbridge_session *session, const ndisbridge_session_config *config)
{
    struct nb_host *host = &session->host;
    uint32_t first = config->if_index_first;
    ndisbridge_status status;

    host->session = session;
    if (config->hooks != NULL)
        host->hooks = *config->hooks;
    host->wait_timeout_ms =
        config->wait_timeout_ms != 0 ? config->wait_timeout_ms : 12000;
    host->life = nb_make_life();
    if (host->life == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    nb_store(host->life, NB_LIFE_CLOSED);  /* until it is made */
    if (!nb_mutex_init(&session->providers_lock)) {
        nb_free_life(host->life);
        host->life = NULL;
        return NDISBRIDGE_STATUS_RESOURCES;
    }
    if (!nb_events_init(&session->events, host))
        return NDISBRIDGE_STATUS_RESOURCES;
    status = nb_pool_init(&session->pool, host, first != 0 ? first : 1);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = nb_table_init(
            &session->table, host, &session->pool, &session->events);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    session->table.lowest =
        config->if_index_policy == NDISBRIDGE_IF_INDEX_POLICY_LOWEST;
    nb_stack_init(&session->stack, &session->table);
    nb_store(host->life, NB_LIFE_OPEN);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_session_create(
    ndisbridge_session **session, const ndisbridge_session_config *config)
{
    ndisbridge_session_config usual;
    struct nb_memory memory = { nb_system_allocate, nb_system_deallocate,
        NULL };
    ndisbridge_session *made;
    ndisbridge_status status;

    NB_REQUIRE(session != NULL);
    if (config == NULL) {
        memset(&usual, 0, sizeof usual);
        usual.header.type = NDISBRIDGE_OBJECT_TYPE_DEFAULT;
        usual.header.revision = NDISBRIDGE_OBJECT_REVISION_1;
        usual.header.size = sizeof usual;
        config = &usual;
    }
    status = check_config(config);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    if (config->allocate != NULL) {
        memory.allocate = config->allocate;
        memory.deallocate = config->deallocate;
        memory.context = config->memory_context;
    }
    made = nb_allocate(&memory, sizeof *made);
    if (made == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    made->host.memory = memory;
    status = fill_session(made, config);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        *session = made;
    else
        free_session(made);
    return status;
}

/* ---- close, destroy --------------------------------------------------- */

/* Waits for hooks, registrations and trims that began before the session was
 * closing. */
static ndisbridge_status wait_for_calls(
    struct nb_host *host, uint64_t deadline_ms)
{
    const struct timespec pause = { 0, 200000 };

    while (nb_load(&host->calls) != 0) {
        if (nb_now_ms() >= deadline_ms)
            return NDISBRIDGE_STATUS_TIMEOUT;
        nanosleep(&pause, NULL);
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

static uint32_t time_left(uint64_t deadline_ms)
{
    uint64_t now = nb_now_ms();

    return now < deadline_ms ? (uint32_t)(deadline_ms - now) : 0;
}

/* One thread closes at a time: the next goes on where it gave up, or finds
 * that it is done, and no hook runs any more when any of them returns. */
static ndisbridge_status become_closer(
    ndisbridge_session *session, uint64_t deadline_ms)
{
    const struct timespec pause = { 0, 200000 };

    while (nb_exchange(&session->closer, 1) != 0) {
        if (nb_now_ms() >= deadline_ms)
            return NDISBRIDGE_STATUS_TIMEOUT;
        nanosleep(&pause, NULL);
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status close_alone(
    ndisbridge_session *session, uint64_t deadline_ms)
{
    struct nb_host *host = &session->host;
    uint32_t life = NB_LIFE_OPEN;
    ndisbridge_status status;

    if (!nb_compare_exchange(host->life, &life, NB_LIFE_CLOSING)
        && life == NB_LIFE_CLOSED)
        return NDISBRIDGE_STATUS_INVALID_STATE;
    nb_events_closing(&session->events);
    status = wait_for_calls(host, deadline_ms);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = nb_table_close(&session->table, time_left(deadline_ms));
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = wait_for_calls(host, deadline_ms);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    /* What a hook says here cannot be mended by who closes. */
    status = nb_pool_return_all(&session->pool);
    nb_store(host->life, NB_LIFE_CLOSED);
    nb_events_close(&session->events);
    return status;
}

ndisbridge_status ndisbridge_session_close(
    ndisbridge_session *session, uint32_t timeout_ms)
{
    uint64_t deadline_ms;
    ndisbridge_status status;

    NB_REQUIRE(session != NULL);
    if (nb_host_life(&session->host) == NB_LIFE_FORKED)
        return NDISBRIDGE_STATUS_FORKED;
    if (nb_thread_in_hook_of(session) || nb_thread_in_session(session))
        return NDISBRIDGE_STATUS_INVALID_STATE;
    deadline_ms = nb_now_ms() + nb_session_timeout(session, timeout_ms);
    status = become_closer(session, deadline_ms);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = close_alone(session, deadline_ms);
    nb_store(&session->closer, 0);
    return status;
}

ndisbridge_status ndisbridge_session_destroy(ndisbridge_session *session)
{
    uint32_t life;
    ndisbridge_status status;

    if (session == NULL)
        return NDISBRIDGE_STATUS_SUCCESS;
    /* Also in a child that a handler has forked: it returns into it. */
    if (nb_thread_in_hook_of(session) || nb_thread_in_session(session))
        return NDISBRIDGE_STATUS_INVALID_STATE;
    life = nb_host_life(&session->host);
    if (life == NB_LIFE_OPEN || life == NB_LIFE_CLOSING) {
        status =
            ndisbridge_session_close(session, NDISBRIDGE_TIMEOUT_DEFAULT);
        if (status == NDISBRIDGE_STATUS_TIMEOUT
            || status == NDISBRIDGE_STATUS_INVALID_STATE)
            return status;
    }
    free_session(session);
    return NDISBRIDGE_STATUS_SUCCESS;
}
