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

/* The same in pieces, for a kernel within another function: the functions of
 * the nests, and calls of them for all parts, one after the other.  `where`
 * has, for each buffer, C that says where it lies. */
void print_c_nests(const KernelIr *k, const char *name, FILE *out);
void print_c_calls(const KernelIr *k, const char *name,
                   const char *const *where, int indent, FILE *out);

#endif
