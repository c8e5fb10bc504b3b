/* build.h: the typed builder: graph_add with C arguments.
 *
 * For code that knows what it does (gradients, expansions, passes): a node
 * that does not infer is a bug and asserts with the message.  Code that builds
 * from what a user wrote calls graph_add itself and reports the error.
 * Locations come from g->loc.
 *
 * It goes by these names of attributes:
 *     input {name, dtype, shape}      const {value, dtype, shape}
 *     state, update, output {name}    cast {dtype}   reshape {shape}
 *     broadcast {shape, dims}         transpose {order}   reduce_* {axes}
 * (a source carries its type, so that all types come from inference).
 */
#ifndef TGC_BUILD_H
#define TGC_BUILD_H

#include "op.h"

Value ir_node(Graph *g, const OpDesc *op, const Value *in, int n_in,
              const Attr *attr, int n_attr); /* first result */
Value ir_unary(Graph *g, const OpDesc *op, Value a);
Value ir_binary(Graph *g, const OpDesc *op, Value a, Value b);

/* Elementwise; both operands of one type. */
Value ir_add(Graph *g, Value a, Value b);
Value ir_sub(Graph *g, Value a, Value b);
Value ir_mul(Graph *g, Value a, Value b);
Value ir_div(Graph *g, Value a, Value b);
Value ir_select(Graph *g, Value condition, Value yes, Value no);
Value ir_cast(Graph *g, Value a, DType to); /* a itself where it is that */

/* A constant of like's type, and arithmetic with one. */
Value ir_const(Graph *g, const Type *type, double value);
Value ir_const_like(Graph *g, Value like, double value);
Value ir_add_const(Graph *g, Value a, double c);
Value ir_mul_const(Graph *g, Value a, double c);

/* Shapes. */
Value ir_broadcast(Graph *g, Value a, const Type *to, const int64_t *dims,
                   int n); /* operand dim i becomes result dim dims[i] */
Value ir_broadcast_channel(Graph *g, Value a, Value like); /* [C] along dim 1 */
Value ir_broadcast_scalar(Graph *g, Value a, Value like);
Value ir_reshape(Graph *g, Value a, int rank, const int64_t *dim);
Value ir_transpose(Graph *g, Value a, const int64_t *order, int n);
Value ir_reduce_sum(Graph *g, Value a, const int64_t *axes, int n);
/* The sum in float32 where a is half: for sums of many. */
Value ir_reduce_sum_wide(Graph *g, Value a, const int64_t *axes, int n);
Value ir_reduce_max(Graph *g, Value a, const int64_t *axes, int n);
Value ir_reduce_to_channel(Graph *g, Value a); /* sum over all but dim 1 */
Value ir_sum_all(Graph *g, Value a);           /* a scalar */

/* Ends of the graph. */
Value ir_input(Graph *g, const char *name, const Type *type);
Value ir_state(Graph *g, const char *name); /* type from the module's table */
void ir_update(Graph *g, const char *state, Value v);
void ir_output(Graph *g, const char *name, Value v);

#endif
