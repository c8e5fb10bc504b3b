/* bench_time.c: bench --time: how long single steps of the training plan take,
 * so that a step of any model made of the same kernels can be added up.
 *
 * A step is run behind the few that come before it, so that what they wrote is
 * where it will be in a real run; and before them the caches are emptied, as
 * the plan's other values would, so that what was written long ago is not.
 * Memory is taken as it is used: the
 * plan may be larger than the machine. */
#include "clock.h"
#include "commands.h"
#include "executor_private.h"
#include "number.h"
#include "session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BEFORE = 3, /* steps run ahead of the one that is timed */
    TURNS = 5,  /* the median of so many counts */
    TURNS_LEAST = 3,
    STALE_MOST = 96 << 20 /* bytes that empty any cache */
};
static const double LONG_STEP = 0.05; /* seconds: TURNS_LEAST will do */

typedef struct Timing {
    Session session;
    int graph;
    const PlanGraph *plan;
    char *stale; /* as large as the plan, up to STALE_MOST */
    size_t n_stale;
} Timing;

/* Pages that nobody wrote to are all the same one: write to those that the
 * steps read. */
static void fill_operands(const Timing *t, uint32_t first, uint32_t last)
{
    char *arena = t->session.executor->arena;
    for (uint32_t i = first; i <= last; i++) {
        const PlanStep *s = &t->plan->steps[i];
        for (uint32_t k = 0; k < s->n_args; k++) {
            const PlanBuffer *b = &t->plan->buffers[t->plan->args[s->arg + k]];
            memset(arena + b->offset, 0, (size_t)b->bytes);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool time_step(const Timing *t, uint32_t step, double *median, Status *s)
{
    double seconds[TURNS];
    uint32_t first = step > BEFORE ? step - BEFORE : 0;
    int n = 0, turns = TURNS;
    fill_operands(t, first, step);
    while (n < turns) {
        memset(t->stale, n, t->n_stale);
        if (!executor_time(t->session.executor, t->graph, first, step,
                           &seconds[n], s))
            return false;
        if (seconds[n++] > LONG_STEP)
            turns = TURNS_LEAST;
    }
    qsort(seconds, (size_t)n, sizeof *seconds, by_value);
    *median = seconds[n / 2];
    return true;
}

/* "train:" */
static bool time_graph(Timing *t, const char *list, int n, Status *s)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", n, list);
    if (!session_graph(&t->session, name, &t->graph, s))
        return false;
    t->plan = &t->session.plan->graphs[t->graph];
    return true;
}

/* "train:3,17": a line "step 3 0.00123" for each. */
static bool time_steps(Timing *t, const char *list, Status *s)
{
    int name = (int)strcspn(list, ":");
    if (!time_graph(t, list, name, s))
        return false;
    list += name + (list[name] == ':');
    while (*list) {
        char word[32];
        int64_t step = -1;
        double seconds;
        int n = (int)strcspn(list, ",");
        snprintf(word, sizeof word, "%.*s", n, list);
        if (!number_int(word, &step) || step < 0 || step >= t->plan->n_steps)
            return status_fail(s, "--time: there is no step %s, there are %u",
                               word, t->plan->n_steps);
        if (!time_step(t, (uint32_t)step, &seconds, s))
            return false;
        printf("step %lld %.9f\n", (long long)step, seconds);
        fflush(stdout);
        list += n + (list[n] == ',');
    }
    return true;
}

static bool time_run(Timing *t, Status *s)
{
    int64_t bytes = t->session.plan->arena_bytes;
    if (!session_executor_sparse(&t->session, s))
        return false;
    t->n_stale = bytes < STALE_MOST ? (size_t)bytes + 1 : STALE_MOST;
    t->stale = malloc(t->n_stale);
    if (!t->stale)
        return status_fail(s, "no memory to empty the caches with");
    return time_steps(t, t->session.options->time, s);
}

int command_time(const Plan *plan, const Options *o, Status *s)
{
    Timing t = {0};
    bool done = session_open(&t.session, plan, o, s) && time_run(&t, s);
    session_close(&t.session);
    free(t.stale);
    return done ? 0 : 1;
}
