/* check.c: see check.h. */
#include "check.h"
#include "emulate.h"
#include "run_graph.h"
#include "text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct Item {
    Check check;
    RunGraph *run;
} Item;

struct Checks {
    Arena *arena;
    RunSet *set;
    Item *item;
    size_t n, cap;
    const char *kernel;
};

Checks *checks_new(void)
{
    Arena *a = arena_new();
    Checks *c = arena_alloc(a, sizeof *c);
    c->arena = a;
    c->set = run_set_new();
    return c;
}

void checks_tiles(Checks *c, int each)
{
    run_set_tiles(c->set, each);
}

void checks_want(Checks *c, const char *kernel)
{
    c->kernel = kernel;
}

void checks_add(Checks *c, const Check *check)
{
    Item item = {.check = *check};
    Error e;
    item.check.what = arena_strdup(c->arena, check->what);
    if (!graph_verify(check->g, &e))
        fail_msg("%s: %s", check->what, e.text);
    item.run = run_set_add(c->set, check->g, check->in_place, &e);
    if (!item.run) {
        graph_print(check->g, stderr);
        fail_msg("%s: %s", check->what, e.text);
    }
    ARENA_PUSH(c->arena, c->item, c->n, c->cap, item);
}

static double tolerance_of(DType t)
{
    switch (t) {
    case DT_F64:
        return 1e-12;
    case DT_BF16:
        return 2e-2;
    case DT_F16:
        return 2e-3;
    default:
        return 2e-5;
    }
}

/* The type that a node's result has the digits of: Winograd's transformed
 * operands are rounded to the type of the operands. */
static DType digits_of(const Graph *g, const Node *n)
{
    bool conv = node_is(n, &op_lib_conv) ||
                node_is(n, &op_lib_conv_grad_input) ||
                node_is(n, &op_lib_conv_grad_weight);
    return conv && node_int(n, "winograd") ? graph_type(g, n->in[0])->dtype
                                           : n->type->dtype;
}

/* A kernel computes in float32 where the reference rounds what is between two
 * ops of a group to its type: what is computed in half counts wherever it
 * goes. */
static double tolerance(const Item *item, Value v)
{
    if (item->check.tolerance != 0)
        return item->check.tolerance;
    const Graph *g = item->check.g;
    double t = tolerance_of(graph_type(g, v)->dtype);
    for (uint32_t id = 1; id < v.node; id++) {
        const Node *n = &g->node[id];
        if (n->n_out && !node_has(n, T_SOURCE | T_VIEW) &&
            dtype_is_half(digits_of(g, n)))
            t = fmax(t, tolerance_of(digits_of(g, n)));
    }
    return t;
}

static void fill_sources(const Item *item, Interp *i)
{
    const Graph *g = item->check.g;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        if (!node_has(n, T_SOURCE))
            continue;
        const char *name = node_string(n, "name");
        interp_fill_source(i, name, item->check.seed, item->check.low,
                           item->check.high);
        const double *x = interp_source(i, name);
        for (int64_t k = 0; k < type_elements(n->type); k++)
            run_graph_set(item->run, node_value(id, 0), k, x[k]);
    }
}

static void compare_value(const Checks *c, const Item *item, Value v,
                          const Interp *i)
{
    const Graph *g = item->check.g;
    int64_t n = type_elements(graph_type(g, v));
    double *got = calloc((size_t)n, sizeof *got);
    for (int64_t k = 0; k < n; k++)
        got[k] = run_graph_get(item->run, v, k);
    double distance = interp_distance(interp_value(i, v), got, n);
    free(got);
    if (distance <= tolerance(item, v))
        return;
    graph_print(g, stderr);
    if (c->n < 4)
        fprintf(stderr, "%s\n", run_set_source(c->set));
    fail_msg("%s: %%%u is off by %g", item->check.what, v.node, distance);
}

static bool is_output(const Graph *g, Value v)
{
    for (uint32_t id = v.node; id < g->n_nodes; id++)
        if (node_has(&g->node[id], T_ROOT) && value_equal(g->node[id].in[0], v))
            return true;
    return false;
}

/* In the tile that was taken last. */
static void run_once(const Checks *c, const Item *item, const Interp *i)
{
    const Graph *g = item->check.g;
    Error e;
    if (!run_graph_run(item->run, item->check.shuffle, &e))
        fail_msg("%s: %s", item->check.what, e.text);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (unsigned o = 0; o < g->node[id].n_out; o++) {
            Value v = node_value(id, o);
            if (!node_has(&g->node[id], T_SOURCE) &&
                (!item->check.outputs_only || is_output(g, v)) &&
                run_graph_has(item->run, v))
                compare_value(c, item, v, i);
        }
}

static void run_item(const Checks *c, const Item *item)
{
    const Graph *g = item->check.g;
    Error e;
    Interp *i = interp_new(g, g->arena, INTERP_ROUND);
    fill_sources(item, i);
    if (!interp_run(i, &e))
        fail_msg("%s: %s", item->check.what, e.text);
    run_once(c, item, i);
    for (int tile = 1; run_graph_tile(item->run, tile); tile++)
        run_once(c, item, i);
}

void checks_run(Checks *c)
{
    Error e;
    if (!run_set_compile(c->set, &e))
        fail_msg("%s", e.text);
    if (c->kernel && !strcmp(test_target(), "cuda") &&
        !strstr(run_set_source(c->set), c->kernel))
        fail_msg("no kernel has %s", c->kernel);
    for (size_t i = 0; i < c->n; i++)
        run_item(c, &c->item[i]);
    run_set_free(c->set);
    for (size_t i = 0; i < c->n; i++) {
        const Check *check = &c->item[i].check;
        if (module_graph(check->module, check->g->name) != check->g)
            graph_free(check->g);
        module_free(check->module);
    }
    arena_free(c->arena);
}
