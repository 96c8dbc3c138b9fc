/* SPDX-License-Identifier: MIT
 *
 * test_fork.c - a child of fork(): every call says FORKED, nothing of the
 * parent's is given back, and it frees what it has inherited.
 */
#ifdef _WIN32

int main(void)
{
    return 0;
}

#else

#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session.h"

#include "block_store.h"
#include "events_kit.h"

/* Emulators of other machines may ignore MADV_WIPEONFORK, by which a child
 * knows what it is; a kernel never does. */
static bool is_wiped(void)
{
#if defined(CHECK_EMULATED) && defined(MADV_WIPEONFORK)
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *word = mmap(NULL, page, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = -1;
    pid_t child;

    REQUIRE(word != MAP_FAILED);
    *word = 1;
    REQUIRE(madvise(word, page, MADV_WIPEONFORK) == 0);
    child = fork();
    if (child == 0)
        _exit(*word);
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    munmap(word, page);
    return WEXITSTATUS(status) == 0;
#else
    return true;
#endif
}

static int in_child(ndisbridge_session *session, ndisbridge_net_luid net_luid)
{
    uint32_t index, length = 4;

    if (ndisbridge_allocate_net_luid_index(session, &index, 6)
        != NDISBRIDGE_STATUS_FORKED)
        return 1;
    if (ndisbridge_query(session, &index, &length, net_luid,
            NDISBRIDGE_OID_GEN_PHYSICAL_MEDIUM)
        != NDISBRIDGE_STATUS_FORKED)
        return 2;
    if (ndisbridge_session_close(session, 10) != NDISBRIDGE_STATUS_FORKED)
        return 3;
    if (ndisbridge_session_destroy(session) != NDISBRIDGE_STATUS_SUCCESS)
        return 4;
    return 0;
}

static void test_fork(void)
{
    struct block_store *store = store_make(16);
    struct store_member member;
    ndisbridge_session *session;
    ndisbridge_provider provider;
    ndisbridge_net_luid net_luid;
    uint32_t if_index, index, returns;
    int status = -1;
    pid_t child;

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    provider = kit_provider(session, kit_no_answer, NULL);
    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    returns = member.calls[STORE_RETURN];
    fflush(stdout);
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        check_leave(in_child(session, net_luid)
            + (member.calls[STORE_RETURN] != returns ? 100 : 0));
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 0);
    /* The parent's goes on. */
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

static void *deregister_with_a_wait(void *argument)
{
    struct kit_asker *asker = argument;
    uint32_t if_index;

    CHECK_STATUS(ndisbridge_get_interface_index_from_net_luid(
                     asker->session, &if_index, asker->net_luid),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_deregister_interface(asker->session, if_index, 20000),
        SUCCESS);
    return NULL;
}

/* While a thread of the parent waits and another is in a handler, the child
 * frees what it has inherited, and does not hang. */
static void test_fork_beside_waiters(void)
{
    struct kit_gate gate = KIT_GATE;
    struct kit_asker asker;
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider =
        kit_provider(session, kit_wait_at_gate, NULL);
    uint32_t if_index, left = 10000;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, &gate);
    pthread_t waiter;
    int status = -1;
    pid_t child;

    kit_start_asker(&asker, session, net_luid);
    kit_await_inside(&gate, 1);
    REQUIRE(
        pthread_create(&waiter, NULL, deregister_with_a_wait, &asker) == 0);
    while (ndisbridge_get_interface_index_from_net_luid(
               session, &if_index, net_luid)
        == NDISBRIDGE_STATUS_SUCCESS)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    fflush(stdout);
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        check_leave(ndisbridge_session_destroy(session)
                == NDISBRIDGE_STATUS_SUCCESS
            ? 0
            : 1);
    while (waitpid(child, &status, WNOHANG) == 0 && left-- > 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    if (!CHECK(left > 0))
        kill(child, SIGKILL);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kit_open_gate(&gate);
    pthread_join(waiter, NULL);
    pthread_join(asker.thread, NULL);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static ndisbridge_session *forking;

/* The child goes back into the session: it must not be freed. */
static ndisbridge_status fork_inside(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    pid_t child;

    (void)oid, (void)length, (void)output;
    fflush(stdout);
    child = fork();
    *(pid_t *)context = child;
    if (child == 0 && ndisbridge_session_destroy(forking)
            != NDISBRIDGE_STATUS_INVALID_STATE)
        check_leave(1);
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

static void test_fork_in_handler(void)
{
    pid_t child = -1;
    ndisbridge_provider provider;
    ndisbridge_net_luid net_luid;
    uint32_t if_index, number, length = 4;
    int status = -1;

    forking = check_open(NULL);
    provider = kit_provider(forking, fork_inside, NULL);
    net_luid = kit_interface(forking, &if_index, provider, 0, &child);
    (void)ndisbridge_query(forking, &number, &length, net_luid,
        NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER);
    if (child == 0)
        check_leave(ndisbridge_session_destroy(forking)
                == NDISBRIDGE_STATUS_SUCCESS
            ? 0
            : 2);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_STATUS(ndisbridge_session_destroy(forking), SUCCESS);
}

static void test_fork_beside_events(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_subscription made = subscribe(session, 2, 0);
    struct waiter waiter;
    int how = 0;
    pid_t child;

    start(&waiter, session, made);
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ndisbridge_event event;
        uint32_t count = 1;
        int32_t descriptor;
        bool good = ndisbridge_next_events(
                        session, &event, &count, made, 1000)
                == NDISBRIDGE_STATUS_FORKED
            && count == 0
            && ndisbridge_subscribe(session, &made, 1, 0)
                == NDISBRIDGE_STATUS_FORKED
            && ndisbridge_get_subscription_descriptor(
                   session, &descriptor, made)
                == NDISBRIDGE_STATUS_FORKED
            && ndisbridge_unsubscribe(session, made)
                == NDISBRIDGE_STATUS_FORKED
            && ndisbridge_session_destroy(session)
                == NDISBRIDGE_STATUS_SUCCESS;

        check_leave(good ? 0 : 1);
    }
    REQUIRE(waitpid(child, &how, 0) == child);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    ndisbridge_unsubscribe(session, made);
    pthread_join(waiter.thread, NULL);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* A child that was inside an interface that is closing leaves it: no hook of
 * the parent's store is called. */
static void test_fork_beside_closing(void)
{
    struct block_store *store = store_make(16);
    struct store_member member;
    struct nb_interface *interface;
    ndisbridge_session *session;
    ndisbridge_net_luid net_luid;
    uint32_t index, if_index = 0, calls;
    int status = -1;
    pid_t child;

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &index, 1, 0, 0, NULL), SUCCESS);
    net_luid = kit_luid(6, index);
    CHECK_STATUS(kit_register(session, &if_index,
                     kit_provider(session, kit_no_answer, NULL), net_luid, 0,
                     NULL),
        SUCCESS);
    interface = nb_table_find(&session->table, net_luid);
    REQUIRE(nb_interface_enter(interface, net_luid));
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), TIMEOUT);
    calls = member.calls[STORE_UNCONFIRM];
    fflush(stdout);
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        nb_interface_leave(&session->table, interface);
        check_leave(member.calls[STORE_UNCONFIRM] == calls
                && ndisbridge_session_destroy(session)
                    == NDISBRIDGE_STATUS_SUCCESS
            ? 0
            : 1);
    }
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    nb_interface_leave(&session->table, interface);
    CHECK_EQUAL(member.calls[STORE_UNCONFIRM], calls + 1);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

int main(void)
{
    check_begin("test_fork");
    if (!is_wiped()) {
        printf("skipped: the emulator ignores MADV_WIPEONFORK\n");
        return 0;
    }
    test_fork();
    test_fork_beside_waiters();
    test_fork_in_handler();
    test_fork_beside_events();
    test_fork_beside_closing();
    return check_end();
}

#endif
