/* cuda_run.c: see cuda_run.h. */
#include "cuda_run.h"
#include "print.h"
#include <string.h>

enum {
    VECTOR_BYTES = 16,      /* that a thread reads at once */
    VECTOR_MOST = 8,        /* elements: of half types */
    FILLED = 128 * 1024,    /* threads that keep a GPU busy */
    WARP = 32,              /* threads that read together */
    WINDOW = 16,            /* positions that are not worth sharing */
    SHARED_MOST = 40 * 1024 /* for the partial results of a block */
};

/* ---- vectors ------------------------------------------------------------ */

typedef struct Accesses {
    bool all_wide, any;
    size_t least, most; /* bytes of an element */
} Accesses;

static void look_at(const KernelIr *k, const Nest *n, uint32_t buffer,
                    const Index *at, uint32_t guards, uint32_t wide, int vector,
                    Accesses *a)
{
    bool moves = index_uses(n, at, wide);
    for (uint32_t g = guards; g; g = n->guard[g].next)
        moves |= index_uses(n, &n->guard[g].t, wide);
    if (!moves)
        return;
    size_t size = dtype_size(k->buffer[buffer].dtype);
    a->any = true;
    a->all_wide &= body_is_wide(n, at, guards, wide, vector);
    a->least = a->least < size ? a->least : size;
    a->most = a->most > size ? a->most : size;
}

static Accesses accesses(const KernelIr *k, const Nest *n, uint32_t wide,
                         int vector)
{
    Accesses a = {.all_wide = true, .least = VECTOR_BYTES};
    for (size_t x = 1; x < n->n_exprs; x++) {
        const Expr *e = &n->expr[x];
        if (e->kind == EXPR_LOAD)
            look_at(k, n, e->buffer, &e->at, e->guards, wide, vector, &a);
    }
    for (size_t i = 0; i < n->n_stores; i++)
        look_at(k, n, n->store[i].buffer, &n->store[i].at, 0, wide, vector, &a);
    return a;
}

/* Bytes that a thread block needs to add up one level's reductions. */
static size_t reduction_bytes(const Nest *n, int vector)
{
    size_t most = 0;
    for (size_t r = 0; r < n->n_reductions; r++) {
        size_t size = dtype_size(n->reduction[r].node->type[0].dtype);
        size = size < sizeof(int) ? sizeof(float) : size;
        most += size * CUDA_THREADS * (size_t)vector;
    }
    return most;
}

static void choose_vector(const KernelIr *k, const Nest *n, CudaRun *c)
{
    const Arrangement *run = &n->run;
    uint32_t wide = run->lane;
    if (!wide && run->n_reduced)
        wide = run->reduced[run->n_reduced - 1];
    c->vector = 1;
    if (!wide)
        return;
    int64_t extent = n->var[wide].extent;
    int64_t threads = c->rows * c->positions;
    for (int vector = VECTOR_MOST; vector > 1; vector /= 2) {
        Accesses a = accesses(k, n, wide, vector);
        bool kept = n->var[wide].kind == VAR_KEPT;
        if (extent % vector || !a.any || !a.all_wide ||
            (size_t)vector * a.least > VECTOR_BYTES ||
            (vector > 2 && threads / vector < FILLED / 4) ||
            (kept && reduction_bytes(n, vector) > SHARED_MOST))
            continue;
        c->vector = vector;
        c->wide = wide;
        *(kept ? &c->rows : &c->positions) /= vector;
        return;
    }
}

/* ---- threads ------------------------------------------------------------ */

static int power_up_to(int64_t n, int most)
{
    int p = 1;
    while (p < most && 2 * (int64_t)p <= n)
        p *= 2;
    return p;
}

static int power_from(int64_t n, int most)
{
    int p = 1;
    while (p < most && p < n)
        p *= 2;
    return p;
}

/* As many threads to a row as it takes to fill the machine, but each has
 * something to add up; and neighbouring threads read neighbours. */
static void choose_threads(const Nest *n, CudaRun *c)
{
    c->rows_first = n->run.lane || !n->n_reductions;
    c->along = 1;
    if (n->n_reductions && (c->positions > WINDOW || !c->rows_first)) {
        int most = CUDA_THREADS;
        if (c->rows_first)
            most /= power_from(c->rows, WARP);
        int64_t wanted = FILLED / c->rows;
        if (!c->rows_first && wanted < WARP)
            wanted = WARP;
        int64_t useful = c->rows_first ? c->positions / 2 : c->positions;
        c->along = power_up_to(wanted < useful ? wanted : useful, most);
    }
    c->across = CUDA_THREADS / c->along;
    c->parts = (c->rows + c->across - 1) / c->across;
}

/* ---- sizes of indices --------------------------------------------------- */

static bool fits(const Nest *n, const Index *i)
{
    int64_t low, high;
    index_range(n, i, &low, &high);
    return low > INT32_MIN && high < INT32_MAX - VECTOR_MOST;
}

static bool is_large(const Nest *n, const CudaRun *c)
{
    bool fit =
        c->rows + c->across < INT32_MAX && c->positions + c->along < INT32_MAX;
    for (uint32_t v = 1; v < n->n_vars; v++)
        fit &= fits(n, &n->var[v].of);
    for (size_t g = 1; g < n->n_guards; g++)
        fit &= fits(n, &n->guard[g].t) && n->guard[g].limit < INT32_MAX;
    for (size_t x = 1; x < n->n_exprs; x++)
        fit &= fits(n, &n->expr[x].at) && fits(n, &n->expr[x].along);
    for (size_t s = 0; s < n->n_stores; s++)
        fit &= fits(n, &n->store[s].at);
    return !fit;
}

CudaRun cuda_run(const KernelIr *k, const Nest *n)
{
    const Arrangement *run = &n->run;
    CudaRun c = {.rows = 1, .positions = 1};
    for (uint32_t i = 0; i < run->n_row; i++)
        c.rows *= n->var[run->row[i]].extent;
    for (uint32_t i = 0; i < run->n_reduced; i++)
        c.positions *= n->var[run->reduced[i]].extent;
    choose_vector(k, n, &c);
    choose_threads(n, &c);
    c.large = is_large(n, &c);
    return c;
}
