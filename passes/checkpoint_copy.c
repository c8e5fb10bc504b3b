/* checkpoint_copy.c: the graph in which what was dropped is computed again.
 *
 * Steps are copied whole, so a kernel that runs twice is the same kernel and
 * gives the same bits; random ops keep their streams, updates are never copied.
 * Right before a step of the backward pass that reads a dropped value come the
 * copies that lead to it.  A step that is AGAIN_ONCE is copied for the first
 * such reader and the copy serves all; one that is AGAIN_EACH is copied for
 * each reader anew, and its copy is gone when the reader has run. */
#include "checkpoint.h"
#include "rewrite.h"
#include <stdlib.h>

typedef struct Rewriter {
    const Chain *c;
    Rewrite r;
    Arena *arena;
    const Again *again;       /* by step */
    bool *wanted;             /* by step, for the reader under way */
    bool *made;               /* by step: a copy is there */
    uint32_t *found, n_found; /* those wanted */
    Value (*copy)[MAX_OUT];   /* by old node */
    uint32_t n_groups;
} Rewriter;

static bool is_dropped(const Rewriter *w, Value v)
{
    uint32_t k = w->c->steps.of[v.node];
    if (k == NO_STEP || w->again[k] == KEPT)
        return false;
    return w->c->step[k].free ||
           type_bytes(graph_type(w->c->g, v)) >= w->c->small;
}

/* ---- which copies -------------------------------------------------------- */

static void want(Rewriter *w, Value v)
{
    if (!is_dropped(w, v))
        return;
    uint32_t k = w->c->steps.of[v.node];
    if (w->wanted[k] || w->made[k])
        return;
    w->wanted[k] = true;
    w->found[w->n_found++] = k;
}

static int compare_found(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* ---- copying ------------------------------------------------------------- */

/* Old value v as it is now, through views that cost nothing. */
static Value seen(Rewriter *w, Value v)
{
    const Graph *g = w->c->g;
    uint32_t k = w->c->steps.of[v.node];
    const Node *n = graph_node(g, v);
    if (k != NO_STEP && is_dropped(w, v))
        return w->copy[v.node][v.out];
    if (k != NO_STEP || n->n_in != 1 || !node_has(n, T_VIEW))
        return rewrite_get(&w->r, v);
    Value in = seen(w, n->in[0]);
    if (value_equal(in, rewrite_get(&w->r, n->in[0])))
        return rewrite_get(&w->r, v);
    Value now = node_value(graph_add_copy(w->r.to, n, &in), v.out);
    w->r.to->node[now.node].group = 0;
    return now;
}

/* Inlined views inside and in front of a step are made before its group. */
static void add_nodes(Rewriter *w, const Step *s, bool copy)
{
    const Graph *g = w->c->g;
    Value **in = arena_array(w->arena, s->last - s->first + 1, sizeof *in);
    bool grouped = g->node[s->first].group != 0;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &g->node[id];
        in[id - s->first] = arena_array(w->arena, n->n_in, sizeof(Value));
        for (uint32_t i = 0; i < n->n_in; i++)
            if (n->in[i].node < s->first)
                in[id - s->first][i] = seen(w, n->in[i]);
    }
    w->n_groups += grouped;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &g->node[id];
        Value *to = in[id - s->first];
        if (copy && node_has(n, T_ROOT))
            continue;
        for (uint32_t i = 0; i < n->n_in; i++)
            if (n->in[i].node >= s->first)
                to[i] = copy ? w->copy[n->in[i].node][n->in[i].out]
                             : rewrite_get(&w->r, n->in[i]);
        uint32_t now = graph_add_copy(w->r.to, n, to);
        w->r.to->node[now].group = grouped ? w->n_groups : 0;
        w->r.to->node[now].again = copy;
        for (unsigned o = 0; o < n->n_out; o++)
            if (copy)
                w->copy[id][o] = node_value(now, o);
            else
                rewrite_set(&w->r, node_value(id, o), node_value(now, o));
    }
}

static void add_copies(Rewriter *w, const Step *s)
{
    const Steps *steps = &w->c->steps;
    w->n_found = 0;
    for (uint32_t i = 0; i < s->n_in; i++)
        want(w, s->in[i]);
    for (uint32_t f = 0; f < w->n_found; f++) {
        const Step *again = &steps->step[w->found[f]];
        for (uint32_t i = 0; i < again->n_in; i++)
            want(w, again->in[i]);
    }
    if (w->n_found)
        qsort(w->found, w->n_found, sizeof *w->found, compare_found);
    for (uint32_t f = 0; f < w->n_found; f++) {
        uint32_t k = w->found[f];
        add_nodes(w, &steps->step[k], true);
        w->wanted[k] = false;
        w->made[k] = w->again[k] == AGAIN_ONCE;
    }
}

/* ---- all of it ----------------------------------------------------------- */

static void rewriter_start(Rewriter *w, Graph *g)
{
    rewrite_begin(&w->r, g);
    uint32_t n = w->c->steps.n;
    w->wanted = arena_array(w->arena, n, sizeof *w->wanted);
    w->made = arena_array(w->arena, n, sizeof *w->made);
    w->copy = arena_array(w->arena, g->n_nodes, sizeof *w->copy);
    w->found = arena_array(w->arena, n, sizeof *w->found);
}

Graph *chain_rewrite(const Chain *c, Graph *g, const Again *again)
{
    Rewriter w = {.c = c, .arena = arena_new(), .again = again};
    rewriter_start(&w, g);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        uint32_t k = c->steps.of[id];
        if (k == NO_STEP) {
            rewrite_copy(&w.r, id);
            continue;
        }
        const Step *s = &c->steps.step[k];
        bool forward = c->step[k].forward;
        if (!forward)
            add_copies(&w, s);
        uint32_t group = g->node[id].group;
        bool joins = forward && c->joined && c->joined[group];
        if (forward || node_has(&g->node[id], T_ROOT))
            w.n_groups += group && !joins;
        if (forward)
            for (; id <= s->last; id++) {
                rewrite_copy(&w.r, id);
                Node *now = &w.r.to->node[w.r.to->n_nodes - 1];
                now->group = now->group ? w.n_groups : 0;
            }
        else
            add_nodes(&w, s, false);
        id = s->last;
    }
    arena_free(w.arena);
    return rewrite_end(&w.r);
}
