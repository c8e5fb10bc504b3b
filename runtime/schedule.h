/* schedule.h: the learning rate, and the momentum that goes with it, at each
 * step.  With x = epochs done / epochs in all:
 *
 *     constant         lr
 *     multistep        lr * gamma ^ (how many of `at` are over)
 *     cosine           min + (lr - min) * (1 + cos(pi x)) / 2
 *     cosine_restarts  the same over `period` epochs, again and again, each
 *                      period `period_factor` times the one before
 *     linear           lr + (min - lr) * x
 *     one_cycle        from start_factor * lr up to lr during the first `rise`
 *                      of the training, then down to end_factor * lr; the
 *                      momentum the other way round
 *
 * as torch.optim.lr_scheduler has them, stepped after every batch.  During the
 * first warmup_epochs it is multiplied by warmup_factor (constant), or by what
 * rises evenly from that to 1 (linear).
 *
 * Epochs count from 0; `position` is the share of the epoch that is done,
 * 0 <= position < 1.  `at` may hold shares of the training instead of epochs:
 * numbers below 1.
 */
#ifndef TGC_SCHEDULE_H
#define TGC_SCHEDULE_H

#include "config.h"
#include <stddef.h>

enum { SCHEDULE_MOST = 64 };

typedef struct Schedule {
    int kind;  /* place in the table of kinds */
    double lr; /* of the batch that is trained with, not of lr_batch */
    double min_lr, gamma, period, period_factor;
    double rise, start_factor, end_factor, low_momentum, high_momentum;
    double warmup_epochs, warmup_factor;
    double momentum; /* where no cycle changes it */
    bool warmup_linear, straight, cycle_momentum;
    double at[SCHEDULE_MOST]; /* in epochs */
    int n_at;
    int64_t epochs;
    int64_t batches; /* in an epoch; set by whoever knows it: the last step of
                        one_cycle depends on it.  0: very many */
} Schedule;

bool schedule_open(Schedule *x, const Config *c, Status *s);
double schedule_lr(const Schedule *x, int64_t epoch, double position);
double schedule_momentum(const Schedule *x, int64_t epoch, double position);

/* What of it the training will never reach, as one sentence; NULL: nothing.
 * Kept in text. */
const char *schedule_warning(const Schedule *x, const Config *c, char *text,
                             size_t size);

#endif
