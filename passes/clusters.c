/* clusters.c: which nodes become one kernel.
 *
 * Every node starts alone.  A value and its user are then taken together where
 * one nest of loops can compute both:
 *
 *     value        user            what comes out
 *     an element   an element      one pass; reductions must be alike
 *     a sum        an element      an element a row, once the row is summed
 *     an element   an element      the first one once a row, where the second
 *                  a row           is and the first does not reduce
 *     a sum,       an element      the row is gone over once more; for rows
 *     broadcast                    that stay in the cache
 *
 * A computed value is never read through any other view from within its own
 * kernel: it would be computed again for each element that reads it.  Nodes are
 * only merged where no path between them leads through a third kernel (dag.h).
 * Reductions of the same data alike go together even where neither needs the
 * other.
 *
 * Greedy, from the end of the graph: deterministic and nearly linear. */
#include "fuse.h"
#include "hash.h"
#include "passes.h"
#include <string.h>

enum {
    MOST_NODES = 256,         /* of a kernel: compile time */
    MOST_VIEWS = 32,          /* views of views that cost nothing */
    SMALL_DOMAIN = 32 * 1024, /* elements that stay in the cache anyway */
    SHORT_ROW = 16 * 1024,    /* elements of a row that does */
    MANY_USERS = 1 << 20      /* one that needs it in memory counts as many */
};

/* ---- what the nodes are ------------------------------------------------- */

bool cluster_holds(const Clusters *c, uint32_t id)
{
    const Node *n = &c->g->node[id];
    return !c->free[id] && !node_has(n, T_SOURCE) && !node_has(n, T_ROOT);
}

bool cluster_computes(const Clusters *c, uint32_t id)
{
    return cluster_holds(c, id) && node_is_generic(&c->g->node[id]) &&
           !node_has(&c->g->node[id], T_VIEW);
}

static void find_free(Clusters *c)
{
    const Graph *g = c->g;
    uint8_t *views = arena_array(c->arena, g->n_nodes, sizeof *views);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        if (!node_is_generic(n) || node_has(n, T_RANDOM))
            continue;
        if (n->n_in == 1 && node_has(n, T_VIEW))
            views[id] = (uint8_t)(views[n->in[0].node] + 1);
        c->free[id] = n->n_in == 0 || (views[id] && views[id] < MOST_VIEWS);
        if (!c->free[id])
            views[id] = 0;
    }
}

/* What nothing but updates is computed from. */
static void find_updates(Clusters *c)
{
    const Graph *g = c->g;
    bool *needed = arena_array(c->arena, g->n_nodes, sizeof *needed);
    for (uint32_t id = g->n_nodes - 1; id > 0; id--) {
        const Node *n = &g->node[id];
        bool root = node_has(n, T_ROOT);
        bool needs = root ? strcmp(n->op->name, "update") != 0
                          : needed[id] || !node_is_generic(n);
        for (uint32_t i = 0; needs && i < n->n_in; i++)
            needed[n->in[i].node] = true;
        c->updates[id] =
            !needed[id] && cluster_computes(c, id) && !node_has(n, T_REDUCE);
    }
}

/* How many nodes use each node, itself or through views. */
static void find_users(Clusters *c)
{
    const Graph *g = c->g;
    for (uint32_t id = g->n_nodes - 1; id > 0; id--) {
        const Node *n = &g->node[id];
        uint32_t users = c->free[id] ? c->users[id] : 1;
        if (node_has(n, T_ROOT) || !(c->free[id] || cluster_computes(c, id)))
            users = MANY_USERS;
        for (uint32_t i = 0; i < n->n_in; i++) {
            uint32_t *sum = &c->users[n->in[i].node];
            *sum = *sum + users < MANY_USERS ? *sum + users : MANY_USERS;
        }
    }
}

Operand cluster_operand(const Clusters *c, Value v)
{
    Operand o = {v, REACH_SAME, 0};
    while (o.base.out == 0 && c->free[o.base.node] &&
           c->g->node[o.base.node].n_in) {
        const Node *view = graph_node(c->g, o.base);
        bool ordered = o.reach == REACH_SAME || o.reach == REACH_ORDER;
        if (ordered && view_keeps_order(view, graph_type(c->g, view->in[0]))) {
            if (!node_is(view, &op_widen))
                o.reach = REACH_ORDER;
        } else if (o.reach == REACH_SAME &&
                   !strcmp(view->op->name, "broadcast")) {
            o.reach = REACH_SPREAD;
            o.spread = o.base.node;
        } else {
            o.reach = REACH_ELSEWHERE;
        }
        o.base = view->in[0];
    }
    return o;
}

static void start_cluster(Clusters *c, uint32_t id)
{
    const Node *n = &c->g->node[id];
    c->cluster[id] = (Cluster){.reduction = node_has(n, T_REDUCE) ? id : 0,
                               .first = id,
                               .last = id,
                               .count = 1,
                               .reshaped = node_has(n, T_RESHAPE),
                               .updates = c->updates[id]};
    for (uint32_t i = 0; i < n->n_in; i++) {
        uint32_t base = cluster_operand(c, n->in[i]).base.node;
        if (cluster_holds(c, base))
            dag_add_edge(&c->dag, base, id);
    }
}

/* ---- reductions --------------------------------------------------------- */

static const Type *reduced_type(const Graph *g, uint32_t reduction)
{
    return graph_type(g, g->node[reduction].in[0]);
}

/* Over the same dimensions of the same shape? */
static bool reduce_alike(const Graph *g, uint32_t a, uint32_t b)
{
    if (!a || !b)
        return false;
    return type_same_shape(reduced_type(g, a), reduced_type(g, b)) &&
           attr_equal(node_attr(&g->node[a], "axes"),
                      node_attr(&g->node[b], "axes"));
}

/* Are its rows short, and neighbours in memory, so that going over a row again
 * finds it in the cache? */
static bool has_short_rows(const Graph *g, uint32_t reduction)
{
    const Type *t = reduced_type(g, reduction);
    int n;
    const int64_t *axes = node_ints(&g->node[reduction], "axes", &n);
    if (type_elements(t) <= SMALL_DOMAIN)
        return true;
    int64_t row = 1;
    for (int i = 0; i < n; i++)
        row *= t->dim[axes[i]];
    for (int place = t->rank - n; place < t->rank; place++) {
        bool reduced = false;
        for (int i = 0; i < n; i++)
            reduced |= axes[i] == layout_dim(t->layout, t->rank, place);
        if (!reduced)
            return false;
    }
    return row <= SHORT_ROW;
}

/* Does the broadcast put back what the reduction took? */
static bool undoes(const Graph *g, uint32_t broadcast, uint32_t reduction)
{
    const Node *b = &g->node[broadcast], *r = &g->node[reduction];
    const Type *t = reduced_type(g, reduction);
    if (!type_same_shape(&b->type[0], t))
        return false;
    int n_dims, n_axes, d = 0, a = 0;
    const int64_t *dims = node_ints(b, "dims", &n_dims);
    const int64_t *axes = node_ints(r, "axes", &n_axes);
    for (int i = 0; i < t->rank; i++)
        if (d < n_dims && dims[d] == i)
            d++;
        else if (a < n_axes && axes[a] == i)
            a++;
        else
            return false;
    return d == n_dims && a == n_axes;
}

/* ---- may a value and its user go together? ------------------------------ */

typedef struct Pair {
    uint32_t value, user;     /* nodes */
    const Cluster *from, *to; /* their clusters */
    Operand operand;
    bool from_becomes_rows, to_becomes_rows;
} Pair;

static bool once_a_row(const Clusters *c, uint32_t id)
{
    return c->row[id] || node_has(&c->g->node[id], T_REDUCE);
}

static bool fits_in_place(const Clusters *c, Pair *p)
{
    bool value_row = once_a_row(c, p->value);
    bool user_row = c->row[p->user]; /* a reduction reads elements */
    bool same = p->operand.reach == REACH_SAME;
    uint32_t from = p->from->reduction, to = p->to->reduction;
    if (value_row == user_row)
        return !from || !to || reduce_alike(c->g, from, to);
    if (value_row) {
        p->to_becomes_rows = true;
        return !to && same && !p->to->reshaped;
    }
    p->from_becomes_rows = true;
    return !from && same && !p->from->reshaped;
}

static bool fits_spread(const Clusters *c, const Pair *p)
{
    uint32_t from = p->from->reduction, to = p->to->reduction;
    return from && once_a_row(c, p->value) && !c->row[p->user] &&
           undoes(c->g, p->operand.spread, from) &&
           has_short_rows(c->g, from) && (!to || reduce_alike(c->g, from, to));
}

static bool is_state(const Graph *g, Value v)
{
    return !strcmp(graph_node(g, v)->op->name, "state");
}

static bool reads(const Clusters *c, const Cluster *k, Value v)
{
    for (uint32_t id = k->first; id; id = c->next[id])
        for (uint32_t i = 0; i < c->g->node[id].n_in; i++)
            if (value_equal(cluster_operand(c, c->g->node[id].in[i]).base, v))
                return true;
    return false;
}

static bool reads_same_state(const Clusters *c, const Cluster *a,
                             const Cluster *b)
{
    for (uint32_t id = a->first; id; id = c->next[id])
        for (uint32_t i = 0; i < c->g->node[id].n_in; i++) {
            Value v = cluster_operand(c, c->g->node[id].in[i]).base;
            if (is_state(c->g, v) && reads(c, b, v))
                return true;
        }
    return false;
}

/* A kernel with reductions cannot write a state's new value over the old one
 * that it also reads for something else (step_may_overwrite). */
static bool spoils_update(const Clusters *c, const Cluster *a, const Cluster *b)
{
    return (a->updates || b->updates) && (a->reduction || b->reduction) &&
           reads_same_state(c, a, b);
}

/* ---- merging ------------------------------------------------------------ */

Cluster *cluster_of(Clusters *c, uint32_t id)
{
    return &c->cluster[dag_find(&c->dag, id)];
}

/* Does cluster k read a value of node `of`'s cluster in a way that one kernel
 * with this reduction could not?  A pair that fits does not say that all do. */
static bool reads_amiss(Clusters *c, const Cluster *k, uint32_t of,
                        uint32_t reduction)
{
    for (uint32_t id = k->first; id; id = c->next[id])
        for (uint32_t i = 0; i < c->g->node[id].n_in; i++) {
            Operand o = cluster_operand(c, c->g->node[id].in[i]);
            if (!cluster_computes(c, o.base.node) ||
                dag_find(&c->dag, o.base.node) != dag_find(&c->dag, of))
                continue;
            if (o.reach == REACH_ELSEWHERE ||
                (o.reach == REACH_SPREAD &&
                 !(reduction && undoes(c->g, o.spread, reduction))))
                return true;
        }
    return false;
}

bool cluster_merge(Clusters *c, uint32_t a, uint32_t b)
{
    Cluster x = *cluster_of(c, a), y = *cluster_of(c, b);
    uint32_t reduction = x.reduction ? x.reduction : y.reduction;
    if (x.first == y.first || x.count + y.count > MOST_NODES ||
        (x.anchor && y.anchor) || spoils_update(c, &x, &y) ||
        reads_amiss(c, &x, b, reduction) || reads_amiss(c, &y, a, reduction) ||
        !dag_merge(&c->dag, a, b))
        return false;
    c->next[x.last] = y.first;
    *cluster_of(c, a) = (Cluster){
        .reduction = reduction,
        .anchor = x.anchor ? x.anchor : y.anchor,
        .first = x.first,
        .last = y.last,
        .count = x.count + y.count,
        .reshaped = x.reshaped || y.reshaped,
        .updates = x.updates || y.updates,
    };
    return true;
}

void cluster_gather(Clusters *c, Gathering *x, uint32_t id, int64_t bytes)
{
    if (x->group && x->bytes + bytes <= x->most_bytes &&
        cluster_of(c, x->group)->count + cluster_of(c, id)->count <=
            x->most_members &&
        cluster_merge(c, x->group, id)) {
        x->bytes += bytes;
        return;
    }
    x->group = id;
    x->bytes = bytes;
}

static void try_pair(Clusters *c, uint32_t user, Operand operand)
{
    uint32_t value = operand.base.node;
    if (!cluster_computes(c, value) ||
        dag_find(&c->dag, value) == dag_find(&c->dag, user))
        return;
    Pair p = {.value = value, .user = user, .operand = operand};
    p.from = cluster_of(c, value);
    p.to = cluster_of(c, user);
    bool in_place = operand.reach == REACH_SAME || operand.reach == REACH_ORDER;
    if (in_place ? !fits_in_place(c, &p)
                 : operand.reach != REACH_SPREAD || !fits_spread(c, &p))
        return;
    Cluster from = *p.from, to = *p.to; /* their lists, before the merge */
    uint32_t last_from = from.last, last_to = to.last;
    if (!cluster_merge(c, value, user))
        return;
    if (operand.reach == REACH_ORDER)
        cluster_of(c, value)->reshaped = true;
    const Cluster *rows = p.from_becomes_rows ? &from
                          : p.to_becomes_rows ? &to
                                              : NULL;
    if (!rows)
        return;
    uint32_t last = p.from_becomes_rows ? last_from : last_to;
    for (uint32_t id = rows->first;; id = c->next[id]) {
        c->row[id] = true;
        if (id == last)
            break;
    }
}

/* Which pairs of a value and its user have their turn. */
typedef enum Turn {
    TURN_UPDATES,  /* both needed by updates alone: an optimizer's step */
    TURN_ONE_USER, /* together the value need not be in memory */
    TURN_SEVERAL,  /* perhaps then */
    TURN_ALL       /* it has to be; one read is saved */
} Turn;

static bool has_turn(const Clusters *c, Turn turn, uint32_t value,
                     uint32_t user)
{
    switch (turn) {
    case TURN_UPDATES:
        return c->updates[value] && c->updates[user];
    case TURN_ONE_USER:
        return c->users[value] == 1;
    case TURN_SEVERAL:
        return c->users[value] < MANY_USERS;
    case TURN_ALL:
        return true;
    }
    return false;
}

/* A half value as float32 for a library call: computed where the value is, it
 * would lie in memory in both types. */
static bool is_widened(const Clusters *c, uint32_t id)
{
    const Node *n = &c->g->node[id];
    return node_is(n, &op_copy) &&
           node_is(graph_node(c->g, n->in[0]), &op_widen);
}

/* From the last user to the first: what is computed on the way to a user is
 * computed there, from values that have to be in memory anyway. */
static void merge_pairs(Clusters *c, Turn turn)
{
    for (uint32_t id = c->g->n_nodes - 1; id > 0; id--) {
        const Node *n = &c->g->node[id];
        if (!cluster_computes(c, id) || is_widened(c, id))
            continue;
        for (uint32_t i = 0; i < n->n_in; i++) {
            Operand o = cluster_operand(c, n->in[i]);
            if (has_turn(c, turn, o.base.node, id))
                try_pair(c, id, o);
        }
    }
}

/* ---- reductions of the same data ---------------------------------------- */

typedef struct Read {
    Value base;
    uint32_t reduction; /* how the cluster that reads it reduces */
    uint32_t node;      /* of that cluster */
} Read;

typedef struct Reads {
    const Graph *g;
    HashTable table;
    Read *read; /* read[0] is unused */
    size_t n, cap;
    const Read *key;
} Reads;

static bool same_read(const void *key, uint32_t id)
{
    const Reads *r = key;
    const Read *a = r->key, *b = &r->read[id];
    return value_equal(a->base, b->base) &&
           reduce_alike(r->g, a->reduction, b->reduction);
}

static uint64_t hash_read(const Graph *g, const Read *r)
{
    const Type *t = reduced_type(g, r->reduction);
    uint64_t h = hash_number(r->base.node, r->base.out);
    h = hash_bytes(h, t->dim, sizeof t->dim);
    int n;
    const int64_t *axes = node_ints(&g->node[r->reduction], "axes", &n);
    return hash_bytes(h, axes, (size_t)n * sizeof *axes);
}

/* Does node id go over all elements of what the operand comes from? */
static bool reads_all(const Clusters *c, uint32_t id, Operand o)
{
    return (o.reach == REACH_SAME || o.reach == REACH_ORDER) && !c->row[id] &&
           !(c->free[o.base.node] && o.base.out == 0);
}

static void merge_siblings(Clusters *c)
{
    Reads r = {.g = c->g};
    ARENA_PUSH(c->arena, r.read, r.n, r.cap, (Read){0});
    for (uint32_t id = 1; id < c->g->n_nodes; id++) {
        const Node *n = &c->g->node[id];
        if (!cluster_computes(c, id) || !cluster_of(c, id)->reduction)
            continue;
        for (uint32_t i = 0; i < n->n_in; i++) {
            Operand o = cluster_operand(c, n->in[i]);
            if (!reads_all(c, id, o))
                continue;
            Read key = {o.base, cluster_of(c, id)->reduction, id};
            uint64_t h = hash_read(c->g, &key);
            r.key = &key;
            uint32_t known = hash_find(&r.table, h, same_read, &r);
            if (known) {
                cluster_merge(c, r.read[known].node, id);
                continue;
            }
            ARENA_PUSH(c->arena, r.read, r.n, r.cap, key);
            hash_add(&r.table, c->arena, h, (uint32_t)r.n - 1);
        }
    }
}

/* ---- all of it ---------------------------------------------------------- */

void clusters_start(Clusters *c, const Graph *g, Arena *a)
{
    uint32_t n = g->n_nodes;
    *c = (Clusters){.g = g, .arena = a};
    dag_init(&c->dag, a, n);
    c->free = arena_array(a, n, sizeof *c->free);
    c->updates = arena_array(a, n, sizeof *c->updates);
    c->row = arena_array(a, n, sizeof *c->row);
    c->next = arena_array(a, n, sizeof *c->next);
    c->cluster = arena_array(a, n, sizeof *c->cluster);
    c->users = arena_array(a, n, sizeof *c->users);
    find_free(c);
    find_updates(c);
    find_users(c);
    for (uint32_t id = 1; id < n; id++)
        if (cluster_holds(c, id))
            start_cluster(c, id);
}

void clusters_find(Clusters *c)
{
    for (Turn turn = TURN_UPDATES; turn <= TURN_ALL; turn++)
        merge_pairs(c, turn);
    merge_siblings(c);
    merge_pairs(c, TURN_ALL);
}
