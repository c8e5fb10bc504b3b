/* expand.c: from ops that people think in to ops that the target runs.
 *
 * First that applies, again and again until nothing is left to do:
 *   1. the target's own way
 *   2. nothing, for what the generic kernel computes
 *   3. the op's expansion into simpler ones
 *
 * A reduction over much data is cut in pieces on the way, so that the pieces
 * can be computed in parallel; a reduction of the pieces follows it.  Ops that
 * do better than that with pieces of their own (batch norm) have an attribute
 * "splits", which is set here where it is 0. */
#include "passes.h"
#include "build.h"
#include "pieces.h"
#include "rewrite.h"
#include <string.h>

enum { MAX_ROUNDS = 32 }; /* expansions within expansions */

typedef struct Expand {
    Rewrite r;
    PassContext *c;
    const Target *target;
    /* Of the old and the new graph: nodes that come out of cutting, and are
     * not cut again. */
    bool *was_cut, *cut;
    size_t n_cut, cap_cut; /* of `cut` */
    Arena *arena;
    bool changed;
} Expand;

/* Marks the nodes added since the last call. */
static void mark_cut(Expand *e, bool value)
{
    while (e->n_cut < e->r.to->n_nodes)
        ARENA_PUSH(e->arena, e->cut, e->n_cut, e->cap_cut, value);
}

/* ---- cutting reductions ------------------------------------------------- */

static int wanted_splits(const Expand *e, const Type *t, const int64_t *axes,
                         int n)
{
    if (!e->target || !e->target->splits || n == 0)
        return 1;
    return e->target->splits(e->target, t, axes, n);
}

/* The axis to cut and into how many pieces: the outermost in memory of those
 * with the most pieces that divide it, up to `wanted`. */
static int64_t choose_cut(const Type *t, const int64_t *axes, int n,
                          int64_t wanted, int *axis)
{
    int64_t most = 1;
    for (int place = 0; place < t->rank; place++) {
        int d = layout_dim(t->layout, t->rank, place);
        bool reduced = false;
        for (int i = 0; i < n; i++)
            reduced |= axes[i] == d;
        int64_t pieces = reduced ? divisor_up_to(t->dim[d], wanted) : 1;
        if (pieces > most) {
            most = pieces;
            *axis = d;
        }
    }
    return most;
}

/* Axes of the split operand to fold: all old ones behind the new dimension
 * `axis`, which numbers the pieces. */
static void inner_axes(int axis, const int64_t *axes, int n, int64_t *inner)
{
    for (int i = 0; i < n; i++)
        inner[i] = axes[i] < axis ? axes[i] : axes[i] + 1;
}

/* reduce(x) = reduce of the pieces of (reduce of each piece) */
static bool cut_reduction(Expand *e, uint32_t id, Value x)
{
    const Node *n = &e->r.from->node[id];
    Graph *g = e->r.to;
    int n_axes, axis = 0, place = 0;
    const int64_t *axes = node_ints(n, "axes", &n_axes);
    Type t = *graph_type(g, x);
    if (t.rank == MAX_RANK || n_axes == 0)
        return false;
    int64_t pieces =
        choose_cut(&t, axes, n_axes, wanted_splits(e, &t, axes, n_axes), &axis);
    if (pieces <= 1)
        return false;
    x = ir_cast(g, x,
                dtype_wide(t.dtype)); /* pieces of a sum are not rounded */
    Attr split[] = {attr_int("axis", axis),
                    attr_int("size", t.dim[axis] / pieces)};
    Value v = ir_node(g, op_named("split"), &x, 1, split, 2);
    int64_t inner[MAX_RANK];
    inner_axes(axis, axes, n_axes, inner);
    Attr fold = attr_ints("axes", inner, n_axes);
    v = ir_node(g, n->op, &v, 1, &fold, 1);
    for (int d = 0; d < axis; d++) { /* dimensions kept before the pieces */
        bool reduced = false;
        for (int i = 0; i < n_axes; i++)
            reduced |= axes[i] == d;
        place += !reduced;
    }
    fold = attr_ints("axes", (const int64_t[]){place}, 1);
    v = ir_cast(g, ir_node(g, n->op, &v, 1, &fold, 1), t.dtype);
    graph_node(g, v)->type[0].layout = n->type[0].layout;
    rewrite_set(&e->r, node_value(id, 0), v);
    return true;
}

/* The attribute "splits" of a node that leaves it open; -1: there is none. */
static int open_splits(const Node *n)
{
    const AttrSpec *s = n->op->attrs;
    for (int i = 0; s && s[i].name; i++)
        if (!strcmp(s[i].name, "splits"))
            return n->attr[i].i == 0 && n->n_in ? i : -1;
    return -1;
}

/* Sets it, in the copy *n, for sums over all but the channels. */
static void choose_splits(Expand *e, Node *n, const Value *in)
{
    int i = open_splits(n), count = 0, n_axes = 0;
    if (i < 0)
        return;
    const Type *t = graph_type(e->r.to, in[0]);
    int64_t axes[MAX_RANK];
    for (int d = 0; d < t->rank; d++)
        if (d != 1)
            axes[n_axes++] = d;
    while (n->op->attrs[count].name)
        count++;
    n->attr = arena_copy(e->arena, n->attr, (size_t)count * sizeof *n->attr);
    n->attr[i].i = wanted_splits(e, t, axes, n_axes);
}

/* ---- layouts of what came out ------------------------------------------- */

/* Elementwise nodes made by an expansion lie as their operands do; but a copy
 * is there to lie otherwise. */
static void spread_layouts(Graph *g, uint32_t first)
{
    for (uint32_t id = first; id < g->n_nodes; id++) {
        Node *n = &g->node[id];
        Type *t = &n->type[0];
        if (n->n_out != 1 || !node_has(n, T_ELEMENTWISE) || t->rank < 3 ||
            node_is(n, &op_copy))
            continue;
        for (uint32_t i = 0; i < n->n_in && !t->layout; i++)
            if (type_same_shape(graph_type(g, n->in[i]), t))
                t->layout = graph_type(g, n->in[i])->layout;
    }
}

/* Result v, made since node `first`, must lie as the node it replaces did. */
static Value with_layout(Graph *g, Value v, Layout layout, uint32_t first)
{
    Type *t = &graph_node(g, v)->type[v.out];
    if (t->layout == layout)
        return v;
    if (v.node < first || !node_is_generic(graph_node(g, v))) {
        v = ir_unary(g, op_named("copy"), v);
        t = &graph_node(g, v)->type[0];
    }
    t->layout = layout;
    return v;
}

/* ---- nodes -------------------------------------------------------------- */

static bool take_results(Expand *e, uint32_t id, Value *out, uint32_t first)
{
    const Node *n = &e->r.from->node[id];
    Graph *g = e->r.to;
    spread_layouts(g, first);
    for (unsigned i = 0; i < n->n_out; i++) {
        if (!out[i].node)
            return pass_fail(e->c, n->loc, "bug: %s expands to nothing",
                             n->op->name);
        const Type *t = graph_type(g, out[i]);
        if (t->dtype != n->type[i].dtype || !type_same_shape(t, &n->type[i]))
            return pass_fail(e->c, n->loc,
                             "bug: %s expands to a result of another type",
                             n->op->name);
        out[i] = with_layout(g, out[i], n->type[i].layout, first);
        rewrite_set(&e->r, node_value(id, i), out[i]);
    }
    e->changed = true;
    return true;
}

static void copy_node(Expand *e, uint32_t id)
{
    rewrite_copy(&e->r, id);
    mark_cut(e, e->was_cut[id]);
}

/* The target runs it as it is. */
static bool is_anchor(const Expand *e, const Node *n)
{
    const Target *t = e->target;
    return t && t->anchor && t->anchor(t, e->r.from, n).pieces > 0;
}

static bool stays(const Expand *e, const Node *n)
{
    return n->group || node_has(n, T_SOURCE) || node_has(n, T_ROOT) ||
           node_has(n, T_LIBRARY) || is_anchor(e, n);
}

/* From half to float32: every kernel does that as it loads, so a view it is,
 * and nobody keeps the float32 in memory. */
static bool is_widening(const Node *n, const Graph *g, const Value *in)
{
    return node_is(n, &op_cast) && n->type->dtype == DT_F32 &&
           dtype_is_half(graph_type(g, in[0])->dtype);
}

static bool expand_node(Expand *e, uint32_t id)
{
    Node n = e->r.from->node[id];
    Graph *g = e->r.to;
    if (stays(e, &n)) {
        copy_node(e, id);
        return true;
    }
    Value out[MAX_OUT] = {{0, 0}};
    Value *in = arena_array(e->arena, n.n_in, sizeof *in);
    for (uint32_t i = 0; i < n.n_in; i++)
        in[i] = rewrite_get(&e->r, n.in[i]);
    rewrite_at(&e->r, id);
    uint32_t first = g->n_nodes;
    bool cut = e->was_cut[id];
    if (is_widening(&n, g, in)) {
        out[0] = ir_unary(g, &op_widen, in[0]);
        bool ok = take_results(e, id, out, first);
        mark_cut(e, cut);
        return ok;
    }
    if (e->target && e->target->lower &&
        e->target->lower(e->target, g, &n, in, out)) {
        bool ok = take_results(e, id, out, first);
        mark_cut(e, cut);
        return ok;
    }
    if (node_has(&n, T_REDUCE) && !cut && cut_reduction(e, id, in[0])) {
        mark_cut(e, true);
        return true;
    }
    if (node_is_generic(&n)) {
        copy_node(e, id);
        return true;
    }
    if (!n.op->expand)
        return pass_fail(e->c, n.loc, "target %s has no way to compute %s",
                         e->target ? e->target->name : "none", n.op->name);
    Attr *before = n.attr;
    choose_splits(e, &n, in);
    n.op->expand(g, &n, in, out);
    bool ok = take_results(e, id, out, first);
    mark_cut(e, cut || n.attr != before);
    return ok;
}

/* ---- the pass ----------------------------------------------------------- */

static bool expand_round(Expand *e)
{
    const Graph *from = e->r.from;
    e->changed = false;
    e->n_cut = e->cap_cut = 0;
    e->cut = NULL;
    mark_cut(e, false); /* node 0 */
    for (uint32_t id = 1; id < from->n_nodes; id++)
        if (!expand_node(e, id))
            return false;
    return true;
}

static Graph *expand_graph(Graph *g, PassContext *c)
{
    Expand e = {.c = c, .target = c->target, .arena = arena_new()};
    e.was_cut = arena_array(e.arena, g->n_nodes, sizeof *e.was_cut);
    Graph *original = g;
    bool ok = true;
    for (int round = 0; ok; round++) {
        rewrite_begin(&e.r, g);
        ok = round < MAX_ROUNDS
                 ? expand_round(&e)
                 : pass_fail(c, 0, "bug: expansions do not come to an end");
        Graph *now = rewrite_end(&e.r);
        if (g != original)
            graph_free(g);
        g = now;
        e.was_cut = e.cut;
        if (!e.changed)
            break;
    }
    arena_free(e.arena);
    if (ok)
        return g;
    graph_free(g);
    return NULL;
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, expand_graph);
}

const Pass pass_expand = {
    .name = "expand",
    .doc = "rewrites ops into the target's own and into what generic kernels "
           "compute; cuts long reductions in pieces",
    .adds = F_PLAIN,
    .breaks = F_FUSED | F_ORDERED,
    .run = run,
};
