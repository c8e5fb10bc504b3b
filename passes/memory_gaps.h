/* memory_gaps.h: which bytes of the arena are taken from which step to which,
 * and where there is room.
 *
 *     bytes
 *       |  ######      ###
 *       |  ###  =======        a gap of three steps' height
 *       |  ###############
 *       +------------------> steps
 */
#ifndef TGC_MEMORY_GAPS_H
#define TGC_MEMORY_GAPS_H

#include "arena.h"
#include <stdint.h>

typedef struct Span {
    int64_t offset, end;  /* bytes offset .. end-1 */
    uint32_t first, last; /* taken at these steps and between them */
} Span;

typedef struct Gaps Gaps;

Gaps *gaps_new(uint32_t n_steps, Arena *a);
void gaps_clear(Gaps *g);
void gaps_take(Gaps *g, const Span *s);
/* Where `room` bytes are free from step first to step last: the beginning of
 * the smallest gap below something taken, the lowest of equal ones; else the
 * end of all that is taken then. */
int64_t gaps_find(Gaps *g, int64_t room, uint32_t first, uint32_t last);

#endif
