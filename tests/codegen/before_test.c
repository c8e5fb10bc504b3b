/* before_test.c: what is fused before a product, as the target computes them in
 * one kernel, against plain loops in double: normalise, scale, residual and
 * relu of a convolution's input, the gradient of batch norm where the gradients
 * of input and weights load it, casts. */
#include "build.h"
#include "check.h"
#include "codegen.h"
#include "emulate.h"
#include "pass.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

typedef struct Shape {
    int n, c, h, w, o, kernel, stride, dilation, groups;
} Shape;

/* Batches of 1, 7 and 129; channels that are no vector; a height of 1; 7x7
 * images, 7x7 kernels, groups; taps that are wholly in the padding, whose zeros
 * must stay zeros. */
static const Shape shape_table[] = {
    {7, 16, 6, 8, 16, 3, 1, 1, 1}, {129, 16, 2, 3, 8, 3, 1, 1, 1},
    {1, 8, 9, 9, 32, 3, 2, 1, 1},  {3, 17, 7, 7, 16, 3, 1, 1, 1},
    {7, 3, 1, 20, 17, 3, 1, 1, 1}, {2, 8, 9, 7, 16, 7, 2, 1, 1},
    {2, 16, 7, 7, 24, 3, 1, 2, 1}, {2, 32, 5, 5, 16, 3, 1, 1, 2},
    {5, 24, 3, 3, 40, 1, 1, 1, 1},
};

/* Half types, where what is computed is shared by the taps: a width of 5, 5x5
 * taps, a height of 1, channels that come in slices. */
static const Shape half_table[] = {
    {1, 24, 6, 5, 40, 5, 1, 1, 1},
    {7, 16, 1, 9, 24, 3, 1, 1, 1},
    {1, 200, 7, 9, 24, 3, 1, 1, 1},
    {3, 16, 9, 5, 16, 3, 2, 2, 1},
};

enum {
    SHAPES = sizeof shape_table / sizeof *shape_table,
    HALF_SHAPES = sizeof half_table / sizeof *half_table
};

typedef enum Kind {
    KIND_NORM,     /* conv of relu(x scale + shift) */
    KIND_RESIDUAL, /* conv of relu(x scale + shift + r), bias, relu */
    KIND_CAST,     /* conv of float32 numbers as T */
    KIND_INPUT,    /* gradient of the input, of a g + b x + c; where a relu let
                      it through, and g is added where it is as large */
    KIND_WEIGHT,   /* gradient of the weights: both */
    KINDS
} Kind;

static Value input(Graph *g, const char *name, DType dtype, int rank,
                   const int64_t *dim)
{
    Type t = type_make(dtype, rank, dim);
    return ir_input(g, name, &t);
}

/* x times a number a channel, plus another one, in float32. */
static Value scaled(Graph *g, Value x, const char *scale, const char *shift)
{
    const int64_t *dim = graph_type(g, x)->dim;
    Value wide = ir_cast(g, x, DT_F32);
    Value a = input(g, scale, DT_F32, 1, &dim[1]);
    wide = ir_mul(g, wide, ir_broadcast_channel(g, a, wide));
    if (!shift)
        return wide;
    Value b = input(g, shift, DT_F32, 1, &dim[1]);
    return ir_add(g, wide, ir_broadcast_channel(g, b, wide));
}

static Value relu(Graph *g, Value x)
{
    return ir_unary(g, &op_relu, x);
}

static int64_t size_after(int64_t size, const Shape *s)
{
    int64_t reach = s->dilation * (s->kernel - 1) + 1;
    return (size + 2 * (s->kernel / 2) - reach) / s->stride + 1;
}

typedef struct Sample {
    Graph *g;
    const Shape *s;
    DType type;
    int64_t x[4], y[4], w[4];
} Sample;

static Value conv(const Sample *p, const OpDesc *op, Value a, Value b,
                  const int64_t *shape)
{
    const Shape *s = p->s;
    int64_t pad = s->kernel / 2;
    Attr attr[] = {
        attr_ints("stride", (int64_t[]){s->stride, s->stride}, 2),
        attr_ints("pad_low", (int64_t[]){pad, pad}, 2),
        attr_ints("pad_high", (int64_t[]){pad, pad}, 2),
        attr_ints("dilation", (int64_t[]){s->dilation, s->dilation}, 2),
        attr_int("groups", s->groups),
        attr_ints("shape", shape ? shape : p->x, 4)};
    return ir_node(p->g, op, (Value[]){a, b}, 2, attr, shape ? 6 : 5);
}

static Value weights(const Sample *p)
{
    return input(p->g, "weight", p->type, 4, p->w);
}

/* relu(x scale + shift), and a residual. */
static Value normalised(const Sample *p, bool residual)
{
    Graph *g = p->g;
    Value x = input(g, "x", p->type, 4, p->x);
    Value y = scaled(g, x, "scale", "shift");
    if (residual)
        y = ir_add(g, y, ir_cast(g, input(g, "r", p->type, 4, p->x), DT_F32));
    return ir_cast(g, relu(g, y), p->type);
}

static Value gradient(const Sample *p, Value dy)
{
    Graph *g = p->g;
    Value raw = input(g, "raw", p->type, 4, p->y);
    Value y = scaled(g, dy, "a", "c");
    return ir_cast(g, ir_add(g, y, scaled(g, raw, "b", NULL)), p->type);
}

static Value build(const Sample *p, Kind kind)
{
    Graph *g = p->g;
    if (kind == KIND_NORM || kind == KIND_RESIDUAL) {
        Value y = conv(p, &op_conv, normalised(p, kind == KIND_RESIDUAL),
                       weights(p), NULL);
        if (kind == KIND_NORM)
            return y;
        Value bias = input(g, "bias", p->type, 1, &p->y[1]);
        return relu(g, ir_add(g, y, ir_broadcast_channel(g, bias, y)));
    }
    if (kind == KIND_CAST) {
        Value x = ir_cast(g, input(g, "x", DT_F32, 4, p->x), p->type);
        return conv(p, &op_conv, x, weights(p), NULL);
    }
    Value dy = input(g, "g", p->type, 4, p->y);
    if (kind == KIND_WEIGHT)
        return conv(p, &op_conv_grad_weight, normalised(p, false),
                    gradient(p, dy), p->w);
    Value dx = conv(p, &op_conv_grad_input, gradient(p, dy), weights(p), p->x);
    Value through = relu(g, input(g, "through", p->type, 4, p->x));
    dx = ir_mul(g, dx, through);
    return memcmp(p->x, p->y, sizeof p->x) ? dx : ir_add(g, dx, dy);
}

/* Is an operand of a product computed in its group? */
static bool has_prologue(const Graph *g)
{
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        for (uint32_t i = 0; node_is_whole(n) && n->group && i < n->n_in; i++)
            if (graph_node(g, n->in[i])->group == n->group)
                return true;
    }
    return false;
}

static void compile(Checks *c, Module *m, DType type, const char *what,
                    bool fuses)
{
    static const char *const names[] = {"layout", "expand", "fold", "cse",
                                        "dce",    "fuse",   NULL};
    PassContext context = {.target = target_named(test_target())};
    if (!passes_run(m, &context, names, &(PassOptions){0}))
        fail_msg("%s", context.error.text);
    if (!strcmp(test_target(), "cuda") && fuses)
        assert_true(has_prologue(m->graph[0]));
    checks_add(c, &(Check){.what = what,
                           .module = m,
                           .g = m->graph[0],
                           .outputs_only = true,
                           .in_place = true,
                           .shuffle = 5,
                           .tolerance = dtype_is_half(type) ? 3e-2 : 0,
                           .seed = 7,
                           .low = -1,
                           .high = 1});
}

static void add(Checks *c, const Shape *s, DType type, Kind kind)
{
    Module *m = module_new("before");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    const Sample p = {
        .g = g,
        .s = s,
        .type = type,
        .x = {s->n, s->c, s->h, s->w},
        .y = {s->n, s->o, size_after(s->h, s), size_after(s->w, s)},
        .w = {s->o, s->c / s->groups, s->kernel, s->kernel},
    };
    ir_output(g, "y", build(&p, kind));
    bool nothing = kind == KIND_CAST && type == DT_F32;
    compile(c, m, type,
            arena_printf(m->arena, "kind %d of %d %d %d", (int)kind, s->n, s->c,
                         s->o),
            !nothing);
}

/* A matrix product of relu(x scale): rows that are no vector, and some. */
static void add_matmul(Checks *c, DType type, int rows, int k, int columns)
{
    Module *m = module_new("before");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Value x = input(g, "x", type, 2, (const int64_t[]){rows, k});
    Value w = input(g, "w", type, 2, (const int64_t[]){k, columns});
    Attr attr[] = {attr_bool("transpose_a", false),
                   attr_bool("transpose_b", false), attr_bool("wide", false)};
    Value in[] = {relu(g, scaled(g, x, "scale", "shift")), w};
    in[0] = ir_cast(g, in[0], type);
    ir_output(g, "y", ir_node(g, &op_matmul, in, 2, attr, 3));
    compile(c, m, type, "matmul", true);
}

static void check_type(DType type, int shapes)
{
    Checks *c = checks_new();
    for (int i = 0; dtype_is_half(type) && i < HALF_SHAPES; i++)
        for (Kind k = 0; k < KIND_WEIGHT; k++)
            add(c, &half_table[i], type, k);
    if (dtype_is_half(type))
        checks_want(c, " SLICES = 4;");
    for (int i = 0; i < shapes; i++)
        for (Kind k = 0; k < KINDS; k++)
            add(c, &shape_table[i], type, k);
    add_matmul(c, type, 37, 17, 10);
    add_matmul(c, type, 66, 64, 40);
    checks_run(c);
}

static void float32(void **state)
{
    (void)state;
    check_type(DT_F32, SHAPES);
}

static void f16(void **state)
{
    (void)state;
    check_type(DT_F16, SHAPES);
}

static void bf16(void **state)
{
    (void)state;
    check_type(DT_BF16, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32),
        cmocka_unit_test(f16),
        cmocka_unit_test(bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
