/* target_cuda.c: what the passes are told about GPUs. */
#include "estimate.h"
#include "build.h"
#include "cuda_choice.h"
#include "cuda_gemm.h"
#include "cuda_cudnn.h"
#include "pieces.h"
#include "rows.h"
#include "targets.h"
#include <stdlib.h>
#include <string.h>

enum {
    BLOCKS_WANTED = 256,   /* that keep every processor of a GPU busy */
    BLOCK_ELEMENTS = 2048, /* less is not worth a block of its own */
    BLOCK_COLUMNS = 128,   /* kept elements side by side that a block takes */
    UNIT_MOST = 128,       /* pixels that a product's tile holds */
    UNIT_LEAST = 16,
    UNITS_LEAST = 128
};

/* Pieces of a sum for each channel, such that whatever makes the pixels can add
 * up the pieces: each in a tile, of one image, whole lines.  0: there are none.
 */
static int64_t tile_splits(const Type *t, const int64_t *axes, int n_axes)
{
    int64_t pixels = type_elements(t) / (t->rank > 1 ? t->dim[1] : 1);
    if (t->rank < 3 || n_axes != t->rank - 1 || n_axes < 1 || axes[0] != 0 ||
        axes[1] != 2)
        return 0;
    int64_t most = pixels / UNITS_LEAST;
    most = most < UNIT_MOST ? most : UNIT_MOST;
    int64_t unit = 1;
    for (int d = t->rank - 1; d > 2; d--)
        unit *= t->dim[d];
    if (unit > most)
        return 0;
    unit *= divisor_up_to(t->dim[2], most / unit); /* whole lines */
    return unit < UNIT_LEAST ? 0 : pixels / unit;
}

static int cuda_splits(const Target *t, const Type *operand,
                       const int64_t *axes, int n_axes)
{
    (void)t;
    int64_t reduced = 1, tiles = tile_splits(operand, axes, n_axes);
    if (tiles > 0 && tiles < INT32_MAX)
        return (int)tiles;
    for (int i = 0; i < n_axes; i++)
        reduced *= operand->dim[axes[i]];
    int64_t elements = type_elements(operand), kept = elements / reduced;
    int64_t blocks = BLOCKS_WANTED / (kept / BLOCK_COLUMNS + 1);
    int64_t most = elements / BLOCK_ELEMENTS;
    blocks = blocks < most ? blocks : most;
    blocks = blocks < reduced ? blocks : reduced;
    return blocks < 1 ? 1 : (int)blocks;
}

/* ---- templates ---------------------------------------------------------- */

static bool is_conv(const Node *n)
{
    return node_is(n, &op_conv) || node_is(n, &op_conv_grad_input);
}

/* Half weights are copies that were cast this step: they may as well lie so
 * that the matrix unit's tiles come 16 bytes at a time. */
static bool wants_weights(const Graph *g, const Node *n)
{
    const Type *w = graph_type(g, n->in[1]);
    return is_conv(n) && dtype_is_half(w->dtype) &&
           type_elements(w) > w->dim[0] * w->dim[1] && w->dim[1] > 1 &&
           w->layout != layout_channels_last(w->rank);
}

/* Convolutions and products stay as they are where a template does them. */
static Anchor cuda_anchor(const Target *t, const Graph *g, const Node *n)
{
    if (rows_fits(g, n))
        return (Anchor){.pieces = 1};
    if (!node_is_whole(n) || !cuda_gemm_fits(g, n) || wants_weights(g, n) ||
        choice_is_cudnn(t, g, n))
        return (Anchor){0};
    Anchor a = {.pieces = n->type[0].dim[0], .before = 1};
    if (node_is(n, &op_lib_conv_grad_weight))
        a.before |= 2;
    a.after = cuda_gemm_tile(g, n) > 0;
    return a;
}

typedef struct After {
    const Graph *g;
    const Node *anchor;
    int64_t tile, channels;
} After;

static bool fits_units(const After *a, const Node *n)
{
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    int64_t unit =
        cuda_gemm_unit(graph_type(a->g, n->in[0]), axes, count, a->channels);
    return unit && unit <= a->tile;
}

/* Does the broadcast put its operand back where `pick` took it? */
static bool puts_back(const After *a, const Node *spread, const Node *pick)
{
    const Type *t = graph_type(a->g, pick->in[0]);
    int n_dims, n_axes, d = 0;
    const int64_t *dims = node_ints(spread, "dims", &n_dims);
    const int64_t *axes = node_ints(pick, "axes", &n_axes);
    if (!type_same_shape(&spread->type[0], t) || n_dims + n_axes != t->rank)
        return false;
    for (int i = 0; i < n_axes; i++)
        for (d = 0; d < n_dims; d++)
            if (dims[d] == axes[i])
                return false;
    return fits_units(a, pick);
}

/* Where v is read, is the anchor's result read at the same place, or at one of
 * the same unit? */
static bool reads_tile(const After *a, Value v)
{
    const Node *spread = NULL;
    bool fits = true;
    for (;;) {
        const Node *n = graph_node(a->g, v);
        if (n == a->anchor)
            return fits && !spread;
        if (!node_has(n, T_VIEW) || n->n_in != 1)
            return true;
        if (!spread && !strcmp(n->op->name, "broadcast")) {
            spread = n;
        } else if (spread && !strcmp(n->op->name, "pick")) {
            fits &= puts_back(a, spread, n);
            spread = NULL;
        } else {
            fits &= view_keeps_order(n, graph_type(a->g, n->in[0]));
        }
        v = n->in[0];
    }
}

/* Before a product: arithmetic on elements that lie as the operand does.  It is
 * done again for each tap that reads them, so it must be cheap. */
static bool joins_before(const Graph *g, const Node *anchor, int operand,
                         const Node *n)
{
    const Type *x = graph_type(g, anchor->in[operand]);
    return node_has(n, T_ELEMENTWISE) && !node_has(n, T_RANDOM) &&
           n->n_out == 1 && n->op->expr && !strpbrk(n->op->expr, "/@") &&
           type_same_shape(&n->type[0], x) && n->type[0].layout == x->layout;
}

/* After a product: what is elementwise, and sums that lie within its tiles. */
static bool cuda_joins(const Target *t, const Graph *g, const Node *anchor,
                       int operand, const Node *n)
{
    (void)t;
    if (operand >= 0)
        return joins_before(g, anchor, operand, n);
    const Type *y = &anchor->type[0];
    int64_t channels = y->dim[node_is(anchor, &op_matmul) ? y->rank - 1 : 1];
    const After a = {g, anchor, cuda_gemm_tile(g, anchor), channels};
    bool reduces = node_has(n, T_REDUCE);
    if (node_has(n, T_RANDOM) || n->n_out != 1 ||
        !(reduces || node_has(n, T_ELEMENTWISE)))
        return false;
    const Type *all = reduces ? graph_type(g, n->in[0]) : &n->type[0];
    if (type_elements(all) != type_elements(y) ||
        (reduces && !fits_units(&a, n)))
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!reads_tile(&a, n->in[i]))
            return false;
    return true;
}

/* Whoever prints it decides. */
static bool cuda_holds(const Target *t, const Graph *g, const Step *s)
{
    (void)t;
    char *text;
    size_t size;
    CudaGemm c;
    Error e;
    FILE *f = open_memstream(&text, &size);
    bool ok = cuda_gemm_print(g, s, "@", NULL, f, &c, &e);
    fclose(f);
    free(text);
    return ok;
}

/* The same convolution of weights that lie channels-last. */
static bool lower_weights(Graph *g, const Node *n, const Value *in, Value *out)
{
    Value copy = ir_unary(g, &op_copy, in[1]);
    Type *w = &graph_node(g, copy)->type[0];
    w->layout = layout_channels_last(w->rank);
    int n_attr = 0;
    while (n->op->attrs[n_attr].name)
        n_attr++;
    out[0] = ir_node(g, n->op, (Value[]){in[0], copy}, 2, n->attr, n_attr);
    graph_node(g, out[0])->type[0].layout = n->type[0].layout;
    return cuda_gemm_fits(g, graph_node(g, out[0]));
}

/* A list in another shape, by views: a reshape would be a kernel of its own. */
static Value in_shape(Graph *g, Value list, const Type *shape)
{
    for (int d = 0; d < shape->rank - 1; d++) {
        int64_t size = 1;
        for (int k = d + 1; k < shape->rank; k++)
            size *= shape->dim[k];
        Attr attr[] = {attr_int("axis", d), attr_int("size", size)};
        list = ir_node(g, &op_split, &list, 1, attr, 2);
    }
    return list;
}

/* A sum of partial gradients, each of some images. */
static bool lower_grad_weight(Graph *g, const Node *n, const Value *in,
                              Value *out)
{
    const Type *x = graph_type(g, in[0]), *y = graph_type(g, in[1]);
    const Type *w = &n->type[0];
    int64_t call = cuda_gemm_call(x, w, y, node_int(n, "groups"));
    Attr attr[] = {
        attr_ints("kernel", &w->dim[2], w->rank - 2),
        *node_attr(n, "stride"),
        *node_attr(n, "pad_low"),
        *node_attr(n, "pad_high"),
        *node_attr(n, "dilation"),
        *node_attr(n, "groups"),
        attr_int("call", call),
        attr_int("packed", type_elements(w)),
    };
    Value parts = ir_node(g, &op_lib_conv_grad_weight, in, 2, attr, 8);
    if (!cuda_gemm_fits(g, graph_node(g, parts)))
        return false; /* the node is never used, and dce removes it */
    Value sum = ir_reduce_sum(g, parts, (const int64_t[]){0}, 1);
    out[0] = in_shape(g, sum, w);
    return true;
}

/* Row-major operands, where they are not. */
static bool lower_matmul(Graph *g, const Node *n, const Value *in, Value *out)
{
    Value plain[2];
    for (int i = 0; i < 2; i++)
        plain[i] = target_row_major(g, in[i]);
    if (value_equal(plain[0], in[0]) && value_equal(plain[1], in[1]))
        return false;
    Attr attr[] = {*node_attr(n, "transpose_a"), *node_attr(n, "transpose_b"),
                   *node_attr(n, "wide")};
    out[0] = ir_node(g, &op_matmul, plain, 2, attr, 3);
    return true;
}

static bool cuda_lower(const Target *t, Graph *g, const Node *n,
                       const Value *in, Value *out)
{
    Node now = *n; /* operands in g */
    now.in = (Value *)in;
    if (choice_is_cudnn(t, g, &now)) {
        cudnn_lower(g, n, in, out);
        return true;
    }
    if (node_is(n, &op_conv_grad_weight))
        return lower_grad_weight(g, n, in, out);
    if (node_is(n, &op_matmul))
        return lower_matmul(g, n, in, out);
    if (rows_is(n))
        return rows_lower(g, n, in, out);
    if (!is_conv(n))
        return false;
    if (wants_weights(g, &now) && lower_weights(g, n, in, out))
        return true;
    return target_expand_conv(g, n, in, out);
}

/* ---- the target --------------------------------------------------------- */

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
    .layout = target_layout,
    .lower = cuda_lower,
    .splits = cuda_splits,
    .anchor = cuda_anchor,
    .joins = cuda_joins,
    .holds = cuda_holds,
    .scratch = cuda_scratch,
    .beside = true,
    .seconds = cuda_seconds,
    .variants = choice_variants,
};
