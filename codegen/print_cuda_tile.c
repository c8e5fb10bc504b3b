/* print_cuda_tile.c: see print_cuda_tile.h.
 *
 * Rows of the nest are counted as the value lies in memory, so a row's number
 * follows from the tile's first pixel and channel. */
#include "print_cuda_tile.h"
#include "print_cuda_private.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

typedef struct TilePrinter {
    CudaPrinter c;
    const CudaTile *tile;
    uint32_t buffer; /* that is the tile */
    int64_t unit;    /* pixels to a row of the nest */
    bool by_channel; /* a loop of the nest goes over the channels */
} TilePrinter;

/* ---- loops -------------------------------------------------------------- */

/* An access that goes through all of the value. */
static const Index *whole_access(const TilePrinter *t, const Nest *n)
{
    const Index *best = NULL;
    int most = 0;
    for (size_t x = 1; x < n->n_exprs; x++) {
        const Expr *e = &n->expr[x];
        int loops = 0;
        if (e->kind != EXPR_LOAD || e->buffer != t->buffer)
            continue;
        for (uint32_t v = 1; v < n->n_vars; v++)
            loops += e->at.coef[v] != 0;
        if (loops > most) {
            most = loops;
            best = &e->at;
        }
    }
    return best;
}

/* Kept loops as the value lies in memory, outermost first. */
static void order_rows(Nest *n, const Index *at)
{
    Arrangement *r = &n->run;
    for (uint32_t i = 1; i < r->n_row; i++)
        for (uint32_t k = i; k && at->coef[r->row[k - 1]] < at->coef[r->row[k]];
             k--) {
            uint32_t v = r->row[k];
            r->row[k] = r->row[k - 1];
            r->row[k - 1] = v;
        }
}

/* Are the loops those of the value, each row a unit of pixels in a row in
 * memory, and does a tile hold whole ones?  Finds out how large they are. */
static bool fits_tile(TilePrinter *t, Nest *n, const Index *at)
{
    const CudaTile *tile = t->tile;
    const Arrangement *r = &n->run;
    int64_t rows = 1, positions = 1;
    order_rows(n, at);
    for (uint32_t i = 0; i < r->n_reduced; i++)
        positions *= n->var[r->reduced[i]].extent;
    uint32_t last = r->n_row ? r->row[r->n_row - 1] : 0;
    t->unit = positions;
    t->by_channel = last && at->coef[last] == 1;
    if (!t->by_channel || n->var[last].extent != tile->channels)
        return false;
    for (uint32_t i = r->n_row - 1; i-- > 0;) {
        if (at->coef[r->row[i]] != tile->line * positions * rows)
            return false;
        rows *= n->var[r->row[i]].extent;
    }
    for (uint32_t i = 0; i < r->n_reduced; i++)
        if (at->coef[r->reduced[i]] % tile->line ||
            at->coef[r->reduced[i]] >= tile->line * positions)
            return false;
    return rows * positions == tile->pixels && tile->rows % positions == 0;
}

/* ---- a nest ------------------------------------------------------------- */

/* Rows of the nest in a tile, in vectors. */
static int items_of(const TilePrinter *t)
{
    return (int)(t->tile->rows / t->unit) * t->tile->columns / t->c.run.vector;
}

/* Vectors are neighbouring channels. */
static void choose_run(TilePrinter *t, const Nest *n)
{
    CudaPrinter *c = &t->c;
    CudaRun *run = &c->run;
    if (run->wide && run->wide != n->run.row[n->run.n_row - 1]) {
        run->wide = 0;
        run->vector = 1;
        c->p.wide = 0;
        c->p.vector = 1;
    }
    run->positions = t->unit;
    run->across = 1;
    while (run->across < items_of(t) && run->across < c->threads)
        run->across *= 2;
    run->along = n->n_reductions ? c->threads / run->across : 1;
    run->rows_first = true;
    if (!n->n_reductions)
        run->across = c->threads;
}

static void print_row_number(TilePrinter *t)
{
    Printer *p = &t->c.p;
    int vector = t->c.run.vector;
    int side = t->tile->columns / vector;
    print_line(p, "const int unit = m / %" PRId64 " + item / %d;", t->unit,
               side);
    print_line(p, "const int channel = n + item %% %d * %d;", side, vector);
    const char *last = "";
    if (items_of(t) % t->c.run.across)
        last = arena_printf(p->arena, "item < %d && ", items_of(t));
    print_line(
        p, "const bool live = %sunit < %" PRId64 " && channel < %" PRId64 ";",
        last, t->tile->pixels / t->unit, t->tile->channels);
}

static void print_row(TilePrinter *t)
{
    Printer *p = &t->c.p;
    const Nest *n = p->nest;
    bool reduces = n->n_reductions != 0;
    print_row_number(t);
    if (!reduces) {
        print_line(p, "if (!live)");
        print_line(p, "    continue;");
    }
    print_line(p,
               "const %s row = (%s)(live ? unit : m / %" PRId64 ") * %" PRId64
               " + (live ? channel : n) / %d;",
               p->index, p->index, t->unit, t->tile->channels / t->c.run.vector,
               t->c.run.vector);
    cuda_print_loops(&t->c, "row", n->run.row, n->run.n_row);
    if (reduces)
        cuda_print_rows(&t->c);
    else
        cuda_print_elements(&t->c);
}

/* All threads go through the same turns: in each of them they wait for one
 * another. */
static void print_nest(TilePrinter *t)
{
    Printer *p = &t->c.p;
    const CudaRun *run = &t->c.run;
    const char *mine = "threadIdx.x";
    if (run->along > 1) {
        print_line(p, "const int along = threadIdx.x / %d;", run->across);
        mine = arena_printf(p->arena, "threadIdx.x %% %d", run->across);
    } else if (p->nest->n_reductions) {
        print_line(p, "const int along = 0;");
    }
    print_open(p, "for (int turn = 0; turn < %d; turn += %d) {", items_of(t),
               run->across);
    print_line(p, "const int item = turn + %s;", mine);
    print_row(t);
    print_close(p);
}

static bool print_function(TilePrinter *t, const char *name, uint32_t i,
                           Error *e)
{
    Printer *p = &t->c.p;
    Nest *n = &p->kernel->nest[i];
    const Index *at = whole_access(t, n);
    if (!at || !fits_tile(t, n, at))
        return error_set(e, "a kernel after a product does not fit its tiles");
    cuda_start_nest(&t->c, n);
    choose_run(t, n);
    fprintf(p->out, "static __device__ void %s_after%u(", name, i);
    cuda_print_buffers(p, false);
    fprintf(p->out, ", char *shared, int m, int n)\n{\n");
    p->indent = 1;
    print_line(p, "x%u -= m * %" PRId64 " + n;", t->buffer - p->kernel->n_out,
               t->tile->line);
    print_nest(t);
    fprintf(p->out, "}\n\n");
    return true;
}

/* ---- calls -------------------------------------------------------------- */

static uint32_t place_in(const Value *list, Value v)
{
    uint32_t i = 0;
    while (!value_equal(list[i], v))
        i++;
    return i;
}

static void print_call(const TilePrinter *t, const Step *s, const char *name,
                       uint32_t i, FILE *out)
{
    const KernelIr *k = t->c.p.kernel;
    fprintf(out, "            %s_after%u(", name, i);
    for (uint32_t b = 0; b < k->n_buffers; b++)
        if (b == t->buffer)
            fprintf(out, "tile, ");
        else if (b < k->n_out)
            fprintf(out, "y%u, ", place_in(s->out, k->buffer[b].value));
        else
            fprintf(out, "x%u, ", place_in(s->in, k->buffer[b].value));
    fprintf(out, "shared, m, n);\n");
}

int64_t print_cuda_after(const Graph *g, const Step *s, const CudaTile *tile,
                         const char *name, FILE *functions, FILE *calls,
                         Error *e)
{
    Arena *a = arena_new();
    const TileValue value = {tile->value, tile->channels, tile->line};
    const KernelIr *k = kernel_lower_after(g, s, &value, a, e);
    TilePrinter t = {
        .c = {.p = {.out = functions, .kernel = k, .arena = a, .function = ""},
              .threads = tile->threads,
              .tile = true,
              .shared_most = tile->shared},
        .tile = tile};
    bool ok = k != NULL;
    while (ok && !value_equal(k->buffer[t.buffer].value, tile->value))
        t.buffer++;
    for (uint32_t i = 0; ok && i < k->n_nests; i++) {
        ok = print_function(&t, name, i, e);
        if (ok)
            print_call(&t, s, name, i, calls);
    }
    arena_free(a);
    return ok ? t.c.shared : -1;
}
