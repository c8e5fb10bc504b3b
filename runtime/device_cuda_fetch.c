/* device_cuda_fetch.c: training images that live on the GPU.
 *
 *     host    rows (pinned): which image, which window     32 bytes an image
 *     device  pixels, bytes as in the files | rows | table of normalised bytes
 *
 * Before a graph's first step the kernel tgc_fetch (codegen/cuda_fetch.cuh)
 * makes the batch of them, so a batch's way to the GPU is 4 KB, not 1.5 MB. */
#include "device_cuda.h"
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4 << 20, SPARE = 64 << 20, THREADS = 256, SHAPE = 7 };

static const PlanPort *image_port(const Executor *e, int graph)
{
    return executor_port(e, graph, "image");
}

/* ---- the data set ---------------------------------------------------------
 */

static bool send(CudaDevice *d, CuPtr to, const void *from, size_t bytes,
                 Status *s)
{
    return cuda_well(&d->api,
                     d->api.cuMemcpyHtoDAsync_v2(to, from, bytes, d->copy),
                     "cuMemcpyHtoDAsync", "training images", s) &&
           cuda_well(&d->api, d->api.cuStreamSynchronize(d->copy),
                     "cuStreamSynchronize", "training images", s);
}

static bool send_pixels(CudaDevice *d, const ExecutorImages *m, uint8_t *room,
                        Status *s)
{
    int64_t each = m->c * m->h * m->w, most = CHUNK / each;
    most = most < 1 ? 1 : most;
    for (int64_t i = 0; i < m->n; i += most) {
        int64_t n = m->n - i < most ? m->n - i : most;
        for (int64_t k = 0; k < n; k++)
            if (!m->read(m->context, i + k, room + k * each, s))
                return false;
        if (!send(d, d->pixels + (uint64_t)(i * each), room, (size_t)(n * each),
                  s))
            return false;
    }
    return true;
}

static bool send_tables(CudaDevice *d, const ExecutorImages *m, Status *s)
{
    const int32_t shape[SHAPE] = {
        (int32_t)m->c,
        (int32_t)m->h,
        (int32_t)m->w,
        (int32_t)m->type->stride[0],
        (int32_t)m->type->stride[1],
        (int32_t)m->type->stride[2],
        (int32_t)m->type->stride[3],
    };
    return send(d, d->values, m->value, (size_t)m->c * 256 * sizeof(float),
                s) &&
           send(d, d->shape, shape, sizeof shape, s);
}

static bool take(CudaDevice *d, CuPtr *memory, size_t bytes, const char *what,
                 Status *s)
{
    return cuda_well(&d->api, d->api.cuMemAlloc_v2(memory, bytes), "cuMemAlloc",
                     what, s);
}

/* Kernels count in 32 bits within an image, and images by 32 bits. */
static bool is_small(const ExecutorImages *m)
{
    return m->n <= INT32_MAX && m->c * m->h * m->w <= 1 << 28 &&
           m->type->stride[0] <= 1 << 28;
}

bool cuda_keep(Executor *e, const ExecutorImages *m, bool *kept, Status *s)
{
    CudaDevice *d = e->device;
    size_t have = 0, all = 0, each = (size_t)(m->c * m->h * m->w);
    *kept = false;
    if (!is_small(m) ||
        d->api.cuModuleGetFunction(&d->fetch, d->module[d->n_modules - 1],
                                   "tgc_fetch") != 0)
        return true;
    if (!cuda_well(&d->api, d->api.cuMemGetInfo_v2(&have, &all), "cuMemGetInfo",
                   NULL, s))
        return false;
    if (have < SPARE || (have - SPARE) / each < (size_t)m->n)
        return true;
    uint8_t *room = malloc(each > CHUNK ? each : CHUNK);
    if (!room)
        return status_fail(s, "no memory for %d bytes", CHUNK);
    d->pixels_bytes = each * (size_t)m->n;
    *kept =
        take(d, &d->pixels, d->pixels_bytes, "training images", s) &&
        take(d, &d->values, (size_t)m->c * 256 * sizeof(float), "a table", s) &&
        take(d, &d->shape, SHAPE * sizeof(int32_t), "a table", s) &&
        send_tables(d, m, s) && send_pixels(d, m, room, s);
    d->channels = (uint32_t)m->c;
    free(room);
    return *kept;
}

PlanRow *cuda_rows(Executor *e, int graph, uint32_t slot, Status *s)
{
    CudaDevice *d = e->device;
    CudaGraph *c = &d->graph[graph];
    const ExecutorGraph *x = &e->graph[graph];
    size_t n = (size_t)image_port(e, graph)->type.dim[0];
    void *rows = NULL;
    if (!c->rows) {
        size_t bytes = n * x->slots * sizeof *c->rows;
        if (!cuda_well(&d->api, d->api.cuMemHostAlloc(&rows, bytes, 0),
                       "cuMemHostAlloc", "rows of batches", s) ||
            !take(d, &c->rows_there, bytes, "rows of batches", s))
            return NULL;
        memset(rows, 0, bytes);
        c->rows = rows;
    }
    return c->rows + n * slot;
}

void cuda_fetch_close(CudaDevice *d, uint32_t n_graphs)
{
    for (uint32_t i = 0; d->graph && i < n_graphs; i++) {
        if (d->graph[i].rows_there)
            d->api.cuMemFree_v2(d->graph[i].rows_there);
        if (d->graph[i].rows)
            d->api.cuMemFreeHost(d->graph[i].rows);
    }
    const CuPtr memory[] = {d->pixels, d->values, d->shape};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            d->api.cuMemFree_v2(memory[i]);
}

/* ---- a batch --------------------------------------------------------------
 */

bool cuda_rows_send(Executor *e, int graph, uint32_t slot, CuStream stream,
                    Status *s)
{
    const CudaDevice *d = e->device;
    const CudaGraph *c = &d->graph[graph];
    size_t n = (size_t)image_port(e, graph)->type.dim[0];
    CuResult r = d->api.cuMemcpyHtoDAsync_v2(
        c->rows_there + n * slot * sizeof *c->rows, c->rows + n * slot,
        n * sizeof *c->rows, stream);
    return cuda_well(&d->api, r, "cuMemcpyHtoDAsync", "rows of a batch", s);
}

bool cuda_fetch(Executor *e, int graph, uint32_t slot, Status *s)
{
    CudaDevice *d = e->device;
    const CudaGraph *c = &d->graph[graph];
    const PlanGraph *g = &e->plan->graphs[graph];
    const PlanPort *p = image_port(e, graph);
    size_t n = (size_t)p->type.dim[0];
    uint64_t at = (uint64_t)(g->buffers[p->buffer].offset +
                             (int64_t)slot * port_stride(p));
    CuPtr address[] = {d->arena + at,
                       c->rows_there + n * slot * sizeof *c->rows, d->pixels,
                       d->values, d->shape};
    size_t bytes[] = {(size_t)g->buffers[p->buffer].bytes, n * sizeof *c->rows,
                      d->pixels_bytes, d->channels * 256 * sizeof(float),
                      SHAPE * sizeof(int32_t)};
    enum { ARGS = sizeof address / sizeof *address };
    void *arg[ARGS];
    CudaSpan span[ARGS];
    for (int i = 0; i < ARGS; i++) {
        arg[i] = &address[i];
        span[i] =
            (CudaSpan){(void *)(uintptr_t)address[i], bytes[i], i == 0, i == 0};
    }
    if (d->api.emulator_spans)
        d->api.emulator_spans(span, ARGS);
    CuResult r = d->api.cuLaunchKernel(d->fetch, (unsigned)n, 1, 1, THREADS, 1,
                                       1, 0, d->compute, arg, NULL);
    return cuda_well(&d->api, r, "cuLaunchKernel", "tgc_fetch (the batch)", s);
}
