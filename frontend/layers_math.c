/* layers_math.c: arithmetic on tensors, dropout, and functions on values that
 * are known when the net is compiled. */
#include "layers.h"
#include "layers_all.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- operators
 * ------------------------------------------------------------------ */

static Value constant(Elab *el, Span at, const Type *type, double value)
{
    Attr attr[] = {attr_float("value", value), attr_dtype("dtype", type->dtype),
                   attr_ints("shape", type->dim, type->rank)};
    return elab_node(el, at, &op_const, NULL, 0, attr, 3);
}

/* x repeated along the last dimensions that only `to` has: [C] meets
 * [C, H, W]. */
static Value widen(Elab *el, Span at, Value x, const Type *to)
{
    const Type *from = graph_type(el->graph, x);
    int64_t dims[MAX_RANK];
    if (from->rank >= to->rank)
        return x;
    for (int i = 0; i < from->rank; i++) {
        if (from->dim[i] != to->dim[i])
            return x;
        dims[i] = i;
    }
    Attr attr[] = {attr_ints("shape", to->dim, to->rank),
                   attr_ints("dims", dims, from->rank)};
    return elab_node(el, at, &op_broadcast, &x, 1, attr, 2);
}

static void report_shapes(Elab *el, Span at, const char *what, Value x, Value y)
{
    static const char *const meaning[] = {"", "channels", "height", "width"};
    const Type *a = graph_type(el->graph, x), *b = graph_type(el->graph, y);
    if (!diag_error(el->diag, at, "%s of shapes that do not fit: %s and %s",
                    what, shape_text(a, el->arena), shape_text(b, el->arena)))
        return;
    for (int i = 1; a->rank == b->rank && i < a->rank && i < 4; i++)
        if (a->dim[i] != b->dim[i])
            diag_hint(el->diag, "%s: %" PRId64 " and %" PRId64,
                      a->rank == 2 ? "features" : meaning[i], a->dim[i],
                      b->dim[i]);
}

static const OpDesc *op_of(Operator op)
{
    switch (op) {
    case OPERATOR_ADD:
        return &op_add;
    case OPERATOR_SUB:
        return &op_sub;
    case OPERATOR_MUL:
        return &op_mul;
    case OPERATOR_DIV:
        return &op_div;
    default:
        return NULL;
    }
}

/* One of the two is a tensor; a number becomes a constant of its shape. */
static Datum binary_op(Elab *el, Span at, const char *what, const OpDesc *desc,
                       Datum x, Datum y)
{
    const Type *like =
        graph_type(el->graph, x.kind == DATUM_TENSOR ? x.tensor : y.tensor);
    Type type = *like;
    Value a = x.kind == DATUM_TENSOR ? x.tensor
                                     : constant(el, at, &type, datum_number(x));
    Value b = y.kind == DATUM_TENSOR ? y.tensor
                                     : constant(el, at, &type, datum_number(y));
    if (!a.node || !b.node)
        return datum_error();
    Type to_a = *graph_type(el->graph, b), to_b = *graph_type(el->graph, a);
    a = widen(el, at, a, &to_a);
    b = widen(el, at, b, &to_b);
    if (!type_same_shape(graph_type(el->graph, a), graph_type(el->graph, b))) {
        report_shapes(el, at, what, a, b);
        return datum_error();
    }
    return layer_result(elab_node(el, at, desc, (Value[]){a, b}, 2, NULL, 0));
}

Datum tensor_binary(Elab *el, Span at, Operator op, Datum x, Datum y)
{
    const OpDesc *desc = op_of(op);
    bool x_fits = x.kind == DATUM_TENSOR || datum_is_number(x);
    bool y_fits = y.kind == DATUM_TENSOR || datum_is_number(y);
    if (desc && x_fits && y_fits)
        return binary_op(el, at, operator_text(op), desc, x, y);
    diag_error(el->diag, at, "%s does not go with %s and %s", operator_text(op),
               datum_text(x, el->graph, el->arena),
               datum_text(y, el->graph, el->arena));
    return datum_error();
}

Datum tensor_negate(Elab *el, Span at, Datum x)
{
    return layer_result(elab_node(el, at, &op_neg, &x.tensor, 1, NULL, 0));
}

/* ---- elementwise
 * ---------------------------------------------------------------- */

static Datum build_unary(LayerCall *c)
{
    return layer_result(layer_unary(c, c->layer->op, layer_tensor(c, "x")));
}

#define UNARY(word, op_desc, text)                                             \
    const Layer layer_##word = {                                               \
        .name = #word,                                                         \
        .doc = text,                                                           \
        .op = op_desc,                                                         \
        .params =                                                              \
            (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL}, {0}},     \
        .build = build_unary}

UNARY(relu, &op_relu, "max(x, 0)");
UNARY(sigmoid, &op_sigmoid, "1 / (1 + exp(-x))");
UNARY(tanh, &op_tanh, "Hyperbolic tangent");

static Datum build_silu(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    return layer_result(
        layer_binary(c, &op_mul, x, layer_unary(c, &op_sigmoid, x)));
}

const Layer layer_silu = {
    .name = "silu",
    .doc = "x sigmoid(x), also called swish",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL}, {0}},
    .build = build_silu,
};

/* x Phi(x) = x (1 + erf(x / sqrt 2)) / 2 */
static Datum build_gelu(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    Type type = *layer_type(c, x);
    Value scaled =
        layer_binary(c, &op_mul, x, layer_const(c, &type, sqrt(0.5)));
    Value erf = layer_unary(c, &op_erf, scaled);
    Value twice = layer_binary(c, &op_add, erf, layer_const(c, &type, 1));
    Value phi = layer_binary(c, &op_mul, twice, layer_const(c, &type, 0.5));
    return layer_result(layer_binary(c, &op_mul, x, phi));
}

const Layer layer_gelu = {
    .name = "gelu",
    .doc = "x times the normal distribution function of x, exactly (by erf)",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL}, {0}},
    .build = build_gelu,
};

/* ---- of tensors and of numbers
 * --------------------------------------------------- */

static Datum finite_only(LayerCall *c, double v)
{
    return isfinite(v) ? datum_float(v)
                       : layer_fail(c, NULL, "has no finite value here");
}

static double number_function(const OpDesc *op, double x)
{
    return op == &op_exp ? exp(x) : op == &op_log ? log(x) : sqrt(x);
}

static Datum build_function(LayerCall *c)
{
    Datum x = c->arg[0];
    const OpDesc *op = c->layer->op;
    if (x.kind == DATUM_TENSOR)
        return layer_result(layer_unary(c, op, x.tensor));
    if (!datum_is_number(x))
        return layer_fail(c, "x", "of a tensor or a number, not %s",
                          datum_kind(x));
    if (op != &op_abs)
        return finite_only(c, number_function(op, datum_number(x)));
    if (x.kind == DATUM_FLOAT)
        return datum_float(fabs(x.f));
    return x.i == INT64_MIN ? layer_fail(c, NULL, "does not fit in 64 bits")
                            : datum_int(x.i < 0 ? -x.i : x.i);
}

#define FUNCTION(word, op_desc, text)                                          \
    const Layer layer_##word = {                                               \
        .name = #word,                                                         \
        .doc = text ", of a tensor or of a number",                            \
        .op = op_desc,                                                         \
        .params = (const LayerParam[]){{"x", PARAM_ANY, .value = NULL}, {0}},  \
        .build = build_function}

FUNCTION(exp, &op_exp, "e to the power of x");
FUNCTION(log, &op_log, "The natural logarithm");
FUNCTION(sqrt, &op_sqrt, "The square root");
FUNCTION(abs, &op_abs, "x without its sign");

static Datum build_extreme(LayerCall *c)
{
    Datum x = c->arg[0], y = c->arg[1];
    Operator order = c->layer->op == &op_min ? OPERATOR_LE : OPERATOR_GE;
    Error e;
    if (x.kind == DATUM_TENSOR || y.kind == DATUM_TENSOR) {
        if ((x.kind == DATUM_TENSOR || datum_is_number(x)) &&
            (y.kind == DATUM_TENSOR || datum_is_number(y)))
            return binary_op(c->el, c->span, c->layer->name, c->layer->op, x,
                             y);
        return layer_fail(c, NULL, "of tensors or numbers, not of %s and %s",
                          datum_kind(x), datum_kind(y));
    }
    Datum first = arithmetic_binary(order, x, y, &e);
    if (first.kind == DATUM_ERROR)
        return layer_fail(c, NULL, "of tensors or numbers, not of %s and %s",
                          datum_kind(x), datum_kind(y));
    return first.b ? x : y;
}

#define EXTREME(word, text)                                                    \
    const Layer layer_##word = {                                               \
        .name = #word,                                                         \
        .doc = text " of two numbers or, element by element, of two tensors",  \
        .op = &op_##word,                                                      \
        .params = (const LayerParam[]){{"x", PARAM_ANY, .value = NULL},        \
                                       {"y", PARAM_ANY, .value = NULL},        \
                                       {0}},                                   \
        .build = build_extreme}

EXTREME(min, "The smaller");
EXTREME(max, "The larger");

/* ---- dropout
 * --------------------------------------------------------------------- */

/* The graph's input of that name, i64[], made when first needed. */
static Value scalar_input(LayerCall *c, const char *name, Value *kept)
{
    if (!kept->node) {
        Attr attr[] = {attr_string("name", name), attr_dtype("dtype", DT_I64),
                       attr_ints("shape", NULL, 0)};
        *kept = layer_node(c, &op_input, NULL, 0, attr, 3);
    }
    return *kept;
}

/* In training an element is 0 with probability p and else x / (1 - p). */
static Datum build_dropout(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    double p = layer_number(c, "p");
    Type type = *layer_type(c, x);
    Type wide = type_with_dtype(type, DT_I64);
    if (!c->el->training || p == 0)
        return datum_tensor(x);
    Value seed = scalar_input(c, "seed", &c->el->seed);
    Value step = scalar_input(c, "step", &c->el->step);
    Value in[] = {layer_broadcast(c, seed, &wide, NULL, 0),
                  layer_broadcast(c, step, &wide, NULL, 0)};
    Attr stream = attr_int("stream", ++c->el->streams);
    Value u = layer_node(c, &op_random_uniform, in, 2, &stream, 1);
    Type narrow = type_with_dtype(type, DT_F32);
    Value drop = layer_binary(c, &op_less, u, layer_const(c, &narrow, p));
    Value kept =
        layer_binary(c, &op_mul, x, layer_const(c, &type, 1 / (1 - p)));
    Value v[] = {drop, layer_const(c, &type, 0), kept};
    return layer_result(layer_node(c, &op_select, v, 3, NULL, 0));
}

const Layer layer_dropout = {
    .name = "dropout",
    .doc = "In training, sets elements to 0 at random and scales the others so "
           "that the mean stays; in evaluation, x itself",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                                   {"p", PARAM_NUMBER, NULL, 0, 0.999999,
                                    .doc = "probability of 0"},
                                   {0}},
    .build = build_dropout,
};

/* ---- functions
 * ------------------------------------------------------------------- */

static Datum build_shape(LayerCall *c)
{
    const Type *t = layer_type(c, layer_tensor(c, "x"));
    Datum item[MAX_RANK];
    for (int i = 1; i < t->rank; i++)
        item[i - 1] = datum_int(t->dim[i]);
    return datum_list(c->el->arena, item, (size_t)t->rank - 1);
}

const Layer layer_shape = {
    .name = "shape",
    .doc = "[channels, height, width] of a tensor, as a list of numbers: "
           "shape(x)[0] is how many channels x has",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL}, {0}},
    .build = build_shape,
};

static Datum build_len(LayerCall *c)
{
    Datum list = c->arg[0];
    if (list.kind != DATUM_LIST)
        return layer_fail(c, "list", "of a list, not of %s", datum_kind(list));
    return datum_int((int64_t)list.list.n);
}

const Layer layer_len = {
    .name = "len",
    .doc = "How many elements a list has",
    .params = (const LayerParam[]){{"list", PARAM_ANY, .value = NULL}, {0}},
    .build = build_len,
};

static Datum build_floor(LayerCall *c)
{
    double x = floor(layer_number(c, "x"));
    if (c->arg[0].kind == DATUM_INT)
        return c->arg[0];
    if (fabs(x) > 9e15)
        return layer_fail(c, NULL, "%g is too large for a whole number", x);
    return datum_int((int64_t)x);
}

const Layer layer_floor = {
    .name = "floor",
    .doc = "The whole number at or below x; floor(x + 0.5) rounds",
    .params = (const LayerParam[]){{"x", PARAM_NUMBER, .value = NULL}, {0}},
    .build = build_floor,
};
