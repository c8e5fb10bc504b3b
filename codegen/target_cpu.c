/* target_cpu.c: what the passes are told about the cpu.
 *
 * Convolutions and matrix products go to the library (runtime/lib.h), as calls
 * of one thread on pieces of the batch; everything else is generated.  All
 * choices are functions of shapes, and of what the library can do here. */
#include "build.h"
#include "codegen.h"
#include "estimate.h"
#include "libcall.h"
#include "pieces.h"
#include "rows.h"
#include "scratch.h"
#include "targets.h"
#include <string.h>

enum {
    CALLS_WANTED = 16,       /* pieces of a batch: for as many cores */
    CALL_BYTES = 512 * 1024, /* of a piece: stays in the cache */
    WINOGRAD_LEAST = 4,      /* rows and columns of a result */
    SLOTS_LEAST = 8,         /* partial results of a weight gradient */
    SLOTS_MOST = 16,
    SLOT_BYTES = 16 * 1024 * 1024, /* for all of them */
    CALL_FLOPS = 1024 * 1024,      /* less is not worth a call of its own */
    SPLITS_MOST = 32,
    SPLIT_ELEMENTS = 8 * 1024 /* of a partial sum, at least */
};

/* ---- pieces ------------------------------------------------------------- */

/* Images to a call of a convolution between x and y. */
static int64_t images_per_call(const Type *x, const Type *y)
{
    int64_t batch = x->dim[0];
    int64_t image = (type_bytes(x) + type_bytes(y)) / batch;
    int64_t most = CALL_BYTES / image;
    if (most > batch / CALLS_WANTED)
        most = batch / CALLS_WANTED;
    return divisor_up_to(batch, most);
}

/* Partial results of a weight gradient: enough for some cores, and small
 * enough together. */
static int64_t weight_slots(int64_t batch, int64_t packed_bytes)
{
    int64_t most = SLOT_BYTES / packed_bytes;
    int64_t slots = divisor_up_to(batch, most < SLOTS_MOST ? most : SLOTS_MOST);
    if (slots >= SLOTS_LEAST || most <= SLOTS_MOST)
        return slots;
    for (int64_t more = SLOTS_MOST + 1; more <= most && more <= batch; more++)
        if (batch % more == 0)
            return more;
    return slots;
}

/* ---- convolutions ------------------------------------------------------- */

typedef struct Call {
    Graph *g;
    const Node *n; /* of the graph that is rewritten */
    Type x, w, y;  /* of a convolution */
    bool winograd; /* as runtime/winograd.h does it */
} Call;

static void copy_ints(int64_t *to, const Node *n, const char *attr)
{
    int count;
    const int64_t *v = node_ints(n, attr, &count);
    for (int i = 0; i < count; i++)
        to[i] = v[i];
}

static void conv_desc(const Call *c, int kind, int64_t call, LibDesc *d)
{
    memset(d, 0, sizeof *d);
    d->kind = (uint8_t)kind;
    d->dtype = (uint8_t)c->x.dtype;
    d->wide = (uint8_t)dtype_wide(c->x.dtype);
    d->spatial = (uint8_t)(c->x.rank - 2);
    d->batch = call;
    d->groups = node_int(c->n, "groups");
    d->in_channels = c->x.dim[1];
    d->out_channels = c->w.dim[0];
    for (int i = 0; i < d->spatial; i++) {
        d->in[i] = c->x.dim[2 + i];
        d->out[i] = c->y.dim[2 + i];
        d->kernel[i] = c->w.dim[2 + i];
    }
    d->winograd = c->winograd;
    copy_ints(d->stride, c->n, "stride");
    copy_ints(d->dilation, c->n, "dilation");
    copy_ints(d->pad_low, c->n, "pad_low");
    copy_ints(d->pad_high, c->n, "pad_high");
}

/* Is it one that winograd.h does, and faster?  Tiles that reach past small
 * images cost as much as others. */
static bool wants_winograd(const Call *c, int kind)
{
    LibDesc d;
    const Settings *s = &c->g->module->settings;
    conv_desc(c, kind, 1, &d);
    return settings_number(s, "winograd") != 0 && lib_winograd_fits(&d) &&
           d.out[0] >= WINOGRAD_LEAST && d.out[1] >= WINOGRAD_LEAST;
}

/* Elements of the packed weights; 0: the library cannot do it. */
static int64_t packed_elements(const Call *c, int kind, int64_t call)
{
    LibDesc d;
    LibInfo info;
    char error[MAX_TEXT];
    conv_desc(c, kind, call, &d);
    if (!lib_query(&d, &info, error, sizeof error))
        return 0;
    DType dtype = kind == LIB_CONV_GRAD_WEIGHT ? d.wide : d.dtype;
    int64_t size = (int64_t)dtype_size(dtype);
    return (info.packed_bytes + size - 1) / size;
}

/* Attributes of a library node: those of a call, then `more`. */
static Value conv_node(const Call *c, const OpDesc *op, const Value *in,
                       int n_in, int64_t call, const Attr *more, int n_more)
{
    Attr attr[12] = {
        attr_ints("kernel", &c->w.dim[2], c->w.rank - 2),
        *node_attr(c->n, "stride"),
        *node_attr(c->n, "pad_low"),
        *node_attr(c->n, "pad_high"),
        *node_attr(c->n, "dilation"),
        *node_attr(c->n, "groups"),
        attr_int("call", call),
        attr_bool("winograd", c->winograd),
    };
    memcpy(&attr[8], more, (size_t)n_more * sizeof *more);
    return ir_node(c->g, op, in, n_in, attr, 8 + n_more);
}

/* The library reads channels-last alone. */
static Value channels_last(Graph *g, Value v)
{
    const Type *t = graph_type(g, v);
    Layout wanted = layout_channels_last(t->rank);
    if (t->layout == wanted)
        return v;
    Value copy = ir_unary(g, &op_copy, v);
    graph_node(g, copy)->type[0].layout = wanted;
    return copy;
}

static Value plain(Graph *g, Value v)
{
    if (graph_type(g, v)->layout == 0)
        return v;
    Value copy = ir_unary(g, &op_copy, v);
    graph_node(g, copy)->type[0].layout = 0;
    return copy;
}

/* What a value was before it was cast to half (and back). */
static Value uncast(const Graph *g, Value v)
{
    for (Value at = v; node_is(graph_node(g, at), &op_cast) ||
                       node_is(graph_node(g, at), &op_widen) ||
                       node_is(graph_node(g, at), &op_copy);) {
        at = graph_node(g, at)->in[0];
        if (graph_type(g, at)->dtype == DT_F32)
            v = at;
    }
    return v;
}

/* Weights that were cast to half are packed from what they were before: the
 * library rounds them on the way, so that no half copy lies in memory. */
static Value pack_weights(const Call *c, Value w, int kind, int64_t call,
                          int64_t packed)
{
    w = plain(c->g, uncast(c->g, w));
    if (c->winograd)
        w = ir_cast(c->g, w, DT_F32);
    Attr more[] = {attr_int("of", kind), attr_dtype("dtype", c->x.dtype),
                   attr_ints("size", &c->x.dim[2], c->x.rank - 2),
                   attr_int("packed", packed)};
    return conv_node(c, &op_lib_pack, &w, 1, call, more, 4);
}

static bool lower_conv(Call *c, const Value *in, Value *out)
{
    c->x = *graph_type(c->g, in[0]);
    c->w = *graph_type(c->g, in[1]);
    c->y = c->n->type[0];
    c->winograd = wants_winograd(c, LIB_CONV);
    int64_t call = images_per_call(&c->x, &c->y);
    int64_t packed = packed_elements(c, LIB_CONV, call);
    if (!packed)
        return false;
    Value x = channels_last(c->g, in[0]);
    Value w = pack_weights(c, in[1], LIB_CONV, call, packed);
    Attr more = attr_int("channels", c->w.dim[0]);
    out[0] = conv_node(c, &op_lib_conv, (Value[]){x, w}, 2, call, &more, 1);
    return true;
}

static bool lower_conv_grad_input(Call *c, const Value *in, Value *out)
{
    c->w = *graph_type(c->g, in[1]);
    c->y = *graph_type(c->g, in[0]);
    c->x = type_with_dtype(c->n->type[0], c->y.dtype);
    c->winograd = wants_winograd(c, LIB_CONV_GRAD_INPUT);
    int64_t call = images_per_call(&c->x, &c->y);
    int64_t packed = packed_elements(c, LIB_CONV_GRAD_INPUT, call);
    if (!packed)
        return false;
    Value dy = channels_last(c->g, in[0]);
    Value w = pack_weights(c, in[1], LIB_CONV_GRAD_INPUT, call, packed);
    Attr more = attr_ints("shape", c->x.dim, c->x.rank);
    out[0] = conv_node(c, &op_lib_conv_grad_input, (Value[]){dy, w}, 2, call,
                       &more, 1);
    return true;
}

static bool lower_conv_grad_weight(Call *c, const Value *in, Value *out)
{
    c->x = *graph_type(c->g, in[0]);
    c->w = c->n->type[0];
    c->y = *graph_type(c->g, in[1]);
    int64_t batch = c->x.dim[0];
    int64_t slots = weight_slots(batch, type_bytes(&c->w));
    c->winograd = wants_winograd(c, LIB_CONV_GRAD_WEIGHT);
    int64_t packed = packed_elements(c, LIB_CONV_GRAD_WEIGHT, batch / slots);
    if (!packed)
        return false;
    Value x = channels_last(c->g, in[0]), dy = channels_last(c->g, in[1]);
    Attr more[] = {attr_int("packed", packed)};
    Value parts = conv_node(c, &op_lib_conv_grad_weight, (Value[]){x, dy}, 2,
                            batch / slots, more, 1);
    Value sum = ir_reduce_sum(c->g, parts, (const int64_t[]){0}, 1);
    Attr unpack[] = {attr_int("of", LIB_CONV_GRAD_WEIGHT),
                     attr_dtype("dtype", c->x.dtype),
                     attr_ints("size", &c->x.dim[2], c->x.rank - 2),
                     attr_ints("shape", c->w.dim, c->w.rank)};
    out[0] = conv_node(c, &op_lib_unpack, &sum, 1, batch / slots, unpack, 4);
    return true;
}

/* ---- matrix product ----------------------------------------------------- */

static int64_t rows_per_call(const Type *a, const Type *y, bool transpose_a)
{
    int last = y->rank - 1;
    if (y->rank > 2)
        return y->dim[last - 1];
    int64_t k = a->dim[transpose_a ? last - 1 : last], m = y->dim[last - 1];
    int64_t calls = (int64_t)(2 * (double)m * (double)k * (double)y->dim[last] /
                              CALL_FLOPS);
    calls = calls > CALLS_WANTED ? CALLS_WANTED : calls;
    return m / divisor_up_to(m, calls);
}

static bool lower_matmul(Call *c, const Value *in, Value *out)
{
    Graph *g = c->g;
    const Node *n = c->n;
    Value a = plain(g, in[0]), b = plain(g, in[1]);
    int64_t rows =
        rows_per_call(graph_type(g, a), n->type, node_int(n, "transpose_a"));
    Attr attr[] = {*node_attr(n, "transpose_a"), *node_attr(n, "transpose_b"),
                   *node_attr(n, "wide"), attr_int("rows", rows)};
    Value y = ir_node(g, &op_lib_matmul, (Value[]){a, b}, 2, attr, 4);
    LibDesc d;
    LibInfo info;
    char error[MAX_TEXT];
    libcall_desc(g, graph_node(g, y), &d);
    if (!lib_query(&d, &info, error, sizeof error))
        return false; /* the node is never used, and dce removes it */
    out[0] = y;
    return true;
}

/* ---- the target --------------------------------------------------------- */

static const struct {
    const OpDesc *op;
    bool (*lower)(Call *c, const Value *in, Value *out);
} call_table[] = {
    {&op_conv, lower_conv},
    {&op_conv_grad_input, lower_conv_grad_input},
    {&op_conv_grad_weight, lower_conv_grad_weight},
    {&op_matmul, lower_matmul},
};
enum { N_CALLS = sizeof call_table / sizeof *call_table };

/* f16 as float32, so that it may be computed a piece at a time right before
 * the call: a view would have to be in memory as a whole. */
static Value as_wide(Graph *g, Value v, DType wide)
{
    if (graph_type(g, v)->dtype == wide)
        return v;
    return ir_unary(g, &op_copy, ir_unary(g, &op_widen, v));
}

/* The library computes in float32 and bf16 and leaves the rest to the generic
 * kernels; but f16 it gets as float32. */
static bool lower_call(Graph *g, const Node *n, const Value *in, Value *out)
{
    DType dtype = graph_type(g, in[0])->dtype;
    if (dtype != DT_F32 && dtype != DT_BF16 && dtype != DT_F16)
        return false;
    DType wide = dtype == DT_F16 ? DT_F32 : dtype;
    const Value operand[] = {as_wide(g, in[0], wide), as_wide(g, in[1], wide)};
    bool done = false;
    for (int i = 0; i < N_CALLS && !done; i++)
        if (node_is(n, call_table[i].op))
            done = call_table[i].lower(&(Call){.g = g, .n = n}, operand, out);
    if (done)
        out[0] = ir_cast(g, out[0], n->type[0].dtype);
    return done;
}

static bool cpu_lower(const Target *t, Graph *g, const Node *n, const Value *in,
                      Value *out)
{
    (void)t;
    if (node_is(n, &op_conv) || node_is(n, &op_conv_grad_input))
        return lower_call(g, n, in, out) || target_expand_conv(g, n, in, out);
    if (node_is(n, &op_conv_grad_weight) || node_is(n, &op_matmul))
        return lower_call(g, n, in, out);
    return rows_lower(g, n, in, out);
}

static int cpu_splits(const Target *t, const Type *operand, const int64_t *axes,
                      int n_axes)
{
    (void)t;
    int64_t reduced = 1;
    for (int i = 0; i < n_axes; i++)
        reduced *= operand->dim[axes[i]];
    int64_t kept = type_elements(operand) / reduced;
    /* Kept lanes come in tiles of some hundred: those are parts already. */
    if (kept / 256 >= CALLS_WANTED)
        return 1;
    int64_t splits = type_elements(operand) / SPLIT_ELEMENTS;
    splits = splits > SPLITS_MOST ? SPLITS_MOST : splits;
    splits = splits > reduced ? reduced : splits;
    return splits < 1 ? 1 : (int)splits;
}

/* What two cores of a server do about: only their ratios decide anything, so
 * that what is compiled does not depend on where. */
const Rates cpu_rates = {2e11, 3e10, 3e10, 2e-6};

static double cpu_seconds(const Target *t, const Graph *g, const Step *s)
{
    (void)t;
    StepCost c = step_cost(g, s);
    return step_roofline(&c, &cpu_rates);
}

/* A call runs on a piece of the batch, so what is elementwise around it does.
 * Operands that every call reads whole (weights) are made before. */
static Anchor cpu_anchor(const Target *t, const Graph *g, const Node *n)
{
    (void)t;
    if (rows_fits(g, n))
        return (Anchor){.pieces = 1};
    if (!node_has(n, T_LIBRARY) || node_is(n, &op_lib_pack) ||
        node_is(n, &op_lib_unpack))
        return (Anchor){0};
    LibParts p = libcall_parts(g, n);
    if (!piece_fits(&n->type[0], p.parts))
        return (Anchor){0};
    if (p.parts == 1) /* one thread would do all of it */
        return (Anchor){.pieces = 1};
    Anchor a = {.pieces = p.parts, .after = 1, .keeps = true};
    const int64_t bytes[] = {p.a_bytes, p.b_bytes};
    for (uint32_t i = 0; i < n->n_in; i++) {
        const Type *x = graph_type(g, n->in[i]);
        if (piece_fits(x, p.parts) && bytes[i] * p.parts == type_bytes(x))
            a.before |= 1u << i;
    }
    return a;
}

const Target target_cpu = {
    .name = "cpu",
    .layout = target_layout,
    .lower = cpu_lower,
    .splits = cpu_splits,
    .anchor = cpu_anchor,
    .scratch = cpu_scratch,
    /* As measured on ResNet-20 and -1202 (tests/bench/budgets.py). */
    .program_bytes = 8 << 20,
    .step_bytes = 512,
    .state_bytes = 512,
    .seconds = cpu_seconds,
};
