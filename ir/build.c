/* build.c: the typed builder over graph_add. */
#include "build.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

Value ir_node(Graph *g, const OpDesc *op, const Value *in, int n_in,
              const Attr *attr, int n_attr)
{
    assert(op && "the op is in the table");
    uint32_t id = graph_add(g, op, in, n_in, attr, n_attr);
    if (!id) { /* a bug in whoever built this: say what, then stop */
        fprintf(stderr, "tgc: bug: %s\n", g->error.text);
        abort();
    }
    return node_value(id, 0);
}

Value ir_unary(Graph *g, const OpDesc *op, Value a)
{
    return ir_node(g, op, &a, 1, NULL, 0);
}

Value ir_binary(Graph *g, const OpDesc *op, Value a, Value b)
{
    return ir_node(g, op, (Value[]){a, b}, 2, NULL, 0);
}

/* ---- elementwise -------------------------------------------------------- */

Value ir_add(Graph *g, Value a, Value b)
{
    return ir_binary(g, &op_add, a, b);
}

Value ir_sub(Graph *g, Value a, Value b)
{
    return ir_binary(g, &op_sub, a, b);
}

Value ir_mul(Graph *g, Value a, Value b)
{
    return ir_binary(g, &op_mul, a, b);
}

Value ir_div(Graph *g, Value a, Value b)
{
    return ir_binary(g, &op_div, a, b);
}

Value ir_select(Graph *g, Value condition, Value yes, Value no)
{
    return ir_node(g, &op_select, (Value[]){condition, yes, no}, 3, NULL, 0);
}

Value ir_cast(Graph *g, Value a, DType to)
{
    if (graph_type(g, a)->dtype == to)
        return a;
    Attr attr = attr_dtype("dtype", to);
    return ir_node(g, &op_cast, &a, 1, &attr, 1);
}

/* Inference gives sources and broadcasts a row-major result; here the caller
 * said which layout it wants. */
static Value with_layout(Graph *g, Value v, Layout layout)
{
    graph_node(g, v)->type[v.out].layout = layout;
    return v;
}

Value ir_const(Graph *g, const Type *type, double value)
{
    Attr attr[] = {attr_float("value", value), attr_dtype("dtype", type->dtype),
                   attr_ints("shape", type->dim, type->rank)};
    return with_layout(g, ir_node(g, &op_const, NULL, 0, attr, 3),
                       type->layout);
}

Value ir_const_like(Graph *g, Value like, double value)
{
    Type t = *graph_type(g, like);
    return ir_const(g, &t, value);
}

Value ir_add_const(Graph *g, Value a, double c)
{
    return ir_add(g, a, ir_const_like(g, a, c));
}

Value ir_mul_const(Graph *g, Value a, double c)
{
    return ir_mul(g, a, ir_const_like(g, a, c));
}

/* ---- shapes ------------------------------------------------------------- */

Value ir_broadcast(Graph *g, Value a, const Type *to, const int64_t *dims,
                   int n)
{
    Attr attr[] = {attr_ints("shape", to->dim, to->rank),
                   attr_ints("dims", dims, n)};
    return with_layout(g, ir_node(g, &op_broadcast, &a, 1, attr, 2),
                       to->layout);
}

Value ir_broadcast_channel(Graph *g, Value a, Value like)
{
    Type to = *graph_type(g, like);
    return ir_broadcast(g, a, &to, (const int64_t[]){1}, 1);
}

Value ir_broadcast_scalar(Graph *g, Value a, Value like)
{
    Type to = *graph_type(g, like);
    return to.rank ? ir_broadcast(g, a, &to, NULL, 0) : a;
}

Value ir_reshape(Graph *g, Value a, int rank, const int64_t *dim)
{
    Attr attr = attr_ints("shape", dim, rank);
    return ir_node(g, &op_reshape, &a, 1, &attr, 1);
}

Value ir_transpose(Graph *g, Value a, const int64_t *order, int n)
{
    Attr attr = attr_ints("order", order, n);
    return ir_node(g, &op_transpose, &a, 1, &attr, 1);
}

static Value reduce(Graph *g, const OpDesc *op, Value a, const int64_t *axes,
                    int n)
{
    if (n == 0)
        return a;
    Attr attr = attr_ints("axes", axes, n);
    return ir_node(g, op, &a, 1, &attr, 1);
}

Value ir_reduce_sum(Graph *g, Value a, const int64_t *axes, int n)
{
    return reduce(g, &op_reduce_sum, a, axes, n);
}

Value ir_reduce_sum_wide(Graph *g, Value a, const int64_t *axes, int n)
{
    if (n == 0)
        return a;
    a = ir_cast(g, a, dtype_wide(graph_type(g, a)->dtype));
    return ir_reduce_sum(g, a, axes, n);
}

Value ir_reduce_max(Graph *g, Value a, const int64_t *axes, int n)
{
    return reduce(g, &op_reduce_max, a, axes, n);
}

/* Sum over all dimensions but one; -1: over all. */
static Value sum_all_but(Graph *g, Value a, int kept)
{
    int64_t axes[MAX_RANK];
    int n = 0, rank = graph_type(g, a)->rank;
    for (int d = 0; d < rank; d++)
        if (d != kept)
            axes[n++] = d;
    return ir_reduce_sum(g, a, axes, n);
}

Value ir_reduce_to_channel(Graph *g, Value a)
{
    assert(graph_type(g, a)->rank >= 2 && "there is a channel dimension");
    return sum_all_but(g, a, 1);
}

Value ir_sum_all(Graph *g, Value a)
{
    return sum_all_but(g, a, -1);
}

/* ---- ends of the graph -------------------------------------------------- */

Value ir_input(Graph *g, const char *name, const Type *type)
{
    Attr attr[] = {attr_string("name", name), attr_dtype("dtype", type->dtype),
                   attr_ints("shape", type->dim, type->rank)};
    return with_layout(g, ir_node(g, &op_input, NULL, 0, attr, 3),
                       type->layout);
}

Value ir_state(Graph *g, const char *name)
{
    Attr attr = attr_string("name", name);
    return ir_node(g, &op_state, NULL, 0, &attr, 1);
}

void ir_update(Graph *g, const char *state, Value v)
{
    Attr attr = attr_string("name", state);
    ir_node(g, &op_update, &v, 1, &attr, 1);
}

void ir_output(Graph *g, const char *name, Value v)
{
    Attr attr = attr_string("name", name);
    ir_node(g, &op_output, &v, 1, &attr, 1);
}
