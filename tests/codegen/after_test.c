/* after_test.c: what is fused after a convolution or its gradient, as the
 * target computes them in one kernel, against plain loops in double: bias,
 * residual, relu, casts, and batch norm's sums. */
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
    int n, c, h, w, o, kernel, stride;
} Shape;

/* Images of which a tile of results holds a half, one, or several, so that it
 * is full or, lines being 7 and 28 long, is not; ones that it cuts anywhere;
 * channels that are no vector; a height of 1. */
static const Shape shape_table[] = {
    {64, 8, 8, 8, 24, 3, 1},  {129, 16, 4, 4, 16, 3, 1},
    {129, 8, 7, 7, 20, 3, 1}, {9, 3, 28, 28, 17, 1, 1},
    {7, 3, 8, 8, 17, 3, 1},   {8, 16, 32, 16, 8, 3, 2},
    {5, 32, 6, 10, 40, 3, 1}, {3, 17, 1, 32, 64, 1, 1},
};

enum { SHAPES = sizeof shape_table / sizeof *shape_table, WITH_SUMS = 4 };

typedef enum Kind {
    KIND_LINEAR, /* bias, residual, relu; the product itself is not wanted */
    KIND_KEPT,   /* relu, and the product itself */
    KIND_NORM,   /* batch norm, its sums from the product's tiles */
    KIND_GRAD,   /* the gradient of the input, where a relu let it through */
    KINDS
} Kind;

static Value input(Graph *g, const char *name, DType dtype, int rank,
                   const int64_t *dim)
{
    Type t = type_make(dtype, rank, dim);
    return ir_input(g, name, &t);
}

static int64_t size_after(int size, const Shape *s)
{
    return (size + 2 * (s->kernel / 2) - s->kernel) / s->stride + 1;
}

static Value product(Graph *g, const Shape *s, DType type, bool grad)
{
    int64_t pad = s->kernel / 2;
    int64_t x[] = {s->n, s->c, s->h, s->w};
    int64_t y[] = {s->n, s->o, size_after(s->h, s), size_after(s->w, s)};
    int64_t w[] = {s->o, s->c, s->kernel, s->kernel};
    Attr attr[] = {attr_ints("stride", (int64_t[]){s->stride, s->stride}, 2),
                   attr_ints("pad_low", (int64_t[]){pad, pad}, 2),
                   attr_ints("pad_high", (int64_t[]){pad, pad}, 2),
                   attr_ints("dilation", (int64_t[]){1, 1}, 2),
                   attr_int("groups", 1),
                   attr_ints("shape", x, 4)};
    Value in[] = {input(g, "from", type, 4, grad ? y : x),
                  input(g, "weight", type, 4, w)};
    return grad ? ir_node(g, &op_conv_grad_input, in, 2, attr, 6)
                : ir_node(g, &op_conv, in, 2, attr, 5);
}

static Value beside(Graph *g, const char *name, Value y)
{
    Type t = *graph_type(g, y);
    return input(g, name, t.dtype, t.rank, t.dim);
}

static Value relu(Graph *g, Value x)
{
    return ir_unary(g, &op_relu, x);
}

static Value channels(Graph *g, const char *name, DType type, Value y)
{
    return input(g, name, type, 1, &graph_type(g, y)->dim[1]);
}

static void build(Graph *g, const Shape *s, DType type, Kind kind)
{
    Value y = product(g, s, type, kind == KIND_GRAD);
    if (kind == KIND_KEPT)
        ir_output(g, "product", y);
    if (kind == KIND_LINEAR) {
        Value bias = channels(g, "bias", type, y);
        y = ir_add(g, y, ir_broadcast_channel(g, bias, y));
        y = ir_add(g, y, beside(g, "residual", y));
    } else if (kind == KIND_NORM) {
        Attr eps = attr_float("eps", 0.1);
        Value in[] = {y, channels(g, "scale", DT_F32, y),
                      channels(g, "shift", DT_F32, y)};
        y = ir_node(g, &op_batch_norm, in, 3, &eps, 1);
    } else if (kind == KIND_GRAD) {
        y = ir_mul(g, y, relu(g, beside(g, "through", y)));
    }
    ir_output(g, "y", relu(g, y));
}

/* Is there nothing around any product? */
static bool is_bare(const Graph *g)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_is_whole(&g->node[id]) && g->node[id].group)
            return false;
    return true;
}

/* Are the sums of channels in a product's kernel? */
static bool has_sums(const Graph *g)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (uint32_t i = id; node_is_whole(&g->node[id]) && i < g->n_nodes;
             i++)
            if (g->node[id].group && g->node[i].group == g->node[id].group &&
                node_has(&g->node[i], T_REDUCE))
                return true;
    return false;
}

static void add(Checks *c, const Shape *s, DType type, Kind kind)
{
    static const char *const names[] = {"layout", "expand", "fold", "cse",
                                        "dce",    "fuse",   NULL};
    Module *m = module_new("after");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    build(g, s, type, kind);
    PassContext context = {.target = target_named(test_target())};
    if (!passes_run(m, &context, names, &(PassOptions){0}))
        fail_msg("%s", context.error.text);
    bool cuda = !strcmp(test_target(), "cuda");
    if (cuda && (kind != KIND_NORM || s < &shape_table[WITH_SUMS]))
        assert_false(is_bare(m->graph[0]));
    if (cuda && kind == KIND_NORM && s < &shape_table[WITH_SUMS])
        assert_true(has_sums(m->graph[0]));
    checks_add(c, &(Check){.what = arena_printf(m->arena, "kind %d of %d %d %d",
                                                (int)kind, s->n, s->c, s->o),
                           .module = m,
                           .g = m->graph[0],
                           .outputs_only = true,
                           .in_place = kind % 2,
                           .shuffle = 5,
                           .tolerance = dtype_is_half(type) ? 3e-2 : 0,
                           .seed = 7,
                           .low = -1,
                           .high = 1});
}

static void check_type(DType type, int shapes)
{
    Checks *c = checks_new();
    for (int i = 0; i < shapes; i++)
        for (Kind k = 0; k < KINDS; k++)
            add(c, &shape_table[i], type, k);
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
    check_type(DT_BF16, WITH_SUMS);
}

/* Elements that lie as the product's do but are counted in other loops than its
 * pixels and channels: let in at first, they turn out not to fit its tiles. */
static void refused(void **state)
{
    (void)state;
    static const char *const names[] = {"layout", "expand", "fuse", NULL};
    Module *m = module_new("refused");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Attr attr[] = {attr_bool("transpose_a", false),
                   attr_bool("transpose_b", false), attr_bool("wide", false)};
    Value in[] = {input(g, "a", DT_F32, 2, (const int64_t[]){12, 8}),
                  input(g, "b", DT_F32, 2, (const int64_t[]){8, 16})};
    Value y = ir_node(g, &op_matmul, in, 2, attr, 3);
    const int64_t dim[] = {12, 4, 4};
    y = ir_reshape(g, y, 3, dim);
    y = ir_mul(g, y, input(g, "by", DT_F32, 3, dim));
    ir_output(g, "y", y);
    PassContext context = {.target = target_named("cuda")};
    if (!passes_run(m, &context, names, &(PassOptions){0}))
        fail_msg("%s", context.error.text);
    assert_true(is_bare(m->graph[0]));
    if (strcmp(test_target(), "cuda"))
        return module_free(m);
    Checks *c = checks_new();
    checks_add(c, &(Check){.what = "refused",
                           .module = m,
                           .g = m->graph[0],
                           .outputs_only = true,
                           .seed = 7,
                           .low = -1,
                           .high = 1});
    checks_run(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32),
        cmocka_unit_test(f16),
        cmocka_unit_test(bf16),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
