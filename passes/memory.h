/* memory.h: what the files of the pass `memory` share.
 *
 *     memory.c         which buffers there are, and from when to when
 *     memory_place.c   where in the arena each of them lies
 */
#ifndef TGC_MEMORY_H
#define TGC_MEMORY_H

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

/* Whether the plan keeps its promises: every value that a step touches has a
 * buffer of its size, live at that step, aligned and within the arena; no two
 * that are live at one step overlap; states lie where those of `first`, the
 * module's first plan, do. */
bool memory_verify(const Graph *g, const MemoryPlan *first, Error *e);

#endif
