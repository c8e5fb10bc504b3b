/* cost.h: what a step costs, from the types alone. */
#ifndef TGC_COST_H
#define TGC_COST_H

#include "steps.h"

typedef struct StepCost {
    double flops; /* a multiply-add counts two */
    double dense; /* of these, in convolutions and matrix products */
    double bytes; /* read from and written to memory */
} StepCost;

StepCost step_cost(const Graph *g, const Step *s);

/* What a machine can do at most, and what a step takes to begin. */
typedef struct Rates {
    double dense; /* flops a second in convolutions and matrix products */
    double flops; /* in everything else */
    double bytes; /* a second */
    double start; /* seconds */
} Rates;

/* Seconds of a step that is held up by the slowest of the three alone: the
 * roofline of S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful
 * visual performance model for multicore architectures", 2009. */
double step_roofline(const StepCost *c, const Rates *r);

#endif
