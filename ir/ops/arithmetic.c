/* ops/arithmetic.c: elementwise ops of several operands, comparisons, logic,
 * conversion. */
#include "common.h"
#include <math.h>

static Value operand(const Graph *g, uint32_t id, int i)
{
    return g->node[id].in[i];
}

/* ---- arithmetic ------------------------------------------------------------
 */

static void grad_add(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    (void)g, (void)id;
    din[0] = dout[0];
    din[1] = dout[0];
}

static void grad_sub(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    (void)id;
    din[0] = dout[0];
    din[1] = op1(g, "neg", dout[0]);
}

static void grad_mul(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value a = operand(g, id, 0), b = operand(g, id, 1);
    din[0] = ir_mul(g, dout[0], b);
    din[1] = ir_mul(g, dout[0], a);
}

/* y = a / b: da = dy / b, db = -da y */
static void grad_div(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    din[0] = ir_div(g, dout[0], operand(g, id, 1));
    din[1] = op1(g, "neg", ir_mul(g, din[0], node_value(id, 0)));
}

/* y = a^b: da = dy b a^(b-1), db = dy y log(a), 0 where a is 0 as the limit
 * says for b > 0. */
static void grad_pow(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value a = operand(g, id, 0), b = operand(g, id, 1);
    Value zero = ir_const_like(g, a, 0);
    Value slope = ir_mul(g, b, op2(g, "pow", a, ir_add_const(g, b, -1)));
    din[0] = ir_mul(g, dout[0], slope);
    Value grown = ir_mul(g, node_value(id, 0), op1(g, "log", a));
    Value growth = ir_select(g, op2(g, "equal", a, zero), zero, grown);
    din[1] = ir_mul(g, dout[0], growth);
}

/* To the operand that was chosen; half to each where they are equal, as
 * PyTorch does.  `first` says where the choice was operand 0 alone. */
static void grad_choice(Graph *g, Value a, Value b, Value first, Value dy,
                        Value *din)
{
    Value zero = ir_const_like(g, dy, 0);
    Value equal = op2(g, "equal", a, b);
    Value half = ir_mul_const(g, dy, 0.5);
    din[0] = ir_select(g, equal, half, ir_select(g, first, dy, zero));
    din[1] = ir_select(g, equal, half, ir_select(g, first, zero, dy));
}

static void grad_max(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value a = operand(g, id, 0), b = operand(g, id, 1);
    grad_choice(g, a, b, op2(g, "less", b, a), dout[0], din);
}

static void grad_min(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value a = operand(g, id, 0), b = operand(g, id, 1);
    grad_choice(g, a, b, op2(g, "less", a, b), dout[0], din);
}

ELEMENTWISE(add, 2, T_COMMUTATIVE, "x0 + x1", x[0] + x[1], .doc = "x + y",
            .half = HALF_YES, .infer = infer_numbers, .grad = grad_add,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(f32[], f32[])",
                               "(i32[5], i32[5])", "(f64[3,1,5], f64[3,1,5])"));

ELEMENTWISE(sub, 2, 0, "x0 - x1", x[0] - x[1], .doc = "x - y", .half = HALF_YES,
            .infer = infer_numbers, .grad = grad_sub,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(i32[5], i32[5])"));

ELEMENTWISE(mul, 2, T_COMMUTATIVE, "x0 * x1", x[0] * x[1], .doc = "x * y",
            .half = HALF_YES, .infer = infer_numbers, .grad = grad_mul,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(i32[5], i32[5])",
                               "(f32[1,2,3,2,3], f32[1,2,3,2,3])"));

ELEMENTWISE(div, 2, 0, "x0 / x1", x[0] / x[1],
            .doc = "x / y, of floating point", .half = HALF_YES,
            .infer = infer_floats, .grad = grad_div,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(f64[5], f64[5])"),
            .sample_low = 0.4, .sample_high = 2);

ELEMENTWISE(pow, 2, 0, "@pow(x0, x1)", pow(x[0], x[1]),
            .doc = "x to the power of y", .half = HALF_NO,
            .infer = infer_floats, .grad = grad_pow,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(f64[5], f64[5])"),
            .sample_low = 0.4, .sample_high = 2);

/* Not-a-number wins, whichever operand it is. */
ELEMENTWISE(max, 2, T_COMMUTATIVE, "(x0 > x1) | (x0 != x0) ? x0 : x1",
            x[0] > x[1] || x[0] != x[0] ? x[0] : x[1],
            .doc = "the larger; equal operands share the gradient",
            .half = HALF_YES, .infer = infer_numbers, .grad = grad_max,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(i32[5], i32[5])"));

ELEMENTWISE(min, 2, T_COMMUTATIVE, "(x0 < x1) | (x0 != x0) ? x0 : x1",
            x[0] < x[1] || x[0] != x[0] ? x[0] : x[1],
            .doc = "the smaller; equal operands share the gradient",
            .half = HALF_YES, .infer = infer_numbers, .grad = grad_min,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(i32[5], i32[5])"));

/* ---- comparisons and logic -------------------------------------------------
 */

static bool infer_compare(const Infer *f)
{
    if (!infer_same(f))
        return false;
    f->out[0].dtype = DT_BOOL;
    return true;
}

static bool infer_order(const Infer *f)
{
    return infer_numbers(f) && infer_compare(f);
}

static bool infer_logic(const Infer *f)
{
    if (f->in[0]->dtype != DT_BOOL)
        return infer_fail(f, "takes bool, not %s", type_text(f->in[0]).s);
    return infer_same(f);
}

ELEMENTWISE(less, 2, 0, "x0 < x1", x[0] < x[1],
            .doc = "bool: x < y; false where one is not a number",
            .half = HALF_YES, .infer = infer_order, .grad = grad_none,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(i32[5], i32[5])"));

ELEMENTWISE(less_equal, 2, 0, "x0 <= x1", x[0] <= x[1],
            .doc = "bool: x <= y; false where one is not a number",
            .half = HALF_YES, .infer = infer_order, .grad = grad_none,
            .samples = SAMPLES("(f32[2,3], f32[2,3])", "(i32[5], i32[5])"));

ELEMENTWISE(equal, 2, T_COMMUTATIVE, "x0 == x1", x[0] == x[1],
            .doc = "bool: x = y; false where one is not a number",
            .half = HALF_YES, .infer = infer_compare, .grad = grad_none,
            .samples = SAMPLES("(i32[5], i32[5])", "(f32[2,3], f32[2,3])",
                               "(bool[7], bool[7])"));

ELEMENTWISE(and, 2, T_COMMUTATIVE, "x0 & x1", x[0] && x[1],
            .doc = "both, of bool", .half = HALF_YES, .infer = infer_logic,
            .grad = grad_none, .samples = SAMPLES("(bool[2,3], bool[2,3])"));

ELEMENTWISE(or, 2, T_COMMUTATIVE, "x0 | x1", x[0] || x[1],
            .doc = "either or both, of bool", .half = HALF_YES,
            .infer = infer_logic, .grad = grad_none,
            .samples = SAMPLES("(bool[2,3], bool[2,3])"));

ELEMENTWISE(not, 1, 0, "!x0", !x[0], .doc = "true for false, false for true",
            .half = HALF_YES, .infer = infer_logic, .grad = grad_none,
            .samples = SAMPLES("(bool[2,3])"));

/* ---- choice ------------------------------------------------------------- */

static bool infer_select(const Infer *f)
{
    const Type *yes = f->in[1];
    Type want = type_with_dtype(*yes, DT_BOOL);
    if (!infer_is(f, 0, &want, "the condition") ||
        !infer_is(f, 2, yes, "the second choice"))
        return false;
    f->out[0] = *yes;
    f->out[0].layout = infer_layout(f);
    return true;
}

static void grad_select(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value condition = operand(g, id, 0), dy = dout[0];
    Value zero = ir_const_like(g, dy, 0);
    din[1] = ir_select(g, condition, dy, zero);
    din[2] = ir_select(g, condition, zero, dy);
}

ELEMENTWISE(select, 3, 0, "x0 ? x1 : x2", x[0] != 0 ? x[1] : x[2],
            .doc = "y where the condition (bool) holds, else z",
            .half = HALF_YES, .infer = infer_select, .grad = grad_select,
            .samples = SAMPLES("(bool[2,3], f32[2,3], f32[2,3])",
                               "(bool[], i32[], i32[])",
                               "(bool[5], bool[5], bool[5])"));

/* ---- conversion --------------------------------------------------------- */

static bool infer_cast(const Infer *f)
{
    DType to = (DType)node_int(f->node, "dtype");
    if (to <= DT_NONE || to >= DT_COUNT)
        return infer_fail(f, "dtype is none");
    if (to == DT_BOOL && f->in[0]->dtype != DT_BOOL)
        return infer_fail(f, "%s does not become bool; compare it with 0",
                          type_text(f->in[0]).s);
    f->out[0] = type_with_dtype(*f->in[0], to);
    return true;
}

static void grad_cast(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value x = operand(g, id, 0);
    DType from = graph_type(g, x)->dtype;
    if (dtype_is_float(from) && dtype_is_float(g->node[id].type->dtype))
        din[0] = ir_cast(g, dout[0], from);
}

static double eval_cast(const Node *n, const double *x)
{
    DType to = (DType)node_int(n, "dtype");
    return dtype_is_int(to) ? trunc(x[0]) : dtype_round(x[0], to);
}

const OpDesc op_cast = {
    .name = "cast",
    .doc = "the same number in another element type; towards 0 where it "
           "becomes an integer, which it must fit",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_ELEMENTWISE | T_INPLACE,
    .half = HALF_NO,
    .attrs =
        (const AttrSpec[]){{"dtype", ATTR_DTYPE, NULL, "element type"}, {0}},
    .samples = SAMPLES("(f32[2,3]) {dtype=f64}", "(f64[5]) {dtype=f32}",
                       "(i32[5]) {dtype=f32}", "(bool[2,3]) {dtype=i32}",
                       "(f32[7]) {dtype=i32}", "(u8[2,3]) {dtype=f32}"),
    .infer = infer_cast,
    .grad = grad_cast,
    .cost = cost_per_element,
    .expr = "x0",
    .eval = eval_cast,
};
