/* update.c: see update.h. */
#include "update.h"
#include "accumulate.h"
#include "average.h"
#include "build.h"
#include "optimizer.h"
#include "passes.h"
#include "scale.h"

void update_state(const Update *u, const char *name, Value before, Value after)
{
    Graph *g = u->g;
    if (u->apply.node) {
        Value apply = ir_broadcast_scalar(g, u->apply, after);
        after = ir_select(g, apply, after, before);
    }
    ir_update(g, name, after);
}

Value update_scale(Update *u, Value scalar, Value v)
{
    scalar = ir_cast(u->g, scalar, graph_type(u->g, v)->dtype);
    return ir_mul(u->g, ir_broadcast_scalar(u->g, scalar, v), v);
}

void update_at(Update *u, size_t i)
{
    u->g->loc = graph_node(u->g, u->item[i].weight)->loc;
    u->g->hint = u->item[i].param.name;
}

/* ---- counting ----------------------------------------------------------- */

#define STEPS "optimizer.steps"

Value update_steps(Update *u)
{
    Graph *g = u->g;
    if (u->steps.node)
        return u->steps;
    State steps = {.name = STEPS,
                   .of = "",
                   .type = type_scalar(DT_F64),
                   .role = STATE_SLOT};
    module_add_state(g->module, &steps);
    Value before = ir_state(g, STEPS);
    u->steps = ir_add_const(g, before, 1);
    update_state(u, STEPS, before, u->steps);
    return u->steps;
}

/* ---- clipping ----------------------------------------------------------- */

static bool clip_value(Update *u)
{
    Graph *g = u->g;
    double most = settings_number(&g->module->settings, "optimizer.clip_value");
    for (size_t i = 0; most != 0 && i < u->n; i++) {
        Value *d = &u->item[i].gradient;
        update_at(u, i);
        *d = ir_binary(g, &op_min, *d, ir_const_like(g, *d, most));
        *d = ir_binary(g, &op_max, *d, ir_const_like(g, *d, -most));
    }
    return true;
}

/* f32 or better, whatever the weights are. */
static Value sum_of_squares(Graph *g, Value v)
{
    if (graph_type(g, v)->dtype != DT_F64)
        v = ir_cast(g, v, DT_F32);
    return ir_cast(g, ir_sum_all(g, ir_mul(g, v, v)), DT_F64);
}

/* As torch.nn.utils.clip_grad_norm_: all gradients times
 * min(1, most / (norm + 1e-6)). */
static bool clip_norm(Update *u)
{
    Graph *g = u->g;
    double most = settings_number(&g->module->settings, "optimizer.clip_norm");
    Value sum = NO_VALUE;
    for (size_t i = 0; most != 0 && i < u->n; i++) {
        update_at(u, i);
        Value one = sum_of_squares(g, u->item[i].gradient);
        sum = i ? ir_add(g, sum, one) : one;
    }
    if (!sum.node)
        return true;
    Value norm = ir_add_const(g, ir_unary(g, &op_sqrt, sum), 1e-6);
    Value factor = ir_div(g, ir_const_like(g, norm, most), norm);
    factor = ir_binary(g, &op_min, factor, ir_const_like(g, factor, 1));
    for (size_t i = 0; i < u->n; i++) {
        update_at(u, i);
        u->item[i].gradient = update_scale(u, factor, u->item[i].gradient);
    }
    return true;
}

/* ---- the optimizer ------------------------------------------------------ */

static bool optimize(Update *u)
{
    Graph *g = u->g;
    const Settings *s = &g->module->settings;
    for (size_t i = 0; i < u->n; i++) {
        Trained *t = &u->item[i];
        t->groups = settings_groups(s, t->param.name);
        const char *name = settings_group_text(s, t->groups, "optimizer");
        const Optimizer *o = optimizer_named(name);
        if (!o)
            return pass_fail(u->c, 0, "unknown optimizer \"%.60s\"", name);
        update_at(u, i);
        if (!o->step(u, t))
            return false;
    }
    return true;
}

/* ---- the stages --------------------------------------------------------- */

static bool (*const stage_table[])(Update *u) = {
    update_accumulate, scale_undo, clip_value, clip_norm, optimize, average_add,
};
enum { N_STAGES = sizeof stage_table / sizeof *stage_table };

bool update_add(Update *u)
{
    for (int i = 0; i < N_STAGES && u->n; i++)
        if (!stage_table[i](u))
            return false;
    return true;
}
