/* print_cuda_gemm.c: a product as an instance of the templates: its sizes, what
 * is fused before and after it, and the kernel. */
#include "cuda_gemm_private.h"
#include "print.h"
#include "print_cuda_before.h"
#include "print_cuda_tile.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE_K = 16,    /* of k at a time */
    TILE_SPARE = 8, /* elements between the lines of a tile of results */
    MMA_K = 32,
    MMA_STAGES = 3, /* tiles of k that are under way */
    RESIDENT = 256  /* threads of a processor: as many registers as there are */
};

/* ---- text --------------------------------------------------------------- */

typedef struct Name {
    const char *name;
    int64_t value;
} Name;

static void print_names(const char *type, const Name *names, int n, FILE *out)
{
    for (int i = 0; i < n; i++)
        fprintf(out, "    static constexpr %s %s = %" PRId64 ";\n", type,
                names[i].name, names[i].value);
}

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* What is fused before a product, by operand. */
typedef struct Before {
    bool computed[2]; /* or is it in memory? */
    char *functions;
} Before;

/* What is fused after a product. */
typedef struct After {
    bool fused;    /* is there anything? */
    bool kept;     /* is the product itself in memory, too? */
    int64_t bytes; /* of shared memory that it wants */
    int rows;      /* of a tile, that it has whole units of */
    char *functions, *calls;
} After;

/* Elements from a line of a tile of results to the next.  Where it was the
 * channels of all the result, pixel and channel would look like one loop. */
static int line_of(const Problem *p, const Tile *t)
{
    int line = t->bn + TILE_SPARE;
    return line == p->n ? line + TILE_SPARE : line;
}

static void print_halo(const Halo *h, FILE *out)
{
    const Name names[] = {
        {"BK", h->some * h->slice}, {"STAGES", h->stages}, {"PATCH", h->patch},
        {"SLICE", h->slice},        {"SLICES", h->slices}, {"TAPS", h->taps},
        {"SOME", h->some},
    };
    print_names("int", names, COUNT(names), out);
}

static void print_tile_sizes(const Problem *p, const Tile *t, const After *f,
                             FILE *out)
{
    Halo h;
    const Name steps[] = {
        {"BK", t->mma ? MMA_K : TILE_K},
        {"STAGES", t->mma ? MMA_STAGES : 2},
    };
    const Name names[] = {
        {"BM", t->bm},
        {"STEP", f->rows},
        {"BN", t->bn},
        {t->mma ? "WARPS_M" : "TM", t->tm},
        {t->mma ? "WARPS_N" : "TN", t->tn},
        {"THREADS", threads_of(t)},
        {"BATCHES", p->batches},
        {"K", p->k},
        {"VECTOR_A", operand_vector(p, 0)},
        {"VECTOR_B", operand_vector(p, 1)},
        {"LINE", line_of(p, t)},
        {"AFTER", f->bytes},
    };
    const Name flags[] = {{"KEPT", f->kept}, {"FUSED", f->fused}};
    print_names("int", names, COUNT(names), out);
    if (t->halo && halo_of(p, t, f->rows, &h))
        print_halo(&h, out);
    else
        print_names("int", steps, COUNT(steps), out);
    print_names("bool", flags, COUNT(flags), out);
}

static int64_t reach(const int64_t *dim, const int64_t *stride)
{
    int64_t last = 0;
    for (int d = 0; d < 5; d++)
        last += (dim[d] - 1) * stride[d];
    return last;
}

static void print_conv_sizes(const Problem *p, FILE *out)
{
    const int64_t *x = p->x_dim, *y = p->y_dim, *w = p->w_dim;
    const Name sizes[] = {
        {"N", x[0]},
        {"C", w[1]},
        {"O", w[0] / p->batches},
        {"XD", x[2]},
        {"XH", x[3]},
        {"XW", x[4]},
        {"YD", y[2]},
        {"YH", y[3]},
        {"YW", y[4]},
        {"KD", w[2]},
        {"KH", w[3]},
        {"KW", w[4]},
        {"SD", p->stride[0]},
        {"SH", p->stride[1]},
        {"SW", p->stride[2]},
        {"DD", p->dilation[0]},
        {"DH", p->dilation[1]},
        {"DW", p->dilation[2]},
        {"PD", p->pad[0]},
        {"PH", p->pad[1]},
        {"PW", p->pad[2]},
    };
    const Name places[] = {
        {"x_n", p->x[0]}, {"x_c", p->x[1]},
        {"x_d", p->x[2]}, {"x_h", p->x[3]},
        {"x_w", p->x[4]}, {"y_n", p->y[0]},
        {"y_c", p->y[1]}, {"y_d", p->y[2]},
        {"y_h", p->y[3]}, {"y_w", p->y[4]},
        {"w_o", p->w[0]}, {"w_c", p->w[1]},
        {"w_d", p->w[2]}, {"w_h", p->w[3]},
        {"w_w", p->w[4]}, {"w_part", w[0] * w[1] * w[2] * w[3] * w[4]},
    };
    bool large = reach(p->x_dim, p->x) >= INT32_MAX ||
                 reach(p->y_dim, p->y) >= INT32_MAX ||
                 reach(p->w_dim, p->w) >= INT32_MAX;
    const char *index = large ? "int64_t" : "int";
    fprintf(out, "    typedef %s Index;\n", index);
    print_names("int", sizes, COUNT(sizes), out);
    print_names("Index", places, COUNT(places), out);
}

/* The template's classes: rows of a, rows of b, results. */
static void print_classes(const Problem *p, const Tile *t, const char *name,
                          FILE *out)
{
    static const char *const conv[][3] = {
        [PROBLEM_CONV] = {"x_for_y", "w_for_y", "to_y"},
        [PROBLEM_GRAD_INPUT] = {"y_for_x", "w_for_x", "to_x"},
        [PROBLEM_GRAD_WEIGHT] = {"x_for_w", "y_for_w", "to_w"},
    };
    static const char *const patch[] = {
        [PROBLEM_CONV] = "x_patch", [PROBLEM_GRAD_INPUT] = "y_patch"};
    if (p->kind != PROBLEM_MATMUL) {
        for (int i = 0; i < 3; i++)
            fprintf(out, ",\n             tgc_%s<%s_p>",
                    t->halo && i == 0 ? patch[p->kind] : conv[p->kind][i],
                    name);
        return;
    }
    const int64_t *const stride[] = {p->x, p->w};
    const int64_t rows[] = {p->m, p->n};
    for (int i = 0; i < 2; i++)
        fprintf(out,
                ",\n             tgc_matrix<%s_p, %" PRId64 ", %" PRId64
                ", %" PRId64 ", %" PRId64 ", %s_p::VECTOR_%c>",
                name, rows[i], stride[i][1], stride[i][2], stride[i][0], name,
                "AB"[i]);
    fprintf(out,
            ",\n             tgc_to_matrix<%s_p, %" PRId64 ", %" PRId64
            ", %" PRId64 ">",
            name, p->y[1], p->y[2], p->y[0]);
}

static const char *number_type(DType t)
{
    return storage_in_c(t);
}

/* Operand i of the node among those of the step, which has each once. */
static uint32_t operand(const Step *s, Value v)
{
    uint32_t i = 0;
    while (!value_equal(s->in[i], v))
        i++;
    return i;
}

/* Without a number of blocks, the compiler would rather spill a register than
 * lose a block. */
static int resident_blocks(const Tile *t)
{
    int blocks = RESIDENT / threads_of(t);
    return blocks < 1 ? 1 : blocks;
}

static void print_arguments(const Graph *g, const Step *s, const After *f,
                            FILE *out)
{
    const char *restricted = f->fused ? "" : "__restrict__ ";
    for (uint32_t i = 0; i < s->n_out; i++)
        fprintf(out, "%s%s *%sy%u", i ? ", " : "",
                number_type(graph_type(g, s->out[i])->dtype), restricted, i);
    for (uint32_t i = 0; i < s->n_in; i++)
        fprintf(out, ", const %s *%sx%u",
                number_type(graph_type(g, s->in[i])->dtype), restricted, i);
}

/* Types of what brings operand i to the tiles, and of all operands of the step
 * as arguments. */
static void print_source(const Step *s, const Node *n, const Before *b, int i,
                         const char *name, FILE *out)
{
    if (!b->computed[i]) {
        fprintf(out, "tgc_memory<%s_p::T, %s_p::VECTOR_%c>{x%u}, ", name, name,
                "AB"[i], operand(s, n->in[i]));
        return;
    }
    fprintf(out, "%s_before%d{", name, i);
    for (uint32_t k = 0; k < s->n_in; k++)
        fprintf(out, "%sx%u", k ? ", " : "", k);
    fprintf(out, "}, ");
}

static void print_kernel(const Problem *p, const Graph *g, const Step *s,
                         const Tile *t, const Before *b, const After *f,
                         const char *name, FILE *out)
{
    uint32_t id = step_anchor(g, s), y = 0;
    const Node *n = &g->node[id];
    while (f->kept && !value_equal(s->out[y], node_value(id, 0)))
        y++;
    fprintf(out, "extern \"C\" __global__ void __launch_bounds__(%d, %d)\n%s(",
            threads_of(t), resident_blocks(t), name);
    print_arguments(g, s, f, out);
    fprintf(out, ")\n{\n    tgc_gemm%s<%s_p",
            t->halo  ? "_halo"
            : t->mma ? "_mma"
                     : "",
            name);
    print_classes(p, t, name, out);
    fprintf(out, ">(\n        ");
    if (f->kept)
        fprintf(out, "y%u", y);
    else
        fprintf(out, "(%s_p::R *)0", name);
    fprintf(out, ",\n        ");
    for (int i = 0; i < 2; i++)
        print_source(s, n, b, i, name, out);
    if (f->fused)
        fprintf(out,
                "[&](const %s_p::R *tile, char *shared, int m, int n) {\n"
                "%s        });\n}\n\n",
                name, f->calls);
    else
        fprintf(out, "tgc_nothing());\n}\n\n");
}

/* ---- what is fused around it -------------------------------------------- */

static bool is_computed(const Step *s, Value v)
{
    return v.node >= s->first && v.node <= s->last;
}

static bool print_before(const Problem *p, const Graph *g, const Step *s,
                         const char *name, Before *b, Error *e)
{
    const Node *n = &g->node[step_anchor(g, s)];
    bool ok = true;
    *b = (Before){0};
    size_t size;
    FILE *functions = open_memstream(&b->functions, &size);
    for (int i = 0; ok && i < 2; i++) {
        CudaBefore before = {n->in[i], operand_vector(p, i), i};
        b->computed[i] = is_computed(s, n->in[i]);
        if (b->computed[i])
            ok = print_cuda_before(g, s, &before, name, functions, e);
    }
    fclose(functions);
    return ok;
}

static int64_t common_multiple(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* Rows of a tile that are whole units of all sums after it; 0: none. */
static int rows_in_units(const Problem *p, const Graph *g, const Step *s,
                         int most)
{
    int64_t all = 1;
    for (uint32_t id = s->first; id <= s->last && all <= most; id++) {
        const Node *n = &g->node[id];
        int count;
        if (!node_has(n, T_REDUCE))
            continue;
        const int64_t *axes = node_ints(n, "axes", &count);
        int64_t unit =
            cuda_gemm_unit(graph_type(g, n->in[0]), axes, count, p->n);
        if (!unit)
            return 0;
        all = common_multiple(all, unit);
    }
    return all <= most ? (int)(most / all * all) : 0;
}

static bool print_after(const Problem *p, const Graph *g, const Step *s,
                        const Tile *t, const char *name, After *f, Error *e)
{
    const Value y = node_value(step_anchor(g, s), 0);
    f->kept = s->n_out == 0;
    for (uint32_t i = 0; i < s->n_out; i++) {
        f->kept |= value_equal(s->out[i], y);
        f->fused |= !value_equal(s->out[i], y);
    }
    if (!f->fused)
        return true;
    f->rows = rows_in_units(p, g, s, t->bm);
    if (!f->rows)
        return error_set(e, "a tile holds no whole units of its sums");
    CudaTile tile = {.value = y,
                     .pixels = p->m,
                     .channels = p->n,
                     .rows = f->rows,
                     .columns = t->bn,
                     .line = line_of(p, t),
                     .threads = threads_of(t)};
    tile.shared =
        SHARED_MOST - t->bm * tile.line * (int64_t)dtype_size(p->result);
    size_t size;
    FILE *functions = open_memstream(&f->functions, &size);
    FILE *calls = open_memstream(&f->calls, &size);
    f->bytes = print_cuda_after(g, s, &tile, name, functions, calls, e);
    fclose(functions);
    fclose(calls);
    return f->bytes >= 0;
}

bool cuda_gemm_print(const Graph *g, const Step *s, const char *name,
                     const char *tile, FILE *out, CudaGemm *c, Error *e)
{
    Problem p;
    Before b;
    problem_of(g, &g->node[step_anchor(g, s)], &p);
    const Tile *t = tile ? tile_named(&p, tile) : choose_tile(&p);
    if (!t)
        return error_set(e, "there is no tile %.32s for this product", tile);
    After f = {.rows = t->bm};
    Halo h;
    bool ok = print_before(&p, g, s, name, &b, e) &&
              print_after(&p, g, s, t, name, &f, e);
    if (ok && t->halo && !halo_of(&p, t, f.rows, &h))
        ok = error_set(e, "the patch of such a tile is too large");
    if (ok) {
        fprintf(out, "struct %s_p {\n    typedef %s T;\n    typedef %s R;\n",
                name, number_type(p.dtype), number_type(p.result));
        print_tile_sizes(&p, t, &f, out);
        if (p.kind != PROBLEM_MATMUL)
            print_conv_sizes(&p, out);
        else
            fprintf(out, "    typedef int64_t Index;\n");
        fprintf(out, "};\n\n%s%s", b.functions, f.fused ? f.functions : "");
        print_kernel(&p, g, s, t, &b, &f, name, out);
    }
    free(b.functions);
    free(f.functions);
    free(f.calls);
    *c = (CudaGemm){.parts = ok ? blocks_of(&p, t, f.rows) : 0,
                    .threads = (uint32_t)threads_of(t)};
    return ok;
}
