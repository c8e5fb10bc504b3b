/* ast.c: nodes of the tree, each with its depth. */
#include "ast.h"

const char *operator_text(Operator op)
{
    static const char *const text[] = {
        [OPERATOR_NEGATE] = "-",      [OPERATOR_NOT] = "not",
        [OPERATOR_ADD] = "+",         [OPERATOR_SUB] = "-",
        [OPERATOR_MUL] = "*",         [OPERATOR_DIV] = "/",
        [OPERATOR_FLOOR_DIV] = "//",  [OPERATOR_MOD] = "%",
        [OPERATOR_SHIFT_LEFT] = "<<", [OPERATOR_SHIFT_RIGHT] = ">>",
        [OPERATOR_EQ] = "==",         [OPERATOR_NE] = "!=",
        [OPERATOR_LT] = "<",          [OPERATOR_LE] = "<=",
        [OPERATOR_GT] = ">",          [OPERATOR_GE] = ">=",
        [OPERATOR_AND] = "and",       [OPERATOR_OR] = "or",
    };
    return text[op];
}

static void deepen(int *depth, const Expr *inner)
{
    if (inner && inner->depth >= *depth)
        *depth = inner->depth + 1;
}

Expr *expr_new(Arena *a, ExprKind kind, Span span)
{
    Expr *e = arena_alloc(a, sizeof *e);
    e->kind = kind;
    e->span = span;
    e->depth = 1;
    return e;
}

Expr *expr_unary(Arena *a, Operator op, Expr *x, Span span)
{
    Expr *e = expr_new(a, EXPR_UNARY, span);
    e->op = op;
    e->operand[0] = x;
    deepen(&e->depth, x);
    return e;
}

Expr *expr_binary(Arena *a, Operator op, Expr *x, Expr *y)
{
    Expr *e = expr_new(a, EXPR_BINARY, span_join(x->span, y->span));
    e->op = op;
    e->operand[0] = x;
    e->operand[1] = y;
    deepen(&e->depth, x);
    deepen(&e->depth, y);
    return e;
}

Expr *expr_choice(Arena *a, Expr *condition, Expr *yes, Expr *no)
{
    Span span = span_join(condition->span, no->span);
    Expr *e = expr_new(a, EXPR_CHOICE, span);
    e->operand[0] = condition;
    e->operand[1] = yes;
    e->operand[2] = no;
    for (int i = 0; i < 3; i++)
        deepen(&e->depth, e->operand[i]);
    return e;
}

Expr *expr_index(Arena *a, Expr *of, Expr *index, Span span)
{
    Expr *e = expr_new(a, EXPR_INDEX, span);
    e->operand[0] = of;
    e->operand[1] = index;
    deepen(&e->depth, of);
    deepen(&e->depth, index);
    return e;
}

Expr *expr_list(Arena *a, Exprs items, Span span)
{
    Expr *e = expr_new(a, EXPR_LIST, span);
    e->list = items;
    for (size_t i = 0; i < items.n; i++)
        deepen(&e->depth, items.item[i]);
    return e;
}

Expr *expr_call(Arena *a, Name name, Arguments arguments, Span span)
{
    Expr *e = expr_new(a, EXPR_CALL, span);
    e->call.name = name;
    e->call.arguments = arguments;
    for (size_t i = 0; i < arguments.n; i++)
        deepen(&e->depth, arguments.item[i].value);
    return e;
}

Expr *expr_label(Arena *a, Label label, Expr *of)
{
    Expr *e = expr_new(a, EXPR_LABEL, span_join(label.span, of->span));
    e->labelled.label = label;
    e->labelled.of = of;
    deepen(&e->depth, of);
    for (size_t i = 0; i < label.n; i++)
        deepen(&e->depth, label.item[i].value);
    return e;
}

Statement *statement_new(Arena *a, StatementKind kind, Span span)
{
    Statement *s = arena_alloc(a, sizeof *s);
    s->kind = kind;
    s->span = span;
    s->depth = 1;
    return s;
}

int body_depth(const Body *b)
{
    int depth = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->item[i]->depth > depth)
            depth = b->item[i]->depth;
    return depth;
}

Item *item_new(Arena *a, ItemKind kind, Span span)
{
    Item *item = arena_alloc(a, sizeof *item);
    item->kind = kind;
    item->span = span;
    return item;
}
