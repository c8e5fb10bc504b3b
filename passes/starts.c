/* starts.c: what is computed from states alone, in few kernels.
 *
 *     cast w1   f16[16,3,3,3]        one kernel, a nest of loops for each shape
 *     cast w2   f16[16,16,3,3]
 *     ...
 *
 * Weights in another type or layout, or what an evaluation makes of running
 * statistics, wait for nothing: each by itself is a kernel of a few thousand
 * numbers.  But together they are there as soon as the first one is needed: so
 * a kernel makes no more than some bytes of them, those of neighbours in the
 * graph. */
#include "fuse.h"

enum {
    MOST_AHEAD = 2 << 20, /* bytes of results */
    MOST_MEMBERS = 64     /* nodes: registers, compile time */
};

enum { LEVELS = 2 }; /* from states; from what that gives */

typedef struct Starts {
    Clusters *c;
    uint8_t *level; /* by node: what it is computed from; 0: not known */
} Starts;

/* Is v there from the start, or made by an earlier level? */
static bool is_there(const Starts *s, Value v, int level)
{
    const Clusters *c = s->c;
    return c->free[v.node] || node_is(graph_node(c->g, v), &op_state) ||
           (s->level[v.node] && s->level[v.node] < level);
}

/* Bytes of what the cluster computes; -1: it is not of this level, or no nest
 * of plain loops. */
static int64_t ahead(const Starts *s, const Cluster *k, int level)
{
    Clusters *c = s->c;
    int64_t bytes = 0;
    if (k->reduction || k->reshaped || k->anchor || k->updates)
        return -1;
    for (uint32_t id = k->first; id; id = c->next[id]) {
        const Node *n = &c->g->node[id];
        if (!cluster_computes(c, id) || node_has(n, T_RANDOM) || s->level[id])
            return -1;
        for (uint32_t i = 0; i < n->n_in; i++) {
            Value base = cluster_operand(c, n->in[i]).base;
            bool own = cluster_holds(c, base.node) &&
                       dag_find(&c->dag, base.node) == dag_find(&c->dag, id);
            if (!own && !is_there(s, base, level))
                return -1;
        }
        bytes += type_bytes(&n->type[0]);
    }
    return bytes;
}

static void gather(Starts *s, int level)
{
    Clusters *c = s->c;
    Gathering kernel = {MOST_MEMBERS, MOST_AHEAD, 0, 0};
    for (uint32_t id = 1; id < c->g->n_nodes; id++) {
        if (!cluster_holds(c, id) || cluster_of(c, id)->first != id)
            continue;
        const Cluster *k = cluster_of(c, id);
        int64_t more = ahead(s, k, level);
        if (more < 0)
            continue;
        for (uint32_t m = k->first; m; m = c->next[m])
            s->level[m] = (uint8_t)level;
        cluster_gather(c, &kernel, id, more);
    }
}

void starts_gather(Clusters *c)
{
    Starts s = {.c = c};
    s.level = arena_array(c->arena, c->g->n_nodes, sizeof *s.level);
    for (int level = 1; level <= LEVELS; level++)
        gather(&s, level);
}
