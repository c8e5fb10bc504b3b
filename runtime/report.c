/* report.c: see report.h. */
#include "report.h"
#include "advice.h"
#include "format.h"
#include "memory_class.h"
#include "report_style.h"
#include "rundir.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Page {
    const ReportInput *in;
    const History *h;
    AdviceFacts facts;
    const Advice *advice;
} Page;

void html_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            putc(*text, out);
        }
}

/* ---- the head ------------------------------------------------------------ */

static void card(FILE *out, const char *value, const char *what)
{
    fputs("<div class=card><b>", out);
    html_text(out, value);
    fprintf(out, "</b><span>%s</span></div>\n", what);
}

static double images_per_second(const History *h)
{
    double images = 0, seconds = 0;
    for (size_t i = 0; i < h->n_epochs; i++) {
        const double *v = h->epoch[i].value;
        double each = v[HISTORY_DATA_SECONDS] + v[HISTORY_STEP_SECONDS];
        if (!isfinite(each) || !isfinite(v[HISTORY_IMAGES]))
            continue;
        images += v[HISTORY_IMAGES];
        seconds += each;
    }
    return seconds > 0 ? images / seconds : NAN;
}

static int64_t best_epoch(const History *h)
{
    int64_t best = 0;
    double most = -1;
    for (size_t i = 0; i < h->n_epochs; i++)
        if (h->epoch[i].value[HISTORY_TEST_ACCURACY] > most) {
            most = h->epoch[i].value[HISTORY_TEST_ACCURACY];
            best = (int64_t)h->epoch[i].value[HISTORY_EPOCH];
        }
    return best;
}

static void print_cards(FILE *out, const Page *p)
{
    char text[64], what[96];
    const char *things = history_things(p->h);
    const AdviceFacts *f = &p->facts;
    fputs("<div class=cards>\n", out);
    if (isfinite(f->best_accuracy)) {
        snprintf(text, sizeof text, "%.2f %%", 100 * f->best_accuracy);
        snprintf(what, sizeof what, "best %s accuracy, after epoch %lld",
                 history_images(p->h), (long long)best_epoch(p->h));
        card(out, text, what);
    }
    snprintf(text, sizeof text, "%d", f->epochs);
    snprintf(what, sizeof what, "epochs, %lld steps", (long long)p->h->steps);
    card(out, text, what);
    card(out, format_duration(f->seconds, text, sizeof text),
         "in all, evaluation included");
    if (isfinite(images_per_second(p->h))) {
        format_count(llround(images_per_second(p->h)), text, sizeof text);
        snprintf(what, sizeof what, "training %.40s a second", things);
        card(out, text, what);
    }
    format_count(p->in->plan->parameters, text, sizeof text);
    card(out, text, "parameters");
    if (isfinite(f->planned) && f->planned > 0)
        card(out, format_bytes(f->planned, text, sizeof text), "of memory");
    fputs("</div>\n", out);
}

static void print_advice(FILE *out, const Page *p)
{
    if (!p->advice->n)
        return;
    fputs("<div class=advice>\n", out);
    for (int i = 0; i < p->advice->n; i++) {
        fputs("<p>", out);
        html_text(out, p->advice->text[i]);
        fputs("</p>\n", out);
    }
    fputs("</div>\n", out);
}

/* ---- curves -------------------------------------------------------------- */

static ChartPoint *column(const History *h, HistoryColumn which)
{
    ChartPoint *p = calloc(h->n_epochs + 1, sizeof *p);
    for (size_t i = 0; p && i < h->n_epochs; i++)
        p[i] = (ChartPoint){h->epoch[i].value[HISTORY_EPOCH],
                            h->epoch[i].value[which]};
    return p;
}

static ChartPoint *steps(const History *h, bool lr)
{
    ChartPoint *p = calloc(h->n_points + 1, sizeof *p);
    for (size_t i = 0; p && i < h->n_points; i++)
        p[i] = (ChartPoint){h->point[i].epoch,
                            lr ? h->point[i].lr : h->point[i].loss};
    return p;
}

static void print_charts(FILE *out, const History *h)
{
    const char *images = history_images(h);
    ChartPoint *loss = column(h, HISTORY_LOSS);
    ChartPoint *test_loss = column(h, HISTORY_TEST_LOSS);
    ChartPoint *right = column(h, HISTORY_ACCURACY);
    ChartPoint *test_right = column(h, HISTORY_TEST_ACCURACY);
    ChartPoint *step = steps(h, false), *lr = steps(h, true);
    if (loss && test_loss && right && test_right && step && lr) {
        const ChartLine losses[] = {{"steps", "c", step, h->n_points},
                                    {"training", "a", loss, h->n_epochs},
                                    {images, "b", test_loss, h->n_epochs}};
        const ChartLine rights[] = {{"training", "a", right, h->n_epochs},
                                    {images, "b", test_right, h->n_epochs}};
        const ChartLine rates[] = {{NULL, "a", lr, h->n_points}};
        fputs("<h2>Curves</h2><div class=two>\n", out);
        chart_print(out, "Loss", losses, 3, false);
        chart_print(out, "Accuracy", rights, 2, true);
        chart_print(out, "Learning rate", rates, 1, false);
        fputs("</div>\n", out);
    }
    free(loss);
    free(test_loss);
    free(right);
    free(test_right);
    free(step);
    free(lr);
}

/* ---- time and memory ----------------------------------------------------- */

typedef struct Part {
    const char *name;
    double value;
} Part;

/* A bar cut in parts, and what they are. */
static void print_split(FILE *out, const Part *part, int n, bool bytes)
{
    double all = 0;
    char text[32];
    for (int i = 0; i < n; i++)
        all += part[i].value;
    if (all <= 0)
        return;
    fputs("<div class=split>", out);
    for (int i = 0; i < n; i++)
        fprintf(out, "<div class=p%d style=\"width:%.2f%%\"></div>", i,
                100 * part[i].value / all);
    fputs("</div><table>\n", out);
    for (int i = 0; i < n; i++)
        fprintf(out,
                "<tr><th><span class=\"swatch p%d\"></span>%s</th>"
                "<td class=number>%s</td><td class=number>%.1f %%</td></tr>\n",
                i, part[i].name,
                bytes ? format_bytes(part[i].value, text, sizeof text)
                      : format_duration(part[i].value, text, sizeof text),
                100 * part[i].value / all);
    fputs("</table>\n", out);
}

static double sum_of(const History *h, HistoryColumn which)
{
    double sum = 0;
    for (size_t i = 0; i < h->n_epochs; i++)
        if (isfinite(h->epoch[i].value[which]))
            sum += h->epoch[i].value[which];
    return sum;
}

static void print_time(FILE *out, const History *h)
{
    double data = sum_of(h, HISTORY_DATA_SECONDS);
    double step = sum_of(h, HISTORY_STEP_SECONDS);
    double eval = sum_of(h, HISTORY_EVAL_SECONDS);
    double rest = sum_of(h, HISTORY_SECONDS) - data - step - eval;
    const Part part[] = {{"computing training steps", step},
                         {"waiting for data", data},
                         {"evaluating", eval},
                         {"all else", rest > 0 ? rest : 0}};
    fputs("<div><h3>Time</h3>\n", out);
    print_split(out, part, 4, false);
    fputs("</div>\n", out);
}

static void print_memory(FILE *out, const Plan *plan)
{
    int64_t bytes[PLAN_BUFFER_KINDS];
    Part part[PLAN_BUFFER_KINDS];
    const PlanGraph *g = memory_main_graph(plan);
    if (!g)
        return;
    memory_by_class(g, bytes);
    for (int i = 0; i < PLAN_BUFFER_KINDS; i++)
        part[i] = (Part){memory_class_doc[i], (double)bytes[i]};
    fputs("<div><h3>Memory, at the fullest moment of a step</h3>\n", out);
    print_split(out, part, PLAN_BUFFER_KINDS, true);
    fputs("</div>\n", out);
}

/* ---- settings ------------------------------------------------------------ */

static void print_facts(FILE *out, const History *h, const char *section)
{
    fputs("<table>\n", out);
    for (size_t i = 0; i < h->n_facts; i++) {
        const HistoryFact *f = &h->fact[i];
        if (strcmp(f->section, section) || !*f->value)
            continue;
        fputs("<tr><th>", out);
        html_text(out, f->key);
        fputs("</th><td>", out);
        html_text(out, f->value);
        if (!strcmp(section, "settings")) {
            fputs("</td><td class=faint>", out);
            html_text(out, history_fact(h, "origin", f->key));
        }
        fputs("</td></tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void print_settings(FILE *out, const History *h)
{
    fputs("<h2>Settings</h2><div class=settings>\n", out);
    print_facts(out, h, "settings");
    fputs("</div>\n<h2>Run and machine</h2><div class=two><div>\n", out);
    print_facts(out, h, "run");
    fputs("</div><div>\n", out);
    print_facts(out, h, "machine");
    fputs("</div></div>\n", out);
}

/* ---- the page ------------------------------------------------------------ */

static void print_page(FILE *out, void *user)
{
    const Page *p = user;
    const char *model = p->in->plan->model;
    fputs("<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
          "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
          "<link rel=icon href=\"data:,\"><title>",
          out);
    html_text(out, model);
    fprintf(out,
            ": training report</title><style>\n%s</style></head><body><main>"
            "\n<h1>",
            report_style);
    html_text(out, model);
    fputs("</h1><p class=faint>Trained on ", out);
    html_text(out, history_fact(p->h, "settings", "data"));
    fputs(", started ", out);
    html_text(out, history_fact(p->h, "run", "started"));
    fputs(", ", out);
    html_text(out, history_fact(p->h, "machine", "processor"));
    fputs("</p>\n", out);
    print_cards(out, p);
    print_advice(out, p);
    print_charts(out, p->h);
    fputs("<h2>Time and memory</h2><div class=two>\n", out);
    print_time(out, p->h);
    print_memory(out, p->in->plan);
    fputs("</div>\n", out);
    classes_print(out, p->h, p->in->test);
    print_settings(out, p->h);
    fputs("</main></body></html>\n", out);
}

bool report_write(const ReportInput *in, Advice *advice, Status *s)
{
    History h;
    if (!history_read(&h, in->folder, s))
        return false;
    Page page = {in, &h, advice_facts(&h), advice};
    advice_give(&page.facts, advice);
    bool done = rundir_write(in->folder, RUN_REPORT, print_page, &page);
    history_free(&h);
    return done || status_fail(s, "the report could not be written");
}
