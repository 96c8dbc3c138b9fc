/* SPDX-License-Identifier: MIT
 *
 * fuzz_session.h - a session that serves many inputs, as to make one takes
 * longer than to use it.  Each input gives back what it took and sees that
 * nothing is left; after so many a session is destroyed, which must leave no
 * memory behind.  What a session keeps on purpose (leased blocks, where the
 * next ifIndex is looked for, records to use again) is there for the next
 * input: one that fails may have to be run after those before it.
 */
#ifndef NB_FUZZ_SESSION_H
#define NB_FUZZ_SESSION_H

#include <sys/mman.h>

#include "fuzz.h"

enum { FUZZ_INPUTS = 256, FUZZ_GUARD = 4096, FUZZ_MAPPED = 65536 };

struct fuzz_session {
    ndisbridge_session *session;
    ndisbridge_provider provider;
    uint32_t inputs;  /* until it is destroyed */
    uint32_t blocks;  /* of memory */
};

/* Large memory as the kernel gives it, zeroed when it is touched, before a
 * page that nobody may touch; other in blocks that the sanitizer watches. */
static inline void *fuzz_allocate(void *context, size_t size)
{
    struct fuzz_session *owner = context;
    size_t whole = (size + 63) / 64 * 64;
    char *memory;

    owner->blocks++;
    if (size < FUZZ_MAPPED) {
        memory = aligned_alloc(64, whole);
        ENSURE(memory != NULL);
        return memset(memory, 0, size);
    }
    whole = (size + FUZZ_GUARD - 1) / FUZZ_GUARD * FUZZ_GUARD;
    memory = mmap(NULL, whole + FUZZ_GUARD, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ENSURE(memory != MAP_FAILED);
    ENSURE(mprotect(memory + whole, FUZZ_GUARD, PROT_NONE) == 0);
    return memory;
}

static inline void fuzz_deallocate(void *context, void *memory, size_t size)
{
    struct fuzz_session *owner = context;
    size_t whole = (size + FUZZ_GUARD - 1) / FUZZ_GUARD * FUZZ_GUARD;

    owner->blocks--;
    if (size < FUZZ_MAPPED)
        free(memory);
    else
        ENSURE(munmap(memory, whole + FUZZ_GUARD) == 0);
}

/* Before an input: makes the session, with a provider, if need be. */
static inline void fuzz_begin(struct fuzz_session *own,
    const ndisbridge_if_provider_characteristics *characteristics,
    uint32_t if_index_policy)
{
    ndisbridge_session_config config = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof config },
        .if_index_policy = if_index_policy,
        .allocate = fuzz_allocate,
        .deallocate = fuzz_deallocate,
        .memory_context = own,
    };

    if (own->session != NULL)
        return;
    own->inputs = FUZZ_INPUTS;
    ENSURE_STATUS(
        ndisbridge_session_create(&own->session, &config), SUCCESS);
    ENSURE_STATUS(ndisbridge_register_provider(own->session, &own->provider,
                      characteristics, 0, NULL, 0),
        SUCCESS);
}

/* After an input: nothing is in use. */
static inline void fuzz_end(struct fuzz_session *own)
{
    uint32_t rows = 0;
    ndisbridge_index_counts counts;

    ENSURE(ndisbridge_interface_count(own->session) == 0);
    ENSURE_STATUS(
        ndisbridge_get_if_table(own->session, NULL, &rows, 0), SUCCESS);
    ENSURE_STATUS(
        ndisbridge_get_if_stack_table(own->session, NULL, &rows), SUCCESS);
    for (uint16_t if_type = 1; if_type <= 6; if_type++) {
        ENSURE_STATUS(ndisbridge_count_net_luid_indexes(
                          own->session, &counts, if_type),
            SUCCESS);
        ENSURE(counts.allocated == 0 && counts.retained == 0);
    }
    if (--own->inputs > 0)
        return;
    ENSURE_STATUS(ndisbridge_deregister_provider(own->session, own->provider),
        SUCCESS);
    ENSURE_STATUS(ndisbridge_session_destroy(own->session), SUCCESS);
    own->session = NULL;
    ENSURE(own->blocks == 0);
}

#endif
