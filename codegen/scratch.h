/* scratch.h: memory of library calls, besides the arena. */
#ifndef TGC_SCRATCH_H
#define TGC_SCRATCH_H

#include "target.h"

/* Target.scratch.  A call that the library refuses counts nothing here: code
 * generation has the message. */
int64_t cpu_scratch(const Target *t, const Module *m);

#endif
