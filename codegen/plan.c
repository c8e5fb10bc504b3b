/* plan.c: the tables of runtime/plan.h, filled.  plan_file.c makes a C file of
 * them.  Structs are filled field by field in memory that was zero, so what
 * lies between the fields is zero, too, and the same model gives the same
 * bytes. */
#include "op.h"
#include "plan.h"
#include "program.h"
#include "settings_groups.h"
#include "targets.h"
#include <stdio.h>
#include <string.h>

static void fill_type(PlanType *p, const Type *t)
{
    int64_t stride[MAX_RANK];
    type_strides(t, stride);
    p->dtype = (uint8_t)t->dtype;
    p->rank = t->rank;
    for (int i = 0; i < t->rank; i++) {
        p->dim[i] = t->dim[i];
        p->stride[i] = stride[i];
    }
}

/* ---- the module's tables ------------------------------------------------ */

/* "resnet.net:23", the default, or told to the compiler. */
static const char *setting_origin(const Module *m, const SettingSpec *spec,
                                  const Setting *s, const char *text, Arena *a)
{
    const LocInfo *at = s->loc ? &m->loc[s->loc] : NULL;
    if (at) {
        const char *slash = strrchr(at->file, '/');
        return arena_printf(a, "%s:%u", slash ? slash + 1 : at->file, at->line);
    }
    bool same = spec && spec->value && !strcmp(spec->value, text);
    return same ? "default" : "compiled in";
}

static void fill_spec(PlanSetting *p, const SettingSpec *spec)
{
    p->kind = (uint8_t)(spec ? spec->type : SET_TEXT);
    if (!spec)
        return;
    p->run_time = spec->run_time && !setting_group(p->key, NULL);
    p->words = spec->words;
    p->only = spec->only;
    p->low = spec->low;
    p->high = spec->high;
}

/* Those that are set, and those that are not but may be when the program
 * runs. */
static void fill_settings(Plan *plan, const Module *m, Arena *a)
{
    size_t most = m->settings.n;
    for (const SettingSpec *spec = setting_table; spec->key; spec++)
        most++;
    PlanSetting *p = arena_array(a, most, sizeof *p);
    plan->settings = p;
    for (size_t i = 0; i < m->settings.n; i++, p++) {
        const Setting *s = &m->settings.item[i];
        const SettingSpec *spec = setting_spec(s->key);
        p->key = s->key;
        p->text = setting_value_text(&s->value, a);
        fill_spec(p, spec);
        p->origin = setting_origin(m, spec, s, p->text, a);
    }
    for (const SettingSpec *spec = setting_table; spec->key; spec++) {
        if (!spec->run_time || settings_get(&m->settings, spec->key))
            continue;
        p->key = spec->key;
        fill_spec(p++, spec);
    }
    plan->n_settings = (uint32_t)(p - plan->settings);
}

/* By state, so that this is not quadratic. */
static const Buffer **state_buffers(const Module *m, Arena *a)
{
    const Buffer **of = arena_array(a, m->n_states + 1, sizeof *of);
    const MemoryPlan *p = m->graph[0]->memory;
    for (uint32_t i = 0; i < p->n_buffers; i++)
        if (p->buffer[i].kind == BUF_STATE)
            of[p->buffer[i].state] = &p->buffer[i];
    return of;
}

static void fill_states(Plan *plan, const Module *m, Arena *a)
{
    const Buffer **buffer = state_buffers(m, a);
    PlanState *p = arena_array(a, m->n_states, sizeof *p);
    plan->states = p;
    plan->n_states = (uint32_t)m->n_states;
    for (size_t i = 0; i < m->n_states; i++, p++) {
        const State *s = &m->state[i];
        p->name = s->name;
        p->of = s->of;
        fill_type(&p->type, &s->type);
        p->role = (uint8_t)s->role;
        p->init = (uint8_t)s->init;
        p->frozen = s->frozen;
        p->init_a = s->init_a;
        p->init_b = s->init_b;
        p->offset = buffer[i]->offset;
        p->bytes = type_bytes(&s->type);
    }
}

static int64_t trained_scalars(const Module *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->n_states; i++)
        if (m->state[i].role == STATE_PARAM && !m->state[i].frozen)
            n += type_elements(&m->state[i].type);
    return n;
}

static void fill_kernels(Plan *plan, const Kernels *k, Arena *a)
{
    PlanKernel *p = arena_array(a, k->n_kernels, sizeof *p);
    plan->kernels = p;
    plan->n_kernels = (uint32_t)k->n_kernels;
    for (size_t i = 0; i < k->n_kernels; i++) {
        p[i].name = k->kernel[i].name;
        p[i].threads = k->kernel[i].threads;
        p[i].shared = k->kernel[i].shared;
        p[i].conv = k->kernel[i].conv;
        p[i].why = k->kernel[i].why;
        p[i].unit = k->kernel[i].unit;
    }
}

static void fill_candidates(Plan *plan, const Kernels *k, Arena *a)
{
    PlanCandidate *p = arena_array(a, k->n_candidates + 1, sizeof *p);
    plan->candidates = p;
    plan->n_candidates = (uint32_t)k->n_candidates;
    for (size_t i = 0; i < k->n_candidates; i++) {
        const KernelCandidate *c = &k->candidate[i];
        p[i] = (PlanCandidate){c->instead, c->kernel, c->parts, c->tile};
    }
}

/* ---- a graph's tables --------------------------------------------------- */

static const char *buffer_name(const Graph *g, const Buffer *b)
{
    if (b->kind == BUF_STATE)
        return g->module->state[b->state].name;
    if (!b->value.node)
        return "";
    const Node *n = graph_node(g, b->value);
    if (node_is(n, &op_input))
        return node_string(n, "name");
    return n->name ? n->name : n->op->name;
}

static void fill_buffers(PlanGraph *p, const ProgramGraph *pg, Arena *a)
{
    const Graph *g = pg->g;
    const MemoryPlan *m = g->memory;
    PlanBuffer *out = arena_array(a, m->n_buffers, sizeof *out);
    p->buffers = out;
    p->n_buffers = m->n_buffers;
    for (uint32_t i = 0; i < m->n_buffers; i++, out++) {
        const Buffer *b = &m->buffer[i];
        out->offset = b->offset;
        out->bytes = b->bytes;
        out->kind = (uint8_t)b->kind;
        out->dtype = (uint8_t)(b->kind == BUF_STATE
                                   ? g->module->state[b->state].type.dtype
                                   : graph_type(g, b->value)->dtype);
        out->first = pg->place[b->first];
        out->last = pg->place[b->last];
        out->name = buffer_name(g, b);
    }
}

static uint32_t value_buffer(const Graph *g, Value v)
{
    return g->memory->of[(size_t)v.node * MAX_OUT + v.out];
}

/* Inputs, or outputs. */
static PlanPort *fill_ports(const Graph *g, const OpDesc *op, uint32_t *count,
                            Arena *a)
{
    size_t n = 0, cap = 0;
    PlanPort *port = NULL;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *node = &g->node[id];
        if (!node_is(node, op))
            continue;
        port = arena_grow(a, port, n, &cap, sizeof *port);
        Value v = op == &op_output ? node->in[0] : node_value(id, 0);
        PlanPort *p = &port[n++];
        p->name = node_string(node, "name");
        fill_type(&p->type, graph_type(g, v));
        p->buffer = value_buffer(g, v);
        p->slots = op == &op_input && p->type.rank ? INPUT_SLOTS : 1;
    }
    *count = (uint32_t)n;
    return port;
}

static void fill_steps(PlanGraph *p, const ProgramGraph *pg, Arena *a)
{
    PlanStep *out = arena_array(a, pg->n_run, sizeof *out);
    p->steps = out;
    p->n_steps = pg->n_run;
    for (uint32_t i = 0; i < pg->n_run; i++, out++) {
        const ProgramStep *s = &pg->run[i];
        out->kernel = s->code.kernel;
        out->arg = p->n_args;
        out->n_args = s->n_args;
        out->n_out = s->n_out;
        out->lib = p->n_libs;
        out->n_libs = s->code.lib != UINT32_MAX;
        out->parts = s->code.parts;
        out->flops = s->flops;
        out->bytes = s->bytes;
        out->what = s->what;
        out->loc = s->loc;
        p->n_args += out->n_args;
        p->n_libs += out->n_libs;
    }
}

/* What the steps refer to, in their order. */
static void fill_numbers(PlanGraph *p, const ProgramGraph *pg, Arena *a)
{
    uint32_t *arg = arena_array(a, p->n_args, sizeof *arg);
    uint32_t *lib = arena_array(a, p->n_libs, sizeof *lib);
    p->args = arg;
    p->libs = lib;
    for (uint32_t i = 0; i < pg->n_run; i++) {
        const ProgramStep *s = &pg->run[i];
        for (uint32_t k = 0; k < s->n_args; k++)
            *arg++ = s->arg[k];
        if (s->code.lib != UINT32_MAX)
            *lib++ = s->code.lib;
    }
}

static void fill_graph(PlanGraph *p, const ProgramGraph *pg, Arena *a)
{
    const MemoryPlan *m = pg->g->memory;
    p->name = pg->g->name;
    p->inputs = fill_ports(pg->g, &op_input, &p->n_inputs, a);
    p->outputs = fill_ports(pg->g, &op_output, &p->n_outputs, a);
    fill_buffers(p, pg, a);
    fill_steps(p, pg, a);
    fill_numbers(p, pg, a);
    p->loss_step = pg->loss_step;
    p->arena_bytes = m->arena_bytes;
    p->live_bytes = m->live_bytes;
    p->peak_step = pg->place[m->peak_step];
    p->unfused_steps = pg->g->unfused.steps;
    p->unfused_bytes = pg->g->unfused.bytes;
}

/* ---- the whole ---------------------------------------------------------- */

static int64_t largest_arena(const Program *p)
{
    int64_t most = 0;
    for (size_t i = 0; i < p->n_graphs; i++)
        if (most < p->graph[i].g->memory->arena_bytes)
            most = p->graph[i].g->memory->arena_bytes;
    return most;
}

const Plan *plan_new(const Program *p, Arena *a)
{
    Plan *plan = arena_alloc(a, sizeof *plan);
    PlanGraph *graph = arena_array(a, p->n_graphs, sizeof *graph);
    plan->version = PLAN_VERSION;
    plan->device = target_is_cuda(p->kernels->target) ? PLAN_CUDA : PLAN_CPU;
    plan->model = p->module->name;
    plan->parameters = trained_scalars(p->module);
    plan->arena_bytes = largest_arena(p);
    plan->scratch_bytes = p->kernels->scratch_bytes;
    plan->program_bytes = target_program(p->kernels->target, p->module);
    fill_settings(plan, p->module, a);
    fill_states(plan, p->module, a);
    plan->lib = p->kernels->lib;
    plan->n_libs = (uint32_t)p->kernels->n_libs;
    plan->convs = p->kernels->conv;
    plan->n_convs = (uint32_t)p->kernels->n_convs;
    fill_kernels(plan, p->kernels, a);
    fill_candidates(plan, p->kernels, a);
    plan->graphs = graph;
    plan->n_graphs = (uint32_t)p->n_graphs;
    for (size_t i = 0; i < p->n_graphs; i++)
        fill_graph(&graph[i], &p->graph[i], a);
    return plan;
}
