/* print_body.c: what happens at one element: indices, loads, ops, stores.
 *
 * Loads and stores are where half types turn into the float that is computed
 * in and back. */
#include "op.h"
#include "print.h"
#include "template.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *type_in_c(DType t)
{
    switch (t) {
    case DT_F64:
        return "double";
    case DT_I64:
        return "int64_t";
    case DT_I32:
        return "int32_t";
    case DT_U8:
        return "uint8_t";
    case DT_BOOL:
        return "int";
    default:
        return "float";
    }
}

const char *storage_in_c(DType t)
{
    switch (t) {
    case DT_BOOL:
        return "uint8_t";
    case DT_F16:
        return "tgc_f16";
    case DT_BF16:
        return "tgc_bf16";
    default:
        return type_in_c(t);
    }
}

/* ---- indices ------------------------------------------------------------ */

static int64_t size_of(int64_t coefficient)
{
    return coefficient < 0 ? -coefficient : coefficient;
}

/* The variable with the largest coefficient of those below `before`, which
 * are taken by size and then by number; 0: there is none left. */
static uint32_t next_term(const Nest *n, const Index *i, uint32_t before)
{
    uint32_t best = 0;
    for (uint32_t v = 1; v < n->n_vars; v++) {
        int64_t size = size_of(i->coef[v]);
        int64_t most = before ? size_of(i->coef[before]) : INT64_MAX;
        bool left = size && (size < most || (size == most && v > before));
        if (left && (!best || size > size_of(i->coef[best])))
            best = v;
    }
    return best;
}

static const char *index_text(Printer *p, const Index *i)
{
    char *text = "";
    for (uint32_t v = 0; (v = next_term(p->nest, i, v));) {
        int64_t c = i->coef[v];
        const char *plus = *text ? (c < 0 ? " - " : " + ") : c < 0 ? "-" : "";
        text = size_of(c) == 1
                   ? arena_printf(p->arena, "%s%si%u", text, plus, v)
                   : arena_printf(p->arena, "%s%si%u * %" PRId64, text, plus, v,
                                  size_of(c));
    }
    if (!*text)
        return arena_printf(p->arena, "%" PRId64, i->offset);
    if (!i->offset)
        return text;
    return arena_printf(p->arena, "%s %c %" PRId64, text,
                        i->offset < 0 ? '-' : '+', size_of(i->offset));
}

/* "t >= 0 && t < 32 && ..."; always at least one condition. */
static const char *guards_text(Printer *p, uint32_t guards)
{
    const char *text = "";
    for (uint32_t g = guards; g; g = p->nest->guard[g].next) {
        const Guard *guard = &p->nest->guard[g];
        const char *t = index_text(p, &guard->t);
        int64_t low, high;
        index_range(p->nest, &guard->t, &low, &high);
        if (low < 0)
            text = arena_printf(p->arena, "%s%s%s >= 0", text,
                                *text ? " && " : "", t);
        if (high >= guard->limit)
            text = arena_printf(p->arena, "%s%s%s < %" PRId64, text,
                                *text ? " && " : "", t, guard->limit);
        if (guard->by > 1)
            text = arena_printf(p->arena, "%s%s(%s) %% %" PRId64 " == 0", text,
                                *text ? " && " : "", t, guard->by);
    }
    return text;
}

/* ---- what is needed ----------------------------------------------------- */

static bool is_there(const Printer *p, uint32_t x)
{
    const Expr *e = &p->nest->expr[x];
    return e->kind == EXPR_REDUCTION || e->kind == EXPR_CONST ||
           (p->saved[x] && e->level < p->done);
}

static void need(Printer *p, uint32_t top)
{
    p->needed[top] |= !is_there(p, top);
    for (uint32_t x = top; x; x--) {
        const Expr *e = &p->nest->expr[x];
        for (uint32_t i = 0; p->needed[x] && i < e->n_in; i++)
            p->needed[e->in[i]] |= !is_there(p, e->in[i]);
    }
}

static void need_index(const Printer *p, const Index *i, bool *needed)
{
    for (uint32_t v = 1; v < p->nest->n_vars; v++) {
        const Var *var = &p->nest->var[v];
        if (!i->coef[v] || needed[v])
            continue;
        needed[v] = true;
        if (var->kind == VAR_DIV || var->kind == VAR_MOD)
            need_index(p, &var->of, needed);
    }
}

static void need_guards(const Printer *p, uint32_t guards, bool *needed)
{
    for (uint32_t g = guards; g; g = p->nest->guard[g].next)
        need_index(p, &p->nest->guard[g].t, needed);
}

/* Quotients and remainders; a variable refers only to those before it. */
static void print_derived(Printer *p, const Store *const *store, size_t n)
{
    bool needed[KERNEL_VARS] = {false};
    for (size_t i = 0; i < n; i++)
        need_index(p, &store[i]->at, needed);
    for (size_t x = 1; x < p->nest->n_exprs; x++)
        if (p->needed[x]) {
            need_index(p, &p->nest->expr[x].at, needed);
            need_index(p, &p->nest->expr[x].along, needed);
            need_guards(p, p->nest->expr[x].guards, needed);
        }
    for (uint32_t v = 1; v < p->nest->n_vars; v++) {
        const Var *var = &p->nest->var[v];
        if (needed[v] && (var->kind == VAR_DIV || var->kind == VAR_MOD))
            print_line(p, "const %s i%u = (%s) %c %" PRId64 ";", p->index, v,
                       index_text(p, &var->of),
                       var->kind == VAR_DIV ? '/' : '%', var->by);
    }
}

/* ---- expressions -------------------------------------------------------- */

static const char *memory_text(char **text, size_t *size, FILE *f, Arena *a)
{
    fclose(f);
    const char *copy = arena_strndup(a, *text, *size);
    free(*text);
    return copy;
}

static const char *number_text(Printer *p, double value, DType dtype)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    template_number(value, dtype, f);
    return memory_text(&text, &size, f, p->arena);
}

static const char *template_text(Printer *p, const Template *t,
                                 const char *text)
{
    char *result;
    size_t size;
    FILE *f = open_memstream(&result, &size);
    template_print(t, text, f);
    return memory_text(&result, &size, f, p->arena);
}

const char *body_name(Printer *p, uint32_t x)
{
    const Expr *e = &p->nest->expr[x];
    if (e->kind == EXPR_CONST)
        return number_text(p, e->value, e->dtype);
    if (e->kind == EXPR_REDUCTION)
        return arena_printf(p->arena, "a%u%s", e->reduction, p->lane);
    if (p->saved[x] && e->level < p->done)
        return arena_printf(p->arena, "r%u%s", x, p->lane);
    return arena_printf(p->arena, "t%u", x);
}

static const char *buffer_text(Printer *p, uint32_t buffer, const Index *at)
{
    bool result = buffer < p->kernel->n_out;
    return arena_printf(p->arena, "%c%u[%s]", result ? 'y' : 'x',
                        result ? buffer : buffer - p->kernel->n_out,
                        index_text(p, at));
}

static bool loads_wide(const Printer *p, const Expr *e)
{
    return e->kind == EXPR_LOAD &&
           body_is_wide(p->nest, &e->at, e->guards, p->wide, p->vector);
}

static const char *load_text(Printer *p, uint32_t number)
{
    const Expr *e = &p->nest->expr[number];
    const char *x = loads_wide(p, e)
                        ? arena_printf(p->arena, "v%u.v[u]", number)
                        : buffer_text(p, e->buffer, &e->at);
    if (e->dtype == DT_BF16)
        x = arena_printf(p->arena, "tgc_from_bf16(%s)", x);
    else if (e->dtype == DT_F16)
        x = arena_printf(p->arena, "tgc_from_f16(%s)", x);
    if (!e->guards)
        return x;
    return arena_printf(p->arena, "%s ? %s : %s", guards_text(p, e->guards), x,
                        number_text(p, e->value, e->dtype));
}

static const char *op_text(Printer *p, const Expr *e)
{
    const char **x = arena_array(p->arena, e->n_in, sizeof *x);
    for (uint32_t i = 0; i < e->n_in; i++)
        x[i] = body_name(p, e->in[i]);
    Template t = {
        .node = e->node,
        .x = x,
        .n_x = (int)e->n_in,
        .i = arena_printf(p->arena, "(%s)", index_text(p, &e->at)),
        .at = arena_printf(p->arena, "(%s)", index_text(p, &e->along)),
        .dtype = e->dtype,
        .operand = e->n_in ? p->nest->expr[e->in[0]].dtype : e->dtype,
        .type_name = type_in_c(e->dtype),
        .function = p->function,
    };
    return template_text(p, &t, e->node->op->expr);
}

static const char *expr_text(Printer *p, uint32_t x)
{
    const Expr *e = &p->nest->expr[x];
    if (e->kind == EXPR_LOAD)
        return load_text(p, x);
    if (e->kind == EXPR_SELECT)
        return arena_printf(p->arena, "%s ? %s : %s", guards_text(p, e->guards),
                            body_name(p, e->in[0]),
                            number_text(p, e->value, e->dtype));
    return op_text(p, e);
}

/* What these need, in p->needed. */
static void need_all(Printer *p, const uint32_t *expr, size_t n,
                     const Store *const *store, size_t n_stores)
{
    memset(p->needed, 0, p->nest->n_exprs * sizeof *p->needed);
    for (size_t i = 0; i < n; i++)
        need(p, expr[i]);
    for (size_t i = 0; i < n_stores; i++)
        need(p, store[i]->expr);
}

void body_print(Printer *p, const uint32_t *expr, size_t n,
                const Store *const *store, size_t n_stores)
{
    const Nest *nest = p->nest;
    need_all(p, expr, n, store, n_stores);
    print_derived(p, store, n_stores);
    for (uint32_t x = 1; x < nest->n_exprs; x++)
        if (p->needed[x])
            print_line(p, "const %s t%u = %s;", type_in_c(nest->expr[x].dtype),
                       x, expr_text(p, x));
}

void body_store(Printer *p, const Store *s)
{
    const char *value = body_name(p, s->expr);
    DType dtype = p->kernel->buffer[s->buffer].dtype;
    if (dtype == DT_BF16)
        value = arena_printf(p->arena, "tgc_to_bf16(%s)", value);
    else if (dtype == DT_F16)
        value = arena_printf(p->arena, "tgc_to_f16(%s)", value);
    const char *to = buffer_text(p, s->buffer, &s->at);
    if (body_is_wide(p->nest, &s->at, 0, p->wide, p->vector))
        to = arena_printf(p->arena, "w%td.v[u]", s - p->nest->store);
    print_line(p, "%s = %s;", to, value);
}

/* ---- neighbours at once ------------------------------------------------- */

bool body_is_wide(const Nest *n, const Index *at, uint32_t guards,
                  uint32_t wide, int vector)
{
    if (!wide || at->coef[wide] != 1 || at->offset % vector)
        return false;
    for (uint32_t v = 1; v < n->n_vars; v++) {
        if (v == wide || !at->coef[v])
            continue;
        if (at->coef[v] % vector || index_uses(n, &n->var[v].of, wide))
            return false;
    }
    for (uint32_t g = guards; g; g = n->guard[g].next)
        if (index_uses(n, &n->guard[g].t, wide))
            return false;
    return true;
}

static const char *vector_text(Printer *p, uint32_t buffer)
{
    return arena_printf(p->arena, "tgc_vec<%s, %d>",
                        storage_in_c(p->kernel->buffer[buffer].dtype),
                        p->vector);
}

static const char *wide_load(Printer *p, const Expr *e)
{
    return arena_printf(p->arena, "tgc_load<%d>(&%s)", p->vector,
                        buffer_text(p, e->buffer, &e->at));
}

/* Outside of its guards nothing is read, and nobody looks. */
static void print_wide_load(Printer *p, uint32_t x)
{
    const Expr *e = &p->nest->expr[x];
    const char *type = vector_text(p, e->buffer), *load = wide_load(p, e);
    if (p->raw && p->raw[x]) {
        print_line(p, "const %s v%u = raw.v%u;", type, x, x);
        return;
    }
    if (!e->guards) {
        print_line(p, "const %s v%u = %s;", type, x, load);
        return;
    }
    print_line(p, "%s v%u = {};", type, x);
    print_line(p, "if (%s)", guards_text(p, e->guards));
    print_line(p, "    v%u = %s;", x, load);
}

void body_wide_loads(Printer *p, const uint32_t *expr, size_t n,
                     const Store *const *store, size_t n_stores)
{
    need_all(p, expr, n, store, n_stores);
    for (uint32_t x = 1; x < p->nest->n_exprs; x++)
        p->needed[x] &= loads_wide(p, &p->nest->expr[x]);
    print_derived(p, store, n_stores);
    for (uint32_t x = 1; x < p->nest->n_exprs; x++)
        if (p->needed[x])
            print_wide_load(p, x);
}

const char *body_wide_name(Printer *p, uint32_t x)
{
    return arena_printf(p->arena, "%s v%u",
                        vector_text(p, p->nest->expr[x].buffer), x);
}

void body_raw_loads(Printer *p, const bool *which, const Store *store)
{
    need_all(p, NULL, 0, &store, 1);
    for (uint32_t x = 1; x < p->nest->n_exprs; x++)
        p->needed[x] &= which[x];
    print_derived(p, &store, 1);
    for (uint32_t x = 1; x < p->nest->n_exprs; x++) {
        const Expr *e = &p->nest->expr[x];
        if (!p->needed[x])
            continue;
        if (e->guards)
            print_line(p, "if (%s)", guards_text(p, e->guards));
        print_line(p, "%sraw.v%u = %s;", e->guards ? "    " : "", x,
                   wide_load(p, e));
    }
}

void body_wide_stores(Printer *p, const Store *const *store, size_t n_stores,
                      bool declare)
{
    for (size_t i = 0; i < n_stores; i++) {
        const Store *s = store[i];
        if (!body_is_wide(p->nest, &s->at, 0, p->wide, p->vector))
            continue;
        ptrdiff_t number = s - p->nest->store;
        if (declare)
            print_line(p, "%s w%td;", vector_text(p, s->buffer), number);
        else
            print_line(p, "tgc_store(&%s, w%td);",
                       buffer_text(p, s->buffer, &s->at), number);
    }
}

static const char *reduction_text(Printer *p, uint32_t r, const char *text,
                                  const char *a, const char *x)
{
    const Node *n = p->nest->reduction[r].node;
    Template t = {.node = n,
                  .x = &x,
                  .n_x = 1,
                  .a = a,
                  .i = "0",
                  .at = "0",
                  .dtype = n->type[0].dtype,
                  .operand = n->type[0].dtype,
                  .type_name = type_in_c(n->type[0].dtype),
                  .function = p->function};
    return template_text(p, &t, text);
}

const char *body_combine(Printer *p, uint32_t r, const char *a, const char *x)
{
    return reduction_text(p, r, p->nest->reduction[r].node->op->combine, a, x);
}

const char *body_start(Printer *p, uint32_t r)
{
    return reduction_text(p, r, p->nest->reduction[r].node->op->start, "", "");
}
