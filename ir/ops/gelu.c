/* ops/gelu.c: the Gaussian error linear unit (Hendrycks and Gimpel, 2016).
 *
 *     y  = x P(x)            P(x) = (1 + erf(x / sqrt 2)) / 2
 *     dx = dy (P(x) + x p(x))    p(x) = exp(-x^2 / 2) / sqrt(2 pi)
 *
 * docs/adding-an-op.md takes this file as its example. */
#include "common.h"
#include <math.h>

static double eval_gelu(const Node *n, const double *x)
{
    (void)n;
    return x[0] * 0.5 * (1 + erf(x[0] * 0.70710678118654752));
}

static void grad_gelu(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value x = g->node[id].in[0];
    Value e = op1(g, "erf", ir_mul_const(g, x, 0.70710678118654752));
    Value below = ir_add_const(g, ir_mul_const(g, e, 0.5), 0.5);
    Value bell = op1(g, "exp", ir_mul_const(g, ir_mul(g, x, x), -0.5));
    Value density = ir_mul_const(g, bell, 0.39894228040143268);
    Value slope = ir_add(g, below, ir_mul(g, x, density));
    din[0] = ir_mul(g, dout[0], slope);
}

const OpDesc op_gelu = {
    .name = "gelu",
    .doc = "x times the part of a normal distribution that lies below x",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_ELEMENTWISE | T_INPLACE,
    .half = HALF_YES,
    .samples = (const char *const[]){"(f32[2,3])", "(f64[5,1,7])", NULL},
    .infer = infer_floats,
    .grad = grad_gelu,
    .cost = cost_per_element,
    .expr = "x0 * (T)0.5 * ((T)1 + @erf(x0 * (T)0.70710678118654752))",
    .eval = eval_gelu,
};
