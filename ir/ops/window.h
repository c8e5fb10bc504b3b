/* ops/window.h: windows that slide along dimensions, for convolutions, pools
 * and the views that both are made of. */
#ifndef TGC_OPS_WINDOW_H
#define TGC_OPS_WINDOW_H

#include "common.h"

enum { MAX_SPATIAL = 3 };
#define MAX_EXTENT (INT64_C(1) << 40) /* of sizes, strides and paddings */

/* Along one dimension. */
typedef struct Slide {
    int64_t size, stride, dilation, pad_low, pad_high;
} Slide;

/* How many windows there are over `extent` elements: floor((extent + pads -
 * reach) / stride) + 1 with reach = dilation (size - 1) + 1; 0: none. */
int64_t slide_count(int64_t extent, const Slide *s);

/* Attributes stride, dilation, pad_low, pad_high, of n numbers each; and size
 * in infer_slides. */
bool infer_slides(const Infer *f, int n, Slide *slide);
bool infer_steps(const Infer *f, int n, const int64_t *size, Slide *slide);
/* The same off a node that inference has accepted. */
void node_slides(const Node *node, Slide *slide);
void node_steps(const Node *node, const int64_t *size, Slide *slide);

Value build_window(Graph *g, Value x, const int64_t *axes, int n,
                   const Slide *slide, double value);
Value build_unwindow(Graph *g, Value y, const int64_t *axes, int n,
                     const Slide *slide, const int64_t *extent);

#endif
