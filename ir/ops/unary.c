/* ops/unary.c: functions of one number, elementwise. */
#include "common.h"
#include <math.h>

#define UNARY(function, expression, value, ...)                                \
    ELEMENTWISE(function, 1, 0, expression, value, __VA_ARGS__)

static Value operand(const Graph *g, uint32_t id)
{
    return g->node[id].in[0];
}

/* ---- gradients ---------------------------------------------------------- */

static void grad_neg(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    (void)id;
    din[0] = op1(g, "neg", dout[0]);
}

static void grad_copy(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    (void)g, (void)id;
    din[0] = dout[0];
}

static void grad_abs(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    din[0] = ir_mul(g, dout[0], op1(g, "sign", operand(g, id)));
}

static void grad_exp(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    din[0] = ir_mul(g, dout[0], node_value(id, 0));
}

static void grad_log(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    din[0] = ir_div(g, dout[0], operand(g, id));
}

/* dx = dy / (2 y) */
static void grad_sqrt(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value half = ir_mul_const(g, dout[0], 0.5);
    din[0] = ir_div(g, half, node_value(id, 0));
}

/* dx = -dy y^3 / 2 */
static void grad_rsqrt(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value y = node_value(id, 0);
    Value cube = ir_mul(g, ir_mul(g, y, y), y);
    din[0] = ir_mul_const(g, ir_mul(g, dout[0], cube), -0.5);
}

/* dx = dy (1 - y^2) */
static void grad_tanh(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value y = node_value(id, 0);
    Value one = ir_const_like(g, y, 1);
    din[0] = ir_mul(g, dout[0], ir_sub(g, one, ir_mul(g, y, y)));
}

/* dx = dy y (1 - y) */
static void grad_sigmoid(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value y = node_value(id, 0);
    Value one = ir_const_like(g, y, 1);
    din[0] = ir_mul(g, dout[0], ir_mul(g, y, ir_sub(g, one, y)));
}

/* dx = dy 2/sqrt(pi) exp(-x^2) */
static void grad_erf(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value x = operand(g, id);
    Value bell = op1(g, "exp", op1(g, "neg", ir_mul(g, x, x)));
    din[0] = ir_mul(g, dout[0], ir_mul_const(g, bell, 1.1283791670955126));
}

/* Through the result, so that the operand need not be kept; 0 at 0. */
static void grad_relu(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value y = node_value(id, 0);
    Value zero = ir_const_like(g, y, 0);
    din[0] = ir_select(g, op2(g, "less", zero, y), dout[0], zero);
}

/* ---- the table -------------------------------------------------------------
 */

UNARY(copy, "x0", x[0], .doc = "the operand itself, perhaps in another layout",
      .half = HALF_YES, .infer = infer_same, .grad = grad_copy,
      .samples = SAMPLES("(f32[2,3])", "(bool[5])", "(i64[])"));

UNARY(neg, "-x0", -x[0], .doc = "-x", .half = HALF_YES, .infer = infer_numbers,
      .grad = grad_neg,
      .samples = SAMPLES("(f32[2,3])", "(i32[7])", "(f64[])"));

UNARY(abs, "x0 < 0 ? -x0 : x0", x[0] < 0 ? -x[0] : x[0], .doc = "|x|",
      .half = HALF_YES, .infer = infer_numbers, .grad = grad_abs,
      .samples = SAMPLES("(f32[2,3])", "(i32[7])"), .sample_low = 0.2,
      .sample_high = 1);

UNARY(sign, "(x0 > 0) - (x0 < 0)", (x[0] > 0) - (x[0] < 0),
      .doc = "-1, 0 or 1; its gradient is 0", .half = HALF_YES,
      .infer = infer_numbers, .grad = grad_none,
      .samples = SAMPLES("(f32[3,5])", "(i32[7])"), .sample_low = 0.2,
      .sample_high = 1);

UNARY(exp, "@exp(x0)", exp(x[0]), .doc = "e to the power of x", .half = HALF_NO,
      .infer = infer_floats, .grad = grad_exp,
      .samples = SAMPLES("(f32[2,3])", "(f64[5])", "(f32[1,1,17])"));

UNARY(log, "@log(x0)", log(x[0]), .doc = "natural logarithm", .half = HALF_NO,
      .infer = infer_floats, .grad = grad_log,
      .samples = SAMPLES("(f32[2,3])", "(f64[])"), .sample_low = 0.3,
      .sample_high = 2);

UNARY(sqrt, "@sqrt(x0)", sqrt(x[0]), .doc = "square root", .half = HALF_NO,
      .infer = infer_floats, .grad = grad_sqrt,
      .samples = SAMPLES("(f32[2,3])", "(f64[5])"), .sample_low = 0.3,
      .sample_high = 2);

UNARY(rsqrt, "(T)1 / @sqrt(x0)", 1 / sqrt(x[0]), .doc = "1 / square root",
      .half = HALF_NO, .infer = infer_floats, .grad = grad_rsqrt,
      .samples = SAMPLES("(f32[2,3])", "(f64[5])"), .sample_low = 0.3,
      .sample_high = 2);

UNARY(tanh, "@tanh(x0)", tanh(x[0]), .doc = "hyperbolic tangent",
      .half = HALF_YES, .infer = infer_floats, .grad = grad_tanh,
      .samples = SAMPLES("(f32[2,3])", "(f64[5])"));

/* exp overflows to infinity for very negative x: 1 / infinity is 0. */
UNARY(sigmoid, "(T)1 / ((T)1 + @exp(-x0))", 1 / (1 + exp(-x[0])),
      .doc = "1 / (1 + exp(-x))", .half = HALF_YES, .infer = infer_floats,
      .grad = grad_sigmoid, .samples = SAMPLES("(f32[2,3])", "(f64[5])"));

UNARY(erf, "@erf(x0)", erf(x[0]), .doc = "error function", .half = HALF_YES,
      .infer = infer_floats, .grad = grad_erf,
      .samples = SAMPLES("(f32[2,3])", "(f64[5])"));

/* In this form not-a-number stays one. */
UNARY(relu, "x0 < 0 ? 0 : x0", x[0] < 0 ? 0 : x[0], .doc = "max(x, 0)",
      .half = HALF_YES, .infer = infer_numbers, .grad = grad_relu,
      .samples = SAMPLES("(f32[2,3])", "(f32[2,3,5,7])", "(i32[4])"));
