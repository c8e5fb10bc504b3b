/* steps_test.c: which nodes become steps, what those read and write, and what
 * may be written over what. */
#include "build.h"
#include "steps.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

typedef struct Fixture {
    Arena *a;
    Module *m;
    Graph *g;
    Steps s;
} Fixture;

/* The graph with these nodes; %x, %y are f32[4,6], %v f32[6], %w a state. */
static void read_graph(Fixture *f, const char *nodes)
{
    Error e;
    f->a = arena_new();
    char *text = arena_printf(f->a,
                              "module m\n"
                              "state w : f32[4,6] param const(0)\n"
                              "graph train {\n"
                              "%%x = input {name=\"x\"} : f32[4,6]\n"
                              "%%y = input {name=\"y\"} : f32[4,6]\n"
                              "%%v = input {name=\"v\"} : f32[6]\n"
                              "%%w = state {name=\"w\"} : f32[4,6]\n"
                              "%s\n}\n",
                              nodes);
    f->m = module_read(text, strlen(text), "m.ir", &e);
    if (!f->m)
        fail_msg("%s", e.text);
    f->g = f->m->graph[0];
    f->s = graph_steps(f->g, f->a);
}

static void done(Fixture *f)
{
    module_free(f->m);
    arena_free(f->a);
}

static int list(char *at, const char *what, const Value *v, uint32_t n)
{
    int length = sprintf(at, "%s", what);
    for (uint32_t i = 0; i < n; i++)
        length += sprintf(at + length, " %u", v[i].node);
    return length;
}

/* "5-7: 1 2 > 7; ..": nodes, what is read, what is written. */
static void expect_steps(const char *nodes, const char *expected)
{
    Fixture f;
    char text[1024] = "", *at = text;
    read_graph(&f, nodes);
    for (uint32_t k = 0; k < f.s.n; k++) {
        const Step *s = &f.s.step[k];
        at += sprintf(at, "%s%u-%u:", k ? "; " : "", s->first, s->last);
        at += list(at, "", s->in, s->n_in);
        at += list(at, " >", s->out, s->n_out);
        for (uint32_t id = s->first; id <= s->last; id++)
            assert_int_equal(f.s.of[id], k);
    }
    assert_string_equal(text, expected);
    done(&f);
}

static void test_single_nodes(void **state)
{
    (void)state;
    expect_steps("%5 = relu %x\n%6 = add %5, %5\noutput %6 {name=\"o\"}",
                 "5-5: 1 > 5; 6-6: 5 > 6");
    expect_steps("output %x {name=\"o\"}", "");
    /* an update is a step that may turn out to be nothing */
    expect_steps("%5 = sub %w, %x\nupdate %5 {name=\"w\"}",
                 "5-5: 1 4 > 5; 6-6: 5 >");
}

static void test_groups(void **state)
{
    (void)state;
    expect_steps("fuse {\n%5 = relu %x\n%6 = add %5, %y\n}\n"
                 "%7 = relu %6\noutput %7 {name=\"o\"}",
                 "5-6: 1 2 > 6; 7-7: 6 > 7");
    /* used inside and outside; two groups side by side */
    expect_steps("fuse {\n%5 = relu %x\n%6 = add %5, %y\n}\n"
                 "fuse {\n%7 = mul %5, %6\n}\noutput %7 {name=\"o\"}",
                 "5-6: 1 2 > 5 6; 7-7: 5 6 > 7");
    /* roots inside a group */
    expect_steps("fuse {\n%5 = relu %x\nupdate %5 {name=\"w\"}\n"
                 "%7 = add %5, %y\noutput %7 {name=\"o\"}\n}",
                 "5-8: 1 2 > 5 7");
}

static void test_inlined(void **state)
{
    (void)state;
    /* constants and views into kernels that can read through them */
    expect_steps("%5 = broadcast %v {dims=[1]} : f32[4,6]\n"
                 "%6 = const {value=2} : f32[4,6]\n"
                 "%7 = mul %5, %6\n%8 = add %7, %x\noutput %8 {name=\"o\"}",
                 "7-7: 3 > 7; 8-8: 1 7 > 8");
    /* through two views; the first belongs to a step that computes %5 */
    expect_steps("%5 = relu %x\n%6 = transpose %5 {order=[1,0]}\n"
                 "%7 = transpose %6 {order=[1,0]}\n%8 = add %7, %y\n"
                 "output %8 {name=\"o\"}",
                 "5-5: 1 > 5; 8-8: 2 5 > 8");
    /* somebody must see them in memory */
    expect_steps("%5 = transpose %x {order=[1,0]}\noutput %5 {name=\"o\"}\n"
                 "%7 = const {value=1} : f32[4,6]\nupdate %7 {name=\"w\"}",
                 "5-5: 1 > 5; 7-7: > 7; 8-8: 7 >");
    /* a group's value that only an inlined view of another step reads */
    expect_steps("fuse {\n%5 = relu %x\n%6 = add %5, %y\n}\n"
                 "%7 = transpose %5 {order=[1,0]}\n%8 = relu %7\n"
                 "output %8 {name=\"o\"}\noutput %6 {name=\"p\"}",
                 "5-6: 1 2 > 5 6; 8-8: 5 > 8");
}

/* ---- overwriting ------------------------------------------------------------
 */

/* May result `out` be written over `in`, in the last step? */
static bool may(const char *nodes, uint32_t out, uint32_t in)
{
    Fixture f;
    read_graph(&f, nodes);
    bool yes = step_may_overwrite(f.g, &f.s.step[f.s.n - 1], node_value(out, 0),
                                  node_value(in, 0));
    done(&f);
    return yes;
}

static void test_overwrite_elementwise(void **state)
{
    (void)state;
    assert_true(may("%5 = relu %x output %5 {name=\"o\"}", 5, 1));
    assert_true(may("%5 = sub %x, %y output %5 {name=\"o\"}", 5, 1));
    assert_true(may("%5 = sub %x, %y output %5 {name=\"o\"}", 5, 2));
    assert_true(may("%5 = mul %x, %x output %5 {name=\"o\"}", 5, 1));
    const char *chain = "fuse {\n%5 = mul %x, %y\n%6 = sub %x, %5\n"
                        "}\noutput %6 {name=\"o\"}";
    assert_true(may(chain, 6, 1) && may(chain, 6, 2));
}

static void test_overwrite_types(void **state)
{
    (void)state;
    assert_false(may("%5 = cast %x {dtype=f16} output %5 {name=\"o\"}", 5, 1));
    assert_false(
        may("%5 = relu %x : f32[4,6]{1,0} output %5 {name=\"o\"}", 5, 1));
}

/* An operand that is read at another place too, seen or inlined. */
static void test_overwrite_views(void **state)
{
    (void)state;
    assert_false(may("%5 = broadcast %v {dims=[0]} : f32[6,6] %6 = relu %5\n"
                     "%7 = transpose %6 {order=[1,0]}\n%8 = add %6, %7\n"
                     "output %8 {name=\"o\"}",
                     8, 6));
    assert_false(may("%5 = broadcast %v {dims=[0]} : f32[6,6] %6 = relu %5\n"
                     "fuse {\n%7 = transpose %6 {order=[1,0]}\n"
                     "%8 = add %6, %7\n}\noutput %8 {name=\"o\"}",
                     8, 6));
    /* what was computed from it, read elsewhere */
    assert_false(may("%5 = broadcast %v {dims=[0]} : f32[6,6] %6 = relu %5\n"
                     "fuse {\n%7 = relu %6\n"
                     "%8 = transpose %7 {order=[1,0]}\n"
                     "%9 = add %6, %8\n}\noutput %9 {name=\"o\"}",
                     9, 6));
    /* another operand's view does no harm */
    assert_true(may("%5 = broadcast %v {dims=[1]} : f32[4,6]\n"
                    "%6 = add %x, %5 output %6 {name=\"o\"}",
                    6, 1));
}

static void test_overwrite_reductions(void **state)
{
    (void)state;
    /* sums on the way: still one nest of loops */
    assert_true(may("fuse {\n%5 = mul %x, %y\n%6 = reduce_sum %5 {axes=[0]}\n"
                    "}\noutput %5 {name=\"o\"} output %6 {name=\"p\"}",
                    5, 1));
    /* a result that needs the sum first: the row is gone over once more */
    assert_true(may("fuse {\n%5 = reduce_sum %x {axes=[0]}\n"
                    "%6 = broadcast %5 {dims=[1]} : f32[4,6]\n"
                    "%7 = sub %x, %6\n}\noutput %7 {name=\"o\"}",
                    7, 1));
    /* but not what is written in the first turn and read in the second */
    const char *early = "fuse {\n%5 = relu %x\n%6 = reduce_sum %x {axes=[0]}\n"
                        "%7 = broadcast %6 {dims=[1]} : f32[4,6]\n"
                        "%8 = sub %x, %7\n}\noutput %5 {name=\"o\"}"
                        "output %8 {name=\"p\"}";
    assert_false(may(early, 5, 1) || may(early, 8, 1));
    /* what there is one of in a row */
    const char *row = "fuse {\n%5 = reduce_sum %x {axes=[0]}\n"
                      "%6 = add %5, %v\n}\noutput %6 {name=\"o\"}";
    assert_true(may(row, 6, 3));
}

/* A view that only cuts loops finer keeps everything at its place. */
static void test_overwrite_cuts(void **state)
{
    (void)state;
    assert_true(may("fuse {\n%5 = relu %x\n%6 = split %5 {axis=0, size=2}\n"
                    "%7 = reduce_sum %6 {axes=[1]}\n}\n"
                    "output %5 {name=\"o\"} output %7 {name=\"p\"}",
                    5, 1));
}

#define SQUARE                                                                 \
    "%5 = lib_matmul %x, %y {transpose_b=true, rows=4}\n" /* [4,4]             \
                                                           */

/* Groups around a library call: what passes between its members is in memory
 * only where somebody outside reads it. */
static void test_anchors(void **state)
{
    (void)state;
    expect_steps(SQUARE
                 "fuse {\n%6 = relu %5\n%7 = lib_matmul %6, %y {rows=2}\n"
                 "%8 = add %7, %x\n}\noutput %8 {name=\"o\"}",
                 "5-5: 1 2 > 5; 6-8: 1 2 5 > 8");
    expect_steps(SQUARE
                 "fuse {\n%6 = relu %5\n%7 = lib_matmul %6, %y {rows=2}\n"
                 "%8 = add %7, %x\n}\noutput %8 {name=\"o\"}"
                 "output %7 {name=\"p\"}",
                 "5-5: 1 2 > 5; 6-8: 1 2 5 > 7 8");
    /* a view that the anchor reads has to be in memory */
    expect_steps("%5 = transpose %y {order=[1,0]}\n"
                 "fuse {\n%6 = relu %x\n%7 = lib_matmul %6, %5 {rows=2}\n}\n"
                 "output %7 {name=\"o\"}",
                 "5-5: 2 > 5; 6-7: 1 5 > 7");
    Fixture f;
    read_graph(&f, SQUARE "fuse {\n%6 = relu %5\n%7 = neg %6\n}\n"
                          "fuse {\n%8 = relu %7\n"
                          "%9 = lib_matmul %8, %y {rows=2}\n}\n"
                          "output %9 {name=\"o\"}");
    assert_int_equal(step_anchor(f.g, &f.s.step[0]), 5);
    assert_int_equal(step_anchor(f.g, &f.s.step[1]), 0);
    assert_int_equal(step_anchor(f.g, &f.s.step[2]), 9);
    done(&f);
}

static void test_overwrite_anchors(void **state)
{
    (void)state;
    const char *after = SQUARE "fuse {\n%6 = lib_matmul %5, %x {rows=2}\n"
                               "%7 = add %6, %y\n}\noutput %7 {name=\"o\"}";
    assert_true(may(after, 7, 2));
    assert_false(may(after, 7, 1)); /* the call reads all of it */
    const char *before = SQUARE "fuse {\n%6 = relu %y\n"
                                "%7 = lib_matmul %5, %6 {rows=2}\n"
                                "%8 = add %7, %y\n}\noutput %8 {name=\"o\"}"
                                "output %6 {name=\"p\"}";
    assert_false(may(before, 8, 2)); /* the call needs it */
    assert_false(may(before, 6, 2)); /* what comes after the call reads it */
}

/* Large graphs take time in proportion. */
static void test_large(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Module *m = module_new("m");
    Graph *g = graph_new(m, "g");
    module_add_graph(m, g);
    Type t = type_make(DT_F32, 2, (const int64_t[]){3, 3});
    Value x = ir_input(g, "x", &t), v = x;
    for (int i = 0; i < 100000; i++) {
        g->group = (uint32_t)i / 10 % 2 ? (uint32_t)i / 10 : 0;
        v = ir_add(g, i % 3 ? v : ir_transpose(g, v, (int64_t[]){1, 0}, 2), x);
    }
    Steps s = graph_steps(g, a);
    assert_true(s.n > 10000);
    arena_free(a);
    module_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_nodes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_inlined),
        cmocka_unit_test(test_overwrite_elementwise),
        cmocka_unit_test(test_overwrite_types),
        cmocka_unit_test(test_overwrite_views),
        cmocka_unit_test(test_overwrite_reductions),
        cmocka_unit_test(test_overwrite_cuts),
        cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_overwrite_anchors),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
