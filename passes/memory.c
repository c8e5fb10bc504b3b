/* memory.c: which buffers there are, which values share one, and when each of
 * them is live.
 *
 *     arena   [ states | inputs | everything else ]
 *
 * States come first, at the same offsets in all graphs.  Inputs follow, in room
 * that is as large as any graph needs and that no other buffer reaches into:
 * the loader may fill them while another graph runs.
 *
 * A step's result is written over an operand that dies there where the step
 * may do that (steps.h), and a state's new value into the state's own bytes
 * where nobody reads the old one any more; else `update` is a copy. */
#include "memory.h"
#include "passes.h"
#include <assert.h>
#include <string.h>

#define NONE UINT32_MAX

typedef struct Planner {
    Graph *g;
    PassContext *c;
    Arena *arena; /* for what is not kept */
    MemoryPlan *plan;
    size_t cap;
    Steps steps;
    uint32_t *last;       /* step that last reads a value; by value */
    bool *kept;           /* read by an output: stays to the end; by value */
    uint32_t *state_last; /* step that last reads a state's old value */
    bool *state_kept;     /* an output reads the old value */
    bool *state_written;  /* its bytes hold the new value already */
    uint32_t *update;     /* value -> a state that it is the new value of */
    bool *forward;        /* by node: the loss depends on it */
} Planner;

static size_t value_index(Value v)
{
    return (size_t)v.node * MAX_OUT + v.out;
}

static uint32_t last_step(const Planner *p)
{
    return p->steps.n ? p->steps.n - 1 : 0;
}

static bool is_op(const Graph *g, uint32_t id, const char *name)
{
    return !strcmp(g->node[id].op->name, name);
}

static uint32_t state_named_by(const Graph *g, uint32_t id)
{
    int i = module_state(g->module, node_string(&g->node[id], "name"));
    assert(i >= 0 && "the verifier knows every state");
    return (uint32_t)i;
}

/* The state whose old value v is; NONE: it is something else. */
static uint32_t state_read(const Graph *g, Value v)
{
    return is_op(g, v.node, "state") ? state_named_by(g, v.node) : NONE;
}

/* ---- what is read until when -------------------------------------------- */

static void note_roots(Planner *p)
{
    const Graph *g = p->g;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        if (!node_has(n, T_ROOT))
            continue;
        Value v = n->in[0];
        uint32_t state = state_read(g, v);
        if (is_op(g, id, "update")) {
            if (p->update[value_index(v)] == NONE)
                p->update[value_index(v)] = state_named_by(g, id);
            continue;
        }
        p->kept[value_index(v)] = true;
        if (state != NONE)
            p->state_kept[state] = true;
    }
}

static void note_reads(Planner *p)
{
    for (uint32_t k = 0; k < p->steps.n; k++)
        for (uint32_t i = 0; i < p->steps.step[k].n_in; i++) {
            Value v = p->steps.step[k].in[i];
            uint32_t state = state_read(p->g, v);
            p->last[value_index(v)] = k;
            if (state != NONE)
                p->state_last[state] = k;
        }
}

static void find_forward(Planner *p)
{
    const Graph *g = p->g;
    for (uint32_t id = g->n_nodes - 1; id > 0; id--) {
        bool root = is_op(g, id, "output") &&
                    !strcmp(node_string(&g->node[id], "name"), "loss");
        p->forward[id] |= root;
        for (uint32_t i = 0; p->forward[id] && i < g->node[id].n_in; i++)
            p->forward[g->node[id].in[i].node] = true;
    }
}

static void find_reads(Planner *p)
{
    size_t n = (size_t)p->g->n_nodes * MAX_OUT;
    size_t n_states = p->g->module->n_states;
    p->last = arena_array(p->arena, n, sizeof *p->last);
    p->kept = arena_array(p->arena, n, sizeof *p->kept);
    p->update = arena_array(p->arena, n, sizeof *p->update);
    memset(p->update, 0xff, n * sizeof *p->update);
    p->state_last = arena_array(p->arena, n_states, sizeof *p->state_last);
    p->state_kept = arena_array(p->arena, n_states, sizeof *p->state_kept);
    p->state_written =
        arena_array(p->arena, n_states, sizeof *p->state_written);
    p->forward = arena_array(p->arena, p->g->n_nodes, sizeof *p->forward);
    note_roots(p);
    note_reads(p);
    find_forward(p);
}

/* ---- buffers ------------------------------------------------------------ */

static uint32_t *place_of(const Planner *p, Value v)
{
    return &p->plan->of[value_index(v)];
}

static uint32_t add_buffer(Planner *p, Buffer b)
{
    MemoryPlan *plan = p->plan;
    size_t n = plan->n_buffers;
    ARENA_PUSH(p->g->arena, plan->buffer, n, p->cap, b);
    plan->n_buffers = (uint32_t)n;
    return plan->n_buffers - 1;
}

static int64_t add_states(Planner *p)
{
    const Module *m = p->g->module;
    int64_t offset = 0;
    for (size_t i = 0; i < m->n_states; i++) {
        Buffer b = {.offset = offset,
                    .bytes = type_bytes(&m->state[i].type),
                    .kind = BUF_STATE,
                    .last = last_step(p),
                    .state = (uint32_t)i};
        add_buffer(p, b);
        offset += memory_align(b.bytes);
    }
    return offset;
}

static int64_t add_inputs(Planner *p, int64_t offset)
{
    Graph *g = p->g;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        Value v = node_value(id, 0);
        uint32_t state = g->node[id].n_out ? state_read(g, v) : NONE;
        if (state != NONE) {
            *place_of(p, v) = state;
            p->plan->buffer[state].value = v;
        }
        if (!is_op(g, id, "input"))
            continue;
        Buffer b = {.offset = offset,
                    .bytes = type_bytes(graph_type(g, v)),
                    .kind = BUF_INPUT,
                    .last = last_step(p),
                    .value = v};
        *place_of(p, v) = add_buffer(p, b);
        offset += memory_room(g, &b);
    }
    return offset;
}

/* ---- where a result goes ------------------------------------------------ */

/* May step k write v over every old value of the state that it reads? */
static bool may_overwrite_state(const Planner *p, uint32_t k, Value v,
                                uint32_t state)
{
    const Step *s = &p->steps.step[k];
    for (uint32_t i = 0; i < s->n_in; i++)
        if (state_read(p->g, s->in[i]) == state &&
            !step_may_overwrite(p->g, s, v, s->in[i]))
            return false;
    return true;
}

/* The new value of a state, right into its bytes. */
static bool place_in_state(Planner *p, uint32_t k, Value v)
{
    uint32_t state = p->update[value_index(v)];
    if (state == NONE || p->state_written[state] || p->state_kept[state] ||
        p->state_last[state] > k ||
        !type_equal(graph_type(p->g, v), &p->g->module->state[state].type) ||
        !may_overwrite_state(p, k, v, state))
        return false;
    p->state_written[state] = true;
    *place_of(p, v) = state;
    if (!p->plan->buffer[state].value.node)
        p->plan->buffer[state].value = v;
    return true;
}

/* Over an operand that nobody reads after this step. */
static bool place_over_operand(Planner *p, uint32_t k, Value v, uint32_t last)
{
    const Step *s = &p->steps.step[k];
    for (uint32_t i = 0; i < s->n_in; i++) {
        uint32_t at = *place_of(p, s->in[i]);
        Buffer *b = at == NONE ? NULL : &p->plan->buffer[at];
        if (!b || b->kind == BUF_STATE || b->kind == BUF_INPUT ||
            b->last != k || b->bytes != type_bytes(graph_type(p->g, v)) ||
            !step_may_overwrite(p->g, s, v, s->in[i]))
            continue;
        b->last = last; /* past k: not taken again at this step */
        *place_of(p, v) = at;
        return true;
    }
    return false;
}

static uint32_t last_use(const Planner *p, uint32_t k, Value v)
{
    if (p->kept[value_index(v)])
        return last_step(p);
    uint32_t last = p->last[value_index(v)];
    return last > k ? last : k;
}

static void place_result(Planner *p, uint32_t k, Value v)
{
    uint32_t last = last_use(p, k, v);
    if (place_in_state(p, k, v) ||
        (last > k && place_over_operand(p, k, v, last)))
        return;
    Buffer b = {.bytes = type_bytes(graph_type(p->g, v)),
                .kind = BUF_WORK, /* find_kinds knows better */
                .first = k,
                .last = last,
                .value = v};
    *place_of(p, v) = add_buffer(p, b);
}

static void place_results(Planner *p)
{
    for (uint32_t k = 0; k < p->steps.n; k++)
        for (uint32_t i = 0; i < p->steps.step[k].n_out; i++)
            place_result(p, k, p->steps.step[k].out[i]);
}

/* An update that copies must come after the last reader of the old value. */
static bool check_copies(Planner *p)
{
    const Graph *g = p->g;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        if (!is_op(g, id, "update"))
            continue;
        Value v = g->node[id].in[0];
        uint32_t state = state_named_by(g, id), k = p->steps.of[id];
        bool copies = *place_of(p, v) != state;
        if (copies &&
            (k == NO_STEP || p->state_kept[state] || p->state_last[state] > k))
            return pass_fail(p->c, g->node[id].loc,
                             "graph %s: the old value of %s is read after its "
                             "update; pass schedule orders them",
                             g->name, g->module->state[state].name);
    }
    return true;
}

/* ---- kinds -------------------------------------------------------------- */

static BufferKind kind_of(const Planner *p, const Buffer *b, bool to_backward)
{
    if (p->forward[b->value.node])
        return to_backward ? BUF_ACTIVATION : BUF_WORK;
    return b->last - b->first <= 1 ? BUF_WORK : BUF_GRADIENT;
}

static void find_kinds(Planner *p)
{
    MemoryPlan *plan = p->plan;
    bool *to_backward =
        arena_array(p->arena, plan->n_buffers, sizeof *to_backward);
    bool *kept = arena_array(p->arena, plan->n_buffers, sizeof *kept);
    for (uint32_t k = 0; k < p->steps.n; k++) {
        const Step *s = &p->steps.step[k];
        for (uint32_t i = 0; i < s->n_in && !p->forward[s->last]; i++)
            to_backward[*place_of(p, s->in[i])] = true;
        for (uint32_t i = 0; i < s->n_out; i++)
            if (p->kept[value_index(s->out[i])])
                kept[*place_of(p, s->out[i])] = true;
    }
    for (uint32_t i = 0; i < plan->n_buffers; i++) {
        Buffer *b = &plan->buffer[i];
        if (b->kind == BUF_STATE || b->kind == BUF_INPUT)
            continue;
        b->kind = kept[i] ? BUF_OUTPUT : kind_of(p, b, to_backward[i]);
    }
}

/* ---- the pass ----------------------------------------------------------- */

/* Offsets are added up without looking at each for an overflow. */
static bool check_size(const Graph *g, PassContext *c)
{
    const double most = 0x1p60;
    double sum = 0;
    for (size_t i = 0; i < g->module->n_states; i++)
        sum += (double)type_bytes(&g->module->state[i].type);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (unsigned i = 0; i < g->node[id].n_out; i++)
            sum += (double)type_bytes(&g->node[id].type[i]);
    return sum * INPUT_SLOTS + (double)g->n_nodes * 1024 < most ||
           pass_fail(c, 0,
                     "graph %s: its values take %.3g bytes together, more than "
                     "any machine has; is a shape wrong?",
                     g->name, sum);
}

static void start_plan(Graph *g)
{
    MemoryPlan *plan = arena_alloc(g->arena, sizeof *plan);
    size_t n = (size_t)g->n_nodes * MAX_OUT;
    plan->of = arena_array(g->arena, n, sizeof *plan->of);
    memset(plan->of, 0xff, n * sizeof *plan->of);
    g->memory = plan;
}

/* steps: those of the graph, where they are known. */
static Planner planner_of(Graph *g, PassContext *c, const Steps *steps)
{
    start_plan(g);
    Planner p = {.g = g, .c = c, .arena = arena_new(), .plan = g->memory};
    p.steps = steps ? *steps : graph_steps(g, p.arena);
    return p;
}

/* Where states and inputs of the graph end. */
static int64_t fixed_end(Graph *g, PassContext *c)
{
    Planner p = planner_of(g, c, NULL);
    int64_t end = add_inputs(&p, add_states(&p));
    arena_free(p.arena);
    return end;
}

static bool plan_graph(Graph *g, PassContext *c, const Steps *steps,
                       int64_t base, bool spread)
{
    Planner p = planner_of(g, c, steps);
    add_inputs(&p, add_states(&p));
    uint32_t fixed = p.plan->n_buffers;
    find_reads(&p);
    place_results(&p);
    bool ok = check_copies(&p);
    if (ok) {
        find_kinds(&p);
        memory_place(g, p.plan, fixed, base, p.steps.n);
        if (spread)
            memory_spread(g, p.plan, fixed, base);
    }
    arena_free(p.arena);
    return ok;
}

int64_t memory_base(Module *m, PassContext *c)
{
    int64_t base = 0;
    for (size_t i = 0; i < m->n_graphs; i++) {
        int64_t end = fixed_end(m->graph[i], c);
        base = end > base ? end : base;
        m->graph[i]->memory = NULL; /* only begun */
    }
    return base;
}

int64_t memory_measure(Graph *g, PassContext *c, const Steps *s, int64_t base)
{
    return plan_graph(g, c, s, base, false) ? g->memory->arena_bytes : -1;
}

bool memory_sizes_fit(const Module *m, PassContext *c)
{
    for (size_t i = 0; i < m->n_graphs; i++)
        if (!check_size(m->graph[i], c))
            return false;
    return true;
}

static bool run(Module *m, PassContext *c)
{
    if (!memory_sizes_fit(m, c))
        return false;
    int64_t base = memory_base(m, c);
    bool spread = c->target && c->target->beside;
    for (size_t i = 0; i < m->n_graphs; i++) {
        Graph *g = m->graph[i];
        Error e = {{0}};
        if (!plan_graph(g, c, NULL, base, spread))
            return false;
        if (!memory_verify(g, m->graph[0]->memory, &e))
            return pass_fail(c, 0, "bug: memory of graph %s: %s", g->name,
                             e.text);
    }
    return true;
}

const Pass pass_memory = {
    .name = "memory",
    .doc = "gives every value a place in the one arena; new values go over old "
           "ones where nobody reads those any more",
    .needs = F_PLAIN | F_LAID_OUT | F_ORDERED,
    .run = run,
};
