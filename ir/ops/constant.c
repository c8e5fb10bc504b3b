/* ops/constant.c: values that need no operand. */
#include "common.h"
#include <math.h>

static bool fits_dtype(double v, DType dtype)
{
    switch (dtype) {
    case DT_BOOL:
        return v == 0 || v == 1;
    case DT_U8:
        return v == trunc(v) && v >= 0 && v <= 255;
    case DT_I32:
        return v == trunc(v) && v >= INT32_MIN && v <= INT32_MAX;
    case DT_I64: /* what a double holds exactly */
        return v == trunc(v) && fabs(v) <= 0x1p53;
    default:
        return true;
    }
}

static bool infer_const(const Infer *f)
{
    double v = node_float(f->node, "value");
    if (!infer_declared(f, &f->out[0]))
        return false;
    if (!fits_dtype(v, f->out[0].dtype))
        return infer_fail(f, "%g is not a value of %s", v,
                          dtype_name(f->out[0].dtype));
    return true;
}

static double eval_const(const Node *n, const double *x)
{
    (void)x;
    return node_float(n, "value");
}

const OpDesc op_const = {
    .name = "const",
    .doc = "every element has the same value",
    .n_out = 1,
    .traits = T_ELEMENTWISE,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){{"value", ATTR_FLOAT, NULL, "that value"},
                                {"dtype", ATTR_DTYPE, "f32", "element type"},
                                {"shape", ATTR_INTS, "[]", "its dimensions"},
                                {0}},
    .samples =
        (const char *const[]){"() {value=1.5}",
                              "() {value=-3, dtype=i32, shape=[2,3]}",
                              "() {value=1, dtype=bool, shape=[5]}",
                              "() {value=-inf, dtype=f64, shape=[3]}", NULL},
    .infer = infer_const,
    .cost = cost_bytes,
    .expr = "@value",
    .eval = eval_const,
};

static bool infer_iota(const Infer *f)
{
    Type *t = &f->out[0];
    if (!infer_declared(f, t))
        return false;
    int axis = infer_axis(f, "axis", t->rank);
    if (axis < 0)
        return false;
    if (t->dtype == DT_BOOL ||
        !fits_dtype((double)(t->dim[axis] - 1), t->dtype))
        return infer_fail(f, "%s cannot count to %lld", dtype_name(t->dtype),
                          (long long)t->dim[axis] - 1);
    return true;
}

const OpDesc op_iota = {
    .name = "iota",
    .doc = "0, 1, 2, ... along one dimension",
    .n_out = 1,
    .traits = T_ELEMENTWISE,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){{"axis", ATTR_INT, NULL, "the dimension"},
                                {"dtype", ATTR_DTYPE, NULL, "element type"},
                                {"shape", ATTR_INTS, NULL, "its dimensions"},
                                {0}},
    .samples =
        (const char *const[]){"() {axis=0, dtype=i32, shape=[5]}",
                              "() {axis=1, dtype=f32, shape=[2,3]}",
                              "() {axis=1, dtype=i64, shape=[2,3,4]}", NULL},
    .infer = infer_iota,
    .cost = cost_bytes,
    .expr = "@at",
};
