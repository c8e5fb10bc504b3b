/* advice.c: see advice.h. */
#include "advice.h"
#include "format.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- facts --------------------------------------------------------------- */

enum { FLAT_EPOCHS = 10 };

static double fact_number(const History *h, const char *section,
                          const char *key)
{
    const char *text = history_fact(h, section, key);
    char *end;
    double v = strtod(text, &end);
    return end > text ? v : NAN;
}

/* A count; 0 where the file says none. */
static int fact_count(const History *h, const char *section, const char *key)
{
    double v = fact_number(h, section, key);
    return v >= 1 && v <= 1e6 ? (int)v : 0;
}

static void facts_times(const History *h, AdviceFacts *f)
{
    double data = 0, step = 0, eval = 0, all = 0;
    for (size_t i = 0; i < h->n_epochs; i++) {
        const double *v = h->epoch[i].value;
        data += isfinite(v[HISTORY_DATA_SECONDS]) ? v[HISTORY_DATA_SECONDS] : 0;
        step += isfinite(v[HISTORY_STEP_SECONDS]) ? v[HISTORY_STEP_SECONDS] : 0;
        eval += isfinite(v[HISTORY_EVAL_SECONDS]) ? v[HISTORY_EVAL_SECONDS] : 0;
        all += isfinite(v[HISTORY_SECONDS]) ? v[HISTORY_SECONDS] : 0;
    }
    f->data_share = data + step > 0 ? data / (data + step) : NAN;
    f->eval_share = all > 0 ? eval / all : NAN;
    f->seconds = all;
}

static void facts_accuracy(const History *h, AdviceFacts *f)
{
    double low = INFINITY, high = -INFINITY;
    int seen = 0;
    for (size_t i = 0; i < h->n_epochs; i++) {
        double loss = h->epoch[i].value[HISTORY_LOSS];
        double test = h->epoch[i].value[HISTORY_TEST_ACCURACY];
        f->loss = loss;
        f->best_loss = loss < f->best_loss ? loss : f->best_loss;
        f->accuracy = h->epoch[i].value[HISTORY_ACCURACY];
        f->since_best++;
        if (!isfinite(test))
            continue;
        f->test_accuracy = test;
        if (!(test <= f->best_accuracy)) {
            f->best_accuracy = test;
            f->since_best = 0;
        }
    }
    for (size_t i = h->n_epochs; i-- > 0 && seen < FLAT_EPOCHS;) {
        double test = h->epoch[i].value[HISTORY_TEST_ACCURACY];
        if (!isfinite(test))
            continue;
        low = fmin(low, test);
        high = fmax(high, test);
        seen++;
    }
    f->flat = seen == FLAT_EPOCHS ? high - low : NAN;
}

AdviceFacts advice_facts(const History *h)
{
    const char *crop = history_fact(h, "settings", "data.crop");
    AdviceFacts f = {.epochs = (int)h->n_epochs,
                     .diverged = h->outcome.state == OUTCOME_DIVERGED,
                     .steps = h->steps,
                     .lr = h->last_lr,
                     .images = history_images(h),
                     .things = history_things(h),
                     .first_loss = h->steps ? h->first_loss : NAN,
                     .loss = NAN,
                     .best_loss = INFINITY,
                     .accuracy = NAN,
                     .test_accuracy = NAN,
                     .best_accuracy = NAN,
                     .skipped = h->steps ? h->skips / (double)h->steps : NAN};
    facts_times(h, &f);
    facts_accuracy(h, &f);
    f.classes = fact_count(h, "settings", "data.classes");
    f.threads = fact_count(h, "machine", "threads");
    f.cores = fact_count(h, "machine", "cores");
    f.planned = fact_number(h, "machine", "planned_bytes");
    f.memory = fact_number(h, "machine", "memory_bytes");
    f.batch = fact_number(h, "settings", "batch");
    f.f16 = !strcmp(history_fact(h, "settings", "precision"), "f16");
    f.augmented = *history_fact(h, "settings", "data.augment") ||
                  (*crop && strcmp(crop, "0"));
    return f;
}

/* ---- rules --------------------------------------------------------------- */

typedef struct Rule {
    bool (*applies)(const AdviceFacts *f);
    void (*say)(const AdviceFacts *f, char *text, size_t size);
} Rule;

static bool waits_for_data(const AdviceFacts *f)
{
    return f->data_share > 0.1 && f->seconds > 5;
}

static void say_data(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "%.0f %% of the training time was spent waiting for data. Give "
             "the loader more cores (--threads), take cheaper augmentation "
             "steps, or put the data on a faster disk.",
             100 * f->data_share);
}

static bool cores_idle(const AdviceFacts *f)
{
    return f->threads > 0 && f->cores >= 2 * f->threads && f->seconds > 5;
}

static void say_cores(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "%d of the machine's %d cores computed. Leave --threads out, or "
             "raise it: results do not depend on it.",
             f->threads, f->cores);
}

static bool blew_up(const AdviceFacts *f)
{
    return f->diverged;
}

static void say_blew_up(const AdviceFacts *f, char *text, size_t size)
{
    char at[64] = "", third[64] = "";
    if (f->lr > 0) {
        snprintf(at, sizeof at, ", at a learning rate of %.3g", f->lr);
        snprintf(third, sizeof third, " (--lr %.2g)", f->lr / 3);
    }
    snprintf(text, size,
             "After %lld step%s%s, numbers were no longer finite. Start again "
             "with a third of the rate%s, with a warm-up (--set "
             "schedule.warmup_epochs=1), or with gradients clipped "
             "(optimizer.clip_norm = 1)%s.",
             (long long)f->steps, f->steps == 1 ? "" : "s", at, third,
             f->f16 ? "; or take precision = bf16, whose range is float32's"
                    : "");
}

static bool diverges(const AdviceFacts *f)
{
    return !f->diverged && f->epochs >= 1 && f->loss > 1.5 * f->best_loss + 0.1;
}

static bool learns_nothing(const AdviceFacts *f)
{
    return f->epochs >= 2 && f->classes > 1 &&
           f->best_loss > 0.98 * log(f->classes) &&
           f->best_accuracy < 1.5 / f->classes;
}

static void say_diverges(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "The loss rose from %.3g to %.3g: training diverged. Take a "
             "smaller learning rate (a third), a warm-up, or clip gradients.",
             f->best_loss, f->loss);
}

static void say_nothing(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(
        text, size,
        "After %d epochs the loss, %.3g, is no better than guessing among %d "
        "classes (%.3g). Take a learning rate ten times smaller, or ten "
        "times larger, and see whether the labels fit the %s.",
        f->epochs, f->loss, f->classes, log(f->classes), f->things);
}

static bool overfits(const AdviceFacts *f)
{
    return f->epochs >= 3 && f->accuracy - f->test_accuracy > 0.1 &&
           f->accuracy > 0.9;
}

static void say_overfits(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "%.1f %% of the training %s are right, but %.1f %% of the "
             "%s %s: it learns them by heart. %s, or use more weight "
             "decay or label smoothing.",
             100 * f->accuracy, f->things, 100 * f->test_accuracy, f->images,
             f->things,
             strcmp(f->things, "images") ? "Add mixup or dropout"
             : f->augmented              ? "Add augmentation (cutout, mixup)"
                                         : "Augment the images (crop, flip)");
}

static bool is_flat(const AdviceFacts *f)
{
    return f->flat < 0.002 && f->since_best >= FLAT_EPOCHS;
}

static void say_flat(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "The accuracy has stayed at %.2f %% for %d epochs. Lower the "
             "learning rate earlier, or stop there: --patience %d.",
             100 * f->test_accuracy, f->since_best, FLAT_EPOCHS);
}

static bool still_rises(const AdviceFacts *f)
{
    return f->epochs >= 5 && f->since_best == 0 && f->flat > 0.02 &&
           f->accuracy - f->test_accuracy < 0.05;
}

static void say_rises(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "The accuracy was still rising when training ended (by %.1f "
             "points in the last %d evaluations). More epochs would help: "
             "--epochs %d.",
             100 * f->flat, FLAT_EPOCHS, 2 * f->epochs);
}

static bool skips(const AdviceFacts *f)
{
    return f->skipped > 0.02;
}

static void say_skips(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "%.0f %% of the steps were skipped for an overflow. Take a "
             "smaller learning rate, or precision = bf16, which needs no "
             "scaling.",
             100 * f->skipped);
}

static bool memory_left(const AdviceFacts *f)
{
    return !f->diverged && f->planned > 0 && f->memory > 8 * f->planned &&
           f->batch > 0 && f->batch <= 32;
}

static void say_memory(const AdviceFacts *f, char *text, size_t size)
{
    char need[32], have[32];
    snprintf(text, size,
             "The run took %s of %s of memory with batches of %.0f. Larger "
             "batches are faster: compile with --set batch=%.0f, and scale the "
             "learning rate with it.",
             format_bytes(f->planned, need, sizeof need),
             format_bytes(f->memory, have, sizeof have), f->batch,
             4 * f->batch);
}

static bool evaluates_much(const AdviceFacts *f)
{
    return f->eval_share > 0.25 && f->seconds > 60;
}

static void say_evaluates(const AdviceFacts *f, char *text, size_t size)
{
    snprintf(text, size,
             "%.0f %% of the time went into evaluation. --set eval_every=5 "
             "evaluates after every fifth epoch.",
             100 * f->eval_share);
}

/* What matters most first. */
static const Rule rules[] = {
    {blew_up, say_blew_up},        {diverges, say_diverges},
    {learns_nothing, say_nothing}, {skips, say_skips},
    {waits_for_data, say_data},    {cores_idle, say_cores},
    {overfits, say_overfits},      {is_flat, say_flat},
    {still_rises, say_rises},      {evaluates_much, say_evaluates},
    {memory_left, say_memory},
};

void advice_give(const AdviceFacts *f, Advice *advice)
{
    advice->n = 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (advice->n < ADVICE_MOST && rules[i].applies(f))
            rules[i].say(f, advice->text[advice->n++], ADVICE_ROOM);
}
