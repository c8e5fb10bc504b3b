/* init.h: what states hold before the first step. */
#ifndef TGC_INIT_H
#define TGC_INIT_H

#include "executor.h"

/* Every state as its PlanInit says.  Element i of a state is a function of
 * (seed, the state's name, i): not of other states, so that the same layer of
 * a deeper net starts the same, and not of threads. */
bool init_states(Executor *e, uint64_t seed, Status *s);

#endif
