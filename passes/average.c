/* average.c: a running average of the weights beside them, and the graph that
 * evaluates it.
 *
 *     a = d * a + (1 - d) * w      after each step; d = 0 in the first
 *
 * with d = decay, or with warm-up min(decay, (1 + t) / (10 + t)) after t steps,
 * so that the random start is soon forgotten.  Running statistics of batch norm
 * are averaged like weights: those of the last weights would not fit.
 *
 * The slots are "<state>.average"; graph "eval_average" is "eval" that reads
 * them. */
#include "average.h"
#include "build.h"
#include "optimizer.h"
#include <string.h>

bool average_wanted(const Settings *s)
{
    return !strcmp(settings_text(s, "average"), "ema");
}

/* The share of the old average: a scalar, f64. */
static Value share_kept(Update *u)
{
    Graph *g = u->g;
    const Settings *s = &g->module->settings;
    Value t = update_steps(u), one = ir_const_like(g, t, 1);
    Value d = ir_const_like(g, t, settings_number(s, "average.decay"));
    if (settings_number(s, "average.warmup") != 0) { /* t counts this step */
        Value soon = ir_div(g, t, ir_add_const(g, t, 9));
        d = ir_binary(g, &op_min, d, soon);
    }
    Value first = ir_binary(g, &op_equal, t, one);
    return ir_select(g, first, ir_const_like(g, t, 0), d);
}

static void add_average(Update *u, const State *s, Value now, Value kept)
{
    Graph *g = u->g;
    Trained of = {.param = *s};
    Value rest = ir_sub(g, ir_const_like(g, kept, 1), kept);
    g->hint = s->name;
    Value before = slot_read(u, &of, "average");
    Value after =
        ir_add(g, update_scale(u, kept, before), update_scale(u, rest, now));
    slot_write(u, &of, "average", before, after);
}

bool average_add(Update *u)
{
    Graph *g = u->g;
    Module *m = g->module;
    if (!average_wanted(&m->settings))
        return true;
    g->loc = 0;
    g->hint = NULL;
    Value kept = share_kept(u);
    for (uint32_t id = 1, n = g->n_nodes; id < n; id++) {
        const Node *node = &g->node[id];
        if (node->op != &op_update)
            continue;
        State s = m->state[module_state(m, node_string(node, "name"))];
        g->loc = node->loc;
        if (s.role == STATE_PARAM || s.role == STATE_BUFFER)
            add_average(u, &s, node->in[0], kept);
    }
    return true;
}

/* ---- the graph that reads them ------------------------------------------- */

static Value average_of(Graph *to, const Node *n)
{
    const char *own = node_string(n, "name");
    const char *name = arena_printf(to->arena, "%s.average", own);
    to->loc = n->loc;
    to->hint = n->name;
    bool there = module_state(to->module, name) >= 0;
    return ir_state(to, there ? name : own);
}

void average_evaluation(Module *m)
{
    Graph *from = module_graph(m, "eval");
    if (!from || !average_wanted(&m->settings))
        return;
    Graph *to = graph_new(m, "eval_average");
    uint32_t *place = arena_array(to->arena, from->n_nodes, sizeof *place);
    for (uint32_t id = 1; id < from->n_nodes; id++) {
        const Node *n = &from->node[id];
        Value *in = arena_array(to->arena, n->n_in + 1, sizeof *in);
        for (uint32_t i = 0; i < n->n_in; i++)
            in[i] = node_value(place[n->in[i].node], n->in[i].out);
        place[id] = n->op == &op_state ? average_of(to, n).node
                                       : graph_add_copy(to, n, in);
    }
    module_add_graph(m, to);
}
