/* steps.c: which nodes run together, what they read and write. */
#include "steps.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct Finder {
    const Graph *g;
    Arena *arena; /* results */
    Uses uses;
    Value *base;    /* node id -> what reading result 0 reads: itself, or
                       through inlined views; NO_VALUE: an inlined constant */
    uint32_t *seen; /* value -> 1 + the last step that lists it */
    Steps steps;
} Finder;

static size_t value_index(Value v)
{
    return (size_t)v.node * MAX_OUT + v.out;
}

static bool may_inline(const Node *n)
{
    if (n->group || !node_is_generic(n))
        return false;
    if (n->n_in == 0)
        return !node_has(n, T_RANDOM);
    return n->n_in == 1 && node_has(n, T_VIEW);
}

static bool is_inlined(const Finder *f, uint32_t id)
{
    const Uses *u = &f->uses;
    if (!may_inline(&f->g->node[id]))
        return false;
    for (uint32_t i = u->start[id]; i < u->start[id + 1]; i++)
        if (!node_is_generic(&f->g->node[u->user[i]]))
            return false;
    return true;
}

static bool runs(const Graph *g, uint32_t id)
{
    const Node *n = &g->node[id];
    return n->group || (!node_has(n, T_SOURCE) &&
                        (!node_has(n, T_ROOT) || node_is(n, &op_update)));
}

/* ---- which node is in which step ---------------------------------------- */

static void place_nodes(Finder *f)
{
    const Graph *g = f->g;
    Step *step = NULL;
    size_t n = 0, cap = 0;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *node = &g->node[id];
        f->base[id] = node_value(id, 0);
        f->steps.of[id] = NO_STEP;
        if (is_inlined(f, id)) {
            f->base[id] = node->n_in ? node->in[0] : NO_VALUE;
            if (node->n_in && node->in[0].out == 0)
                f->base[id] = f->base[node->in[0].node];
            continue;
        }
        if (!runs(g, id))
            continue;
        if (!node->group || node[-1].group != node->group)
            ARENA_PUSH(f->arena, step, n, cap, (Step){.first = id});
        step[n - 1].last = id;
        f->steps.of[id] = (uint32_t)(n - 1);
    }
    f->steps.step = step;
    f->steps.n = (uint32_t)n;
}

/* ---- what a step reads and writes --------------------------------------- */

static int compare_values(const void *a, const void *b)
{
    size_t x = value_index(*(const Value *)a),
           y = value_index(*(const Value *)b);
    return x < y ? -1 : x > y;
}

/* What has to be in memory so that v can be read; NO_VALUE: nothing. */
static Value resolve(const Finder *f, Value v)
{
    return v.out ? v : f->base[v.node];
}

static void find_operands(Finder *f, uint32_t k)
{
    Step *s = &f->steps.step[k];
    size_t n = 0, cap = 0;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *node = &f->g->node[id];
        for (uint32_t i = 0; i < node->n_in; i++) {
            Value v = resolve(f, node->in[i]);
            if (!v.node || f->steps.of[v.node] == k ||
                f->seen[value_index(v)] == k + 1)
                continue;
            f->seen[value_index(v)] = k + 1;
            ARENA_PUSH(f->arena, s->in, n, cap, v);
        }
    }
    s->n_in = (uint32_t)n;
    if (n)
        qsort(s->in, n, sizeof *s->in, compare_values);
}

/* Marks the results of id that a root or another step uses. */
static void mark_uses(const Finder *f, uint32_t id, bool used[MAX_OUT])
{
    const Uses *u = &f->uses;
    for (uint32_t i = u->start[id]; i < u->start[id + 1]; i++) {
        uint32_t user = u->user[i];
        const Node *n = &f->g->node[user];
        if (!node_has(n, T_ROOT) && f->steps.of[user] == f->steps.of[id])
            continue;
        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k].node == id)
                used[n->in[k].out] = true;
    }
}

static void find_results(Finder *f, uint32_t k)
{
    Step *s = &f->steps.step[k];
    size_t n = 0, cap = 0;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *node = &f->g->node[id];
        bool used[MAX_OUT] = {false};
        if (node->group)
            mark_uses(f, id, used);
        for (unsigned i = 0; i < node->n_out; i++)
            if (used[i] || !node->group)
                ARENA_PUSH(f->arena, s->out, n, cap, node_value(id, i));
    }
    s->n_out = (uint32_t)n;
}

Steps graph_steps(const Graph *g, Arena *a)
{
    Arena *scratch = arena_new();
    Finder f = {.g = g, .arena = a};
    f.uses = graph_uses(g, scratch);
    f.base = arena_array(scratch, g->n_nodes, sizeof *f.base);
    f.seen = arena_array(scratch, (size_t)g->n_nodes * MAX_OUT, sizeof *f.seen);
    f.steps.of = arena_array(a, g->n_nodes, sizeof *f.steps.of);
    f.steps.of[0] = NO_STEP;
    place_nodes(&f);
    for (uint32_t k = 0; k < f.steps.n; k++) {
        find_operands(&f, k);
        find_results(&f, k);
    }
    arena_free(scratch);
    return f.steps;
}

uint32_t step_anchor(const Graph *g, const Step *s)
{
    for (uint32_t id = s->first; id <= s->last; id++)
        if (node_is_whole(&g->node[id]))
            return id;
    return 0;
}

/* ---- writing over an operand -------------------------------------------- */

static bool in_step(const Step *s, Value v)
{
    return v.node >= s->first && v.node <= s->last;
}

static bool reads(const Step *s, Value v)
{
    return s->n_in &&
           bsearch(&v, s->in, s->n_in, sizeof v, compare_values) != NULL;
}

/* Does reading v, itself or a view inlined into step s, read `in`? */
static bool eventually_reads(const Graph *g, const Step *s, Value v, Value in)
{
    while (!reads(s, v)) {
        const Node *n = graph_node(g, v);
        if (!n->n_in)
            return false;
        v = n->in[0];
    }
    return value_equal(v, in);
}

/* Is operand v of a node in s read at the place of the element computed, from
 * `in` or from what was computed from it (at_place, by node)? */
static bool comes_from(const Step *s, const bool *at_place, Value v, Value in)
{
    return in_step(s, v) ? at_place[v.node - s->first] : value_equal(v, in);
}

/* What is known of the nodes of a step, the first one at 0. */
typedef struct Trace {
    bool *at_place;  /* computed from elements of `in` at its own place */
    bool *reads;     /* depends on `in` */
    uint32_t *level; /* passes over a row before it is known */
    bool again;      /* is a result of a reduction used again? */
} Trace;

/* Its elements are its operand's at the same places, in loops that are cut a
 * little finer. */
static bool cuts_finer(const Graph *g, const Node *n)
{
    return node_has(n, T_VIEW) && n->n_in == 1 &&
           n->type[0].rank >= graph_type(g, n->in[0])->rank &&
           view_keeps_order(n, graph_type(g, n->in[0]));
}

/* v, or the half value that it shows as float32 at the same place. */
static Value unwidened(const Graph *g, const Step *s, Value v)
{
    while (node_is(graph_node(g, v), &op_widen) && !in_step(s, v) &&
           !reads(s, v))
        v = graph_node(g, v)->in[0];
    return v;
}

/* May reading v be reading something else, at another place? */
static bool views(const Graph *g, Value v)
{
    const Node *n = graph_node(g, v);
    return node_has(n, T_VIEW) && n->n_in == 1;
}

/* Does it read `in` or what was computed from it? */
static bool depends_on(const Step *s, const Node *n, const Trace *t, Value in)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        if (value_equal(n->in[i], in) ||
            (in_step(s, n->in[i]) && t->reads[n->in[i].node - s->first]))
            return true;
    return false;
}

/* One node of the step: false where it reads `in` at another place. */
static bool stays_at_place(const Graph *g, const Step *s, uint32_t id,
                           const Trace *t, Value in)
{
    const Node *n = &g->node[id];
    if (node_is_whole(n))
        return !depends_on(s, n, t, in);
    for (uint32_t i = 0; i < n->n_in && !node_has(n, T_ROOT); i++) {
        Value v = unwidened(g, s, n->in[i]);
        if (!in_step(s, v) && !value_equal(v, in) && views(g, v) &&
            !reads(s, v) && eventually_reads(g, s, v, in))
            return false;
        if (!comes_from(s, t->at_place, v, in))
            continue;
        bool along = node_has(n, T_ELEMENTWISE) || cuts_finer(g, n);
        if (!along && !node_has(n, T_REDUCE))
            return false;
        t->at_place[id - s->first] |= along;
    }
    return true;
}

static void trace_node(const Graph *g, const Step *s, uint32_t id, Trace *t,
                       Value in)
{
    const Node *n = &g->node[id];
    uint32_t i = id - s->first;
    for (uint32_t k = 0; k < n->n_in; k++) {
        Value v = unwidened(g, s, n->in[k]);
        t->reads[i] |= value_equal(v, in);
        if (!in_step(s, v))
            continue;
        uint32_t from = v.node - s->first;
        t->reads[i] |= t->reads[from];
        t->level[i] =
            t->level[i] > t->level[from] ? t->level[i] : t->level[from];
        t->again |=
            node_has(graph_node(g, v), T_REDUCE) && !node_has(n, T_ROOT);
    }
    t->level[i] += node_has(n, T_REDUCE);
}

/* Where rows are gone over several times, all results that depend on `in` must
 * be written in the same turn, from what was loaded before. */
static bool written_together(const Graph *g, const Step *s, const Trace *t,
                             Value out)
{
    for (uint32_t i = 0; t->again && i < s->n_out; i++) {
        Value v = s->out[i];
        if (t->reads[v.node - s->first] &&
            (t->level[v.node - s->first] != t->level[out.node - s->first] ||
             !type_same_shape(graph_type(g, v), graph_type(g, out))))
            return false;
    }
    return true;
}

/* Nodes that are computed before the step's anchor runs: what they write is
 * there before members after the anchor read `in`.  NULL: none. */
static bool *find_prologue(const Graph *g, const Step *s, Arena *a)
{
    uint32_t anchor = step_anchor(g, s);
    if (anchor <= s->first)
        return NULL;
    bool *needed = arena_array(a, s->last - s->first + 1, sizeof *needed);
    needed[anchor - s->first] = true;
    for (uint32_t n = anchor; n > s->first; n--)
        for (uint32_t i = 0; needed[n - s->first] && i < g->node[n].n_in; i++)
            if (in_step(s, g->node[n].in[i]))
                needed[g->node[n].in[i].node - s->first] = true;
    needed[anchor - s->first] = false;
    return needed;
}

/* One node that is no chain of elements but says T_INPLACE of itself. */
static bool inplace_alone(const Graph *g, const Step *s, Value out, Value in)
{
    const Node *n = graph_node(g, out);
    if (s->first != s->last || !node_has(n, T_INPLACE) || out.out != 0 ||
        n->n_in == 0 || !value_equal(n->in[0], in))
        return false;
    for (uint32_t i = 1; i < n->n_in; i++)
        if (eventually_reads(g, s, n->in[i], in))
            return false;
    return true;
}

/* Follows `in` through the step; false where it is read at another place. */
static bool trace_step(const Graph *g, const Step *s, Value in, Trace *t,
                       Arena *a)
{
    uint32_t n = s->last - s->first + 1;
    bool ok = true;
    *t = (Trace){.at_place = arena_array(a, n, sizeof *t->at_place),
                 .reads = arena_array(a, n, sizeof *t->reads),
                 .level = arena_array(a, n, sizeof *t->level)};
    for (uint32_t id = s->first; ok && id <= s->last; id++) {
        ok = stays_at_place(g, s, id, t, in);
        trace_node(g, s, id, t, in);
    }
    return ok;
}

static void find_over(const Graph *g, const Step *s, Value in, const Value *to,
                      uint32_t n, bool *over)
{
    assert(reads(s, in));
    Arena *a = arena_new();
    Trace t;
    bool traced = false, ok = false;
    const bool *prologue = NULL;
    for (uint32_t i = 0; i < n; i++) {
        Value out = to[i];
        over[i] = false;
        if (!type_equal(graph_type(g, out), graph_type(g, in)))
            continue;
        if (inplace_alone(g, s, out, in)) {
            over[i] = true;
            continue;
        }
        if (!node_has(graph_node(g, out), T_ELEMENTWISE))
            continue;
        if (!traced) { /* the same for all results */
            ok = trace_step(g, s, in, &t, a);
            prologue = ok ? find_prologue(g, s, a) : NULL;
            traced = true;
        }
        over[i] = ok && written_together(g, s, &t, out) &&
                  !(prologue && prologue[out.node - s->first]);
    }
    arena_free(a);
}

void step_overwrites(const Graph *g, const Step *s, Value in, bool *over)
{
    find_over(g, s, in, s->out, s->n_out, over);
}

bool step_may_overwrite(const Graph *g, const Step *s, Value out, Value in)
{
    assert(in_step(s, out));
    bool over;
    find_over(g, s, in, &out, 1, &over);
    return over;
}
