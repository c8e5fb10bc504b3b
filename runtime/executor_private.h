/* executor_private.h: what executor.c, run.c, blame.c and bench_time.c share.
 */
#ifndef TGC_EXECUTOR_PRIVATE_H
#define TGC_EXECUTOR_PRIVATE_H

#include "device.h"
#include "executor.h"
#include <stdatomic.h>

enum { PLAN_ALIGN = 64 }; /* of buffers in the arena */

/* How a step's parts are handed out in a run; see run.c. */
typedef struct StepWork {
    int64_t parts;
    int64_t piece; /* parts taken at once */
    int shares;    /* one a thread; 1 where the step is too small to split */
    _Atomic int64_t done; /* parts computed */
} StepWork;

/* Outputs that the runtime reads after a run. */
typedef enum Result {
    RESULT_LOSS,
    RESULT_CORRECT,
    RESULT_LOSS_SCALE, /* these three together */
    RESULT_SKIPS,
    RESULT_SKIPS_IN_ROW,
    RESULT_PREDICTED, /* of each row of the batch */
    RESULTS
} Result;

/* A graph of the plan with its numbers turned into addresses. */
typedef struct ExecutorGraph {
    const PlanGraph *graph;
    uint32_t slots;
    size_t n_args;
    char **buf; /* [slot * n_args + argument] */
    struct LibCall **lib;
    StepWork *work;        /* [step] */
    _Atomic int64_t *next; /* [step * threads + share]: first part not taken */
    const PlanPort *result[RESULTS]; /* outputs, NULL where there is none */
} ExecutorGraph;

struct Executor {
    const Plan *plan;
    const DeviceKind *kind;
    void *device; /* of a kind with more to remember */
    char about[256];
    char gpu[128], arch[16]; /* "NVIDIA H200", "sm_90"; cpu: "" */
    int threads;
    bool poison, sparse;
    bool replays; /* a run with a bad loss has left the states as they were */
    char *arena, *scratch; /* arena: where another machine has it, the host's
                              copy of its beginning */
    RunResult done;        /* cpu: of the run that was submitted */
    size_t arena_size, scratch_size, scratch_each;
    Lib *lib;
    ExecutorGraph *graph;
};

/* Bytes from one slot of an input to the next. */
int64_t port_stride(const PlanPort *p);

/* Where argument `arg` of a graph lies in the arena, for an input slot. */
int64_t graph_offset(const PlanGraph *g, uint32_t arg, uint32_t slot);

/* A scalar output as the host has it; 0 where the graph has none. */
double result_value(const Executor *e, const ExecutorGraph *x, Result r);
/* All of them, of a run that is done. */
void results_take(const Executor *e, const ExecutorGraph *x, RunResult *r);

/* run.c: device_cpu's */
bool cpu_submit(Executor *e, int graph, uint32_t slot, Status *s);
bool cpu_wait(Executor *e, RunResult *result, Status *s);
bool cpu_step(Executor *e, int graph, uint32_t slot, uint32_t step,
              double *seconds, Status *s);
const void *cpu_read(Executor *e, int graph, uint32_t slot, uint32_t arg,
                     Status *s);

/* Parts begin .. end-1 of a step. */
void executor_parts(Executor *e, const ExecutorGraph *x, uint32_t step,
                    uint32_t slot, int thread, int64_t begin, int64_t end);

#endif
