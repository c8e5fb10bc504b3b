/* print_cuda.c: a kernel as CUDA: a device function for each nest, and the
 * kernel that shares its blocks out among them.
 *
 *     thread -> row, place in the row -> values of the kept loops -> elements
 */
#include "print_cuda.h"
#include "print_cuda_private.h"
#include <inttypes.h>
#include <string.h>

/* cuda_prelude.cuh and so on */
extern const char cuda_prelude[], cuda_gemm[], cuda_mma[], cuda_halo[],
    cuda_fetch[];

enum { SHARED_MOST = 40 * 1024 }; /* of partial results at a time */

/* ---- loops -------------------------------------------------------------- */

/* Several steps of one loop at a time: its iterations, in vectors. */
static int64_t extent_of(const CudaPrinter *c, uint32_t var)
{
    int64_t extent = c->p.nest->var[var].extent;
    return var == c->run.wide ? extent / c->run.vector : extent;
}

void cuda_print_loops(CudaPrinter *c, const char *number, const uint32_t *loop,
                      uint32_t n_loops)
{
    Printer *p = &c->p;
    int64_t below = 1;
    for (uint32_t i = n_loops; i-- > 0;) {
        uint32_t v = loop[i];
        const char *text = number;
        if (below > 1)
            text = arena_printf(p->arena, "%s / %" PRId64, text, below);
        if (i)
            text =
                arena_printf(p->arena, "%s %% %" PRId64, text, extent_of(c, v));
        if (v == c->run.wide)
            text = arena_printf(p->arena, "%s * %d", text, c->run.vector);
        print_line(p, "const %s i%u = %s;", p->index, v, text);
        below *= extent_of(c, v);
    }
}

/* ---- vectors ------------------------------------------------------------ */

void cuda_open_vector(CudaPrinter *c, const Level *l)
{
    Printer *p = &c->p;
    print_open(p, "{");
    if (!c->run.wide)
        return;
    body_wide_loads(p, l->of, l->n_of, l->store, l->n_stores);
    body_wide_stores(p, l->store, l->n_stores, true);
    print_line(p, "const %s base = i%u;", p->index, c->run.wide);
    print_line(p, "#pragma unroll");
    print_open(p, "for (int u = 0; u < %d; u++) {", c->run.vector);
    print_line(p, "const %s i%u = base + u;", p->index, c->run.wide);
}

void cuda_close_vector(CudaPrinter *c, const Level *l, const char *where)
{
    if (c->run.wide) {
        bool guarded = *where && l->n_stores;
        print_close(&c->p);
        if (guarded)
            print_open(&c->p, "if (%s) {", where);
        body_wide_stores(&c->p, l->store, l->n_stores, false);
        if (guarded)
            print_close(&c->p);
    }
    print_close(&c->p);
}

/* ---- a nest ------------------------------------------------------------- */

/* Which row this thread works on, and which of the row's threads it is. */
static void print_threads(CudaPrinter *c)
{
    Printer *p = &c->p;
    const CudaRun *run = &c->run;
    const char *row = "threadIdx.x";
    if (run->along > 1 && run->rows_first) {
        print_line(p, "const int along = threadIdx.x / %d;", run->across);
        row = arena_printf(p->arena, "threadIdx.x %% %d", run->across);
    } else if (run->along > 1) {
        print_line(p, "const int along = threadIdx.x %% %d;", run->along);
        row = arena_printf(p->arena, "threadIdx.x / %d", run->along);
    }
    const char *first = "";
    if (run->parts > 1)
        first =
            arena_printf(p->arena, "(%s)part * %d + ", p->index, run->across);
    bool whole = run->rows % run->across == 0;
    print_line(p, "%s%s row = %s(int)(%s);", whole ? "const " : "", p->index,
               first, row);
    if (whole)
        return;
    if (run->along == 1) {
        print_line(p, "if (row >= %" PRId64 ")", run->rows);
        print_line(p, "    return;");
        return;
    }
    /* Threads without a row go along with the last one: the others wait for
     * them. */
    print_line(p, "const bool live = row < %" PRId64 ";", run->rows);
    print_line(p, "row = live ? row : %" PRId64 ";", run->rows - 1);
}

void cuda_print_elements(CudaPrinter *c)
{
    Printer *p = &c->p;
    const Nest *n = p->nest;
    Level l = {.store = arena_array(p->arena, n->n_stores, sizeof *l.store),
               .n_stores = n->n_stores};
    for (size_t i = 0; i < n->n_stores; i++)
        l.store[i] = &n->store[i];
    cuda_open_vector(c, &l);
    body_print(p, NULL, 0, l.store, l.n_stores);
    for (size_t i = 0; i < l.n_stores; i++)
        body_store(p, l.store[i]);
    cuda_close_vector(c, &l, "");
}

static void print_nest(CudaPrinter *c)
{
    const Arrangement *run = &c->p.nest->run;
    print_threads(c);
    cuda_print_loops(c, "row", run->row, run->n_row);
    if (c->p.nest->n_reductions)
        cuda_print_rows(c);
    else
        cuda_print_elements(c);
}

/* ---- functions ---------------------------------------------------------- */

void cuda_print_buffers(Printer *p, bool arguments)
{
    const KernelIr *k = p->kernel;
    for (uint32_t i = 0; i < k->n_buffers; i++) {
        const KernelBuffer *b = &k->buffer[i];
        const char *comma = i ? ", " : "";
        if (arguments)
            fprintf(p->out, "%s%c%u", comma, b->written ? 'y' : 'x',
                    b->written ? i : i - k->n_out);
        else
            fprintf(p->out, "%s%s%s *%s%c%u", comma, b->written ? "" : "const ",
                    storage_in_c(b->dtype), b->shared ? "" : "__restrict__ ",
                    b->written ? 'y' : 'x', b->written ? i : i - k->n_out);
    }
}

void cuda_start_nest(CudaPrinter *c, const Nest *n)
{
    Printer *p = &c->p;
    p->nest = n;
    p->saved = arena_array(p->arena, n->n_exprs, sizeof *p->saved);
    p->needed = arena_array(p->arena, n->n_exprs, sizeof *p->needed);
    p->lane = "";
    p->done = 0;
    c->run = cuda_run(p->kernel, n);
    p->wide = c->run.wide;
    p->vector = c->run.vector;
    p->index = c->run.large ? "int64_t" : "int";
}

static void print_nest_function(CudaPrinter *c, const char *name, uint32_t i)
{
    Printer *p = &c->p;
    cuda_start_nest(c, &p->kernel->nest[i]);
    fprintf(p->out, "static __device__ void %s_part%u(", name, i);
    cuda_print_buffers(p, false);
    fprintf(p->out, ", char *shared, int part)\n{\n");
    p->indent = 1;
    print_nest(c);
    fprintf(p->out, "}\n\n");
}

static void print_call(CudaPrinter *c, const char *name, uint32_t i,
                       int64_t before)
{
    Printer *p = &c->p;
    fprintf(p->out, "%*s%s_part%u(", 4 * p->indent, "", name, i);
    cuda_print_buffers(p, true);
    fprintf(p->out, ", %s, (int)blockIdx.x", c->shared ? "shared" : "0");
    if (before)
        fprintf(p->out, " - %" PRId64, before);
    fprintf(p->out, ");\n");
}

static void print_kernel(CudaPrinter *c, const char *name, const int64_t *parts)
{
    Printer *p = &c->p;
    fprintf(p->out, "extern \"C\" __global__ void __launch_bounds__(%d)\n%s(",
            CUDA_THREADS, name);
    cuda_print_buffers(p, false);
    fprintf(p->out, ")\n{\n");
    p->indent = 1;
    if (c->shared)
        print_line(p, "__shared__ __align__(16) char shared[%" PRId64 "];",
                   c->shared);
    int64_t before = 0;
    for (uint32_t i = 0; i < p->kernel->n_nests; i++) {
        bool last = i + 1 == p->kernel->n_nests;
        if (!last)
            print_open(p, "if (blockIdx.x < %" PRId64 ") {", before + parts[i]);
        print_call(c, name, i, before);
        if (!last) {
            print_line(p, "return;");
            print_close(p);
        }
        before += parts[i];
    }
    fprintf(p->out, "}\n\n");
}

int64_t print_cuda_kernel(const KernelIr *k, const char *name, FILE *out)
{
    CudaPrinter c = {
        .p = {.out = out, .kernel = k, .arena = arena_new(), .function = ""},
        .threads = CUDA_THREADS,
        .shared_most = SHARED_MOST};
    int64_t all = 0;
    int64_t *parts = arena_array(c.p.arena, k->n_nests, sizeof *parts);
    for (uint32_t i = 0; i < k->n_nests; i++) {
        print_nest_function(&c, name, i);
        all += parts[i] = c.run.parts;
    }
    print_kernel(&c, name, parts);
    arena_free(c.p.arena);
    return all;
}

void print_cuda_head(FILE *out)
{
    fputs(cuda_prelude, out);
    fputs(cuda_gemm, out);
    fputs(cuda_mma, out);
    fputs(cuda_halo, out);
}

void print_cuda_fetch(FILE *out)
{
    fputs(cuda_fetch, out);
}
