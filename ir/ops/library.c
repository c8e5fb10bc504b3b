/* ops/library.c: calls of a library, as the cpu target makes them out of
 * convolutions and matrix products (codegen/target_cpu.c).
 *
 * Activations are channels-last.  Weights that a convolution reads are packed
 * in an order that is the library's affair: a flat vector of the convolution's
 * element type, of attribute `packed` elements.  `call` is the number of
 * images that one call works on; the calls of a step are independent and run
 * in parallel.  The weights' gradient comes as one partial result for each
 * call, to be summed; it is float32 where the operands are half.
 *
 *     lib_pack               w [O,C/g,k..]    -> packed
 *     lib_conv               x, packed        -> y
 *     lib_conv_grad_input    dy, packed       -> dx
 *     lib_conv_grad_weight   x, dy            -> [calls, packed]
 *     lib_unpack             packed           -> dw [O,C/g,k..]
 *     lib_matmul             a, b             -> a b
 */
#include "common.h"
#include "window.h"
#include <inttypes.h>

#define CALL_ATTRS                                                             \
    {"kernel", ATTR_INTS, NULL, "taps, one a spatial dimension"},              \
        {"stride", ATTR_INTS, NULL, "as of conv"},                             \
        {"pad_low", ATTR_INTS, NULL, "as of conv"},                            \
        {"pad_high", ATTR_INTS, NULL, "as of conv"},                           \
        {"dilation", ATTR_INTS, NULL, "as of conv"},                           \
        {"groups", ATTR_INT, "1", "as of conv"},                               \
        {"winograd", ATTR_BOOL, "false",                                       \
         "by F(2x2,3x3): fewer multiplications"},                              \
    {                                                                          \
        "call", ATTR_INT, NULL, "images to a call, a divisor of the batch"     \
    }

#define PACK_ATTRS                                                             \
    {"of", ATTR_INT, NULL,                                                     \
     "whose order: 1 conv, 2 conv_grad_input, 3 conv_grad_weight"},            \
        {"dtype", ATTR_DTYPE, "f32", "of that conv's operands"},               \
    {                                                                          \
        "size", ATTR_INTS, NULL, "spatial dimensions of that conv's input"     \
    }

/* ---- checks ------------------------------------------------------------- */

static bool infer_call(const Infer *f, const Type *x, Slide *slide)
{
    int spatial = x->rank - 2;
    const int64_t *kernel;
    if (!dtype_is_float(x->dtype) || spatial < 1 || spatial > MAX_SPATIAL)
        return infer_fail(f,
                          "takes [N,C,..] with 1 to %d spatial dimensions "
                          "of floating point, not %s",
                          MAX_SPATIAL, type_text(x).s);
    if (!infer_ints(f, "kernel", spatial, 1, MAX_EXTENT, &kernel) ||
        !infer_steps(f, spatial, kernel, slide))
        return false;
    int64_t call = node_int(f->node, "call");
    if (call < 1 || x->dim[0] % call)
        return infer_fail(f, "calls of %" PRId64 " images do not divide %s",
                          call, type_text(x).s);
    return true;
}

static bool infer_groups(const Infer *f, int64_t in, int64_t out)
{
    int64_t groups = node_int(f->node, "groups");
    if (groups >= 1 && out >= 1 && in % groups == 0 && out % groups == 0)
        return true;
    return infer_fail(f,
                      "%" PRId64 " groups do not divide %" PRId64
                      " and %" PRId64 " channels",
                      groups, in, out);
}

/* y of x by these windows. */
static bool infer_result(const Infer *f, const Type *x, int64_t channels,
                         const Slide *slide, Type *y)
{
    *y = *x;
    y->dim[1] = channels;
    y->layout = layout_channels_last(x->rank);
    for (int i = 0; i + 2 < x->rank; i++) {
        y->dim[2 + i] = slide_count(x->dim[2 + i], &slide[i]);
        if (y->dim[2 + i] < 1)
            return infer_fail(f,
                              "the kernel is larger than the padded input "
                              "%s",
                              type_text(x).s);
    }
    return true;
}

static bool infer_packed(const Infer *f, const Type *t, DType dtype)
{
    if (t->rank == 1 && t->dtype == dtype)
        return true;
    return infer_fail(f, "packed weights must be a vector of %s, not %s",
                      dtype_name(dtype), type_text(t).s);
}

static bool infer_packed_size(const Infer *f, int64_t *size)
{
    *size = node_int(f->node, "packed");
    return *size >= 1 ||
           infer_fail(f, "packed is %" PRId64 ", the least is 1", *size);
}

/* ---- convolutions ------------------------------------------------------- */

static bool infer_lib_conv(const Infer *f)
{
    const Type *x = f->in[0];
    Slide slide[MAX_SPATIAL];
    int64_t channels = node_int(f->node, "channels");
    return infer_call(f, x, slide) && infer_groups(f, x->dim[1], channels) &&
           infer_packed(f, f->in[1], x->dtype) &&
           infer_result(f, x, channels, slide, &f->out[0]);
}

static bool infer_lib_conv_grad_input(const Infer *f)
{
    const Type *dy = f->in[0];
    Slide slide[MAX_SPATIAL];
    const int64_t *dim;
    if (!infer_call(f, dy, slide) ||
        !infer_ints(f, "shape", dy->rank, 1, INT64_MAX, &dim) ||
        !infer_packed(f, f->in[1], dy->dtype))
        return false;
    Type x = type_make(dy->dtype, dy->rank, dim), y;
    if (!type_fits(&x))
        return infer_fail(f, "%s is too large", type_text(&x).s);
    x.layout = layout_channels_last(x.rank);
    f->out[0] = x;
    return infer_groups(f, x.dim[1], dy->dim[1]) &&
           infer_result(f, &x, dy->dim[1], slide, &y) &&
           infer_is(f, 0, &y, "the gradient of the result");
}

static bool infer_lib_conv_grad_weight(const Infer *f)
{
    const Type *x = f->in[0], *dy = f->in[1];
    Slide slide[MAX_SPATIAL];
    int64_t packed;
    Type y;
    if (!infer_call(f, x, slide) || !infer_packed_size(f, &packed))
        return false;
    if (dy->rank != x->rank)
        return infer_fail(f, "input and gradient differ in rank: %s and %s",
                          type_text(x).s, type_text(dy).s);
    if (!infer_groups(f, x->dim[1], dy->dim[1]) ||
        !infer_result(f, x, dy->dim[1], slide, &y) ||
        !infer_is(f, 1, &y, "the gradient of the result"))
        return false;
    int64_t calls = x->dim[0] / node_int(f->node, "call");
    f->out[0] =
        type_make(dtype_wide(x->dtype), 2, (const int64_t[]){calls, packed});
    return true;
}

/* ---- packing ------------------------------------------------------------ */

/* Weights w [O,C/g,k..] and an input of attribute "size" make a convolution. */
static bool infer_weights(const Infer *f, const Type *w)
{
    int spatial = w->rank - 2;
    const int64_t *size;
    Slide slide[MAX_SPATIAL];
    int64_t of = node_int(f->node, "of"), groups = node_int(f->node, "groups");
    if (of < 1 || of > 3)
        return infer_fail(f, "of is %" PRId64 ", not from 1 to 3", of);
    if (!dtype_is_float(w->dtype) || spatial < 1 || spatial > MAX_SPATIAL)
        return infer_fail(f, "takes weights [O,C,..], not %s", type_text(w).s);
    if (node_int(f->node, "call") < 1 || groups < 1 ||
        w->dim[0] % groups != 0 || groups > INT64_MAX / w->dim[1])
        return infer_fail(f, "call or groups do not fit %s", type_text(w).s);
    if (!infer_ints(f, "size", spatial, 1, MAX_EXTENT, &size) ||
        !infer_steps(f, spatial, &w->dim[2], slide))
        return false;
    for (int i = 0; i < spatial; i++)
        if (slide_count(size[i], &slide[i]) < 1)
            return infer_fail(f, "the kernel is larger than the padded input");
    return true;
}

static bool infer_lib_pack(const Infer *f)
{
    const Type *w = f->in[0];
    int64_t packed;
    DType dtype = (DType)node_int(f->node, "dtype");
    if (!infer_weights(f, w) || !infer_packed_size(f, &packed))
        return false;
    if (!dtype_is_float(dtype))
        return infer_fail(f, "packs floating point, not %s", dtype_name(dtype));
    f->out[0] = type_make(dtype, 1, &packed);
    return true;
}

static bool infer_lib_unpack(const Infer *f)
{
    const Type *packed = f->in[0];
    const Attr *shape = node_attr(f->node, "shape");
    if (shape->ints.n > MAX_RANK)
        return infer_fail(f, "shape has too many dimensions");
    Type w = type_make(packed->dtype, shape->ints.n, shape->ints.v);
    if (!type_fits(&w))
        return infer_fail(f, "shape %s is not possible", type_text(&w).s);
    f->out[0] = w;
    DType dtype = (DType)node_int(f->node, "dtype");
    return infer_weights(f, &w) && infer_packed(f, packed, dtype_wide(dtype));
}

/* ---- matrix product ----------------------------------------------------- */

static bool infer_lib_matmul(const Infer *f)
{
    const Type *a = f->in[0], *b = f->in[1];
    if (!dtype_is_float(a->dtype) || a->dtype != b->dtype ||
        a->rank != b->rank || a->rank < 2)
        return infer_fail(f, "takes matrices of one type, not %s and %s",
                          type_text(a).s, type_text(b).s);
    int last = a->rank - 1;
    bool ta = node_int(f->node, "transpose_a");
    bool tb = node_int(f->node, "transpose_b");
    bool wide = node_int(f->node, "wide");
    Type y = type_make(wide ? dtype_wide(a->dtype) : a->dtype, a->rank, a->dim);
    y.dim[last - 1] = a->dim[ta ? last : last - 1];
    y.dim[last] = b->dim[tb ? last - 1 : last];
    for (int d = 0; d < last - 1; d++)
        if (a->dim[d] != b->dim[d])
            return infer_fail(f, "leading dimensions differ: %s and %s",
                              type_text(a).s, type_text(b).s);
    if (a->dim[ta ? last - 1 : last] != b->dim[tb ? last : last - 1])
        return infer_fail(f, "rows and columns differ in length: %s and %s",
                          type_text(a).s, type_text(b).s);
    int64_t rows = node_int(f->node, "rows");
    if (rows < 1 || y.dim[last - 1] % rows ||
        (a->rank > 2 && rows != y.dim[last - 1]))
        return infer_fail(f, "calls of %" PRId64 " rows do not divide %s", rows,
                          type_text(&y).s);
    f->out[0] = y;
    return true;
}

/* ---- costs -------------------------------------------------------------- */

static Cost cost_conv(const Graph *g, const Node *n, const Type *y,
                      int64_t in_channels)
{
    Cost c = cost_bytes(g, n);
    int taps;
    const int64_t *kernel = node_ints(n, "kernel", &taps);
    c.flops = 2 * (double)type_elements(y) * (double)in_channels /
              (double)node_int(n, "groups");
    for (int i = 0; i < taps; i++)
        c.flops *= (double)kernel[i];
    if (node_int(n, "winograd")) /* 16 multiplications instead of 36 */
        c.flops *= 16.0 / 36;
    return c;
}

static Cost cost_lib_conv(const Graph *g, const Node *n)
{
    return cost_conv(g, n, n->type, graph_type(g, n->in[0])->dim[1]);
}

static Cost cost_lib_conv_grad_input(const Graph *g, const Node *n)
{
    return cost_conv(g, n, graph_type(g, n->in[0]), n->type->dim[1]);
}

static Cost cost_lib_conv_grad_weight(const Graph *g, const Node *n)
{
    return cost_conv(g, n, graph_type(g, n->in[1]),
                     graph_type(g, n->in[0])->dim[1]);
}

static Cost cost_lib_matmul(const Graph *g, const Node *n)
{
    Cost c = cost_bytes(g, n);
    const Type *a = graph_type(g, n->in[0]);
    int last = a->rank - 1;
    int64_t k = a->dim[node_int(n, "transpose_a") ? last - 1 : last];
    c.flops = 2 * (double)type_elements(n->type) * (double)k;
    return c;
}

/* ---- the table ---------------------------------------------------------- */

#define SPEC                                                                   \
    "stride=[1,2], pad_low=[1,1], pad_high=[1,0], dilation=[1,1], "            \
    "kernel=[3,3]"

const OpDesc op_lib_conv = {
    .name = "lib_conv",
    .doc = "conv by the library, of packed weights",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CALL_ATTRS,
                                {"channels", ATTR_INT, NULL, "of the result"},
                                {0}},
    .samples = SAMPLES("(f32[4,3,5,6]{0,2,3,1}, f32[108]) {" SPEC
                       ", channels=4, call=2}"),
    .infer = infer_lib_conv,
    .cost = cost_lib_conv,
};

const OpDesc op_lib_conv_grad_input = {
    .name = "lib_conv_grad_input",
    .doc = "conv_grad_input by the library, of packed weights",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CALL_ATTRS,
                                {"shape", ATTR_INTS, NULL, "of the input"},
                                {0}},
    .samples = SAMPLES("(f32[4,4,5,3]{0,2,3,1}, f32[108]) {" SPEC
                       ", shape=[4,3,5,6], call=4}"),
    .infer = infer_lib_conv_grad_input,
    .cost = cost_lib_conv_grad_input,
};

const OpDesc op_lib_conv_grad_weight = {
    .name = "lib_conv_grad_weight",
    .doc = "conv_grad_weight by the library: packed, one partial result for "
           "each call",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CALL_ATTRS,
                                {"packed", ATTR_INT, NULL, "elements"},
                                {0}},
    .samples = SAMPLES("(f32[4,3,5,6]{0,2,3,1}, f32[4,4,5,3]{0,2,3,1}) {" SPEC
                       ", packed=108, call=2}"),
    .infer = infer_lib_conv_grad_weight,
    .cost = cost_lib_conv_grad_weight,
};

const OpDesc op_lib_pack = {
    .name = "lib_pack",
    .doc = "weights in the order in which the library's convolution reads them",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CALL_ATTRS,
                                PACK_ATTRS,
                                {"packed", ATTR_INT, NULL, "elements"},
                                {0}},
    .samples = SAMPLES("(f32[4,3,3,3]) {" SPEC
                       ", of=1, size=[5,6], packed=108, call=2}"),
    .infer = infer_lib_pack,
    .cost = cost_bytes,
};

const OpDesc op_lib_unpack = {
    .name = "lib_unpack",
    .doc = "weights in their plain order again",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CALL_ATTRS,
                                PACK_ATTRS,
                                {"shape", ATTR_INTS, NULL, "of the weights"},
                                {0}},
    .samples = SAMPLES("(f32[108]) {" SPEC
                       ", of=3, size=[5,6], shape=[4,3,3,3], call=2}"),
    .infer = infer_lib_unpack,
    .cost = cost_bytes,
};

const OpDesc op_lib_matmul = {
    .name = "lib_matmul",
    .doc = "matmul by the library",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs =
        (const AttrSpec[]){{"transpose_a", ATTR_BOOL, "false", "as of matmul"},
                           {"transpose_b", ATTR_BOOL, "false", "as of matmul"},
                           {"wide", ATTR_BOOL, "false", "as of matmul"},
                           {"rows", ATTR_INT, NULL,
                            "of the result to a call, a divisor; all "
                            "where there are leading dimensions"},
                           {0}},
    .samples = SAMPLES("(f32[8,3], f32[3,5]) {rows=4}",
                       "(f32[3,8], f32[5,3]) {transpose_a=true, "
                       "transpose_b=true, rows=8}",
                       "(f32[2,4,3], f32[2,3,5]) {rows=4}"),
    .infer = infer_lib_matmul,
    .cost = cost_lib_matmul,
};
