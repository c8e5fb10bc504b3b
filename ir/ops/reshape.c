/* ops/reshape.c: the same elements under another shape. */
#include "common.h"
#include <inttypes.h>

static bool infer_reshape(const Infer *f)
{
    const Type *x = f->in[0];
    int rank;
    const int64_t *dim = node_ints(f->node, "shape", &rank);
    if (rank > MAX_RANK)
        return infer_fail(f, "%d dimensions, at most %d are possible", rank,
                          MAX_RANK);
    f->out[0] = type_make(x->dtype, rank, dim);
    if (!type_fits(&f->out[0]) || type_elements(x) != type_elements(f->out))
        return infer_fail(f, "%s has %" PRId64 " elements, %s does not",
                          type_text(x).s, type_elements(x),
                          type_text(f->out).s);
    return true;
}

static void grad_reshape(Graph *g, uint32_t id, const Value *dout, Value *din)
{
    Type x = *graph_type(g, g->node[id].in[0]);
    din[0] = ir_reshape(g, dout[0], x.rank, x.dim);
}

const OpDesc op_reshape = {
    .name = "reshape",
    .doc = "the same elements in the same row-major order, another shape",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .traits = T_RESHAPE | T_INPLACE,
    .half = HALF_YES,
    .attrs =
        (const AttrSpec[]){{"shape", ATTR_INTS, NULL, "the new shape"}, {0}},
    .samples = (const char *const[]){"(f32[2,3,4]) {shape=[6,4]}",
                                     "(f32[6]) {shape=[1,2,3,1]}",
                                     "(i32[1,1]) {shape=[]}",
                                     "(f64[5,3]) {shape=[3,5]}", NULL},
    .infer = infer_reshape,
    .grad = grad_reshape,
    .cost = cost_bytes,
};
