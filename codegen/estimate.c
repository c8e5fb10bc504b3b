/* estimate.c: see estimate.h. */
#include "estimate.h"
#include "process.h"
#include "program.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STEPS_A_RUN = 24, LIST_SIZE = STEPS_A_RUN * 12 + 32 };
static const double SECONDS_MOST = 50; /* of measuring a model */

typedef struct Unknown {
    uint32_t step; /* the first of its kind */
    StepKey key;
    double modelled; /* seconds of all of its kind */
} Unknown;

typedef struct Measuring {
    const CodegenOptions *o;
    const Module *module;
    Program *program;
    const ProgramGraph *graph;
    Calibration *calibration;
    Arena *arena;
    int threads;
    Unknown *unknown; /* of the graph */
    size_t n, cap;
    const char *folder, *log;
    char *binary;
    sigset_t signals;
    Error *error;
} Measuring;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what is known ------------------------------------------------------- */

static StepKey key_of(const Measuring *x, uint32_t i)
{
    return step_key(x->program->kernels, &x->graph->run[i].code, x->o->march,
                    x->threads);
}

static double modelled(const Measuring *x, uint32_t i)
{
    StepCost c = step_cost(x->graph->g, x->graph->run[i].step);
    return step_roofline(&c, &cpu_rates);
}

typedef struct UnknownKey {
    const Measuring *x;
    StepKey key;
} UnknownKey;

static bool same_unknown(const void *key, uint32_t id)
{
    const UnknownKey *k = key;
    const StepKey *a = &k->x->unknown[id - 1].key;
    return a->a == k->key.a && a->b == k->key.b;
}

static int by_modelled(const void *a, const void *b)
{
    const Unknown *x = a, *y = b;
    if (x->modelled != y->modelled)
        return x->modelled > y->modelled ? -1 : 1;
    return x->step < y->step ? -1 : x->step > y->step;
}

/* Those that weigh most first: time may run out. */
static void find_unknown(Measuring *x)
{
    HashTable table = {0};
    for (uint32_t i = 0; i < x->graph->n_run; i++) {
        double seconds;
        StepKey key = key_of(x, i);
        if (calibration_find(x->calibration, key, &seconds))
            continue;
        uint32_t id =
            hash_find(&table, key.a, same_unknown, &(UnknownKey){x, key});
        if (!id) {
            ARENA_PUSH(x->arena, x->unknown, x->n, x->cap,
                       ((Unknown){i, key, 0}));
            id = (uint32_t)x->n;
            hash_add(&table, x->arena, key.a, id);
        }
        x->unknown[id - 1].modelled += modelled(x, i);
    }
    if (x->n)
        qsort(x->unknown, x->n, sizeof *x->unknown, by_modelled);
}

/* ---- timing the rest ----------------------------------------------------- */

static bool make_folder(Measuring *x)
{
    x->folder = process_folder(x->arena, x->error);
    if (!x->folder)
        return false;
    x->binary = arena_printf(x->arena, "%s/steps", x->folder);
    x->log = arena_printf(x->arena, "%s/log", x->folder);
    return true;
}

static void remove_folder(const Measuring *x)
{
    unlink(x->binary);
    unlink(x->log);
    rmdir(x->folder);
}

/* "step 17 0.00123" for each of unknown[from .. to-1], in order. */
static bool read_times(Measuring *x, size_t from, size_t to)
{
    char line[256];
    FILE *f = fopen(x->log, "r");
    size_t i = from;
    while (f && i < to && fgets(line, sizeof line, f)) {
        uint32_t step;
        double seconds;
        if (sscanf(line, "step %" SCNu32 " %lf", &step, &seconds) == 2 &&
            step == x->unknown[i].step)
            calibration_add(x->calibration, x->unknown[i++].key, seconds);
    }
    if (f)
        fclose(f);
    return i == to || error_set(x->error, "the program that times kernels "
                                          "said something else");
}

static bool time_some(Measuring *x, size_t from, size_t to)
{
    char list[LIST_SIZE], threads[32];
    int failed;
    int used = snprintf(list, sizeof list, "%s:", x->graph->g->name);
    for (size_t i = from; i < to; i++)
        used += snprintf(list + used, sizeof list - (size_t)used, "%s%u",
                         i > from ? "," : "", x->unknown[i].step);
    snprintf(threads, sizeof threads, "%d", x->threads);
    char *argv[] = {x->binary,   "bench", "--time", list,
                    "--threads", threads, NULL};
    Command command = {.argv = argv, .log = x->log};
    unlink(x->log);
    return process_run(&command, 1, 1, &x->signals, &failed, x->error) &&
           read_times(x, from, to);
}

static bool time_unknown(Measuring *x)
{
    double began = now();
    CodegenOptions o = *x->o;
    o.save_temps = NULL;
    fprintf(stderr, "tgc: %s: timing %zu kernels that are new on this machine",
            x->module->name, x->n);
    fflush(stderr);
    bool ok = codegen_compile(x->module, &o, x->binary, x->error);
    size_t done = 0;
    while (ok && done < x->n && now() - began < SECONDS_MOST) {
        size_t to = done + STEPS_A_RUN < x->n ? done + STEPS_A_RUN : x->n;
        ok = time_some(x, done, to);
        done = ok ? to : done;
        fprintf(stderr, " .. %zu", done);
        fflush(stderr);
    }
    fprintf(stderr, "\n");
    return ok;
}

/* ---- adding up ----------------------------------------------------------- */

/* What was not measured is as far from its model as all that was. */
static Estimate add_up(const Measuring *x)
{
    Estimate out = {.steps = x->graph->n_run};
    double measured_sum = 0, known_model = 0, rest = 0;
    for (uint32_t i = 0; i < x->graph->n_run; i++) {
        double seconds, model = modelled(x, i);
        if (!calibration_find(x->calibration, key_of(x, i), &seconds)) {
            rest += model;
            continue;
        }
        out.measured++;
        measured_sum += seconds;
        known_model += model;
    }
    double scale = known_model > 0 ? measured_sum / known_model : 1;
    out.seconds = measured_sum + scale * rest;
    return out;
}

static const ProgramGraph *graph_named(const Program *p, const char *name)
{
    for (size_t i = 0; i < p->n_graphs; i++)
        if (!strcmp(p->graph[i].g->name, name))
            return &p->graph[i];
    return NULL;
}

static bool measure_unknown(Measuring *x, const char *path)
{
    process_block_signals(&x->signals);
    bool made = make_folder(x);
    bool ok = made && time_unknown(x);
    if (made)
        remove_folder(x);
    process_restore_signals(&x->signals);
    return ok && (!path || calibration_write(x->calibration, path, x->error));
}

/* A step runs each graph that is there as often as this. */
typedef struct Part {
    const char *graph;
    double times;
} Part;

static void parts_of(const Module *m, Part part[2])
{
    double parts = settings_number(&m->settings, "accumulate");
    part[0] = (Part){"train", 1};
    part[1] = (Part){"train_part", parts - 1};
}

static bool estimate_graph(Measuring *x, const Part *part, const char *path,
                           Estimate *out)
{
    x->graph = graph_named(x->program, part->graph);
    x->n = 0;
    if (!x->graph)
        return true;
    find_unknown(x);
    if (x->n && !measure_unknown(x, path))
        return false;
    Estimate one = add_up(x);
    out->seconds += part->times * one.seconds;
    out->steps += one.steps;
    out->measured += one.measured;
    return true;
}

bool codegen_estimate(const Module *m, const CodegenOptions *o, Calibration *c,
                      const char *path, Estimate *out, Error *e)
{
    Part part[2];
    Measuring x = {.o = o, .module = m, .calibration = c, .error = e};
    *out = (Estimate){0};
    x.program = program_new(m, o, e);
    if (!x.program)
        return false;
    x.threads = (int)target_threads(m);
    x.arena = x.program->arena;
    parts_of(m, part);
    bool ok = graph_named(x.program, "train") ||
              error_set(e, "%s has no graph train", m->name);
    for (int i = 0; ok && i < 2; i++)
        ok = estimate_graph(&x, &part[i], path, out);
    program_free(x.program);
    return ok;
}

Estimate estimate_by_target(const Module *m, const Target *t)
{
    Part part[2];
    Estimate out = {0};
    Arena *a = arena_new();
    parts_of(m, part);
    for (int k = 0; k < 2; k++) {
        const Graph *g = module_graph(m, part[k].graph);
        Steps s = g ? graph_steps(g, a) : (Steps){0};
        for (uint32_t i = 0; i < s.n; i++)
            out.seconds += part[k].times * t->seconds(t, g, &s.step[i]);
        out.steps += s.n;
    }
    arena_free(a);
    return out;
}

static double rated_seconds(const Target *t, const Graph *g, const Step *s)
{
    StepCost c = step_cost(g, s);
    return step_roofline(&c, t->self);
}

Estimate estimate_by_rates(const Module *m, Rates *r)
{
    Target t = {.self = r, .seconds = rated_seconds};
    return estimate_by_target(m, &t);
}

/* ---- for the passes ------------------------------------------------------ */

typedef struct Costs {
    const Target *plain;
    const Calibration *calibration;
    const char *march;
    Kernels *kernels;
} Costs;

static double calibrated_seconds(const Target *t, const Graph *g, const Step *s)
{
    const Costs *c = t->self;
    StepCode code;
    Error e;
    double seconds;
    if (kernels_add(c->kernels, g, s, &code, &e) &&
        calibration_find(c->calibration,
                         step_key(c->kernels, &code, c->march,
                                  (int)target_threads(g->module)),
                         &seconds))
        return seconds;
    return c->plain->seconds(c->plain, g, s);
}

Target target_calibrate(const Target *t, const Calibration *c,
                        const char *march)
{
    Target now = *t;
    Costs *costs = calloc(1, sizeof *costs);
    if (!costs)
        return now;
    *costs = (Costs){t, c, march, kernels_new(t)};
    now.self = costs;
    now.seconds = calibrated_seconds;
    return now;
}

void target_uncalibrate(Target *t)
{
    Costs *c = t->self;
    if (t->seconds != calibrated_seconds)
        return;
    kernels_free(c->kernels);
    free(c);
    t->self = NULL;
}
