/* gradient_test.c: what autodiff and the optimizer add to a whole net, against
 * finite differences of the loss and against the formulas of PyTorch's manual,
 * all in the interpreter's double arithmetic. */
#include "interp.h"
#include "pass.h"
#include "random_graph.h"
#include "text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static Module *read_module(const char *text)
{
    Error e;
    Module *m = module_read(text, strlen(text), "net.ir", &e);
    if (!m)
        fail_msg("%s", e.text);
    return m;
}

static void run_passes(Module *m, const char *const *passes)
{
    PassContext c = {.target = &plain_target};
    if (!passes_run(m, &c, passes, &(PassOptions){.verify_text = true}))
        fail_msg("%s", c.error.text);
}

static Interp *evaluate(const Graph *g, Arena *a, uint64_t seed,
                        const char *changed, int64_t element, double by)
{
    Error e = {{0}};
    Interp *i = interp_new(g, a, INTERP_EXACT);
    interp_fill(i, seed);
    if (interp_source(i, "lr"))
        interp_source(i, "lr")[0] = 1;
    if (changed)
        interp_source(i, changed)[element] += by;
    if (!interp_run(i, &e))
        fail_msg("%s", e.text);
    return i;
}

static double loss_at(const Graph *g, uint64_t seed, const char *name,
                      int64_t element, double by)
{
    Arena *a = arena_new();
    Interp *i = evaluate(g, a, seed, name, element, by);
    double loss = interp_root(i, "output", "loss")[0];
    arena_free(a);
    return loss;
}

/* With plain descent at rate 1 a parameter becomes w - gradient. */
static void check_parameter(const Graph *forward, Interp *trained,
                            const State *s, uint64_t seed)
{
    const double *now = interp_root(trained, "update", s->name);
    const double *before = interp_source(trained, s->name);
    assert_non_null(now);
    for (int64_t k = 0; k < type_elements(&s->type); k++) {
        const double h = 1e-6;
        double wanted = (loss_at(forward, seed, s->name, k, h) -
                         loss_at(forward, seed, s->name, k, -h)) /
                        (2 * h);
        double got = before[k] - now[k];
        if (!(fabs(got - wanted) <= 1e-6 * (1 + fabs(wanted))))
            fail_msg("%s[%d]: %g, finite differences say %g", s->name, (int)k,
                     got, wanted);
    }
}

static void check_gradients(const char *text, const char *const *passes)
{
    Module *forward = read_module(text), *trained = read_module(text);
    run_passes(trained, passes);
    const Graph *g = module_graph(forward, "train");
    for (uint64_t seed = 1; seed <= 3; seed++) {
        Arena *a = arena_new();
        Interp *i =
            evaluate(module_graph(trained, "train"), a, seed, NULL, 0, 0);
        for (size_t k = 0; k < forward->n_states; k++)
            if (forward->state[k].role == STATE_PARAM)
                check_parameter(g, i, &forward->state[k], seed);
        arena_free(a);
    }
    module_free(forward);
    module_free(trained);
}

#define CONV "stride=[1,1], pad_low=[1,1], pad_high=[1,1], dilation=[1,1]"

/* conv, batch norm, relu, a residual block whose input has three users, a
 * subsampled and padded shortcut, mean, dense, cross entropy */
static const char residual_net[] =
    "module net set optimizer = sgd\n"
    "state c1 : f64[2,1,3,3] param const(0)\n"
    "state g1 : f64[2] param const(1) state b1 : f64[2] param const(0)\n"
    "state c2 : f64[4,2,3,3] param const(0)\n"
    "state g2 : f64[4] param const(1) state b2 : f64[4] param const(0)\n"
    "state w : f64[3,4] param const(0) state b : f64[3] param const(0)\n"
    "graph train {\n"
    "%x = input {name=\"x\"} : f64[3,1,4,4]\n"
    "%label = input {name=\"label\"} : i32[3]\n"
    "%lr = input {name=\"lr\"} : f32[]\n"
    "%c1 = state {name=\"c1\"} %g1 = state {name=\"g1\"}\n"
    "%b1 = state {name=\"b1\"} %c2 = state {name=\"c2\"}\n"
    "%g2 = state {name=\"g2\"} %b2 = state {name=\"b2\"}\n"
    "%w = state {name=\"w\"} %b = state {name=\"b\"}\n"
    "%h = conv %x, %c1 {" CONV "}\n"
    "%n, %n:1, %n:2 = batch_norm %h, %g1, %b1\n"
    "%r = tanh %n\n"
    "%k = conv %r, %c2 {stride=[2,2], pad_low=[1,1], pad_high=[1,1], "
    "dilation=[1,1]}\n"
    "%m, %m:1, %m:2 = batch_norm %k, %g2, %b2\n"
    "%half = slice %r {start=[0,0,0,0], stop=[3,2,4,4], step=[1,1,2,2]}\n"
    "%short = pad %half {low=[0,1,0,0], high=[0,1,0,0], step=[1,1,1,1]}\n"
    "%sum = add %m, %short\n"
    "%act = tanh %sum\n"
    "%pool = reduce_sum %act {axes=[2,3]}\n"
    "%logit = matmul %pool, %w {transpose_b=true}\n"
    "%bias = broadcast %b {dims=[1]} : f64[3,3]\n"
    "%score = add %logit, %bias\n"
    "%each = softmax_cross_entropy %score, %label {smoothing=0.1}\n"
    "%all = reduce_sum %each {axes=[0]}\n"
    "output %all {name=\"loss\"}\n}\n";

static void test_residual(void **state)
{
    (void)state;
    check_gradients(residual_net, (const char *const[]){"autodiff", NULL});
}

/* The same after everything that comes before code. */
static void test_pipeline(void **state)
{
    (void)state;
    check_gradients(residual_net, pass_pipeline);
}

/* One parameter that is read twice, and used several times. */
static void test_shared(void **state)
{
    (void)state;
    check_gradients("module net set optimizer = sgd\n"
                    "state w : f64[3] param const(0)\n"
                    "state v : f64[3] param const(0)\n"
                    "graph train {\n"
                    "%w1 = state {name=\"w\"} %w2 = state {name=\"w\"}\n"
                    "%v = state {name=\"v\"}\n"
                    "%a = mul %w1, %v %b = exp %w2 %c = mul %a, %b\n"
                    "%d = mul %c, %w1 %e = add %d, %c %f = sub %e, %w2\n"
                    "%s = reduce_sum %f {axes=[0]}\n"
                    "output %s {name=\"loss\"}\n}\n",
                    (const char *const[]){"autodiff", NULL});
}

/* ---- the optimizer ------------------------------------------------------ */

typedef struct Sgd {
    double momentum, weight_decay;
    bool nesterov;
} Sgd;

/* loss = sum of w^2 c: the gradient is 2 c w. */
static Module *sgd_module(const Sgd *s)
{
    Arena *a = arena_new();
    Module *m = read_module(arena_printf(
        a,
        "module net set optimizer = sgd\n"
        "set optimizer.momentum = %.17g set optimizer.weight_decay = %.17g\n"
        "set optimizer.nesterov = %s\n"
        "state w : f64[4] param const(0)\ngraph train {\n"
        "%%lr = input {name=\"lr\"} : f32[]\n"
        "%%c = input {name=\"c\"} : f64[4]\n"
        "%%w = state {name=\"w\"} %%s = mul %%w, %%w %%t = mul %%s, %%c\n"
        "%%l = reduce_sum %%t {axes=[0]} output %%l {name=\"loss\"}\n}\n",
        s->momentum, s->weight_decay, s->nesterov ? "true" : "false"));
    arena_free(a);
    run_passes(m,
               (const char *const[]){"autodiff", "fold", "cse", "dce", NULL});
    return m;
}

/* torch.optim.SGD, as its manual writes it. */
static void sgd_step(const Sgd *s, double lr, double c, int step, double *w,
                     double *b)
{
    double g = 2 * c * *w;
    if (s->weight_decay != 0)
        g += s->weight_decay * *w;
    if (s->momentum != 0) {
        *b = step > 1 ? s->momentum * *b + g : g;
        g = s->nesterov ? g + s->momentum * *b : *b;
    }
    *w -= lr * g;
}

static void check_sgd(Sgd s)
{
    Module *m = sgd_module(&s);
    const Graph *g = module_graph(m, "train");
    double w[4] = {1, -2, 0.5, 3}, b[4] = {0}, c[4] = {0.5, 1, -0.25, 2};
    double w_now[4], b_now[4] = {0};
    memcpy(w_now, w, sizeof w);
    for (int step = 1; step <= 5; step++) {
        Error e = {{0}};
        Arena *a = arena_new();
        double lr = (float)(0.1 / step);
        Interp *i = interp_new(g, a, INTERP_EXACT);
        memcpy(interp_source(i, "c"), c, sizeof c);
        memcpy(interp_source(i, "w"), w_now, sizeof w);
        interp_source(i, "lr")[0] = lr;
        if (s.momentum != 0)
            memcpy(interp_source(i, "w.momentum"), b_now, sizeof b);
        assert_true(interp_run(i, &e));
        memcpy(w_now, interp_root(i, "update", "w"), sizeof w);
        if (s.momentum != 0)
            memcpy(b_now, interp_root(i, "update", "w.momentum"), sizeof b);
        for (int k = 0; k < 4; k++) {
            sgd_step(&s, lr, c[k], step, &w[k], &b[k]);
            assert_true(fabs(w[k] - w_now[k]) <= 1e-12 * (1 + fabs(w[k])));
        }
        arena_free(a);
    }
    assert_int_equal(m->n_states, s.momentum != 0 ? 2 : 1);
    module_free(m);
}

static void test_sgd(void **state)
{
    (void)state;
    check_sgd((Sgd){0, 0, false});
    check_sgd((Sgd){0, 0.01, false});
    check_sgd((Sgd){0.9, 0, false});
    check_sgd((Sgd){0.9, 0.01, false});
    check_sgd((Sgd){0.9, 0.01, true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_sgd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
