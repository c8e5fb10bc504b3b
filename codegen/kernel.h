/* kernel.h: the kernel IR: what a step computes, element by element.
 *
 *     Kernel ── Buffer          memory that it reads and writes
 *       └─ Nest                 a nest of loops; nests are independent
 *            ├─ Var             loops; quotients and remainders of indices
 *            ├─ Expr            a DAG: loads, constants, ops, sums of a row
 *            ├─ Reduction       folds an Expr over the reduced loops
 *            └─ Store           writes an Expr
 *
 * A nest without reductions is one pass over its loops.  One with reductions
 * goes over rows: for each value of the kept loops, the reduced loops run once
 * a level.  A reduction of level 0 needs nothing but memory; what is computed
 * from it has level 1, and so on:
 *
 *     softmax    level 0   m = max x           over the row
 *                level 1   s = sum exp(x - m)  over the row again
 *                level 2   y = exp(x - m) / s  stored, over the row again
 *
 * lower.c makes nests out of graph nodes, arrange.c decides how the loops run
 * (order, merging, parts, lanes), print_c.c writes them as C.  Nothing here
 * knows the target's language.
 */
#ifndef TGC_KERNEL_H
#define TGC_KERNEL_H

#include "ir.h"
#include "steps.h"

enum { KERNEL_VARS = 40 };

/* offset + sum of coef[v] * value of variable v */
typedef struct Index {
    int64_t offset;
    int64_t coef[KERNEL_VARS];
} Index;

typedef enum VarKind {
    VAR_KEPT,    /* a loop; each value is another row */
    VAR_REDUCED, /* a loop within a row */
    VAR_DIV,     /* of / by */
    VAR_MOD,     /* of % by */
    VAR_GONE     /* merged into another one */
} VarKind;

typedef struct Var {
    VarKind kind;
    int64_t extent; /* 0 <= value < extent */
    Index of;       /* div, mod */
    int64_t by;
} Var;

/* 0 <= t < limit, and t is a multiple of `by`. */
typedef struct Guard {
    Index t;
    int64_t limit, by;
    uint32_t next; /* the guards that hold outside of this one; 0: none */
} Guard;

typedef enum ExprKind {
    EXPR_CONST,
    EXPR_LOAD,      /* buffer[at] where the guards hold, else value */
    EXPR_SELECT,    /* in[0] where the guards hold, else value */
    EXPR_OP,        /* node's .expr of in[] */
    EXPR_REDUCTION, /* the result of a reduction */
} ExprKind;

typedef struct Expr {
    ExprKind kind;
    DType dtype;
    bool varies;    /* along reduced loops */
    uint32_t level; /* reductions that must be done before */
    double value;
    uint32_t guards;
    uint32_t buffer;
    Index at;         /* load: element; op: row-major index, for @i */
    Index along;      /* op: index along attribute "axis", for @at */
    const Node *node; /* op: descriptor and attributes */
    uint32_t *in;     /* op, select: expressions */
    uint32_t n_in;
    uint32_t reduction;
} Expr;

typedef struct Reduction {
    const Node *node; /* .start, .combine */
    uint32_t of;      /* expression */
    uint32_t level;   /* its level: it is computed in that turn */
} Reduction;

typedef struct Store {
    uint32_t expr, buffer;
    Index at;
    bool row; /* once a row: does not vary along reduced loops */
} Store;

/* How the loops of a nest run.  Parts are what threads share out: a part is
 * one value of all of row[0 .. n_lead - 1] and a block of row[n_lead]. */
typedef struct Arrangement {
    uint32_t row[KERNEL_VARS]; /* kept loops, outermost first */
    uint32_t n_row, n_lead;
    int64_t block; /* iterations of row[n_lead] in a part */
    int64_t parts;
    uint32_t reduced[KERNEL_VARS]; /* reduced loops, outermost first */
    uint32_t n_reduced;
    /* The loop that becomes vector lanes: kept (then it runs inside of the
     * reduced loops, an accumulator for each lane) or, where the innermost
     * loop is a reduced one, none.  `lanes` iterations of it at a time. */
    uint32_t lane; /* 0: none */
    int64_t lanes;
} Arrangement;

typedef struct Nest {
    Arena *arena;
    Var var[KERNEL_VARS]; /* var[0] is unused */
    uint32_t n_vars;
    Guard *guard; /* guard[0] is unused */
    size_t n_guards, cap_guards;
    Expr *expr; /* expr[0] is unused; operands come before */
    size_t n_exprs, cap_exprs;
    Reduction *reduction;
    size_t n_reductions, cap_reductions;
    Store *store;
    size_t n_stores, cap_stores;
    Arrangement run;
} Nest;

typedef struct KernelBuffer {
    Value value;
    DType dtype;
    bool written;
    bool shared; /* may lie where another of the buffers lies */
} KernelBuffer;

typedef struct KernelIr {
    KernelBuffer *buffer; /* results first, then operands */
    uint32_t n_buffers, n_out;
    Nest *nest;
    uint32_t n_nests;
    int64_t parts; /* of all nests, one after the other */
} KernelIr;

/* Lower a step whose nodes are generic (no library).  Returns NULL with a
 * message where the nodes do not form a kernel. */
KernelIr *kernel_lower(const Graph *g, const Step *s, Arena *a, Error *e);

/* A value of which a kernel has a tile at hand: dense, its channels next to
 * each other.  Counted from its first element, neighbours in one pixel are
 * neighbours in the tile, too, and the next pixel is `line` elements on. */
typedef struct TileValue {
    Value value;
    int64_t channels, line;
} TileValue;

/* The same of what a group computes after its anchor, of whose result there is
 * a tile: an operand like others, but it lies so. */
KernelIr *kernel_lower_after(const Graph *g, const Step *s, const TileValue *t,
                             Arena *a, Error *e);

/* Fill in nest->run. */
void nest_arrange(Nest *n);

/* ---- indices ------------------------------------------------------------ */

Index index_const(int64_t offset);
Index index_var(uint32_t var);
Index index_add(Index a, Index b);
Index index_scale(Index a, int64_t by);
bool index_equal(const Index *a, const Index *b);
bool index_is_const(const Index *a);
/* Least and largest value; also of what is added up on the way. */
void index_range(const Nest *n, const Index *a, int64_t *low, int64_t *high);
/* Of an index that is not negative where it matters.  Affine where it can be,
 * else a variable of its own; false where there are too many of those. */
bool index_div(Nest *n, const Index *a, int64_t by, Index *result);
bool index_mod(Nest *n, const Index *a, int64_t by, Index *result);

uint32_t nest_add_var(Nest *n, VarKind kind, int64_t extent); /* 0: full */
uint32_t nest_add_expr(Nest *n, Expr e);
/* Is it used, itself or through quotients, in an index? */
bool index_uses(const Nest *n, const Index *a, uint32_t var);
/* Does the index change along a loop of this kind? */
bool index_varies(const Nest *n, const Index *a, VarKind kind);
bool guards_vary(const Nest *n, uint32_t guards, VarKind kind);

#endif
