/* print_cuda_row.c: a row of a nest with reductions, shared by `along` threads.
 *
 * Level by level, as in print_row.c: each thread goes over the row's positions
 * along, along + n, .., with accumulators of its own; then the threads' results
 * are added up as a tree, always the same one, and all of them know the sum.
 * What is computed once a row is computed by each of its threads, and stored by
 * the first. */
#include "print_cuda_private.h"
#include <inttypes.h>
#include <string.h>

enum {
    WARP = 32,
    UNROLL_EXPRS = 48 /* that are few: positions at once */
};

/* Accumulators: one, or one for each of the row's neighbours. */
static bool is_vector(const CudaPrinter *c)
{
    return c->run.wide && c->p.nest->var[c->run.wide].kind == VAR_KEPT;
}

static int lanes(const CudaPrinter *c)
{
    return is_vector(c) ? c->run.vector : 1;
}

static const char *dimension(const CudaPrinter *c)
{
    return is_vector(c) ? arena_printf(c->p.arena, "[%d]", c->run.vector) : "";
}

static const char *accumulator(CudaPrinter *c, uint32_t r)
{
    return arena_printf(c->p.arena, "a%u%s", r, c->p.lane);
}

/* A loop over the lanes, where there are several. */
static void open_lanes(CudaPrinter *c)
{
    if (!is_vector(c))
        return;
    print_line(&c->p, "#pragma unroll");
    print_open(&c->p, "for (int u = 0; u < %d; u++) {", c->run.vector);
}

static void close_lanes(CudaPrinter *c)
{
    if (is_vector(c))
        print_close(&c->p);
}

/* ---- over the positions ------------------------------------------------- */

static void declare_accumulators(CudaPrinter *c, const Level *l)
{
    Printer *p = &c->p;
    for (size_t i = 0; i < l->n_reductions; i++)
        print_line(p, "%s a%u%s;", reduction_type(p, l->reduction[i]),
                   l->reduction[i], dimension(c));
    open_lanes(c);
    for (size_t i = 0; i < l->n_reductions; i++)
        print_line(p, "%s = %s;", accumulator(c, l->reduction[i]),
                   body_start(p, l->reduction[i]));
    close_lanes(c);
}

static void open_positions(CudaPrinter *c, const Level *l)
{
    Printer *p = &c->p;
    const Arrangement *run = &p->nest->run;
    bool one = c->run.positions <= c->run.along;
    bool some = c->run.positions < c->run.along;
    if (!l->n_stores && p->nest->n_exprs < UNROLL_EXPRS && !one)
        print_line(p, "#pragma unroll 4");
    const char *first = c->run.along > 1 ? "along" : "0";
    if (one && some)
        print_open(p, "if (%s < %" PRId64 ") {", first, c->run.positions);
    else if (one)
        print_open(p, "{");
    else
        print_open(p, "for (%s j = %s; j < %" PRId64 "; j += %d) {", p->index,
                   first, c->run.positions, c->run.along);
    cuda_print_loops(c, one ? first : "j", run->reduced, run->n_reduced);
}

/* Rows that are none of this thread's are not stored. */
static const char *live(const CudaPrinter *c)
{
    bool some = c->run.along > 1 && c->run.rows % c->run.across;
    return c->tile || some ? "live" : "";
}

static void print_stores(CudaPrinter *c, const Level *l)
{
    bool guarded = *live(c) && l->n_stores;
    if (guarded)
        print_open(&c->p, "if (live) {");
    for (size_t i = 0; i < l->n_stores; i++)
        body_store(&c->p, l->store[i]);
    if (guarded)
        print_close(&c->p);
}

static void print_positions(CudaPrinter *c, const Level *l)
{
    Printer *p = &c->p;
    open_positions(c, l);
    cuda_open_vector(c, l);
    body_print(p, l->of, l->n_of, l->store, l->n_stores);
    for (size_t i = 0; i < l->n_reductions; i++)
        print_combine(p, l->reduction[i], accumulator(c, l->reduction[i]),
                      body_name(p, l->of[i]));
    print_stores(c, l);
    cuda_close_vector(c, l, live(c));
    print_close(p);
}

/* ---- adding up ---------------------------------------------------------- */

/* Threads of a row that are neighbours within a warp. */
static void print_shuffles(CudaPrinter *c, uint32_t r)
{
    Printer *p = &c->p;
    const char *a = accumulator(c, r);
    print_open(p, "for (int h = %d; h; h /= 2) {", c->run.along / 2);
    print_line(p, "const %s other = __shfl_down_sync(0xffffffffu, %s, h, %d);",
               reduction_type(p, r), a, c->run.along);
    print_combine(p, r, a, "other");
    print_close(p);
    print_line(p, "%s = __shfl_sync(0xffffffffu, %s, 0, %d);", a, a,
               c->run.along);
}

static int64_t bytes_of(const CudaPrinter *c, uint32_t r)
{
    DType t = c->p.nest->reduction[r].node->type[0].dtype;
    return (t == DT_F64 || t == DT_I64 ? 8 : 4) * c->threads *
           (int64_t)lanes(c);
}

static void declare_shared(CudaPrinter *c, const Level *l, size_t begin,
                           size_t end)
{
    int64_t offset = 0;
    for (size_t i = begin; i < end; i++) {
        uint32_t r = l->reduction[i];
        const char *type = reduction_type(&c->p, r);
        print_line(&c->p, "%s *s%u = (%s *)(shared + %" PRId64 ");", type, r,
                   type, offset);
        offset += bytes_of(c, r);
    }
    if (c->shared < offset)
        c->shared = offset;
}

/* "s0[threadIdx.x + u * 256 + h * 4]" */
static const char *shared_at(CudaPrinter *c, uint32_t r, const char *more)
{
    return arena_printf(
        c->p.arena, "s%u[threadIdx.x%s%s]", r,
        is_vector(c) ? arena_printf(c->p.arena, " + u * %d", c->threads) : "",
        more);
}

/* Reductions begin .. end-1 of the level, together. */
static void print_tree(CudaPrinter *c, const Level *l, size_t begin, size_t end)
{
    Printer *p = &c->p;
    int step = c->run.rows_first ? c->run.across : 1;
    print_open(p, "{");
    declare_shared(c, l, begin, end);
    open_lanes(c);
    for (size_t i = begin; i < end; i++)
        print_line(p, "%s = %s;", shared_at(c, l->reduction[i], ""),
                   accumulator(c, l->reduction[i]));
    close_lanes(c);
    print_line(p, "__syncthreads();");
    print_open(p, "for (int h = %d; h; h /= 2) {", c->run.along / 2);
    print_open(p, "if (along < h) {");
    open_lanes(c);
    const char *up = arena_printf(p->arena, " + h * %d", step);
    for (size_t i = begin; i < end; i++)
        print_combine(p, l->reduction[i], shared_at(c, l->reduction[i], ""),
                      shared_at(c, l->reduction[i], up));
    close_lanes(c);
    print_close(p);
    print_line(p, "__syncthreads();");
    print_close(p);
    open_lanes(c);
    const char *down = arena_printf(p->arena, " - along * %d", step);
    for (size_t i = begin; i < end; i++)
        print_line(p, "%s = %s;", accumulator(c, l->reduction[i]),
                   shared_at(c, l->reduction[i], down));
    close_lanes(c);
    print_line(p, "__syncthreads();");
    print_close(p);
}

static void add_up(CudaPrinter *c, const Level *l)
{
    if (c->run.along == 1)
        return;
    if (!c->run.rows_first && c->run.along <= WARP) {
        for (size_t i = 0; i < l->n_reductions; i++)
            print_shuffles(c, l->reduction[i]);
        return;
    }
    for (size_t begin = 0, end; begin < l->n_reductions; begin = end) {
        int64_t bytes = bytes_of(c, l->reduction[begin]);
        for (end = begin + 1; end < l->n_reductions; end++) {
            bytes += bytes_of(c, l->reduction[end]);
            if (bytes > c->shared_most)
                break;
        }
        print_tree(c, l, begin, end);
    }
}

/* ---- what is computed once a row ---------------------------------------- */

static bool overwrites(const CudaPrinter *c, const Level *l)
{
    for (size_t i = 0; i < l->n_stores; i++)
        if (c->p.kernel->buffer[l->store[i]->buffer].shared)
            return true;
    return false;
}

static void store_row(CudaPrinter *c, const Level *l)
{
    Printer *p = &c->p;
    bool all = c->run.along == 1 && !c->tile;
    if (!l->n_stores)
        return;
    /* Each thread of the row has read what the first is about to replace. */
    if (!all && overwrites(c, l))
        print_line(p, "__syncthreads();");
    if (!all)
        print_open(p, "if (along == 0%s) {", *live(c) ? " && live" : "");
    Level stores = {.store = l->store, .n_stores = l->n_stores};
    if (is_vector(c))
        cuda_open_vector(c, &stores);
    body_print(p, NULL, 0, l->store, l->n_stores);
    for (size_t i = 0; i < l->n_stores; i++)
        body_store(p, l->store[i]);
    if (is_vector(c))
        cuda_close_vector(c, &stores, "");
    if (!all)
        print_close(p);
}

static void print_row_values(CudaPrinter *c, uint32_t level)
{
    Printer *p = &c->p;
    Level l = level_of(p, level, true);
    Level values = {.of = l.of, .n_of = l.n_of};
    for (size_t i = 0; i < l.n_of; i++)
        print_line(p, "%s r%u%s;", type_in_c(p->nest->expr[l.of[i]].dtype),
                   l.of[i], dimension(c));
    if (l.n_of && is_vector(c))
        cuda_open_vector(c, &values);
    else if (l.n_of)
        print_open(p, "{");
    body_print(p, l.of, l.n_of, NULL, 0);
    for (size_t i = 0; i < l.n_of; i++)
        print_line(p, "r%u%s = t%u;", l.of[i], p->lane, l.of[i]);
    p->done = level + 1;
    if (l.n_of && is_vector(c))
        cuda_close_vector(c, &values, "");
    else if (l.n_of)
        print_close(p);
    store_row(c, &l);
}

void cuda_print_rows(CudaPrinter *c)
{
    Printer *p = &c->p;
    p->lane = is_vector(c) ? "[u]" : "";
    level_find_saved(p);
    uint32_t last = level_last(p->nest);
    for (uint32_t level = 0; level <= last; level++) {
        p->done = level;
        print_row_values(c, level); /* and they are there from now on */
        Level l = level_of(p, level, false);
        if (l.n_reductions)
            declare_accumulators(c, &l);
        if (l.n_reductions || l.n_stores)
            print_positions(c, &l);
        if (l.n_reductions)
            add_up(c, &l);
    }
}
