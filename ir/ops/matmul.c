/* ops/matmul.c: products of matrices, many at once. */
#include "common.h"
#include <inttypes.h>

/* [.., m, k] x [.., k, n] after transposing what is to be transposed. */
typedef struct MatmulShape {
    int batch; /* how many leading dimensions */
    int64_t m, n, k, k_of_b;
} MatmulShape;

static MatmulShape matmul_shape(const Node *node, const Type *a, const Type *b)
{
    int last = a->rank - 1;
    bool ta = node_int(node, "transpose_a"), tb = node_int(node, "transpose_b");
    return (MatmulShape){.batch = a->rank - 2,
                         .m = a->dim[ta ? last : last - 1],
                         .k = a->dim[ta ? last - 1 : last],
                         .k_of_b = b->dim[tb ? last : last - 1],
                         .n = b->dim[tb ? last - 1 : last]};
}

static bool infer_matmul(const Infer *f)
{
    const Type *a = f->in[0], *b = f->in[1];
    if (!dtype_is_float(a->dtype) || a->dtype != b->dtype)
        return infer_fail(f, "takes floating point of one type, not %s and %s",
                          type_text(a).s, type_text(b).s);
    if (a->rank != b->rank || a->rank < 2 || a->rank >= MAX_RANK)
        return infer_fail(f,
                          "%s and %s: both need 2 to %d dimensions, equally "
                          "many",
                          type_text(a).s, type_text(b).s, MAX_RANK - 1);
    MatmulShape s = matmul_shape(f->node, a, b);
    if (s.k != s.k_of_b)
        return infer_fail(f,
                          "rows of %" PRId64 " elements meet columns of "
                          "%" PRId64 " (%s and %s)",
                          s.k, s.k_of_b, type_text(a).s, type_text(b).s);
    bool wide = node_int(f->node, "wide");
    f->out[0] =
        type_make(wide ? dtype_wide(a->dtype) : a->dtype, a->rank, a->dim);
    for (int d = 0; d < s.batch; d++)
        if (a->dim[d] != b->dim[d])
            return infer_fail(f, "leading dimensions differ: %s and %s",
                              type_text(a).s, type_text(b).s);
    f->out[0].dim[s.batch] = s.m;
    f->out[0].dim[s.batch + 1] = s.n;
    return infer_work(f, type_elements(a), s.n, 1);
}

static Value matmul(Graph *g, Value a, Value b, bool ta, bool tb, bool wide)
{
    Attr attr[] = {attr_bool("transpose_a", ta), attr_bool("transpose_b", tb),
                   attr_bool("wide", wide)};
    return ir_node(g, &op_matmul, (Value[]){a, b}, 2, attr, 3);
}

/* Was v rounded from a wider value?  That one wants its gradient wide. */
static bool was_wide(const Graph *g, Value v)
{
    const Node *n = graph_node(g, v);
    return node_is(n, &op_cast) && dtype_is_half(n->type->dtype) &&
           graph_type(g, n->in[0])->dtype == dtype_wide(n->type->dtype);
}

/* With A and B the matrices that are multiplied, dA = dC B', dB = A' dC;
 * where an operand is stored transposed, so is its gradient. */
static void grad_matmul(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Value a = g->node[id].in[0], b = g->node[id].in[1], dc = dout[0];
    bool ta = node_int(&g->node[id], "transpose_a");
    bool tb = node_int(&g->node[id], "transpose_b");
    bool wa = was_wide(g, a), wb = was_wide(g, b);
    dc = ir_cast(g, dc, graph_type(g, a)->dtype);
    din[0] =
        ta ? matmul(g, b, dc, tb, true, wa) : matmul(g, dc, b, false, !tb, wa);
    din[1] =
        tb ? matmul(g, dc, a, true, ta, wb) : matmul(g, a, dc, !ta, false, wb);
}

static Value swap_last(Graph *g, Value v)
{
    int rank = graph_type(g, v)->rank;
    int64_t order[MAX_RANK];
    for (int d = 0; d < rank; d++)
        order[d] = d;
    order[rank - 1] = rank - 2;
    order[rank - 2] = rank - 1;
    return ir_transpose(g, v, order, rank);
}

/* Every product [.., m, n, k], then the sum over k. */
static void expand_matmul(Graph *g, const Node *n, const Value *in, Value *out)
{
    Value a = in[0], b = in[1];
    MatmulShape s = matmul_shape(n, graph_type(g, a), graph_type(g, b));
    if (node_int(n, "transpose_a"))
        a = swap_last(g, a); /* [.., m, k] */
    if (!node_int(n, "transpose_b"))
        b = swap_last(g, b); /* [.., n, k] */
    Type all = type_make(graph_type(g, a)->dtype, s.batch + 2, n->type->dim);
    all.dim[all.rank++] = s.k;
    int64_t of_a[MAX_RANK], of_b[MAX_RANK], k = s.batch + 2;
    for (int d = 0; d < s.batch; d++)
        of_a[d] = of_b[d] = d;
    of_a[s.batch] = s.batch;
    of_b[s.batch] = s.batch + 1;
    of_a[s.batch + 1] = of_b[s.batch + 1] = k;
    a = ir_broadcast(g, a, &all, of_a, s.batch + 2);
    b = ir_broadcast(g, b, &all, of_b, s.batch + 2);
    Value sum = ir_reduce_sum_wide(g, ir_mul(g, a, b), &k, 1);
    out[0] = ir_cast(g, sum, n->type->dtype);
}

static Cost cost_matmul(const Graph *g, const Node *n)
{
    Cost c = cost_bytes(g, n);
    MatmulShape s =
        matmul_shape(n, graph_type(g, n->in[0]), graph_type(g, n->in[1]));
    c.flops = 2 * (double)type_elements(n->type) * (double)s.k;
    return c;
}

const OpDesc op_matmul = {
    .name = "matmul",
    .doc = "product of matrices, the last two dimensions; those before count "
           "matrices and must be equal",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .half = HALF_WANT,
    .attrs =
        (const AttrSpec[]){
            {"transpose_a", ATTR_BOOL, "false", "x is stored [.., k, m]"},
            {"transpose_b", ATTR_BOOL, "false", "y is stored [.., n, k]"},
            {"wide", ATTR_BOOL, "false",
             "the result is f32 where operands are half"},
            {0}},
    .samples = (const char *const[]){"(f32[2,3], f32[3,5])",
                                     "(f32[3,2], f32[3,5]) {transpose_a=true}",
                                     "(f32[2,3], f32[5,3]) {transpose_b=true}",
                                     "(f64[3,2], f64[5,3]) {transpose_a=true, "
                                     "transpose_b=true}",
                                     "(f32[2,3,1,4], f32[2,3,4,5])",
                                     "(f32[3,7,2], f32[3,1,7]) "
                                     "{transpose_a=true, transpose_b=true}",
                                     NULL},
    .infer = infer_matmul,
    .grad = grad_matmul,
    .expand = expand_matmul,
    .cost = cost_matmul,
};
