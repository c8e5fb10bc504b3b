/* ops/reduce.c: fold dimensions away. */
#include "common.h"

/* The result has the other dimensions, in their order. */
static bool infer_reduce(const Infer *f)
{
    const Type *x = f->in[0];
    int n, kept[MAX_RANK], rank = 0, next = 0;
    const int64_t *axes;
    if (!infer_axes(f, "axes", x->rank, &axes, &n))
        return false;
    if (x->dtype == DT_BOOL)
        return infer_fail(f, "takes numbers, not %s", type_text(x).s);
    int64_t dim[MAX_RANK];
    for (int d = 0; d < x->rank; d++)
        if (next < n && axes[next] == d) {
            next++;
        } else {
            dim[rank] = x->dim[d];
            kept[rank++] = d;
        }
    f->out[0] = type_make(x->dtype, rank, dim);
    f->out[0].layout = layout_follow(x, rank, kept);
    return true;
}

static void grad_reduce_sum(Graph *g, uint32_t id, const Value *dout,
                            Value *din)
{
    int n;
    const int64_t *axes = node_ints(&g->node[id], "axes", &n);
    din[0] = spread_back(g, dout[0], g->node[id].in[0], axes, n);
}

/* Equal extremes share the gradient, as torch.amax does. */
static void grad_extreme(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value x = g->node[id].in[0], y = node_value(id, 0);
    int n;
    const int64_t *axes = node_ints(&g->node[id], "axes", &n);
    Value chosen = op2(g, "equal", x, spread_back(g, y, x, axes, n));
    Value ones = ir_cast(g, chosen, graph_type(g, x)->dtype);
    Value share = ir_div(g, dout[0], ir_reduce_sum(g, ones, axes, n));
    din[0] = ir_select(g, chosen, spread_back(g, share, x, axes, n),
                       ir_const_like(g, x, 0));
}

#define REDUCE_ATTRS                                                           \
    (const AttrSpec[])                                                         \
    {                                                                          \
        {"axes", ATTR_INTS, NULL, "the dimensions to fold, increasing"},       \
        {                                                                      \
            0                                                                  \
        }                                                                      \
    }
#define REDUCE_SAMPLES                                                         \
    (const char *const[])                                                      \
    {                                                                          \
        "(f32[2,3,5]) {axes=[1]}", "(f32[7]) {axes=[0]}",                      \
            "(f32[3,4,5,2]) {axes=[0,2,3]}", "(f64[3,1,2,5]) {axes=[0,1]}",    \
            "(i32[4,3]) {axes=[1]}", "(f32[33,5]) {axes=[0]}",                 \
            "(f32[2,2]) {axes=[]}", NULL                                       \
    }

const OpDesc op_reduce_sum = {
    .name = "reduce_sum",
    .doc = "sum over dimensions",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_REDUCE,
    .half = HALF_NO,
    .attrs = REDUCE_ATTRS,
    .samples = REDUCE_SAMPLES,
    .infer = infer_reduce,
    .grad = grad_reduce_sum,
    .cost = cost_per_element,
    .start = "0",
    .combine = "a + x0",
};

/* Once the accumulator is not a number it stays so. */
const OpDesc op_reduce_max = {
    .name = "reduce_max",
    .doc = "largest over dimensions; equal ones share the gradient",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_REDUCE,
    .half = HALF_YES,
    .attrs = REDUCE_ATTRS,
    .samples = REDUCE_SAMPLES,
    .infer = infer_reduce,
    .grad = grad_extreme,
    .cost = cost_per_element,
    .start = "@lowest",
    .combine = "(a > x0) | (a != a) ? a : x0",
};

const OpDesc op_reduce_min = {
    .name = "reduce_min",
    .doc = "smallest over dimensions; equal ones share the gradient",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_REDUCE,
    .half = HALF_YES,
    .attrs = REDUCE_ATTRS,
    .samples = REDUCE_SAMPLES,
    .infer = infer_reduce,
    .grad = grad_extreme,
    .cost = cost_per_element,
    .start = "@highest",
    .combine = "(a < x0) | (a != a) ? a : x0",
};
