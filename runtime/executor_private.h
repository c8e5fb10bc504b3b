/* executor_private.h: what executor.c and blame.c share. */
#ifndef TGC_EXECUTOR_PRIVATE_H
#define TGC_EXECUTOR_PRIVATE_H

#include "executor.h"

/* A graph of the plan with its numbers turned into addresses. */
typedef struct ExecutorGraph {
    const PlanGraph *graph;
    uint32_t slots;
    size_t n_args;
    char **buf; /* [slot * n_args + argument] */
    struct LibCall **lib;
    uint8_t *serial,
        *meet; /* for each step: by thread 0 alone; barrier after */
    const void *loss, *correct; /* outputs, NULL where the graph has none */
    uint8_t loss_dtype, correct_dtype;
} ExecutorGraph;

struct Executor {
    const Plan *plan;
    int threads;
    bool poison;
    char *arena, *scratch;
    size_t arena_size, scratch_size, scratch_each;
    Lib *lib;
    ExecutorGraph *graph;
};

/* Bytes from one slot of an input to the next. */
int64_t port_stride(const PlanPort *p);

/* The share of one thread in one step. */
void executor_step(Executor *e, const ExecutorGraph *x, uint32_t i,
                   uint32_t slot, int thread, int threads);

#endif
