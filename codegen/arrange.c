/* arrange.c: in which order the loops of a nest run, and what a part is.
 *
 *   order    as the widest access lies in memory, so that the innermost loop
 *            goes along neighbours;
 *   merge    two loops become one where every access goes on from the end of
 *            the inner one to the next of the outer one;
 *   lanes    the innermost loop becomes vectors.  Where it is a kept one and
 *            reductions run over loops outside of it (sums for each channel),
 *            it is cut into tiles and each lane has an accumulator;
 *   parts    the outer loops are shared out among threads.
 *
 * All of it depends on the shapes alone, so the bits do, too.
 */
#include "kernel.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    LANES_MOST = 256,      /* accumulators for each reduction: a page's part */
    LANES_FEW = 64,        /* tiles do not get smaller than that */
    PART_LEAST = 4 * 1024, /* elements: below, starting it costs more */
    PART_MOST = 32 * 1024, /* stays in the cache near the core */
    PARTS_WANTED = 128
};

/* ---- accesses ----------------------------------------------------------- */

typedef struct Access {
    const Index *at;
    int64_t elements; /* that it reaches */
} Access;

typedef struct Accesses {
    Access *access; /* widest first */
    size_t n, cap;
} Accesses;

static bool is_loop(const Nest *n, uint32_t v)
{
    return n->var[v].kind == VAR_KEPT || n->var[v].kind == VAR_REDUCED;
}

static void add_access(Nest *n, Accesses *a, const Index *at)
{
    int64_t elements = 1;
    for (uint32_t v = 1; v < n->n_vars; v++)
        if (is_loop(n, v) && index_uses(n, at, v))
            elements *= n->var[v].extent;
    ARENA_PUSH(n->arena, a->access, a->n, a->cap, ((Access){at, elements}));
    size_t i = a->n - 1;
    for (; i && a->access[i - 1].elements < elements; i--)
        a->access[i] = a->access[i - 1];
    a->access[i] = (Access){at, elements};
}

static Accesses nest_accesses(Nest *n)
{
    Accesses a = {0};
    for (size_t i = 0; i < n->n_stores; i++)
        add_access(n, &a, &n->store[i].at);
    for (size_t i = 1; i < n->n_exprs; i++)
        if (n->expr[i].kind == EXPR_LOAD)
            add_access(n, &a, &n->expr[i].at);
    return a;
}

/* ---- order -------------------------------------------------------------- */

/* By the widest access that moves along both loops: larger steps outside. */
static bool goes_outside(const Accesses *a, uint32_t v, uint32_t w)
{
    for (size_t i = 0; i < a->n; i++) {
        int64_t x = llabs(a->access[i].at->coef[v]);
        int64_t y = llabs(a->access[i].at->coef[w]);
        if (x && y && x != y)
            return x > y;
    }
    return false;
}

/* What it costs to have this loop innermost. */
static double inner_cost(const Nest *n, const Accesses *a, uint32_t v)
{
    double cost = n->var[v].extent < 8 ? 3 : 0;
    for (size_t i = 0; i < a->n; i++) {
        const Index *at = a->access[i].at;
        int64_t step = llabs(at->coef[v]);
        double weight =
            (double)a->access[i].elements / (double)a->access[0].elements;
        bool derived = step == 0 && index_uses(n, at, v);
        cost += weight * (derived ? 8 : step == 0 ? 0.2 : step == 1 ? 1 : 8);
    }
    return cost;
}

static void order_loops(const Nest *n, const Accesses *a, uint32_t *loop,
                        uint32_t n_loops)
{
    for (uint32_t i = 1; i < n_loops; i++) {
        uint32_t v = loop[i], k = i;
        for (; k && goes_outside(a, v, loop[k - 1]); k--)
            loop[k] = loop[k - 1];
        loop[k] = v;
    }
    uint32_t best = n_loops - 1;
    double cost = inner_cost(n, a, loop[best]);
    for (uint32_t i = 0; i + 1 < n_loops; i++)
        if (inner_cost(n, a, loop[i]) < cost * 0.6) {
            best = i;
            cost = inner_cost(n, a, loop[i]);
        }
    uint32_t v = loop[best];
    memmove(&loop[best], &loop[best + 1], (n_loops - 1 - best) * sizeof *loop);
    loop[n_loops - 1] = v;
}

/* ---- merging ------------------------------------------------------------ */

typedef void IndexVisit(const Nest *n, Index *i, void *data);

static void visit_indices(Nest *n, IndexVisit *visit, void *data)
{
    for (uint32_t v = 1; v < n->n_vars; v++)
        if (n->var[v].kind == VAR_DIV || n->var[v].kind == VAR_MOD)
            visit(n, &n->var[v].of, data);
    for (size_t i = 1; i < n->n_guards; i++)
        visit(n, &n->guard[i].t, data);
    for (size_t i = 1; i < n->n_exprs; i++) {
        visit(n, &n->expr[i].at, data);
        visit(n, &n->expr[i].along, data);
    }
    for (size_t i = 0; i < n->n_stores; i++)
        visit(n, &n->store[i].at, data);
}

typedef struct Merge {
    uint32_t outer, inner;
    bool fits;
} Merge;

static void check_merge(const Nest *n, Index *i, void *data)
{
    Merge *m = data;
    m->fits &= i->coef[m->outer] == i->coef[m->inner] * n->var[m->inner].extent;
}

static void drop_outer(const Nest *n, Index *i, void *data)
{
    (void)n;
    i->coef[((Merge *)data)->outer] = 0;
}

static uint32_t merge_loops(Nest *n, uint32_t *loop, uint32_t n_loops)
{
    for (uint32_t i = n_loops; i-- > 1;) {
        Merge m = {loop[i - 1], loop[i], true};
        if (n->var[m.outer].kind != n->var[m.inner].kind)
            continue;
        visit_indices(n, check_merge, &m);
        if (!m.fits)
            continue;
        visit_indices(n, drop_outer, &m);
        n->var[m.inner].extent *= n->var[m.outer].extent;
        n->var[m.outer].kind = VAR_GONE;
        loop[i - 1] = m.inner;
        memmove(&loop[i], &loop[i + 1], (n_loops - 1 - i) * sizeof *loop);
        n_loops--;
    }
    return n_loops;
}

/* ---- lanes and parts ---------------------------------------------------- */

static int64_t tile_size(int64_t extent)
{
    if (extent <= LANES_MOST)
        return extent;
    for (int64_t t = LANES_MOST; t >= LANES_FEW; t--)
        if (extent % t == 0)
            return t;
    return LANES_MOST;
}

static int64_t row_extent(const Nest *n, uint32_t v)
{
    const Arrangement *r = &n->run;
    int64_t extent = n->var[v].extent;
    bool tiled = v == r->lane && n->n_reductions;
    return tiled ? (extent + r->lanes - 1) / r->lanes : extent;
}

static void choose_parts(Nest *n)
{
    Arrangement *r = &n->run;
    int64_t inner = n->n_reductions && r->lane ? r->lanes : 1;
    for (uint32_t i = 0; i < r->n_reduced; i++)
        inner *= n->var[r->reduced[i]].extent;
    int64_t total = inner;
    for (uint32_t i = 0; i < r->n_row; i++)
        total *= row_extent(n, r->row[i]);
    int64_t wanted = total / PARTS_WANTED;
    wanted = wanted < PART_LEAST ? PART_LEAST : wanted;
    wanted = wanted > PART_MOST ? PART_MOST : wanted;
    r->parts = r->block = 1;
    for (int64_t rest = total / inner; r->n_lead < r->n_row; r->n_lead++) {
        int64_t extent = row_extent(n, r->row[r->n_lead]);
        rest /= extent; /* iterations of the loops within this one */
        if (rest * inner <= wanted || r->n_lead + 1 == r->n_row) {
            int64_t block = wanted / (rest * inner);
            r->block = block < 1 ? 1 : block > extent ? extent : block;
            r->parts *= (extent + r->block - 1) / r->block;
            return;
        }
        r->parts *= extent;
    }
}

/* Which loops are rows, which are reduced, which one is lanes. */
static void classify_loops(Nest *n, const uint32_t *loop, uint32_t n_loops)
{
    Arrangement *r = &n->run;
    uint32_t last = n_loops ? loop[n_loops - 1] : 0;
    if (last && n->var[last].kind == VAR_KEPT) {
        r->lane = last;
        r->lanes = n->n_reductions ? tile_size(n->var[last].extent)
                                   : n->var[last].extent;
    }
    for (uint32_t i = 0; i < n_loops; i++)
        if (n->var[loop[i]].kind == VAR_REDUCED)
            r->reduced[r->n_reduced++] = loop[i];
        else
            r->row[r->n_row++] = loop[i];
}

void nest_arrange(Nest *n)
{
    n->run = (Arrangement){0};
    uint32_t loop[KERNEL_VARS], n_loops = 0;
    for (uint32_t v = 1; v < n->n_vars; v++)
        if (is_loop(n, v))
            loop[n_loops++] = v;
    if (n_loops) {
        Accesses a = nest_accesses(n);
        order_loops(n, &a, loop, n_loops);
        n_loops = merge_loops(n, loop, n_loops);
    }
    classify_loops(n, loop, n_loops);
    choose_parts(n);
}
