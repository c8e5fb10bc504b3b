/* accumulate.c: a step of training in several batches.
 *
 * The gradients of a step's batches add up in a state beside each weight:
 *
 *     train_part    sum += gradient                       all but the last
 *     train         gradient += sum;  sum = 0             and the other stages
 *
 * The loss's own gradient is the batch's share of the step's images (autodiff),
 * so the sum is the gradient of the mean over all of them, however they are
 * distributed. */
#include "accumulate.h"
#include "build.h"
#include "scale.h"
#include <string.h>

static bool has_share(const Graph *g)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (!strcmp(g->node[id].op->name, "input") &&
            !strcmp(node_string(&g->node[id], "name"), "share"))
            return true;
    return false;
}

/* The sum as this graph finds it; made by the first graph that asks. */
static Value sum_read(const Update *u, const Trained *t, const char *name)
{
    State sum = t->param;
    sum.name = name;
    sum.of = t->param.name;
    sum.type = *graph_type(u->g, t->gradient);
    sum.role = STATE_SLOT;
    sum.frozen = false;
    sum.init = INIT_CONST;
    sum.init_a = sum.init_b = 0;
    module_add_state(u->g->module, &sum);
    return ir_state(u->g, name);
}

bool update_accumulate(Update *u)
{
    Graph *g = u->g;
    if (!has_share(g))
        return true;
    bool last = strcmp(g->name, "train_part") != 0;
    for (size_t i = 0; i < u->n; i++) {
        Trained *t = &u->item[i];
        const char *name = arena_printf(g->arena, "%s.sum", t->param.name);
        g->loc = graph_node(g, t->weight)->loc;
        g->hint = t->param.name;
        Value sum = sum_read(u, t, name);
        t->gradient = ir_add(g, sum, t->gradient);
        ir_update(g, name,
                  last ? ir_const_like(g, t->gradient, 0) : t->gradient);
    }
    if (!last)
        scale_report(g);
    if (!last)
        u->n = 0; /* no stage has anything to do before the last batch */
    return true;
}
