/* What differs on another machine, for a process that has this preloaded: its clock, and the file system that it shares. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A clock that is CLOCK_AHEAD seconds ahead. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    const char *ahead = getenv("CLOCK_AHEAD");
    if (syscall(SYS_clock_gettime, clock, time) != 0)
        return -1;
    if (ahead && clock == CLOCK_REALTIME)
        time->tv_sec += atol(ahead);
    return 0;
}

/* With NO_LOCKS, a file system that knows no locks. */
int flock(int file, int operation) {
    if (getenv("NO_LOCKS")) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(SYS_flock, file, operation);
}
