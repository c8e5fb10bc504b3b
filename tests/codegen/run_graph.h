/* run_graph.h: compile the kernels of a graph and run it, without the passes
 * and without the runtime's executor.
 *
 *     RunGraph *r = run_graph_open(g, &e);
 *     run_graph_set(r, value, element, 0.5);       inputs and states
 *     run_graph_run(r);
 *     double y = run_graph_get(r, value, element);
 *
 * Each value in memory has bytes of its own, in its layout, between canaries;
 * element numbers are logical, row-major.  Results start as garbage, so that
 * what no kernel writes shows.
 */
#ifndef TGC_RUN_GRAPH_H
#define TGC_RUN_GRAPH_H

#include "op.h"

typedef struct RunGraph RunGraph;

/* NULL with a message where the graph cannot be lowered or compiled. */
RunGraph *run_graph_open(const Graph *g, Error *e);
void run_graph_close(RunGraph *r);

/* Is the value in memory: does a step write it, or is it an input? */
bool run_graph_has(const RunGraph *r, Value v);
void run_graph_set(RunGraph *r, Value v, int64_t element, double x);
double run_graph_get(const RunGraph *r, Value v, int64_t element);

/* Runs all steps; parts of a step in ascending order, or shuffled by a seed
 * that is not 0, in pieces.  False with a message where a kernel wrote outside
 * of its results. */
bool run_graph_run(RunGraph *r, uint32_t shuffle, Error *e);

/* Also write over operands where step_may_overwrite allows it: then only
 * results that are not overwritten can be asked for (run_graph_has). */
RunGraph *run_graph_open_in_place(const Graph *g, Error *e);

/* The C of all kernels, for looking at. */
const char *run_graph_source(const RunGraph *r);

#endif
