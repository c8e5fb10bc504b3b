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

int64_t target_tables(const Target *t, const Graph *g)
{
    Arena *a = arena_new();
    int64_t bytes = t->step_bytes * graph_steps(g, a).n;
    arena_free(a);
    return bytes;
}

int64_t target_program(const Target *t, const Module *m)
{
    int64_t bytes = t->program_bytes + t->state_bytes * (int64_t)m->n_states;
    for (size_t i = 0; i < m->n_graphs; i++)
        bytes += target_tables(t, m->graph[i]);
    return bytes;
}
