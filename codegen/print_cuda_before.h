/* print_cuda_before.h: what a group computes before a product, as CUDA: a class
 * that brings an operand's elements to the tiles of cuda_gemm.cuh.
 *
 *     Raw                    neighbours of each large value that is read
 *     load(raw, at)          has them brought, and does not wait for them
 *     compute(raw, at, v)    elements of the operand from them, and from what
 *                            else is small: a number for each channel
 *
 * `at` counts the operand's elements as they would lie in memory. */
#ifndef TGC_PRINT_CUDA_BEFORE_H
#define TGC_PRINT_CUDA_BEFORE_H

#include "kernel.h"
#include <stdio.h>

typedef struct CudaBefore {
    Value value; /* an operand of the step's anchor, computed in the step */
    int vector;  /* neighbours in memory that are computed at once */
    int number;  /* which operand, for names */
} CudaBefore;

/* Prints class `name`_before<number>, which holds all operands of the step.
 * False with a message. */
bool print_cuda_before(const Graph *g, const Step *s, const CudaBefore *b,
                       const char *name, FILE *out, Error *e);

#endif
