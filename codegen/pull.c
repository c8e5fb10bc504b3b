/* pull.c: a value at an index, as an expression of the kernel IR.
 *
 * Starting from what a nest stores, a value is asked for at an index: views
 * and reshapes change the index and ask their operand, elementwise ops ask all
 * their operands at the same index, what the step reads from memory becomes a
 * load there.  A value asked for twice at one index is one expression.
 */
#include "lower.h"
#include "template.h"
#include <assert.h>
#include <string.h>

enum { PULL_DEPTH = 1500 }; /* ops on a path within one kernel */

static uint32_t pull_fail(Lower *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static uint32_t pull_fail(Lower *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->error->text, sizeof l->error->text, format, args);
    va_end(args);
    return 0;
}

static uint32_t too_many_indices(Lower *l, const char *what)
{
    return pull_fail(l,
                     "%s: the kernel around it needs too many index "
                     "variables",
                     what);
}

uint32_t lower_operand(const Lower *l, Value v)
{
    for (uint32_t i = 0; i < l->step->n_in; i++)
        if (value_equal(l->step->in[i], v))
            return l->kernel->n_out + i;
    return UINT32_MAX;
}

Index lower_place(const Type *t, const Index *index)
{
    int64_t stride[MAX_RANK];
    type_strides(t, stride);
    Index place = index_const(0);
    for (int d = 0; d < t->rank; d++)
        place = index_add(place, index_scale(index[d], stride[d]));
    return place;
}

bool lower_reshape(Lower *l, const Index *from, const int64_t *from_dim,
                   int from_rank, Index *to, const int64_t *to_dim, int to_rank)
{
    Index rest = index_const(0);
    int64_t stride = 1;
    for (int d = from_rank - 1; d >= 0; d--) {
        rest = index_add(rest, index_scale(from[d], stride));
        stride *= from_dim[d];
    }
    for (int d = 0; d < to_rank; d++) {
        stride /= to_dim[d];
        if (!index_div(l->nest, &rest, stride, &to[d]) ||
            !index_mod(l->nest, &rest, stride, &rest))
            return false;
    }
    return true;
}

/* ---- expressions -------------------------------------------------------- */

static uint32_t pull_const(Lower *l, DType dtype, double value)
{
    return nest_add_expr(
        l->nest, (Expr){.kind = EXPR_CONST, .dtype = dtype, .value = value});
}

/* Where the element lies in the tile of the value, counted from where the
 * value's first one would. */
static Index tile_place(const TileValue *t, const Type *type,
                        const Index *index)
{
    int64_t stride[MAX_RANK];
    type_strides(type, stride);
    Index place = index_const(0);
    for (int d = 0; d < type->rank; d++) {
        int64_t step = stride[d] < t->channels
                           ? stride[d]
                           : stride[d] / t->channels * t->line;
        place = index_add(place, index_scale(index[d], step));
    }
    return place;
}

static uint32_t pull_load(Lower *l, Value v, uint32_t buffer,
                          const Index *index, uint32_t guards)
{
    const Type *t = graph_type(l->g, v);
    Expr e = {.kind = EXPR_LOAD,
              .dtype = t->dtype,
              .buffer = buffer,
              .guards = guards,
              .value = 1, /* under a guard nobody looks, but / 0 would trap */
              .at = lower_place(t, index)};
    if (l->tile && value_equal(v, l->tile->value))
        e.at = tile_place(l->tile, t, index);
    e.varies = index_varies(l->nest, &e.at, VAR_REDUCED) ||
               guards_vary(l->nest, guards, VAR_REDUCED);
    return nest_add_expr(l->nest, e);
}

static void expr_take(Nest *n, Expr *e)
{
    for (uint32_t i = 0; i < e->n_in; i++) {
        const Expr *x = &n->expr[e->in[i]];
        e->varies |= x->varies;
        if (e->level < x->level)
            e->level = x->level;
    }
}

static uint32_t pull_elementwise(Lower *l, const Node *n, const Index *index,
                                 uint32_t guards)
{
    const Type *t = &n->type[0];
    Expr e = {.kind = EXPR_OP, .dtype = t->dtype, .node = n, .n_in = n->n_in};
    e.in = arena_array(l->arena, n->n_in, sizeof *e.in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        e.in[i] = lower_pull(l, n->in[i], index, guards);
        if (!e.in[i])
            return 0;
    }
    if (template_uses(n->op->expr, "i")) {
        Type plain = type_make(t->dtype, t->rank, t->dim);
        e.at = lower_place(&plain, index);
    }
    if (template_uses(n->op->expr, "at"))
        e.along = index[node_int(n, "axis")];
    e.varies = index_varies(l->nest, &e.at, VAR_REDUCED) ||
               index_varies(l->nest, &e.along, VAR_REDUCED);
    expr_take(l->nest, &e);
    return nest_add_expr(l->nest, e);
}

/* ---- views -------------------------------------------------------------- */

/* A view of a view asks again what is known already. */
static bool is_guarded(const Nest *n, const Guard *wanted)
{
    for (uint32_t i = wanted->next; i; i = n->guard[i].next) {
        const Guard *g = &n->guard[i];
        if (index_equal(&g->t, &wanted->t) && g->limit <= wanted->limit &&
            g->by % wanted->by == 0)
            return true;
    }
    return false;
}

/* Index of operand dimension d; adds a guard where t / div may be outside. */
static bool view_index(Lower *l, const ViewMap *map, int d, int64_t dim,
                       const Index *index, int rank, uint32_t *guards,
                       Index *result)
{
    Index t = index_const(map->offset[d]);
    for (int k = 0; k < rank; k++)
        if (map->coef[d][k])
            t = index_add(t, index_scale(index[k], map->coef[d][k]));
    int64_t low, high, by = map->div[d];
    index_range(l->nest, &t, &low, &high);
    bool divides = t.offset % by == 0;
    for (int v = 0; v < KERNEL_VARS; v++)
        divides &= t.coef[v] % by == 0;
    if (low < 0 || high >= dim * by || !divides) {
        Nest *n = l->nest;
        Guard guard = {t, dim * by, divides ? 1 : by, *guards};
        if (!is_guarded(n, &guard)) {
            ARENA_PUSH(n->arena, n->guard, n->n_guards, n->cap_guards, guard);
            *guards = (uint32_t)n->n_guards - 1;
        }
    }
    return index_div(l->nest, &t, by, result);
}

static uint32_t pull_select(Lower *l, uint32_t x, uint32_t guards,
                            uint32_t outside, double fill)
{
    Expr e = l->nest->expr[x];
    if (e.kind == EXPR_LOAD && e.guards == guards && !outside) {
        e.value = fill; /* one load with its own fill value */
        return nest_add_expr(l->nest, e);
    }
    e = (Expr){.kind = EXPR_SELECT,
               .dtype = e.dtype,
               .guards = guards,
               .value = fill,
               .n_in = 1};
    e.in = arena_copy(l->arena, &x, sizeof x);
    e.varies = guards_vary(l->nest, guards, VAR_REDUCED);
    expr_take(l->nest, &e);
    return nest_add_expr(l->nest, e);
}

static uint32_t pull_view(Lower *l, const Node *n, const Index *index,
                          uint32_t guards)
{
    const Type *from = graph_type(l->g, n->in[0]);
    ViewMap *map = arena_alloc(l->arena, sizeof *map);
    *map = view_map(n, from);
    Index *inner = arena_array(l->arena, from->rank, sizeof *inner);
    uint32_t inside = guards;
    for (int d = 0; d < from->rank; d++)
        if (!view_index(l, map, d, from->dim[d], index, n->type[0].rank,
                        &inside, &inner[d]))
            return too_many_indices(l, n->op->name);
    uint32_t x = lower_pull(l, n->in[0], inner, inside);
    return x && inside != guards ? pull_select(l, x, inside, guards, map->fill)
                                 : x;
}

static uint32_t pull_reshape(Lower *l, const Node *n, const Index *index,
                             uint32_t guards)
{
    const Type *from = graph_type(l->g, n->in[0]);
    Index *inner = arena_array(l->arena, from->rank, sizeof *inner);
    if (!lower_reshape(l, index, n->type[0].dim, n->type[0].rank, inner,
                       from->dim, from->rank))
        return too_many_indices(l, n->op->name);
    return lower_pull(l, n->in[0], inner, guards);
}

/* ---- reductions --------------------------------------------------------- */

static bool is_row_index(const Lower *l, const Index *index)
{
    const Domain *d = l->domain;
    int kept = 0;
    for (int i = 0; i < d->rank; i++)
        if (!d->reduced[i] && !index_equal(&index[kept++], &d->index[i]))
            return false;
    return true;
}

static uint32_t find_reduction(const Nest *n, const Node *node)
{
    for (uint32_t i = 0; i < n->n_reductions; i++)
        if (n->reduction[i].node == node)
            return i;
    return UINT32_MAX;
}

static uint32_t pull_reduction(Lower *l, const Node *node, const Index *index)
{
    Nest *n = l->nest;
    if (!is_row_index(l, index))
        return pull_fail(l,
                         "%s: its result is used within its own kernel at "
                         "another place than its row",
                         node->op->name);
    uint32_t r = find_reduction(n, node);
    if (r == UINT32_MAX) {
        uint32_t of = lower_pull(l, node->in[0], l->domain->index, 0);
        if (!of)
            return 0;
        Reduction reduction = {node, of, n->expr[of].level};
        ARENA_PUSH(n->arena, n->reduction, n->n_reductions, n->cap_reductions,
                   reduction);
        r = (uint32_t)n->n_reductions - 1;
    }
    return nest_add_expr(n, (Expr){.kind = EXPR_REDUCTION,
                                   .dtype = node->type[0].dtype,
                                   .reduction = r,
                                   .level = n->reduction[r].level + 1});
}

/* ---- pulling ------------------------------------------------------------ */

static uint64_t pull_hash(const Pull *p)
{
    uint64_t h = hash_number(p->value.node, p->value.out);
    h = hash_number(h, p->guards);
    return hash_bytes(h, p->index, (size_t)p->rank * sizeof *p->index);
}

typedef struct PullKey {
    const Lower *l;
    const Pull *p;
} PullKey;

static bool pull_same(const void *key, uint32_t id)
{
    const PullKey *k = key;
    const Pull *a = k->p, *b = &k->l->pull[id];
    return value_equal(a->value, b->value) && a->guards == b->guards &&
           a->rank == b->rank &&
           !memcmp(a->index, b->index, (size_t)a->rank * sizeof *a->index);
}

static uint32_t pull_new(Lower *l, Value v, const Index *index, uint32_t guards)
{
    uint32_t operand = lower_operand(l, v);
    if (operand != UINT32_MAX)
        return pull_load(l, v, operand, index, guards);
    const Node *n = graph_node(l->g, v);
    if (!strcmp(n->op->name, "const"))
        return pull_const(l, n->type[0].dtype, node_float(n, "value"));
    if (node_has(n, T_ELEMENTWISE) && n->op->expr)
        return pull_elementwise(l, n, index, guards);
    if (node_has(n, T_RESHAPE))
        return pull_reshape(l, n, index, guards);
    if (node_has(n, T_VIEW) && n->op->map)
        return pull_view(l, n, index, guards);
    if (node_has(n, T_REDUCE) && n->op->start && n->op->combine)
        return pull_reduction(l, n, index);
    return pull_fail(l, "%s: no target code is known for this op", n->op->name);
}

uint32_t lower_pull(Lower *l, Value v, const Index *index, uint32_t guards)
{
    Pull p = {v, guards, 0, graph_type(l->g, v)->rank, (Index *)index};
    uint64_t hash = pull_hash(&p);
    uint32_t known = hash_find(&l->pulled, hash, pull_same, &(PullKey){l, &p});
    if (known)
        return l->pull[known].expr;
    if (l->depth == PULL_DEPTH)
        return pull_fail(l, "more than %d ops follow each other in one kernel",
                         PULL_DEPTH);
    l->depth++;
    p.expr = pull_new(l, v, index, guards);
    l->depth--;
    if (!p.expr)
        return 0;
    p.index = arena_copy(l->arena, index, (size_t)p.rank * sizeof *index);
    ARENA_PUSH(l->arena, l->pull, l->n_pulls, l->cap_pulls, p);
    hash_add(&l->pulled, l->arena, hash, (uint32_t)l->n_pulls - 1);
    return p.expr;
}
