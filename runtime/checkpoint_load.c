/* checkpoint_load.c: reading checkpoints and weights of others; see
 * checkpoint.h.
 *
 * A file from PyTorch has the parameters and buffers under the same names, and
 * counters of batches that tgc has no use for.  Weights may have any floating
 * type; a run is resumed from exactly what it saved.
 */
#include "checkpoint.h"
#include "checkpoint_keys.h"
#include "number.h"
#include "pattern.h"
#include "suggest.h"
#include "types.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- progress ------------------------------------------------------------ */

static bool is_checkpoint(const WeightFile *f, const Plan *plan, Status *s)
{
    const char *format = weights_metadata(f, KEY_FORMAT);
    const char *model = weights_metadata(f, KEY_MODEL);
    if (!format || !model)
        return status_fail(s,
                           "%s holds weights only, no state of a training "
                           "run (start from them with --init)",
                           weights_path(f));
    if (strcmp(format, FORMAT_TEXT))
        return status_fail(s,
                           "%s is a checkpoint of another version of tgc: "
                           "\"%s\" (its weights can be used with --init)",
                           weights_path(f), format);
    if (strcmp(model, plan->model))
        return status_fail(s,
                           "%s is a checkpoint of %s, this program trains %s "
                           "(where the layers are the same, start from its "
                           "weights with --init)",
                           weights_path(f), model, plan->model);
    return true;
}

bool checkpoint_progress(const WeightFile *f, const Plan *plan, Progress *p,
                         Status *s)
{
    if (!is_checkpoint(f, plan, s))
        return false;
    for (int i = 0; i < PROGRESS_KEYS; i++) {
        const char *text = weights_metadata(f, progress_keys[i].key);
        if (!text && progress_keys[i].newer)
            continue;
        if (!text || !number_int(text, progress_field(p, i)) ||
            *progress_field(p, i) < progress_keys[i].low)
            return status_fail(s,
                               "%s is damaged: %s is missing or no number "
                               "that fits (its weights can be used with "
                               "--init)",
                               weights_path(f), progress_keys[i].key);
    }
    return true;
}

/* ---- what does not fit --------------------------------------------------- */

/* Collects up to a few names of each kind of trouble. */
typedef struct Trouble {
    int n;
    char text[512];
} Trouble;

enum { TROUBLES_SHOWN = 3 };

static void trouble_add(Trouble *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void trouble_add(Trouble *t, const char *format, ...)
{
    size_t used = strlen(t->text);
    if (t->n++ < TROUBLES_SHOWN) {
        if (used)
            used +=
                (size_t)snprintf(t->text + used, sizeof t->text - used, ", ");
        va_list list;
        va_start(list, format);
        if (used < sizeof t->text)
            vsnprintf(t->text + used, sizeof t->text - used, format, list);
        va_end(list);
    } else if (t->n == TROUBLES_SHOWN + 1 && used + 5 < sizeof t->text) {
        memcpy(t->text + used, ", ..", 5);
    }
}

static const char *trouble_is(const Trouble *t)
{
    return t->n == 1 ? "is" : "are";
}

/* ---- settings ------------------------------------------------------------ */

/* What changes how a step is computed, not what it means: weights are float32
 * in all precisions but f64, whose states are of another type. */
static bool setting_free(const ConfigItem *item)
{
    if (item->plan->run_time)
        return !strcmp(item->key, "threads");
    return !strcmp(item->key, "precision") || !strcmp(item->key, "memory") ||
           !strncmp(item->key, "loss_scale", 10);
}

/* What decides which images an epoch has, and in which order. */
static bool setting_fixed(const ConfigItem *item)
{
    static const char *const fixed[] = {
        "seed",        "data.fraction", "data.validation", "data.split_seed",
        "data.resize", "data.damaged"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (!strcmp(item->key, fixed[i]))
            return true;
    return !item->plan->run_time;
}

/* A setting of the checkpoint is this run's too, unless the command line gives
 * another one. */
static void match_setting(const WeightFile *f, ConfigItem *item,
                          Trouble *trouble)
{
    char key[256];
    snprintf(key, sizeof key, KEY_SETTING "%s", item->key);
    const char *text = weights_metadata(f, key);
    if (!text || setting_free(item))
        return;
    if (item->text && !strcmp(text, item->text))
        return;
    if (setting_fixed(item) && (item->given || !item->plan->run_time)) {
        trouble_add(trouble, "%s = %s (here %s)", item->key, text,
                    item->text ? item->text : "none");
        return;
    }
    if (item->given) {
        item->was = text;
        return;
    }
    item->text = text;
    item->resumed = true;
}

bool checkpoint_settings(const WeightFile *f, Config *c, Status *s)
{
    Trouble trouble = {0};
    for (uint32_t i = 0; i < c->n; i++)
        match_setting(f, &c->item[i], &trouble);
    if (!trouble.n)
        return true;
    return status_fail(s,
                       "%s was made with %s, which a run that goes on cannot "
                       "change (start a new run from its weights with --init)",
                       weights_path(f), trouble.text);
}

void checkpoint_data_settings(const WeightFile *f, Config *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        char key[256];
        Status ignored = {0};
        ConfigItem *item = &c->item[i];
        snprintf(key, sizeof key, KEY_SETTING "%s", item->key);
        const char *text = weights_metadata(f, key);
        if (!text || item->given || !item->plan->run_time ||
            !setting_fixed(item) || strncmp(item->key, "data.", 5) ||
            !config_set(c, item->key, text, &ignored))
            continue;
        item->given = false;
        item->resumed = true;
    }
}

/* ---- names, shapes, types ------------------------------------------------ */

typedef struct Matching {
    const WeightFile *file;
    CheckpointUse use;
    const Plan *plan;
    const WeightsPart *part; /* NULL: all, and no more in the file */
    const Weight **tensor;   /* of each state; NULL: not loaded */
    uint32_t loaded;
    Trouble missing, extra, shape, left;
} Matching;

static bool name_ignored(const char *name)
{
    static const char suffix[] = "num_batches_tracked";
    size_t n = strlen(name), m = sizeof suffix - 1;
    if (!strncmp(name, "tgc.", 4)) /* PLAN_RUN, of another precision */
        return true;
    return n > m && !strcmp(name + n - m, suffix) && name[n - m - 1] == '.';
}

static bool shape_equal(const Weight *t, const PlanType *type)
{
    if (t->rank != type->rank)
        return false;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] != type->dim[i])
            return false;
    return true;
}

static bool type_fits(const Matching *m, uint8_t from, uint8_t to)
{
    return from == to ||
           (m->use == CHECKPOINT_WEIGHTS && weights_converts(from, to));
}

static void match_shape(Matching *m, const PlanState *state, const Weight *t)
{
    PlanType given = {.rank = t->rank};
    char have[128], want[128];
    memcpy(given.dim, t->dim, sizeof given.dim);
    if (shape_equal(t, &state->type) &&
        type_fits(m, t->dtype, state->type.dtype))
        return;
    trouble_add(&m->shape, "%s is %s%s there and %s%s here", state->name,
                dtype_name(t->dtype),
                type_shape_text(&given, have, sizeof have),
                dtype_name(state->type.dtype),
                type_shape_text(&state->type, want, sizeof want));
}

static void match_missing(Matching *m, const char *state)
{
    Suggestion near = suggest_for(state);
    for (uint32_t i = 0;
         m->missing.n < TROUBLES_SHOWN && i < weights_count(m->file); i++) {
        const char *name = weights_at(m->file, i)->name;
        bool known = false;
        for (uint32_t k = 0; !known && k < m->plan->n_states; k++)
            known = !strcmp(m->plan->states[k].name, name);
        if (!known)
            suggest_offer(&near, name);
    }
    const char *best = suggest_best(&near);
    if (best)
        trouble_add(&m->missing, "%s (there is %s)", state, best);
    else
        trouble_add(&m->missing, "%s", state);
}

static bool is_average(const PlanState *s)
{
    const char *dot = strrchr(s->name, '.');
    return s->role == PLAN_SLOT && dot && !strcmp(dot, ".average");
}

bool checkpoint_averaged(const WeightFile *f, const Plan *plan)
{
    for (uint32_t i = 0; i < plan->n_states; i++)
        if (is_average(&plan->states[i]))
            return weights_find(f, plan->states[i].name) != NULL;
    return false;
}

/* An average goes with what it is the average of. */
static bool in_part(const WeightsPart *p, const PlanState *state)
{
    const char *name = is_average(state) ? state->of : state->name;
    if (!p)
        return true;
    return (!p->load || patterns_match_name(p->load, name)) &&
           (!p->skip || !patterns_match_name(p->skip, name));
}

static void match_states(Matching *m)
{
    for (uint32_t i = 0; i < m->plan->n_states; i++) {
        const PlanState *state = &m->plan->states[i];
        const Weight *t = weights_find(m->file, state->name);
        bool resumes = m->use == CHECKPOINT_RESUME;
        bool weight = state->role <= PLAN_BUFFER;
        bool part = in_part(m->part, state);
        bool wanted = (resumes || weight) && part;
        if (!t && state->role == PLAN_RUN)
            continue; /* from a run in another precision: as at the start */
        if (!t && wanted)
            match_missing(m, state->name);
        wanted = wanted || (t && is_average(state) && part);
        if (t && (wanted || !m->part))
            match_shape(m, state, t);
        if (!wanted && weight)
            trouble_add(&m->left, "%s", state->name);
        m->tensor[i] = wanted ? t : NULL;
        m->loaded += m->tensor[i] != NULL;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A slot of another optimizer ("fc.weight.momentum") is no trouble for those
 * who want weights. */
static bool slot_of_another(const char *const *name, uint32_t n,
                            const char *own)
{
    char of[512];
    const char *dot = strrchr(own, '.'), *key = of;
    if (!strncmp(own, "optimizer.", 10)) /* of all parameters: a counter */
        return true;
    if (!dot || (size_t)(dot - own) >= sizeof of)
        return false;
    snprintf(of, sizeof of, "%.*s", (int)(dot - own), own);
    return bsearch(&key, name, n, sizeof *name, by_text) != NULL;
}

static bool extra_matters(const Matching *m, const char *const *name,
                          uint32_t n, const char *own)
{
    if (name_ignored(own) || bsearch(&own, name, n, sizeof *name, by_text))
        return false;
    return m->use == CHECKPOINT_RESUME || !slot_of_another(name, n, own);
}

static bool match_extras(Matching *m, Status *s)
{
    uint32_t n = m->plan->n_states;
    const char **name = calloc(n + 1, sizeof *name);
    if (!name)
        return status_fail(s, "no memory");
    for (uint32_t i = 0; i < n; i++)
        name[i] = m->plan->states[i].name;
    qsort(name, n, sizeof *name, by_text);
    for (uint32_t i = 0; i < weights_count(m->file); i++) {
        const char *own = weights_at(m->file, i)->name;
        if (extra_matters(m, name, n, own))
            trouble_add(&m->extra, "%s", own);
    }
    free(name);
    return true;
}

static bool match_report(const Matching *m, Status *s)
{
    const Trouble *a = &m->missing, *b = &m->extra, *c = &m->shape;
    char missing[700] = "", extra[700] = "", shape[700] = "";
    const char *hint = "";
    if (!a->n && (!b->n || m->part) && !c->n)
        return true;
    if (m->part)
        hint = " (--skip 'PATTERN ..' leaves tensors as they start)";
    if (a->n)
        snprintf(missing, sizeof missing, "; %d tensor%s %s missing: %s", a->n,
                 a->n == 1 ? "" : "s", trouble_is(a), a->text);
    if (b->n && !m->part)
        snprintf(extra, sizeof extra, "; %d %s not in this model: %s", b->n,
                 trouble_is(b), b->text);
    if (c->n)
        snprintf(shape, sizeof shape, "; %d %s of another shape or type: %s",
                 c->n, trouble_is(c), c->text);
    return status_fail(s, "%s does not fit %s%s%s%s%s", weights_path(m->file),
                       m->plan->model, missing, shape, extra, hint);
}

/* ---- loading ------------------------------------------------------------- */

static bool load_tensor(const WeightFile *f, const Weight *t, Executor *e,
                        uint32_t state, Status *s)
{
    const PlanType *type = &executor_plan(e)->states[state].type;
    void *to = executor_state(e, state);
    if (type_plain(type))
        return weights_read(f, t, type->dtype, to, s);
    void *plain = malloc((size_t)type_bytes(type) + 1);
    if (!plain)
        return status_fail(s, "no memory to load %s", t->name);
    bool done = weights_read(f, t, type->dtype, plain, s);
    if (done)
        type_scatter(type, plain, to);
    free(plain);
    return done;
}

static bool match_load(Matching *m, Executor *e, Status *s)
{
    match_states(m);
    if (!match_extras(m, s) || !match_report(m, s))
        return false;
    for (uint32_t i = 0; i < m->plan->n_states; i++)
        if (m->tensor[i] && !load_tensor(m->file, m->tensor[i], e, i, s))
            return false;
    return true;
}

static bool load(Matching *m, Executor *e, Status *s)
{
    m->plan = executor_plan(e);
    m->tensor = calloc(m->plan->n_states + 1, sizeof *m->tensor);
    if (!m->tensor)
        return status_fail(s, "no memory");
    bool done = match_load(m, e, s) && executor_push(e, s);
    free(m->tensor);
    return done;
}

bool checkpoint_load(const WeightFile *f, CheckpointUse use, Executor *e,
                     Status *s)
{
    Matching m = {.file = f, .use = use};
    return load(&m, e, s);
}

/* ---- a part -------------------------------------------------------------- */

/* Every pattern names something in the model. */
static bool patterns_known(const char *option, const char *patterns,
                           const Plan *plan, Status *s)
{
    for (const char *p = patterns ? patterns : ""; *p;) {
        size_t n = strcspn(p, " ");
        bool known = !n;
        for (uint32_t i = 0; !known && i < plan->n_states; i++)
            known = plan->states[i].role <= PLAN_BUFFER &&
                    pattern_matches_name(p, n, plan->states[i].name);
        if (!known)
            return status_fail(s,
                               "%s: no weight of %s has a name like \"%.*s\" "
                               "(* is any run of characters)",
                               option, plan->model, (int)n, p);
        p += n + (p[n] == ' ');
    }
    return true;
}

bool checkpoint_load_part(const WeightFile *f, const WeightsPart *part,
                          Executor *e, char *text, size_t size, Status *s)
{
    const Plan *plan = executor_plan(e);
    Matching m = {.file = f, .use = CHECKPOINT_WEIGHTS, .part = part};
    char left[600] = "", extra[600] = "";
    if (!patterns_known("--load", part->load, plan, s) ||
        !patterns_known("--skip", part->skip, plan, s) || !load(&m, e, s))
        return false;
    if (m.left.n)
        snprintf(left, sizeof left, "; %d left as %s: %s", m.left.n,
                 m.left.n == 1 ? "it starts" : "they start", m.left.text);
    if (m.extra.n)
        snprintf(extra, sizeof extra, "; %d there that %s no use: %s",
                 m.extra.n, m.extra.n == 1 ? "is of" : "are of", m.extra.text);
    snprintf(text, size, "%s: %u tensor%s loaded%s%s", weights_path(f),
             m.loaded, m.loaded == 1 ? "" : "s", left, extra);
    return true;
}
