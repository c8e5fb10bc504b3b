/* print_cuda_before.c: see print_cuda_before.h.
 *
 * The kernel IR of the operand is one nest of loops that stores it.  Its rows
 * are counted as the operand would lie in memory, so `at` says which one a
 * thread is asked for; and nothing is stored. */
#include "print_cuda_before.h"
#include "print_cuda_private.h"
#include <inttypes.h>

/* Loops as the store goes through memory, outermost first. */
static void order_rows(Nest *n)
{
    Arrangement *r = &n->run;
    const Index *at = &n->store[0].at;
    for (uint32_t i = 1; i < r->n_row; i++)
        for (uint32_t k = i; k && at->coef[r->row[k - 1]] < at->coef[r->row[k]];
             k--) {
            uint32_t v = r->row[k];
            r->row[k] = r->row[k - 1];
            r->row[k - 1] = v;
        }
}

/* Does each loop go on in memory where the one within it ends, and the
 * innermost one in vectors? */
static bool counts_elements(const Nest *n, int vector)
{
    const Arrangement *r = &n->run;
    int64_t below = 1;
    for (uint32_t i = r->n_row; i-- > 0;) {
        if (n->store[0].at.coef[r->row[i]] != below)
            return false;
        below *= n->var[r->row[i]].extent;
    }
    return r->n_row > 0 && n->n_reductions == 0 &&
           n->var[r->row[r->n_row - 1]].extent % vector == 0;
}

/* Loads whose address is another one at each pixel. */
static bool *find_raw(const CudaPrinter *c)
{
    const Printer *p = &c->p;
    const Nest *n = p->nest;
    bool *raw = arena_array(p->arena, n->n_exprs, sizeof *raw);
    for (uint32_t x = 1; x < n->n_exprs; x++) {
        const Expr *e = &n->expr[x];
        if (e->kind != EXPR_LOAD ||
            !body_is_wide(n, &e->at, e->guards, p->wide, p->vector))
            continue;
        for (uint32_t v = 1; v < n->n_vars; v++)
            raw[x] |= v != p->wide && e->at.coef[v] != 0;
    }
    return raw;
}

/* Values of the loops at element `at`. */
static void print_place(CudaPrinter *c)
{
    Printer *p = &c->p;
    const Arrangement *r = &p->nest->run;
    print_line(p, "const %s row = (%s)at / %d;", p->index, p->index, p->vector);
    cuda_print_loops(c, "row", r->row, r->n_row);
}

static void print_load(CudaPrinter *c, const bool *raw)
{
    Printer *p = &c->p;
    const Store *store = &p->nest->store[0];
    print_open(p, "__device__ void load(Raw &raw, int64_t at) const {");
    print_place(c);
    body_raw_loads(p, raw, store);
    print_close(p);
}

static void print_compute(CudaPrinter *c, const bool *raw, const char *result)
{
    Printer *p = &c->p;
    const Store *store = &p->nest->store[0];
    Level l = {.store = &store, .n_stores = 1};
    print_open(p,
               "__device__ void compute(const Raw &raw, int64_t at, "
               "%s &v) const {",
               result);
    print_place(c);
    p->raw = raw;
    cuda_open_vector(c, &l);
    body_print(p, NULL, 0, &store, 1);
    body_store(p, store);
    print_close(p); /* the neighbours */
    print_line(p, "v = w0;");
    print_close(p);
    p->raw = NULL;
    print_close(p);
}

static void print_class(CudaPrinter *c, const CudaBefore *b, const char *name)
{
    Printer *p = &c->p;
    const KernelIr *k = p->kernel;
    const bool *raw = find_raw(c);
    const char *result =
        arena_printf(p->arena, "tgc_vec<%s, %d>",
                     storage_in_c(k->buffer[0].dtype), p->vector);
    fprintf(p->out, "struct %s_before%d {\n", name, b->number);
    p->indent = 1;
    for (uint32_t i = k->n_out; i < k->n_buffers; i++)
        print_line(p, "const %s *x%u;", storage_in_c(k->buffer[i].dtype),
                   i - k->n_out);
    print_line(p, "static constexpr bool COMPUTED = true;");
    print_open(p, "struct Raw {");
    for (uint32_t x = 1; x < p->nest->n_exprs; x++)
        if (raw[x])
            print_line(p, "%s;", body_wide_name(p, x));
    p->indent--;
    print_line(p, "};");
    print_load(c, raw);
    print_compute(c, raw, result);
    fprintf(p->out, "};\n\n");
}

bool print_cuda_before(const Graph *g, const Step *s, const CudaBefore *b,
                       const char *name, FILE *out, Error *e)
{
    Arena *a = arena_new();
    Value value = b->value;
    Step before = *s;
    before.out = &value;
    before.n_out = 1;
    const KernelIr *k = kernel_lower(g, &before, a, e);
    bool ok = k != NULL;
    if (ok) {
        order_rows(&k->nest[0]);
        ok = k->n_nests == 1 && counts_elements(&k->nest[0], b->vector);
        if (!ok)
            error_set(e, "an operand of a product cannot be computed where it "
                         "is loaded");
    }
    if (ok) {
        CudaPrinter c = {
            .p = {.out = out, .kernel = k, .arena = a, .function = ""},
            .tile = true};
        const Nest *n = &k->nest[0];
        cuda_start_nest(&c, n);
        c.run.wide = c.p.wide = n->run.row[n->run.n_row - 1];
        c.run.vector = c.p.vector = b->vector;
        print_class(&c, b, name);
    }
    arena_free(a);
    return ok;
}
