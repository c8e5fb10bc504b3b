/* train.c: the command `train`.
 *
 *     for each epoch
 *         for each step: run graph "train"   (stop here on a signal, save)
 *         the partial batch, where kept: run graph "train_tail"
 *         evaluate; best.safetensors where it was the best; last.safetensors
 *
 * Where a step's batch comes in parts, all but the last go to "train_part",
 * which adds up gradients; the loader's batches are these parts.
 *
 * Progress says where that is; it is all that a checkpoint needs to come back
 * to the same place.
 */
#include "clock.h"
#include "commands.h"
#include "evaluate.h"
#include "train_private.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- saving -------------------------------------------------------------- */

static bool train_save_best(Train *t, Status *s)
{
    if (!t->writer)
        return true;
    train_predictions(t);
    return checkpoint_save(t->writer, &t->progress, RUN_BEST, s);
}

static bool train_save(Train *t, Status *s)
{
    if (!t->writer || t->saved)
        return true;
    t->saved = checkpoint_save(t->writer, &t->progress, RUN_LAST, s);
    t->kept_one = t->kept_one || t->saved;
    return t->saved;
}

/* ---- one step ------------------------------------------------------------ */

/* Why it went wrong, before the batch's slot is filled again. */
static bool train_blame(Train *t, int graph, const LoaderBatch *batch,
                        double loss, Status *s)
{
    char why[1024];
    t->diverged = true;
    executor_blame(t->session.executor, graph, (uint32_t)batch->slot, why,
                   sizeof why);
    return status_fail(s,
                       "step %lld (epoch %lld): the loss is %g: %s%s%s%s (try "
                       "a smaller learning rate or a warm-up)",
                       (long long)t->progress.step + 1,
                       (long long)t->progress.epoch + 1,
                       isnan(loss) ? (double)NAN : loss, why, /* not -nan */
                       t->kept_one ? "; the last good checkpoint in " : "",
                       t->kept_one ? checkpoint_folder(t->writer) : "",
                       t->kept_one ? " is kept" : "");
}

/* The graph skipped this step as those before it, and left all as it was. */
static bool train_stuck(Train *t, int graph, const LoaderBatch *batch,
                        const RunResult *r, Status *s)
{
    char why[1024];
    t->diverged = true;
    executor_blame(t->session.executor, graph, (uint32_t)batch->slot, why,
                   sizeof why);
    return status_fail(s,
                       "step %lld (epoch %lld): %lld steps in a row were "
                       "skipped, their gradients are too large for f16 with a "
                       "loss scale of %g: %s (try a smaller learning rate, a "
                       "smaller loss_scale.floor, or precision = bf16)%s%s",
                       (long long)t->progress.step + 1,
                       (long long)t->progress.epoch + 1,
                       (long long)r->skips_in_row, r->loss_scale, why,
                       t->kept_one ? "; the last checkpoint is kept in " : "",
                       t->kept_one ? checkpoint_folder(t->writer) : "");
}

/* Can the run go on after that? */
static bool train_sound(Train *t, int graph, const LoaderBatch *batch,
                        const RunResult *r, Status *s)
{
    if (!r->scaled)
        return r->finite || train_blame(t, graph, batch, r->loss, s);
    return r->skips_in_row <
               config_int(&t->session.config, "loss_scale.most_skips", 1) ||
           train_stuck(t, graph, batch, r, s);
}

/* Images of step `step` of the epoch. */
static int64_t step_images(const Train *t, int64_t step)
{
    int64_t batch = t->train.slots.rows * t->parts;
    if (step < t->full)
        return batch;
    return t->progress.samples - t->full * batch;
}

/* One of the loader's batches: a step, or a part of one. */
static bool train_submit(Train *t, const Feed *feed, const LoaderBatch *batch,
                         Status *s)
{
    Executor *e = t->session.executor;
    const Progress *p = &t->progress;
    int64_t step = batch->batch / t->parts, part = batch->batch % t->parts;
    double at = (double)step / (double)t->batches;
    Flight *f = &t->flight[t->n_flights];
    *f = (Flight){.batch = *batch, .began = clock_now()};
    f->last =
        part + 1 == t->parts || batch->batch + 1 == loader_batches(t->images);
    f->graph = f->last ? feed->graph : t->part;
    f->share = (double)batch->count / (double)step_images(t, step);
    f->lr = schedule_lr(&t->schedule, p->epoch, at);
    executor_set(e, f->graph, "lr", f->lr);
    executor_set(e, f->graph, "mix", batch->mix);
    executor_set(e, f->graph, "momentum",
                 schedule_momentum(&t->schedule, p->epoch, at));
    executor_set(e, f->graph, "step",
                 (double)((p->step + step - p->batch) * t->parts + part));
    executor_set(e, f->graph, "seed", (double)p->seed);
    executor_set(e, f->graph, "share", f->share);
    if (!executor_submit(e, f->graph, (uint32_t)batch->slot, s))
        return false;
    t->n_flights++;
    return true;
}

static void train_show(Train *t)
{
    const StepRow *row = &t->row;
    const ProgressStep step = {
        .step = row->step,
        .batch = t->progress.batch,
        .images = row->images,
        .correct = row->correct,
        .skips = row->skips,
        .loss = row->loss,
        .data = 1e-3 * row->data_ms,
        .seconds = 1e-3 * (row->data_ms + row->step_ms),
    };
    progress_step(&t->bar, &step);
}

static bool train_step_end(Train *t, Status *s)
{
    int64_t every = t->session.options->save_every;
    StepRow *row = &t->row;
    t->saved = false;
    row->step = ++t->progress.step;
    row->epoch = t->progress.epoch + 1;
    t->progress.batch++;
    record_step(&t->record, row);
    train_show(t);
    bool save = every > 0 && row->step % every == 0;
    t->row = (StepRow){0};
    if (save && !train_save(t, s))
        return false;
    stop_asked(&t->stop);
    return true;
}

/* What the oldest run under way came to. */
static bool train_collect(Train *t, Status *s)
{
    Flight f = t->flight[0];
    StepRow *row = &t->row;
    RunResult result;
    memmove(t->flight, t->flight + 1,
            (size_t)--t->n_flights * sizeof *t->flight);
    if (!executor_wait(t->session.executor, &result, s) ||
        !train_sound(t, f.graph, &f.batch, &result, s))
        return false;
    loader_release(t->images, f.batch.slot);
    double now = clock_now();
    row->lr = f.lr;
    row->scaled = result.scaled;
    row->loss_scale = result.loss_scale;
    row->skips = result.skips;
    row->images += f.batch.count;
    row->loss += t->parts > 1 ? f.share * result.loss : result.loss;
    row->correct += result.correct;
    row->data_ms += 1e3 * f.batch.wait;
    row->step_ms += 1e3 * (now - (f.began > t->landed ? f.began : t->landed));
    t->landed = now;
    return !f.last || train_step_end(t, s);
}

/* How many runs may be under way after this one: none where its states are to
 * be saved, and none where a step has parts, so that a run stops only between
 * steps. */
static int train_ahead(const Train *t, const LoaderBatch *batch)
{
    int64_t every = t->session.options->save_every;
    int64_t step = t->progress.step + batch->batch - t->progress.batch + 1;
    int depth = executor_depth(t->session.executor);
    if (t->parts > 1 || (every > 0 && step % every == 0))
        return 0;
    return (depth < MOST_FLIGHTS ? depth : MOST_FLIGHTS) - 1;
}

static bool train_batch(Train *t, const Feed *feed, const LoaderBatch *batch,
                        Status *s)
{
    int ahead = train_ahead(t, batch);
    if (!train_submit(t, feed, batch, s))
        return false;
    while (t->n_flights > ahead)
        if (!train_collect(t, s))
            return false;
    return true;
}

/* ---- one epoch ----------------------------------------------------------- */

static bool train_over(const Train *t)
{
    return t->stop.now || t->progress.step >= t->last_step;
}

/* The loader's batches first .. end-1 of this epoch. */
static bool train_batches(Train *t, const Feed *feed, int64_t first,
                          int64_t end, Status *s)
{
    LoaderBatch batch;
    if (first >= end)
        return true;
    if (!loader_start(t->images, &feed->slots, t->progress.epoch, first, end,
                      s))
        return false;
    while (!train_over(t) && loader_next(t->images, &batch, s))
        if (!train_batch(t, feed, &batch, s))
            break;
    while (!s->failed && t->n_flights)
        train_collect(t, s);
    loader_stop(t->images);
    return !s->failed;
}

/* Full steps, as far as there are and as --steps allows. */
static bool train_full(Train *t, Status *s)
{
    const Progress *p = &t->progress;
    int64_t left = t->last_step - p->step, end = t->full;
    if (end > p->batch + left)
        end = p->batch + left;
    return train_batches(t, &t->train, p->batch * t->parts, end * t->parts, s);
}

/* The last, smaller step: full parts, then what is left. */
static bool train_tail(Train *t, Status *s)
{
    int64_t first = t->full * t->parts, end = loader_batches(t->images);
    if (t->full == t->batches || t->progress.batch != t->full || train_over(t))
        return true;
    return train_batches(t, &t->train, first, end - 1, s) &&
           train_batches(t, &t->tail, end - 1, end, s);
}

/* Every so many epochs and after the last one; which one that is must not
 * depend on where a run was stopped. */
static bool train_evaluates(const Train *t)
{
    int64_t epoch = t->progress.epoch + 1;
    return epoch % t->eval_every == 0 || epoch == t->epochs;
}

/* The average of the weights on the test images; what decides about the best
 * is its result then.  False with result->stopped, or an error. */
static bool train_evaluate_average(Train *t, EpochRow *row, Evaluation *result,
                                   Status *s)
{
    if (!row->averaged)
        return true;
    if (!evaluate(&t->session, t->test, t->average.graph, t->signals,
                  t->predicted, result, s) ||
        result->stopped)
        return false;
    row->average_loss = result->loss;
    row->average_accuracy = (double)result->correct / (double)result->total;
    return true;
}

/* The test images, and what they say about the best weights.  True without a
 * row where a signal came in between. */
static bool train_evaluate(Train *t, EpochRow *row, Status *s)
{
    Progress *p = &t->progress;
    Evaluation result;
    double began = clock_now();
    progress_note(&t->bar, "evaluating");
    if (!evaluate(&t->session, t->test, t->eval.graph, t->signals, t->predicted,
                  &result, s))
        return false;
    row->test_loss = result.loss;
    row->test_accuracy = (double)result.correct / (double)result.total;
    bool done = !result.stopped && train_evaluate_average(t, row, &result, s);
    stop_asked(&t->stop);
    if (!done)
        return !s->failed;
    row->epoch = p->epoch + 1;
    row->eval_seconds = clock_now() - began;
    row->best = result.correct > p->best_correct;
    stop_count(&t->stop, p, result.correct, result.total);
    if (!row->best)
        return true;
    p->best_correct = result.correct;
    p->best_epoch = p->epoch;
    return true;
}

/* The epoch is over: evaluate, and keep what is best. */
static bool train_epoch_end(Train *t, double began, Status *s)
{
    Progress *p = &t->progress;
    EpochRow row = {.test_loss = NAN,
                    .test_accuracy = NAN,
                    .averaged = t->average.graph >= 0,
                    .average_loss = NAN,
                    .average_accuracy = NAN};
    if (!train_evaluates(t))
        row.epoch = p->epoch + 1;
    else if (!train_evaluate(t, &row, s))
        return false;
    if (!row.epoch)
        return true;
    row.step = p->step;
    row.lr = schedule_lr(&t->schedule, p->epoch, 0);
    row.seconds = clock_now() - began;
    progress_row(&t->bar, &row);
    record_epoch(&t->record, &row);
    int64_t every = t->session.options->histograms;
    if (every > 0 && row.epoch % every == 0)
        record_histograms(&t->record, t->session.executor, row.step);
    p->epoch++;
    p->batch = 0;
    t->saved = false;
    return (!row.best || train_save_best(t, s)) && train_save(t, s);
}

static bool train_epoch(Train *t, Status *s)
{
    double began = clock_now();
    progress_epoch(&t->bar, t->progress.epoch, &t->record.sums);
    if (!train_full(t, s) || !train_tail(t, s))
        return false;
    if (t->stop.now || t->progress.batch < t->batches)
        return true;
    return train_epoch_end(t, began, s);
}

/* ---- the whole ----------------------------------------------------------- */

static bool train_loop(Train *t, Status *s)
{
    Progress *p = &t->progress;
    while (!t->stop.now && p->epoch < t->epochs &&
           (p->step < t->last_step || p->batch == t->batches)) {
        t->stalled = p->batch == 0 && stop_stalled(&t->stop, p);
        if (t->stalled)
            break;
        if (!train_epoch(t, s))
            return false;
    }
    /* After an epoch's end that is done already. */
    if (!train_save(t, s))
        return false;
    train_farewell(t);
    return true;
}

/* ---- the command --------------------------------------------------------- */

static void train_close(Train *t)
{
    record_close(&t->record);
    loader_close(t->images);
    loader_close(t->test);
    checkpoint_writer_close(t->writer);
    signals_close(t->signals);
    session_close(&t->session);
    weights_close(t->resumed);
    free(t->predicted);
}

/* --print-config: the settings as they would be in force. */
static int train_print_config(const Plan *plan, const Options *o, Status *s)
{
    Train *t = calloc(1, sizeof *t);
    if (!t) {
        status_fail(s, "no memory");
        return 1;
    }
    record_init(&t->record);
    bool done =
        session_open(&t->session, plan, o, s) && train_open_resumed(t, s);
    for (uint32_t i = 0; done && i < t->session.config.n; i++) {
        const ConfigItem *item = &t->session.config.item[i];
        printf("%-26s %-32s %s\n", item->key, item->text ? item->text : "-",
               config_origin(item));
    }
    train_close(t);
    free(t);
    return done ? 0 : 1;
}

int command_train(const Plan *plan, const Options *o, Status *s)
{
    if (o->print_config)
        return train_print_config(plan, o, s);
    Train *t = calloc(1, sizeof *t);
    if (!t) {
        status_fail(s, "no memory");
        return 1;
    }
    bool opened = train_open(t, plan, o, s);
    bool done = opened && train_loop(t, s);
    if (!done)
        progress_clear(&t->bar);
    if (opened) {
        train_end(t, s);
        train_report(t);
    }
    int signal = t->stop.signal;
    train_close(t);
    free(t);
    return !done ? 1 : signal ? 128 + signal : 0;
}
