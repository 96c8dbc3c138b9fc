/* SPDX-License-Identifier: MIT
 *
 * if_table.c - see if_table.h.
 */
#include "if_table.h"

#include <sched.h>
#include <string.h>

#define LUID_MAPS_BITS 16
#define LUID_MAPS 65536
#define LUID_LEAF 4096
#define INDEX_LEAF_BITS 10
#define INDEX_LEAF 1024
#define INDEX_PART 16  /* slots to a bit of `present` */
#define MIDDLE_BITS 10
#define MIDDLE 1024
#define TOP_BITS 11
#define TOP 2048

static inline uint32_t next_map(struct nb_table *table, uint32_t if_type)
{
    return nb_next_used(
        nb_load(&table->luid_maps_used), LUID_MAPS_BITS, if_type);
}

static inline uint32_t next_middle(struct nb_table *table, uint32_t number)
{
    return nb_next_used(nb_load(&table->index_top_used), TOP_BITS, number);
}

static inline uint32_t next_leaf(
    struct nb_index_middle *middle, uint32_t number)
{
    return nb_next_used(nb_load(&middle->used), MIDDLE_BITS, number);
}

ndisbridge_status nb_table_init(struct nb_table *table, struct nb_host *host,
    struct nb_pool *pool, struct nb_events *events)
{
    table->host = host;
    table->pool = pool;
    table->events = events;
    table->luid_maps =
        nb_allocate(&host->memory, LUID_MAPS * sizeof *table->luid_maps);
    if (table->luid_maps == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    if (!nb_mutex_init(&table->writer)
        || !nb_condition_init(&table->completed)) {
        nb_deallocate(&host->memory, table->luid_maps,
            LUID_MAPS * sizeof *table->luid_maps);
        table->luid_maps = NULL;
        return NDISBRIDGE_STATUS_RESOURCES;
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

void nb_table_destroy(struct nb_table *table)
{
    const struct nb_memory *memory;

    if (table->luid_maps == NULL)
        return;
    memory = &table->host->memory;
    for (uint32_t i = next_map(table, 0); i < LUID_MAPS;
         i = next_map(table, i + 1)) {
        struct nb_luid_map *map = nb_load_relaxed(&table->luid_maps[i]);

        for (uint32_t j = 0; map != NULL && j < 4096; j++)
            nb_deallocate(memory, nb_load_relaxed(&map->leaves[j]),
                LUID_LEAF * sizeof(nb_interface_slot));
        nb_deallocate(memory, map, sizeof *map);
    }
    for (uint32_t i = next_middle(table, 0); i < TOP;
         i = next_middle(table, i + 1)) {
        struct nb_index_middle *middle =
            nb_load_relaxed(&table->index_top[i]);

        for (uint32_t j = 0; middle != NULL && j < MIDDLE; j++)
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
    if (nb_host_forked(table->host))
        return;
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
        nb_fetch_or(&table->luid_maps_used,
            nb_used_bit(LUID_MAPS_BITS, (uint32_t)(net_luid >> 48)));
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
    uint32_t number;

    if (middle == NULL) {
        middle = nb_allocate(memory, sizeof *middle);
        if (middle == NULL)
            return NULL;
        nb_fetch_or(&table->index_top_used,
            nb_used_bit(TOP_BITS, if_index >> 20));
        nb_store_release(&table->index_top[if_index >> 20], middle);
    }
    number = (if_index >> 10) % MIDDLE;
    place = &middle->leaves[number];
    if (nb_load_relaxed(place) == NULL) {
        nb_interface_slot *leaf =
            nb_allocate(memory, INDEX_LEAF * sizeof *leaf);

        if (leaf == NULL)
            return NULL;
        nb_fetch_or(&middle->used, nb_used_bit(MIDDLE_BITS, number));
        nb_store_release(place, leaf);
    }
    return nb_table_index_slot(table, if_index);
}

/* Puts an interface into the slot of its ifIndex. */
static void fill_index_slot(struct nb_table *table, nb_interface_slot *slot,
    struct nb_interface *interface, uint32_t if_index)
{
    struct nb_index_middle *middle =
        nb_load_relaxed(&table->index_top[if_index >> 20]);

    /* First, so that whoever finds the interface finds it in a walk too. */
    nb_fetch_or(&middle->present[(if_index >> 10) % MIDDLE],
        nb_used_bit(INDEX_LEAF_BITS, if_index % INDEX_LEAF));
    nb_store_release(slot, interface);
}

static void empty_index_slot(struct nb_table *table, uint32_t if_index)
{
    struct nb_index_middle *middle =
        nb_load_relaxed(&table->index_top[if_index >> 20]);
    nb_interface_slot *slot = nb_table_index_slot(table, if_index);
    nb_interface_slot *part = slot - if_index % INDEX_PART;

    nb_store_release(slot, NULL);
    for (uint32_t i = 0; i < INDEX_PART; i++)
        if (nb_load_relaxed(&part[i]) != NULL)
            return;
    nb_fetch_and(&middle->present[(if_index >> 10) % MIDDLE],
        ~nb_used_bit(INDEX_LEAF_BITS, if_index % INDEX_LEAF));
}

uint32_t nb_table_next(struct nb_table *table, uint32_t after)
{
    uint32_t if_index = after + 1;

    while (if_index <= NDISBRIDGE_IF_INDEX_MAX) {
        struct nb_index_middle *middle =
            nb_load_acquire(&table->index_top[if_index >> 20]);
        uint32_t number = (if_index >> 10) % MIDDLE, slot;
        nb_interface_slot *leaf;

        if (middle == NULL) {
            if_index = next_middle(table, (if_index >> 20) + 1) << 20;
            continue;
        }
        slot = nb_next_used(nb_load(&middle->present[number]),
            INDEX_LEAF_BITS, if_index % INDEX_LEAF);
        if_index -= if_index % INDEX_LEAF;
        if (slot == INDEX_LEAF) {
            if_index += (next_leaf(middle, number + 1) - number) << 10;
            continue;
        }
        if_index += slot;
        leaf = nb_load_acquire(&middle->leaves[number]);
        do {
            if (nb_load_acquire(&leaf[if_index % INDEX_LEAF]) != NULL)
                return if_index;
        } while (++if_index % INDEX_PART != 0);
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

static void return_record(
    struct nb_table *table, struct nb_interface *interface)
{
    interface->provider = NULL;
    interface->next = table->unused;
    table->unused = interface;
}

/* Writes a record that nobody can enter.  Readers that still look at it
 * from before see the sequence move. */
static void fill_record(struct nb_interface *interface,
    const struct nb_registration *registration)
{
    uint64_t words[NB_ROW_WORDS], facts[NB_INFORMATION_WORDS];
    uint64_t sequence = nb_load_relaxed(&interface->sequence);

    memcpy(words, registration->row, sizeof words);
    memcpy(facts, registration->information, sizeof facts);
    nb_store(&interface->sequence, sequence + 1);
    nb_store_release(&interface->net_luid, registration->net_luid);
    nb_store_release(&interface->if_index, 0);
    nb_store_release(&interface->published, 0);
    for (uint32_t i = 0; i < NB_ROW_WORDS; i++)
        nb_store_release(&interface->row[i], words[i]);
    for (uint32_t i = 0; i < NB_INFORMATION_WORDS; i++)
        nb_store_release(&interface->information[i], facts[i]);
    interface->flags = registration->flags;
    interface->context = registration->context;
    interface->provider = registration->provider;
    interface->provider_interfaces = registration->provider_interfaces;
    interface->holds_net_luid = false;
    interface->holds_if_index = false;
    interface->confirmed = false;
    nb_store_release(&interface->sequence, sequence + 2);
}

/* The same for what is known last: its ifIndex, which the row has too. */
static void fill_if_index(struct nb_interface *interface, uint32_t if_index)
{
    const size_t offset = offsetof(ndisbridge_mib_if_row2, interface_index);
    uint64_t sequence = nb_load_relaxed(&interface->sequence);
    uint64_t word = nb_load_relaxed(&interface->row[offset / 8]);

    memcpy((uint8_t *)&word + offset % 8, &if_index, sizeof if_index);
    nb_store(&interface->sequence, sequence + 1);
    nb_store_release(&interface->if_index, if_index);
    nb_store_release(&interface->row[offset / 8], word);
    nb_store_release(&interface->sequence, sequence + 2);
}

/* ---- events ----------------------------------------------------------- */

static uint32_t read_u32(nb_atomic_u64 *words, size_t offset)
{
    uint64_t word = nb_load_acquire(&words[offset / 8]);
    uint32_t number;

    memcpy(&number, (uint8_t *)&word + offset % 8, sizeof number);
    return number;
}

void nb_interface_read(struct nb_interface *interface,
    ndisbridge_event *event, uint64_t *sequence)
{
    memset(event, 0, sizeof *event);
    for (;;) {
        *sequence = nb_load(&interface->sequence);
        event->net_luid = nb_load_acquire(&interface->net_luid);
        event->if_index = nb_load_acquire(&interface->if_index);
        event->changed = nb_load_acquire(&interface->published);
        event->oper_status = read_u32(interface->information,
            offsetof(ndisbridge_interface_information, if_oper_status));
        event->admin_status = read_u32(interface->row,
            offsetof(ndisbridge_mib_if_row2, admin_status));
        if (!(*sequence & 1)
            && nb_load_relaxed(&interface->sequence) == *sequence)
            return;
        sched_yield();
    }
}

static bool sets_have(const struct nb_release *release, uint16_t if_type,
    uint32_t index)
{
    for (uint32_t i = 0; i < release->set_count; i++) {
        const ndisbridge_index_set *set = &release->sets[i];

        for (uint32_t j = 0; set->if_type == if_type && j < set->block_count;
             j++)
            if (set->blocks[j].block == index / NDISBRIDGE_BLOCK_SIZE
                && (set->blocks[j].mask[index / 64 % NB_BLOCK_WORDS]
                    & nb_bit(index)))
                return true;
    }
    return false;
}

static bool is_releasing(
    const struct nb_table *table, uint16_t if_type, uint32_t index)
{
    const struct nb_release *release = table->releases;

    while (NB_UNLIKELY(release != NULL)
        && !sets_have(release, if_type, index))
        release = release->next;
    return release != NULL;
}

/* Under `writer`. */
static ndisbridge_status reserve(struct nb_table *table,
    const struct nb_registration *registration, struct nb_interface **made)
{
    ndisbridge_net_luid net_luid = registration->net_luid;
    nb_interface_slot *slot = make_luid_slot(table, net_luid);

    if (slot == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    if (nb_load_relaxed(slot) != NULL)
        return NDISBRIDGE_STATUS_DUPLICATE_OBJECTID;
    if (is_releasing(table, (uint16_t)(net_luid >> 48),
            (uint32_t)(net_luid >> 24) & NDISBRIDGE_NET_LUID_INDEX_MAX))
        return NDISBRIDGE_STATUS_IN_USE;
    *made = take_record(table);
    if (*made == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    fill_record(*made, registration);
    nb_store_release(slot, *made);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status nb_table_reserve(struct nb_table *table,
    const struct nb_registration *registration, struct nb_interface **made)
{
    ndisbridge_status status;

    pthread_mutex_lock(&table->writer);
    status = reserve(table, registration, made);
    pthread_mutex_unlock(&table->writer);
    return status;
}

void nb_table_cancel(struct nb_table *table, struct nb_interface *interface)
{
    pthread_mutex_lock(&table->writer);
    nb_store_release(
        nb_table_luid_slot(table, nb_load_relaxed(&interface->net_luid)),
        NULL);
    return_record(table, interface);
    pthread_mutex_unlock(&table->writer);
}

/* Under `writer`. */
static ndisbridge_status open_at(struct nb_table *table,
    struct nb_interface *interface, uint32_t if_index)
{
    nb_interface_slot *slot = make_index_slot(table, if_index);
    bool wanted = nb_events_wanted(table->events);
    ndisbridge_event event;
    uint64_t word, sequence;

    if (slot == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    if (nb_load_relaxed(slot) != NULL
        || is_releasing(table, NB_IF_INDEX_SPACE, if_index))
        return NDISBRIDGE_STATUS_IN_USE;
    fill_if_index(interface, if_index);
    if (wanted) {
        nb_interface_read(interface, &event, &sequence);
        event.kind = NDISBRIDGE_EVENT_ADD;
        nb_events_hold(table->events);
    }
    /* Opens it: pairs with the loads in nb_interface_enter(). */
    word = nb_load_relaxed(&interface->rundown) + NB_RUNDOWN_GENERATION;
    nb_store(&interface->rundown, word & ~NB_RUNDOWN_CLOSED);
    fill_index_slot(table, slot, interface, if_index);
    nb_fetch_add(&table->count, 1);
    nb_fetch_add(interface->provider_interfaces, 1);
    nb_store_release(&table->events->table_last_change, nb_recent_ms());
    if (wanted) {
        /* It can be found, and no value that is published meanwhile has
         * been told yet. */
        nb_events_post_held(table->events, &event, 0);
        nb_events_let_go(table->events);
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Takes a wanted ifIndex of the space that is handed out from, so that it
 * is not handed out; *taken says that it must be freed in the end. */
static ndisbridge_status take_wanted_if_index(struct nb_table *table,
    const struct nb_interface *interface, uint32_t if_index, bool *taken)
{
    ndisbridge_status status;
    uint32_t state;

    *taken = false;
    if (if_index > NDISBRIDGE_NET_LUID_INDEX_MAX
        || if_index < table->pool->if_index_first)
        return NDISBRIDGE_STATUS_SUCCESS;
    status = nb_pool_claim(table->pool, NB_IF_INDEX_SPACE, if_index);
    *taken = status == NDISBRIDGE_STATUS_SUCCESS;
    if (status != NDISBRIDGE_STATUS_IN_USE || interface->holds_net_luid)
        return status;
    /* A retained NET_LUID may have an ifIndex of its own, retained with it.
     * A store has said that it is no other's; without one nobody knows. */
    state = nb_pool_test(table->pool, NB_IF_INDEX_SPACE, if_index);
    return state == NDISBRIDGE_INDEX_RETAINED
            || (interface->confirmed && state == NDISBRIDGE_INDEX_UNLEASED)
        ? NDISBRIDGE_STATUS_SUCCESS
        : NDISBRIDGE_STATUS_IN_USE;
}

ndisbridge_status nb_table_open(struct nb_table *table,
    struct nb_interface *interface, uint32_t *if_index)
{
    bool taken = true;
    ndisbridge_status status = *if_index != 0
        ? take_wanted_if_index(table, interface, *if_index, &taken)
        : nb_pool_allocate_if_index(table->pool, if_index, table->lowest);

    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    interface->holds_if_index = taken;
    pthread_mutex_lock(&table->writer);
    status = open_at(table, interface, *if_index);
    pthread_mutex_unlock(&table->writer);
    if (status != NDISBRIDGE_STATUS_SUCCESS && taken)
        nb_pool_free(table->pool, NB_IF_INDEX_SPACE, *if_index);
    return status;
}

/* ---- release ---------------------------------------------------------- */

/* Whether one of a block of NET_LUIDs or ifIndexes is in the table. */
static bool block_in_table(struct nb_table *table, uint16_t if_type,
    const ndisbridge_block_mask *block)
{
    /* One leaf of the map is one block. */
    if (if_type != NB_IF_INDEX_SPACE
        && nb_table_luid_slot(table,
               (uint64_t)if_type << 48 | (uint64_t)block->block << 36)
            == NULL)
        return false;
    for (uint32_t i = 0; i < NB_BLOCK_WORDS; i++)
        for (uint64_t left = block->mask[i]; left != 0; left &= left - 1) {
            uint32_t index = block->block * NDISBRIDGE_BLOCK_SIZE + i * 64
                + nb_lowest_bit(left);

            if ((if_type == NB_IF_INDEX_SPACE
                        ? nb_table_find_if_index(table, index)
                        : nb_table_find(table,
                            (uint64_t)if_type << 48 | (uint64_t)index << 24))
                != NULL)
                return true;
        }
    return false;
}

static bool blocks_overlap(const ndisbridge_block_mask *block,
    const ndisbridge_index_set *set)
{
    for (uint32_t j = 0; j < set->block_count; j++)
        for (uint32_t i = 0;
             set->blocks[j].block == block->block && i < NB_BLOCK_WORDS; i++)
            if (set->blocks[j].mask[i] & block->mask[i])
                return true;
    return false;
}

static bool block_in_releases(const struct nb_table *table, uint16_t if_type,
    const ndisbridge_block_mask *block)
{
    for (const struct nb_release *other = table->releases; other != NULL;
         other = other->next)
        for (uint32_t i = 0; i < other->set_count; i++)
            if (other->sets[i].if_type == if_type
                && blocks_overlap(block, &other->sets[i]))
                return true;
    return false;
}

static bool in_use(struct nb_table *table, const struct nb_release *release)
{
    for (uint32_t i = 0; i < release->set_count; i++) {
        const ndisbridge_index_set *set = &release->sets[i];

        for (uint32_t j = 0; j < set->block_count; j++)
            if (block_in_table(table, set->if_type, &set->blocks[j])
                || block_in_releases(table, set->if_type, &set->blocks[j]))
                return true;
    }
    return false;
}

ndisbridge_status nb_table_begin_release(
    struct nb_table *table, struct nb_release *release)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_IN_USE;

    pthread_mutex_lock(&table->writer);
    if (!in_use(table, release)) {
        release->next = table->releases;
        table->releases = release;
        status = NDISBRIDGE_STATUS_SUCCESS;
    }
    pthread_mutex_unlock(&table->writer);
    return status;
}

void nb_table_end_release(struct nb_table *table, struct nb_release *release)
{
    struct nb_release **at = &table->releases;

    /* by chance: another release has begun after this, and goes on */
    while (*at != release)
        at = &(*at)->next;
    *at = release->next;
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
    if (interface->confirmed
        && nb_host_enter_hook(host, &hook, true) == NDISBRIDGE_STATUS_SUCCESS) {
        host->hooks.unconfirm(host->hooks.context, &net_luid, 1);
        nb_host_leave_hook(host, &hook);
    }
    pthread_mutex_lock(&table->writer);
    table->forget(table->forget_context, if_index);
    /* Before anybody can see that it is not registered any more. */
    if (interface->holds_net_luid)
        nb_bitmap_unhold_one(
            &nb_pool_peek(table->pool, (uint16_t)(net_luid >> 48))->bitmap,
            (uint32_t)(net_luid >> 24) & NDISBRIDGE_NET_LUID_INDEX_MAX);
    nb_store_release(nb_table_luid_slot(table, net_luid), NULL);
    empty_index_slot(table, if_index);
    if (interface->holds_if_index)
        nb_pool_free(table->pool, NB_IF_INDEX_SPACE, if_index);
    nb_fetch_sub(interface->provider_interfaces, 1);
    nb_store_release(&table->events->table_last_change, nb_recent_ms());
    if (nb_events_wanted(table->events)) {
        ndisbridge_event event;
        uint64_t sequence;

        nb_interface_read(interface, &event, &sequence);
        event.kind = NDISBRIDGE_EVENT_DELETE;
        nb_events_post(table->events, &event, 0);
    }
    return_record(table, interface);
    nb_fetch_sub(&table->count, 1);
    pthread_cond_broadcast(&table->completed);
    pthread_mutex_unlock(&table->writer);
}

/* Waits until the slot no longer holds this registration.  A record that is
 * used again for the same ifIndex has another generation. */
static ndisbridge_status wait_completed(struct nb_table *table,
    struct nb_interface *interface, uint32_t if_index, uint64_t generation,
    uint32_t timeout_ms)
{
    uint64_t deadline_ms = nb_now_ms() + timeout_ms;
    const uint64_t mask = ~(NB_RUNDOWN_CLOSED | NB_RUNDOWN_FLIGHT);
    bool in_time = true, there;

    pthread_mutex_lock(&table->writer);
    for (;;) {
        there = nb_table_find_if_index(table, if_index) == interface
            && (nb_load(&interface->rundown) & mask) == generation;
        if (!there || !in_time)
            break;
        in_time = nb_condition_wait(
            &table->completed, &table->writer, deadline_ms);
    }
    pthread_mutex_unlock(&table->writer);
    return there ? NDISBRIDGE_STATUS_TIMEOUT : NDISBRIDGE_STATUS_SUCCESS;
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
    if (marked > 0
        && NB_ALWAYS(nb_host_enter_hook(host, &hook, true)
            == NDISBRIDGE_STATUS_SUCCESS)) {
        host->hooks.unconfirm(host->hooks.context, net_luids, marked);
        nb_host_leave_hook(host, &hook);
    }
    for (uint32_t i = 0; i < count; i++)
        nb_table_complete(table, interfaces[i]);
}

ndisbridge_status nb_table_close(struct nb_table *table, uint32_t timeout_ms)
{
    uint64_t deadline_ms = nb_now_ms() + timeout_ms;
    struct nb_interface *batch[CLOSE_BATCH];
    uint32_t if_index = 0, count = 0;
    bool in_time = true;

    while ((if_index = nb_table_next(table, if_index)) != 0) {
        struct nb_interface *interface;
        uint64_t before = NB_RUNDOWN_CLOSED;

        pthread_mutex_lock(&table->writer);
        interface = nb_table_find_if_index(table, if_index);
        /* by chance: one that began to deregister it before has ended */
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
    while (nb_load(&table->count) != 0 && in_time)
        in_time = nb_condition_wait(
            &table->completed, &table->writer, deadline_ms);
    count = nb_load(&table->count);
    pthread_mutex_unlock(&table->writer);
    return count != 0 ? NDISBRIDGE_STATUS_TIMEOUT : NDISBRIDGE_STATUS_SUCCESS;
}
