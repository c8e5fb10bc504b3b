/* dag.h: an acyclic graph whose nodes are merged as long as it stays acyclic.
 *
 * Nodes are 0 .. n-1; a merged node goes by the number of one of its parts
 * (dag_find).  Every node has a rank that grows along all edges.  A merge looks
 * only at nodes ranked between the two (Pearce and Kelly, "A dynamic
 * topological sort algorithm for directed acyclic graphs", 2006), and gives up
 * after looking at a fixed number of them: merges of neighbours stay cheap in
 * a graph of any size. */
#ifndef TGC_DAG_H
#define TGC_DAG_H

#include "arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct DagList {
    uint32_t *item;
    size_t n, cap;
} DagList;

typedef struct Dag {
    Arena *arena;
    uint32_t n;
    uint32_t *parent; /* of merged nodes; itself where it stands for others */
    uint32_t *rank;
    DagList *to, *from; /* may name merged nodes by their old numbers */
    uint32_t *mark, stamp;
    DagList ahead, behind, ranks; /* of the merge under way */
    uint64_t *key;
} Dag;

/* Node i has rank i: add edges from smaller to larger numbers only. */
void dag_init(Dag *d, Arena *a, uint32_t n);
void dag_add_edge(Dag *d, uint32_t from, uint32_t to);
uint32_t dag_find(Dag *d, uint32_t node);

/* Makes one node of a and b; false where that would close a cycle, or where it
 * would take long to find out.  dag_find(a) stands for both afterwards. */
bool dag_merge(Dag *d, uint32_t a, uint32_t b);

#endif
