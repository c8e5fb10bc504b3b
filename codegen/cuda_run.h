/* cuda_run.h: how the loops of a nest run on a GPU.
 *
 * One form for all.  The kept loops, outermost first, are counted as one: rows.
 * The reduced ones are counted as another: positions.  A block of THREADS
 * threads takes `across` rows, and `along` threads share the positions of each:
 *
 *     across 256, along 1    elementwise; windows: a thread for each row
 *     across 8, along 32     softmax: a warp for each row
 *     across 4, along 64     sums for each of 16 channels, in fours
 *
 * Of the innermost loop a thread takes `vector` neighbours at once where every
 * access allows it.  A part is a block; all of it follows from shapes. */
#ifndef TGC_CUDA_RUN_H
#define TGC_CUDA_RUN_H

#include "kernel.h"

enum { CUDA_THREADS = 256 };

typedef struct CudaRun {
    int64_t rows, positions; /* in vectors, along the loop that has them */
    int across, along;       /* powers of 2; their product is CUDA_THREADS */
    bool rows_first;         /* neighbouring threads have neighbouring rows */
    uint32_t wide;           /* variable of the vectors; 0: none */
    int vector;              /* 1, 2, 4, 8 */
    int64_t parts;
    bool large; /* indices do not fit into 32 bits */
} CudaRun;

CudaRun cuda_run(const KernelIr *k, const Nest *n);

#endif
