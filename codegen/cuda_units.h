/* cuda_units.h: the kernels of a program in units that are compiled one by one,
 * side by side, and kept in the cache one by one.
 *
 * What is in a unit follows from the kernels' texts (kernels.c), not from the
 * model's name or its lines: models of like blocks share most units, and a
 * change of one block compiles one or two. */
#ifndef TGC_CUDA_UNITS_H
#define TGC_CUDA_UNITS_H

#include "cuda_cache.h"
#include "kernels.h"

typedef struct CudaUnit {
    const char *source; /* the head and some kernels */
    CacheKey key;       /* of what the compiler reads, without comments */
} CudaUnit;

typedef struct CudaUnits {
    const char *text; /* the head and all kernels: kernels.cu; messages about a
                         unit's source go by its lines */
    CudaUnit *unit;   /* by KernelText.unit; the last one has tgc_fetch */
    int n;
} CudaUnits;

CudaUnits cuda_units(const Kernels *k, Arena *a);

#endif
