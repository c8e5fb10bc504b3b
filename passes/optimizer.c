/* optimizer.c: the optimizers, in terms of ops. */
#include "optimizer.h"
#include "build.h"
#include <stdio.h>
#include <string.h>

/* ---- what optimizers share ---------------------------------------------- */

static double setting(const OptimizerStep *s, const char *key)
{
    return settings_number(&s->g->module->settings, key);
}

static const char *slot_name(const OptimizerStep *s, const char *what)
{
    return arena_printf(s->g->arena, "%s.%s", s->param->name, what);
}

/* A slot "<parameter>.<what>", zero at the start, of the parameter's type.
 * The graphs of a module share it: the first one to ask makes it. */
static Value slot_read(const OptimizerStep *s, const char *what)
{
    State slot = *s->param;
    slot.name = slot_name(s, what);
    slot.of = s->param->name;
    slot.role = STATE_SLOT;
    slot.frozen = false;
    slot.init = INIT_CONST;
    slot.init_a = slot.init_b = 0;
    module_add_state(s->g->module, &slot);
    return ir_state(s->g, slot.name);
}

static void slot_write(const OptimizerStep *s, const char *what, Value v)
{
    ir_update(s->g, slot_name(s, what), v);
}

static Value scale(const OptimizerStep *s, Value v, double by)
{
    return ir_mul_const(s->g, v, by);
}

static void descend(const OptimizerStep *s, Value direction)
{
    Value lr = ir_cast(s->g, s->lr, graph_type(s->g, s->weight)->dtype);
    lr = ir_broadcast_scalar(s->g, lr, s->weight);
    Value step = ir_mul(s->g, lr, direction);
    ir_update(s->g, s->param->name, ir_sub(s->g, s->weight, step));
}

/* ---- sgd ---------------------------------------------------------------- */

/* torch.optim.SGD with dampening 0 (the version of 2.0's documentation):
 *     g += weight_decay * w
 *     m  = momentum * m + g         m starts at 0
 *     d  = nesterov ? g + momentum * m : m
 *     w -= lr * d */
static void sgd_step(const OptimizerStep *s)
{
    Graph *g = s->g;
    Value d = s->gradient;
    double momentum = setting(s, "optimizer.momentum");
    double weight_decay = setting(s, "optimizer.weight_decay");
    if (weight_decay != 0)
        d = ir_add(g, d, scale(s, s->weight, weight_decay));
    if (momentum != 0) {
        Value m = slot_read(s, "momentum");
        m = ir_add(g, scale(s, m, momentum), d);
        slot_write(s, "momentum", m);
        bool nesterov = setting(s, "optimizer.nesterov") != 0;
        d = nesterov ? ir_add(g, d, scale(s, m, momentum)) : m;
    }
    descend(s, d);
}

/* ---- the table ---------------------------------------------------------- */

static const Optimizer optimizer_table[] = {
    {"sgd", sgd_step},
};
enum { N_OPTIMIZERS = sizeof optimizer_table / sizeof *optimizer_table };

const Optimizer *optimizer_named(const char *name)
{
    for (int i = 0; i < N_OPTIMIZERS; i++)
        if (!strcmp(optimizer_table[i].name, name))
            return &optimizer_table[i];
    return NULL;
}
