/* SPDX-License-Identifier: MIT */
/*
 * Preloaded: writes down, in the order in which they return, the calls that
 * change the files of one directory (RECORDER_DIRECTORY, no "/" at its end)
 * or make them durable, with marks of the program between them, into
 * RECORDER_LOG.  With RECORDER_KILL=N the process kills itself after the Nth.
 *
 * A record is a head and then a name and data; see power_cut.py.  What can
 * change a file and is not handled here is recorded as unknown, so that
 * nobody takes the record for whole.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum operation {
    OPENED = 1,   /* offset: the flags */
    WRITTEN,
    TRUNCATED,
    SYNCED,
    DIRECTORY_SYNCED,
    UNLINKED,
    RENAMED,      /* data: the new name */
    MARKED,
    UNKNOWN,
    DIRECTORY_MADE,
};

struct head {
    uint32_t operation;
    uint32_t name_size;
    uint64_t inode;
    uint64_t offset;
    uint64_t data_size;
};

#define FILES 1024

static char directory[4096];
static size_t directory_size;
static int log_fd = -1;
static long kill_at = -1;
static atomic_long recorded;
/* By descriptor: the inode of a file of the directory, DIRECTORY itself. */
static _Atomic uint64_t inodes[FILES];
#define DIRECTORY UINT64_MAX
/* Also orders the calls of threads, as the records are. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define NEXT(name)                                                            \
    static __typeof__(name) *next;                                            \
    if (!next)                                                                \
        next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("RECORDER_LOG");
    const char *where = getenv("RECORDER_DIRECTORY");
    const char *number = getenv("RECORDER_KILL");

    if (!log || !where || strlen(where) >= sizeof directory)
        return;
    strcpy(directory, where);
    directory_size = strlen(directory);
    if (number)
        kill_at = atol(number);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, log,
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(enum operation operation, uint64_t inode, uint64_t offset,
                   const char *name, const void *data, size_t size)
{
    struct head head = { operation, name ? (uint32_t)strlen(name) : 0, inode,
                         offset, size };
    const struct iovec parts[] = { { &head, sizeof head },
                                   { (void *)(uintptr_t)name,
                                     head.name_size },
                                   { (void *)(uintptr_t)data, size } };
    size_t whole = sizeof head + head.name_size + size;

    if (syscall(SYS_writev, log_fd, parts, 3) != (long)whole)
        abort();
    if (atomic_fetch_add(&recorded, 1) + 1 == kill_at)
        raise(SIGKILL);
}

/* For the program: what was done so far was answered. */
void recorder_mark(const char *text)
{
    if (log_fd >= 0)
        record(MARKED, 0, 0, NULL, text, strlen(text));
}

/* The name inside the directory; "" for itself; NULL for any other. */
static const char *inside(const char *path)
{
    if (log_fd < 0 || strncmp(path, directory, directory_size) != 0)
        return NULL;
    if (!path[directory_size])
        return "";
    return path[directory_size] == '/' ? path + directory_size + 1 : NULL;
}

static uint64_t inode_of(int fd)
{
    return fd >= 0 && fd < FILES ? inodes[fd] : 0;
}

static int note_open(int fd, const char *path, int flags)
{
    const char *name = inside(path);
    struct stat found;

    if (fd < 0)
        return fd;
    if (fd >= FILES)
        abort();
    inodes[fd] = 0;
    if (name && fstat(fd, &found) == 0) {
        inodes[fd] = *name ? found.st_ino : DIRECTORY;
        if (*name)
            record(OPENED, found.st_ino, (uint64_t)(unsigned)flags, name,
                   NULL, 0);
    }
    return fd;
}

#define OPEN(name)                                                            \
    int name(const char *path, int flags, ...)                                \
    {                                                                         \
        va_list rest;                                                         \
        unsigned mode;                                                        \
        NEXT(name);                                                           \
        va_start(rest, flags);                                                \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, unsigned) : 0;    \
        va_end(rest);                                                         \
        return note_open(next(path, flags, mode), path, flags);               \
    }

OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                          \
    int name(int at, const char *path, int flags, ...)                        \
    {                                                                         \
        va_list rest;                                                         \
        unsigned mode;                                                        \
        NEXT(name);                                                           \
        va_start(rest, flags);                                                \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, unsigned) : 0;    \
        va_end(rest);                                                         \
        return note_open(next(at, path, flags, mode), path, flags);           \
    }

OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
    NEXT(close);
    if (fd >= 0 && fd < FILES)
        inodes[fd] = 0;
    return next(fd);
}

#define PWRITE(name, type)                                                    \
    ssize_t name(int fd, const void *data, size_t size, type offset)          \
    {                                                                         \
        uint64_t inode = inode_of(fd);                                        \
        ssize_t done;                                                         \
        NEXT(name);                                                           \
        if (!inode)                                                           \
            return next(fd, data, size, offset);                              \
        pthread_mutex_lock(&lock);                                            \
        done = next(fd, data, size, offset);                                  \
        if (done > 0)                                                         \
            record(WRITTEN, inode, (uint64_t)offset, NULL, data,              \
                   (size_t)done);                                             \
        pthread_mutex_unlock(&lock);                                          \
        return done;                                                          \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size)
{
    uint64_t inode = inode_of(fd);
    ssize_t done;
    off64_t offset;
    NEXT(write);
    if (!inode)
        return next(fd, data, size);
    pthread_mutex_lock(&lock);
    offset = lseek64(fd, 0, SEEK_CUR);
    done = next(fd, data, size);
    if (done > 0)
        record(WRITTEN, inode, (uint64_t)offset, NULL, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

#define FTRUNCATE(name, type)                                                 \
    int name(int fd, type size)                                               \
    {                                                                         \
        uint64_t inode = inode_of(fd);                                        \
        int result;                                                           \
        NEXT(name);                                                           \
        if (!inode)                                                           \
            return next(fd, size);                                            \
        pthread_mutex_lock(&lock);                                            \
        result = next(fd, size);                                              \
        if (!result)                                                          \
            record(TRUNCATED, inode, (uint64_t)size, NULL, NULL, 0);          \
        pthread_mutex_unlock(&lock);                                          \
        return result;                                                        \
    }

FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

/* Only what was written before the call is durable after it. */
#define SYNC(name)                                                            \
    int name(int fd)                                                          \
    {                                                                         \
        uint64_t inode = inode_of(fd);                                        \
        int result;                                                           \
        NEXT(name);                                                           \
        if (!inode)                                                           \
            return next(fd);                                                  \
        pthread_mutex_lock(&lock);                                            \
        result = next(fd);                                                    \
        if (!result)                                                          \
            record(inode == DIRECTORY ? DIRECTORY_SYNCED : SYNCED, inode, 0,  \
                   NULL, NULL, 0);                                            \
        pthread_mutex_unlock(&lock);                                          \
        return result;                                                        \
    }

SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path)
{
    const char *name = inside(path);
    int result;
    NEXT(unlink);
    pthread_mutex_lock(&lock);
    result = next(path);
    if (!result && name)
        record(UNLINKED, 0, 0, name, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlinkat(int at, const char *path, int flags)
{
    const char *name = inside(path);
    int result;
    NEXT(unlinkat);
    result = next(at, path, flags);
    if (!result && name)
        record(UNLINKED, 0, 0, name, NULL, 0);
    return result;
}

int rename(const char *from, const char *to)
{
    const char *old = inside(from);
    const char *name = inside(to);
    int result;
    NEXT(rename);
    result = next(from, to);
    if (!result && (old || name))
        record(old && name ? RENAMED : UNKNOWN, 0, 0, old ? old : "rename",
               name, name ? strlen(name) : 0);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    const char *name = inside(path);
    int result;
    NEXT(mkdir);
    result = next(path, mode);
    if (!result && name)
        record(DIRECTORY_MADE, 0, 0, name, NULL, 0);
    return result;
}

static void unknown(int fd, const char *call)
{
    if (inode_of(fd))
        record(UNKNOWN, inode_of(fd), 0, call, NULL, 0);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    NEXT(writev);
    unknown(fd, "writev");
    return next(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    NEXT(pwritev);
    unknown(fd, "pwritev");
    return next(fd, parts, count, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    NEXT(fallocate);
    unknown(fd, "fallocate");
    return next(fd, mode, offset, size);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    NEXT(posix_fallocate);
    unknown(fd, "posix_fallocate");
    return next(fd, offset, size);
}

int dup(int fd)
{
    NEXT(dup);
    unknown(fd, "dup");
    return next(fd);
}
