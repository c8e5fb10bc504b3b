/* lower.h: what the files of the lowering share: from a step of a graph to the
 * kernel IR.
 *
 *     lower.c    which results make a nest together, its loops, its stores
 *     pull.c     a value at an index, as an expression, and so on upwards
 */
#ifndef TGC_LOWER_H
#define TGC_LOWER_H

#include "hash.h"
#include "kernel.h"

/* The space that a nest runs over: the shape of the operand of its reductions,
 * or of a result where there are none. */
typedef struct Domain {
    int rank;
    int64_t dim[MAX_RANK];
    bool reduced[MAX_RANK];
    bool has_reductions;
    int64_t *cut; /* where dimensions are split: see lower.c */
    size_t n_cuts, cap_cuts;
    Index index[MAX_RANK]; /* of the element that the loops are at */
    Value *out;            /* results that this nest stores */
    size_t n_outs, cap_outs;
} Domain;

typedef struct Pull {
    Value value;
    uint32_t guards, expr;
    int rank;
    Index *index;
} Pull;

typedef struct Lower {
    const Graph *g;
    const Step *step;
    Arena *arena;
    Error *error;
    KernelIr *kernel;
    const TileValue *tile; /* NULL: none */
    Domain *domain;        /* of the nest being built */
    Nest *nest;
    Pull *pull; /* what was pulled already; pull[0] is unused */
    size_t n_pulls, cap_pulls;
    HashTable pulled;
    int depth;
} Lower;

/* The expression for value v at an index of its rank, under guards; 0 with
 * l->error set where it cannot be. */
uint32_t lower_pull(Lower *l, Value v, const Index *index, uint32_t guards);

/* The operand of the step that v is; UINT32_MAX: none. */
uint32_t lower_operand(const Lower *l, Value v);

/* The same element, counted row-major, in another shape. */
bool lower_reshape(Lower *l, const Index *from, const int64_t *from_dim,
                   int from_rank, Index *to, const int64_t *to_dim,
                   int to_rank);

/* Element in memory. */
Index lower_place(const Type *t, const Index *index);

#endif
