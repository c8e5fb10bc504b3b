/* random_graph.c: see random_graph.h. */
#include "random_graph.h"
#include "build.h"
#include "interp.h"
#include <stdio.h>
#include <string.h>

enum { MAX_ELEMENTS = 2000, MAX_VALUES = 512, STATES = 4 };

typedef struct Maker {
    Graph *g;
    uint64_t state;
    Value value[MAX_VALUES];
    int n;
} Maker;

static int below(Maker *m, int n)
{
    int k = (int)((interp_random(&m->state) + 1) / 2 * n);
    return k < n ? k : n - 1;
}

static Type type_of(const Maker *m, Value v)
{
    return *graph_type(m->g, v);
}

/* Later ones more often, so that chains get long. */
static Value any(Maker *m)
{
    int a = below(m, m->n), b = below(m, m->n);
    return m->value[a > b ? a : b];
}

static Value like(Maker *m, Value v)
{
    Type t = type_of(m, v);
    for (int tries = 0; tries < 12; tries++) {
        Value w = any(m);
        Type s = type_of(m, w);
        if (type_same_shape(&s, &t))
            return w;
    }
    return ir_const_like(m->g, v, 0.5 * below(m, 4) - 1);
}

/* ---- ops ---------------------------------------------------------------- */

static Value make_unary(Maker *m)
{
    static const char *const ops[] = {"neg", "abs", "relu", "tanh", "copy"};
    return ir_unary(m->g, op_named(ops[below(m, 5)]), any(m));
}

static Value make_binary(Maker *m)
{
    static const char *const ops[] = {"add", "sub", "mul", "max", "min"};
    Value v = any(m);
    return ir_binary(m->g, op_named(ops[below(m, 5)]), v, like(m, v));
}

static Value make_neutral(Maker *m)
{
    Value v = any(m);
    Value zero = ir_const_like(m->g, v, 0), one = ir_const_like(m->g, v, 1);
    switch (below(m, 4)) {
    case 0:
        return ir_mul(m->g, one, v);
    case 1:
        return ir_sub(m->g, v, zero);
    case 2:
        return ir_cast(m->g, ir_cast(m->g, v, DT_F32), DT_F64);
    default:
        return ir_add(m->g, v, ir_mul(m->g, zero, one));
    }
}

static int some_axes(Maker *m, int rank, int64_t *axes, int64_t *kept)
{
    int n = 0, k = 0;
    for (int d = 0; d < rank; d++)
        if (below(m, 2))
            axes[n++] = d;
        else
            kept[k++] = d;
    return n;
}

/* Means, so that values stay near 1. */
static Value make_reduce(Maker *m)
{
    Value v = any(m);
    Type t = type_of(m, v);
    int64_t axes[MAX_RANK], kept[MAX_RANK];
    int n = some_axes(m, t.rank, axes, kept);
    Value r = below(m, 3) ? ir_reduce_sum(m->g, v, axes, n)
                          : ir_reduce_max(m->g, v, axes, n);
    Type s = type_of(m, r);
    return ir_mul_const(m->g, r,
                        (double)type_elements(&s) / (double)type_elements(&t));
}

/* Softmax and its like: rows gone over again. */
static Value make_row_op(Maker *m)
{
    Value v = any(m);
    Type t = type_of(m, v);
    int64_t axes[MAX_RANK], kept[MAX_RANK];
    int n = some_axes(m, t.rank, axes, kept);
    Value r = ir_reduce_max(m->g, v, axes, n);
    if (n == 0)
        return r;
    return ir_sub(m->g, v, ir_broadcast(m->g, r, &t, kept, t.rank - n));
}

static Value make_broadcast(Maker *m)
{
    Value v = any(m);
    Type to = type_of(m, any(m)), from = type_of(m, v);
    int64_t dims[MAX_RANK];
    int n = 0;
    for (int d = 0; d < to.rank && n < from.rank; d++)
        if (to.dim[d] == from.dim[n])
            dims[n++] = d;
    return n == from.rank ? ir_broadcast(m->g, v, &to, dims, n) : NO_VALUE;
}

static Value make_transpose(Maker *m)
{
    Value v = any(m);
    int rank = type_of(m, v).rank;
    int64_t order[MAX_RANK];
    for (int d = 0; d < rank; d++)
        order[d] = (d + 1) % rank;
    v = ir_transpose(m->g, v, order, rank);
    return below(m, 2) ? v : ir_transpose(m->g, v, order, rank);
}

static Value make_split(Maker *m)
{
    Value v = any(m);
    Type t = type_of(m, v);
    if (t.rank == 0 || t.rank > 5)
        return NO_VALUE;
    int axis = below(m, t.rank);
    int64_t size = t.dim[axis] % 2 ? 1 : 2;
    Attr attr[] = {attr_int("axis", axis), attr_int("size", size)};
    v = ir_node(m->g, op_named("split"), &v, 1, attr, 2);
    return below(m, 2) ? v : ir_reshape(m->g, v, t.rank, t.dim); /* and back */
}

static Value make_slice(Maker *m)
{
    Value v = any(m);
    Type t = type_of(m, v);
    int64_t start[MAX_RANK], step[MAX_RANK];
    for (int d = 0; d < t.rank; d++) {
        start[d] = below(m, t.dim[d] > 1 ? 2 : 1);
        step[d] = 1 + below(m, 2);
    }
    Attr attr[] = {attr_ints("start", start, t.rank),
                   attr_ints("stop", t.dim, t.rank),
                   attr_ints("step", step, t.rank)};
    return ir_node(m->g, op_named("slice"), &v, 1, attr, 3);
}

static Value make_reverse(Maker *m)
{
    Value v = any(m);
    int64_t axis = below(m, 5);
    Attr attr = attr_ints("axes", &axis, axis < type_of(m, v).rank);
    return ir_node(m->g, op_named("reverse"), &v, 1, &attr, 1);
}

static Value make_expanded(Maker *m)
{
    Value v = any(m);
    Type t = type_of(m, v);
    if (t.rank < 2)
        return NO_VALUE;
    if (below(m, 2)) {
        Attr axis = attr_int("axis", below(m, t.rank));
        return ir_node(m->g, op_named("softmax"), &v, 1, &axis, 1);
    }
    Type channel = type_make(t.dtype, 1, &t.dim[1]);
    Value in[] = {v, ir_const(m->g, &channel, 0.75),
                  ir_const(m->g, &channel, 0.125)};
    Attr eps = attr_float("eps", 0.1);
    Value y = ir_node(m->g, op_named("batch_norm"), in, 3, &eps, 1);
    return node_value(y.node, (unsigned)below(m, 3));
}

static Value make_select(Maker *m)
{
    Value v = any(m), w = like(m, v);
    Value less = ir_binary(m->g, op_named("less"), v, w);
    return ir_select(m->g, less, ir_mul(m->g, v, w), v);
}

/* ---- graphs ------------------------------------------------------------- */

typedef Value Make(Maker *m);

static void make_node(Maker *m)
{
    static Make *const makers[] = {
        make_unary,     make_binary,    make_binary,  make_binary,
        make_neutral,   make_reduce,    make_row_op,  make_broadcast,
        make_broadcast, make_transpose, make_split,   make_slice,
        make_select,    make_expanded,  make_reverse,
    };
    uint64_t before = m->state;
    Make *make = makers[below(m, sizeof makers / sizeof *makers)];
    Value v = make(m);
    if (below(m, 8) == 0) { /* the same again */
        m->state = before;
        below(m, sizeof makers / sizeof *makers);
        v = make(m);
    }
    Type t = v.node ? type_of(m, v) : (Type){.rank = 0};
    if (v.node && type_elements(&t) <= MAX_ELEMENTS)
        m->value[m->n++] = v;
}

static Type some_type(Maker *m)
{
    static const int64_t sizes[] = {1, 2, 3, 4, 6, 7, 8, 12};
    int64_t dim[4];
    int rank = 1 + below(m, 4);
    for (int d = 0; d < rank; d++)
        dim[d] = sizes[below(m, 8)];
    Type t = type_make(DT_F64, rank, dim);
    while (type_elements(&t) > MAX_ELEMENTS)
        t.dim[below(m, rank)] = 2;
    return t;
}

static void make_sources(Maker *m)
{
    char name[16];
    for (int i = 0; i < 3; i++) {
        Type t = some_type(m);
        snprintf(name, sizeof name, "x%d", i);
        m->value[m->n++] = ir_input(m->g, name, &t);
    }
    for (int i = 0; i < STATES; i++) {
        State s = {.name = name, .role = STATE_BUFFER, .type = some_type(m)};
        snprintf(name, sizeof name, "s%d", i);
        module_add_state(m->g->module, &s);
        m->value[m->n++] = ir_state(m->g, name);
    }
}

static void make_updates(Maker *m)
{
    char name[16];
    for (int i = 0; i < STATES; i++) {
        snprintf(name, sizeof name, "s%d", i);
        Type t = m->g->module->state[i].type;
        Value v = any(m);
        Type s = type_of(m, v);
        for (int tries = 0; tries < 40 && !type_same_shape(&s, &t); tries++) {
            v = any(m);
            s = type_of(m, v);
        }
        if (type_same_shape(&s, &t) && below(m, 4))
            ir_update(m->g, name, v);
    }
}

static void make_outputs(Maker *m)
{
    char name[16];
    for (int i = 0; i < m->n; i++)
        if (below(m, 6) == 0 || i == m->n - 1) {
            snprintf(name, sizeof name, "y%d", i);
            ir_output(m->g, name, m->value[i]);
        }
}

Module *random_module(uint64_t seed, int nodes)
{
    Module *module = module_new("random");
    Maker m = {.g = graph_new(module, "train"), .state = seed * 7919 + 1};
    module_add_graph(module, m.g);
    make_sources(&m);
    for (int tries = 0; m.n < nodes && m.n < MAX_VALUES && tries < 4 * nodes;
         tries++)
        make_node(&m);
    make_updates(&m);
    make_outputs(&m);
    return module;
}

/* ---- a target ----------------------------------------------------------- */

static Layout wanted_layout(const Target *t, const Graph *g, const Node *n,
                            const Type *type)
{
    (void)t, (void)g, (void)n;
    return layout_channels_last(type->rank);
}

static int wanted_splits(const Target *t, const Type *operand,
                         const int64_t *axes, int n_axes)
{
    (void)t, (void)operand, (void)axes, (void)n_axes;
    return 4;
}

const Target plain_target = {
    .name = "plain", .layout = wanted_layout, .splits = wanted_splits};
