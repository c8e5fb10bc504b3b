/* absorb.c: a normalisation by given statistics goes into the weights of the
 * convolution before it.
 *
 *     batch_norm_inference(conv(x, w), gamma, beta, mean, var)
 *         = conv(x, w s) + (beta - mean s),   s = gamma / sqrt(var + eps)
 *
 * Evaluation runs a convolution and an addition then, where it ran a
 * convolution and a normalisation.  The weights are scaled in every run: they
 * are some thousand numbers, against millions of activations, and there is no
 * second copy to keep in step with the first.  Results are equal to rounding.
 *
 * Only where nobody else reads the convolution's raw result. */
#include "build.h"
#include "passes.h"
#include "rewrite.h"

typedef struct Absorb {
    Rewrite r;
    uint32_t *users; /* by node: how many read it */
} Absorb;

/* The convolution that v comes from, with nobody else to read it; or NULL. */
static const Node *conv_of(const Absorb *a, Value v)
{
    const Node *n = graph_node(a->r.from, v);
    return node_is(n, &op_conv) && a->users[v.node] == 1 ? n : NULL;
}

/* Weights as they are computed in before they are made smaller. */
static Value wide_weights(const Graph *g, Value w, DType wanted)
{
    const Node *n = graph_node(g, w);
    bool narrowed =
        node_is(n, &op_cast) && graph_type(g, n->in[0])->dtype == wanted;
    return narrowed ? n->in[0] : w;
}

static Value scaled_weights(Graph *g, Value w, Value scale)
{
    DType dtype = graph_type(g, w)->dtype, wide = graph_type(g, scale)->dtype;
    Value all = ir_cast(g, wide_weights(g, w, wide), wide);
    Type t = *graph_type(g, all);
    static const int64_t first[] = {0};
    return ir_cast(g, ir_mul(g, all, ir_broadcast(g, scale, &t, first, 1)),
                   dtype);
}

static void absorb(Absorb *a, uint32_t id, const Node *conv)
{
    const Node *n = &a->r.from->node[id];
    Graph *g = a->r.to;
    Value in[5], x = rewrite_get(&a->r, conv->in[0]);
    Value w = rewrite_get(&a->r, conv->in[1]);
    for (uint32_t i = 1; i < n->n_in; i++)
        in[i] = rewrite_get(&a->r, n->in[i]);
    rewrite_at(&a->r, id);
    Value sum = ir_add_const(g, in[4], node_float(n, "eps"));
    Value scale = ir_mul(g, in[1], ir_unary(g, &op_rsqrt, sum));
    Value shift = ir_sub(g, in[2], ir_mul(g, in[3], scale));
    int count = 0;
    while (conv->op->attrs[count].name)
        count++;
    Value operand[] = {x, scaled_weights(g, w, scale)};
    Value y = ir_node(g, &op_conv, operand, 2, conv->attr, count);
    DType dtype = graph_type(g, y)->dtype;
    y = ir_cast(g, y, graph_type(g, shift)->dtype);
    y = ir_add(g, y, ir_broadcast_channel(g, shift, y));
    rewrite_set(&a->r, node_value(id, 0), ir_cast(g, y, dtype));
}

static void count_users(Absorb *a)
{
    const Graph *g = a->r.from;
    for (uint32_t id = 1; id < g->n_nodes; id++)
        for (uint32_t i = 0; i < g->node[id].n_in; i++)
            a->users[g->node[id].in[i].node]++;
}

static Graph *absorb_graph(Graph *g, PassContext *c)
{
    (void)c;
    Absorb a = {{0}, NULL};
    rewrite_begin(&a.r, g);
    Arena *scratch = arena_new();
    a.users = arena_array(scratch, g->n_nodes, sizeof *a.users);
    count_users(&a);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        const Node *conv = NULL;
        if (node_is(n, &op_batch_norm_inference))
            conv = conv_of(&a, n->in[0]);
        if (conv)
            absorb(&a, id, conv);
        else
            rewrite_copy(&a.r, id);
    }
    arena_free(scratch);
    return rewrite_end(&a.r);
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, absorb_graph);
}

const Pass pass_absorb = {
    .name = "absorb",
    .doc = "a normalisation by given statistics goes into the weights of the "
           "convolution before it",
    .breaks = F_PLAIN | F_FUSED | F_ORDERED | F_LAID_OUT,
    .run = run,
};
