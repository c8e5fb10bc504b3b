/* progress.h: what a training run shows while it runs.
 *
 * On a terminal a bar that redraws itself, elsewhere a plain line every few
 * seconds; on both a table with a row for each epoch.
 */
#ifndef TGC_PROGRESS_H
#define TGC_PROGRESS_H

#include "record.h"
#include <stdio.h>

typedef struct ProgressPlan {
    int64_t epochs, batches; /* in all; in an epoch */
    int64_t last_step;       /* the one after which the run ends */
    bool validation;         /* images that are held out are evaluated */
    const char *things;      /* what the data consist of: "images" */
} ProgressPlan;

typedef struct ProgressBar {
    FILE *out;
    bool terminal;
    ProgressPlan plan;
    int width;    /* columns */
    double drawn; /* when last something was shown */
    bool bar_is_up;
    int64_t rows; /* of the table */
    int64_t epoch;
    EpochSums sums; /* of this epoch */
    /* For the time left: steps of this process and what they took; ends of
     * epochs and what they took. */
    int64_t all_steps, ends;
    double all_seconds, end_seconds;
} ProgressBar;

void progress_open(ProgressBar *p, FILE *out, const ProgressPlan *plan);
/* From 0, and what is done of it. */
void progress_epoch(ProgressBar *p, int64_t epoch, const EpochSums *done);

typedef struct ProgressStep {
    int64_t step, batch; /* done, counted from 1 */
    int64_t images, correct;
    int64_t skips;              /* steps without an update so far */
    double loss, data, seconds; /* seconds includes data */
} ProgressStep;
void progress_step(ProgressBar *p, const ProgressStep *x);

/* A word while something else goes on ("evaluating"); terminals only. */
void progress_note(ProgressBar *p, const char *text);

/* The epoch's row of the table. */
void progress_row(ProgressBar *p, const EpochRow *row);

/* Takes the bar away, before other output. */
void progress_clear(ProgressBar *p);

#endif
