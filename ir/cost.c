/* cost.c: see cost.h. */
#include "cost.h"

/* Is it what a machine has units of its own for? */
static bool is_dense(const Node *n)
{
    return n->op->half == HALF_WANT || node_has(n, T_LIBRARY);
}

StepCost step_cost(const Graph *g, const Step *s)
{
    StepCost c = {0};
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &g->node[id];
        double flops = n->op->cost ? n->op->cost(g, n).flops : 0;
        c.flops += flops;
        c.dense += is_dense(n) ? flops : 0;
    }
    for (uint32_t i = 0; i < s->n_in; i++)
        c.bytes += (double)type_bytes(graph_type(g, s->in[i]));
    for (uint32_t i = 0; i < s->n_out; i++)
        c.bytes += (double)type_bytes(graph_type(g, s->out[i]));
    return c;
}

double step_roofline(const StepCost *c, const Rates *r)
{
    double compute = c->dense / r->dense + (c->flops - c->dense) / r->flops;
    double move = c->bytes / r->bytes;
    return (compute > move ? compute : move) + r->start;
}
