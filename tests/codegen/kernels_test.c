/* kernels_test.c: generated kernels against the interpreter in double.
 *
 * Every op by its samples, in float32 and float64, in every layout that a
 * shuffle comes up with; groups of fused nodes; random graphs, fused at
 * random; results written over operands. */
#include "build.h"
#include "interp.h"
#include "run_graph.h"
#include "text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- comparing ---------------------------------------------------------- */

static bool exists(const Graph *g, Value v)
{
    return !node_has(graph_node(g, v), T_SOURCE);
}

static double tolerance(const Graph *g, Value v)
{
    switch (graph_type(g, v)->dtype) {
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

static void copy_source(RunGraph *r, const Graph *g, uint32_t id, Interp *i)
{
    const double *x = interp_source(i, node_string(&g->node[id], "name"));
    int64_t n = type_elements(g->node[id].type);
    for (int64_t k = 0; k < n; k++)
        run_graph_set(r, node_value(id, 0), k, x[k]);
}

static void compare_value(RunGraph *r, const Graph *g, Value v,
                          const Interp *i, const char *what)
{
    int64_t n = type_elements(graph_type(g, v));
    double *got = calloc((size_t)n, sizeof *got);
    for (int64_t k = 0; k < n; k++)
        got[k] = run_graph_get(r, v, k);
    double distance = interp_distance(interp_value(i, v), got, n);
    free(got);
    if (distance <= tolerance(g, v))
        return;
    graph_print(g, stderr);
    fprintf(stderr, "%s\n", run_graph_source(r));
    fail_msg("%s: %%%u is off by %g", what, v.node, distance);
}

typedef void Fill(Interp *i, const Graph *g, const void *data);

/* Runs the graph's kernels and holds every value in memory against the
 * interpreter's. */
static void check_graph(const Graph *g, bool in_place, uint32_t shuffle,
                        Fill *fill, const void *data, const char *what)
{
    Error e;
    if (!graph_verify(g, &e))
        fail_msg("%s: %s", what, e.text);
    Interp *i = interp_new(g, g->arena, INTERP_ROUND);
    fill(i, g, data);
    if (!interp_run(i, &e))
        fail_msg("%s: %s", what, e.text);
    RunGraph *r =
        in_place ? run_graph_open_in_place(g, &e) : run_graph_open(g, &e);
    if (!r) {
        graph_print(g, stderr);
        fail_msg("%s: %s", what, e.text);
    }
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_has(&g->node[id], T_SOURCE))
            copy_source(r, g, id, i);
    if (!run_graph_run(r, shuffle, &e))
        fail_msg("%s: %s", what, e.text);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (unsigned o = 0; o < g->node[id].n_out; o++) {
            Value v = node_value(id, o);
            if (exists(g, v) && run_graph_has(r, v))
                compare_value(r, g, v, i, what);
        }
    run_graph_close(r);
}

/* ---- random choices ----------------------------------------------------- */

static uint32_t below(uint64_t *state, uint32_t n)
{
    double u = (interp_random(state) + 1) / 2;
    uint32_t k = (uint32_t)(u * n);
    return k < n ? k : n - 1;
}

static Layout random_layout(const Type *t, uint64_t *state)
{
    int order[MAX_RANK];
    for (int d = 0; d < t->rank; d++)
        order[d] = d;
    for (int d = t->rank - 1; d > 0; d--) {
        int k = (int)below(state, (uint32_t)d + 1), swap = order[d];
        order[d] = order[k];
        order[k] = swap;
    }
    return layout_make(t->rank, order);
}

/* Generic kernels read and write any layout. */
static void shuffle_layouts(Graph *g, uint64_t seed)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (unsigned o = 0; o < g->node[id].n_out; o++) {
            Type *t = &g->node[id].type[o];
            if (t->rank && !node_is(&g->node[id], &op_state))
                t->layout = random_layout(t, &seed);
        }
}

/* ---- every op ----------------------------------------------------------- */

typedef struct Sample {
    const OpDesc *op;
    uint64_t seed;
} Sample;

static void fill_sample(Interp *i, const Graph *g, const void *data)
{
    const Sample *s = data;
    bool own = s->op->sample_low != 0 || s->op->sample_high != 0;
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_is(&g->node[id], &op_input))
            interp_fill_source(i, node_string(&g->node[id], "name"), s->seed,
                               own ? s->op->sample_low : -1,
                               own ? s->op->sample_high : 1);
}

/* All text `from` in the sample as `to`, of the same length. */
static char *replaced(Arena *a, const char *sample, const char *from,
                      const char *to)
{
    char *text = arena_strdup(a, sample);
    for (char *at = text; (at = strstr(at, from)); at += strlen(to))
        memcpy(at, to, strlen(to));
    return text;
}

static void check_sample(const OpDesc *op, const char *sample, bool layouts)
{
    Module *m = module_new("sample");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Error e;
    uint32_t id = sample_add(g, op, sample, &e);
    if (!id) { /* the op does not take this type */
        module_free(m);
        return;
    }
    for (unsigned i = 0; i < g->node[id].n_out; i++)
        ir_output(g, i ? "y1" : "y0", node_value(id, i));
    Graph *plain = interp_expand(g);
    if (layouts)
        shuffle_layouts(plain, 17);
    Sample s = {op, 5};
    check_graph(plain, false, layouts, fill_sample, &s,
                arena_printf(m->arena, "%s %s", op->name, sample));
    graph_free(plain);
    module_free(m);
}

static bool has_kernel(const OpDesc *op)
{
    return !(op->traits & (T_LIBRARY | T_SOURCE | T_ROOT)) && op->n_out <= 2;
}

static void every_op(void **state)
{
    (void)state;
    Arena *a = arena_new();
    for (size_t i = 0; i < op_count; i++)
        for (const char *const *s = op_table[i]->samples; s && *s; s++) {
            if (!has_kernel(op_table[i]))
                continue;
            check_sample(op_table[i], *s, false);
            check_sample(op_table[i], replaced(a, *s, "f32", "f64"), true);
        }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
