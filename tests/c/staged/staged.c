/* SPDX-License-Identifier: MIT
 *
 * staged.c - see staged.h.  The calls of the system come here by the
 * linker's --wrap, whose names are __wrap_ and __real_.
 */
#define STAGED_ITSELF
#include "staged.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- acts between steps ------------------------------------------------ */

_Thread_local struct staged_act staged_act;
static _Thread_local uint32_t locked;

void staged_begin(
    void (*act)(void *context), void *context, uint32_t at, bool while_locked)
{
    staged_act = (struct staged_act) { .act = act,
        .context = context,
        .at = at,
        .while_locked = while_locked };
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
    if (staged_act.act == NULL || (locked > 0 && !staged_act.while_locked))
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

static _Thread_local struct {
    enum staged_call call;
    uint32_t at, times, calls, failed;
    int error;
} failure;

void staged_fail(
    enum staged_call call, uint32_t at, uint32_t times, int error)
{
    failure.call = call;
    failure.at = at;
    failure.times = times;
    failure.calls = failure.failed = 0;
    failure.error = error;
}

uint32_t staged_failed(void)
{
    failure.call = STAGED_NONE;
    return failure.failed;
}

static bool fails(enum staged_call call)
{
    if (call != failure.call || ++failure.calls < failure.at
        || (failure.times != 0 && failure.failed >= failure.times))
        return false;
    failure.failed++;
    errno = failure.error;
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
    (fds, count, timeout), failure.error == 0 ? 0 : -1)
WRAP(STAGED_RECVMSG, ssize_t, recvmsg,
    (int fd, struct msghdr *message, int flags), (fd, message, flags), -1)
WRAP(STAGED_SENDMSG, ssize_t, sendmsg,
    (int fd, const struct msghdr *message, int flags), (fd, message, flags),
    -1)
WRAP(STAGED_MUTEX_INIT, int, pthread_mutex_init,
    (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes),
    (mutex, attributes), failure.error)
WRAP(STAGED_CONDATTR_INIT, int, pthread_condattr_init,
    (pthread_condattr_t * attributes), (attributes), failure.error)
WRAP(STAGED_CONDATTR_SETCLOCK, int, pthread_condattr_setclock,
    (pthread_condattr_t * attributes, clockid_t clock), (attributes, clock),
    failure.error)
WRAP(STAGED_COND_INIT, int, pthread_cond_init,
    (pthread_cond_t * condition, const pthread_condattr_t *attributes),
    (condition, attributes), failure.error)
WRAP(STAGED_MMAP, void *, mmap,
    (void *at, size_t size, int protection, int flags, int fd, off_t offset),
    (at, size, protection, flags, fd, offset), MAP_FAILED)
WRAP(STAGED_MADVISE, int, madvise, (void *at, size_t size, int advice),
    (at, size, advice), -1)
WRAP(STAGED_MEMALIGN, int, posix_memalign,
    (void **memory, size_t alignment, size_t size), (memory, alignment, size),
    failure.error)
WRAP(STAGED_MALLOC, void *, malloc, (size_t size), (size), NULL)
WRAP(STAGED_EVENTFD, int, eventfd, (unsigned int value, int flags),
    (value, flags), -1)
WRAP(STAGED_READ, ssize_t, read, (int fd, void *bytes, size_t size),
    (fd, bytes, size), -1)
WRAP(STAGED_WRITE, ssize_t, write, (int fd, const void *bytes, size_t size),
    (fd, bytes, size), -1)

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    if (fails(STAGED_CLOCK))
        now->tv_sec += failure.error / 1000;
    return result;
}
