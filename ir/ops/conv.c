/* ops/conv.c: convolution (cross-correlation, as the field means it) and its
 * two gradients, over 1 to 3 spatial dimensions.
 *
 *     x [N,C,spatial..]  w [O,C/groups,k..]  y [N,O,out..]
 *     y[n,o,p] = sum over c, k of x[n, c, stride p + dilation k - pad] w[o,c,k]
 *
 * with c over the channels of o's group.  All three ops share the attributes,
 * so that a gradient is described by what its forward op was. */
#include "conv.h"
#include <inttypes.h>

/* ---- inference ---------------------------------------------------------- */

static bool check_channels(const Infer *f, const Type *x, const Type *w)
{
    int64_t groups = node_int(f->node, "groups");
    if (groups < 1 || x->dim[1] % groups || w->dim[0] % groups)
        return infer_fail(f,
                          "%" PRId64 " groups do not divide %" PRId64
                          " input and %" PRId64 " output channels (input %s, "
                          "weight %s)",
                          groups, x->dim[1], w->dim[0], type_text(x).s,
                          type_text(w).s);
    if (w->dim[1] == x->dim[1] / groups)
        return true;
    return infer_fail(f,
                      "input has %" PRId64 " channels%s, weights expect "
                      "%" PRId64 " (input %s, weight %s)",
                      x->dim[1] / groups, groups > 1 ? " a group" : "",
                      w->dim[1], type_text(x).s, type_text(w).s);
}

/* The result of the forward convolution of x with w. */
static bool infer_forward(const Infer *f, const Type *x, const Type *w, Type *y)
{
    int spatial = x->rank - 2;
    if (!dtype_is_float(x->dtype) || x->dtype != w->dtype)
        return infer_fail(f, "takes floating point of one type, not %s and %s",
                          type_text(x).s, type_text(w).s);
    if (spatial < 1 || spatial > MAX_SPATIAL || w->rank != x->rank)
        return infer_fail(f,
                          "input and weight need 1 to %d spatial dimensions "
                          "(input %s, weight %s)",
                          MAX_SPATIAL, type_text(x).s, type_text(w).s);
    Slide slide[MAX_SPATIAL];
    if (!check_channels(f, x, w) || !infer_steps(f, spatial, &w->dim[2], slide))
        return false;
    *y = *x;
    y->dim[1] = w->dim[0];
    int64_t x_area = 1, y_area = 1;
    for (int i = 0; i < spatial; i++) {
        y->dim[2 + i] = slide_count(x->dim[2 + i], &slide[i]);
        if (y->dim[2 + i] < 1)
            return infer_fail(f,
                              "the kernel is larger than the padded input "
                              "(input %s, weight %s)",
                              type_text(x).s, type_text(w).s);
        x_area *= x->dim[2 + i];
        if (__builtin_mul_overflow(y_area, y->dim[2 + i], &y_area))
            return infer_fail(f, "the padding makes the result too large");
    }
    /* Both as many as there are of the larger: the gradients need them. */
    return infer_work(f, x->dim[0], type_elements(w),
                      x_area > y_area ? x_area : y_area);
}

bool infer_conv(const Infer *f)
{
    return infer_forward(f, f->in[0], f->in[1], &f->out[0]);
}

/* Attribute shape, of another operand's element type and rank. */
static bool infer_shape(const Infer *f, const Type *other, Type *t)
{
    const int64_t *dim;
    if (!infer_ints(f, "shape", other->rank, 1, INT64_MAX, &dim))
        return false;
    *t = type_make(other->dtype, other->rank, dim);
    return type_fits(t) || infer_fail(f, "%s is too large", type_text(t).s);
}

bool infer_conv_grad_input(const Infer *f)
{
    const Type *dy = f->in[0], *w = f->in[1];
    Type x, y;
    if (!infer_shape(f, dy, &x) || !infer_forward(f, &x, w, &y) ||
        !infer_is(f, 0, &y, "the gradient of the result"))
        return false;
    f->out[0] = x;
    f->out[0].layout = dy->layout;
    return true;
}

bool infer_conv_grad_weight(const Infer *f)
{
    const Type *x = f->in[0];
    Type w, y;
    if (!infer_shape(f, x, &w) || !infer_forward(f, x, &w, &y) ||
        !infer_is(f, 1, &y, "the gradient of the result"))
        return false;
    f->out[0] = type_with_dtype(w, dtype_wide(x->dtype));
    return true;
}

/* ---- gradients ---------------------------------------------------------- */

/* The attributes of a convolution, and the shape for a gradient of it. */
static int copy_attrs(const Node *n, const Type *shape, Attr *attr)
{
    static const char *const name[] = {"stride", "pad_low", "pad_high",
                                       "dilation", "groups"};
    for (int i = 0; i < 5; i++)
        attr[i] = *node_attr(n, name[i]);
    if (shape)
        attr[5] = attr_ints("shape", shape->dim, shape->rank);
    return shape ? 6 : 5;
}

static void grad_conv(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value x = g->node[id].in[0], w = g->node[id].in[1];
    Type tx = *graph_type(g, x), tw = *graph_type(g, w);
    Attr attr[6];
    int n = copy_attrs(&g->node[id], &tx, attr);
    din[0] = ir_node(g, &op_conv_grad_input, (Value[]){dout[0], w}, 2, attr, n);
    n = copy_attrs(&g->node[id], &tw, attr);
    din[1] =
        ir_node(g, &op_conv_grad_weight, (Value[]){x, dout[0]}, 2, attr, n);
}

/* ---- expansion: one and two spatial dimensions -----------------------------
 *
 * With channels split into groups g, all three are one product over
 *     [N, g, O/g, C/g, out.. or spatial.., k..]
 * summed over the dimensions that the result does not have. */

enum { DIM_N, DIM_G, DIM_O, DIM_C, DIM_SPACE };

typedef struct ConvShape {
    int spatial;
    int64_t groups;
    Type x, w, y;
    Slide slide[MAX_SPATIAL];
} ConvShape;

static ConvShape conv_shape(const Node *n, Type x, Type w, Type y)
{
    ConvShape s = {.spatial = x.rank - 2,
                   .groups = node_int(n, "groups"),
                   .x = x,
                   .w = w,
                   .y = y};
    node_steps(n, &s.w.dim[2], s.slide);
    return s;
}

static Value split(Graph *g, Value v, int axis, int64_t size)
{
    Attr attr[] = {attr_int("axis", axis), attr_int("size", size)};
    return ir_node(g, &op_split, &v, 1, attr, 2);
}

/* v into the product's dimensions: those in `dims`, then `n` from `from`. */
static Value place(Graph *g, Value v, const Type *product, int lead,
                   const int64_t *dims, int from, int n)
{
    int64_t all[MAX_RANK];
    for (int i = 0; i < lead; i++)
        all[i] = dims[i];
    for (int i = 0; i < n; i++)
        all[lead + i] = from + i;
    return ir_broadcast(g, v, product, all, lead + n);
}

/* The product's type, with these extents in the spatial dimensions. */
static Type product_type(const ConvShape *s, const int64_t *space)
{
    Type t = {.dtype = s->x.dtype, .rank = (uint8_t)(4 + 2 * s->spatial)};
    t.dim[DIM_N] = s->x.dim[0];
    t.dim[DIM_G] = s->groups;
    t.dim[DIM_O] = s->w.dim[0] / s->groups;
    t.dim[DIM_C] = s->w.dim[1];
    for (int i = 0; i < s->spatial; i++) {
        t.dim[DIM_SPACE + i] = space[i];
        t.dim[DIM_SPACE + s->spatial + i] = s->w.dim[2 + i];
    }
    return t;
}

/* Sum over one leading dimension and `n` from `from`; in float32 at least. */
static Value sum_over(Graph *g, Value v, int lead, int from, int n)
{
    int64_t axes[MAX_RANK] = {lead};
    for (int i = 0; i < n; i++)
        axes[1 + i] = from + i;
    return ir_reduce_sum_wide(g, v, axes, 1 + n);
}

/* x [N,C,spatial..] -> windows in the product [N,g,O/g,C/g,out..,k..] */
static Value place_windows(Graph *g, Value x, const ConvShape *s,
                           const Type *product)
{
    int64_t axes[MAX_SPATIAL];
    for (int i = 0; i < s->spatial; i++)
        axes[i] = 3 + i;
    Value v = split(g, x, 1, s->w.dim[1]);
    v = build_window(g, v, axes, s->spatial, s->slide, 0);
    return place(g, v, product, 3, (const int64_t[]){DIM_N, DIM_G, DIM_C},
                 DIM_SPACE, 2 * s->spatial);
}

/* w [O,C/g,k..] -> [g,O/g,C/g,k..] -> the product */
static Value place_weight(Graph *g, Value w, const ConvShape *s,
                          const Type *product)
{
    Value v = split(g, w, 0, s->w.dim[0] / s->groups);
    return place(g, v, product, 3, (const int64_t[]){DIM_G, DIM_O, DIM_C},
                 DIM_SPACE + s->spatial, s->spatial);
}

static Value expand_flat(Graph *g, const ConvShape *s, Value x, Value w)
{
    Type product = product_type(s, &s->y.dim[2]);
    Value all = ir_mul(g, place_windows(g, x, s, &product),
                       place_weight(g, w, s, &product));
    Value y = sum_over(g, all, DIM_C, DIM_SPACE + s->spatial, s->spatial);
    y = ir_cast(g, y, s->y.dtype);
    return ir_reshape(g, y, s->y.rank, s->y.dim);
}

static Value expand_flat_weight(Graph *g, const ConvShape *s, Value x, Value dy)
{
    Type product = product_type(s, &s->y.dim[2]);
    Value v = split(g, dy, 1, s->w.dim[0] / s->groups);
    v = place(g, v, &product, 3, (const int64_t[]){DIM_N, DIM_G, DIM_O},
              DIM_SPACE, s->spatial);
    Value all = ir_mul(g, place_windows(g, x, s, &product), v);
    Value dw = sum_over(g, all, DIM_N, DIM_SPACE, s->spatial);
    return ir_reshape(g, dw, s->w.rank, s->w.dim);
}

/* dy [N,g,O/g,out..] repeated for every tap, then for each element of x what
 * each tap takes from it: [N,g,O/g,spatial..,k..]. */
static Value place_taps(Graph *g, Value dy, const ConvShape *s,
                        const Type *product)
{
    int sp = s->spatial;
    int64_t axes[MAX_SPATIAL], dims[MAX_RANK];
    Value v = split(g, dy, 1, s->w.dim[0] / s->groups);
    Type taps = *graph_type(g, v);
    taps.layout = 0;
    taps.rank += (uint8_t)sp;
    for (int i = 0; i < 3 + sp; i++)
        dims[i] = i;
    for (int i = 0; i < sp; i++) {
        axes[i] = 3 + i;
        taps.dim[3 + sp + i] = s->w.dim[2 + i];
    }
    v = ir_broadcast(g, v, &taps, dims, 3 + sp);
    v = build_unwindow(g, v, axes, sp, s->slide, &s->x.dim[2]);
    return place(g, v, product, 3, (const int64_t[]){DIM_N, DIM_G, DIM_O},
                 DIM_SPACE, 2 * sp);
}

static Value expand_flat_input(Graph *g, const ConvShape *s, Value dy, Value w)
{
    Type product = product_type(s, &s->x.dim[2]);
    Value all = ir_mul(g, place_taps(g, dy, s, &product),
                       place_weight(g, w, s, &product));
    Value dx = sum_over(g, all, DIM_O, DIM_SPACE + s->spatial, s->spatial);
    dx = ir_cast(g, dx, s->x.dtype);
    return ir_reshape(g, dx, s->x.rank, s->x.dim);
}

/* ---- expansion: three spatial dimensions -----------------------------------
 *
 * One of two over windows of the first: every place along the depth becomes an
 * image of its own, every tap along the depth a channel.
 *     x [N,C,D,H,W] -> [N,C,OD,H,W,KD] -> [N*OD, C*KD, H, W]
 *     w [O,C/g,KD,KH,KW]               -> [O, C/g*KD, KH, KW]
 *     y [N,O,OD,OH,OW]                 -> [N*OD, O, OH, OW] */

static const int64_t windows_first[] = {0, 2, 1, 5, 3, 4}; /* N OD C KD H W */
static const int64_t windows_back[] = {0, 2, 1, 4, 5, 3};  /* N C OD H W KD */
static const int64_t depth_first[] = {0, 2, 1, 3, 4};      /* its own inverse */

static Value fold_input(Graph *g, const ConvShape *s, Value x)
{
    Value v = build_window(g, x, (const int64_t[]){2}, 1, s->slide, 0);
    v = ir_transpose(g, v, windows_first, 6);
    return ir_reshape(g, v, 4,
                      (const int64_t[]){s->x.dim[0] * s->y.dim[2],
                                        s->x.dim[1] * s->w.dim[2], s->x.dim[3],
                                        s->x.dim[4]});
}

static Value fold_weight(Graph *g, const ConvShape *s, Value w)
{
    return ir_reshape(g, w, 4,
                      (const int64_t[]){s->w.dim[0], s->w.dim[1] * s->w.dim[2],
                                        s->w.dim[3], s->w.dim[4]});
}

static Value fold_result(Graph *g, const ConvShape *s, Value y)
{
    Value v = ir_transpose(g, y, depth_first, 5);
    return ir_reshape(g, v, 4,
                      (const int64_t[]){s->y.dim[0] * s->y.dim[2], s->y.dim[1],
                                        s->y.dim[3], s->y.dim[4]});
}

/* The op with one spatial dimension less. */
static Value flatter(Graph *g, const Node *n, Value a, Value b,
                     const int64_t *shape)
{
    Attr attr[6];
    int count = copy_attrs(n, NULL, attr);
    for (int i = 0; i < 4; i++) { /* all but groups: without the depth */
        attr[i].ints.v++;
        attr[i].ints.n--;
    }
    if (shape)
        attr[count++] = attr_ints("shape", shape, 4);
    return ir_node(g, n->op, (Value[]){a, b}, 2, attr, count);
}

static Value expand_deep(Graph *g, const Node *n, const ConvShape *s, Value x,
                         Value w)
{
    Value y = flatter(g, n, fold_input(g, s, x), fold_weight(g, s, w), NULL);
    y = ir_reshape(g, y, 5,
                   (const int64_t[]){s->y.dim[0], s->y.dim[2], s->y.dim[1],
                                     s->y.dim[3], s->y.dim[4]});
    return ir_transpose(g, y, depth_first, 5);
}

static Value expand_deep_weight(Graph *g, const Node *n, const ConvShape *s,
                                Value x, Value dy)
{
    const int64_t shape[] = {s->w.dim[0], s->w.dim[1] * s->w.dim[2],
                             s->w.dim[3], s->w.dim[4]};
    Value dw = flatter(g, n, fold_input(g, s, x), fold_result(g, s, dy), shape);
    return ir_reshape(g, dw, 5, s->w.dim);
}

static Value expand_deep_input(Graph *g, const Node *n, const ConvShape *s,
                               Value dy, Value w)
{
    const int64_t shape[] = {s->x.dim[0] * s->y.dim[2],
                             s->x.dim[1] * s->w.dim[2], s->x.dim[3],
                             s->x.dim[4]};
    Value v = flatter(g, n, fold_result(g, s, dy), fold_weight(g, s, w), shape);
    v = ir_reshape(g, v, 6,
                   (const int64_t[]){s->x.dim[0], s->y.dim[2], s->x.dim[1],
                                     s->w.dim[2], s->x.dim[3], s->x.dim[4]});
    v = ir_transpose(g, v, windows_back, 6);
    v = build_unwindow(g, v, (const int64_t[]){2}, 1, s->slide, &s->x.dim[2]);
    return ir_reduce_sum(g, v, (const int64_t[]){5}, 1);
}

/* ---- expansion: which --------------------------------------------------- */

static void expand_conv(Graph *g, const Node *n, const Value *in, Value *out)
{
    ConvShape s =
        conv_shape(n, *graph_type(g, in[0]), *graph_type(g, in[1]), *n->type);
    out[0] = s.spatial < 3 ? expand_flat(g, &s, in[0], in[1])
                           : expand_deep(g, n, &s, in[0], in[1]);
}

static void expand_conv_grad_input(Graph *g, const Node *n, const Value *in,
                                   Value *out)
{
    ConvShape s =
        conv_shape(n, *n->type, *graph_type(g, in[1]), *graph_type(g, in[0]));
    out[0] = s.spatial < 3 ? expand_flat_input(g, &s, in[0], in[1])
                           : expand_deep_input(g, n, &s, in[0], in[1]);
}

static void expand_conv_grad_weight(Graph *g, const Node *n, const Value *in,
                                    Value *out)
{
    ConvShape s =
        conv_shape(n, *graph_type(g, in[0]), *n->type, *graph_type(g, in[1]));
    out[0] = s.spatial < 3 ? expand_flat_weight(g, &s, in[0], in[1])
                           : expand_deep_weight(g, n, &s, in[0], in[1]);
}

/* ---- cost --------------------------------------------------------------- */

/* Each of the three: two flops for every output element of the forward
 * convolution and every weight that it meets. */
static Cost conv_cost(const Graph *g, const Node *n, const Type *w,
                      const Type *y)
{
    Cost c = cost_bytes(g, n);
    c.flops = 2 * (double)type_elements(y) * (double)type_elements(w) /
              (double)w->dim[0];
    return c;
}

Cost cost_conv(const Graph *g, const Node *n)
{
    return conv_cost(g, n, graph_type(g, n->in[1]), n->type);
}

Cost cost_conv_grad_input(const Graph *g, const Node *n)
{
    return conv_cost(g, n, graph_type(g, n->in[1]), graph_type(g, n->in[0]));
}

Cost cost_conv_grad_weight(const Graph *g, const Node *n)
{
    return conv_cost(g, n, n->type, graph_type(g, n->in[1]));
}

/* ---- descriptors -----------------------------------------------------------
 *
 * The samples of the three describe the same convolutions. */

#define SPEC_PLAIN "stride=[1,1], pad_low=[1,1], pad_high=[1,1], dilation=[1,1]"
#define SPEC_ODD                                                               \
    "stride=[2,3], pad_low=[1,0], pad_high=[0,2], dilation=[1,2], groups=2"
#define SPEC_DEPTHWISE                                                         \
    "stride=[1,2], pad_low=[1,1], pad_high=[1,1], dilation=[1,1], groups=3"
#define SPEC_LINE "stride=[2], pad_low=[2], pad_high=[1], dilation=[3]"
#define SPEC_DEEP                                                              \
    "stride=[2,1,1], pad_low=[1,0,1], pad_high=[0,1,1], dilation=[1,2,1], "    \
    "groups=2"

const OpDesc op_conv = {
    .name = "conv",
    .doc = "convolution of x [N,C,spatial..] with weights [O,C/groups,k..]: "
           "[N,O,out..], 1 to 3 spatial dimensions",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .half = HALF_WANT,
    .attrs = (const AttrSpec[]){CONV_ATTRS, {0}},
    .samples = SAMPLES("(f32[2,3,5,4], f32[4,3,3,3]) {" SPEC_PLAIN "}",
                       "(f32[1,4,7,8], f32[6,2,3,2]) {" SPEC_ODD "}",
                       "(f64[2,3,4,5], f64[3,1,3,3]) {" SPEC_DEPTHWISE "}",
                       "(f32[3,2,9], f32[5,2,3]) {" SPEC_LINE "}",
                       "(f32[1,2,4,5,3], f32[2,1,3,2,2]) {" SPEC_DEEP "}"),
    .infer = infer_conv,
    .grad = grad_conv,
    .expand = expand_conv,
    .cost = cost_conv,
};

const OpDesc op_conv_grad_input = {
    .name = "conv_grad_input",
    .doc = "gradient of conv with respect to its input, from the gradient of "
           "the result and the weights",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .half = HALF_WANT,
    .attrs = (const AttrSpec[]){CONV_ATTRS,
                                {"shape", ATTR_INTS, NULL, "of the input"},
                                {0}},
    .samples = SAMPLES(
        "(f32[2,4,5,4], f32[4,3,3,3]) {" SPEC_PLAIN ", shape=[2,3,5,4]}",
        "(f32[1,6,3,3], f32[6,2,3,2]) {" SPEC_ODD ", shape=[1,4,7,8]}",
        "(f64[2,3,4,3], f64[3,1,3,3]) {" SPEC_DEPTHWISE ", shape=[2,3,4,5]}",
        "(f32[3,5,3], f32[5,2,3]) {" SPEC_LINE ", shape=[3,2,9]}",
        "(f32[1,2,2,4,4], f32[2,1,3,2,2]) {" SPEC_DEEP ", shape=[1,2,4,5,3]}"),
    .infer = infer_conv_grad_input,
    .expand = expand_conv_grad_input,
    .cost = cost_conv_grad_input,
};

const OpDesc op_conv_grad_weight = {
    .name = "conv_grad_weight",
    .doc = "gradient of conv with respect to its weights, from its input and "
           "the gradient of the result; f32 where these are half",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .half = HALF_WANT,
    .attrs = (const AttrSpec[]){CONV_ATTRS,
                                {"shape", ATTR_INTS, NULL, "of the weights"},
                                {0}},
    .samples = SAMPLES(
        "(f32[2,3,5,4], f32[2,4,5,4]) {" SPEC_PLAIN ", shape=[4,3,3,3]}",
        "(f32[1,4,7,8], f32[1,6,3,3]) {" SPEC_ODD ", shape=[6,2,3,2]}",
        "(f64[2,3,4,5], f64[2,3,4,3]) {" SPEC_DEPTHWISE ", shape=[3,1,3,3]}",
        "(f32[3,2,9], f32[3,5,3]) {" SPEC_LINE ", shape=[5,2,3]}",
        "(f32[1,2,4,5,3], f32[1,2,2,4,4]) {" SPEC_DEEP ", shape=[2,1,3,2,2]}"),
    .infer = infer_conv_grad_weight,
    .expand = expand_conv_grad_weight,
    .cost = cost_conv_grad_weight,
};
