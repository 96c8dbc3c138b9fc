/* SPDX-License-Identifier: MIT
 *
 * if_table.c - see if_table.h.
 */
#define _GNU_SOURCE
#include "if_table.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define LUID_MAPS 65536
#define LUID_LEAF 4096
#define INDEX_LEAF 1024
#define TOP 2048

uint64_t nb_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

ndisbridge_status nb_table_init(
    struct nb_table *table, struct nb_host *host, struct nb_pool *pool)
{
    pthread_condattr_t monotonic;

    table->host = host;
    table->pool = pool;
    table->luid_maps =
        nb_allocate(&host->memory, LUID_MAPS * sizeof *table->luid_maps);
    if (table->luid_maps == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    pthread_mutex_init(&table->writer, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&table->completed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return NDISBRIDGE_STATUS_SUCCESS;
}

void nb_table_destroy(struct nb_table *table)
{
    const struct nb_memory *memory;

    if (table->luid_maps == NULL)
        return;
    memory = &table->host->memory;
    for (uint32_t i = 0; i < LUID_MAPS; i++) {
        struct nb_luid_map *map = nb_load_relaxed(&table->luid_maps[i]);

        for (uint32_t j = 0; map != NULL && j < 4096; j++)
            nb_deallocate(memory, nb_load_relaxed(&map->leaves[j]),
                LUID_LEAF * sizeof(nb_interface_slot));
        nb_deallocate(memory, map, sizeof *map);
    }
    for (uint32_t i = 0; i < TOP; i++) {
        struct nb_index_middle *middle =
            nb_load_relaxed(&table->index_top[i]);

        for (uint32_t j = 0; middle != NULL && j < 1024; j++)
            nb_deallocate(memory, nb_load_relaxed(&middle->leaves[j]),
                INDEX_LEAF * sizeof(nb_interface_slot));
        nb_deallocate(memory, middle, sizeof *middle);
    }
    while (table->slabs != NULL) {
        struct nb_slab *slab = table->slabs;

        table->slabs = slab->next;
        nb_deallocate(memory, slab, sizeof *slab);
    }
    nb_deallocate(
        memory, table->luid_maps, LUID_MAPS * sizeof *table->luid_maps);
    table->luid_maps = NULL;
    pthread_cond_destroy(&table->completed);
    pthread_mutex_destroy(&table->writer);
}

/* ---- maps; writers only ----------------------------------------------- */

/* Makes the way to a slot.  Each release pairs with the acquire of the same
 * level in nb_table_luid_slot() / nb_table_index_slot(). */
static nb_interface_slot *make_luid_slot(
    struct nb_table *table, ndisbridge_net_luid net_luid)
{
    const struct nb_memory *memory = &table->host->memory;
    struct nb_luid_map *map =
        nb_load_relaxed(&table->luid_maps[net_luid >> 48]);
    nb_interface_leaf *place;

    if (map == NULL) {
        map = nb_allocate(memory, sizeof *map);
        if (map == NULL)
            return NULL;
        nb_store_release(&table->luid_maps[net_luid >> 48], map);
    }
    place = &map->leaves[(net_luid >> 36) & 4095];
    if (nb_load_relaxed(place) == NULL) {
        nb_interface_slot *leaf =
            nb_allocate(memory, LUID_LEAF * sizeof *leaf);

        if (leaf == NULL)
            return NULL;
        nb_store_release(place, leaf);
    }
    return nb_table_luid_slot(table, net_luid);
}

static nb_interface_slot *make_index_slot(
    struct nb_table *table, uint32_t if_index)
{
    const struct nb_memory *memory = &table->host->memory;
    struct nb_index_middle *middle =
        nb_load_relaxed(&table->index_top[if_index >> 20]);
    nb_interface_leaf *place;

    if (middle == NULL) {
        middle = nb_allocate(memory, sizeof *middle);
        if (middle == NULL)
            return NULL;
        nb_store_release(&table->index_top[if_index >> 20], middle);
    }
    place = &middle->leaves[(if_index >> 10) & 1023];
    if (nb_load_relaxed(place) == NULL) {
        nb_interface_slot *leaf =
            nb_allocate(memory, INDEX_LEAF * sizeof *leaf);

        if (leaf == NULL)
            return NULL;
        nb_store_release(place, leaf);
    }
    return nb_table_index_slot(table, if_index);
}

uint32_t nb_table_next(struct nb_table *table, uint32_t after)
{
    uint32_t if_index = after + 1;

    while (if_index <= NDISBRIDGE_IF_INDEX_MAX) {
        struct nb_index_middle *middle =
            nb_load_acquire(&table->index_top[if_index >> 20]);
        nb_interface_slot *leaf = NULL;

        if (middle == NULL) {
            if_index = ((if_index >> 20) + 1) << 20;
            continue;
        }
        leaf = nb_load_acquire(&middle->leaves[(if_index >> 10) & 1023]);
        if (leaf == NULL) {
            if_index = ((if_index >> 10) + 1) << 10;
            continue;
        }
        do {
            if (nb_load_acquire(&leaf[if_index & 1023]) != NULL)
                return if_index;
        } while (++if_index & 1023);
    }
    return 0;
}

/* ---- register --------------------------------------------------------- */

static struct nb_interface *take_record(struct nb_table *table)
{
    struct nb_interface *interface;

    if (table->unused == NULL) {
        struct nb_slab *slab =
            nb_allocate(&table->host->memory, sizeof *slab);

        if (slab == NULL)
            return NULL;
        slab->next = table->slabs;
        table->slabs = slab;
        for (uint32_t i = NB_SLAB_RECORDS; i-- > 0;) {
            interface = &slab->records[i];
            nb_store_relaxed(&interface->rundown, NB_RUNDOWN_CLOSED);
            interface->next = table->unused;
            table->unused = interface;
        }
    }
    interface = table->unused;
    table->unused = interface->next;
    return interface;
}

/* Writes a record that nobody can enter.  Readers that still look at it
 * from before see the sequence move. */
static void fill_record(struct nb_interface *interface,
    const struct nb_registration *registration, uint32_t if_index)
{
    ndisbridge_mib_if_row2 row = *registration->row;
    uint64_t words[NB_ROW_WORDS], facts[NB_INFORMATION_WORDS];
    uint64_t sequence = nb_load_relaxed(&interface->sequence);

    row.interface_index = if_index;
    memcpy(words, &row, sizeof words);
    memcpy(facts, registration->information, sizeof facts);
    nb_store(&interface->sequence, sequence + 1);
    nb_store_release(&interface->net_luid, registration->net_luid);
    nb_store_release(&interface->if_index, if_index);
    nb_store_release(&interface->published, 0);
    for (uint32_t i = 0; i < NB_ROW_WORDS; i++)
        nb_store_release(&interface->row[i], words[i]);
    for (uint32_t i = 0; i < NB_INFORMATION_WORDS; i++)
        nb_store_release(&interface->information[i], facts[i]);
    interface->flags = registration->flags;
    interface->context = registration->context;
    interface->provider = registration->provider;
    interface->provider_interfaces = registration->provider_interfaces;
    interface->holds_net_luid = registration->holds_net_luid;
    interface->confirmed = registration->confirmed;
    nb_store_release(&interface->sequence, sequence + 2);
}

/* Under `writer`. */
static ndisbridge_status insert(struct nb_table *table,
    struct nb_registration *registration, bool holds_if_index)
{
    uint32_t if_index = registration->if_index;
    nb_interface_slot *by_luid, *by_index;
    struct nb_interface *interface;
    uint64_t word;

    by_luid = make_luid_slot(table, registration->net_luid);
    by_index = make_index_slot(table, if_index);
    if (by_luid == NULL || by_index == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    if (nb_load_relaxed(by_luid) != NULL)
        return NDISBRIDGE_STATUS_DUPLICATE_OBJECTID;
    if (nb_load_relaxed(by_index) != NULL)
        return NDISBRIDGE_STATUS_IN_USE;
    interface = take_record(table);
    if (interface == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    fill_record(interface, registration, if_index);
    interface->holds_if_index = holds_if_index;
    /* Opens it: pairs with the loads in nb_interface_enter(). */
    word = nb_load_relaxed(&interface->rundown) + NB_RUNDOWN_GENERATION;
    nb_store(&interface->rundown, word & ~NB_RUNDOWN_CLOSED);
    nb_store_release(by_luid, interface);
    nb_store_release(by_index, interface);
    nb_fetch_add(&table->count, 1);
    nb_fetch_add(registration->provider_interfaces, 1);
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Takes a wanted ifIndex of the space that is handed out from, so that it
 * is not handed out; *taken says that it must be freed in the end. */
static ndisbridge_status take_wanted_if_index(
    struct nb_table *table, struct nb_registration *registration, bool *taken)
{
    uint32_t if_index = registration->if_index;
    ndisbridge_status status;

    *taken = false;
    if (if_index > NDISBRIDGE_NET_LUID_INDEX_MAX
        || if_index < table->pool->if_index_first)
        return NDISBRIDGE_STATUS_SUCCESS;
    status = nb_pool_claim(table->pool, NB_IF_INDEX_SPACE, if_index);
    *taken = status == NDISBRIDGE_STATUS_SUCCESS;
    /* A retained NET_LUID may have an ifIndex of its own, retained with it;
     * the store has said that it is no other's. */
    if (status == NDISBRIDGE_STATUS_IN_USE && !registration->holds_net_luid
        && nb_bitmap_test(
               &nb_pool_space(table->pool, NB_IF_INDEX_SPACE)->bitmap,
               if_index)
            != NDISBRIDGE_INDEX_ALLOCATED)
        return NDISBRIDGE_STATUS_SUCCESS;
    return status;
}

ndisbridge_status nb_table_register(
    struct nb_table *table, struct nb_registration *registration)
{
    bool asked = registration->if_index != 0, taken = true;
    ndisbridge_status status;

    status = asked
        ? take_wanted_if_index(table, registration, &taken)
        : nb_pool_allocate_if_index(
            table->pool, &registration->if_index, table->lowest);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    pthread_mutex_lock(&table->writer);
    status = insert(table, registration, taken);
    pthread_mutex_unlock(&table->writer);
    if (status != NDISBRIDGE_STATUS_SUCCESS && taken)
        nb_pool_free(
            table->pool, NB_IF_INDEX_SPACE, registration->if_index);
    return status;
}

/* ---- deregister ------------------------------------------------------- */

void nb_table_complete(
    struct nb_table *table, struct nb_interface *interface)
{
    struct nb_hook hook;
    ndisbridge_net_luid net_luid = nb_load_relaxed(&interface->net_luid);
    uint32_t if_index = nb_load_relaxed(&interface->if_index);
    struct nb_host *host = table->host;

    /* The mark goes first: whoever sees the NET_LUID free to be registered
     * again must find the store ready for it. */
    if (interface->confirmed && host->hooks.unconfirm != NULL
        && nb_host_enter_hook(host, &hook, true) == NDISBRIDGE_STATUS_SUCCESS) {
        host->hooks.unconfirm(host->hooks.context, &net_luid, 1);
        nb_host_leave_hook(host, &hook);
    }
    pthread_mutex_lock(&table->writer);
    table->forget(table->forget_context, if_index);
    nb_store_release(nb_table_luid_slot(table, net_luid), NULL);
    nb_store_release(nb_table_index_slot(table, if_index), NULL);
    if (interface->holds_net_luid)
        nb_bitmap_unhold_one(
            &nb_pool_peek(table->pool, (uint16_t)(net_luid >> 48))->bitmap,
            (uint32_t)(net_luid >> 24) & NDISBRIDGE_NET_LUID_INDEX_MAX);
    if (interface->holds_if_index)
        nb_pool_free(table->pool, NB_IF_INDEX_SPACE, if_index);
    nb_fetch_sub(interface->provider_interfaces, 1);
    interface->provider = NULL;
    interface->next = table->unused;
    table->unused = interface;
    nb_fetch_sub(&table->count, 1);
    pthread_cond_broadcast(&table->completed);
    pthread_mutex_unlock(&table->writer);
}

static struct timespec deadline_of(uint32_t timeout_ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Waits until the slot no longer holds this registration.  A record that is
 * used again for the same ifIndex has another generation. */
static ndisbridge_status wait_completed(struct nb_table *table,
    struct nb_interface *interface, uint32_t if_index, uint64_t generation,
    uint32_t timeout_ms)
{
    struct timespec deadline = deadline_of(timeout_ms);
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;
    const uint64_t mask = ~(NB_RUNDOWN_CLOSED | NB_RUNDOWN_FLIGHT);

    pthread_mutex_lock(&table->writer);
    while (nb_table_find_if_index(table, if_index) == interface
        && (nb_load(&interface->rundown) & mask) == generation) {
        if (timeout_ms == 0
            || pthread_cond_timedwait(
                   &table->completed, &table->writer, &deadline)
                == ETIMEDOUT) {
            status = NDISBRIDGE_STATUS_TIMEOUT;
            break;
        }
    }
    pthread_mutex_unlock(&table->writer);
    return status;
}

ndisbridge_status nb_table_deregister(
    struct nb_table *table, uint32_t if_index, uint32_t timeout_ms)
{
    const uint64_t mask = ~(NB_RUNDOWN_CLOSED | NB_RUNDOWN_FLIGHT);
    struct nb_interface *interface;
    uint64_t before;

    /* Under the lock the slot and its record belong together. */
    pthread_mutex_lock(&table->writer);
    interface = nb_table_find_if_index(table, if_index);
    if (interface == NULL || nb_thread_in_handler_of(interface)) {
        pthread_mutex_unlock(&table->writer);
        return interface == NULL ? NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND
                                 : NDISBRIDGE_STATUS_IN_OWN_HANDLER;
    }
    before = nb_fetch_or(&interface->rundown, NB_RUNDOWN_CLOSED);
    pthread_mutex_unlock(&table->writer);
    if (!(before & NB_RUNDOWN_CLOSED) && (before & NB_RUNDOWN_FLIGHT) == 0) {
        nb_table_complete(table, interface);
        return NDISBRIDGE_STATUS_SUCCESS;
    }
    /* A handler of another interface must not wait for a third that may be
     * waiting for it. */
    if (nb_thread_in_session(table->host->session))
        return NDISBRIDGE_STATUS_PENDING;
    return wait_completed(
        table, interface, if_index, before & mask, timeout_ms);
}

#define CLOSE_BATCH 256

/* Takes the marks of interfaces that nobody is inside of off the store in
 * one call, and completes them. */
static void complete_batch(struct nb_table *table,
    struct nb_interface **interfaces, uint32_t count)
{
    struct nb_hook hook;
    struct nb_host *host = table->host;
    ndisbridge_net_luid net_luids[CLOSE_BATCH];
    uint32_t marked = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (interfaces[i]->confirmed)
            net_luids[marked++] = nb_load_relaxed(&interfaces[i]->net_luid);
        interfaces[i]->confirmed = false;
    }
    if (marked > 0 && host->hooks.unconfirm != NULL
        && nb_host_enter_hook(host, &hook, true) == NDISBRIDGE_STATUS_SUCCESS) {
        host->hooks.unconfirm(host->hooks.context, net_luids, marked);
        nb_host_leave_hook(host, &hook);
    }
    for (uint32_t i = 0; i < count; i++)
        nb_table_complete(table, interfaces[i]);
}

ndisbridge_status nb_table_close(struct nb_table *table, uint32_t timeout_ms)
{
    struct timespec deadline = deadline_of(timeout_ms);
    struct nb_interface *batch[CLOSE_BATCH];
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;
    uint32_t if_index = 0, count = 0;

    while ((if_index = nb_table_next(table, if_index)) != 0) {
        struct nb_interface *interface;
        uint64_t before = NB_RUNDOWN_CLOSED;

        pthread_mutex_lock(&table->writer);
        interface = nb_table_find_if_index(table, if_index);
        if (interface != NULL)
            before = nb_fetch_or(&interface->rundown, NB_RUNDOWN_CLOSED);
        pthread_mutex_unlock(&table->writer);
        if ((before & NB_RUNDOWN_CLOSED) || (before & NB_RUNDOWN_FLIGHT))
            continue;
        batch[count++] = interface;
        if (count == CLOSE_BATCH) {
            complete_batch(table, batch, count);
            count = 0;
        }
    }
    complete_batch(table, batch, count);
    pthread_mutex_lock(&table->writer);
    while (nb_load(&table->count) != 0
        && status == NDISBRIDGE_STATUS_SUCCESS)
        if (pthread_cond_timedwait(
                &table->completed, &table->writer, &deadline)
            == ETIMEDOUT)
            status = NDISBRIDGE_STATUS_TIMEOUT;
    pthread_mutex_unlock(&table->writer);
    return status;
}
