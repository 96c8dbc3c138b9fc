/* SPDX-License-Identifier: MIT
 *
 * log_store.c - see log_store.h.
 *
 * The log is a header and then records, one for each change.  A record is
 * written at the end and flushed (fdatasync) before its change counts.  Then
 * a mark, which is an empty record and is not flushed, says that it was.  The
 * next record is written over the mark, so that there is one, at the end.
 *
 * What a log can end with, and what that means at opening:
 *   - a mark: a change and its flush are whole;
 *   - a whole record: the crash came before its mark.  It counts;
 *   - part of a record: it was never flushed, and nobody was told that it
 *     was done.  It is cut off;
 *   - something wrong, and behind it a whole record or a later mark: what
 *     was flushed has been damaged since.  The log is refused.
 *
 * A mark is only for the last case: without it a damaged last record would
 * look as if it had never been whole.
 */
#define _GNU_SOURCE
#include "log_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x31474F4C5349444E)  /* "NDISLOG1", little-endian */
/* A log below this size is not worth writing anew. */
#define SMALL 65536

#define SUCCESS NDISBRIDGE_STATUS_SUCCESS
#define FAILURE NDISBRIDGE_STATUS_FAILURE
#define RESOURCES NDISBRIDGE_STATUS_RESOURCES
#define INVALID NDISBRIDGE_STATUS_INVALID_PARAMETER
#define DAMAGED NDISBRIDGE_STATUS_INVALID_DATA
#define IN_USE NDISBRIDGE_STATUS_IN_USE

/* ---- what is in the file, in the machine's own byte order --------------- */

struct header {
    uint64_t magic;
    uint32_t salt;  /* random: no log's records are good in another */
    uint32_t checksum;
};

/* Followed by length bytes of entries; 0 for a mark, which has the sequence
 * of the record that it follows. */
struct record {
    uint32_t checksum;  /* of all that follows it */
    uint32_t length;
    uint64_t sequence;  /* one more than the last record's */
};

enum what { RETAIN = 1, RELEASE, MAKE, FORGET };

/* Followed by an ndisbridge_block_mask to retain or release, or by the
 * log_store_identity to make or forget. */
struct entry {
    uint16_t what;
    uint16_t if_type;
    uint32_t size;
};

_Static_assert(sizeof(struct header) == 16, "no padding");
_Static_assert(sizeof(struct record) == 16, "no padding");
_Static_assert(sizeof(ndisbridge_block_mask) == 520, "no padding");
_Static_assert(sizeof(log_store_identity) == 288, "no padding");

#define BLOCK_ENTRY (sizeof(struct entry) + sizeof(ndisbridge_block_mask))
#define IDENTITY_ENTRY (sizeof(struct entry) + sizeof(log_store_identity))

/* ---- what is in memory -------------------------------------------------- */

struct page {
    uint16_t if_type;
    bool leased;
    bool named;  /* see name_twice() */
    ndisbridge_block_mask retained;
    uint64_t in_use[64];
};

struct owner {
    log_store_identity identity;
    bool persistent;
};

struct log_store {
    pthread_mutex_t lock;
    ndisbridge_persistence_hooks hooks;
    char *path, *new_path, *directory;
    int lock_file, file;
    bool broken;  /* nobody can tell what the log says */
    uint32_t salt;
    uint64_t sequence;  /* of the last record */
    uint64_t end;       /* where the next one goes */
    struct page **pages;  /* by IfType and block */
    size_t page_count, page_room;
    struct owner *owners;  /* by key */
    size_t owner_count, owner_room;
    uint32_t crc[256];
};

/* CRC-32C: finds every error of up to 32 bits in a row. */
static void make_crc(uint32_t *table)
{
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82F63B78u : 0);
    }
}

static uint32_t checksum(const log_store *store, uint32_t salt,
    const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t crc = ~salt;

    while (length-- > 0)
        crc = crc >> 8 ^ store->crc[(crc ^ *at++) & 0xFF];
    return ~crc;
}

static ndisbridge_status status_of(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG
            || error == ENOMEM || error == EMFILE || error == ENFILE
        ? RESOURCES
        : FAILURE;
}

static uint32_t index_of(ndisbridge_net_luid net_luid)
{
    return (uint32_t)(net_luid >> 24) & NDISBRIDGE_NET_LUID_INDEX_MAX;
}

static bool bit(const uint64_t *mask, uint32_t index)
{
    return mask[index >> 6 & 63] >> (index & 63) & 1;
}

/* ---- pages and owners --------------------------------------------------- */

/* Where a page is, or would be. */
static size_t page_place(
    const log_store *store, uint16_t if_type, uint32_t block)
{
    size_t low = 0, high = store->page_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct page *page = store->pages[middle];

        if (page->if_type < if_type
            || (page->if_type == if_type && page->retained.block < block))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct page *find_page(
    const log_store *store, uint16_t if_type, uint32_t block)
{
    size_t place = page_place(store, if_type, block);
    struct page *page =
        place < store->page_count ? store->pages[place] : NULL;

    return page != NULL && page->if_type == if_type
            && page->retained.block == block
        ? page
        : NULL;
}

/* Makes room for one more; false without memory. */
static bool make_room(void **array, size_t *room, size_t count, size_t size)
{
    size_t more = *room == 0 ? 8 : 2 * *room;
    void *grown;

    if (count < *room)
        return true;
    grown = realloc(*array, more * size);
    if (grown == NULL)
        return false;
    *array = grown;
    *room = more;
    return true;
}

/* Finds a page or makes an empty one; NULL without memory. */
static struct page *make_page(
    log_store *store, uint16_t if_type, uint32_t block)
{
    struct page *page = find_page(store, if_type, block);
    size_t place = page_place(store, if_type, block);
    void *pages = store->pages;
    bool roomy;

    if (page != NULL)
        return page;
    roomy = make_room(
        &pages, &store->page_room, store->page_count, sizeof page);
    store->pages = pages;
    page = roomy ? calloc(1, sizeof *page) : NULL;
    if (page == NULL)
        return NULL;
    page->if_type = if_type;
    page->retained.block = block;
    memmove(store->pages + place + 1, store->pages + place,
        (store->page_count - place) * sizeof page);
    store->pages[place] = page;
    store->page_count++;
    return page;
}

/* Where the owner with a key is, or would be. */
static size_t owner_place(const log_store *store, const char *key)
{
    size_t low = 0, high = store->owner_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(store->owners[middle].identity.key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct owner *find_owner(const log_store *store, const char *key)
{
    size_t place = owner_place(store, key);

    return place < store->owner_count
            && strcmp(store->owners[place].identity.key, key) == 0
        ? &store->owners[place]
        : NULL;
}

static bool make_room_for_owner(log_store *store)
{
    void *owners = store->owners;
    bool roomy = make_room(&owners, &store->owner_room,
        store->owner_count, sizeof *store->owners);

    store->owners = owners;
    return roomy;
}

/* There is room. */
static void add_owner(
    log_store *store, const log_store_identity *identity, bool persistent)
{
    struct owner *at = store->owners + owner_place(store, identity->key);

    memmove(at + 1, at,
        (size_t)(store->owners + store->owner_count - at) * sizeof *at);
    at->identity = *identity;
    at->persistent = persistent;
    store->owner_count++;
}

static void remove_owner(log_store *store, struct owner *at)
{
    store->owner_count--;
    memmove(at, at + 1,
        (size_t)(store->owners + store->owner_count - at) * sizeof *at);
}

/* ---- records ------------------------------------------------------------ */

static uint8_t *put_entry(uint8_t *at, enum what what, uint16_t if_type,
    const void *body, size_t size)
{
    struct entry entry = { (uint16_t)what, if_type, (uint32_t)size };

    memcpy(at, &entry, sizeof entry);
    memcpy(at + sizeof entry, body, size);
    return at + sizeof entry + size;
}

/* Completes the record at `at`, whose entries end at `end`. */
static void seal(const log_store *store, uint32_t salt, uint64_t sequence,
    uint8_t *at, const uint8_t *end)
{
    struct record record = { .sequence = sequence,
        .length = (uint32_t)((size_t)(end - at) - sizeof record) };

    memcpy(at, &record, sizeof record);
    record.checksum = checksum(store, salt, at + sizeof record.checksum,
        (size_t)(end - at) - sizeof record.checksum);
    memcpy(at, &record, sizeof record);
}

/* Reads the record at `at`, of which there are at most `most` bytes. */
static bool read_record(const log_store *store, struct record *record,
    const uint8_t *at, size_t most)
{
    if (most < sizeof *record)
        return false;
    memcpy(record, at, sizeof *record);
    return record->sequence > 0 && record->length <= most - sizeof *record
        && record->checksum
            == checksum(store, store->salt, at + sizeof record->checksum,
                sizeof *record - sizeof record->checksum + record->length);
}

/* Does what one entry says; false if it cannot be so, or without memory. */
static bool apply_entry(
    log_store *store, const struct entry *entry, const uint8_t *body)
{
    ndisbridge_block_mask mask;
    log_store_identity identity;
    struct page *page;
    struct owner *owner;

    if (entry->what == RETAIN || entry->what == RELEASE) {
        if (entry->size != sizeof mask)
            return false;
        memcpy(&mask, body, sizeof mask);
        page = mask.block < NDISBRIDGE_BLOCK_COUNT
            ? make_page(store, entry->if_type, mask.block)
            : NULL;
        for (uint32_t i = 0; i < 64 && page != NULL; i++) {
            uint64_t wanted = entry->what == RETAIN ? 0 : mask.mask[i];

            if ((page->retained.mask[i] & mask.mask[i]) != wanted)
                return false;
            page->retained.mask[i] ^= mask.mask[i];
        }
        return page != NULL;
    }
    if ((entry->what != MAKE && entry->what != FORGET)
        || entry->size != sizeof identity)
        return false;
    memcpy(&identity, body, sizeof identity);
    identity.key[sizeof identity.key - 1] = 0;
    owner = find_owner(store, identity.key);
    if ((owner != NULL) == (entry->what == MAKE))
        return false;
    if (owner != NULL)
        remove_owner(store, owner);
    else if (make_room_for_owner(store))
        add_owner(store, &identity, true);
    else
        return false;
    return true;
}

static bool apply(log_store *store, const uint8_t *at, size_t length)
{
    struct entry entry;

    while (length >= sizeof entry) {
        memcpy(&entry, at, sizeof entry);
        at += sizeof entry;
        length -= sizeof entry;
        if (entry.size > length || !apply_entry(store, &entry, at))
            return false;
        at += entry.size;
        length -= entry.size;
    }
    return length == 0;
}

/* ---- the file ----------------------------------------------------------- */

static bool write_all(
    int file, const uint8_t *bytes, size_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t written = pwrite(file, bytes, length, (off_t)offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            errno = written == 0 ? ENOSPC : errno;
            return false;
        }
        bytes += written;
        length -= (size_t)written;
        offset += (uint64_t)written;
    }
    return true;
}

/* Says that what is before store->end is flushed.  Nothing depends on it but
 * that damage is seen, so it may fail. */
static void write_mark(log_store *store)
{
    uint8_t mark[sizeof(struct record)];

    seal(store, store->salt, store->sequence, mark, mark + sizeof mark);
    (void)write_all(store->file, mark, sizeof mark, store->end);
}

/* Appends a sealed record and flushes it. */
static ndisbridge_status append(
    log_store *store, const uint8_t *record, size_t length)
{
    int error;

    if (write_all(store->file, record, length, store->end)) {
        if (fdatasync(store->file) == 0) {
            store->end += length;
            store->sequence++;
            write_mark(store);
            return SUCCESS;
        }
        /* It may be on the disk or not, and asking again would not tell. */
        store->broken = true;
        return FAILURE;
    }
    error = errno;
    /* No room: part of a record is no record.  But it must not stay. */
    store->broken = status_of(error) != RESOURCES
        || ftruncate(store->file, (off_t)store->end) != 0;
    if (store->broken)
        return FAILURE;
    write_mark(store);
    return RESOURCES;
}

static int flush_directory(const log_store *store)
{
    int directory =
        open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = directory < 0 ? -1 : fsync(directory);
    int error = errno;

    if (directory >= 0)
        close(directory);
    errno = error;
    return result;
}

static bool page_is_empty(const struct page *page)
{
    uint64_t any = 0;

    for (uint32_t i = 0; i < 64; i++)
        any |= page->retained.mask[i];
    return any == 0;
}

/* Bytes that a new log would have, but for its mark. */
static size_t needed_size(const log_store *store)
{
    size_t size = sizeof(struct header);

    for (size_t i = 0; i < store->page_count; i++)
        if (!page_is_empty(store->pages[i]))
            size += sizeof(struct record) + BLOCK_ENTRY;
    for (size_t i = 0; i < store->owner_count; i++)
        if (store->owners[i].persistent)
            size += sizeof(struct record) + IDENTITY_ENTRY;
    return size;
}

/* Puts a whole new log together; returns its end. */
static uint8_t *put_log(
    const log_store *store, uint8_t *at, uint32_t salt, uint64_t *sequence)
{
    struct header header = { MAGIC, salt, 0 };
    uint8_t *entry, *end;

    header.checksum = checksum(
        store, 0, &header, offsetof(struct header, checksum));
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    for (size_t i = 0; i < store->page_count; i++) {
        const struct page *page = store->pages[i];

        if (page_is_empty(page))
            continue;
        entry = at + sizeof(struct record);
        end = put_entry(entry, RETAIN, page->if_type, &page->retained,
            sizeof page->retained);
        seal(store, salt, ++*sequence, at, end);
        at = end;
    }
    for (size_t i = 0; i < store->owner_count; i++) {
        const struct owner *owner = &store->owners[i];

        if (!owner->persistent)
            continue;
        entry = at + sizeof(struct record);
        end = put_entry(
            entry, MAKE, 0, &owner->identity, sizeof owner->identity);
        seal(store, salt, ++*sequence, at, end);
        at = end;
    }
    return at;
}

/* Writes the new log beside the old one; returns its descriptor or -1. */
static int write_beside(
    const log_store *store, const uint8_t *bytes, size_t length)
{
    int file, error;

    /* Who was killed may have left one. */
    if (unlink(store->new_path) != 0 && errno != ENOENT)
        return -1;
    file = open(
        store->new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return -1;
    if (write_all(file, bytes, length, 0) && fsync(file) == 0
        && rename(store->new_path, store->path) == 0)
        return file;
    error = errno;
    close(file);
    unlink(store->new_path);
    errno = error;
    return -1;
}

/* Makes a log of what is in memory.  The old one stays if that fails; but
 * once it is replaced the new name must be on the disk before anything is
 * appended. */
static ndisbridge_status write_log(log_store *store)
{
    size_t size = needed_size(store);
    uint8_t *bytes = malloc(size);
    uint64_t sequence = 0;
    uint32_t salt;
    int file;

    if (bytes == NULL) {
        errno = ENOMEM;
        return RESOURCES;
    }
    if (getrandom(&salt, sizeof salt, 0) != sizeof salt) {
        free(bytes);
        return FAILURE;
    }
    (void)put_log(store, bytes, salt, &sequence);
    file = write_beside(store, bytes, size);
    free(bytes);
    if (file < 0)
        return status_of(errno);
    if (store->file >= 0)
        close(store->file);
    store->file = file;
    store->salt = salt;
    store->sequence = sequence;
    store->end = size;
    if (flush_directory(store) != 0) {
        store->broken = true;
        return FAILURE;
    }
    write_mark(store);
    return SUCCESS;
}

static void compact_if_worth_it(log_store *store)
{
    if (store->end > SMALL && store->end / 2 > needed_size(store))
        (void)write_log(store);
}

/* Takes up what a log says; true, with store->end, if it is good. */
static bool replay(log_store *store, const uint8_t *bytes, size_t length)
{
    struct header header;
    struct record record;
    size_t at = sizeof header;

    if (length < sizeof header)
        return false;
    memcpy(&header, bytes, sizeof header);
    if (header.magic != MAGIC
        || header.checksum
            != checksum(
                store, 0, &header, offsetof(struct header, checksum)))
        return false;
    store->salt = header.salt;
    while (read_record(store, &record, bytes + at, length - at)
        && record.length > 0) {
        if (record.sequence != store->sequence + 1
            || !apply(store, bytes + at + sizeof record, record.length))
            return false;
        store->sequence++;
        at += sizeof record + record.length;
    }
    store->end = at;
    /* Anything later that is good: what came before it was, too. */
    for (; at < length; at++)
        if (length - at >= sizeof record) {
            memcpy(&record, bytes + at, sizeof record);
            if (record.sequence > store->sequence
                && record.sequence - store->sequence <= length
                && read_record(store, &record, bytes + at, length - at))
                return false;
        }
    return true;
}

static bool read_all(int file, uint8_t *bytes, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = pread(file, bytes + done, length - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* Reads the log, and cuts off what is not whole: what is appended later must
 * not lie before the rest of it. */
static ndisbridge_status read_log(log_store *store)
{
    struct stat found;
    uint8_t *bytes;
    bool good;

    if (fstat(store->file, &found) != 0)
        return FAILURE;
    errno = 0;
    if (!S_ISREG(found.st_mode))
        return DAMAGED;
    bytes = malloc((size_t)found.st_size + 1);
    if (bytes == NULL)
        return RESOURCES;
    if (!read_all(store->file, bytes, (size_t)found.st_size)) {
        free(bytes);
        return status_of(errno);
    }
    errno = 0;
    good = replay(store, bytes, (size_t)found.st_size);
    free(bytes);
    if (!good)
        return errno == ENOMEM ? RESOURCES : DAMAGED;
    /* The last record may never have been flushed, by who was killed; now
     * somebody will be told of it. */
    if (ftruncate(store->file, (off_t)store->end) != 0
        || fdatasync(store->file) != 0
        /* Who was killed may have renamed a new log only. */
        || flush_directory(store) != 0)
        return FAILURE;
    write_mark(store);
    return SUCCESS;
}

/* ---- hooks -------------------------------------------------------------- */

static ndisbridge_status leave(log_store *store, ndisbridge_status status)
{
    pthread_mutex_unlock(&store->lock);
    return status;
}

/* Locks the store; what is not SUCCESS is to be left with. */
static ndisbridge_status enter_to_change(log_store *store)
{
    pthread_mutex_lock(&store->lock);
    return store->broken ? FAILURE : SUCCESS;
}

static bool page_is_full(const struct page *page)
{
    uint64_t all = UINT64_MAX;

    for (uint32_t i = 0; i < 64; i++)
        all &= page->retained.mask[i];
    return all == UINT64_MAX;
}

static ndisbridge_status lease_blocks(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    log_store *store = context;
    ndisbridge_status status = enter_to_change(store);
    uint32_t n = 0;

    for (uint32_t block = lowest;
         status == SUCCESS && block <= highest && n < *count; block++) {
        struct page *page = make_page(store, if_type, block);

        if (page == NULL) {
            status = n > 0 ? SUCCESS : RESOURCES;
            break;
        }
        /* A full one is of use only to who asks for it. */
        if (page->leased || (lowest != highest && page_is_full(page)))
            continue;
        page->leased = true;
        leases[n++] = page->retained;
    }
    if (status == SUCCESS && n == 0)
        status = lowest == highest ? IN_USE : RESOURCES;
    if (status == SUCCESS)
        *count = n;
    return leave(store, status);
}

/* Non-persistent identities end with the session, that gives back their
 * blocks last. */
static void end_owners(log_store *store, uint16_t if_type, uint32_t block)
{
    for (size_t i = store->owner_count; i-- > 0;) {
        uint64_t net_luid = store->owners[i].identity.net_luid;

        if (!store->owners[i].persistent && net_luid >> 48 == if_type
            && index_of(net_luid) >> 12 == block)
            remove_owner(store, &store->owners[i]);
    }
}

static ndisbridge_status return_blocks(
    void *context, uint16_t if_type, const uint32_t *blocks, uint32_t count)
{
    log_store *store = context;

    pthread_mutex_lock(&store->lock);
    for (uint32_t i = 0; i < count; i++) {
        struct page *page = find_page(store, if_type, blocks[i]);

        if (page != NULL)
            page->leased = false;
        end_owners(store, if_type, blocks[i]);
    }
    return leave(store, SUCCESS);
}

/* Whether sets have an index; IfType 0 for an ifIndex. */
static bool has(const ndisbridge_index_set *sets, uint32_t set_count,
    uint16_t if_type, uint32_t index)
{
    for (uint32_t i = 0; i < set_count; i++)
        for (uint32_t j = 0;
             sets[i].if_type == if_type && j < sets[i].block_count; j++)
            if (sets[i].blocks[j].block == index >> 12)
                return bit(sets[i].blocks[j].mask, index);
    return false;
}

/* Whether sets have an identity's NET_LUID, and its ifIndex. */
static bool has_all_of(const ndisbridge_index_set *sets,
    uint32_t set_count, const log_store_identity *identity)
{
    return has(sets, set_count, (uint16_t)(identity->net_luid >> 48),
               index_of(identity->net_luid))
        && (identity->if_index == 0
            || has(sets, set_count, 0, identity->if_index));
}

static bool has_any_of(const ndisbridge_index_set *sets,
    uint32_t set_count, const log_store_identity *identity)
{
    return has(sets, set_count, (uint16_t)(identity->net_luid >> 48),
               index_of(identity->net_luid))
        || (identity->if_index != 0
            && has(sets, set_count, 0, identity->if_index));
}

/* Writes a change of indexes and maybe an identity, then does it. */
static ndisbridge_status change(log_store *store, bool retain,
    const ndisbridge_index_set *sets, uint32_t set_count,
    const log_store_identity *identity)
{
    size_t size = sizeof(struct record);
    uint8_t *record, *at;
    ndisbridge_status status;

    for (uint32_t i = 0; i < set_count; i++)
        size += sets[i].block_count * BLOCK_ENTRY;
    size += identity != NULL ? IDENTITY_ENTRY : 0;
    if (size == sizeof(struct record))
        return SUCCESS;
    /* What may fail must do so before anything is written. */
    record = size <= INT32_MAX ? malloc(size) : NULL;
    if (record == NULL || !make_room_for_owner(store)) {
        free(record);
        return RESOURCES;
    }
    at = record + sizeof(struct record);
    for (uint32_t i = 0; i < set_count; i++)
        for (uint32_t j = 0; j < sets[i].block_count; j++)
            at = put_entry(at, retain ? RETAIN : RELEASE, sets[i].if_type,
                &sets[i].blocks[j], sizeof sets[i].blocks[j]);
    if (identity != NULL)
        at = put_entry(
            at, retain ? MAKE : FORGET, 0, identity, sizeof *identity);
    seal(store, store->salt, store->sequence + 1, record, at);
    status = append(store, record, size);
    if (status == SUCCESS
        && !apply(store, record + sizeof(struct record),
            size - sizeof(struct record))) {
        store->broken = true;
        status = FAILURE;
    } else if (status == SUCCESS) {
        compact_if_worth_it(store);
    }
    free(record);
    return status;
}

/* Whether sets name a block twice.  The core never does; but what can't be
 * applied must not be written, or the log would be refused from then on. */
static bool name_twice(const log_store *store,
    const ndisbridge_index_set *sets, uint32_t set_count)
{
    bool twice = false;

    for (int named = 1; named >= 0; named--)
        for (uint32_t i = 0; i < set_count; i++)
            for (uint32_t j = 0; j < sets[i].block_count; j++) {
                struct page *page = find_page(
                    store, sets[i].if_type, sets[i].blocks[j].block);

                if (page == NULL)
                    continue;
                twice |= named && page->named;
                page->named = named;
            }
    return twice;
}

static ndisbridge_status may_retain(const log_store *store,
    const ndisbridge_index_set *sets, uint32_t set_count,
    const log_store_identity *identity)
{
    for (uint32_t i = 0; i < set_count; i++)
        for (uint32_t j = 0; j < sets[i].block_count; j++) {
            const ndisbridge_block_mask *mask = &sets[i].blocks[j];
            const struct page *page =
                find_page(store, sets[i].if_type, mask->block);

            if (page == NULL || !page->leased)
                return NDISBRIDGE_STATUS_LEASE_LOST;
            for (uint32_t k = 0; k < 64; k++)
                if (page->retained.mask[k] & mask->mask[k])
                    return INVALID;
        }
    if (name_twice(store, sets, set_count))
        return INVALID;
    if (identity == NULL)
        return SUCCESS;
    if (identity->key[0] == 0
        || memchr(identity->key, 0, sizeof identity->key) == NULL
        || !has_all_of(sets, set_count, identity))
        return INVALID;
    return find_owner(store, identity->key) != NULL ? IN_USE : SUCCESS;
}

static ndisbridge_status retain(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    log_store *store = context;
    ndisbridge_status status = enter_to_change(store);

    if (status == SUCCESS)
        status = may_retain(store, sets, set_count, record);
    if (status != SUCCESS)
        return leave(store, status);
    if (!(flags & NDISBRIDGE_RETAIN_NON_PERSISTENT))
        status = change(store, true, sets, set_count, record);
    else if (record != NULL && !make_room_for_owner(store))
        status = RESOURCES;
    else if (record != NULL)
        add_owner(store, record, false);
    return leave(store, status);
}

/* Of one key: whether it is the same, and not a later one's. */
static bool is_same(const log_store_identity *a, const log_store_identity *b)
{
    return a->net_luid == b->net_luid && a->if_index == b->if_index
        && memcmp(&a->interface_guid, &b->interface_guid,
               sizeof a->interface_guid)
        == 0;
}

static ndisbridge_status may_release(const log_store *store,
    const ndisbridge_index_set *sets, uint32_t set_count, bool persistent,
    const log_store_identity *identity)
{
    const struct owner *released =
        identity == NULL ? NULL : find_owner(store, identity->key);

    if (identity != NULL
        && (released == NULL || released->persistent != persistent
            || !is_same(&released->identity, identity)
            || !has_all_of(sets, set_count, identity)))
        return INVALID;
    for (uint32_t i = 0; i < set_count; i++)
        for (uint32_t j = 0; j < sets[i].block_count; j++) {
            const ndisbridge_block_mask *mask = &sets[i].blocks[j];
            const struct page *page =
                find_page(store, sets[i].if_type, mask->block);

            for (uint32_t k = 0; k < 64; k++) {
                uint64_t bits = mask->mask[k];

                if (bits == 0)
                    continue;
                if (page == NULL
                    || (persistent && (bits & ~page->retained.mask[k])))
                    return INVALID;
                if (bits & page->in_use[k])
                    return IN_USE;
            }
        }
    if (name_twice(store, sets, set_count))
        return INVALID;
    /* An identity's index goes with the identity only. */
    for (size_t i = 0; i < store->owner_count; i++)
        if (&store->owners[i] != released
            && has_any_of(sets, set_count, &store->owners[i].identity))
            return INVALID;
    return SUCCESS;
}

static ndisbridge_status release(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    log_store *store = context;
    const log_store_identity *identity = record;
    bool persistent = !(flags & NDISBRIDGE_RETAIN_NON_PERSISTENT);
    ndisbridge_status status = enter_to_change(store);

    if (status == SUCCESS)
        status = may_release(store, sets, set_count, persistent, identity);
    if (status != SUCCESS)
        return leave(store, status);
    if (persistent)
        status = change(store, false, sets, set_count, identity);
    else if (identity != NULL)
        remove_owner(store, find_owner(store, identity->key));
    return leave(store, status);
}

/* Whether a NET_LUID is retained, or has an identity of this session, and
 * the ifIndex is no other identity's own. */
static bool may_confirm(const log_store *store,
    ndisbridge_net_luid net_luid, uint32_t if_index)
{
    const struct page *page = find_page(
        store, (uint16_t)(net_luid >> 48), index_of(net_luid) >> 12);
    const struct page *if_indexes = find_page(store, 0, if_index >> 12);
    bool known =
        page != NULL && bit(page->retained.mask, index_of(net_luid));
    bool owned = if_indexes != NULL && if_index != 0
        && bit(if_indexes->retained.mask, if_index);

    for (size_t i = 0; i < store->owner_count && (owned || !known); i++) {
        const log_store_identity *each = &store->owners[i].identity;

        known |= each->net_luid == net_luid;
        if (owned && each->if_index == if_index)
            return each->net_luid == net_luid;
    }
    return known;
}

static ndisbridge_status confirm(void *context,
    const ndisbridge_net_luid *net_luids, const uint32_t *if_indexes,
    uint32_t count)
{
    log_store *store = context;

    pthread_mutex_lock(&store->lock);
    for (uint32_t i = 0; i < count; i++) {
        if (!may_confirm(store, net_luids[i], if_indexes[i]))
            return leave(store, INVALID);
        if (make_page(store, (uint16_t)(net_luids[i] >> 48),
                index_of(net_luids[i]) >> 12)
            == NULL)
            return leave(store, RESOURCES);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = index_of(net_luids[i]);
        struct page *page = find_page(
            store, (uint16_t)(net_luids[i] >> 48), index >> 12);

        page->in_use[index >> 6 & 63] |= UINT64_C(1) << (index & 63);
    }
    return leave(store, SUCCESS);
}

static ndisbridge_status unconfirm(
    void *context, const ndisbridge_net_luid *net_luids, uint32_t count)
{
    log_store *store = context;

    pthread_mutex_lock(&store->lock);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = index_of(net_luids[i]);
        struct page *page = find_page(
            store, (uint16_t)(net_luids[i] >> 48), index >> 12);

        if (page != NULL)
            page->in_use[index >> 6 & 63] &= ~(UINT64_C(1) << (index & 63));
    }
    return leave(store, SUCCESS);
}

/* ---- opening and closing ------------------------------------------------ */

static char *with_suffix(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *name = malloc(size);

    if (name != NULL)
        (void)snprintf(name, size, "%s%s", path, suffix);
    return name;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? strdup(".")
                         : strndup(path, (size_t)(slash - path) + 1);
}

/* Locks a file of its own, which is never replaced.  The lock is of the open
 * file: it ends with the process, and not with another descriptor. */
static ndisbridge_status lock_store(log_store *store)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char *name = with_suffix(store->path, ".lock");

    if (name == NULL)
        return RESOURCES;
    store->lock_file =
        open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(name);
    if (store->lock_file < 0)
        return status_of(errno);
    if (fcntl(store->lock_file, F_OFD_SETLK, &whole) == 0)
        return SUCCESS;
    return errno == EAGAIN || errno == EACCES ? IN_USE : FAILURE;
}

static ndisbridge_status open_log(log_store *store)
{
    ndisbridge_status status = lock_store(store);

    if (status != SUCCESS)
        return status;
    store->file = open(
        store->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (store->file >= 0)
        return read_log(store);
    return errno == ENOENT ? write_log(store) : status_of(errno);
}

ndisbridge_status log_store_open(
    log_store **out, int *error_number, const char *path)
{
    log_store *store = calloc(1, sizeof *store);
    ndisbridge_status status = RESOURCES;
    int error = ENOMEM;

    if (store != NULL) {
        make_crc(store->crc);
        store->lock_file = store->file = -1;
        pthread_mutex_init(&store->lock, NULL);
        store->path = strdup(path);
        store->new_path = with_suffix(path, ".new");
        store->directory = directory_of(path);
        if (store->path != NULL && store->new_path != NULL
            && store->directory != NULL) {
            errno = 0;
            status = open_log(store);
            error = status == SUCCESS ? 0 : errno;
        }
        if (status != SUCCESS)
            log_store_close(store);
    }
    if (error_number != NULL)
        *error_number = error;
    if (status != SUCCESS)
        return status;
    store->hooks = (ndisbridge_persistence_hooks){
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof store->hooks },
        .context = store,
        .lease_blocks = lease_blocks,
        .return_blocks = return_blocks,
        .retain = retain,
        .release = release,
        .confirm = confirm,
        .unconfirm = unconfirm,
    };
    *out = store;
    return SUCCESS;
}

void log_store_close(log_store *store)
{
    if (store->file >= 0)
        close(store->file);
    if (store->lock_file >= 0)
        close(store->lock_file);
    for (size_t i = 0; i < store->page_count; i++)
        free(store->pages[i]);
    free(store->pages);
    free(store->owners);
    free(store->path);
    free(store->new_path);
    free(store->directory);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

const ndisbridge_persistence_hooks *log_store_hooks(log_store *store)
{
    return &store->hooks;
}

ndisbridge_status log_store_compact(log_store *store)
{
    ndisbridge_status status = enter_to_change(store);

    return leave(store, status == SUCCESS ? write_log(store) : status);
}

uint64_t log_store_size(log_store *store)
{
    uint64_t size;

    pthread_mutex_lock(&store->lock);
    size = store->end;
    pthread_mutex_unlock(&store->lock);
    return size;
}

/* ---- identities --------------------------------------------------------- */

ndisbridge_status log_store_find(
    log_store *store, log_store_identity *identity, const char *key)
{
    const struct owner *owner;

    pthread_mutex_lock(&store->lock);
    owner = find_owner(store, key);
    if (owner == NULL)
        return leave(store, NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
    *identity = owner->identity;
    return leave(store, SUCCESS);
}

/* A random GUID (RFC 9562, version 4). */
static ndisbridge_status make_guid(ndisbridge_guid *guid)
{
    if (getrandom(guid, sizeof *guid, 0) != sizeof *guid)
        return FAILURE;
    guid->data3 = (uint16_t)((guid->data3 & 0x0FFF) | 0x4000);
    guid->data4[0] = (uint8_t)((guid->data4[0] & 0x3F) | 0x80);
    return SUCCESS;
}

static ndisbridge_status make_identity(log_store_identity *identity,
    ndisbridge_session *session, uint16_t if_type)
{
    uint32_t index;
    ndisbridge_status status =
        ndisbridge_allocate_net_luid_index(session, &index, if_type);

    if (status != SUCCESS)
        return status;
    status = ndisbridge_allocate_if_index(session, &identity->if_index);
    if (status == SUCCESS)
        status = ndisbridge_make_net_luid(
            &identity->net_luid, if_type, index);
    if (status == SUCCESS)
        status = make_guid(&identity->interface_guid);
    if (status == SUCCESS) {
        status = ndisbridge_retain(session, if_type, &index, 1,
            identity->if_index, 0, identity);
        /* It may be on the disk, and then it must not be handed out. */
        if (status == SUCCESS || status == FAILURE)
            return status;
    }
    (void)ndisbridge_free_net_luid_index(session, if_type, index);
    if (identity->if_index != 0)
        (void)ndisbridge_free_if_index(session, identity->if_index);
    return status;
}

ndisbridge_status log_store_identify(log_store *store,
    log_store_identity *identity, ndisbridge_session *session,
    const char *key, uint16_t if_type)
{
    ndisbridge_status status;

    if (key[0] == 0 || strlen(key) >= sizeof identity->key)
        return INVALID;
    status = log_store_find(store, identity, key);
    if (status != SUCCESS) {
        memset(identity, 0, sizeof *identity);
        strcpy(identity->key, key);
        status = make_identity(identity, session, if_type);
        /* Another thread was first. */
        if (status == IN_USE)
            status = log_store_find(store, identity, key);
    }
    if (status == SUCCESS && identity->net_luid >> 48 != if_type)
        return INVALID;
    return status;
}

ndisbridge_status log_store_forget(
    ndisbridge_session *session, log_store_identity *identity)
{
    uint32_t index = index_of(identity->net_luid);

    return ndisbridge_release(session,
        (uint16_t)(identity->net_luid >> 48), &index, 1,
        identity->if_index, 0, identity);
}
