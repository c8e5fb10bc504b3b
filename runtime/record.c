/* record.c: see record.h. */
#include "record.h"
#include "rundir.h"
#include "types.h"
#include <math.h>
#include <stdlib.h>

void record_init(Record *r)
{
    *r = (Record){
        .given.fd = -1, .steps.fd = -1, .epochs.fd = -1, .events.fd = -1};
}

/* The steps of an epoch that another process began.  A log without all of them
 * (it was lost, or a disk was full) counts for nothing. */
static void read_sums(EpochSums *x, const char *path, const RecordPlaces *p)
{
    char *line = NULL;
    size_t room = 0;
    EpochSums sums = {.images = p->images};
    FILE *file = fopen(path, "r");
    while (file && getline(&line, &room, file) > 0) {
        double loss = log_number(line, "loss");
        if (log_number(line, "epoch") != (double)p->epoch + 1)
            continue;
        sums.steps++;
        sums.correct += (int64_t)log_number(line, "correct");
        sums.data += 1e-3 * log_number(line, "data_ms");
        sums.compute += 1e-3 * log_number(line, "step_ms");
        if (isfinite(loss)) {
            sums.losses++;
            sums.loss += loss;
        }
    }
    if (file)
        fclose(file);
    free(line);
    if (sums.steps == p->batch && isfinite(sums.data + sums.compute))
        *x = sums;
}

bool record_open(Record *r, const RecordPlaces *p, Status *s)
{
    char path[RUNDIR_PATH];
    record_init(r);
    r->validation = p->validation;
    if (!log_open(&r->given, p->log, p->step, s))
        return false;
    if (!p->folder)
        return true;
    if (!log_open(&r->steps, rundir_path(p->folder, RUN_STEPS, path), p->step,
                  s) ||
        !log_open(&r->epochs, rundir_path(p->folder, RUN_EPOCHS, path),
                  p->epoch, s) ||
        !events_open(&r->events, rundir_path(p->folder, RUN_EVENTS, path),
                     p->step, s))
        return false;
    if (p->batch > 0)
        read_sums(&r->sums, rundir_path(p->folder, RUN_STEPS, path), p);
    if (p->step == 0)
        events_graph(&r->events, p->plan, "train");
    return true;
}

enum { SCALED_FIELDS = 2 }; /* that only runs with a scaled loss have */

void record_step(Record *r, const StepRow *row)
{
    const LogField field[] = {
        {"step", LOG_COUNT, (double)row->step},
        {"epoch", LOG_COUNT, (double)row->epoch},
        {"loss", LOG_REAL, row->loss},
        {"correct", LOG_COUNT, (double)row->correct},
        {"lr", LOG_REAL, row->lr},
        {"data_ms", LOG_TIME, row->data_ms},
        {"step_ms", LOG_TIME, row->step_ms},
        {"loss_scale", LOG_REAL, row->loss_scale},
        {"skips", LOG_COUNT, (double)row->skips},
    };
    int n = sizeof field / sizeof *field - (row->scaled ? 0 : SCALED_FIELDS);
    log_row(&r->given, field, n);
    log_row(&r->steps, field, n);
    const EventScalar scalar[] = {{"step/loss", row->loss},
                                  {"step/lr", row->lr},
                                  {"step/loss_scale", row->loss_scale},
                                  {"step/skips", (double)row->skips}};
    n = sizeof scalar / sizeof *scalar - (row->scaled ? 0 : SCALED_FIELDS);
    events_scalars(&r->events, row->step, scalar, n);
    r->sums.steps++;
    r->sums.images += row->images;
    r->sums.correct += row->correct;
    if (isfinite(row->loss)) { /* skipped steps have none that counts */
        r->sums.losses++;
        r->sums.loss += row->loss;
    }
    r->sums.data += 1e-3 * row->data_ms;
    r->sums.compute += 1e-3 * row->step_ms;
}

/* Evaluation is called by the images that it is of. */
typedef struct EvalNames {
    const char *loss, *accuracy; /* columns of the table */
    const char *event[4];        /* of loss and accuracy; of the average's */
} EvalNames;

static const EvalNames *eval_names(const Record *r)
{
    static const EvalNames test = {"test_loss",
                                   "test_accuracy",
                                   {"loss/test", "accuracy/test",
                                    "loss/test_average",
                                    "accuracy/test_average"}};
    static const EvalNames held = {"val_loss",
                                   "val_accuracy",
                                   {"loss/val", "accuracy/val",
                                    "loss/val_average",
                                    "accuracy/val_average"}};
    return r->validation ? &held : &test;
}

static void epoch_events(Record *r, const EpochRow *row)
{
    const EvalNames *name = eval_names(r);
    double seconds = r->sums.data + r->sums.compute;
    const EventScalar scalar[] = {
        {"loss/train",
         r->sums.losses ? r->sums.loss / (double)r->sums.losses : NAN},
        {name->event[0], row->test_loss},
        {"accuracy/train",
         r->sums.images ? (double)r->sums.correct / (double)r->sums.images
                        : NAN},
        {name->event[1], row->test_accuracy},
        {"speed/images_per_second",
         seconds > 0 ? (double)r->sums.images / seconds : NAN},
        {"speed/data_share", seconds > 0 ? r->sums.data / seconds : NAN},
        {name->event[2], row->average_loss},
        {name->event[3], row->average_accuracy},
    };
    events_scalars(&r->events, row->step, scalar,
                   sizeof scalar / sizeof *scalar - (row->averaged ? 0 : 2));
}

void record_epoch(Record *r, const EpochRow *row)
{
    const EvalNames *name = eval_names(r);
    const LogField field[] = {
        {"epoch", LOG_COUNT, (double)row->epoch},
        {"step", LOG_COUNT, (double)row->step},
        {"loss", LOG_REAL,
         r->sums.losses ? r->sums.loss / (double)r->sums.losses : NAN},
        {"accuracy", LOG_REAL,
         r->sums.images ? (double)r->sums.correct / (double)r->sums.images
                        : NAN},
        {name->loss, LOG_REAL, row->test_loss},
        {name->accuracy, LOG_REAL, row->test_accuracy},
        {"lr", LOG_REAL, row->lr},
        {"images", LOG_COUNT, (double)r->sums.images},
        {"seconds", LOG_TIME, row->seconds},
        {"data_seconds", LOG_TIME, r->sums.data},
        {"step_seconds", LOG_TIME, r->sums.compute},
        {"eval_seconds", LOG_TIME, row->eval_seconds},
        {"best", LOG_FLAG, row->best},
        {"average_loss", LOG_REAL, row->average_loss},
        {"average_accuracy", LOG_REAL, row->average_accuracy},
    };
    log_row(&r->epochs, field,
            sizeof field / sizeof *field - (row->averaged ? 0 : 2));
    epoch_events(r, row);
    r->sums = (EpochSums){0};
}

void record_histograms(Record *r, const Executor *e, int64_t step)
{
    const Plan *plan = executor_plan(e);
    Status s = {0};
    if (!executor_pull(e, &s))
        return; /* what fails here fails where it matters, too */
    for (uint32_t i = 0; i < plan->n_states; i++) {
        const PlanState *x = &plan->states[i];
        if (x->role == PLAN_PARAM)
            events_histogram(&r->events, step, x->name, x->type.dtype,
                             executor_state(e, i), type_elements(&x->type));
    }
}

void record_close(Record *r)
{
    events_close(&r->events);
    log_close(&r->given);
    log_close(&r->steps);
    log_close(&r->epochs);
}
