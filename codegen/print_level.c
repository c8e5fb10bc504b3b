/* print_level.c: what is done in which turn over a row, whoever prints it. */
#include "print.h"

Level level_of(Printer *p, uint32_t level, bool row)
{
    const Nest *n = p->nest;
    Level l = {.number = level};
    for (uint32_t r = 0; r < n->n_reductions && !row; r++)
        if (n->reduction[r].level == level) {
            ARENA_PUSH(p->arena, l.reduction, l.n_reductions, l.cap_reductions,
                       r);
            ARENA_PUSH(p->arena, l.of, l.n_of, l.cap_of, n->reduction[r].of);
        }
    for (size_t i = 0; i < n->n_stores; i++)
        if (n->store[i].row == row && n->expr[n->store[i].expr].level == level)
            ARENA_PUSH(p->arena, l.store, l.n_stores, l.cap_stores,
                       &n->store[i]);
    for (uint32_t x = 1; row && x < n->n_exprs; x++)
        if (p->saved[x] && n->expr[x].level == level)
            ARENA_PUSH(p->arena, l.of, l.n_of, l.cap_of, x);
    return l;
}

uint32_t level_last(const Nest *n)
{
    uint32_t level = 0;
    for (size_t r = 0; r < n->n_reductions; r++)
        if (level < n->reduction[r].level + 1)
            level = n->reduction[r].level + 1;
    return level;
}

void level_find_saved(Printer *p)
{
    const Nest *n = p->nest;
    for (size_t x = 1; x < n->n_exprs; x++)
        for (uint32_t i = 0; i < n->expr[x].n_in; i++) {
            const Expr *e = &n->expr[n->expr[x].in[i]];
            if (n->expr[x].varies || n->expr[x].level > e->level)
                p->saved[n->expr[x].in[i]] = true;
        }
    for (size_t r = 0; r < n->n_reductions; r++)
        p->saved[n->reduction[r].of] = true;
    for (size_t i = 0; i < n->n_stores; i++)
        p->saved[n->store[i].expr] |= !n->store[i].row;
    for (size_t x = 1; x < n->n_exprs; x++) {
        const Expr *e = &n->expr[x];
        bool computed = e->kind == EXPR_OP || e->kind == EXPR_SELECT;
        p->saved[x] &= computed && e->level > 0 && !e->varies;
    }
}
