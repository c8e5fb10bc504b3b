/* target.c: what follows from what a target says. */
#include "target.h"
#include <unistd.h>

enum { PAGE = 4096 };

int64_t target_threads(const Module *m)
{
    double n = settings_number(&m->settings, "threads");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return n >= 1 ? (int64_t)n : cores > 0 ? cores : 1;
}

int64_t target_scratch_all(const Target *t, const Module *m)
{
    return target_threads(m) * (t->scratch(t, m) / PAGE * PAGE + PAGE);
}
