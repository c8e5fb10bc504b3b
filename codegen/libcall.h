/* libcall.h: library nodes (ir/ops/library.c) as calls of runtime/lib.h. */
#ifndef TGC_LIBCALL_H
#define TGC_LIBCALL_H

#include "lib.h"
#include "op.h"

/* The call that a T_LIBRARY node stands for, once a part. */
void libcall_desc(const Graph *g, const Node *n, LibDesc *d);

/* Do operands and result lie as the library reads and writes them? */
bool libcall_lies_well(const Graph *g, const Node *n);

/* How a step of such a node runs: parts, and the bytes from one part to the
 * next of each operand and of the result (0: the same for all). */
typedef struct LibParts {
    int64_t parts;
    int64_t a_bytes, b_bytes, result_bytes;
} LibParts;
LibParts libcall_parts(const Graph *g, const Node *n);

#endif
