/* command_schedule.c: `tgc dump --schedule`: the learning rate over the
 * epochs, computed by the code that the training runs (runtime/schedule.c).
 *
 *      0.1 |********
 *          |        ****
 *     0.05 |            *****
 *          |                 *********
 *        0 +--------------------------
 *          0          epochs        200
 */
#include "commands.h"
#include "schedule.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS = 86, /* of the curve; 100 with the axis */
    ROWS = 16,
    LINES = 12,    /* of the table, at most about so many */
    MANY = 100000, /* epochs are not looked at one by one */
    POINTS = 1200,
    WIDTH = 1000,
    HEIGHT = 400,
    LEFT = 90,
    TOP = 40,
    PLOT_W = 880,
    PLOT_H = 300
};

/* ---- what the training would see ----------------------------------------- */

static Config config_of(const Module *m, Arena *a)
{
    const Settings *s = &m->settings;
    Config c = {arena_array(a, s->n + 1, sizeof *c.item), 0};
    for (size_t i = 0; i < s->n; i++)
        c.item[c.n++] =
            (ConfigItem){.key = s->item[i].key,
                         .text = setting_value_text(&s->item[i].value, a)};
    return c;
}

static bool schedule_of(const Module *m, const Config *c, Schedule *x)
{
    Status s = {0};
    if (!schedule_open(x, c, &s)) {
        fprintf(stderr, "tgc: error: %s\n", s.text);
        return false;
    }
    int64_t samples = settings_samples(&m->settings);
    int64_t batch = (int64_t)settings_number(&m->settings, "batch");
    bool keep = !strcmp(settings_text(&m->settings, "tail"), "keep");
    x->batches = keep ? (samples + batch - 1) / batch : samples / batch;
    if (x->epochs >= 1)
        return true;
    fprintf(stderr, "tgc: error: there is nothing to show: epochs = 0\n");
    return false;
}

/* The rate at share t of the training, 0 <= t <= 1. */
static double rate_at(const Schedule *x, double t)
{
    double done = t * (double)x->epochs, epoch = floor(done);
    return schedule_lr(x, (int64_t)epoch, done - epoch);
}

static double highest(const Schedule *x)
{
    double most = 0;
    for (int i = 0; i <= POINTS; i++)
        most = fmax(most, rate_at(x, (double)i / POINTS));
    return most > 0 ? most : 1;
}

/* ---- as text ------------------------------------------------------------- */

static bool changes(const Schedule *x, int64_t epoch)
{
    if (epoch == 0 || epoch == x->epochs - 1)
        return true;
    for (int i = 0; i < x->n_at; i++)
        if (epoch == (int64_t)ceil(x->at[i]))
            return true;
    return epoch == (int64_t)ceil(x->warmup_epochs);
}

static void print_table(const Schedule *x, FILE *out)
{
    int64_t every = x->epochs / LINES + 1;
    fprintf(out, "%8s  %12s  %12s%s\n", "epoch", "first step", "last step",
            x->cycle_momentum ? "      momentum" : "");
    for (int64_t e = 0; e<x->epochs; e += x->epochs> MANY ? every : 1) {
        double last = x->batches ? 1 - 1 / (double)x->batches : 0.999999;
        if (e % every && !changes(x, e))
            continue;
        fprintf(out, "%8" PRId64 "  %12.6g  %12.6g", e + 1,
                schedule_lr(x, e, 0), schedule_lr(x, e, last));
        if (x->cycle_momentum)
            fprintf(out, "  %12.6g", schedule_momentum(x, e, 0));
        fputc('\n', out);
    }
}

/* A column shows the first rate in it. */
static void print_curve(const Schedule *x, double most, FILE *out)
{
    int row[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        double y = rate_at(x, (double)i / COLUMNS) / most;
        row[i] = (int)lround(y * (ROWS - 1));
    }
    for (int r = ROWS - 1; r >= 0; r--) {
        char line[COLUMNS + 1] = {0};
        for (int i = 0; i < COLUMNS; i++)
            line[i] = row[i] == r ? '*' : r ? ' ' : '-';
        for (int i = COLUMNS - 1; i >= 0 && line[i] == ' '; i--)
            line[i] = 0;
        if (r % 5 == 0)
            fprintf(out, "%10.4g %c%s\n", most * r / (ROWS - 1), r ? '|' : '+',
                    line);
        else
            fprintf(out, "%10s |%s\n", "", line);
    }
    fprintf(out, "%11s0%*s%" PRId64 " epochs\n", "", COLUMNS - 12, "",
            x->epochs);
}

static void print_text(const Schedule *x, const Config *c, FILE *out)
{
    const char *kind = config_text(c, "schedule");
    char text[512];
    fprintf(out, "%s, %" PRId64 " epochs", kind ? kind : "constant", x->epochs);
    if (x->batches)
        fprintf(out, " of %" PRId64 " steps", x->batches);
    fprintf(out, ", learning rate %.6g\n\n", x->lr);
    print_table(x, out);
    fputc('\n', out);
    print_curve(x, highest(x), out);
    if (schedule_warning(x, c, text, sizeof text))
        fprintf(out, "\nwarning: %s\n", text);
}

/* ---- as a picture -------------------------------------------------------- */

static void print_axes(const Schedule *x, double most, FILE *out)
{
    for (int i = 0; i <= 4; i++) {
        double y = TOP + PLOT_H * (1 - i / 4.0), at = LEFT + PLOT_W * i / 4.0;
        fprintf(
            out,
            "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" "
            "stroke=\"#ddd\"/>\n"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n"
            "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n",
            LEFT, y, LEFT + PLOT_W, y, LEFT - 8, y + 4, most * i / 4, at,
            TOP + PLOT_H + 20, (double)x->epochs * i / 4);
    }
    fprintf(out,
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">epochs</text>\n",
            LEFT + PLOT_W / 2, TOP + PLOT_H + 40);
}

static void print_picture(const Module *m, const Schedule *x, FILE *out)
{
    double most = highest(x);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
            "height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<text x=\"%d\" y=\"24\" font-size=\"15\">%s: learning rate, %s"
            "</text>\n",
            WIDTH, HEIGHT, LEFT, m->name,
            settings_text(&m->settings, "schedule"));
    print_axes(x, most, out);
    fputs("<polyline fill=\"none\" stroke=\"#4e79a7\" stroke-width=\"2\" "
          "points=\"",
          out);
    for (int i = 0; i <= POINTS; i++) {
        double t = (double)i / POINTS;
        /* At the very end a cosine that restarts is back at its start. */
        double y = rate_at(x, i < POINTS ? t : 1 - 1e-9) / most;
        fprintf(out, "%s%.1f,%.1f", i ? " " : "", LEFT + PLOT_W * t,
                TOP + PLOT_H * (1 - y));
    }
    fputs("\"/>\n</svg>\n", out);
}

bool print_schedule(const Module *m, bool picture, FILE *out)
{
    Arena *a = arena_new();
    Config c = config_of(m, a);
    Schedule x;
    bool ok = schedule_of(m, &c, &x);
    if (ok && picture)
        print_picture(m, &x, out);
    else if (ok)
        print_text(&x, &c, out);
    arena_free(a);
    return ok;
}
