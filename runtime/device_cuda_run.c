/* device_cuda_run.c: runs of a GPU.
 *
 * A graph of the plan is captured once for each input slot
 * (device_cuda_graph.c) and launched as a whole.  Its inputs travel on a stream
 * of their own, ahead of it:
 *
 *     copy     | image 0 |   | image 1 |   | image 2 |
 *     compute            | run 0 . . | run 1 . . | run 2 . .
 *     host     submit 0, submit 1, wait 0, submit 2, wait 1, ..
 *
 * Scalars (lr, step) go in and the loss comes out through pinned memory of the
 * slot, as part of the graph; nobody waits for them but who asks for a run's
 * result. */
#include "device_cuda.h"
#include "types.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "cuLaunchKernel of k3_conv (conv layer1.0.conv1, resnet.net:14:27)" */
static bool step_well(const Executor *e, CuResult r, const char *call,
                      const PlanStep *step, Status *s)
{
    const CudaDevice *d = e->device;
    char what[512];
    if (!r)
        return true;
    snprintf(what, sizeof what, "%s (%s%s%s)",
             e->plan->kernels[step->kernel].name, step->what,
             step->loc && step->loc[0] ? ", " : "", step->loc ? step->loc : "");
    return cuda_well(&d->api, r, call, what, s);
}

bool cuda_run_well(const Executor *e, CuResult r, const char *call, int graph,
                   Status *s)
{
    const CudaDevice *d = e->device;
    char what[256];
    if (!r)
        return true;
    snprintf(what, sizeof what,
             "a step of graph %s (the last checkpoint is as it was; --check "
             "says which kernel it was)",
             e->plan->graphs[graph].name);
    return cuda_well(&d->api, r, call, what, s);
}

/* ---- one kernel -----------------------------------------------------------
 */

/* An emulator checks that a kernel touches nothing else, and that nothing that
 * touches the same may run beside it. */
static void tell_spans(Executor *e, const PlanGraph *g, const PlanStep *step,
                       const CuPtr *address)
{
    const CudaDevice *d = e->device;
    CudaSpan *span = calloc(step->n_args + 1u, sizeof *span);
    if (!span)
        return;
    for (uint32_t k = 0; k < step->n_args; k++) {
        const PlanBuffer *b = &g->buffers[g->args[step->arg + k]];
        bool result = k < step->n_out;
        span[k] = (CudaSpan){.at = (void *)(uintptr_t)address[k],
                             .bytes = (size_t)b->bytes,
                             .written = result,
                             .fresh = result && b->kind != PLAN_STATE};
    }
    d->api.emulator_spans(span, step->n_args);
    free(span);
}

/* The failure of a call that does not know the step. */
static bool name_step(const PlanStep *step, Status *s)
{
    char why[sizeof s->text];
    memcpy(why, s->text, sizeof why);
    *s = (Status){0};
    return status_fail(s, "%.1500s (%s%s%s)", why, step->what,
                       step->loc && step->loc[0] ? ", " : "",
                       step->loc ? step->loc : "");
}

static bool launch_kernel(Executor *e, const PlanStep *step, CuPtr *address,
                          Status *s)
{
    CudaDevice *d = e->device;
    const PlanKernel *k = &e->plan->kernels[step->kernel];
    void **arg = calloc(step->n_args + 1u, sizeof *arg);
    if (!arg)
        return status_fail(s, "no memory for %u arguments", step->n_args);
    for (uint32_t i = 0; i < step->n_args; i++)
        arg[i] = &address[i];
    CuResult r = d->api.cuLaunchKernel(d->kernel[step->kernel],
                                       (unsigned)step->parts, 1, 1, k->threads,
                                       1, 1, k->shared, d->compute, arg, NULL);
    free(arg);
    return step_well(e, r, "cuLaunchKernel", step, s);
}

bool cuda_launch(Executor *e, int graph, uint32_t slot, uint32_t number,
                 Status *s)
{
    CudaDevice *d = e->device;
    const PlanGraph *g = &e->plan->graphs[graph];
    const PlanStep *step = &g->steps[number];
    uint32_t conv = e->plan->kernels[step->kernel].conv;
    CuPtr *address = calloc(step->n_args + 1u, sizeof *address);
    if (!address)
        return status_fail(s, "no memory for %u arguments", step->n_args);
    for (uint32_t i = 0; i < step->n_args; i++)
        address[i] = d->arena + (uint64_t)graph_offset(g, step->arg + i, slot);
    if (d->api.emulator_spans)
        tell_spans(e, g, step, address);
    bool done =
        conv ? cudnn_run(d->cudnn, conv - 1, address, s) || name_step(step, s)
             : launch_kernel(e, step, address, s);
    free(address);
    return done;
}

/* ---- what goes in and comes out -------------------------------------------
 */

static char *ring_of(const CudaGraph *c, uint32_t slot)
{
    return c->ring + (int64_t)slot * c->ring_bytes;
}

/* The batch of a slot. */
static bool inputs_send(Executor *e, int graph, uint32_t slot, CuStream stream,
                        Status *s)
{
    const CudaDevice *d = e->device;
    const PlanGraph *g = &e->plan->graphs[graph];
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const PlanPort *p = &g->inputs[i];
        if (p->slots == 1)
            continue;
        if (d->graph[graph].rows && !strcmp(p->name, "image")) {
            if (!cuda_rows_send(e, graph, slot, stream, s))
                return false;
            continue;
        }
        int64_t at = g->buffers[p->buffer].offset + slot * port_stride(p);
        CuResult r =
            d->api.cuMemcpyHtoDAsync_v2(d->arena + (uint64_t)at, e->arena + at,
                                        (size_t)type_bytes(&p->type), stream);
        if (!cuda_well(&d->api, r, "cuMemcpyHtoDAsync", p->name, s))
            return false;
    }
    return true;
}

/* The values of this run, where its graph will take them from. */
static void scalars_write(Executor *e, int graph, uint32_t slot)
{
    const CudaDevice *d = e->device;
    const CudaGraph *c = &d->graph[graph];
    for (uint32_t i = 0; i < c->n_set; i++)
        memcpy(ring_of(c, slot) + c->set[i].at, e->arena + c->set[i].offset,
               (size_t)c->set[i].bytes);
}

bool cuda_scalars_send(Executor *e, int graph, uint32_t slot, uint32_t range,
                       Status *s)
{
    const CudaDevice *d = e->device;
    const CudaGraph *c = &d->graph[graph];
    const CudaRange *x = &c->set[range];
    CuResult r = d->api.cuMemcpyHtoDAsync_v2(d->arena + (uint64_t)x->offset,
                                             ring_of(c, slot) + x->at,
                                             (size_t)x->bytes, d->compute);
    return cuda_well(&d->api, r, "cuMemcpyHtoDAsync", "scalars", s);
}

bool cuda_results_fetch(Executor *e, int graph, uint32_t slot, uint32_t range,
                        Status *s)
{
    const CudaDevice *d = e->device;
    const CudaGraph *c = &d->graph[graph];
    const CudaRange *x = &c->get[range];
    CuResult r = d->api.cuMemcpyDtoHAsync_v2(ring_of(c, slot) + x->at,
                                             d->arena + (uint64_t)x->offset,
                                             (size_t)x->bytes, d->compute);
    return cuda_well(&d->api, r, "cuMemcpyDtoHAsync", "the loss", s);
}

/* Once the device has written them. */
static void results_read(Executor *e, int graph, uint32_t slot,
                         RunResult *result)
{
    const CudaDevice *d = e->device;
    const CudaGraph *c = &d->graph[graph];
    const ExecutorGraph *x = &e->graph[graph];
    for (uint32_t i = 0; i < c->n_get; i++)
        memcpy(e->arena + c->get[i].offset, ring_of(c, slot) + c->get[i].at,
               (size_t)c->get[i].bytes);
    results_take(e, x, result);
}

static bool wait_all(const Executor *e, Status *s)
{
    const CudaDevice *d = e->device;
    return cuda_well(&d->api, d->api.cuStreamSynchronize(d->compute),
                     "cuStreamSynchronize", NULL, s);
}

/* ---- one by one -----------------------------------------------------------
 */

static bool scalars_ready(Executor *e, int graph, uint32_t slot, Status *s)
{
    const CudaDevice *d = e->device;
    scalars_write(e, graph, slot);
    for (uint32_t i = 0; i < d->graph[graph].n_set; i++)
        if (!cuda_scalars_send(e, graph, slot, i, s))
            return false;
    return true;
}

static bool inputs_ready(Executor *e, int graph, uint32_t slot, Status *s)
{
    CudaDevice *d = e->device;
    return inputs_send(e, graph, slot, d->compute, s) &&
           scalars_ready(e, graph, slot, s) &&
           (!d->graph[graph].rows || cuda_fetch(e, graph, slot, s)) &&
           wait_all(e, s);
}

bool cuda_step(Executor *e, int graph, uint32_t slot, uint32_t step,
               double *seconds, Status *s)
{
    const CudaDevice *d = e->device;
    const PlanStep *p = &e->plan->graphs[graph].steps[step];
    float ms = 0;
    if (step == 0 && !inputs_ready(e, graph, slot, s))
        return false;
    CuResult r = d->api.cuEventRecord(d->began, d->compute);
    if (!step_well(e, r, "cuEventRecord", p, s) ||
        !cuda_launch(e, graph, slot, step, s))
        return false;
    r = d->api.cuEventRecord(d->ended, d->compute);
    r = r ? r : d->api.cuEventSynchronize(d->ended);
    r = r ? r : d->api.cuEventElapsedTime(&ms, d->began, d->ended);
    *seconds += 1e-3 * ms;
    return step_well(e, r, "running", p, s);
}

static bool results_ready(Executor *e, int graph, uint32_t slot, Status *s)
{
    CudaDevice *d = e->device;
    for (uint32_t i = 0; i < d->graph[graph].n_get; i++)
        if (!cuda_results_fetch(e, graph, slot, i, s))
            return false;
    if (!wait_all(e, s))
        return false;
    results_read(e, graph, slot, &d->checked);
    return true;
}

static bool run_checked(Executor *e, int graph, uint32_t slot, Status *s)
{
    CudaDevice *d = e->device;
    const PlanGraph *g = &e->plan->graphs[graph];
    double seconds = 0;
    for (uint32_t i = 0; i < g->n_steps; i++) {
        bool last = i + 1 == g->n_steps, loss = (int32_t)i == g->loss_step;
        if (!cuda_step(e, graph, slot, i, &seconds, s))
            return false;
        if (!last && !loss)
            continue;
        if (!results_ready(e, graph, slot, s))
            return false;
        if (loss && !d->checked.finite)
            break;
    }
    return true;
}

/* ---- as a whole -----------------------------------------------------------
 */

bool cuda_submit(Executor *e, int graph, uint32_t slot, Status *s)
{
    CudaDevice *d = e->device;
    const CudaApi *api = &d->api;
    assert((int)d->n_runs < d->depth && "at most executor_depth runs");
    CudaRun *run = &d->run[(d->first + d->n_runs) % CUDA_MAX_SLOTS];
    /* Another graph's memory lies where this one's inputs will. */
    if (d->n_runs && d->run[d->first].graph != graph && !wait_all(e, s))
        return false;
    run->graph = graph;
    run->slot = slot;
    d->n_runs++;
    if (d->check)
        return run_checked(e, graph, slot, s);
    if (!d->graph[graph].exec[slot] && !cuda_capture(e, graph, slot, s))
        return false;
    scalars_write(e, graph, slot);
    if (!inputs_send(e, graph, slot, d->copy, s))
        return false;
    CuResult r = api->cuEventRecord(run->copied, d->copy);
    if (!cuda_run_well(e, r, "cuEventRecord", graph, s))
        return false;
    r = api->cuStreamWaitEvent(d->compute, run->copied, 0);
    if (!cuda_run_well(e, r, "cuStreamWaitEvent", graph, s))
        return false;
    r = api->cuGraphLaunch(d->graph[graph].exec[slot], d->compute);
    if (!cuda_run_well(e, r, "cuGraphLaunch", graph, s))
        return false;
    r = api->cuEventRecord(run->done, d->compute);
    return cuda_run_well(e, r, "cuEventRecord", graph, s);
}

bool cuda_wait(Executor *e, RunResult *result, Status *s)
{
    CudaDevice *d = e->device;
    assert(d->n_runs > 0 && "a run was submitted");
    CudaRun *run = &d->run[d->first];
    d->first = (d->first + 1) % CUDA_MAX_SLOTS;
    d->n_runs--;
    if (d->check) {
        *result = d->checked;
        return true;
    }
    CuResult r = d->api.cuEventSynchronize(run->done);
    if (!cuda_run_well(e, r, "cuEventSynchronize", run->graph, s))
        return false;
    results_read(e, run->graph, run->slot, result);
    return true;
}

const void *cuda_read(Executor *e, int graph, uint32_t slot, uint32_t arg,
                      Status *s)
{
    CudaDevice *d = e->device;
    const PlanGraph *g = &e->plan->graphs[graph];
    size_t bytes = (size_t)g->buffers[g->args[arg]].bytes;
    if (bytes > d->buffer_bytes) {
        free(d->buffer);
        d->buffer = malloc(bytes);
        d->buffer_bytes = d->buffer ? bytes : 0;
    }
    if (!d->buffer) {
        status_fail(s, "no memory to look at %zu bytes", bytes);
        return NULL;
    }
    CuResult r = d->api.cuMemcpyDtoHAsync_v2(
        d->buffer, d->arena + (uint64_t)graph_offset(g, arg, slot), bytes,
        d->compute);
    bool done =
        cuda_well(&d->api, r, "cuMemcpyDtoHAsync", NULL, s) && wait_all(e, s);
    return done ? d->buffer : NULL;
}
