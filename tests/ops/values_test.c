/* values_test.c: ops against numbers that come from elsewhere: PyTorch
 * (golden.h), written out by hand (views), and arithmetic that goes wrong when
 * done carelessly in float32. */
#include "build.h"
#include "interp.h"
#include "text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Operands as make_golden.py makes them; results, then gradients. */
typedef struct Golden {
    const char *op, *sample;
    bool coarse;
    const double *value;
    int count;
} Golden;

#include "golden.h"

static Graph *sample_graph(const char *op, const char *sample, uint32_t *id)
{
    Module *m = module_new("m");
    Graph *g = graph_new(m, "train");
    Error e;
    module_add_graph(m, g);
    *id = sample_add(g, op_named(op), sample, &e);
    if (!*id)
        fail_msg("%s", e.text);
    return g;
}

static void run(Interp *i)
{
    Error e;
    if (!interp_run(i, &e))
        fail_msg("%s", e.text);
}

/* ---- PyTorch ------------------------------------------------------------ */

/* Outputs in the order of the golden values: results, then gradients. */
static int add_outputs(Graph *g, uint32_t id)
{
    Value dout[MAX_OUT], din[8] = {{0}};
    unsigned n_out = g->node[id].n_out;
    uint32_t n_in = g->node[id].n_in;
    char name[16];
    int count = 0;
    for (unsigned r = 0; r < n_out; r++) {
        snprintf(name, sizeof name, "r%u", r);
        Type t = g->node[id].type[r];
        dout[r] = ir_input(g, name, &t);
    }
    g->node[id].op->grad(g, id, dout, din);
    for (unsigned r = 0; r < n_out + n_in; r++) {
        Value v = r < n_out ? node_value(id, r) : din[r - n_out];
        snprintf(name, sizeof name, "o%d", count);
        if (v.node) {
            ir_output(g, name, v);
            count++;
        }
    }
    return count;
}

static void fill_as_golden(Interp *i, const Graph *g, bool coarse)
{
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        if (!node_is(n, &op_input))
            continue;
        const char *name = node_string(n, "name");
        double *v = interp_source(i, name);
        int number = name[1] - '0';
        for (int64_t k = 0; k < type_elements(n->type); k++) {
            double x = sin(1.3 * (double)k + number);
            if (coarse)
                x = rint(x * 2) / 2;
            if (name[0] == 'r')
                x = cos(0.7 * (double)k + number);
            if (n->type->dtype == DT_I32) /* a label; classes are at dim 1 */
                x = (double)(k % g->node[1].type->dim[1]);
            v[k] = x;
        }
    }
}

static void compare_golden(const Graph *g, const Golden *golden, int outputs)
{
    Interp *i = interp_new(g, g->arena, INTERP_EXACT);
    fill_as_golden(i, g, golden->coarse);
    run(i);
    int at = 0;
    for (int o = 0; o < outputs; o++) {
        char name[16];
        snprintf(name, sizeof name, "o%d", o);
        Value v = interp_root_value(i, "output", name);
        int64_t n = type_elements(graph_type(g, v));
        double d = interp_distance(golden->value + at, interp_value(i, v), n);
        if (!(d < 1e-13))
            fail_msg("%s %s: %s differs by %g", golden->op, golden->sample,
                     name, d);
        at += (int)n;
    }
    assert_int_equal(at, golden->count);
}

static void values_are_those_of_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        uint32_t id;
        Graph *g = sample_graph(goldens[i].op, goldens[i].sample, &id);
        int outputs = add_outputs(g, id);
        compare_golden(g, &goldens[i], outputs);
        Graph *expanded = interp_expand(g);
        compare_golden(expanded, &goldens[i], outputs);
        graph_free(expanded);
        module_free(g->module);
    }
}

/* ---- views, by hand ----------------------------------------------------- */

/* The operand's elements are 1, 2, 3, ... */
static const struct {
    const char *op, *sample;
    double value[24];
} views[] = {
    {"broadcast", "(f32[2]) {shape=[2,3], dims=[0]}", {1, 1, 1, 2, 2, 2}},
    {"broadcast", "(f32[2]) {shape=[3,2], dims=[1]}", {1, 2, 1, 2, 1, 2}},
    {"transpose", "(f32[2,3]) {order=[1,0]}", {1, 4, 2, 5, 3, 6}},
    {"transpose",
     "(f32[1,2,3]) {order=[2,0,1]}", /* result dimension 0 is operand's 2 */
     {1, 4, 2, 5, 3, 6}},
    {"reverse", "(f32[2,3]) {axes=[1]}", {3, 2, 1, 6, 5, 4}},
    {"reverse", "(f32[2,3]) {axes=[0,1]}", {6, 5, 4, 3, 2, 1}},
    {"slice", "(f32[7]) {start=[1], stop=[6], step=[2]}", {2, 4, 6}},
    {"slice", "(f32[7]) {start=[1], stop=[7], step=[3]}", {2, 5}},
    {"pad",
     "(f32[3]) {low=[1], high=[2], step=[2], value=9}",
     {9, 1, 9, 2, 9, 3, 9, 9}},
    {"pick", "(f32[2,3]) {axes=[1], at=[2]}", {3, 6}},
    {"split", "(f32[6]) {axis=0, size=2}", {1, 2, 3, 4, 5, 6}},
    {"split", "(f32[4,2]) {axis=0, size=2}", {1, 2, 3, 4, 5, 6, 7, 8}},
    {"reshape", "(f32[2,3]) {shape=[3,2]}", {1, 2, 3, 4, 5, 6}},
    {"window",
     "(f32[4]) {axes=[0], size=[3], stride=[2], dilation=[1], pad_low=[1], "
     "pad_high=[0], value=9}",
     {9, 1, 2, 2, 3, 4}},
    {"window",
     "(f32[5]) {axes=[0], size=[2], stride=[1], dilation=[3], pad_low=[0], "
     "pad_high=[0]}",
     {1, 4, 2, 5}},
    /* Element 0 is tap 1 of window 0; element 1 tap 2 of it and tap 0 of the
     * next, and so on: rows are elements, columns taps. */
    {"unwindow",
     "(f32[2,3]) {axes=[0], extent=[4], stride=[2], dilation=[1], "
     "pad_low=[1]}",
     {0, 2, 0, 4, 0, 3, 0, 5, 0, 0, 0, 6}},
    {"iota", "() {axis=1, dtype=i32, shape=[2,3]}", {0, 1, 2, 0, 1, 2}},
};

static void views_give_the_elements_they_should(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof views / sizeof *views; c++) {
        uint32_t id;
        Graph *g = sample_graph(views[c].op, views[c].sample, &id);
        Interp *i = interp_new(g, g->arena, INTERP_EXACT);
        double *x = interp_source(i, "x0");
        if (x)
            for (int64_t k = 0; k < type_elements(g->node[1].type); k++)
                x[k] = (double)(k + 1);
        run(i);
        const double *y = interp_value(i, node_value(id, 0));
        for (int64_t k = 0; k < type_elements(g->node[id].type); k++)
            if (y[k] != views[c].value[k])
                fail_msg("%s %s: element %lld is %g, not %g", views[c].op,
                         views[c].sample, (long long)k, y[k],
                         views[c].value[k]);
        module_free(g->module);
    }
}

/* ---- float32 ------------------------------------------------------------ */

/* Mean a thousand times the deviation, in parts: the variance keeps its
 * digits.  (The sum of squares less the square of the sum has none left.) */
static void moments_do_not_cancel(void **state)
{
    (void)state;
    static const char *const samples[] = {
        "(f32[16,2,8,8])", "(f32[16,2,8,8]) {splits=4}",
        "(f32[16,2,8,8]) {splits=64}", "(f32[7,2,6]) {splits=3}"};
    for (size_t c = 0; c < sizeof samples / sizeof *samples; c++) {
        uint32_t id;
        Graph *g = sample_graph("moments", samples[c], &id);
        ir_output(g, "mean", node_value(id, 0));
        ir_output(g, "var", node_value(id, 1));
        Graph *expanded = interp_expand(g);
        Interp *exact = interp_new(g, g->arena, INTERP_EXACT);
        Interp *rounded = interp_new(expanded, g->arena, INTERP_ROUND);
        double *x = interp_source(exact, "x0");
        uint64_t random = c;
        for (int64_t k = 0; k < type_elements(g->node[1].type); k++)
            x[k] = (float)(1000 + interp_random(&random));
        memcpy(interp_source(rounded, "x0"), x,
               (size_t)type_elements(g->node[1].type) * sizeof *x);
        run(exact);
        run(rounded);
        for (int k = 0; k < 2; k++) {
            double mean = interp_root(exact, "output", "mean")[k];
            double var = interp_root(exact, "output", "var")[k];
            double off = interp_root(rounded, "output", "mean")[k] - mean;
            assert_true(fabs(off) < 1e-4); /* an ulp of 1000 is 6e-5 */
            off = interp_root(rounded, "output", "var")[k] - var;
            assert_true(fabs(off) < 1e-5 * var);
        }
        graph_free(expanded);
        module_free(g->module);
    }
}

/* Logits of thousands, in float32: no overflow, no 0/0. */
static void losses_stay_finite(void **state)
{
    (void)state;
    uint32_t id;
    Graph *g = sample_graph("softmax_cross_entropy",
                            "(f32[2,3], i32[2]) {smoothing=0.1}", &id);
    ir_output(g, "loss", node_value(id, 0));
    Type t = type_make(DT_F32, 1, (const int64_t[]){2});
    Value dout = ir_const(g, &t, 1), din[2] = {{0}};
    g->node[id].op->grad(g, id, &dout, din);
    ir_output(g, "dx", din[0]);
    Graph *expanded = interp_expand(g);
    Interp *i = interp_new(expanded, g->arena, INTERP_ROUND);
    static const double logits[] = {1e4, -1e4, 3, -0x1p100, 0, 0x1p100};
    memcpy(interp_source(i, "x0"), logits, sizeof logits);
    run(i);
    const double *loss = interp_root(i, "output", "loss");
    const double *dx = interp_root(i, "output", "dx");
    /* smoothing / 3 of the distances to the largest, and of the label's */
    assert_float_equal(loss[0], (0.1 / 3) * (2e4 + 1e4 - 3), 1e-3);
    assert_true(isfinite(loss[1]));
    for (int k = 0; k < 6; k++)
        assert_true(isfinite(dx[k]) && fabs(dx[k]) <= 1);
    graph_free(expanded);
    module_free(g->module);
}

/* A loss that is not a number has to be seen, not turned into one. */
static void nan_goes_through(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"relu", "(f32[3])"},
        {"max", "(f32[3], f32[3])"},
        {"min", "(f32[3], f32[3])"},
        {"reduce_max", "(f32[3]) {axes=[0]}"},
        {"reduce_min", "(f32[3]) {axes=[0]}"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint32_t id;
        Graph *g = sample_graph(cases[c][0], cases[c][1], &id);
        Interp *i = interp_new(g, g->arena, INTERP_EXACT);
        interp_fill(i, 1);
        interp_source(i, "x0")[0] = NAN;
        run(i);
        assert_true(isnan(interp_value(i, node_value(id, 0))[0]));
        module_free(g->module);
    }
}

/* ---- random numbers ----------------------------------------------------- */

/* Element 5 of (seed, step, stream) is word 1 of Philox block 1.  The zero
 * key and counter are the published vector 6627e8d5 e169c58d .. */
static void random_numbers_are_philox(void **state)
{
    (void)state;
    uint32_t id;
    Graph *g =
        sample_graph("random_uniform", "(i64[4], i64[4]) {stream=0}", &id);
    Interp *i = interp_new(g, g->arena, INTERP_EXACT);
    run(i);
    static const uint32_t words[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c,
                                     0x9b00dbd8};
    for (int k = 0; k < 4; k++)
        assert_true(interp_value(i, node_value(id, 0))[k] ==
                    (words[k] >> 8) * 0x1p-24);
    module_free(g->module);
}

/* ---- the interpreter's own rounding ------------------------------------- */

static void half_types_round_to_nearest_even(void **state)
{
    (void)state;
    assert_true(interp_rounded(1 + 0x1p-11, DT_F16) == 1);
    assert_true(interp_rounded(1 + 0x1.8p-10, DT_F16) == 1 + 0x1p-9);
    assert_true(interp_rounded(0x1p-24, DT_F16) == 0x1p-24);
    assert_true(interp_rounded(0x1p-26, DT_F16) == 0);
    assert_true(isinf(interp_rounded(65520, DT_F16)));
    assert_true(interp_rounded(65519, DT_F16) == 65504);
    assert_true(interp_rounded(1 + 0x1p-8, DT_BF16) == 1);
    assert_true(interp_rounded(1 + 0x1.8p-7, DT_BF16) == 1 + 0x1p-6);
    assert_true(interp_rounded(0.1, DT_F32) == (double)0.1f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_pytorch),
        cmocka_unit_test(views_give_the_elements_they_should),
        cmocka_unit_test(moments_do_not_cancel),
        cmocka_unit_test(losses_stay_finite),
        cmocka_unit_test(nan_goes_through),
        cmocka_unit_test(random_numbers_are_philox),
        cmocka_unit_test(half_types_round_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
