/* checkpoint_exact.c: graphs so small that every way can be tried.
 *
 * Every step of the backward pass runs once, in the order it is in.  A step of
 * the forward pass with a large result may run wherever its operands are in
 * memory, and a value may be forgotten at any time.  So all that matters at a
 * point is (steps of the backward pass done, set of values in memory), and the
 * least time to compute again is the shortest way through these, by Dijkstra's
 * algorithm.
 *
 *     done 0, {}  --run a-->  done 0, {a}  --run b, forget a-->  done 0, {b} ..
 *
 * What the way comes to is measured on the graph as it will be placed; where
 * the arena is larger than what is live, a smaller budget is tried. */
#include "checkpoint.h"
#include "memory.h"
#include "rewrite.h"
#include <stdlib.h>
#include <string.h>

enum { VALUES_MOST = 12, STATES_MOST = 1 << 20, TRIES = 8 };

/* A step, as the search sees it. */
typedef struct Op {
    uint32_t step;
    double seconds;
    uint32_t reads; /* set of values */
    uint32_t over;  /* values that its result may be written over */
    uint32_t after; /* ops of the backward pass that must be done */
    int64_t bytes;  /* forward: of its result; else: what is live as it runs,
                       but for values */
    int64_t before; /* else: of that, what is live before it runs */
    int64_t saved;  /* else: less of it where its result is over a value */
} Op;

typedef struct Exact {
    const Trial *t;
    Graph *g; /* ordered */
    Chain chain;
    Arena *arena;
    int *number; /* by step: of the value; -1: none */
    Op value[VALUES_MOST], *op;
    uint32_t n, n_ops;
    int64_t budget; /* for what is live behind states and inputs */
    double *best;
    uint32_t *from; /* the state before, on the best way */
} Exact;

/* ---- what there is ------------------------------------------------------- */

static int value_number(const Exact *x, Value v)
{
    uint32_t k = x->chain.steps.of[v.node];
    return k == NO_STEP ? -1 : x->number[k];
}

static void note_operands(const Exact *x, const Step *s, Op *op,
                          const uint32_t *place)
{
    for (uint32_t i = 0; i < s->n_in; i++) {
        int v = value_number(x, s->in[i]);
        uint32_t k = x->chain.steps.of[s->in[i].node];
        if (v < 0) {
            if (k != NO_STEP && place[k] + 1 > op->after)
                op->after = place[k] + 1;
            continue;
        }
        op->reads |= 1u << v;
        if (s->n_out == 1 &&
            type_bytes(graph_type(x->g, s->in[i])) ==
                type_bytes(graph_type(x->g, s->out[0])) &&
            step_may_overwrite(x->g, s, s->out[0], s->in[i]))
            op->over |= 1u << v;
    }
}

/* A result that is no value: live from a step to the last one that reads it. */
typedef struct Other {
    int64_t room;
    uint32_t first, last, until; /* until: less where another is over it */
} Other;

static bool in_state(const Exact *x, Value v)
{
    const MemoryPlan *p = x->g->memory;
    uint32_t i = p->of[(size_t)v.node * MAX_OUT + v.out];
    return i < p->n_buffers && p->buffer[i].kind == BUF_STATE;
}

static void note_reader(const Exact *x, Other *other, Value v, uint32_t k)
{
    Other *o = &other[(size_t)v.node * MAX_OUT + v.out];
    if (value_number(x, v) < 0 && o->room)
        o->last = o->until = k;
}

/* The result is written over an operand that nobody reads any more. */
static void note_over(const Exact *x, Other *other, const Step *s, Value v,
                      uint32_t k)
{
    for (uint32_t i = 0; i < s->n_in; i++) {
        Value in = s->in[i];
        Other *o = &other[(size_t)in.node * MAX_OUT + in.out];
        if (value_number(x, in) >= 0 || !o->room || o->until != k ||
            o->first == k ||
            type_bytes(graph_type(x->g, in)) !=
                type_bytes(graph_type(x->g, v)) ||
            !step_may_overwrite(x->g, s, v, in))
            continue;
        o->until = k - 1;
        return;
    }
}

static void note_lives(const Exact *x, Other *other)
{
    const Steps *steps = &x->chain.steps;
    for (uint32_t k = 0; k < steps->n; k++)
        for (uint32_t i = 0; i < steps->step[k].n_out; i++) {
            Value v = steps->step[k].out[i];
            if (value_number(x, v) < 0 && !in_state(x, v))
                other[(size_t)v.node * MAX_OUT + v.out] = (Other){
                    memory_align(type_bytes(graph_type(x->g, v))), k, k, k};
        }
    for (uint32_t k = 0; k < steps->n; k++)
        for (uint32_t i = 0; i < steps->step[k].n_in; i++)
            note_reader(x, other, steps->step[k].in[i], k);
    for (uint32_t id = 1; id < x->g->n_nodes; id++)
        if (node_has(&x->g->node[id], T_ROOT) && steps->of[id] == NO_STEP)
            note_reader(x, other, x->g->node[id].in[0], steps->n - 1);
    for (uint32_t k = 0; k < steps->n; k++)
        for (uint32_t i = 0; i < steps->step[k].n_out; i++)
            if (x->number[k] < 0 && !in_state(x, steps->step[k].out[i]))
                note_over(x, other, &steps->step[k], steps->step[k].out[i], k);
}

/* What is live besides values, at every step of the backward pass. */
static void note_others(Exact *x)
{
    size_t n = (size_t)x->g->n_nodes * MAX_OUT;
    Other *other = arena_array(x->arena, n, sizeof *other);
    note_lives(x, other);
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; other[i].room && k < x->n_ops; k++) {
            const Other *o = &other[i];
            uint32_t at = x->op[k].step;
            if (o->first <= at && at <= o->until)
                x->op[k].bytes += o->room;
            if (o->first < at && at <= o->last)
                x->op[k].before += o->room;
        }
}

static bool number_values(Exact *x)
{
    const Chain *c = &x->chain;
    x->number = arena_array(x->arena, c->steps.n + 1, sizeof *x->number);
    for (uint32_t k = 0; k < c->steps.n; k++) {
        const Forward *f = &c->step[k];
        bool one =
            f->forward && !f->free && f->big && c->steps.step[k].n_out == 1;
        if (f->forward && f->big && !one)
            return false; /* several large results: not for this search */
        x->number[k] = one ? (int)x->n++ : -1;
        if (x->n > VALUES_MOST)
            return false;
    }
    return x->n > 0;
}

static bool find_ops(Exact *x)
{
    const Chain *c = &x->chain;
    uint32_t *place = arena_array(x->arena, c->steps.n + 1, sizeof *place);
    if (!number_values(x))
        return false;
    x->op = arena_array(x->arena, c->steps.n + 1, sizeof *x->op);
    for (uint32_t k = 0; k < c->steps.n; k++) {
        const Step *s = &c->steps.step[k];
        bool is_value = x->number[k] >= 0;
        Op *op = is_value ? &x->value[x->number[k]] : &x->op[x->n_ops];
        op->step = k;
        op->seconds = c->step[k].cost;
        note_operands(x, s, op, place);
        place[k] = x->n_ops;
        if (is_value)
            op->bytes = memory_align(c->step[k].big);
        else if (s->n_out == 1 && !in_state(x, s->out[0]))
            op->saved = memory_align(type_bytes(graph_type(x->g, s->out[0])));
        x->n_ops += !is_value;
    }
    note_others(x);
    return (uint64_t)(x->n_ops + 1) << x->n <= STATES_MOST;
}

/* ---- the shortest way ---------------------------------------------------- */

typedef struct Entry {
    double seconds;
    uint32_t state;
} Entry;
typedef struct Queue {
    Entry *item;
    size_t n, cap;
    Arena *arena;
} Queue;

static bool comes_before(Entry a, Entry b)
{
    return a.seconds < b.seconds ||
           (a.seconds == b.seconds && a.state > b.state);
}

static void queue_push(Queue *q, Entry e)
{
    ARENA_PUSH(q->arena, q->item, q->n, q->cap, e);
    size_t i = q->n - 1;
    for (; i && comes_before(e, q->item[(i - 1) / 2]); i = (i - 1) / 2)
        q->item[i] = q->item[(i - 1) / 2];
    q->item[i] = e;
}

static Entry queue_pop(Queue *q)
{
    Entry top = q->item[0], last = q->item[--q->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < q->n &&
            comes_before(q->item[child + 1], q->item[child]))
            child++;
        if (child >= q->n || !comes_before(q->item[child], last))
            break;
        q->item[i] = q->item[child];
        i = child;
    }
    q->item[i] = last;
    return top;
}

static void arrive(Exact *x, Queue *q, uint32_t from, uint32_t to,
                   double seconds)
{
    if (seconds >= x->best[to])
        return;
    x->best[to] = seconds;
    x->from[to] = from;
    queue_push(q, (Entry){seconds, to});
}

static void leave(Exact *x, Queue *q, Entry e)
{
    uint32_t set = e.state & ((1u << x->n) - 1), done = e.state >> x->n;
    uint32_t here = done << x->n, next = (done + 1) << x->n;
    const Op *op = &x->op[done];
    int64_t live = 0;
    for (uint32_t v = 0; v < x->n; v++)
        live += set >> v & 1 ? x->value[v].bytes : 0;
    bool ready = (op->reads & set) == op->reads;
    if (ready && live + op->bytes <= x->budget)
        arrive(x, q, e.state, next | set, e.seconds);
    for (uint32_t v = 0; v < x->n; v++) {
        const Op *f = &x->value[v];
        uint32_t bit = 1u << v;
        if (ready && op->over & set & bit &&
            live + op->bytes - op->saved <= x->budget)
            arrive(x, q, e.state, next | (set & ~bit), e.seconds);
        if (set & bit) {
            arrive(x, q, e.state, here | (set & ~bit), e.seconds);
            continue;
        }
        if ((f->reads & set) != f->reads || f->after > done)
            continue;
        if (live + f->bytes + op->before <= x->budget)
            arrive(x, q, e.state, here | set | bit, e.seconds + f->seconds);
        for (uint32_t u = 0; u < x->n; u++)
            if (f->over & set & 1u << u && live + op->before <= x->budget)
                arrive(x, q, e.state, here | (set & ~(1u << u)) | bit,
                       e.seconds + f->seconds);
    }
}

/* The state at which all is done; UINT32_MAX: there is no way. */
static uint32_t find_way(Exact *x)
{
    Queue q = {.arena = arena_new()};
    uint32_t end = UINT32_MAX;
    for (size_t i = 0; i < (size_t)(x->n_ops + 1) << x->n; i++)
        x->best[i] = 1e300;
    arrive(x, &q, 0, 0, 0);
    while (q.n && end == UINT32_MAX) {
        Entry e = queue_pop(&q);
        if (e.seconds > x->best[e.state])
            continue;
        if (e.state >> x->n == x->n_ops)
            end = e.state;
        else
            leave(x, &q, e);
    }
    arena_free(q.arena);
    return end;
}

/* ---- the graph that goes it ---------------------------------------------- */

typedef struct Writer {
    const Exact *x;
    Rewrite r;        /* map: the last copy of each value */
    Value (*view)[2]; /* of an inlined node: its operand, and itself */
    bool *ran;        /* by step */
    uint32_t n_groups;
} Writer;

/* Old value v as it is now; sources once, inlined views of what is there. */
static Value current(Writer *w, Value v)
{
    const Graph *g = w->x->g;
    const Node *n = graph_node(g, v);
    if (w->x->chain.steps.of[v.node] != NO_STEP)
        return rewrite_get(&w->r, v);
    Value in = n->n_in ? current(w, n->in[0]) : NO_VALUE;
    if (w->r.map[v.node][v.out].node && value_equal(w->view[v.node][0], in))
        return w->r.map[v.node][v.out];
    uint32_t now = graph_add_copy(w->r.to, n, &in);
    w->r.to->node[now].group = 0;
    w->view[v.node][0] = in;
    for (unsigned o = 0; o < n->n_out; o++)
        rewrite_set(&w->r, node_value(v.node, o), node_value(now, o));
    return node_value(now, v.out);
}

static void write_step(Writer *w, uint32_t k)
{
    const Exact *x = w->x;
    const Step *s = &x->chain.steps.step[k];
    bool grouped = x->g->node[s->first].group != 0;
    for (uint32_t id = s->first; id <= s->last; id++)
        for (uint32_t i = 0; i < x->g->node[id].n_in; i++)
            if (x->g->node[id].in[i].node < s->first)
                current(w, x->g->node[id].in[i]);
    w->n_groups += grouped;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &x->g->node[id];
        Value *in = arena_array(x->arena, n->n_in, sizeof *in);
        if (w->ran[k] && node_has(n, T_ROOT))
            continue;
        for (uint32_t i = 0; i < n->n_in; i++)
            in[i] = n->in[i].node < s->first ? current(w, n->in[i])
                                             : rewrite_get(&w->r, n->in[i]);
        uint32_t now = graph_add_copy(w->r.to, n, in);
        w->r.to->node[now].group = grouped ? w->n_groups : 0;
        w->r.to->node[now].again = w->ran[k];
        for (unsigned o = 0; o < n->n_out; o++)
            rewrite_set(&w->r, node_value(id, o), node_value(now, o));
    }
    w->ran[k] = true;
}

/* Steps in the order of the way that ends at `end`. */
static void write_way(Writer *w, uint32_t end)
{
    const Exact *x = w->x;
    uint32_t *way = NULL, mask = (1u << x->n) - 1;
    size_t n = 0, cap = 0;
    for (uint32_t at = end; at; at = x->from[at])
        ARENA_PUSH(x->arena, way, n, cap, at);
    for (uint32_t at = 0; n--; at = way[n]) {
        uint32_t made = way[n] & ~at & mask;
        if (way[n] >> x->n != at >> x->n)
            write_step(w, x->op[at >> x->n].step);
        else if (made)
            write_step(w, x->value[__builtin_ctz(made)].step);
    }
}

static Graph *write_graph(const Exact *x, uint32_t end)
{
    Writer w = {.x = x};
    rewrite_begin(&w.r, x->g);
    w.view = arena_array(x->arena, x->g->n_nodes, sizeof *w.view);
    w.ran = arena_array(x->arena, x->chain.steps.n + 1, sizeof *w.ran);
    for (uint32_t id = 1; id < x->g->n_nodes; id++)
        if (!x->g->node[id].n_in && x->g->node[id].n_out &&
            node_has(&x->g->node[id], T_SOURCE))
            current(&w, node_value(id, 0));
    write_way(&w, end);
    for (uint32_t id = 1; id < x->g->n_nodes; id++) {
        const Node *n = &x->g->node[id];
        if (!node_has(n, T_ROOT) || x->chain.steps.of[id] != NO_STEP)
            continue;
        Value in = current(&w, n->in[0]);
        graph_add_copy(w.r.to, n, &in);
    }
    return rewrite_end(&w.r);
}

/* ---- budgets ------------------------------------------------------------- */

/* The least budget for which there is a way. */
static void lower_to_least(Exact *x, int64_t most)
{
    int64_t no = 0, yes = most;
    while (yes - no > 1 + yes / 256) {
        x->budget = no + (yes - no) / 2;
        if (find_way(x) != UINT32_MAX)
            yes = x->budget;
        else
            no = x->budget;
    }
    x->budget = yes;
}

/* The graph of the best way within x->budget, where it is better than the one
 * there is; false: there is no way. */
static bool try_budget(Exact *x, Graph **made, Outcome *out, int64_t *bytes)
{
    uint32_t end = find_way(x);
    if (end == UINT32_MAX)
        return false;
    Graph *g = write_graph(x, end);
    Outcome now = trial_measure(x->t, g);
    *bytes = now.bytes;
    if (*made && !outcome_is_better(&now, out)) {
        graph_free(g);
        return true;
    }
    graph_free(*made);
    *made = g;
    *out = now;
    return true;
}

static Graph *search(Exact *x, Outcome *out, bool *sure)
{
    Graph *made = NULL;
    int64_t over = 1, bytes, part;
    x->budget = x->t->budget - x->t->base;
    for (int i = 0; i < TRIES && over > 0; i++) {
        if (!try_budget(x, &made, out, &bytes))
            break;
        over = bytes - x->t->budget;
        *sure = i == 0 && over <= 0;
        part = x->budget / 64;
        x->budget -= over < part ? over : part;
    }
    if (made && out->bytes <= x->t->budget)
        return made;
    lower_to_least(x, x->g->memory->arena_bytes - x->t->base);
    try_budget(x, &made, out, &bytes);
    return made;
}

Graph *search_exact(const Trial *t, Outcome *out, bool *sure)
{
    *sure = false;
    if (chain_values(t->chain) > VALUES_MOST)
        return NULL;
    Exact x = {.t = t, .arena = arena_new()};
    Graph *made = NULL;
    x.g = schedule_graph(t->g, t->c);
    if (x.g) {
        x.chain = chain_find(x.g, t->c->target, x.arena);
        if (memory_measure(x.g, t->c, &x.chain.steps, t->base) >= 0 &&
            find_ops(&x)) {
            size_t n = (size_t)(x.n_ops + 1) << x.n;
            x.best = arena_array(x.arena, n, sizeof *x.best);
            x.from = arena_array(x.arena, n, sizeof *x.from);
            made = search(&x, out, sure);
        }
    }
    graph_free(x.g);
    arena_free(x.arena);
    return made;
}
