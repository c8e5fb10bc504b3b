/* train_private.h: what train.c (the run), train_open.c (before it) and
 * train_end.c (after it) share.
 */
#ifndef TGC_TRAIN_PRIVATE_H
#define TGC_TRAIN_PRIVATE_H

#include "checkpoint.h"
#include "loader.h"
#include "outcome.h"
#include "progress.h"
#include "record.h"
#include "rundir.h"
#include "schedule.h"
#include "session.h"
#include "stop.h"

/* A graph together with the memory that its batches come in. */
typedef struct Feed {
    int graph;
    LoaderSlots slots;
} Feed;

/* A run of a graph on a batch, submitted and not yet waited for. */
typedef struct Flight {
    LoaderBatch batch;
    int graph;
    bool last; /* of the step's parts */
    double share, lr, began;
} Flight;

enum { MOST_FLIGHTS = 8 };

typedef struct Train {
    Session session;
    Signals *signals;
    Schedule schedule;
    WeightFile *resumed; /* settings refer to its text */
    Loader *images, *test;
    CheckpointWriter *writer; /* NULL: nothing is saved */
    Record record;
    ProgressBar bar;
    Progress progress;
    Feed train, tail, eval, average; /* graph -1: there is none */
    int part;                        /* graph train_part; -1: none */
    int64_t parts;                   /* of a full step's batch */
    int64_t full, batches;           /* full ones in an epoch; with the tail */
    StepRow row;                     /* of the step under way */
    Flight flight[MOST_FLIGHTS];     /* oldest first */
    int n_flights;
    double landed;      /* when the last one was waited for */
    int32_t *predicted; /* classes of the images of the last evaluation */
    int64_t epochs, last_step, eval_every;
    Stop stop;
    double began;  /* on clock_now */
    bool diverged; /* the loss was not finite: this is the end */
    bool kept;     /* training images are on the device */
    bool stalled;  /* accuracy gets no better: this is the end */
    bool kept_one; /* there is a checkpoint in the folder */
    bool saved;    /* last.safetensors holds just this progress */
    char checkpoint[RUNDIR_PATH]; /* that it goes on from; "": none */
    char folder[RUNDIR_PATH];     /* that it writes into; "": none */
} Train;

/* Everything up to the first step: settings, folder, data, weights, logs, and
 * what is said about them.  On failure, too, the caller closes what is open. */
bool train_open(Train *t, const Plan *plan, const Options *o, Status *s);
/* The settings, with those of the checkpoint that it goes on from. */
bool train_open_resumed(Train *t, Status *s);

/* Are images that are held out evaluated, not the test images? */
bool train_validates(const Train *t);
/* What the data consist of. */
const char *train_things(const Train *t);

/* result.json; why NULL: none. */
void train_outcome(Train *t, OutcomeState state, const char *why);

/* predictions.csv: what the last evaluation said. */
void train_predictions(Train *t);

/* What ended the run, and where it is. */
void train_farewell(Train *t);
/* The same for programs; `s`: what failed. */
void train_end(Train *t, const Status *s);
/* The run's page, and what it says about what to change.  Whatever ended the
 * run: the page shows it. */
void train_report(Train *t);

#endif
