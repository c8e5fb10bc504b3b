/* cuda_gemm.c: see cuda_gemm.h.
 *
 * A node becomes a Problem: how many rows, columns and k there are, and the
 * sizes that the template wants; a table of tiles and a model of what they
 * cost say how it is cut. */
#include "cuda_gemm.h"
#include "print.h"
#include "print_cuda_tile.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPATIAL = 3,
    PROCESSORS = 132,  /* of the GPU that the tiles are chosen for */
    VECTOR_BYTES = 16, /* read at once */
    GROUP_LEAST = 8,   /* channels of a group: fewer are no matrix */
    BRING = 24,        /* products that bringing a number costs */
    MMA_FASTER = 8,    /* the matrix unit, as often */
    PART_BYTES = 16 * 1024 * 1024, /* partial weight gradients, in all */
    BLOCKS_WANTED = 2 * PROCESSORS,
    RESIDENT = 256 /* threads of a processor: as many registers as there are */
};

typedef enum ProblemKind {
    PROBLEM_CONV,
    PROBLEM_GRAD_INPUT,
    PROBLEM_GRAD_WEIGHT,
    PROBLEM_MATMUL
} ProblemKind;

typedef struct Problem {
    ProblemKind kind;
    DType dtype, result;
    int64_t m, n, k, batches, parts; /* k: of a part */
    /* convolutions: types with three spatial dimensions, and their strides in
     * memory; matmul: of a, b, y in [batch, row, column] */
    int64_t x_dim[5], w_dim[5], y_dim[5];
    int64_t x[5], w[5], y[5];
    int64_t stride[SPATIAL], dilation[SPATIAL], pad[SPATIAL];
} Problem;

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

static bool problem_of(const Graph *g, const Node *n, Problem *p)
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

/* ---- tiles -------------------------------------------------------------- */

typedef struct Tile {
    bool mma;   /* on the matrix unit: half types */
    int bm, bn; /* results of a block */
    int tm, tn; /* results of a thread; mma: warps along m and n */
} Tile;

/* clang-format off */
static const Tile tile_table[] = {
    {false, 128, 64, 8, 4}, {false, 64, 64, 4, 4}, {false, 32, 64, 4, 4},
    {false, 16, 64, 2, 4}, {false, 128, 32, 4, 4}, {false, 64, 32, 4, 4},
    {false, 32, 32, 2, 4}, {false, 256, 16, 4, 4}, {false, 128, 16, 4, 4},
    {false, 64, 16, 2, 4}, {false, 32, 16, 1, 4},
    {true, 128, 64, 4, 2}, {true, 64, 64, 2, 2}, {true, 32, 64, 2, 2},
    {true, 16, 64, 1, 4}, {true, 128, 32, 4, 1}, {true, 64, 32, 4, 1},
    {true, 32, 32, 2, 2}, {true, 128, 16, 8, 1}, {true, 64, 16, 4, 1},
    {true, 16, 32, 1, 2},
};
/* clang-format on */

enum {
    TILES = sizeof tile_table / sizeof *tile_table,
    TILE_K = 16,    /* of k at a time */
    TILE_SPARE = 8, /* elements between the lines of a tile of results */
    SHARED_MOST = 48 * 1024,
    MMA_K = 32,
    MMA_STAGES = 3 /* tiles of k that are under way */
};

static int threads_of(const Tile *t)
{
    return t->mma ? 32 * t->tm * t->tn : t->bm / t->tm * (t->bn / t->tn);
}

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t blocks_of(const Problem *p, const Tile *t)
{
    return up(p->m, t->bm) * up(p->n, t->bn) * p->batches * p->parts;
}

/* In products that a processor does, one after the other.  A block of few
 * threads leaves some of it idle. */
static double tile_cost(const Problem *p, const Tile *t)
{
    int threads = threads_of(t);
    double waves = (double)up(blocks_of(p, t), PROCESSORS);
    double products = (double)t->bm * t->bn / (t->mma ? MMA_FASTER : 1);
    double block = products + BRING * (double)(t->bm + t->bn);
    return waves * block * (threads < 128 ? 2 : threads < 256 ? 1.1 : 1);
}

static const Tile *choose_tile(const Problem *p)
{
    const Tile *best = NULL;
    for (int i = 0; i < TILES; i++) {
        const Tile *t = &tile_table[i];
        if (t->mma != dtype_is_half(p->dtype) ||
            (p->dtype == DT_F64 && t->bm > 64)) /* twice the shared memory */
            continue;
        if (!best || tile_cost(p, t) < tile_cost(p, best))
            best = t;
    }
    return best;
}

int64_t cuda_gemm_call(const Type *x, const Type *w, const Type *y,
                       int64_t groups)
{
    Problem p = {.dtype = x->dtype,
                 .m = type_elements(w) / w->dim[0],
                 .n = w->dim[0] / groups,
                 .batches = groups,
                 .parts = 1};
    int64_t batch = x->dim[0], pixels = type_elements(y) / y->dim[1];
    int64_t parts = up(BLOCKS_WANTED, blocks_of(&p, choose_tile(&p)));
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

/* What is fused after a product. */
typedef struct After {
    bool fused;    /* is there anything? */
    bool kept;     /* is the product itself in memory, too? */
    int64_t bytes; /* of shared memory that it wants */
    char *functions, *calls;
} After;

/* Elements from a line of a tile of results to the next.  Where it was the
 * channels of all the result, pixel and channel would look like one loop. */
static int line_of(const Problem *p, const Tile *t)
{
    int line = t->bn + TILE_SPARE;
    return line == p->n ? line + TILE_SPARE : line;
}

static void print_tile_sizes(const Problem *p, const Tile *t, const After *f,
                             FILE *out)
{
    const Name names[] = {
        {"BM", t->bm},
        {"BN", t->bn},
        {"BK", t->mma ? MMA_K : TILE_K},
        {t->mma ? "WARPS_M" : "TM", t->tm},
        {t->mma ? "WARPS_N" : "TN", t->tn},
        {"STAGES", t->mma ? MMA_STAGES : 2},
        {"THREADS", threads_of(t)},
        {"BATCHES", p->batches},
        {"K", p->k},
        {"MOST", VECTOR_BYTES / (int64_t)dtype_size(p->dtype)},
        {"LINE", line_of(p, t)},
        {"AFTER", f->bytes},
    };
    const Name flags[] = {{"KEPT", f->kept}, {"FUSED", f->fused}};
    print_names("int", names, COUNT(names), out);
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
static void print_classes(const Problem *p, const char *name, FILE *out)
{
    static const char *const conv[][3] = {
        [PROBLEM_CONV] = {"x_for_y", "w_for_y", "to_y"},
        [PROBLEM_GRAD_INPUT] = {"y_for_x", "w_for_x", "to_x"},
        [PROBLEM_GRAD_WEIGHT] = {"x_for_w", "y_for_w", "to_w"},
    };
    if (p->kind != PROBLEM_MATMUL) {
        for (int i = 0; i < 3; i++)
            fprintf(out, ",\n             tgc_%s<%s_p>", conv[p->kind][i],
                    name);
        return;
    }
    const int64_t *const stride[] = {p->x, p->w};
    const int64_t rows[] = {p->m, p->n};
    for (int i = 0; i < 2; i++)
        fprintf(out,
                ",\n             tgc_matrix<%s_p, %" PRId64 ", %" PRId64
                ", %" PRId64 ", %" PRId64 ">",
                name, rows[i], stride[i][1], stride[i][2], stride[i][0]);
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

static void print_kernel(const Problem *p, const Graph *g, const Step *s,
                         const Tile *t, const After *f, const char *name,
                         FILE *out)
{
    uint32_t id = step_anchor(g, s), y = 0;
    const Node *n = &g->node[id];
    while (f->kept && !value_equal(s->out[y], node_value(id, 0)))
        y++;
    fprintf(out, "extern \"C\" __global__ void __launch_bounds__(%d, %d)\n%s(",
            threads_of(t), resident_blocks(t), name);
    print_arguments(g, s, f, out);
    fprintf(out, ")\n{\n    tgc_gemm%s<%s_p", t->mma ? "_mma" : "", name);
    print_classes(p, name, out);
    fprintf(out, ">(\n        ");
    if (f->kept)
        fprintf(out, "y%u", y);
    else
        fprintf(out, "(%s_p::R *)0", name);
    fprintf(out, ", x%u, x%u, ", operand(s, n->in[0]), operand(s, n->in[1]));
    if (f->fused)
        fprintf(out,
                "[&](const %s_p::R *tile, char *shared, int m, int n) {\n"
                "%s        });\n}\n\n",
                name, f->calls);
    else
        fprintf(out, "tgc_nothing());\n}\n\n");
}

/* ---- what is fused after ------------------------------------------------ */

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

static bool print_after(const Problem *p, const Graph *g, const Step *s,
                        const Tile *t, const char *name, After *f, Error *e)
{
    const Value y = node_value(step_anchor(g, s), 0);
    *f = (After){.fused = s->first != s->last, .kept = !s->n_out};
    for (uint32_t i = 0; i < s->n_out; i++)
        f->kept |= value_equal(s->out[i], y);
    if (!f->fused)
        return true;
    CudaTile tile = {.value = y,
                     .pixels = p->m,
                     .channels = p->n,
                     .rows = t->bm,
                     .columns = t->bn,
                     .line = line_of(p, t),
                     .threads = threads_of(t)};
    tile.shared =
        SHARED_MOST - tile.rows * tile.line * (int64_t)dtype_size(p->result);
    size_t size;
    FILE *functions = open_memstream(&f->functions, &size);
    FILE *calls = open_memstream(&f->calls, &size);
    f->bytes = print_cuda_after(g, s, &tile, name, functions, calls, e);
    fclose(functions);
    fclose(calls);
    return f->bytes >= 0;
}

bool cuda_gemm_print(const Graph *g, const Step *s, const char *name, FILE *out,
                     CudaGemm *c, Error *e)
{
    Problem p;
    After f;
    problem_of(g, &g->node[step_anchor(g, s)], &p);
    const Tile *t = choose_tile(&p);
    bool ok = print_after(&p, g, s, t, name, &f, e);
    if (ok) {
        fprintf(out, "struct %s_p {\n    typedef %s T;\n    typedef %s R;\n",
                name, number_type(p.dtype), number_type(p.result));
        print_tile_sizes(&p, t, &f, out);
        if (p.kind != PROBLEM_MATMUL)
            print_conv_sizes(&p, out);
        fprintf(out, "};\n\n%s", f.fused ? f.functions : "");
        print_kernel(&p, g, s, t, &f, name, out);
    }
    free(f.functions);
    free(f.calls);
    *c = (CudaGemm){.parts = blocks_of(&p, t),
                    .threads = (uint32_t)threads_of(t)};
    return ok;
}
