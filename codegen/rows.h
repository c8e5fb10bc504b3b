/* rows.h: rows of a table, read by their numbers, and the gradient of that: the
 * kernels of gather and gather_grad, on every target.
 *
 * Where an element lies is computed here, which the kernel IR has no words for;
 * so these are texts of their own, and nothing is fused with them. */
#ifndef TGC_ROWS_H
#define TGC_ROWS_H

#include "target.h"
#include <stdio.h>

bool rows_is(const Node *n);
/* Is it one of the two, and do its operands lie as its kernel reads them? */
bool rows_fits(const Graph *g, const Node *n);
/* The same of operands that lie so; false: no kernel does that. */
bool rows_lower(Graph *g, const Node *n, const Value *in, Value *out);

/* The function or kernel `name` of a step that is such a node; the parts or
 * blocks that it takes. */
int64_t rows_print_c(const Graph *g, const Step *s, const char *name,
                     FILE *out);
int64_t rows_print_cuda(const Graph *g, const Step *s, const char *name,
                        FILE *out);

#endif
