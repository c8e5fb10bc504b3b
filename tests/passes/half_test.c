/* half_test.c: an op of which nobody has said what half may do to it is refused
 * by name and place, in half and only there; it does not stay float32 without
 * a word. */
#include "op.h"
#include "pass.h"
#include "settings.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A graph of one conv and one op as relu is, but with another rule. */
static Module *planted(OpDesc *op, HalfRule rule)
{
    static const char text[] = "module m graph train {\n"
                               "%x = input {name=\"x\"} : f32[2,3,5,5]\n"
                               "%w = input {name=\"w\"} : f32[4,3,3,3]\n"
                               "%y = conv %x, %w {stride=[1,1], pad_low=[0,0], "
                               "pad_high=[0,0], dilation=[1,1]}\n"
                               "%r = relu %y @net.net:7:5\n"
                               "output %r {name=\"r\"} }\n";
    Error e;
    Module *m = module_read(text, strlen(text), "m", &e);
    if (!m)
        fail_msg("%s", e.text);
    *op = *op_named("relu");
    op->name = "planted";
    op->half = rule;
    Graph *g = m->graph[0];
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (!strcmp(g->node[id].op->name, "relu"))
            g->node[id].op = op;
    return m;
}

/* Runs the pass half; the dtype of the planted op's result, or DT_NONE. */
static DType half(Module *m, const char *precision, PassContext *c)
{
    char error[256];
    DType got = DT_NONE;
    const PassOptions o = {.verify_text = false};
    assert_true(settings_set_text(&m->settings, m->arena, "precision",
                                  precision, 0, error, sizeof error));
    if (!passes_run(m, c, (const char *const[]){"half", NULL}, &o))
        return got;
    const Graph *g = m->graph[0];
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (!strcmp(g->node[id].op->name, "planted"))
            got = g->node[id].type[0].dtype;
    return got;
}

static void test_unsaid(void **state)
{
    (void)state;
    const char *const types[] = {"bf16", "f16"};
    for (int i = 0; i < 2; i++) {
        OpDesc op;
        PassContext c = {0};
        Module *m = planted(&op, HALF_UNSAID);
        assert_int_equal(half(m, types[i], &c), DT_NONE);
        assert_non_null(strstr(c.error.text, "no rule for planted in half"));
        assert_non_null(strstr(c.error.text, types[i]));
        assert_int_equal(m->loc[c.error_loc].line, 7);
        module_free(m);
    }
}

static void test_said(void **state)
{
    (void)state;
    const struct {
        HalfRule rule;
        const char *precision;
        DType want;
    } rows[] = {
        {HALF_UNSAID, "f32", DT_F32}, {HALF_NO, "bf16", DT_F32},
        {HALF_YES, "bf16", DT_BF16},  {HALF_YES, "f16", DT_F16},
        {HALF_WANT, "bf16", DT_BF16}, {HALF_YES, "f32", DT_F32},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        OpDesc op;
        PassContext c = {0};
        Module *m = planted(&op, rows[i].rule);
        assert_int_equal(half(m, rows[i].precision, &c), rows[i].want);
        module_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsaid),
        cmocka_unit_test(test_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
