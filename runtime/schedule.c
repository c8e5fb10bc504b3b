/* schedule.c: see schedule.h. */
#include "schedule.h"
#include <math.h>

#define PI 3.14159265358979323846

static bool schedule_kind(Schedule *x, const Config *c, Status *s)
{
    const char *kind = config_text(c, "schedule");
    if (!kind || config_is(c, "schedule", "constant"))
        x->kind = LR_CONSTANT;
    else if (config_is(c, "schedule", "multistep"))
        x->kind = LR_MULTISTEP;
    else if (config_is(c, "schedule", "cosine"))
        x->kind = LR_COSINE;
    else
        return status_fail(s,
                           "schedule: \"%s\" is none of: constant multistep "
                           "cosine",
                           kind);
    return true;
}

bool schedule_open(Schedule *x, const Config *c, Status *s)
{
    *x = (Schedule){0};
    if (!schedule_kind(x, c, s))
        return false;
    x->lr = config_number(c, "optimizer.lr", 0.1);
    x->min_lr = config_number(c, "schedule.min_lr", 0);
    x->gamma = config_number(c, "schedule.gamma", 0.1);
    x->warmup_epochs = config_number(c, "schedule.warmup_epochs", 0);
    x->warmup_factor = config_number(c, "schedule.warmup_factor", 0.1);
    x->n_at = config_list(c, "schedule.at", x->at, SCHEDULE_MOST);
    x->epochs = config_int(c, "epochs", 1);
    if (x->kind == LR_MULTISTEP && !x->n_at)
        return status_fail(s,
                           "schedule = multistep needs schedule.at, at most "
                           "%d epochs like [100, 150]",
                           SCHEDULE_MOST);
    for (int i = 1; i < x->n_at; i++)
        if (x->at[i] <= x->at[i - 1])
            return status_fail(s, "schedule.at must rise: %g comes after %g",
                               x->at[i], x->at[i - 1]);
    return true;
}

static double schedule_base(const Schedule *x, int64_t epoch, double position)
{
    double lr = x->lr;
    if (x->kind == LR_MULTISTEP)
        for (int i = 0; i < x->n_at && (double)epoch >= x->at[i]; i++)
            lr *= x->gamma;
    if (x->kind == LR_COSINE) {
        double t = ((double)epoch + position) / (double)x->epochs;
        t = t < 1 ? t : 1;
        lr = x->min_lr + (x->lr - x->min_lr) * (1 + cos(PI * t)) / 2;
    }
    return lr;
}

double schedule_lr(const Schedule *x, int64_t epoch, double position)
{
    double lr = schedule_base(x, epoch, position);
    bool warming = (double)epoch + position < x->warmup_epochs;
    return warming ? lr * x->warmup_factor : lr;
}
