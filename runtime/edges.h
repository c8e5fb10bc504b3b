/* edges.h: which parts of a graph must wait for which.
 *
 *     0 conv   x, w -> y              0
 *     1 relu   y -> z                 |
 *     2 sum    z -> s                 1
 *     3 conv   z, v -> u            2   3     do not wait for each other
 *
 * A task (a kernel, a copy) waits for who wrote the bytes that it reads, and
 * for who read or wrote the bytes that it writes.  It is bytes that count, not
 * values: where two values share memory at different times, whoever uses the
 * second waits for the last who used the first. */
#ifndef TGC_EDGES_H
#define TGC_EDGES_H

#include "plan.h"
#include "status.h"

/* Bytes that a task reads or writes. */
typedef struct EdgeSpan {
    int64_t offset, bytes;
    bool written;
} EdgeSpan;

typedef struct EdgeTask {
    const EdgeSpan *span;
    uint32_t n_spans;
} EdgeTask;

/* Task k waits for to[start[k]] .. to[start[k + 1] - 1], earlier tasks of which
 * none waits for another, as far as that was cheap to find out. */
typedef struct Edges {
    uint32_t n; /* tasks */
    uint32_t *start, *to;
} Edges;

/* Of tasks in an order in which they could run.  False with a message where
 * there is no memory; then, too, edges_free may be called. */
bool edges_find(const EdgeTask *task, uint32_t n, Edges *e, Status *s);
void edges_free(Edges *e);

/* Tasks on the longest chain of those that wait for one another. */
uint32_t edges_longest(const Edges *e);

/* Bytes that no value has, which every call of cuDNN "writes": two of them may
 * not run at once, since they share what its handle holds. */
EdgeSpan edges_cudnn(const Plan *plan);

/* Steps on the longest chain of a graph of the plan; with `shared` false, were
 * no memory ever used for a second value.  0: no memory. */
uint32_t edges_of_graph(const Plan *plan, const PlanGraph *g, bool shared);

#endif
