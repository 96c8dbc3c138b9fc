/* SPDX-License-Identifier: MIT
 *
 * if_table.h - the registered interfaces: ifIndex -> interface, NET_LUID ->
 * interface, rundown protection.
 *
 *   if_index  31 bits = 11 | 10 | 10  -> leaf slot -> struct nb_interface *
 *   NET_LUID  IfType 16, index 12 | 12 -> leaf slot -> struct nb_interface *
 *
 * Words of bits beside the arrays say where there is something, so that a walk
 * costs what is there, not what has ever been.
 *
 * No hash, no lock to read.  Nodes and interface records are never unmapped
 * while the session lives; records are used again, so that a reader that
 * comes late finds another interface, never freed memory, and notices.
 *
 * The rundown word of a record:
 *
 *     closed 1 | generation 40 | in flight 23
 *
 * closed is 1 unless the interface is registered and may be entered.  The
 * generation moves on when a record is taken into use.  A thread enters by
 * a compare-and-swap that adds one to in flight only if the word still is
 * what it was when the thread looked at the record's NET_LUID; it leaves by
 * subtracting one.  Whoever brings a closed word to no one in flight
 * completes the deregistration, exactly once: nobody can enter any more.
 *
 * A registration reserves its NET_LUID first, with a record that nobody can
 * enter: from then on a second one is a duplicate, and a release is refused.
 * What is being released cannot be reserved.
 *
 * Writers (registration, completion, stack) are serialized by `writer`,
 * which is never held while a hook or a handler runs.
 */
#ifndef NB_IF_TABLE_H
#define NB_IF_TABLE_H

#include "if_events.h"
#include "luid_pool.h"

#define NB_RUNDOWN_CLOSED ((uint64_t)1 << 63)
#define NB_RUNDOWN_FLIGHT (((uint64_t)1 << 23) - 1)
#define NB_RUNDOWN_GENERATION ((uint64_t)1 << 23)

#define NB_ROW_WORDS (sizeof(ndisbridge_mib_if_row2) / 8)
#define NB_INFORMATION_WORDS (sizeof(ndisbridge_interface_information) / 8)
_Static_assert(NB_ROW_WORDS * 8 == sizeof(ndisbridge_mib_if_row2),
    "rows are copied by words");
_Static_assert(
    NB_INFORMATION_WORDS * 8 == sizeof(ndisbridge_interface_information),
    "information is copied by words");

struct nb_provider;

struct nb_interface {
    _Alignas(NB_CACHE_LINE) nb_atomic_u64 rundown;
    nb_atomic_u64 net_luid;
    /* Even: at rest; odd: being written.  Covers published, row and
     * information, which are read and written by words (if_values.c). */
    nb_atomic_u64 sequence;
    nb_atomic_u64 published;  /* fields of ndisbridge_published */
    nb_atomic_u32 if_index;
    /* From here to `next` written while nobody can enter. */
    uint32_t flags;  /* NIIF_* */
    void *context;  /* of the handlers */
    const struct nb_provider *provider;
    nb_atomic_u32 *provider_interfaces;  /* counted down at the end */
    bool holds_net_luid;  /* volatile: gives `mine` back at the end */
    bool holds_if_index;  /* handed out here: freed at the end */
    bool confirmed;  /* marked in the store */
    struct nb_interface *next;  /* free list */
    uint64_t visit;  /* stack searches; under `writer` */
    nb_atomic_u64 information[NB_INFORMATION_WORDS];
    nb_atomic_u64 row[NB_ROW_WORDS];
};

#define NB_SLAB_RECORDS 16
struct nb_slab {
    struct nb_slab *next;
    struct nb_interface records[NB_SLAB_RECORDS];
};

typedef _Atomic(struct nb_interface *) nb_interface_slot;
typedef _Atomic(nb_interface_slot *) nb_interface_leaf;

struct nb_luid_map {
    nb_interface_leaf leaves[4096];
};

struct nb_index_middle {
    nb_atomic_u64 used;  /* of the leaves: nb_next_used() */
    nb_atomic_u64 present[1024];  /* of a leaf's slots, now: the same */
    nb_interface_leaf leaves[1024];
};

struct nb_table {
    struct nb_host *host;
    struct nb_pool *pool;
    struct nb_events *events;
    _Atomic(struct nb_luid_map *) *luid_maps;  /* 65,536 */
    nb_atomic_u64 luid_maps_used, index_top_used;  /* nb_next_used() */
    _Atomic(struct nb_index_middle *) index_top[2048];
    nb_atomic_u32 count;  /* registered and closing */
    pthread_mutex_t writer;
    struct nb_release *releases;  /* under way; under `writer` */
    pthread_cond_t completed;  /* a deregistration; with `writer` */
    struct nb_slab *slabs;
    struct nb_interface *unused;
    /* Told of an ifIndex that goes away, under `writer`. */
    void (*forget)(void *context, uint32_t if_index);
    void *forget_context;
    bool lowest;  /* policy of ifIndexes that nobody asked for */
};

ndisbridge_status nb_table_init(struct nb_table *table, struct nb_host *host,
    struct nb_pool *pool, struct nb_events *events);
void nb_table_destroy(struct nb_table *table);

/* The leaf of the NET_LUIDs that differ in nothing above bit 36, or NULL. */
static inline nb_interface_slot *nb_table_luid_leaf(
    struct nb_table *table, ndisbridge_net_luid net_luid)
{
    struct nb_luid_map *map =
        nb_load_acquire(&table->luid_maps[net_luid >> 48]);

    return map == NULL
        ? NULL
        : nb_load_acquire(&map->leaves[(net_luid >> 36) & 4095]);
}

static inline nb_interface_slot *nb_table_luid_slot(
    struct nb_table *table, ndisbridge_net_luid net_luid)
{
    nb_interface_slot *leaf = nb_table_luid_leaf(table, net_luid);

    return leaf == NULL ? NULL : &leaf[(net_luid >> 24) & 4095];
}

static inline nb_interface_slot *nb_table_index_slot(
    struct nb_table *table, uint32_t if_index)
{
    struct nb_index_middle *middle;
    nb_interface_slot *leaf;

    if (if_index > NDISBRIDGE_IF_INDEX_MAX)
        return NULL;
    middle = nb_load_acquire(&table->index_top[if_index >> 20]);
    if (middle == NULL)
        return NULL;
    leaf = nb_load_acquire(&middle->leaves[(if_index >> 10) & 1023]);
    return leaf == NULL ? NULL : &leaf[if_index & 1023];
}

/* The record of a NET_LUID or ifIndex, registered or closing; NULL if none.
 * It may turn into another's: enter it, or read under its sequence. */
static inline struct nb_interface *nb_table_find(
    struct nb_table *table, ndisbridge_net_luid net_luid)
{
    nb_interface_slot *leaf = nb_table_luid_leaf(table, net_luid);

    return leaf == NULL ? NULL
                        : nb_load_acquire(&leaf[(net_luid >> 24) & 4095]);
}

static inline struct nb_interface *nb_table_find_if_index(
    struct nb_table *table, uint32_t if_index)
{
    nb_interface_slot *slot = nb_table_index_slot(table, if_index);

    return slot == NULL ? NULL : nb_load_acquire(slot);
}

/* What an event tells of a registered or closing interface, and the sequence
 * that it was read under: one state.  Sequentially consistent: whoever began
 * to write before is waited for. */
void nb_interface_read(struct nb_interface *interface,
    ndisbridge_event *event, uint64_t *sequence);

/* Enters an interface; pair true with nb_interface_leave(). */
static inline bool nb_interface_enter(
    struct nb_interface *interface, ndisbridge_net_luid net_luid)
{
    uint64_t word = nb_load(&interface->rundown);

    do {
        if (NB_UNLIKELY(word & NB_RUNDOWN_CLOSED)
            || nb_load(&interface->net_luid) != net_luid
            || NB_UNLIKELY(
                (word & NB_RUNDOWN_FLIGHT) == NB_RUNDOWN_FLIGHT))
            return false;
    } while (!nb_compare_exchange(&interface->rundown, &word, word + 1));
    return true;
}

/* Finishes a deregistration whose rundown is over. */
void nb_table_complete(
    struct nb_table *table, struct nb_interface *interface);

static inline void nb_interface_leave(
    struct nb_table *table, struct nb_interface *interface)
{
    uint64_t before = nb_fetch_sub(&interface->rundown, 1);

    if (NB_UNLIKELY((before & NB_RUNDOWN_CLOSED)
            && (before & NB_RUNDOWN_FLIGHT) == 1))
        nb_table_complete(table, interface);
}

/* A registration on its way into the table. */
struct nb_registration {
    const struct nb_provider *provider;
    nb_atomic_u32 *provider_interfaces;
    void *context;
    ndisbridge_net_luid net_luid;
    uint32_t flags;
    const ndisbridge_mib_if_row2 *row;  /* without ifIndex */
    const ndisbridge_interface_information *information;
};

/* Reserves a NET_LUID: *made is in the table, and closed.  Pair SUCCESS with
 * nb_table_open() or nb_table_cancel().  DUPLICATE_OBJECTID if it is there
 * already, IN_USE if it is being released. */
ndisbridge_status nb_table_reserve(struct nb_table *table,
    const struct nb_registration *registration, struct nb_interface **made);
/* Registers what is reserved, under the ifIndex wanted or, if that is 0, one
 * by the policy.  holds_net_luid and confirmed of the record say what its
 * end gives back.  On failure it is reserved as before. */
ndisbridge_status nb_table_open(struct nb_table *table,
    struct nb_interface *interface, uint32_t *if_index);
void nb_table_cancel(
    struct nb_table *table, struct nb_interface *interface);

/* A release under way; lives on the stack of the thread that makes it. */
struct nb_release {
    const ndisbridge_index_set *sets;
    uint32_t set_count;
    struct nb_release *next;
};

/* Keeps what is in the sets from being registered; IN_USE if some of it is
 * registered or being released already. */
ndisbridge_status nb_table_begin_release(
    struct nb_table *table, struct nb_release *release);
/* Under `writer`, together with what makes the indexes free: whoever
 * allocates one must find it out of the way of a registration. */
void nb_table_end_release(
    struct nb_table *table, struct nb_release *release);

/* Closes an interface; see ndisbridge_deregister_interface().  With
 * timeout_ms 0 it waits for nothing: SUCCESS, or TIMEOUT. */
ndisbridge_status nb_table_deregister(
    struct nb_table *table, uint32_t if_index, uint32_t timeout_ms);

/* Deregisters all, with few hook calls; TIMEOUT if handlers still run. */
ndisbridge_status nb_table_close(
    struct nb_table *table, uint32_t timeout_ms);

/* Next ifIndex in use after `after` (0 for the first); 0 at the end. */
uint32_t nb_table_next(struct nb_table *table, uint32_t after);

#endif
