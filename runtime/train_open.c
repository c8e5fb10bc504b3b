/* train_open.c: what a training run opens before its first step:
 *
 *     settings ──> the run's folder ──> executor ──> data ──> weights ──> logs
 */
#include "clock.h"
#include "data.h"
#include "init.h"
#include "keep.h"
#include "train_private.h"
#include "whiten.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The checkpoint's settings come before anything that reads settings. */
bool train_open_resumed(Train *t, Status *s)
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
        if (!rundir_checkpoint(o->resume, t->checkpoint, s))
            return false;
        t->resumed = weights_open(t->checkpoint, s);
        if (!t->resumed ||
            !checkpoint_progress(t->resumed, t->session.plan, &t->progress,
                                 s) ||
            !checkpoint_settings(t->resumed, &t->session.config, s))
            return false;
    } else {
        t->progress.seed = config_int(&t->session.config, "seed", 0);
    }
    return config_check(&t->session.config, s) &&
           schedule_open(&t->schedule, &t->session.config, s);
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

bool train_validates(const Train *t)
{
    return session_eval_images(&t->session) == SESSION_VALIDATION;
}

const char *train_things(const Train *t)
{
    return data_things(loader_set(t->images));
}

/* A feed for the graph; one that is not in the plan stays at -1. */
static bool open_feed(const Train *t, const char *name, Feed *feed, Status *s)
{
    if (!session_graph(&t->session, name, &feed->graph, s))
        return false;
    feed->slots = session_slots(&t->session, feed->graph);
    return true;
}

/* What data.samples, which counts all training images, must be so that the
 * compiler finds that so many of them are trained with; it holds images out and
 * takes a fraction as ir/settings.c does. */
static int64_t samples_in_files(const Config *c, int64_t trained)
{
    double held = config_number(c, "data.validation", 0);
    double share = config_number(c, "data.fraction", 1);
    int64_t near = (int64_t)((double)trained / (share * (1 - held)));
    for (int64_t n = near > 2 ? near - 2 : 0; n <= near + 3; n++)
        if ((int64_t)round(share *
                           (double)(n - (int64_t)round(held * (double)n))) ==
            trained)
            return n;
    return trained;
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
        return status_fail(
            s,
            "the data has %lld training %s and so a last "
            "batch of %lld, for which this program was not "
            "compiled (compile with --set data.samples=%lld, "
            "or with --set tail=drop)",
            (long long)samples, train_things(t), (long long)rows,
            (long long)samples_in_files(&t->session.config, samples));
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
                           "%s was made with %lld training %s, these data "
                           "have %lld (is it another data set? its weights "
                           "can be used with --init)",
                           weights_path(t->resumed),
                           (long long)t->progress.samples, train_things(t),
                           (long long)samples);
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
    return t->predicted || status_fail(s, "no memory");
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
    const ProgressPlan plan = {.epochs = t->epochs,
                               .batches = t->batches,
                               .last_step = t->last_step,
                               .validation = train_validates(t),
                               .things = train_things(t)};
    progress_open(&t->bar, stdout, &plan);
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
    char path[RUNDIR_PATH];
    const Progress *p = &t->progress;
    int64_t images = p->batch * t->train.slots.rows * t->parts;
    const RecordPlaces places = {.log = o->log,
                                 .folder = folder,
                                 .step = p->step,
                                 .epoch = p->epoch,
                                 .batch = p->batch,
                                 .images =
                                     images < p->samples ? images : p->samples,
                                 .validation = train_validates(t),
                                 .plan = t->session.plan};
    if (folder) {
        t->writer = checkpoint_writer_open(t->session.executor,
                                           &t->session.config, folder, s);
        if (!t->writer || (o->overwrite && !rundir_clear(folder, s)))
            return false;
        t->kept_one = access(rundir_path(folder, RUN_LAST, path), F_OK) == 0;
        rundir_describe(folder, &t->session, t->progress.step, train_things(t));
        train_outcome(t, OUTCOME_RUNNING, NULL);
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
           "%s, %s\n",
           x->plan->model, (long long)x->plan->parameters,
           (long long)(t->train.slots.rows * t->parts),
           (long long)loader_samples(t->images),
           (long long)loader_samples(t->test), session_eval_name(x),
           train_things(t), executor_about(x->executor));
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
    for (uint32_t at = 0; config_idle(&x->config, &at, why, sizeof why);)
        printf("note: %s\n", why);
    if (schedule_warning(&t->schedule, &x->config, why, sizeof why))
        printf("note: %s\n", why);
    fflush(stdout);
}

/* ---- all of it ------------------------------------------------------------
 */

bool train_open(Train *t, const Plan *plan, const Options *o, Status *s)
{
    t->began = clock_now();
    record_init(&t->record);
    if (!session_open(&t->session, plan, o, s))
        return false;
    if (!o->data)
        return status_fail(s, "train needs --data DIR, the folder with the "
                              "data set's files");
    /* Before any other thread, so that signals come to one place. */
    t->session.signals = t->signals = signals_open(s);
    if (!t->signals || !train_open_resumed(t, s) || !open_folder(t, s) ||
        !session_executor(&t->session, s) || !open_data(t, s) ||
        !open_weights(t, s) || !open_outputs(t, s))
        return false;
    open_end(t);
    train_greet(t);
    return true;
}
