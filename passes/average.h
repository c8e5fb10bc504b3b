/* average.h: a running average of the weights: setting `average`. */
#ifndef TGC_AVERAGE_H
#define TGC_AVERAGE_H

#include "update.h"

bool average_wanted(const Settings *s);
/* Stage: what every parameter and running statistic is averaged to.  Comes
 * after all that updates them. */
bool average_add(Update *u);
/* Adds graph "eval_average" where that is wanted, once the slots are there. */
void average_evaluation(Module *m);

#endif
