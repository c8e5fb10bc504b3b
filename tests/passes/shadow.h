/* shadow.h: runs a memory plan without computing anything: every 64 bytes of
 * the arena remember which value was written there last, and a step that reads
 * a value must find it whole.  Knows nothing of how the plan was made. */
#ifndef TGC_TESTS_SHADOW_H
#define TGC_TESTS_SHADOW_H

#include "steps.h"

/* Every read finds what it should, outputs are whole at the end, every state
 * that is updated holds its new value and every other one its old. */
bool shadow_check(const Graph *g, Error *e);

#endif
