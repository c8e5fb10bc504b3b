/* updates.c: the optimizer in few kernels instead of one a tensor.
 *
 *     w1 = w1 - lr g1   f32[16,3,3,3]        one kernel, a nest of loops for
 *     w2 = w2 - lr g2   f32[16,16,3,3]       each shape
 *     ...
 *
 * What nothing but updates needs has no order among itself, and starting a
 * kernel for a thousand numbers costs more than computing them.  But a gradient
 * waits in memory until all those of its kernel are there: so a kernel takes no
 * more than some bytes of them, a part of a large net at a time.
 *
 * Sums of gradients (are they finite?  how long are they?) go together, too:
 * the updates keep what they read anyway. */
#include "fuse.h"

enum {
    MOST_WAITING = 2 << 20, /* bytes of gradients */
    MOST_MEMBERS = 144      /* nodes: finding out what may be written over
                               what grows with their square */
};

/* Bytes that it reads and somebody has to make first. */
static int64_t waiting(const Clusters *c, const Cluster *k)
{
    int64_t bytes = 0;
    for (uint32_t id = k->first; id; id = c->next[id])
        for (uint32_t i = 0; i < c->g->node[id].n_in; i++) {
            Value base = cluster_operand(c, c->g->node[id].in[i]).base;
            if (cluster_holds(c, base.node) && !c->updates[base.node])
                bytes += type_bytes(graph_type(c->g, base));
        }
    return bytes;
}

/* Only loops over elements of one shape are sure to be done with an old value
 * before another nest of the kernel reads it (step_may_overwrite). */
static bool is_plain(const Cluster *k)
{
    return k->updates && !k->reduction && !k->reshaped && !k->anchor;
}

/* ---- sums of what updates read ------------------------------------------ */

enum { SMALL_RESULT = 1024 }; /* elements, of a sum or of its pieces */

typedef struct Sums {
    Clusters *c;
    Uses uses;
    bool *summed; /* by node: a sum of what updates read, or a piece of it */
} Sums;

static bool is_for_updates(const Sums *s, Value v, int views)
{
    const Clusters *c = s->c;
    for (uint32_t i = s->uses.start[v.node]; i < s->uses.start[v.node + 1];
         i++) {
        uint32_t user = s->uses.user[i];
        if (c->updates[user] ||
            (c->free[user] && views < 4 &&
             is_for_updates(s, node_value(user, 0), views + 1)))
            return true;
    }
    return false;
}

/* Does the cluster sum up what updates read (pieces: sums of those), and
 * nothing else? */
static bool sums_up(const Sums *s, const Cluster *k, bool pieces)
{
    const Clusters *c = s->c;
    if (!k->reduction || k->updates || k->anchor)
        return false;
    for (uint32_t id = k->first; id; id = c->next[id]) {
        const Node *n = &c->g->node[id];
        bool last = node_has(n, T_REDUCE);
        if (last && type_elements(&n->type[0]) > SMALL_RESULT)
            return false;
        for (uint32_t i = 0; i < n->n_in; i++) {
            Value v = cluster_operand(c, n->in[i]).base;
            bool own =
                cluster_holds(c, v.node) &&
                dag_find(&s->c->dag, v.node) == dag_find(&s->c->dag, k->first);
            bool known = pieces ? s->summed[v.node] : is_for_updates(s, v, 0);
            if (own ? node_has(graph_node(c->g, v), T_REDUCE) : !known)
                return false;
        }
    }
    return true;
}

/* One way of summing at a time: pieces, then the sums of the pieces. */
static void gather_sums(Sums *s, bool pieces)
{
    Clusters *c = s->c;
    Gathering kernel = {MOST_MEMBERS, 0, 0, 0}; /* sums are next to nothing */
    for (uint32_t id = 1; id < c->g->n_nodes; id++) {
        if (!cluster_holds(c, id) || cluster_of(c, id)->first != id)
            continue;
        const Cluster *k = cluster_of(c, id);
        if (!sums_up(s, k, pieces))
            continue;
        for (uint32_t m = k->first; m; m = c->next[m])
            s->summed[m] = true;
        cluster_gather(c, &kernel, id, 0);
    }
}

static void sums_gather(Clusters *c)
{
    Sums s = {.c = c, .uses = graph_uses(c->g, c->arena)};
    s.summed = arena_array(c->arena, c->g->n_nodes, sizeof *s.summed);
    gather_sums(&s, false);
    gather_sums(&s, true);
}

void updates_gather(Clusters *c)
{
    sums_gather(c);
    Gathering kernel = {MOST_MEMBERS, MOST_WAITING, 0, 0};
    for (uint32_t id = 1; id < c->g->n_nodes; id++) {
        if (!cluster_holds(c, id))
            continue;
        const Cluster *k = cluster_of(c, id);
        if (k->first == id && is_plain(k))
            cluster_gather(c, &kernel, id, waiting(c, k));
    }
}
