/* SPDX-License-Identifier: MIT
 *
 * options.c - what the address sanitizer is told: an input frees little, and
 * less is remembered of it, so that caches hold it.  fuzz_session.h counts
 * what leaks; a session that is there in the end is not to be looked through.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4:malloc_context_size=8:detect_leaks=0";
}
