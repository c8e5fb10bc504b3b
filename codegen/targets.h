/* targets.h: the targets that there are. */
#ifndef TGC_TARGETS_H
#define TGC_TARGETS_H

#include "target.h"

extern const Target target_cpu, target_cuda;

/* GPUs that images are made for, by default and at all; each list ends with
 * NULL. */
extern const char *const cuda_arch_default[], *const cuda_arch_known[];

#endif
