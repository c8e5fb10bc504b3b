/* cuda_gemm.c: see cuda_gemm.h.
 *
 * A node becomes a Problem: how many rows, columns and k there are, and the
 * sizes that the template wants; a table of tiles and a model of what they
 * cost say how it is cut. */
#include "cuda_gemm_private.h"
#include <string.h>

enum {
    PROCESSORS = 132, /* of the GPU that the tiles are chosen for */
    GROUP_LEAST = 8,  /* channels of a group: fewer are no matrix */
    BRING = 24,       /* products that bringing a number costs */
    MMA_FASTER = 8,   /* the matrix unit, as often */
    PART_BYTES = 16 * 1024 * 1024, /* partial weight gradients, in all */
    BLOCKS_WANTED = 2 * PROCESSORS
};

/* ---- from a node -------------------------------------------------------- */

/* [N,C,w] as [N,C,1,1,w]. */
static void spread(const Type *t, int64_t *dim, int64_t *stride)
{
    int64_t of[MAX_RANK];
    int missing = 5 - t->rank;
    type_strides(t, of);
    for (int d = 0; d < 5; d++) {
        int from = d < 2 ? d : d - missing;
        bool there = from >= 0 && (d < 2 || from >= 2);
        dim[d] = there ? t->dim[from] : 1;
        stride[d] = there ? of[from] : 0;
    }
}

static void spread_attr(const Node *n, const char *name, int64_t without,
                        int64_t *to)
{
    int count;
    const int64_t *v = node_ints(n, name, &count);
    for (int i = 0; i < SPATIAL; i++) {
        int from = i - (SPATIAL - count);
        to[i] = from >= 0 ? v[from] : without;
    }
}

static int64_t area(const int64_t *dim)
{
    return dim[0] * dim[2] * dim[3] * dim[4];
}

static bool conv_problem(const Node *n, ProblemKind kind, const Type *x,
                         const Type *w, const Type *y, Problem *p)
{
    if (x->rank < 3 || x->rank > 2 + SPATIAL || !dtype_is_float(x->dtype))
        return false;
    p->kind = kind;
    p->dtype = x->dtype;
    p->batches = node_int(n, "groups");
    p->parts = 1;
    spread(x, p->x_dim, p->x);
    spread(w, p->w_dim, p->w);
    spread(y, p->y_dim, p->y);
    spread_attr(n, "stride", 1, p->stride);
    spread_attr(n, "dilation", 1, p->dilation);
    spread_attr(n, "pad_low", 0, p->pad);
    int64_t taps = p->w_dim[2] * p->w_dim[3] * p->w_dim[4];
    int64_t out = p->w_dim[0] / p->batches, in = p->w_dim[1];
    p->m = kind == PROBLEM_CONV         ? area(p->y_dim)
           : kind == PROBLEM_GRAD_INPUT ? area(p->x_dim)
                                        : taps * in;
    p->n = kind == PROBLEM_GRAD_INPUT ? in : out;
    p->k = kind == PROBLEM_CONV         ? taps * in
           : kind == PROBLEM_GRAD_INPUT ? taps * out
                                        : area(p->y_dim);
    return p->batches == 1 || (in >= GROUP_LEAST && out >= GROUP_LEAST);
}

/* Weights [O,C/g,k..] in plain order. */
static Type weights_of(const Node *n, const Type *x, const Type *y)
{
    int64_t dim[MAX_RANK] = {y->dim[1], x->dim[1] / node_int(n, "groups")};
    int count;
    const int64_t *kernel = node_ints(n, "kernel", &count);
    memcpy(&dim[2], kernel, (size_t)count * sizeof *dim);
    return type_make(x->dtype, count + 2, dim);
}

static bool grad_weight_problem(const Graph *g, const Node *n, Problem *p)
{
    const Type *x = graph_type(g, n->in[0]), *y = graph_type(g, n->in[1]);
    Type w = weights_of(n, x, y);
    if (!conv_problem(n, PROBLEM_GRAD_WEIGHT, x, &w, y, p))
        return false;
    p->parts = x->dim[0] / node_int(n, "call");
    p->k /= p->parts;
    p->result = n->type[0].dtype;
    return true;
}

/* [batch, row, column] of the last two dimensions of a matrix that lies
 * row-major, maybe transposed. */
static void matrix(const Type *t, bool transposed, int64_t *stride)
{
    int64_t rows = t->dim[t->rank - 2], columns = t->dim[t->rank - 1];
    stride[0] = t->rank > 2 ? rows * columns : 0;
    stride[1] = transposed ? 1 : columns;
    stride[2] = transposed ? columns : 1;
}

static bool matmul_problem(const Graph *g, const Node *n, Problem *p)
{
    const Type *a = graph_type(g, n->in[0]), *b = graph_type(g, n->in[1]);
    const Type *y = &n->type[0];
    if (a->layout || b->layout || y->layout)
        return false;
    p->kind = PROBLEM_MATMUL;
    p->dtype = a->dtype;
    p->result = y->dtype;
    p->m = y->dim[y->rank - 2];
    p->n = y->dim[y->rank - 1];
    p->k = a->dim[a->rank - (node_int(n, "transpose_a") ? 2 : 1)];
    p->batches = type_elements(y) / (p->m * p->n);
    p->parts = 1;
    matrix(a, node_int(n, "transpose_a"), p->x);
    matrix(b, !node_int(n, "transpose_b"), p->w); /* rows are columns of b */
    matrix(y, false, p->y);
    return true;
}

bool problem_of(const Graph *g, const Node *n, Problem *p)
{
    *p = (Problem){.result = n->n_out ? n->type[0].dtype : DT_F32};
    if (node_is(n, &op_conv))
        return conv_problem(n, PROBLEM_CONV, graph_type(g, n->in[0]),
                            graph_type(g, n->in[1]), &n->type[0], p);
    if (node_is(n, &op_conv_grad_input))
        return conv_problem(n, PROBLEM_GRAD_INPUT, &n->type[0],
                            graph_type(g, n->in[1]), graph_type(g, n->in[0]),
                            p);
    if (node_is(n, &op_lib_conv_grad_weight))
        return grad_weight_problem(g, n, p);
    return node_is(n, &op_matmul) && matmul_problem(g, n, p);
}

bool cuda_gemm_fits(const Graph *g, const Node *n)
{
    Problem p;
    if (!problem_of(g, n, &p))
        return false;
    int64_t most = INT32_MAX / 2; /* of what is counted in int */
    return p.m < most && p.n < most && p.k * p.parts < most && p.batches < most;
}

/* ---- vectors ------------------------------------------------------------ */

static bool all_even(const int64_t *number, int n, int64_t by)
{
    for (int i = 0; i < n; i++)
        if (number[i] % by)
            return false;
    return true;
}

/* Channels next to each other, `channels` of a group, and every other step in
 * vectors. */
static bool channels_even(const int64_t *stride, int64_t channels, int64_t by)
{
    return stride[1] == 1 && channels % by == 0 && stride[0] % by == 0 &&
           all_even(&stride[2], SPATIAL, by);
}

static bool matrix_even(const int64_t *stride, int64_t rows, int64_t k,
                        int64_t by)
{
    bool along_k = stride[2] == 1;
    return (along_k || stride[1] == 1) &&
           (along_k ? stride[1] : stride[2]) % by == 0 &&
           (along_k ? k : rows) % by == 0 && stride[0] % by == 0;
}

int operand_vector(const Problem *p, int i)
{
    int most = VECTOR_BYTES / (int)dtype_size(p->dtype);
    int64_t in = p->w_dim[1], out = p->w_dim[0] / p->batches;
    bool even;
    if (p->kind == PROBLEM_MATMUL)
        even = matrix_even(i ? p->w : p->x, i ? p->n : p->m, p->k, most);
    else if (i == 1 && p->kind != PROBLEM_GRAD_WEIGHT)
        even = channels_even(p->w, in, most);
    else if (i == 1 || p->kind == PROBLEM_GRAD_INPUT)
        even = channels_even(p->y, out, most);
    else
        even = channels_even(p->x, in, most);
    return even ? most : 1;
}

/* ---- tiles -------------------------------------------------------------- */

/* clang-format off */
static const Tile tile_table[] = {
    {false, 128, 64, 8, 4, false}, {false, 64, 64, 4, 4, false},
    {false, 32, 64, 4, 4, false}, {false, 16, 64, 2, 4, false},
    {false, 128, 32, 4, 4, false}, {false, 64, 32, 4, 4, false},
    {false, 32, 32, 2, 4, false}, {false, 256, 16, 4, 4, false},
    {false, 128, 16, 4, 4, false}, {false, 64, 16, 2, 4, false},
    {false, 32, 16, 1, 4, false},
    {true, 128, 64, 4, 2, false}, {true, 64, 64, 2, 2, false},
    {true, 32, 64, 2, 2, false}, {true, 16, 64, 1, 4, false},
    {true, 128, 32, 4, 1, false}, {true, 64, 32, 4, 1, false},
    {true, 32, 32, 2, 2, false}, {true, 128, 16, 8, 1, false},
    {true, 64, 16, 4, 1, false}, {true, 16, 32, 1, 2, false},
    {true, 256, 16, 8, 1, true}, {true, 128, 16, 4, 1, true},
    {true, 64, 16, 4, 1, true}, {true, 128, 32, 4, 2, true},
    {true, 128, 32, 4, 1, true}, {true, 64, 32, 4, 1, true},
    {true, 32, 32, 2, 2, true}, {true, 128, 64, 4, 2, true},
    {true, 64, 64, 4, 2, true}, {true, 64, 64, 2, 2, true},
    {true, 32, 64, 2, 2, true},
};
/* clang-format on */

enum {
    TILES = sizeof tile_table / sizeof *tile_table,
    TILE_K = 16 /* of k at a time, at least */
};

int threads_of(const Tile *t)
{
    return t->mma ? 32 * t->tm * t->tn : t->bm / t->tm * (t->bn / t->tn);
}

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

int64_t blocks_of(const Problem *p, const Tile *t, int rows)
{
    return up(p->m, rows) * up(p->n, t->bn) * p->batches * p->parts;
}

/* In products that a processor does, one after the other: those of a block, and
 * what it brings through the caches to shared memory, for each tap again or, in
 * a patch, once.  A block of few threads leaves some of it idle. */
static double tile_cost(const Problem *p, const Tile *t)
{
    Halo h;
    int threads = threads_of(t);
    double waves = (double)up(blocks_of(p, t, t->bm), PROCESSORS);
    double k = (double)p->k, brought = k * (t->bm + t->bn);
    if (t->halo && halo_of(p, t, t->bm, &h))
        halo_work(t, &h, &brought, &k);
    double products = k * t->bm * t->bn / (t->mma ? MMA_FASTER : 1);
    double block = products + BRING * brought;
    return waves * block * (threads < 128 ? 2 : threads < 256 ? 1.1 : 1);
}

static bool tile_suits(const Problem *p, const Tile *t)
{
    Halo h;
    return t->mma == dtype_is_half(p->dtype) &&
           (p->dtype != DT_F64 || t->bm <= 64) && /* twice the shared memory */
           (!t->halo || halo_of(p, t, t->bm, &h));
}

const Tile *choose_tile(const Problem *p)
{
    const Tile *best = NULL;
    for (int i = 0; i < TILES; i++) {
        const Tile *t = &tile_table[i];
        if (tile_suits(p, t) && (!best || tile_cost(p, t) < tile_cost(p, best)))
            best = t;
    }
    return best;
}

static const char *tile_name(const Tile *t, Arena *a)
{
    return arena_printf(a, "%dx%d/%dx%d%s", t->bm, t->bn, t->tm, t->tn,
                        t->halo ? "/halo" : "");
}

const Tile *tile_named(const Problem *p, const char *name)
{
    const Tile *found = NULL;
    Arena *a = arena_new();
    for (int i = 0; i < TILES && !found; i++)
        if (tile_suits(p, &tile_table[i]) &&
            !strcmp(tile_name(&tile_table[i], a), name))
            found = &tile_table[i];
    arena_free(a);
    return found;
}

int64_t cuda_gemm_call(const Type *x, const Type *w, const Type *y,
                       int64_t groups)
{
    int64_t batch = x->dim[0], pixels = type_elements(y) / y->dim[1];
    Problem p = {.kind = PROBLEM_GRAD_WEIGHT,
                 .dtype = x->dtype,
                 .m = type_elements(w) / w->dim[0],
                 .n = w->dim[0] / groups,
                 .k = pixels,
                 .batches = groups,
                 .parts = 1};
    const Tile *t = choose_tile(&p);
    int64_t parts = up(BLOCKS_WANTED, blocks_of(&p, t, t->bm));
    int64_t bytes = type_elements(w) * 4;
    if (parts > PART_BYTES / bytes)
        parts = PART_BYTES / bytes;
    if (parts > pixels / TILE_K)
        parts = pixels / TILE_K;
    if (parts > batch)
        parts = batch;
    while (parts > 1 && batch % parts)
        parts--;
    return batch / (parts < 1 ? 1 : parts);
}

/* ---- what is fused around a product ---------------------------------------
 */

/* Results of any other kind are in several blocks' tiles, or in none. */
static bool has_tile(const Problem *p, const Type *y)
{
    bool known = p->dtype == p->result &&
                 (p->dtype == DT_F32 || dtype_is_half(p->dtype));
    int64_t stride[MAX_RANK];
    type_strides(y, stride);
    int channel = p->kind == PROBLEM_MATMUL ? y->rank - 1 : 1;
    return known && p->batches == 1 && p->kind != PROBLEM_GRAD_WEIGHT &&
           p->n > 1 && stride[channel] == 1 &&
           layout_dim(y->layout, y->rank, 0) == 0;
}

int64_t cuda_gemm_tile(const Graph *g, const Node *n)
{
    Problem p;
    if (!problem_of(g, n, &p) || !has_tile(&p, &n->type[0]))
        return 0;
    return choose_tile(&p)->bm;
}

/* The best of those with a patch where the best is one without, or the other
 * way round: what caches make of either is for a GPU to say. */
static void put_other_second(const Tile **sorted, int n)
{
    int other = 1;
    while (other < n && sorted[other]->halo == sorted[0]->halo)
        other++;
    if (other >= n)
        return;
    const Tile *t = sorted[other];
    memmove(&sorted[2], &sorted[1], (size_t)(other - 1) * sizeof *sorted);
    sorted[1] = t;
}

int cuda_gemm_tiles(const Graph *g, const Node *n, const char **tile, int most,
                    Arena *a)
{
    Problem p;
    const Tile *sorted[TILES];
    int found = 0;
    problem_of(g, n, &p);
    for (int i = 0; i < TILES; i++) {
        if (!tile_suits(&p, &tile_table[i]))
            continue;
        int at = found++;
        double cost = tile_cost(&p, &tile_table[i]);
        for (; at && tile_cost(&p, sorted[at - 1]) > cost; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &tile_table[i];
    }
    put_other_second(sorted, found);
    found = found < most ? found : most;
    for (int i = 0; i < found; i++)
        tile[i] = tile_name(sorted[i], a);
    return found;
}

int64_t cuda_gemm_unit(const Type *t, const int64_t *axes, int n_axes,
                       int64_t channels)
{
    int64_t unit = 1;
    bool inside = true;
    int last = layout_dim(t->layout, t->rank, t->rank - 1);
    if (t->dim[last] != channels)
        return 0;
    for (int place = t->rank - 1; place >= 0; place--) {
        int d = layout_dim(t->layout, t->rank, place);
        bool folded = false;
        for (int i = 0; i < n_axes; i++)
            folded |= axes[i] == d;
        if (t->dim[d] == 1 || (d == last && !folded))
            continue;
        if (folded && (!inside || d == last))
            return 0;
        inside = folded;
        unit *= folded ? t->dim[d] : 1;
    }
    return unit;
}
