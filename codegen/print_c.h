/* print_c.h: kernels as C source. */
#ifndef TGC_PRINT_C_H
#define TGC_PRINT_C_H

#include "kernel.h"
#include <stdio.h>

/* What every file of kernels begins with. */
void print_c_head(FILE *out);
/* A function `name` with the signature Kernel (runtime/plan.h), and one
 * static function for each nest. */
void print_c_kernel(const KernelIr *k, const char *name, FILE *out);

#endif
