/* print_c.c: a kernel as C functions: one for a part of each nest, and the one
 * that the runtime calls with a range of parts. */
#include "print_c.h"
#include "print.h"
#include <inttypes.h>

/* ---- lines -------------------------------------------------------------- */

static void print_text(Printer *p, const char *format, va_list args)
{
    fprintf(p->out, "%*s", 4 * p->indent, "");
    vfprintf(p->out, format, args);
    fputc('\n', p->out);
}

void print_line(Printer *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_text(p, format, args);
    va_end(args);
}

void print_open(Printer *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_text(p, format, args);
    va_end(args);
    p->indent++;
}

void print_close(Printer *p)
{
    p->indent--;
    print_line(p, "}");
}

void print_simd(Printer *p, int64_t iterations)
{
    if (iterations >= 4)
        fputs("#pragma omp simd\n", p->out);
}

void print_loop(Printer *p, uint32_t var)
{
    print_open(p, "for (int64_t i%u = 0; i%u < %" PRId64 "; i%u++) {", var, var,
               p->nest->var[var].extent, var);
}

/* ---- parts -------------------------------------------------------------- */

static int64_t tiles(const Nest *n, uint32_t var)
{
    const Arrangement *run = &n->run;
    int64_t extent = n->var[var].extent;
    bool tiled = n->n_reductions && var == run->lane;
    return tiled ? (extent + run->lanes - 1) / run->lanes : extent;
}

static bool is_tiled(const Nest *n, uint32_t var)
{
    return n->n_reductions && var == n->run.lane;
}

static int64_t blocks(const Nest *n)
{
    const Arrangement *run = &n->run;
    int64_t extent = tiles(n, run->row[run->n_lead]);
    return (extent + run->block - 1) / run->block;
}

static const char *part_over(Printer *p, int64_t below)
{
    return arena_printf(p->arena, "part / %" PRId64, below);
}

static void print_lead(Printer *p, uint32_t var, const char *number,
                       bool outermost)
{
    if (outermost)
        print_line(p, "const int64_t i%u = %s;", var, number);
    else
        print_line(p, "const int64_t i%u = %s %% %" PRId64 ";", var, number,
                   tiles(p->nest, var));
}

/* The part's own iterations of the loop that is cut into blocks. */
static void print_block(Printer *p, int64_t extent)
{
    const Arrangement *run = &p->nest->run;
    int64_t n = blocks(p->nest);
    const char *number =
        run->n_lead ? arena_printf(p->arena, "part %% %" PRId64, n) : "part";
    print_line(p, "const int64_t first = %s * %" PRId64 ";", number,
               run->block);
    if (extent % run->block)
        print_line(p,
                   "const int64_t end = first + %" PRId64 " < %" PRId64
                   " ? first + %" PRId64 " : %" PRId64 ";",
                   run->block, extent, run->block, extent);
    else
        print_line(p, "const int64_t end = first + %" PRId64 ";", run->block);
}

/* From the number of the part: the values of the leading loops, and which
 * iterations of the next one are its own. */
static void print_part(Printer *p)
{
    const Nest *n = p->nest;
    const Arrangement *run = &n->run;
    if (!run->n_row) {
        print_line(p, "(void)part;");
        return;
    }
    int64_t below = blocks(n), extent = tiles(n, run->row[run->n_lead]);
    for (uint32_t i = run->n_lead; i-- > 0;) {
        const char *number = below == 1 ? "part" : part_over(p, below);
        print_lead(p, run->row[i], number, i == 0);
        below *= tiles(n, run->row[i]);
    }
    if (run->n_lead == 0 && blocks(n) == 1)
        print_line(p, "(void)part;");
    else if (blocks(n) > 1)
        print_block(p, extent);
}

/* A tile of kept lanes: its first lane, and how many there are. */
static void print_tile(Printer *p, uint32_t var)
{
    const Arrangement *run = &p->nest->run;
    int64_t extent = p->nest->var[var].extent;
    print_line(p, "const int64_t base = tile * %" PRId64 ";", run->lanes);
    if (extent % run->lanes)
        print_line(p,
                   "const int64_t lanes = base + %" PRId64 " < %" PRId64
                   " ? %" PRId64 " : %" PRId64 " - base;",
                   run->lanes, extent, run->lanes, extent);
}

/* Opens row loop i; returns how many braces that took. */
static int open_row(Printer *p, uint32_t i)
{
    const Nest *n = p->nest;
    uint32_t v = n->run.row[i];
    bool own = i == n->run.n_lead && blocks(n) > 1;
    if (is_tiled(n, v)) {
        if (tiles(n, v) == 1)
            return 0;
        if (own)
            print_open(p, "for (int64_t tile = first; tile < end; tile++) {");
        else
            print_open(p,
                       "for (int64_t tile = 0; tile < %" PRId64 "; tile++) {",
                       tiles(n, v));
        print_tile(p, v);
        return 1;
    }
    if (!n->n_reductions && v == n->run.lane)
        print_simd(p, own ? n->run.block : n->var[v].extent);
    if (own)
        print_open(p, "for (int64_t i%u = first; i%u < end; i%u++) {", v, v, v);
    else
        print_loop(p, v);
    return 1;
}

static void print_elements(Printer *p)
{
    const Nest *n = p->nest;
    const Store **store = arena_array(p->arena, n->n_stores, sizeof *store);
    for (size_t i = 0; i < n->n_stores; i++)
        store[i] = &n->store[i];
    body_print(p, NULL, 0, store, n->n_stores);
    for (size_t i = 0; i < n->n_stores; i++)
        body_store(p, store[i]);
}

static void print_nest(Printer *p)
{
    const Nest *n = p->nest;
    int open = 0;
    print_part(p);
    for (uint32_t i = n->run.n_lead; i < n->run.n_row; i++)
        open += open_row(p, i);
    if (n->n_reductions)
        row_print(p);
    else
        print_elements(p);
    while (open--)
        print_close(p);
}

/* ---- functions ---------------------------------------------------------- */

static void buffers_used(const KernelIr *k, const Nest *n, bool *used)
{
    for (uint32_t i = 0; i < k->n_buffers; i++)
        used[i] = false;
    for (size_t i = 0; i < n->n_stores; i++)
        used[n->store[i].buffer] = true;
    for (size_t i = 1; i < n->n_exprs; i++)
        if (n->expr[i].kind == EXPR_LOAD)
            used[n->expr[i].buffer] = true;
}

/* "float *y0, const float *restrict x0, ": or, as arguments, the casts. */
static void print_buffers(Printer *p, bool arguments)
{
    const KernelIr *k = p->kernel;
    bool *used = arena_array(p->arena, k->n_buffers, sizeof *used);
    buffers_used(k, p->nest, used);
    for (uint32_t i = 0; i < k->n_buffers; i++) {
        const KernelBuffer *b = &k->buffer[i];
        if (!used[i])
            continue;
        fprintf(p->out, "%s%s%s *", arguments ? "(" : "",
                b->written ? "" : "const ", storage_in_c(b->dtype));
        if (arguments && p->where)
            fprintf(p->out, ")(%s), ", p->where[i]);
        else if (arguments)
            fprintf(p->out, ")call->buf[%u], ", i);
        else
            fprintf(p->out, "%s%c%u, ", b->shared ? "" : "restrict ",
                    b->written ? 'y' : 'x', b->written ? i : i - k->n_out);
    }
}

static void print_nest_function(Printer *p, const char *name, uint32_t i)
{
    const Nest *n = &p->kernel->nest[i];
    p->nest = n;
    p->saved = arena_array(p->arena, n->n_exprs, sizeof *p->saved);
    p->needed = arena_array(p->arena, n->n_exprs, sizeof *p->needed);
    p->lane = "";
    p->done = 0;
    fprintf(p->out, "static void %s_part%u(", name, i);
    print_buffers(p, false);
    fprintf(p->out, "int64_t part)\n{\n");
    p->indent = 1;
    print_nest(p);
    fprintf(p->out, "}\n\n");
}

static void print_call(Printer *p, const char *name, uint32_t i,
                       const char *part)
{
    p->nest = &p->kernel->nest[i];
    fprintf(p->out, "%*s%s_part%u(", 4 * p->indent, "", name, i);
    print_buffers(p, true);
    fprintf(p->out, "%s);\n", part);
}

void print_c_nests(const KernelIr *k, const char *name, FILE *out)
{
    Printer p = {.out = out,
                 .kernel = k,
                 .arena = arena_new(),
                 .index = "int64_t",
                 .function = "__builtin_"};
    for (uint32_t i = 0; i < k->n_nests; i++)
        print_nest_function(&p, name, i);
    arena_free(p.arena);
}

void print_c_calls(const KernelIr *k, const char *name,
                   const char *const *where, int indent, FILE *out)
{
    Printer p = {.out = out,
                 .kernel = k,
                 .arena = arena_new(),
                 .where = where,
                 .indent = indent};
    for (uint32_t i = 0; i < k->n_nests; i++) {
        print_line(&p, "for (int64_t q = 0; q < %" PRId64 "; q++)",
                   k->nest[i].run.parts);
        p.indent++;
        print_call(&p, name, i, "q");
        p.indent--;
    }
    arena_free(p.arena);
}

void print_c_kernel(const KernelIr *k, const char *name, FILE *out)
{
    print_c_nests(k, name, out);
    Printer p = {.out = out, .kernel = k, .arena = arena_new()};
    print_line(&p,
               "void %s(const KernelCall *call, int64_t begin, int64_t end)\n{",
               name);
    p.indent = 1;
    print_open(&p, "for (int64_t part = begin; part < end; part++) {");
    int64_t before = 0;
    for (uint32_t i = 0; i < k->n_nests; i++) {
        int64_t parts = k->nest[i].run.parts;
        if (k->n_nests > 1)
            print_open(&p, "if (part >= %" PRId64 " && part < %" PRId64 ") {",
                       before, before + parts);
        print_call(&p, name, i,
                   before ? arena_printf(p.arena, "part - %" PRId64, before)
                          : "part");
        if (k->n_nests > 1)
            print_close(&p);
        before += parts;
    }
    print_close(&p);
    fprintf(out, "}\n\n");
    arena_free(p.arena);
}

/* Half types in integer arithmetic, all of it on 32 bits and without branches,
 * so that loops over it become vectors on any machine and with any compiler.
 * What is not a number is found by its bits: compared as floats, its mask would
 * be mixed with those of the values, which takes longer than all the rest.
 * f16 is shifted into place and its exponent moved by a multiplication, which
 * is right for denormals too; on the way back adding 0.5 rounds denormals. */
static const char head[] =
    "#include \"plan.h\"\n"
    "\n"
    "typedef uint16_t tgc_bf16;\n"
    "typedef uint16_t tgc_f16;\n"
    "union tgc_bits {\n"
    "    float f;\n"
    "    uint32_t i;\n"
    "};\n"
    "\n"
    "static inline float tgc_from_bf16(tgc_bf16 x)\n"
    "{\n"
    "    union tgc_bits u = {.i = (uint32_t)x << 16};\n"
    "    return u.f;\n"
    "}\n"
    "\n"
    "static inline tgc_bf16 tgc_to_bf16(float x) /* to nearest, to even */\n"
    "{\n"
    "    union tgc_bits u = {x};\n"
    "    uint32_t y = u.i + 0x7fff + (u.i >> 16 & 1);\n"
    "    uint32_t none = ((u.i & 0x7fffffff) + 0x7fffff) >> 31;\n"
    "    return (tgc_bf16)((y | ((0 - none) & 0x7fc00000)) >> 16);\n"
    "}\n"
    "\n"
    "static inline float tgc_from_f16(tgc_f16 x)\n"
    "{\n"
    "    union tgc_bits u = {.i = (uint32_t)(x & 0x7fff) << 13};\n"
    "    union tgc_bits top = {.i = u.i | 0x7f800000};\n"
    "    union tgc_bits y = {u.i < 0x0f800000 ? u.f * 0x1p112f : top.f};\n"
    "    y.i |= (uint32_t)(x & 0x8000) << 16;\n"
    "    return y.f;\n"
    "}\n"
    "\n"
    "static inline tgc_f16 tgc_to_f16(float x) /* to nearest, to even */\n"
    "{\n"
    "    union tgc_bits u = {x}, small;\n"
    "    uint32_t a = u.i & 0x7fffffff;\n"
    "    small.i = a;\n"
    "    small.f += 0.5f;\n"
    "    uint32_t y = (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13;\n"
    "    y = a < 0x38800000 ? small.i - 0x3f000000 : y;\n"
    "    y = a >= 0x47800000 ? 0x7c00 : y;\n"
    "    y = a > 0x7f800000 ? 0x7e00 : y;\n"
    "    return (tgc_f16)(y | (u.i >> 16 & 0x8000));\n"
    "}\n"
    "\n";

/* The generator of runtime/rng.h, for random ops. */
static const char random_head[] =
    "static inline float tgc_uniform(int64_t seed, int64_t step, int64_t "
    "stream,\n"
    "                                int64_t element)\n"
    "{\n"
    "    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);\n"
    "    uint32_t c0 = (uint32_t)(element / 4);\n"
    "    uint32_t c1 = (uint32_t)(element / 4 >> 32);\n"
    "    uint32_t c2 = (uint32_t)step, c3 = (uint32_t)stream;\n"
    "    for (int round = 0; round < 10; round++) {\n"
    "        uint64_t p0 = UINT64_C(0xD2511F53) * c0;\n"
    "        uint64_t p1 = UINT64_C(0xCD9E8D57) * c2;\n"
    "        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;\n"
    "        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;\n"
    "        c1 = (uint32_t)p1;\n"
    "        c3 = (uint32_t)p0;\n"
    "        k0 += UINT32_C(0x9E3779B9);\n"
    "        k1 += UINT32_C(0xBB67AE85);\n"
    "    }\n"
    "    const uint32_t word[4] = {c0, c1, c2, c3};\n"
    "    return (float)(word[element % 4] >> 8) * 0x1p-24f;\n"
    "}\n"
    "\n";

void print_c_head(FILE *out)
{
    fputs(head, out);
    fputs(random_head, out);
}
