/* executor_private.h: what executor.c, run.c, blame.c and bench_time.c share.
 */
#ifndef TGC_EXECUTOR_PRIVATE_H
#define TGC_EXECUTOR_PRIVATE_H

#include "executor.h"
#include <stdatomic.h>

/* How a step's parts are handed out in a run; see run.c. */
typedef struct StepWork {
    int64_t parts;
    int64_t piece; /* parts taken at once */
    int shares;    /* one a thread; 1 where the step is too small to split */
    _Atomic int64_t done; /* parts computed */
} StepWork;

/* A graph of the plan with its numbers turned into addresses. */
typedef struct ExecutorGraph {
    const PlanGraph *graph;
    uint32_t slots;
    size_t n_args;
    char **buf; /* [slot * n_args + argument] */
    struct LibCall **lib;
    StepWork *work;        /* [step] */
    _Atomic int64_t *next; /* [step * threads + share]: first part not taken */
    const void *loss, *correct; /* outputs, NULL where the graph has none */
    uint8_t loss_dtype, correct_dtype;
} ExecutorGraph;

struct Executor {
    const Plan *plan;
    int threads;
    bool poison, sparse;
    char *arena, *scratch;
    size_t arena_size, scratch_size, scratch_each;
    Lib *lib;
    ExecutorGraph *graph;
};

/* Bytes from one slot of an input to the next. */
int64_t port_stride(const PlanPort *p);

/* Parts begin .. end-1 of a step. */
void executor_parts(Executor *e, const ExecutorGraph *x, uint32_t step,
                    uint32_t slot, int thread, int64_t begin, int64_t end);

#endif
