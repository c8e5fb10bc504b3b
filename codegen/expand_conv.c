/* expand_conv.c: convolutions that no library and no template does. */
#include "build.h"
#include "targets.h"

bool target_expand_conv(Graph *g, const Node *n, const Value *in, Value *out)
{
    Type w = *graph_type(g, in[1]);
    int channel = node_is(n, &op_conv) ? 0 : 1, order[MAX_RANK];
    for (int d = 0; d + 2 < w.rank; d++)
        order[d] = d + 2;
    order[w.rank - 2] = 1 - channel;
    order[w.rank - 1] = channel;
    Value operand[] = {in[0], ir_unary(g, &op_copy, in[1])};
    graph_node(g, operand[1])->type[0].layout = layout_make(w.rank, order);
    n->op->expand(g, n, operand, out);

    const Node *last = graph_node(g, out[0]); /* sums [N,g,C/g,spatial..] */
    if (!node_has(last, T_RESHAPE) ||
        !node_has(graph_node(g, last->in[0]), T_REDUCE))
        return true;
    Type *sums = &graph_node(g, last->in[0])->type[0];
    order[0] = 0;
    for (int d = 3; d < sums->rank; d++)
        order[d - 2] = d;
    order[sums->rank - 2] = 1;
    order[sums->rank - 1] = 2;
    sums->layout = layout_make(sums->rank, order);
    return true;
}
