/* optimizer.h: how a gradient becomes a step: plain ops added to the graph.
 *
 * Adding an optimizer is one entry in the table of optimizer.c and its words
 * in the table of settings. */
#ifndef TGC_OPTIMIZER_H
#define TGC_OPTIMIZER_H

#include "settings_groups.h"
#include "update.h"

typedef struct Optimizer {
    const char *name; /* the setting `optimizer` */
    /* Adds slots to the module where they are missing, appends the arithmetic
     * and the updates of one parameter.  False with u->c->error: not for a
     * parameter like this. */
    bool (*step)(Update *u, const Trained *t);
} Optimizer;

const Optimizer *optimizer_named(const char *name); /* NULL: none */

bool sgd_step(Update *u, const Trained *t);
bool adam_step(Update *u, const Trained *t);
bool adamw_step(Update *u, const Trained *t);
bool muon_step(Update *u, const Trained *t);

/* ---- what optimizers share ---------------------------------------------- */

/* A setting as it holds for this parameter: "optimizer.momentum". */
double optimizer_setting(Update *u, const Trained *t, const char *key);

/* optimizer.momentum or optimizer.beta1 of this parameter: a scalar, f64,
 * which the schedule may change from step to step. */
Value optimizer_momentum(Update *u, const Trained *t, const char *key);

/* A slot "<parameter>.<what>", zero at the start, of the parameter's type.
 * The graphs of a module share it: the first one to ask makes it. */
Value slot_read(Update *u, const Trained *t, const char *what);
void slot_write(Update *u, const Trained *t, const char *what, Value before,
                Value after);

/* The learning rate of this parameter, a scalar of its type. */
Value optimizer_rate(Update *u, const Trained *t);
/* Nesterov's direction: gradient + momentum * m. */
Value optimizer_ahead(Update *u, const Trained *t, Value gradient, Value m);
/* The weight without the share lr * weight_decay of it: decoupled decay. */
Value optimizer_decayed(Update *u, const Trained *t);
/* Its next value is `from` minus lr times direction. */
void optimizer_descend(Update *u, const Trained *t, Value from,
                       Value direction);

#endif
