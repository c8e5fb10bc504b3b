/* pieces.h: a node computed piece by piece along dimension 0.
 *
 * Piece k of P of a value is its rows  k D / P .. (k + 1) D / P - 1,  D being
 * dimension 0.  Which piece of an operand a piece of the result needs:
 *
 *     elementwise, split of dimension 0      the same piece
 *     broadcast of a vector along dim 1      all of it
 *     sum over dimension 0                   cannot be: each piece needs all,
 *                                            and there is no piece of a result
 *
 * Groups around an anchor go by this (Target.anchor). */
#ifndef TGC_PIECES_H
#define TGC_PIECES_H

#include "op.h"

typedef enum PieceUse {
    PIECE_SAME, /* piece k of the operand */
    PIECE_ALL,  /* every piece needs all of the operand */
    PIECE_NONE  /* anything else: the node cannot run in pieces */
} PieceUse;

/* What a piece of generic node n needs of its operand i. */
PieceUse piece_use(const Graph *g, const Node *n, uint32_t i, int64_t pieces);

/* Can it run in pieces?  Its operands are looked at by themselves. */
bool piece_runs(const Node *n, int64_t pieces);

/* Can a value of this type be cut: are its pieces bytes in a row, one behind
 * the other? */
bool piece_fits(const Type *t, int64_t pieces);

/* The type of one piece. */
Type piece_type(const Type *t, int64_t pieces);

/* The largest divisor of n, at least 1, that is no more than `most`, or 1:
 * how many pieces of the same size there can be. */
int64_t divisor_up_to(int64_t n, int64_t most);

#endif
