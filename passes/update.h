/* update.h: from gradients to the states that the next step finds.
 *
 * The arithmetic between the backward pass and the updates is a row of stages
 * (the table is in update.c).  A stage takes all trained parameters with their
 * gradients and leaves others in their place:
 *
 *     gradients of the scaled loss
 *       |  accumulate   of several batches (accumulate.h)
 *       |  scale        of the loss; are they finite? (scale.h)
 *       |  clip         by value, then by the norm of all together
 *       |  optimize     slots, weights
 *       |  average      of the weights (average.h)
 *     new states
 *
 * A stage that does nothing with these settings adds no node. */
#ifndef TGC_UPDATE_H
#define TGC_UPDATE_H

#include "pass.h"
#include "settings_groups.h"

/* A parameter that is trained in this graph. */
typedef struct Trained {
    State param;    /* a copy: the module's table moves when it grows */
    Value weight;   /* as the step found it */
    Value gradient; /* of the weight's type */
    Groups groups;  /* whose settings hold for it */
} Trained;

typedef struct Update {
    Graph *g;
    PassContext *c;
    Trained *item; /* in the order of the module's states */
    size_t n;
    Value lr;       /* a scalar, f32 */
    Value momentum; /* likewise, where the schedule changes it; or NO_VALUE */
    Value apply;    /* bool scalar: where it is false, no state changes that
                       update_state writes; NO_VALUE: they always change */
    Value steps;    /* what update_steps gives, once somebody asked */
} Update;

/* Appends all stages.  False with c->error: settings that do not fit. */
bool update_add(Update *u);

/* For stages: the next value of a state; `before` is its value in this step.
 * Keeps to u->apply. */
void update_state(const Update *u, const char *name, Value before, Value after);
/* A scalar times a value of any shape and floating type. */
Value update_scale(Update *u, Value scalar, Value v);
/* Nodes from now on are of parameter i: its place in the source, its name. */
void update_at(Update *u, size_t i);
/* How many steps there were with this one, where u->apply held: a scalar, f64,
 * that counts in the state "optimizer.steps". */
Value update_steps(Update *u);

#endif
