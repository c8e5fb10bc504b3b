/* update.c: see update.h. */
#include "update.h"
#include "build.h"
#include "optimizer.h"
#include "passes.h"

void update_state(const Update *u, const char *name, Value before, Value after)
{
    Graph *g = u->g;
    if (u->apply.node) {
        Value apply = ir_broadcast_scalar(g, u->apply, after);
        after = ir_select(g, apply, after, before);
    }
    ir_update(g, name, after);
}

/* ---- the optimizer ------------------------------------------------------ */

static bool optimize(Update *u)
{
    Graph *g = u->g;
    const char *name = settings_text(&g->module->settings, "optimizer");
    const Optimizer *o = optimizer_named(name);
    if (!o)
        return pass_fail(u->c, 0, "unknown optimizer \"%.60s\"", name);
    for (size_t i = 0; i < u->n; i++) {
        g->loc = graph_node(g, u->item[i].weight)->loc;
        g->hint = u->item[i].param.name;
        o->step(u, &u->item[i]);
    }
    return true;
}

/* ---- the stages --------------------------------------------------------- */

static bool (*const stage_table[])(Update *u) = {
    optimize,
};
enum { N_STAGES = sizeof stage_table / sizeof *stage_table };

bool update_add(Update *u)
{
    for (int i = 0; i < N_STAGES; i++)
        if (!stage_table[i](u))
            return false;
    return true;
}
