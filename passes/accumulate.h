/* accumulate.h: the first stage between gradients and updates. */
#ifndef TGC_ACCUMULATE_H
#define TGC_ACCUMULATE_H

#include "update.h"

bool update_accumulate(Update *u);

#endif
