/* rewrite.h: build a new graph out of an old one.
 *
 *     Rewrite r;
 *     rewrite_begin(&r, old);
 *     for (uint32_t id = 1; id < old->n_nodes; id++)
 *         if (wanted) rewrite_copy(&r, id);                  as it is
 *         else { rewrite_at(&r, id);                         loc, group
 *                rewrite_set(&r, node_value(id, 0),
 *                            ir_relu(r.to, rewrite_get(&r, x))); }
 *     module_add_graph(m, rewrite_end(&r));                  old one is freed
 */
#ifndef TGC_REWRITE_H
#define TGC_REWRITE_H

#include "op.h"

typedef struct Rewrite {
    Graph *from, *to;
    Value (*map)[MAX_OUT]; /* old node id -> new values; NO_VALUE: not yet */
} Rewrite;

void rewrite_begin(Rewrite *r, Graph *from);
/* New nodes get the location, group and name hint of this old node. */
void rewrite_at(Rewrite *r, uint32_t id);
void rewrite_copy(Rewrite *r, uint32_t id);     /* operands must be mapped */
Value rewrite_get(const Rewrite *r, Value old); /* asserts it is mapped */
void rewrite_set(Rewrite *r, Value old, Value now);
/* The new graph, with the old one's name; the caller adds it to the module,
 * which frees the old one. */
Graph *rewrite_end(Rewrite *r);

#endif
