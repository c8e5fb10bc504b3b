/* op.h: what there is to know about an operator, in one table.
 *
 * Everything reads this table: parser, printer, verifier, autodiff, passes,
 * code generation, the manual (docs/ops.md), the tests.  Adding an op is one
 * descriptor in ir/ops/ and one line in ir/ops/index.h (docs/adding-an-op.md).
 * Nothing but a pass that matches a pattern may ask "is this op conv?"; ask
 * for a trait instead.
 *
 * How a target computes a node, first that applies:
 *   1. the target's own way (target.h): a library call, a kernel template;
 *   2. the generic kernel, for ops that have T_ELEMENTWISE with .expr, T_VIEW
 *      with .map, or T_REDUCE with .start and .combine;
 *   3. .expand into simpler ops.
 */
#ifndef TGC_OP_H
#define TGC_OP_H

#include "ir.h"

typedef enum Trait {
    /* Results have the shape of the operands (all the same); each element
     * depends on the operands' elements at the same place.  .expr says how. */
    T_ELEMENTWISE = 1 << 0,
    /* Each result element is one element of operand 0, or a fill value where
     * .map leads outside.  Costs nothing when fused. */
    T_VIEW = 1 << 1,
    /* Folds operand 0 over the dimensions in attribute "axes", which the
     * result no longer has. */
    T_REDUCE = 1 << 2,
    /* Same elements in the same row-major order, another shape. */
    T_RESHAPE = 1 << 3,
    /* Result 0 may be written over operand 0 where types are equal. */
    T_INPLACE = 1 << 4,
    /* Operands 0 and 1 may be swapped. */
    T_COMMUTATIVE = 1 << 5,
    /* Input, state: no operands, the value comes from outside the graph. */
    T_SOURCE = 1 << 6,
    /* Output, update: no results, must be kept. */
    T_ROOT = 1 << 7,
    /* Depends on (seed, stream, step, element) besides the operands. */
    T_RANDOM = 1 << 8,
    /* A call of a library: never fused with others by the generic kernel. */
    T_LIBRARY = 1 << 9,
} Trait;

/* What the pass `half` may do with the op.  Each descriptor says: what is left
 * out is not taken for float32, for that would go unseen. */
typedef enum HalfRule {
    HALF_UNSAID, /* refused by the pass `half` and by the tests */
    HALF_NO,     /* operands and results stay float32 */
    HALF_YES,    /* computes in half where its operands are half */
    HALF_WANT    /* worth casting operands for: conv, matmul */
} HalfRule;

typedef struct AttrSpec {
    const char *name; /* NULL ends the list */
    AttrKind kind;
    /* Default as text, parsed like the IR's attributes: "1", "[1,1]", "f32";
     * NULL: must be given. */
    const char *value;
    const char *doc;
} AttrSpec;

typedef struct Infer {
    const Graph *graph; /* for `state`: graph->module's table has its type */
    const Node *node;   /* op, attributes, n_in; its types are not set yet */
    const Type *const *in;
    Type *out;
    Error *error; /* use infer_fail */
} Infer;

/* Where element `index` of a view's result comes from.  For operand dimension
 * d:  t = offset[d] + sum over k of coef[d][k] * index[k].
 * The element is operand[.., t / div[d], ..] where t is divisible by div[d]
 * and 0 <= t / div[d] < dim; else `fill`. */
typedef struct ViewMap {
    int64_t coef[MAX_RANK][MAX_RANK];
    int64_t offset[MAX_RANK];
    int64_t div[MAX_RANK]; /* at least 1 */
    double fill;
} ViewMap;

typedef struct Cost {
    double flops; /* a multiply-add counts two */
    double bytes; /* read and written when run alone */
} Cost;

struct OpDesc {
    const char *name;
    const char *doc;
    uint8_t min_in, max_in; /* max_in 255: any number */
    uint8_t n_out;
    uint32_t traits;
    HalfRule half;
    const AttrSpec *attrs;      /* NULL for none */
    const char *const *samples; /* NULL-ended; for the table-driven tests */

    /* Types of the results; false with a message where operands or attributes
     * do not fit.  Operands may be of any type and shape: check everything. */
    bool (*infer)(const Infer *f);

    /* Append to g what computes the gradients of a node's operands.  dout[i]
     * is the gradient of result i, NO_VALUE where nothing depends on it; set
     * din[i], left NO_VALUE where there is none (integers).  NULL: the op has
     * no gradient and autodiff stops with a message if it needs one. */
    void (*grad)(Graph *g, uint32_t id, const Value *dout, Value *din);

    /* Append simpler ops computing node n (of another graph) from operands
     * `in` of g, and set out[]. */
    void (*expand)(Graph *g, const Node *n, const Value *in, Value *out);

    Cost (*cost)(const Graph *g, const Node *n); /* NULL: by bytes alone */

    /* T_ELEMENTWISE: C for one element.  x0, x1, ...: operands, in the type
     * computed in (f16 and bf16 in float; bool as int); T: the result's such
     * type; @name: an attribute's value; @f(..): function f of <math.h>, for
     * T; @i: the element's row-major index, int64_t; @at: its index along
     * attribute "axis".  Neither side effects nor more than one use of what
     * would be dear to repeat. */
    const char *expr;
    /* The same on doubles, for folding constants; NULL: never folded. */
    double (*eval)(const Node *n, const double *x);

    /* T_VIEW: *map comes with div 1 and all else 0; call view_map. */
    void (*map)(const Node *n, const Type *in, ViewMap *map);

    /* T_REDUCE: C for the neutral element and for one step from accumulator
     * `a` and element `x0`.  @lowest, @highest: the least and the greatest
     * value of T, infinities for floating point. */
    const char *start, *combine;

    /* Values for which samples are differentiable and numerically tame. */
    double sample_low, sample_high; /* 0, 0: take -1, 1 */
};

extern const OpDesc *const op_table[]; /* NULL-ended, sorted by name */
extern const size_t op_count;
const OpDesc *op_named(const char *name);   /* NULL: none */
const OpDesc *op_nearest(const char *name); /* for "did you mean"; or NULL */

#define OP(name) extern const OpDesc op_##name;
#include "ops/index.h"
#undef OP

/* The types of a node's results by its descriptor, checked for size: what
 * graph_add and the verifier go by. */
bool node_infer(const Graph *g, const Node *n, Type *out, Error *e);

static inline bool node_is(const Node *n, const OpDesc *op)
{
    return n->op == op;
}
static inline bool node_has(const Node *n, Trait t)
{
    return (n->op->traits & t) != 0;
}

/* Is the node for the generic kernel (see above, 2)? */
bool node_is_generic(const Node *n);
/* Does it compute something, but not in the generic kernel? */
bool node_is_whole(const Node *n);

/* Shared by descriptors (ops/common.c). */
bool infer_fail(const Infer *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool infer_same(const Infer *f); /* all operands and the result one type */
ViewMap view_map(const Node *n, const Type *in); /* of a T_VIEW */
/* Is the view all of its operand, counted row-major, in another shape? */
bool view_keeps_order(const Node *n, const Type *in);
Cost cost_bytes(const Graph *g, const Node *n);
Cost cost_per_element(const Graph *g, const Node *n);

#endif
