/* text.h: the IR as text that reads back.
 *
 *     module resnet20
 *     set batch = 128
 *     set data.mean = [0.485, 0.456, 0.406]
 *     state conv1.weight : f32[16,3,3,3] param normal(0, 0.27) @m.net:17:14
 *     graph train {
 *       %1 = input {name="image"} : f32[128,3,32,32]{0,2,3,1} @m.net:16:12
 *       %2 = state {name="conv1.weight"} : f32[16,3,3,3]
 *       %3 = conv %1, %2 {stride=[1,1], ...} : f32[128,16,32,32]
 *       fuse {
 *         %4 = relu %3 : f32[128,16,32,32] "y" @m.net:17:9<32:20
 *         %5, %5:1 = ...                      two results: one type each
 *       }
 *       update %4 {name="..."}
 *     }
 *
 * Numbers print so that they read back to the same bits.  Comments: # to the
 * end of the line.  docs/ir.md holds the grammar.
 */
#ifndef TGC_TEXT_H
#define TGC_TEXT_H

#include "ir.h"
#include <stdio.h>

void module_print(const Module *m, FILE *out);
void graph_print(const Graph *g, FILE *out);
void node_print(const Graph *g, uint32_t id, FILE *out); /* one line */
char *module_to_string(const Module *m, Arena *a);

/* Reads text[0..size-1], which may be hostile.  Returns NULL and sets e ("line
 * 3: ...") where it is not a valid module; what is returned verifies.  file
 * is what messages call it. */
Module *module_read(const char *text, size_t size, const char *file, Error *e);

/* Operands and attributes as in an op's samples: "(f32[2,3], f32[]) {axis=0}".
 * Adds inputs named "x0".. and the node to g; returns the node or 0. */
uint32_t sample_add(Graph *g, const OpDesc *op, const char *sample, Error *e);

#endif
