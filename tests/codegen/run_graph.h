/* run_graph.h: compile the kernels of graphs and run them, without the passes
 * and without the runtime's executor.
 *
 *     RunSet *set = run_set_new();
 *     RunGraph *r = run_set_add(set, g, false, &e);      any number of graphs
 *     run_set_compile(set, &e)                           one call of cc
 *     run_graph_set(r, value, element, 0.5);             inputs and states
 *     run_graph_run(r, 0, &e);
 *     double y = run_graph_get(r, value, element);
 *
 * Each value in memory has bytes of its own, in its layout, between canaries;
 * element numbers are logical, row-major.  Results start as garbage, so that
 * what no kernel writes shows.
 */
#ifndef TGC_RUN_GRAPH_H
#define TGC_RUN_GRAPH_H

#include "op.h"

typedef struct RunSet RunSet;
typedef struct RunGraph RunGraph;

RunSet *run_set_new(void);
void run_set_free(RunSet *s); /* and its graphs; NULL is fine */

/* cuda: up to so many tiles of each product of the graphs that are added. */
void run_set_tiles(RunSet *s, int each);

/* NULL with a message where the graph cannot be lowered.  in_place: results
 * are written over operands where step_may_overwrite allows it; then only what
 * is not overwritten later can be asked for (run_graph_has).  The graph must
 * outlive the set. */
RunGraph *run_set_add(RunSet *s, const Graph *g, bool in_place, Error *e);
bool run_set_compile(RunSet *s, Error *e);
/* The C of all kernels, for looking at; after run_set_compile. */
const char *run_set_source(const RunSet *s);

/* Is the value in memory: does a step write it, or is it an input? */
bool run_graph_has(const RunGraph *r, Value v);
void run_graph_set(RunGraph *r, Value v, int64_t element, double x);
double run_graph_get(const RunGraph *r, Value v, int64_t element);

/* From now on, products are computed in tile number i of theirs, 0 that of the
 * model of costs; false: none of them has so many. */
bool run_graph_tile(RunGraph *r, int i);

/* Runs all steps; parts of a step in ascending order, or shuffled by a seed
 * that is not 0, in pieces.  False with a message where a kernel wrote outside
 * of its results. */
bool run_graph_run(RunGraph *r, uint32_t shuffle, Error *e);

#endif
