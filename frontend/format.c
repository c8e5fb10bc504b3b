/* format.c: `tgc fmt`: the one layout.
 *
 * It works on tokens, so that comments survive and nothing can change its
 * meaning: lines break where the author broke them, and everything else is
 * laid out anew.
 *
 *     indent     four blanks for each open bracket
 *     blanks     one between tokens, none where brackets and calls are tight
 *     columns    kinds in a train section (data  cifar10) and comments behind
 *                code line up over neighbouring lines
 *     blank      lines: one at most, none behind { or before }
 */
#include "frontend.h"
#include "parse.h"
#include "parser.h"
#include <string.h>

enum { INDENT = 4, DEEP = 256 };

typedef struct Line {
    const char *code, *comment; /* "" where there is none */
    int indent;
    int column; /* of what lines up in code: the kind's place; 0: none */
    int comment_at;
    bool blank;         /* a blank line before it */
    bool opens, closes; /* ends with {, begins with } */
} Line;

typedef struct Text {
    char *s;
    size_t n, cap;
} Text;

typedef struct Formatter {
    const Source *source;
    Arena *arena;
    const Token *token;
    size_t n;
    Line *line;
    size_t n_lines, cap_lines;

    /* While lines are made. */
    int depth;
    int choices[DEEP]; /* open ? at each depth */
    bool in_label;
    bool train; /* within a train section */
} Formatter;

/* ---- blanks between tokens
 * ------------------------------------------------------ */

static bool is_word(int kind)
{
    return kind == NAME || kind == INTEGER || kind == NUMBER ||
           kind == STRING || kind == TRUE || kind == FALSE;
}

/* Does a value end here, so that a `-` behind it is a subtraction? */
static bool ends_value(int kind)
{
    return is_word(kind) || kind == ')' || kind == ']' || kind == '}';
}

static bool is_unary_minus(const Formatter *f, size_t i, size_t first)
{
    return f->token[i].kind == '-' &&
           (i == first || !ends_value(f->token[i - 1].kind));
}

/* A colon that belongs to no `?`: of a label, or before a shape. */
static bool is_tight_colon(const Formatter *f, int kind)
{
    return kind == ':' && f->choices[f->depth % DEEP] == 0;
}

/* Is there a blank between token i - 1 and token i of one line? */
static bool blank_between(const Formatter *f, size_t i, size_t first)
{
    int left = f->token[i - 1].kind, right = f->token[i].kind;
    if (left == '(' || left == '[' || left == '.' || left == LABEL_START)
        return false;
    if (right == ')' || right == ']' || right == ',' || right == '.')
        return false;
    if (right == '(')
        return left != NAME;
    if (right == '[')
        return left != NAME && left != ']' && left != ')';
    if (is_tight_colon(f, right))
        return false;
    return !is_unary_minus(f, i - 1, first);
}

/* ---- lines
 * ------------------------------------------------------------------------ */

static bool opens(int kind)
{
    return kind == '(' || kind == '[' || kind == '{';
}

static bool shuts(int kind)
{
    return kind == ')' || kind == ']' || kind == '}';
}

/* Brackets, questions and labels that token i opens or closes. */
static void follow(Formatter *f, int kind)
{
    int *choices = &f->choices[f->depth % DEEP];
    if (opens(kind)) {
        f->depth++;
        f->choices[f->depth % DEEP] = 0;
    } else if (shuts(kind) && f->depth > 0) {
        f->depth--;
    } else if (kind == '?') {
        ++*choices;
    } else if (kind == ':' && !f->in_label && *choices > 0) {
        --*choices;
    }
    if (kind == LABEL_START)
        f->in_label = true;
    else if (kind == ':')
        f->in_label = false;
    if (f->depth == 0 && (kind == TRAIN || kind == '}'))
        f->train = kind == TRAIN;
}

static void put(Formatter *f, Text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ARENA_PUSH(f->arena, t->s, t->n, t->cap, s[i]);
}

static void put_token(Formatter *f, Text *t, size_t i, bool blank)
{
    const Token *token = &f->token[i];
    put(f, t, " ", blank);
    put(f, t, f->source->text + token->begin, token->end - token->begin);
}

static const char *token_text(const Formatter *f, size_t i)
{
    const Token *t = &f->token[i];
    return arena_strndup(f->arena, f->source->text + t->begin,
                         t->end - t->begin);
}

/* The label that begins at token i, its pieces without blanks, into *text;
 * the place of its colon. */
static size_t put_label(Formatter *f, size_t i, Text *text)
{
    bool inside = false;
    for (; i < f->n && f->token[i].kind != LINE_END; i++) {
        int kind = f->token[i].kind;
        bool value = inside && f->token[i - 1].kind != '{' && kind != '}';
        bool blank = value && blank_between(f, i, i - 1);
        if (kind != LABEL_START)
            put_token(f, text, i, blank);
        inside = kind == '{' || (inside && kind != '}');
        if (kind == ':' && !inside)
            break;
    }
    return i;
}

/* `data cifar10`, in a train section: the kind's place in the line. */
static int kind_column(const Formatter *f, size_t first, size_t end, size_t key)
{
    bool section = f->train && f->depth == 1 && end - first >= 2 &&
                   f->token[first].kind == NAME &&
                   f->token[first + 1].kind == NAME;
    return section ? (int)key + 1 : 0;
}

static size_t line_end(const Formatter *f, size_t i)
{
    while (i < f->n && f->token[i].kind != LINE_END &&
           f->token[i].kind != COMMENT)
        i++;
    return i;
}

/* Tokens first .. end-1 as text. */
static void make_code(Formatter *f, Line *l, size_t first, size_t end)
{
    Text text = {0};
    for (size_t i = first; i < end; i++) {
        bool blank = i > first && blank_between(f, i, first);
        if (f->token[i].kind == LABEL_START) {
            put(f, &text, " ", blank);
            i = put_label(f, i, &text);
            continue;
        }
        put_token(f, &text, i, blank);
        if (i == first)
            l->column = kind_column(f, first, end, text.n);
        follow(f, f->token[i].kind);
    }
    put(f, &text, "", 1);
    l->code = text.s;
}

/* A comment without blanks at its end. */
static const char *comment_text(const Formatter *f, size_t i)
{
    const char *text = token_text(f, i);
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1]))
        n--;
    return arena_strndup(f->arena, text, n);
}

/* Does the line go on with an expression that the line before began? */
static bool continues(const Formatter *f, size_t first)
{
    size_t i = first;
    while (i > 0 && (f->token[i - 1].kind == LINE_END ||
                     f->token[i - 1].kind == COMMENT))
        i--;
    int left = i > 0 ? f->token[i - 1].kind : '{';
    int right = first < f->n ? f->token[first].kind : 0;
    bool done = ends_value(left) || opens(left) || left == ',';
    bool binary = right > 0 && right < 128 && strchr("+*/%<>?:=", right);
    return !done || binary || right == AND || right == OR;
}

static size_t make_line(Formatter *f, size_t i, int blanks)
{
    size_t end = line_end(f, i);
    Line l = {.code = "", .comment = "", .blank = blanks > 0};
    int depth = f->depth;
    for (size_t k = i; k < end && shuts(f->token[k].kind) && depth > 0; k++)
        depth--;
    l.indent = INDENT * (depth + (end > i && continues(f, i)));
    l.closes = end > i && f->token[i].kind == '}';
    l.opens = end > i && f->token[end - 1].kind == '{';
    make_code(f, &l, i, end);
    if (end < f->n && f->token[end].kind == COMMENT)
        l.comment = comment_text(f, end++);
    ARENA_PUSH(f->arena, f->line, f->n_lines, f->cap_lines, l);
    return end;
}

static void make_lines(Formatter *f)
{
    int blanks = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->token[i].kind == LINE_END) {
            blanks++;
            continue;
        }
        i = make_line(f, i, blanks); /* now at its end */
        blanks = 0;
    }
}

/* ---- columns
 * ----------------------------------------------------------------------- */

/* Neighbouring lines whose kinds line up. */
static void align_kinds(Formatter *f)
{
    for (size_t i = 0, end; i < f->n_lines; i = end) {
        int column = f->line[i].column;
        for (end = i + 1; end < f->n_lines && f->line[i].column &&
                          f->line[end].column && !f->line[end].blank;
             end++)
            if (f->line[end].column > column)
                column = f->line[end].column;
        for (size_t k = i; k < end && column; k++) {
            Line *l = &f->line[k];
            l->code = arena_printf(f->arena, "%.*s%*s%s", l->column, l->code,
                                   column - l->column, "", l->code + l->column);
        }
    }
}

/* Characters, not bytes. */
static int width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static bool has_both(const Line *l)
{
    return *l->code && *l->comment;
}

static int code_end(const Line *l)
{
    return l->indent + width(l->code);
}

/* Comments behind code line up over neighbouring lines that have one. */
static void align_comments(Formatter *f)
{
    for (size_t i = 0, end; i < f->n_lines; i = end) {
        int column = code_end(&f->line[i]);
        for (end = i + 1; end < f->n_lines && has_both(&f->line[i]) &&
                          has_both(&f->line[end]) && !f->line[end].blank;
             end++)
            if (code_end(&f->line[end]) > column)
                column = code_end(&f->line[end]);
        for (size_t k = i; k < end; k++)
            f->line[k].comment_at = column + 2;
    }
}

static void print_lines(const Formatter *f, FILE *out)
{
    for (size_t i = 0; i < f->n_lines; i++) {
        const Line *l = &f->line[i];
        if (l->blank && i > 0 && !f->line[i - 1].opens && !l->closes)
            fputc('\n', out);
        fprintf(out, "%*s%s", l->indent, "", l->code);
        if (has_both(l))
            fprintf(out, "%*s", l->comment_at - code_end(l), "");
        fprintf(out, "%s\n", l->comment);
    }
}

static bool format(const Source *source, Arena *a, Diag *diag, FILE *out)
{
    Formatter f = {.source = source, .arena = a};
    Token *token;
    parse_file(source, a, diag);
    if (diag->errors || !parse_tokens(source, a, diag, &token, &f.n))
        return false;
    f.token = token;
    make_lines(&f);
    align_kinds(&f);
    align_comments(&f);
    print_lines(&f, out);
    return true;
}

bool frontend_format(const char *path, const FrontendOptions *o, FILE *out)
{
    Arena *a = arena_new();
    FILE *messages = o->messages ? o->messages : stderr;
    Diag diag = {.out = messages, .color = o->color, .arena = a};
    Error e;
    const Source *source = source_read(a, path, &e);
    bool ok = source && format(source, a, &diag, out);
    if (!source)
        fprintf(messages, "%s: error: %s\n", path, e.text);
    arena_free(a);
    return ok;
}
