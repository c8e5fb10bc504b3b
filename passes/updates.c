/* updates.c: the optimizer in few kernels instead of one a tensor.
 *
 *     w1 = w1 - lr g1   f32[16,3,3,3]        one kernel, a nest of loops for
 *     w2 = w2 - lr g2   f32[16,16,3,3]       each shape
 *     ...
 *
 * What nothing but updates needs has no order among itself, and starting a
 * kernel for a thousand numbers costs more than computing them.  But a gradient
 * waits in memory until all those of its kernel are there: so a kernel takes no
 * more than some bytes of them, a part of a large net at a time. */
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

void updates_gather(Clusters *c)
{
    uint32_t group = 0; /* a node of the cluster that takes others in */
    int64_t bytes = 0;
    for (uint32_t id = 1; id < c->g->n_nodes; id++) {
        if (!cluster_holds(c, id))
            continue;
        const Cluster *k = cluster_of(c, id);
        if (k->first != id || !is_plain(k))
            continue;
        int64_t more = waiting(c, k);
        if (group && bytes + more <= MOST_WAITING &&
            cluster_of(c, group)->count + k->count <= MOST_MEMBERS &&
            cluster_merge(c, group, id)) {
            bytes += more;
            continue;
        }
        group = id;
        bytes = more;
    }
}
