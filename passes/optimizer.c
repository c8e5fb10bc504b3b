/* optimizer.c: the optimizers, in terms of ops. */
#include "optimizer.h"
#include "build.h"
#include <stdio.h>
#include <string.h>

/* ---- what optimizers share ---------------------------------------------- */

static double setting(const Update *u, const char *key)
{
    return settings_number(&u->g->module->settings, key);
}

static const char *slot_name(const Update *u, const Trained *t,
                             const char *what)
{
    return arena_printf(u->g->arena, "%s.%s", t->param.name, what);
}

/* A slot "<parameter>.<what>", zero at the start, of the parameter's type.
 * The graphs of a module share it: the first one to ask makes it. */
static Value slot_read(const Update *u, const Trained *t, const char *what)
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

static void slot_write(const Update *u, const Trained *t, const char *what,
                       Value before, Value after)
{
    update_state(u, slot_name(u, t, what), before, after);
}

static void descend(const Update *u, const Trained *t, Value direction)
{
    Graph *g = u->g;
    Value lr = ir_cast(g, u->lr, graph_type(g, t->weight)->dtype);
    lr = ir_broadcast_scalar(g, lr, t->weight);
    Value step = ir_mul(g, lr, direction);
    update_state(u, t->param.name, t->weight, ir_sub(g, t->weight, step));
}

/* ---- sgd ---------------------------------------------------------------- */

/* torch.optim.SGD with dampening 0 (the version of 2.0's documentation):
 *     g += weight_decay * w
 *     m  = momentum * m + g         m starts at 0
 *     d  = nesterov ? g + momentum * m : m
 *     w -= lr * d */
static void sgd_step(const Update *u, const Trained *t)
{
    Graph *g = u->g;
    Value d = t->gradient;
    double momentum = setting(u, "optimizer.momentum");
    double weight_decay = setting(u, "optimizer.weight_decay");
    if (weight_decay != 0)
        d = ir_add(g, d, ir_mul_const(g, t->weight, weight_decay));
    if (momentum != 0) {
        Value before = slot_read(u, t, "momentum");
        Value m = ir_add(g, ir_mul_const(g, before, momentum), d);
        slot_write(u, t, "momentum", before, m);
        bool nesterov = setting(u, "optimizer.nesterov") != 0;
        d = nesterov ? ir_add(g, d, ir_mul_const(g, m, momentum)) : m;
    }
    descend(u, t, d);
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
