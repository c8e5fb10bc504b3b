/* repeat.c: cheap values of many users are computed once for each.
 *
 * A normalised activation y = relu(x scale + shift) is read by the next
 * convolution, by its weight gradient and by the backward pass of the relu.
 * x, the raw result of a convolution, is in memory all that time, since the
 * gradient of the normalisation reads it.  So y need not be: each of its users
 * computes it where it loads x.
 *
 * That is done where
 *   - y is a chain of few elementwise ops without functions, of one large value
 *     x and otherwise of small ones (a vector a channel);
 *   - x is read after y by somebody else, or lives for ever (an input), or is
 *     smaller (half where y is float32);
 *   - every user of y can take it in: it is elementwise itself, a reduction, or
 *     a node that the target fuses around (Target.anchor).
 * Then no byte more is read than before, and y is not written at all.
 *
 * A chain of two large values, as batch norm's gradient a g + b x + c is, may
 * be computed again, too, where that moves fewer bytes: by both of two users,
 * the gradients of a convolution's input and of its weights. */
#include "fuse.h"
#include "passes.h"
#include "pieces.h"
#include "rewrite.h"
#include <string.h>

enum {
    MOST_OPS = 8,           /* in a chain */
    MOST_VIEWS = 8,         /* of views, looked through */
    MUCH_SMALLER = 8,       /* so many times fewer elements do not count */
    LEAST_BYTES = 64 * 1024 /* less stays in the cache anyway */
};

enum { MOST_ROOTS = 2 };

typedef struct Roots {
    Value of[MOST_ROOTS];
    int n;
} Roots;

typedef struct Repeat {
    const Graph *g;
    const Target *target;
    Arena *arena;
    Uses uses;
    Roots *root;    /* by node: the large values it is computed from */
    uint8_t *ops;   /* by node: in its chain; 0: it is in none */
    bool *repeated; /* by node */
} Repeat;

/* ---- chains ------------------------------------------------------------- */

/* Arithmetic alone: "@exp(x0)" and a division take many times as long. */
static bool is_cheap(const Node *n)
{
    if (!node_has(n, T_ELEMENTWISE) || !n->op->expr || n->n_in == 0 ||
        n->n_out != 1 || node_has(n, T_RANDOM))
        return false;
    return !strchr(n->op->expr, '/') && !strchr(n->op->expr, '@');
}

static bool is_free(const Node *n)
{
    return node_is_generic(n) && !node_has(n, T_RANDOM) && n->n_in <= 1 &&
           (n->n_in == 0 || node_has(n, T_VIEW));
}

/* Is operand v, seen through views, one whose bytes do not count? */
static bool is_small(const Repeat *r, Value v, int64_t elements)
{
    const Node *n = graph_node(r->g, v);
    while (is_free(n) && n->n_in) {
        v = n->in[0];
        n = graph_node(r->g, v);
    }
    return (is_free(n) && n->n_in == 0) ||
           type_elements(graph_type(r->g, v)) * MUCH_SMALLER <= elements;
}

static bool add_root(Roots *all, Value v)
{
    for (int i = 0; i < all->n; i++)
        if (value_equal(all->of[i], v))
            return true;
    if (all->n == MOST_ROOTS)
        return false;
    all->of[all->n++] = v;
    return true;
}

/* Is v part of the chain of who reads it?  One of two large values only where
 * nobody else does: else it may have to be in memory. */
static bool goes_on(const Repeat *r, Value v)
{
    uint32_t users = r->uses.start[v.node + 1] - r->uses.start[v.node];
    return r->ops[v.node] > 0 && (r->root[v.node].n == 1 || users == 1);
}

static void find_chain(Repeat *r, uint32_t id)
{
    const Node *n = &r->g->node[id];
    if (node_is(n, &op_widen) && !goes_on(r, n->in[0]))
        return;
    if (node_is(n, &op_widen)) { /* costs nothing in its user */
        r->root[id] = r->root[n->in[0].node];
        r->ops[id] = r->ops[n->in[0].node];
        return;
    }
    if (!is_cheap(n) || type_bytes(&n->type[0]) < LEAST_BYTES)
        return;
    int64_t elements = type_elements(&n->type[0]);
    int ops = 1;
    Roots roots = {.n = 0};
    for (uint32_t i = 0; i < n->n_in; i++) {
        Value v = n->in[i];
        if (is_small(r, v, elements))
            continue;
        if (node_is(graph_node(r->g, v), &op_widen) && !r->ops[v.node])
            v = graph_node(r->g, v)->in[0]; /* at the same place */
        if (is_free(graph_node(r->g, v)) && !r->ops[v.node])
            return; /* other places of something large */
        bool chain = goes_on(r, v);
        Roots from = chain ? r->root[v.node] : (Roots){{v}, 1};
        for (int k = 0; k < from.n; k++)
            if (!add_root(&roots, from.of[k]))
                return;
        ops += chain ? r->ops[v.node] : 0;
    }
    for (int k = 0; k < roots.n; k++)
        if (type_bytes(graph_type(r->g, roots.of[k])) > type_bytes(&n->type[0]))
            return;
    if (!roots.n || ops > MOST_OPS)
        return;
    r->root[id] = roots;
    r->ops[id] = (uint8_t)ops;
}

/* ---- which of them ------------------------------------------------------ */

/* Can the user compute operands that are node id itself? */
static bool takes_in(const Repeat *r, uint32_t user, uint32_t id)
{
    const Node *n = &r->g->node[user];
    if (node_has(n, T_ROOT) || node_has(n, T_SOURCE))
        return false;
    if (node_is_generic(n)) /* other views would compute it again and again */
        return !node_has(n, T_VIEW) ||
               view_keeps_order(n, graph_type(r->g, n->in[0]));
    const Target *t = r->target;
    Anchor a = t && t->anchor ? t->anchor(t, r->g, n) : (Anchor){0};
    bool takes = a.pieces > 0;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i].node == id)
            takes &= a.before >> i & 1;
    return takes;
}

/* Is it read after node id by others than the chain of node id?  Who reads a
 * view of it reads it. */
static bool read_after(const Repeat *r, Value v, uint32_t id, int views)
{
    for (uint32_t i = r->uses.start[v.node + 1]; i-- > r->uses.start[v.node];) {
        uint32_t user = r->uses.user[i];
        if (is_free(&r->g->node[user])) {
            if (views < MOST_VIEWS &&
                read_after(r, node_value(user, 0), id, views + 1))
                return true;
        } else if (user > id && !r->repeated[user]) {
            return true;
        }
    }
    return false;
}

/* Is it in memory anyway when others read node id, or else worth keeping
 * instead? */
static bool is_kept(const Repeat *r, Value root, uint32_t id)
{
    return node_has(graph_node(r->g, root), T_SOURCE) ||
           type_bytes(graph_type(r->g, root)) <
               type_bytes(&r->g->node[id].type[0]) ||
           read_after(r, root, id, 0);
}

/* Who reads v: nodes other than views and chains of v alone; up to 2. */
static int readers(const Repeat *r, Value v, int depth)
{
    int n = 0;
    for (uint32_t i = r->uses.start[v.node];
         n < 2 && i < r->uses.start[v.node + 1]; i++) {
        uint32_t user = r->uses.user[i];
        bool goes_on = is_free(&r->g->node[user]) ||
                       (r->ops[user] && r->root[user].n == 1);
        if (goes_on && depth < MOST_OPS)
            n += readers(r, node_value(user, 0), depth + 1);
        else
            n++;
    }
    return n;
}

/* Do its users move fewer bytes where each reads what it is computed from?
 * Where an anchor's operand may be in memory, too, the first one that needs it
 * computes it for the others. */
static bool saves_bytes(const Repeat *r, uint32_t id, uint32_t users)
{
    const Target *t = r->target;
    double roots = 0, own = (double)type_bytes(&r->g->node[id].type[0]);
    for (uint32_t i = r->uses.start[id]; i < r->uses.start[id + 1]; i++) {
        const Node *n = &r->g->node[r->uses.user[i]];
        if (!node_is_generic(n) && t->anchor(t, r->g, n).keeps)
            return false;
    }
    for (int k = 0; k < r->root[id].n; k++) {
        if (readers(r, r->root[id].of[k], 0) < 2)
            return false; /* it would be in memory for this alone */
        roots += (double)type_bytes(graph_type(r->g, r->root[id].of[k]));
    }
    return users * roots < roots + own * (1 + users);
}

static bool is_worth_it(const Repeat *r, uint32_t id, uint32_t users)
{
    const Roots *root = &r->root[id];
    return root->n == 1 ? is_kept(r, root->of[0], id)
                        : saves_bytes(r, id, users);
}

static void choose(Repeat *r, uint32_t id)
{
    uint32_t users = 0, inner = 0;
    if (!r->ops[id])
        return;
    for (uint32_t i = r->uses.start[id]; i < r->uses.start[id + 1]; i++) {
        uint32_t user = r->uses.user[i];
        if (!r->repeated[user] && !takes_in(r, user, id))
            return;
        users++;
        inner += r->repeated[user];
    }
    r->repeated[id] =
        (users && inner == users) || (users > 1 && is_worth_it(r, id, users));
}

/* ---- the graph ---------------------------------------------------------- */

/* Value v for one user: again, where it is repeated. */
static Value fresh(Repeat *r, Rewrite *w, Value v)
{
    if (!r->repeated[v.node])
        return rewrite_get(w, v);
    const Node *n = &r->g->node[v.node];
    Value *in = arena_array(r->arena, n->n_in, sizeof *in);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = fresh(r, w, n->in[i]);
    return node_value(graph_add_copy(w->to, n, in), 0);
}

static void copy_node(Repeat *r, Rewrite *w, uint32_t id)
{
    const Node *n = &r->g->node[id];
    Value *in = arena_array(r->arena, n->n_in, sizeof *in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = NO_VALUE;
        for (uint32_t k = 0; k < i && !in[i].node; k++)
            if (value_equal(n->in[k], n->in[i]))
                in[i] = in[k];
        if (!in[i].node)
            in[i] = fresh(r, w, n->in[i]);
    }
    uint32_t now = graph_add_copy(w->to, n, in);
    for (unsigned o = 0; o < n->n_out; o++)
        rewrite_set(w, node_value(id, o), node_value(now, o));
}

static void find_repeated(Repeat *r)
{
    uint32_t n = r->g->n_nodes;
    r->uses = graph_uses(r->g, r->arena);
    r->root = arena_array(r->arena, n, sizeof *r->root);
    r->ops = arena_array(r->arena, n, sizeof *r->ops);
    r->repeated = arena_array(r->arena, n, sizeof *r->repeated);
    for (uint32_t id = 1; id < n; id++)
        find_chain(r, id);
    for (uint32_t id = n - 1; id > 0; id--)
        choose(r, id);
}

Graph *repeat_cheap(Graph *g, const Target *t)
{
    if (!t || !t->anchor)
        return g;
    Repeat r = {.g = g, .target = t, .arena = arena_new()};
    find_repeated(&r);
    Rewrite w;
    rewrite_begin(&w, g);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (!r.repeated[id])
            copy_node(&r, &w, id);
    arena_free(r.arena);
    return rewrite_end(&w);
}
