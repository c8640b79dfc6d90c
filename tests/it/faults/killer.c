/* Preloaded into the daemon: kills it just before a certain change of its files, and nothing else.
 *
 * It counts the calls that create, rename, remove, truncate or sync a file or folder below the folder KILL_WITHIN, and
 * kills the process in place of call number KILL_AT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long changes;

static void change(const char *path)
{
    const char *within = getenv("KILL_WITHIN"), *at = getenv("KILL_AT");
    if (within == NULL || at == NULL || path == NULL || strncmp(path, within, strlen(within)) != 0)
        return;
    if (atomic_fetch_add(&changes, 1) + 1 != atol(at))
        return;
    kill(getpid(), SIGKILL);
    pause();
}

static void change_of(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = 0;
    change(path);
}

static int opened(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    if ((flags & O_CREAT) != 0 && access(path, F_OK) != 0)
        change(path);
    return real(path, flags, mode);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;                                  \
        va_end(rest);                                                                                                  \
        return opened(#name, path, flags, mode);                                                                       \
    }

OPEN(open)
OPEN(open64)

#define ON_PATH(name, parameters, arguments, path)                                                                     \
    int name parameters                                                                                                \
    {                                                                                                                  \
        int(*real) parameters = dlsym(RTLD_NEXT, #name);                                                               \
        change(path);                                                                                                  \
        return real arguments;                                                                                         \
    }

#define ON_FILE(name, parameters, arguments, fd)                                                                       \
    int name parameters                                                                                                \
    {                                                                                                                  \
        int(*real) parameters = dlsym(RTLD_NEXT, #name);                                                               \
        change_of(fd);                                                                                                 \
        return real arguments;                                                                                         \
    }

ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode), path)
ON_PATH(rename, (const char *from, const char *to), (from, to), from)
ON_PATH(unlink, (const char *path), (path), path)
ON_PATH(link, (const char *from, const char *to), (from, to), from)
ON_FILE(fsync, (int fd), (fd), fd)
ON_FILE(fdatasync, (int fd), (fd), fd)
ON_FILE(ftruncate, (int fd, off_t length), (fd, length), fd)
ON_FILE(ftruncate64, (int fd, off64_t length), (fd, length), fd)
