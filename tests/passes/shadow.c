/* shadow.c: see shadow.h. */
#include "shadow.h"
#include <string.h>

enum { LINE = 64 };

typedef struct Shadow {
    const Graph *g;
    Steps steps;
    uint32_t *line; /* value index + 1 of what lies there; 0: garbage */
    Error *e;
} Shadow;

static uint32_t tag_of(Value v)
{
    return v.node * MAX_OUT + v.out + 1;
}

/* All nodes that read one state read one value. */
static Value first_reader(const Graph *g, Value v)
{
    const Node *n = graph_node(g, v);
    for (uint32_t id = 1; !strcmp(n->op->name, "state") && id < v.node; id++)
        if (g->node[id].op == n->op &&
            !strcmp(node_string(&g->node[id], "name"), node_string(n, "name")))
            return node_value(id, 0);
    return v;
}

static const Buffer *buffer_of(const Shadow *s, Value v)
{
    uint32_t i = s->g->memory->of[tag_of(v) - 1];
    return i < s->g->memory->n_buffers ? &s->g->memory->buffer[i] : NULL;
}

static void write_buffer(Shadow *s, const Buffer *b, uint32_t tag)
{
    for (int64_t at = b->offset; at < b->offset + b->bytes; at += LINE)
        s->line[at / LINE] = tag;
}

static bool holds(const Shadow *s, const Buffer *b, uint32_t tag)
{
    for (int64_t at = b->offset; at < b->offset + b->bytes; at += LINE)
        if (s->line[at / LINE] != tag)
            return false;
    return true;
}

static bool read_value(Shadow *s, Value v, uint32_t step)
{
    v = first_reader(s->g, v);
    const Buffer *b = buffer_of(s, v);
    if (!b)
        return error_set(s->e, "step %u reads %%%u, which has no buffer", step,
                         v.node);
    return holds(s, b, tag_of(v)) ||
           error_set(s->e, "step %u reads %%%u, which was overwritten", step,
                     v.node);
}

static bool overlap(const Buffer *a, const Buffer *b)
{
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* A result may lie where an operand does only where the step says so. */
static bool check_overlaps(Shadow *s, const Step *step, Value out)
{
    for (uint32_t i = 0; i < step->n_in; i++)
        if (overlap(buffer_of(s, out), buffer_of(s, step->in[i])) &&
            !step_may_overwrite(s->g, step, out, step->in[i]))
            return error_set(s->e, "%%%u is written over %%%u", out.node,
                             step->in[i].node);
    for (uint32_t i = 0; i < step->n_out; i++)
        if (!value_equal(step->out[i], out) &&
            overlap(buffer_of(s, out), buffer_of(s, step->out[i])))
            return error_set(s->e, "two results of one step overlap");
    return true;
}

static void start(Shadow *s)
{
    const Graph *g = s->g;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        Value v = node_value(id, 0);
        if (!node_has(&g->node[id], T_SOURCE) ||
            !value_equal(first_reader(g, v), v))
            continue;
        if (buffer_of(s, v))
            write_buffer(s, buffer_of(s, v), tag_of(v));
    }
}

static const Buffer *state_buffer(const Shadow *s, uint32_t update)
{
    int i =
        module_state(s->g->module, node_string(&s->g->node[update], "name"));
    return &s->g->memory->buffer[i];
}

static bool run_step(Shadow *s, uint32_t k)
{
    const Step *step = &s->steps.step[k];
    for (uint32_t i = 0; i < step->n_in; i++)
        if (!read_value(s, step->in[i], k))
            return false;
    for (uint32_t i = 0; i < step->n_out; i++)
        if (!check_overlaps(s, step, step->out[i]))
            return false;
    for (uint32_t i = 0; i < step->n_out; i++)
        write_buffer(s, buffer_of(s, step->out[i]), tag_of(step->out[i]));
    if (node_has(&s->g->node[step->first], T_ROOT))
        write_buffer(s, state_buffer(s, step->first),
                     tag_of(first_reader(s->g, s->g->node[step->first].in[0])));
    return true;
}

static bool check_end(Shadow *s)
{
    const Graph *g = s->g;
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        if (!node_has(n, T_ROOT))
            continue;
        Value v = first_reader(g, n->in[0]);
        const Buffer *b = !strcmp(n->op->name, "update") ? state_buffer(s, id)
                                                         : buffer_of(s, v);
        if (!b || !holds(s, b, tag_of(v)))
            return error_set(s->e, "%s %s is not whole at the end", n->op->name,
                             node_string(n, "name"));
    }
    return true;
}

bool shadow_check(const Graph *g, Error *e)
{
    Arena *a = arena_new();
    Shadow s = {.g = g, .steps = graph_steps(g, a), .e = e};
    s.line = arena_array(a, (size_t)(g->memory->arena_bytes / LINE + 1),
                         sizeof *s.line);
    start(&s);
    bool ok = true;
    for (uint32_t k = 0; ok && k < s.steps.n; k++)
        ok = run_step(&s, k);
    ok = ok && check_end(&s);
    arena_free(a);
    return ok;
}
