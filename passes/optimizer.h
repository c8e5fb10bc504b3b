/* optimizer.h: how a gradient becomes a step: plain ops added to the graph.
 *
 * Adding an optimizer is one entry in the table of optimizer.c and its words
 * in the table of settings. */
#ifndef TGC_OPTIMIZER_H
#define TGC_OPTIMIZER_H

#include "update.h"

typedef struct Optimizer {
    const char *name; /* the setting `optimizer` */
    /* Adds slots to the module where they are missing, appends the arithmetic
     * and the updates of one parameter. */
    void (*step)(const Update *u, const Trained *t);
} Optimizer;

const Optimizer *optimizer_named(const char *name); /* NULL: none */

#endif
