/* executor.c: see executor.h.
 *
 * Here: memory, checks of the plan, and tables that turn its numbers into
 * addresses.  run.c walks them.
 */
#include "executor_private.h"
#include "cpu.h"
#include "format.h"
#include "types.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, PAGE = 4096 };

/* Below this a step takes less time than two threads need to meet. */
static const double SERIAL_FLOPS = 2e5, SERIAL_BYTES = 64e3;

/* Pieces that a thread's share of a step is cut into, so that others can take
 * over from one that the system has stopped. */
enum { PIECES = 8 };

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- memory -------------------------------------------------------------- */

static char *memory_take(size_t bytes, Status *s)
{
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED) {
        madvise(p, bytes, MADV_HUGEPAGE); /* a wish; failure costs speed */
        return p;
    }
    char size[32];
    status_fail(s,
                "no memory: this model needs %s in one piece and the system "
                "does not give it (a smaller batch needs less)",
                format_bytes((double)bytes, size, sizeof size));
    return NULL;
}

/* What there is on this machine, or in the container that this runs in. */
static double memory_here(void)
{
    double have = (double)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "r");
    double limit;
    if (file && fscanf(file, "%lf", &limit) == 1 && limit < have)
        have = limit;
    if (file)
        fclose(file);
    return have;
}

/* The system promises more memory than it has and kills whoever uses it; so
 * ask first whether there is as much. */
static bool memory_fits(const Executor *e, Status *s)
{
    double have = memory_here(), need = (double)executor_bytes(e);
    if (need <= have)
        return true;
    char a[32], b[32];
    return status_fail(s,
                       "no memory: this model needs %s and there is %s here (a "
                       "smaller batch needs less)",
                       format_bytes(need, a, sizeof a),
                       format_bytes(have, b, sizeof b));
}

/* Touch every page now, so that no step pays for it, each thread its share. */
static void memory_touch(char *p, size_t bytes, int threads, int fill)
{
    int64_t blocks = (int64_t)((bytes + HUGE_PAGE - 1) / HUGE_PAGE);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < blocks; i++) {
        size_t at = (size_t)i * HUGE_PAGE;
        size_t n = bytes - at < HUGE_PAGE ? bytes - at : HUGE_PAGE;
        memset(p + at, fill, n);
    }
}

static bool memory_open(Executor *e, Status *s)
{
    const Plan *plan = e->plan;
    if (!e->sparse && !memory_fits(e, s))
        return false;
    e->arena_size = round_up((size_t)plan->arena_bytes + 1, PAGE);
    e->scratch_size = (size_t)e->threads * e->scratch_each;
    e->arena = memory_take(e->arena_size, s);
    if (!e->arena)
        return false;
    e->scratch = memory_take(e->scratch_size, s);
    if (!e->scratch)
        return false;
    if (e->sparse)
        return true;
    int fill = e->poison ? 0xff : 0;
    memory_touch(e->arena, e->arena_size, e->threads, fill);
    memory_touch(e->scratch, e->scratch_size, e->threads, fill);
    return true;
}

/* ---- what a plan must be ------------------------------------------------- */

static bool broken(Status *s, const PlanGraph *g, const char *what, uint32_t i)
{
    return status_fail(s,
                       "this program is damaged: graph %s, %s %u does not fit "
                       "(compile the model again)",
                       g->name, what, i);
}

/* Has the argument as many bytes as the convolution's tensor? */
static bool argument_fits(const PlanGraph *g, const PlanStep *step, uint8_t arg,
                          int64_t bytes)
{
    return arg < step->n_args && bytes >= 0 &&
           g->buffers[g->args[step->arg + arg]].bytes >= bytes;
}

static bool conv_fits(const Plan *plan, const PlanGraph *g,
                      const PlanStep *step)
{
    uint32_t conv = plan->kernels[step->kernel].conv;
    if (conv == 0)
        return true;
    if (conv > plan->n_convs)
        return false;
    const PlanConv *p = &plan->convs[conv - 1];
    return p->kind >= PLAN_CONV && p->kind <= PLAN_CONV_GRAD_WEIGHT &&
           p->spatial >= 1 && p->spatial <= PLAN_MAX_SPATIAL &&
           argument_fits(g, step, p->x_arg, type_bytes(&p->x)) &&
           argument_fits(g, step, p->w_arg, type_bytes(&p->w)) &&
           argument_fits(g, step, p->y_arg, type_bytes(&p->y)) &&
           argument_fits(g, step, p->workspace_arg, p->workspace);
}

/* A plan comes out of the compiler that this program was linked by, so this
 * finds bugs and bad linking, once, before they become wild writes. */
static bool graph_check(const Plan *plan, const PlanGraph *g, Status *s)
{
    for (uint32_t i = 0; i < g->n_buffers; i++) {
        const PlanBuffer *b = &g->buffers[i];
        if (b->offset < 0 || b->bytes < 0 || b->offset % PLAN_ALIGN ||
            b->offset + b->bytes > plan->arena_bytes)
            return broken(s, g, "buffer", i);
    }
    for (uint32_t i = 0; i < g->n_inputs + g->n_outputs; i++) {
        const PlanPort *p =
            i < g->n_inputs ? &g->inputs[i] : &g->outputs[i - g->n_inputs];
        if (p->buffer >= g->n_buffers || !p->slots ||
            g->buffers[p->buffer].offset + port_stride(p) * p->slots >
                plan->arena_bytes + PLAN_ALIGN)
            return broken(s, g, "port", i);
    }
    for (uint32_t i = 0; i < g->n_steps; i++) {
        const PlanStep *step = &g->steps[i];
        bool fits = step->kernel < plan->n_kernels &&
                    step->n_out <= step->n_args && step->parts >= 1 &&
                    step->arg + (uint64_t)step->n_args <= g->n_args &&
                    step->lib + (uint64_t)step->n_libs <= g->n_libs;
        for (uint32_t k = 0; fits && k < step->n_args; k++)
            fits = g->args[step->arg + k] < g->n_buffers;
        for (uint32_t k = 0; fits && k < step->n_libs; k++)
            fits = g->libs[step->lib + k] < plan->n_libs;
        if (!fits || !conv_fits(plan, g, step))
            return broken(s, g, "step", i);
    }
    return g->loss_step < (int32_t)g->n_steps || broken(s, g, "loss step", 0);
}

static bool plan_check(const Plan *plan, Status *s)
{
    if (plan->version != PLAN_VERSION)
        return status_fail(s,
                           "this program was compiled for another runtime: "
                           "plan version %u, runtime %d (compile again)",
                           plan->version, PLAN_VERSION);
    for (uint32_t i = 0; i < plan->n_states; i++) {
        const PlanState *t = &plan->states[i];
        if (t->offset < 0 || t->offset + t->bytes > plan->arena_bytes ||
            t->bytes < type_bytes(&t->type) || t->type.dtype == PLAN_F16)
            return status_fail(s, "this program is damaged: state %s", t->name);
    }
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        if (!graph_check(plan, &plan->graphs[i], s))
            return false;
    return true;
}

/* ---- tables -------------------------------------------------------------- */

int64_t port_stride(const PlanPort *p)
{
    return (int64_t)round_up((size_t)type_bytes(&p->type), PLAN_ALIGN);
}

int64_t graph_offset(const PlanGraph *g, uint32_t arg, uint32_t slot)
{
    uint32_t buffer = g->args[arg];
    int64_t offset = g->buffers[buffer].offset;
    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (g->inputs[i].buffer == buffer && slot < g->inputs[i].slots)
            offset += slot * port_stride(&g->inputs[i]);
    return offset;
}

/* Pointers of every argument of every step, once for each input slot. */
static bool table_pointers(Executor *e, ExecutorGraph *x)
{
    const PlanGraph *g = x->graph;
    const size_t n_args = g->n_args;
    int64_t *shift = calloc(g->n_buffers + 1, sizeof *shift);
    x->buf = calloc(x->slots * (n_args + 1), sizeof *x->buf);
    if (!shift || !x->buf) {
        free(shift);
        return false;
    }
    x->n_args = n_args;
    for (uint32_t slot = 0; slot < x->slots; slot++) {
        for (uint32_t i = 0; i < g->n_inputs; i++)
            if (slot < g->inputs[i].slots)
                shift[g->inputs[i].buffer] = slot * port_stride(&g->inputs[i]);
        for (size_t i = 0; i < n_args; i++)
            x->buf[slot * n_args + i] =
                e->arena + g->buffers[g->args[i]].offset + shift[g->args[i]];
    }
    free(shift);
    return true;
}

static bool table_libs(Executor *e, ExecutorGraph *x)
{
    const uint32_t n_libs = x->graph->n_libs;
    x->lib = calloc((size_t)n_libs + 1, sizeof *x->lib);
    if (!x->lib)
        return false;
    for (uint32_t i = 0; i < n_libs; i++)
        x->lib[i] = lib_call(e->lib, x->graph->libs[i]);
    return true;
}

static bool step_is_small(const PlanStep *step)
{
    return step->parts == 1 ||
           (step->flops < SERIAL_FLOPS && step->bytes < SERIAL_BYTES);
}

static bool table_work(ExecutorGraph *x, int threads)
{
    const PlanGraph *g = x->graph;
    x->work = calloc(g->n_steps + 1, sizeof *x->work);
    x->next = calloc((size_t)g->n_steps * (size_t)threads + 1, sizeof *x->next);
    if (!x->work || !x->next)
        return false;
    for (uint32_t i = 0; i < g->n_steps; i++) {
        StepWork *w = &x->work[i];
        w->parts = g->steps[i].parts;
        w->shares = step_is_small(&g->steps[i]) ? 1 : threads;
        w->piece = w->shares == 1 ? w->parts : w->parts / threads / PIECES;
        w->piece = w->piece > 0 ? w->piece : 1;
    }
    return true;
}

static const PlanPort *port_named(const PlanPort *p, uint32_t n,
                                  const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (!strcmp(p[i].name, name))
            return &p[i];
    return NULL;
}

/* What is known of a graph before there is memory. */
static void graph_open(ExecutorGraph *x, const PlanGraph *g)
{
    static const char *const name[RESULTS] = {
        [RESULT_LOSS] = "loss",
        [RESULT_CORRECT] = "correct",
        [RESULT_LOSS_SCALE] = "loss_scale",
        [RESULT_SKIPS] = "skips",
        [RESULT_SKIPS_IN_ROW] = "skips_in_row",
        [RESULT_PREDICTED] = "predicted",
    };
    x->graph = g;
    x->slots = 1;
    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (g->inputs[i].slots > x->slots)
            x->slots = g->inputs[i].slots;
    for (int i = 0; i < RESULTS; i++)
        x->result[i] = port_named(g->outputs, g->n_outputs, name[i]);
}

static bool table_open(Executor *e, ExecutorGraph *x, Status *s)
{
    const PlanGraph *g = x->graph;
    if (!table_pointers(e, x) || !table_libs(e, x) ||
        !table_work(x, e->threads))
        return status_fail(s, "no memory for the tables of graph %s", g->name);
    return true;
}

/* ---- the cpu as a device ------------------------------------------------- */

static bool cpu_open(Executor *e, const ExecutorOptions *o, Status *s)
{
    const Plan *plan = e->plan;
    char error[512];
    (void)o;
    e->replays = true;
    snprintf(e->about, sizeof e->about, "%d thread%s", e->threads,
             e->threads == 1 ? "" : "s");
    if (!cpu_check(plan->march, s))
        return false;
    e->lib = lib_open(plan->lib, plan->n_libs, e->threads, error, sizeof error);
    if (!e->lib)
        return status_fail(s, "%s", error);
    if (!memory_open(e, s))
        return false;
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        if (!table_open(e, &e->graph[i], s))
            return false;
    return true;
}

static void cpu_close(Executor *e)
{
    for (uint32_t i = 0; e->graph && i < e->plan->n_graphs; i++) {
        free(e->graph[i].buf);
        free(e->graph[i].lib);
        free(e->graph[i].work);
        free(e->graph[i].next);
    }
    lib_close(e->lib);
    if (e->arena)
        munmap(e->arena, e->arena_size);
    if (e->scratch)
        munmap(e->scratch, e->scratch_size);
}

static int cpu_depth(const Executor *e)
{
    (void)e;
    return 1;
}

static bool cpu_nothing(const Executor *e, Status *s)
{
    (void)e, (void)s;
    return true;
}

const DeviceKind device_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .depth = cpu_depth,
    .push = cpu_nothing,
    .pull = cpu_nothing,
    .submit = cpu_submit,
    .wait = cpu_wait,
    .step = cpu_step,
    .read = cpu_read,
};

/* ---- opening ------------------------------------------------------------- */

static bool executor_start(Executor *e, const ExecutorOptions *o, Status *s)
{
    const Plan *plan = e->plan;
    if (!plan_check(plan, s))
        return false;
    e->kind = device_kind(plan, o->device, s);
    if (!e->kind)
        return false;
    omp_set_dynamic(0);
    /* Regions of ours say how many threads they want; what the library starts
     * by itself, outside of them, must stay on one. */
    omp_set_num_threads(1);
    e->graph = calloc(plan->n_graphs + 1, sizeof *e->graph);
    if (!e->graph)
        return status_fail(s, "no memory for the tables of %u graphs",
                           plan->n_graphs);
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        graph_open(&e->graph[i], &plan->graphs[i]);
    return e->kind->open(e, o, s);
}

Executor *executor_open(const Plan *plan, const ExecutorOptions *o, Status *s)
{
    Executor *e = calloc(1, sizeof *e);
    if (!e) {
        status_fail(s, "no memory");
        return NULL;
    }
    e->plan = plan;
    e->threads = o->threads;
    e->poison = o->poison;
    e->sparse = o->sparse;
    e->scratch_each = round_up((size_t)plan->scratch_bytes + 1, PAGE);
    if (executor_start(e, o, s))
        return e;
    executor_close(e);
    return NULL;
}

void executor_close(Executor *e)
{
    if (!e)
        return;
    if (e->kind)
        e->kind->close(e);
    free(e->graph);
    free(e);
}

/* ---- asking -------------------------------------------------------------- */

const char *executor_about(const Executor *e)
{
    return e->about;
}

int executor_threads(const Executor *e)
{
    return e->threads;
}

const Plan *executor_plan(const Executor *e)
{
    return e->plan;
}

int64_t executor_bytes(const Executor *e)
{
    return e->plan->arena_bytes + e->plan->program_bytes +
           e->threads * e->plan->scratch_bytes;
}

int executor_graph(const Executor *e, const char *name)
{
    for (uint32_t i = 0; i < e->plan->n_graphs; i++)
        if (!strcmp(e->plan->graphs[i].name, name))
            return (int)i;
    return -1;
}

const PlanPort *executor_port(const Executor *e, int graph, const char *name)
{
    const PlanGraph *g = &e->plan->graphs[graph];
    return port_named(g->inputs, g->n_inputs, name);
}

const int32_t *executor_predicted(const Executor *e, int graph)
{
    const ExecutorGraph *x = &e->graph[graph];
    const PlanPort *p = x->result[RESULT_PREDICTED];
    if (!p || p->type.dtype != PLAN_I32 || p->type.rank != 1)
        return NULL;
    return (const int32_t *)(e->arena + x->graph->buffers[p->buffer].offset);
}

void *executor_state(const Executor *e, uint32_t state)
{
    return e->arena + e->plan->states[state].offset;
}

void *executor_input(const Executor *e, int graph, const PlanPort *port,
                     uint32_t slot)
{
    const PlanBuffer *b = &e->plan->graphs[graph].buffers[port->buffer];
    return e->arena + b->offset + (int64_t)slot * port_stride(port);
}

void executor_set(Executor *e, int graph, const char *name, double value)
{
    const PlanPort *port = executor_port(e, graph, name);
    if (port)
        dtype_store(port->type.dtype, executor_input(e, graph, port, 0), value);
}

/* ---- asking the device --------------------------------------------------- */

bool executor_push(const Executor *e, Status *s)
{
    return e->kind->push(e, s);
}

bool executor_pull(const Executor *e, Status *s)
{
    return e->kind->pull(e, s);
}

bool executor_keep(Executor *e, const ExecutorImages *images, bool *kept,
                   Status *s)
{
    *kept = false;
    return !e->kind->keep || e->kind->keep(e, images, kept, s);
}

PlanRow *executor_rows(Executor *e, int graph, uint32_t slot, Status *s)
{
    return e->kind->rows(e, graph, slot, s);
}

int executor_depth(const Executor *e)
{
    return e->kind->depth(e);
}

bool executor_submit(Executor *e, int graph, uint32_t slot, Status *s)
{
    return e->kind->submit(e, graph, slot, s);
}

bool executor_wait(Executor *e, RunResult *result, Status *s)
{
    return e->kind->wait(e, result, s);
}

bool executor_run(Executor *e, int graph, uint32_t slot, RunResult *result,
                  Status *s)
{
    return executor_submit(e, graph, slot, s) && executor_wait(e, result, s);
}

bool executor_profile(Executor *e, int graph, uint32_t slot, double *seconds,
                      Status *s)
{
    for (uint32_t i = 0; i < e->plan->graphs[graph].n_steps; i++)
        if (!e->kind->step(e, graph, slot, i, &seconds[i], s))
            return false;
    return true;
}
