/* scan.c: words, numbers, strings, types and attribute values out of text. */
#include "scan.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_LENGTH = 64 };

Scan scan_text(const char *text, Error *e)
{
    return (Scan){text, text + strlen(text), 1, NULL, e};
}

bool scan_fail(Scan *s, const char *format, ...)
{
    Error *e = s->error;
    if (e->text[0])
        return false;
    int n = 0;
    if (s->file)
        n = snprintf(e->text, sizeof e->text, "%.200s: line %d: ", s->file,
                     s->line);
    va_list args;
    va_start(args, format);
    vsnprintf(e->text + n, sizeof e->text - (size_t)n, format, args);
    va_end(args);
    return false;
}

void scan_space(Scan *s)
{
    for (; s->at < s->end; s->at++) {
        if (*s->at == '#')
            while (s->at + 1 < s->end && s->at[1] != '\n')
                s->at++;
        else if (*s->at == '\n')
            s->line++;
        else if (*s->at != ' ' && *s->at != '\t' && *s->at != '\r')
            return;
    }
}

int scan_peek(const Scan *s)
{
    Scan ahead = *s;
    scan_space(&ahead);
    return ahead.at < ahead.end ? (unsigned char)*ahead.at : -1;
}

bool scan_take(Scan *s, char c)
{
    Scan before = *s;
    scan_space(s);
    if (s->at < s->end && *s->at == c) {
        s->at++;
        return true;
    }
    *s = before;
    return false;
}

/* What stands here, for messages. */
static const char *found(Scan *s, char buf[16])
{
    int c = scan_peek(s);
    if (c < 0)
        return "the end of the text";
    snprintf(buf, 16, isprint(c) ? "'%c'" : "byte 0x%02x", c);
    return buf;
}

bool scan_expect(Scan *s, char c)
{
    char buf[16];
    if (scan_take(s, c))
        return true;
    scan_space(s);
    return scan_fail(s, "expected '%c', found %s", c, found(s, buf));
}

bool scan_word(Scan *s, const char *also, char *buf, size_t size)
{
    size_t n = 0;
    scan_space(s);
    for (; s->at < s->end; s->at++) {
        char c = *s->at;
        if (!isalnum((unsigned char)c) && c != '_' && (!c || !strchr(also, c)))
            break;
        if (n + 1 >= size)
            return scan_fail(s, "a word of more than %zu letters", size - 1);
        buf[n++] = c;
    }
    buf[n] = 0;
    char what[16];
    return n || scan_fail(s, "expected a word, found %s", found(s, what));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character behind a backslash at s->at; -1: none such. */
static int scan_escape(Scan *s)
{
    char c = *s->at;
    if (c == '"' || c == '\\')
        return c;
    if (c == 'n')
        return '\n';
    if (c != 'x' || s->end - s->at < 3)
        return -1;
    int high = hex_digit(s->at[1]), low = hex_digit(s->at[2]);
    s->at += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool scan_quoted(Scan *s, Arena *a, const char **text)
{
    if (!scan_expect(s, '"'))
        return false;
    const char *close = s->at;
    while (close < s->end && *close != '"' && *close != '\n')
        close += *close == '\\' && close + 1 < s->end ? 2 : 1;
    char *out = arena_alloc(a, (size_t)(close - s->at) + 1);
    *text = out;
    for (; s->at < s->end && *s->at != '\n'; s->at++) {
        if (*s->at == '"') {
            s->at++;
            return true;
        }
        int c = (unsigned char)*s->at;
        if (c == '\\' && (++s->at == s->end || (c = scan_escape(s)) < 0))
            return scan_fail(s, "a string with an unknown escape");
        if (!c)
            return scan_fail(s, "a string with a zero byte");
        *out++ = (char)c;
    }
    return scan_fail(s, "a string that does not end on its line");
}

static bool is_name_letter(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_.-/+", c));
}

bool name_is_bare(const char *name)
{
    size_t n = 0;
    while (is_name_letter(name[n]))
        n++;
    return n && !name[n];
}

bool scan_name(Scan *s, Arena *a, const char **text)
{
    char what[16];
    scan_space(s);
    if (scan_peek(s) == '"')
        return scan_quoted(s, a, text);
    const char *start = s->at;
    while (s->at < s->end && is_name_letter(*s->at))
        s->at++;
    *text = arena_strndup(a, start, (size_t)(s->at - start));
    return s->at > start ||
           scan_fail(s, "expected a name, found %s", found(s, what));
}

/* The longest run of characters that a number can have. */
static bool number_text(Scan *s, char buf[NUMBER_LENGTH])
{
    char *p = buf, what[16];
    scan_space(s);
    for (; s->at < s->end; s->at++) {
        if (!isalnum((unsigned char)*s->at) && !strchr("+-.", *s->at))
            break;
        if (!*s->at || p == buf + NUMBER_LENGTH - 1)
            return scan_fail(s, "a number that is too long");
        *p++ = *s->at;
    }
    *p = 0;
    return p > buf ||
           scan_fail(s, "expected a number, found %s", found(s, what));
}

bool scan_int(Scan *s, int64_t *v)
{
    char buf[NUMBER_LENGTH], *end;
    if (!number_text(s, buf))
        return false;
    errno = 0;
    *v = strtoll(buf, &end, 10);
    if (errno)
        return scan_fail(s, "%s does not fit 64 bits", buf);
    return !*end || scan_fail(s, "%s is not an integer", buf);
}

bool scan_number(Scan *s, double *v)
{
    char buf[NUMBER_LENGTH], *end;
    if (!number_text(s, buf))
        return false;
    *v = strtod(buf, &end);
    return !*end || scan_fail(s, "%s is not a number", buf);
}

void number_print(double v, char buf[NUMBER_TEXT])
{
    if (isnan(v)) { /* without its sign */
        strcpy(buf, "nan");
        return;
    }
    snprintf(buf, NUMBER_TEXT, "%.9g", v);
    if (strtod(buf, NULL) != v)
        snprintf(buf, NUMBER_TEXT, "%.17g", v);
}

int scan_ints(Scan *s, int64_t *v, int most)
{
    int n = 0;
    if (!scan_expect(s, '['))
        return -1;
    if (scan_take(s, ']'))
        return 0;
    do {
        if (n == most) {
            scan_fail(s, "a list of more than %d numbers", most);
            return -1;
        }
        if (!scan_int(s, &v[n++]))
            return -1;
    } while (scan_take(s, ','));
    return scan_expect(s, ']') ? n : -1;
}

/* "{0,2,3,1}" */
static bool scan_layout(Scan *s, Type *t)
{
    int order[MAX_RANK];
    unsigned seen = 0;
    if (!scan_expect(s, '{'))
        return false;
    for (int place = 0; place < t->rank; place++) {
        int64_t d;
        if ((place && !scan_expect(s, ',')) || !scan_int(s, &d))
            return false;
        if (d < 0 || d >= t->rank || seen & 1u << d)
            return scan_fail(s, "a layout names every dimension once");
        seen |= 1u << d;
        order[place] = (int)d;
    }
    t->layout = layout_make(t->rank, order);
    return scan_expect(s, '}');
}

bool scan_type(Scan *s, Type *t)
{
    char name[16];
    if (!scan_word(s, "", name, sizeof name))
        return false;
    DType dtype = dtype_named(name);
    if (dtype == DT_NONE)
        return scan_fail(s, "%s is not an element type", name);
    int64_t dim[MAX_RANK];
    int rank = scan_ints(s, dim, MAX_RANK);
    if (rank < 0)
        return false;
    *t = type_make(dtype, rank, dim);
    if (!type_fits(t))
        return scan_fail(s, "a shape with a dimension below 1 or more than "
                            "2^62 bytes");
    return scan_peek(s) != '{' || scan_layout(s, t);
}

static bool scan_bool(Scan *s, int64_t *v)
{
    char word[8];
    if (!scan_word(s, "", word, sizeof word))
        return false;
    *v = !strcmp(word, "true");
    return *v || !strcmp(word, "false") ||
           scan_fail(s, "expected true or false, found %s", word);
}

static bool scan_dtype(Scan *s, int64_t *v)
{
    char word[8];
    if (!scan_word(s, "", word, sizeof word))
        return false;
    *v = dtype_named(word);
    return *v || scan_fail(s, "%s is not an element type", word);
}

bool scan_attr_value(Scan *s, Arena *arena, Attr *a)
{
    int64_t list[2 * MAX_RANK];
    switch (a->kind) {
    case ATTR_INT:
        return scan_int(s, &a->i);
    case ATTR_FLOAT:
        return scan_number(s, &a->f);
    case ATTR_BOOL:
        return scan_bool(s, &a->i);
    case ATTR_STRING:
        return scan_quoted(s, arena, &a->s);
    case ATTR_DTYPE:
        return scan_dtype(s, &a->i);
    case ATTR_INTS:
        a->ints.n = scan_ints(s, list, 2 * MAX_RANK);
        if (a->ints.n < 0)
            return false;
        a->ints.v = arena_copy(arena, list, (size_t)a->ints.n * sizeof *list);
        return true;
    }
    return scan_fail(s, "an attribute of an unknown kind");
}
