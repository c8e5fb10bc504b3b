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
#include "checkpoint.h"
#include "clock.h"
#include "commands.h"
#include "evaluate.h"
#include "init.h"
#include "keep.h"
#include "progress.h"
#include "record.h"
#include "report.h"
#include "rundir.h"
#include "schedule.h"
#include "stop.h"
#include "whiten.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    double landed;             /* when the last one was waited for */
    int32_t *predicted, *best; /* classes of the test images: now; of the
                                  best evaluation */
    bool best_is_new;
    int64_t epochs, last_step, eval_every;
    Stop stop;
    bool kept;    /* training images are on the device */
    bool stalled; /* accuracy gets no better: this is the end */
    bool saved;   /* last.safetensors holds just this progress */
    char checkpoint[RUNDIR_PATH]; /* that it goes on from; "": none */
    char folder[RUNDIR_PATH];     /* that it writes into; "": none */
} Train;

/* ---- saving -------------------------------------------------------------- */

static bool train_save_best(Train *t, Status *s)
{
    return !t->writer || checkpoint_save(t->writer, &t->progress, RUN_BEST, s);
}

static bool train_save(Train *t, Status *s)
{
    if (!t->writer || t->saved)
        return true;
    t->saved = checkpoint_save(t->writer, &t->progress, RUN_LAST, s);
    return t->saved;
}

/* ---- one step ------------------------------------------------------------ */

/* Why it went wrong, before the batch's slot is filled again. */
static bool train_blame(Train *t, int graph, const LoaderBatch *batch,
                        double loss, Status *s)
{
    char why[1024];
    executor_blame(t->session.executor, graph, (uint32_t)batch->slot, why,
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

/* The graph skipped this step as those before it, and left all as it was. */
static bool train_stuck(Train *t, int graph, const LoaderBatch *batch,
                        const RunResult *r, Status *s)
{
    char why[1024];
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
                       t->writer ? "; the last checkpoint is kept in " : "",
                       t->writer ? checkpoint_folder(t->writer) : "");
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
    memcpy(t->best, t->predicted, (size_t)result.total * sizeof *t->best);
    t->best_is_new = true;
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
    progress_epoch(&t->bar, t->progress.epoch);
    if (!train_full(t, s) || !train_tail(t, s))
        return false;
    if (t->stop.now || t->progress.batch < t->batches)
        return true;
    return train_epoch_end(t, began, s);
}

/* ---- the whole ----------------------------------------------------------- */

static void train_farewell(Train *t)
{
    const Progress *p = &t->progress;
    const char *where = t->writer ? checkpoint_folder(t->writer) : NULL;
    progress_clear(&t->bar);
    if (t->stop.why[0] && !t->stop.signal && (t->stop.now || t->stalled))
        printf("%s\n", t->stop.why);
    if (t->stop.now && where)
        printf("stopped after step %lld; go on with --resume %s\n",
               (long long)p->step, where);
    else if (t->stop.now)
        printf("stopped after step %lld; nothing was saved (--save-dir)\n",
               (long long)p->step);
    else if (p->best_correct >= 0)
        printf("done after step %lld; best accuracy on the %s images %.2f %% "
               "after epoch %lld%s%s\n",
               (long long)p->step, session_eval_name(&t->session),
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

/* ---- opening ------------------------------------------------------------- */

/* The checkpoint's settings come before anything that reads settings. */
static bool open_resumed(Train *t, Status *s)
{
    const Options *o = t->session.options;
    if ((o->load || o->skip) && !o->init)
        return status_fail(s, "--load and --skip choose among the weights of "
                              "--init FILE, which is missing");
    if (o->resume && o->init)
        return status_fail(s, "--resume and --init exclude each other: a "
                              "checkpoint has its weights in it");
    t->progress =
        (Progress){.best_correct = -1, .best_epoch = -1, .stall_correct = -1};
    if (o->resume) {
        t->resumed =
            weights_open(rundir_checkpoint(o->resume, t->checkpoint), s);
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

/* Weights of others; a part of them, with a line about what that was. */
static bool open_init(const Options *o, Executor *e, Status *s)
{
    WeightFile *f = weights_open(o->init, s);
    WeightsPart part = {o->load, o->skip};
    char text[2048];
    bool done = false;
    if (f && (o->load || o->skip)) {
        done = checkpoint_load_part(f, &part, e, text, sizeof text, s);
        if (done)
            printf("%s\n", text);
    } else if (f) {
        done = checkpoint_load(f, CHECKPOINT_WEIGHTS, e, s);
    }
    weights_close(f);
    return done;
}

static bool open_weights(Train *t, Status *s)
{
    Executor *e = t->session.executor;
    if (!init_states(e, (uint64_t)t->progress.seed, s))
        return false;
    if (t->resumed)
        return checkpoint_load(t->resumed, CHECKPOINT_RESUME, e, s);
    if (!whiten_states(e, t->images, s))
        return false;
    return !t->session.options->init || open_init(t->session.options, e, s);
}

/* A feed for the graph; one that is not in the plan stays at -1. */
static bool open_feed(const Train *t, const char *name, Feed *feed, Status *s)
{
    if (!session_graph(&t->session, name, &feed->graph, s))
        return false;
    feed->slots = session_slots(&t->session, feed->graph);
    return true;
}

/* The graph for the last batch of an epoch: `rows` images, or a full part. */
static bool open_tail(Train *t, int64_t rows, Status *s)
{
    int64_t samples = loader_samples(t->images);
    t->tail = t->train;
    if (rows == 0)
        return true;
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
    int64_t rows = t->train.slots.rows, samples = loader_samples(t->images);
    bool keep = config_is(&t->session.config, "tail", "keep");
    t->full = samples / (rows * t->parts);
    t->batches = t->full + (keep && samples % (rows * t->parts));
    t->schedule.batches = t->batches;
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
    return t->batches == t->full || open_tail(t, samples % rows, s);
}

/* Parts of a batch come in the same memory, whichever graph they are for. */
static bool open_parts(Train *t, Status *s)
{
    Feed part;
    t->part = -1;
    t->parts = config_int(&t->session.config, "accumulate", 1);
    if (t->parts == 1)
        return true;
    if (!open_feed(t, "train_part", &part, s))
        return false;
    t->part = part.graph;
    if (!memcmp(&part.slots, &t->train.slots, sizeof part.slots))
        return true;
    return status_fail(s, "this program is damaged: graphs train and "
                          "train_part have other inputs (compile the model "
                          "again)");
}

/* On a GPU with room for them the training images stay there. */
static bool open_kept(Train *t, Status *s)
{
    const Session *x = &t->session;
    if (t->parts > 1)
        return true;
    if (!keep_images(x, t->images, &t->kept, s))
        return false;
    return !t->kept || (keep_slots(x, t->train.graph, &t->train.slots, s) &&
                        (t->batches == t->full ||
                         keep_slots(x, t->tail.graph, &t->tail.slots, s)));
}

static bool open_data(Train *t, Status *s)
{
    Session *x = &t->session;
    if (!open_feed(t, "train", &t->train, s) || !open_parts(t, s) ||
        !open_feed(t, "eval", &t->eval, s))
        return false;
    t->average.graph = -1;
    if (executor_graph(x->executor, "eval_average") >= 0 &&
        !open_feed(t, "eval_average", &t->average, s))
        return false;
    t->images =
        session_loader(x, t->train.graph, SESSION_TRAIN, t->progress.seed, s);
    if (!t->images)
        return false;
    t->test = session_loader(x, t->eval.graph, session_eval_images(x), 0, s);
    if (!t->test || !open_batches(t, s) || !open_kept(t, s))
        return false;
    size_t n = (size_t)loader_samples(t->test);
    t->predicted = calloc(n, sizeof *t->predicted);
    t->best = calloc(n, sizeof *t->best);
    return (t->predicted && t->best) || status_fail(s, "no memory");
}

static void open_end(Train *t)
{
    int64_t steps = t->session.options->steps;
    t->epochs = config_int(&t->session.config, "epochs", 1);
    t->eval_every = config_int(&t->session.config, "eval_every", 1);
    stop_open(&t->stop, t->signals, &t->session.config, t->session.options);
    if (__builtin_mul_overflow(t->epochs, t->batches, &t->last_step))
        t->last_step = INT64_MAX;
    if (steps >= 0 && steps < t->last_step)
        t->last_step = steps;
    progress_open(&t->bar, stdout, t->epochs, t->batches, t->last_step);
}

/* --save-dir, or with --resume the folder that the checkpoint is in. */
static bool open_folder(Train *t, Status *s)
{
    const Options *o = t->session.options;
    const char *checkpoint = t->resumed ? t->checkpoint : NULL;
    if (o->save_dir)
        snprintf(t->folder, sizeof t->folder, "%s", o->save_dir);
    else if (checkpoint)
        rundir_of(checkpoint, t->folder);
    return !t->folder[0] ||
           rundir_claim(t->folder, checkpoint, o->overwrite, s);
}

static bool open_outputs(Train *t, Status *s)
{
    const Options *o = t->session.options;
    const char *folder = t->folder[0] ? t->folder : NULL;
    const RecordPlaces places = {o->log, folder, t->progress.step,
                                 t->progress.epoch, t->session.plan};
    if (folder) {
        t->writer = checkpoint_writer_open(t->session.executor,
                                           &t->session.config, folder, s);
        if (!t->writer || (o->overwrite && !rundir_clear(folder, s)))
            return false;
        rundir_describe(folder, &t->session, t->progress.step);
    }
    return record_open(&t->record, &places, s);
}

/* What this run has otherwise than the one it goes on from. */
static void greet_changes(const Train *t)
{
    const Config *c = &t->session.config;
    int n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const ConfigItem *item = &c->item[i];
        if (item->was)
            printf("%s %s = %s (was %s)", n++ ? "," : "changed:", item->key,
                   item->text, item->was);
    }
    if (n)
        putchar('\n');
}

static void train_greet(const Train *t)
{
    const Session *x = &t->session;
    printf("%s: %lld parameters, batch %lld, %lld training and %lld %s "
           "images, %s\n",
           x->plan->model, (long long)x->plan->parameters,
           (long long)(t->train.slots.rows * t->parts),
           (long long)loader_samples(t->images),
           (long long)loader_samples(t->test), session_eval_name(x),
           executor_about(x->executor));
    if (t->resumed)
        printf("going on after step %lld (epoch %lld, batch %lld of %lld)\n",
               (long long)t->progress.step, (long long)t->progress.epoch + 1,
               (long long)t->progress.batch, (long long)t->batches);
    if (t->kept)
        printf("the training images stay on the GPU\n");
    greet_changes(t);
    if (*loader_note(t->images))
        printf("note: %s\n", loader_note(t->images));
    if (!t->writer)
        printf("note: without --save-dir nothing is saved\n");
    char why[512];
    if (schedule_warning(&t->schedule, &x->config, why, sizeof why))
        printf("note: %s\n", why);
    fflush(stdout);
}

/* ---- after the end ------------------------------------------------------- */

static void put_predictions(FILE *out, void *user)
{
    const Train *t = user;
    const DataSet *test = loader_set(t->test);
    fputs("image,label,predicted\n", out);
    for (int64_t i = 0; i < test->n; i++)
        fprintf(out, "%lld,%d,%d\n", (long long)i, (int)test->labels[i],
                (int)t->best[i]);
}

/* The run's page, and what it says about what to change.  Whatever ended the
 * run: the page shows it. */
static void train_report(Train *t)
{
    Status s = {0};
    Advice advice = {0};
    const ReportInput in = {t->session.plan, t->folder, loader_set(t->test)};
    char path[RUNDIR_PATH];
    if (!t->folder[0])
        return;
    record_close(&t->record);
    if (t->best_is_new)
        rundir_write(t->folder, RUN_PREDICTIONS, put_predictions, t);
    if (t->session.options->no_report || !report_write(&in, &advice, &s))
        return;
    for (int i = 0; i < advice.n; i++)
        printf("%s %s\n", i ? "        " : "advice: ", advice.text[i]);
    printf("report: %s\n", rundir_path(t->folder, RUN_REPORT, path));
}

/* ---- opening and closing ------------------------------------------------- */

static bool train_open(Train *t, const Plan *plan, const Options *o, Status *s)
{
    record_init(&t->record);
    if (!session_open(&t->session, plan, o, s))
        return false;
    if (!o->data)
        return status_fail(s, "train needs --data DIR, the folder with the "
                              "data set's files");
    /* Before any other thread, so that signals come to one place. */
    t->session.signals = t->signals = signals_open(s);
    if (!t->signals || !open_resumed(t, s) || !open_folder(t, s) ||
        !session_executor(&t->session, s) || !open_data(t, s) ||
        !open_weights(t, s) || !open_outputs(t, s))
        return false;
    open_end(t);
    train_greet(t);
    return true;
}

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
    free(t->best);
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
    bool done = session_open(&t->session, plan, o, s) && open_resumed(t, s);
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
    if (opened)
        train_report(t);
    int signal = t->stop.signal;
    train_close(t);
    free(t);
    return !done ? 1 : signal ? 128 + signal : 0;
}
