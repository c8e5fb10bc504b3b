/* device_cuda.h: what the files of the device `cuda` share. */
#ifndef TGC_DEVICE_CUDA_H
#define TGC_DEVICE_CUDA_H

#include "cuda_api.h"
#include "cudnn.h"
#include "executor_private.h"

enum { CUDA_MAX_SLOTS = 8 };

/* Bytes that go to or from the device at once: ports that lie side by side. */
typedef struct CudaRange {
    int64_t offset, bytes; /* in the arena */
    int64_t at;            /* in the slot's part of `ring` */
} CudaRange;

typedef struct CudaGraph {
    CudaRange *set, *get; /* scalar inputs; loss and correct */
    uint32_t n_set, n_get;
    int64_t ring_bytes; /* of a slot */
    char *ring;         /* pinned; [slot]: copies of those ranges */
    PlanRow *rows;      /* pinned; [slot][image]; NULL: images come as inputs */
    CuPtr rows_there;
    CuGraphExec exec[CUDA_MAX_SLOTS]; /* the whole step; made when first run */
} CudaGraph;

/* A run under way. */
typedef struct CudaRun {
    int graph;
    uint32_t slot;
    CuEvent copied, done;
} CudaRun;

typedef struct CudaDevice {
    CudaApi api;
    CuDevice device;
    CuContext context;
    CuModule *module; /* [PlanImage.unit] */
    uint32_t n_modules;
    CuFunction *kernel; /* [PlanKernel] */
    Cudnn *cudnn;       /* NULL: the plan has no use for it */
    CuPtr arena;
    size_t host_bytes; /* of e->arena */
    /* Training images, see device_cuda_fetch.c; 0: there are none here. */
    CuPtr pixels, values, shape;
    size_t pixels_bytes;
    uint32_t channels;
    CuFunction fetch;
    CuStream compute, copy;
    CuEvent began, ended; /* timed */
    CudaGraph *graph;
    CudaRun run[CUDA_MAX_SLOTS];
    uint32_t first, n_runs; /* under way: run[first], .. */
    int depth;
    bool check;
    RunResult checked; /* with `check`: of the run that was submitted */
    char *buffer;      /* for cuda_read */
    size_t buffer_bytes;
} CudaDevice;

/* Loads the best of the plan's architectures for a GPU of this number, with so
 * many bytes of shared memory for a block, and finds the kernels in it. Returns
 * its name, NULL with a message. */
const char *cuda_load(Executor *e, int major, int minor, int shared, Status *s);
void cuda_unload(CudaDevice *d);

/* device_cuda_fetch.c */
bool cuda_keep(Executor *e, const ExecutorImages *m, bool *kept, Status *s);
PlanRow *cuda_rows(Executor *e, int graph, uint32_t slot, Status *s);
bool cuda_rows_send(Executor *e, int graph, uint32_t slot, CuStream stream,
                    Status *s);
bool cuda_fetch(Executor *e, int graph, uint32_t slot, Status *s);
void cuda_fetch_close(CudaDevice *d, uint32_t n_graphs);

/* device_cuda_graph.c: makes CudaGraph.exec[slot]. */
bool cuda_capture(Executor *e, int graph, uint32_t slot, Status *s);

/* device_cuda_run.c */
bool cuda_launch(Executor *e, int graph, uint32_t slot, uint32_t number,
                 Status *s);
/* Of the ranges in CudaGraph.set and .get. */
bool cuda_scalars_send(Executor *e, int graph, uint32_t slot, uint32_t range,
                       Status *s);
bool cuda_results_fetch(Executor *e, int graph, uint32_t slot, uint32_t range,
                        Status *s);
bool cuda_run_well(const Executor *e, CuResult r, const char *call, int graph,
                   Status *s);
bool cuda_submit(Executor *e, int graph, uint32_t slot, Status *s);
bool cuda_wait(Executor *e, RunResult *result, Status *s);
bool cuda_step(Executor *e, int graph, uint32_t slot, uint32_t step,
               double *seconds, Status *s);
const void *cuda_read(Executor *e, int graph, uint32_t slot, uint32_t arg,
                      Status *s);

#endif
