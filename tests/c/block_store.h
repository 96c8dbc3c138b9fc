/* SPDX-License-Identifier: MIT
 *
 * block_store.h - a store in memory for the C tests: real persistence hooks
 * over one shared table of who leases which block, which indexes are
 * retained and who uses them.  Every rule of ndisbridge_persistence_hooks is
 * checked here: a session that takes what is not its own fails the test.
 *
 * A member is one session's view; several members share a store.
 */
#ifndef NB_TEST_BLOCK_STORE_H
#define NB_TEST_BLOCK_STORE_H

#include <pthread.h>
#include <string.h>

#include "check.h"
#include "ndisbridge.h"

#define STORE_TYPES 8  /* IfTypes 0 .. 7 */
#define STORE_CONFIRMED 4096

enum store_hook {
    STORE_LEASE, STORE_RETURN, STORE_RETAIN, STORE_RELEASE, STORE_CONFIRM,
    STORE_UNCONFIRM, STORE_HOOKS
};

struct block_store {
    pthread_mutex_t lock;
    uint32_t block_limit;  /* blocks of each type: 0 .. block_limit - 1 */
    uint8_t holder[STORE_TYPES][NDISBRIDGE_BLOCK_COUNT];  /* member, 0 none */
    uint64_t *retained[STORE_TYPES][NDISBRIDGE_BLOCK_COUNT];  /* or NULL */
    struct {
        ndisbridge_net_luid net_luid;
        uint8_t member;
    } confirmed[STORE_CONFIRMED];
    uint32_t confirmed_count;
};

struct store_member {
    struct block_store *store;
    uint8_t number;  /* 1 .. */
    ndisbridge_persistence_hooks hooks;
    uint32_t calls[STORE_HOOKS];
    /* The hook that answers `failure` instead of doing anything. */
    int failing;  /* enum store_hook, or -1 */
    ndisbridge_status failure;
    /* A session that every hook tries to call back into; or NULL. */
    ndisbridge_session *call_back;
    uint32_t refused_call_backs;
};

static inline uint64_t store_bit(uint32_t index)
{
    return (uint64_t)1 << (index & 63);
}

static inline bool store_is_retained(
    const struct block_store *store, uint32_t if_type, uint32_t index)
{
    const uint64_t *mask = store->retained[if_type][index >> 12];

    return mask != NULL && (mask[(index >> 6) & 63] & store_bit(index));
}

/* Begins a hook: counts it, calls back, says whether it is to fail. */
static inline bool store_enter(struct store_member *member, int hook)
{
    uint32_t index;

    if (member->call_back != NULL)
        member->refused_call_backs += ndisbridge_allocate_net_luid_index(
                                          member->call_back, &index, 6)
            == NDISBRIDGE_STATUS_INVALID_STATE;
    pthread_mutex_lock(&member->store->lock);
    member->calls[hook]++;
    return member->failing != hook;
}

static inline ndisbridge_status store_leave(
    struct store_member *member, ndisbridge_status status)
{
    pthread_mutex_unlock(&member->store->lock);
    return status;
}

static inline ndisbridge_status store_lease(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    struct store_member *member = context;
    struct block_store *store = member->store;
    uint32_t n = 0;

    if (!store_enter(member, STORE_LEASE))
        return store_leave(member, member->failure);
    CHECK(if_type < STORE_TYPES && *count > 0 && lowest <= highest
        && highest < NDISBRIDGE_BLOCK_COUNT);
    for (uint32_t block = lowest;
         block <= highest && block < store->block_limit && n < *count;
         block++) {
        const uint64_t *retained = store->retained[if_type][block];

        if (store->holder[if_type][block] != 0)
            continue;
        store->holder[if_type][block] = member->number;
        leases[n].block = block;
        memset(leases[n].mask, 0, sizeof leases[n].mask);
        if (retained != NULL)
            memcpy(leases[n].mask, retained, sizeof leases[n].mask);
        n++;
    }
    *count = n;
    if (n > 0)
        return store_leave(member, NDISBRIDGE_STATUS_SUCCESS);
    return store_leave(member,
        lowest == highest ? NDISBRIDGE_STATUS_IN_USE
                          : NDISBRIDGE_STATUS_RESOURCES);
}

static inline ndisbridge_status store_return(void *context, uint16_t if_type,
    const uint32_t *blocks, uint32_t count)
{
    struct store_member *member = context;

    if (!store_enter(member, STORE_RETURN))
        return store_leave(member, member->failure);
    CHECK(if_type < STORE_TYPES && count > 0);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *holder = &member->store->holder[if_type][blocks[i]];

        CHECK_EQUAL(*holder, member->number);
        *holder = 0;
    }
    return store_leave(member, NDISBRIDGE_STATUS_SUCCESS);
}

/* Nobody may use what is released. */
static inline void store_check_unused(const struct block_store *store,
    uint16_t if_type, uint32_t first, uint64_t mask)
{
    for (uint32_t i = 0; mask != 0 && i < store->confirmed_count; i++) {
        uint64_t index = store->confirmed[i].net_luid >> 24 & 0xFFFFFF;

        CHECK(store->confirmed[i].net_luid >> 48 != if_type
            || index < first || index >= first + 64
            || !(mask & store_bit((uint32_t)index)));
    }
}

static inline ndisbridge_status store_change(struct store_member *member,
    const ndisbridge_index_set *sets, uint32_t set_count, bool retain)
{
    struct block_store *store = member->store;

    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < set_count; i++)
            for (uint32_t j = 0; j < sets[i].block_count; j++) {
                const ndisbridge_block_mask *from = &sets[i].blocks[j];
                uint64_t **to =
                    &store->retained[sets[i].if_type][from->block];

                CHECK(j == 0 || from->block > from[-1].block);
                if (*to == NULL)
                    *to = calloc(64, sizeof **to);
                REQUIRE(*to != NULL);
                for (uint32_t k = 0; k < 64; k++) {
                    uint64_t wrong = retain ? from->mask[k] & (*to)[k]
                                            : from->mask[k] & ~(*to)[k];

                    if (pass == 1) {
                        (*to)[k] ^= from->mask[k];
                        if (!retain)
                            store_check_unused(store, sets[i].if_type,
                                from->block * 4096 + k * 64, from->mask[k]);
                    }
                    if (pass == 0 && wrong != 0)
                        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
                }
                /* Only a block's holder may retain in it. */
                if (retain)
                    CHECK_EQUAL(store->holder[sets[i].if_type][from->block],
                        member->number);
            }
    return NDISBRIDGE_STATUS_SUCCESS;
}

static inline ndisbridge_status store_retain(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    struct store_member *member = context;

    (void)record;
    if (!store_enter(member, STORE_RETAIN))
        return store_leave(member, member->failure);
    return store_leave(member,
        flags & NDISBRIDGE_RETAIN_NON_PERSISTENT
            ? NDISBRIDGE_STATUS_SUCCESS
            : store_change(member, sets, set_count, true));
}

static inline ndisbridge_status store_release(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    struct store_member *member = context;

    (void)record;
    if (!store_enter(member, STORE_RELEASE))
        return store_leave(member, member->failure);
    return store_leave(member,
        flags & NDISBRIDGE_RETAIN_NON_PERSISTENT
            ? NDISBRIDGE_STATUS_SUCCESS
            : store_change(member, sets, set_count, false));
}

static inline uint32_t store_find(
    const struct block_store *store, ndisbridge_net_luid net_luid)
{
    uint32_t i = 0;

    while (i < store->confirmed_count
        && store->confirmed[i].net_luid != net_luid)
        i++;
    return i;
}

static inline ndisbridge_status store_confirm(void *context,
    const ndisbridge_net_luid *net_luids, const uint32_t *if_indexes,
    uint32_t count)
{
    struct store_member *member = context;
    struct block_store *store = member->store;

    (void)if_indexes;
    if (!store_enter(member, STORE_CONFIRM))
        return store_leave(member, member->failure);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = store_find(store, net_luids[i]);

        if (!store_is_retained(store, (uint32_t)(net_luids[i] >> 48),
                (uint32_t)(net_luids[i] >> 24) & 0xFFFFFF))
            return store_leave(member, NDISBRIDGE_STATUS_INVALID_PARAMETER);
        if (at < store->confirmed_count
            && store->confirmed[at].member != member->number)
            return store_leave(member, NDISBRIDGE_STATUS_IN_USE);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = store_find(store, net_luids[i]);

        REQUIRE(at < STORE_CONFIRMED);
        store->confirmed[at].net_luid = net_luids[i];
        store->confirmed[at].member = member->number;
        if (at == store->confirmed_count)
            store->confirmed_count++;
    }
    return store_leave(member, NDISBRIDGE_STATUS_SUCCESS);
}

static inline ndisbridge_status store_unconfirm(void *context,
    const ndisbridge_net_luid *net_luids, uint32_t count)
{
    struct store_member *member = context;
    struct block_store *store = member->store;

    if (!store_enter(member, STORE_UNCONFIRM))
        return store_leave(member, member->failure);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = store_find(store, net_luids[i]);

        if (CHECK(at < store->confirmed_count)) {
            CHECK_EQUAL(store->confirmed[at].member, member->number);
            store->confirmed[at] =
                store->confirmed[--store->confirmed_count];
        }
    }
    return store_leave(member, NDISBRIDGE_STATUS_SUCCESS);
}

static inline struct block_store *store_make(uint32_t block_limit)
{
    struct block_store *store = calloc(1, sizeof *store);

    REQUIRE(store != NULL);
    pthread_mutex_init(&store->lock, NULL);
    store->block_limit = block_limit;
    return store;
}

/* Frees a store; nothing may be leased or in use any more. */
static inline void store_free(struct block_store *store)
{
    uint32_t leased = 0;

    CHECK_EQUAL(store->confirmed_count, 0);
    for (uint32_t type = 0; type < STORE_TYPES; type++)
        for (uint32_t i = 0; i < NDISBRIDGE_BLOCK_COUNT; i++) {
            leased += store->holder[type][i] != 0;
            free(store->retained[type][i]);
        }
    CHECK_EQUAL(leased, 0);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static inline uint32_t store_leased_by(
    struct block_store *store, uint32_t if_type, uint8_t member)
{
    uint32_t n = 0;

    pthread_mutex_lock(&store->lock);
    for (uint32_t i = 0; i < NDISBRIDGE_BLOCK_COUNT; i++)
        n += store->holder[if_type][i] == member;
    pthread_mutex_unlock(&store->lock);
    return n;
}

static inline void store_join(struct store_member *member,
    struct block_store *store, uint8_t number)
{
    memset(member, 0, sizeof *member);
    member->store = store;
    member->number = number;
    member->failing = -1;
    member->hooks = (ndisbridge_persistence_hooks){
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1,
            sizeof(ndisbridge_persistence_hooks) },
        .context = member,
        .lease_blocks = store_lease,
        .return_blocks = store_return,
        .retain = store_retain,
        .release = store_release,
        .confirm = store_confirm,
        .unconfirm = store_unconfirm,
    };
}

static inline ndisbridge_session_config check_config(
    const ndisbridge_persistence_hooks *hooks)
{
    ndisbridge_session_config config = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1,
            sizeof(ndisbridge_session_config) },
        .hooks = hooks,
    };

    return config;
}

static inline ndisbridge_session *check_open(
    const ndisbridge_persistence_hooks *hooks)
{
    ndisbridge_session_config config = check_config(hooks);
    ndisbridge_session *session = NULL;

    REQUIRE(ndisbridge_session_create(&session, &config)
        == NDISBRIDGE_STATUS_SUCCESS);
    return session;
}

#endif
