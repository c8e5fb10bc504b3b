/* table_test.c: every op of the table, by its samples.
 *
 * What a descriptor promises must be there; a sample must read, infer, verify
 * and survive printing; .expand must give what plain loops give; .grad must be
 * the slope that finite differences measure. */
#include "build.h"
#include "interp.h"
#include "text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* A graph with one sample's node, its results as outputs y0, y1, ... */
typedef struct Bench {
    Module *module;
    Graph *g;
    uint32_t id;
    const char *sample;
} Bench;

static Bench bench_new(const OpDesc *op, const char *sample)
{
    Module *m = module_new("sample");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Error e;
    Bench b = {m, g, sample_add(g, op, sample, &e), sample};
    if (!b.id)
        fail_msg("%s %s: %s", op->name, sample, e.text);
    for (unsigned i = 0; i < g->node[b.id].n_out; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%u", i);
        ir_output(g, name, node_value(b.id, i));
    }
    return b;
}

/* For all ops and samples. */
static void each_sample(void (*test)(const OpDesc *op, const char *sample))
{
    for (size_t i = 0; i < op_count; i++)
        for (const char *const *s = op_table[i]->samples; s && *s; s++)
            test(op_table[i], *s);
}

/* Those whose operands make sense: the op's range for x0, x1, ... */
static void fill_sources(Interp *i, const Graph *g, const OpDesc *op,
                         uint64_t seed)
{
    bool own = op->sample_low != 0 || op->sample_high != 0;
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_is(&g->node[id], &op_input)) {
            const char *name = node_string(&g->node[id], "name");
            bool operand = own && name[0] == 'x';
            interp_fill_source(i, name, seed, operand ? op->sample_low : -1,
                               operand ? op->sample_high : 1);
        }
}

/* ---- descriptors -------------------------------------------------------- */

static void descriptors_are_complete(void **state)
{
    (void)state;
    assert_non_null(op_named("conv"));
    assert_null(op_named("convolve"));
    for (size_t i = 0; i < op_count; i++) {
        const OpDesc *op = op_table[i];
        assert_true(i == 0 || strcmp(op_table[i - 1]->name, op->name) < 0);
        assert_ptr_equal(op_named(op->name), op);
        assert_true(op->infer && op->doc && op->doc[0]);
        assert_true(op->min_in <= op->max_in && op->n_out <= MAX_OUT);
        if (op->half == HALF_UNSAID)
            fail_msg("%s has no rule for half (.half)", op->name);
        if (op->traits & T_ELEMENTWISE)
            assert_non_null(op->expr);
        if (op->traits & T_VIEW)
            assert_non_null(op->map);
        if (op->traits & T_REDUCE)
            assert_true(op->start && op->combine);
        if (op->traits & T_SOURCE)
            assert_int_equal(op->max_in, 0);
        if (op->traits & T_ROOT)
            assert_int_equal(op->n_out, 0);
        unsigned ways = T_ELEMENTWISE | T_VIEW | T_REDUCE | T_RESHAPE |
                        T_SOURCE | T_ROOT | T_LIBRARY;
        assert_true((op->traits & ways) || op->expand);
        for (const AttrSpec *a = op->attrs; a && a->name; a++)
            assert_true(a->doc && a->doc[0]);
        /* These two need a state, a library call its own test. */
        if (op != &op_state && op != &op_update && !(op->traits & T_LIBRARY))
            assert_true(op->samples && op->samples[0]);
    }
}

/* ---- text --------------------------------------------------------------- */

static void round_trip(const OpDesc *op, const char *sample)
{
    Bench b = bench_new(op, sample);
    Error e;
    if (!module_verify(b.module, &e))
        fail_msg("%s %s: %s", op->name, sample, e.text);
    char *text = module_to_string(b.module, b.module->arena);
    Module *again = module_read(text, strlen(text), "sample", &e);
    if (!again)
        fail_msg("%s %s: %s", op->name, sample, e.text);
    assert_string_equal(module_to_string(again, again->arena), text);
    module_free(again);
    module_free(b.module);
}

static void samples_survive_printing(void **state)
{
    (void)state;
    each_sample(round_trip);
}

/* ---- expansion ---------------------------------------------------------- */

static void expansion_agrees(const OpDesc *op, const char *sample)
{
    if (!op->expand)
        return;
    Bench b = bench_new(op, sample);
    Graph *expanded = interp_expand(b.g);
    Error e;
    if (!graph_verify(expanded, &e))
        fail_msg("%s %s: %s", op->name, sample, e.text);
    Interp *plain = interp_new(b.g, b.g->arena, INTERP_EXACT);
    Interp *steps = interp_new(expanded, b.g->arena, INTERP_EXACT);
    fill_sources(plain, b.g, op, 7);
    fill_sources(steps, expanded, op, 7);
    if (!interp_run(plain, &e) || !interp_run(steps, &e))
        fail_msg("%s %s: %s", op->name, sample, e.text);
    const Node *n = &b.g->node[b.id];
    for (unsigned i = 0; i < n->n_out; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%u", i);
        Value v = interp_root_value(steps, "output", name);
        Type t = *graph_type(expanded, v);
        t.layout = n->type[i].layout; /* the pass `expand` sees to layouts */
        if (!type_equal(&t, &n->type[i]))
            fail_msg("%s %s: result %u has another type", op->name, sample, i);
        double d =
            interp_distance(interp_root(plain, "output", name),
                            interp_value(steps, v), type_elements(&n->type[i]));
        if (!(d < 1e-12))
            fail_msg("%s %s: result %u differs by %g", op->name, sample, i, d);
    }
    graph_free(expanded);
    module_free(b.module);
}

static void expansions_agree_with_plain_loops(void **state)
{
    (void)state;
    each_sample(expansion_agrees);
}

/* ---- gradients ---------------------------------------------------------- */

/* The scalar that is differentiated: results times fixed numbers, summed. */
static double measured(const Bench *b, Interp *i, unsigned wanted)
{
    Error e;
    double sum = 0;
    if (!interp_run(i, &e))
        fail_msg("%s: %s", b->sample, e.text);
    for (unsigned out = 0; out < b->g->node[b->id].n_out; out++) {
        char name[16];
        snprintf(name, sizeof name, "w%u", out);
        const double *weight = interp_source(i, name);
        const double *y = interp_value(i, node_value(b->id, out));
        if (!(wanted >> out & 1) || !weight)
            continue;
        int64_t n = type_elements(&b->g->node[b->id].type[out]);
        for (int64_t k = 0; k < n; k++)
            sum += weight[k] * y[k];
    }
    return sum;
}

/* Autodiff asks for gradients only where there is one of a result. */
static bool any_float(const Bench *b, unsigned wanted)
{
    bool any = false;
    for (unsigned i = 0; i < b->g->node[b->id].n_out; i++)
        any |=
            wanted >> i & 1 && dtype_is_float(b->g->node[b->id].type[i].dtype);
    return any;
}

/* Adds weights w0, w1, ... for the float results in `wanted`, and what .grad
 * makes of them, as outputs dx0, dx1, ... */
static void add_gradient(const Bench *b, unsigned wanted, Value *din)
{
    Graph *g = b->g;
    Value dout[MAX_OUT];
    for (unsigned i = 0; i < g->node[b->id].n_out; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%u", i);
        Type t = g->node[b->id].type[i];
        dout[i] = NO_VALUE;
        if (dtype_is_float(t.dtype)) {
            Value w = ir_input(g, name, &t);
            dout[i] = wanted >> i & 1 ? w : NO_VALUE;
        }
    }
    const Node *n = &g->node[b->id];
    n->op->grad(g, b->id, dout, din);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (din[i].node) {
            char name[16];
            snprintf(name, sizeof name, "dx%u", i);
            ir_output(g, name, din[i]);
        }
}

static void check_operand(const Bench *b, Interp *i, unsigned wanted,
                          uint32_t operand, const double *slope)
{
    const double h = 1e-5;
    const OpDesc *op = b->g->node[b->id].op;
    Value v = b->g->node[b->id].in[operand];
    double *x = (double *)interp_value(i, v);
    for (int64_t k = 0; k < type_elements(graph_type(b->g, v)); k++) {
        double was = x[k];
        x[k] = was + h;
        double up = measured(b, i, wanted);
        x[k] = was - h;
        double down = measured(b, i, wanted);
        x[k] = was;
        double expected = (up - down) / (2 * h);
        double got = slope ? slope[k] : 0;
        if (!(fabs(expected - got) < 1e-6 * (1 + fabs(expected))))
            fail_msg("%s %s: gradient of operand %u, element %lld is %.9g, "
                     "differences give %.9g",
                     op->name, b->sample, operand, (long long)k, got, expected);
    }
}

static void gradient_of(const OpDesc *op, const char *sample, unsigned wanted)
{
    Bench b = bench_new(op, sample);
    const uint32_t n_in = b.g->node[b.id].n_in;
    if (!any_float(&b, wanted)) {
        module_free(b.module);
        return;
    }
    Value din[8] = {{0}};
    add_gradient(&b, wanted, din);
    Error e;
    if (!graph_verify(b.g, &e))
        fail_msg("%s %s: %s", op->name, sample, e.text);
    Interp *i = interp_new(b.g, b.g->arena, INTERP_EXACT);
    fill_sources(i, b.g, op, 3);
    for (uint32_t k = 0; k < n_in; k++) {
        measured(&b, i, wanted); /* again: the last run was off by h */
        Value x = b.g->node[b.id].in[k];
        const Type *t = graph_type(b.g, x);
        if (!dtype_is_float(t->dtype)) {
            assert_false(din[k].node);
            continue;
        }
        double *slope = NULL;
        size_t bytes = (size_t)type_elements(t) * sizeof *slope;
        if (din[k].node) {
            assert_true(type_equal(graph_type(b.g, din[k]), t));
            slope = arena_copy(b.g->arena, interp_value(i, din[k]), bytes);
        }
        check_operand(&b, i, wanted, k, slope);
    }
    module_free(b.module);
}

/* All results together, then each alone, as where the others are unused. */
static void gradient_agrees(const OpDesc *op, const char *sample)
{
    if (!op->grad)
        return;
    gradient_of(op, sample, ~0u);
    for (unsigned i = 0; op->n_out > 1 && i < op->n_out; i++)
        gradient_of(op, sample, 1u << i);
}

static void gradients_agree_with_differences(void **state)
{
    (void)state;
    each_sample(gradient_agrees);
}

/* What .grad appends expands to the same as it computes. */
static void expanded_gradient_agrees(const OpDesc *op, const char *sample)
{
    if (!op->grad)
        return;
    Bench b = bench_new(op, sample);
    Value din[8] = {{0}};
    if (any_float(&b, ~0u))
        add_gradient(&b, ~0u, din);
    Graph *expanded = interp_expand(b.g);
    Error e;
    if (op->sample_low == 0 && op->sample_high == 0 &&
        !interp_same(b.g, expanded, 11, 1e-11, &e))
        fail_msg("%s %s: %s", op->name, sample, e.text);
    graph_free(expanded);
    module_free(b.module);
}

static void expanded_gradients_agree(void **state)
{
    (void)state;
    each_sample(expanded_gradient_agrees);
}

/* ---- half types ------------------------------------------------------------
 */

/* The sample with matrices and images in f16, vectors as they are. */
static void half_sample(const char *sample, char *half)
{
    strcpy(half, sample);
    for (char *c = half; (c = strstr(c, "f32[")); c++)
        if (memchr(c, ',', strcspn(c, "]")))
            memcpy(c, "f16", 3);
}

static int half_agreed;

static void half_agrees(const OpDesc *op, const char *sample)
{
    char half[512];
    half_sample(sample, half);
    Module *m = module_new("sample");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Error e;
    uint32_t id = sample_add(g, op, half, &e);
    if (!id || op->half == HALF_NO || !op->expand || op == &op_argmax ||
        !strcmp(half, sample)) {
        module_free(m);
        return;
    }
    ir_output(g, "y", node_value(id, 0));
    Graph *expanded = interp_expand(g);
    Interp *exact = interp_new(g, g->arena, INTERP_EXACT);
    Interp *rounded = interp_new(expanded, g->arena, INTERP_ROUND);
    fill_sources(rounded, expanded, op, 5);
    for (uint32_t k = 0; k < g->node[id].n_in; k++) { /* rounded ones */
        char name[16];
        snprintf(name, sizeof name, "x%u", k);
        memcpy(interp_source(exact, name), interp_source(rounded, name),
               (size_t)type_elements(graph_type(g, g->node[id].in[k])) *
                   sizeof(double));
    }
    if (!graph_verify(expanded, &e) || !interp_run(exact, &e) ||
        !interp_run(rounded, &e))
        fail_msg("%s %s: %s", op->name, half, e.text);
    double d = interp_distance(interp_root(exact, "output", "y"),
                               interp_root(rounded, "output", "y"),
                               type_elements(g->node[id].type));
    if (!(d < 0.01))
        fail_msg("%s %s: differs by %g", op->name, half, d);
    half_agreed++;
    graph_free(expanded);
    module_free(m);
}

/* Rounded to f16 wherever the expansion says so: types fit together, and what
 * has to be float32 is. */
static void half_agrees_with_exact(void **state)
{
    (void)state;
    each_sample(half_agrees);
    assert_true(half_agreed > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_complete),
        cmocka_unit_test(samples_survive_printing),
        cmocka_unit_test(expansions_agree_with_plain_loops),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(expanded_gradients_agree),
        cmocka_unit_test(half_agrees_with_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
