/* graph_test.c: adding nodes, attributes, copies, uses, the state table,
 * locations, rewriting, and what the verifier refuses. */
#include "build.h"
#include "rewrite.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static int begin(void **state)
{
    *state = module_new("test");
    module_add_graph(*state, graph_new(*state, "train"));
    return 0;
}

static int end(void **state)
{
    module_free(*state);
    return 0;
}

static Value matrix(Graph *g, const char *name, int64_t rows, int64_t columns)
{
    Type t = type_make(DT_F32, 2, (const int64_t[]){rows, columns});
    return ir_input(g, name, &t);
}

/* ---- graph_add ------------------------------------------------------------
 */

static void test_add_copies_everything(void **state)
{
    Graph *g = module_graph(*state, "train");
    char name[] = "image", hint[] = "y";
    int64_t shape[] = {2, 3};
    g->hint = hint;
    Attr attr[] = {attr_ints("shape", shape, 2), attr_string("name", name),
                   attr_dtype("dtype", DT_F32)};
    uint32_t id = graph_add(g, &op_input, NULL, 0, attr, 3);
    assert_int_equal(id, 1);
    name[0] = hint[0] = 'X';
    shape[0] = 9;
    const Node *n = &g->node[id];
    int count;
    assert_string_equal(node_string(n, "name"), "image");
    assert_string_equal(n->name, "y");
    assert_int_equal(node_ints(n, "shape", &count)[0], 2);
    assert_int_equal(count, 2);
    assert_int_equal(n->type[0].dim[0], 2);
}

static void expect_error(Graph *g, const OpDesc *op, const Value *in, int n_in,
                         const Attr *attr, int n_attr, const char *message)
{
    uint32_t before = g->n_nodes;
    assert_int_equal(graph_add(g, op, in, n_in, attr, n_attr), 0);
    assert_string_equal(g->error.text, message);
    assert_int_equal(g->n_nodes, before);
}

static void test_add_refuses(void **state)
{
    Graph *g = module_graph(*state, "train");
    Value a[] = {matrix(g, "a", 2, 3), matrix(g, "b", 2, 3),
                 matrix(g, "c", 2, 3)};
    int64_t axis = 0;
    Attr twice[] = {attr_ints("axes", &axis, 1), attr_ints("axes", &axis, 1)};
    Attr wrong[] = {attr_int("axes", 0)};
    Attr typo[] = {attr_ints("axes", &axis, 1), attr_int("axess", 0)};
    expect_error(g, &op_add, a, 3, NULL, 0, "add takes 2 operands, not 3");
    expect_error(g, &op_reduce_sum, a, 1, NULL, 0,
                 "reduce_sum: attribute axes is missing");
    expect_error(g, &op_reduce_sum, a, 1, twice, 2,
                 "reduce_sum: attribute axes is given twice");
    expect_error(g, &op_reduce_sum, a, 1, wrong, 1,
                 "reduce_sum: attribute axes must be integers");
    expect_error(g, &op_reduce_sum, a, 1, typo, 2,
                 "reduce_sum has no attribute axess (did you mean axes?)");
}

/* A result of more than 2^62 bytes is refused whatever the op says. */
static void test_add_refuses_huge(void **state)
{
    Graph *g = module_graph(*state, "train");
    Value a = matrix(g, "a", 1 << 30, 1);
    Attr attr[] = {
        attr_ints("shape", (const int64_t[]){1 << 30, 1 << 30, 1 << 30}, 3),
        attr_ints("dims", (const int64_t[]){0}, 1)};
    assert_int_equal(graph_add(g, &op_broadcast, &a, 1, attr, 2), 0);
    assert_true(g->error.text[0]);
}

static void test_copy_keeps_layout(void **state)
{
    Graph *g = module_graph(*state, "train");
    Value a = matrix(g, "a", 2, 3);
    graph_node(g, a)->type[0].layout = layout_make(2, (const int[]){1, 0});
    g->loc = module_loc(*state, "m.net", 1, 2, 0);
    Value b = ir_unary(g, &op_relu, a);
    graph_node(g, b)->type[0].layout = graph_type(g, a)->layout;
    g->loc = 0;
    uint32_t copy = graph_add_copy(g, graph_node(g, b), &a);
    assert_true(type_equal(&g->node[copy].type[0], graph_type(g, a)));
    assert_int_equal(g->node[copy].loc, graph_node(g, b)->loc);
}

static void test_uses(void **state)
{
    Graph *g = module_graph(*state, "train");
    Arena *scratch = arena_new();
    Value a = matrix(g, "a", 2, 3), b = ir_mul(g, a, a), c = ir_add(g, a, b);
    ir_output(g, "c", c);
    Uses u = graph_uses(g, scratch);
    assert_int_equal(u.start[2] - u.start[1], 2); /* mul once, add once */
    assert_int_equal(u.user[u.start[1]], b.node);
    assert_int_equal(u.user[u.start[1] + 1], c.node);
    assert_int_equal(u.start[c.node + 1] - u.start[c.node], 1);
    assert_int_equal(u.start[g->n_nodes] - u.start[4], 0);
    arena_free(scratch);
}

static void test_builder(void **state)
{
    Graph *g = module_graph(*state, "train");
    Type image = type_make(DT_F32, 4, (const int64_t[]){2, 3, 4, 5});
    image.layout = layout_channels_last(4);
    Value x = ir_input(g, "x", &image);
    assert_true(type_equal(graph_type(g, x), &image));
    Value c = ir_reduce_to_channel(g, x);
    assert_int_equal(graph_type(g, c)->dim[0], 3);
    Value y = ir_broadcast_channel(g, c, x);
    assert_true(type_equal(graph_type(g, y), &image));
    assert_true(type_equal(graph_type(g, ir_const_like(g, x, 2)), &image));
    assert_int_equal(graph_type(g, ir_sum_all(g, x))->rank, 0);
    assert_true(value_equal(ir_cast(g, x, DT_F32), x));
    assert_int_equal(graph_type(g, ir_cast(g, x, DT_F16))->dtype, DT_F16);
    Value s = ir_sum_all(g, c);
    assert_true(value_equal(ir_broadcast_scalar(g, s, s), s));
    assert_int_equal(graph_type(g, ir_mul_const(g, c, 0.5))->rank, 1);
}

/* ---- the module's tables ----------------------------------------------------
 */

static State parameter(const char *name)
{
    return (State){.name = name,
                   .of = "",
                   .type = type_make(DT_F32, 2, (const int64_t[]){2, 3}),
                   .role = STATE_PARAM};
}

static void test_state_table(void **state)
{
    Module *m = *state;
    char name[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "layer%d.weight", i);
        State s = parameter(name);
        assert_int_equal(module_add_state(m, &s), i);
    }
    State again = parameter("layer17.weight");
    assert_int_equal(module_add_state(m, &again), -1);
    assert_int_equal(module_state(m, "layer4999.weight"), 4999);
    assert_int_equal(module_state(m, "layer5000.weight"), -1);
}

static void test_locations(void **state)
{
    Module *m = *state;
    Arena *a = arena_new();
    char file[] = "resnet.net";
    Loc call = module_loc(m, file, 32, 33, 0);
    Loc inner = module_loc(m, file, 14, 27, call);
    file[0] = 'X';
    assert_int_equal(module_loc(m, "resnet.net", 14, 27, call), inner);
    assert_int_not_equal(module_loc(m, "resnet.net", 14, 27, 0), inner);
    assert_ptr_equal(m->loc[call].file, m->loc[inner].file);
    assert_string_equal(module_loc_text(m, inner, a),
                        "resnet.net:14:27, called from resnet.net:32:33");
    assert_string_equal(module_loc_text(m, 0, a), "");
    arena_free(a);
}

/* ---- rewriting --------------------------------------------------------------
 */

/* relu becomes identity; locations and hints of the rest stay. */
static void test_rewrite(void **state)
{
    Module *m = *state;
    Graph *old = module_graph(m, "train");
    old->loc = module_loc(m, "m.net", 3, 4, 0);
    old->hint = "sum";
    Value a = matrix(old, "a", 2, 3);
    Value sum = ir_add(old, ir_unary(old, &op_relu, a), a);
    ir_output(old, "sum", sum);
    Rewrite r;
    rewrite_begin(&r, old);
    for (uint32_t id = 1; id < old->n_nodes; id++)
        if (node_is(&old->node[id], &op_relu))
            rewrite_set(&r, node_value(id, 0), rewrite_get(&r, a));
        else
            rewrite_copy(&r, id);
    module_add_graph(m, rewrite_end(&r));
    Graph *g = module_graph(m, "train");
    Error e;
    assert_int_equal(m->n_graphs, 1);
    assert_int_equal(g->n_nodes, 4);
    assert_true(value_equal(g->node[2].in[0], g->node[2].in[1]));
    assert_string_equal(g->node[2].name, "sum");
    assert_int_equal(m->loc[g->node[2].loc].line, 3);
    assert_true(module_verify(m, &e));
}

/* ---- what the verifier refuses ----------------------------------------------
 */

static void expect_invalid(const Module *m, const char *message)
{
    Error e = {{0}};
    assert_false(module_verify(m, &e));
    assert_string_equal(e.text, message);
}

static void test_verify_operands_and_types(void **state)
{
    Module *m = *state;
    Graph *g = module_graph(m, "train");
    Value a = matrix(g, "a", 2, 3), b = ir_unary(g, &op_relu, a);
    ir_output(g, "b", b);
    Error e;
    assert_true(module_verify(m, &e));
    graph_node(g, b)->in[0] = b;
    expect_invalid(m, "graph train: %2 (relu): operand 0 is %2, which does "
                      "not come before");
    graph_node(g, b)->in[0] = node_value(a.node, 1);
    expect_invalid(m, "graph train: %2 (relu): operand 0 is %1:1, which has "
                      "no such result");
    graph_node(g, b)->in[0] = a;
    graph_node(g, b)->type[0].dim[1] = 4;
    expect_invalid(m, "graph train: %2 (relu): result 0 is f32[2,4], "
                      "inference gives f32[2,3]");
    graph_node(g, b)->type[0].dim[1] = 3;
    graph_node(g, b)->loc = 99;
    expect_invalid(m, "graph train: %2 (relu): a location that the module "
                      "does not have");
}

static void test_verify_groups(void **state)
{
    Module *m = *state;
    Graph *g = module_graph(m, "train");
    Value a = matrix(g, "a", 2, 3);
    for (uint32_t i = 0; i < 4; i++) {
        g->group = i % 2 + 5;
        ir_unary(g, &op_relu, a);
    }
    expect_invalid(m, "graph train: %4 (relu): group 5 is in several pieces");
    for (uint32_t i = 0; i < 4; i++)
        g->node[2 + i].group = 6 - i / 2;
    Error e;
    assert_true(module_verify(m, &e));
}

static void test_verify_anchors(void **state)
{
    Module *m = *state;
    Graph *g = module_graph(m, "train");
    Value a = matrix(g, "a", 3, 3);
    for (uint32_t i = 0; i < 2; i++) {
        g->group = 5;
        a = ir_unary(g, &op_relu, a);
        a = ir_node(g, &op_matmul, (Value[]){a, a}, 2, NULL, 0);
    }
    expect_invalid(m, "graph train: %5 (matmul): its group has %3 already, "
                      "which no generic kernel computes either");
    graph_node(g, a)->group = 6;
    Error e;
    assert_true(module_verify(m, &e));
}

static void test_verify_names(void **state)
{
    Module *m = *state;
    Graph *g = module_graph(m, "train");
    State s = parameter("w");
    module_add_state(m, &s);
    Value a = ir_state(g, "w");
    ir_update(g, "w", a);
    Error e;
    assert_true(module_verify(m, &e));
    ir_update(g, "w", a);
    expect_invalid(m, "graph train: %3 (update): %2 has the name \"w\" too");
}

static void test_verify_state_layout(void **state)
{
    Module *m = *state;
    Graph *g = module_graph(m, "train");
    State s = parameter("w");
    module_add_state(m, &s);
    Value a = ir_state(g, "w");
    graph_node(g, a)->type[0].layout = layout_make(2, (const int[]){1, 0});
    expect_invalid(m, "graph train: %1 (state): f32[2,3]{1,0}, but state "
                      "\"w\" is f32[2,3]");
}

/* What is copied into a state, or computed there, must lie as it. */
static void test_verify_update_layout(void **state)
{
    Module *m = *state;
    Graph *g = module_graph(m, "train");
    Value a = matrix(g, "a", 2, 3);
    State s = {.name = "w", .type = *graph_type(g, a)};
    module_add_state(m, &s);
    Value b = ir_unary(g, &op_relu, a);
    ir_update(g, "w", b);
    Error e;
    assert_true(module_verify_layouts(m, &e));
    graph_node(g, b)->type[0].layout = layout_make(2, (const int[]){1, 0});
    assert_true(module_verify(m, &e)); /* layouts are not chosen yet */
    assert_false(module_verify_layouts(m, &e));
    assert_string_equal(e.text, "graph train: %3 (update): f32[2,3]{1,0}, but "
                                "state \"w\" is f32[2,3]");
}

static void test_verify_table(void **state)
{
    Module *m = *state;
    State slot = parameter("w.momentum");
    slot.role = STATE_SLOT;
    slot.of = "w";
    module_add_state(m, &slot);
    expect_invalid(m, "state w.momentum: there is no state \"w\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_add_copies_everything),
        TEST(test_add_refuses),
        TEST(test_add_refuses_huge),
        TEST(test_copy_keeps_layout),
        TEST(test_uses),
        TEST(test_builder),
        TEST(test_state_table),
        TEST(test_locations),
        TEST(test_rewrite),
        TEST(test_verify_operands_and_types),
        TEST(test_verify_groups),
        TEST(test_verify_anchors),
        TEST(test_verify_names),
        TEST(test_verify_state_layout),
        TEST(test_verify_update_layout),
        TEST(test_verify_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
