/* winograd.h: convolutions of 3x3 windows with fewer multiplications.
 *
 * F(2x2,3x3) of Lavin and Gray, "Fast algorithms for convolutional neural
 * networks" (2016): a tile of 2x2 results comes from 4x4 values of the input,
 *
 *     y = At [ (G w Gt) . (Bt d B) ] A            . is element by element
 *
 * with 16 multiplications for each pair of channels where the direct way takes
 * 36.  For all tiles and channels the middle is 16 products of matrices, which
 * is where the time goes.  The gradient of the input is the same convolution,
 * of turned weights; that of the weights is the formula differentiated:
 *
 *     dw = Gt [ sum over tiles (Bt d B) . (A dy At) ] G
 *
 * In float32 throughout, or of bf16: transforms and sums in float32, operands
 * of the products rounded to bf16.  The transforms of data add up to four
 * numbers and multiply by none, so rounding errors are of the size of the
 * direct way's; docs/results/winograd.md has them for bf16.
 * Behind lib.h like oneDNN: a call runs on one thread, on a piece of the batch,
 * and gives the same bits wherever that piece is computed. */
#ifndef TGC_WINOGRAD_H
#define TGC_WINOGRAD_H

#include "lib.h"

/* Can this call run this way?  3x3 windows in two dimensions, next to each
 * other, of whole vectors of channels. */
bool winograd_fits(const LibDesc *d);

/* Has this machine instructions for its type?  Where not, it takes longer than
 * it saves. */
bool winograd_is_fast(const LibDesc *d);

/* packed: G w Gt as [16][in][out], of bf16 pairs of channels
 * [16][in/2][out][2]; or its gradient, [16][in][out] floats. */
void winograd_info(const LibDesc *d, LibInfo *info);

/* Operands as LibKind says; scratch of LibInfo.scratch_bytes. */
void winograd_run(const LibDesc *d, const void *a, const void *b, void *result,
                  void *scratch);

/* ---- between winograd.c and winograd_kernels.c --------------------------- */

enum {
    WINOGRAD_POINTS = 16, /* of a transformed tile */
    WINOGRAD_GROUP = 16,  /* channels are a multiple */
    WINOGRAD_BLOCK = 32,  /* tiles transformed together */
    /* Floats of a group's values at one point; not a power of two, which would
     * put all points into the same few sets of the cache. */
    WINOGRAD_SLAB = (WINOGRAD_BLOCK + 1) * WINOGRAD_GROUP
};

/* A convolution from [images,in..,channels] to [images,out..,results]. */
typedef struct WinogradShape {
    int64_t images, channels, results;
    int64_t in[2], out[2], low[2]; /* low: padding */
    int64_t tiles[2];              /* of 2x2 results, to an image */
} WinogradShape;

/* Floats of a block's transformed values; bf16 takes less. */
static inline int64_t winograd_floats(int64_t channels)
{
    return channels * WINOGRAD_POINTS * (WINOGRAD_BLOCK + 1);
}

/* The same code for each instruction set and type: x, y and dy are of that
 * type, weights and their gradients float32. */
typedef struct WinogradKernels {
    const char *name;
    bool fast; /* there are instructions for the type */
    void (*conv)(const WinogradShape *s, const void *x, const void *packed,
                 void *y, void *scratch);
    void (*grad_weight)(const WinogradShape *s, const void *x, const void *dy,
                        float *packed, void *scratch);
    /* w [out,in,3,3] -> packed for conv, or where `turned` for the gradient of
     * the input: [16][out][in] of the weights turned by 180 degrees */
    void (*pack)(int64_t in, int64_t out, bool turned, const float *w,
                 void *packed);
    /* packed gradient [16][in][out] -> dw [out,in,3,3] */
    void (*unpack)(int64_t in, int64_t out, const float *packed, float *dw);
} WinogradKernels;

/* The i-th set of kernels for a PlanDType that this machine can run, the
 * fastest first; NULL: there are no more. */
const WinogradKernels *winograd_kernels(int dtype, int i);

#endif
