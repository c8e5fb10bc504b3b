/* ops/gather.c: rows of a table by their numbers, and the gradient of that.
 *
 * Targets have kernels for both.  In simpler ops the rows are a product with a
 * matrix of zeros and ones, one row an index, which is exact: everything else
 * in a sum is 0.  The gradient is the same matrix transposed times what comes
 * back. */
#include "common.h"
#include <inttypes.h>

static bool infer_gather(const Infer *f)
{
    const Type *x = f->in[0], *index = f->in[1];
    if (!dtype_is_float(x->dtype) || x->rank != 2)
        return infer_fail(f, "takes rows of floating point [rows, n], not %s",
                          type_text(x).s);
    if (index->dtype != DT_I32 || index->rank >= MAX_RANK)
        return infer_fail(f, "an index is i32 of at most %d dimensions, not %s",
                          MAX_RANK - 1, type_text(index).s);
    if (x->dim[0] > INT32_MAX)
        return infer_fail(f, "more than 2^31 - 1 rows in %s", type_text(x).s);
    f->out[0] = type_make(x->dtype, index->rank, index->dim);
    f->out[0].dim[f->out[0].rank++] = x->dim[1];
    return infer_work(f, type_elements(index), x->dim[0], x->dim[1]);
}

/* [m, rows]: 1 where the column's number is the row's index. */
static Value marks(Graph *g, Value index, int64_t m, int64_t rows, DType dtype)
{
    Type wide = type_make(DT_I32, 2, (const int64_t[]){m, rows});
    Attr attr[] = {attr_int("axis", 1), attr_dtype("dtype", DT_I32),
                   attr_ints("shape", wide.dim, 2)};
    Value number = ir_node(g, &op_iota, NULL, 0, attr, 3);
    const int64_t down[] = {0};
    Value flat = ir_reshape(g, index, 1, &m);
    flat = ir_broadcast(g, flat, &wide, down, 1);
    return ir_cast(g, op2(g, "equal", number, flat), dtype);
}

static Value product(Graph *g, Value a, Value b, bool transposed)
{
    Attr attr[] = {attr_bool("transpose_a", transposed)};
    return ir_node(g, &op_matmul, (Value[]){a, b}, 2, attr, 1);
}

/* [m, n], each row divided by 1, or by 0 where its index is no row's: such
 * results are no numbers, and are found where they first come up. */
static Value only_inside(Graph *g, Value y, Value index, int64_t m,
                         int64_t rows)
{
    const int64_t down[] = {0};
    Value low = ir_const_like(g, index, 0);
    Value high = ir_const_like(g, index, (double)(rows - 1));
    Value near = op2(g, "min", op2(g, "max", index, low), high);
    Value inside = op2(g, "equal", near, index);
    inside = ir_cast(g, inside, graph_type(g, y)->dtype);
    inside = ir_reshape(g, inside, 1, &m);
    return ir_div(g, y, ir_broadcast(g, inside, graph_type(g, y), down, 1));
}

static void expand_gather(Graph *g, const Node *n, const Value *in, Value *out)
{
    Type table = *graph_type(g, in[0]);
    int64_t m = type_elements(graph_type(g, in[1]));
    Value hot = marks(g, in[1], m, table.dim[0], table.dtype);
    Value y = product(g, hot, in[0], false);
    y = only_inside(g, y, in[1], m, table.dim[0]);
    out[0] = ir_reshape(g, y, n->type->rank, n->type->dim);
}

static void grad_gather(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    const Node *n = &g->node[id];
    Attr rows = attr_int("rows", graph_type(g, n->in[0])->dim[0]);
    Value in[] = {n->in[1], dout[0]};
    din[0] = ir_node(g, &op_gather_grad, in, 2, &rows, 1);
}

const OpDesc op_gather = {
    .name = "gather",
    .doc = "(x [rows, n], index i32 [..]) to the rows of x with these numbers "
           "[.., n]; for an index that no row has, not a number",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .half = HALF_NO,
    .samples =
        (const char *const[]){"(f32[3,5], i32[7])", "(f64[4,1], i32[2,3])",
                              "(f32[7,2], i32[])", NULL},
    .infer = infer_gather,
    .grad = grad_gather,
    .expand = expand_gather,
    .cost = cost_bytes,
};

/* ---- the gradient -------------------------------------------------------- */

static bool infer_gather_grad(const Infer *f)
{
    const Type *index = f->in[0], *dy = f->in[1];
    int64_t rows = node_int(f->node, "rows");
    if (rows < 1 || rows > INT32_MAX)
        return infer_fail(f, "%" PRId64 " rows, 1 to 2^31 - 1 work", rows);
    if (index->dtype != DT_I32 || !dtype_is_float(dy->dtype))
        return infer_fail(f,
                          "takes an index i32 and floating point, not %s "
                          "and %s",
                          type_text(index).s, type_text(dy).s);
    bool fits = dy->rank == index->rank + 1;
    for (int d = 0; fits && d < index->rank; d++)
        fits = dy->dim[d] == index->dim[d];
    if (!fits)
        return infer_fail(f, "%s is no row for each index of %s",
                          type_text(dy).s, type_text(index).s);
    int64_t n = dy->dim[dy->rank - 1];
    f->out[0] = type_make(dy->dtype, 2, (const int64_t[]){rows, n});
    return infer_work(f, type_elements(index), rows, n);
}

static void expand_gather_grad(Graph *g, const Node *n, const Value *in,
                               Value *out)
{
    const Type *table = n->type;
    int64_t m = type_elements(graph_type(g, in[0]));
    Value hot = marks(g, in[0], m, table->dim[0], table->dtype);
    Value dy = ir_reshape(g, in[1], 2, (const int64_t[]){m, table->dim[1]});
    out[0] = product(g, hot, dy, true);
}

static Cost cost_gather_grad(const Graph *g, const Node *n)
{
    Cost c = cost_bytes(g, n);
    c.flops = (double)type_elements(graph_type(g, n->in[1]));
    return c;
}

const OpDesc op_gather_grad = {
    .name = "gather_grad",
    .doc = "(index i32 [..], dy [.., n]) to [rows, n]: each row the sum of "
           "those of dy whose index it is; an index that no row has counts for "
           "nothing",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){{"rows", ATTR_INT, NULL, "of the table"}, {0}},
    .samples = (const char *const[]){"(i32[7], f32[7,5]) {rows=3}",
                                     "(i32[2,3], f64[2,3,1]) {rows=4}",
                                     "(i32[], f32[2]) {rows=7}", NULL},
    .infer = infer_gather_grad,
    .expand = expand_gather_grad,
    .cost = cost_gather_grad,
};
