/* template.c: expressions of descriptors as C.
 *
 * Words are what is replaced; everything else goes through as it is.  A number
 * with a point or an exponent becomes float where the op computes in float,
 * or the whole expression would be computed in double. */
#include "template.h"
#include "op.h"
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool word_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static size_t word_length(const char *s)
{
    size_t n = 0;
    while (word_start(s[n]) || (n && isdigit((unsigned char)s[n])))
        n++;
    return n;
}

static bool word_is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && !strncmp(s, word, n);
}

bool template_uses(const char *text, const char *name)
{
    for (const char *s = text; (s = strchr(s, '@')); s++)
        if (word_is(s + 1, word_length(s + 1), name))
            return true;
    return false;
}

static bool computes_in_float(DType t)
{
    return t == DT_F16 || t == DT_BF16 || t == DT_F32;
}

static DType number_type(const Template *t)
{
    return dtype_is_float(t->dtype) ? t->dtype : t->operand;
}

void template_number(double value, DType dtype, FILE *out)
{
    const char *suffix = computes_in_float(dtype) ? "f" : "";
    if (dtype == DT_I64)
        fprintf(out, "INT64_C(%" PRId64 ")", (int64_t)value);
    else if (!dtype_is_float(dtype))
        fprintf(out, value < 0 ? "(%" PRId64 ")" : "%" PRId64, (int64_t)value);
    else if (isnan(value))
        fprintf(out, "__builtin_nan%s(\"\")", suffix);
    else if (isinf(value))
        fprintf(out, value < 0 ? "(-__builtin_inf%s())" : "__builtin_inf%s()",
                suffix);
    else {
        char text[40];
        int digits = computes_in_float(dtype) ? 9 : 17;
        snprintf(text, sizeof text, "%.*g", digits, value);
        bool whole = !strpbrk(text, ".e");
        bool negative = text[0] == '-';
        fprintf(out, "%s%s%s%s%s", negative ? "(" : "", text, whole ? ".0" : "",
                suffix, negative ? ")" : "");
    }
}

static const Attr *find_attr(const Node *n, const char *s, size_t length)
{
    for (int i = 0; n->op->attrs && n->op->attrs[i].name; i++)
        if (word_is(s, length, n->attr[i].name))
            return &n->attr[i];
    return NULL;
}

static void print_attr(const Template *t, const Attr *a, FILE *out)
{
    if (a->kind == ATTR_FLOAT)
        template_number(a->f, number_type(t), out);
    else
        fprintf(out, "%" PRId64, a->i);
}

/* The least or the greatest value of T. */
static void print_limit(DType t, bool lowest, FILE *out)
{
    if (dtype_is_float(t))
        template_number(lowest ? -INFINITY : INFINITY, t, out);
    else if (t == DT_I64)
        fputs(lowest ? "INT64_MIN" : "INT64_MAX", out);
    else if (t == DT_I32)
        fputs(lowest ? "INT32_MIN" : "INT32_MAX", out);
    else
        fputs(lowest ? "0" : t == DT_U8 ? "255" : "1", out);
}

/* What follows an @; returns its length. */
static size_t print_at(const Template *t, const char *s, FILE *out)
{
    size_t n = word_length(s);
    const Attr *a = find_attr(t->node, s, n);
    if (s[n] == '(' && !a)
        fprintf(out, "%s%.*s%s", t->function, (int)n, s,
                computes_in_float(number_type(t)) ? "f" : "");
    else if (word_is(s, n, "lowest") || word_is(s, n, "highest"))
        print_limit(t->dtype, *s == 'l', out);
    else if (word_is(s, n, "i"))
        fputs(t->i, out);
    else if (word_is(s, n, "at"))
        fputs(t->at, out);
    else if (a)
        print_attr(t, a, out);
    return n;
}

static size_t print_word(const Template *t, const char *s, FILE *out)
{
    size_t n = word_length(s);
    int operand = s[0] == 'x' && n > 1 ? atoi(s + 1) : -1;
    if (operand >= 0 && operand < t->n_x && isdigit((unsigned char)s[1]))
        fputs(t->x[operand], out);
    else if (word_is(s, n, "T"))
        fputs(t->type_name, out);
    else if (t->a && word_is(s, n, "a"))
        fputs(t->a, out);
    else
        fprintf(out, "%.*s", (int)n, s);
    return n;
}

static size_t print_digits(const Template *t, const char *s, FILE *out)
{
    char *end;
    strtod(s, &end);
    size_t n = (size_t)(end - s);
    bool real = memchr(s, '.', n) || (memchr(s, 'e', n) && s[1] != 'x');
    fprintf(out, "%.*s", (int)n, s);
    if (real && computes_in_float(number_type(t)) && *end != 'f')
        fputc('f', out);
    while (isalnum((unsigned char)s[n])) /* suffixes: 1u, 0x10ull */
        fputc(s[n++], out);
    return n;
}

void template_print(const Template *t, const char *text, FILE *out)
{
    for (const char *s = text; *s;) {
        if (*s == '@')
            s += 1 + print_at(t, s + 1, out);
        else if (word_start(*s))
            s += print_word(t, s, out);
        else if (isdigit((unsigned char)*s) ||
                 (*s == '.' && isdigit((unsigned char)s[1])))
            s += print_digits(t, s, out);
        else
            fputc(*s++, out);
    }
}
