/* optimizer_muon.c: Muon, momentum whose direction is orthogonalised (Jordan
 * and others 2024, "Muon: An optimizer for hidden layers in neural networks",
 * kellerjordan.github.io/posts/muon):
 *
 *     m  = momentum * m + g
 *     d  = nesterov ? g + momentum * m : m           as a matrix [rows,
 * columns] d  = NewtonSchulz(d)                           singular values near
 * 1 w -= lr * weight_decay * w w -= lr * sqrt(max(1, rows / columns)) * d
 *
 * Rows are a weight's outputs; a convolution's columns are its inputs times
 * its kernel. */
#include "build.h"
#include "optimizer.h"
#include "passes.h"
#include <math.h>

static Value product(Graph *g, Value a, Value b, bool transpose_b)
{
    Attr attr = attr_bool("transpose_b", transpose_b);
    return ir_node(g, &op_matmul, (Value[]){a, b}, 2, &attr, 1);
}

static Value transposed(Graph *g, Value x)
{
    return ir_transpose(g, x, (const int64_t[]){1, 0}, 2);
}

/* x over its Frobenius norm: no singular value is above 1 then. */
static Value normalised(Update *u, Value x)
{
    Graph *g = u->g;
    Value norm = ir_unary(g, &op_sqrt, ir_sum_all(g, ir_mul(g, x, x)));
    Value one = ir_const_like(g, norm, 1);
    return update_scale(u, ir_div(g, one, ir_add_const(g, norm, 1e-7)), x);
}

/* A polynomial in x x' that pulls singular values towards 1: x = a x + (b A +
 * c A^2) x with A = x x', the constants those of the publication, chosen for
 * speed near 0. */
static Value newton_schulz(Update *u, Value x, int steps)
{
    Graph *g = u->g;
    const double a = 3.4445, b = -4.7750, c = 2.0315;
    const Type *t = graph_type(g, x);
    bool tall = t->dim[0] > t->dim[1]; /* then x' x is the smaller product */
    x = normalised(u, tall ? transposed(g, x) : x);
    for (int i = 0; i < steps; i++) {
        Value square = product(g, x, x, true);
        Value fourth = product(g, square, square, false);
        Value factor =
            ir_add(g, ir_mul_const(g, square, b), ir_mul_const(g, fourth, c));
        x = ir_add(g, ir_mul_const(g, x, a), product(g, factor, x, false));
    }
    return tall ? transposed(g, x) : x;
}

static Value muon_momentum(Update *u, const Trained *t)
{
    Graph *g = u->g;
    Value momentum = optimizer_momentum(u, t, "optimizer.momentum");
    if (optimizer_setting(u, t, "optimizer.momentum") == 0)
        return t->gradient;
    Value before = slot_read(u, t, "momentum");
    Value m = ir_add(g, update_scale(u, momentum, before), t->gradient);
    slot_write(u, t, "momentum", before, m);
    bool nesterov = optimizer_setting(u, t, "optimizer.nesterov") != 0;
    return nesterov ? optimizer_ahead(u, t, t->gradient, m) : m;
}

bool muon_step(Update *u, const Trained *t)
{
    Graph *g = u->g;
    Type type = *graph_type(g, t->weight);
    if (type.rank < 2)
        return pass_fail(u->c, t->param.loc,
                         "muon is for matrices and kernels of convolutions, "
                         "and %s has %d dimension%s: give such parameters "
                         "another optimizer (group \"%s\" sgd { .. })",
                         t->param.name, type.rank, type.rank == 1 ? "" : "s",
                         t->param.name);
    int64_t rows = type.dim[0], matrix[2] = {rows, 1};
    for (int d = 1; d < type.rank; d++)
        matrix[1] *= type.dim[d];
    Value d = ir_reshape(g, muon_momentum(u, t), 2, matrix);
    d = newton_schulz(u, d, (int)optimizer_setting(u, t, "optimizer.ns_steps"));
    if (rows > matrix[1])
        d = ir_mul_const(g, d, sqrt((double)rows / (double)matrix[1]));
    d = ir_reshape(g, d, type.rank, type.dim);
    optimizer_descend(u, t, optimizer_decayed(u, t), d);
    return true;
}
