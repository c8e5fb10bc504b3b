/* layers_tokens.c: what nets over rows of features are made of: products of
 * matrices, layer norm, free weights, rows of a table, and other orders of the
 * dimensions.
 *
 * A dimension is counted from 0 behind the batch, which nobody names; -1 is the
 * last one. */
#include "layers.h"
#include "layers_all.h"
#include <inttypes.h>

/* The dimension in the graph; 0 after a message. */
static int dimension(const LayerCall *c, const char *name, int64_t at,
                     const Type *x)
{
    int64_t n = x->rank - 1, d = at < 0 ? at + n : at;
    if (d >= 0 && d < n)
        return (int)d + 1;
    layer_fail(c, name, "%s has no dimension %" PRId64,
               shape_text(x, c->el->arena), at);
    return 0;
}

/* A list of whole numbers; how many, -1 after a message. */
static int numbers(const LayerCall *c, const char *name, int64_t *v, int most)
{
    Datum list = c->arg[layer_index(c, name)];
    bool good = list.kind == DATUM_LIST && list.list.n <= (size_t)most;
    for (size_t i = 0; good && i < list.list.n; i++) {
        good = list.list.item[i].kind == DATUM_INT;
        v[i] = list.list.item[i].i;
    }
    if (good)
        return (int)list.list.n;
    layer_fail(c, name, "wants a list of at most %d whole numbers, not %s",
               most, datum_text(list, c->el->graph, c->el->arena));
    return -1;
}

/* ---- reshape, transpose ---------------------------------------------------
 */

static Datum build_reshape(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    const Type *in = layer_type(c, x);
    int64_t dim[MAX_RANK] = {in->dim[0]}, size = 1;
    int n = numbers(c, "shape", dim + 1, MAX_RANK - 2);
    bool fits = n >= 0;
    for (int i = 1; fits && i <= n; i++)
        fits = dim[i] > 0 && !__builtin_mul_overflow(size, dim[i], &size);
    if (n < 0)
        return datum_error();
    if (!fits || size != type_elements(in) / in->dim[0])
        return layer_fail(c, "shape", "%s has other elements than that",
                          shape_text(in, c->el->arena));
    Attr attr = attr_ints("shape", dim, n + 1);
    return layer_result(layer_node(c, &op_reshape, &x, 1, &attr, 1));
}

const Layer layer_reshape = {
    .name = "reshape",
    .doc = "The same elements, row by row, in another shape",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                                   {"shape", PARAM_ANY, NULL,
                                    .doc = "as in [8, 64], without the batch"},
                                   {0}},
    .build = build_reshape,
};

static Datum build_transpose(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    const Type *in = layer_type(c, x);
    int64_t order[MAX_RANK] = {0};
    int n = numbers(c, "order", order + 1, MAX_RANK - 1);
    bool seen[MAX_RANK] = {false};
    bool good = n == in->rank - 1;
    for (int i = 1; good && i <= n; i++) {
        order[i] = dimension(c, "order", order[i], in);
        if (!order[i])
            return datum_error();
        good = !seen[order[i]];
        seen[order[i]] = true;
    }
    if (n < 0)
        return datum_error();
    if (!good)
        return layer_fail(c, "order", "must name each dimension of %s once",
                          shape_text(in, c->el->arena));
    Attr attr = attr_ints("order", order, n + 1);
    return layer_result(layer_node(c, &op_transpose, &x, 1, &attr, 1));
}

const Layer layer_transpose = {
    .name = "transpose",
    .doc = "The dimensions in another order",
    .params =
        (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                             {"order", PARAM_ANY, NULL,
                              .doc = "[1, 0] exchanges the two dimensions of "
                                     "[rows, columns]"},
                             {0}},
    .build = build_transpose,
};

/* ---- matmul ----------------------------------------------------------------
 */

static Datum build_matmul(LayerCall *c)
{
    Value in[] = {layer_tensor(c, "x"), layer_tensor(c, "y")};
    Type a = *layer_type(c, in[0]), b = *layer_type(c, in[1]);
    bool turned = layer_bool(c, "transpose");
    int last = a.rank - 1;
    bool fits = a.rank == b.rank && a.rank >= 3;
    for (int d = 1; fits && d < last - 1; d++)
        fits = a.dim[d] == b.dim[d];
    if (!fits || a.dim[last] != b.dim[turned ? last : last - 1])
        return layer_fail(c, "y",
                          "%s and %s%s: the rows of the one must be as long as "
                          "the columns of the other, other dimensions equal",
                          shape_text(&a, c->el->arena),
                          shape_text(&b, c->el->arena),
                          turned ? " transposed" : "");
    Attr attr = attr_bool("transpose_b", turned);
    return layer_result(layer_node(c, &op_matmul, in, 2, &attr, 1));
}

const Layer layer_matmul = {
    .name = "matmul",
    .doc = "The product of matrices, [.., m, k] and [.., k, n] to [.., m, n]",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                                   {"y", PARAM_TENSOR, .value = NULL},
                                   {"transpose", PARAM_BOOL, "false",
                                    .doc = "y is [.., n, k]"},
                                   {0}},
    .build = build_matmul,
};

/* ---- softmax ----------------------------------------------------------------
 */

static Datum build_softmax(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    int d = dimension(c, "axis", layer_int(c, "axis"), layer_type(c, x));
    Attr axis = attr_int("axis", d);
    return d ? layer_result(layer_node(c, &op_softmax, &x, 1, &axis, 1))
             : datum_error();
}

const Layer layer_softmax = {
    .name = "softmax",
    .doc = "exp(x) over its sum along one dimension",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                                   {"axis", PARAM_INT, "0", -8, 8,
                                    .doc = "the dimension: 0 is channels or "
                                           "features, -1 the last"},
                                   {0}},
    .build = build_softmax,
};

/* ---- layer norm ------------------------------------------------------------
 */

static Datum build_layer_norm(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    Type in = *layer_type(c, x);
    int64_t given = layer_given(c, "axis") ? layer_int(c, "axis")
                    : in.rank == 4         ? 0
                                           : -1;
    int axis = dimension(c, "axis", given, &in);
    if (!axis)
        return datum_error();
    Type type = type_make(in.dtype, 1, &in.dim[axis]);
    Value v[] = {
        x,
        layer_state(c, "weight", &type, STATE_PARAM, (Start){INIT_CONST, 1, 0}),
        layer_state(c, "bias", &type, STATE_PARAM, (Start){INIT_CONST, 0, 0})};
    Attr attr[] = {attr_ints("axes", (const int64_t[]){axis}, 1),
                   attr_float("eps", layer_number(c, "eps"))};
    return layer_result(layer_node(c, &op_layer_norm, v, 3, attr, 2));
}

const Layer layer_layer_norm = {
    .name = "layer_norm",
    .doc =
        "Each place of an example normalised over one dimension, then scaled "
        "and shifted. States: `weight` and `bias`, as long as that dimension",
    .owns = true,
    .params =
        (const LayerParam[]){
            {"x", PARAM_TENSOR, .value = NULL},
            {"axis", PARAM_INT, "", -8, 8,
             .doc = "the dimension, counted from 0, or from the end by -1; by "
                    "default the channels of an image, of others the last"},
            {"eps", PARAM_NUMBER, "1e-5", 1e-30, 1,
             .doc = "added to the variance"},
            {0}},
    .build = build_layer_norm,
};

/* ---- weights that stand alone ----------------------------------------------
 */

/* The same for every example of the batch. */
static Datum build_weight(LayerCall *c)
{
    int64_t dim[MAX_RANK], axes[MAX_RANK];
    int n = numbers(c, "shape", dim, MAX_RANK - 2);
    bool good = n > 0;
    for (int i = 0; good && i < n; i++) {
        good = dim[i] > 0 && dim[i] <= INT32_MAX;
        axes[i] = i + 1;
    }
    if (n < 0)
        return datum_error();
    if (!good)
        return layer_fail(c, "shape", "wants sizes of at least 1, as in [64]");
    Type like = *layer_type(c, layer_tensor(c, "like"));
    Type type = type_make(like.dtype, n, dim);
    Value w = layer_state(
        c, "weight", &type, STATE_PARAM,
        (Start){INIT_NORMAL, layer_number(c, "mean"), layer_number(c, "std")});
    if (!w.node)
        return datum_error();
    Type wide = {.dtype = like.dtype, .rank = (uint8_t)(n + 1)};
    wide.dim[0] = like.dim[0];
    for (int i = 0; i < n; i++)
        wide.dim[i + 1] = dim[i];
    return layer_result(layer_broadcast(c, w, &wide, axes, n));
}

const Layer layer_weight = {
    .name = "weight",
    .doc = "Numbers that are trained, the same for every example: positions, "
           "scales. State: `weight`",
    .owns = true,
    .params =
        (const LayerParam[]){
            {"like", PARAM_TENSOR, .value = NULL,
             .doc = "a tensor beside which it will stand"},
            {"shape", PARAM_ANY, NULL, .doc = "as in [64, 192]"},
            {"mean", PARAM_NUMBER, "0", -1e6, 1e6, .doc = "of start values"},
            {"std", PARAM_NUMBER, "0.02", 0, 1e6,
             .doc = "of start values, normal"},
            {0}},
    .build = build_weight,
};

/* ---- rows by their numbers -------------------------------------------------
 */

/* So that a number that the table has no row for is found when data is read:
 * where x is the net's input, and not a part of it. */
static bool note_rows(const LayerCall *c, Value x, int64_t rows)
{
    Settings *settings = &c->el->module->settings;
    const Node *from = graph_node(c->el->graph, x);
    char error[MAX_TEXT];
    while (node_is(from, &op_cast) || node_is(from, &op_reshape))
        from = graph_node(c->el->graph, from->in[0]);
    SettingValue n = {.type = SET_INT, .number = (double)rows};
    if (!node_is(from, &op_input) ||
        settings_set(settings, c->el->module->arena, "data.rows", n, 0, error,
                     sizeof error))
        return true;
    layer_fail(c, "rows", "%s", error);
    return false;
}

static Datum build_embed(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    Type in = *layer_type(c, x);
    if (in.rank >= MAX_RANK - 1)
        return layer_fail(c, "x", "%s has too many dimensions",
                          shape_text(&in, c->el->arena));
    const int64_t dim[] = {layer_int(c, "rows"), layer_int(c, "features")};
    Type type = type_make(in.dtype, 2, dim);
    if (!note_rows(c, x, dim[0]))
        return datum_error();
    Value w = layer_state(c, "weight", &type, STATE_PARAM,
                          (Start){INIT_NORMAL, 0, layer_number(c, "std")});
    Attr whole = attr_dtype("dtype", DT_I32);
    Value index = layer_node(c, &op_cast, &x, 1, &whole, 1);
    return layer_result(
        layer_node(c, &op_gather, (Value[]){w, index}, 2, NULL, 0));
}

const Layer layer_embed = {
    .name = "embed",
    .doc = "Each number of x, whole, becomes the row of a table that it counts "
           "from 0: [n] to [n, features]. Where x is the net's input, other "
           "numbers in the data are an error; else they make the loss not a "
           "number, which ends the run. State: `weight` [rows, features]",
    .owns = true,
    .params =
        (const LayerParam[]){
            {"x", PARAM_TENSOR, .value = NULL},
            {"rows", PARAM_INT, NULL, 1, 1 << 24, .doc = "of the table"},
            {"features", PARAM_INT, NULL, 1, 1e6, .doc = "of a row"},
            {"std", PARAM_NUMBER, "1", 0, 1e6,
             .doc = "of start values, normal"},
            {0}},
    .build = build_embed,
};
