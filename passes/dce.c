/* dce.c: drops what nothing needs.
 *
 * Roots are needed, and so are operands of what is needed.  Inputs stay too:
 * they are the graph's side of a bargain with whoever calls it. */
#include "passes.h"
#include "rewrite.h"
#include <string.h>

static bool is_needed_itself(const Node *n)
{
    return node_has(n, T_ROOT) || !strcmp(n->op->name, "input");
}

static Graph *dce_graph(Graph *g, PassContext *c)
{
    (void)c;
    Rewrite r;
    rewrite_begin(&r, g);
    bool *needed = arena_array(g->arena, g->n_nodes, sizeof *needed);
    for (uint32_t id = g->n_nodes - 1; id > 0; id--) {
        const Node *n = &g->node[id];
        needed[id] |= is_needed_itself(n);
        for (uint32_t i = 0; needed[id] && i < n->n_in; i++)
            needed[n->in[i].node] = true;
    }
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (needed[id])
            rewrite_copy(&r, id);
    return rewrite_end(&r);
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, dce_graph);
}

const Pass pass_dce = {
    .name = "dce",
    .doc = "drops nodes that no root needs",
    .run = run,
};
