/* print_cuda.h: kernels as CUDA source. */
#ifndef TGC_PRINT_CUDA_H
#define TGC_PRINT_CUDA_H

#include "kernel.h"
#include <stdio.h>

/* What every file of kernels begins with. */
void print_cuda_head(FILE *out);
/* And what one of them ends with: tgc_fetch, the runtime's own. */
void print_cuda_fetch(FILE *out);

/* A kernel `name` of CUDA_THREADS threads (runtime/plan.h says how it is
 * called) and a device function for each nest.  Its number of parts, the
 * blocks of the grid. */
int64_t print_cuda_kernel(const KernelIr *k, const char *name, FILE *out);

#endif
