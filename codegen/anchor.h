/* anchor.h: a group around a library call (ir/steps.h) as one function.
 *
 *     for each piece of the batch
 *         prologue     nests of loops, on the piece
 *         call         of the library, on the piece
 *         epilogue     nests of loops, on the piece while it is in the cache
 *
 * What passes between the three and is no result of the step lies in the
 * thread's scratch memory, a piece of it. */
#ifndef TGC_ANCHOR_H
#define TGC_ANCHOR_H

#include "kernel.h"
#include "libcall.h"

/* The function, in the arena; its name is @, as in KernelText.  lib_scratch:
 * bytes of scratch memory that the call wants for itself.  NULL with a message
 * where a member cannot run in pieces. */
const char *anchor_text(const Graph *g, const Step *s, int64_t lib_scratch,
                        Arena *a, Error *e);

/* Bytes of scratch memory that a thread needs, those of the call included. */
int64_t anchor_scratch(const Graph *g, const Step *s, int64_t lib_scratch);

#endif
