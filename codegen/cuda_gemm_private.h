/* cuda_gemm_private.h: a product as the template sees it (cuda_gemm.c), for who
 * prints it (print_cuda_gemm.c). */
#ifndef TGC_CUDA_GEMM_PRIVATE_H
#define TGC_CUDA_GEMM_PRIVATE_H

#include "cuda_gemm.h"

enum {
    SPATIAL = 3,
    VECTOR_BYTES = 16, /* read at once */
    SHARED_MOST = 48 * 1024
};

typedef enum ProblemKind {
    PROBLEM_CONV,
    PROBLEM_GRAD_INPUT,
    PROBLEM_GRAD_WEIGHT,
    PROBLEM_MATMUL
} ProblemKind;

typedef struct Problem {
    ProblemKind kind;
    DType dtype, result;
    int64_t m, n, k, batches, parts; /* k: of a part */
    /* convolutions: types with three spatial dimensions, and their strides in
     * memory; matmul: of a, b, y in [batch, row, column] */
    int64_t x_dim[5], w_dim[5], y_dim[5];
    int64_t x[5], w[5], y[5];
    int64_t stride[SPATIAL], dilation[SPATIAL], pad[SPATIAL];
} Problem;

typedef struct Tile {
    bool mma;   /* on the matrix unit: half types */
    int bm, bn; /* results of a block */
    int tm, tn; /* results of a thread; mma: warps along m and n */
    bool halo;  /* what the taps share comes once: cuda_halo.cuh */
} Tile;

/* How a block goes through a convolution whose taps share a patch. */
typedef struct Halo {
    int64_t patch;          /* pixels, at most */
    int64_t slices, stages; /* of channels; tiles of b under way */
    int64_t slice;          /* channels of one */
    int64_t taps, some;     /* in all; of a tile of b */
} Halo;

bool problem_of(const Graph *g, const Node *n, Problem *p);
/* Neighbours of operand i, a or b, that are read at once. */
int operand_vector(const Problem *p, int i);
const Tile *choose_tile(const Problem *p);
const Tile *tile_named(const Problem *p, const char *name); /* NULL: none */
int threads_of(const Tile *t);
/* False: not with tiles of so many rows that count. */
bool halo_of(const Problem *p, const Tile *t, int rows, Halo *h);
/* Numbers that a block brings to shared memory, and k that it multiplies,
 * where channels are filled up with zeros. */
void halo_work(const Tile *t, const Halo *h, double *brought, double *k);
/* rows: of a tile, that count: all bm, or fewer for what is fused after. */
int64_t blocks_of(const Problem *p, const Tile *t, int rows);

#endif
