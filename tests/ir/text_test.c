/* text_test.c: text that reads back to itself, by hand, for every op's
 * samples, for random graphs, for damaged text; what the reader says about
 * mistakes; and that big graphs take time in proportion. */
#include "build.h"
#include "text.h"
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* Reads, prints, and gives the text; fails the test where it does not read. */
static char *read_and_print(const char *text, Arena *a)
{
    Error e;
    Module *m = module_read(text, strlen(text), "m.ir", &e);
    if (!m)
        fail_msg("%s", e.text);
    char *out = module_to_string(m, a);
    module_free(m);
    return out;
}

static void expect_same(const char *text)
{
    Arena *a = arena_new();
    assert_string_equal(read_and_print(text, a), text);
    arena_free(a);
}

static void test_module(void **state)
{
    (void)state;
    expect_same(
        "module \"a net\"\n"
        "set batch = 4\n"
        "set data = cifar10\n"
        "set data.mean = [0.485, 0.456]\n"
        "set optimizer.lr = 0.10000000000000002 @tiny.net:9:15\n"
        "state fc.weight : f32[10,8] param uniform(-0.35, 0.35) @t.net:3:13\n"
        "state fc.mean : f32[2,3,4]{0,2,1} buffer const(1)\n"
        "state fc.old : f32[] param frozen normal(0, 1e-300)\n"
        "state \"fc\\x01\\\"\" : f32[10,8] slot of fc.weight const(0)\n"
        "graph train {\n"
        "  %1 = input {name=\"x\"} : f32[10,8]{1,0} @tiny.net:2:10\n"
        "  %2 = state {name=\"fc.weight\"} : f32[10,8] \"w\" "
        "@b.net:3:13<4:7<\"110.net\":12:3\n"
        "  fuse {  # 2 ops; reads %2; writes %4\n"
        "    %3 = const {value=-0} : f32[10,8]\n"
        "    %4 = mul %2, %3 : f32[10,8] \"a\\nb\"\n"
        "  }\n"
        "  fuse {  # 2 ops; reads %2; writes %6\n"
        "    %5 = const {value=inf} : f32[10,8]\n"
        "    %6 = sub %2, %5 : f32[10,8]{1,0}\n"
        "  }\n"
        "  %7 = reduce_sum %6 {axes=[0,1]} : f32[]\n"
        "  update %4 {name=\"fc.weight\"}\n"
        "  output %7 {name=\"loss\"}\n"
        "}\n"
        "graph eval {\n"
        "}\n");
}

/* The dump that docs/ir.md explains. */
static void test_manual(void **state)
{
    (void)state;
    char page[1 << 15] = "";
    FILE *f = fopen(TGC_SOURCE "/docs/ir.md", "r");
    assert_non_null(f);
    page[fread(page, 1, sizeof page - 1, f)] = 0;
    fclose(f);
    char *text = strstr(page, "module tiny\n");
    assert_non_null(text);
    *strstr(text, "```") = 0;
    expect_same(text);
}

/* What people write by hand, and what it becomes. */
static void test_written_by_hand(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const char *text = "# a comment\n"
                       "module m graph g { # one\n"
                       "%x=input{name=\"x\",dtype=f32,shape=[2,3]}\n"
                       "%y = relu %x:0 %z = add %y, %x : f32[2,3] }";
    assert_string_equal(read_and_print(text, a),
                        "module m\n"
                        "graph g {\n"
                        "  %1 = input {name=\"x\"} : f32[2,3]\n"
                        "  %2 = relu %1 : f32[2,3]\n"
                        "  %3 = add %2, %1 : f32[2,3]\n"
                        "}\n");
    arena_free(a);
}

/* Every double that is an attribute comes back with its bits. */
static void test_numbers(void **state)
{
    (void)state;
    const double list[] = {
        0,       -0.0,   1,        0.1,       1.0 / 3,  1e-5, DBL_MAX,
        DBL_MIN, 5e-324, INFINITY, -INFINITY, 16777217, 1e22, -123456789.125};
    Module *m = module_new("m");
    Graph *g = graph_new(m, "g");
    module_add_graph(m, g);
    Type t = type_scalar(DT_F64);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        ir_const(g, &t, list[i]);
    char *text = module_to_string(m, m->arena);
    Error e;
    Module *back = module_read(text, strlen(text), "m.ir", &e);
    assert_non_null(back);
    for (uint32_t i = 1; i < g->n_nodes; i++) {
        double v = node_float(&back->graph[0]->node[i], "value");
        assert_memory_equal(&v, &list[i - 1], sizeof v);
    }
    module_free(back);
    module_free(m);
}

/* Each op's samples, so that no kind of attribute is left out. */
static void test_samples(void **state)
{
    (void)state;
    for (const OpDesc *const *op = op_table; *op; op++)
        for (int i = 0; (*op)->samples && (*op)->samples[i]; i++) {
            Error e;
            Module *m = module_new("m");
            State s = {.name = "w", .of = "", .type = type_scalar(DT_F32)};
            module_add_state(m, &s);
            module_add_graph(m, graph_new(m, "g"));
            /* One that needs more than operands is for the ops' own tests. */
            if (sample_add(m->graph[0], *op, (*op)->samples[i], &e) &&
                module_verify(m, &e))
                expect_same(module_to_string(m, m->arena));
            module_free(m);
        }
}

/* ---- mistakes -------------------------------------------------------------
 */

static void expect_error(const char *text, const char *message)
{
    Error e;
    assert_null(module_read(text, strlen(text), "m.ir", &e));
    assert_string_equal(e.text, message);
}

/* A graph with one input, and then this. */
static void expect_node_error(const char *node, const char *message)
{
    Arena *a = arena_new();
    const char *text = arena_printf(
        a, "module m\ngraph g {\n%%x = input {name=\"x\"} : f32[2,3]\n%s",
        node);
    expect_error(text, arena_printf(a, "m.ir: line %s", message));
    arena_free(a);
}

static void test_mistakes_in_modules(void **state)
{
    (void)state;
    expect_error("", "m.ir: line 1: expected the word module");
    expect_error("module", "m.ir: line 1: expected the word module");
    expect_error("module m\nstat", "m.ir: line 2: expected set, state or "
                                   "graph, found stat");
    expect_error("module m\n\nset bach = 1",
                 "m.ir: line 3: unknown setting bach (did you mean batch?)");
    expect_error("module m set batch = 1 set batch = 2",
                 "m.ir: line 1: batch is set twice");
    expect_error("module m set data.mean = [1,\n2]",
                 "m.ir: line 1: a list that does not end on its line");
    expect_error("module m graph g { } graph g { }",
                 "m.ir: line 1: two graphs are called g");
    expect_error("module m\nstate w : f32[2] param const(0)\n"
                 "state w : f32[2] param const(0)\n",
                 "m.ir: line 3: two states are called w");
    expect_error("module m state w : f32[0] param const(0)",
                 "m.ir: line 1: a shape with a dimension below 1 or more than "
                 "2^62 bytes");
    expect_error("module m state w : f32[2,2]{0,0} param const(0)",
                 "m.ir: line 1: a layout names every dimension once");
    expect_error("module m state w : f32[2] parameter const(0)",
                 "m.ir: line 1: parameter cannot stand here");
    expect_error("module m state w : f32[2] param normal(0, -1)",
                 "state w: 0 and -1 do not describe a distribution");
    expect_error("module m state w : f32[2] param const(0) @3:4",
                 "m.ir: line 1: a location without a file");
    expect_error("module m state \"w", "m.ir: line 1: a string that does not "
                                       "end on its line");
    expect_error("module m state \"\\q\"",
                 "m.ir: line 1: a string with an unknown escape");
}

static void test_mistakes_in_nodes(void **state)
{
    (void)state;
    expect_node_error("%y = reul %x",
                      "4: unknown op reul (did you mean relu?)");
    expect_node_error("%y = relu %z", "4: %z is not defined before this line");
    expect_node_error("%y = relu %y", "4: %y is not defined before this line");
    expect_node_error("%y = relu %x:1", "4: %x has no result 1");
    expect_node_error("%x = relu %x", "4: %x is defined twice");
    expect_node_error("relu %x", "4: relu has 1 results, not 0");
    expect_node_error("%y, %y:1 = relu %x", "4: relu has 1 results, not 2");
    expect_node_error("%y, %z = relu %x", "4: the results of one node are "
                                          "written %x, %x:1, %x:2");
    expect_node_error("%y = relu %x : f32[2,4]",
                      "4: relu: result 0 is f32[2,3], not f32[2,4]");
    expect_node_error("%y = relu %x : f32[2,3], f32[2,3]",
                      "4: relu: 2 types for 1 results");
    expect_node_error("%y = reduce_sum %x {axis=[0]}",
                      "4: reduce_sum has no attribute axis (did you mean "
                      "axes?)");
    expect_node_error("%y = reduce_sum %x {axes=0}",
                      "4: expected '[', found '0'");
    expect_node_error("%y = reduce_sum %x {axes=[99999999999999999999]}",
                      "4: 99999999999999999999 does not fit 64 bits");
    expect_node_error("%y = reduce_sum %x {axes=[0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
                      "0,0,0]}",
                      "4: a list of more than 16 numbers");
    expect_node_error("fuse { fuse {", "4: fuse cannot stand here");
    expect_node_error("fuse {\n", "5: expected a word, found the end of the "
                                  "text");
    expect_error("module m graph g { %x = input {name=\"x\"} : f32[] "
                 "output %x {name=\"a\"} output %x {name=\"a\"} }",
                 "graph g: %3 (output): %2 has the name \"a\" too");
}

/* ---- random modules -------------------------------------------------------
 */

static uint64_t next_random(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 33;
}

static Value random_node(Graph *g, Value a, Value b, uint64_t *s)
{
    int64_t axis = 1;
    Type t = *graph_type(g, a);
    switch (next_random(s) % 6) {
    case 0:
        return ir_add(g, a, b);
    case 1:
        return ir_unary(g, &op_relu, a);
    case 2:
        return ir_broadcast(g, ir_reduce_sum(g, a, &axis, 1), &t,
                            (const int64_t[]){0}, 1);
    case 3:
        return ir_mul_const(g, a, (double)next_random(s) / 7);
    case 4:
        return ir_transpose(g, a, (const int64_t[]){1, 0}, 2);
    default:
        return ir_const(g, &t, ldexp((double)next_random(s), -30));
    }
}

static void random_graph(Module *m, const char *name, uint32_t n, uint64_t *s)
{
    Graph *g = graph_new(m, name);
    module_add_graph(m, g);
    Type t = type_make(DT_F32, 2, (const int64_t[]){7, 7});
    Value *v = calloc(n, sizeof *v);
    v[0] = ir_input(g, "x", &t);
    for (uint32_t i = 1; i < n; i++) {
        if (next_random(s) % 4 == 0)
            g->group = next_random(s) % 3 ? i : 0; /* a new one, or none */
        g->loc = module_loc(m, next_random(s) % 3 ? "a.net" : "b.net",
                            (int)(next_random(s) % 50), 7,
                            next_random(s) % 2 ? g->loc : 0);
        g->hint = next_random(s) % 5 ? NULL : "h\t\"";
        v[i] = random_node(g, v[next_random(s) % i], v[next_random(s) % i], s);
        if (next_random(s) % 3 == 0)
            graph_node(g, v[i])->type[0].layout = 0x01;
    }
    g->group = 0;
    ir_output(g, "y", v[n - 1]);
    free(v);
}

static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t s = seed;
        Module *m = module_new("m");
        random_graph(m, "train", 1 + (uint32_t)(seed % 60), &s);
        random_graph(m, "eval", 3, &s);
        Error e;
        if (!module_verify(m, &e))
            fail_msg("seed %d: %s", (int)seed, e.text);
        expect_same(module_to_string(m, m->arena));
        module_free(m);
    }
}

/* Damage is refused or understood, never more than that. */
static void test_damaged(void **state)
{
    (void)state;
    uint64_t s = 1;
    Module *m = module_new("m");
    random_graph(m, "train", 12, &s);
    const char *text = module_to_string(m, m->arena);
    size_t size = strlen(text);
    char *copy = malloc(size);
    for (int i = 0; i < 20000; i++) {
        memcpy(copy, text, size);
        for (uint64_t k = next_random(&s) % 3; k + 1; k--)
            copy[next_random(&s) % size] = (char)(next_random(&s) % 128);
        Error e;
        Module *back =
            module_read(copy, i % 2 ? size : next_random(&s) % size, "m", &e);
        if (back)
            expect_same(module_to_string(back, back->arena));
        else
            assert_true(e.text[0]);
        module_free(back);
    }
    free(copy);
    module_free(m);
}

/* Far above the largest model; a quadratic step anywhere would take minutes. */
static void test_large(void **state)
{
    (void)state;
    uint64_t s = 5;
    Module *m = module_new("m");
    random_graph(m, "train", 300000, &s);
    clock_t start = clock();
    char *text = module_to_string(m, m->arena);
    Error e;
    Module *back = module_read(text, strlen(text), "m.ir", &e);
    assert_non_null(back);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 30);
    print_message("%u nodes, %zu bytes: %.2f s\n", back->graph[0]->n_nodes,
                  strlen(text), (double)(clock() - start) / CLOCKS_PER_SEC);
    module_free(back);
    module_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_module),
        cmocka_unit_test(test_manual),
        cmocka_unit_test(test_written_by_hand),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_mistakes_in_modules),
        cmocka_unit_test(test_mistakes_in_nodes),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
