/* program.c: every graph's steps, with their kernels and buffers. */
#include "program.h"
#include "cost.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

static uint32_t buffer_of(const Graph *g, Value v)
{
    uint32_t b = g->memory->of[(size_t)v.node * MAX_OUT + v.out];
    assert(b != UINT32_MAX && "what a step reads or writes is in memory");
    return b;
}

static uint32_t buffer_of_state(const Graph *g, const char *name)
{
    int state = module_state(g->module, name);
    const MemoryPlan *m = g->memory;
    for (uint32_t i = 0; i < m->n_buffers; i++)
        if (m->buffer[i].kind == BUF_STATE &&
            m->buffer[i].state == (uint32_t)state)
            return i;
    assert(false && "every state has a buffer");
    return 0;
}

/* An update whose operand is in the state's own bytes already. */
static bool is_done(const Graph *g, const Step *s)
{
    const Node *n = &g->node[s->first];
    if (!node_has(n, T_ROOT) || n->group)
        return false;
    return buffer_of(g, n->in[0]) == buffer_of_state(g, node_string(n, "name"));
}

static void step_args(const Program *p, const Graph *g, ProgramStep *r)
{
    const Step *s = r->step;
    const Node *n = &g->node[s->first];
    bool update = node_has(n, T_ROOT) && !n->group;
    r->n_out = (uint16_t)(update ? 1 : s->n_out);
    r->n_args = (uint16_t)(r->n_out + s->n_in);
    r->arg = arena_array(p->arena, r->n_args, sizeof *r->arg);
    if (update)
        r->arg[0] = buffer_of_state(g, node_string(n, "name"));
    for (uint32_t i = 0; i < s->n_out; i++)
        r->arg[i] = buffer_of(g, s->out[i]);
    for (uint32_t i = 0; i < s->n_in; i++)
        r->arg[r->n_out + i] = buffer_of(g, s->in[i]);
}

static bool add_step(Program *p, ProgramGraph *pg, const Step *s, Error *e)
{
    const Graph *g = pg->g;
    ProgramStep r = {.step = s};
    Loc loc = g->node[s->last].loc;
    r.what = step_name(g, s, p->arena);
    r.loc = place_name(p->module, loc, p->arena);
    Error why;
    if (s->n_in + s->n_out > UINT16_MAX)
        return error_set(e, "%s: a kernel of %s reads and writes too much",
                         module_loc_text(p->module, loc, p->arena), r.what);
    if (!kernels_add(p->kernels, g, s, &r.code, &why))
        return error_set(e, "%s%sgraph %s: %s: %.300s",
                         module_loc_text(p->module, loc, p->arena),
                         *r.loc ? ": " : "", g->name, r.what, why.text);
    step_args(p, g, &r);
    StepCost cost = step_cost(g, s);
    r.flops = cost.flops;
    r.bytes = cost.bytes;
    pg->run[pg->n_run++] = r;
    return true;
}

/* ---- the step after which the loss is known ----------------------------- */

static uint32_t loss_node(const Graph *g)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_is(&g->node[id], &op_output) &&
            !strcmp(node_string(&g->node[id], "name"), "loss"))
            return g->node[id].in[0].node;
    return 0;
}

/* Running statistics may have changed by then: a step that is run again to find
 * out what went wrong does not read them. */
static bool writes_weights(const ProgramGraph *pg, const ProgramStep *s)
{
    const Graph *g = pg->g;
    for (uint32_t k = 0; k < s->n_out; k++) {
        const Buffer *b = &g->memory->buffer[s->arg[k]];
        if (b->kind == BUF_STATE &&
            g->module->state[b->state].role != STATE_BUFFER)
            return true;
    }
    return false;
}

/* Does the graph itself look after what is not finite (passes/scale.h)? */
static bool skips_steps(const Graph *g)
{
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_is(&g->node[id], &op_output) &&
            !strcmp(node_string(&g->node[id], "name"), "skips"))
            return true;
    return false;
}

/* -1 where a parameter has changed by then, or need not be stopped. */
static int32_t loss_step(const ProgramGraph *pg)
{
    uint32_t node = skips_steps(pg->g) ? 0 : loss_node(pg->g);
    uint32_t of = node ? pg->steps.of[node] : NO_STEP;
    if (of == NO_STEP)
        return -1;
    int32_t loss = pg->place[of];
    for (int32_t i = 0; i <= loss; i++)
        if (writes_weights(pg, &pg->run[i]))
            return -1;
    return loss;
}

/* ---- programs ----------------------------------------------------------- */

static bool add_graph(Program *p, ProgramGraph *pg, Error *e)
{
    const Graph *g = pg->g;
    if (!g->memory)
        return error_set(e, "graph %s has no memory plan: run the pass memory",
                         g->name);
    pg->steps = graph_steps(g, p->arena);
    pg->run = arena_array(p->arena, pg->steps.n, sizeof *pg->run);
    pg->place =
        arena_array(p->arena, (size_t)pg->steps.n + 1, sizeof *pg->place);
    for (uint32_t i = 0; i < pg->steps.n; i++) {
        pg->place[i] = (int32_t)pg->n_run;
        const Step *s = &pg->steps.step[i];
        if (!is_done(g, s) && !add_step(p, pg, s, e))
            return false;
    }
    pg->place[pg->steps.n] = (int32_t)pg->n_run;
    pg->loss_step = loss_step(pg);
    return true;
}

Program *program_new(const Module *m, const CodegenOptions *o, Error *e)
{
    Arena *a = arena_new();
    Program *p = arena_alloc(a, sizeof *p);
    p->arena = a;
    p->module = m;
    p->kernels = kernels_new(o->target);
    p->kernels->tiles = o->tiles;
    p->kernels->tiles_each = o->tiles_each;
    p->n_graphs = m->n_graphs;
    p->graph = arena_array(a, m->n_graphs, sizeof *p->graph);
    for (size_t i = 0; i < m->n_graphs; i++) {
        p->graph[i].g = m->graph[i];
        if (!add_graph(p, &p->graph[i], e)) {
            program_free(p);
            return NULL;
        }
    }
    return p;
}

void program_free(Program *p)
{
    if (!p)
        return;
    kernels_free(p->kernels);
    arena_free(p->arena);
}
