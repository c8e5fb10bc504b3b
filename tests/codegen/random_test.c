/* random_test.c: random graphs, fused by the pass and by a coarser hand,
 * against the interpreter.
 *
 * In double: what differs by more than rounding is a wrong index.  Sizes are
 * odd on purpose (1, 3, 7, 33: tails of every loop); results go over operands
 * wherever that is allowed, and parts run in any order. */
#include "build.h"
#include "check.h"
#include "emulate.h"
#include "codegen.h"
#include "pass.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MAX_ELEMENTS = 12000, NODES = 24, GRAPHS = 30 };

typedef struct Maker {
    Graph *g;
    uint64_t state;
    Value value[256];
    int n;
} Maker;

static int below(Maker *m, int n)
{
    int k = (int)((interp_random(&m->state) + 1) / 2 * n);
    return k < n ? k : n - 1;
}

static const Type *type_of(const Maker *m, Value v)
{
    return graph_type(m->g, v);
}

static Value any(Maker *m)
{
    /* Later ones more often, so that chains get long. */
    int a = below(m, m->n), b = below(m, m->n);
    return m->value[a > b ? a : b];
}

static void keep(Maker *m, Value v)
{
    if (type_elements(type_of(m, v)) <= MAX_ELEMENTS)
        m->value[m->n++] = v;
}

static Value one_like(Maker *m, Value v)
{
    for (int tries = 0; tries < 8; tries++) {
        Value w = any(m);
        if (type_same_shape(type_of(m, v), type_of(m, w)))
            return w;
    }
    return ir_const_like(m->g, v, 0.25 * (below(m, 9) - 4));
}

/* ---- ops ---------------------------------------------------------------- */

static Value make_unary(Maker *m, Value v)
{
    static const char *const ops[] = {"neg", "abs", "relu", "tanh", "copy"};
    return ir_unary(m->g, op_named(ops[below(m, 5)]), v);
}

static Value make_binary(Maker *m, Value v)
{
    static const char *const ops[] = {"add", "sub", "mul", "max", "min"};
    return ir_binary(m->g, op_named(ops[below(m, 5)]), v, one_like(m, v));
}

static Value make_reduce(Maker *m, Value v)
{
    const Type *t = type_of(m, v);
    int64_t axes[MAX_RANK];
    int n = 0;
    for (int d = 0; d < t->rank; d++)
        if (below(m, 2))
            axes[n++] = d;
    /* Means, so that values stay near 1. */
    Value r = below(m, 3) ? ir_reduce_sum(m->g, v, axes, n)
                          : ir_reduce_max(m->g, v, axes, n);
    double part = (double)type_elements(type_of(m, r)) /
                  (double)type_elements(type_of(m, v));
    return ir_mul_const(m->g, r, part);
}

/* To a shape that there is, so that the result meets others. */
static Value make_broadcast(Maker *m, Value v)
{
    Type to = *type_of(m, any(m)), from = *type_of(m, v);
    int64_t dims[MAX_RANK];
    int n = 0;
    for (int d = 0; d < to.rank && n < from.rank; d++)
        if (to.dim[d] == from.dim[n])
            dims[n++] = d;
    if (n < from.rank)
        return NO_VALUE;
    to.dtype = from.dtype;
    return ir_broadcast(m->g, v, &to, dims, n);
}

/* Back to where the rows came from: softmax and its like. */
static Value make_row_op(Maker *m, Value v)
{
    const Type t = *type_of(m, v);
    int64_t axes[MAX_RANK], dims[MAX_RANK];
    int n = 0, kept = 0;
    for (int d = 0; d < t.rank; d++)
        if (below(m, 2))
            axes[n++] = d;
        else
            dims[kept++] = d;
    Value r = ir_reduce_max(m->g, v, axes, n);
    if (below(m, 2))
        r = make_unary(m, r);
    return ir_sub(m->g, v, ir_broadcast(m->g, r, &t, dims, kept));
}

static Value make_reshape(Maker *m, Value v)
{
    const Type *t = type_of(m, v);
    int64_t dim[MAX_RANK];
    int rank = 0, split = t->rank ? below(m, t->rank) : 0;
    for (int d = 0; d < t->rank; d++) {
        bool merge = rank && below(m, 3) == 0;
        int64_t size = t->dim[d];
        for (int64_t f = 2; d == split && f < size && rank + 2 < MAX_RANK; f++)
            if (size % f == 0) {
                dim[rank++] = f;
                size /= f;
                merge = false;
            }
        if (merge)
            dim[rank - 1] *= size;
        else if (rank < MAX_RANK)
            dim[rank++] = size;
        else
            return NO_VALUE;
    }
    return ir_reshape(m->g, v, rank, dim);
}

static Value make_transpose(Maker *m, Value v)
{
    int rank = type_of(m, v)->rank;
    int64_t order[MAX_RANK];
    for (int d = 0; d < rank; d++)
        order[d] = (d + 1) % rank;
    return ir_transpose(m->g, v, order, rank);
}

static Value make_slice(Maker *m, Value v)
{
    const Type *t = type_of(m, v);
    int64_t start[MAX_RANK], stop[MAX_RANK], step[MAX_RANK];
    for (int d = 0; d < t->rank; d++) {
        start[d] = below(m, t->dim[d] > 1 ? 2 : 1);
        stop[d] = t->dim[d];
        step[d] = 1 + below(m, 2);
    }
    Attr attr[] = {attr_ints("start", start, t->rank),
                   attr_ints("stop", stop, t->rank),
                   attr_ints("step", step, t->rank)};
    return ir_node(m->g, op_named("slice"), &v, 1, attr, 3);
}

static Value make_reverse(Maker *m, Value v)
{
    int64_t axes[MAX_RANK];
    int n = 0;
    for (int d = 0; d < type_of(m, v)->rank; d++)
        if (below(m, 2))
            axes[n++] = d;
    Attr attr = attr_ints("axes", axes, n);
    return ir_node(m->g, op_named("reverse"), &v, 1, &attr, 1);
}

static Value make_pad(Maker *m, Value v)
{
    const Type *t = type_of(m, v);
    int64_t low[MAX_RANK], high[MAX_RANK], step[MAX_RANK];
    for (int d = 0; d < t->rank; d++) {
        low[d] = below(m, 2);
        high[d] = below(m, 3);
        step[d] = 1 + (below(m, 4) == 0);
    }
    Attr attr[] = {attr_ints("low", low, t->rank),
                   attr_ints("high", high, t->rank),
                   attr_ints("step", step, t->rank), attr_float("value", 0.5)};
    return ir_node(m->g, op_named("pad"), &v, 1, attr, 4);
}

static Value make_select(Maker *m, Value v)
{
    Value w = one_like(m, v), x = one_like(m, v);
    Value less = ir_binary(m->g, op_named("less_equal"), x, v);
    return ir_select(m->g, less, ir_mul(m->g, x, w), ir_mul(m->g, v, w));
}

typedef Value Make(Maker *m, Value v);

static void make_node(Maker *m)
{
    static Make *const makers[] = {make_unary,     make_binary, make_binary,
                                   make_binary,    make_reduce, make_broadcast,
                                   make_broadcast, make_row_op, make_reshape,
                                   make_transpose, make_slice,  make_pad,
                                   make_select,    make_row_op, make_reverse};
    Make *make = makers[below(m, sizeof makers / sizeof *makers)];
    Value v = any(m);
    bool shape = make == make_transpose || make == make_slice ||
                 make == make_pad || make == make_reshape;
    if (shape && type_of(m, v)->rank == 0)
        return;
    Value r = make(m, v);
    if (r.node)
        keep(m, r);
}

static void make_inputs(Maker *m)
{
    static const int64_t sizes[] = {1, 2, 3, 4, 7, 16, 33, 120};
    int64_t dim[4];
    for (int d = 0; d < 4; d++)
        dim[d] = sizes[below(m, 8)];
    for (int i = 0; i < 3; i++) {
        int rank = i == 0 ? 3 : 1 + below(m, 3);
        char name[] = {'x', (char)('0' + i), 0};
        Type t = type_make(DT_F64, rank, &dim[i == 2]);
        while (type_elements(&t) > MAX_ELEMENTS)
            t.dim[below(m, rank)] = 3;
        keep(m, ir_input(m->g, name, &t));
    }
}

/* What nobody uses is an output, and some others. */
static void make_outputs(Maker *m)
{
    Uses u = graph_uses(m->g, m->g->arena);
    uint32_t n = m->g->n_nodes;
    for (uint32_t id = 1; id < n; id++) {
        bool unused = u.start[id] == u.start[id + 1];
        if (node_has(&m->g->node[id], T_SOURCE) || (!unused && below(m, 8)))
            continue;
        char name[16];
        snprintf(name, sizeof name, "y%u", id);
        ir_output(m->g, name, node_value(id, 0));
    }
}

static Module *random_module(uint64_t seed)
{
    Module *module = module_new("random");
    Maker m = {.g = graph_new(module, "train"), .state = seed * 7919};
    module_add_graph(module, m.g);
    make_inputs(&m);
    while (m.n < NODES)
        make_node(&m);
    make_outputs(&m);
    return module;
}

/* ---- tests -------------------------------------------------------------- */

static void check_random(const char *const *passes, uint64_t first)
{
    Checks *c = checks_new();
    for (uint64_t seed = first; seed < first + GRAPHS; seed++) {
        Module *m = random_module(seed);
        PassContext context = {.target = target_named(test_target())};
        if (!passes_run(m, &context, passes, &(PassOptions){0}))
            fail_msg("seed %d: %s", (int)seed, context.error.text);
        Check check = {.what = arena_printf(m->arena, "seed %d", (int)seed),
                       .module = m,
                       .g = m->graph[0],
                       .in_place = seed % 2,
                       .shuffle = (uint32_t)seed,
                       .seed = seed,
                       .low = -1,
                       .high = 1,
                       .tolerance = 1e-11};
        checks_add(c, &check);
    }
    checks_run(c);
}

/* **state: where seeds start. */
static void unfused(void **state)
{
    check_random((const char *const[]){"dce", NULL}, *(uint64_t *)*state);
}

static void fused(void **state)
{
    check_random((const char *const[]){"cse", "dce", "fuse", NULL},
                 *(uint64_t *)*state + 1000);
}

static void laid_out_and_fused(void **state)
{
    static const char *const passes[] = {"dce", "layout", "expand", "cse",
                                         "dce", "fuse",   NULL};
    check_random(passes, *(uint64_t *)*state + 2000);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(unfused, &first),
        cmocka_unit_test_prestate(fused, &first),
        cmocka_unit_test_prestate(laid_out_and_fused, &first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
