/* SPDX-License-Identifier: MIT */
/*
 * Preloaded: lets the Nth allocation fail that is made from apsw's module,
 * in which SQLite is, or from the core; once, or from then on.  Python's own
 * go on as ever.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_memalign(size_t, size_t);

#define RANGES 64

static struct {
    uintptr_t first;
    uintptr_t end;
} ranges[RANGES];
static int range_count;
static atomic_long counted;
static atomic_long fail_at = -1;
static atomic_int fail_always;
static atomic_int armed;

static int add_ranges(struct dl_phdr_info *info, size_t size, void *unused)
{
    const char *name = strrchr(info->dlpi_name, '/');

    (void)size;
    (void)unused;
    if (!strstr(info->dlpi_name, "/apsw/")
        && !(name && strstr(name, "ndisbridge")))
        return 0;
    for (int i = 0; i < info->dlpi_phnum && range_count < RANGES; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            ranges[range_count].first = info->dlpi_addr + part->p_vaddr;
            ranges[range_count].end = ranges[range_count].first
                                      + part->p_memsz;
            range_count++;
        }
    }
    return 0;
}

/* Fail number "at" (from 0); -1 to count only.  How many parts it watches. */
int no_memory_arm(long at, int always)
{
    range_count = 0;
    dl_iterate_phdr(add_ranges, NULL);
    counted = 0;
    fail_at = at;
    fail_always = always;
    armed = 1;
    return range_count;
}

/* How many there were. */
long no_memory_disarm(void)
{
    armed = 0;
    return counted;
}

static int fails(const void *caller)
{
    uintptr_t address = (uintptr_t)caller;

    if (!armed)
        return 0;
    for (int i = 0; i < range_count; i++)
        if (address >= ranges[i].first && address < ranges[i].end) {
            long number = atomic_fetch_add(&counted, 1);
            long at = fail_at;

            if (at >= 0 && (number == at || (fail_always && number > at))) {
                errno = ENOMEM;
                return 1;
            }
            return 0;
        }
    return 0;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL
                                              : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL
                                              : __libc_realloc(old, size);
}

int posix_memalign(void **made, size_t alignment, size_t size)
{
    void *found;

    if (fails(__builtin_return_address(0)))
        return ENOMEM;
    found = __libc_memalign(alignment, size);
    if (!found)
        return ENOMEM;
    *made = found;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails(__builtin_return_address(0))
               ? NULL
               : __libc_memalign(alignment, size);
}
