/* history.h: a run's folder read back: what its logs say.
 *
 * The files may have been cut, or written by somebody else: what is not as
 * expected is left out.
 */
#ifndef TGC_HISTORY_H
#define TGC_HISTORY_H

#include "outcome.h"
#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum HistoryColumn {
    HISTORY_EPOCH,
    HISTORY_STEP,
    HISTORY_LOSS,
    HISTORY_ACCURACY,
    HISTORY_TEST_LOSS,
    HISTORY_TEST_ACCURACY,
    HISTORY_LR,
    HISTORY_IMAGES,
    HISTORY_SECONDS,
    HISTORY_DATA_SECONDS,
    HISTORY_STEP_SECONDS,
    HISTORY_EVAL_SECONDS,
    HISTORY_BEST,
    HISTORY_COLUMNS
} HistoryColumn;

typedef struct HistoryEpoch {
    double value[HISTORY_COLUMNS]; /* NAN: not there */
} HistoryEpoch;

/* A stretch of steps: the mean of their losses, the last one's rate. */
typedef struct HistoryPoint {
    double epoch; /* in epochs, 0.5 is the middle of the first */
    double loss, lr;
} HistoryPoint;

/* A pair out of run.json: "settings", "batch", "128". */
typedef struct HistoryFact {
    char *section, *key, *value;
} HistoryFact;

typedef struct History {
    HistoryEpoch *epoch;
    size_t n_epochs, room_epochs;
    HistoryPoint *point; /* at most a few hundred, however long the run */
    size_t n_points;
    int64_t steps; /* rows of steps.jsonl */
    double first_loss, last_lr;
    double skips;    /* steps without an update, for an overflow; NAN */
    Outcome outcome; /* running where the folder does not say */
    HistoryFact *fact;
    size_t n_facts, room_facts;
    int32_t *label, *predicted; /* of test image i; NULL: not there */
    size_t n_predictions, room_predictions;
} History;

/* Whatever of it is there; false where the folder cannot be read, or memory
 * runs out. */
bool history_read(History *h, const char *folder, Status *s);
void history_free(History *h);

/* "" where run.json does not say. */
const char *history_fact(const History *h, const char *section,
                         const char *key);

/* What the run was evaluated on: "test", "validation". */
const char *history_images(const History *h);
/* What the data consist of: "images", "samples". */
const char *history_things(const History *h);

#endif
