/* ops/conv.h: what convolutions share, whoever computes them. */
#ifndef TGC_OPS_CONV_H
#define TGC_OPS_CONV_H

#include "window.h"

#define CONV_ATTRS                                                             \
    {"stride", ATTR_INTS, NULL, "one a spatial dimension"},                    \
        {"pad_low", ATTR_INTS, NULL, "zeros before, one a spatial dimension"}, \
        {"pad_high", ATTR_INTS, NULL, "zeros behind"},                         \
        {"dilation", ATTR_INTS, NULL, "between taps; 1: neighbours"},          \
    {                                                                          \
        "groups", ATTR_INT, "1", "channels only see their own group"           \
    }

/* Of x and w; of dy and w; of x and dy.  The first result's type. */
bool infer_conv(const Infer *f);
bool infer_conv_grad_input(const Infer *f);
bool infer_conv_grad_weight(const Infer *f);

/* By the first result. */
Cost cost_conv(const Graph *g, const Node *n);
Cost cost_conv_grad_input(const Graph *g, const Node *n);
Cost cost_conv_grad_weight(const Graph *g, const Node *n);

#endif
