/* onnx_ops.c: each op as ONNX nodes.
 *
 * ONNX repeats operands of elementwise ops by itself, as NumPy does, so a
 * broadcast is a reshape with ones, and a constant is a scalar: the batch need
 * not be known.  A value that is smaller than its type for that is marked, and
 * made whole where something else than an elementwise op reads it. */
#include "onnx_private.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ATTRIBUTE_IS_FLOAT = 1, ATTRIBUTE_IS_INT = 2, ATTRIBUTE_IS_INTS = 7 };

/* ---- nodes -------------------------------------------------------------- */

/* An attribute of a node; takes its value's bytes. */
static void put_attribute(Protobuf *node, Protobuf *attr, const char *name,
                          int type)
{
    protobuf_text(attr, ATTRIBUTE_NAME, name);
    protobuf_varint(attr, ATTRIBUTE_TYPE, (uint64_t)type);
    node->failed = node->failed || attr->failed;
    protobuf_bytes(node, NODE_ATTRIBUTE, attr->data, attr->n);
    free(attr->data);
}

static void put_int(Protobuf *node, const char *name, int64_t v)
{
    Protobuf attr = {.grows = true};
    protobuf_varint(&attr, ATTRIBUTE_I, (uint64_t)v);
    put_attribute(node, &attr, name, ATTRIBUTE_IS_INT);
}

static void put_float(Protobuf *node, const char *name, double v)
{
    Protobuf attr = {.grows = true};
    protobuf_float(&attr, ATTRIBUTE_F, (float)v);
    put_attribute(node, &attr, name, ATTRIBUTE_IS_FLOAT);
}

static void put_ints(Protobuf *node, const char *name, const int64_t *v, int n)
{
    Protobuf attr = {.grows = true};
    for (int i = 0; i < n; i++)
        protobuf_varint(&attr, ATTRIBUTE_INTS, (uint64_t)v[i]);
    put_attribute(node, &attr, name, ATTRIBUTE_IS_INTS);
}

/* An attribute of ours under its ONNX name. */
static void copy_ints(Protobuf *node, const char *name, const Node *n,
                      const char *key)
{
    int count;
    const int64_t *v = node_ints(n, key, &count);
    put_ints(node, name, v, count);
}

/* All that is put before, then all that is put behind. */
static int both_sides(const Node *n, const char *low, const char *high,
                      int64_t pads[2 * MAX_RANK])
{
    int a, b;
    const int64_t *v = node_ints(n, low, &a), *u = node_ints(n, high, &b);
    memcpy(pads, v, (size_t)a * sizeof *v);
    memcpy(pads + a, u, (size_t)b * sizeof *u);
    return a + b;
}

static void put_pads(Protobuf *node, const Node *n)
{
    int64_t pads[2 * MAX_RANK];
    int count = both_sides(n, "pad_low", "pad_high", pads);
    put_ints(node, "pads", pads, count);
}

/* A node with what `attributes` holds (NULL: none; taken); its result. */
static const char *put(OnnxWriter *w, const char *op, const char *const *in,
                       int n_in, Protobuf *attributes)
{
    Protobuf node = {.grows = true};
    const char *name = arena_printf(w->arena, "%s_%u", op, w->fresh++);
    if (attributes)
        node = *attributes;
    for (int i = 0; i < n_in; i++)
        protobuf_text(&node, NODE_INPUT, in[i]);
    protobuf_text(&node, NODE_OUTPUT, name);
    protobuf_text(&node, NODE_NAME, name);
    protobuf_text(&node, NODE_OP, op);
    w->graph.failed = w->graph.failed || node.failed;
    protobuf_bytes(&w->graph, GRAPH_NODE, node.data, node.n);
    free(node.data);
    return name;
}

static const char *put1(OnnxWriter *w, const char *op, const char *x)
{
    return put(w, op, &x, 1, NULL);
}

static const char *put2(OnnxWriter *w, const char *op, const char *x,
                        const char *y)
{
    return put(w, op, (const char *[]){x, y}, 2, NULL);
}

static bool fail(const OnnxWriter *w, const Node *n, const char *why)
{
    const char *at = module_loc_text(w->g->module, n->loc, w->arena);
    return error_set(w->e, "%.300s%s%s: %s", at, *at ? ": " : "", n->op->name,
                     why);
}

/* ---- shapes ------------------------------------------------------------- */

static const char no_batch[] =
    "what does not depend on the images is repeated for each, and ONNX would "
    "have to know how many there are";

static bool is_small(const OnnxWriter *w, Value v)
{
    return w->small[v.node];
}

/* The operand's name; its value has the whole of its shape.  NULL after a
 * message. */
static const char *whole(OnnxWriter *w, const Node *n, uint32_t i)
{
    const Type *t = graph_type(w->g, n->in[i]);
    const char *x = w->name[n->in[i].node];
    if (!is_small(w, n->in[i]))
        return x;
    for (int k = 0; k < t->rank; k++)
        if (t->dim[k] % ONNX_BATCH == 0) {
            fail(w, n, no_batch);
            return NULL;
        }
    return put2(w, "Expand", x, onnx_ints(w, t->dim, t->rank));
}

/* The shape for Reshape: the batch is what is left over. */
static const char *shape_of(OnnxWriter *w, const Node *n, const Type *t)
{
    int64_t dim[MAX_RANK];
    int open = 0;
    for (int i = 0; i < t->rank; i++) {
        bool batch = t->dim[i] % ONNX_BATCH == 0;
        dim[i] = batch ? -1 : t->dim[i];
        open += batch;
    }
    if (open <= 1)
        return onnx_ints(w, dim, t->rank);
    fail(w, n, "the batch is in two dimensions");
    return NULL;
}

static bool emit_reshape(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    const char *x = whole(w, n, 0);
    const char *shape = x ? shape_of(w, n, &n->type[0]) : NULL;
    if (shape)
        w->name[id] = put2(w, "Reshape", x, shape);
    return shape != NULL;
}

static bool emit_broadcast(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    const Type *t = graph_type(w->g, n->in[0]);
    Type ones = n->type[0];
    int count;
    const int64_t *dims = node_ints(n, "dims", &count);
    const char *x = whole(w, n, 0);
    for (int i = 0; i < ones.rank; i++)
        ones.dim[i] = 1;
    for (int i = 0; i < count; i++)
        ones.dim[dims[i]] = t->dim[i];
    const char *shape = x ? shape_of(w, n, &ones) : NULL;
    if (shape)
        w->name[id] = put2(w, "Reshape", x, shape);
    w->small[id] = true;
    return shape != NULL;
}

static bool emit_transpose(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    Protobuf a = {.grows = true};
    const char *x = whole(w, n, 0);
    copy_ints(&a, "perm", n, "order");
    if (x)
        w->name[id] = put(w, "Transpose", &x, 1, &a);
    else
        free(a.data);
    return x != NULL;
}

/* Along the dimensions that it changes; the batch is none of them. */
static bool emit_slice(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    const Type *t = graph_type(w->g, n->in[0]);
    int rank, k = 0;
    const int64_t *start = node_ints(n, "start", &rank);
    const int64_t *stop = node_ints(n, "stop", &rank);
    const int64_t *step = node_ints(n, "step", &rank);
    int64_t part[4][MAX_RANK];
    for (int i = 0; i < rank; i++) {
        if (start[i] == 0 && stop[i] == t->dim[i] && step[i] == 1)
            continue;
        if (t->dim[i] % ONNX_BATCH == 0)
            return fail(w, n, "it takes a part of the batch");
        part[0][k] = start[i];
        part[1][k] = stop[i];
        part[2][k] = i;
        part[3][k++] = step[i];
    }
    const char *in[5] = {whole(w, n, 0)};
    if (!in[0])
        return false;
    for (int i = 0; i < 4; i++)
        in[i + 1] = onnx_ints(w, part[i], k);
    w->name[id] = k ? put(w, "Slice", in, 5, NULL) : in[0];
    return true;
}

/* A constant scalar of the value's element type. */
static const char *scalar(OnnxWriter *w, const Node *n, DType t, double v)
{
    float f = (float)v;
    int32_t i = (int32_t)v;
    int64_t l = (int64_t)v;
    uint8_t b = v != 0;
    switch (t) {
    case DT_F32:
        return onnx_constant(w, t, NULL, 0, &f, sizeof f);
    case DT_I32:
        return onnx_constant(w, t, NULL, 0, &i, sizeof i);
    case DT_I64:
        return onnx_constant(w, t, NULL, 0, &l, sizeof l);
    case DT_BOOL:
        return onnx_constant(w, t, NULL, 0, &b, sizeof b);
    default:
        fail(w, n, "a constant of a type that is not exported");
        return NULL;
    }
}

static bool emit_pad(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    int64_t pads[2 * MAX_RANK];
    const Type *in_type = graph_type(w->g, n->in[0]);
    int rank, count = both_sides(n, "low", "high", pads);
    const int64_t *step = node_ints(n, "step", &rank);
    for (int i = 0; i < rank; i++) {
        if (step[i] != 1)
            return fail(w, n, "ONNX cannot put values between others");
        if (in_type->dim[i] % ONNX_BATCH == 0 && (pads[i] || pads[rank + i]))
            return fail(w, n, "it changes the batch");
    }
    const char *in[3] = {whole(w, n, 0)};
    if (!in[0])
        return false;
    in[1] = onnx_ints(w, pads, count);
    in[2] = scalar(w, n, n->type[0].dtype, node_float(n, "value"));
    if (in[2])
        w->name[id] = put(w, "Pad", in, 3, NULL);
    return in[2] != NULL;
}

static bool emit_const(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    w->name[id] = scalar(w, n, n->type[0].dtype, node_float(n, "value"));
    w->small[id] = true;
    return w->name[id] != NULL;
}

/* ---- layers ------------------------------------------------------------- */

static bool all_whole(OnnxWriter *w, const Node *n, const char **in)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!(in[i] = whole(w, n, i)))
            return false;
    return true;
}

/* Ends an emitter whose operands must be whole. */
static bool put_whole(OnnxWriter *w, uint32_t id, const char *op, Protobuf *a)
{
    const Node *n = &w->g->node[id];
    const char *in[8];
    if (n->n_in <= 8 && all_whole(w, n, in)) {
        w->name[id] = put(w, op, in, (int)n->n_in, a);
        return true;
    }
    free(a->data);
    return false;
}

static bool emit_conv(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    Protobuf a = {.grows = true};
    copy_ints(&a, "strides", n, "stride");
    copy_ints(&a, "dilations", n, "dilation");
    put_pads(&a, n);
    put_int(&a, "group", node_int(n, "groups"));
    return put_whole(w, id, "Conv", &a);
}

static bool emit_batch_norm(OnnxWriter *w, uint32_t id)
{
    Protobuf a = {.grows = true};
    put_float(&a, "epsilon", node_float(&w->g->node[id], "eps"));
    return put_whole(w, id, "BatchNormalization", &a);
}

static bool emit_layer_norm(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    Protobuf a = {.grows = true};
    if (!count || axes[0] != n->type[0].rank - count)
        return fail(w, n, "ONNX only normalises over the last dimensions");
    put_int(&a, "axis", axes[0]);
    put_float(&a, "epsilon", node_float(n, "eps"));
    return put_whole(w, id, "LayerNormalization", &a);
}

static void put_window(Protobuf *a, const Node *n)
{
    copy_ints(a, "kernel_shape", n, "size");
    copy_ints(a, "strides", n, "stride");
    put_pads(a, n);
}

static bool emit_max_pool(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    Protobuf a = {.grows = true};
    put_window(&a, n);
    copy_ints(&a, "dilations", n, "dilation");
    return put_whole(w, id, "MaxPool", &a);
}

static bool emit_avg_pool(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    int count;
    const int64_t *dilation = node_ints(n, "dilation", &count);
    Protobuf a = {.grows = true};
    for (int i = 0; i < count; i++)
        if (dilation[i] != 1)
            return fail(w, n, "ONNX has no dilation here before opset 19");
    put_window(&a, n);
    put_int(&a, "count_include_pad", node_int(n, "count_include_pad"));
    return put_whole(w, id, "AveragePool", &a);
}

/* The last two dimensions change places. */
static const char *turned(OnnxWriter *w, const char *x, int rank)
{
    int64_t perm[MAX_RANK];
    Protobuf a = {.grows = true};
    for (int i = 0; i < rank; i++)
        perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    put_ints(&a, "perm", perm, rank);
    return put(w, "Transpose", &x, 1, &a);
}

static bool emit_matmul(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    int rank = n->type[0].rank;
    bool ta = node_int(n, "transpose_a"), tb = node_int(n, "transpose_b");
    const char *in[2];
    Protobuf a = {.grows = true};
    if (rank == 2) {
        put_int(&a, "transA", ta);
        put_int(&a, "transB", tb);
        return put_whole(w, id, "Gemm", &a);
    }
    if (!all_whole(w, n, in))
        return false;
    in[0] = ta ? turned(w, in[0], rank) : in[0];
    in[1] = tb ? turned(w, in[1], rank) : in[1];
    w->name[id] = put2(w, "MatMul", in[0], in[1]);
    return true;
}

/* ---- along dimensions --------------------------------------------------- */

static bool emit_softmax(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    Protobuf a = {.grows = true};
    put_int(&a, "axis", node_int(n, "axis"));
    return put_whole(w, id, node_is(n, &op_softmax) ? "Softmax" : "LogSoftmax",
                     &a);
}

/* Up to opset 17 the axes of a sum are an operand, those of others not. */
static bool emit_reduce(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    const char *in[2] = {whole(w, n, 0)};
    Protobuf a = {.grows = true};
    put_int(&a, "keepdims", 0);
    if (!in[0] || !count) {
        w->name[id] = in[0];
        free(a.data);
        return in[0] != NULL;
    }
    if (node_is(n, &op_reduce_sum)) {
        in[1] = onnx_ints(w, axes, count);
        w->name[id] = put(w, "ReduceSum", in, 2, &a);
        return true;
    }
    put_ints(&a, "axes", axes, count);
    w->name[id] = put(w, node_is(n, &op_reduce_max) ? "ReduceMax" : "ReduceMin",
                      in, 1, &a);
    return true;
}

/* ---- elementwise -------------------------------------------------------- */

/* The result is small where all operands are. */
static void set_small(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    w->small[id] = true;
    for (uint32_t i = 0; i < n->n_in; i++)
        w->small[id] = w->small[id] && is_small(w, n->in[i]);
}

static bool emit_cast(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    Protobuf a = {.grows = true};
    put_int(&a, "to", onnx_type(n->type[0].dtype));
    w->name[id] = put(w, "Cast", &w->name[n->in[0].node], 1, &a);
    set_small(w, id);
    return true;
}

static bool emit_rsqrt(OnnxWriter *w, uint32_t id)
{
    const char *x = w->name[w->g->node[id].in[0].node];
    w->name[id] = put1(w, "Reciprocal", put1(w, "Sqrt", x));
    set_small(w, id);
    return true;
}

static bool emit_gather(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    const char *table = whole(w, n, 0), *index = whole(w, n, 1);
    if (table && index)
        w->name[id] = put2(w, "Gather", table, index);
    return table && index;
}

/* x * (0.5 * (1 + erf(x / sqrt 2))) */
static bool emit_gelu(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    const char *x = w->name[n->in[0].node];
    const char *half = scalar(w, n, DT_F32, 0.5);
    const char *one = scalar(w, n, DT_F32, 1);
    const char *root = scalar(w, n, DT_F32, sqrt(0.5));
    const char *below = put1(w, "Erf", put2(w, "Mul", x, root));
    below = put2(w, "Mul", put2(w, "Add", below, one), half);
    w->name[id] = put2(w, "Mul", x, below);
    set_small(w, id);
    return true;
}

/* clang-format off */
static const struct {
    const OpDesc *op;
    const char *name;                            /* the same thing in ONNX, or */
    bool (*emit)(OnnxWriter *w, uint32_t id);
} onnx_table[] = {
    {&op_abs, "Abs", NULL},
    {&op_add, "Add", NULL},
    {&op_and, "And", NULL},
    {&op_copy, "Identity", NULL},
    {&op_div, "Div", NULL},
    {&op_equal, "Equal", NULL},
    {&op_erf, "Erf", NULL},
    {&op_exp, "Exp", NULL},
    {&op_less, "Less", NULL},
    {&op_less_equal, "LessOrEqual", NULL},
    {&op_log, "Log", NULL},
    {&op_max, "Max", NULL},
    {&op_min, "Min", NULL},
    {&op_mul, "Mul", NULL},
    {&op_neg, "Neg", NULL},
    {&op_not, "Not", NULL},
    {&op_or, "Or", NULL},
    {&op_pow, "Pow", NULL},
    {&op_relu, "Relu", NULL},
    {&op_select, "Where", NULL},
    {&op_sigmoid, "Sigmoid", NULL},
    {&op_sign, "Sign", NULL},
    {&op_sqrt, "Sqrt", NULL},
    {&op_sub, "Sub", NULL},
    {&op_tanh, "Tanh", NULL},
    {&op_avg_pool, NULL, emit_avg_pool},
    {&op_batch_norm_inference, NULL, emit_batch_norm},
    {&op_broadcast, NULL, emit_broadcast},
    {&op_cast, NULL, emit_cast},
    {&op_const, NULL, emit_const},
    {&op_conv, NULL, emit_conv},
    {&op_gather, NULL, emit_gather},
    {&op_gelu, NULL, emit_gelu},
    {&op_layer_norm, NULL, emit_layer_norm},
    {&op_log_softmax, NULL, emit_softmax},
    {&op_matmul, NULL, emit_matmul},
    {&op_max_pool, NULL, emit_max_pool},
    {&op_pad, NULL, emit_pad},
    {&op_reduce_max, NULL, emit_reduce},
    {&op_reduce_min, NULL, emit_reduce},
    {&op_reduce_sum, NULL, emit_reduce},
    {&op_reshape, NULL, emit_reshape},
    {&op_rsqrt, NULL, emit_rsqrt},
    {&op_slice, NULL, emit_slice},
    {&op_softmax, NULL, emit_softmax},
    {&op_split, NULL, emit_reshape},
    {&op_transpose, NULL, emit_transpose},
};
/* clang-format on */

static bool emit_same(OnnxWriter *w, uint32_t id, const char *name)
{
    const Node *n = &w->g->node[id];
    const char *in[8];
    if (n->n_in > 8)
        return fail(w, n, "too many operands");
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = w->name[n->in[i].node];
    w->name[id] = put(w, name, in, (int)n->n_in, NULL);
    set_small(w, id);
    return true;
}

bool onnx_node(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    for (size_t i = 0; i < sizeof onnx_table / sizeof *onnx_table; i++) {
        if (!node_is(n, onnx_table[i].op))
            continue;
        return onnx_table[i].name ? emit_same(w, id, onnx_table[i].name)
                                  : onnx_table[i].emit(w, id);
    }
    return fail(w, n, "ONNX export does not know this op");
}
