/* pieces.c: what a piece of a result needs; see pieces.h. */
#include "pieces.h"
#include <string.h>

bool piece_fits(const Type *t, int64_t pieces)
{
    return pieces > 0 && t->rank > 0 && t->dim[0] % pieces == 0 &&
           layout_dim(t->layout, t->rank, 0) == 0;
}

Type piece_type(const Type *t, int64_t pieces)
{
    Type piece = *t;
    piece.dim[0] /= pieces;
    return piece;
}

/* Does its value depend on which row it is, besides on its operands? */
static bool counts_rows(const Node *n)
{
    if (node_has(n, T_RANDOM) || !n->op->expr)
        return node_has(n, T_RANDOM);
    return strstr(n->op->expr, "@i") ||
           (strstr(n->op->expr, "@at") && node_int(n, "axis") == 0);
}

/* Least and most of  offset + sum of coef[k] index[k]  over the dimensions from
 * 1 on. */
static void range_within(const ViewMap *m, int d, const Type *t, int64_t *low,
                         int64_t *high)
{
    *low = *high = m->offset[d];
    for (int k = 1; k < t->rank; k++) {
        int64_t reach = m->coef[d][k] * (t->dim[k] - 1);
        *(reach < 0 ? low : high) += reach;
    }
}

static PieceUse use_of_view(const Node *n, const Type *from, int64_t pieces)
{
    ViewMap m = view_map(n, from);
    int64_t low, high, coef = m.coef[0][0];
    bool all = true;
    for (int d = 0; d < from->rank; d++) {
        all &= m.coef[d][0] == 0;
        if (d && m.coef[d][0])
            return PIECE_NONE;
    }
    if (all)
        return PIECE_ALL;
    range_within(&m, 0, &n->type[0], &low, &high);
    bool same = m.div[0] == 1 && low >= 0 && high < coef &&
                coef * n->type[0].dim[0] == from->dim[0];
    return same && piece_fits(from, pieces) ? PIECE_SAME : PIECE_NONE;
}

static bool folds_rows(const Node *n)
{
    int count;
    const int64_t *axes = node_ints(n, "axes", &count);
    return count && axes[0] == 0;
}

bool piece_runs(const Node *n, int64_t pieces)
{
    return node_is_generic(n) && !counts_rows(n) && n->type[0].rank > 0 &&
           n->type[0].dim[0] % pieces == 0;
}

PieceUse piece_use(const Graph *g, const Node *n, uint32_t i, int64_t pieces)
{
    const Type *from = graph_type(g, n->in[i]);
    if (!piece_runs(n, pieces))
        return PIECE_NONE;
    if (node_has(n, T_VIEW))
        return use_of_view(n, from, pieces);
    if (!piece_fits(from, pieces) || (node_has(n, T_REDUCE) && folds_rows(n)))
        return PIECE_NONE;
    return PIECE_SAME;
}

int64_t divisor_up_to(int64_t n, int64_t most)
{
    int64_t d = most < n ? most : n;
    while (d > 1 && n % d)
        d--;
    return d < 1 ? 1 : d;
}
