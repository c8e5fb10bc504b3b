/* graph.c: making graphs, adding nodes to them, and who uses what.
 *
 * graph_add is the one door by which a new node comes in: it checks operands
 * and attributes against the descriptor, fills defaults, and infers types. */
#include "op.h"
#include "scan.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool error_set(Error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return false;
}

Graph *graph_new(Module *m, const char *name)
{
    Arena *a = arena_new();
    Graph *g = arena_alloc(a, sizeof *g);
    g->arena = a;
    g->module = m;
    g->name = arena_strdup(a, name);
    ARENA_PUSH(a, g->node, g->n_nodes, g->cap_nodes, (Node){0});
    return g;
}

bool graph_trains(const Graph *g)
{
    return !strncmp(g->name, "train", 5) && strchr("_.", g->name[5]);
}

void graph_free(Graph *g)
{
    if (g)
        arena_free(g->arena);
}

/* ---- attributes --------------------------------------------------------- */

static const char *const kind_name[] = {
    [ATTR_INT] = "an integer",     [ATTR_FLOAT] = "a number",
    [ATTR_BOOL] = "true or false", [ATTR_STRING] = "a string",
    [ATTR_INTS] = "integers",      [ATTR_DTYPE] = "an element type"};

static int count_specs(const OpDesc *op)
{
    int n = 0;
    while (op->attrs && op->attrs[n].name)
        n++;
    return n;
}

static const Attr *given_attr(const char *name, const Attr *attr, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(attr[i].name, name))
            return &attr[i];
    return NULL;
}

/* A copy of what was given, whose payload lives in the arena. */
static bool copy_attr(Graph *g, const OpDesc *op, const AttrSpec *spec,
                      const Attr *from, Attr *to)
{
    to->name = spec->name;
    to->kind = spec->kind;
    if (spec->kind == ATTR_FLOAT && from->kind == ATTR_INT) {
        to->f = (double)from->i;
        return true;
    }
    if (from->kind != spec->kind)
        return error_set(&g->error, "%s: attribute %s must be %s", op->name,
                         spec->name, kind_name[spec->kind]);
    if (spec->kind == ATTR_STRING) {
        to->s = arena_strdup(g->arena, from->s);
    } else if (spec->kind == ATTR_INTS) {
        if (from->ints.n > 2 * MAX_RANK)
            return error_set(&g->error,
                             "%s: attribute %s has %d numbers, at "
                             "most %d are allowed",
                             op->name, spec->name, from->ints.n, 2 * MAX_RANK);
        to->ints.n = from->ints.n;
        to->ints.v = arena_copy(g->arena, from->ints.v,
                                (size_t)from->ints.n * sizeof *to->ints.v);
    } else {
        to->i = from->i;
        if (spec->kind == ATTR_FLOAT)
            to->f = from->f;
    }
    return true;
}

static bool default_attr(Graph *g, const OpDesc *op, const AttrSpec *spec,
                         Attr *to)
{
    to->name = spec->name;
    to->kind = spec->kind;
    if (!spec->value)
        return error_set(&g->error, "%s: attribute %s is missing", op->name,
                         spec->name);
    if (spec->kind == ATTR_STRING) { /* defaults of strings are unquoted */
        to->s = spec->value;
        return true;
    }
    Error e = {{0}};
    Scan s = scan_text(spec->value, &e);
    bool ok = scan_attr_value(&s, g->arena, to);
    assert(ok && "the default in the descriptor is of its kind");
    return ok;
}

static bool set_attrs(Graph *g, Node *n, const Attr *attr, int n_attr)
{
    const OpDesc *op = n->op;
    int n_specs = count_specs(op), used = 0;
    n->attr = arena_array(g->arena, (size_t)n_specs, sizeof *n->attr);
    for (int i = 0; i < n_specs; i++) {
        const AttrSpec *spec = &op->attrs[i];
        const Attr *from = given_attr(spec->name, attr, n_attr);
        used += from != NULL;
        if (from ? !copy_attr(g, op, spec, from, &n->attr[i])
                 : !default_attr(g, op, spec, &n->attr[i]))
            return false;
    }
    if (used == n_attr)
        return true;
    for (int i = 0; i < n_attr; i++) {
        if (given_attr(attr[i].name, attr, i))
            return error_set(&g->error, "%s: attribute %s is given twice",
                             op->name, attr[i].name);
        if (!attr_spec(op, attr[i].name, &g->error))
            return false;
    }
    return true;
}

/* ---- nodes -------------------------------------------------------------- */

static bool check_operand_count(Graph *g, const OpDesc *op, int n)
{
    if (n >= op->min_in && (n <= op->max_in || op->max_in == 255))
        return true;
    if (op->min_in == op->max_in)
        return error_set(&g->error, "%s takes %d operands, not %d", op->name,
                         op->min_in, n);
    if (n < op->min_in)
        return error_set(&g->error, "%s takes at least %d operands, not %d",
                         op->name, op->min_in, n);
    return error_set(&g->error, "%s takes at most %d operands, not %d",
                     op->name, op->max_in, n);
}

bool node_infer(const Graph *g, const Node *n, Type *out, Error *e)
{
    const Type *few[16], **in = few, **many = NULL;
    if (n->n_in > sizeof few / sizeof *few)
        in = many = calloc(n->n_in, sizeof *in);
    assert(in && "memory for a few pointers");
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = graph_type(g, n->in[i]);
    memset(out, 0, n->n_out * sizeof *out);
    e->text[0] = 0;
    Infer f = {g, n, in, out, e};
    bool ok = n->op->infer(&f);
    free(many);
    if (!ok)
        return false;
    for (int i = 0; i < n->n_out; i++)
        if (!type_fits(&out[i]))
            return error_set(e,
                             "%s: result %d would have a dimension below 1 or "
                             "more than 2^62 bytes",
                             n->op->name, i);
    return true;
}

static void assert_operands(const Graph *g, const Value *in, uint32_t n)
{
    (void)g;
    for (uint32_t i = 0; i < n; i++) {
        assert(in[i].node && in[i].node < g->n_nodes &&
               "an operand is a value of this graph");
        assert(in[i].out < g->node[in[i].node].n_out);
        (void)in;
    }
}

static uint32_t append(Graph *g, Node n)
{
    assert(g->n_nodes < UINT32_C(1) << 29);
    size_t count = g->n_nodes;
    ARENA_PUSH(g->arena, g->node, count, g->cap_nodes, n);
    g->n_nodes = (uint32_t)count;
    return g->n_nodes - 1;
}

uint32_t graph_add(Graph *g, const OpDesc *op, const Value *in, int n_in,
                   const Attr *attr, int n_attr)
{
    if (!check_operand_count(g, op, n_in))
        return 0;
    assert_operands(g, in, (uint32_t)n_in);
    Node n = {.op = op,
              .n_in = (uint32_t)n_in,
              .n_out = op->n_out,
              .loc = g->loc,
              .group = g->group};
    if (!set_attrs(g, &n, attr, n_attr))
        return 0;
    n.in = arena_copy(g->arena, in, (size_t)n_in * sizeof *in);
    n.type = arena_array(g->arena, n.n_out, sizeof *n.type);
    if (!node_infer(g, &n, n.type, &g->error))
        return 0;
    n.name = g->hint ? arena_strdup(g->arena, g->hint) : NULL;
    return append(g, n);
}

uint32_t graph_add_copy(Graph *g, const Node *from, const Value *in)
{
    assert_operands(g, in, from->n_in);
    Node n = *from;
    int n_specs = count_specs(n.op);
    n.attr = arena_copy(g->arena, n.attr, (size_t)n_specs * sizeof *n.attr);
    for (int i = 0; i < n_specs; i++)
        copy_attr(g, n.op, &n.op->attrs[i], &from->attr[i], &n.attr[i]);
    n.in = arena_copy(g->arena, in, n.n_in * sizeof *in);
    n.type = arena_copy(g->arena, n.type, n.n_out * sizeof *n.type);
    n.name = n.name ? arena_strdup(g->arena, n.name) : NULL;
    return append(g, n);
}

Uses graph_uses(const Graph *g, Arena *scratch)
{
    Uses u;
    u.start = arena_array(scratch, (size_t)g->n_nodes + 1, sizeof *u.start);
    uint32_t *last = arena_array(scratch, g->n_nodes, sizeof *last);
    /* start[i + 1] counts the users of i, each once: last[i] is the last user
     * counted. */
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (uint32_t i = 0; i < g->node[id].n_in; i++) {
            uint32_t from = g->node[id].in[i].node;
            u.start[from + 1] += last[from] != id;
            last[from] = id;
        }
    for (uint32_t id = 0; id < g->n_nodes; id++)
        u.start[id + 1] += u.start[id];
    u.user = arena_array(scratch, u.start[g->n_nodes], sizeof *u.user);
    uint32_t *next = arena_copy(scratch, u.start, g->n_nodes * sizeof *next);
    memset(last, 0, g->n_nodes * sizeof *last);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (uint32_t i = 0; i < g->node[id].n_in; i++) {
            uint32_t from = g->node[id].in[i].node;
            if (last[from] != id)
                u.user[next[from]++] = id;
            last[from] = id;
        }
    return u;
}
