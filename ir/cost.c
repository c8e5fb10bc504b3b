/* cost.c: see cost.h. */
#include "cost.h"
#include <stdlib.h>

/* Is it what a machine has units of its own for? */
static bool is_dense(const Node *n)
{
    return n->op->half == HALF_WANT || node_has(n, T_LIBRARY);
}

/* Its place among the step's operands, which are in order; n_in: it is none. */
static uint32_t operand_place(const Step *s, Value v)
{
    uint32_t low = 0, high = s->n_in;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        Value at = s->in[middle];
        if (at.node < v.node || (at.node == v.node && at.out < v.out))
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->n_in && value_equal(s->in[low], v) ? low : s->n_in;
}

/* Elements that reading v means to read of each operand: through a view that
 * takes few of them, those. */
static void count_read(const Graph *g, const Step *s, Value v, double *read)
{
    double least = (double)type_elements(graph_type(g, v));
    for (;;) {
        double elements = (double)type_elements(graph_type(g, v));
        uint32_t place = operand_place(s, v);
        const Node *n = graph_node(g, v);
        least = least < elements ? least : elements;
        if (place < s->n_in) {
            read[place] += least;
            return;
        }
        if (!node_has(n, T_VIEW) || n->n_in != 1)
            return; /* computed here */
        v = n->in[0];
    }
}

/* Bytes that the step reads: each element once, and of an operand of which it
 * takes a few (a first pixel of each unit) those. */
static double bytes_read(const Graph *g, const Step *s)
{
    double *read = calloc(s->n_in ? s->n_in : 1, sizeof *read), bytes = 0;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &g->node[id];
        bool view = node_has(n, T_VIEW) && n->n_in == 1 && n->group;
        for (uint32_t i = 0; !view && i < n->n_in; i++)
            count_read(g, s, n->in[i], read);
    }
    for (uint32_t i = 0; i < s->n_out; i++)
        count_read(g, s, s->out[i], read);
    for (uint32_t i = 0; i < s->n_in; i++) {
        const Type *t = graph_type(g, s->in[i]);
        double all = (double)type_elements(t);
        bytes += (read[i] < all ? read[i] : all) * (double)dtype_size(t->dtype);
    }
    free(read);
    return bytes;
}

StepCost step_cost(const Graph *g, const Step *s)
{
    StepCost c = {.bytes = bytes_read(g, s)};
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &g->node[id];
        double flops = n->op->cost ? n->op->cost(g, n).flops : 0;
        c.flops += flops;
        c.dense += is_dense(n) ? flops : 0;
    }
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
