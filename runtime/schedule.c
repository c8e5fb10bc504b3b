/* schedule.c: see schedule.h. */
#include "schedule.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

/* ---- the kinds: the rate after `done` epochs ----------------------------- */

static double rate_constant(const Schedule *x, double done)
{
    (void)done;
    return x->lr;
}

static double rate_multistep(const Schedule *x, double done)
{
    double lr = x->lr;
    for (int i = 0; i < x->n_at && done >= x->at[i]; i++)
        lr *= x->gamma;
    return lr;
}

/* From a to b as t goes from 0 to 1, along half a wave of the cosine. */
static double along_cosine(double a, double b, double t)
{
    return b + (a - b) * (1 + cos(PI * t)) / 2;
}

static double share_done(const Schedule *x, double done)
{
    double t = x->epochs > 0 ? done / (double)x->epochs : 1;
    return t < 1 ? t : 1;
}

static double rate_cosine(const Schedule *x, double done)
{
    return along_cosine(x->lr, x->min_lr, share_done(x, done));
}

static double rate_linear(const Schedule *x, double done)
{
    return x->lr + (x->min_lr - x->lr) * share_done(x, done);
}

static double rate_restarts(const Schedule *x, double done)
{
    double period = x->period, f = x->period_factor;
    if (f > 1) { /* periods before: period * (f^n - 1) / (f - 1) epochs */
        double n = floor(log(done / period * (f - 1) + 1) / log(f) + 1e-9);
        done -= period * (pow(f, n) - 1) / (f - 1);
        period *= pow(f, n);
    }
    return along_cosine(x->lr, x->min_lr, fmod(done, period) / period);
}

/* Three values in a row: a, then b at the end of the rise, then c at the last
 * step. */
static double cycle(const Schedule *x, double done, double a, double b,
                    double c)
{
    double steps = (double)x->epochs * (double)x->batches;
    double one = x->batches ? 1 : 0; /* a step, in the unit of `last` */
    double last = x->batches ? steps - 1 : (double)x->epochs;
    double top = x->rise * (last + one) - one;
    double now = x->batches ? done * (double)x->batches : done;
    bool up = now < top;
    double t = up ? now / top : last > top ? (now - top) / (last - top) : 1;
    double from = up ? a : b, to = up ? b : c;
    t = t < 1 ? t : 1;
    return x->straight ? from + (to - from) * t : along_cosine(from, to, t);
}

static double rate_one_cycle(const Schedule *x, double done)
{
    return cycle(x, done, x->lr * x->start_factor, x->lr,
                 x->lr * x->end_factor);
}

static const struct {
    const char *name;
    double (*rate)(const Schedule *x, double done);
} kind_table[] = {
    {"constant", rate_constant}, {"multistep", rate_multistep},
    {"cosine", rate_cosine},     {"cosine_restarts", rate_restarts},
    {"linear", rate_linear},     {"one_cycle", rate_one_cycle},
};
enum { KINDS = sizeof kind_table / sizeof *kind_table };

static bool is_kind(const Schedule *x, const char *name)
{
    return !strcmp(kind_table[x->kind].name, name);
}

/* ---- opening ------------------------------------------------------------- */

static bool open_kind(Schedule *x, const Config *c, Status *s)
{
    const char *kind = config_text(c, "schedule");
    for (int i = 0; kind && i < KINDS; i++)
        if (!strcmp(kind_table[i].name, kind)) {
            x->kind = i;
            return true;
        }
    return !kind ||
           status_fail(s, "schedule: \"%s\" is none of the schedules", kind);
}

/* Shares of the training become epochs. */
static bool open_at(Schedule *x, const Config *c, Status *s)
{
    bool shares = false, epochs = false;
    x->n_at = config_list(c, "schedule.at", x->at, SCHEDULE_MOST);
    if (is_kind(x, "multistep") && !x->n_at)
        return status_fail(s,
                           "schedule = multistep needs schedule.at, at most "
                           "%d epochs like [100, 150]",
                           SCHEDULE_MOST);
    for (int i = 1; i < x->n_at; i++)
        if (x->at[i] <= x->at[i - 1])
            return status_fail(s, "schedule.at must rise: %g comes after %g",
                               x->at[i], x->at[i - 1]);
    for (int i = 0; i < x->n_at; i++) {
        shares = shares || (x->at[i] > 0 && x->at[i] < 1);
        epochs = epochs || x->at[i] >= 1;
    }
    if (shares && epochs)
        return status_fail(s, "schedule.at has both epochs and, below 1, "
                              "shares of the training: write either");
    for (int i = 0; shares && i < x->n_at; i++)
        x->at[i] *= (double)x->epochs;
    return true;
}

/* The rate grows with the batch (Goyal et al. 2017, arXiv:1706.02677). */
static double scaled_lr(const Config *c)
{
    double lr = config_number(c, "optimizer.lr", 0.1);
    double batch = config_number(c, "batch", 1);
    return lr * batch / config_number(c, "optimizer.lr_batch", batch);
}

bool schedule_open(Schedule *x, const Config *c, Status *s)
{
    *x = (Schedule){
        .lr = scaled_lr(c),
        .epochs = config_int(c, "epochs", 1),
        .min_lr = config_number(c, "schedule.min_lr", 0),
        .gamma = config_number(c, "schedule.gamma", 0.1),
        .period = config_number(c, "schedule.period", 10),
        .period_factor = config_number(c, "schedule.period_factor", 1),
        .rise = config_number(c, "schedule.rise", 0.3),
        .start_factor = config_number(c, "schedule.start_factor", 0.04),
        .end_factor = config_number(c, "schedule.end_factor", 4e-6),
        .straight = config_is(c, "schedule.shape", "linear"),
        .low_momentum = config_number(c, "schedule.low_momentum", 0.85),
        .high_momentum = config_number(c, "schedule.high_momentum", 0.95),
        .cycle_momentum = config_is(c, "schedule.cycle_momentum", "true"),
        .momentum = config_number(c, "optimizer.momentum",
                                  config_number(c, "optimizer.beta1", 0)),
        .warmup_epochs = config_number(c, "schedule.warmup_epochs", 0),
        .warmup_factor = config_number(c, "schedule.warmup_factor", 0.1),
        .warmup_linear = config_is(c, "schedule.warmup", "linear"),
    };
    return open_kind(x, c, s) && open_at(x, c, s);
}

/* ---- asking -------------------------------------------------------------- */

double schedule_lr(const Schedule *x, int64_t epoch, double position)
{
    double done = (double)epoch + position;
    double lr = kind_table[x->kind].rate(x, done), f = x->warmup_factor;
    if (done >= x->warmup_epochs)
        return lr;
    return lr * (x->warmup_linear ? f + (1 - f) * done / x->warmup_epochs : f);
}

double schedule_momentum(const Schedule *x, int64_t epoch, double position)
{
    if (!x->cycle_momentum || !is_kind(x, "one_cycle"))
        return x->momentum;
    return cycle(x, (double)epoch + position, x->high_momentum, x->low_momentum,
                 x->high_momentum);
}

/* ---- what will not happen ------------------------------------------------ */

static const ConfigItem *item(const Config *c, const char *key)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (!strcmp(c->item[i].key, key))
            return &c->item[i];
    return NULL;
}

/* Another number of epochs than the model file's, with the file's milestones,
 * where those are epochs. */
static bool epochs_moved(const Config *c, double *before)
{
    const ConfigItem *epochs = item(c, "epochs"), *at = item(c, "schedule.at");
    if (!epochs || !epochs->plan || !at || !at->plan)
        return false;
    double first = 0;
    config_list(c, "schedule.at", &first, 1);
    *before = epochs->plan->text ? strtod(epochs->plan->text, NULL) : 0;
    return (first == 0 || first >= 1) && at->text == at->plan->text &&
           *before > 0 && *before != config_number(c, "epochs", *before);
}

const char *schedule_warning(const Schedule *x, const Config *c, char *text,
                             size_t size)
{
    double before, last = x->n_at ? x->at[x->n_at - 1] : 0;
    if (is_kind(x, "multistep") && last >= (double)x->epochs)
        snprintf(text, size,
                 "schedule.at = %g is never reached in %lld epochs (shares of "
                 "the training keep their place: schedule.at = [0.5, 0.75])",
                 last, (long long)x->epochs);
    else if (is_kind(x, "multistep") && epochs_moved(c, &before))
        snprintf(text, size,
                 "there are %lld epochs and not %g as in the model file, and "
                 "schedule.at stays at %s (shares of the training keep their "
                 "place: schedule.at = [0.5, 0.75])",
                 (long long)x->epochs, before, config_text(c, "schedule.at"));
    else if (config_given(c, "schedule.min_lr") && x->min_lr > x->lr)
        snprintf(text, size,
                 "schedule.min_lr = %g is above the learning rate, %g: it "
                 "rises",
                 x->min_lr, x->lr);
    else if (x->epochs > 0 && x->warmup_epochs >= (double)x->epochs)
        snprintf(text, size,
                 "the training of %lld epochs ends before the warm-up of %g",
                 (long long)x->epochs, x->warmup_epochs);
    else
        return NULL;
    return text;
}
