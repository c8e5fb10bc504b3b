/* train.c: the command `train`.
 *
 *     for each epoch
 *         for each batch: run graph "train"   (stop here on a signal, save)
 *         the partial batch, where kept: run graph "train_tail"
 *         evaluate; best.safetensors where it was the best; last.safetensors
 *
 * Progress says where that is; it is all that a checkpoint needs to come back
 * to the same place.
 */
#include "checkpoint.h"
#include "clock.h"
#include "commands.h"
#include "evaluate.h"
#include "init.h"
#include "log.h"
#include "progress.h"
#include "schedule.h"
#include <stdlib.h>
#include <string.h>

#define LAST "last.safetensors"
#define BEST "best.safetensors"

/* A graph together with the memory that its batches come in. */
typedef struct Feed {
    int graph;
    LoaderSlots slots;
} Feed;

typedef struct Train {
    Session session;
    Signals *signals;
    Schedule schedule;
    WeightFile *resumed; /* settings refer to its text */
    Loader *images, *test;
    CheckpointWriter *writer; /* NULL: nothing is saved */
    Log log;
    ProgressBar bar;
    Progress progress;
    Feed train, tail, eval; /* tail.graph -1: there is none */
    int64_t full, batches;  /* full ones in an epoch; with the tail */
    int64_t epochs, last_step;
    int stopped; /* the signal that ended it */
    bool saved;  /* last.safetensors holds just this progress */
    char folder[4096];
} Train;

/* ---- saving -------------------------------------------------------------- */

static bool train_save_best(Train *t, Status *s)
{
    return !t->writer || checkpoint_save(t->writer, &t->progress, BEST, s);
}

static bool train_save(Train *t, Status *s)
{
    if (!t->writer || t->saved)
        return true;
    t->saved = checkpoint_save(t->writer, &t->progress, LAST, s);
    return t->saved;
}

/* ---- one step ------------------------------------------------------------ */

/* Why it went wrong, before the batch's slot is filled again. */
static bool train_blame(Train *t, const Feed *feed, const LoaderBatch *batch,
                        double loss, Status *s)
{
    char why[1024];
    executor_blame(t->session.executor, feed->graph, (uint32_t)batch->slot, why,
                   sizeof why);
    return status_fail(s,
                       "step %lld (epoch %lld): the loss is %g: %s%s%s%s (try "
                       "a smaller learning rate or a warm-up)",
                       (long long)t->progress.step + 1,
                       (long long)t->progress.epoch + 1, loss, why,
                       t->writer ? "; the last good checkpoint in " : "",
                       t->writer ? checkpoint_folder(t->writer) : "",
                       t->writer ? " is kept" : "");
}

static bool train_run(Train *t, const Feed *feed, const LoaderBatch *batch,
                      LogRow *row, Status *s)
{
    Executor *e = t->session.executor;
    Progress *p = &t->progress;
    RunResult result;
    double began = clock_now();
    row->lr = schedule_lr(&t->schedule, p->epoch,
                          (double)p->batch / (double)t->batches);
    executor_set(e, feed->graph, "lr", row->lr);
    executor_set(e, feed->graph, "step", (double)p->step);
    executor_set(e, feed->graph, "seed", (double)p->seed);
    if (!executor_run(e, feed->graph, (uint32_t)batch->slot, &result, s))
        return false;
    if (!result.finite)
        return train_blame(t, feed, batch, result.loss, s);
    p->step++;
    p->batch++;
    t->saved = false;
    row->step = p->step;
    row->epoch = p->epoch + 1;
    row->loss = result.loss;
    row->correct = result.correct;
    row->data_ms = 1e3 * batch->wait;
    row->step_ms = 1e3 * (clock_now() - began);
    return true;
}

static void train_show(Train *t, const LoaderBatch *batch, const LogRow *row)
{
    const ProgressStep step = {
        .step = row->step,
        .batch = t->progress.batch,
        .images = batch->count,
        .correct = row->correct,
        .loss = row->loss,
        .data = 1e-3 * row->data_ms,
        .seconds = 1e-3 * (row->data_ms + row->step_ms),
    };
    progress_step(&t->bar, &step);
}

static bool train_step(Train *t, const Feed *feed, const LoaderBatch *batch,
                       Status *s)
{
    LogRow row;
    bool done = train_run(t, feed, batch, &row, s);
    loader_release(t->images, batch->slot);
    if (!done || !log_row(&t->log, &row, s))
        return false;
    train_show(t, batch, &row);
    int64_t every = t->session.options->save_every;
    if (every > 0 && row.step % every == 0 && !train_save(t, s))
        return false;
    t->stopped = signals_pending(t->signals);
    return true;
}

/* ---- one epoch ----------------------------------------------------------- */

static bool train_over(const Train *t)
{
    return t->stopped || t->progress.step >= t->last_step;
}

/* Batches up to end-1 of this epoch, as far as there are and as time allows. */
static bool train_batches(Train *t, const Feed *feed, int64_t end, Status *s)
{
    LoaderBatch batch;
    int64_t left = t->last_step - t->progress.step;
    if (end > t->progress.batch + left)
        end = t->progress.batch + left;
    if (t->progress.batch >= end)
        return true;
    if (!loader_start(t->images, &feed->slots, t->progress.epoch,
                      t->progress.batch, end, s))
        return false;
    while (!train_over(t) && loader_next(t->images, &batch, s))
        if (!train_step(t, feed, &batch, s))
            break;
    loader_stop(t->images);
    return !s->failed;
}

/* The epoch is over: evaluate, and keep what is best. */
static bool train_epoch_end(Train *t, double began, Status *s)
{
    Progress *p = &t->progress;
    Evaluation result;
    progress_note(&t->bar, "evaluating");
    if (!evaluate(&t->session, t->test, t->eval.graph, t->signals, &result, s))
        return false;
    t->stopped = signals_pending(t->signals);
    if (result.stopped)
        return true;
    bool best = result.correct > p->best_correct;
    if (best) {
        p->best_correct = result.correct;
        p->best_epoch = p->epoch;
    }
    const ProgressRow row = {
        .test_loss = result.loss,
        .test_correct = result.correct,
        .test_total = result.total,
        .lr = schedule_lr(&t->schedule, p->epoch, 0),
        .seconds = clock_now() - began,
        .best = best,
    };
    progress_row(&t->bar, &row);
    p->epoch++;
    p->batch = 0;
    t->saved = false;
    return (!best || train_save_best(t, s)) && train_save(t, s);
}

static bool train_epoch(Train *t, Status *s)
{
    double began = clock_now();
    progress_epoch(&t->bar, t->progress.epoch);
    if (!train_batches(t, &t->train, t->full, s))
        return false;
    if (t->tail.graph >= 0 && !t->stopped && t->progress.batch == t->full &&
        !train_batches(t, &t->tail, t->batches, s))
        return false;
    if (t->stopped || t->progress.batch < t->batches)
        return true;
    return train_epoch_end(t, began, s);
}

/* ---- the whole ----------------------------------------------------------- */

static void train_farewell(Train *t)
{
    const Progress *p = &t->progress;
    const char *where = t->writer ? checkpoint_folder(t->writer) : NULL;
    progress_clear(&t->bar);
    if (t->stopped && where)
        printf("stopped after step %lld; go on with --resume %s/" LAST "\n",
               (long long)p->step, where);
    else if (t->stopped)
        printf("stopped after step %lld; nothing was saved (--save-dir)\n",
               (long long)p->step);
    else if (p->best_correct >= 0)
        printf("done after step %lld; best accuracy on the test images %.2f %% "
               "after epoch %lld%s%s\n",
               (long long)p->step,
               100.0 * (double)p->best_correct /
                   (double)loader_samples(t->test),
               (long long)p->best_epoch + 1, where ? ", saved in " : "",
               where ? where : "");
    else
        printf("done after step %lld%s%s\n", (long long)p->step,
               where ? ", saved in " : "", where ? where : "");
}

static bool train_loop(Train *t, Status *s)
{
    Progress *p = &t->progress;
    while (!t->stopped && p->epoch < t->epochs &&
           (p->step < t->last_step || p->batch == t->batches))
        if (!train_epoch(t, s))
            return false;
    /* After an epoch's end that is done already. */
    if (!train_save(t, s))
        return false;
    train_farewell(t);
    return true;
}

/* ---- opening ------------------------------------------------------------- */

/* The checkpoint's settings come before anything that reads settings. */
static bool open_resumed(Train *t, Status *s)
{
    const Options *o = t->session.options;
    if (o->resume && o->init)
        return status_fail(s, "--resume and --init exclude each other: a "
                              "checkpoint has its weights in it");
    t->progress = (Progress){.best_correct = -1, .best_epoch = -1};
    if (o->resume) {
        t->resumed = weights_open(o->resume, s);
        if (!t->resumed ||
            !checkpoint_progress(t->resumed, t->session.plan, &t->progress,
                                 s) ||
            !checkpoint_settings(t->resumed, &t->session.config, s))
            return false;
    } else {
        t->progress.seed = config_int(&t->session.config, "seed", 0);
    }
    return schedule_open(&t->schedule, &t->session.config, s);
}

static bool open_weights(Train *t, Status *s)
{
    Executor *e = t->session.executor;
    const char *init = t->session.options->init;
    if (!init_states(e, (uint64_t)t->progress.seed, s))
        return false;
    if (t->resumed)
        return checkpoint_load(t->resumed, CHECKPOINT_RESUME, e, s);
    if (!init)
        return true;
    WeightFile *f = weights_open(init, s);
    bool done = f && checkpoint_load(f, CHECKPOINT_WEIGHTS, e, s);
    weights_close(f);
    return done;
}

/* A feed for the graph; one that is not in the plan stays at -1. */
static bool open_feed(const Train *t, const char *name, Feed *feed, Status *s)
{
    if (!session_graph(&t->session, name, &feed->graph, s))
        return false;
    feed->slots = session_slots(&t->session, feed->graph);
    return true;
}

static bool open_tail(Train *t, int64_t rows, Status *s)
{
    int64_t samples = loader_samples(t->images);
    if (executor_graph(t->session.executor, "train_tail") < 0 ||
        !open_feed(t, "train_tail", &t->tail, s) || t->tail.slots.rows != rows)
        return status_fail(s,
                           "the data has %lld training images and so a last "
                           "batch of %lld, for which this program was not "
                           "compiled (compile with --set data.samples=%lld, "
                           "or with --set tail=drop)",
                           (long long)samples, (long long)rows,
                           (long long)samples);
    return true;
}

static bool open_batches(Train *t, Status *s)
{
    int64_t batch = t->train.slots.rows, samples = loader_samples(t->images);
    t->full = samples / batch;
    t->batches = loader_batches(t->images);
    t->tail.graph = -1;
    if (t->resumed && t->progress.samples != samples)
        return status_fail(s,
                           "%s was made with %lld training images, these data "
                           "have %lld (is it another data set? its weights "
                           "can be used with --init)",
                           weights_path(t->resumed),
                           (long long)t->progress.samples, (long long)samples);
    if (t->progress.batch > t->batches)
        return status_fail(s, "%s is damaged: batch %lld of %lld",
                           weights_path(t->resumed),
                           (long long)t->progress.batch, (long long)t->batches);
    t->progress.samples = samples;
    return t->batches == t->full || open_tail(t, samples % batch, s);
}

static bool open_data(Train *t, Status *s)
{
    Session *x = &t->session;
    if (!open_feed(t, "train", &t->train, s) ||
        !open_feed(t, "eval", &t->eval, s))
        return false;
    t->images = session_loader(x, t->train.graph, true, t->progress.seed, s);
    if (!t->images)
        return false;
    t->test = session_loader(x, t->eval.graph, false, 0, s);
    return t->test && open_batches(t, s);
}

static void open_end(Train *t)
{
    int64_t steps = t->session.options->steps;
    t->epochs = config_int(&t->session.config, "epochs", 1);
    if (__builtin_mul_overflow(t->epochs, t->batches, &t->last_step))
        t->last_step = INT64_MAX;
    if (steps >= 0 && steps < t->last_step)
        t->last_step = steps;
    progress_open(&t->bar, stdout, t->epochs, t->batches, t->last_step);
}

/* --save-dir, or with --resume the folder that the checkpoint is in. */
static const char *save_folder(Train *t)
{
    const Options *o = t->session.options;
    if (o->save_dir || !o->resume)
        return o->save_dir;
    const char *slash = strrchr(o->resume, '/');
    if (!slash)
        return ".";
    int n = slash == o->resume ? 1 : (int)(slash - o->resume);
    snprintf(t->folder, sizeof t->folder, "%.*s", n, o->resume);
    return t->folder;
}

static bool open_outputs(Train *t, Status *s)
{
    const Options *o = t->session.options;
    const char *folder = save_folder(t);
    if (folder) {
        t->writer = checkpoint_writer_open(t->session.executor,
                                           &t->session.config, folder, s);
        if (!t->writer)
            return false;
    }
    return log_open(&t->log, o->log, t->progress.step, s);
}

static void train_greet(const Train *t)
{
    const Session *x = &t->session;
    printf("%s: %lld parameters, batch %lld, %lld training and %lld test "
           "images, %d thread%s\n",
           x->plan->model, (long long)x->plan->parameters,
           (long long)t->train.slots.rows, (long long)loader_samples(t->images),
           (long long)loader_samples(t->test), executor_threads(x->executor),
           executor_threads(x->executor) == 1 ? "" : "s");
    if (t->resumed)
        printf("going on after step %lld (epoch %lld, batch %lld of %lld)\n",
               (long long)t->progress.step, (long long)t->progress.epoch + 1,
               (long long)t->progress.batch, (long long)t->batches);
    if (!t->writer)
        printf("note: without --save-dir nothing is saved\n");
    const Schedule *c = &t->schedule;
    if (c->kind == LR_MULTISTEP && c->at[c->n_at - 1] >= (double)t->epochs)
        printf("note: schedule.at has epoch %g, but training ends after %lld\n",
               c->at[c->n_at - 1], (long long)t->epochs);
    fflush(stdout);
}

static bool train_open(Train *t, const Plan *plan, const Options *o, Status *s)
{
    t->log.fd = -1;
    if (!session_open(&t->session, plan, o, s))
        return false;
    if (!o->data)
        return status_fail(s, "train needs --data DIR, the folder with the "
                              "data set's files");
    /* Before any other thread, so that signals come to one place. */
    t->signals = signals_open(s);
    if (!t->signals || !open_resumed(t, s) ||
        !session_executor(&t->session, s) || !open_weights(t, s) ||
        !open_data(t, s) || !open_outputs(t, s))
        return false;
    open_end(t);
    train_greet(t);
    return true;
}

static bool train_close(Train *t, Status *s)
{
    loader_close(t->images);
    loader_close(t->test);
    checkpoint_writer_close(t->writer);
    signals_close(t->signals);
    session_close(&t->session);
    weights_close(t->resumed);
    return log_close(&t->log, s);
}

int command_train(const Plan *plan, const Options *o, Status *s)
{
    Train *t = calloc(1, sizeof *t);
    if (!t) {
        status_fail(s, "no memory");
        return 1;
    }
    bool done = train_open(t, plan, o, s) && train_loop(t, s);
    if (!done)
        progress_clear(&t->bar);
    int stopped = t->stopped;
    done = train_close(t, s) && done;
    free(t);
    return !done ? 1 : stopped ? 128 + stopped : 0;
}
