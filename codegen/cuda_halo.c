/* cuda_halo.c: which convolutions have what their taps share brought once
 * (cuda_halo.cuh), and how: what of shared memory patch and weights take.
 *
 * The gradient of the input is a convolution of that of the output where all
 * strides are 1; so both are told by the pixels that are computed, the steps
 * between them, and how far the taps reach. */
#include "cuda_gemm_private.h"

enum {
    VECTOR = 8,      /* channels that are brought at once */
    MMA_K = 16,      /* k that the matrix unit multiplies at once */
    LINE_SPARE = 8,  /* elements between lines in shared memory */
    SLICE_MOST = 64, /* channels, where they do not come all at once */
    STAGES_MOST = 3, /* tiles of b under way */
    PIXELS_MOST = INT32_MAX / 2
};

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b * b;
}

/* ---- the patch ---------------------------------------------------------- */

/* How often `rows` in a row, which begin at a multiple of as many, go from one
 * line (or image) of `length` to the next, at most. */
static int64_t crossings(int64_t rows, int64_t length)
{
    if (rows % length == 0)
        return rows / length - 1;
    return length % rows == 0 ? 0 : up(rows - 1, length) / length;
}

/* Pixels from the first that such rows need to the last, the padding among
 * them; 0: all images have more of them than are counted in int. */
static int64_t patch_of(const Problem *p, int64_t rows)
{
    bool conv = p->kind == PROBLEM_CONV;
    const int64_t *dim = conv ? &p->y_dim[2] : &p->x_dim[2];
    int64_t length = 1, below = 1; /* results, and padded pixels, of a line */
    int64_t counted = 0;           /* pixels from a line to the next so far */
    int64_t span = 0, reach = 0;
    for (int d = SPATIAL; d-- > 0;) {
        int64_t stride = conv ? p->stride[d] : 1;
        int64_t far = (p->w_dim[2 + d] - 1) * p->dilation[d];
        int64_t step = stride * below;
        if (step > counted)
            span += crossings(rows, length) * (step - counted);
        reach += far * below;
        length *= dim[d];
        counted = step * dim[d];
        below *= (dim[d] - 1) * stride + far + 1;
        if (below > PIXELS_MOST)
            return 0;
    }
    if (below > counted)
        span += crossings(rows, length) * (below - counted);
    return below > PIXELS_MOST / p->x_dim[0] ? 0 : span + reach + 1;
}

/* ---- shared memory ------------------------------------------------------ */

/* Lines of b lie along k for a convolution, across it for its gradient. */
static int64_t shared_bytes(const Problem *p, const Tile *t, const Halo *h)
{
    int64_t k = h->some * h->slice, turns = h->taps / h->some * h->slices;
    int64_t tile = p->kind == PROBLEM_CONV ? t->bn * (k + LINE_SPARE)
                                           : k * (t->bn + LINE_SPARE);
    int64_t patches = h->patch * (h->slice + LINE_SPARE);
    return (patches * (h->slices > 1 ? 2 : 1) +
            tile * (turns < h->stages ? turns : h->stages)) *
           (int64_t)dtype_size(p->dtype);
}

/* As many taps to a tile of b as there is room for: all, a line, or one. */
static bool choose_taps(const Problem *p, const Tile *t, Halo *h)
{
    const int64_t some[] = {h->taps, p->w_dim[4], 1};
    for (int i = 0; i < 3; i++) {
        h->some = some[i];
        h->stages = h->some == h->taps ? 2 : STAGES_MOST;
        if (shared_bytes(p, t, h) <= SHARED_MOST)
            return true;
    }
    return false;
}

bool halo_of(const Problem *p, const Tile *t, int rows, Halo *h)
{
    bool conv = p->kind == PROBLEM_CONV, even = true;
    for (int d = 0; d < SPATIAL; d++)
        even &= conv || p->stride[d] == 1;
    int64_t taps = p->w_dim[2] * p->w_dim[3] * p->w_dim[4];
    if ((!conv && p->kind != PROBLEM_GRAD_INPUT) || !even || taps < 2 ||
        operand_vector(p, 0) != VECTOR || operand_vector(p, 1) != VECTOR)
        return false;
    *h = (Halo){.taps = taps};
    h->patch = patch_of(p, rows < p->m ? rows : p->m);
    int64_t channels = up(p->k / taps, MMA_K);
    if (!h->patch)
        return false;
    for (h->slice = channels; h->slice >= MMA_K;
         h->slice = h->slice > SLICE_MOST ? SLICE_MOST
                                          : up(h->slice / 2, MMA_K)) {
        h->slices = up(channels, h->slice) / h->slice;
        if (choose_taps(p, t, h))
            return true;
        if (h->slice == MMA_K)
            break;
    }
    return false;
}

void halo_work(const Tile *t, const Halo *h, double *brought, double *k)
{
    double channels = (double)(h->slice * h->slices);
    *k = channels * (double)h->taps;
    *brought = channels * (double)h->patch + *k * t->bn;
}
