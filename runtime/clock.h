/* clock.h: seconds that only go forward, and those of this thread alone. */
#ifndef TGC_CLOCK_H
#define TGC_CLOCK_H

#include <time.h>

static inline double clock_of(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline double clock_now(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

/* Seconds that this thread has run: what others run meanwhile is not in it. */
static inline double clock_used(void)
{
    return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

#endif
