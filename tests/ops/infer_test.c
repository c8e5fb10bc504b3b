/* infer_test.c: what ops say to operands and attributes that do not fit, and
 * that nothing a text file can hold breaks inference. */
#include "build.h"
#include "interp.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* ---- messages ----------------------------------------------------------- */

#define CONV1 "stride=[1], pad_low=[0], pad_high=[0], dilation=[1]"
#define POOL1 "size=[3], stride=[1], dilation=[1]"

static const struct {
    const char *op, *sample, *message;
} wrong[] = {
    {"add", "(f32[2,3], f32[3])",
     "add: operands differ in shape: f32[2,3] and f32[3]"},
    {"add", "(f32[3], f64[3])",
     "add: operands differ in element type: f32[3] and f64[3]"},
    {"add", "(bool[3], bool[3])", "add: takes numbers, not bool[3]"},
    {"exp", "(i32[3])", "exp: takes floating point, not i32[3]"},
    {"and", "(i32[3], i32[3])", "and: takes bool, not i32[3]"},
    {"select", "(f32[3], f32[3], f32[3])",
     "select: the condition must be bool[3], not f32[3]"},
    {"cast", "(f32[3]) {dtype=bool}",
     "cast: f32[3] does not become bool; compare it with 0"},
    {"const", "() {value=1.5, dtype=i32}", "const: 1.5 is not a value of i32"},
    {"const", "() {value=256, dtype=u8}", "const: 256 is not a value of u8"},
    {"const", "() {value=0, shape=[0]}",
     "const: f32[0] is not a possible type: a dimension is below 1, or it is "
     "too large"},
    {"iota", "() {axis=2, dtype=i32, shape=[2,3]}",
     "iota: axis is 2, of 2 dimensions"},
    {"iota", "() {axis=0, dtype=u8, shape=[300]}",
     "iota: u8 cannot count to 299"},
    {"update", "(f32[3]) {name=\"w\"}", "update: there is no state \"w\""},
    {"state", "() {name=\"w\"}", "state: there is no state \"w\""},
    {"reshape", "(f32[2,3]) {shape=[4]}",
     "reshape: f32[2,3] has 6 elements, f32[4] does not"},
    {"reduce_sum", "(f32[2,3]) {axes=[1,0]}",
     "reduce_sum: axes must be increasing dimensions below 2 (0 is not)"},
    {"broadcast", "(f32[3]) {shape=[3,4], dims=[1]}",
     "broadcast: dimension 0 of f32[3] is to become dimension 1 of f32[3,4]"},
    {"transpose", "(f32[2,3]) {order=[0,0]}",
     "transpose: order must name every dimension of f32[2,3] once"},
    {"reverse", "(f32[2,3]) {axes=[2]}",
     "reverse: axes must be increasing dimensions below 2 (2 is not)"},
    {"slice", "(f32[5]) {start=[2], stop=[6], step=[1]}",
     "slice: from 2 to 6 is nothing along dimension 0 of f32[5]"},
    {"slice", "(f32[5]) {start=[2], stop=[4], step=[0]}",
     "slice: step is 0, the least is 1"},
    {"slice", "(f32[5,2]) {start=[2], stop=[4], step=[1]}",
     "slice: start needs 2 numbers, not 1"},
    {"split", "(f32[6]) {axis=0, size=4}",
     "split: dimension 0 of f32[6] is not a multiple of 4"},
    {"pick", "(f32[6]) {axes=[0], at=[6]}",
     "pick: there is no element 6 along dimension 0 of f32[6]"},
    {"matmul", "(f32[2,3], f32[4,5])",
     "matmul: rows of 3 elements meet columns of 4 (f32[2,3] and f32[4,5])"},
    {"matmul", "(f32[2,1,3], f32[4,3,5])",
     "matmul: leading dimensions differ: f32[2,1,3] and f32[4,3,5]"},
    {"conv", "(f32[2,16,8], f32[4,32,3]) {" CONV1 "}",
     "conv: input has 16 channels, weights expect 32 (input f32[2,16,8], "
     "weight f32[4,32,3])"},
    {"conv", "(f32[2,16,8], f32[6,4,3]) {" CONV1 ", groups=4}",
     "conv: 4 groups do not divide 16 input and 6 output channels (input "
     "f32[2,16,8], weight f32[6,4,3])"},
    {"conv", "(f32[2,16,2], f32[4,16,3]) {" CONV1 "}",
     "conv: the kernel is larger than the padded input (input f32[2,16,2], "
     "weight f32[4,16,3])"},
    {"conv", "(f32[2,16], f32[4,16]) {" CONV1 "}",
     "conv: input and weight need 1 to 3 spatial dimensions (input f32[2,16], "
     "weight f32[4,16])"},
    {"conv_grad_weight", "(f32[2,3,8], f32[2,4,7]) {" CONV1 ", shape=[4,3,3]}",
     "conv_grad_weight: the gradient of the result must be f32[2,4,6], not "
     "f32[2,4,7]"},
    {"max_pool", "(f32[2,3,8]) {" POOL1 ", pad_low=[3], pad_high=[0]}",
     "max_pool: padding by 3 puts windows of 3 beyond the input"},
    {"max_pool", "(f32[2,3,2]) {" POOL1 ", pad_low=[0], pad_high=[0]}",
     "max_pool: a window of 3 does not fit into dimension 2 of f32[2,3,2]"},
    {"batch_norm", "(f32[2,3,8], f32[4], f32[3])",
     "batch_norm: input has 3 channels, gamma has 4 (input f32[2,3,8])"},
    {"batch_norm", "(f32[3], f32[3], f32[3])",
     "batch_norm: the input has no channel dimension: f32[3]"},
    {"softmax_cross_entropy", "(f32[5,4], i32[4])",
     "softmax_cross_entropy: the label must be i32[5], not i32[4]"},
    {"softmax_cross_entropy", "(f32[5,4], i32[5]) {smoothing=1.5}",
     "softmax_cross_entropy: smoothing is 1.5, not from 0 to 1"},
    {"random_uniform", "(i32[3], i64[3]) {stream=1}",
     "random_uniform: the seed must be i64[3], not i32[3]"},
};

static void mistakes_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Module *m = module_new("m");
        Graph *g = graph_new(m, "train");
        Error e = {{0}};
        assert_int_equal(
            sample_add(g, op_named(wrong[i].op), wrong[i].sample, &e), 0);
        assert_string_equal(e.text, wrong[i].message);
        graph_free(g);
        module_free(m);
    }
}

/* ---- anything goes ------------------------------------------------------ */

static int64_t any_number(uint64_t *random)
{
    static const int64_t odd[] = {-1,        0,         1,         2,
                                  3,         4,         5,         7,
                                  64,        INT32_MAX, INT64_MAX, INT64_MIN,
                                  1LL << 40, 1LL << 33, 1LL << 61, 12};
    int i = (int)((interp_random(random) + 1) * 8);
    return odd[i < 16 ? i : 15];
}

static int any_below(uint64_t *random, int n)
{
    return (int)((interp_random(random) + 1) / 2 * n) % n;
}

static Type any_type(uint64_t *random)
{
    Type t = {.dtype = DT_F32};
    if (any_below(random, 3) == 0)
        t.dtype = (DType)(1 + any_below(random, DT_COUNT - 1));
    int rank = any_below(random, MAX_RANK + 1);
    for (t.rank = 0; t.rank < rank; t.rank++)
        t.dim[t.rank] = any_below(random, 4) ? 1 + any_below(random, 6)
                                             : any_number(random);
    return t;
}

static void spoil_attr(Attr *a, uint64_t *random)
{
    static int64_t numbers[2 * MAX_RANK];
    switch (a->kind) {
    case ATTR_INTS:
        if (any_below(random, 4) == 0)
            a->ints.n = any_below(random, 2 * MAX_RANK + 1);
        for (int i = 0; i < 2 * MAX_RANK; i++)
            numbers[i] = i < a->ints.n && any_below(random, 2)
                             ? any_number(random)
                             : any_below(random, 5);
        a->ints.v = numbers;
        break;
    case ATTR_FLOAT:
        a->f = interp_random(random) * (any_below(random, 2) ? 1 : 1e300);
        break;
    case ATTR_STRING:
        a->s = "nobody";
        break;
    case ATTR_DTYPE:
        a->i = any_below(random, DT_COUNT);
        break;
    case ATTR_BOOL:
        a->i = !a->i;
        break;
    default:
        a->i = any_number(random);
    }
}

/* What was accepted must be computable: types fit, maps and costs can be
 * asked for, gradients and expansions build (they stop the process if not). */
static void use(Graph *g, uint32_t id)
{
    const Node *n = &g->node[id];
    Value dout[MAX_OUT], din[8] = {{0}};
    bool any = false;
    for (unsigned i = 0; i < n->n_out; i++) {
        assert_true(type_fits(&n->type[i]));
        dout[i] = NO_VALUE;
        if (dtype_is_float(n->type[i].dtype)) {
            dout[i] = ir_const(g, &n->type[i], 1);
            any = true;
        }
    }
    if (n->op->cost)
        assert_true(n->op->cost(g, n).bytes >= 0);
    if (node_has(n, T_VIEW)) {
        ViewMap map = view_map(n, graph_type(g, n->in[0]));
        for (int d = 0; d < MAX_RANK; d++)
            assert_true(map.div[d] >= 1);
    }
    if (n->op->grad && any)
        n->op->grad(g, id, dout, din);
    graph_free(interp_expand(g));
}

/* The sample with one of its operands or attributes spoiled. */
static bool try_spoiled(const OpDesc *op, const char *sample, uint64_t *random)
{
    Module *m = module_new("m");
    Graph *g = graph_new(m, "train");
    Error e;
    uint32_t first = sample_add(g, op, sample, &e); /* moves g->node */
    Node n = g->node[first];
    int n_attr = 0;
    while (op->attrs && op->attrs[n_attr].name)
        n_attr++;
    n.in = arena_copy(g->arena, n.in, n.n_in * sizeof *n.in);
    n.attr = arena_copy(g->arena, n.attr, (size_t)n_attr * sizeof *n.attr);
    int which = any_below(random, (int)n.n_in + n_attr);
    if (which < (int)n.n_in) {
        Type t = any_type(random);
        Attr attr[] = {attr_string("name", "odd"), attr_dtype("dtype", t.dtype),
                       attr_ints("shape", t.dim, t.rank)};
        uint32_t input = graph_add(g, &op_input, NULL, 0, attr, 3);
        if (input)
            n.in[which] = node_value(input, 0);
    } else {
        spoil_attr(&n.attr[which - (int)n.n_in], random);
    }
    uint32_t id = graph_add(g, op, n.in, (int)n.n_in, n.attr, n_attr);
    if (id)
        use(g, id);
    else
        assert_true(g->error.text[0]);
    graph_free(g);
    module_free(m);
    return id != 0;
}

static void nothing_breaks_inference(void **state)
{
    (void)state;
    uint64_t random = 1;
    int accepted = 0, refused = 0;
    for (size_t i = 0; i < op_count; i++)
        for (const char *const *s = op_table[i]->samples; s && *s; s++)
            for (int k = 0; k < 300; k++) {
                if (op_table[i]->max_in == 0 && !op_table[i]->attrs)
                    continue;
                bool ok = try_spoiled(op_table[i], *s, &random);
                accepted += ok;
                refused += !ok;
            }
    assert_true(accepted > 1000 && refused > 1000); /* both are exercised */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(nothing_breaks_inference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
