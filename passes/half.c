/* half.c: computes in half precision (f16, bf16) what may be.
 *
 * By an op's rule (op.h), from the first node to the last:
 *
 *     HALF_WANT   operands become half: convolutions, matrix products
 *     HALF_YES    half where an operand is already; what the op wants in
 *                 float32 beside a half operand (statistics) stays so
 *     HALF_NO     operands become float32 again: losses, sums, roots
 *
 * States stay as they are, so the optimizer has float32 weights to add small
 * steps to (master weights: Micikevicius et al., "Mixed precision training",
 * 2017).  Every border is a `cast`, each value gets at most one. */
#include "passes.h"
#include "build.h"
#include "rewrite.h"

typedef struct Half {
    Rewrite r;
    DType half;
    /* Of an old value: the cast of its new one to the other of both types. */
    Value (*cast)[MAX_OUT];
    Arena *arena;
    PassContext *c;
} Half;

/* ---- operands ----------------------------------------------------------- */

static bool has_dtype(const Half *h, Value old, DType t)
{
    return graph_type(h->r.to, rewrite_get(&h->r, old))->dtype == t;
}

/* The value as `to`, where it is of the other of both types. */
static Value converted(Half *h, Value old, DType to)
{
    Value now = rewrite_get(&h->r, old);
    DType other = to == DT_F32 ? h->half : DT_F32;
    if (!has_dtype(h, old, other))
        return now;
    Value *cast = &h->cast[old.node][old.out];
    if (!cast->node) {
        Graph *g = h->r.to;
        Loc loc = g->loc;
        const char *hint = g->hint;
        const Node *of = graph_node(g, now); /* the border is the value's */
        g->loc = of->loc;
        g->hint = of->name;
        *cast = ir_cast(g, now, to);
        g->loc = loc;
        g->hint = hint;
    }
    return *cast;
}

static bool any_is_half(const Half *h, const Node *n)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        if (has_dtype(h, n->in[i], h->half))
            return true;
    return false;
}

/* ---- nodes -------------------------------------------------------------- */

/* The node with its operands as `to`; DT_NONE: as they are. */
static bool add_node(Half *h, uint32_t id, DType to)
{
    const Node *n = &h->r.from->node[id];
    Graph *g = h->r.to;
    Value *in = arena_array(h->arena, n->n_in, sizeof *in);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = to ? converted(h, n->in[i], to) : rewrite_get(&h->r, n->in[i]);
    int n_attr = 0;
    while (n->op->attrs && n->op->attrs[n_attr].name)
        n_attr++;
    rewrite_at(&h->r, id);
    uint32_t now = graph_add(g, n->op, in, (int)n->n_in, n->attr, n_attr);
    for (unsigned i = 0; now && i < n->n_out; i++)
        rewrite_set(&h->r, node_value(id, i), node_value(now, i));
    return now != 0;
}

/* A batch that overflows f16 must not stay in running statistics for ever:
 * those of its values that are not finite leave the old ones. */
static bool guard_statistics(Half *h, uint32_t id)
{
    const Node *n = &h->r.from->node[id];
    if (h->half != DT_F16 || !node_is(n, &op_update))
        return false;
    const Module *m = h->r.from->module;
    int s = module_state(m, node_string(n, "name"));
    if (s < 0 || m->state[s].role != STATE_BUFFER)
        return false;
    Value now = converted(h, n->in[0], DT_F32);
    Graph *g = h->r.to;
    rewrite_at(&h->r, id);
    if (!dtype_is_float(graph_type(g, now)->dtype))
        return false;
    Value zero = ir_const_like(g, now, 0);
    Value finite = ir_binary(g, op_named("equal"), ir_sub(g, now, now), zero);
    Value old = ir_state(g, m->state[s].name);
    ir_update(g, m->state[s].name, ir_select(g, finite, now, old));
    return true;
}

/* A new op of which nobody has said what half may do to it. */
static bool refuse_node(Half *h, const Node *n)
{
    return pass_fail(h->c, n->loc,
                     "there is no rule for %s in half: its descriptor does not "
                     "say whether it may be %s (`.half`, ir/op.h); `precision "
                     "= f32` needs none",
                     n->op->name, dtype_name(h->half));
}

static bool convert_node(Half *h, uint32_t id)
{
    const Node *n = &h->r.from->node[id];
    if (n->op->half == HALF_UNSAID)
        return refuse_node(h, n);
    if (n->n_in == 0) {
        rewrite_copy(&h->r, id);
        return true;
    }
    if (guard_statistics(h, id))
        return true;
    HalfRule rule = n->op->half;
    if (rule == HALF_WANT && add_node(h, id, h->half))
        return true;
    if (rule == HALF_YES && any_is_half(h, n) &&
        (add_node(h, id, DT_NONE) || add_node(h, id, h->half)))
        return true;
    return add_node(h, id, DT_F32) ||
           pass_fail(h->c, n->loc, "bug: %s", h->r.to->error.text);
}

/* ---- the pass ----------------------------------------------------------- */

static Graph *half_graph(Graph *g, PassContext *c)
{
    Half h = {.arena = arena_new(), .c = c};
    const char *name = settings_text(&g->module->settings, "precision");
    h.half = dtype_named(name);
    h.cast = arena_array(h.arena, g->n_nodes, sizeof *h.cast);
    rewrite_begin(&h.r, g);
    bool ok = true;
    for (uint32_t id = 1; ok && id < g->n_nodes; id++)
        ok = convert_node(&h, id);
    arena_free(h.arena);
    Graph *now = rewrite_end(&h.r);
    if (ok)
        return now;
    graph_free(now);
    return NULL;
}

static bool run(Module *m, PassContext *c)
{
    const char *name = settings_text(&m->settings, "precision");
    return !dtype_is_half(dtype_named(name)) ||
           passes_each_graph(m, c, half_graph);
}

const Pass pass_half = {
    .name = "half",
    .doc = "where the setting `precision` is f16 or bf16: computes in it what "
           "may be, by an op's rule; weights, statistics and losses stay f32",
    .breaks = F_PLAIN | F_LAID_OUT | F_FUSED | F_ORDERED,
    .run = run,
};
