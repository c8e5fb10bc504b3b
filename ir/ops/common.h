/* ops/common.h: what descriptors share and nobody else needs.
 *
 * Inference meets operands of any type and attributes of any value (IR text
 * may come from anywhere), so what reads them here checks as it reads. */
#ifndef TGC_OPS_COMMON_H
#define TGC_OPS_COMMON_H

#include "build.h"
#include "op.h"

/* ---- descriptors -------------------------------------------------------- */

/* OpDesc.samples. */
#define SAMPLES(...)                                                           \
    (const char *const[])                                                      \
    {                                                                          \
        __VA_ARGS__, NULL                                                      \
    }

/* The descriptor of an elementwise op of `count` operands: `expression` of them
 * as code prints it, `value` as eval computes it from x[]; what else the
 * descriptor has comes after. */
#define ELEMENTWISE(function, count, more_traits, expression, value, ...)      \
    static double eval_##function(const Node *n, const double *x)              \
    {                                                                          \
        (void)n;                                                               \
        return value;                                                          \
    }                                                                          \
    const OpDesc op_##function = {.name = #function,                           \
                                  .min_in = count,                             \
                                  .max_in = count,                             \
                                  .n_out = 1,                                  \
                                  .traits = T_ELEMENTWISE | T_INPLACE |        \
                                            (more_traits),                     \
                                  .cost = cost_per_element,                    \
                                  .expr = expression,                          \
                                  .eval = eval_##function,                     \
                                  __VA_ARGS__}

/* ---- messages ----------------------------------------------------------- */

/* A type as text, for as long as the expression that asked for it. */
typedef struct TypeText {
    char s[192];
} TypeText;
TypeText type_text(const Type *t);

/* Where an elementwise result lies: as the first operand that is not row-major,
 * since constants and the like are made row-major but lie anywhere as well. */
Layout infer_layout(const Infer *f);

/* ---- operands ----------------------------------------------------------- */

bool infer_numbers(const Infer *f); /* infer_same, and none is bool */
bool infer_floats(const Infer *f);  /* infer_same, all floating point */
bool infer_none(const Infer *f);    /* a root: nothing to infer */

/* Operand i has this type but for the layout; `what` is what it is. */
bool infer_is(const Infer *f, int i, const Type *want, const char *what);
/* Operand i is a vector with one element a channel of `x`. */
bool infer_channels(const Infer *f, int i, const Type *x, DType dtype,
                    const char *what);

/* a * b * c products to sum are few enough to count, and to expand. */
bool infer_work(const Infer *f, int64_t a, int64_t b, int64_t c);

/* ---- attributes --------------------------------------------------------- */

/* Exactly `count` integers, each from low to high. */
bool infer_ints(const Infer *f, const char *attr, int count, int64_t low,
                int64_t high, const int64_t **v);
/* Dimensions below rank, increasing. */
bool infer_axes(const Infer *f, const char *attr, int rank, const int64_t **v,
                int *count);
/* One dimension below rank; -1 with a message. */
int infer_axis(const Infer *f, const char *attr, int rank);
/* A type out of attributes dtype and shape. */
bool infer_declared(const Infer *f, Type *t);

/* ---- building --------------------------------------------------------------
 */

Value op1(Graph *g, const char *op, Value a);
Value op2(Graph *g, const char *op, Value a, Value b);

/* Operand dimension i of v becomes dimension dims[i] of a value like `like`
 * (in shape and layout; v's own element type). */
Value spread(Graph *g, Value v, Value like, const int64_t *dims, int n);
/* The inverse of reducing `like` over axes: v repeated along them. */
Value spread_back(Graph *g, Value v, Value like, const int64_t *axes, int n);
Value spread_channel(Graph *g, Value v, Value like); /* [C] along dim 1 */

/* The layout of a result whose dimension k is the operand's from[k] (-1: it
 * has no such dimension, and lies innermost): places stay in order. */
Layout layout_follow(const Type *operand, int rank, const int *from);

/* No gradient flows: integer operands, steps. */
void grad_none(Graph *g, uint32_t id, const Value *dout, Value *din);

#endif
