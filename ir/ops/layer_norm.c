/* ops/layer_norm.c: normalisation of each example by itself (Ba, Kiros and
 * Hinton, 2016).
 *
 *     y = (x - mean) / sqrt(var + eps) * gamma + beta
 *
 * with mean and variance over `axes`; gamma and beta have just those
 * dimensions, in float32 where x is half.  The gradient computes the
 * statistics again: that is one more pass over a row that is at hand, against
 * keeping them. */
#include "common.h"

/* ---- inference ---------------------------------------------------------- */

/* Checks x and the attributes; *scale is the type of gamma and beta. */
static bool infer_normalised(const Infer *f, const Type *x, Type *scale)
{
    int n;
    const int64_t *axes;
    double eps = node_float(f->node, "eps");
    if (!dtype_is_float(x->dtype))
        return infer_fail(f, "takes floating point, not %s", type_text(x).s);
    if (!infer_axes(f, "axes", x->rank, &axes, &n))
        return false;
    if (n == 0)
        return infer_fail(f, "axes is empty: there is nothing to average");
    if (!(eps >= 0 && eps < 1e30))
        return infer_fail(f, "eps is %g, it must be 0 or more", eps);
    *scale = (Type){.dtype = dtype_wide(x->dtype), .rank = (uint8_t)n};
    for (int i = 0; i < n; i++)
        scale->dim[i] = x->dim[axes[i]];
    return true;
}

static bool infer_layer_norm(const Infer *f)
{
    Type scale;
    f->out[0] = *f->in[0];
    return infer_normalised(f, f->in[0], &scale) &&
           infer_is(f, 1, &scale, "gamma") && infer_is(f, 2, &scale, "beta");
}

static bool infer_layer_norm_grad(const Infer *f)
{
    const Type *x = f->in[1];
    Type scale;
    if (!infer_normalised(f, x, &scale) ||
        !infer_is(f, 0, x, "the gradient of the result") ||
        !infer_is(f, 2, &scale, "gamma"))
        return false;
    f->out[0] = *x;
    f->out[1] = f->out[2] = scale;
    return true;
}

/* ---- building ----------------------------------------------------------- */

typedef struct Axes {
    int n, n_other;
    const int64_t *axis;
    int64_t other[MAX_RANK];
    double count; /* elements that are averaged */
} Axes;

static Axes axes_of(const Node *n, const Type *x)
{
    Axes a = {.count = 1};
    a.axis = node_ints(n, "axes", &a.n);
    for (int d = 0, next = 0; d < x->rank; d++) {
        if (next == a.n || a.axis[next] != d) {
            a.other[a.n_other++] = d;
            continue;
        }
        a.count *= (double)x->dim[d];
        next++;
    }
    return a;
}

/* The average over the axes, for every element of v. */
static Value average(Graph *g, Value v, const Axes *a)
{
    Value sum = ir_reduce_sum(g, v, a->axis, a->n);
    return spread_back(g, ir_mul_const(g, sum, 1 / a->count), v, a->axis, a->n);
}

/* (x - mean) / sqrt(var + eps); *inverse is what the difference is times. */
static Value normalise(Graph *g, const Node *n, Value x, const Axes *a,
                       Value *inverse)
{
    Value d = ir_sub(g, x, average(g, x, a));
    Value squares = ir_reduce_sum(g, ir_mul(g, d, d), a->axis, a->n);
    Value var = ir_mul_const(g, squares, 1 / a->count);
    Value r = op1(g, "rsqrt", ir_add_const(g, var, node_float(n, "eps")));
    *inverse = spread_back(g, r, d, a->axis, a->n);
    return ir_mul(g, d, *inverse);
}

static void expand_layer_norm(Graph *g, const Node *n, const Value *in,
                              Value *out)
{
    Type t = *graph_type(g, in[0]);
    Axes a = axes_of(n, &t);
    Value x = ir_cast(g, in[0], dtype_wide(t.dtype)), inverse;
    Value hat = normalise(g, n, x, &a, &inverse);
    Value y = ir_mul(g, hat, spread(g, in[1], hat, a.axis, a.n));
    y = ir_add(g, y, spread(g, in[2], y, a.axis, a.n));
    out[0] = ir_cast(g, y, t.dtype);
}

static void grad_layer_norm(Graph *g, uint32_t id, const Value *dout,
                            Value *din)
{
    const Node *n = &g->node[id];
    Attr attr[] = {*node_attr(n, "axes"), *node_attr(n, "eps")};
    Value in[] = {dout[0], n->in[0], n->in[1]};
    uint32_t grad = ir_node(g, &op_layer_norm_grad, in, 3, attr, 2).node;
    for (unsigned i = 0; i < 3; i++)
        din[i] = node_value(grad, i);
}

/* With xhat the normalised x and h = dy gamma:
 *     dx = (h - average of h - xhat average of (h xhat)) / sqrt(var + eps) */
static void expand_layer_norm_grad(Graph *g, const Node *n, const Value *in,
                                   Value *out)
{
    Type t = *graph_type(g, in[1]);
    Axes a = axes_of(n, &t);
    DType dtype = dtype_wide(t.dtype);
    Value dy = ir_cast(g, in[0], dtype), inverse;
    Value hat = normalise(g, n, ir_cast(g, in[1], dtype), &a, &inverse);
    Value h = ir_mul(g, dy, spread(g, in[2], dy, a.axis, a.n));
    Value along = ir_mul(g, hat, average(g, ir_mul(g, h, hat), &a));
    Value rest = ir_sub(g, ir_sub(g, h, average(g, h, &a)), along);
    out[0] = ir_cast(g, ir_mul(g, rest, inverse), t.dtype);
    out[1] = ir_reduce_sum(g, ir_mul(g, dy, hat), a.other, a.n_other);
    out[2] = ir_reduce_sum(g, dy, a.other, a.n_other);
}

/* ---- descriptors -------------------------------------------------------- */

#define NORM_ATTRS                                                             \
    {"axes", ATTR_INTS, NULL, "what is normalised together, increasing"},      \
    {                                                                          \
        "eps", ATTR_FLOAT, "1e-5", "added to the variance"                     \
    }

const OpDesc op_layer_norm = {
    .name = "layer_norm",
    .doc = "(x, gamma, beta) to y: normalises over some dimensions of each "
           "example; gamma and beta have those dimensions",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){NORM_ATTRS, {0}},
    .samples = SAMPLES("(f32[2,3,5], f32[5], f32[5]) {axes=[2]}",
                       "(f32[2,5,3,2], f32[5], f32[5]) {axes=[1], eps=0.01}",
                       "(f64[2,3,4], f64[3,4], f64[3,4]) {axes=[1,2]}",
                       "(f32[7], f32[7], f32[7]) {axes=[0]}"),
    .infer = infer_layer_norm,
    .grad = grad_layer_norm,
    .expand = expand_layer_norm,
    .cost = cost_per_element,
};

const OpDesc op_layer_norm_grad = {
    .name = "layer_norm_grad",
    .doc = "(dy, x, gamma) to (dx, dgamma, dbeta)",
    .min_in = 3,
    .max_in = 3,
    .n_out = 3,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){NORM_ATTRS, {0}},
    .samples = SAMPLES("(f32[2,3,5], f32[2,3,5], f32[5]) {axes=[2]}",
                       "(f32[2,5,3], f32[2,5,3], f32[5]) {axes=[1]}",
                       "(f64[2,3,4], f64[2,3,4], f64[3,4]) {axes=[1,2]}"),
    .infer = infer_layer_norm_grad,
    .expand = expand_layer_norm_grad,
    .cost = cost_per_element,
};
