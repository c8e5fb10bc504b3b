/* ops/pool.c: pools over the spatial dimensions of [N,C,spatial..].
 *
 * A pool is windows (window.c) folded away.  The largest element of a window
 * gets the gradient; the first of equals in the window's row-major order, as
 * PyTorch does. */
#include "window.h"
#include <inttypes.h>
#include <math.h>

#define POOL_ATTRS                                                             \
    {"size", ATTR_INTS, NULL, "of a window, one a spatial dimension"},         \
        {"stride", ATTR_INTS, NULL, "between windows"},                        \
        {"dilation", ATTR_INTS, NULL, "between a window's elements"},          \
        {"pad_low", ATTR_INTS, NULL, "put before"},                            \
    {                                                                          \
        "pad_high", ATTR_INTS, NULL, "put behind"                              \
    }

/* ---- inference ---------------------------------------------------------- */

/* The result of pooling x.  No window lies in the padding alone. */
static bool infer_pooled(const Infer *f, const Type *x, Type *y)
{
    int spatial = x->rank - 2;
    if (!dtype_is_float(x->dtype))
        return infer_fail(f, "takes floating point, not %s", type_text(x).s);
    if (spatial < 1 || spatial > MAX_SPATIAL)
        return infer_fail(f, "input needs 1 to %d spatial dimensions: %s",
                          MAX_SPATIAL, type_text(x).s);
    Slide slide[MAX_SPATIAL];
    if (!infer_slides(f, spatial, slide))
        return false;
    *y = *x;
    int64_t taps = 1;
    for (int i = 0; i < spatial; i++) {
        const Slide *s = &slide[i];
        if (__builtin_mul_overflow(taps, s->size, &taps) || taps > INT32_MAX)
            return infer_fail(f, "a window has more than 2^31 - 1 elements");
        y->dim[2 + i] = slide_count(x->dim[2 + i], s);
        if (y->dim[2 + i] < 1)
            return infer_fail(f,
                              "a window of %" PRId64 " does not fit into "
                              "dimension %d of %s",
                              s->size, 2 + i, type_text(x).s);
        int64_t pad = s->pad_low > s->pad_high ? s->pad_low : s->pad_high;
        if ((s->size - 1) * s->dilation < pad)
            return infer_fail(f,
                              "padding by %" PRId64 " puts windows of %" PRId64
                              " beyond the input",
                              pad, s->size);
    }
    if (!type_fits(y))
        return infer_fail(f, "the padding makes the result too large");
    return infer_work(f, type_elements(x), taps, 1) &&
           infer_work(f, type_elements(y), taps, 1);
}

static bool infer_pool(const Infer *f)
{
    return infer_pooled(f, f->in[0], &f->out[0]);
}

static bool infer_max_pool_grad(const Infer *f)
{
    Type y;
    if (!infer_pooled(f, f->in[0], &y) ||
        !infer_is(f, 1, &y, "the pool's result") ||
        !infer_is(f, 2, &y, "the gradient of the result"))
        return false;
    f->out[0] = *f->in[0];
    return true;
}

/* ---- building ----------------------------------------------------------- */

typedef struct Pool {
    int spatial;
    Slide slide[MAX_SPATIAL];
    int64_t space[MAX_SPATIAL];  /* the spatial dimensions of x */
    int64_t places[MAX_SPATIAL]; /* those for the place in the window */
} Pool;

static Pool pool_of(const Node *n, const Type *x)
{
    Pool p = {.spatial = x->rank - 2};
    node_slides(n, p.slide);
    for (int i = 0; i < p.spatial; i++) {
        p.space[i] = 2 + i;
        p.places[i] = x->rank + i;
    }
    return p;
}

/* y [N,C,out..] for every place in its window: [N,C,out..,k..] */
static Value repeat_in_window(Graph *g, Value y, const Pool *p)
{
    Type t = *graph_type(g, y), all = t;
    int64_t dims[MAX_RANK];
    int from[MAX_RANK];
    for (int d = 0; d < t.rank; d++)
        dims[d] = from[d] = d;
    for (int i = 0; i < p->spatial; i++) {
        all.dim[all.rank] = p->slide[i].size;
        from[all.rank++] = -1;
    }
    all.layout = layout_follow(&t, all.rank, from);
    return ir_broadcast(g, y, &all, dims, t.rank);
}

/* What each window that holds an element has for it: [N,C,spatial..,k..] */
static Value to_elements(Graph *g, Value y, const Pool *p, const Type *x)
{
    return build_unwindow(g, repeat_in_window(g, y, p), p->space, p->spatial,
                          p->slide, &x->dim[2]);
}

/* The place in the window as one number, for every element of `like`. */
static Value place_number(Graph *g, Value like, const Pool *p)
{
    Type t = type_with_dtype(*graph_type(g, like), DT_I32);
    Value number = NO_VALUE;
    for (int i = 0; i < p->spatial; i++) {
        Attr attr[] = {attr_int("axis", p->places[i]),
                       attr_dtype("dtype", DT_I32),
                       attr_ints("shape", t.dim, t.rank)};
        Value along = ir_node(g, &op_iota, NULL, 0, attr, 3);
        number =
            i ? ir_add(g, ir_mul_const(g, number, (double)p->slide[i].size),
                       along)
              : along;
    }
    return number;
}

/* What describes the windows. */
static void copy_attrs(const Node *n, Attr attr[5])
{
    static const char *const name[] = {"size", "stride", "dilation", "pad_low",
                                       "pad_high"};
    for (int i = 0; i < 5; i++)
        attr[i] = *node_attr(n, name[i]);
}

/* ---- max ---------------------------------------------------------------- */

static void expand_max_pool(Graph *g, const Node *n, const Value *in,
                            Value *out)
{
    Pool p = pool_of(n, graph_type(g, in[0]));
    Value all = build_window(g, in[0], p.space, p.spatial, p.slide, -INFINITY);
    out[0] = ir_reduce_max(g, all, p.places, p.spatial);
}

static void grad_max_pool(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Attr attr[5];
    copy_attrs(&g->node[id], attr);
    Value in[] = {g->node[id].in[0], node_value(id, 0), dout[0]};
    din[0] = ir_node(g, &op_max_pool_grad, in, 3, attr, 5);
}

/* For each window the number of the first place that holds the maximum; then
 * each element takes from those windows whose place it is. */
static void expand_max_pool_grad(Graph *g, const Node *n, const Value *in,
                                 Value *out)
{
    Value x = in[0], y = in[1], dy = in[2];
    Type tx = *graph_type(g, x);
    Pool p = pool_of(n, &tx);
    Value all = build_window(g, x, p.space, p.spatial, p.slide, -INFINITY);
    Value number = place_number(g, all, &p);
    Value largest = op2(g, "equal", all, repeat_in_window(g, y, &p));
    Value candidate =
        ir_select(g, largest, number, ir_const_like(g, number, INT32_MAX));
    Attr axes = attr_ints("axes", p.places, p.spatial);
    Value first = ir_node(g, &op_reduce_min, &candidate, 1, &axes, 1);

    Value taken = to_elements(g, first, &p, &tx);
    Value given = to_elements(g, dy, &p, &tx);
    Value mine = op2(g, "equal", taken, place_number(g, taken, &p));
    Value part = ir_select(g, mine, given, ir_const_like(g, given, 0));
    out[0] = ir_reduce_sum(g, part, p.places, p.spatial);
}

const OpDesc op_max_pool = {
    .name = "max_pool",
    .doc = "largest element of each window; the padding never is",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){POOL_ATTRS, {0}},
    .samples = SAMPLES("(f32[2,3,6,5]) {size=[2,2], stride=[2,2], "
                       "dilation=[1,1], pad_low=[0,0], pad_high=[0,0]}",
                       "(f32[1,2,7,5]) {size=[3,2], stride=[2,1], "
                       "dilation=[1,2], pad_low=[1,0], pad_high=[2,1]}",
                       "(f64[2,1,9]) {size=[4], stride=[3], dilation=[1], "
                       "pad_low=[2], pad_high=[0]}",
                       "(f32[1,1,3,4,2]) {size=[2,2,2], stride=[1,2,1], "
                       "dilation=[1,1,1], pad_low=[0,0,1], "
                       "pad_high=[0,0,0]}"),
    .infer = infer_pool,
    .grad = grad_max_pool,
    .expand = expand_max_pool,
    .cost = cost_per_element,
};

const OpDesc op_max_pool_grad = {
    .name = "max_pool_grad",
    .doc = "gradient of max_pool from its input, its result and the result's "
           "gradient: to the first of the largest elements",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){POOL_ATTRS, {0}},
    .samples = SAMPLES("(f32[2,3,6,5], f32[2,3,3,2], f32[2,3,3,2]) "
                       "{size=[2,2], stride=[2,2], dilation=[1,1], "
                       "pad_low=[0,0], pad_high=[0,0]}",
                       "(f64[2,1,9], f64[2,1,3], f64[2,1,3]) {size=[4], "
                       "stride=[3], dilation=[1], pad_low=[2], "
                       "pad_high=[0]}"),
    .infer = infer_max_pool_grad,
    .expand = expand_max_pool_grad,
    .cost = cost_per_element,
};

/* ---- average ------------------------------------------------------------ */

/* The sum over a window times this is its average. */
static Value weight_of_windows(Graph *g, const Node *n, Value like,
                               const Pool *p, const Type *x)
{
    double all = 1;
    for (int i = 0; i < p->spatial; i++)
        all *= (double)p->slide[i].size;
    if (node_int(n, "count_include_pad"))
        return ir_const_like(g, like, 1 / all);

    Type space = type_make(x->dtype, p->spatial, &x->dim[2]);
    int64_t axes[MAX_SPATIAL], places[MAX_SPATIAL];
    for (int i = 0; i < p->spatial; i++) {
        axes[i] = i;
        places[i] = p->spatial + i;
    }
    Value ones = ir_const(g, &space, 1);
    Value in_window = build_window(g, ones, axes, p->spatial, p->slide, 0);
    Value count = ir_reduce_sum(g, in_window, places, p->spatial);
    Value part = ir_div(g, ir_const_like(g, count, 1), count);
    return spread(g, part, like, p->space, p->spatial);
}

static void expand_avg_pool(Graph *g, const Node *n, const Value *in,
                            Value *out)
{
    Type x = *graph_type(g, in[0]);
    Pool p = pool_of(n, &x);
    Value all = build_window(g, in[0], p.space, p.spatial, p.slide, 0);
    Value sum = ir_reduce_sum_wide(g, all, p.places, p.spatial);
    x.dtype = graph_type(g, sum)->dtype;
    sum = ir_mul(g, sum, weight_of_windows(g, n, sum, &p, &x));
    out[0] = ir_cast(g, sum, n->type->dtype);
}

static void grad_avg_pool(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    const Node *n = &g->node[id];
    const Type *x = graph_type(g, n->in[0]);
    Attr attr[7];
    copy_attrs(n, attr);
    attr[5] = *node_attr(n, "count_include_pad");
    attr[6] = attr_ints("shape", x->dim, x->rank);
    din[0] = ir_node(g, &op_avg_pool_grad, dout, 1, attr, 7);
}

static bool infer_avg_pool_grad(const Infer *f)
{
    const Type *dy = f->in[0];
    const int64_t *dim;
    if (!infer_ints(f, "shape", dy->rank, 1, INT64_MAX, &dim))
        return false;
    Type x = type_make(dy->dtype, dy->rank, dim), y;
    if (!type_fits(&x))
        return infer_fail(f, "%s is too large", type_text(&x).s);
    if (!infer_pooled(f, &x, &y) ||
        !infer_is(f, 0, &y, "the gradient of the result"))
        return false;
    f->out[0] = x;
    f->out[0].layout = dy->layout;
    return true;
}

static void expand_avg_pool_grad(Graph *g, const Node *n, const Value *in,
                                 Value *out)
{
    Type x = *n->type;
    Pool p = pool_of(n, &x);
    Value weight = weight_of_windows(g, n, in[0], &p, &x);
    Value share = ir_mul(g, in[0], weight);
    out[0] =
        ir_reduce_sum(g, to_elements(g, share, &p, &x), p.places, p.spatial);
}

#define COUNT_ATTR                                                             \
    {                                                                          \
        "count_include_pad", ATTR_BOOL, "true",                                \
            "false: the average of what is no padding"                         \
    }

const OpDesc op_avg_pool = {
    .name = "avg_pool",
    .doc = "average of each window; zeros of the padding count, unless "
           "count_include_pad is false",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){POOL_ATTRS, COUNT_ATTR, {0}},
    .samples = SAMPLES("(f32[2,3,6,5]) {size=[2,2], stride=[2,2], "
                       "dilation=[1,1], pad_low=[0,0], pad_high=[0,0]}",
                       "(f32[1,2,7,5]) {size=[3,2], stride=[2,1], "
                       "dilation=[1,1], pad_low=[1,0], pad_high=[2,1]}",
                       "(f64[2,2,7,3]) {size=[3,2], stride=[2,1], "
                       "dilation=[1,1], pad_low=[1,1], pad_high=[2,1], "
                       "count_include_pad=false}",
                       "(f32[2,1,9]) {size=[4], stride=[3], dilation=[1], "
                       "pad_low=[2], pad_high=[0]}"),
    .infer = infer_pool,
    .grad = grad_avg_pool,
    .expand = expand_avg_pool,
    .cost = cost_per_element,
};

const OpDesc op_avg_pool_grad = {
    .name = "avg_pool_grad",
    .doc = "gradient of avg_pool from that of its result",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){POOL_ATTRS,
                                COUNT_ATTR,
                                {"shape", ATTR_INTS, NULL, "of the input"},
                                {0}},
    .samples = SAMPLES("(f32[2,3,3,2]) {size=[2,2], stride=[2,2], "
                       "dilation=[1,1], pad_low=[0,0], pad_high=[0,0], "
                       "shape=[2,3,6,5]}",
                       "(f64[2,2,4,4]) {size=[3,2], stride=[2,1], "
                       "dilation=[1,1], pad_low=[1,1], pad_high=[2,1], "
                       "count_include_pad=false, shape=[2,2,7,3]}"),
    .infer = infer_avg_pool_grad,
    .expand = expand_avg_pool_grad,
    .cost = cost_per_element,
};
