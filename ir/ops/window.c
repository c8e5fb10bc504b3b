/* ops/window.c: sliding windows as views, and their adjoint.
 *
 * window gives every position of a window its own elements:
 *
 *     x [N,C,H,W]  --window over H, W-->  [N,C,OH,OW,KH,KW]
 *     result[.., o, .., k] = x[.., stride o + dilation k - pad_low, ..]
 *
 * so a convolution is broadcast, mul, reduce_sum; a pool is one reduction.
 * unwindow asks the other way round, for each element which windows hold it:
 *
 *     y [N,C,OH,OW,KH,KW]  --unwindow-->  [N,C,H,W,KH,KW]
 *     result[.., h, .., k] = y[.., (h + pad_low - dilation k) / stride, .., k]
 *
 * or 0 where that is no whole number, or no window.  Summed over the KH, KW it
 * is the gradient of window: a gather, so no two threads write one place. */
#include "window.h"
#include <inttypes.h>

/* ---- window ------------------------------------------------------------- */

static bool infer_window(const Infer *f)
{
    const Type *x = f->in[0];
    int n;
    const int64_t *axes;
    Slide slide[MAX_RANK];
    if (!infer_axes(f, "axes", x->rank, &axes, &n) ||
        !infer_slides(f, n, slide))
        return false;
    if (x->rank + n > MAX_RANK)
        return infer_fail(f, "%s with %d windows has more than %d dimensions",
                          type_text(x).s, n, MAX_RANK);
    int from[MAX_RANK];
    Type *t = &f->out[0];
    *t = *x;
    t->rank = (uint8_t)(x->rank + n);
    for (int d = 0; d < t->rank; d++)
        from[d] = d < x->rank ? d : -1;
    for (int i = 0; i < n; i++) {
        t->dim[axes[i]] = slide_count(x->dim[axes[i]], &slide[i]);
        t->dim[x->rank + i] = slide[i].size;
        if (t->dim[axes[i]] < 1)
            return infer_fail(f,
                              "a window of %" PRId64 " does not fit into "
                              "dimension %" PRId64 " of %s",
                              slide[i].size, axes[i], type_text(x).s);
    }
    t->layout = layout_follow(x, t->rank, from);
    return true;
}

static void map_window(const Node *n, const Type *in, ViewMap *map)
{
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    const int64_t *stride = node_ints(n, "stride", &count);
    const int64_t *dilation = node_ints(n, "dilation", &count);
    const int64_t *pad_low = node_ints(n, "pad_low", &count);
    for (int d = 0; d < in->rank; d++)
        map->coef[d][d] = 1;
    for (int i = 0; i < count; i++) {
        map->coef[axes[i]][axes[i]] = stride[i];
        map->coef[axes[i]][in->rank + i] = dilation[i];
        map->offset[axes[i]] = -pad_low[i];
    }
    map->fill = node_float(n, "value");
}

static void grad_window(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    const Node *n = &g->node[id];
    Type x = *graph_type(g, n->in[0]);
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    Slide slide[MAX_RANK];
    node_slides(n, slide);
    int64_t extent[MAX_RANK];
    for (int i = 0; i < count; i++)
        extent[i] = x.dim[axes[i]];
    Value spots = build_unwindow(g, dout[0], axes, count, slide, extent);
    int64_t last[MAX_RANK];
    for (int i = 0; i < count; i++)
        last[i] = x.rank + i;
    din[0] = ir_reduce_sum(g, spots, last, count);
}

const OpDesc op_window = {
    .name = "window",
    .doc = "sliding windows: along each axis the places of a window instead "
           "of the elements, and one more dimension at the end for the place "
           "in the window",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs =
        (const AttrSpec[]){{"axes", ATTR_INTS, NULL, "increasing"},
                           {"size", ATTR_INTS, NULL, "elements in a window"},
                           {"stride", ATTR_INTS, NULL, "between windows"},
                           {"dilation", ATTR_INTS, NULL,
                            "between a window's elements; 1: neighbours"},
                           {"pad_low", ATTR_INTS, NULL, "put before"},
                           {"pad_high", ATTR_INTS, NULL, "put behind"},
                           {"value", ATTR_FLOAT, "0", "of the padding"},
                           {0}},
    .samples = SAMPLES("(f32[7]) {axes=[0], size=[3], stride=[2], "
                       "dilation=[1], pad_low=[1], pad_high=[0]}",
                       "(f32[2,5,4]) {axes=[1,2], size=[3,2], stride=[1,3], "
                       "dilation=[2,1], pad_low=[2,0], pad_high=[1,1], "
                       "value=-1}",
                       "(f64[2,3,6]) {axes=[0,2], size=[2,4], stride=[1,2], "
                       "dilation=[1,1], pad_low=[0,0], pad_high=[0,3]}"),
    .infer = infer_window,
    .grad = grad_window,
    .cost = cost_bytes,
    .map = map_window,
};

/* ---- unwindow ----------------------------------------------------------- */

static bool infer_unwindow(const Infer *f)
{
    const Type *y = f->in[0];
    int n;
    const int64_t *axes, *extent, *any;
    if (!infer_axes(f, "axes", y->rank, &axes, &n) ||
        !infer_ints(f, "extent", n, 1, INT64_MAX, &extent) ||
        !infer_ints(f, "stride", n, 1, MAX_EXTENT, &any) ||
        !infer_ints(f, "dilation", n, 1, MAX_EXTENT, &any) ||
        !infer_ints(f, "pad_low", n, 0, MAX_EXTENT, &any))
        return false;
    int rank = y->rank - n;
    if (n && axes[n - 1] >= rank)
        return infer_fail(f, "%s has no window dimensions for %d axes",
                          type_text(y).s, n);
    f->out[0] = *y;
    for (int i = 0; i < n; i++)
        f->out[0].dim[axes[i]] = extent[i];
    return true;
}

static void map_unwindow(const Node *n, const Type *in, ViewMap *map)
{
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    const int64_t *stride = node_ints(n, "stride", &count);
    const int64_t *dilation = node_ints(n, "dilation", &count);
    const int64_t *pad_low = node_ints(n, "pad_low", &count);
    for (int d = 0; d < in->rank; d++)
        map->coef[d][d] = 1;
    for (int i = 0; i < count; i++) {
        map->coef[axes[i]][in->rank - count + i] = -dilation[i];
        map->offset[axes[i]] = pad_low[i];
        map->div[axes[i]] = stride[i];
    }
}

/* No gradient: it stands in gradients only. */
const OpDesc op_unwindow = {
    .name = "unwindow",
    .doc = "for each element, what each window that holds it has at the "
           "element's place, or 0; summed over the window's places this is "
           "the gradient of window",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){{"axes", ATTR_INTS, NULL, "as of window"},
                                {"extent", ATTR_INTS, NULL,
                                 "what was there before window"},
                                {"stride", ATTR_INTS, NULL, "as of window"},
                                {"dilation", ATTR_INTS, NULL, "as of window"},
                                {"pad_low", ATTR_INTS, NULL, "as of window"},
                                {0}},
    .samples = SAMPLES("(f32[4,3]) {axes=[0], extent=[7], stride=[2], "
                       "dilation=[1], pad_low=[1]}",
                       "(f32[2,4,2,3,2]) {axes=[1,2], extent=[5,4], "
                       "stride=[1,3], dilation=[2,1], pad_low=[2,0]}"),
    .infer = infer_unwindow,
    .cost = cost_bytes,
    .map = map_unwindow,
};

/* ---- for ops with windows ----------------------------------------------- */

int64_t slide_count(int64_t extent, const Slide *s)
{
    int64_t reach, room;
    if (__builtin_mul_overflow(s->size - 1, s->dilation, &reach) ||
        __builtin_add_overflow(reach, 1, &reach) ||
        __builtin_add_overflow(extent, s->pad_low, &room) ||
        __builtin_add_overflow(room, s->pad_high, &room) || room < reach)
        return 0;
    return (room - reach) / s->stride + 1;
}

bool infer_slides(const Infer *f, int n, Slide *slide)
{
    const int64_t *size;
    return infer_ints(f, "size", n, 1, MAX_EXTENT, &size) &&
           infer_steps(f, n, size, slide);
}

bool infer_steps(const Infer *f, int n, const int64_t *size, Slide *slide)
{
    const int64_t *stride, *dilation, *low, *high;
    if (!infer_ints(f, "stride", n, 1, MAX_EXTENT, &stride) ||
        !infer_ints(f, "dilation", n, 1, MAX_EXTENT, &dilation) ||
        !infer_ints(f, "pad_low", n, 0, MAX_EXTENT, &low) ||
        !infer_ints(f, "pad_high", n, 0, MAX_EXTENT, &high))
        return false;
    for (int i = 0; i < n; i++)
        slide[i] = (Slide){size[i], stride[i], dilation[i], low[i], high[i]};
    return true;
}

void node_steps(const Node *node, const int64_t *size, Slide *slide)
{
    int n;
    const int64_t *stride = node_ints(node, "stride", &n);
    const int64_t *dilation = node_ints(node, "dilation", &n);
    const int64_t *low = node_ints(node, "pad_low", &n);
    const int64_t *high = node_ints(node, "pad_high", &n);
    for (int i = 0; i < n; i++)
        slide[i] = (Slide){size[i], stride[i], dilation[i], low[i], high[i]};
}

void node_slides(const Node *node, Slide *slide)
{
    int n;
    node_steps(node, node_ints(node, "size", &n), slide);
}

/* The slides' members, each as a list. */
typedef struct Columns {
    int64_t size[MAX_RANK], stride[MAX_RANK], dilation[MAX_RANK];
    int64_t low[MAX_RANK], high[MAX_RANK];
} Columns;

static Columns columns(const Slide *slide, int n)
{
    Columns c;
    for (int i = 0; i < n; i++) {
        c.size[i] = slide[i].size;
        c.stride[i] = slide[i].stride;
        c.dilation[i] = slide[i].dilation;
        c.low[i] = slide[i].pad_low;
        c.high[i] = slide[i].pad_high;
    }
    return c;
}

Value build_window(Graph *g, Value x, const int64_t *axes, int n,
                   const Slide *slide, double value)
{
    Columns c = columns(slide, n);
    Attr attr[] = {
        attr_ints("axes", axes, n),       attr_ints("size", c.size, n),
        attr_ints("stride", c.stride, n), attr_ints("dilation", c.dilation, n),
        attr_ints("pad_low", c.low, n),   attr_ints("pad_high", c.high, n),
        attr_float("value", value)};
    return ir_node(g, &op_window, &x, 1, attr, 7);
}

Value build_unwindow(Graph *g, Value y, const int64_t *axes, int n,
                     const Slide *slide, const int64_t *extent)
{
    Columns c = columns(slide, n);
    Attr attr[] = {attr_ints("axes", axes, n), attr_ints("extent", extent, n),
                   attr_ints("stride", c.stride, n),
                   attr_ints("dilation", c.dilation, n),
                   attr_ints("pad_low", c.low, n)};
    return ir_node(g, &op_unwindow, &y, 1, attr, 5);
}
