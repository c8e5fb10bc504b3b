/* memory.h: what the files of the pass `memory` share.
 *
 *     memory.c         which buffers there are, and from when to when
 *     memory_place.c   where in the arena each of them lies
 *     memory_gaps.c    the search for room (memory_gaps.h)
 *     memory_spread.c  away from where somebody has just been
 */
#ifndef TGC_MEMORY_H
#define TGC_MEMORY_H

#include "passes.h"
#include "steps.h"

enum { MEMORY_ALIGN = 64 };

int64_t memory_align(int64_t bytes);
/* Bytes that the buffer takes in the arena: all slots of an input. */
int64_t memory_room(const Graph *g, const Buffer *b);

/* Sets the offsets of buffers first .. p->n_buffers - 1 so that no two that
 * are live at one step overlap, all at `base` or above; then arena_bytes,
 * live_bytes and peak_step. */
void memory_place(const Graph *g, MemoryPlan *p, uint32_t first, int64_t base,
                  uint32_t n_steps);

/* Moves those buffers within the bytes that the plan has, so that others used
 * their bytes as long before, and use them as long after, as can be: for
 * targets that run steps side by side (Target.beside). */
void memory_spread(const Graph *g, MemoryPlan *p, uint32_t first, int64_t base);

/* False with a message where sizes add up to more than can be counted. */
bool memory_sizes_fit(const Module *m, PassContext *c);
/* Where what a graph computes may begin: behind states and inputs of all. */
int64_t memory_base(Module *m, PassContext *c);
/* Arena that the graph of these steps takes, and its plan at Graph.memory; -1:
 * it cannot be planned.  The pass itself, for one graph. */
int64_t memory_measure(Graph *g, PassContext *c, const Steps *s, int64_t base);

/* Whether the plan keeps its promises: every value that a step touches has a
 * buffer of its size, live at that step, aligned and within the arena; no two
 * that are live at one step overlap; states lie where those of `first`, the
 * module's first plan, do. */
bool memory_verify(const Graph *g, const MemoryPlan *first, Error *e);

#endif
