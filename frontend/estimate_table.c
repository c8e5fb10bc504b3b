/* estimate_table.c: see estimate_table.h. */
#include "estimate_table.h"
#include "memory_report.h"
#include <math.h>
#include <string.h>

int64_t estimate_batches(const Module *m)
{
    const Settings *s = &m->settings;
    int64_t samples = settings_samples(s);
    int64_t batch = (int64_t)settings_number(s, "batch");
    bool keep = !strcmp(settings_text(s, "tail"), "keep");
    return (samples + (keep ? batch - 1 : 0)) / batch;
}

/* Three digits that count: a small net's step takes microseconds. */
static void print_number(double v, int width, FILE *out)
{
    int decimals = v > 0 ? 2 - (int)floor(log10(v)) : 2;
    decimals = decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
    fprintf(out, " %*.*f", width, decimals, v);
}

static void print_times(const EstimateRow *r, FILE *out)
{
    print_number(1e3 * r->seconds, 9, out);
    if (!r->batches) {
        fprintf(out, " %9s %9s", "?", "?");
        return;
    }
    double epoch = r->seconds * (double)r->batches;
    print_number(epoch / 60, 9, out);
    print_number(epoch * r->epochs / 3600, 9, out);
}

static void print_row(const EstimateRow *r, int width, FILE *out)
{
    char text[BYTES_TEXT];
    fprintf(out, "%-*s %6lld", width, r->model, (long long)r->batch);
    print_times(r, out);
    fprintf(out, " %10s  %-4s%s%s\n", bytes_text(r->need, text),
            r->fits ? "yes" : "no", *r->what ? "  " : "", r->what);
}

void estimate_print(const EstimateRow *row, int n, FILE *out)
{
    int width = 5;
    for (int i = 0; i < n; i++)
        if (row[i].model && (int)strlen(row[i].model) > width)
            width = (int)strlen(row[i].model);
    fprintf(out, "%-*s %6s %9s %9s %9s %10s  %-4s  %s\n", width, "model",
            "batch", "ms/batch", "min/epoch", "hours", "memory", "fits",
            "what to do");
    for (int i = 0; i < n; i++)
        if (row[i].model)
            print_row(&row[i], width, out);
}
