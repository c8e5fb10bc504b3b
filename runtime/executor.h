/* executor.h: runs a plan's graphs, step after step, over one arena.
 *
 *     arena    [ states | inputs, slot by slot | outputs | everything else ]
 *     scratch  [ thread 0 | thread 1 | .. ]
 *
 * Both are taken and touched at start; a run allocates nothing.
 *
 * Where the arena is another machine's memory (a GPU's), the host has a copy of
 * its states and inputs.  Inputs go there by themselves; states go when
 * executor_push says so, and come back with executor_pull.
 */
#ifndef TGC_EXECUTOR_H
#define TGC_EXECUTOR_H

#include "lib.h"
#include "plan.h"
#include "status.h"

typedef struct Executor Executor;

typedef struct ExecutorOptions {
    int threads; /* at least 1 */
    /* For tests: fill memory with NaN before use and between runs, so that a
     * read of what nobody wrote shows in the results. */
    bool poison;
    /* Memory is taken as it is used, not at start: for who runs few steps of a
     * plan that may be larger than this machine. */
    bool sparse;
    /* "cpu", "cuda", "cuda:1", "emu:FILE" (an emulator: tests/emulator), "auto"
     * or NULL: what the plan was compiled for. */
    const char *device;
    /* On a GPU, wait after each kernel, and stop after the loss where it is not
     * finite: slow, but it says which kernel, and which op. */
    bool check;
} ExecutorOptions;

/* What a run of a graph came to. */
typedef struct RunResult {
    double loss;
    int64_t correct;
    bool finite; /* false: states unchanged, and but for scaled runs stopped
                    after the loss step; on a GPU without `check` they have
                    changed */
    bool scaled; /* the graph scales its loss and skips what overflows: */
    double loss_scale;           /* of this run */
    int64_t skips, skips_in_row; /* in all; up to this run */
} RunResult;

/* NULL with a message: no memory, a plan of another version, a library call
 * that cannot be made, a processor that lacks what the plan was made for. */
Executor *executor_open(const Plan *plan, const ExecutorOptions *o, Status *s);
void executor_close(Executor *e); /* NULL is fine */

int executor_threads(const Executor *e);
/* For people: "2 threads", "NVIDIA H200, 139 GiB, driver 13.0". */
const char *executor_about(const Executor *e);
const Plan *executor_plan(const Executor *e);
int64_t executor_bytes(const Executor *e); /* arena, scratch, program */

/* Index of a graph, -1 where the plan has none of that name. */
int executor_graph(const Executor *e, const char *name);
/* The graph's input, NULL where it has none of that name. */
const PlanPort *executor_port(const Executor *e, int graph, const char *name);

/* After a run: the class that the net gave each row of the batch; NULL where
 * the graph does not say. */
const int32_t *executor_predicted(const Executor *e, int graph);
void *executor_state(const Executor *e, uint32_t state);
void *executor_input(const Executor *e, int graph, const PlanPort *port,
                     uint32_t slot);
/* Give a scalar input a value, converted to its type; an input that the graph
 * does not have is no error. */
void executor_set(Executor *e, int graph, const char *name, double value);

/* States from the host's copy to the device, and back: after they were set, and
 * before they are read.  On the cpu there is one copy, and nothing to do. */
bool executor_push(const Executor *e, Status *s);
bool executor_pull(const Executor *e, Status *s);

/* Images that may stay on the device, which then makes batches of them. */
typedef struct ExecutorImages {
    int64_t n, c, h, w;
    const PlanType *type; /* of the input that they become */
    const float *value;   /* [c][256] a byte as the model takes it */
    bool (*read)(void *context, int64_t i, uint8_t *to, Status *s);
    void *context;
} ExecutorImages;

/* *kept: they are there.  They are not, which is no error, where the device has
 * no memory of its own, or too little. */
bool executor_keep(Executor *e, const ExecutorImages *images, bool *kept,
                   Status *s);
/* From now on the graph takes its images from them: where to write, for each
 * batch in this slot, what it is made of.  NULL with a message. */
PlanRow *executor_rows(Executor *e, int graph, uint32_t slot, Status *s);

/* Runs may overlap: up to executor_depth of them are under way at once, each
 * with its own input slot, and end in the order in which they began.  A slot
 * may be filled again after executor_wait has returned its run. */
int executor_depth(const Executor *e);
bool executor_submit(Executor *e, int graph, uint32_t slot, Status *s);
bool executor_wait(Executor *e, RunResult *result, Status *s);

/* One pass over the graph's steps, reading input slot `slot`.  False where the
 * library failed.  Submit, and wait. */
bool executor_run(Executor *e, int graph, uint32_t slot, RunResult *result,
                  Status *s);

/* The same step by step, adding the seconds of step i to seconds[i]; on the cpu
 * on this thread alone, in seconds of the processor: not disturbed by what else
 * runs on the machine. */
bool executor_profile(Executor *e, int graph, uint32_t slot, double *seconds,
                      Status *s);

/* Runs steps first .. last by all threads; the seconds that the last one took,
 * with its operands where the others left them. */
bool executor_time(Executor *e, int graph, uint32_t first, uint32_t last,
                   double *seconds, Status *s);

/* After a run whose loss was not finite: runs the graph again on the same
 * input, one step at a time, and says in `text` which state or input was bad
 * already, or which op was the first to produce what is not finite.  Leaves
 * activations, not parameters, changed. */
void executor_blame(Executor *e, int graph, uint32_t slot, char *text,
                    size_t size);

#endif
