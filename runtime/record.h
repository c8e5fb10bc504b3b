/* record.h: what a training run tells about itself while it runs: to the log
 * files and TensorBoard's events in its folder, and to the file that --log
 * names.
 *
 * Rows go to files that may fill a disk: a failure costs that file its end and
 * one warning, never the run.
 */
#ifndef TGC_RECORD_H
#define TGC_RECORD_H

#include "events.h"
#include "executor.h"
#include "log.h"

typedef struct StepRow {
    int64_t step, epoch;     /* from 1 */
    int64_t images, correct; /* of the batch */
    double loss, lr;
    double data_ms, step_ms; /* waiting for the batch; computing */
    bool scaled;             /* the loss is scaled: */
    double loss_scale;       /* by that */
    int64_t skips;           /* steps skipped so far */
} StepRow;

/* The end of an epoch. */
typedef struct EpochRow {
    int64_t epoch, step;             /* from 1; steps done */
    double test_loss, test_accuracy; /* of the images that are evaluated;
                                        0..1; NAN: not evaluated */
    bool averaged; /* the average of the weights was evaluated, too: */
    double average_loss, average_accuracy;
    double lr;
    double seconds, eval_seconds; /* in all; of that, evaluating */
    bool best;
} EpochRow;

/* What the steps of an epoch came to so far. */
typedef struct EpochSums {
    int64_t steps, losses; /* losses: those that are finite */
    int64_t images, correct;
    double loss, data, compute; /* seconds: waiting, computing */
} EpochSums;

typedef struct Record {
    Log given, steps, epochs;
    Events events;
    EpochSums sums;
    bool validation; /* what evaluations are called by */
} Record;

typedef struct RecordPlaces {
    const char *log;       /* --log; NULL: none */
    const char *folder;    /* of the run; NULL: none */
    int64_t step, epoch;   /* done before: rows up to them are kept */
    int64_t batch, images; /* of the epoch after that, done before: what the
                              log says of them counts in the epoch's row */
    bool validation;       /* images that are held out are evaluated */
    const Plan *plan;
} RecordPlaces;

void record_init(Record *r); /* nothing is open */
bool record_open(Record *r, const RecordPlaces *p, Status *s);
void record_step(Record *r, const StepRow *row);
/* With what the epoch's steps came to. */
void record_epoch(Record *r, const EpochRow *row);
/* Distributions of all parameters. */
void record_histograms(Record *r, const Executor *e, int64_t step);
void record_close(Record *r); /* at any time, twice too */

#endif
