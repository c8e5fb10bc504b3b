/* ops/view.c: the same elements at other places.
 *
 * A view's result element is one element of its operand, or a fill value;
 * ViewMap (op.h) says which.  Kernels load through the map, so a view costs
 * nothing when fused. */
#include "common.h"
#include <inttypes.h>
#include <string.h>

/* ---- broadcast ---------------------------------------------------------- */

static bool infer_broadcast(const Infer *f)
{
    const Type *x = f->in[0];
    int rank, n;
    const int64_t *shape = node_ints(f->node, "shape", &rank);
    if (rank > MAX_RANK)
        return infer_fail(f, "%d dimensions, at most %d are possible", rank,
                          MAX_RANK);
    const int64_t *dims;
    if (!infer_axes(f, "dims", rank, &dims, &n))
        return false;
    if (n != x->rank)
        return infer_fail(f, "dims names %d dimensions, the operand has %d: %s",
                          n, x->rank, type_text(x).s);
    f->out[0] = type_make(x->dtype, rank, shape);
    for (int i = 0; i < n; i++)
        if (x->dim[i] != shape[dims[i]])
            return infer_fail(f,
                              "dimension %d of %s is to become dimension "
                              "%" PRId64 " of %s",
                              i, type_text(x).s, dims[i], type_text(f->out).s);
    return true;
}

static void map_broadcast(const Node *n, const Type *in, ViewMap *map)
{
    int count;
    const int64_t *dims = node_ints(n, "dims", &count);
    for (int d = 0; d < in->rank; d++)
        map->coef[d][dims[d]] = 1;
}

static void grad_broadcast(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    int n;
    const int64_t *dims = node_ints(&g->node[id], "dims", &n);
    int64_t axes[MAX_RANK];
    int n_axes = 0, next = 0;
    for (int d = 0; d < g->node[id].type->rank; d++)
        if (next < n && dims[next] == d)
            next++;
        else
            axes[n_axes++] = d;
    din[0] = ir_reduce_sum_wide(g, dout[0], axes, n_axes);
}

const OpDesc op_broadcast = {
    .name = "broadcast",
    .doc = "repeats the operand along new dimensions: its dimension i becomes "
           "dims[i] of the result, of the same size",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs =
        (const AttrSpec[]){{"shape", ATTR_INTS, NULL, "the result's shape"},
                           {"dims", ATTR_INTS, NULL, "increasing"},
                           {0}},
    .samples = SAMPLES("(f32[3]) {shape=[2,3], dims=[1]}",
                       "(f32[]) {shape=[2,3,5], dims=[]}",
                       "(f32[3]) {shape=[2,3,5,4], dims=[1]}",
                       "(i32[2,5]) {shape=[2,3,5], dims=[0,2]}",
                       "(f64[4]) {shape=[4], dims=[0]}"),
    .infer = infer_broadcast,
    .grad = grad_broadcast,
    .cost = cost_bytes,
    .map = map_broadcast,
};

/* ---- transpose ---------------------------------------------------------- */

static bool infer_transpose(const Infer *f)
{
    const Type *x = f->in[0];
    const int64_t *order;
    if (!infer_ints(f, "order", x->rank, 0, x->rank - 1, &order))
        return false;
    int from[MAX_RANK];
    int64_t dim[MAX_RANK];
    unsigned seen = 0;
    for (int k = 0; k < x->rank; k++) {
        from[k] = (int)order[k];
        dim[k] = x->dim[order[k]];
        seen |= 1u << order[k];
    }
    if (seen != (1u << x->rank) - 1)
        return infer_fail(f, "order must name every dimension of %s once",
                          type_text(x).s);
    f->out[0] = type_make(x->dtype, x->rank, dim);
    f->out[0].layout = layout_follow(x, x->rank, from);
    return true;
}

static void map_transpose(const Node *n, const Type *in, ViewMap *map)
{
    int count;
    const int64_t *order = node_ints(n, "order", &count);
    for (int k = 0; k < in->rank; k++)
        map->coef[order[k]][k] = 1;
}

static void grad_transpose(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    int n;
    const int64_t *order = node_ints(&g->node[id], "order", &n);
    int64_t back[MAX_RANK];
    for (int k = 0; k < n; k++)
        back[order[k]] = k;
    din[0] = ir_transpose(g, dout[0], back, n);
}

const OpDesc op_transpose = {
    .name = "transpose",
    .doc = "dimensions in another order: the result's k is the operand's "
           "order[k]",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs =
        (const AttrSpec[]){{"order", ATTR_INTS, NULL, "every dimension once"},
                           {0}},
    .samples =
        SAMPLES("(f32[2,3]) {order=[1,0]}", "(f32[2,3,5,4]) {order=[0,2,3,1]}",
                "(i32[5]) {order=[0]}", "(f64[2,3,5]) {order=[2,0,1]}"),
    .infer = infer_transpose,
    .grad = grad_transpose,
    .cost = cost_bytes,
    .map = map_transpose,
};

/* ---- reverse ------------------------------------------------------------ */

static bool infer_reverse(const Infer *f)
{
    const int64_t *axes;
    int n;
    if (!infer_axes(f, "axes", f->in[0]->rank, &axes, &n))
        return false;
    f->out[0] = *f->in[0];
    return true;
}

static void map_reverse(const Node *n, const Type *in, ViewMap *map)
{
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    for (int d = 0; d < in->rank; d++)
        map->coef[d][d] = 1;
    for (int i = 0; i < count; i++) {
        map->coef[axes[i]][axes[i]] = -1;
        map->offset[axes[i]] = in->dim[axes[i]] - 1;
    }
}

static void grad_reverse(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    int n;
    const int64_t *axes = node_ints(&g->node[id], "axes", &n);
    Attr attr = attr_ints("axes", axes, n);
    din[0] = ir_node(g, &op_reverse, dout, 1, &attr, 1);
}

const OpDesc op_reverse = {
    .name = "reverse",
    .doc = "the elements in the opposite order along some dimensions",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs =
        (const AttrSpec[]){{"axes", ATTR_INTS, NULL, "which, rising"}, {0}},
    .samples = SAMPLES("(f32[7]) {axes=[0]}", "(f32[2,3,5]) {axes=[0,2]}",
                       "(f32[2,3,4,17]) {axes=[3]}", "(i32[6]) {axes=[]}"),
    .infer = infer_reverse,
    .grad = grad_reverse,
    .cost = cost_bytes,
    .map = map_reverse,
};

/* ---- slice -------------------------------------------------------------- */

static bool infer_slice(const Infer *f)
{
    const Type *x = f->in[0];
    const int64_t *start, *stop, *step;
    if (!infer_ints(f, "start", x->rank, 0, INT64_MAX, &start) ||
        !infer_ints(f, "stop", x->rank, 0, INT64_MAX, &stop) ||
        !infer_ints(f, "step", x->rank, 1, INT64_MAX, &step))
        return false;
    f->out[0] = *x;
    for (int d = 0; d < x->rank; d++) {
        if (start[d] >= stop[d] || stop[d] > x->dim[d])
            return infer_fail(f,
                              "from %" PRId64 " to %" PRId64
                              " is nothing along dimension %d of %s",
                              start[d], stop[d], d, type_text(x).s);
        f->out[0].dim[d] = (stop[d] - start[d] - 1) / step[d] + 1;
    }
    return true;
}

static void map_slice(const Node *n, const Type *in, ViewMap *map)
{
    int count;
    const int64_t *start = node_ints(n, "start", &count);
    const int64_t *step = node_ints(n, "step", &count);
    for (int d = 0; d < in->rank; d++) {
        map->coef[d][d] = step[d];
        map->offset[d] = start[d];
    }
}

static void grad_slice(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    const Node *n = &g->node[id];
    const Type *x = graph_type(g, n->in[0]);
    int rank;
    const int64_t *start = node_ints(n, "start", &rank);
    const int64_t *step = node_ints(n, "step", &rank);
    int64_t high[MAX_RANK];
    for (int d = 0; d < rank; d++)
        high[d] = x->dim[d] - (start[d] + (n->type->dim[d] - 1) * step[d] + 1);
    Attr attr[] = {attr_ints("low", start, rank), attr_ints("high", high, rank),
                   attr_ints("step", step, rank)};
    din[0] = ir_node(g, &op_pad, dout, 1, attr, 3);
}

const OpDesc op_slice = {
    .name = "slice",
    .doc = "every step-th element from start up to, not including, stop",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){{"start", ATTR_INTS, NULL, "one a dimension"},
                                {"stop", ATTR_INTS, NULL, "one a dimension"},
                                {"step", ATTR_INTS, NULL, "one a dimension"},
                                {0}},
    .samples = SAMPLES("(f32[7]) {start=[1], stop=[6], step=[2]}",
                       "(f32[5,4]) {start=[0,1], stop=[5,3], step=[3,1]}",
                       "(f32[2,3,5]) {start=[1,0,0], stop=[2,3,5], "
                       "step=[1,2,4]}",
                       "(i32[6]) {start=[5], stop=[6], step=[1]}"),
    .infer = infer_slice,
    .grad = grad_slice,
    .cost = cost_bytes,
    .map = map_slice,
};

/* ---- pad ---------------------------------------------------------------- */

static bool infer_pad(const Infer *f)
{
    const Type *x = f->in[0];
    const int64_t *low, *high, *step;
    if (!infer_ints(f, "low", x->rank, 0, INT64_MAX, &low) ||
        !infer_ints(f, "high", x->rank, 0, INT64_MAX, &high) ||
        !infer_ints(f, "step", x->rank, 1, INT64_MAX, &step))
        return false;
    f->out[0] = *x;
    for (int d = 0; d < x->rank; d++) {
        int64_t *dim = &f->out[0].dim[d];
        if (__builtin_mul_overflow(x->dim[d] - 1, step[d], dim) ||
            __builtin_add_overflow(*dim, 1, dim) ||
            __builtin_add_overflow(*dim, low[d], dim) ||
            __builtin_add_overflow(*dim, high[d], dim))
            return infer_fail(f, "dimension %d of %s grows too large", d,
                              type_text(x).s);
    }
    return true;
}

static void map_pad(const Node *n, const Type *in, ViewMap *map)
{
    int count;
    const int64_t *low = node_ints(n, "low", &count);
    const int64_t *step = node_ints(n, "step", &count);
    for (int d = 0; d < in->rank; d++) {
        map->coef[d][d] = 1;
        map->offset[d] = -low[d];
        map->div[d] = step[d];
    }
    map->fill = node_float(n, "value");
}

static void grad_pad(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    const Node *n = &g->node[id];
    const Type *x = graph_type(g, n->in[0]);
    int rank;
    const int64_t *low = node_ints(n, "low", &rank);
    const int64_t *step = node_ints(n, "step", &rank);
    int64_t stop[MAX_RANK];
    for (int d = 0; d < rank; d++)
        stop[d] = low[d] + (x->dim[d] - 1) * step[d] + 1;
    Attr attr[] = {attr_ints("start", low, rank), attr_ints("stop", stop, rank),
                   attr_ints("step", step, rank)};
    din[0] = ir_node(g, &op_slice, dout, 1, attr, 3);
}

const OpDesc op_pad = {
    .name = "pad",
    .doc = "the operand's elements `step` apart, with a value between and "
           "around them",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){{"low", ATTR_INTS, NULL, "how many before"},
                                {"high", ATTR_INTS, NULL, "how many behind"},
                                {"step", ATTR_INTS, NULL, "1: nothing between"},
                                {"value", ATTR_FLOAT, "0", "of the others"},
                                {0}},
    .samples = SAMPLES("(f32[3]) {low=[2], high=[0], step=[1]}",
                       "(f32[2,3]) {low=[0,1], high=[1,2], step=[3,1], "
                       "value=1.5}",
                       "(f32[2,3,2]) {low=[0,1,0], high=[0,0,2], "
                       "step=[1,2,3]}",
                       "(i32[4]) {low=[1], high=[1], step=[2], value=-7}"),
    .infer = infer_pad,
    .grad = grad_pad,
    .cost = cost_bytes,
    .map = map_pad,
};

/* ---- pick --------------------------------------------------------------- */

static bool infer_pick(const Infer *f)
{
    const Type *x = f->in[0];
    int n, kept[MAX_RANK], rank = 0, next = 0;
    const int64_t *axes;
    if (!infer_axes(f, "axes", x->rank, &axes, &n))
        return false;
    const int64_t *at;
    if (!infer_ints(f, "at", n, 0, INT64_MAX, &at))
        return false;
    int64_t dim[MAX_RANK];
    for (int d = 0; d < x->rank; d++) {
        if (next == n || axes[next] != d) {
            dim[rank] = x->dim[d];
            kept[rank++] = d;
        } else if (at[next++] >= x->dim[d]) {
            return infer_fail(
                f, "there is no element %" PRId64 " along dimension %d of %s",
                at[next - 1], d, type_text(x).s);
        }
    }
    f->out[0] = type_make(x->dtype, rank, dim);
    f->out[0].layout = layout_follow(x, rank, kept);
    return true;
}

static void map_pick(const Node *n, const Type *in, ViewMap *map)
{
    int count, next = 0, k = 0;
    const int64_t *axes = node_ints(n, "axes", &count);
    const int64_t *at = node_ints(n, "at", &count);
    for (int d = 0; d < in->rank; d++)
        if (next < count && axes[next] == d)
            map->offset[d] = at[next++];
        else
            map->coef[d][k++] = 1;
}

static void grad_pick(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Type x = *graph_type(g, g->node[id].in[0]), thin = x;
    int n;
    const int64_t *axes = node_ints(&g->node[id], "axes", &n);
    const int64_t *at = node_ints(&g->node[id], "at", &n);
    int64_t low[MAX_RANK] = {0}, high[MAX_RANK] = {0}, step[MAX_RANK];
    for (int d = 0; d < x.rank; d++)
        step[d] = 1;
    for (int i = 0; i < n; i++) {
        low[axes[i]] = at[i];
        high[axes[i]] = x.dim[axes[i]] - 1 - at[i];
        thin.dim[axes[i]] = 1;
    }
    Value row = ir_reshape(g, dout[0], thin.rank, thin.dim);
    Attr attr[] = {attr_ints("low", low, x.rank),
                   attr_ints("high", high, x.rank),
                   attr_ints("step", step, x.rank)};
    din[0] = ir_node(g, &op_pad, &row, 1, attr, 3);
}

const OpDesc op_pick = {
    .name = "pick",
    .doc = "the elements at one place along some dimensions, which the result "
           "no longer has",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){{"axes", ATTR_INTS, NULL, "increasing"},
                                {"at", ATTR_INTS, NULL, "the place along each"},
                                {0}},
    .samples = SAMPLES("(f32[3,4]) {axes=[1], at=[2]}",
                       "(f32[2,3,5,4]) {axes=[0,2,3], at=[1,0,3]}",
                       "(i32[6]) {axes=[0], at=[5]}"),
    .infer = infer_pick,
    .grad = grad_pick,
    .cost = cost_bytes,
    .map = map_pick,
};

/* ---- split -------------------------------------------------------------- */

static bool infer_split(const Infer *f)
{
    const Type *x = f->in[0];
    int axis = infer_axis(f, "axis", x->rank);
    if (axis < 0)
        return false;
    int64_t size = node_int(f->node, "size");
    if (x->rank == MAX_RANK)
        return infer_fail(f, "%s has the most dimensions possible already",
                          type_text(x).s);
    if (size < 1 || x->dim[axis] % size)
        return infer_fail(f,
                          "dimension %d of %s is not a multiple of "
                          "%" PRId64,
                          axis, type_text(x).s, size);
    int64_t dim[MAX_RANK];
    int from[MAX_RANK];
    for (int d = 0; d <= x->rank; d++) {
        from[d] = d > axis ? d - 1 : d;
        dim[d] = x->dim[from[d]];
    }
    dim[axis] = x->dim[axis] / size;
    dim[axis + 1] = size;
    f->out[0] = type_make(x->dtype, x->rank + 1, dim);
    f->out[0].layout = layout_follow(x, x->rank + 1, from);
    return true;
}

static void map_split(const Node *n, const Type *in, ViewMap *map)
{
    int axis = (int)node_int(n, "axis");
    for (int d = 0; d < in->rank; d++)
        map->coef[d][d > axis ? d + 1 : d] = 1;
    map->coef[axis][axis] = node_int(n, "size");
    map->coef[axis][axis + 1] = 1;
}

static void grad_split(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Type x = *graph_type(g, g->node[id].in[0]);
    din[0] = ir_reshape(g, dout[0], x.rank, x.dim);
}

const OpDesc op_split = {
    .name = "split",
    .doc = "one dimension becomes two, the second of the given size",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){{"axis", ATTR_INT, NULL, "the dimension"},
                                {"size", ATTR_INT, NULL, "a divisor of it"},
                                {0}},
    .samples =
        SAMPLES("(f32[6]) {axis=0, size=3}", "(f32[2,12,3]) {axis=1, size=4}",
                "(f64[5,2]) {axis=0, size=1}"),
    .infer = infer_split,
    .grad = grad_split,
    .cost = cost_bytes,
    .map = map_split,
};

/* ---- widen -------------------------------------------------------------- */

static bool infer_widen(const Infer *f)
{
    if (!dtype_is_half(f->in[0]->dtype))
        return infer_fail(f, "takes f16 or bf16, not %s",
                          type_text(f->in[0]).s);
    f->out[0] = type_with_dtype(*f->in[0], DT_F32);
    return true;
}

static void map_widen(const Node *n, const Type *in, ViewMap *map)
{
    (void)n;
    for (int d = 0; d < in->rank; d++)
        map->coef[d][d] = 1;
}

static void grad_widen(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value x = g->node[id].in[0];
    din[0] = ir_cast(g, dout[0], graph_type(g, x)->dtype);
}

const OpDesc op_widen = {
    .name = "widen",
    .doc = "a half value as f32, read where it lies: what pass `expand` makes "
           "of such a cast",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_VIEW,
    .half = HALF_YES,
    .samples = SAMPLES("(f16[2,3])", "(bf16[5])", "(bf16[])"),
    .infer = infer_widen,
    .grad = grad_widen,
    .cost = cost_bytes,
    .map = map_widen,
};
