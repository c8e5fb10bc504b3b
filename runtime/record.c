/* record.c: see record.h. */
#include "record.h"
#include "rundir.h"
#include "types.h"
#include <math.h>

void record_init(Record *r)
{
    *r = (Record){
        .given.fd = -1, .steps.fd = -1, .epochs.fd = -1, .events.fd = -1};
}

bool record_open(Record *r, const RecordPlaces *p, Status *s)
{
    char path[RUNDIR_PATH];
    record_init(r);
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
    r->images += row->images;
    r->correct += row->correct;
    if (isfinite(row->loss)) { /* skipped steps have none that counts */
        r->n++;
        r->loss += row->loss;
    }
    r->data += 1e-3 * row->data_ms;
    r->compute += 1e-3 * row->step_ms;
}

static void epoch_events(Record *r, const EpochRow *row)
{
    double seconds = r->data + r->compute;
    const EventScalar scalar[] = {
        {"loss/train", r->n ? r->loss / (double)r->n : NAN},
        {"loss/test", row->test_loss},
        {"accuracy/train",
         r->images ? (double)r->correct / (double)r->images : NAN},
        {"accuracy/test", row->test_accuracy},
        {"speed/images_per_second",
         seconds > 0 ? (double)r->images / seconds : NAN},
        {"speed/data_share", seconds > 0 ? r->data / seconds : NAN},
        {"loss/test_average", row->average_loss},
        {"accuracy/test_average", row->average_accuracy},
    };
    events_scalars(&r->events, row->step, scalar,
                   sizeof scalar / sizeof *scalar - (row->averaged ? 0 : 2));
}

void record_epoch(Record *r, const EpochRow *row)
{
    const LogField field[] = {
        {"epoch", LOG_COUNT, (double)row->epoch},
        {"step", LOG_COUNT, (double)row->step},
        {"loss", LOG_REAL, r->n ? r->loss / (double)r->n : NAN},
        {"accuracy", LOG_REAL,
         r->images ? (double)r->correct / (double)r->images : NAN},
        {"test_loss", LOG_REAL, row->test_loss},
        {"test_accuracy", LOG_REAL, row->test_accuracy},
        {"lr", LOG_REAL, row->lr},
        {"images", LOG_COUNT, (double)r->images},
        {"seconds", LOG_TIME, row->seconds},
        {"data_seconds", LOG_TIME, r->data},
        {"step_seconds", LOG_TIME, r->compute},
        {"eval_seconds", LOG_TIME, row->eval_seconds},
        {"best", LOG_FLAG, row->best},
        {"average_loss", LOG_REAL, row->average_loss},
        {"average_accuracy", LOG_REAL, row->average_accuracy},
    };
    log_row(&r->epochs, field,
            sizeof field / sizeof *field - (row->averaged ? 0 : 2));
    epoch_events(r, row);
    r->n = r->images = r->correct = 0;
    r->loss = r->data = r->compute = 0;
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
