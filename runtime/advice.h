/* advice.h: what a run shows that its owner might want to change, by rules in
 * a table: one or two sentences each, with the figures they rest on. */
#ifndef TGC_ADVICE_H
#define TGC_ADVICE_H

#include "history.h"

/* What the rules look at.  Shares and accuracies are 0..1; NAN: not known. */
typedef struct AdviceFacts {
    int epochs;    /* with a row in the table */
    bool diverged; /* ended with a loss that was not finite */
    int64_t steps; /* with a row in the log */
    double lr;     /* of the last one */
    bool f16;
    const char *images;     /* evaluated on: "test", "validation" */
    const char *things;     /* the data: "images", "samples" */
    double data_share;      /* of the time of training steps */
    double eval_share;      /* of all time */
    double first_loss;      /* of the first step */
    double loss, best_loss; /* of the last epoch; the lowest of all */
    double accuracy;        /* training, last epoch */
    double test_accuracy, best_accuracy; /* last; best */
    int since_best;                      /* epochs since the best */
    double flat;    /* highest less lowest test accuracy of the last epochs */
    double skipped; /* share of steps skipped for an overflow */
    double seconds; /* of a whole run so far */
    int classes;
    int threads, cores;
    double planned, memory; /* bytes: of the run; of the machine */
    double batch;
    bool augmented;
} AdviceFacts;

enum { ADVICE_MOST = 8, ADVICE_ROOM = 400 };

typedef struct Advice {
    int n;
    char text[ADVICE_MOST][ADVICE_ROOM];
} Advice;

AdviceFacts advice_facts(const History *h);
void advice_give(const AdviceFacts *f, Advice *advice);

#endif
