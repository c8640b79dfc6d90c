/* Preloaded into a program: sets its wall clock ahead by the number of seconds in the file named by CLOCK. The monotonic
 * clock is not affected.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = real(clock, time);
    const char *name = getenv("CLOCK");
    if (outcome != 0 || clock != CLOCK_REALTIME || name == NULL)
        return outcome;
    FILE *file = fopen(name, "re");
    long ahead;
    if (file == NULL)
        return outcome;
    if (fscanf(file, "%ld", &ahead) == 1)
        time->tv_sec += ahead;
    fclose(file);
    return outcome;
}
