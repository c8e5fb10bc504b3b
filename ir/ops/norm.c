/* ops/norm.c: batch normalisation, its gradient, and the statistics.
 *
 *     x [N,C,spatial..]; all else is a vector [C], in float32 where x is half
 *     y = (x - mean) / sqrt(var + eps) * gamma + beta
 *
 * Sums over a channel can be cut into parts that are computed in parallel (see
 * Cut): into how many is a function of shapes, so the bits never depend on the
 * number of threads. */
#include "common.h"
#include <inttypes.h>

/* ---- inference ---------------------------------------------------------- */

static bool infer_activation(const Infer *f, const Type *x)
{
    if (!dtype_is_float(x->dtype))
        return infer_fail(f, "takes floating point, not %s", type_text(x).s);
    return x->rank >= 2 ||
           infer_fail(f, "the input has no channel dimension: %s",
                      type_text(x).s);
}

/* Operands first.. are vectors with an element a channel, of these names. */
static bool infer_vectors(const Infer *f, int first, const Type *x,
                          const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (!infer_channels(f, first + i, x, dtype_wide(x->dtype), names[i]))
            return false;
    return true;
}

static void set_vectors(const Infer *f, int first, int n, const Type *x)
{
    for (int i = 0; i < n; i++)
        f->out[first + i] = type_make(dtype_wide(x->dtype), 1, &x->dim[1]);
}

static bool infer_eps(const Infer *f)
{
    double eps = node_float(f->node, "eps");
    return (eps >= 0 && eps < 1e30) ||
           infer_fail(f, "eps is %g, it must be 0 or more", eps);
}

static bool infer_splits(const Infer *f)
{
    int64_t splits = node_int(f->node, "splits");
    return splits >= 0 ||
           infer_fail(f, "splits is %" PRId64 ", the least is 0", splits);
}

static bool infer_moments(const Infer *f)
{
    if (!infer_activation(f, f->in[0]) || !infer_splits(f))
        return false;
    set_vectors(f, 0, 2, f->in[0]);
    return true;
}

static bool infer_batch_norm(const Infer *f)
{
    static const char *const names[] = {"gamma", "beta"};
    const Type *x = f->in[0];
    if (!infer_activation(f, x) || !infer_eps(f) || !infer_splits(f) ||
        !infer_vectors(f, 1, x, names, 2))
        return false;
    f->out[0] = *x;
    set_vectors(f, 1, 2, x);
    return true;
}

static bool infer_batch_norm_grad(const Infer *f)
{
    static const char *const names[] = {"mean", "var", "gamma"};
    const Type *x = f->in[1];
    if (!infer_activation(f, x) || !infer_eps(f) || !infer_splits(f) ||
        !infer_is(f, 0, x, "the gradient of the result") ||
        !infer_vectors(f, 2, x, names, 3))
        return false;
    f->out[0] = *x;
    set_vectors(f, 1, 2, x);
    return true;
}

static bool infer_batch_norm_inference(const Infer *f)
{
    static const char *const names[] = {"gamma", "beta", "mean", "var"};
    if (!infer_activation(f, f->in[0]) || !infer_eps(f) ||
        !infer_vectors(f, 1, f->in[0], names, 4))
        return false;
    f->out[0] = *f->in[0];
    return true;
}

/* ---- sums in parts ---------------------------------------------------------
 *
 * The batch is cut into `images` parts and, where that is not enough, the
 * first spatial dimension into `rows`:
 *
 *     [N,C,H,W] -> [images, N/images, C, rows, H/rows, W]
 *
 * A part sums over `axes` of this, which leaves [images, C, rows]; `merge`
 * are the dimensions of that to sum over at last.  Uncut dimensions are not
 * doubled. */
typedef struct Cut {
    int64_t images, rows;
    int64_t axes[MAX_RANK], merge[2], channel;
    int n_axes, n_merge;
    double parts, count; /* parts a channel; elements a channel */
} Cut;

static int64_t largest_divisor(int64_t of, int64_t limit)
{
    int64_t d = limit < of ? limit : of;
    while (of % d)
        d--;
    return d;
}

static Cut cut_for(const Type *x, int64_t splits)
{
    enum { MOST = 4096 }; /* more would only make partial results */
    splits = splits < MOST ? splits : MOST;
    splits = splits > 1 ? splits : 1;
    Cut c = {.images = 1, .rows = 1};
    if (x->rank < MAX_RANK)
        c.images = largest_divisor(x->dim[0], splits);
    if (x->rank > 2 && x->rank + (c.images > 1) < MAX_RANK)
        c.rows = largest_divisor(x->dim[2], splits / c.images);
    int d = 0, kept = 0;
    if (c.images > 1) {
        c.merge[c.n_merge++] = kept++;
        d++;
    }
    c.axes[c.n_axes++] = d++; /* images of a part */
    c.channel = kept++;
    d++;
    if (c.rows > 1) {
        c.merge[c.n_merge++] = kept++;
        d++;
    }
    for (int i = 2; i < x->rank; i++)
        c.axes[c.n_axes++] = d++;
    c.parts = (double)(c.images * c.rows);
    c.count = (double)(type_elements(x) / x->dim[1]);
    return c;
}

static Value cut_apply(Graph *g, Value x, const Cut *c)
{
    const Type *t = graph_type(g, x);
    int64_t rows = t->rank > 2 ? t->dim[2] / c->rows : 1;
    int64_t images = t->dim[0] / c->images;
    if (c->rows > 1) {
        Attr attr[] = {attr_int("axis", 2), attr_int("size", rows)};
        x = ir_node(g, &op_split, &x, 1, attr, 2);
    }
    if (c->images > 1) {
        Attr attr[] = {attr_int("axis", 0), attr_int("size", images)};
        x = ir_node(g, &op_split, &x, 1, attr, 2);
    }
    return x;
}

static Value cut_sum(Graph *g, Value v, const Cut *c)
{
    return ir_reduce_sum(g, v, c->axes, c->n_axes);
}

static Value cut_merge(Graph *g, Value v, const Cut *c)
{
    return ir_reduce_sum(g, v, c->merge, c->n_merge);
}

/* [C] for every part and channel. */
static Value cut_spread(Graph *g, Value v, Value like, const Cut *c)
{
    return spread(g, v, like, &c->channel, 1);
}

static Value pick_first(Graph *g, Value v, const int64_t *axes, int n)
{
    static const int64_t zeros[MAX_RANK];
    Attr attr[] = {attr_ints("axes", axes, n), attr_ints("at", zeros, n)};
    return n ? ir_node(g, &op_pick, &v, 1, attr, 2) : v;
}

/* ---- moments ---------------------------------------------------------------
 *
 * Each part sums x - k and (x - k)^2 in one pass, k being its own first
 * element, so that nothing cancels where the mean is large against the
 * deviation.  Parts of equal size are merged by Chan, Golub and LeVeque
 * ("Updating formulae and a pairwise algorithm for computing sample
 * variances", 1979):
 *
 *     mean_p = k_p + s1_p / n        m2_p = s2_p - s1_p^2 / n
 *     mean   = average of mean_p     m2   = sum of m2_p + n (mean_p - mean)^2
 *
 * with the average taken from the first part's k for the same reason. */

typedef struct Moments {
    Value mean, var;
} Moments;

static Moments moments(Graph *g, Value x, int64_t splits)
{
    Type t = *graph_type(g, x);
    DType dtype = dtype_wide(t.dtype);
    Cut c = cut_for(&t, splits);
    double n = c.count / c.parts;

    Value cut = cut_apply(g, x, &c);
    Value k = ir_cast(g, pick_first(g, cut, c.axes, c.n_axes), dtype);
    Value all = ir_cast(g, cut, dtype);
    Value d = ir_sub(g, all, spread_back(g, k, all, c.axes, c.n_axes));
    Value s1 = cut_sum(g, d, &c);
    Value s2 = cut_sum(g, ir_mul(g, d, d), &c);
    Value step = ir_mul_const(g, s1, 1 / n); /* mean_p - k_p */
    Value m2 = ir_sub(g, s2, ir_mul(g, s1, step));

    Moments m;
    Value origin = pick_first(g, k, c.merge, c.n_merge);
    if (c.n_merge) {
        Value offset =
            ir_add(g, ir_sub(g, k, cut_spread(g, origin, k, &c)), step);
        step = ir_mul_const(g, cut_merge(g, offset, &c), 1 / c.parts);
        Value off = ir_sub(g, offset, cut_spread(g, step, offset, &c));
        Value between = ir_mul_const(g, ir_mul(g, off, off), n);
        m2 = cut_merge(g, ir_add(g, m2, between), &c);
    }
    m.mean = ir_add(g, origin, step);
    Value positive = op2(g, "max", m2, ir_const_like(g, m2, 0));
    m.var = ir_mul_const(g, positive, 1 / c.count);
    return m;
}

static void expand_moments(Graph *g, const Node *n, const Value *in, Value *out)
{
    Moments m = moments(g, in[0], node_int(n, "splits"));
    out[0] = m.mean;
    out[1] = m.var;
}

/* What gradients of mean and var (either may be none) give x:
 * dmean / n + dvar 2 (x - mean) / n. */
static Value through_moments(Graph *g, Value x, Value mean, Value dmean,
                             Value dvar)
{
    Type t = *graph_type(g, x);
    double n = (double)(type_elements(&t) / t.dim[1]);
    Value all = ir_cast(g, x, dtype_wide(t.dtype)), dx = NO_VALUE;
    if (dmean.node)
        dx = spread_channel(g, ir_mul_const(g, dmean, 1 / n), all);
    if (dvar.node) {
        Value slope = ir_mul_const(g, dvar, 2 / n);
        Value centered = ir_sub(g, all, spread_channel(g, mean, all));
        Value part = ir_mul(g, centered, spread_channel(g, slope, all));
        dx = dx.node ? ir_add(g, dx, part) : part;
    }
    return dx.node ? ir_cast(g, dx, t.dtype) : NO_VALUE;
}

static void grad_moments(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    din[0] = through_moments(g, g->node[id].in[0], node_value(id, 0), dout[0],
                             dout[1]);
}

#define SPLITS_ATTR                                                            \
    {                                                                          \
        "splits", ATTR_INT, "0",                                               \
            "parts that a channel's sums are computed in, at most; 0: as the " \
            "target likes"                                                     \
    }

const OpDesc op_moments = {
    .name = "moments",
    .doc = "mean and (biased) variance of each channel, dimension 1; accurate "
           "where the mean is large against the deviation",
    .min_in = 1,
    .max_in = 1,
    .n_out = 2,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){SPLITS_ATTR, {0}},
    .samples = SAMPLES("(f32[4,3,6,5])", "(f32[4,3,6,5]) {splits=8}",
                       "(f64[5,2]) {splits=4}", "(f32[6,3]) {splits=3}",
                       "(f32[3,2,4,1,2]) {splits=12}"),
    .infer = infer_moments,
    .grad = grad_moments,
    .expand = expand_moments,
    .cost = cost_per_element,
};

/* ---- batch norm --------------------------------------------------------- */

/* 1 / sqrt(var + eps) */
static Value deviation_inverse(Graph *g, const Node *n, Value var)
{
    return op1(g, "rsqrt", ir_add_const(g, var, node_float(n, "eps")));
}

/* y = x scale + shift, with a scale and a shift a channel. */
static Value apply_statistics(Graph *g, const Node *n, Value x, Value gamma,
                              Value beta, Moments m)
{
    DType dtype = graph_type(g, x)->dtype;
    Value scale = ir_mul(g, gamma, deviation_inverse(g, n, m.var));
    Value shift = ir_sub(g, beta, ir_mul(g, m.mean, scale));
    Value all = ir_cast(g, x, dtype_wide(dtype));
    Value y = ir_add(g, ir_mul(g, all, spread_channel(g, scale, all)),
                     spread_channel(g, shift, all));
    return ir_cast(g, y, dtype);
}

static void expand_batch_norm(Graph *g, const Node *n, const Value *in,
                              Value *out)
{
    Attr splits = *node_attr(n, "splits");
    Value mean = ir_node(g, &op_moments, in, 1, &splits, 1);
    Moments m = {mean, node_value(mean.node, 1)};
    out[0] = apply_statistics(g, n, in[0], in[1], in[2], m);
    out[1] = m.mean;
    out[2] = m.var;
}

static Value add_some(Graph *g, Value a, Value b)
{
    if (!a.node || !b.node)
        return a.node ? a : b;
    return ir_add(g, a, b);
}

static void grad_batch_norm(Graph *g, uint32_t id, const Value *dout,
                            Value *din)
{
    Value x = g->node[id].in[0], gamma = g->node[id].in[1];
    Value mean = node_value(id, 1), var = node_value(id, 2);
    if (dout[0].node) {
        Attr attr[] = {*node_attr(&g->node[id], "eps"),
                       *node_attr(&g->node[id], "splits")};
        Value in[] = {dout[0], x, mean, var, gamma};
        uint32_t grad = ir_node(g, &op_batch_norm_grad, in, 5, attr, 2).node;
        for (unsigned i = 0; i < 3; i++)
            din[i] = node_value(grad, i);
    }
    din[0] = add_some(g, din[0], through_moments(g, x, mean, dout[1], dout[2]));
}

/* With r = 1 / sqrt(var + eps) and xhat = (x - mean) r:
 *     dbeta = sum dy     dgamma = sum dy xhat
 *     dx = gamma r (dy - dbeta / n - xhat dgamma / n) = a dy + b x + c */
static void expand_batch_norm_grad(Graph *g, const Node *n, const Value *in,
                                   Value *out)
{
    Value x = in[1], mean = in[2], gamma = in[4];
    Type t = *graph_type(g, x);
    DType dtype = dtype_wide(t.dtype);
    Cut c = cut_for(&t, node_int(n, "splits"));
    int64_t channel = c.channel + 1; /* in what is cut: after images */

    Value cut_dy = ir_cast(g, cut_apply(g, in[0], &c), dtype);
    Value cut_x = ir_cast(g, cut_apply(g, x, &c), dtype);
    Value centered = ir_sub(g, cut_x, spread(g, mean, cut_x, &channel, 1));
    Value products = ir_mul(g, cut_dy, centered);
    Value sum = cut_merge(g, cut_sum(g, cut_dy, &c), &c);
    Value sum_products = cut_merge(g, cut_sum(g, products, &c), &c);

    Value r = deviation_inverse(g, n, in[3]);
    Value dgamma = ir_mul(g, sum_products, r);
    Value a = ir_mul(g, gamma, r);
    Value part = ir_mul_const(g, ir_mul(g, a, r), -1 / c.count);
    Value b = ir_mul(g, part, dgamma);
    Value lost = ir_add(g, ir_mul_const(g, ir_mul(g, a, sum), 1 / c.count),
                        ir_mul(g, b, mean)); /* -c */

    Value dy = ir_cast(g, in[0], dtype), all = ir_cast(g, x, dtype);
    Value dx = ir_add(g, ir_mul(g, dy, spread_channel(g, a, all)),
                      ir_mul(g, all, spread_channel(g, b, all)));
    dx = ir_sub(g, dx, spread_channel(g, lost, all));
    out[0] = ir_cast(g, dx, t.dtype);
    out[1] = dgamma;
    out[2] = sum;
}

#define EPS_ATTR                                                               \
    {                                                                          \
        "eps", ATTR_FLOAT, "1e-5", "added to the variance"                     \
    }

const OpDesc op_batch_norm = {
    .name = "batch_norm",
    .doc = "(x, gamma, beta) to (y, mean, var): normalises each channel by the "
           "statistics of the batch; var is the biased variance",
    .min_in = 3,
    .max_in = 3,
    .n_out = 3,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){EPS_ATTR, SPLITS_ATTR, {0}},
    .samples = SAMPLES("(f32[4,3,6,5], f32[3], f32[3])",
                       "(f32[4,3,6,5], f32[3], f32[3]) {eps=0.01, splits=6}",
                       "(f64[5,2], f64[2], f64[2])",
                       "(f32[3,2,7], f32[2], f32[2]) {splits=7}"),
    .infer = infer_batch_norm,
    .grad = grad_batch_norm,
    .expand = expand_batch_norm,
    .cost = cost_per_element,
};

const OpDesc op_batch_norm_grad = {
    .name = "batch_norm_grad",
    .doc = "(dy, x, mean, var, gamma) to (dx, dgamma, dbeta)",
    .min_in = 5,
    .max_in = 5,
    .n_out = 3,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){EPS_ATTR, SPLITS_ATTR, {0}},
    .samples = SAMPLES(
        "(f32[4,3,6,5], f32[4,3,6,5], f32[3], f32[3], f32[3])",
        "(f32[4,3,6,5], f32[4,3,6,5], f32[3], f32[3], f32[3]) {splits=8}",
        "(f64[5,2], f64[5,2], f64[2], f64[2], f64[2]) {eps=0.01}"),
    .infer = infer_batch_norm_grad,
    .expand = expand_batch_norm_grad,
    .cost = cost_per_element,
    .sample_low = 0.2,
    .sample_high = 1,
};

/* ---- batch norm, inference ---------------------------------------------- */

static void expand_batch_norm_inference(Graph *g, const Node *n,
                                        const Value *in, Value *out)
{
    Moments m = {in[3], in[4]};
    out[0] = apply_statistics(g, n, in[0], in[1], in[2], m);
}

/* Mean and var are operands like others here:
 *     dmean = -gamma r dbeta     dvar = -gamma r^2 dgamma / 2 */
static void grad_batch_norm_inference(Graph *g, uint32_t id, const Value *dout,
                                      Value *din)
{
    Value x = g->node[id].in[0], gamma = g->node[id].in[1];
    Value mean = g->node[id].in[3], var = g->node[id].in[4];
    DType dtype = graph_type(g, x)->dtype;
    Value r = deviation_inverse(g, &g->node[id], var);
    Value scale = ir_mul(g, gamma, r);
    Value dy = ir_cast(g, dout[0], dtype_wide(dtype));
    Value all = ir_cast(g, x, dtype_wide(dtype));
    Value centered = ir_sub(g, all, spread_channel(g, mean, all));
    Value products = ir_reduce_to_channel(g, ir_mul(g, dy, centered));

    Value dx = ir_mul(g, dy, spread_channel(g, scale, dy));
    din[0] = ir_cast(g, dx, dtype);
    din[1] = ir_mul(g, products, r);
    din[2] = ir_reduce_to_channel(g, dy);
    din[3] = op1(g, "neg", ir_mul(g, scale, din[2]));
    Value slope = ir_mul_const(g, ir_mul(g, scale, r), -0.5);
    din[4] = ir_mul(g, slope, din[1]);
}

const OpDesc op_batch_norm_inference = {
    .name = "batch_norm_inference",
    .doc = "(x, gamma, beta, mean, var) to y: normalises each channel by given "
           "statistics",
    .min_in = 5,
    .max_in = 5,
    .n_out = 1,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){EPS_ATTR, {0}},
    .samples = SAMPLES("(f32[2,3,4,5], f32[3], f32[3], f32[3], f32[3])",
                       "(f64[5,2], f64[2], f64[2], f64[2], f64[2]) {eps=0.01}"),
    .infer = infer_batch_norm_inference,
    .grad = grad_batch_norm_inference,
    .expand = expand_batch_norm_inference,
    .cost = cost_per_element,
    .sample_low = 0.2,
    .sample_high = 1,
};
