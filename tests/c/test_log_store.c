/* SPDX-License-Identifier: MIT
 *
 * test_log_store.c - the store of examples/log_store.c: the rules of the
 * hooks (the C twin of ndisbridge/persistence/conformance.py), and what is
 * left of its log after a crash, a failing disk and damage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block_store.h"

/* What the disk is asked, and when it says no: 1 for the next time. */
static int flushes, failing_flush, failing_directory, directory_flushes;

/* Called before a flush takes effect, of a file or a directory; or NULL. */
static void (*before_flush)(void), (*before_directory)(void);

static int test_fdatasync(int file)
{
    (void)file;
    flushes++;
    if (before_flush != NULL)
        before_flush();
    if (failing_flush == 0 || --failing_flush > 0)
        return 0;
    errno = EIO;
    return -1;
}

static int test_fsync(int file)
{
    struct stat found;

    REQUIRE(fstat(file, &found) == 0);
    if (S_ISDIR(found.st_mode) && failing_directory) {
        errno = EIO;
        return -1;
    }
    if (!S_ISDIR(found.st_mode))
        return test_fdatasync(file);
    if (before_directory != NULL)
        before_directory();
    directory_flushes++;
    return 0;
}

/* Allocations left until one fails; -1: none does. */
static int allocations_left = -1;

static bool no_memory(void)
{
    if (allocations_left < 0 || allocations_left-- > 0)
        return false;
    errno = ENOMEM;
    return true;
}

static void *test_malloc(size_t size)
{
    return no_memory() ? NULL : malloc(size);
}

static void *test_calloc(size_t count, size_t size)
{
    return no_memory() ? NULL : calloc(count, size);
}

static void *test_realloc(void *memory, size_t size)
{
    return no_memory() ? NULL : realloc(memory, size);
}

static char *test_strdup(const char *text)
{
    return no_memory() ? NULL : strdup(text);
}

#define fdatasync test_fdatasync
#define fsync test_fsync
#define malloc test_malloc
#define calloc test_calloc
#define realloc test_realloc
#undef strdup
#define strdup test_strdup
#include "../../examples/log_store.c"
#undef fdatasync
#undef fsync
#undef malloc
#undef calloc
#undef realloc
#undef strdup

#define LOG "store.log"
#define OLD "old.log"
#define COPY "copy.log"
enum { ETHERNET = 6, TUNNEL = 131 };

/* ---- what the tests work with ------------------------------------------- */

static log_store *open_store(const char *path)
{
    log_store *store = NULL;

    REQUIRE(log_store_open(&store, NULL, path) == SUCCESS);
    return store;
}

static ndisbridge_status try_open(const char *path)
{
    log_store *store = NULL;
    ndisbridge_status status = log_store_open(&store, NULL, path);

    if (status == SUCCESS)
        log_store_close(store);
    return status;
}

static log_store *fresh(void)
{
    (void)unlink(LOG);
    return open_store(LOG);
}

struct image {
    uint8_t *bytes;
    size_t length;
};

static struct image load(const char *path)
{
    struct stat found;
    struct image image;
    int file = open(path, O_RDONLY);

    REQUIRE(file >= 0 && fstat(file, &found) == 0);
    image.length = (size_t)found.st_size;
    image.bytes = malloc(image.length);
    REQUIRE(image.bytes != NULL
        && pread(file, image.bytes, image.length, 0)
            == (ssize_t)image.length);
    close(file);
    return image;
}

static size_t file_size(const char *path)
{
    struct stat found;

    REQUIRE(stat(path, &found) == 0);
    return (size_t)found.st_size;
}

static void save(const char *path, const uint8_t *bytes, size_t length)
{
    int file;

    /* Not truncated: ext4 would flush it then. */
    (void)unlink(path);
    file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    REQUIRE(file >= 0 && write(file, bytes, length) == (ssize_t)length);
    close(file);
}

/* One index as a set. */
struct one {
    ndisbridge_block_mask mask;
    ndisbridge_index_set set;
};

static const ndisbridge_index_set *one(
    struct one *made, uint16_t if_type, uint32_t index)
{
    memset(made, 0, sizeof *made);
    made->mask.block = index >> 12;
    made->mask.mask[index >> 6 & 63] = UINT64_C(1) << (index & 63);
    made->set = (ndisbridge_index_set){ if_type, 0, 1, &made->mask };
    return &made->set;
}

/* Leases a block; its retained indexes. */
static ndisbridge_status lease(log_store *store,
    ndisbridge_block_mask *mask, uint16_t if_type, uint32_t block)
{
    uint32_t count = 1;

    return lease_blocks(store, mask, &count, if_type, block, block);
}

static bool is_retained(log_store *store, uint16_t if_type, uint32_t index)
{
    ndisbridge_block_mask mask;
    uint32_t block = index >> 12;

    REQUIRE(return_blocks(store, if_type, &block, 1) == SUCCESS);
    REQUIRE(lease(store, &mask, if_type, block) == SUCCESS);
    return bit(mask.mask, index);
}

/* The same, of Ethernet, before its block was leased. */
static bool is_retained_now(log_store *store, uint32_t index)
{
    ndisbridge_block_mask mask;

    REQUIRE(lease(store, &mask, ETHERNET, index >> 12) == SUCCESS);
    return bit(mask.mask, index);
}

static ndisbridge_net_luid luid(uint16_t if_type, uint32_t index)
{
    return (uint64_t)if_type << 48 | (uint64_t)index << 24;
}

static log_store_identity identity_of(const char *key, uint32_t index)
{
    log_store_identity identity;

    memset(&identity, 0, sizeof identity);
    strcpy(identity.key, key);
    identity.net_luid = luid(ETHERNET, index);
    identity.interface_guid.data1 = index;
    return identity;
}

/* Retains an identity without an ifIndex. */
static ndisbridge_status make(
    log_store *store, const char *key, uint32_t index, uint32_t flags)
{
    log_store_identity identity = identity_of(key, index);
    ndisbridge_block_mask mask;
    struct one set;

    (void)lease(store, &mask, ETHERNET, index >> 12);
    return retain(
        store, one(&set, ETHERNET, index), 1, flags, &identity);
}

static ndisbridge_status forget(
    log_store *store, const char *key, uint32_t index, uint32_t flags)
{
    log_store_identity identity = identity_of(key, index);
    struct one set;

    return release(
        store, one(&set, ETHERNET, index), 1, flags, &identity);
}

static bool is_there(log_store *store, const char *key)
{
    log_store_identity identity;

    return log_store_find(store, &identity, key) == SUCCESS;
}

/* How many of the keys "0", "1", ... there are, from the first on. */
static uint32_t count_keys(log_store *store)
{
    char key[12];
    uint32_t n = 0;

    do
        (void)snprintf(key, sizeof key, "%u", n);
    while (is_there(store, key) && n++ < 10000);
    return n;
}

/* Makes the identities "0", "1", ... */
static void make_keys(log_store *store, uint32_t first, uint32_t count)
{
    char key[12];

    for (uint32_t i = first; i < first + count; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        CHECK_STATUS(make(store, key, i, 0), SUCCESS);
    }
}

/* What a child of fork() ends with. */
static int in_child(void (*work)(log_store *), log_store *store)
{
    int status = -1;
    pid_t child = fork();

    REQUIRE(child >= 0);
    if (child == 0) {
        work(store);
        _exit(3);
    }
    REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- the rules of the hooks --------------------------------------------- */

static void test_leases(void)
{
    log_store *store = fresh();
    ndisbridge_block_mask masks[3];
    uint32_t count = 3, block = 5;

    /* Lowest first, inside the range, none twice. */
    CHECK_STATUS(lease_blocks(store, masks, &count, 6, 5, 8), SUCCESS);
    CHECK(count == 3 && masks[0].block == 5 && masks[2].block == 7);
    CHECK_STATUS(lease_blocks(store, masks, &count, 6, 5, 8), SUCCESS);
    CHECK(count == 1 && masks[0].block == 8);
    CHECK_STATUS(lease_blocks(store, masks, &count, 6, 5, 8), RESOURCES);
    CHECK_STATUS(lease(store, masks, 6, 5), IN_USE);
    CHECK_STATUS(return_blocks(store, 6, &block, 1), SUCCESS);
    CHECK_STATUS(lease(store, masks, 6, 5), SUCCESS);
    /* Each IfType is a space of its own, also the last. */
    CHECK_STATUS(lease(store, masks, 65535, 4095), SUCCESS);
    log_store_close(store);
    /* They end with their session. */
    store = open_store(LOG);
    CHECK_STATUS(lease(store, masks, 6, 5), SUCCESS);
    log_store_close(store);
}

static void test_retain(void)
{
    log_store *store = fresh();
    ndisbridge_block_mask mask;
    ndisbridge_index_set sets[2];
    struct one a, b;

    CHECK_STATUS(
        retain(store, one(&a, ETHERNET, 1), 1, 0, NULL), LEASE_LOST);
    CHECK_STATUS(lease(store, &mask, ETHERNET, 0), SUCCESS);
    CHECK_STATUS(return_blocks(store, ETHERNET, &(uint32_t){ 0 }, 1),
        SUCCESS);
    CHECK_STATUS(
        retain(store, one(&a, ETHERNET, 1), 1, 0, NULL), LEASE_LOST);
    CHECK_STATUS(lease(store, &mask, ETHERNET, 0), SUCCESS);
    CHECK_STATUS(lease(store, &mask, 65535, 4095), SUCCESS);
    CHECK_STATUS(
        retain(store, one(&a, ETHERNET, 1), 1, 0, NULL), SUCCESS);
    CHECK_STATUS(
        retain(store, one(&a, 65535, 0xFFFFFF), 1, 0, NULL), SUCCESS);
    /* One of two is retained, or its block not leased: neither is. */
    sets[0] = *one(&a, ETHERNET, 2);
    sets[1] = *one(&b, 65535, 0xFFFFFF);
    CHECK_STATUS(retain(store, sets, 2, 0, NULL), INVALID_PARAMETER);
    sets[1] = *one(&b, TUNNEL, 0);
    CHECK_STATUS(retain(store, sets, 2, 0, NULL), LEASE_LOST);
    CHECK(!is_retained(store, ETHERNET, 2));
    log_store_close(store);
    store = open_store(LOG);
    CHECK(is_retained(store, ETHERNET, 1)
        && is_retained(store, 65535, 0xFFFFFF)
        && !is_retained(store, ETHERNET, 2));
    log_store_close(store);
}

static void test_release(void)
{
    log_store *store = fresh();
    ndisbridge_index_set sets[2];
    struct one a, b;

    CHECK_STATUS(make(store, "k", 1, 0), SUCCESS);
    CHECK_STATUS(
        retain(store, one(&a, ETHERNET, 2), 1, 0, NULL), SUCCESS);
    /* One is free: neither goes. */
    sets[0] = *one(&a, ETHERNET, 2);
    sets[1] = *one(&b, TUNNEL, 3);
    CHECK_STATUS(release(store, sets, 2, 0, NULL), INVALID_PARAMETER);
    CHECK(is_retained(store, ETHERNET, 2));
    /* An identity's index alone, and an identity's that is another's. */
    CHECK_STATUS(release(store, one(&a, ETHERNET, 1), 1, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(forget(store, "k", 2, 0), INVALID_PARAMETER);
    CHECK_STATUS(forget(store, "l", 1, 0), INVALID_PARAMETER);
    CHECK_STATUS(
        forget(store, "k", 1, NDISBRIDGE_RETAIN_NON_PERSISTENT),
        INVALID_PARAMETER);
    CHECK_STATUS(forget(store, "k", 1, 0), SUCCESS);
    CHECK_STATUS(forget(store, "k", 1, 0), INVALID_PARAMETER);
    CHECK_STATUS(
        release(store, one(&a, ETHERNET, 2), 1, 0, NULL), SUCCESS);
    log_store_close(store);
    store = open_store(LOG);
    CHECK(!is_there(store, "k") && !is_retained(store, ETHERNET, 1)
        && !is_retained(store, ETHERNET, 2));
    log_store_close(store);
}

/* A block that is named twice in a call, in one set or in two, is refused
 * with all of it, and never written. */
static void test_named_twice(void)
{
    const uint32_t non_persistent = NDISBRIDGE_RETAIN_NON_PERSISTENT;
    log_store *store = fresh();
    uint64_t size;

    CHECK_STATUS(make(store, "k", 1, 0), SUCCESS);
    CHECK_STATUS(make(store, "l", 2, 0), SUCCESS);
    for (uint32_t index = 1; index <= 2; index++) {
        struct one a, b;

        CHECK_STATUS(retain(store, one(&a, ETHERNET, 2 + index), 1, 0,
                         NULL),
            SUCCESS);
        size = log_store_size(store);
        /* The same index, or another one of the block. */
        for (uint32_t other = 3; other <= 2 + index; other++) {
            ndisbridge_index_set sets[2] = { *one(&a, ETHERNET, 2 + index),
                *one(&b, ETHERNET, other) };
            ndisbridge_block_mask blocks[2] = { a.mask, b.mask };
            ndisbridge_index_set both = { ETHERNET, 0, 2, blocks };

            CHECK_STATUS(
                release(store, sets, 2, 0, NULL), INVALID_PARAMETER);
            CHECK_STATUS(
                release(store, &both, 1, 0, NULL), INVALID_PARAMETER);
        }
        for (uint32_t other = 10; other <= 11; other++) {
            log_store_identity identity = identity_of("m", 10);
            ndisbridge_index_set sets[2] = { *one(&a, ETHERNET, 10),
                *one(&b, ETHERNET, other) };
            ndisbridge_block_mask blocks[2] = { a.mask, b.mask };
            ndisbridge_index_set both = { ETHERNET, 0, 2, blocks };

            CHECK_STATUS(
                retain(store, sets, 2, 0, NULL), INVALID_PARAMETER);
            CHECK_STATUS(
                retain(store, &both, 1, 0, &identity), INVALID_PARAMETER);
            CHECK_STATUS(
                retain(store, sets, 2, non_persistent, &identity),
                INVALID_PARAMETER);
        }
        CHECK_EQUAL(log_store_size(store), size);
        log_store_close(store);
        store = open_store(LOG);
        CHECK(is_there(store, "k") && is_there(store, "l")
            && !is_there(store, "m") && is_retained(store, ETHERNET, 3)
            && !is_retained(store, ETHERNET, 10));
    }
    /* Once each, they are as good as ever. */
    CHECK_STATUS(make(store, "m", 10, 0), SUCCESS);
    CHECK_STATUS(forget(store, "k", 1, 0), SUCCESS);
    log_store_close(store);
}

static void test_identities(void)
{
    log_store *store = fresh();
    log_store_identity identity = identity_of("owner", 4), found;
    ndisbridge_index_set sets[2];
    ndisbridge_block_mask mask;
    struct one a, b;

    CHECK_STATUS(make(store, "k", 1, 0), SUCCESS);
    CHECK_STATUS(make(store, "k", 2, 0), IN_USE);
    CHECK(!is_retained(store, ETHERNET, 2));
    CHECK_STATUS(make(store, "", 2, 0), INVALID_PARAMETER);
    CHECK(is_there(store, "k") && !is_there(store, "K"));
    /* With an ifIndex of its own, which goes with it. */
    identity.if_index = 77;
    CHECK_STATUS(lease(store, &mask, 0, 0), SUCCESS);
    sets[0] = *one(&a, 0, 77);
    sets[1] = *one(&b, ETHERNET, 4);
    CHECK_STATUS(
        retain(store, sets + 1, 1, 0, &identity), INVALID_PARAMETER);
    CHECK_STATUS(retain(store, sets, 2, 0, &identity), SUCCESS);
    log_store_close(store);
    store = open_store(LOG);
    CHECK_STATUS(log_store_find(store, &found, "owner"), SUCCESS);
    CHECK(memcmp(&found, &identity, sizeof found) == 0);
    CHECK(is_retained(store, 0, 77));
    CHECK_STATUS(
        release(store, sets + 1, 1, 0, &found), INVALID_PARAMETER);
    CHECK_STATUS(release(store, sets, 1, 0, NULL), INVALID_PARAMETER);
    CHECK_STATUS(
        confirm(store, (uint64_t[]){ luid(ETHERNET, 1) },
            (uint32_t[]){ 77 }, 1),
        INVALID_PARAMETER);
    CHECK_STATUS(confirm(store, &found.net_luid, &found.if_index, 1),
        SUCCESS);
    CHECK_STATUS(unconfirm(store, &found.net_luid, 1), SUCCESS);
    CHECK_STATUS(release(store, sets, 2, 0, &found), SUCCESS);
    CHECK(!is_retained(store, 0, 77));
    log_store_close(store);
}

static void test_in_use(void)
{
    log_store *store = fresh();
    ndisbridge_net_luid both[] = { luid(ETHERNET, 1), luid(ETHERNET, 2) };
    const uint32_t none[] = { 0, 0 };

    CHECK_STATUS(make(store, "k", 1, 0), SUCCESS);
    CHECK_STATUS(confirm(store, both, none, 2), INVALID_PARAMETER);
    CHECK_STATUS(confirm(store, both, none, 1), SUCCESS);
    CHECK_STATUS(forget(store, "k", 1, 0), IN_USE);
    CHECK_STATUS(unconfirm(store, both, 2), SUCCESS);
    CHECK_STATUS(confirm(store, both, none, 1), SUCCESS);
    log_store_close(store);
    /* Marks end with their session. */
    store = open_store(LOG);
    CHECK_STATUS(forget(store, "k", 1, 0), SUCCESS);
    log_store_close(store);
}

static void test_non_persistent(void)
{
    const uint32_t flags = NDISBRIDGE_RETAIN_NON_PERSISTENT;
    log_store *store = fresh();
    int before = flushes;

    CHECK_STATUS(make(store, "k", 1, flags), SUCCESS);
    CHECK_STATUS(make(store, "l", 2, flags), SUCCESS);
    CHECK(is_there(store, "k"));
    CHECK_STATUS(confirm(store, (uint64_t[]){ luid(ETHERNET, 1) },
                     (uint32_t[]){ 0 }, 1),
        SUCCESS);
    CHECK_STATUS(forget(store, "k", 1, flags), IN_USE);
    CHECK_STATUS(forget(store, "l", 2, 0), INVALID_PARAMETER);
    CHECK_STATUS(forget(store, "l", 2, flags), SUCCESS);
    CHECK_EQUAL(flushes, before);
    CHECK_STATUS(log_store_compact(store), SUCCESS);
    log_store_close(store);
    store = open_store(LOG);
    CHECK(!is_there(store, "k"));
    /* They end with their session, which gives its blocks back last. */
    CHECK_STATUS(make(store, "k", 1, flags), SUCCESS);
    CHECK(!is_retained(store, ETHERNET, 1) && !is_there(store, "k"));
    CHECK_STATUS(make(store, "l", 1, 0), SUCCESS);
    CHECK(is_retained(store, ETHERNET, 1) && is_there(store, "l"));
    log_store_close(store);
}

/* Through a session, as a program uses it. */
static void test_session(void)
{
    log_store *store = fresh();
    ndisbridge_session *session = check_open(log_store_hooks(store));
    log_store_identity made, found;
    char key[LOG_STORE_KEY_SIZE + 1];
    uint32_t index;

    CHECK_STATUS(
        log_store_identify(store, &made, session, "k", ETHERNET), SUCCESS);
    CHECK_STATUS(log_store_identify(store, &found, session, "k", TUNNEL),
        INVALID_PARAMETER);
    memset(key, 'x', sizeof key);
    key[LOG_STORE_KEY_SIZE] = 0;
    CHECK_STATUS(log_store_identify(store, &found, session, key, ETHERNET),
        INVALID_PARAMETER);
    key[LOG_STORE_KEY_SIZE - 1] = 0;
    CHECK_STATUS(
        log_store_identify(store, &found, session, key, ETHERNET), SUCCESS);
    CHECK(found.if_index != made.if_index);
    CHECK_STATUS(log_store_forget(session, &found), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    log_store_close(store);

    store = open_store(LOG);
    session = check_open(log_store_hooks(store));
    CHECK(!is_there(store, key));
    CHECK_STATUS(
        log_store_identify(store, &found, session, "k", ETHERNET), SUCCESS);
    CHECK(memcmp(&found, &made, sizeof found) == 0);
    for (uint32_t i = 0; i < 5000; i++) {
        REQUIRE(
            ndisbridge_allocate_net_luid_index(session, &index, ETHERNET)
            == SUCCESS);
        CHECK(luid(ETHERNET, index) != made.net_luid);
    }
    CHECK_STATUS(log_store_forget(session, &found), SUCCESS);
    CHECK_STATUS(log_store_forget(session, &found), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    log_store_close(store);
}

/* ---- crashes and damage ------------------------------------------------- */

enum { KEYS = 3 };

/* A log with the identities "0" .. "2", and where each record ends. */
static struct image make_log(size_t *ends)
{
    log_store *store = fresh();
    struct image image;

    ends[0] = log_store_size(store);
    for (uint32_t i = 0; i < KEYS; i++) {
        make_keys(store, i, 1);
        ends[i + 1] = log_store_size(store);
    }
    log_store_close(store);
    image = load(LOG);
    CHECK_EQUAL(image.length, ends[KEYS] + sizeof(struct record));
    return image;
}

/* Cut anywhere, a log has what was whole, and goes on from there. */
static void test_torn(void)
{
    size_t ends[KEYS + 1];
    struct image image = make_log(ends);
    uint32_t whole = 0;

    for (size_t length = 0; length <= image.length;
         length += CHECK_SLOWNESS) {
        log_store *store;

        save(COPY, image.bytes, length);
        if (length < ends[0]) {
            CHECK_STATUS(try_open(COPY), INVALID_DATA);
            continue;
        }
        whole += whole < KEYS && length >= ends[whole + 1];
        store = open_store(COPY);
        CHECK_EQUAL(count_keys(store), whole);
        CHECK_EQUAL(log_store_size(store), ends[whole]);
        CHECK_EQUAL(file_size(COPY), ends[whole] + sizeof(struct record));
        make_keys(store, whole, 1);
        log_store_close(store);
        store = open_store(COPY);
        CHECK_EQUAL(count_keys(store), whole + 1);
        log_store_close(store);
    }
    CHECK_EQUAL(whole, KEYS);
    free(image.bytes);
}

/* A power cut in the last write: any of its sectors is old, new, or 0. */
static void test_reordered(void)
{
    size_t ends[KEYS + 1];
    struct image image = make_log(ends), before;
    size_t first = ends[KEYS - 1] / 512, last = (ends[KEYS] - 1) / 512;
    uint32_t ways = 1;
    log_store *store;

    /* As it was before: its last record is a mark. */
    save(COPY, image.bytes, ends[KEYS - 1]);
    store = open_store(COPY);
    log_store_close(store);
    before = load(COPY);
    for (size_t sector = first; sector <= last; sector++)
        ways *= 3;
    for (uint32_t way = 0; way < ways; way++) {
        uint8_t *bytes = malloc(ends[KEYS]);
        uint32_t choice = way;

        REQUIRE(bytes != NULL);
        memcpy(bytes, image.bytes, ends[KEYS]);
        for (size_t at = ends[KEYS - 1]; at < ends[KEYS]; at++) {
            if (at % 512 == 0 && at > ends[KEYS - 1])
                choice /= 3;
            if (choice % 3 != 0)
                bytes[at] = choice % 3 == 1 && at < before.length
                    ? before.bytes[at]
                    : 0;
        }
        save(COPY, bytes, ends[KEYS]);
        store = open_store(COPY);
        CHECK_EQUAL(count_keys(store),
            memcmp(bytes, image.bytes, ends[KEYS]) == 0 ? KEYS : KEYS - 1);
        log_store_close(store);
        free(bytes);
    }
    free(before.bytes);
    free(image.bytes);
}

/* A byte that is damaged is seen, or is of the mark, and nothing is lost. */
static void test_flipped(uint64_t seed)
{
    size_t ends[KEYS + 1];
    struct image image = make_log(ends);
    log_store *store;

    for (size_t at = 0; at < image.length; at += CHECK_SLOWNESS) {
        uint8_t flip = (uint8_t)(1 + check_below(&seed, 255));

        image.bytes[at] ^= flip;
        save(COPY, image.bytes, image.length);
        if (at < ends[KEYS]) {
            struct image after;

            CHECK_STATUS(try_open(COPY), INVALID_DATA);
            after = load(COPY);
            CHECK(after.length == image.length
                && memcmp(after.bytes, image.bytes, after.length) == 0);
            free(after.bytes);
        } else {
            store = open_store(COPY);
            CHECK_EQUAL(count_keys(store), KEYS);
            log_store_close(store);
        }
        image.bytes[at] ^= flip;
    }
    /* The control: without a mark the last record seems to be torn. */
    image.bytes[ends[KEYS] - 1] ^= 1;
    save(COPY, image.bytes, ends[KEYS]);
    store = open_store(COPY);
    CHECK_EQUAL(count_keys(store), KEYS - 1);
    log_store_close(store);
    free(image.bytes);
}

/* Records of another log, or of this one before it was written anew, are not
 * taken for its own. */
static void test_foreign_records(void)
{
    size_t ends[KEYS + 1];
    struct image a = make_log(ends), b = make_log(ends);

    memcpy(a.bytes + ends[2], b.bytes + ends[2], a.length - ends[2]);
    save(COPY, a.bytes, a.length);
    {
        log_store *store = open_store(COPY);

        CHECK_EQUAL(count_keys(store), 2);
        log_store_close(store);
    }
    free(a.bytes);
    free(b.bytes);
}

static void test_compaction(void)
{
    log_store *store = fresh();
    uint64_t greatest = 0, last = 0;
    uint32_t compactions = 0;

    make_keys(store, 0, 20);
    for (uint32_t i = 0; i < 300; i++) {
        CHECK_STATUS(make(store, "passing", 9000, 0), SUCCESS);
        CHECK_STATUS(forget(store, "passing", 9000, 0), SUCCESS);
        compactions += log_store_size(store) < last;
        last = log_store_size(store);
        greatest = last > greatest ? last : greatest;
        if (i % 50 == 0) {
            log_store_close(store);
            store = open_store(LOG);
        }
    }
    CHECK(compactions >= 2);
    CHECK(greatest < SMALL + 4096);
    CHECK_EQUAL(count_keys(store), 20);
    CHECK_STATUS(log_store_compact(store), SUCCESS);
    CHECK_EQUAL(log_store_size(store), needed_size(store));
    make_keys(store, 20, 1);
    log_store_close(store);
    store = open_store(LOG);
    CHECK_EQUAL(count_keys(store), 21);
    for (uint32_t i = 0; i < 21; i++)
        CHECK(is_retained(store, ETHERNET, i));
    CHECK(!is_retained(store, ETHERNET, 9000));
    CHECK_EQUAL(access(LOG ".new", F_OK), -1);
    log_store_close(store);
}

/* ---- a power cut --------------------------------------------------------
 *
 * Between two flushes the disk may write any sector, at any time, or not:
 * images are put together sector by sector, from what was flushed, what came
 * with the mark, and what came with the next record.
 */

enum { NAMES = 16, CHANGES = 60, IMAGES = 20 / CHECK_SLOWNESS };

static struct {
    struct image versions[3];  /* flushed, with its mark, with a record */
    uint64_t random;
    uint32_t answered, asked;  /* bit i: the key "i" is there */
    bool ignores_flushes;      /* the control: a disk that lies */
    uint32_t images, wrong;
} power;

static void remember(uint32_t version)
{
    free(power.versions[version].bytes);
    power.versions[version] = load(LOG);
}

/* What a log has: bit i for the key "i"; all bits for one that is refused. */
static uint32_t names_in(const char *path)
{
    log_store *store = NULL;
    uint32_t names = 0;
    char key[12];

    if (log_store_open(&store, NULL, path) != SUCCESS)
        return UINT32_MAX;
    for (uint32_t i = 0; i < NAMES; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        if (is_there(store, key))
            names |= 1u << i;
    }
    for (uint32_t i = 0; i < NAMES; i++)
        CHECK_EQUAL(is_retained(store, ETHERNET, i), names >> i & 1);
    log_store_close(store);
    return names;
}

/* The power is cut now, with so many versions on their way. */
static void cut(uint32_t versions)
{
    uint8_t bytes[65536 + 4096];
    uint32_t chosen = check_below(&power.random, versions);
    size_t length = power.versions[chosen].length;
    void (*hook)(void) = before_flush;
    uint32_t names;

    REQUIRE(length <= sizeof bytes);
    memset(bytes, 0, length);
    for (size_t at = 0; at < length; at += 512) {
        const struct image *from =
            &power.versions[check_below(&power.random, versions)];
        size_t most = from->length < length ? from->length : length;

        if (at < most)
            memcpy(bytes + at, from->bytes + at,
                most - at < 512 ? most - at : 512);
    }
    save(COPY, bytes, length);
    before_flush = NULL;
    names = names_in(COPY);
    before_flush = hook;
    power.images++;
    power.wrong += names != power.answered
        && (versions < 3 || names != power.asked);
}

static void cut_in_flush(void)
{
    remember(2);
    for (uint32_t i = 0; i < IMAGES; i++)
        cut(3);
    if (!power.ignores_flushes)
        remember(0);
}

static void lose_power(uint64_t seed, bool ignores_flushes)
{
    log_store *store = fresh();
    char key[12];

    memset(&power, 0, sizeof power);
    power.random = seed;
    power.ignores_flushes = ignores_flushes;
    remember(0);
    remember(1);
    before_flush = cut_in_flush;
    for (uint32_t n = 0; n < CHANGES; n++) {
        uint32_t i = check_below(&power.random, NAMES);
        bool there = power.answered >> i & 1;

        (void)snprintf(key, sizeof key, "%u", i);
        power.asked = power.answered ^ 1u << i;
        CHECK_STATUS(
            there ? forget(store, key, i, 0) : make(store, key, i, 0),
            SUCCESS);
        power.answered = power.asked;
        remember(1);
        for (uint32_t j = 0; j < IMAGES; j++)
            cut(2);
    }
    before_flush = NULL;
    log_store_close(store);
    for (uint32_t i = 0; i < 3; i++)
        free(power.versions[i].bytes);
    CHECK_EQUAL(power.images, 2 * CHANGES * IMAGES);
}

static void test_power_cut(uint64_t seed)
{
    lose_power(seed, false);
    CHECK_EQUAL(power.wrong, 0);
    lose_power(seed, true);
    CHECK(power.wrong > power.images / 10);
}

static void die(void)
{
    _exit(0);
}

/* Killed after the rename, and before the name is on the disk. */
static void die_in_compaction(log_store *store)
{
    store = open_store(LOG);
    before_directory = die;
    (void)log_store_compact(store);
}

/* Who was killed had written the log anew and renamed it; the next one is
 * told that a change is done; and then the power is cut.  As long as the
 * directory has not been flushed since, the disk may have the old log. */
static void lose_power_after_rename(bool ignores_flushes)
{
    log_store *store = fresh();
    struct stat before, after;
    struct image image;
    bool is_new;

    make_keys(store, 0, 2);
    log_store_close(store);
    (void)unlink(OLD);
    REQUIRE(link(LOG, OLD) == 0 && stat(OLD, &before) == 0);
    CHECK_EQUAL(in_child(die_in_compaction, NULL), 0);
    REQUIRE(stat(LOG, &after) == 0);
    CHECK(before.st_ino != after.st_ino);

    directory_flushes = 0;
    store = open_store(LOG);
    CHECK_EQUAL(count_keys(store), 2);
    make_keys(store, 2, 1);
    is_new = directory_flushes > 0 && !ignores_flushes;
    image = load(is_new ? LOG : OLD);
    save(COPY, image.bytes, image.length);
    free(image.bytes);
    log_store_close(store);

    store = open_store(COPY);
    CHECK_EQUAL(count_keys(store), ignores_flushes ? 2 : 3);
    log_store_close(store);
    REQUIRE(unlink(OLD) == 0);
}

static void test_power_cut_after_rename(void)
{
    lose_power_after_rename(false);
    lose_power_after_rename(true);
}

/* ---- a failing disk ----------------------------------------------------- */

static void test_no_room(void)
{
    log_store *store = fresh();
    struct rlimit room, all;

    make_keys(store, 0, 1);
    REQUIRE(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &all) == 0);
    room = all;
    /* From none at all to one byte too few. */
    for (size_t n = 0; n < sizeof(struct record) + BLOCK_ENTRY
             + IDENTITY_ENTRY; n += 7) {
        room.rlim_cur = log_store_size(store) + n;
        REQUIRE(setrlimit(RLIMIT_FSIZE, &room) == 0);
        CHECK_STATUS(make(store, "1", 1, 0), RESOURCES);
        CHECK(file_size(LOG) <= log_store_size(store)
                + sizeof(struct record));
        CHECK(!is_there(store, "1") && !is_retained(store, ETHERNET, 1));
        CHECK_STATUS(
            n < 16 ? log_store_compact(store) : RESOURCES, RESOURCES);
    }
    REQUIRE(setrlimit(RLIMIT_FSIZE, &all) == 0);
    make_keys(store, 1, 1);
    log_store_close(store);
    store = open_store(LOG);
    CHECK_EQUAL(count_keys(store), 2);
    log_store_close(store);
}

/* After a flush that failed nobody can tell, and nobody pretends to. */
static void test_failing_flush(void)
{
    log_store *store = fresh();
    ndisbridge_block_mask mask;

    make_keys(store, 0, 2);
    failing_flush = 1;
    CHECK_STATUS(make(store, "2", 2, 0), FAILURE);
    CHECK_STATUS(make(store, "3", 3, 0), FAILURE);
    CHECK_STATUS(forget(store, "0", 0, 0), FAILURE);
    CHECK_STATUS(log_store_compact(store), FAILURE);
    CHECK_STATUS(lease(store, &mask, TUNNEL, 0), FAILURE);
    CHECK_EQUAL(count_keys(store), 2);
    log_store_close(store);
    store = open_store(LOG);
    /* It was written, and is flushed now. */
    CHECK_EQUAL(count_keys(store), 3);
    log_store_close(store);

    failing_flush = 1;
    CHECK_STATUS(try_open(LOG), FAILURE);
    CHECK_STATUS(try_open(LOG), SUCCESS);
}

static void test_failing_compaction(void)
{
    log_store *store = fresh();

    make_keys(store, 0, 2);
    failing_flush = 1;
    CHECK_STATUS(log_store_compact(store), FAILURE);
    CHECK_EQUAL(access(LOG ".new", F_OK), -1);
    make_keys(store, 2, 1);  /* the old log goes on */
    failing_directory = 1;
    CHECK_STATUS(log_store_compact(store), FAILURE);
    failing_directory = 0;
    CHECK_STATUS(make(store, "3", 3, 0), FAILURE);
    log_store_close(store);
    store = open_store(LOG);
    CHECK_EQUAL(count_keys(store), 3);
    log_store_close(store);
    (void)unlink(LOG);
    failing_flush = 1;
    CHECK_STATUS(try_open(LOG), FAILURE);
    CHECK_EQUAL(access(LOG, F_OK), -1);
}

/* Each allocation fails once: nothing is done, or all of it. */
static void test_no_memory(void)
{
    uint32_t refused = 0;

    for (int n = 0;; n++) {
        log_store *store = NULL;
        ndisbridge_status status;
        uint32_t count = 0;

        if (n == 0)
            log_store_close(fresh());
        allocations_left = n;
        status = log_store_open(&store, NULL, LOG);
        if (status == SUCCESS) {
            ndisbridge_block_mask mask;

            /* A page and an owner more each time. */
            status = lease(store, &mask, (uint16_t)(n + 1), 7);
            if (status == SUCCESS)
                status = make(store, "0", 0, 0);
            count = status == SUCCESS;
            if (status == SUCCESS)
                status = log_store_compact(store);
            if (allocations_left >= 0)
                status = SUCCESS;
            allocations_left = -1;
            CHECK_EQUAL(count_keys(store), count);
            log_store_close(store);
        }
        allocations_left = -1;
        refused += status == RESOURCES;
        store = open_store(LOG);
        CHECK_EQUAL(count_keys(store), count);
        CHECK_EQUAL(is_retained_now(store, 0), count);
        if (count == 1)
            CHECK_STATUS(forget(store, "0", 0, 0), SUCCESS);
        log_store_close(store);
        if (status == SUCCESS)
            break;
        CHECK(status == RESOURCES || status == NDISBRIDGE_STATUS_LEASE_LOST);
    }
    CHECK(refused >= 8);
}

/* ---- others ------------------------------------------------------------- */

static void try_in_child(log_store *store)
{
    (void)store;
    _exit(try_open(LOG) == IN_USE ? 0 : 1);
}

static void let_go(log_store *store)
{
    log_store_close(store);
    _exit(0);
}

static void test_lock(void)
{
    log_store *store = fresh();

    CHECK_STATUS(try_open(LOG), IN_USE);
    CHECK_EQUAL(in_child(try_in_child, store), 0);
    CHECK_EQUAL(in_child(let_go, store), 0);
    CHECK_EQUAL(in_child(try_in_child, store), 0);
    CHECK_STATUS(log_store_compact(store), SUCCESS);
    CHECK_EQUAL(in_child(try_in_child, store), 0);
    make_keys(store, 0, 1);
    log_store_close(store);
    CHECK_EQUAL(in_child(try_in_child, NULL), 1);
}

static int inside[2], go_on[2];

static void stay_in_flush(void)
{
    char byte = 0;

    before_flush = NULL;
    REQUIRE(write(inside[1], &byte, 1) == 1);
    REQUIRE(read(go_on[0], &byte, 1) == 1);
}

static void *make_slowly(void *store)
{
    CHECK_STATUS(make(store, "0", 0, 0), SUCCESS);
    return NULL;
}

/* A child lets go while a thread of its parent is inside a change. */
static void test_child_of_a_busy_parent(void)
{
    log_store *store = fresh();
    pthread_t thread;
    char byte = 0;

    REQUIRE(pipe(inside) == 0 && pipe(go_on) == 0);
    before_flush = stay_in_flush;
    REQUIRE(pthread_create(&thread, NULL, make_slowly, store) == 0);
    REQUIRE(read(inside[0], &byte, 1) == 1);
    CHECK_EQUAL(in_child(let_go, store), 0);
    CHECK_EQUAL(in_child(try_in_child, store), 0);
    REQUIRE(write(go_on[1], &byte, 1) == 1);
    pthread_join(thread, NULL);
    make_keys(store, 1, 1);
    log_store_close(store);
    store = open_store(LOG);
    CHECK_EQUAL(count_keys(store), 2);
    log_store_close(store);
    for (int i = 0; i < 2; i++) {
        close(inside[i]);
        close(go_on[i]);
    }
}

static void test_no_log(void)
{
    log_store *store = NULL;
    int error = 0;

    save(COPY, (const uint8_t *)"", 0);
    CHECK_STATUS(try_open(COPY), INVALID_DATA);
    save(COPY, (const uint8_t *)"What is written here is no log.\n", 32);
    CHECK_STATUS(log_store_open(&store, &error, COPY), INVALID_DATA);
    CHECK(store == NULL && error == 0);
    REQUIRE(unlink(COPY) == 0 && mkfifo(COPY, 0600) == 0);
    CHECK_STATUS(try_open(COPY), INVALID_DATA);
    REQUIRE(unlink(COPY) == 0 && symlink(LOG, COPY) == 0);
    CHECK_STATUS(log_store_open(&store, &error, COPY), FAILURE);
    CHECK_EQUAL(error, ELOOP);
    REQUIRE(unlink(COPY) == 0);
    CHECK_STATUS(log_store_open(&store, &error, "no/such"), FAILURE);
    CHECK_EQUAL(error, ENOENT);
}

struct worker {
    log_store *store;
    ndisbridge_session *session;
    uint32_t number;
};

static void *work(void *context)
{
    struct worker *worker = context;
    log_store_identity identity;
    char key[24];

    for (uint32_t i = 0; i < 40; i++) {
        (void)snprintf(key, sizeof key, "%u.%u", worker->number, i);
        CHECK_STATUS(log_store_identify(worker->store, &identity,
                         worker->session, key, ETHERNET),
            SUCCESS);
        if (i % 2 == 0)
            CHECK_STATUS(
                log_store_forget(worker->session, &identity), SUCCESS);
        CHECK_STATUS(log_store_identify(worker->store, &identity,
                         worker->session, "everybody's", ETHERNET),
            SUCCESS);
    }
    return NULL;
}

static void test_threads(void)
{
    log_store *store = fresh();
    ndisbridge_session *session = check_open(log_store_hooks(store));
    struct worker workers[4];
    pthread_t threads[4];
    size_t count;

    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){ store, session, i };
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    CHECK_EQUAL(store->owner_count, 4 * 20 + 1);
    count = store->owner_count;
    log_store_close(store);
    store = open_store(LOG);
    CHECK_EQUAL(store->owner_count, count);
    log_store_close(store);
}

int main(void)
{
    uint64_t seed = check_begin("log_store");

    test_leases();
    test_retain();
    test_release();
    test_named_twice();
    test_identities();
    test_in_use();
    test_non_persistent();
    test_session();
    test_torn();
    test_reordered();
    test_flipped(seed);
    test_foreign_records();
    test_compaction();
    test_power_cut(seed);
    test_power_cut_after_rename();
    test_no_room();
    test_failing_flush();
    test_failing_compaction();
    test_no_memory();
    test_lock();
    test_child_of_a_busy_parent();
    test_no_log();
    test_threads();
    return check_end();
}
