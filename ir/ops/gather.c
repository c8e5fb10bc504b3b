/* ops/gather.c: rows of a table by their numbers.
 *
 * In simpler ops it is a product with a matrix of zeros and ones, one row an
 * index, which is exact: everything else in a sum is 0.  So is the gradient,
 * the same matrix transposed: what falls on one row is added in the order that
 * matmul has, the same for any number of threads. */
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
    Value index = g->node[id].in[1];
    Type table = *graph_type(g, g->node[id].in[0]);
    int64_t m = type_elements(graph_type(g, index));
    Value hot = marks(g, index, m, table.dim[0], table.dtype);
    Value dy = ir_reshape(g, dout[0], 2, (const int64_t[]){m, table.dim[1]});
    din[0] = product(g, hot, dy, true);
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
