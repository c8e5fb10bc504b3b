/* gemm_test.c: convolutions, their gradients and matrix products of many
 * shapes, in all types, as the target computes them, against plain loops in
 * double. */
#include "build.h"
#include "check.h"
#include "codegen.h"
#include "cuda_gemm.h"
#include "emulate.h"
#include "pass.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

typedef struct Shape {
    int n, c, h, w, o, kernel, stride, pad, dilation, groups;
} Shape;

/* Batches of 1, 7 and 129; channels that are no vector; a height of 1; taps
 * that are partly, and rows that are wholly, in the padding; groups that are
 * matrices, and some that are not. */
static const Shape shape_table[] = {
    {7, 3, 9, 8, 16, 3, 1, 1, 1, 1},    {1, 16, 8, 8, 32, 3, 2, 1, 1, 1},
    {129, 16, 2, 2, 16, 3, 1, 1, 1, 1}, {2, 32, 1, 9, 64, 3, 1, 1, 1, 1},
    {3, 17, 5, 5, 17, 1, 2, 0, 1, 1},   {2, 64, 6, 5, 64, 3, 1, 1, 1, 1},
    {1, 3, 15, 15, 16, 7, 2, 3, 1, 1},  {2, 16, 9, 7, 48, 3, 1, 2, 2, 2},
    {2, 8, 6, 6, 8, 3, 1, 1, 1, 8},     {1, 40, 5, 7, 10, 2, 3, 0, 1, 1},
    {5, 24, 3, 3, 72, 1, 1, 0, 1, 1},   {2, 6, 7, 7, 4, 3, 2, 3, 1, 2},
};

/* On the matrix unit what the taps share is brought once: widths that 8 rows of
 * a tile go beyond, no padding and more than the taps reach, so many channels
 * that they come in slices, the last of which is not full. */
static const Shape half_table[] = {
    {1, 24, 6, 5, 40, 5, 1, 2, 1, 1},  {129, 8, 1, 5, 16, 3, 1, 1, 1, 1},
    {7, 16, 9, 9, 16, 7, 1, 3, 1, 1},  {2, 32, 11, 8, 24, 3, 2, 1, 2, 1},
    {1, 16, 4, 6, 16, 3, 1, 3, 1, 1},  {3, 32, 7, 13, 32, 3, 1, 0, 1, 1},
    {1, 200, 7, 9, 24, 3, 1, 1, 1, 1}, {1, 80, 5, 21, 48, 3, 1, 2, 2, 2},
};

enum {
    SHAPES = sizeof shape_table / sizeof *shape_table,
    HALF_SHAPES = sizeof half_table / sizeof *half_table,
    TILES_MOST = 32
};

static const char *const type_table[] = {"f32", "f64", "f16", "bf16"};

static void add(Checks *c, const OpDesc *op, const char *sample,
                double tolerance)
{
    static const char *const names[] = {"layout", "expand", "cse",
                                        "dce",    "fuse",   NULL};
    Module *m = module_new("sample");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Error e;
    uint32_t id = sample_add(g, op, sample, &e);
    if (!id)
        fail_msg("%s %s: %s", op->name, sample, e.text);
    ir_output(g, "y", node_value(id, 0));
    PassContext context = {.target = target_named(test_target())};
    if (!passes_run(m, &context, names, &(PassOptions){0}))
        fail_msg("%s %s: %s", op->name, sample, context.error.text);
    checks_add(
        c, &(Check){.what = arena_printf(m->arena, "%s %s", op->name, sample),
                    .module = m,
                    .g = m->graph[0],
                    .outputs_only = true,
                    .shuffle = 3,
                    .tolerance = tolerance,
                    .seed = 11,
                    .low = -1,
                    .high = 1});
}

static int size_after(int size, const Shape *s)
{
    int reach = s->dilation * (s->kernel - 1) + 1;
    return (size + 2 * s->pad - reach) / s->stride + 1;
}

static const char *dims(Arena *a, const char *type, int n, int c, int h, int w)
{
    return arena_printf(a, "%s[%d,%d,%d,%d]", type, n, c, h, w);
}

static void add_shape(Checks *c, const Shape *s, const char *type, Arena *a)
{
    const char *x = dims(a, type, s->n, s->c, s->h, s->w);
    const char *w = dims(a, type, s->o, s->c / s->groups, s->kernel, s->kernel);
    const char *y =
        dims(a, type, s->n, s->o, size_after(s->h, s), size_after(s->w, s));
    const char *attrs =
        arena_printf(a,
                     "stride=[%d,%d], pad_low=[%d,%d], pad_high=[%d,%d], "
                     "dilation=[%d,%d], groups=%d",
                     s->stride, s->stride, s->pad, s->pad, s->pad, s->pad,
                     s->dilation, s->dilation, s->groups);
    /* What is expanded rounds its products, or does not where they stay in
     * registers. */
    bool half = !strcmp(type, "f16") || !strcmp(type, "bf16");
    bool expanded = s->groups > 1 && s->c / s->groups < 8;
    double tolerance = half && expanded ? 2e-2 : 0;
    add(c, &op_conv, arena_printf(a, "(%s, %s) {%s}", x, w, attrs), tolerance);
    add(c, &op_conv_grad_input,
        arena_printf(a, "(%s, %s) {%s, shape=[%d,%d,%d,%d]}", y, w, attrs, s->n,
                     s->c, s->h, s->w),
        tolerance);
    add(c, &op_conv_grad_weight,
        arena_printf(a, "(%s, %s) {%s, shape=[%d,%d,%d,%d]}", x, y, attrs, s->o,
                     s->c / s->groups, s->kernel, s->kernel),
        tolerance);
}

static void check_type(const char *type)
{
    Arena *a = arena_new();
    Checks *c = checks_new();
    for (int i = 0; i < SHAPES; i++)
        add_shape(c, &shape_table[i], type, a);
    checks_run(c);
    arena_free(a);
}

static void float32(void **state)
{
    (void)state;
    check_type("f32");
}

static void half(void **state)
{
    (void)state;
    check_type("f16");
    check_type("bf16");
}

/* One and three dimensions in space. */
static void add_ranks(Checks *c)
{
    add(c, &op_conv,
        "(f16[2,16,37], f16[24,16,4]) {stride=[1], pad_low=[2], pad_high=[1], "
        "dilation=[2], groups=1}",
        0);
    add(c, &op_conv_grad_input,
        "(f16[2,24,34], f16[24,16,4]) {stride=[1], pad_low=[2], pad_high=[1], "
        "dilation=[2], groups=1, shape=[2,16,37]}",
        0);
    add(c, &op_conv,
        "(f16[2,8,3,5,4], f16[16,8,2,3,3]) {stride=[1,2,1], pad_low=[1,1,1], "
        "pad_high=[0,1,1], dilation=[1,1,1], groups=1}",
        0);
    add(c, &op_conv_grad_input,
        "(f16[2,16,3,5,4], f16[16,8,2,3,3]) {stride=[1,1,1], pad_low=[1,1,1], "
        "pad_high=[0,1,1], dilation=[1,1,1], groups=1, shape=[2,8,3,5,4]}",
        0);
}

static void patches(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Checks *c = checks_new();
    for (int i = 0; i < HALF_SHAPES; i++)
        add_shape(c, &half_table[i], i % 2 ? "bf16" : "f16", a);
    add_ranks(c);
    checks_want(c, " SLICES = 4;");
    checks_run(c);
    arena_free(a);
}

/* In every tile that there is for it. */
static void tiles(void **state)
{
    (void)state;
    static const Shape table[] = {{3, 24, 9, 8, 40, 3, 1, 1, 1, 1},
                                  {1, 80, 5, 6, 16, 3, 1, 1, 1, 1}};
    Arena *a = arena_new();
    Checks *c = checks_new();
    checks_tiles(c, TILES_MOST);
    checks_want(c, "tgc_gemm_halo<");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        add_shape(c, &table[i], i ? "bf16" : "f16", a);
    checks_run(c);
    arena_free(a);
}

static void products(void **state)
{
    (void)state;
    static const struct {
        int batch, m, n, k;
    } size[] = {{1, 5, 3, 7},   {1, 128, 10, 64}, {1, 66, 72, 40},
                {3, 1, 17, 33}, {1, 10, 64, 129}, {2, 48, 16, 8}};
    Arena *a = arena_new();
    Checks *c = checks_new();
    for (size_t t = 0; t < sizeof type_table / sizeof *type_table; t++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++)
            for (int way = 0; way < 4; way++) {
                int ta = way & 1, tb = way >> 1;
                int m = size[i].m, n = size[i].n, k = size[i].k;
                add(c, &op_matmul,
                    arena_printf(a,
                                 "(%s[%d,%d,%d], %s[%d,%d,%d]) "
                                 "{transpose_a=%s, transpose_b=%s}",
                                 type_table[t], size[i].batch, ta ? k : m,
                                 ta ? m : k, type_table[t], size[i].batch,
                                 tb ? n : k, tb ? k : n, ta ? "true" : "false",
                                 tb ? "true" : "false"),
                    0);
            }
    checks_run(c);
    arena_free(a);
}

/* Do the two best tiles have a patch?  -1: there are fewer. */
static void best_tiles(const OpDesc *op, const char *sample, int has_patch[2])
{
    const char *tile[2];
    Module *m = module_new("sample");
    Graph *g = graph_new(m, "train");
    Error e;
    uint32_t id = sample_add(g, op, sample, &e);
    if (!id)
        fail_msg("%s", e.text);
    for (uint32_t i = 1; i <= id; i++)
        if (g->node[i].n_out && g->node[i].type[0].rank == 4)
            g->node[i].type[0].layout = layout_channels_last(4);
    int n = cuda_gemm_tiles(g, &g->node[id], tile, 2, m->arena);
    for (int i = 0; i < 2; i++)
        has_patch[i] = i < n ? strstr(tile[i], "/halo") != NULL : -1;
    graph_free(g);
    module_free(m);
}

/* The second way is among the first two, for --autotune; and where there is
 * nothing to share, or it is not done, there is one. */
static void ways(void **state)
{
    (void)state;
    static const char rest[] = "dilation=[1,1], groups=1";
    static const struct {
        const char *types, *attrs;
        bool grad, patch;
    } table[] = {
        {"(f16[8,16,32,32], f16[16,16,3,3])",
         "stride=[1,1], pad_low=[1,1], pad_high=[1,1]", false, true},
        {"(f16[8,16,32,32], f16[32,16,3,3])",
         "stride=[2,2], pad_low=[1,1], pad_high=[1,1]", false, true},
        {"(bf16[8,32,16,16], bf16[32,32,3,3])",
         "shape=[8,32,16,16], stride=[1,1], pad_low=[1,1], pad_high=[1,1]",
         true, true},
        {"(f16[8,32,8,8], f16[32,32,3,3])",
         "shape=[8,32,16,16], stride=[2,2], pad_low=[1,1], pad_high=[1,1]",
         true, false},
        {"(f16[8,16,32,32], f16[16,16,1,1])",
         "stride=[1,1], pad_low=[0,0], pad_high=[0,0]", false, false},
        {"(f16[8,3,32,32], f16[16,3,3,3])",
         "stride=[1,1], pad_low=[1,1], pad_high=[1,1]", false, false},
        {"(f32[8,16,32,32], f32[16,16,3,3])",
         "stride=[1,1], pad_low=[1,1], pad_high=[1,1]", false, false},
    };
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int patch[2];
        best_tiles(table[i].grad ? &op_conv_grad_input : &op_conv,
                   arena_printf(a, "%s {%s, %s}", table[i].types,
                                table[i].attrs, rest),
                   patch);
        assert_int_equal(patch[0], table[i].patch);
        assert_int_equal(patch[1], 0);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32), cmocka_unit_test(half),
        cmocka_unit_test(patches), cmocka_unit_test(tiles),
        cmocka_unit_test(ways),    cmocka_unit_test(products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
