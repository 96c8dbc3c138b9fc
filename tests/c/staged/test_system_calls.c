/* SPDX-License-Identifier: MIT
 *
 * test_system_calls.c - what the core asks of the system for its own use
 * fails, the first time, the second, and so on until none does: the call
 * says RESOURCES, nothing is left behind, and the next one works.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "interface_kit.h"
#include "session.h"

static bool passed(ndisbridge_status status)
{
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        CHECK_STATUS(status, RESOURCES);
    return status == NDISBRIDGE_STATUS_SUCCESS;
}

/* Whatever takes a mutex, a condition or pages; whether all has passed. */
static bool use(ndisbridge_session *session)
{
    ndisbridge_if_provider_characteristics characteristics =
        kit_characteristics(kit_no_answer, NULL);
    ndisbridge_subscription subscription;
    ndisbridge_provider provider;
    uint32_t index, if_index = 0;
    bool all;

    all = passed(ndisbridge_register_provider(
        session, &provider, &characteristics, 0, NULL, 0));
    if (passed(ndisbridge_allocate_net_luid_index(session, &index, 6))) {
        if (all)
            all = passed(kit_register(session, &if_index, provider,
                kit_luid(6, index), 0, NULL));
    } else {
        all = false;
    }
    return passed(ndisbridge_subscribe(session, &subscription, 4,
               NDISBRIDGE_SUBSCRIBE_INITIAL))
        && all;
}

static void test_every_one(enum staged_call call, const char *name)
{
    uint32_t n = 1, failed;

    do {
        ndisbridge_session *session = NULL;
        ndisbridge_status status;
        bool all = false;

        staged_fail(call, n++, 1, ENOMEM);
        status = ndisbridge_session_create(&session, NULL);
        if (passed(status))
            all = use(session);
        else
            CHECK(session == NULL);
        failed = staged_failed();
        CHECK(failed == 0 ? all : !all);
        if (session != NULL) {
            CHECK(use(session));
            CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
        }
    } while (failed != 0);
    CHECK(n > 2);
    printf("%s: %u failed\n", name, n - 2);
}

/* An event descriptor that cannot be made is asked for again. */
static void test_descriptor(void)
{
    ndisbridge_session *session;
    ndisbridge_subscription subscription;
    int32_t descriptor = -2, again = -2;
    uint64_t number;

    CHECK_STATUS(ndisbridge_session_create(&session, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_subscribe(session, &subscription, 4, 0), SUCCESS);
    staged_fail(STAGED_EVENTFD, 1, 1, EMFILE);
    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, subscription),
        RESOURCES);
    CHECK(staged_failed() == 1 && descriptor == -2);
    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, subscription),
        SUCCESS);
    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &again, subscription),
        SUCCESS);
    CHECK(descriptor >= 0 && again == descriptor);
    /* Whoever reads it himself takes nothing from the next. */
    for (int i = 0; i < 2; i++) {
        ndisbridge_event event;
        uint32_t count = 1;

        CHECK_STATUS(ndisbridge_post_identity_event(session, kit_luid(6, 1),
                         0, NDISBRIDGE_IDENTITY_CREATED, 0),
            SUCCESS);
        CHECK(read(descriptor, &number, sizeof number) == sizeof number);
        CHECK_STATUS(ndisbridge_next_events(
                         session, &event, &count, subscription, 0),
            SUCCESS);
        CHECK(count == 1);
    }
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* One that is asked for after the end is readable: there is no more. */
static void test_descriptor_of_closed(void)
{
    ndisbridge_session *session;
    ndisbridge_subscription subscription;
    int32_t descriptor = -1;
    uint64_t number;

    CHECK_STATUS(ndisbridge_session_create(&session, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_subscribe(session, &subscription, 4, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_session_close(session, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, subscription),
        SUCCESS);
    CHECK(read(descriptor, &number, sizeof number) == sizeof number);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

int main(void)
{
    (void)check_begin("system_calls");
    test_every_one(STAGED_MUTEX_INIT, "pthread_mutex_init");
    test_every_one(STAGED_CONDATTR_INIT, "pthread_condattr_init");
    test_every_one(STAGED_CONDATTR_SETCLOCK, "pthread_condattr_setclock");
    test_every_one(STAGED_COND_INIT, "pthread_cond_init");
    test_every_one(STAGED_MMAP, "mmap");
    test_every_one(STAGED_MADVISE, "madvise");
    test_every_one(STAGED_MEMALIGN, "posix_memalign");
    test_descriptor();
    test_descriptor_of_closed();
    return check_end();
}
