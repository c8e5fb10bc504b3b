/* interp.c: see interp.h. */
#include "interp.h"
#include "build.h"
#include "plain.h"
#include "rewrite.h"
#include "rng.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct Interp {
    const Graph *g;
    Arena *arena;
    InterpMode mode;
    double **value; /* of node * MAX_OUT + out */
};

/* ---- values ------------------------------------------------------------- */

static double **slot(const Interp *i, Value v)
{
    return &i->value[v.node * MAX_OUT + v.out];
}

const double *interp_value(const Interp *i, Value v)
{
    return *slot(i, v);
}

/* Round to `bits` of mantissa, the leading one included; ties to even. */
static double round_bits(double v, int bits, int least_exponent)
{
    int e;
    if (v == 0 || !isfinite(v))
        return v;
    frexp(v, &e);
    int unit = (e > least_exponent ? e : least_exponent) - bits;
    return ldexp(nearbyint(ldexp(v, -unit)), unit);
}

double interp_rounded(double v, DType dtype)
{
    switch (dtype) {
    case DT_F16: {
        double r = round_bits(v, 11, -13);
        return fabs(r) > 65504 ? copysign(INFINITY, r) : r;
    }
    case DT_BF16: { /* float's range */
        double r = round_bits(v, 8, -125);
        return isfinite(r) ? (float)r : r;
    }
    case DT_F32:
        return (float)v;
    default:
        return v;
    }
}

static double kept(const Interp *i, double v, DType dtype)
{
    return i->mode == INTERP_ROUND ? interp_rounded(v, dtype) : v;
}

/* ---- sources and roots -------------------------------------------------- */

static const char *name_of(const Node *n)
{
    return n->op->attrs && !strcmp(n->op->attrs[0].name, "name")
               ? node_string(n, "name")
               : "";
}

double *interp_source(Interp *i, const char *name)
{
    for (uint32_t id = 1; id < i->g->n_nodes; id++)
        if (node_has(&i->g->node[id], T_SOURCE) &&
            !strcmp(name_of(&i->g->node[id]), name))
            return *slot(i, node_value(id, 0));
    return NULL;
}

Value interp_root_value(const Interp *i, const char *op, const char *name)
{
    for (uint32_t id = 1; id < i->g->n_nodes; id++) {
        const Node *n = &i->g->node[id];
        if (node_has(n, T_ROOT) && !strcmp(n->op->name, op) &&
            !strcmp(name_of(n), name))
            return n->in[0];
    }
    return NO_VALUE;
}

const double *interp_root(const Interp *i, const char *op, const char *name)
{
    Value v = interp_root_value(i, op, name);
    return v.node ? *slot(i, v) : NULL;
}

/* Several nodes may read one state: they share the value. */
Interp *interp_new(const Graph *g, Arena *a, InterpMode mode)
{
    Interp *i = arena_alloc(a, sizeof *i);
    *i = (Interp){g, a, mode, NULL};
    i->value = arena_array(a, (size_t)g->n_nodes * MAX_OUT, sizeof *i->value);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        double *known = NULL;
        if (node_has(n, T_SOURCE))
            known = interp_source(i, name_of(n));
        for (unsigned out = 0; out < n->n_out; out++)
            *slot(i, node_value(id, out)) =
                known ? known
                      : arena_array(a, (size_t)type_elements(&n->type[out]),
                                    sizeof *known);
    }
    return i;
}

/* ---- random values ------------------------------------------------------ */

double interp_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-52 - 1;
}

static void fill(const Interp *i, Value v, const char *name, uint64_t seed,
                 double low, double high)
{
    const Type *t = graph_type(i->g, v);
    uint64_t state = seed;
    for (const char *c = name; *c; c++)
        state = state * 131 + (unsigned char)*c;
    for (int64_t k = 0; k < type_elements(t); k++) {
        double unit = (interp_random(&state) + 1) / 2;
        double x = low + unit * (high - low);
        if (!dtype_is_float(t->dtype))
            x = floor(unit * (t->dtype == DT_BOOL ? 2 : 3));
        (*slot(i, v))[k] = kept(i, x, t->dtype);
    }
}

void interp_fill_source(Interp *i, const char *name, uint64_t seed, double low,
                        double high)
{
    for (uint32_t id = 1; id < i->g->n_nodes; id++)
        if (node_has(&i->g->node[id], T_SOURCE) &&
            !strcmp(name_of(&i->g->node[id]), name))
            fill(i, node_value(id, 0), name, seed, low, high);
}

void interp_fill(Interp *i, uint64_t seed)
{
    for (uint32_t id = 1; id < i->g->n_nodes; id++) {
        const Node *n = &i->g->node[id];
        if (!node_has(n, T_SOURCE))
            continue;
        const char *name = name_of(n);
        int state = module_state(i->g->module, name);
        const State *s = state < 0 ? NULL : &i->g->module->state[state];
        double low = -1, high = 1;
        if (s && node_is(n, &op_state) && s->init == INIT_CONST) {
            low = s->init_a - 0.5;
            high = s->init_a + 0.5;
        }
        fill(i, node_value(id, 0), name, seed, low, high);
    }
}

/* ---- one node ----------------------------------------------------------- */

static void unflatten(int64_t at, const Type *t, int64_t *index)
{
    for (int d = t->rank - 1; d >= 0; d--) {
        index[d] = at % t->dim[d];
        at /= t->dim[d];
    }
}

static double element(const Interp *i, const Node *n, const double *x,
                      int64_t at)
{
    if (node_is(n, &op_iota)) {
        int64_t index[MAX_RANK];
        unflatten(at, n->type, index);
        return (double)index[node_int(n, "axis")];
    }
    if (node_is(n, &op_random_uniform))
        return rng_unit(rng_u32((uint64_t)x[0], (uint32_t)node_int(n, "stream"),
                                (uint32_t)x[1], (uint64_t)at));
    if (node_is(n, &op_cast) && i->mode == INTERP_EXACT &&
        dtype_is_float(n->type->dtype))
        return x[0];
    return n->op->eval(n, x);
}

static void run_elementwise(const Interp *i, uint32_t id)
{
    const Node *n = &i->g->node[id];
    double x[8], *out = *slot(i, node_value(id, 0));
    assert(n->n_in <= 8 && n->n_out == 1);
    for (int64_t at = 0; at < type_elements(n->type); at++) {
        for (uint32_t k = 0; k < n->n_in; k++)
            x[k] = (*slot(i, n->in[k]))[at];
        out[at] = kept(i, element(i, n, x, at), n->type->dtype);
    }
}

static void run_view(const Interp *i, uint32_t id)
{
    const Node *n = &i->g->node[id];
    const Type *from = graph_type(i->g, n->in[0]);
    ViewMap map = view_map(n, from);
    int64_t index[MAX_RANK];
    for (int64_t at = 0; at < type_elements(n->type); at++) {
        unflatten(at, n->type, index);
        int64_t source = 0;
        bool inside = true;
        for (int d = 0; d < from->rank; d++) {
            int64_t t = map.offset[d];
            for (int k = 0; k < n->type->rank; k++)
                t += map.coef[d][k] * index[k];
            inside &=
                t >= 0 && t % map.div[d] == 0 && t / map.div[d] < from->dim[d];
            source = source * from->dim[d] + t / map.div[d];
        }
        (*slot(i, node_value(id, 0)))[at] =
            inside ? (*slot(i, n->in[0]))[source] : map.fill;
    }
}

static double folded(const char *op, double a, double x, bool first)
{
    if (!strcmp(op, "reduce_sum"))
        return first ? x : a + x;
    if (first || x != x)
        return x;
    return !strcmp(op, "reduce_max") ? (a < x ? x : a) : (a > x ? x : a);
}

static void run_reduce(const Interp *i, uint32_t id)
{
    const Node *n = &i->g->node[id];
    const Type *from = graph_type(i->g, n->in[0]);
    double *out = *slot(i, node_value(id, 0));
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    bool *seen = arena_array(i->arena, (size_t)type_elements(n->type), 1);
    int64_t index[MAX_RANK];
    for (int64_t at = 0; at < type_elements(from); at++) {
        unflatten(at, from, index);
        int64_t to = 0;
        for (int d = 0, next = 0; d < from->rank; d++)
            if (next < count && axes[next] == d)
                next++;
            else
                to = to * from->dim[d] + index[d];
        double x = (*slot(i, n->in[0]))[at];
        double sum = folded(n->op->name, out[to], x, !seen[to]);
        out[to] = kept(i, sum, n->type->dtype);
        seen[to] = true;
    }
}

static void run_plain(const Interp *i, uint32_t id, Plain *plain)
{
    const Node *n = &i->g->node[id];
    const Type **type = arena_array(i->arena, n->n_in, sizeof *type);
    const double **in = arena_array(i->arena, n->n_in, sizeof *in);
    for (uint32_t k = 0; k < n->n_in; k++) {
        type[k] = graph_type(i->g, n->in[k]);
        in[k] = *slot(i, n->in[k]);
    }
    for (unsigned out = 0; out < n->n_out; out++)
        memset(*slot(i, node_value(id, out)), 0,
               (size_t)type_elements(&n->type[out]) * sizeof **i->value);
    PlainCall c = {n, type, in, slot(i, node_value(id, 0))};
    plain(&c);
    for (unsigned out = 0; out < n->n_out; out++)
        for (int64_t k = 0; k < type_elements(&n->type[out]); k++) {
            double *v = &(*slot(i, node_value(id, out)))[k];
            *v = kept(i, *v, n->type[out].dtype);
        }
}

/* An op without loops of its own: a graph of what it expands into. */
static bool run_expanded(const Interp *i, uint32_t id, Error *e)
{
    const Node *n = &i->g->node[id];
    Graph *g = graph_new(i->g->module, "expanded");
    Value *in = arena_array(i->arena, n->n_in, sizeof *in), out[MAX_OUT];
    char name[16];
    for (uint32_t k = 0; k < n->n_in; k++) {
        snprintf(name, sizeof name, "x%u", k);
        in[k] = ir_input(g, name, graph_type(i->g, n->in[k]));
    }
    n->op->expand(g, n, in, out);
    Interp *inner = interp_new(g, i->arena, i->mode);
    for (uint32_t k = 0; k < n->n_in; k++)
        *slot(inner, in[k]) = *slot(i, n->in[k]);
    bool ok = interp_run(inner, e);
    for (unsigned k = 0; ok && k < n->n_out; k++)
        *slot(i, node_value(id, k)) = *slot(inner, out[k]);
    graph_free(g);
    return ok;
}

static bool run_node(const Interp *i, uint32_t id, Error *e)
{
    const Node *n = &i->g->node[id];
    Plain *plain = plain_named(n->op->name);
    if (node_has(n, T_SOURCE) || node_has(n, T_ROOT))
        return true;
    if (plain)
        run_plain(i, id, plain);
    else if (node_has(n, T_ELEMENTWISE))
        run_elementwise(i, id);
    else if (node_has(n, T_VIEW))
        run_view(i, id);
    else if (node_has(n, T_REDUCE))
        run_reduce(i, id);
    else if (node_has(n, T_RESHAPE))
        memcpy(*slot(i, node_value(id, 0)), *slot(i, n->in[0]),
               (size_t)type_elements(n->type) * sizeof **i->value);
    else if (n->op->expand)
        return run_expanded(i, id, e);
    else
        return error_set(e, "%%%u: no way to run %s", id, n->op->name);
    return true;
}

bool interp_run(Interp *i, Error *e)
{
    for (uint32_t id = 1; id < i->g->n_nodes; id++)
        if (!run_node(i, id, e))
            return false;
    return true;
}

/* ---- comparing ---------------------------------------------------------- */

double interp_distance(const double *a, const double *b, int64_t n)
{
    double most = 0, difference = 0;
    for (int64_t k = 0; k < n; k++) {
        if (a[k] == b[k] || (isnan(a[k]) && isnan(b[k])))
            continue;
        if (!isfinite(a[k]) || !isfinite(b[k]))
            return INFINITY;
        most = fmax(most, fabs(a[k]));
        difference = fmax(difference, fabs(a[k] - b[k]));
    }
    return difference / (1 + most);
}

static bool same_root(const Interp *a, const Interp *b, const Node *root,
                      double tolerance, Error *e)
{
    const char *op = root->op->name, *name = name_of(root);
    Value other = interp_root_value(b, op, name);
    if (!other.node)
        return error_set(e, "%s \"%s\" is gone", op, name);
    const Type *t = graph_type(a->g, root->in[0]);
    if (!type_same_shape(t, graph_type(b->g, other)))
        return error_set(e, "%s \"%s\" has another shape", op, name);
    double distance = interp_distance(*slot(a, root->in[0]), *slot(b, other),
                                      type_elements(t));
    if (distance <= tolerance)
        return true;
    return error_set(e, "%s \"%s\" differs by %g", op, name, distance);
}

bool interp_same(const Graph *a, const Graph *b, uint64_t seed,
                 double tolerance, Error *e)
{
    Arena *arena = arena_new();
    Interp *ia = interp_new(a, arena, INTERP_EXACT);
    Interp *ib = interp_new(b, arena, INTERP_EXACT);
    interp_fill(ia, seed);
    interp_fill(ib, seed);
    bool same = interp_run(ia, e) && interp_run(ib, e);
    for (uint32_t id = 1; same && id < a->n_nodes; id++)
        if (node_has(&a->node[id], T_ROOT))
            same = same_root(ia, ib, &a->node[id], tolerance, e);
    arena_free(arena);
    return same;
}

/* ---- expanding ---------------------------------------------------------- */

/* The generic kernel computes it (op.h), so nobody would expand it. */
static bool runs_alone(const Node *n)
{
    return node_has(n, T_ELEMENTWISE) || node_has(n, T_VIEW) ||
           node_has(n, T_REDUCE);
}

static bool expand_once(const Graph *from, Graph *to)
{
    bool any = false;
    Arena *a = to->arena;
    Value(*map)[MAX_OUT] = arena_array(a, from->n_nodes, sizeof *map);
    for (uint32_t id = 1; id < from->n_nodes; id++) {
        const Node *n = &from->node[id];
        Value *in = arena_array(a, n->n_in, sizeof *in);
        for (uint32_t k = 0; k < n->n_in; k++)
            in[k] = map[n->in[k].node][n->in[k].out];
        if (n->op->expand && !runs_alone(n)) {
            n->op->expand(to, n, in, map[id]);
            any = true;
            continue;
        }
        uint32_t now = graph_add_copy(to, n, in);
        for (unsigned out = 0; out < n->n_out; out++)
            map[id][out] = node_value(now, out);
    }
    return any;
}

Graph *interp_expand(const Graph *g)
{
    Graph *now = graph_new(g->module, g->name);
    bool more = expand_once(g, now);
    while (more) {
        Graph *next = graph_new(g->module, g->name);
        more = expand_once(now, next);
        graph_free(now);
        now = next;
    }
    return now;
}
