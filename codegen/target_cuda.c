/* target_cuda.c: what the passes are told about GPUs. */
#include "estimate.h"
#include "op.h"
#include "targets.h"

enum {
    BLOCKS_WANTED = 256,   /* that keep every processor of a GPU busy */
    BLOCK_ELEMENTS = 2048, /* less is not worth a block of its own */
    BLOCK_COLUMNS = 128    /* kept elements side by side that a block takes */
};

static Layout cuda_layout(const Target *t, const Graph *g, const Node *n,
                          const Type *type)
{
    (void)t, (void)g;
    if (type->rank < 3 || node_has(n, T_ELEMENTWISE) || node_has(n, T_VIEW) ||
        node_has(n, T_REDUCE) || node_has(n, T_RESHAPE))
        return TARGET_NO_OPINION;
    if (node_is(n, &op_state) || node_is(n, &op_conv_grad_weight) ||
        node_is(n, &op_matmul))
        return 0;
    return layout_channels_last(type->rank);
}

static int cuda_splits(const Target *t, const Type *operand,
                       const int64_t *axes, int n_axes)
{
    (void)t;
    int64_t reduced = 1;
    for (int i = 0; i < n_axes; i++)
        reduced *= operand->dim[axes[i]];
    int64_t elements = type_elements(operand), kept = elements / reduced;
    int64_t blocks = BLOCKS_WANTED / (kept / BLOCK_COLUMNS + 1);
    int64_t most = elements / BLOCK_ELEMENTS;
    blocks = blocks < most ? blocks : most;
    blocks = blocks < reduced ? blocks : reduced;
    return blocks < 1 ? 1 : (int)blocks;
}

/* Templates have what they need in shared memory. */
static int64_t cuda_scratch(const Target *t, const Module *m)
{
    (void)t, (void)m;
    return 0;
}

/* Only their ratios decide anything, so that what is compiled does not depend
 * on where. */
static double cuda_seconds(const Target *t, const Graph *g, const Step *s)
{
    (void)t;
    StepCost c = step_cost(g, s);
    Rates r = gpu_rates(gpu_named("h100"), false);
    return step_roofline(&c, &r);
}

const Target target_cuda = {
    .name = "cuda",
    .layout = cuda_layout,
    .splits = cuda_splits,
    .scratch = cuda_scratch,
    .seconds = cuda_seconds,
};
