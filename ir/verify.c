/* verify.c: everything that a module promises, checked.
 *
 * Runs after every pass and on all text that is read, so it is linear.  A
 * failure is a bug of a pass or a mistake in IR text: the message names graph
 * and node. */
#include "hash.h"
#include "op.h"
#include "text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Verifier {
    const Graph *g;
    Error *error;
    Arena *scratch;
    HashTable group; /* groups that have begun */
    HashTable input; /* names, by the node that has them */
    HashTable output;
    HashTable update;
    uint32_t id;     /* of the node being looked at */
    uint32_t anchor; /* of the group being looked at; 0: none so far */
} Verifier;

static bool fail(Verifier *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(Verifier *v, const char *format, ...)
{
    const Node *n = &v->g->node[v->id];
    char text[MAX_TEXT / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(v->error, "graph %.60s: %%%u (%s): %s", v->g->name, v->id,
                     n->op ? n->op->name : "no op", text);
}

/* ---- one node ----------------------------------------------------------- */

static bool check_operands(Verifier *v, const Node *n)
{
    const OpDesc *op = n->op;
    if (n->n_in < op->min_in || (n->n_in > op->max_in && op->max_in != 255))
        return fail(v, "%u operands", n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        Value in = n->in[i];
        if (!in.node || in.node >= v->id)
            return fail(v, "operand %u is %%%u, which does not come before", i,
                        in.node);
        if (in.out >= v->g->node[in.node].n_out)
            return fail(v, "operand %u is %%%u:%u, which has no such result", i,
                        in.node, in.out);
    }
    return true;
}

static bool check_attrs(Verifier *v, const Node *n)
{
    const AttrSpec *spec = n->op->attrs;
    for (int i = 0; spec && spec[i].name; i++) {
        const Attr *a = &n->attr[i];
        if (!a->name || strcmp(a->name, spec[i].name) ||
            a->kind != spec[i].kind)
            return fail(v, "attribute %d is not %s of the right kind", i,
                        spec[i].name);
        if (a->kind == ATTR_STRING && !a->s)
            return fail(v, "attribute %s has no string", a->name);
    }
    return true;
}

static bool check_types(Verifier *v, const Node *n)
{
    Type type[MAX_OUT];
    Error e = {{0}};
    if (n->n_out != n->op->n_out)
        return fail(v, "%u results", n->n_out);
    if (!node_infer(v->g, n, type, &e))
        return fail(v, "inference says: %s", e.text);
    for (int i = 0; i < n->n_out; i++) {
        char is[128], inferred[128];
        const Type *t = &n->type[i];
        if (!type_fits(t))
            return fail(v, "the type of result %d is not valid", i);
        if (t->dtype == type[i].dtype && type_same_shape(t, &type[i]))
            continue;
        type_print(t, is, sizeof is);
        type_print(&type[i], inferred, sizeof inferred);
        return fail(v, "result %d is %s, inference gives %s", i, is, inferred);
    }
    return true;
}

/* ---- names -------------------------------------------------------------- */

typedef struct NameKey {
    const Graph *g;
    const char *name;
} NameKey;

static bool same_name(const void *key, uint32_t id)
{
    const NameKey *k = key;
    return !strcmp(node_string(&k->g->node[id], "name"), k->name);
}

/* The first time that a node in this table has this name? */
static bool check_unique(Verifier *v, HashTable *t, const char *name)
{
    uint64_t hash = hash_text(0, name);
    uint32_t other = hash_find(t, hash, same_name, &(NameKey){v->g, name});
    if (other)
        return fail(v, "%%%u has the name \"%.100s\" too", other, name);
    hash_add(t, v->scratch, hash, v->id);
    return true;
}

/* Reading and updating: the table knows the name and has this type. */
static bool check_state(Verifier *v, const char *name, const Type *t,
                        bool layout_too)
{
    const Module *m = v->g->module;
    int i = module_state(m, name);
    if (i < 0)
        return fail(v, "there is no state \"%.100s\"", name);
    Type want = m->state[i].type;
    if (!layout_too)
        want.layout = t->layout;
    if (type_equal(&want, t))
        return true;
    char is[128], table[128];
    type_print(t, is, sizeof is);
    type_print(&m->state[i].type, table, sizeof table);
    return fail(v, "%s, but state \"%.100s\" is %s", is, name, table);
}

static bool check_ends(Verifier *v, const Node *n)
{
    if (!node_has(n, T_SOURCE) && !node_has(n, T_ROOT))
        return true;
    if (node_is(n, &op_input))
        return check_unique(v, &v->input, node_string(n, "name"));
    if (node_is(n, &op_output))
        return check_unique(v, &v->output, node_string(n, "name"));
    if (node_is(n, &op_state))
        return check_state(v, node_string(n, "name"), &n->type[0], true);
    if (node_is(n, &op_update))
        return check_unique(v, &v->update, node_string(n, "name")) &&
               check_state(v, node_string(n, "name"),
                           graph_type(v->g, n->in[0]), false);
    return true;
}

/* ---- graphs ------------------------------------------------------------- */

static bool same_group(const void *key, uint32_t id)
{
    const Verifier *v = key;
    return v->g->node[id].group == v->g->node[v->id].group;
}

/* A group has one anchor at most (steps.h). */
static bool check_anchor(Verifier *v, const Node *n)
{
    if (v->id == 1 || n[-1].group != n->group)
        v->anchor = 0;
    if (!n->group || !node_is_whole(n))
        return true;
    if (v->anchor)
        return fail(v,
                    "its group has %%%u already, which no generic kernel "
                    "computes either",
                    v->anchor);
    v->anchor = v->id;
    return true;
}

/* A group that begins here must not have been before. */
static bool check_group(Verifier *v, const Node *n)
{
    if (!n->group || n[-1].group == n->group)
        return true;
    uint64_t hash = hash_number(0, n->group);
    if (hash_find(&v->group, hash, same_group, v))
        return fail(v, "group %u is in several pieces", n->group);
    hash_add(&v->group, v->scratch, hash, v->id);
    return true;
}

static bool check_node(Verifier *v)
{
    const Node *n = &v->g->node[v->id];
    if (!n->op)
        return fail(v, "a node without an op");
    if (n->loc >= v->g->module->n_locs)
        return fail(v, "a location that the module does not have");
    return check_operands(v, n) && check_attrs(v, n) && check_types(v, n) &&
           check_group(v, n) && check_anchor(v, n) && check_ends(v, n);
}

bool graph_verify(const Graph *g, Error *e)
{
    Verifier v = {.g = g, .error = e, .scratch = arena_new()};
    bool ok = true;
    for (v.id = 1; ok && v.id < g->n_nodes; v.id++)
        ok = check_node(&v);
    arena_free(v.scratch);
    return ok;
}

/* ---- layouts ------------------------------------------------------------ */

static bool check_layouts(const Graph *g, Error *e)
{
    Verifier v = {.g = g, .error = e};
    for (v.id = 1; v.id < g->n_nodes; v.id++) {
        const Node *n = &g->node[v.id];
        if (node_is(n, &op_update) &&
            !check_state(&v, node_string(n, "name"), graph_type(g, n->in[0]),
                         true))
            return false;
    }
    return true;
}

bool module_verify_layouts(const Module *m, Error *e)
{
    for (size_t i = 0; i < m->n_graphs; i++)
        if (!check_layouts(m->graph[i], e))
            return false;
    return true;
}

/* ---- modules ------------------------------------------------------------ */

static bool check_entry(const Module *m, const State *s, Error *e)
{
    if (!type_fits(&s->type))
        return error_set(e, "state %.100s: its type is not valid", s->name);
    if (s->loc >= m->n_locs)
        return error_set(e, "state %.100s: its location is not there", s->name);
    if (!isfinite(s->init_a) || !isfinite(s->init_b))
        return error_set(e, "state %.100s: its start is not finite", s->name);
    if ((s->init == INIT_NORMAL && s->init_b < 0) ||
        (s->init == INIT_PATCHES &&
         (s->init_a <= 0 || s->init_b < 0 || s->type.rank != 4)) ||
        (s->init == INIT_UNIFORM && s->init_b < s->init_a))
        return error_set(e,
                         "state %.100s: %.9g and %.9g do not describe a "
                         "distribution",
                         s->name, s->init_a, s->init_b);
    if (s->role != STATE_SLOT && *s->of)
        return error_set(e, "state %.100s: only a slot is of a parameter",
                         s->name);
    if (*s->of && module_state(m, s->of) < 0)
        return error_set(e, "state %.100s: there is no state \"%.100s\"",
                         s->name, s->of);
    return true;
}

bool module_verify(const Module *m, Error *e)
{
    for (size_t i = 0; i < m->n_states; i++)
        if (!check_entry(m, &m->state[i], e))
            return false;
    for (size_t i = 0; i < m->n_graphs; i++) {
        const Graph *g = m->graph[i];
        if (g->module != m || module_graph(m, g->name) != g)
            return error_set(e, "graph %.100s is not its module's", g->name);
        if (!graph_verify(g, e))
            return false;
    }
    return true;
}
