/* session.c: see session.h. */
#include "session.h"
#include "data.h"
#include "file.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS_MOST = 4096, LOADER_THREADS_MOST = 8 };

bool session_open(Session *x, const Plan *plan, const Options *o, Status *s)
{
    *x = (Session){.plan = plan, .options = o};
    if (!config_open(&x->config, plan, s))
        return false;
    for (int i = 0; i < o->n_settings; i++) {
        const OptionSetting *set = &o->setting[i];
        bool done = set->key ? config_set(&x->config, set->key, set->text, s)
                             : config_assign(&x->config, set->text, s);
        if (!done)
            return false;
    }
    return true;
}

int session_threads(const Session *x)
{
    int64_t n = config_int(&x->config, "threads", 0);
    if (n <= 0)
        n = omp_get_num_procs();
    return (int)(n > THREADS_MOST ? THREADS_MOST : n);
}

static bool open_executor(Session *x, bool sparse, Status *s)
{
    const char *poison = getenv("TGC_POISON");
    ExecutorOptions o = {.threads = session_threads(x),
                         .poison = poison && !strcmp(poison, "1"),
                         .sparse = sparse,
                         .device = x->options->device,
                         .check = x->options->check};
    x->executor = executor_open(x->plan, &o, s);
    return x->executor != NULL;
}

bool session_executor(Session *x, Status *s)
{
    return open_executor(x, false, s);
}

bool session_executor_sparse(Session *x, Status *s)
{
    return open_executor(x, true, s);
}

void session_close(Session *x)
{
    executor_close(x->executor);
    config_close(&x->config);
}

bool session_graph(const Session *x, const char *name, int *graph, Status *s)
{
    *graph = executor_graph(x->executor, name);
    if (*graph < 0)
        return status_fail(s, "%s was compiled without the graph \"%s\"",
                           x->plan->model, name);
    const PlanPort *image = executor_port(x->executor, *graph, "image");
    const PlanPort *label = executor_port(x->executor, *graph, "label");
    bool fits = image && label && image->type.dtype == PLAN_F32 &&
                image->type.rank == 4 && label->type.dtype == PLAN_I32 &&
                label->type.rank == 1 &&
                label->type.dim[0] == image->type.dim[0];
    if (!fits)
        return status_fail(
            s,
            "graph \"%s\" of %s does not take image f32[N,C,H,W] "
            "and label i32[N]",
            name, x->plan->model);
    /* Everything that it asks for must be something that is given. */
    static const char *const known[] = {
        "image", "label", "count",       "lr",  "momentum",
        "step",  "seed",  "other_label", "mix", "share"};
    const PlanGraph *g = &x->plan->graphs[*graph];
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            found = found || !strcmp(g->inputs[i].name, known[k]);
        if (!found)
            return status_fail(s,
                               "graph \"%s\" of %s asks for the input \"%s\", "
                               "which this runtime does not know",
                               name, x->plan->model, g->inputs[i].name);
    }
    return true;
}

LoaderSlots session_slots(const Session *x, int graph)
{
    const PlanPort *image = executor_port(x->executor, graph, "image");
    const PlanPort *label = executor_port(x->executor, graph, "label");
    const PlanPort *other = executor_port(x->executor, graph, "other_label");
    uint32_t n = image->slots < label->slots ? image->slots : label->slots;
    LoaderSlots slots;
    memset(&slots, 0, sizeof slots); /* so that two can be compared */
    slots.rows = image->type.dim[0];
    slots.n = (int)(n > LOADER_MAX_SLOTS ? LOADER_MAX_SLOTS : n);
    for (int i = 0; i < slots.n; i++) {
        slots.image[i] = executor_input(x->executor, graph, image, (uint32_t)i);
        slots.label[i] = executor_input(x->executor, graph, label, (uint32_t)i);
        if (other)
            slots.other[i] =
                executor_input(x->executor, graph, other, (uint32_t)i);
    }
    return slots;
}

static int session_flip(const Config *c)
{
    return config_is(c, "data.flip", "horizontal")  ? LOADER_FLIP_RANDOM
           : config_is(c, "data.flip", "alternate") ? LOADER_FLIP_ALTERNATE
                                                    : LOADER_FLIP_NONE;
}

/* All batches are mixed; half of them in either way where both are given. */
static MixOptions session_mix(const Config *c)
{
    MixOptions o = {.mixup = config_number(c, "data.mixup", 0),
                    .cutmix = config_number(c, "data.cutmix", 0)};
    double share = o.mixup > 0 && o.cutmix > 0 ? 0.5 : 1;
    o.mixup_share = config_number(c, "data.mixup_share", share);
    o.cutmix_share = config_number(c, "data.cutmix_share", share);
    return o;
}

SessionImages session_eval_images(const Session *x)
{
    return config_number(&x->config, "data.validation", 0) > 0
               ? SESSION_VALIDATION
               : SESSION_TEST;
}

const char *session_images_name(SessionImages images)
{
    static const char *const name[] = {[SESSION_TRAIN] = "training",
                                       [SESSION_VALIDATION] = "validation",
                                       [SESSION_TEST] = "test"};
    return name[images];
}

const char *session_eval_name(const Session *x)
{
    return session_images_name(session_eval_images(x));
}

/* ---- loaders ------------------------------------------------------------- */

/* While pictures are decoded; on a terminal the line is drawn again and
 * again. */
static bool session_watch(void *context, const char *what, int64_t done,
                          int64_t all)
{
    const Session *x = context;
    if (isatty(STDERR_FILENO)) {
        if (what)
            fprintf(stderr, "\r%s: %lld of %lld\033[K", what, (long long)done,
                    (long long)all);
        else
            fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    return !x->signals || !signals_pending(x->signals);
}

const char *session_cache(const Config *c, char path[PATH_MAX])
{
    bool kept = !config_is(c, "data.cache", "memory");
    return kept && file_cache_folder(path) ? path : NULL;
}

Loader *session_loader(const Session *x, int graph, SessionImages images,
                       int64_t seed, Status *s)
{
    const Config *c = &x->config;
    bool train = images == SESSION_TRAIN;
    const DataWatch watch = {session_watch, (void *)(uintptr_t)x};
    char cache[PATH_MAX];
    double mean[LOADER_MAX_CHANNELS], std[LOADER_MAX_CHANNELS];
    int threads = session_threads(x) / 2;
    LoaderOptions o = {
        .dir = x->options->data,
        .kind = config_text(c, "data"),
        .train = images != SESSION_TEST,
        .held = images == SESSION_VALIDATION,
        .validation = config_number(c, "data.validation", 0),
        .fraction = config_number(c, "data.fraction", 1),
        .split_seed = (uint64_t)config_int(c, "data.split_seed", 0),
        .resize = config_int(c, "data.resize", 0),
        .cache = session_cache(c, cache),
        .skip_damaged = config_is(c, "data.damaged", "skip"),
        .decode_threads = session_threads(x),
        .watch = &watch,
        .keep_tail = !train || config_is(c, "tail", "keep"),
        .shuffle = train && !x->options->no_shuffle,
        .augment = train && !x->options->no_augment,
        .steps = config_text(c, "data.augment"),
        .flip = session_flip(c),
        .crop = (int)config_int(c, "data.crop", 0),
        .mix = session_mix(c),
        .mean = mean,
        .std = std,
        .n_mean = config_list(c, "data.mean", mean, LOADER_MAX_CHANNELS),
        .n_std = config_list(c, "data.std", std, LOADER_MAX_CHANNELS),
        .classes = config_int(c, "data.classes", 0),
        .rows = config_int(c, "data.rows", 0),
        .seed = (uint64_t)seed,
        .threads = threads < 1                     ? 1
                   : threads > LOADER_THREADS_MOST ? LOADER_THREADS_MOST
                                                   : threads,
        .image = executor_port(x->executor, graph, "image")->type,
        .label = executor_port(x->executor, graph, "label")->type,
    };
    if (!o.kind) {
        status_fail(s,
                    "%s was compiled without a data set: its train section "
                    "has no `data`",
                    x->plan->model);
        return NULL;
    }
    return loader_open(&o, s);
}
