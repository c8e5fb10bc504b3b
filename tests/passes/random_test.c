/* random_test.c: what holds of every pass, on random graphs: it changes nothing
 * that the graph computes, and gives the same text for the same input; and of
 * the memory plan: every value is whole whenever it is read. */
#include "interp.h"
#include "memory.h"
#include "pass.h"
#include "random_graph.h"
#include "shadow.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { GRAPHS = 150, NODES = 40 };

static Module *copy_module(Module *m)
{
    Error e;
    char *text = module_to_string(m, m->arena);
    Module *copy = module_read(text, strlen(text), "copy", &e);
    if (!copy)
        fail_msg("%s", e.text);
    return copy;
}

static void run_passes(Module *m, const char *const *passes, uint64_t seed)
{
    PassContext c = {.target = &plain_target};
    PassOptions o = {.verify_text = true};
    if (!passes_run(m, &c, passes, &o))
        fail_msg("seed %d: %s", (int)seed, c.error.text);
}

static void check_same(Module *before, Module *after, uint64_t seed,
                       const char *what)
{
    Error e = {{0}};
    if (!interp_same(before->graph[0], after->graph[0], seed, 1e-9, &e)) {
        module_print(before, stderr);
        module_print(after, stderr);
        fail_msg("seed %d: %s: %s", (int)seed, what, e.text);
    }
}

static void check_passes(const char *const *passes)
{
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        Module *before = random_module(seed, NODES);
        Module *after = copy_module(before), *again = copy_module(before);
        run_passes(after, passes, seed);
        run_passes(again, passes, seed);
        check_same(before, after, seed, passes[0]);
        assert_string_equal(module_to_string(after, after->arena),
                            module_to_string(again, again->arena));
        module_free(before);
        module_free(after);
        module_free(again);
    }
}

/* Each by itself, and those that need others with them. */
static void test_each_pass(void **state)
{
    (void)state;
    check_passes((const char *const[]){"absorb", NULL});
    check_passes((const char *const[]){"fold", NULL});
    check_passes((const char *const[]){"cse", NULL});
    check_passes((const char *const[]){"dce", NULL});
    check_passes((const char *const[]){"layout", NULL});
    check_passes((const char *const[]){"expand", NULL});
    check_passes((const char *const[]){"expand", "fuse", NULL});
    check_passes((const char *const[]){"schedule", NULL});
}

static const char *const pipeline[] = {"fold",   "cse",      "dce",    "layout",
                                       "expand", "fold",     "cse",    "dce",
                                       "fuse",   "schedule", "memory", NULL};

static void test_pipeline(void **state)
{
    (void)state;
    check_passes(pipeline);
}

/* Normalisation by given statistics, within the weights: the same numbers, with
 * strides and groups. */
static void test_absorb(void **state)
{
    (void)state;
    static const char text[] =
        "module m graph eval {\n"
        "%x = input {name=\"x\"} : f64[3,4,5,6]\n"
        "%w = input {name=\"w\"} : f64[6,2,3,3]\n"
        "%g = input {name=\"g\"} : f64[6] %b = input {name=\"b\"} : f64[6]\n"
        "%m = input {name=\"m\"} : f64[6] %s = input {name=\"s\"} : f64[6]\n"
        "%v = mul %s, %s\n"
        "%y = conv %x, %w {stride=[2,1], pad_low=[1,0], pad_high=[0,1], "
        "dilation=[1,1], groups=2}\n"
        "%n = batch_norm_inference %y, %g, %b, %m, %v {eps=0.01}\n"
        "output %n {name=\"n\"} }\n";
    Error e;
    Module *before = module_read(text, strlen(text), "m", &e);
    assert_non_null(before);
    Module *after = copy_module(before);
    run_passes(after, (const char *const[]){"absorb", "dce", NULL}, 0);
    for (uint32_t id = 1; id < after->graph[0]->n_nodes; id++)
        assert_string_not_equal(after->graph[0]->node[id].op->name,
                                "batch_norm_inference");
    for (uint64_t seed = 1; seed < 6; seed++)
        check_same(before, after, seed, "absorb");
    module_free(before);
    module_free(after);
}

/* What is done already stays as it is. */
static void test_twice(void **state)
{
    (void)state;
    static const char *const clean[] = {"fold", "cse", "dce", NULL};
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        Module *m = random_module(seed, NODES);
        run_passes(m, clean, seed);
        run_passes(m, clean, seed);
        char *once = module_to_string(m, m->arena);
        run_passes(m, clean, seed);
        assert_string_equal(once, module_to_string(m, m->arena));
        module_free(m);
    }
}

static void check_memory(Module *m, uint64_t seed)
{
    Error e = {{0}};
    const Graph *g = m->graph[0];
    if (!memory_verify(g, g->memory, &e) || !shadow_check(g, &e)) {
        module_print(m, stderr);
        fail_msg("seed %d: %s", (int)seed, e.text);
    }
}

static void test_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * GRAPHS; seed++) {
        Module *m = random_module(seed, NODES);
        run_passes(m, pipeline, seed);
        check_memory(m, seed);
        module_free(m);
        m = random_module(seed, NODES); /* nothing fused, every node a step */
        run_passes(m,
                   (const char *const[]){"layout", "expand", "schedule",
                                         "memory", NULL},
                   seed);
        check_memory(m, seed);
        module_free(m);
    }
}

/* A plan with a mistake in it is found out: the checkers can fail. */
static void test_bad_plans(void **state)
{
    (void)state;
    int found = 0, checked = 0;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        Module *m = random_module(seed, NODES);
        run_passes(m, pipeline, seed);
        Graph *g = m->graph[0];
        for (uint32_t i = 0; i < g->memory->n_buffers; i++) {
            Buffer *b = &g->memory->buffer[i];
            Error e = {{0}};
            if (b->kind != BUF_ACTIVATION && b->kind != BUF_WORK)
                continue;
            int64_t offset = b->offset;
            b->offset = 0; /* over the first state */
            checked++;
            found += !memory_verify(g, g->memory, &e);
            b->offset = offset;
        }
        module_free(m);
    }
    assert_true(checked > GRAPHS && found == checked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_pass), cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_absorb),    cmocka_unit_test(test_twice),
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_bad_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
