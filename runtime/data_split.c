/* data_split.c: a part of the training images: the ones held out for
 * validation, or a fraction of the others.
 *
 *     n images -> round(validation * n) held out, the rest
 *     rest     -> round(fraction * rest) used
 *
 * Of each class as many as its share says, rounded so that the sum is that of
 * above (largest remainders first, as seats are given to parties); who it is
 * depends on the split's seed alone.  The fraction is taken of the rest, so
 * that runs with different fractions are evaluated on the same images. */
#include "data.h"
#include "loader_order.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Remainder {
    double size;
    int64_t class;
} Remainder;

typedef struct Split {
    DataSet *set;
    uint32_t *order;     /* [n] who is asked first */
    int64_t *has, *gets; /* [classes] */
    bool *open, *chosen; /* [n]: may be chosen; was */
    Remainder *left;     /* [classes] */
    double share;
    const char *setting, *use, *cure; /* for messages */
} Split;

static int by_remainder(const void *a, const void *b)
{
    const Remainder *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return (x->class > y->class) - (x->class < y->class);
}

/* How many of each class. */
static void share_out(const Split *x, int64_t total)
{
    int64_t classes = x->set->classes;
    for (int64_t c = 0; c < classes; c++) {
        double exact = x->share * (double)x->has[c];
        x->gets[c] = (int64_t)exact;
        x->left[c] = (Remainder){exact - floor(exact), c};
        total -= x->gets[c];
    }
    qsort(x->left, (size_t)classes, sizeof *x->left, by_remainder);
    for (int64_t i = 0; total > 0 && i < classes; i++) {
        int64_t c = x->left[i].class;
        if (x->gets[c] < x->has[c]) {
            x->gets[c]++;
            total--;
        }
    }
}

static bool check_classes(const Split *x, Status *s)
{
    for (int64_t c = 0; c < x->set->classes; c++) {
        if (!x->has[c] || x->gets[c])
            continue;
        const char *name = x->set->names ? x->set->names[c] : "";
        return status_fail(s,
                           "%s = %g leaves class %lld%s%s%s, which has %lld "
                           "%s, none to %s: take a %s share",
                           x->setting, x->share, (long long)c,
                           *name ? " (" : "", name, *name ? ")" : "",
                           (long long)x->has[c], data_things(x->set), x->use,
                           x->cure);
    }
    return true;
}

/* Chooses among the open images. */
static bool choose(Split *x, Status *s)
{
    DataSet *set = x->set;
    int64_t all = 0;
    memset(x->has, 0, (size_t)set->classes * sizeof *x->has);
    memset(x->chosen, 0, (size_t)set->n * sizeof *x->chosen);
    for (int64_t i = 0; i < set->n; i++)
        if (x->open[i]) {
            x->has[set->labels[i]]++;
            all++;
        }
    share_out(x, (int64_t)round(x->share * (double)all));
    if (!check_classes(x, s))
        return false;
    for (int64_t k = 0; k < set->n; k++) {
        int64_t i = x->order[k];
        if (x->open[i] && x->gets[set->labels[i]] > 0) {
            x->gets[set->labels[i]]--;
            x->chosen[i] = true;
        }
    }
    return true;
}

/* What is left must have every class, too. */
static bool hold_out(Split *x, const DataRequest *r, Status *s)
{
    int64_t n = x->set->n;
    x->setting = "data.validation";
    x->use = "evaluate on";
    x->cure = "larger";
    x->share = r->validation;
    if (!choose(x, s))
        return false;
    for (int64_t i = 0; i < n; i++)
        x->open[i] = !x->chosen[i];
    for (int64_t c = 0; c < x->set->classes; c++)
        x->gets[c] = 0;
    for (int64_t i = 0; i < n; i++)
        x->gets[x->set->labels[i]] += x->open[i];
    x->use = "train on";
    x->cure = "smaller";
    return check_classes(x, s);
}

static bool split(Split *x, const DataRequest *r, Status *s)
{
    int64_t n = x->set->n;
    order_split(x->order, n, r->split_seed);
    memset(x->open, true, (size_t)n * sizeof *x->open);
    if (r->validation > 0 && !hold_out(x, r, s))
        return false;
    if (r->held)
        return data_keep(x->set, x->chosen, s);
    if (r->fraction > 0 && r->fraction < 1) {
        x->setting = "data.fraction";
        x->use = "train on";
        x->cure = "larger";
        x->share = r->fraction;
        return choose(x, s) && data_keep(x->set, x->chosen, s);
    }
    return data_keep(x->set, x->open, s);
}

bool data_split(DataSet *set, const DataRequest *r, Status *s)
{
    bool all = r->fraction <= 0 || r->fraction >= 1;
    if (r->validation <= 0 && all && !r->held)
        return true;
    if (r->validation <= 0 && r->held)
        return status_fail(s, "nothing is held out: data.validation is 0 "
                              "(--set data.validation=0.1)");
    size_t n = (size_t)set->n, classes = (size_t)set->classes;
    Split x = {.set = set,
               .order = malloc(n * sizeof *x.order),
               .has = malloc(classes * sizeof *x.has),
               .gets = malloc(classes * sizeof *x.gets),
               .left = malloc(classes * sizeof *x.left),
               .open = malloc(n * sizeof *x.open),
               .chosen = malloc(n * sizeof *x.chosen)};
    bool done = x.order && x.has && x.gets && x.left && x.open && x.chosen;
    if (!done)
        status_fail(s, "there is no memory to split %lld %s", (long long)set->n,
                    data_things(set));
    done = done && split(&x, r, s);
    free(x.order);
    free(x.has);
    free(x.gets);
    free(x.left);
    free(x.open);
    free(x.chosen);
    return done;
}

/* Images in memory move together; those in files stay where they are. */
bool data_keep(DataSet *set, const bool *keep, Status *s)
{
    size_t bytes = (size_t)(set->c * set->h * set->w);
    int32_t *pick = malloc((size_t)set->n * sizeof *pick);
    int64_t n = 0;
    if (!pick)
        return status_fail(s, "there is no memory to split %lld %s",
                           (long long)set->n, data_things(set));
    for (int64_t i = 0; i < set->n; i++) {
        if (!keep[i])
            continue;
        pick[n] = (int32_t)data_place(set, i);
        set->labels[n] = set->labels[i];
        if (set->pixels && n < i)
            memcpy(set->pixels + (size_t)n * bytes,
                   set->pixels + (size_t)i * bytes, bytes);
        n++;
    }
    free(set->pick);
    set->pick = pick;
    set->n = n;
    void *less =
        set->pixels && n ? realloc(set->pixels, (size_t)n * bytes) : NULL;
    if (less)
        set->pixels = less;
    return n > 0 || status_fail(s, "nothing is left of the data");
}
