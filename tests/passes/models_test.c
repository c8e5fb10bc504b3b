/* models_test.c: the models that people use, through all passes for the cpu:
 * the memory plan is tight and right, nothing is copied that could stay, the
 * kernels are as few as they should be, and the passes are quick. */
#include "codegen.h"
#include "frontend.h"
#include "memory.h"
#include "pass.h"
#include "shadow.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW_BUILD 1
#endif
#endif

static Module *compile(const char *model)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/models/%s.net", TGC_SOURCE, model);
    Module *m = frontend_compile(path, &(FrontendOptions){0});
    assert_non_null(m);
    PassContext c = {.target = target_named("cpu")};
    if (!passes_run(m, &c, pass_pipeline, &(PassOptions){0}))
        fail_msg("%s: %s", model, c.error.text);
    return m;
}

static int count_copies(const Graph *g, const Steps *s)
{
    int copies = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        const Node *n = &g->node[s->step[k].first];
        if (!node_has(n, T_ROOT))
            continue;
        int state = module_state(g->module, node_string(n, "name"));
        size_t v = (size_t)n->in[0].node * MAX_OUT + n->in[0].out;
        copies += g->memory->of[v] != (uint32_t)state;
    }
    return copies;
}

static void check_graph(const char *model, const Graph *g, const Graph *first)
{
    Error e = {{0}};
    Arena *a = arena_new();
    Steps s = graph_steps(g, a);
    const MemoryPlan *p = g->memory;
    print_message("%-16s %-6s %6u steps %9.2f MB, %.4f of what is live\n",
                  model, g->name, s.n, (double)p->arena_bytes / 1e6,
                  (double)p->arena_bytes / (double)p->live_bytes);
    assert_true((double)p->arena_bytes <= 1.03 * (double)p->live_bytes);
    if (!memory_verify(g, first->memory, &e) || !shadow_check(g, &e))
        fail_msg("%s, graph %s: %s", model, g->name, e.text);
    assert_int_equal(count_copies(g, &s), 0);
    arena_free(a);
}

static void check_model(const char *model)
{
    Module *m = compile(model);
    for (size_t i = 0; i < m->n_graphs; i++)
        check_graph(model, m->graph[i], m->graph[0]);
    module_free(m);
}

static void test_memory(void **state)
{
    (void)state;
    static const char *const models[] = {
        "mlp",      "lenet",    "fashion_resnet20", "resnet20",
        "resnet32", "resnet44", "resnet56",         "resnet110"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        check_model(models[i]);
#ifndef SLOW_BUILD
    check_model("resnet1202");
#endif
}

/* Steps of generated code between one convolution and the next. */
static int count_generated(const Graph *g, const Steps *s, bool backward)
{
    int n = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        const Node *node = &g->node[s->step[k].last];
        bool is_backward = node->name && !strncmp(node->name, "d.", 2);
        n += !node_has(node, T_LIBRARY) && !node_has(node, T_ROOT) &&
             is_backward == backward;
    }
    return n;
}

/* A layer more costs three kernels forward (statistics in pieces, the whole of
 * them, normalise and what follows) and, of those that are the gradient's own,
 * no more than five backward: sums in pieces, the whole of them, dx, the sum of
 * the weights' partial gradients.  ResNet-32 has 12 layers more than 20. */
static void test_kernels(void **state)
{
    (void)state;
    Module *small = compile("resnet20"), *large = compile("resnet32");
    Arena *a = arena_new();
    const Graph *g = module_graph(small, "train");
    const Graph *h = module_graph(large, "train");
    Steps s = graph_steps(g, a), t = graph_steps(h, a);
    int forward = count_generated(h, &t, false) - count_generated(g, &s, false);
    int backward = count_generated(h, &t, true) - count_generated(g, &s, true);
    print_message("12 layers more: %d kernels forward and for weights, %d "
                  "backward\n",
                  forward, backward);
    assert_true(forward <= 12 * 5); /* 3, and 2 for states */
    assert_true(backward <= 12 * 4);
    arena_free(a);
    module_free(small);
    module_free(large);
}

/* The same text and the same places, every time. */
static void test_deterministic(void **state)
{
    (void)state;
    Module *m = compile("resnet20"), *n = compile("resnet20");
    assert_string_equal(module_to_string(m, m->arena),
                        module_to_string(n, n->arena));
    for (size_t i = 0; i < m->n_graphs; i++) {
        const MemoryPlan *p = m->graph[i]->memory, *q = n->graph[i]->memory;
        assert_int_equal(p->n_buffers, q->n_buffers);
        for (uint32_t b = 0; b < p->n_buffers; b++)
            assert_int_equal(p->buffer[b].offset, q->buffer[b].offset);
    }
    module_free(m);
    module_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
