/* lower.c: a step's nodes as a kernel: nests of loops and what they store.
 *
 * Results that come from reductions over the same axes of the same shape, and
 * results with as many elements as that shape, make one nest; the others go
 * together by shape.  A dimension of a nest may be split into several loops,
 * so that a value of another shape (through a reshape) is still reached by an
 * affine index:
 *
 *     f32[128,16] reshaped to [16,8,16]: loops of 16, 8 and 16
 *     cuts, elements between neighbours:   128, 16, 1
 */
#include "lower.h"
#include <assert.h>
#include <string.h>

/* ---- what a result is computed from ------------------------------------- */

typedef struct Cone {
    uint32_t *node; /* ids, without what is read from memory */
    size_t n, cap;
    HashTable seen;
} Cone;

static bool cone_same(const void *key, uint32_t id)
{
    return *(const uint32_t *)key + 1 == id;
}

static void cone_add(Lower *l, Cone *c, Value v)
{
    if (lower_operand(l, v) != UINT32_MAX)
        return;
    uint64_t hash = hash_number(0, v.node);
    if (hash_find(&c->seen, hash, cone_same, &(uint32_t){v.node}))
        return;
    hash_add(&c->seen, l->arena, hash, v.node + 1);
    ARENA_PUSH(l->arena, c->node, c->n, c->cap, v.node);
}

static Cone cone_of(Lower *l, Value v)
{
    Cone c = {0};
    cone_add(l, &c, v);
    for (size_t i = 0; i < c.n; i++) {
        const Node *n = &l->g->node[c.node[i]];
        for (uint32_t k = 0; k < n->n_in; k++)
            cone_add(l, &c, n->in[k]);
    }
    return c;
}

/* ---- domains ------------------------------------------------------------ */

static int64_t domain_elements(const Domain *d)
{
    int64_t n = 1;
    for (int i = 0; i < d->rank; i++)
        n *= d->dim[i];
    return n;
}

static Domain domain_of_shape(const Type *t)
{
    Domain d = {.rank = t->rank};
    memcpy(d.dim, t->dim, sizeof d.dim);
    return d;
}

static Domain domain_of_reduction(const Lower *l, const Node *n)
{
    Domain d = domain_of_shape(graph_type(l->g, n->in[0]));
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    for (int i = 0; i < count; i++)
        d.reduced[axes[i]] = true;
    d.has_reductions = true;
    return d;
}

static bool domain_equal(const Domain *a, const Domain *b)
{
    return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof a->dim) &&
           !memcmp(a->reduced, b->reduced, sizeof a->reduced) &&
           a->has_reductions == b->has_reductions;
}

/* Keeps the cuts a chain: ascending, each dividing the next. */
static void domain_add_cut(Lower *l, Domain *d, int64_t cut)
{
    size_t at = 0;
    while (at < d->n_cuts && d->cut[at] < cut)
        at++;
    bool known = at < d->n_cuts && d->cut[at] == cut;
    bool fits = (!at || cut % d->cut[at - 1] == 0) &&
                (at == d->n_cuts || d->cut[at] % cut == 0);
    if (known || !fits)
        return;
    ARENA_PUSH(l->arena, d->cut, d->n_cuts, d->cap_cuts, 0);
    memmove(&d->cut[at + 1], &d->cut[at],
            (d->n_cuts - 1 - at) * sizeof *d->cut);
    d->cut[at] = cut;
}

static void domain_add_shape(Lower *l, Domain *d, int rank, const int64_t *dim)
{
    int64_t cut = 1;
    for (int i = rank - 1; i >= 0; i--) {
        domain_add_cut(l, d, cut);
        cut *= dim[i];
    }
    domain_add_cut(l, d, cut);
}

/* Can a result of this shape be stored from the domain's loops, after some of
 * them are split? */
static bool domain_holds(Lower *l, Domain *d, const Type *t)
{
    if (type_elements(t) != domain_elements(d))
        return false;
    Domain with = *d;
    with.cut = NULL;
    with.n_cuts = with.cap_cuts = 0;
    for (size_t i = 0; i < d->n_cuts; i++)
        domain_add_cut(l, &with, d->cut[i]);
    domain_add_shape(l, &with, t->rank, t->dim);
    int64_t cut = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        bool found = false;
        for (size_t c = 0; c < with.n_cuts; c++)
            found |= with.cut[c] == cut;
        if (!found)
            return false;
        cut *= t->dim[i];
    }
    *d = with;
    return true;
}

/* Shapes between which the cone reshapes. */
static void domain_add_reshapes(Lower *l, Domain *d, const Cone *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const Node *n = &l->g->node[c->node[i]];
        if (!node_has(n, T_RESHAPE) ||
            type_elements(&n->type[0]) != domain_elements(d))
            continue;
        const Type *from = graph_type(l->g, n->in[0]);
        domain_add_shape(l, d, n->type[0].rank, n->type[0].dim);
        domain_add_shape(l, d, from->rank, from->dim);
    }
}

/* ---- which results go together ------------------------------------------ */

typedef struct Domains {
    Domain *domain;
    size_t n, cap;
} Domains;

static Domain *domains_add(Lower *l, Domains *all, Domain d)
{
    domain_add_shape(l, &d, d.rank, d.dim);
    ARENA_PUSH(l->arena, all->domain, all->n, all->cap, d);
    return &all->domain[all->n - 1];
}

static Domain *domains_find(Lower *l, Domains *all, Domain d)
{
    for (size_t i = 0; i < all->n; i++)
        if (domain_equal(&all->domain[i], &d))
            return &all->domain[i];
    return domains_add(l, all, d);
}

/* The domain that all reductions of a cone agree on; NULL with an error. */
static Domain *domain_of_cone(Lower *l, Domains *all, const Cone *c)
{
    Domain first = {0};
    for (size_t i = 0; i < c->n; i++) {
        const Node *n = &l->g->node[c->node[i]];
        if (!node_has(n, T_REDUCE))
            continue;
        Domain d = domain_of_reduction(l, n);
        if (first.has_reductions && !domain_equal(&first, &d)) {
            error_set(l->error,
                      "%s: reductions over different shapes or axes are in "
                      "one kernel",
                      n->op->name);
            return NULL;
        }
        first = d;
    }
    return domains_find(l, all, first);
}

static bool cone_reduces(const Lower *l, const Cone *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (node_has(&l->g->node[c->node[i]], T_REDUCE))
            return true;
    return false;
}

/* A domain that a result without reductions can be stored from. */
static Domain *domain_of_plain(Lower *l, Domains *all, const Type *t)
{
    for (size_t i = 0; i < all->n; i++)
        if (domain_holds(l, &all->domain[i], t))
            return &all->domain[i];
    return domains_add(l, all, domain_of_shape(t));
}

static bool assign_outputs(Lower *l, Domains *all, const Value *out, uint32_t n)
{
    for (int reducing = 1; reducing >= 0; reducing--)
        for (uint32_t i = 0; i < n; i++) {
            Cone c = cone_of(l, out[i]);
            if (cone_reduces(l, &c) != reducing)
                continue;
            Domain *d = reducing
                            ? domain_of_cone(l, all, &c)
                            : domain_of_plain(l, all, graph_type(l->g, out[i]));
            if (!d)
                return false;
            domain_add_reshapes(l, d, &c);
            ARENA_PUSH(l->arena, d->out, d->n_outs, d->cap_outs, out[i]);
        }
    return true;
}

/* ---- nests -------------------------------------------------------------- */

/* One loop between each two cuts within dimension d. */
static bool dimension_loops(Lower *l, Domain *d, int dim, int64_t stride)
{
    Index index = index_const(0);
    for (size_t c = 1; c < d->n_cuts; c++) {
        int64_t below = d->cut[c - 1];
        if (below < stride || d->cut[c] > stride * d->dim[dim])
            continue;
        uint32_t v =
            nest_add_var(l->nest, d->reduced[dim] ? VAR_REDUCED : VAR_KEPT,
                         d->cut[c] / below);
        if (!v)
            return error_set(l->error, "a kernel has too many loops");
        index = index_add(index, index_scale(index_var(v), below / stride));
    }
    d->index[dim] = index;
    return true;
}

static bool domain_loops(Lower *l, Domain *d)
{
    int64_t stride = domain_elements(d);
    for (int i = 0; i < d->rank; i++) {
        stride /= d->dim[i];
        if (!dimension_loops(l, d, i, stride))
            return false;
    }
    return true;
}

/* The index at which a nest stores a result. */
static bool store_index(Lower *l, const Type *t, Index *index, bool *row)
{
    Domain *d = l->domain;
    *row = type_elements(t) != domain_elements(d);
    int64_t dim[MAX_RANK];
    Index from[MAX_RANK];
    int rank = 0;
    int64_t elements = 1;
    for (int i = 0; i < d->rank; i++) {
        if (*row && d->reduced[i])
            continue;
        elements *= dim[rank] = d->dim[i];
        from[rank++] = d->index[i];
    }
    if (elements != type_elements(t))
        return error_set(l->error, "a result is neither a row's nor as large "
                                   "as the kernel around it");
    return lower_reshape(l, from, dim, rank, index, t->dim, t->rank) ||
           error_set(l->error, "a kernel needs too many index variables");
}

static bool nest_store(Lower *l, Value out, uint32_t buffer)
{
    const Type *t = graph_type(l->g, out);
    Index index[MAX_RANK];
    Store s = {.buffer = buffer};
    if (!store_index(l, t, index, &s.row))
        return false;
    s.expr = lower_pull(l, out, index, 0);
    if (!s.expr)
        return false;
    s.at = lower_place(t, index);
    Nest *n = l->nest;
    ARENA_PUSH(n->arena, n->store, n->n_stores, n->cap_stores, s);
    return true;
}

static uint32_t output_buffer(const Lower *l, const Value *out, Value v)
{
    uint32_t i = 0;
    while (!value_equal(out[i], v))
        i++;
    (void)l;
    return i;
}

static bool build_nest(Lower *l, Domain *d, const Value *out, Nest *n)
{
    *n = (Nest){.arena = l->arena, .n_vars = 1};
    ARENA_PUSH(n->arena, n->guard, n->n_guards, n->cap_guards, (Guard){0});
    ARENA_PUSH(n->arena, n->expr, n->n_exprs, n->cap_exprs, (Expr){0});
    l->nest = n;
    l->domain = d;
    l->pulled = (HashTable){0};
    l->pull = NULL;
    l->n_pulls = l->cap_pulls = 0;
    ARENA_PUSH(l->arena, l->pull, l->n_pulls, l->cap_pulls, (Pull){0});
    if (!domain_loops(l, d))
        return false;
    for (size_t i = 0; i < d->n_outs; i++)
        if (!nest_store(l, d->out[i], output_buffer(l, out, d->out[i])))
            return false;
    return true;
}

/* ---- the kernel --------------------------------------------------------- */

static void kernel_buffers(Lower *l, const Value *out, uint32_t n_out)
{
    KernelIr *k = l->kernel;
    const Step *s = l->step;
    k->n_out = n_out;
    k->n_buffers = n_out + s->n_in;
    k->buffer = arena_array(l->arena, k->n_buffers, sizeof *k->buffer);
    for (uint32_t i = 0; i < k->n_buffers; i++) {
        Value v = i < n_out ? out[i] : s->in[i - n_out];
        k->buffer[i] = (KernelBuffer){.value = v,
                                      .dtype = graph_type(l->g, v)->dtype,
                                      .written = i < n_out};
    }
    bool *over = arena_array(l->arena, (size_t)s->n_out + 1, sizeof *over);
    for (uint32_t i = 0; i < s->n_in; i++) {
        step_overwrites(l->g, s, s->in[i], over);
        for (uint32_t o = 0; o < s->n_out; o++)
            if (over[o])
                k->buffer[o].shared = k->buffer[n_out + i].shared = true;
    }
}

static KernelIr *lower_step(const Graph *g, const Step *s, const TileValue *t,
                            Arena *a, Error *e)
{
    KernelIr *k = arena_alloc(a, sizeof *k);
    Lower l = {
        .g = g, .step = s, .arena = a, .error = e, .kernel = k, .tile = t};
    /* An update that is a step copies its operand into the state. */
    const Value *out = s->out;
    uint32_t n_out = s->n_out;
    const Node *first = &g->node[s->first];
    if (node_has(first, T_ROOT) && !first->group) {
        out = first->in;
        n_out = 1;
    }
    kernel_buffers(&l, out, n_out);
    Domains all = {0};
    if (!assign_outputs(&l, &all, out, n_out))
        return NULL;
    k->nest = arena_array(a, all.n, sizeof *k->nest);
    k->n_nests = (uint32_t)all.n;
    for (size_t i = 0; i < all.n; i++) {
        if (!build_nest(&l, &all.domain[i], out, &k->nest[i]))
            return NULL;
        nest_arrange(&k->nest[i]);
        k->parts += k->nest[i].run.parts;
    }
    return k;
}

KernelIr *kernel_lower(const Graph *g, const Step *s, Arena *a, Error *e)
{
    return lower_step(g, s, NULL, a, e);
}

static bool is_before(Value a, Value b)
{
    return a.node < b.node || (a.node == b.node && a.out < b.out);
}

KernelIr *kernel_lower_after(const Graph *g, const Step *s, const TileValue *t,
                             Arena *a, Error *e)
{
    Step after = {.first = s->first, .last = s->last};
    after.in = arena_array(a, s->n_in + 1, sizeof *after.in);
    after.out = arena_array(a, s->n_out, sizeof *after.out);
    for (uint32_t i = 0; i < s->n_out; i++)
        if (!value_equal(s->out[i], t->value))
            after.out[after.n_out++] = s->out[i];
    bool placed = false; /* operands are in order */
    for (uint32_t i = 0; i < s->n_in; i++) {
        if (!placed && is_before(t->value, s->in[i])) {
            after.in[after.n_in++] = t->value;
            placed = true;
        }
        after.in[after.n_in++] = s->in[i];
    }
    if (!placed)
        after.in[after.n_in++] = t->value;
    return lower_step(g, &after, t, a, e);
}
