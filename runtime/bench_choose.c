/* bench_choose.c: bench --tune: which convolutions cuDNN does better, and which
 * kernels of ours.
 *
 * The plan has copies of the training step, each of which gives one
 * convolution, or all of them, to the other (codegen/cuda_choice.h).  They are
 * timed as wholes, as they would run, so all that a choice brings with it
 * counts: passes over memory for what is not fused, one launch more, who can
 * run beside whom. Copies take turns, so that a clock that changes changes it
 * for all.
 *
 * One is faster where three quarters of its turns are below three quarters of
 * those of the step as it is. */
#include "bench_tune.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Variant {
    int graph;
    bool cudnn;       /* else ours */
    const char *name; /* of a convolution; "all"; "": the step as it is */
    double *seconds;  /* [turn], in the end sorted */
    double low, median, high;
} Variant;

typedef struct Choose {
    const TuneOptions *o;
    Variant *variant;
    const Variant *base; /* the step as it is; NULL: there is no choice */
    int n;
} Choose;

/* ---- copies ------------------------------------------------------------- */

/* "train.base", "train.cudnn.NAME", "train.tgc.NAME" */
static bool read_variant(const char *graph, Variant *v)
{
    static const char start[] = "train.";
    if (strncmp(graph, start, sizeof start - 1))
        return false;
    const char *who = graph + sizeof start - 1;
    const char *name = strchr(who, '.');
    v->cudnn = name && !strncmp(who, "cudnn.", 6);
    v->name = name ? name + 1 : "";
    return true;
}

static bool choose_open(Choose *c, const Plan *plan, Status *s)
{
    size_t turns = (size_t)c->o->turns;
    c->variant = calloc(plan->n_graphs + 1u, sizeof *c->variant);
    double *seconds = calloc((plan->n_graphs + 1u) * turns, sizeof *seconds);
    if (!c->variant || !seconds) {
        free(seconds);
        return status_fail(s, "no memory for %u times", plan->n_graphs);
    }
    c->variant[0].seconds = seconds; /* who owns them */
    for (uint32_t i = 0; i < plan->n_graphs; i++) {
        Variant *v = &c->variant[c->n];
        if (!read_variant(plan->graphs[i].name, v))
            continue;
        v->graph = (int)i;
        v->seconds = seconds + (size_t)c->n++ * turns;
        if (!*v->name)
            c->base = v;
    }
    return true;
}

static void choose_close(Choose *c)
{
    free(c->variant ? c->variant[0].seconds : NULL);
    free(c->variant);
}

/* ---- timing ------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool time_all(const Choose *c, Status *s)
{
    int turns = c->o->turns;
    for (int i = 0; i < c->n; i++)
        if (!c->o->prepare(c->o->context, c->variant[i].graph, s))
            return false;
    for (int turn = 0; turn < turns; turn++)
        for (int i = 0; i < c->n; i++)
            if (!c->o->steps(c->o->context, c->variant[i].graph,
                             &c->variant[i].seconds[turn], s))
                return false;
    for (int i = 0; i < c->n; i++) {
        Variant *v = &c->variant[i];
        qsort(v->seconds, (size_t)turns, sizeof *v->seconds, by_value);
        v->low = v->seconds[turns / 4];
        v->median = v->seconds[turns / 2];
        v->high = v->seconds[turns - 1 - turns / 4];
    }
    return true;
}

/* ---- choosing ----------------------------------------------------------- */

static bool is_all(const Variant *v)
{
    return !strcmp(v->name, "all");
}

static bool is_faster(const Choose *c, const Variant *v)
{
    return v->high < c->base->low;
}

/* The one that gives all convolutions to one, where that is faster than what
 * the single ones come to; or NULL. */
static const Variant *best_of_all(const Choose *c)
{
    const Variant *best = NULL;
    double single = c->base->median;
    for (int i = 0; i < c->n; i++) {
        const Variant *v = &c->variant[i];
        if (v != c->base && !is_all(v) && is_faster(c, v))
            single -= c->base->median - v->median;
    }
    for (int i = 0; i < c->n; i++) {
        const Variant *v = &c->variant[i];
        if (is_all(v) && is_faster(c, v) && v->median < single) {
            best = v;
            single = v->median;
        }
    }
    return best;
}

/* v: the copy in which this convolution is the other's. */
static bool set_row(const Choose *c, const Variant *v, const Variant *all,
                    TileTable *t, Status *s)
{
    bool other = all ? all->cudnn == v->cudnn : is_faster(c, v);
    const Variant *with = all ? all : other ? v : c->base;
    TileRow row = {.best = 1e6 * with->median,
                   .model = 1e6 * (all || other ? c->base : v)->median};
    snprintf(row.tile, sizeof row.tile, "%s", all ? "all" : "-");
    snprintf(row.name, sizeof row.name, "%s", v->name);
    snprintf(row.who, sizeof row.who, "%s",
             other == v->cudnn ? "cudnn" : "tgc");
    return tiles_set(t, &row, s);
}

static bool set_rows(const Choose *c, TileTable *t, Status *s)
{
    const Variant *all = best_of_all(c);
    int n = 0, cudnn = 0;
    for (int i = 0; i < c->n; i++) {
        const Variant *v = &c->variant[i];
        if (v == c->base || is_all(v))
            continue;
        if (!set_row(c, v, all, t, s))
            return false;
        n++;
        cudnn += !strcmp(tiles_find(t, v->name)->who, "cudnn");
    }
    printf("%d convolution%s timed, %d of them for cuDNN: a step of %.3f ms as "
           "it was%s\n",
           n, n == 1 ? "" : "s", cudnn, 1e3 * c->base->median,
           !all         ? ""
           : all->cudnn ? ", less with all of them cuDNN's"
                        : ", less with none of them cuDNN's");
    return true;
}

bool choose_run(const Plan *plan, const TuneOptions *o, TileTable *t, Status *s)
{
    Choose c = {.o = o};
    bool ok = choose_open(&c, plan, s) &&
              (!c.base || (time_all(&c, s) && set_rows(&c, t, s)));
    choose_close(&c);
    return ok;
}
