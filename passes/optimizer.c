/* optimizer.c: the table of optimizers, what they share, and sgd. */
#include "optimizer.h"
#include "build.h"
#include <stdio.h>
#include <string.h>

/* ---- what optimizers share ---------------------------------------------- */

double optimizer_setting(Update *u, const Trained *t, const char *key)
{
    return settings_group_number(&u->g->module->settings, t->groups, key);
}

static const char *slot_name(Update *u, const Trained *t, const char *what)
{
    return arena_printf(u->g->arena, "%s.%s", t->param.name, what);
}

Value slot_read(Update *u, const Trained *t, const char *what)
{
    State slot = t->param;
    slot.name = slot_name(u, t, what);
    slot.of = t->param.name;
    slot.role = STATE_SLOT;
    slot.frozen = false;
    slot.init = INIT_CONST;
    slot.init_a = slot.init_b = 0;
    module_add_state(u->g->module, &slot);
    return ir_state(u->g, slot.name);
}

void slot_write(Update *u, const Trained *t, const char *what, Value before,
                Value after)
{
    update_state(u, slot_name(u, t, what), before, after);
}

/* The program changes optimizer.lr while it runs; a group's rate keeps the
 * proportion that it had to it. */
Value optimizer_rate(Update *u, const Trained *t)
{
    Graph *g = u->g;
    double base = settings_number(&g->module->settings, "optimizer.lr");
    double own = optimizer_setting(u, t, "optimizer.lr");
    double factor = optimizer_setting(u, t, "optimizer.lr_factor");
    if (own != base)
        factor *= own / base;
    Value lr = ir_cast(g, u->lr, graph_type(g, t->weight)->dtype);
    return factor == 1 ? lr : ir_mul_const(g, lr, factor);
}

Value optimizer_momentum(Update *u, const Trained *t, const char *key)
{
    const Settings *all = &u->g->module->settings;
    double own = optimizer_setting(u, t, key);
    Type f64 = type_scalar(DT_F64);
    if (u->momentum.node && own == settings_number(all, key))
        return ir_cast(u->g, u->momentum, DT_F64);
    return ir_const(u->g, &f64, own);
}

Value optimizer_decayed(Update *u, const Trained *t)
{
    double decay = optimizer_setting(u, t, "optimizer.weight_decay");
    if (decay == 0)
        return t->weight;
    Value share = ir_mul_const(u->g, optimizer_rate(u, t), -decay);
    return update_scale(u, ir_add_const(u->g, share, 1), t->weight);
}

void optimizer_descend(Update *u, const Trained *t, Value from, Value direction)
{
    Value step = update_scale(u, optimizer_rate(u, t), direction);
    update_state(u, t->param.name, t->weight, ir_sub(u->g, from, step));
}

Value optimizer_ahead(Update *u, const Trained *t, Value gradient, Value m)
{
    Value momentum = optimizer_momentum(u, t, "optimizer.momentum");
    return ir_add(u->g, gradient, update_scale(u, momentum, m));
}

/* ---- sgd ---------------------------------------------------------------- */

/* m = momentum * m + (1 - dampening) * d, but m = d in the first step. */
static Value sgd_momentum(Update *u, const Trained *t, Value d)
{
    Graph *g = u->g;
    Value momentum = optimizer_momentum(u, t, "optimizer.momentum");
    double dampening = optimizer_setting(u, t, "optimizer.dampening");
    Value before = slot_read(u, t, "momentum"), share = d;
    if (dampening != 0) {
        Value steps = update_steps(u), one = ir_const_like(g, steps, 1);
        Value first = ir_binary(g, &op_equal, steps, one);
        Value factor =
            ir_select(g, first, one, ir_const_like(g, steps, 1 - dampening));
        share = update_scale(u, factor, d);
    }
    Value m = ir_add(g, update_scale(u, momentum, before), share);
    slot_write(u, t, "momentum", before, m);
    return m;
}

/* torch.optim.SGD (the version of 2.0's documentation):
 *     g += weight_decay * w
 *     m  = momentum * m + (1 - dampening) * g      in the first step m = g
 *     d  = nesterov ? g + momentum * m : m
 *     w -= lr * d */
bool sgd_step(Update *u, const Trained *t)
{
    Graph *g = u->g;
    Value d = t->gradient;
    double momentum = optimizer_setting(u, t, "optimizer.momentum");
    double decay = optimizer_setting(u, t, "optimizer.weight_decay");
    if (decay != 0)
        d = ir_add(g, d, ir_mul_const(g, t->weight, decay));
    if (momentum != 0) {
        Value m = sgd_momentum(u, t, d);
        d = optimizer_setting(u, t, "optimizer.nesterov") != 0
                ? optimizer_ahead(u, t, d, m)
                : m;
    }
    optimizer_descend(u, t, t->weight, d);
    return true;
}

/* ---- the table ---------------------------------------------------------- */

static const Optimizer optimizer_table[] = {
    {"sgd", sgd_step},
    {"adam", adam_step},
    {"adamw", adamw_step},
    {"muon", muon_step},
};
enum { N_OPTIMIZERS = sizeof optimizer_table / sizeof *optimizer_table };

const Optimizer *optimizer_named(const char *name)
{
    for (int i = 0; i < N_OPTIMIZERS; i++)
        if (!strcmp(optimizer_table[i].name, name))
            return &optimizer_table[i];
    return NULL;
}
