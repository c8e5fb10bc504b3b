/* schedule.h: the learning rate at each step.
 *
 *     constant    lr
 *     multistep   lr * gamma ^ (how many of `at` are <= epoch)
 *     cosine      min + (lr - min) * (1 + cos(pi * t)) / 2, where t goes from
 *                 0 to 1 over the whole training, step by step
 *
 * and times warmup_factor during the first warmup_epochs.  Epochs count from
 * 0; `position` is the share of the epoch that is done, 0 <= position < 1.
 */
#ifndef TGC_SCHEDULE_H
#define TGC_SCHEDULE_H

#include "config.h"

enum { SCHEDULE_MOST = 64 };

typedef struct Schedule {
    enum { LR_CONSTANT, LR_MULTISTEP, LR_COSINE } kind;
    double lr, min_lr, gamma, warmup_epochs, warmup_factor;
    double at[SCHEDULE_MOST];
    int n_at;
    int64_t epochs;
} Schedule;

bool schedule_open(Schedule *x, const Config *c, Status *s);
double schedule_lr(const Schedule *x, int64_t epoch, double position);

#endif
