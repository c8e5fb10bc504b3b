/* kernels_test.c: generated kernels of single ops and of fused groups against
 * the interpreter in double. */
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

/* ---- layouts ------------------------------------------------------------ */

static Layout random_layout(const Type *t, uint64_t *state)
{
    int order[MAX_RANK];
    for (int d = 0; d < t->rank; d++)
        order[d] = d;
    for (int d = t->rank - 1; d > 0; d--) {
        int k = (int)((interp_random(state) + 1) / 2 * (d + 0.999));
        int swap = order[d];
        order[d] = order[k];
        order[k] = swap;
    }
    return layout_make(t->rank, order);
}

/* Generic kernels read and write any layout. */
static void shuffle_layouts(Graph *g, uint64_t seed)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (unsigned o = 0; o < g->node[id].n_out; o++)
            g->node[id].type[o].layout =
                random_layout(&g->node[id].type[o], &seed);
}

/* ---- every op ----------------------------------------------------------- */

/* All `from` in the sample as `to`. */
static char *replaced(Arena *a, const char *sample, const char *from,
                      const char *to)
{
    char *text = arena_strdup(a, "");
    for (const char *at; (at = strstr(sample, from));) {
        text =
            arena_printf(a, "%s%.*s%s", text, (int)(at - sample), sample, to);
        sample = at + strlen(from);
    }
    return arena_printf(a, "%s%s", text, sample);
}

/* A graph with one sample's node; NULL where the op does not take it. */
static Module *sample_module(const OpDesc *op, const char *sample)
{
    Module *m = module_new("sample");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Error e;
    uint32_t id = sample_add(g, op, sample, &e);
    if (!id) {
        module_free(m);
        return NULL;
    }
    for (unsigned i = 0; i < g->node[id].n_out; i++) {
        char name[8];
        snprintf(name, sizeof name, "y%u", i);
        ir_output(g, name, node_value(id, i));
    }
    return m;
}

static void add_sample(Checks *c, const OpDesc *op, const char *sample,
                       Check check, bool layouts)
{
    Module *m = sample_module(op, sample);
    if (!m)
        return;
    bool own = op->sample_low != 0 || op->sample_high != 0;
    check.what = arena_printf(m->arena, "%s %s", op->name, sample);
    check.module = m;
    check.g = interp_expand(m->graph[0]);
    check.low = own ? op->sample_low : -1;
    check.high = own ? op->sample_high : 1;
    if (layouts)
        shuffle_layouts(check.g, 17);
    checks_add(c, &check);
}

static bool has_kernel(const OpDesc *op)
{
    return !(op->traits & (T_LIBRARY | T_SOURCE | T_ROOT));
}

static void every_op(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Checks *c = checks_new();
    for (size_t i = 0; i < op_count; i++)
        for (const char *const *s = op_table[i]->samples; s && *s; s++) {
            const OpDesc *op = op_table[i];
            if (!has_kernel(op))
                continue;
            const char *f64 = replaced(a, *s, "f32", "f64");
            add_sample(c, op, *s, (Check){.seed = 5}, false);
            add_sample(c, op, f64, (Check){.seed = 6, .shuffle = 3}, true);
        }
    checks_run(c);
    arena_free(a);
}

/* Half types: computed in float, so only loads and stores are in question. */
static void half_types(void **state)
{
    (void)state;
    static const char *const types[] = {"bf16", "f16"};
    Arena *a = arena_new();
    Checks *c = checks_new();
    for (size_t i = 0; i < op_count; i++)
        for (const char *const *s = op_table[i]->samples; s && *s; s++) {
            const OpDesc *op = op_table[i];
            if (!has_kernel(op) || op->expand)
                continue;
            for (int t = 0; t < 2; t++)
                if (strstr(*s, "f32"))
                    add_sample(c, op, replaced(a, *s, "f32", types[t]),
                               (Check){.seed = 7}, false);
        }
    checks_run(c);
    arena_free(a);
}

/* ---- the same, fused, by the passes ------------------------------------- */

static void run_passes(Module *m, const char *const *names, const char *what)
{
    PassContext c = {.target = target_named(test_target())};
    if (!passes_run(m, &c, names, &(PassOptions){0}))
        fail_msg("%s: %s", what, c.error.text);
}

static void add_fused(Checks *c, const OpDesc *op, const char *sample,
                      bool in_place)
{
    static const char *const names[] = {"layout", "expand", "cse",
                                        "dce",    "fuse",   NULL};
    Module *m = sample_module(op, sample);
    if (!m)
        return;
    bool own = op->sample_low != 0 || op->sample_high != 0;
    Check check = {.what = arena_printf(m->arena, "%s %s", op->name, sample),
                   .module = m,
                   .seed = 9,
                   .in_place = in_place,
                   .outputs_only = !in_place,
                   .low = own ? op->sample_low : -1,
                   .high = own ? op->sample_high : 1};
    run_passes(m, names, check.what);
    check.g = m->graph[0];
    checks_add(c, &check);
}

static void every_op_fused(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Checks *c = checks_new();
    for (size_t i = 0; i < op_count; i++)
        for (const char *const *s = op_table[i]->samples; s && *s; s++) {
            const OpDesc *op = op_table[i];
            if (!op->expand)
                continue;
            /* Convolutions and products: float64 goes past the library. */
            add_fused(c, op, replaced(a, *s, "f32", "f64"), true);
            add_fused(c, op, *s, false);
        }
    checks_run(c);
    arena_free(a);
}

/* The first n of `from` in the sample as `to`. */
static char *replaced_first(Arena *a, const char *sample, const char *from,
                            const char *to, int n)
{
    const char *end = sample;
    for (int i = 0; i < n; i++)
        end = strstr(end, from) + strlen(from);
    char *head = arena_strndup(a, sample, (size_t)(end - sample));
    return arena_printf(a, "%s%s", replaced(a, head, from, to), end);
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        n++;
    return n;
}

/* With as many half operands as the op takes: all, or all but vectors that stay
 * float32.  Convolutions and products go to the library in both types. */
static void add_half(Checks *c, Arena *a, const OpDesc *op, const char *sample,
                     const char *type)
{
    for (int n = count(sample, "f32"); n > 0; n--) {
        const char *text = replaced_first(a, sample, "f32", type, n);
        Module *m = sample_module(op, text);
        if (!m)
            continue;
        module_free(m);
        add_fused(c, op, text, false);
        return;
    }
}

static void every_op_half(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Checks *c = checks_new();
    for (size_t i = 0; i < op_count; i++)
        for (const char *const *s = op_table[i]->samples; s && *s; s++)
            if (op_table[i]->expand && op_table[i]->half != HALF_NO) {
                add_half(c, a, op_table[i], *s, "bf16");
                add_half(c, a, op_table[i], *s, "f16");
            }
    checks_run(c);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op),
        cmocka_unit_test(half_types),
        cmocka_unit_test(every_op_fused),
        cmocka_unit_test(every_op_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
