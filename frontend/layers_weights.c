/* layers_weights.c: layers with weights: convolution, dense, batch norm.
 *
 * Names of states are PyTorch's, and so are the start values of biases and
 * batch norm.  Weights start as in He et al. 2015 (arXiv:1502.01852) unless
 * init says otherwise.
 */
#include "layers.h"
#include "layers_all.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define INIT_PARAM(more, doc_more)                                             \
    {                                                                          \
        "init", PARAM_WORD,                                                    \
            .value = "he", .words = "he xavier lecun zeros" more,              \
            .doc =                                                             \
                "start values: `he` normal with variance 2 / fan-in, `lecun` " \
                "normal with 1 / fan-in, `xavier` uniform within "             \
                "sqrt(6 / (fan-in + fan-out)), `zeros`" doc_more               \
    }
#define WHITEN_DOC                                                             \
    "; `whiten`, for a first layer that is then frozen: the principal "        \
    "components of the training images' patches, the strongest first, each "   \
    "divided by its standard deviation, then the same with the other sign"

enum { PATCH_MOST = 512 }; /* values; the components take its cube */
#define PATCH_EPS 5e-4     /* added to variances that are divided by */

static Start weight_start(const LayerCall *c, double fan_in, double fan_out)
{
    const char *init = layer_word(c, "init");
    if (!strcmp(init, "zeros"))
        return (Start){INIT_CONST, 0, 0};
    if (!strcmp(init, "lecun"))
        return (Start){INIT_NORMAL, 0, sqrt(1 / fan_in)};
    if (!strcmp(init, "he"))
        return (Start){INIT_NORMAL, 0, sqrt(2 / fan_in)};
    if (!strcmp(init, "whiten"))
        return (Start){INIT_PATCHES, PATCH_EPS, sqrt(1 / fan_in)};
    double bound = sqrt(6 / (fan_in + fan_out));
    return (Start){INIT_UNIFORM, -bound, bound};
}

/* y + bias along channels, dimension 1. */
static Value add_bias(LayerCall *c, Value y, double fan_in)
{
    if (!layer_bool(c, "bias") || !y.node)
        return y;
    Type like = *layer_type(c, y);
    Type type = type_make(like.dtype, 1, &like.dim[1]);
    double bound = 1 / sqrt(fan_in);
    Value b = layer_state(c, "bias", &type, STATE_PARAM,
                          (Start){INIT_UNIFORM, -bound, bound});
    Value wide = layer_broadcast(c, b, &like, (const int64_t[]){1}, 1);
    return layer_binary(c, &op_add, y, wide);
}

/* ---- conv
 * ----------------------------------------------------------------------- */

typedef struct Geometry {
    int64_t kernel[2], stride[2], dilation[2], pad[2], groups;
} Geometry;

static Geometry geometry_of(const LayerCall *c)
{
    Geometry g = {.groups = layer_int(c, "groups")};
    layer_pair(c, "kernel", g.kernel);
    layer_pair(c, "stride", g.stride);
    layer_pair(c, "dilation", g.dilation);
    if (layer_given(c, "pad"))
        layer_pair(c, "pad", g.pad);
    else
        for (int i = 0; i < 2; i++)
            g.pad[i] = (g.kernel[i] - 1) * g.dilation[i] / 2;
    return g;
}

/* What conv's own message would not say in the words of the model. */
static bool check_conv(LayerCall *c, const Type *x, const Geometry *g)
{
    int64_t channels = layer_int(c, "channels");
    if (x->rank != 4)
        layer_fail(c, "x", "wants [channels, height, width], not %s",
                   shape_text(x, c->el->arena));
    else if (x->dim[1] % g->groups)
        layer_fail(c, "groups",
                   "%" PRId64 " groups do not divide the %" PRId64
                   " channels of x",
                   g->groups, x->dim[1]);
    else if (channels % g->groups)
        layer_fail(c, "groups",
                   "%" PRId64 " groups do not divide the %" PRId64
                   " channels of the result",
                   g->groups, channels);
    else
        return true;
    return false;
}

/* Does the convolution see the images themselves, each patch by all filters?
 * In evaluation they may be mirrored before: training's answer counts. */
static bool check_whiten(LayerCall *c, Value x, const Type *w,
                         const Geometry *g)
{
    const Node *from = graph_node(c->el->graph, x);
    int64_t patch = w->dim[1] * w->dim[2] * w->dim[3];
    if (strcmp(layer_word(c, "init"), "whiten"))
        return true;
    if (node_is(from, &op_cast))
        from = graph_node(c->el->graph, from->in[0]);
    if (c->el->training && !node_is(from, &op_input))
        layer_fail(c, "x",
                   "init = whiten is for the layer that takes the "
                   "images of the net");
    else if (g->groups > 1 || g->dilation[0] > 1 || g->dilation[1] > 1)
        layer_fail(c, g->groups > 1 ? "groups" : "dilation",
                   "init = whiten is for plain convolutions");
    else if (patch > PATCH_MOST)
        layer_fail(c, "kernel",
                   "init = whiten: a patch has %" PRId64
                   " values, the most is %d",
                   patch, PATCH_MOST);
    else if (w->dim[0] > 2 * patch)
        layer_fail(c, "channels",
                   "init = whiten: patches of %" PRId64
                   " values have as many components, so at most %" PRId64
                   " channels, not %" PRId64,
                   patch, 2 * patch, w->dim[0]);
    else
        return true;
    return false;
}

static Datum build_conv(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    Type in = *layer_type(c, x);
    Geometry g = geometry_of(c);
    if (!check_conv(c, &in, &g))
        return datum_error();
    int64_t channels = layer_int(c, "channels");
    Type type = type_make(in.dtype, 4,
                          (const int64_t[]){channels, in.dim[1] / g.groups,
                                            g.kernel[0], g.kernel[1]});
    double window = (double)g.kernel[0] * (double)g.kernel[1];
    double fan_in = (double)type.dim[1] * window;
    double fan_out = (double)(channels / g.groups) * window;
    if (!check_whiten(c, x, &type, &g))
        return datum_error();
    Value w = layer_state(c, "weight", &type, STATE_PARAM,
                          weight_start(c, fan_in, fan_out));
    Attr attr[] = {
        attr_ints("stride", g.stride, 2), attr_ints("dilation", g.dilation, 2),
        attr_ints("pad_low", g.pad, 2), attr_ints("pad_high", g.pad, 2),
        attr_int("groups", g.groups)};
    Value y = layer_node(c, &op_conv, (Value[]){x, w}, 2, attr, 5);
    return layer_result(add_bias(c, y, fan_in));
}

const Layer layer_conv = {
    .name = "conv",
    .doc = "Convolution of [channels, height, width]. States: `weight` "
           "[channels, input channels / groups, kernel height, kernel width] "
           "and `bias` [channels]",
    .owns = true,
    .params =
        (const LayerParam[]){
            {"x", PARAM_TENSOR, .value = NULL},
            {"channels", PARAM_INT, NULL, 1, 1e6, .doc = "of the result"},
            {"kernel", PARAM_PAIR, NULL, 1, 1e6,
             .doc = "side of the window, or [height, width]"},
            {"stride", PARAM_PAIR, "1", 1, 1e6, .doc = "between windows"},
            {"pad", PARAM_PAIR, "", 0, 1e6,
             .doc = "zeros on each side; by default (kernel - 1) * dilation / "
                    "2, rounded down, which keeps the size for odd kernels"},
            {"dilation", PARAM_PAIR, "1", 1, 1e6,
             .doc = "between the taps of a window"},
            {"groups", PARAM_INT, "1", 1, 1e6,
             .doc = "each group of channels sees its own part of the input"},
            {"bias", PARAM_BOOL, "true",
             .doc = "a number added to each channel"},
            INIT_PARAM(" whiten", WHITEN_DOC),
            {0}},
    .build = build_conv,
};

/* ---- dense
 * ---------------------------------------------------------------------- */

static Datum build_dense(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    Type in = *layer_type(c, x);
    if (in.rank != 2 && in.rank != 3)
        return layer_fail(c, "x",
                          "wants [features], not %s; flatten(x) or "
                          "mean(x, over = [height, width]) makes that",
                          shape_text(&in, c->el->arena));
    int64_t units = layer_int(c, "units");
    int64_t features = in.dim[in.rank - 1];
    int64_t rows[] = {in.dim[0] * in.dim[1], features};
    int64_t back[] = {in.dim[0], in.dim[1], units};
    Type type = type_make(in.dtype, 2, (const int64_t[]){units, features});
    double fan_in = (double)features;
    Value w = layer_state(c, "weight", &type, STATE_PARAM,
                          weight_start(c, fan_in, (double)units));
    Attr attr = attr_bool("transpose_b", true);
    Attr flat = attr_ints("shape", rows, 2),
         whole = attr_ints("shape", back, 3);
    if (in.rank == 3)
        x = layer_node(c, &op_reshape, &x, 1, &flat, 1);
    Value y = layer_node(c, &op_matmul, (Value[]){x, w}, 2, &attr, 1);
    y = add_bias(c, y, fan_in);
    if (in.rank == 3)
        y = layer_node(c, &op_reshape, &y, 1, &whole, 1);
    return layer_result(y);
}

const Layer layer_dense = {
    .name = "dense",
    .doc = "Every unit sees every feature: [features] to [units], and "
           "[rows, features] to [rows, units], row by row. States: "
           "`weight` [units, features] and `bias` [units]",
    .owns = true,
    .params =
        (const LayerParam[]){
            {"x", PARAM_TENSOR, .value = NULL},
            {"units", PARAM_INT, NULL, 1, 1e9, .doc = "features of the result"},
            {"bias", PARAM_BOOL, "true", .doc = "a number added to each unit"},
            INIT_PARAM("", ""),
            {0}},
    .build = build_dense,
};

/* ---- batch norm
 * ----------------------------------------------------------------- */

/* running = (1 - momentum) running + momentum * now */
static void update_running(LayerCall *c, const char *name, Value running,
                           Value now)
{
    double momentum = layer_number(c, "momentum");
    if (!running.node || !now.node)
        return;
    Type type = *layer_type(c, running);
    Value kept =
        layer_binary(c, &op_mul, running, layer_const(c, &type, 1 - momentum));
    Value add = layer_binary(c, &op_mul, now, layer_const(c, &type, momentum));
    layer_update(c, name, layer_binary(c, &op_add, kept, add));
}

/* Statistics of the batch; PyTorch keeps the unbiased variance. */
static Value norm_training(LayerCall *c, const Value in[5], const Type *x,
                           const Attr *eps)
{
    double n = (double)type_elements(x) / (double)x->dim[1];
    if (n < 2) {
        layer_fail(c, NULL,
                   "one value a channel has no variance (batch 1, "
                   "and nothing but channels)");
        return NO_VALUE;
    }
    Value y = layer_node(c, &op_batch_norm, in, 3, eps, 1);
    if (!y.node)
        return y;
    Value mean = node_value(y.node, 1), var = node_value(y.node, 2);
    Type type = *layer_type(c, var);
    Value unbiased =
        layer_binary(c, &op_mul, var, layer_const(c, &type, n / (n - 1)));
    update_running(c, "running_mean", in[3], mean);
    update_running(c, "running_var", in[4], unbiased);
    return y;
}

static Datum build_batch_norm(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    Type in = *layer_type(c, x);
    Type type = type_make(in.dtype, 1, &in.dim[1]);
    const Start one = {INIT_CONST, 1, 0}, zero = {INIT_CONST, 0, 0};
    Value v[] = {
        x,
        layer_state(c, "weight", &type, STATE_PARAM, one),
        layer_state(c, "bias", &type, STATE_PARAM, zero),
        layer_state(c, "running_mean", &type, STATE_BUFFER, zero),
        layer_state(c, "running_var", &type, STATE_BUFFER, one),
    };
    Attr eps = attr_float("eps", layer_number(c, "eps"));
    if (c->el->training)
        return layer_result(norm_training(c, v, &in, &eps));
    return layer_result(layer_node(c, &op_batch_norm_inference, v, 5, &eps, 1));
}

const Layer layer_batch_norm = {
    .name = "batch_norm",
    .doc = "Each channel normalised by the mean and the variance of the batch, "
           "in evaluation by running ones, then scaled and shifted. States: "
           "`weight`, `bias`, `running_mean`, `running_var`, each [channels]",
    .owns = true,
    .params =
        (const LayerParam[]){
            {"x", PARAM_TENSOR, .value = NULL},
            {"eps", PARAM_NUMBER, "1e-5", 1e-30, 1e6,
             .doc = "added to the variance"},
            {"momentum", PARAM_NUMBER, "0.1", 1e-12, 1,
             .doc = "weight of the newest batch in the running statistics"},
            {0}},
    .build = build_batch_norm,
};
