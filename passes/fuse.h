/* fuse.h: what the files of the pass `fuse` share.
 *
 *     repeat.c     what is computed again wherever it is read
 *     clusters.c   which nodes become one kernel
 *     updates.c    the optimizer's kernels together
 *     starts.c     what needs nothing but states, together
 *     anchors.c    which kernels join a convolution or the like
 *     fuse.c       the graph with these nodes next to each other
 */
#ifndef TGC_FUSE_H
#define TGC_FUSE_H

#include "dag.h"
#include "target.h"

/* Where an operand's elements come from, seen through views. */
typedef enum Reach {
    REACH_SAME,   /* the same place */
    REACH_ORDER,  /* the same place, counted row-major in another shape */
    REACH_SPREAD, /* repeated along new dimensions */
    REACH_ELSEWHERE
} Reach;

typedef struct Operand {
    Value base; /* what is computed, or comes from outside */
    Reach reach;
    uint32_t spread; /* REACH_SPREAD: the broadcast */
} Operand;

/* A cluster is nodes that run in one nest of loops, over the shape that they
 * have in common, and at most one way to reduce that shape: then what has the
 * reduced shape is computed once a row. */
typedef struct Cluster {
    uint32_t reduction;          /* one of its reductions; 0: none */
    uint32_t anchor;             /* the node it is fused around; 0: none */
    uint32_t first, last, count; /* its nodes: Clusters.next */
    bool reshaped; /* goes by several shapes of as many elements */
    bool updates;  /* computes what nothing but an update needs */
} Cluster;

typedef struct Clusters {
    const Graph *g;
    Arena *arena;
    Dag dag;          /* nodes by id; those in kernels and library calls */
    bool *free;       /* costs nothing: constants, and views of one operand */
    bool *updates;    /* elementwise, needed by updates alone */
    uint32_t *users;  /* how many nodes use it, seen through views */
    bool *row;        /* computed once a row of its cluster's reduction */
    uint32_t *next;   /* node of the same cluster; 0: the last one */
    Cluster *cluster; /* by the node that dag_find gives */
} Clusters;

/* Every node by itself; then those that run together in one cluster.
 * Everything lives in the arena. */
void clusters_start(Clusters *c, const Graph *g, Arena *a);
void clusters_find(Clusters *c);

/* The cluster that a node is in. */
Cluster *cluster_of(Clusters *c, uint32_t id);
/* Of nodes a and b; false, and nothing is changed, where one kernel could not
 * compute both. */
bool cluster_merge(Clusters *c, uint32_t a, uint32_t b);

/* Clusters that wait for nothing of one another, merged in the order in which
 * they come, as long as they stay under both limits. */
typedef struct Gathering {
    uint32_t most_members; /* nodes */
    int64_t most_bytes;
    uint32_t group; /* a node of the cluster that takes others in; 0: none */
    int64_t bytes;  /* of its members, as the caller counts them */
} Gathering;
/* The cluster of node id comes next. */
void cluster_gather(Clusters *c, Gathering *x, uint32_t id, int64_t bytes);

/* Is it computed by the generic kernel, and no view? */
bool cluster_computes(const Clusters *c, uint32_t id);

/* Merges clusters that nothing but updates needs. */
void updates_gather(Clusters *c);

/* Merges clusters that need nothing but states. */
void starts_gather(Clusters *c);

/* What is fused around a node that the target runs whole. */
typedef enum Around { AROUND_ALL, AROUND_AFTER, AROUND_NOTHING } Around;

/* Merges clusters with the nodes that the target runs whole, where it says that
 * it can (Target.anchor); around: an Around by node. */
void anchors_find(Clusters *c, const Target *t, const uint8_t *around);

/* The graph in which cheap values of many users are computed once for each of
 * them, from what is in memory anyway; takes the graph. */
Graph *repeat_cheap(Graph *g, const Target *t);

Operand cluster_operand(const Clusters *c, Value v);
/* Is it a node of its own in the dag: neither free, nor source, nor root? */
bool cluster_holds(const Clusters *c, uint32_t id);

#endif
