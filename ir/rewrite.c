/* rewrite.c: the map from an old graph's values to a new graph's. */
#include "rewrite.h"
#include <assert.h>

void rewrite_begin(Rewrite *r, Graph *from)
{
    r->from = from;
    r->to = graph_new(from->module, from->name);
    r->to->unfused = from->unfused;
    /* The old graph's arena: gone when it is. */
    r->map = arena_array(from->arena, from->n_nodes, sizeof *r->map);
}

void rewrite_at(Rewrite *r, uint32_t id)
{
    const Node *n = &r->from->node[id];
    r->to->loc = n->loc;
    r->to->group = n->group;
    r->to->hint = n->name;
}

Value rewrite_get(const Rewrite *r, Value old)
{
    Value v = r->map[old.node][old.out];
    assert(v.node && "the old value has a new one");
    return v;
}

void rewrite_set(Rewrite *r, Value old, Value now)
{
    assert(now.node < r->to->n_nodes);
    r->map[old.node][old.out] = now;
}

void rewrite_copy(Rewrite *r, uint32_t id)
{
    const Node *n = &r->from->node[id];
    Arena *a = r->to->arena;
    Value few[8], *in = few;
    if (n->n_in > sizeof few / sizeof *few)
        in = arena_array(a, n->n_in, sizeof *in);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = rewrite_get(r, n->in[i]);
    uint32_t now = graph_add_copy(r->to, n, in);
    for (unsigned out = 0; out < n->n_out; out++)
        rewrite_set(r, node_value(id, out), node_value(now, out));
}

Graph *rewrite_end(Rewrite *r)
{
    r->to->loc = 0;
    r->to->group = 0;
    r->to->hint = NULL; /* it lives in the old graph */
    r->map = NULL;
    return r->to;
}
