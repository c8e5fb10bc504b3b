/* cpu.h: may this processor run what the plan's kernels were compiled to? */
#ifndef TGC_CPU_H
#define TGC_CPU_H

#include "status.h"

/* `march` holds, among other words, names of instruction sets ("avx2
 * avx512f"; PLAN_CPU_FEATURES).  False with a sentence that names the first
 * one that is missing here: better than an illegal instruction later. */
bool cpu_check(const char *march, Status *s);

#endif
