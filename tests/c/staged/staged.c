/* SPDX-License-Identifier: MIT
 *
 * staged.c - see staged.h.  The calls of the system come here by the
 * linker's --wrap, whose names are __wrap_ and __real_.
 */
#define STAGED_ITSELF
#include "staged.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- acts between steps ------------------------------------------------ */

_Thread_local struct staged_act staged_act;
static _Thread_local uint32_t locked;

void staged_begin(
    void (*act)(void *context), void *context, uint32_t at, uint32_t most)
{
    staged_act = (struct staged_act) { .act = act,
        .context = context,
        .at = at,
        .locked = most };
}

bool staged_end(void)
{
    staged_act.act = NULL;
    return staged_act.done;
}

static void act_now(void)
{
    void (*act)(void *) = staged_act.act;

    staged_act.act = NULL;
    staged_act.done = true;
    act(staged_act.context);
}

void staged_step(void)
{
    if (staged_act.act == NULL || locked > staged_act.locked)
        return;
    if (++staged_act.steps == staged_act.at)
        act_now();
}

int staged_lock(pthread_mutex_t *mutex)
{
    int error;

    staged_step();
    error = pthread_mutex_lock(mutex);
    locked++;
    return error;
}

int staged_unlock(pthread_mutex_t *mutex)
{
    locked--;
    return pthread_mutex_unlock(mutex);
}

int staged_wait(pthread_cond_t *condition, pthread_mutex_t *mutex,
    const struct timespec *deadline)
{
    if (staged_act.act == NULL || locked > 1)
        return pthread_cond_timedwait(condition, mutex, deadline);
    staged_unlock(mutex);
    act_now();
    pthread_mutex_lock(mutex);
    locked++;
    return 0;
}

/* ---- calls that fail --------------------------------------------------- */

static _Thread_local struct failure {
    uint32_t at, times, calls, failed;
    bool set;
    int error;
} failures[STAGED_CALLS];

void staged_fail(
    enum staged_call call, uint32_t at, uint32_t times, int error)
{
    failures[call] = (struct failure) {
        .at = at, .times = times, .set = true, .error = error
    };
}

static bool fails(enum staged_call call)
{
    struct failure *failure = &failures[call];

    if (!failure->set || ++failure->calls < failure->at
        || (failure->times != 0 && failure->failed >= failure->times))
        return false;
    failure->failed++;
    errno = failure->error;
    return true;
}

#define WRAP(call, type, name, parameters, arguments, failing) \
    type __real_##name parameters; \
    type __wrap_##name parameters; \
    type __wrap_##name parameters \
    { \
        return fails(call) ? (failing) : __real_##name arguments; \
    }

WRAP(STAGED_SOCKET, int, socket, (int family, int type, int protocol),
    (family, type, protocol), -1)
WRAP(STAGED_SETSOCKOPT, int, setsockopt,
    (int fd, int level, int name, const void *value, socklen_t size),
    (fd, level, name, value, size), -1)
WRAP(STAGED_BIND, int, bind,
    (int fd, const struct sockaddr *address, socklen_t size),
    (fd, address, size), -1)
WRAP(STAGED_POLL, int, poll, (struct pollfd *fds, nfds_t count, int timeout),
    (fds, count, timeout), errno == 0 ? 0 : -1)
WRAP(STAGED_MUTEX_INIT, int, pthread_mutex_init,
    (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes),
    (mutex, attributes), errno)
WRAP(STAGED_CONDATTR_INIT, int, pthread_condattr_init,
    (pthread_condattr_t * attributes), (attributes), errno)
WRAP(STAGED_CONDATTR_SETCLOCK, int, pthread_condattr_setclock,
    (pthread_condattr_t * attributes, clockid_t clock), (attributes, clock),
    errno)
WRAP(STAGED_COND_INIT, int, pthread_cond_init,
    (pthread_cond_t * condition, const pthread_condattr_t *attributes),
    (condition, attributes), errno)
WRAP(STAGED_MMAP, void *, mmap,
    (void *at, size_t size, int protection, int flags, int fd, off_t offset),
    (at, size, protection, flags, fd, offset), MAP_FAILED)
WRAP(STAGED_MADVISE, int, madvise, (void *at, size_t size, int advice),
    (at, size, advice), -1)
WRAP(STAGED_MEMALIGN, int, posix_memalign,
    (void **memory, size_t alignment, size_t size), (memory, alignment, size),
    errno)
WRAP(STAGED_MALLOC, void *, malloc, (size_t size), (size), NULL)
WRAP(STAGED_EVENTFD, int, eventfd, (unsigned int value, int flags),
    (value, flags), -1)

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    if (fails(STAGED_CLOCK))
        now->tv_sec += failures[STAGED_CLOCK].error;
    return result;
}

/* ---- netlink ----------------------------------------------------------- */

static _Thread_local struct answer {
    uint32_t at, sequence;
    uint8_t bytes[16384];
    size_t size;
    bool sent;
} answer;

void staged_answer(uint32_t at, const void *bytes, size_t size)
{
    answer.at = at;
    answer.size = size;
    answer.sent = false;
    memcpy(answer.bytes, bytes, size);
}

uint32_t staged_failed(void)
{
    uint32_t failed = 0;

    for (uint32_t i = 0; i < STAGED_CALLS; i++) {
        failed += failures[i].failed;
        failures[i].set = false;
        failures[i].failed = 0;
    }
    answer.at = 0;
    return failed;
}

static size_t copy_answer(const struct msghdr *to)
{
    uint8_t *bytes = to->msg_iov[0].iov_base;
    struct nlmsghdr header;

    memcpy(bytes, answer.bytes, answer.size);
    for (size_t at = 0; at + sizeof header <= answer.size;
         at += NLMSG_ALIGN(header.nlmsg_len)) {
        memcpy(&header, bytes + at, sizeof header);
        header.nlmsg_seq = answer.sequence;
        memcpy(bytes + at, &header, sizeof header);
    }
    answer.sent = false;
    return answer.size;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct nlmsghdr header;

    if (fails(STAGED_SENDMSG))
        return -1;
    if (answer.at == 0 || --answer.at > 0)
        return __real_sendmsg(fd, message, flags);
    memcpy(&header, message->msg_iov[0].iov_base, sizeof header);
    answer.sequence = header.nlmsg_seq;
    answer.sent = true;
    return (ssize_t)header.nlmsg_len;
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t received;
    bool harmed = false;
    struct nlmsghdr header;

    if (answer.sent)
        return (ssize_t)copy_answer(message);
    if (fails(STAGED_RECVMSG)) {
        if (errno < STAGED_TRUNCATED)
            return -1;
        harmed = true;
    }
    received = __real_recvmsg(fd, message, flags);
    if (!harmed || received < (ssize_t)sizeof header)
        return received;
    memcpy(&header, message->msg_iov[0].iov_base, sizeof header);
    if (failures[STAGED_RECVMSG].error == STAGED_TRUNCATED)
        message->msg_flags |= MSG_TRUNC;
    else if (failures[STAGED_RECVMSG].error == STAGED_MALFORMED)
        header.nlmsg_len = 3;
    else
        header.nlmsg_flags |= NLM_F_DUMP_INTR;
    memcpy(message->msg_iov[0].iov_base, &header, sizeof header);
    return received;
}
