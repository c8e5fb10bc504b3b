/* schedule.c: the order in which steps run.
 *
 * The order that steps came in is a good one: forward, then backward the other
 * way round.  It is kept but for three things.  What needs nothing but what is
 * there from the start (packing weights) waits until it is needed.  A step that
 * frees more memory than it takes runs as soon as it can (a weight's gradient
 * and its optimizer step, right after the layer), where that lowers the peak.
 * A step that computes a state's new value waits for the readers of the old
 * one, so that it can write over it.
 *
 * An update comes after every reader of its state: it may be a copy into it. */
#include "passes.h"
#include "build.h"
#include "rewrite.h"
#include "steps.h"
#include <assert.h>
#include <string.h>

typedef struct Heap {
    uint32_t *item; /* the smallest first */
    size_t n, cap;
} Heap;

typedef struct Edges {
    uint32_t *start, *item; /* of step i: item[start[i] .. start[i+1]-1] */
} Edges;

typedef struct Schedule {
    const Graph *g;
    Arena *arena;
    Steps steps;
    Edges after;     /* steps that wait for this one */
    Edges readers;   /* steps that read a value, by value */
    double *bytes;   /* of a value; 0 where it does not count */
    uint32_t *turn;  /* of a step: in this order where nothing else decides */
    uint32_t *at;    /* the step whose turn it is */
    uint32_t *order; /* the result: step numbers */
} Schedule;

static size_t value_index(Value v)
{
    return (size_t)v.node * MAX_OUT + v.out;
}

/* ---- a heap of turns ---------------------------------------------------- */

static void heap_push(Heap *h, Arena *a, uint32_t item)
{
    ARENA_PUSH(a, h->item, h->n, h->cap, item);
    for (size_t i = h->n - 1; i && h->item[i] < h->item[(i - 1) / 2];
         i = (i - 1) / 2) {
        uint32_t t = h->item[i];
        h->item[i] = h->item[(i - 1) / 2];
        h->item[(i - 1) / 2] = t;
    }
}

static uint32_t heap_pop(Heap *h)
{
    uint32_t top = h->item[0], last = h->item[--h->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < h->n && h->item[child + 1] < h->item[child])
            child++;
        if (child >= h->n || h->item[child] >= last)
            break;
        h->item[i] = h->item[child];
        i = child;
    }
    h->item[i] = last;
    return top;
}

/* ---- who waits for whom ------------------------------------------------- */

typedef struct Pairs {
    uint32_t *from, *to;
    size_t n, cap_from, cap_to;
} Pairs;

static void add_pair(Arena *a, Pairs *p, uint32_t from, uint32_t to)
{
    size_t n = p->n;
    ARENA_PUSH(a, p->from, n, p->cap_from, from);
    n = p->n;
    ARENA_PUSH(a, p->to, n, p->cap_to, to);
    p->n = n;
}

static Edges edges_of(Arena *a, const Pairs *p, size_t n)
{
    Edges e;
    e.start = arena_array(a, n + 2, sizeof *e.start);
    e.item = arena_array(a, p->n, sizeof *e.item);
    for (size_t i = 0; i < p->n; i++)
        e.start[p->from[i] + 2]++;
    for (size_t i = 2; i < n + 2; i++)
        e.start[i] += e.start[i - 1];
    for (size_t i = 0; i < p->n; i++)
        e.item[e.start[p->from[i] + 1]++] = p->to[i];
    return e;
}

static bool is_update(const Graph *g, uint32_t step, const Steps *s)
{
    return node_has(&g->node[s->step[step].first], T_ROOT);
}

/* The index in the state table of what v reads; -1: v is no state. */
static int state_read(const Graph *g, Value v)
{
    const Node *n = graph_node(g, v);
    if (!node_has(n, T_SOURCE) || strcmp(n->op->name, "state"))
        return -1;
    return module_state(g->module, node_string(n, "name"));
}

static int state_updated(const Graph *g, uint32_t id)
{
    const Node *n = &g->node[id];
    if (!node_has(n, T_ROOT) || strcmp(n->op->name, "update"))
        return -1;
    return module_state(g->module, node_string(n, "name"));
}

static Edges find_state_readers(Schedule *s)
{
    Pairs p = {0};
    for (uint32_t k = 0; k < s->steps.n; k++)
        for (uint32_t i = 0; i < s->steps.step[k].n_in; i++) {
            int state = state_read(s->g, s->steps.step[k].in[i]);
            if (state >= 0)
                add_pair(s->arena, &p, (uint32_t)state, k);
        }
    return edges_of(s->arena, &p, s->g->module->n_states);
}

/* The step that computes output "loss"; NO_STEP: none does. */
static uint32_t find_loss(const Schedule *s)
{
    for (uint32_t id = 1; id < s->g->n_nodes; id++)
        if (!strcmp(s->g->node[id].op->name, "output") &&
            !strcmp(node_string(&s->g->node[id], "name"), "loss"))
            return s->steps.of[s->g->node[id].in[0].node];
    return NO_STEP;
}

/* An update must come after all readers of the old value.  The step that
 * computes the new one had better, where it does in the order given: so it can
 * never become a cycle. */
static void wait_for_readers(Schedule *s, Pairs *p)
{
    Edges readers = find_state_readers(s);
    for (uint32_t id = 1; id < s->g->n_nodes; id++) {
        int state = state_updated(s->g, id);
        if (state < 0)
            continue;
        uint32_t writer = s->steps.of[s->g->node[id].in[0].node];
        uint32_t update = s->steps.of[id];
        for (uint32_t i = readers.start[state]; i < readers.start[state + 1];
             i++) {
            uint32_t k = readers.item[i];
            if (writer != NO_STEP && k < writer)
                add_pair(s->arena, p, k, writer);
            if (update != NO_STEP && k != update)
                add_pair(s->arena, p, k, update);
        }
    }
}

/* The steps that must come before this one. */
static bool *find_before(Schedule *s, const Pairs *p, uint32_t step)
{
    Pairs reversed = {p->to, p->from, p->n, 0, 0};
    Edges back = edges_of(s->arena, &reversed, s->steps.n);
    bool *before = arena_array(s->arena, s->steps.n, sizeof *before);
    uint32_t *queue = arena_array(s->arena, s->steps.n, sizeof *queue), n = 0;
    before[step] = true;
    queue[n++] = step;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = back.start[queue[i]]; k < back.start[queue[i] + 1];
             k++)
            if (!before[back.item[k]]) {
                before[back.item[k]] = true;
                queue[n++] = back.item[k];
            }
    return before;
}

/* New weights wait for the loss, so that one that is not finite is seen before
 * it spoils them; but for those that it is computed from. */
static void wait_for_loss(Schedule *s, Pairs *p)
{
    const Graph *g = s->g;
    uint32_t loss = find_loss(s);
    if (loss == NO_STEP)
        return;
    const bool *before = find_before(s, p, loss);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        int state = state_updated(g, id);
        if (state < 0 || g->module->state[state].role == STATE_BUFFER)
            continue;
        uint32_t writer = s->steps.of[g->node[id].in[0].node];
        if (writer != NO_STEP && !before[writer])
            add_pair(s->arena, p, loss, writer);
    }
}

static void find_edges(Schedule *s)
{
    const Steps *steps = &s->steps;
    Pairs after = {0}, readers = {0};
    for (uint32_t k = 0; k < steps->n; k++)
        for (uint32_t i = 0; i < steps->step[k].n_in; i++) {
            Value v = steps->step[k].in[i];
            add_pair(s->arena, &readers, (uint32_t)value_index(v), k);
            if (steps->of[v.node] != NO_STEP)
                add_pair(s->arena, &after, steps->of[v.node], k);
        }
    wait_for_readers(s, &after);
    wait_for_loss(s, &after);
    s->after = edges_of(s->arena, &after, steps->n);
    s->readers = edges_of(s->arena, &readers, (size_t)s->g->n_nodes * MAX_OUT);
}

/* Sizes of what steps write, but for new values of states (they go where the
 * old ones were). */
static void find_bytes(Schedule *s)
{
    const Graph *g = s->g;
    s->bytes =
        arena_array(s->arena, (size_t)g->n_nodes * MAX_OUT, sizeof *s->bytes);
    for (uint32_t k = 0; k < s->steps.n; k++)
        for (uint32_t i = 0; i < s->steps.step[k].n_out; i++) {
            Value v = s->steps.step[k].out[i];
            s->bytes[value_index(v)] = (double)type_bytes(graph_type(g, v));
        }
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (state_updated(g, id) >= 0)
            s->bytes[value_index(g->node[id].in[0])] = 0;
}

/* ---- turns -------------------------------------------------------------- */

/* Is the value there from the start, and no batch of data? */
static bool is_lasting(const Graph *g, Value v)
{
    return state_read(g, v) >= 0 || graph_type(g, v)->rank == 0;
}

/* Steps that need nothing but weights and scalars (packing them, a mask of
 * random numbers) wait until right before their first user. */
static uint32_t *find_keys(Schedule *s)
{
    const Steps *steps = &s->steps;
    bool *waits = arena_array(s->arena, steps->n, sizeof *waits);
    uint32_t *key = arena_array(s->arena, steps->n, sizeof *key);
    for (uint32_t k = 0; k < steps->n; k++) {
        waits[k] = true;
        key[k] = k;
        for (uint32_t i = 0; i < steps->step[k].n_in; i++) {
            Value v = steps->step[k].in[i];
            uint32_t from = steps->of[v.node];
            waits[k] &= from == NO_STEP ? is_lasting(s->g, v) : waits[from];
        }
    }
    for (uint32_t k = steps->n; k-- > 0;) {
        uint32_t first = UINT32_MAX;
        for (uint32_t i = s->after.start[k]; i < s->after.start[k + 1]; i++)
            if (key[s->after.item[i]] < first)
                first = key[s->after.item[i]];
        if (waits[k] && first != UINT32_MAX)
            key[k] = first;
    }
    return key;
}

/* Steps by key, then as they came: a counting sort. */
static void find_turns(Schedule *s)
{
    uint32_t n = s->steps.n;
    const uint32_t *key = find_keys(s);
    uint32_t *start = arena_array(s->arena, (size_t)n + 1, sizeof *start);
    s->turn = arena_array(s->arena, n, sizeof *s->turn);
    s->at = arena_array(s->arena, n, sizeof *s->at);
    for (uint32_t k = 0; k < n; k++)
        start[key[k] + 1]++;
    for (uint32_t k = 0; k < n; k++)
        start[k + 1] += start[k];
    for (uint32_t k = 0; k < n; k++) {
        s->turn[k] = start[key[k]]++;
        s->at[s->turn[k]] = k;
    }
}

/* ---- running an order ----------------------------------------------------*/

typedef struct Run {
    Schedule *s;
    uint32_t *waits; /* for how many steps */
    uint32_t *left;  /* readers of a value that have not run; roots never do */
    bool *done;
    bool freeing_first;
    Heap ready, freeing;
    double live, peak;
} Run;

static void run_start(Run *r, Schedule *s)
{
    const Graph *g = s->g;
    size_t n_values = (size_t)g->n_nodes * MAX_OUT;
    *r = (Run){.s = s};
    r->waits = arena_array(s->arena, s->steps.n, sizeof *r->waits);
    r->done = arena_array(s->arena, s->steps.n, sizeof *r->done);
    r->left = arena_array(s->arena, n_values, sizeof *r->left);
    for (uint32_t i = 0; i < s->after.start[s->steps.n]; i++)
        r->waits[s->after.item[i]]++;
    for (size_t v = 0; v < n_values; v++)
        r->left[v] = s->readers.start[v + 1] - s->readers.start[v];
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_has(&g->node[id], T_ROOT) && s->steps.of[id] == NO_STEP)
            r->left[value_index(g->node[id].in[0])]++;
}

/* What is freed by running the step, less what it takes. */
static double gain(const Run *r, uint32_t k)
{
    const Step *step = &r->s->steps.step[k];
    double sum = 0;
    for (uint32_t i = 0; i < step->n_in; i++)
        if (r->left[value_index(step->in[i])] == 1)
            sum += r->s->bytes[value_index(step->in[i])];
    for (uint32_t i = 0; i < step->n_out; i++)
        sum -= r->s->bytes[value_index(step->out[i])];
    return sum;
}

static void make_ready(Run *r, uint32_t k)
{
    bool frees = r->freeing_first &&
                 (is_update(r->s->g, k, &r->s->steps) || gain(r, k) > 0);
    heap_push(frees ? &r->freeing : &r->ready, r->s->arena, r->s->turn[k]);
}

/* A value's last reader may have become a step that frees memory. */
static void reader_left(Run *r, Value v)
{
    size_t index = value_index(v);
    const Edges *readers = &r->s->readers;
    if (--r->left[index] != 1 || !r->freeing_first)
        return;
    for (uint32_t i = readers->start[index]; i < readers->start[index + 1];
         i++) {
        uint32_t k = readers->item[i];
        if (!r->done[k] && r->waits[k] == 0 && gain(r, k) > 0)
            heap_push(&r->freeing, r->s->arena, r->s->turn[k]);
    }
}

static void run_step(Run *r, uint32_t k)
{
    Schedule *s = r->s;
    const Step *step = &s->steps.step[k];
    r->done[k] = true;
    for (uint32_t i = 0; i < step->n_out; i++)
        r->live += s->bytes[value_index(step->out[i])];
    if (r->live > r->peak)
        r->peak = r->live;
    for (uint32_t i = 0; i < step->n_out; i++)
        if (!r->left[value_index(step->out[i])]) /* nobody reads it */
            r->live -= s->bytes[value_index(step->out[i])];
    for (uint32_t i = 0; i < step->n_in; i++) {
        if (r->left[value_index(step->in[i])] == 1)
            r->live -= s->bytes[value_index(step->in[i])];
        reader_left(r, step->in[i]);
    }
    for (uint32_t i = s->after.start[k]; i < s->after.start[k + 1]; i++)
        if (--r->waits[s->after.item[i]] == 0)
            make_ready(r, s->after.item[i]);
}

/* Fills `order` with the order given, as far as steps may run in it, or with
 * what frees memory first.  Returns the most bytes live at a time. */
static double run_all(Schedule *s, bool freeing_first, uint32_t *order)
{
    Run r;
    run_start(&r, s);
    r.freeing_first = freeing_first;
    uint32_t n = 0;
    for (uint32_t k = 0; k < s->steps.n; k++)
        if (r.waits[k] == 0)
            make_ready(&r, k);
    while (r.freeing.n || r.ready.n) {
        uint32_t k = s->at[heap_pop(r.freeing.n ? &r.freeing : &r.ready)];
        if (r.done[k])
            continue; /* it was in both */
        order[n++] = k;
        run_step(&r, k);
    }
    assert(n == s->steps.n && "no steps wait for each other");
    return r.peak;
}

/* ---- writing it down ---------------------------------------------------- */

/* Sources, constants and views that lead to v, where they are not there yet:
 * right before who first needs them. */
static void add_inlined(Rewrite *r, Arena *a, Value v)
{
    uint32_t *chain = NULL;
    size_t n = 0, cap = 0;
    while (!r->map[v.node][v.out].node) {
        ARENA_PUSH(a, chain, n, cap, v.node);
        const Node *node = graph_node(r->from, v);
        if (!node->n_in)
            break;
        assert(node->n_in == 1 && "only views are not computed in time");
        v = node->in[0];
    }
    while (n)
        rewrite_copy(r, chain[--n]);
}

static bool inside_step(const Step *s, Value v)
{
    return v.node >= s->first && v.node <= s->last;
}

static void add_step(Rewrite *r, Schedule *s, const Step *step)
{
    const Graph *g = r->from;
    for (uint32_t id = step->first; id <= step->last; id++)
        for (uint32_t i = 0; i < g->node[id].n_in; i++)
            if (!inside_step(step, g->node[id].in[i]))
                add_inlined(r, s->arena, g->node[id].in[i]);
    for (uint32_t id = step->first; id <= step->last; id++)
        rewrite_copy(r, id);
}

static Graph *write_graph(Graph *g, Schedule *s)
{
    Rewrite r;
    rewrite_begin(&r, g);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (!strcmp(g->node[id].op->name, "input"))
            rewrite_copy(&r, id);
    for (uint32_t i = 0; i < s->steps.n; i++)
        add_step(&r, s, &s->steps.step[s->order[i]]);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_has(&g->node[id], T_ROOT) && s->steps.of[id] == NO_STEP) {
            add_inlined(&r, s->arena, g->node[id].in[0]);
            rewrite_copy(&r, id);
        }
    return rewrite_end(&r);
}

/* ---- old values that are kept ------------------------------------------- */

/* Does the root read the old value of a state that gets another one? */
static bool reads_changing(const Graph *g, uint32_t id, const bool *changes)
{
    const Node *n = &g->node[id];
    int state = node_has(n, T_ROOT) ? state_read(g, n->in[0]) : -1;
    return state >= 0 && changes[state] && state != state_updated(g, id);
}

/* A new graph in which such roots read copies, so that no two updates wait for
 * each other (two states that are swapped), and outputs stay as they are. */
static Graph *copy_old_values(Graph *g, const bool *changes)
{
    Rewrite r;
    rewrite_begin(&r, g);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        if (!reads_changing(g, id, changes)) {
            rewrite_copy(&r, id);
            continue;
        }
        Value in = g->node[id].in[0];
        rewrite_at(&r, id);
        Value copy = ir_unary(r.to, op_named("copy"), rewrite_get(&r, in));
        graph_node(r.to, copy)->type[0] = *graph_type(g, in);
        graph_add_copy(r.to, &g->node[id], &copy);
    }
    return rewrite_end(&r);
}

/* The graph itself where no root does. */
static Graph *with_old_values(Graph *g)
{
    Arena *a = arena_new();
    bool any = false;
    bool *changes = arena_array(a, g->module->n_states, sizeof *changes);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (state_updated(g, id) >= 0)
            changes[state_updated(g, id)] = true;
    for (uint32_t id = 1; id < g->n_nodes && !any; id++)
        any = reads_changing(g, id, changes);
    Graph *now = any ? copy_old_values(g, changes) : g;
    arena_free(a);
    return now;
}

/* ---- the pass ----------------------------------------------------------- */

Graph *schedule_graph(Graph *from, PassContext *c)
{
    (void)c;
    Graph *g = with_old_values(from);
    Schedule s = {.g = g, .arena = arena_new()};
    s.steps = graph_steps(g, s.arena);
    find_edges(&s);
    find_bytes(&s);
    find_turns(&s);
    uint32_t *as_given = arena_array(s.arena, s.steps.n, sizeof *as_given);
    s.order = arena_array(s.arena, s.steps.n, sizeof *s.order);
    double freeing_first = run_all(&s, true, s.order);
    if (run_all(&s, false, as_given) < freeing_first)
        s.order = as_given;
    Graph *now = write_graph(g, &s);
    arena_free(s.arena);
    if (g != from)
        graph_free(g);
    return now;
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, schedule_graph);
}

const Pass pass_schedule = {
    .name = "schedule",
    .doc = "orders the steps: what frees memory runs as soon as it can, new "
           "values of states are computed after the last use of the old ones",
    .adds = F_ORDERED,
    .run = run,
};
