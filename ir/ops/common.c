/* ops/common.c: checks, costs and builders that descriptors share. */
#include "common.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- messages ----------------------------------------------------------- */

bool infer_fail(const Infer *f, const char *format, ...)
{
    int n = snprintf(f->error->text, sizeof f->error->text,
                     "%s: ", f->node->op->name);
    va_list args;
    va_start(args, format);
    vsnprintf(f->error->text + n, sizeof f->error->text - (size_t)n, format,
              args);
    va_end(args);
    return false;
}

TypeText type_text(const Type *t)
{
    TypeText text;
    Type logical = *t;
    logical.layout = 0; /* users know nothing of layouts */
    type_print(&logical, text.s, sizeof text.s);
    return text;
}

/* ---- operands ----------------------------------------------------------- */

Layout infer_layout(const Infer *f)
{
    for (uint32_t i = 0; i < f->node->n_in; i++)
        if (f->in[i]->layout)
            return f->in[i]->layout;
    return 0;
}

bool infer_same(const Infer *f)
{
    for (uint32_t i = 1; i < f->node->n_in; i++) {
        const Type *a = f->in[0], *b = f->in[i];
        if (a->dtype != b->dtype)
            return infer_fail(f, "operands differ in element type: %s and %s",
                              type_text(a).s, type_text(b).s);
        if (!type_same_shape(a, b))
            return infer_fail(f, "operands differ in shape: %s and %s",
                              type_text(a).s, type_text(b).s);
    }
    for (int i = 0; i < f->node->n_out; i++) {
        f->out[i] = *f->in[0];
        f->out[i].layout = infer_layout(f);
    }
    return true;
}

bool infer_numbers(const Infer *f)
{
    if (f->in[0]->dtype == DT_BOOL)
        return infer_fail(f, "takes numbers, not %s", type_text(f->in[0]).s);
    return infer_same(f);
}

bool infer_floats(const Infer *f)
{
    if (!dtype_is_float(f->in[0]->dtype))
        return infer_fail(f, "takes floating point, not %s",
                          type_text(f->in[0]).s);
    return infer_same(f);
}

bool infer_none(const Infer *f)
{
    (void)f;
    return true;
}

bool infer_is(const Infer *f, int i, const Type *want, const char *what)
{
    const Type *t = f->in[i];
    if (t->dtype == want->dtype && type_same_shape(t, want))
        return true;
    return infer_fail(f, "%s must be %s, not %s", what, type_text(want).s,
                      type_text(t).s);
}

bool infer_channels(const Infer *f, int i, const Type *x, DType dtype,
                    const char *what)
{
    Type want = type_make(dtype, 1, &x->dim[1]);
    const Type *t = f->in[i];
    if (t->rank == 1 && t->dim[0] != x->dim[1])
        return infer_fail(
            f, "input has %" PRId64 " channels, %s has %" PRId64 " (input %s)",
            x->dim[1], what, t->dim[0], type_text(x).s);
    return infer_is(f, i, &want, what);
}

bool infer_work(const Infer *f, int64_t a, int64_t b, int64_t c)
{
    double work = (double)a * (double)b * (double)c;
    return work < 0x1p56 ||
           infer_fail(f, "%g products are more than anyone can wait for", work);
}

/* ---- attributes --------------------------------------------------------- */

bool infer_ints(const Infer *f, const char *attr, int count, int64_t low,
                int64_t high, const int64_t **v)
{
    int n;
    *v = node_ints(f->node, attr, &n);
    if (n != count)
        return infer_fail(f, "%s needs %d number%s, not %d", attr, count,
                          count == 1 ? "" : "s", n);
    for (int i = 0; i < n; i++)
        if ((*v)[i] < low || (*v)[i] > high)
            return infer_fail(f, "%s is %" PRId64 ", %s is %" PRId64, attr,
                              (*v)[i], (*v)[i] < low ? "the least" : "the most",
                              (*v)[i] < low ? low : high);
    return true;
}

bool infer_axes(const Infer *f, const char *attr, int rank, const int64_t **v,
                int *count)
{
    const int64_t *axes = *v = node_ints(f->node, attr, count);
    for (int i = 0; i < *count; i++)
        if (axes[i] < 0 || axes[i] >= rank || (i && axes[i] <= axes[i - 1]))
            return infer_fail(f,
                              "%s must be increasing dimensions below %d "
                              "(%" PRId64 " is not)",
                              attr, rank, axes[i]);
    return true;
}

int infer_axis(const Infer *f, const char *attr, int rank)
{
    int64_t axis = node_int(f->node, attr);
    if (axis >= 0 && axis < rank)
        return (int)axis;
    infer_fail(f, "%s is %" PRId64 ", of %d dimensions", attr, axis, rank);
    return -1;
}

bool infer_declared(const Infer *f, Type *t)
{
    int rank;
    const int64_t *dim = node_ints(f->node, "shape", &rank);
    DType dtype = (DType)node_int(f->node, "dtype");
    if (rank > MAX_RANK)
        return infer_fail(f, "%d dimensions, at most %d are possible", rank,
                          MAX_RANK);
    if (dtype <= DT_NONE || dtype >= DT_COUNT)
        return infer_fail(f, "dtype is none");
    *t = type_make(dtype, rank, dim);
    if (!type_fits(t))
        return infer_fail(f,
                          "%s is not a possible type: a dimension is below "
                          "1, or it is too large",
                          type_text(t).s);
    return true;
}

ViewMap view_map(const Node *n, const Type *in)
{
    ViewMap map;
    memset(&map, 0, sizeof map);
    for (int d = 0; d < MAX_RANK; d++)
        map.div[d] = 1;
    n->op->map(n, in, &map);
    return map;
}

/* Row-major element i of the result is element i of the operand where a step
 * along each dimension of the result is as far in both. */
bool view_keeps_order(const Node *n, const Type *in)
{
    ViewMap map = view_map(n, in);
    Type from = type_make(in->dtype, in->rank, in->dim);
    Type to = type_make(in->dtype, n->type[0].rank, n->type[0].dim);
    int64_t from_stride[MAX_RANK], to_stride[MAX_RANK];
    type_strides(&from, from_stride);
    type_strides(&to, to_stride);
    if (type_elements(&from) != type_elements(&to))
        return false;
    for (int k = 0; k < to.rank; k++) {
        int64_t step = 0;
        for (int d = 0; d < from.rank; d++)
            step += map.coef[d][k] * from_stride[d];
        if (step != to_stride[k] && to.dim[k] > 1)
            return false;
    }
    for (int d = 0; d < from.rank; d++) {
        int64_t last = map.offset[d];
        for (int k = 0; k < to.rank; k++)
            last += map.coef[d][k] * (to.dim[k] - 1);
        if (map.offset[d] || map.div[d] != 1 || last != from.dim[d] - 1)
            return false;
    }
    return true;
}

/* ---- costs -----------------------------------------------------------------
 */

Cost cost_bytes(const Graph *g, const Node *n)
{
    Cost c = {0, 0};
    for (uint32_t i = 0; i < n->n_in; i++)
        c.bytes += (double)type_bytes(graph_type(g, n->in[i]));
    for (int i = 0; i < n->n_out; i++)
        c.bytes += (double)type_bytes(&n->type[i]);
    return c;
}

Cost cost_per_element(const Graph *g, const Node *n)
{
    Cost c = cost_bytes(g, n);
    int64_t most = n->n_out ? type_elements(&n->type[0]) : 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        int64_t elements = type_elements(graph_type(g, n->in[i]));
        most = elements > most ? elements : most;
    }
    c.flops = (double)most;
    return c;
}

/* ---- building --------------------------------------------------------------
 */

Value op1(Graph *g, const char *op, Value a)
{
    return ir_unary(g, op_named(op), a);
}

Value op2(Graph *g, const char *op, Value a, Value b)
{
    return ir_binary(g, op_named(op), a, b);
}

Value spread(Graph *g, Value v, Value like, const int64_t *dims, int n)
{
    Type to = *graph_type(g, like);
    if (n == to.rank)
        return v; /* strictly increasing: every dimension is there */
    return ir_broadcast(g, v, &to, dims, n);
}

Value spread_back(Graph *g, Value v, Value like, const int64_t *axes, int n)
{
    int64_t kept[MAX_RANK];
    int n_kept = 0, next = 0;
    for (int d = 0; d < graph_type(g, like)->rank; d++)
        if (next < n && axes[next] == d)
            next++;
        else
            kept[n_kept++] = d;
    return spread(g, v, like, kept, n_kept);
}

Value spread_channel(Graph *g, Value v, Value like)
{
    return spread(g, v, like, (const int64_t[]){1}, 1);
}

Layout layout_follow(const Type *operand, int rank, const int *from)
{
    int order[MAX_RANK], n = 0;
    for (int place = 0; place < operand->rank; place++)
        for (int k = 0; k < rank; k++)
            if (from[k] == layout_dim(operand->layout, operand->rank, place))
                order[n++] = k;
    for (int k = 0; k < rank; k++)
        if (from[k] < 0)
            order[n++] = k;
    return layout_make(rank, order);
}

void grad_none(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    (void)g, (void)id, (void)dout, (void)din;
}
