/* scale.c: see scale.h. */
#include "scale.h"
#include "build.h"
#include <string.h>

static const char scale_name[] = "tgc.loss_scale";
static const char good_name[] = "tgc.loss_scale.good";
static const char skips_name[] = "tgc.loss_scale.skips";
static const char row_name[] = "tgc.loss_scale.in_row";

/* More would bring nothing, and infinity would never come down again. */
static const double HIGHEST = 0x1p40;

static bool is_scaled(const Graph *g)
{
    const Settings *s = &g->module->settings;
    return !strcmp(settings_text(s, "precision"), "f16") &&
           !strcmp(settings_text(s, "loss_scale"), "dynamic");
}

static double setting(const Graph *g, const char *key)
{
    return settings_number(&g->module->settings, key);
}

/* A scalar state, made by the first graph that asks. */
static Value read_scalar(Graph *g, const char *name, DType dtype, double start)
{
    State s = {.name = name,
               .of = "",
               .type = type_scalar(dtype),
               .role = STATE_RUN,
               .init = INIT_CONST,
               .init_a = start};
    module_add_state(g->module, &s);
    g->hint = NULL;
    g->loc = 0;
    return ir_state(g, name);
}

static Value read_scale(Graph *g)
{
    return read_scalar(g, scale_name, DT_F32, setting(g, "loss_scale.start"));
}

Value scale_seed(Graph *g, Value loss)
{
    if (!is_scaled(g))
        return ir_const_like(g, loss, 1);
    return ir_cast(g, read_scale(g), graph_type(g, loss)->dtype);
}

/* ---- are they finite? --------------------------------------------------- */

/* 0 where all of v is finite, else not a number: x - x for each x. */
static Value sum_of_zeros(Graph *g, Value v)
{
    return ir_sum_all(g, ir_sub(g, v, v));
}

/* Added up two by two, so that no chain gets long. */
static Value all_finite(Graph *g, Value *zero, size_t n)
{
    for (; n > 1; n = (n + 1) / 2)
        for (size_t i = 0; i < n / 2; i++) {
            zero[i] = ir_add(g, zero[2 * i], zero[2 * i + 1]);
            if (i == n / 2 - 1 && n % 2)
                zero[i + 1] = zero[n - 1];
        }
    return ir_binary(g, op_named("equal"), zero[0],
                     ir_const_like(g, zero[0], 0));
}

/* ---- the next scale ----------------------------------------------------- */

/* good + 1 < interval: the count goes on; else the scale grows, the count
 * starts anew.  A skipped step: the scale shrinks, the count starts anew. */
static void next_scale(Graph *g, Value scale, Value finite)
{
    Value good = read_scalar(g, good_name, DT_I32, 0);
    Value zero = ir_const_like(g, good, 0);
    Value count = ir_add_const(g, good, 1);
    Value interval = ir_const_like(g, good, setting(g, "loss_scale.interval"));
    Value grows = ir_binary(g, op_named("less_equal"), interval, count);
    Value grown = ir_mul_const(g, scale, setting(g, "loss_scale.growth"));
    grown =
        ir_binary(g, op_named("min"), grown, ir_const_like(g, scale, HIGHEST));
    Value shrunk = ir_mul_const(g, scale, setting(g, "loss_scale.backoff"));
    shrunk = ir_binary(g, op_named("max"), shrunk,
                       ir_const_like(g, scale, setting(g, "loss_scale.floor")));
    Value kept = ir_select(g, grows, grown, scale);
    ir_update(g, scale_name, ir_select(g, finite, kept, shrunk));
    Value next = ir_select(g, grows, zero, count);
    ir_update(g, good_name, ir_select(g, finite, next, zero));
}

static void count_skips(Graph *g, Value finite)
{
    Value skips = read_scalar(g, skips_name, DT_I32, 0);
    Value row = read_scalar(g, row_name, DT_I32, 0);
    Value skip = ir_cast(g, ir_unary(g, op_named("not"), finite), DT_I32);
    skips = ir_add(g, skips, skip);
    row =
        ir_select(g, finite, ir_const_like(g, row, 0), ir_add_const(g, row, 1));
    ir_update(g, skips_name, skips);
    ir_update(g, row_name, row);
    ir_output(g, "skips", skips);
    ir_output(g, "skips_in_row", row);
}

/* ---- the stage ---------------------------------------------------------- */

void scale_report(Graph *g)
{
    if (is_scaled(g))
        ir_output(g, "loss_scale", read_scale(g));
}

bool scale_undo(Update *u)
{
    Graph *g = u->g;
    if (!is_scaled(g))
        return true;
    Value scale = read_scale(g);
    Value inverse = ir_div(g, ir_const_like(g, scale, 1), scale);
    Value *zero = arena_array(g->arena, u->n, sizeof *zero);
    for (size_t i = 0; i < u->n; i++) {
        Trained *t = &u->item[i];
        update_at(u, i);
        zero[i] = sum_of_zeros(g, t->gradient);
        t->gradient = update_scale(u, inverse, t->gradient);
    }
    g->loc = 0;
    g->hint = NULL;
    Value finite = all_finite(g, zero, u->n);
    u->apply = u->apply.node ? ir_binary(g, op_named("and"), u->apply, finite)
                             : finite;
    next_scale(g, scale, finite);
    count_skips(g, finite);
    ir_output(g, "loss_scale", scale);
    return true;
}
