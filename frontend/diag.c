/* diag.c: messages with the source line, a caret, and the chain of calls. */
#include "diag.h"
#include <stdarg.h>
#include <string.h>

enum { LINE_SHOWN = 160, FRAMES_SHOWN = 8 };

static const char *paint(const Diag *d, const char *code)
{
    return d->color ? code : "";
}

bool diag_full(const Diag *d)
{
    return d->errors >= DIAG_MOST;
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80; /* inside a UTF-8 sequence */
}

/* Text as it may go to a terminal: no control characters, no broken UTF-8. */
static void print_text(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t n = source_utf8_length(text + i, size - i);
        unsigned char c = (unsigned char)text[i];
        bool fine = n > 0 && (c == '\t' || (c >= ' ' && c != 127));
        if (fine)
            fwrite(text + i, 1, n, out);
        else if (!continues(text[i]))
            fputc('?', out);
        i += fine ? n : 1;
    }
}

/* The piece of a line to show: a very long line is cut around the column. */
typedef struct Excerpt {
    const char *text;
    size_t size;
    int first; /* column of its first character */
} Excerpt;

static Excerpt excerpt_of(Span at)
{
    Excerpt e = {.first = 1};
    e.text = source_line(at.source, at.line, &e.size);
    int skip = at.column > LINE_SHOWN / 2 && e.size > LINE_SHOWN
                   ? at.column - LINE_SHOWN / 2
                   : 0;
    for (; e.first <= skip && e.size; e.first++)
        do {
            e.text++;
            e.size--;
        } while (e.size && continues(*e.text));
    if (e.size > LINE_SHOWN)
        for (e.size = LINE_SHOWN; continues(e.text[e.size]) && e.size;)
            e.size--;
    return e;
}

/* ^~~~ under columns column .. end - 1, with the tabs of the line above. */
static void print_marker(const Diag *d, Excerpt e, Span at)
{
    int end = at.end_line == at.line ? at.end_column : INT32_MAX;
    int column = e.first;
    fprintf(d->out, "      | ");
    for (size_t i = 0; i < e.size && column < at.column; i++)
        if (!continues(e.text[i])) {
            fputc(e.text[i] == '\t' ? '\t' : ' ', d->out);
            column++;
        }
    size_t left = 0; /* characters from the caret to the end of the line */
    const char *stop = e.text + e.size;
    int c = e.first - 1;
    for (const char *p = e.text; p < stop; p++)
        left += !continues(*p) && ++c >= at.column;
    fprintf(d->out, "%s^", paint(d, "\033[1;32m"));
    for (size_t i = 1; i < left && column + (int)i < end; i++)
        fputc('~', d->out);
    fprintf(d->out, "%s\n", paint(d, "\033[0m"));
}

static void print_source(const Diag *d, Span at)
{
    if (!at.source || at.line < 1)
        return;
    Excerpt e = excerpt_of(at);
    fprintf(d->out, "%5d | ", at.line);
    print_text(d->out, e.text, e.size);
    fputc('\n', d->out);
    print_marker(d, e, at);
}

static void print_place(const Diag *d, Span at)
{
    if (!at.source)
        fprintf(d->out, "tgc: ");
    else if (at.line < 1)
        fprintf(d->out, "%s: ", at.source->path);
    else
        fprintf(d->out, "%s:%d:%d: ", at.source->path, at.line, at.column);
}

static void print_frames(const Diag *d)
{
    int shown_so_far = 0, left_out = 0;
    for (const Frame *f = d->frame; f; f = f->up) {
        if (shown_so_far == FRAMES_SHOWN) {
            left_out++;
            continue;
        }
        shown_so_far++;
        fprintf(d->out, "  in %s, called from %s:%d:%d\n", f->block,
                f->call.source ? f->call.source->path : "?", f->call.line,
                f->call.column);
    }
    if (left_out)
        fprintf(d->out, "  and %d more calls\n", left_out);
}

/* In a loop the same place fails again and again. */
static bool first_here(Diag *d, Span at)
{
    for (size_t i = 0; at.line && i < d->n_seen; i++)
        if (span_same(d->seen[i], at))
            return false;
    ARENA_PUSH(d->arena, d->seen, d->n_seen, d->cap_seen, at);
    return true;
}

bool diag_error(Diag *d, Span at, const char *format, ...)
{
    if (diag_full(d) || !first_here(d, at))
        return false;
    d->errors++;
    fprintf(d->out, "%s", paint(d, "\033[1m"));
    print_place(d, at);
    fprintf(d->out, "%serror:%s%s ", paint(d, "\033[31m"), paint(d, "\033[0m"),
            paint(d, "\033[1m"));
    va_list args;
    va_start(args, format);
    vfprintf(d->out, format, args);
    va_end(args);
    fprintf(d->out, "%s\n", paint(d, "\033[0m"));
    print_source(d, at);
    print_frames(d);
    return true;
}

void diag_hint(Diag *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("  ", d->out);
    vfprintf(d->out, format, args);
    fputc('\n', d->out);
    va_end(args);
}

void diag_did_you_mean(Diag *d, const Nearest *n)
{
    if (nearest_name(n))
        diag_hint(d, "did you mean %s?", nearest_name(n));
}

void diag_also(Diag *d, Span at, const char *text)
{
    fputs("  ", d->out);
    print_place(d, at);
    fprintf(d->out, "%s\n", text);
    print_source(d, at);
}
