/* autodiff.c: adds to a graph that computes "loss" the gradient with respect to
 * every trained parameter, and what the optimizer does with it.
 *
 * Reverse mode over the list of nodes: a value's gradient is complete when its
 * node's turn comes, since all its users come later in the list.  Nodes that
 * lie on no path from a trained parameter to the loss are not visited.
 * Gradients of several users are added from the last user to the first.
 *
 * A gradient has the type of its value, but that of a half value may be float32
 * where it is a long sum (of weights, over the batch).  It stays so through a
 * cast, and the parameter that was cast to half gets it unrounded. */
#include "passes.h"
#include "average.h"
#include "build.h"
#include "scale.h"
#include "update.h"
#include <assert.h>
#include <string.h>

typedef struct Autodiff {
    Graph *g;
    PassContext *c;
    uint32_t n;      /* nodes of the forward pass: 1 .. n - 1 */
    bool *wanted;    /* is there a gradient with respect to it to be found? */
    Value *gradient; /* of value node * MAX_OUT + out; NO_VALUE: zero so far */
} Autodiff;

static Value *gradient_of(const Autodiff *a, Value v)
{
    return &a->gradient[(size_t)v.node * MAX_OUT + v.out];
}

/* ---- what lies between the parameters and the loss ---------------------- */

static const State *trained(const Graph *g, uint32_t id)
{
    const Node *n = &g->node[id];
    if (!node_has(n, T_SOURCE) || strcmp(n->op->name, "state"))
        return NULL;
    int i = module_state(g->module, node_string(n, "name"));
    const State *s = i < 0 ? NULL : &g->module->state[i];
    return s && s->role == STATE_PARAM && !s->frozen ? s : NULL;
}

static void find_wanted(Autodiff *a, Value loss)
{
    const Graph *g = a->g;
    a->wanted = arena_array(g->arena, a->n, sizeof *a->wanted);
    bool *leads = arena_array(g->arena, a->n, sizeof *leads);
    leads[loss.node] = true;
    for (uint32_t id = loss.node; id > 0; id--)
        for (uint32_t i = 0; leads[id] && i < g->node[id].n_in; i++)
            leads[g->node[id].in[i].node] = true;
    for (uint32_t id = 1; id < a->n; id++) {
        const Node *n = &g->node[id];
        a->wanted[id] = trained(g, id) != NULL;
        for (uint32_t i = 0; i < n->n_in; i++)
            a->wanted[id] |= a->wanted[n->in[i].node];
        a->wanted[id] &= leads[id];
    }
}

/* ---- backwards ---------------------------------------------------------- */

static void set_place(Graph *g, uint32_t id)
{
    const char *name = g->node[id].name;
    g->loc = g->node[id].loc;
    g->hint = name ? arena_printf(g->arena, "d.%s", name) : NULL;
}

static void accumulate(Autodiff *a, Value v, Value more)
{
    Value *sum = gradient_of(a, v);
    if (!a->wanted[v.node] || !more.node)
        return;
    const Type *t = graph_type(a->g, v);
    DType dtype = graph_type(a->g, more)->dtype, wide = dtype_wide(t->dtype);
    assert(type_same_shape(t, graph_type(a->g, more)) &&
           (dtype == t->dtype || dtype == wide) &&
           "a gradient has the type of what it is the gradient of");
    (void)t;
    if (sum->node && graph_type(a->g, *sum)->dtype != dtype) {
        *sum = ir_cast(a->g, *sum, wide);
        more = ir_cast(a->g, more, wide);
    }
    *sum = sum->node ? ir_add(a->g, *sum, more) : more;
}

/* The gradient of a result, as the node's own gradient wants to see it. */
static Value gradient_for(const Autodiff *a, uint32_t id, unsigned out)
{
    const Node *n = &a->g->node[id];
    Value d = *gradient_of(a, node_value(id, out));
    if (!d.node || node_is(n, &op_cast))
        return d;
    return ir_cast(a->g, d, n->type[out].dtype);
}

static bool differentiate(Autodiff *a, uint32_t id)
{
    Graph *g = a->g;
    const Node *n = &g->node[id];
    Value dout[MAX_OUT];
    bool any = false;
    for (unsigned i = 0; i < n->n_out; i++)
        any |= gradient_of(a, node_value(id, i))->node != 0;
    if (!any || n->n_in == 0)
        return true;
    if (!n->op->grad)
        return pass_fail(a->c, n->loc,
                         "%s has no gradient, and a trained parameter reaches "
                         "the loss through it",
                         n->op->name);
    set_place(g, id);
    uint32_t n_in = n->n_in, n_out = n->n_out;
    Value *in = n->in; /* stays where it is when the list of nodes moves */
    for (unsigned i = 0; i < n_out; i++)
        dout[i] = gradient_for(a, id, i);
    Value *din = arena_array(g->arena, n_in, sizeof *din);
    n->op->grad(g, id, dout, din);
    for (uint32_t i = 0; i < n_in; i++)
        accumulate(a, in[i], din[i]);
    return true;
}

static uint32_t find_root(const Graph *g, const char *op, const char *name)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (!strcmp(g->node[id].op->name, op) &&
            !strcmp(node_string(&g->node[id], "name"), name))
            return id;
    return 0;
}

static bool find_loss(Autodiff *a, Value *loss)
{
    uint32_t id = find_root(a->g, "output", "loss");
    if (!id)
        return pass_fail(a->c, 0, "graph %s has no output \"loss\"",
                         a->g->name);
    *loss = a->g->node[id].in[0];
    const Type *t = graph_type(a->g, *loss);
    if (t->rank || !dtype_is_float(t->dtype))
        return pass_fail(a->c, a->g->node[id].loc,
                         "the loss is not one floating point number");
    return true;
}

/* ---- the updates -------------------------------------------------------- */

/* What the runtime computes for each step: "lr", "momentum". */
static Value step_input(Graph *g, const char *name)
{
    uint32_t id = find_root(g, "input", name);
    g->loc = 0;
    g->hint = name;
    Type scalar = type_scalar(DT_F32);
    return id ? node_value(id, 0) : ir_input(g, name, &scalar);
}

/* Several nodes may read a parameter: the first one's gradient becomes the sum
 * of all.  first[s] is that of state s; 0: not read. */
static uint32_t *gather_reads(Autodiff *a)
{
    Graph *g = a->g;
    const Module *m = g->module;
    uint32_t *first = arena_array(g->arena, m->n_states, sizeof *first);
    for (uint32_t id = 1; id < a->n; id++) {
        const State *s = trained(g, id);
        if (!s)
            continue;
        uint32_t *at = &first[s - m->state];
        if (!*at) {
            *at = id;
            continue;
        }
        a->wanted[*at] = true;
        set_place(g, *at);
        accumulate(a, node_value(*at, 0), *gradient_of(a, node_value(id, 0)));
    }
    return first;
}

/* The parameter that node id reads; its gradient is complete. */
static bool add_trained(Autodiff *a, uint32_t id, Update *u)
{
    const Graph *g = a->g;
    const State *param = trained(g, id);
    Value w = node_value(id, 0), d = *gradient_of(a, w);
    if (!d.node)
        return pass_fail(a->c, param->loc ? param->loc : g->node[id].loc,
                         "parameter %s has no gradient: the loss does not "
                         "depend on it",
                         param->name);
    u->item[u->n++] = (Trained){.param = *param, .weight = w, .gradient = d};
    return true;
}

static bool update(Autodiff *a)
{
    Graph *g = a->g;
    size_t n = g->module->n_states;
    Update u = {.g = g, .c = a->c, .lr = step_input(g, "lr")};
    uint32_t *first = gather_reads(a);
    if (settings_number(&g->module->settings, "schedule.cycle_momentum") != 0)
        u.momentum = step_input(g, "momentum");
    u.item = arena_array(g->arena, n, sizeof *u.item);
    for (size_t s = 0; s < n; s++)
        if (first[s] && !add_trained(a, first[s], &u))
            return false;
    if (!u.n)
        return pass_fail(a->c, 0,
                         "there is nothing to train: no parameter is read, "
                         "or all are frozen");
    return update_add(&u);
}

/* ---- the pass ----------------------------------------------------------- */

/* Times the share of the step's images that this graph sees: the gradients of
 * several batches add up to that of one batch of them all. */
static Value loss_gradient(Graph *g, Value loss)
{
    uint32_t share = find_root(g, "input", "share");
    Value seed = scale_seed(g, loss);
    if (!share)
        return seed;
    return ir_mul(g, seed,
                  ir_cast(g, node_value(share, 0), graph_type(g, loss)->dtype));
}

static bool autodiff_graph(Graph *g, PassContext *c)
{
    Value loss;
    Autodiff a = {.g = g, .c = c, .n = g->n_nodes};
    if (!find_loss(&a, &loss))
        return false;
    a.gradient = arena_array(g->arena, (size_t)a.n * MAX_OUT, sizeof(Value));
    find_wanted(&a, loss);
    set_place(g, loss.node);
    *gradient_of(&a, loss) = loss_gradient(g, loss);
    bool ok = true;
    for (uint32_t id = loss.node; ok && id > 0; id--)
        if (a.wanted[id])
            ok = differentiate(&a, id);
    ok = ok && update(&a);
    g->loc = 0;
    g->hint = NULL;
    return ok;
}

static bool updates_parameter(const Graph *g)
{
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        if (strcmp(g->node[id].op->name, "update"))
            continue;
        int s = module_state(g->module, node_string(&g->node[id], "name"));
        if (s >= 0 && g->module->state[s].role == STATE_PARAM)
            return true;
    }
    return false;
}

static bool run(Module *m, PassContext *c)
{
    for (size_t i = 0; i < m->n_graphs; i++) {
        Graph *g = m->graph[i];
        if (!graph_trains(g))
            continue;
        if (updates_parameter(g))
            return pass_fail(c, 0, "graph %s trains its parameters already",
                             g->name);
        if (!autodiff_graph(g, c))
            return false;
    }
    average_evaluation(m);
    return true;
}

const Pass pass_autodiff = {
    .name = "autodiff",
    .doc = "adds the backward pass and the optimizer to a graph that computes "
           "a loss",
    .adds = F_GRAD,
    .breaks = F_PLAIN | F_LAID_OUT | F_FUSED | F_ORDERED,
    .run = run,
};
