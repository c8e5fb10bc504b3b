/* cse.c: what is computed twice is computed once.
 *
 * Nodes are equal that have the same op, attributes, operands and types.  Never
 * merged: roots, random ops, and nodes of different groups. */
#include "passes.h"
#include "hash.h"
#include "rewrite.h"
#include <string.h>

typedef struct Key {
    const Graph *to;
    const Node *node; /* of the old graph */
    const Value *in;  /* its operands in the new one */
} Key;

static int count_attrs(const OpDesc *op)
{
    int n = 0;
    while (op->attrs && op->attrs[n].name)
        n++;
    return n;
}

static uint64_t hash_attr(uint64_t h, const Attr *a)
{
    switch (a->kind) {
    case ATTR_STRING:
        return hash_text(h, a->s);
    case ATTR_INTS:
        return hash_bytes(h, a->ints.v, (size_t)a->ints.n * sizeof *a->ints.v);
    default:
        return hash_number(h, (uint64_t)a->i); /* floats by their bits */
    }
}

static uint64_t hash_key(const Key *k)
{
    const Node *n = k->node;
    uint64_t h = hash_number(n->group, (uint64_t)(uintptr_t)n->op);
    for (int i = count_attrs(n->op); i-- > 0;)
        h = hash_attr(h, &n->attr[i]);
    for (uint32_t i = 0; i < n->n_in; i++)
        h = hash_number(h, (uint64_t)k->in[i].node << 3 | k->in[i].out);
    for (unsigned i = 0; i < n->n_out; i++)
        h = hash_number(h,
                        (uint64_t)n->type[i].dtype << 32 | n->type[i].layout);
    return h;
}

static bool same_node(const void *key, uint32_t id)
{
    const Key *k = key;
    const Node *a = k->node, *b = &k->to->node[id];
    if (a->op != b->op || a->n_in != b->n_in || a->group != b->group)
        return false;
    for (uint32_t i = 0; i < a->n_in; i++)
        if (!value_equal(k->in[i], b->in[i]))
            return false;
    for (unsigned i = 0; i < a->n_out; i++)
        if (!type_equal(&a->type[i], &b->type[i]))
            return false;
    for (int i = count_attrs(a->op); i-- > 0;)
        if (!attr_equal(&a->attr[i], &b->attr[i]))
            return false;
    return true;
}

static bool comes_after(Value a, Value b)
{
    return a.node != b.node ? a.node > b.node : a.out > b.out;
}

/* Operands in the new graph; those that may be swapped in one order. */
static Value *key_operands(const Rewrite *r, const Node *n, Arena *a)
{
    Value *in = arena_array(a, n->n_in, sizeof *in);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = rewrite_get(r, n->in[i]);
    if (node_has(n, T_COMMUTATIVE) && comes_after(in[0], in[1])) {
        Value first = in[0];
        in[0] = in[1];
        in[1] = first;
    }
    return in;
}

static Graph *cse_graph(Graph *g, PassContext *c)
{
    (void)c;
    Rewrite r;
    HashTable table = {0};
    rewrite_begin(&r, g);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        if (node_has(n, T_ROOT) || node_has(n, T_RANDOM)) {
            rewrite_copy(&r, id);
            continue;
        }
        Key key = {r.to, n, key_operands(&r, n, g->arena)};
        uint64_t h = hash_key(&key);
        uint32_t known = hash_find(&table, h, same_node, &key);
        if (!known) {
            known = graph_add_copy(r.to, n, key.in);
            hash_add(&table, g->arena, h, known);
        }
        for (unsigned i = 0; i < n->n_out; i++)
            rewrite_set(&r, node_value(id, i), node_value(known, i));
    }
    return rewrite_end(&r);
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, cse_graph);
}

const Pass pass_cse = {
    .name = "cse",
    .doc = "what is computed twice from the same operands is computed once",
    .run = run,
};
