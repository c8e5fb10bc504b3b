/* outcome.h: result.json in a run's folder: how the run stands, or ended, for
 * programs.
 *
 *     {"state": "done", "why": "", "step": 78200, "epoch": 200, "epochs": 200,
 *      "best_accuracy": 0.9172, "best_epoch": 187, "images": "test",
 *      "seconds": 7312.5}
 */
#ifndef TGC_OUTCOME_H
#define TGC_OUTCOME_H

#include "json.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { OUTCOME_WHY = 2048 };

typedef enum OutcomeState {
    OUTCOME_WAITING, /* not begun; only in a series (tgc run-all) */
    OUTCOME_RUNNING, /* or killed: there was no time to say so */
    OUTCOME_DONE,
    OUTCOME_STOPPED,  /* by a signal or the time limit: it can go on */
    OUTCOME_DIVERGED, /* the loss was no longer finite */
    OUTCOME_FAILED
} OutcomeState;

typedef struct Outcome {
    OutcomeState state;
    char why[OUTCOME_WHY]; /* "": its epochs are over */
    int64_t step, epoch;   /* done */
    int64_t epochs;        /* wanted */
    double best_accuracy;  /* 0..1; NAN: none yet */
    int64_t best_epoch;    /* from 1; 0: none yet */
    char images[32];       /* "test" or "validation" */
    double seconds;        /* of the process that wrote this */
} Outcome;

const char *outcome_state_name(OutcomeState state);
bool outcome_state_named(const char *name, OutcomeState *state);

void outcome_put(FILE *out, const Outcome *x);
/* Its fields without the braces; and one of them read back: the value after
 * "key":, a failure where there is no such field. */
void outcome_put_fields(FILE *out, const Outcome *x);
bool outcome_read_field(Json *j, const char *key, Outcome *x);
/* False where there is no such file, or it is not one of these. */
bool outcome_read(const char *path, Outcome *x);

#endif
