/* anchor_test.c: random nets of convolutions and matrix products, trained one
 * step, fused around the library's calls, against the interpreter.
 *
 * Forward and backward: every parameter's new value is compared.  Batches and
 * images are odd in places, so that pieces are of one image, of several, or
 * there is but one; large enough in others that values are computed again
 * rather than kept.  In half, too: there a fused kernel keeps in float32 what
 * the interpreter rounds between two ops, so less is asked. */
#include "build.h"
#include "check.h"
#include "codegen.h"
#include "emulate.h"
#include "pass.h"
#include "steps.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { NETS = 8, LAYERS = 5 };

typedef struct Maker {
    Graph *g;
    uint64_t state;
    int n_params;
} Maker;

static int64_t pick(Maker *m, const int64_t *from, int n)
{
    int k = (int)((interp_random(&m->state) + 1) / 2 * n);
    return from[k < n ? k : n - 1];
}

static int below(Maker *m, int n)
{
    int k = (int)((interp_random(&m->state) + 1) / 2 * n);
    return k < n ? k : n - 1;
}

static Value param(Maker *m, int rank, const int64_t *dim)
{
    char name[16];
    snprintf(name, sizeof name, "p%d", m->n_params++);
    State s = {.name = name,
               .of = "",
               .role = STATE_PARAM,
               .type = type_make(DT_F32, rank, dim)};
    assert_true(module_add_state(m->g->module, &s) >= 0);
    return ir_state(m->g, name);
}

/* ---- layers ------------------------------------------------------------- */

static Value conv(Maker *m, Value x, int64_t channels, int64_t kernel,
                  int64_t stride, int64_t groups)
{
    int64_t pad = kernel / 2;
    int64_t dim[] = {channels, graph_type(m->g, x)->dim[1] / groups, kernel,
                     kernel};
    Attr attr[] = {attr_ints("stride", (int64_t[]){stride, stride}, 2),
                   attr_ints("pad_low", (int64_t[]){pad, pad}, 2),
                   attr_ints("pad_high", (int64_t[]){pad, pad}, 2),
                   attr_ints("dilation", (int64_t[]){1, 1}, 2),
                   attr_int("groups", groups)};
    Value in[] = {x, param(m, 4, dim)};
    return ir_node(m->g, &op_conv, in, 2, attr, 5);
}

static Value norm(Maker *m, Value x)
{
    int64_t channels = graph_type(m->g, x)->dim[1];
    Value in[] = {x, param(m, 1, &channels), param(m, 1, &channels)};
    Attr eps = attr_float("eps", 0.1);
    return ir_node(m->g, &op_batch_norm, in, 3, &eps, 1);
}

static Value relu(Maker *m, Value x)
{
    return ir_unary(m->g, &op_relu, x);
}

static Value bias(Maker *m, Value x)
{
    int64_t channels = graph_type(m->g, x)->dim[1];
    Value b = ir_broadcast_channel(m->g, param(m, 1, &channels), x);
    return ir_add(m->g, x, b);
}

static Value max_pool(Maker *m, Value x)
{
    Attr attr[] = {attr_ints("size", (int64_t[]){2, 2}, 2),
                   attr_ints("stride", (int64_t[]){1, 1}, 2),
                   attr_ints("dilation", (int64_t[]){1, 1}, 2),
                   attr_ints("pad_low", (int64_t[]){1, 0}, 2),
                   attr_ints("pad_high", (int64_t[]){0, 1}, 2)};
    return ir_node(m->g, op_named("max_pool"), &x, 1, attr, 5);
}

/* x [M,K] times weights [N,K], and a bias. */
static Value dense(Maker *m, Value x, int64_t n)
{
    Attr transposed = attr_bool("transpose_b", true);
    Value in[] = {x, param(m, 2, (int64_t[]){n, graph_type(m->g, x)->dim[1]})};
    return bias(m, ir_node(m->g, &op_matmul, in, 2, &transposed, 1));
}

/* [N,C,H,W] as a matrix with a row a pixel, through two products. */
static Value mixed(Maker *m, Value x)
{
    const int64_t back[] = {0, 3, 1, 2}, there[] = {0, 2, 3, 1};
    Type t = *graph_type(m->g, x);
    int64_t rows = t.dim[0] * t.dim[2] * t.dim[3];
    x = ir_transpose(m->g, x, there, 4);
    x = ir_reshape(m->g, x, 2, (int64_t[]){rows, t.dim[1]});
    x = ir_unary(m->g, op_named("gelu"), dense(m, x, 5 + below(m, 20)));
    x = dense(m, x, t.dim[1]);
    x = ir_reshape(m->g, x, 4,
                   (int64_t[]){t.dim[0], t.dim[2], t.dim[3], t.dim[1]});
    return ir_transpose(m->g, x, back, 4);
}

static Value layer(Maker *m, Value x)
{
    int64_t channels = graph_type(m->g, x)->dim[1];
    Value y;
    switch (below(m, 9)) {
    case 0: /* as it stands in a ResNet */
    case 1:
        y = relu(m, norm(m, conv(m, x, channels, 3, 1, 1)));
        y = norm(m, conv(m, y, channels, 3, 1, 1));
        return relu(m, ir_add(m->g, y, x));
    case 2:
        return relu(m, norm(m, conv(m, x, 8 + below(m, 9), 3, 2, 1)));
    case 3: /* a function that is not computed twice */
        return ir_unary(m->g, op_named("tanh"),
                        bias(m, conv(m, x, channels, 1, 1, 1)));
    case 6: /* the larger of neighbours, which gradients must find again */
        return max_pool(m, relu(m, norm(m, x)));
    case 7: /* channels mixed by a product of matrices, and back */
        return ir_add(m->g, x, mixed(m, x));
    case 4: /* depthwise, the result used as it is and through a relu */
        y = conv(m, x, channels, 3, 1, channels);
        return ir_add(m->g, y, relu(m, y));
    case 5: /* before and after one call */
        return ir_mul_const(
            m->g, conv(m, relu(m, norm(m, x)), channels, 3, 1, 1), 0.5);
    default: /* a value that three calls read */
        y = relu(m, norm(m, conv(m, x, channels, 3, 1, 1)));
        return ir_add(m->g, conv(m, y, channels, 1, 1, 1),
                      conv(m, y, channels, 3, 1, 1));
    }
}

/* ---- nets --------------------------------------------------------------- */

static Module *empty_module(const char *precision)
{
    char text[160];
    Error e;
    snprintf(text, sizeof text,
             "module net\nset optimizer = sgd\nset precision = %s\n"
             "set loss_scale = none\n",
             precision);
    Module *m = module_read(text, strlen(text), "net", &e);
    if (!m)
        fail_msg("%s", e.text);
    return m;
}

/* As a classifier ends: the mean of each channel, three classes or more. */
static Value cross_entropy(Maker *m, Value y)
{
    int64_t n = graph_type(m->g, y)->dim[0];
    int64_t pixels = graph_type(m->g, y)->dim[2] * graph_type(m->g, y)->dim[3];
    Type labels = type_make(DT_I32, 1, &n);
    y = ir_reduce_sum(m->g, y, (int64_t[]){2, 3}, 2);
    y = dense(m, ir_mul_const(m->g, y, 1 / (double)pixels), 3 + below(m, 9));
    Value in[] = {y, ir_input(m->g, "label", &labels)};
    y = ir_node(m->g, op_named("softmax_cross_entropy"), in, 2, NULL, 0);
    return ir_mul_const(m->g, ir_sum_all(m->g, y), 1 / (double)n);
}

static Value inner_product(Maker *m, Value y)
{
    Type t = *graph_type(m->g, y);
    Value target = ir_input(m->g, "target", &t);
    Value loss = ir_sum_all(m->g, ir_mul(m->g, y, target));
    return ir_mul_const(m->g, loss, 1 / (double)type_elements(&t));
}

static void add_loss(Maker *m, Value y)
{
    Value loss = below(m, 2) ? cross_entropy(m, y) : inner_product(m, y);
    ir_output(m->g, "loss", loss);
    Type scalar = type_scalar(DT_F32);
    ir_input(m->g, "lr", &scalar);
}

static Module *random_net(uint64_t seed, const char *precision)
{
    static const int64_t batches[] = {2, 6, 16, 32, 48},
                         channels[] = {3, 8, 16, 17}, sizes[] = {3, 5, 8, 10};
    Module *module = empty_module(precision);
    Maker m = {.g = graph_new(module, "train"), .state = seed * 7919 + 3};
    module_add_graph(module, m.g);
    int64_t size = pick(&m, sizes, 4);
    int64_t dim[] = {pick(&m, batches, 5), pick(&m, channels, 4), size,
                     size + below(&m, 3)};
    Type image = type_make(DT_F32, 4, dim);
    Value x = ir_input(m.g, "image", &image);
    x = conv(&m, x, pick(&m, channels, 4), 3, 1, 1);
    for (int i = 0; i < LAYERS; i++)
        x = layer(&m, x);
    add_loss(&m, x);
    return module;
}

/* ---- tests -------------------------------------------------------------- */

/* The whole pipeline up to the groups, or up to what they are formed of. */
static void run_passes(Module *m, bool fuse)
{
    static const char *const names[][13] = {
        {"fold", "half", "autodiff", "fold", "cse", "dce", "layout", "expand",
         "fold", "cse", "dce", NULL},
        {"fold", "half", "autodiff", "fold", "cse", "dce", "layout", "expand",
         "fold", "cse", "dce", "fuse", NULL},
    };
    PassContext c = {.target = target_named(test_target())};
    if (!passes_run(m, &c, names[fuse], &(PassOptions){0}))
        fail_msg("%s", c.error.text);
}

/* Library calls and products with something around them. */
static int count_groups(const Graph *g)
{
    int n = 0;
    for (uint32_t id = 1; id < g->n_nodes; id++)
        n += node_is_whole(&g->node[id]) && g->node[id].group;
    return n;
}

static int add_net(Checks *c, uint64_t seed, bool fuse, const char *precision,
                   double tolerance)
{
    Module *m = random_net(seed, precision);
    run_passes(m, fuse);
    Check check = {.what = arena_printf(m->arena, "net %d", (int)seed),
                   .module = m,
                   .g = m->graph[0],
                   .outputs_only = true,
                   .in_place = seed % 2,
                   .shuffle = (uint32_t)seed,
                   .seed = seed,
                   .low = -1,
                   .high = 1,
                   .tolerance = tolerance};
    checks_add(c, &check);
    return count_groups(check.g);
}

static void nets_fused(void **state)
{
    uint64_t first = *(uint64_t *)*state;
    Checks *c = checks_new();
    int groups = 0;
    for (uint64_t seed = first; seed < first + NETS; seed++)
        groups += add_net(c, seed, true, "f32", 5e-4);
    checks_run(c);
    assert_true(groups > 2 * NETS);
}

static void nets_in_half(void **state)
{
    static const struct {
        const char *precision;
        double tolerance;
    } types[] = {{"bf16", 3e-2}, {"f16", 5e-3}};
    uint64_t first = *(uint64_t *)*state + 100;
    Checks *c = checks_new();
    int groups = 0;
    for (uint64_t i = 0; i < NETS / 2; i++)
        groups += add_net(c, first + i, true, types[i % 2].precision,
                          types[i % 2].tolerance);
    checks_run(c);
    assert_true(groups > NETS);
}

/* The same nets unfused: a test of the test. */
static void nets_unfused(void **state)
{
    uint64_t first = *(uint64_t *)*state;
    Checks *c = checks_new();
    for (uint64_t seed = first; seed < first + 2; seed++)
        assert_int_equal(add_net(c, seed, false, "f32", 5e-4), 0);
    checks_run(c);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(nets_fused, &first),
        cmocka_unit_test_prestate(nets_in_half, &first),
        cmocka_unit_test_prestate(nets_unfused, &first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
