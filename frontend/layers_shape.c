/* layers_shape.c: layers that change shapes: pools, means, padding, slices.
 *
 * Dimension 0 is the batch, and no layer touches it. */
#include "layers.h"
#include "layers_all.h"
#include <inttypes.h>
#include <string.h>

#define AXIS_WORDS "channels height width"

/* The dimension that a word means; 0 after a message. */
static int axis_of(LayerCall *c, const char *param, const char *word,
                   const Type *x)
{
    int axis = !strcmp(word, "channels") ? 1 : !strcmp(word, "height") ? 2 : 3;
    if (axis < x->rank)
        return axis;
    layer_fail(c, param, "%s has no %s", shape_text(x, c->el->arena), word);
    return 0;
}

/* ---- pools
 * ---------------------------------------------------------------------- */

#define POOL_PARAMS                                                            \
    {"x", PARAM_TENSOR, .value = NULL},                                        \
        {"size", PARAM_PAIR, NULL,                                             \
         1,      1e6,        .doc = "of a window, or [height, width]"},        \
        {"stride", PARAM_PAIR, "",                                             \
         1,        1e6,        .doc = "between windows; by default size"},     \
    {                                                                          \
        "pad", PARAM_PAIR, "0", 0, 1e6, .doc = "on each side"                  \
    }

static Value pool(LayerCall *c, const OpDesc *op, const Attr *more, int n_more)
{
    Value x = layer_tensor(c, "x");
    int64_t size[2], stride[2], pad[2], one[2] = {1, 1};
    layer_pair(c, "size", size);
    layer_pair(c, layer_given(c, "stride") ? "stride" : "size", stride);
    layer_pair(c, "pad", pad);
    const Type *in = layer_type(c, x);
    if (in->rank != 4) {
        layer_fail(c, "x", "wants [channels, height, width], not %s",
                   shape_text(in, c->el->arena));
        return NO_VALUE;
    }
    Attr attr[6] = {attr_ints("size", size, 2), attr_ints("stride", stride, 2),
                    attr_ints("dilation", one, 2), attr_ints("pad_low", pad, 2),
                    attr_ints("pad_high", pad, 2)};
    if (n_more)
        attr[5] = *more;
    return layer_node(c, op, &x, 1, attr, 5 + n_more);
}

static Datum build_max_pool(LayerCall *c)
{
    return layer_result(pool(c, &op_max_pool, NULL, 0));
}

const Layer layer_max_pool = {
    .name = "max_pool",
    .doc = "The largest element of each window",
    .params = (const LayerParam[]){POOL_PARAMS, {0}},
    .build = build_max_pool,
};

static Datum build_avg_pool(LayerCall *c)
{
    Attr count = attr_bool("count_include_pad", layer_bool(c, "count_pad"));
    return layer_result(pool(c, &op_avg_pool, &count, 1));
}

const Layer layer_avg_pool = {
    .name = "avg_pool",
    .doc = "The mean of each window",
    .params =
        (const LayerParam[]){POOL_PARAMS,
                             {"count_pad", PARAM_BOOL, "true",
                              .doc = "do the zeros of the padding count?"},
                             {0}},
    .build = build_avg_pool,
};

/* ---- mean, flatten
 * ----------------------------------------------------- */

/* The dimensions in `over`, increasing, each once; 0 after a message. */
static int axes_of(LayerCall *c, const Type *x, int64_t axes[3])
{
    Datum over = c->arg[layer_index(c, "over")];
    bool wanted[4] = {false};
    if (!layer_given(c, "over"))
        for (int d = 1; d < 4; d++)
            wanted[d] = x->rank > 2 ? d > 1 && d < x->rank : d < x->rank;
    else
        for (size_t i = 0; i < over.list.n; i++) {
            int d = axis_of(c, "over", over.list.item[i].s, x);
            if (!d)
                return 0;
            wanted[d] = true;
        }
    int n = 0;
    for (int d = 1; d < 4; d++)
        if (wanted[d])
            axes[n++] = d;
    return n;
}

static Datum build_mean(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    Type in = *layer_type(c, x);
    int64_t axes[3];
    int n = axes_of(c, &in, axes);
    if (n == 0)
        return datum_error();
    if (n == in.rank - 1)
        return layer_fail(c, NULL, "nothing would be left of %s",
                          shape_text(&in, c->el->arena));
    double count = 1;
    for (int i = 0; i < n; i++)
        count *= (double)in.dim[axes[i]];
    Attr attr = attr_ints("axes", axes, n);
    Value sum = layer_node(c, &op_reduce_sum, &x, 1, &attr, 1);
    if (!sum.node)
        return datum_error();
    Type out = *layer_type(c, sum);
    return layer_result(
        layer_binary(c, &op_mul, sum, layer_const(c, &out, 1 / count)));
}

const Layer layer_mean = {
    .name = "mean",
    .doc = "The mean over dimensions, which the result no longer has",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                                   {"over", PARAM_AXES, "", .words = AXIS_WORDS,
                                    .doc = "some of channels, height, width; "
                                           "by default [height, width]"},
                                   {0}},
    .build = build_mean,
};

static Datum build_flatten(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    const Type *in = layer_type(c, x);
    int64_t dim[2] = {in->dim[0], type_elements(in) / in->dim[0]};
    Attr shape = attr_ints("shape", dim, 2);
    return layer_result(layer_node(c, &op_reshape, &x, 1, &shape, 1));
}

const Layer layer_flatten = {
    .name = "flatten",
    .doc = "[channels, height, width] to [features], row by row, channel by "
           "channel",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL}, {0}},
    .build = build_flatten,
};

/* ---- pad, slice, subsample
 * ------------------------------------------------------ */

static Value pad_by(LayerCall *c, Value x, const int64_t *low,
                    const int64_t *high, double value)
{
    int64_t step[MAX_RANK];
    int rank = layer_type(c, x)->rank;
    for (int i = 0; i < rank; i++)
        step[i] = 1;
    Attr attr[] = {attr_ints("low", low, rank), attr_ints("high", high, rank),
                   attr_ints("step", step, rank), attr_float("value", value)};
    return layer_node(c, &op_pad, &x, 1, attr, 4);
}

static Datum build_pad(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    const Type *in = layer_type(c, x);
    static const char *const side[] = {"", "channels", "height", "width"};
    int64_t low[MAX_RANK] = {0}, high[MAX_RANK] = {0}, ends[2];
    bool any = false;
    for (int d = 1; d < 4; d++) {
        if (!layer_given(c, side[d]))
            continue;
        if (!axis_of(c, side[d], side[d], in))
            return datum_error();
        layer_pair(c, side[d], ends);
        low[d] = ends[0];
        high[d] = ends[1];
        any = any || ends[0] || ends[1];
    }
    if (!any)
        return datum_tensor(x);
    return layer_result(pad_by(c, x, low, high, layer_number(c, "value")));
}

const Layer layer_pad = {
    .name = "pad",
    .doc = "A value around the tensor",
    .params =
        (const LayerParam[]){
            {"x", PARAM_TENSOR, .value = NULL},
            {"channels", PARAM_ENDS, "0", 0, 1e9,
             .doc = "how many before and behind, or [before, behind]"},
            {"height", PARAM_ENDS, "0", 0, 1e9, .doc = "likewise"},
            {"width", PARAM_ENDS, "0", 0, 1e9, .doc = "likewise"},
            {"value", PARAM_NUMBER, "0", .doc = "of the new elements"},
            {0}},
    .build = build_pad,
};

static Value slice_by(LayerCall *c, Value x, const int64_t *start,
                      const int64_t *stop, const int64_t *step)
{
    int rank = layer_type(c, x)->rank;
    Attr attr[] = {attr_ints("start", start, rank),
                   attr_ints("stop", stop, rank),
                   attr_ints("step", step, rank)};
    return layer_node(c, &op_slice, &x, 1, attr, 3);
}

static Datum build_slice(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    const Type *in = layer_type(c, x);
    int axis = axis_of(c, "axis", layer_word(c, "axis"), in);
    int64_t begin = layer_int(c, "begin"), end = layer_int(c, "end");
    int64_t start[MAX_RANK] = {0}, stop[MAX_RANK], step[MAX_RANK];
    if (!axis)
        return datum_error();
    if (begin >= end || end > in->dim[axis])
        return layer_fail(c, "begin",
                          "%" PRId64 " up to %" PRId64
                          " is no piece of %" PRId64 " %s",
                          begin, end, in->dim[axis], layer_word(c, "axis"));
    for (int i = 0; i < in->rank; i++) {
        stop[i] = in->dim[i];
        step[i] = 1;
    }
    start[axis] = begin;
    stop[axis] = end;
    step[axis] = layer_int(c, "step");
    return layer_result(slice_by(c, x, start, stop, step));
}

const Layer layer_slice = {
    .name = "slice",
    .doc = "Every step-th element along one dimension, from begin up to, not "
           "including, end",
    .params =
        (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                             {"axis", PARAM_WORD, .value = NULL,
                              .words = AXIS_WORDS,
                              .doc = "channels, height or width"},
                             {"begin", PARAM_INT, .low = 0, .high = 1e18},
                             {"end", PARAM_INT, .low = 1, .high = 1e18},
                             {"step", PARAM_INT, "1", .low = 1, .high = 1e18},
                             {0}},
    .build = build_slice,
};

static Datum build_subsample(LayerCall *c)
{
    Value x = layer_tensor(c, "x");
    const Type *in = layer_type(c, x);
    int64_t start[MAX_RANK] = {0}, stop[MAX_RANK], step[MAX_RANK], stride[2];
    if (in->rank != 4)
        return layer_fail(c, "x", "wants [channels, height, width], not %s",
                          shape_text(in, c->el->arena));
    layer_pair(c, "stride", stride);
    if (stride[0] == 1 && stride[1] == 1)
        return datum_tensor(x);
    for (int i = 0; i < 4; i++) {
        stop[i] = in->dim[i];
        step[i] = i < 2 ? 1 : stride[i - 2];
    }
    return layer_result(slice_by(c, x, start, stop, step));
}

const Layer layer_subsample = {
    .name = "subsample",
    .doc = "Every stride-th row and column, from the first",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                                   {"stride", PARAM_PAIR, NULL, 1, 1e9,
                                    .doc = "or [height, width]"},
                                   {0}},
    .build = build_subsample,
};

/* ---- concat
 * --------------------------------------------------------------------- */

/* Both padded to the whole, and added. */
static Datum build_concat(LayerCall *c)
{
    Value x = layer_tensor(c, "x"), y = layer_tensor(c, "y");
    Type a = *layer_type(c, x), b = *layer_type(c, y);
    int64_t zero[MAX_RANK] = {0}, before[MAX_RANK] = {0},
            behind[MAX_RANK] = {0};
    Type rest = b;
    rest.dim[1] = a.dim[1];
    if (!type_same_shape(&a, &rest))
        return layer_fail(c, "y", "%s and %s differ in more than channels",
                          shape_text(&a, c->el->arena),
                          shape_text(&b, c->el->arena));
    behind[1] = b.dim[1];
    before[1] = a.dim[1];
    return layer_result(layer_binary(c, &op_add, pad_by(c, x, zero, behind, 0),
                                     pad_by(c, y, before, zero, 0)));
}

const Layer layer_concat = {
    .name = "concat",
    .doc = "The channels (or features) of x, then those of y",
    .params = (const LayerParam[]){{"x", PARAM_TENSOR, .value = NULL},
                                   {"y", PARAM_TENSOR, .value = NULL},
                                   {0}},
    .build = build_concat,
};
