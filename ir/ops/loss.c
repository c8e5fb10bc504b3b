/* ops/loss.c: softmax and what is made of it.
 *
 * Everything subtracts the largest logit first, so nothing overflows. */
#include "common.h"

/* ---- along one dimension ------------------------------------------------ */

static bool infer_along(const Infer *f)
{
    return infer_axis(f, "axis", f->in[0]->rank) >= 0 && infer_floats(f);
}

static Value fold(Graph *g, const char *op, Value v, int64_t axis)
{
    Attr axes = attr_ints("axes", &axis, 1);
    return ir_node(g, op_named(op), &v, 1, &axes, 1);
}

/* v repeated along the one dimension of `like` that it lacks. */
static Value along(Graph *g, Value v, Value like, int64_t axis)
{
    return spread_back(g, v, like, &axis, 1);
}

/* x - largest, and log of the sum of its exponentials. */
typedef struct Shifted {
    Value z, log_sum;
} Shifted;

static Shifted shift(Graph *g, Value x, int64_t axis)
{
    Value largest = fold(g, "reduce_max", x, axis);
    Value z = ir_sub(g, x, along(g, largest, x, axis));
    Value sum = fold(g, "reduce_sum", op1(g, "exp", z), axis);
    return (Shifted){z, op1(g, "log", sum)};
}

static void expand_softmax(Graph *g, const Node *n, const Value *in, Value *out)
{
    int64_t axis = node_int(n, "axis");
    Value largest = fold(g, "reduce_max", in[0], axis);
    Value e = op1(g, "exp", ir_sub(g, in[0], along(g, largest, in[0], axis)));
    Value sum = fold(g, "reduce_sum", e, axis);
    out[0] = ir_div(g, e, along(g, sum, e, axis));
}

/* dx = y (dy - sum of dy y) */
static void grad_softmax(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    int64_t axis = node_int(&g->node[id], "axis");
    Value y = node_value(id, 0), dy = dout[0];
    Value sum = fold(g, "reduce_sum", ir_mul(g, dy, y), axis);
    din[0] = ir_mul(g, y, ir_sub(g, dy, along(g, sum, dy, axis)));
}

static void expand_log_softmax(Graph *g, const Node *n, const Value *in,
                               Value *out)
{
    int64_t axis = node_int(n, "axis");
    Shifted s = shift(g, in[0], axis);
    out[0] = ir_sub(g, s.z, along(g, s.log_sum, s.z, axis));
}

/* dx = dy - exp(y) sum of dy */
static void grad_log_softmax(Graph *g, uint32_t id, const Value *dout,
                             Value *din)
{
    int64_t axis = node_int(&g->node[id], "axis");
    Value p = op1(g, "exp", node_value(id, 0)), dy = dout[0];
    Value sum = along(g, fold(g, "reduce_sum", dy, axis), dy, axis);
    din[0] = ir_sub(g, dy, ir_mul(g, p, sum));
}

#define AXIS_ATTR                                                              \
    {                                                                          \
        "axis", ATTR_INT, NULL, "the dimension"                                \
    }

const OpDesc op_softmax = {
    .name = "softmax",
    .doc = "exp(x) over its sum along one dimension",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){AXIS_ATTR, {0}},
    .samples = SAMPLES("(f32[3,5]) {axis=1}", "(f32[2,3,4]) {axis=0}",
                       "(f64[7]) {axis=0}"),
    .infer = infer_along,
    .grad = grad_softmax,
    .expand = expand_softmax,
    .cost = cost_per_element,
};

const OpDesc op_log_softmax = {
    .name = "log_softmax",
    .doc = "logarithm of softmax",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){AXIS_ATTR, {0}},
    .samples = SAMPLES("(f32[3,5]) {axis=1}", "(f64[2,3,4]) {axis=1}"),
    .infer = infer_along,
    .grad = grad_log_softmax,
    .expand = expand_log_softmax,
    .cost = cost_per_element,
};

/* ---- argmax ------------------------------------------------------------- */

static bool infer_argmax(const Infer *f)
{
    const Type *x = f->in[0];
    int axis = infer_axis(f, "axis", x->rank);
    if (axis < 0 || !infer_numbers(f))
        return false;
    if (x->dim[axis] > INT32_MAX)
        return infer_fail(f, "more than 2^31 - 1 elements in %s",
                          type_text(x).s);
    int64_t dim[MAX_RANK];
    for (int d = 0; d < x->rank - 1; d++)
        dim[d] = x->dim[d < axis ? d : d + 1];
    f->out[0] = type_make(DT_I32, x->rank - 1, dim);
    return true;
}

static Value count_along(Graph *g, const Type *like, int64_t axis)
{
    Attr attr[] = {attr_int("axis", axis), attr_dtype("dtype", DT_I32),
                   attr_ints("shape", like->dim, like->rank)};
    return ir_node(g, &op_iota, NULL, 0, attr, 3);
}

static void expand_argmax(Graph *g, const Node *n, const Value *in, Value *out)
{
    int64_t axis = node_int(n, "axis");
    Type t = *graph_type(g, in[0]);
    Value largest = along(g, fold(g, "reduce_max", in[0], axis), in[0], axis);
    Value number = count_along(g, &t, axis);
    /* Where nothing equals (not a number) the last: always a valid index. */
    Value last = ir_const_like(g, number, (double)(t.dim[axis] - 1));
    Value is_largest = op2(g, "equal", in[0], largest);
    out[0] =
        fold(g, "reduce_min", ir_select(g, is_largest, number, last), axis);
}

const OpDesc op_argmax = {
    .name = "argmax",
    .doc = "i32 index of the largest element along one dimension, which the "
           "result no longer has; the first of equals",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){AXIS_ATTR, {0}},
    .samples = SAMPLES("(f32[3,5]) {axis=1}", "(f64[2,3,4]) {axis=1}",
                       "(i32[6]) {axis=0}"),
    .infer = infer_argmax,
    .grad = grad_none,
    .expand = expand_argmax,
    .cost = cost_per_element,
};

/* ---- cross entropy ---------------------------------------------------------
 *
 *     logits [N,C,..]  label i32 [N,..]  loss [N,..]
 *     loss = (1 - s) (-log p[label]) + s / C sum over c of -log p[c]
 *
 * with p the softmax over the C classes and s the label smoothing, as
 * torch.nn.functional.cross_entropy(label_smoothing=s, reduction="none"). */

/* Logits and label fit; *loss is the type of a result an example. */
static bool infer_examples(const Infer *f, Type *loss)
{
    const Type *x = f->in[0];
    if (!dtype_is_float(x->dtype))
        return infer_fail(f, "logits must be floating point, not %s",
                          type_text(x).s);
    if (x->rank < 2)
        return infer_fail(f, "logits need a batch and a class dimension: %s",
                          type_text(x).s);
    if (x->dim[1] > INT32_MAX)
        return infer_fail(f, "%s has more than 2^31 - 1 classes",
                          type_text(x).s);
    *loss = type_make(x->dtype, x->rank - 1, x->dim);
    for (int d = 1; d < loss->rank; d++)
        loss->dim[d] = x->dim[d + 1];
    double smoothing = node_float(f->node, "smoothing");
    if (!(smoothing >= 0 && smoothing <= 1))
        return infer_fail(f, "smoothing is %g, not from 0 to 1", smoothing);
    Type label = type_with_dtype(*loss, DT_I32);
    return infer_is(f, 1, &label, "the label");
}

static bool infer_cross_entropy(const Infer *f)
{
    return infer_examples(f, &f->out[0]);
}

static bool infer_cross_entropy_grad(const Infer *f)
{
    Type loss;
    if (!infer_examples(f, &loss) ||
        !infer_is(f, 2, &loss, "the gradient of the loss"))
        return false;
    f->out[0] = *f->in[0];
    return true;
}

/* bool: this class is the label. */
static Value is_label(Graph *g, Value logits, Value label)
{
    Type t = *graph_type(g, logits);
    Value number = count_along(g, &t, 1);
    return op2(g, "equal", number, along(g, label, number, 1));
}

/* -log p[c] = log_sum - z[c] */
static void expand_cross_entropy(Graph *g, const Node *n, const Value *in,
                                 Value *out)
{
    Value logits = in[0];
    double s = node_float(n, "smoothing");
    double classes = (double)graph_type(g, logits)->dim[1];
    Shifted x = shift(g, logits, 1);
    Value zero = ir_const_like(g, x.z, 0);
    Value hit = ir_select(g, is_label(g, logits, in[1]), x.z, zero);
    Value chosen = fold(g, "reduce_sum", hit, 1);
    if (s != 0) {
        Value all = fold(g, "reduce_sum", x.z, 1);
        chosen = ir_add(g, ir_mul_const(g, chosen, 1 - s),
                        ir_mul_const(g, all, s / classes));
    }
    out[0] = ir_sub(g, x.log_sum, chosen);
}

static void grad_cross_entropy(Graph *g, uint32_t id, const Value *dout,
                               Value *din)
{
    Attr smoothing = *node_attr(&g->node[id], "smoothing");
    Value in[] = {g->node[id].in[0], g->node[id].in[1], dout[0]};
    din[0] = ir_node(g, &op_softmax_cross_entropy_grad, in, 3, &smoothing, 1);
}

/* dlogits[c] = dloss (p[c] - (1 - s) [c = label] - s / C) */
static void expand_cross_entropy_grad(Graph *g, const Node *n, const Value *in,
                                      Value *out)
{
    Value logits = in[0];
    double s = node_float(n, "smoothing");
    double classes = (double)graph_type(g, logits)->dim[1];
    Attr axis = attr_int("axis", 1);
    Value p = ir_node(g, &op_softmax, &logits, 1, &axis, 1);
    Value target = ir_select(g, is_label(g, logits, in[1]),
                             ir_const_like(g, p, 1 - s + s / classes),
                             ir_const_like(g, p, s / classes));
    out[0] = ir_mul(g, ir_sub(g, p, target), along(g, in[2], p, 1));
}

#define SMOOTHING_ATTR                                                         \
    {                                                                          \
        "smoothing", ATTR_FLOAT, "0",                                          \
            "the part of the target that is shared by all classes"             \
    }

const OpDesc op_softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .doc = "(logits [N,C,..], label i32 [N,..]) to a loss an example [N,..]",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){SMOOTHING_ATTR, {0}},
    .samples =
        SAMPLES("(f32[5,4], i32[5])", "(f32[5,4], i32[5]) {smoothing=0.1}",
                "(f64[2,3,2,2], i32[2,2,2]) {smoothing=0.3}"),
    .infer = infer_cross_entropy,
    .grad = grad_cross_entropy,
    .expand = expand_cross_entropy,
    .cost = cost_per_element,
};

const OpDesc op_softmax_cross_entropy_grad = {
    .name = "softmax_cross_entropy_grad",
    .doc = "(logits, label, gradient of the loss) to the gradient of the "
           "logits",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){SMOOTHING_ATTR, {0}},
    .samples = SAMPLES("(f32[5,4], i32[5], f32[5])",
                       "(f32[5,4], i32[5], f32[5]) {smoothing=0.1}"),
    .infer = infer_cross_entropy_grad,
    .expand = expand_cross_entropy_grad,
    .cost = cost_per_element,
};
