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
    const TuneOptions *o;
    int graph, turns;
    int ready;            /* the graph that was given inputs last */
    double *seconds;      /* [tile][turn] */
    double before, after; /* of all steps that are products */
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

/* A step that runs a product. */
typedef struct Place {
    int graph;
    uint32_t step, uses; /* the first; how many there are in the graph */
} Place;

static PlanStep *steps_of(const Tune *t, int graph)
{
    return (PlanStep *)t->executor->plan->graphs[graph].steps; /* tune_plan's */
}

/* Of the graph, or else of a copy of it with other choices. */
static bool find_place(const Tune *t, uint32_t kernel, Place *p)
{
    const Plan *plan = t->executor->plan;
    const char *name = plan->graphs[t->graph].name;
    size_t n = strlen(name);
    for (uint32_t i = 0; i < plan->n_graphs; i++) {
        const PlanGraph *g = &plan->graphs[i];
        if (strncmp(g->name, name, n) || (g->name[n] && g->name[n] != '.'))
            continue;
        *p = (Place){.graph = (int)i};
        for (uint32_t k = g->n_steps; k-- > 0;)
            if (g->steps[k].kernel == kernel) {
                p->step = k;
                p->uses++;
            }
        if (p->uses)
            return true;
    }
    return false;
}

/* All that comes before it, so that its operands are in memory.  Not the graph
 * as a whole: how that runs would be kept, and tiles will change. */
static bool make_ready(Tune *t, const Place *p, Status *s)
{
    Executor *e = t->executor;
    double ignored = 0;
    if (t->ready != p->graph && !t->o->prepare(t->o->context, p->graph, s))
        return false;
    t->ready = p->graph;
    for (uint32_t i = 0; i < p->step; i++)
        if (!e->kind->step(e, p->graph, 0, i, &ignored, s))
            return false;
    return true;
}

/* The first of the few steps that are run again ahead of it: none of cuDNN's,
 * which may work where operands of those before it lay. */
static uint32_t first_before(const Tune *t, const Place *p)
{
    uint32_t first = p->step;
    while (first > 0 && p->step - first < BEFORE &&
           !t->executor->plan->kernels[steps_of(t, p->graph)[first - 1].kernel]
                .conv)
        first--;
    return first;
}

static bool time_once(const Tune *t, const Place *p, double *seconds, Status *s)
{
    double ignored = 0;
    Executor *e = t->executor;
    for (uint32_t i = first_before(t, p); i < p->step; i++)
        if (!e->kind->step(e, p->graph, 0, i, &ignored, s))
            return false;
    *seconds = 0;
    return e->kind->step(e, p->graph, 0, p->step, seconds, s);
}

/* Medians to seconds[tile], of n tiles; the first turn only warms up. */
static bool time_tiles(const Tune *t, const Place *at,
                       const PlanCandidate *tile, uint32_t n, Status *s)
{
    PlanStep *p = &steps_of(t, at->graph)[at->step];
    const PlanStep model = *p;
    bool ok = true;
    for (int turn = -1; ok && turn < t->turns; turn++)
        for (uint32_t i = 0; ok && i < n; i++) {
            double seconds;
            p->kernel = tile[i].kernel;
            p->parts = tile[i].parts;
            ok = time_once(t, at, &seconds, s);
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

/* From now on all graphs run it so. */
static void take_tile(const Tune *t, const PlanCandidate *tile)
{
    const Plan *plan = t->executor->plan;
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        for (uint32_t k = 0; k < plan->graphs[i].n_steps; k++) {
            PlanStep *p = &steps_of(t, (int)i)[k];
            if (p->kernel != tile->instead)
                continue;
            p->kernel = tile->kernel;
            p->parts = tile->parts;
        }
}

/* The best of n tiles of one product, the model's first.  Products of other
 * graphs are left to the model. */
static bool tune_product(Tune *t, const PlanCandidate *tile, uint32_t n,
                         Status *s)
{
    const char *name = t->executor->plan->kernels[tile->instead].name;
    Place at;
    uint32_t best = 0;
    if (!find_place(t, tile->instead, &at))
        return true;
    if (!make_ready(t, &at, s) || !time_tiles(t, &at, tile, n, s))
        return false;
    for (uint32_t i = 1; i < n; i++)
        if (t->seconds[i] < t->seconds[best])
            best = i;
    if (t->seconds[best] > BETTER * t->seconds[0])
        best = 0;
    if (at.graph == t->graph) {
        t->before += at.uses * t->seconds[0];
        t->after += at.uses * t->seconds[best];
        t->products++;
        t->changed += best != 0;
    }
    TileRow row = {.who = "tgc",
                   .best = 1e6 * t->seconds[best],
                   .model = 1e6 * t->seconds[0]};
    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.tile, sizeof row.tile, "%s", tile[best].tile);
    take_tile(t, &tile[best]);
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

bool tune_run(Executor *e, const TuneOptions *o, Status *s)
{
    Tune t = {.executor = e, .o = o, .graph = o->graph, .turns = o->turns};
    t.ready = o->graph;
    bool ok = open_table(&t, o->path, s) && open_times(&t, s) &&
              tune_all(&t, s) && choose_run(e->plan, o, &t.table, s) &&
              tiles_write(&t.table, o->path, s);
    if (ok)
        printf("%d products timed on %s, %d do better in another tile: %.3f ms "
               "a step now, %.3f ms then (written to %s)\n",
               t.products, e->gpu, t.changed, 1e3 * t.before, 1e3 * t.after,
               o->path);
    free(t.seconds);
    tiles_free(&t.table);
    return ok;
}
