/* ast_print.c: the tree as text, for --emit=ast: one node a line, indented,
 * with line and column. */
#include "ast.h"
#include "scan.h"
#include <inttypes.h>

typedef struct Printer {
    FILE *out;
    int indent;
} Printer;

static void begin(const Printer *t, const char *what, Span at)
{
    fprintf(t->out, "%*s%s @%d:%d", 2 * t->indent, "", what, at.line,
            at.column);
}

static void print_expr(Printer *t, const Expr *e);

static void print_inner(Printer *t, const Expr *e)
{
    t->indent++;
    if (e)
        print_expr(t, e);
    t->indent--;
}

static void print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static void print_label(Printer *t, const Label *label)
{
    begin(t, "label ", label->span);
    fputc(' ', t->out);
    for (size_t i = 0; i < label->n; i++)
        fputs(label->item[i].text ? label->item[i].text : "{}", t->out);
    fputc('\n', t->out);
    for (size_t i = 0; i < label->n; i++)
        print_inner(t, label->item[i].value);
}

static void print_leaf(Printer *t, const Expr *e)
{
    char number[NUMBER_TEXT];
    switch (e->kind) {
    case EXPR_INT:
        fprintf(t->out, " %" PRId64, e->integer);
        break;
    case EXPR_FLOAT:
        number_print(e->number, number);
        fprintf(t->out, " %s", number);
        break;
    case EXPR_BOOL:
        fputs(e->truth ? " true" : " false", t->out);
        break;
    case EXPR_STRING:
        fputc(' ', t->out);
        print_string(t->out, e->text);
        break;
    case EXPR_NAME:
        fprintf(t->out, " %s", e->text);
        break;
    case EXPR_UNARY:
    case EXPR_BINARY:
        fprintf(t->out, " %s", operator_text(e->op));
        break;
    case EXPR_CALL:
        fprintf(t->out, " %s", e->call.name.text);
        break;
    default:
        break;
    }
    fputc('\n', t->out);
}

static void print_arguments(Printer *t, const Arguments *list)
{
    t->indent++;
    for (size_t i = 0; i < list->n; i++) {
        const Argument *a = &list->item[i];
        if (a->name.text) {
            begin(t, "argument", a->name.span);
            fprintf(t->out, " %s\n", a->name.text);
            print_inner(t, a->value);
        } else {
            print_expr(t, a->value);
        }
    }
    t->indent--;
}

static void print_expr(Printer *t, const Expr *e)
{
    static const char *const name[] = {
        [EXPR_ERROR] = "error",   [EXPR_INT] = "int",
        [EXPR_FLOAT] = "float",   [EXPR_BOOL] = "bool",
        [EXPR_STRING] = "string", [EXPR_NAME] = "name",
        [EXPR_LIST] = "list",     [EXPR_UNARY] = "unary",
        [EXPR_BINARY] = "binary", [EXPR_CHOICE] = "choice",
        [EXPR_INDEX] = "index",   [EXPR_CALL] = "call",
        [EXPR_LABEL] = "labelled"};
    begin(t, name[e->kind], e->span);
    print_leaf(t, e);
    int operands = e->kind == EXPR_UNARY                             ? 1
                   : e->kind == EXPR_BINARY || e->kind == EXPR_INDEX ? 2
                   : e->kind == EXPR_CHOICE                          ? 3
                                                                     : 0;
    for (int i = 0; i < operands; i++)
        print_inner(t, e->operand[i]);
    if (e->kind == EXPR_LIST)
        for (size_t i = 0; i < e->list.n; i++)
            print_inner(t, e->list.item[i]);
    if (e->kind == EXPR_CALL)
        print_arguments(t, &e->call.arguments);
    if (e->kind == EXPR_LABEL) {
        t->indent++;
        print_label(t, &e->labelled.label);
        print_expr(t, e->labelled.of);
        t->indent--;
    }
}

/* ---- statements ---------------------------------------------------------- */

static void print_body(Printer *t, const Body *b);

static void print_assign(Printer *t, const Statement *s)
{
    begin(t, "assign", s->span);
    for (size_t i = 0; i < s->assign.targets.n; i++)
        fprintf(t->out, " %s", s->assign.targets.item[i].name.text);
    fputc('\n', t->out);
    for (size_t i = 0; i < s->assign.targets.n; i++)
        print_inner(t, s->assign.targets.item[i].shape);
    print_inner(t, s->assign.value);
}

static void print_statement(Printer *t, const Statement *s)
{
    switch (s->kind) {
    case STATEMENT_ASSIGN:
        print_assign(t, s);
        break;
    case STATEMENT_RETURN:
        begin(t, "return", s->span);
        fputc('\n', t->out);
        for (size_t i = 0; i < s->results.n; i++)
            print_inner(t, s->results.item[i]);
        break;
    case STATEMENT_FOR:
        begin(t, "for", s->span);
        fprintf(t->out, " %s\n", s->loop.name.text);
        print_inner(t, s->loop.from);
        print_inner(t, s->loop.to);
        print_body(t, &s->loop.body);
        break;
    case STATEMENT_IF:
        begin(t, "if", s->span);
        fputc('\n', t->out);
        print_inner(t, s->choice.condition);
        print_body(t, &s->choice.yes);
        if (s->choice.no.n) {
            begin(t, "else", s->choice.no.span);
            fputc('\n', t->out);
            print_body(t, &s->choice.no);
        }
        break;
    case STATEMENT_REQUIRE:
        begin(t, "require", s->span);
        fputc('\n', t->out);
        print_inner(t, s->require.condition);
        print_inner(t, s->require.message);
        break;
    }
}

static void print_body(Printer *t, const Body *b)
{
    t->indent++;
    for (size_t i = 0; i < b->n; i++)
        print_statement(t, b->item[i]);
    t->indent--;
}

/* ---- items -----------------------------------------------------------------
 */

static void print_parameters(Printer *t, const Parameters *list)
{
    t->indent++;
    for (size_t i = 0; i < list->n; i++) {
        begin(t, "parameter", list->item[i].name.span);
        fprintf(t->out, " %s\n", list->item[i].name.text);
        print_inner(t, list->item[i].value);
    }
    t->indent--;
}

static void print_settings(Printer *t, const SettingNodes *list)
{
    t->indent++;
    for (size_t i = 0; i < list->n; i++) {
        const SettingNode *s = list->item[i];
        begin(t, "setting", s->key.span);
        fprintf(t->out, " %s", s->key.text);
        for (size_t k = 0; k < s->patterns.n; k++)
            fprintf(t->out, " \"%s\"", s->patterns.item[k].text);
        if (s->kind.text)
            fprintf(t->out, " %s", s->kind.text);
        fputc('\n', t->out);
        print_inner(t, s->value);
        print_settings(t, &s->inner);
    }
    t->indent--;
}

void file_print(const File *f, FILE *out)
{
    static const char *const name[] = {
        [ITEM_PARAM] = "param",     [ITEM_CONSTANT] = "constant",
        [ITEM_REQUIRE] = "require", [ITEM_BLOCK] = "block",
        [ITEM_NET] = "net",         [ITEM_TRAIN] = "train",
        [ITEM_USE] = "use"};
    Printer t = {out, 0};
    fprintf(out, "file %s\n", f->source->path);
    t.indent = 1;
    for (size_t i = 0; i < f->n; i++) {
        const Item *item = f->item[i];
        begin(&t, name[item->kind], item->span);
        fprintf(out, "%s%s\n", item->name.text ? " " : "",
                item->name.text ? item->name.text : "");
        print_inner(&t, item->value);
        print_inner(&t, item->message);
        print_parameters(&t, &item->parameters);
        print_body(&t, &item->body);
        print_settings(&t, &item->settings);
    }
}
