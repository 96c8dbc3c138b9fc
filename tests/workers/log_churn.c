/* SPDX-License-Identifier: MIT
 *
 * log_churn.c - makes, retains and releases in a log store until it is
 * killed: `log_churn LOG WITNESS SEED`; or says what is in it: `log_churn
 * LOG`.
 *
 * Before a call that changes the store the witness file gets what is about
 * to be done, after its answer that it is done, each line flushed before the
 * program goes on.
 */
#include "../../examples/log_store.c"

#include <stdarg.h>

enum { ETHERNET = 6, MOST = 64 };

static int witness;

static void require(bool holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static void check(ndisbridge_status status, const char *what)
{
    if (status != SUCCESS) {
        fprintf(stderr, "%s: %s\n", what, ndisbridge_status_string(status));
        exit(1);
    }
}

static void say(const char *format, ...)
{
    char line[400];
    va_list words;
    int length;

    va_start(words, format);
    length = vsnprintf(line, sizeof line, format, words);
    va_end(words);
    require(write(witness, line, (size_t)length) == length
            && fdatasync(witness) == 0,
        "witness");
}

static ndisbridge_status query_object(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid, (void)length, (void)output;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

struct churn {
    log_store *store;
    ndisbridge_session *session;
    ndisbridge_provider provider;
    log_store_identity made[MOST];
    uint32_t bare[MOST];
    uint32_t made_count, bare_count;
};

static void make_one(struct churn *churn)
{
    log_store_identity *identity = &churn->made[churn->made_count++];
    char key[64];

    (void)snprintf(key, sizeof key, "%ld/%ld", (long)getpid(), random());
    say("make? %s\n", key);
    check(log_store_identify(
              churn->store, identity, churn->session, key, ETHERNET),
        "identify");
    say("make! %s %llu\n", key, (unsigned long long)identity->net_luid);
}

static void forget_one(struct churn *churn)
{
    log_store_identity *identity = &churn->made[--churn->made_count];

    say("forget? %s\n", identity->key);
    check(log_store_forget(churn->session, identity), "forget");
    say("forget! %s\n", identity->key);
}

static void register_one(struct churn *churn)
{
    log_store_identity *identity = &churn->made[churn->made_count - 1];
    ndisbridge_net_if_information information = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof information },
        .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
        .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED,
        .interface_guid = identity->interface_guid
    };
    uint32_t if_index = identity->if_index;

    check(ndisbridge_register_interface(churn->session, &if_index,
              churn->provider, identity->net_luid, &information,
              sizeof information, NULL),
        "register");
    require(if_index == identity->if_index, "its ifIndex");
    check(ndisbridge_deregister_interface(
              churn->session, if_index, NDISBRIDGE_TIMEOUT_DEFAULT),
        "deregister");
}

static void retain_one(struct churn *churn)
{
    uint32_t *index = &churn->bare[churn->bare_count++];

    check(ndisbridge_allocate_net_luid_index(
              churn->session, index, ETHERNET),
        "allocate");
    say("retain? %u\n", *index);
    check(ndisbridge_retain(
              churn->session, ETHERNET, index, 1, 0, 0, NULL),
        "retain");
    say("retain! %u\n", *index);
}

static void release_one(struct churn *churn)
{
    uint32_t index = churn->bare[--churn->bare_count];

    say("release? %u\n", index);
    check(ndisbridge_release(
              churn->session, ETHERNET, &index, 1, 0, 0, NULL),
        "release");
    say("release! %u\n", index);
}

static void step(struct churn *churn)
{
    long choice = random() % 10;

    if (choice < 3 && churn->made_count < MOST)
        make_one(churn);
    else if (choice < 5 && churn->made_count > 0)
        forget_one(churn);
    else if (choice < 6 && churn->made_count > 0)
        register_one(churn);
    else if (choice < 8 && churn->bare_count < MOST)
        retain_one(churn);
    else if (churn->bare_count > 0)
        release_one(churn);
}

static void list(const log_store *store)
{
    for (size_t i = 0; i < store->owner_count; i++)
        printf("identity %s %llu\n", store->owners[i].identity.key,
            (unsigned long long)store->owners[i].identity.net_luid);
    for (size_t i = 0; i < store->page_count; i++)
        for (uint32_t n = 0; n < 4096; n++)
            if (bit(store->pages[i]->retained.mask, n))
                printf("%s %u\n",
                    store->pages[i]->if_type == 0 ? "if_index" : "index",
                    store->pages[i]->retained.block * 4096 + n);
}

int main(int count, char **words)
{
    ndisbridge_session_config config = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof config }
    };
    ndisbridge_if_provider_characteristics characteristics = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof characteristics },
        .query_object_handler = query_object
    };
    static struct churn churn;

    check(log_store_open(&churn.store, NULL, words[1]), words[1]);
    if (count == 2) {
        list(churn.store);
        log_store_close(churn.store);
        return 0;
    }
    srandom((unsigned)atoi(words[3]));
    witness = open(words[2], O_WRONLY | O_CREAT | O_APPEND, 0600);
    require(witness >= 0, words[2]);
    config.hooks = log_store_hooks(churn.store);
    check(ndisbridge_session_create(&churn.session, &config), "session");
    check(ndisbridge_register_provider(churn.session, &churn.provider,
              &characteristics, 0, NULL, 0),
        "provider");
    for (;;)
        step(&churn);
}
