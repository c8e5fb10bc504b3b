/* rows.c: see rows.h.
 *
 * A gradient is a sum over all numbers that name a row.  Whoever makes some of
 * the table's rows goes through all numbers, in their order, and adds up what
 * is his: nobody else writes there, and the bits do not depend on how many make
 * it.  Reading the numbers again costs little beside adding the rows. */
#include "rows.h"
#include "build.h"
#include "cuda_run.h"
#include "print.h"
#include "targets.h"
#include "template.h"
#include <inttypes.h>
#include <math.h>

enum {
    PARTS_MOST = 64,         /* of a table's rows, or of the numbers */
    PART_ELEMENTS = 4096,    /* at least */
    CUDA_EACH = 4,           /* elements that a thread reads */
    CUDA_SUMMING = 128 * 256 /* threads that add up, about */
};

/* What the texts are made of: `count` numbers, a table of rows x n. */
typedef struct Rows {
    int64_t count, rows, n;
    const char *type; /* of an element, in C */
    DType dtype;
    bool gradient;
    int x, at; /* which of the buffers has the elements, which the numbers */
} Rows;

bool rows_is(const Node *n)
{
    return node_is(n, &op_gather) || node_is(n, &op_gather_grad);
}

static bool lies_plainly(const Graph *g, const Value *in)
{
    return graph_type(g, in[0])->layout == 0 &&
           graph_type(g, in[1])->layout == 0;
}

static bool has_kernel(const Node *n)
{
    DType t = n->type[0].dtype;
    return rows_is(n) && (t == DT_F32 || t == DT_F64);
}

bool rows_fits(const Graph *g, const Node *n)
{
    return has_kernel(n) && n->type[0].layout == 0 && lies_plainly(g, n->in);
}

bool rows_lower(Graph *g, const Node *n, const Value *in, Value *out)
{
    Value plain[2];
    if (!has_kernel(n) || (lies_plainly(g, in) && n->type[0].layout == 0))
        return false;
    for (int i = 0; i < 2; i++)
        plain[i] = target_row_major(g, in[i]);
    int n_attr = node_is(n, &op_gather_grad) ? 1 : 0;
    out[0] = ir_node(g, n->op, plain, 2, n->attr, n_attr);
    graph_node(g, out[0])->type[0].layout = 0;
    return true;
}

/* ---- what the texts need ------------------------------------------------- */

/* Buffers of a step are its results, then what it reads. */
static int buffer_of(const Step *s, Value v)
{
    for (uint32_t i = 0; i < s->n_in; i++)
        if (value_equal(s->in[i], v))
            return (int)(s->n_out + i);
    return 0;
}

static Rows rows_of(const Graph *g, const Step *s)
{
    const Node *n = &g->node[s->last];
    bool gradient = node_is(n, &op_gather_grad);
    int numbers = gradient ? 0 : 1;
    const Type *table = gradient ? &n->type[0] : graph_type(g, n->in[0]);
    return (Rows){.count = type_elements(graph_type(g, n->in[numbers])),
                  .rows = table->dim[0],
                  .n = table->dim[1],
                  .type = storage_in_c(table->dtype),
                  .dtype = table->dtype,
                  .gradient = gradient,
                  .x = buffer_of(s, n->in[1 - numbers]),
                  .at = buffer_of(s, n->in[numbers])};
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* Of `rows` rows of n elements each: how many are a part. */
static int64_t rows_each(int64_t rows, int64_t n)
{
    int64_t least = divide_up(PART_ELEMENTS, n);
    int64_t each = divide_up(rows, PARTS_MOST);
    return each > least ? each : least;
}

/* ---- C ------------------------------------------------------------------- */

/* What the call makes is rows low .. high-1 of the result: of the numbers, or
 * of the table. */
static int64_t print_c_range(const Rows *r, const char *name, FILE *out)
{
    int64_t all = r->gradient ? r->rows : r->count;
    int64_t each = rows_each(all, r->n);
    fprintf(out,
            "void %s(const KernelCall *call, int64_t begin, int64_t end)\n{\n"
            "    %s *restrict y = (%s *)call->buf[0];\n"
            "    const %s *restrict x = (const %s *)call->buf[%d];\n"
            "    const int32_t *restrict at = (const int32_t *)call->buf[%d];\n"
            "    const int64_t low = begin * %" PRId64 ", to = end * %" PRId64
            ";\n"
            "    const int64_t high = to < %" PRId64 " ? to : %" PRId64 ";\n",
            name, r->type, r->type, r->type, r->type, r->x, r->at, each, each,
            all, all);
    return divide_up(all, each);
}

static void print_c_gather(const Rows *r, FILE *out)
{
    fprintf(out,
            "    for (int64_t i = low; i < high; i++) {\n"
            "        const int64_t row = at[i];\n"
            "        if (row < 0 || row >= %" PRId64 ") {\n"
            "            for (int64_t k = 0; k < %" PRId64 "; k++)\n"
            "                y[i * %" PRId64 " + k] = ",
            r->rows, r->n, r->n);
    template_number(NAN, r->dtype, out);
    fprintf(out,
            ";\n"
            "            continue;\n"
            "        }\n"
            "#pragma omp simd\n"
            "        for (int64_t k = 0; k < %" PRId64 "; k++)\n"
            "            y[i * %" PRId64 " + k] = x[row * %" PRId64 " + k];\n"
            "    }\n",
            r->n, r->n, r->n);
}

static void print_c_sums(const Rows *r, FILE *out)
{
    fprintf(out,
            "    for (int64_t k = low * %" PRId64 "; k < high * %" PRId64
            "; k++)\n"
            "        y[k] = 0;\n"
            "    for (int64_t i = 0; i < %" PRId64 "; i++) {\n"
            "        const int64_t row = at[i];\n"
            "        if (row < low || row >= high)\n"
            "            continue;\n"
            "#pragma omp simd\n"
            "        for (int64_t k = 0; k < %" PRId64 "; k++)\n"
            "            y[row * %" PRId64 " + k] += x[i * %" PRId64 " + k];\n"
            "    }\n",
            r->n, r->n, r->count, r->n, r->n, r->n);
}

int64_t rows_print_c(const Graph *g, const Step *s, const char *name, FILE *out)
{
    Rows r = rows_of(g, s);
    int64_t parts = print_c_range(&r, name, out);
    if (r.gradient)
        print_c_sums(&r, out);
    else
        print_c_gather(&r, out);
    fputs("}\n\n", out);
    return parts;
}

/* ---- CUDA ---------------------------------------------------------------- */

static void print_cuda_open(const Rows *r, const char *name, FILE *out)
{
    bool first = r->x < r->at;
    fprintf(out,
            "extern \"C\" __global__ void __launch_bounds__(%d)\n"
            "%s(%s *__restrict__ y, ",
            CUDA_THREADS, name, r->type);
    if (first)
        fprintf(out, "const %s *__restrict__ x, ", r->type);
    fprintf(out, "const int32_t *__restrict__ at%s", first ? ")\n{\n" : ", ");
    if (!first)
        fprintf(out, "const %s *__restrict__ x)\n{\n", r->type);
}

static int64_t print_cuda_gather(const Rows *r, FILE *out)
{
    int64_t all = r->count * r->n;
    fprintf(out,
            "    for (int u = 0; u < %d; u++) {\n"
            "        const int64_t e = ((int64_t)blockIdx.x * %d + u) * %d + "
            "threadIdx.x;\n"
            "        if (e >= %" PRId64 ")\n"
            "            return;\n"
            "        const int64_t row = at[e / %" PRId64 "];\n"
            "        y[e] = row >= 0 && row < %" PRId64 " ? x[row * %" PRId64
            " + e %% %" PRId64 "] : ",
            CUDA_EACH, CUDA_EACH, CUDA_THREADS, all, r->n, r->rows, r->n, r->n);
    template_number(NAN, r->dtype, out);
    fputs(";\n    }\n", out);
    return divide_up(all, CUDA_EACH * CUDA_THREADS);
}

/* A thread has a column of some rows.  What follows one another in one row is
 * added up in a register. */
static int64_t print_cuda_sums(const Rows *r, FILE *out)
{
    int64_t each = divide_up(r->rows * r->n, CUDA_SUMMING);
    each = each < r->rows ? each : r->rows;
    fprintf(out,
            "    const int64_t e = (int64_t)blockIdx.x * %d + threadIdx.x;\n"
            "    const int64_t low = e / %" PRId64 " * %" PRId64
            ", to = low + %" PRId64 ";\n"
            "    const int64_t high = to < %" PRId64 " ? to : %" PRId64 ";\n"
            "    y += e %% %" PRId64 ";\n"
            "    x += e %% %" PRId64 ";\n"
            "    for (int64_t row = low; row < high; row++)\n"
            "        y[row * %" PRId64 "] = 0;\n",
            CUDA_THREADS, r->n, each, each, r->rows, r->rows, r->n, r->n, r->n);
    fprintf(out,
            "    int64_t last = -1;\n"
            "    %s sum = 0;\n"
            "    for (int64_t i = 0; i < %" PRId64 "; i++) {\n"
            "        const int64_t row = at[i];\n"
            "        if (row < low || row >= high)\n"
            "            continue;\n"
            "        if (row != last) {\n"
            "            if (last >= 0)\n"
            "                y[last * %" PRId64 "] = sum;\n"
            "            sum = y[row * %" PRId64 "];\n"
            "            last = row;\n"
            "        }\n"
            "        sum += x[i * %" PRId64 "];\n"
            "    }\n"
            "    if (last >= 0)\n"
            "        y[last * %" PRId64 "] = sum;\n",
            r->type, r->count, r->n, r->n, r->n, r->n);
    return divide_up(divide_up(r->rows, each) * r->n, CUDA_THREADS);
}

int64_t rows_print_cuda(const Graph *g, const Step *s, const char *name,
                        FILE *out)
{
    Rows r = rows_of(g, s);
    print_cuda_open(&r, name, out);
    int64_t blocks =
        r.gradient ? print_cuda_sums(&r, out) : print_cuda_gather(&r, out);
    fputs("}\n\n", out);
    return blocks;
}
