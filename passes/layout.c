/* layout.c: chooses how values of three and more dimensions lie in memory.
 *
 *   decided   states (as checkpoints hold them), reshapes (row-major), and
 *             whatever the target has an opinion on: convolutions and the like
 *   forward   an elementwise result lies as its first operand that is decided
 *   backward  what is left (constants, broadcasts) as its first user that is
 *   the rest  as the target says of them by themselves, or row-major
 *   updates   what a state is given lies as the state
 *
 * Generated kernels read and write any layout: for them this is about speed
 * alone.  Library calls get what they asked for here. */
#include "passes.h"
#include "build.h"
#include "rewrite.h"
#include <string.h>

typedef struct Layouts {
    Graph *g; /* layouts are set in its types, in place */
    const Target *target;
    bool *decided; /* by value */
} Layouts;

static bool *decided(const Layouts *l, Value v)
{
    return &l->decided[(size_t)v.node * MAX_OUT + v.out];
}

static void decide(Layouts *l, Value v, Layout layout)
{
    graph_node(l->g, v)->type[v.out].layout = layout;
    *decided(l, v) = true;
}

static Layout ask(const Layouts *l, Value v)
{
    if (!l->target || !l->target->layout)
        return TARGET_NO_OPINION;
    return l->target->layout(l->target, l->g, graph_node(l->g, v),
                             graph_type(l->g, v));
}

/* Is there a choice to be made? */
static bool is_open(const Layouts *l, Value v)
{
    return graph_type(l->g, v)->rank >= 3 && !*decided(l, v);
}

/* Where its elements come one by one from, or go to, the same places. */
static bool keeps_places(const Layouts *l, Value a, Value b)
{
    return type_same_shape(graph_type(l->g, a), graph_type(l->g, b));
}

/* ---- forward ------------------------------------------------------------ */

static void follow_operands(Layouts *l, uint32_t id)
{
    const Node *n = &l->g->node[id];
    Value v = node_value(id, 0);
    for (uint32_t i = 0; i < n->n_in && is_open(l, v); i++)
        if (*decided(l, n->in[i]) && keeps_places(l, n->in[i], v))
            decide(l, v, graph_type(l->g, n->in[i])->layout);
}

/* A view that moves, drops or repeats whole dimensions keeps them in order
 * where its operand does; inference knows how (transpose). */
static void follow_view(Layouts *l, uint32_t id)
{
    const Node *n = &l->g->node[id];
    Value v = node_value(id, 0);
    Type type[MAX_OUT];
    Error e;
    if (n->n_in && *decided(l, n->in[0]) &&
        graph_type(l->g, n->in[0])->rank == n->type[0].rank &&
        node_infer(l->g, n, type, &e))
        decide(l, v, type[0].layout);
}

static void decide_forward(Layouts *l, uint32_t id)
{
    const Node *n = &l->g->node[id];
    bool elementwise = node_has(n, T_ELEMENTWISE);
    for (unsigned i = 0; i < n->n_out; i++) {
        Value v = node_value(id, i);
        if (!is_open(l, v))
            continue;
        if (node_has(n, T_RESHAPE) || !strcmp(n->op->name, "state")) {
            decide(l, v, n->type[i].layout);
        } else if (elementwise) {
            follow_operands(l, id);
        } else if (node_has(n, T_VIEW)) {
            follow_view(l, id);
        } else {
            Layout layout = ask(l, v);
            if (layout != TARGET_NO_OPINION)
                decide(l, v, layout);
        }
    }
}

/* ---- backward, and what is left ----------------------------------------- */

/* Node id tells its open operands of its own shape. */
static void decide_operands(Layouts *l, uint32_t id)
{
    const Node *n = &l->g->node[id];
    Value v = node_value(id, 0);
    if (!node_has(n, T_ELEMENTWISE) || !*decided(l, v))
        return;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (is_open(l, n->in[i]) && keeps_places(l, n->in[i], v))
            decide(l, n->in[i], n->type[0].layout);
}

static void decide_rest(Layouts *l, uint32_t id)
{
    const Node *n = &l->g->node[id];
    for (unsigned i = 0; i < n->n_out; i++) {
        Value v = node_value(id, i);
        if (!is_open(l, v))
            continue;
        if (node_has(n, T_ELEMENTWISE) && n->n_in) {
            decide(l, v, graph_type(l->g, n->in[0])->layout);
            continue;
        }
        Layout layout = ask(l, v);
        if (layout != TARGET_NO_OPINION)
            decide(l, v, layout);
    }
}

/* Can the order of what this update reads be chosen freely? */
static bool can_settle(const Graph *g, const Node *update)
{
    Value v = update->in[0];
    return graph_type(g, v)->rank < 2 || node_is_generic(graph_node(g, v));
}

/* A state's new value lies as the state does: who computes it (a gradient that
 * came through a transposition) may have another order in mind. */
static void settle_update(Layouts *l, uint32_t id)
{
    const Module *m = l->g->module;
    const Node *n = &l->g->node[id];
    if (!node_is(n, &op_update) || !can_settle(l->g, n))
        return;
    const State *s = &m->state[module_state(m, node_string(n, "name"))];
    decide(l, n->in[0], s->type.layout);
}

/* The graph as it is; an update reads a copy of what a library or the caller
 * lays out. */
static Graph *copy_graph(Graph *from)
{
    Rewrite r;
    rewrite_begin(&r, from);
    for (uint32_t id = 1; id < from->n_nodes; id++) {
        const Node *n = &from->node[id];
        if (!node_is(n, &op_update) || can_settle(from, n)) {
            rewrite_copy(&r, id);
            continue;
        }
        rewrite_at(&r, id);
        Value now = rewrite_get(&r, n->in[0]);
        ir_update(r.to, node_string(n, "name"), ir_unary(r.to, &op_copy, now));
    }
    return rewrite_end(&r);
}

static Graph *layout_graph(Graph *from, PassContext *c)
{
    Graph *g = copy_graph(from);
    Layouts l = {.g = g, .target = c->target};
    l.decided =
        arena_array(from->arena, (size_t)g->n_nodes * MAX_OUT, sizeof(bool));
    for (uint32_t id = 1; id < g->n_nodes; id++)
        decide_forward(&l, id);
    for (uint32_t id = g->n_nodes - 1; id > 0; id--)
        decide_operands(&l, id);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        decide_rest(&l, id);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        settle_update(&l, id);
    return g;
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, layout_graph);
}

const Pass pass_layout = {
    .name = "layout",
    .doc = "chooses the order in memory of values with three and more "
           "dimensions, from what the target wants",
    .adds = F_LAID_OUT,
    .run = run,
};
