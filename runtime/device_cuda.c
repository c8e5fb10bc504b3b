/* device_cuda.c: a GPU as a device, by the CUDA driver.
 *
 *     host    arena (pinned): states, inputs slot by slot | ring: scalars, loss
 *     device  arena, exactly the planned size, at the same offsets
 *
 * Here: opening, memory, states.  device_cuda_image.c loads the kernels,
 * device_cuda_run.c runs them.
 */
#include "device_cuda.h"
#include "format.h"
#include "types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which GPU ----------------------------------------------------------- */

static bool ends_number(const char *text, int *number)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 0 || n > 1023)
        return false;
    *number = (int)n;
    return true;
}

/* "cuda:1", "emu:FILE", "cuda", "auto", NULL */
static bool open_driver(CudaDevice *d, const char *name, int *number, Status *s)
{
    *number = 0;
    if (name && !strncmp(name, "emu:", 4))
        return cuda_api_open(&d->api, name + 4, s);
    if (name && !strncmp(name, "cuda:", 5) && !ends_number(name + 5, number))
        return status_fail(s,
                           "--device %s: after cuda: comes the number of a GPU "
                           "(cuda:0 is the first)",
                           name);
    return cuda_api_open(&d->api, NULL, s);
}

static bool choose_device(CudaDevice *d, int number, Status *s)
{
    const CudaApi *api = &d->api;
    int count = 0;
    if (!cuda_well(api, api->cuDeviceGetCount(&count), "cuDeviceGetCount", NULL,
                   s))
        return false;
    if (count == 0)
        return status_fail(s, "there is a driver for GPUs here, but no GPU (or "
                              "CUDA_VISIBLE_DEVICES hides it)");
    if (number >= count)
        return status_fail(s, "--device cuda:%d: there %s %d GPU%s here%s",
                           number, count == 1 ? "is" : "are", count,
                           count == 1 ? "" : "s",
                           count == 1 ? " (cuda:0)" : "");
    return cuda_well(api, api->cuDeviceGet(&d->device, number), "cuDeviceGet",
                     NULL, s) &&
           cuda_well(api, api->cuDevicePrimaryCtxRetain(&d->context, d->device),
                     "cuDevicePrimaryCtxRetain", NULL, s) &&
           cuda_well(api, api->cuCtxSetCurrent(d->context), "cuCtxSetCurrent",
                     NULL, s);
}

static int attribute(const CudaDevice *d, int which)
{
    int value = 0;
    d->api.cuDeviceGetAttribute(&value, which, d->device);
    return value;
}

static void describe(Executor *e, const char *image)
{
    const CudaDevice *d = e->device;
    char total[32], free_[32], library[32] = "";
    size_t have = 0, all = 0;
    snprintf(e->gpu, sizeof e->gpu, "GPU");
    d->api.cuDeviceGetName(e->gpu, sizeof e->gpu - 1, d->device);
    snprintf(e->arch, sizeof e->arch, "sm_%d",
             10 * attribute(d, CU_COMPUTE_MAJOR) +
                 attribute(d, CU_COMPUTE_MINOR));
    d->api.cuMemGetInfo_v2(&have, &all);
    if (d->cudnn)
        snprintf(library, sizeof library, ", cuDNN %zu.%zu",
                 cudnn_version(d->cudnn) / 10000,
                 cudnn_version(d->cudnn) % 10000 / 100);
    snprintf(e->about, sizeof e->about,
             "%s (%s of %s free), driver %d.%d%s, kernels for %s%s", e->gpu,
             format_bytes((double)have, free_, sizeof free_),
             format_bytes((double)all, total, sizeof total),
             d->api.version / 1000, d->api.version % 1000 / 10, library, image,
             d->check ? ", one by one" : "");
}

/* ---- memory ---------------------------------------------------------------
 */

static bool memory_fits(const Executor *e, Status *s)
{
    const CudaDevice *d = e->device;
    size_t have = 0, all = 0, need = (size_t)e->plan->arena_bytes;
    char a[32], b[32], c[32];
    if (!cuda_well(&d->api, d->api.cuMemGetInfo_v2(&have, &all), "cuMemGetInfo",
                   NULL, s))
        return false;
    return need <= have ||
           status_fail(s,
                       "no memory on the GPU: this model needs %s and %s of "
                       "its %s are free (a smaller batch needs less, and so "
                       "does what is compiled with --memory)",
                       format_bytes((double)need, a, sizeof a),
                       format_bytes((double)have, b, sizeof b),
                       format_bytes((double)all, c, sizeof c));
}

static size_t most(size_t a, int64_t b)
{
    return (int64_t)a > b ? a : (size_t)b;
}

static bool is_result(const ExecutorGraph *x, const PlanPort *p)
{
    for (int i = 0; i < RESULTS; i++)
        if (x->result[i] == p)
            return true;
    return false;
}

/* Up to where the host has a copy: states, inputs, results. */
static size_t host_bytes(const Executor *e)
{
    const Plan *plan = e->plan;
    size_t n = 1;
    for (uint32_t i = 0; i < plan->n_states; i++)
        n = most(n, plan->states[i].offset + plan->states[i].bytes);
    for (uint32_t k = 0; k < plan->n_graphs; k++) {
        const PlanGraph *g = &plan->graphs[k];
        for (uint32_t i = 0; i < g->n_inputs + g->n_outputs; i++) {
            bool input = i < g->n_inputs;
            const PlanPort *p =
                input ? &g->inputs[i] : &g->outputs[i - g->n_inputs];
            if (input || is_result(&e->graph[k], p))
                n = most(n, g->buffers[p->buffer].offset +
                                port_stride(p) * p->slots);
        }
    }
    return n;
}

static bool take_host(CudaDevice *d, char **memory, size_t bytes, Status *s)
{
    void *p = NULL;
    if (!cuda_well(&d->api, d->api.cuMemHostAlloc(&p, bytes, 0),
                   "cuMemHostAlloc", "memory that the GPU reads", s))
        return false;
    memset(p, 0, bytes);
    *memory = p;
    return true;
}

static bool memory_open(Executor *e, Status *s)
{
    CudaDevice *d = e->device;
    size_t bytes = (size_t)e->plan->arena_bytes;
    if (!memory_fits(e, s) ||
        !cuda_well(&d->api, d->api.cuMemAlloc_v2(&d->arena, bytes),
                   "cuMemAlloc", "the arena", s))
        return false;
    d->host_bytes = host_bytes(e);
    if (!take_host(d, &e->arena, d->host_bytes, s))
        return false;
    /* 0xff in every byte is not a number in any type. */
    CuResult r = d->api.cuMemsetD8Async(d->arena, e->poison ? 0xff : 0, bytes,
                                        d->compute);
    return cuda_well(&d->api, r, "cuMemsetD8Async", NULL, s) &&
           cuda_well(&d->api, d->api.cuStreamSynchronize(d->compute),
                     "cuStreamSynchronize", NULL, s);
}

/* ---- scalars --------------------------------------------------------------
 */

static int by_offset(const void *a, const void *b)
{
    const CudaRange *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Neighbours become one: between them is nothing but what aligns the second. */
static uint32_t ranges_join(CudaRange *r, uint32_t n, int64_t *at)
{
    uint32_t left = 0;
    qsort(r, n, sizeof *r, by_offset);
    for (uint32_t i = 0; i < n; i++) {
        CudaRange *last = left ? &r[left - 1] : NULL;
        if (last && r[i].offset - (last->offset + last->bytes) < PLAN_ALIGN)
            last->bytes = r[i].offset + r[i].bytes - last->offset;
        else
            r[left++] = r[i];
    }
    for (uint32_t i = 0; i < left; i++) {
        r[i].at = *at;
        *at += (r[i].bytes + PLAN_ALIGN - 1) / PLAN_ALIGN * PLAN_ALIGN;
    }
    return left;
}

static CudaRange port_range(const PlanGraph *g, const PlanPort *p)
{
    return (CudaRange){g->buffers[p->buffer].offset, type_bytes(&p->type), 0};
}

static bool ring_open(CudaDevice *d, const ExecutorGraph *x, CudaGraph *c,
                      Status *s)
{
    const PlanGraph *g = x->graph;
    c->set = calloc(g->n_inputs + 1, sizeof *c->set);
    c->get = calloc(RESULTS, sizeof *c->get);
    if (!c->set || !c->get)
        return status_fail(s, "no memory for the tables of graph %s", g->name);
    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (g->inputs[i].slots == 1)
            c->set[c->n_set++] = port_range(g, &g->inputs[i]);
    for (int i = 0; i < RESULTS; i++)
        if (x->result[i])
            c->get[c->n_get++] = port_range(g, x->result[i]);
    c->n_set = ranges_join(c->set, c->n_set, &c->ring_bytes);
    c->n_get = ranges_join(c->get, c->n_get, &c->ring_bytes);
    return take_host(d, &c->ring, (size_t)c->ring_bytes * x->slots + 1, s);
}

static bool rings_open(Executor *e, Status *s)
{
    CudaDevice *d = e->device;
    d->graph = calloc(e->plan->n_graphs + 1, sizeof *d->graph);
    if (!d->graph)
        return status_fail(s, "no memory for %u graphs", e->plan->n_graphs);
    d->depth = CUDA_MAX_SLOTS;
    for (uint32_t i = 0; i < e->plan->n_graphs; i++) {
        const ExecutorGraph *x = &e->graph[i];
        if (x->slots > CUDA_MAX_SLOTS)
            return status_fail(s, "this program is damaged: %u input slots",
                               x->slots);
        if (!ring_open(d, x, &d->graph[i], s))
            return false;
        /* One slot is being filled while the others are under way. */
        int depth = x->slots > 1 ? (int)x->slots - 1 : 1;
        d->depth = depth < d->depth ? depth : d->depth;
    }
    if (d->check)
        d->depth = 1;
    return true;
}

/* ---- streams, events ------------------------------------------------------
 */

static bool streams_open(CudaDevice *d, Status *s)
{
    const CudaApi *api = &d->api;
    CuResult r = api->cuStreamCreate(&d->compute, CU_STREAM_NON_BLOCKING);
    r = r ? r : api->cuStreamCreate(&d->copy, CU_STREAM_NON_BLOCKING);
    if (!cuda_well(api, r, "cuStreamCreate", NULL, s))
        return false;
    r = api->cuEventCreate(&d->began, CU_EVENT_TIMED);
    r = r ? r : api->cuEventCreate(&d->ended, CU_EVENT_TIMED);
    for (int i = 0; i < CUDA_MAX_SLOTS && !r; i++) {
        r = api->cuEventCreate(&d->run[i].copied, CU_EVENT_UNTIMED);
        r = r ? r : api->cuEventCreate(&d->run[i].done, CU_EVENT_UNTIMED);
    }
    return cuda_well(api, r, "cuEventCreate", NULL, s);
}

static void streams_close(CudaDevice *d)
{
    const CudaApi *api = &d->api;
    for (int i = 0; i < CUDA_MAX_SLOTS; i++) {
        if (d->run[i].copied)
            api->cuEventDestroy_v2(d->run[i].copied);
        if (d->run[i].done)
            api->cuEventDestroy_v2(d->run[i].done);
    }
    if (d->began)
        api->cuEventDestroy_v2(d->began);
    if (d->ended)
        api->cuEventDestroy_v2(d->ended);
    if (d->compute)
        api->cuStreamDestroy_v2(d->compute);
    if (d->copy)
        api->cuStreamDestroy_v2(d->copy);
}

/* ---- opening, closing -----------------------------------------------------
 */

static bool cuda_open(Executor *e, const ExecutorOptions *o, Status *s)
{
    CudaDevice *d = calloc(1, sizeof *d);
    const char *image;
    int number;
    if (!d)
        return status_fail(s, "no memory");
    e->device = d;
    d->check = e->replays = o->check;
    if (!open_driver(d, o->device, &number, s) ||
        !choose_device(d, number, s) || !streams_open(d, s))
        return false;
    image = cuda_load(e, attribute(d, CU_COMPUTE_MAJOR),
                      attribute(d, CU_COMPUTE_MINOR),
                      attribute(d, CU_SHARED_MOST), s);
    if (!image)
        return false;
    if (e->plan->n_convs &&
        !(d->cudnn = cudnn_open(e->plan, d->compute, NULL, s)))
        return false;
    describe(e, image);
    return memory_open(e, s) && rings_open(e, s);
}

static void graph_close(const CudaApi *api, CudaGraph *g)
{
    for (int i = 0; i < CUDA_MAX_SLOTS; i++)
        if (g->exec[i])
            api->cuGraphExecDestroy(g->exec[i]);
    if (g->ring)
        api->cuMemFreeHost(g->ring);
    free(g->set);
    free(g->get);
}

/* After the driver has failed for good these fail too, which changes nothing.
 */
static void cuda_close(Executor *e)
{
    CudaDevice *d = e->device;
    if (!d)
        return;
    const CudaApi *api = &d->api;
    if (d->compute)
        api->cuStreamSynchronize(d->compute);
    for (uint32_t i = 0; d->graph && i < e->plan->n_graphs; i++)
        graph_close(api, &d->graph[i]);
    cuda_fetch_close(d, e->plan->n_graphs);
    if (d->arena)
        api->cuMemFree_v2(d->arena);
    if (e->arena)
        api->cuMemFreeHost(e->arena);
    cudnn_close(d->cudnn);
    cuda_unload(d);
    streams_close(d);
    if (d->context)
        api->cuDevicePrimaryCtxRelease_v2(d->device);
    cuda_api_close(&d->api);
    free(d->graph);
    free(d->kernel);
    free(d->buffer);
    free(d);
}

static int cuda_depth(const Executor *e)
{
    const CudaDevice *d = e->device;
    return d->depth;
}

/* ---- states ---------------------------------------------------------------
 */

static bool states_move(const Executor *e, bool push, Status *s)
{
    const CudaDevice *d = e->device;
    for (uint32_t i = 0; i < e->plan->n_states; i++) {
        const PlanState *t = &e->plan->states[i];
        CuPtr there = d->arena + (uint64_t)t->offset;
        char *here = e->arena + t->offset;
        size_t n = (size_t)t->bytes;
        CuResult r =
            push ? d->api.cuMemcpyHtoDAsync_v2(there, here, n, d->compute)
                 : d->api.cuMemcpyDtoHAsync_v2(here, there, n, d->compute);
        if (!cuda_well(&d->api, r,
                       push ? "cuMemcpyHtoDAsync" : "cuMemcpyDtoHAsync",
                       t->name, s))
            return false;
    }
    return cuda_well(&d->api, d->api.cuStreamSynchronize(d->compute),
                     "cuStreamSynchronize", "copies of the weights", s);
}

static bool cuda_push(const Executor *e, Status *s)
{
    return states_move(e, true, s);
}

static bool cuda_pull(const Executor *e, Status *s)
{
    return states_move(e, false, s);
}

const DeviceKind device_cuda = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .depth = cuda_depth,
    .push = cuda_push,
    .pull = cuda_pull,
    .keep = cuda_keep,
    .rows = cuda_rows,
    .submit = cuda_submit,
    .wait = cuda_wait,
    .step = cuda_step,
    .read = cuda_read,
};
