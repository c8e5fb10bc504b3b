/* run.c: one pass over a graph's steps, by all threads.
 *
 * A run is one OpenMP parallel region.  Every thread walks the same list of
 * steps; a step's parts are cut into a share for each thread, and a share into
 * a few pieces.  A thread takes the pieces of its own share, then what is left
 * of the others', and goes on once all parts of the step are done:
 *
 *     step      conv                                        relu
 *     thread 0  0 1 2 3 4 5 6 7, then 14 15 of the other's  0 1 ..
 *     thread 1  8 9 10, stopped for a while, 11 12 13       8 9 ..
 *
 * So nobody waits for a thread, only for work: one that the system stops for a
 * while (for the loader's threads, for another program) costs its piece, not
 * the step, and finds the steps that it slept through done.  Which thread
 * computes a part changes no bit of it.
 */
#include "clock.h"
#include "executor_private.h"
#include "types.h"
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <string.h>

/* Turns of the waiting loop before the processor is offered to others: some
 * 20 microseconds, which is longer than most steps need to end. */
enum { SPINS = 1000 };

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void executor_parts(Executor *e, const ExecutorGraph *x, uint32_t step,
                    uint32_t slot, int thread, int64_t begin, int64_t end)
{
    const PlanStep *p = &x->graph->steps[step];
    KernelCall call = {
        .buf = x->buf + slot * x->n_args + p->arg,
        .lib = x->lib + p->lib,
        .scratch = e->scratch + (size_t)thread * e->scratch_each,
        .thread = thread,
    };
    e->plan->kernels[p->kernel].run(&call, begin, end);
}

static int64_t share_begin(const StepWork *w, int share)
{
    return w->parts * share / w->shares;
}

/* Everything that is left of one share, piece by piece. */
static void share_take(Executor *e, ExecutorGraph *x, uint32_t i, uint32_t slot,
                       int thread, int share)
{
    StepWork *w = &x->work[i];
    _Atomic int64_t *next = &x->next[(size_t)i * (size_t)e->threads + share];
    int64_t end = share_begin(w, share + 1);
    for (;;) {
        int64_t begin =
            atomic_fetch_add_explicit(next, w->piece, memory_order_relaxed);
        if (begin >= end)
            return;
        int64_t stop = begin + w->piece < end ? begin + w->piece : end;
        executor_parts(e, x, i, slot, thread, begin, stop);
        atomic_fetch_add_explicit(&w->done, stop - begin, memory_order_release);
    }
}

/* What was written by others is seen after this. */
static bool step_done(const StepWork *w)
{
    return atomic_load_explicit(&w->done, memory_order_acquire) == w->parts;
}

static void step_run(Executor *e, ExecutorGraph *x, uint32_t i, uint32_t slot,
                     int thread)
{
    StepWork *w = &x->work[i];
    for (int k = 0; k < w->shares && !step_done(w); k++)
        share_take(e, x, i, slot, thread, (thread + k) % w->shares);
    for (int spins = 0; !step_done(w); spins++) {
        if (spins < SPINS)
            spin_pause();
        else
            sched_yield();
    }
}

double result_value(const Executor *e, const ExecutorGraph *x, Result r)
{
    const PlanPort *p = x->result[r];
    if (!p)
        return 0;
    return dtype_load(p->type.dtype,
                      e->arena + x->graph->buffers[p->buffer].offset);
}

void results_take(const Executor *e, const ExecutorGraph *x, RunResult *r)
{
    r->loss = result_value(e, x, RESULT_LOSS);
    r->correct = (int64_t)result_value(e, x, RESULT_CORRECT);
    r->finite = isfinite(r->loss);
    r->scaled = x->result[RESULT_LOSS_SCALE] != NULL;
    r->loss_scale = result_value(e, x, RESULT_LOSS_SCALE);
    r->skips = (int64_t)result_value(e, x, RESULT_SKIPS);
    r->skips_in_row = (int64_t)result_value(e, x, RESULT_SKIPS_IN_ROW);
}

/* What every thread does in a run. */
static void graph_walk(Executor *e, ExecutorGraph *x, uint32_t slot, int thread)
{
    for (uint32_t i = 0; i < x->graph->n_steps; i++) {
        step_run(e, x, i, slot, thread);
        /* All threads read the same loss, so all leave or none. */
        if ((int32_t)i == x->graph->loss_step &&
            !isfinite(result_value(e, x, RESULT_LOSS)))
            return;
    }
}

static void work_reset(ExecutorGraph *x, int threads)
{
    for (uint32_t i = 0; i < x->graph->n_steps; i++) {
        StepWork *w = &x->work[i];
        atomic_store_explicit(&w->done, 0, memory_order_relaxed);
        for (int share = 0; share < w->shares; share++)
            atomic_store_explicit(&x->next[(size_t)i * (size_t)threads + share],
                                  share_begin(w, share), memory_order_relaxed);
    }
}

/* What is neither a state nor an input holds NaN before each run. */
static void graph_poison(Executor *e, const PlanGraph *g)
{
    for (uint32_t i = 0; i < g->n_buffers; i++) {
        const PlanBuffer *b = &g->buffers[i];
        if (b->kind != PLAN_STATE && b->kind != PLAN_INPUT)
            memset(e->arena + b->offset, 0xff, (size_t)b->bytes);
    }
    memset(e->scratch, 0xff, e->scratch_size);
}

static bool run_failed(const Executor *e, Status *s)
{
    const char *why = lib_failure(e->lib);
    if (why)
        status_fail(s, "%s failed while computing: %s", lib_version(), why);
    return why != NULL;
}

bool cpu_submit(Executor *e, int graph, uint32_t slot, Status *s)
{
    ExecutorGraph *x = &e->graph[graph];
    if (e->poison)
        graph_poison(e, x->graph);
    work_reset(x, e->threads);
#pragma omp parallel num_threads(e->threads)
    graph_walk(e, x, slot, omp_get_thread_num());
    if (run_failed(e, s))
        return false;
    results_take(e, x, &e->done);
    return true;
}

/* Steps first .. last by all threads; seconds of the last one. */
static void walk_timed(Executor *e, ExecutorGraph *x, uint32_t first,
                       uint32_t last, int thread, double *seconds)
{
    for (uint32_t i = first; i < last; i++)
        step_run(e, x, i, 0, thread);
    double began = clock_now();
    step_run(e, x, last, 0, thread);
    if (thread == 0)
        *seconds = clock_now() - began;
}

bool executor_time(Executor *e, int graph, uint32_t first, uint32_t last,
                   double *seconds, Status *s)
{
    ExecutorGraph *x = &e->graph[graph];
    work_reset(x, e->threads);
#pragma omp parallel num_threads(e->threads)
    walk_timed(e, x, first, last, omp_get_thread_num(), seconds);
    return !run_failed(e, s);
}

bool cpu_wait(Executor *e, RunResult *result, Status *s)
{
    (void)s;
    *result = e->done;
    return true;
}

bool cpu_step(Executor *e, int graph, uint32_t slot, uint32_t step,
              double *seconds, Status *s)
{
    const ExecutorGraph *x = &e->graph[graph];
    double began = clock_used();
    executor_parts(e, x, step, slot, 0, 0, x->work[step].parts);
    *seconds += clock_used() - began;
    return !run_failed(e, s);
}

const void *cpu_read(Executor *e, int graph, uint32_t slot, uint32_t arg,
                     Status *s)
{
    const ExecutorGraph *x = &e->graph[graph];
    (void)s;
    return x->buf[slot * x->n_args + arg];
}
