/* cuda_gemm.h: convolutions, their gradients and matrix products for a GPU, as
 * instances of the templates in cuda_gemm.cuh.
 *
 * The gradient of weights comes as op lib_conv_grad_weight: a result for each
 * `call` images, weights in plain order, to be added up by whoever asked. */
#ifndef TGC_CUDA_GEMM_H
#define TGC_CUDA_GEMM_H

#include "op.h"
#include "steps.h"
#include <stdio.h>

typedef struct CudaGemm {
    int64_t parts;    /* blocks of the grid */
    uint32_t threads; /* of a block */
    uint32_t shared;  /* bytes of dynamic shared memory */
} CudaGemm;

/* Can the node be computed so, its operands lying as they do?  What cannot is
 * left to the generic kernel. */
bool cuda_gemm_fits(const Graph *g, const Node *n);

/* Pixels of a result's tile (ir's pixel: all but the channel, or a row of a
 * matrix), of which other nodes can be computed in the same kernel; 0: none. */
int64_t cuda_gemm_tile(const Graph *g, const Node *n);

/* Elements that a sum over these axes folds into one: a unit of pixels in a row
 * in memory, each channel by itself.  0: it is anything else. */
int64_t cuda_gemm_unit(const Type *t, const int64_t *axes, int n_axes,
                       int64_t channels);

/* Prints the kernel `name` of a step of such a node, and of what is fused after
 * it, in the tile of this name; NULL: the one that the model of costs takes.
 * False with a message. */
bool cuda_gemm_print(const Graph *g, const Step *s, const char *name,
                     const char *tile, FILE *out, CudaGemm *c, Error *e);

/* Names of tiles for such a node, at most so many, the best by the model first
 * and, where there are tiles with a patch and without, the best of the others
 * second: "64x32/2x2", results of a block, then of a thread (half types: warps
 * of a block), "/halo" with a patch.  Whether what is fused around it fits one,
 * its printing says.  How many there are. */
int cuda_gemm_tiles(const Graph *g, const Node *n, const char **tile, int most,
                    Arena *a);

/* Images to a partial result of a weight gradient: a divisor of the batch, so
 * that there are enough parts to fill a GPU. */
int64_t cuda_gemm_call(const Type *x, const Type *w, const Type *y,
                       int64_t groups);

#endif
