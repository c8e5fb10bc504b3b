/* report_classes.c: what the best weights take the test images for; see
 * report.h. */
#include "inline_png.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MOST = 1000, TABLE_MOST = 24, LIST_MOST = 20, WRONG_MOST = 48 };

typedef struct Confusion {
    int64_t classes;
    int64_t *count; /* [label * classes + predicted] */
    int64_t total, right;
} Confusion;

static bool confusion_count(Confusion *c, const History *h, const DataSet *test)
{
    *c = (Confusion){.classes = test ? test->classes : 0};
    for (size_t i = 0; i < h->n_predictions; i++) {
        if (h->predicted[i] < 0)
            return false;
        if (h->label[i] >= c->classes)
            c->classes = (int64_t)h->label[i] + 1;
        if (h->predicted[i] >= c->classes)
            c->classes = (int64_t)h->predicted[i] + 1;
    }
    if (c->classes < 1 || c->classes > CLASSES_MOST)
        return false;
    c->count = calloc((size_t)(c->classes * c->classes), sizeof *c->count);
    for (size_t i = 0; c->count && i < h->n_predictions; i++) {
        c->count[h->label[i] * c->classes + h->predicted[i]]++;
        c->right += h->label[i] == h->predicted[i];
        c->total++;
    }
    return c->count && c->total;
}

static int64_t row_total(const Confusion *c, int64_t label)
{
    int64_t sum = 0;
    for (int64_t k = 0; k < c->classes; k++)
        sum += c->count[label * c->classes + k];
    return sum;
}

static void print_class(FILE *out, const DataSet *test, int64_t label)
{
    char room[24];
    html_text(out, data_class(test, label, room));
}

/* ---- accuracy by class --------------------------------------------------- */

typedef struct ClassShare {
    int64_t label, total;
    double share;
} ClassShare;

static int by_share(const void *a, const void *b)
{
    const ClassShare *x = a, *y = b;
    if (x->share != y->share)
        return x->share < y->share ? -1 : 1;
    return (x->label > y->label) - (x->label < y->label);
}

static void print_bars(FILE *out, const Confusion *c, const DataSet *test)
{
    ClassShare *all = calloc((size_t)c->classes, sizeof *all);
    int64_t n = 0;
    for (int64_t k = 0; all && k < c->classes; k++) {
        int64_t total = row_total(c, k);
        if (total)
            all[n++] = (ClassShare){
                k, total, (double)c->count[k * c->classes + k] / (double)total};
    }
    if (n)
        qsort(all, (size_t)n, sizeof *all, by_share);
    fprintf(out, "<div><h3>Accuracy by class%s</h3><table class=bars>\n",
            n > LIST_MOST ? ", the lowest" : "");
    for (int64_t i = 0; i < n && i < LIST_MOST; i++) {
        fputs("<tr><th>", out);
        print_class(out, test, all[i].label);
        fprintf(out,
                "</th><td><div class=bar style=\"width:%.1f%%\"></div></td>"
                "<td class=number>%.1f %%</td><td class=\"number faint\">of "
                "%lld</td></tr>\n",
                100 * all[i].share, 100 * all[i].share,
                (long long)all[i].total);
    }
    fputs("</table></div>\n", out);
    free(all);
}

/* ---- the matrix ---------------------------------------------------------- */

static void print_cell(FILE *out, const Confusion *c, int64_t label, int64_t k)
{
    int64_t n = c->count[label * c->classes + k], total = row_total(c, label);
    double share = total ? (double)n / (double)total : 0;
    /* Few mistakes must still be seen beside what is right. */
    double strength = label == k ? 0.75 * share : share > 0.3 ? 0.9 : 3 * share;
    fprintf(out, "<td class=\"%s\" style=\"--s:%.3f\" title=\"%.1f %%\">",
            label == k ? "right" : "wrong", strength, 100 * share);
    if (n)
        fprintf(out, "%lld", (long long)n);
    fputs("</td>", out);
}

static void print_matrix(FILE *out, const Confusion *c, const DataSet *test)
{
    fputs(
        "<div><h3>What is taken for what</h3><table class=matrix><tr><th></th>"
        "\n",
        out);
    for (int64_t k = 0; k < c->classes; k++) {
        fputs("<th class=up title=\"", out);
        print_class(out, test, k);
        fputs("\"><span>", out);
        print_class(out, test, k);
        fputs("</span></th>", out);
    }
    fputs("</tr>\n", out);
    for (int64_t label = 0; label < c->classes; label++) {
        fputs("<tr><th>", out);
        print_class(out, test, label);
        fputs("</th>", out);
        for (int64_t k = 0; k < c->classes; k++)
            print_cell(out, c, label, k);
        fputs("</tr>\n", out);
    }
    fputs("</table><p class=faint>Rows: what it is. Columns: what it is taken "
          "for.</p></div>\n",
          out);
}

typedef struct Pair {
    int64_t label, taken, n;
} Pair;

static int by_count(const void *a, const void *b)
{
    const Pair *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->taken > y->taken) - (x->taken < y->taken);
}

/* For many classes: the pairs that are mistaken most. */
static void print_pairs(FILE *out, const Confusion *c, const DataSet *test)
{
    Pair *all = calloc((size_t)(c->classes * c->classes), sizeof *all);
    size_t n = 0;
    for (int64_t i = 0; all && i < c->classes * c->classes; i++)
        if (i / c->classes != i % c->classes && c->count[i])
            all[n++] = (Pair){i / c->classes, i % c->classes, c->count[i]};
    if (n)
        qsort(all, n, sizeof *all, by_count);
    fputs("<div><h3>Mistaken most</h3><table>\n", out);
    for (size_t i = 0; i < n && i < LIST_MOST; i++) {
        fputs("<tr><th>", out);
        print_class(out, test, all[i].label);
        fputs("</th><td>taken for</td><th>", out);
        print_class(out, test, all[i].taken);
        fprintf(out, "</th><td class=number>%lld of %lld</td></tr>\n",
                (long long)all[i].n, (long long)row_total(c, all[i].label));
    }
    fputs("</table></div>\n", out);
    free(all);
}

/* ---- pictures ------------------------------------------------------------ */

static void print_picture(FILE *out, const History *h, const DataSet *test,
                          size_t i, uint8_t *scratch)
{
    Status failed = {0};
    int64_t size = test->c * test->h * test->w;
    const uint8_t *pixels =
        test->pixels
            ? test->pixels + (int64_t)i * size
            : test->fetch(test, data_place(test, (int64_t)i), scratch, &failed);
    if (!pixels)
        return;
    fprintf(out, "<figure class=wrong><img alt=\"%s image %zu\" src=\"",
            history_images(h), i);
    png_print(out, pixels, test->c, test->h, test->w);
    fputs("\"><figcaption><b>", out);
    print_class(out, test, h->label[i]);
    fputs("</b><br>taken for ", out);
    print_class(out, test, h->predicted[i]);
    fputs("</figcaption></figure>\n", out);
}

/* Spread over the test images, so that no class takes all the places where
 * they are sorted. */
static void print_wrong(FILE *out, const History *h, const DataSet *test,
                        int64_t wrong)
{
    uint8_t *scratch = malloc((size_t)(test->c * test->h * test->w));
    int64_t shown = wrong < WRONG_MOST ? wrong : WRONG_MOST, seen = 0, next = 0;
    fprintf(out,
            "<h2>Wrongly classified</h2><p class=faint>%lld of %lld wrong %s "
            "%s.</p><div class=pictures>\n",
            (long long)shown, (long long)wrong, history_images(h),
            history_things(h));
    for (size_t i = 0; scratch && i < h->n_predictions; i++) {
        if (h->label[i] == h->predicted[i])
            continue;
        if (seen++ * shown >= next * wrong && next < shown) {
            next++;
            print_picture(out, h, test, i, scratch);
        }
    }
    fputs("</div>\n", out);
    free(scratch);
}

static bool same_labels(const History *h, const DataSet *test)
{
    if (!test || test->n != (int64_t)h->n_predictions)
        return false;
    return !memcmp(test->labels, h->label, h->n_predictions * sizeof *h->label);
}

void classes_print(FILE *out, const History *h, const DataSet *test)
{
    Confusion c;
    const DataSet *own = same_labels(h, test) ? test : NULL;
    if (confusion_count(&c, h, own)) {
        fprintf(out,
                "<h2>Classes</h2><p class=faint>The best weights on %lld %s "
                "%s: %lld right, %.2f %%.</p><div class=two>\n",
                (long long)c.total, history_images(h), history_things(h),
                (long long)c.right, 100 * (double)c.right / (double)c.total);
        print_bars(out, &c, own);
        if (c.classes <= TABLE_MOST)
            print_matrix(out, &c, own);
        else
            print_pairs(out, &c, own);
        fputs("</div>\n", out);
        if (own && own->numbers)
            fputs("<p class=faint>No pictures: the data are numbers.</p>\n",
                  out);
        else if (own && c.total > c.right)
            print_wrong(out, h, own, c.total - c.right);
        else if (!own)
            fputs("<p class=faint>No pictures: the data set was not at hand "
                  "(report --data DIR).</p>\n",
                  out);
    }
    free(c.count);
}
