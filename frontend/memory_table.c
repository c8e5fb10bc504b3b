/* memory_table.c: the peak of a step in words: how much of what, whose line
 * asked for it, and the largest values. */
#include "memory_report.h"
#include "budget.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 10, LINES_MOST = 20 };

void memory_print_classes(const MemoryLive *l, FILE *out)
{
    char text[BYTES_TEXT];
    const int64_t *live = l->live[l->peak_step];
    for (int c = 0; c < MEMORY_CLASSES; c++)
        if (live[c])
            fprintf(out, "  %10s %5.1f %%  %s\n", bytes_text(live[c], text),
                    100.0 * (double)live[c] / (double)l->peak, memory_class[c]);
}

void memory_print_largest(const MemoryLive *l, FILE *out)
{
    const Buffer *largest[LARGEST];
    char text[BYTES_TEXT];
    Arena *a = arena_new();
    uint32_t n = memory_largest(l->g, l->peak_step, largest, LARGEST);
    for (uint32_t i = 0; i < n; i++) {
        const Buffer *b = largest[i];
        fprintf(out, "  %10s  steps %5u to %5u  %-28s %s%s\n",
                bytes_text(buffer_room(l->g, b), text), b->first, b->last,
                buffer_name(l->g, b, a), buffer_line(l->g, b, a),
                buffer_again(l->g, b) ? " (made again)" : "");
    }
    arena_free(a);
}

/* ---- by source line ------------------------------------------------------ */

typedef struct LineUse {
    const char *line;
    int64_t bytes;
    uint32_t values;
} LineUse;

static int by_line(const void *a, const void *b)
{
    const LineUse *x = a, *y = b;
    return strcmp(x->line, y->line);
}

static int by_bytes(const void *a, const void *b)
{
    const LineUse *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->line, y->line);
}

/* What is live at the peak, one entry a line of the model, most bytes first. */
static LineUse *lines_at_peak(const MemoryLive *l, Arena *a, size_t *n_lines)
{
    const MemoryPlan *p = l->g->memory;
    LineUse *use = arena_array(a, (size_t)p->n_buffers + 1, sizeof *use);
    size_t n = 0, merged = 0;
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const Buffer *b = &p->buffer[i];
        if (b->first <= l->peak_step && b->last >= l->peak_step)
            use[n++] =
                (LineUse){buffer_line(l->g, b, a), buffer_room(l->g, b), 1};
    }
    qsort(use, n, sizeof *use, by_line);
    for (size_t i = 0; i < n; i++)
        if (merged && !strcmp(use[merged - 1].line, use[i].line)) {
            use[merged - 1].bytes += use[i].bytes;
            use[merged - 1].values++;
        } else {
            use[merged++] = use[i];
        }
    qsort(use, merged, sizeof *use, by_bytes);
    *n_lines = merged;
    return use;
}

static void print_lines(const MemoryLive *l, FILE *out)
{
    Arena *a = arena_new();
    char text[BYTES_TEXT];
    size_t n;
    const LineUse *use = lines_at_peak(l, a, &n);
    for (size_t i = 0; i < n && i < LINES_MOST; i++)
        fprintf(out, "  %10s  %5u %-7s %s\n", bytes_text(use[i].bytes, text),
                use[i].values, use[i].values == 1 ? "value" : "values",
                *use[i].line ? use[i].line : "(no line of the model)");
    if (n > LINES_MOST)
        fprintf(out, "  and %zu lines more\n", n - LINES_MOST);
    arena_free(a);
}

/* ---- all of it ----------------------------------------------------------- */

void memory_print_table(const MemoryLive *l, const Target *t, FILE *out)
{
    const Graph *g = l->g;
    char a[BYTES_TEXT], b[BYTES_TEXT], c[BYTES_TEXT], d[BYTES_TEXT];
    int64_t arena = g->memory->arena_bytes;
    fprintf(out, "%s, graph %s: %u steps, batch %.0f\n\n", g->module->name,
            g->name, l->n_steps,
            settings_number(&g->module->settings, "batch"));
    int64_t need = budget_need(t, g->module);
    fprintf(out,
            "a run needs %s (%lld bytes): arena, scratch of %lld threads, "
            "program\n",
            bytes_text(need, a), (long long)need,
            (long long)target_threads(g->module));
    fprintf(out,
            "arena %s (%lld bytes), most live %s (%.1f %% lost to placement), "
            "scratch %s a thread, program and tables %s\n\n",
            bytes_text(arena, a), (long long)arena, bytes_text(l->peak, b),
            arena ? 100.0 * (double)(arena - l->peak) / (double)arena : 0,
            bytes_text(t->scratch(t, g->module), c),
            bytes_text(target_program(t, g->module), d));
    fprintf(out, "live at the peak, step %u\n", l->peak_step);
    memory_print_classes(l, out);
    fprintf(out, "\nby source line\n");
    print_lines(l, out);
    fprintf(out, "\nthe largest\n");
    memory_print_largest(l, out);
}
