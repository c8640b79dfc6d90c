/* Preloaded into the daemon: makes writes and syncs of its files fail on command, and nothing else.
 *
 * The file named by FAULTS is read at every such call. Each line has the call ("write" or "sync"), the fault ("error"
 * with an errno, "short" with the most bytes to write or 0 for half of them, "delay" with milliseconds, or "hang" with
 * any number, until the line is removed), and a part of the path of the affected files. Only files of the audit log are
 * affected, unless that part begins with a slash.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum effect { NONE, ERROR, SHORT };

static enum effect fault(const char *call, int fd, int *number)
{
    char link[64], path[4096], line[512], on[16], effect[16], part[256];
    const char *faults = getenv("FAULTS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (faults == NULL || length < 0)
        return NONE;
    path[length] = 0;
    enum effect found = NONE;
    int hangs;
again:
    hangs = 0;
    FILE *file = fopen(faults, "re");
    if (file == NULL)
        return NONE;
    while (found == NONE && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%15s %15s %d %255s", on, effect, number, part) != 4)
            continue;
        if (strcmp(on, call) != 0 || strstr(path, part) == NULL)
            continue;
        if (part[0] != '/' && strstr(path, "/audit") == NULL)
            continue;
        if (strcmp(effect, "hang") == 0) {
            hangs = 1;
            break;
        }
        if (strcmp(effect, "delay") == 0) {
            struct timespec time = { *number / 1000, *number % 1000 * 1000000L };
            nanosleep(&time, NULL);
        } else if (strcmp(effect, "short") == 0) {
            found = SHORT;
        } else {
            found = ERROR;
        }
    }
    fclose(file);
    if (hangs) {
        struct timespec time = { 0, 10 * 1000000L };
        nanosleep(&time, NULL);
        goto again;
    }
    if (found == ERROR)
        errno = *number;
    return found;
}

static ssize_t faulty_write(const char *name, int fd, const void *bytes, size_t count, off64_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, name);
    int number = 0;
    switch (fault("write", fd, &number)) {
    case ERROR:
        return -1;
    case SHORT:
        /* Large writes are of zeros, and would take too long in small pieces. */
        if (number == 0 || count > 65536)
            count = (count + 1) / 2;
        else if (count > (size_t)number)
            count = (size_t)number;
        return real(fd, bytes, count, offset);
    default:
        return real(fd, bytes, count, offset);
    }
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return faulty_write("pwrite", fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    return faulty_write("pwrite64", fd, bytes, count, offset);
}

static int faulty_sync(const char *name, int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    int number = 0;
    return fault("sync", fd, &number) == ERROR ? -1 : real(fd);
}

int fdatasync(int fd)
{
    return faulty_sync("fdatasync", fd);
}

int fsync(int fd)
{
    return faulty_sync("fsync", fd);
}
