/* bench_tune.h: bench --tune, see bench_tune.c. */
#ifndef TGC_BENCH_TUNE_H
#define TGC_BENCH_TUNE_H

#include "executor.h"
#include "tiles.h"

/* A copy of the plan, whose steps tune_run may change; free with free.  NULL
 * with a message. */
Plan *tune_plan(const Plan *plan, Status *s);

typedef struct TuneOptions {
    int graph, turns;
    const char *path; /* the file */
    /* Gives a copy of the graph its inputs, all slots of them, and all states
     * their first values: steps that are timed alone write to them, too. */
    bool (*prepare)(void *context, int graph, Status *s);
    /* Median seconds of a few training steps in which this copy is run. */
    bool (*steps)(void *context, int graph, double *seconds, Status *s);
    void *context; /* theirs */
} TuneOptions;

/* After some steps of the graph: times every product in each of its tiles so
 * many turns, then its convolutions by cuDNN and by kernels of ours, and adds
 * what is best to the file.  The executor's plan is one of tune_plan. */
bool tune_run(Executor *e, const TuneOptions *o, Status *s);

/* bench_choose.c: the convolutions, where the plan has copies of the training
 * step for them: adds their rows. */
bool choose_run(const Plan *plan, const TuneOptions *o, TileTable *t,
                Status *s);

#endif
