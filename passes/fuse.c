/* fuse.c: nodes that become one kernel, next to each other and in one group.
 *
 * clusters.c decides which; here the graph is written anew, cluster after
 * cluster.  Constants and views cost nothing, so each kernel gets its own of
 * those that lie between two of its nodes; those that lead to memory stay
 * outside, where every kernel reads through them (steps.h).  A view or constant
 * that a library call or a root reads has to be in memory: they get one of
 * their own, so that others need not read it from there. */
#include "fuse.h"
#include "cost.h"
#include "passes.h"
#include "rewrite.h"
#include <stdlib.h>
#include <string.h>

typedef struct Copy {
    uint32_t group;
    Value v;
} Copy;

/* A node that the target runs whole, in both graphs. */
typedef struct Whole {
    uint32_t before, now;
} Whole;

typedef struct Fuse {
    Rewrite r;
    Clusters clusters;
    Arena *arena;
    Value *fixed; /* free nodes as library calls and roots read them */
    Copy *inside; /* as the group under way does */
    uint32_t cluster, group;
    uint32_t n_groups;
    Whole *whole;
    size_t n_whole, cap_whole;
} Fuse;

static Value add_copy(Fuse *f, uint32_t id, const Value *in, uint32_t group)
{
    uint32_t now = graph_add_copy(f->r.to, &f->r.from->node[id], in);
    f->r.to->node[now].group = group;
    return node_value(now, 0);
}

static bool is_mapped(const Fuse *f, Value v)
{
    return f->r.map[v.node][v.out].node != 0;
}

/* What kernels read from outside their group: sources and free nodes are made
 * when they are first asked for.  Chains of views are short (MOST_VIEWS). */
static Value outside(Fuse *f, Value v)
{
    const Node *n = graph_node(f->r.from, v);
    if (is_mapped(f, v))
        return rewrite_get(&f->r, v);
    Value in = n->n_in ? outside(f, n->in[0]) : NO_VALUE;
    rewrite_set(&f->r, v, add_copy(f, v.node, &in, 0));
    return rewrite_get(&f->r, v);
}

static Value for_fixed(Fuse *f, Value v)
{
    const Node *n = graph_node(f->r.from, v);
    if (!f->clusters.free[v.node])
        return outside(f, v);
    if (!f->fixed[v.node].node) {
        Value in = n->n_in ? outside(f, n->in[0]) : NO_VALUE;
        f->fixed[v.node] = add_copy(f, v.node, &in, 0);
    }
    return f->fixed[v.node];
}

/* ---- one cluster -------------------------------------------------------- */

static bool comes_from_inside(Fuse *f, Value v)
{
    uint32_t base = cluster_operand(&f->clusters, v).base.node;
    return cluster_holds(&f->clusters, base) &&
           dag_find(&f->clusters.dag, base) == f->cluster;
}

/* Reads within the group: views between its nodes become its own. */
static Value inside(Fuse *f, Value v)
{
    if (!f->clusters.free[v.node] || !comes_from_inside(f, v))
        return rewrite_get(&f->r, v);
    Copy *c = &f->inside[v.node];
    if (c->group != f->group) {
        Value in = inside(f, graph_node(f->r.from, v)->in[0]);
        *c = (Copy){f->group, add_copy(f, v.node, &in, f->group)};
    }
    return c->v;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void add_member(Fuse *f, uint32_t id)
{
    const Node *n = &f->r.from->node[id];
    Value *in = arena_array(f->arena, n->n_in, sizeof *in);
    bool generic = node_is_generic(n);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = generic ? inside(f, n->in[i]) : for_fixed(f, n->in[i]);
    uint32_t now = add_copy(f, id, in, f->group).node;
    if (node_is_whole(n) && f->group)
        ARENA_PUSH(f->arena, f->whole, f->n_whole, f->cap_whole,
                   ((Whole){id, now}));
    for (unsigned i = 0; i < n->n_out; i++)
        rewrite_set(&f->r, node_value(id, i), node_value(now, i));
}

static void add_cluster(Fuse *f, uint32_t id)
{
    const Cluster *k = &f->clusters.cluster[id];
    uint32_t *member = arena_array(f->arena, k->count, sizeof *member), n = 0;
    for (uint32_t m = k->first; m; m = f->clusters.next[m])
        member[n++] = m;
    qsort(member, n, sizeof *member, compare_ids);
    f->cluster = id;
    f->group = n > 1 ? ++f->n_groups : 0;
    for (uint32_t i = 0; i < n; i++) {
        const Node *m = &f->r.from->node[member[i]];
        for (uint32_t o = 0; o < m->n_in; o++)
            if (comes_from_inside(f, m->in[o]))
                continue;
            else if (node_is_generic(m))
                outside(f, m->in[o]);
            else
                for_fixed(f, m->in[o]);
    }
    for (uint32_t i = 0; i < n; i++)
        add_member(f, member[i]);
}

/* ---- the pass ----------------------------------------------------------- */

typedef struct Place {
    uint32_t rank, id;
} Place;

static int compare_places(const void *a, const void *b)
{
    const Place *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void add_clusters(Fuse *f)
{
    Clusters *c = &f->clusters;
    uint32_t n_nodes = c->g->n_nodes, n = 0;
    Place *place = arena_array(f->arena, n_nodes, sizeof *place);
    for (uint32_t id = 1; id < n_nodes; id++)
        if (cluster_holds(c, id) && dag_find(&c->dag, id) == id)
            place[n++] = (Place){c->dag.rank[id], id};
    qsort(place, n, sizeof *place, compare_places);
    for (uint32_t i = 0; i < n; i++)
        add_cluster(f, place[i].id);
}

/* What there would be without this pass, for people to compare. */
static void note_unfused(Graph *g, Arena *a)
{
    Steps s = graph_steps(g, a);
    g->unfused.steps = 0;
    g->unfused.bytes = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.step[i].n_out == 0)
            continue; /* an update, where what it takes is written in place */
        g->unfused.steps++;
        g->unfused.bytes += step_cost(g, &s.step[i]).bytes;
    }
}

typedef struct How {
    const Target *target;
    bool off, full;
    uint8_t *around; /* an Around by node of the graph */
} How;

/* Is there a group that the target does not take?  From now on less is fused
 * around its anchor. */
static bool is_refused(Fuse *f, const Graph *now, const How *how)
{
    const Target *t = how->target;
    bool refused = false;
    if (!t || !t->holds || !f->n_whole)
        return false;
    Steps s = graph_steps(now, f->arena);
    for (size_t i = 0; i < f->n_whole; i++) {
        const Whole *w = &f->whole[i];
        if (t->holds(t, now, &s.step[s.of[w->now]]))
            continue;
        how->around[w->before]++;
        refused = true;
    }
    return refused;
}

/* NULL: another time. */
static Graph *fuse_so(Graph *g, const How *how)
{
    Fuse f = {.arena = arena_new()};
    rewrite_begin(&f.r, g);
    clusters_start(&f.clusters, g, f.arena);
    if (!how->off)
        clusters_find(&f.clusters);
    if (how->full) {
        anchors_find(&f.clusters, how->target, how->around);
        updates_gather(&f.clusters);
        starts_gather(&f.clusters);
    }
    f.fixed = arena_array(f.arena, g->n_nodes, sizeof *f.fixed);
    f.inside = arena_array(f.arena, g->n_nodes, sizeof *f.inside);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_has(&g->node[id], T_SOURCE))
            outside(&f, node_value(id, 0));
    add_clusters(&f);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (node_has(&g->node[id], T_ROOT)) {
            Value in = for_fixed(&f, g->node[id].in[0]);
            add_copy(&f, id, &in, 0);
        }
    Graph *now = rewrite_end(&f.r);
    if (is_refused(&f, now, how)) {
        graph_free(now);
        now = NULL;
    }
    arena_free(f.arena);
    return now;
}

static Graph *fuse_graph(Graph *g, PassContext *c)
{
    Arena *a = arena_new();
    Graph *given = g, *now;
    const char *wanted = settings_text(&g->module->settings, "fuse");
    How how = {.target = c->target,
               .off = wanted && !strcmp(wanted, "off"),
               .full = !wanted || !strcmp(wanted, "full")};
    note_unfused(g, a);
    if (how.full)
        g = repeat_cheap(g, c->target);
    how.around = arena_array(a, g->n_nodes, sizeof *how.around);
    do
        now = fuse_so(g, &how);
    while (!now);
    arena_free(a);
    if (g != given)
        graph_free(g);
    return now;
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, fuse_graph);
}

const Pass pass_fuse = {
    .name = "fuse",
    .doc = "puts nodes that one nest of loops can compute into one group: "
           "chains of elementwise ops with the reductions over them, and what "
           "follows from those a row",
    .needs = F_PLAIN,
    .adds = F_FUSED,
    .breaks = F_ORDERED,
    .run = run,
};
