/* kernel.c: arithmetic on the kernel IR's indices, and adding to a nest. */
#include "kernel.h"
#include <assert.h>
#include <string.h>

Index index_const(int64_t offset)
{
    return (Index){.offset = offset};
}

Index index_var(uint32_t var)
{
    assert(var && var < KERNEL_VARS);
    Index i = {0};
    i.coef[var] = 1;
    return i;
}

Index index_add(Index a, Index b)
{
    a.offset += b.offset;
    for (int v = 0; v < KERNEL_VARS; v++)
        a.coef[v] += b.coef[v];
    return a;
}

Index index_scale(Index a, int64_t by)
{
    a.offset *= by;
    for (int v = 0; v < KERNEL_VARS; v++)
        a.coef[v] *= by;
    return a;
}

bool index_equal(const Index *a, const Index *b)
{
    return !memcmp(a, b, sizeof *a);
}

bool index_is_const(const Index *a)
{
    for (int v = 0; v < KERNEL_VARS; v++)
        if (a->coef[v])
            return false;
    return true;
}

void index_range(const Nest *n, const Index *a, int64_t *low, int64_t *high)
{
    *low = *high = a->offset;
    for (uint32_t v = 1; v < n->n_vars; v++) {
        int64_t most = a->coef[v] * (n->var[v].extent - 1);
        *(most < 0 ? low : high) += most;
    }
}

/* a = by * quotient + rest, with every term in one of the two. */
static void index_split(const Index *a, int64_t by, Index *quotient,
                        Index *rest)
{
    *quotient = *rest = index_const(0);
    int64_t r = a->offset % by;
    r += r < 0 ? by : 0;
    rest->offset = r;
    quotient->offset = (a->offset - r) / by;
    for (int v = 0; v < KERNEL_VARS; v++) {
        if (a->coef[v] % by)
            rest->coef[v] = a->coef[v];
        else
            quotient->coef[v] = a->coef[v] / by;
    }
}

static bool split_is_exact(const Nest *n, const Index *rest, int64_t by)
{
    int64_t low, high;
    index_range(n, rest, &low, &high);
    return low >= 0 && high < by;
}

/* A variable for of / by or of % by; the one that there is, if there is. */
static uint32_t derived_var(Nest *n, VarKind kind, const Index *of, int64_t by,
                            int64_t extent)
{
    for (uint32_t v = 1; v < n->n_vars; v++) {
        const Var *var = &n->var[v];
        if (var->kind == kind && var->by == by && index_equal(&var->of, of))
            return v;
    }
    uint32_t v = nest_add_var(n, kind, extent);
    if (v) {
        n->var[v].of = *of;
        n->var[v].by = by;
    }
    return v;
}

bool index_div(Nest *n, const Index *a, int64_t by, Index *result)
{
    Index quotient, rest;
    index_split(a, by, &quotient, &rest);
    if (split_is_exact(n, &rest, by)) {
        *result = quotient;
        return true;
    }
    int64_t low, high;
    index_range(n, a, &low, &high);
    uint32_t v = derived_var(n, VAR_DIV, a, by, high / by + 1);
    if (v)
        *result = index_var(v);
    return v != 0;
}

bool index_mod(Nest *n, const Index *a, int64_t by, Index *result)
{
    Index quotient, rest;
    index_split(a, by, &quotient, &rest);
    if (split_is_exact(n, &rest, by)) {
        *result = rest;
        return true;
    }
    int64_t low, high;
    index_range(n, &rest, &low, &high);
    uint32_t v = derived_var(n, VAR_MOD, low < 0 ? a : &rest, by, by);
    if (v)
        *result = index_var(v);
    return v != 0;
}

uint32_t nest_add_var(Nest *n, VarKind kind, int64_t extent)
{
    if (n->n_vars == KERNEL_VARS)
        return 0;
    n->var[n->n_vars] = (Var){.kind = kind, .extent = extent, .by = 1};
    return n->n_vars++;
}

uint32_t nest_add_expr(Nest *n, Expr e)
{
    ARENA_PUSH(n->arena, n->expr, n->n_exprs, n->cap_exprs, e);
    return (uint32_t)n->n_exprs - 1;
}

bool index_uses(const Nest *n, const Index *a, uint32_t var)
{
    for (uint32_t v = 1; v < n->n_vars; v++) {
        if (!a->coef[v])
            continue;
        const Var *x = &n->var[v];
        bool derived = x->kind == VAR_DIV || x->kind == VAR_MOD;
        if (v == var || (derived && index_uses(n, &x->of, var)))
            return true;
    }
    return false;
}

bool index_varies(const Nest *n, const Index *a, VarKind kind)
{
    for (uint32_t v = 1; v < n->n_vars; v++) {
        if (!a->coef[v])
            continue;
        const Var *x = &n->var[v];
        bool derived = x->kind == VAR_DIV || x->kind == VAR_MOD;
        if (x->kind == kind || (derived && index_varies(n, &x->of, kind)))
            return true;
    }
    return false;
}

bool guards_vary(const Nest *n, uint32_t guards, VarKind kind)
{
    for (uint32_t i = guards; i; i = n->guard[i].next)
        if (index_varies(n, &n->guard[i].t, kind))
            return true;
    return false;
}
