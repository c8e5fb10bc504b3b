/* bench_tune.h: bench --tune, see bench_tune.c. */
#ifndef TGC_BENCH_TUNE_H
#define TGC_BENCH_TUNE_H

#include "executor.h"

/* A copy of the plan, whose steps tune_run may change; free with free.  NULL
 * with a message. */
Plan *tune_plan(const Plan *plan, Status *s);

/* After some steps of the graph: times every product in each of its tiles so
 * many turns, and adds what is best to the file at `path`.  The executor's plan
 * is one of tune_plan. */
bool tune_run(Executor *e, int graph, int turns, const char *path, Status *s);

#endif
