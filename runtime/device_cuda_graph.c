/* device_cuda_graph.c: a graph of the plan as one graph of CUDA's.
 *
 *     scalars   fetch          each task waits for those whose bytes it uses,
 *         \     /              and for nothing else (edges.h)
 *         step 0
 *        /      \
 *     step 1   step 2
 *        |        |
 *     loss     step 3
 *
 * The tasks are captured from one stream, which before each is told what it
 * waits for.  So what cuDNN launches is captured, too, however many kernels it
 * makes of a step. */
#include "device_cuda.h"
#include "edges.h"
#include <stdlib.h>
#include <string.h>

/* Tasks are, in this order: scalars in, the batch, steps, results out. */
typedef struct Capture {
    Executor *e;
    int graph;
    uint32_t slot;
    const PlanGraph *g;
    const CudaGraph *c;
    uint32_t steps, results, n; /* number of the first step, the first result;
                                   of tasks */
    EdgeSpan *span;
    EdgeTask *task;
    Edges edges;
    CuGraphNode *node; /* of all tasks so far: */
    size_t n_nodes, cap;
    size_t *first;     /* [task + 1] in node: what who waits for it waits for */
    CuGraphNode *wait; /* room for those of one */
    size_t cap_wait;
} Capture;

/* ---- what the tasks use -------------------------------------------------- */

static EdgeSpan range_span(const CudaRange *r, bool written)
{
    return (EdgeSpan){r->offset, r->bytes, written};
}

/* The image that the kernel tgc_fetch makes. */
static EdgeSpan fetch_span(const Capture *x)
{
    const PlanPort *p = executor_port(x->e, x->graph, "image");
    const PlanBuffer *b = &x->g->buffers[p->buffer];
    return (EdgeSpan){b->offset + (int64_t)x->slot * port_stride(p), b->bytes,
                      true};
}

static EdgeSpan *step_spans(const Capture *x, const PlanStep *step,
                            EdgeSpan *span)
{
    for (uint32_t k = 0; k < step->n_args; k++) {
        uint32_t arg = step->arg + k;
        *span++ =
            (EdgeSpan){graph_offset(x->g, arg, x->slot),
                       x->g->buffers[x->g->args[arg]].bytes, k < step->n_out};
    }
    if (x->e->plan->kernels[step->kernel].conv)
        *span++ = edges_cudnn(x->e->plan);
    return span;
}

static EdgeSpan *task_spans(const Capture *x, uint32_t k, EdgeSpan *span)
{
    if (k >= x->results)
        *span++ = range_span(&x->c->get[k - x->results], false);
    else if (k >= x->steps)
        span = step_spans(x, &x->g->steps[k - x->steps], span);
    else if (k >= x->c->n_set)
        *span++ = fetch_span(x);
    else
        *span++ = range_span(&x->c->set[k], true);
    return span;
}

static bool find_tasks(Capture *x, Status *s)
{
    x->steps = x->c->n_set + (x->c->rows ? 1 : 0);
    x->results = x->steps + x->g->n_steps;
    x->n = x->results + x->c->n_get;
    size_t most = (size_t)x->g->n_args + x->n;
    x->span = calloc(most + 1, sizeof *x->span);
    x->task = calloc((size_t)x->n + 1, sizeof *x->task);
    x->first = calloc((size_t)x->n + 1, sizeof *x->first);
    if (!x->span || !x->task || !x->first)
        return status_fail(s, "no memory for the order of %u kernels", x->n);
    EdgeSpan *span = x->span;
    for (uint32_t k = 0; k < x->n; k++) {
        EdgeSpan *end = task_spans(x, k, span);
        x->task[k] = (EdgeTask){span, (uint32_t)(end - span)};
        span = end;
    }
    return edges_find(x->task, x->n, &x->edges, s);
}

/* ---- capturing ----------------------------------------------------------- */

static bool make_room(CuGraphNode **list, size_t *cap, size_t n, Status *s)
{
    if (n <= *cap)
        return true;
    CuGraphNode *bigger = realloc(*list, 2 * n * sizeof *bigger);
    if (!bigger)
        return status_fail(s, "no memory for %zu nodes of a graph", n);
    *list = bigger;
    *cap = 2 * n;
    return true;
}

/* What is captured next waits for the tasks that task k waits for. */
static bool wait_before(Capture *x, uint32_t k, Status *s)
{
    const CudaDevice *d = x->e->device;
    size_t n = 0;
    for (uint32_t i = x->edges.start[k]; i < x->edges.start[k + 1]; i++) {
        uint32_t p = x->edges.to[i];
        size_t more = x->first[p + 1] - x->first[p];
        if (!make_room(&x->wait, &x->cap_wait, n + more, s))
            return false;
        memcpy(x->wait + n, x->node + x->first[p], more * sizeof *x->wait);
        n += more;
    }
    CuResult r = d->api.cuStreamUpdateCaptureDependencies(
        d->compute, x->wait, n, CU_CAPTURE_SET_DEPENDENCIES);
    return cuda_run_well(x->e, r, "cuStreamUpdateCaptureDependencies", x->graph,
                         s);
}

/* What would be captured next would wait for these: the task's last nodes. */
static bool note_nodes(Capture *x, uint32_t k, Status *s)
{
    const CudaDevice *d = x->e->device;
    const CuGraphNode *node = NULL;
    size_t n = 0;
    int status = 0;
    CuResult r = d->api.cuStreamGetCaptureInfo_v2(d->compute, &status, NULL,
                                                  NULL, &node, &n);
    if (!cuda_run_well(x->e, r, "cuStreamGetCaptureInfo", x->graph, s) ||
        !make_room(&x->node, &x->cap, x->n_nodes + n, s))
        return false;
    if (status != CU_CAPTURE_ACTIVE)
        return status_fail(s,
                           "the GPU's driver has given up capturing graph "
                           "%s",
                           x->g->name);
    if (n)
        memcpy(x->node + x->n_nodes, node, n * sizeof *node);
    x->n_nodes += n;
    x->first[k + 1] = x->n_nodes;
    return true;
}

static bool enqueue(const Capture *x, uint32_t k, Status *s)
{
    if (k >= x->results)
        return cuda_results_fetch(x->e, x->graph, x->slot, k - x->results, s);
    if (k >= x->steps)
        return cuda_launch(x->e, x->graph, x->slot, k - x->steps, s);
    if (k >= x->c->n_set)
        return cuda_fetch(x->e, x->graph, x->slot, s);
    return cuda_scalars_send(x->e, x->graph, x->slot, k, s);
}

static bool capture_tasks(Capture *x, Status *s)
{
    for (uint32_t k = 0; k < x->n; k++)
        if (!wait_before(x, k, s) || !enqueue(x, k, s) || !note_nodes(x, k, s))
            return false;
    return true;
}

static bool capture_all(Capture *x, CuGraph *captured, Status *s)
{
    const CudaDevice *d = x->e->device;
    CuResult r = d->api.cuStreamBeginCapture_v2(d->compute, CU_CAPTURE_RELAXED);
    if (!cuda_run_well(x->e, r, "cuStreamBeginCapture", x->graph, s))
        return false;
    bool done = capture_tasks(x, s);
    r = d->api.cuStreamEndCapture(d->compute, captured);
    return done && cuda_run_well(x->e, r, "cuStreamEndCapture", x->graph, s);
}

bool cuda_capture(Executor *e, int graph, uint32_t slot, Status *s)
{
    CudaDevice *d = e->device;
    Capture x = {.e = e, .graph = graph, .slot = slot};
    CuGraph captured = NULL;
    x.g = &e->plan->graphs[graph];
    x.c = &d->graph[graph];
    bool done = find_tasks(&x, s) && capture_all(&x, &captured, s);
    if (done) {
        CuGraphExec *exec = &d->graph[graph].exec[slot];
        CuResult r = d->api.cuGraphInstantiateWithFlags(exec, captured, 0);
        done = cuda_run_well(e, r, "cuGraphInstantiate", graph, s);
    }
    if (captured)
        d->api.cuGraphDestroy(captured);
    edges_free(&x.edges);
    free(x.span);
    free(x.task);
    free(x.first);
    free(x.node);
    free(x.wait);
    return done;
}
