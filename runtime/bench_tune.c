/* bench_tune.c: bench --tune: which tile each product of the training step
 * does best with on this GPU (tiles.h).
 *
 * A product is timed where it stands: behind the few steps before it, so that
 * what they wrote is in the cache as far as it would be.  Its tiles take turns,
 * so that a clock that changes changes it for all. */
#include "bench_tune.h"
#include "executor_private.h"
#include "tiles.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEFORE = 3 /* steps run ahead of the one that is timed */ };
static const double BETTER = 0.97; /* of the model's time: less is noise */

typedef struct Tune {
    Executor *executor;
    int graph, turns;
    PlanStep *steps;       /* of the graph */
    const PlanGraph *plan; /* it */
    double *seconds;       /* [tile][turn] */
    double before, after;  /* of all steps that are products */
    int products, changed;
    TileTable table;
} Tune;

/* ---- a copy of the plan whose steps may be changed ---------------------- */

Plan *tune_plan(const Plan *plan, Status *s)
{
    size_t steps = 0;
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        steps += plan->graphs[i].n_steps;
    size_t graphs = plan->n_graphs * sizeof(PlanGraph);
    char *room = malloc(sizeof(Plan) + graphs + steps * sizeof(PlanStep));
    if (!room) {
        status_fail(s, "no memory for %zu steps", steps);
        return NULL;
    }
    Plan *copy = (Plan *)(void *)room;
    PlanGraph *graph = (PlanGraph *)(void *)(copy + 1);
    PlanStep *step = (PlanStep *)(void *)(room + sizeof(Plan) + graphs);
    *copy = *plan;
    copy->graphs = graph;
    for (uint32_t i = 0; i < plan->n_graphs; i++) {
        const PlanGraph *from = &plan->graphs[i];
        graph[i] = *from;
        graph[i].steps = step;
        memcpy(step, from->steps, from->n_steps * sizeof *step);
        step += from->n_steps;
    }
    return copy;
}

/* ---- a product ---------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool time_once(const Tune *t, uint32_t step, double *seconds, Status *s)
{
    double ignored = 0;
    Executor *e = t->executor;
    for (uint32_t i = step > BEFORE ? step - BEFORE : 0; i < step; i++)
        if (!e->kind->step(e, t->graph, 0, i, &ignored, s))
            return false;
    *seconds = 0;
    return e->kind->step(e, t->graph, 0, step, seconds, s);
}

/* Medians to seconds[tile], of n tiles; the first turn only warms up. */
static bool time_tiles(const Tune *t, uint32_t step, const PlanCandidate *tile,
                       uint32_t n, Status *s)
{
    PlanStep *p = &t->steps[step];
    const PlanStep model = *p;
    bool ok = true;
    for (int turn = -1; ok && turn < t->turns; turn++)
        for (uint32_t i = 0; ok && i < n; i++) {
            double seconds;
            p->kernel = tile[i].kernel;
            p->parts = tile[i].parts;
            ok = time_once(t, step, &seconds, s);
            if (turn >= 0)
                t->seconds[i * (uint32_t)t->turns + (uint32_t)turn] = seconds;
        }
    *p = model;
    for (uint32_t i = 0; ok && i < n; i++) {
        double *of = &t->seconds[i * (uint32_t)t->turns];
        qsort(of, (size_t)t->turns, sizeof *of, by_value);
        t->seconds[i] = of[t->turns / 2];
    }
    return ok;
}

/* The best of n tiles of one product, the model's first.  Products of other
 * graphs are left to the model. */
static bool tune_product(Tune *t, const PlanCandidate *tile, uint32_t n,
                         Status *s)
{
    const char *name = t->executor->plan->kernels[tile->instead].name;
    uint32_t first = UINT32_MAX, uses = 0, best = 0;
    for (uint32_t i = t->plan->n_steps; i-- > 0;)
        if (t->steps[i].kernel == tile->instead) {
            first = i;
            uses++;
        }
    if (!uses)
        return true;
    if (!time_tiles(t, first, tile, n, s))
        return false;
    for (uint32_t i = 1; i < n; i++)
        if (t->seconds[i] < t->seconds[best])
            best = i;
    if (t->seconds[best] > BETTER * t->seconds[0])
        best = 0;
    t->before += uses * t->seconds[0];
    t->after += uses * t->seconds[best];
    t->products++;
    t->changed += best != 0;
    TileRow row = {.who = "tgc",
                   .best = 1e6 * t->seconds[best],
                   .model = 1e6 * t->seconds[0]};
    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.tile, sizeof row.tile, "%s", tile[best].tile);
    return tiles_set(&t->table, &row, s);
}

static bool tune_all(Tune *t, Status *s)
{
    const Plan *plan = t->executor->plan;
    const PlanCandidate *c = plan->candidates;
    for (uint32_t i = 0, n; i < plan->n_candidates; i += n) {
        for (n = 1;
             i + n < plan->n_candidates && c[i + n].instead == c[i].instead;)
            n++;
        if (!tune_product(t, &c[i], n, s))
            return false;
    }
    return true;
}

/* ---- the file ----------------------------------------------------------- */

/* What is there already of this GPU stays. */
static bool open_table(Tune *t, const char *path, Status *s)
{
    const Executor *e = t->executor;
    Status why = {0};
    TilesFile found = tiles_read(&t->table, path, &why);
    if (found == TILES_BAD)
        return status_fail(s, "--tune %s: %s (remove it or give another name)",
                           path, why.text);
    if (found == TILES_READ &&
        (strcmp(t->table.device, e->gpu) || strcmp(t->table.arch, e->arch)))
        return status_fail(
            s,
            "--tune %s: it is of another GPU (%s, %s; this is %s, %s): give "
            "another name",
            path, t->table.device, t->table.arch, e->gpu, e->arch);
    snprintf(t->table.device, sizeof t->table.device, "%s", e->gpu);
    snprintf(t->table.arch, sizeof t->table.arch, "%s", e->arch);
    return true;
}

/* All candidates of a product, timed as often as there are turns. */
static bool open_times(Tune *t, Status *s)
{
    size_t n = (size_t)t->executor->plan->n_candidates * (size_t)t->turns;
    t->seconds = calloc(n, sizeof *t->seconds);
    return t->seconds || status_fail(s, "no memory for %zu times", n);
}

bool tune_run(Executor *e, int graph, int turns, const char *path, Status *s)
{
    Tune t = {.executor = e, .graph = graph, .turns = turns};
    t.plan = &e->plan->graphs[graph];
    t.steps = (PlanStep *)t.plan->steps; /* of tune_plan */
    bool ok = open_table(&t, path, s) && open_times(&t, s) && tune_all(&t, s) &&
              tiles_write(&t.table, path, s);
    if (ok)
        printf("%d products timed on %s, %d do better in another tile: %.3f ms "
               "a step now, %.3f ms then (written to %s)\n",
               t.products, e->gpu, t.changed, 1e3 * t.before, 1e3 * t.after,
               path);
    free(t.seconds);
    tiles_free(&t.table);
    return ok;
}
