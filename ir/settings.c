/* settings.c: the table of settings, and values checked against it.
 *
 * A section is a word that has a kind: `data = cifar10`, `loss =
 * cross_entropy`.  A key below it (`data.crop`) may belong to some kinds only.
 * Keys are looked up by a plain search: there are a few dozen. */
#include "settings.h"
#include "nearest.h"
#include "scan.h"
#include "settings_groups.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 9007199254740992.0 /* 2^53: integers are exact up to here */

/* clang-format off */
const SettingSpec setting_table[] = {
    {"data", SET_WORD, NULL, .words = "cifar10 cifar100 idx fashion_mnist folder npy raw",
     .doc = "Which data set, and so which files it is read from."},
    {"data.mean", SET_NUMBERS, NULL, .low = -DBL_MAX, .high = DBL_MAX,
     .doc = "Subtracted from each channel of an image scaled to 0..1; one number a channel."},
    {"data.std", SET_NUMBERS, NULL, .low = 1e-12, .high = DBL_MAX,
     .doc = "What each channel is divided by after that."},
    {"data.crop", SET_INT, "0", .low = 0, .high = 4096, .run_time = true,
     .doc = "Pixels of zeros around a training image, out of which a piece of the first size is cut at random."},
    {"data.flip", SET_WORD, "none", .words = "none horizontal alternate", .run_time = true,
     .doc = "Mirror every second training image: at random, or half of them in one epoch and the others in the next."},
    {"data.augment", SET_TEXT, NULL, .run_time = true,
     .doc = "Steps that change training images at random, in this order, in place of crop and flip: \"resized_crop(0.5, 1), flip, rotate(10), jitter(0.4, 0.4, 0.4), cutout(8)\"."},
    {"data.mixup", SET_FLOAT, "0", .low = 0, .high = 100,
     .doc = "Alpha: two training images become one, their weight from Beta(alpha, alpha); 0: never."},
    {"data.mixup_share", SET_FLOAT, NULL, .low = 0, .high = 1, .run_time = true,
     .doc = "Share of the batches that mixup changes; all, or half where cutmix changes the others."},
    {"data.cutmix", SET_FLOAT, "0", .low = 0, .high = 100,
     .doc = "Alpha: a rectangle of each training image is that of another one; 0: never."},
    {"data.cutmix_share", SET_FLOAT, NULL, .low = 0, .high = 1, .run_time = true,
     .doc = "Share of the batches that cutmix changes; all, or half where mixup changes the others."},
    {"data.fraction", SET_FLOAT, "1", .low = 1e-9, .high = 1, .run_time = true,
     .doc = "Share of the training images that is used, of each class alike."},
    {"data.validation", SET_FLOAT, "0", .low = 0, .high = 0.999999, .run_time = true,
     .doc = "Share of the training images, of each class alike, that is held out and evaluated on in place of the test images."},
    {"data.split_seed", SET_INT, "0", .low = 0, .high = MOST, .run_time = true,
     .doc = "Which images fraction and validation choose; apart from seed, so that runs with other seeds can be compared."},
    {"data.resize", SET_INT, "0", .only = "folder", .low = 0, .high = 16384, .run_time = true,
     .doc = "Smaller side that pictures get before the middle is cut out, from the size of the model's images on, which are cut out of that; 0: pictures must have the model's size."},
    {"data.damaged", SET_WORD, "fail", .only = "folder", .words = "fail skip", .run_time = true,
     .doc = "What a picture that cannot be decoded is: an end of the run, or left out."},
    {"data.cache", SET_WORD, "disk", .only = "folder", .words = "disk memory", .run_time = true,
     .doc = "Where decoded pictures are kept: in a file of $XDG_CACHE_HOME/tgc (~/.cache/tgc), for later runs too, or in memory."},
    {"data.samples", SET_INT, NULL, .low = 1, .high = MOST,
     .doc = "Training images in the files; known for cifar10, cifar100 and fashion_mnist."},
    {"data.classes", SET_INT, NULL, .low = 1, .high = 1e9,
     .doc = "Classes that a label may name; the compiler takes it from the net's result."},
    {"data.rows", SET_INT, NULL, .low = 1, .high = 1 << 24,
     .doc = "Rows of the table that the numbers of the data count: each is whole, 0 to rows - 1; the compiler takes it from embed on the net's input."},
    {"loss", SET_WORD, "cross_entropy", .words = "cross_entropy",
     .doc = "What is minimised."},
    {"loss.label_smoothing", SET_FLOAT, "0", .only = "cross_entropy", .low = 0, .high = 1,
     .doc = "Share of the target that is spread evenly over all classes."},
    {"optimizer", SET_WORD, "sgd", .words = "sgd adam adamw muon", .group = GROUP_MAY,
     .doc = "How gradients become steps."},
    {"optimizer.names", SET_TEXT, NULL, .group = GROUP_ONLY,
     .doc = "Patterns of the names of the parameters in a group, as in `group \"*.bias\" \"*bn*\" { weight_decay = 0 }`."},
    {"optimizer.lr", SET_FLOAT, "0.1", .by_kind = "adam=0.001 adamw=0.001 muon=0.02",
     .low = 0, .high = 1e30, .run_time = true, .group = GROUP_MAY,
     .doc = "Learning rate, before the schedule scales it; that of a group changes along with that of all."},
    {"optimizer.lr_batch", SET_INT, NULL, .low = 1, .high = 1 << 24, .run_time = true,
     .doc = "Batch that optimizer.lr is meant for: with another the rate is scaled in proportion."},
    {"optimizer.lr_factor", SET_FLOAT, "1", .low = 0, .high = 1e9, .group = GROUP_ONLY,
     .doc = "Factor to the learning rate."},
    {"optimizer.momentum", SET_FLOAT, "0", .by_kind = "muon=0.95", .only = "sgd muon", .low = 0, .high = 1, .group = GROUP_MAY,
     .doc = "Share of the last step that goes into this one; 0: plain descent, without slots."},
    {"optimizer.dampening", SET_FLOAT, "0", .only = "sgd", .low = 0, .high = 1, .group = GROUP_MAY,
     .doc = "Share of the gradient that does not go into the momentum."},
    {"optimizer.nesterov", SET_BOOL, "false", .by_kind = "muon=true", .only = "sgd muon", .group = GROUP_MAY,
     .doc = "Look ahead along the momentum."},
    {"optimizer.beta1", SET_FLOAT, "0.9", .only = "adam adamw", .low = 0, .high = 0.9999999, .group = GROUP_MAY,
     .doc = "Decay of the mean of gradients."},
    {"optimizer.beta2", SET_FLOAT, "0.999", .only = "adam adamw", .low = 0, .high = 0.9999999, .group = GROUP_MAY,
     .doc = "Decay of the mean of their squares."},
    {"optimizer.eps", SET_FLOAT, "1e-8", .only = "adam adamw", .low = 0, .high = 1, .group = GROUP_MAY,
     .doc = "Added to the root of that mean."},
    {"optimizer.amsgrad", SET_BOOL, "false", .only = "adam adamw", .group = GROUP_MAY,
     .doc = "Divide by the largest such mean so far."},
    {"optimizer.ns_steps", SET_INT, "5", .only = "muon", .low = 1, .high = 100, .group = GROUP_MAY,
     .doc = "Newton-Schulz iterations."},
    {"optimizer.weight_decay", SET_FLOAT, "0", .by_kind = "adamw=0.01", .low = 0, .high = 1e6, .group = GROUP_MAY,
     .doc = "Times the weight, added to its gradient; adamw and muon take lr times this off the weight instead."},
    {"optimizer.clip_value", SET_FLOAT, NULL, .low = 1e-30, .high = 1e30,
     .doc = "No element of a gradient is further from 0 than this."},
    {"optimizer.clip_norm", SET_FLOAT, NULL, .low = 1e-30, .high = 1e30,
     .doc = "Gradients are scaled down so that the norm of all together is at most this; after clip_value."},
    {"average", SET_WORD, "none", .words = "none ema",
     .doc = "A running average of the weights, evaluated beside them; the best checkpoint is then the one whose average is best."},
    {"average.decay", SET_FLOAT, "0.999", .only = "ema", .low = 0, .high = 0.9999999,
     .doc = "Share of the average that stays in each step."},
    {"average.warmup", SET_BOOL, "false", .only = "ema",
     .doc = "After t steps no more than (1 + t) / (10 + t) stays."},
    {"frozen", SET_TEXT, NULL,
     .doc = "Patterns of the names of parameters that are not trained, with blanks between them: \"conv1.* layer1.*\"."},
    {"schedule", SET_WORD, "constant", .words = "constant multistep cosine cosine_restarts linear one_cycle", .run_time = true,
     .doc = "How the learning rate changes over the epochs."},
    {"schedule.at", SET_NUMBERS, NULL, .only = "multistep", .low = 0, .high = 1e9, .run_time = true,
     .doc = "Epochs at whose start the rate is multiplied by gamma, counted from 0, rising; or, below 1, shares of the training."},
    {"schedule.gamma", SET_FLOAT, "0.1", .only = "multistep", .low = 0, .high = 1e6, .run_time = true,
     .doc = "Factor at each of these epochs."},
    {"schedule.min_lr", SET_FLOAT, "0", .only = "cosine cosine_restarts linear", .low = 0, .high = 1e6, .run_time = true,
     .doc = "Rate that it falls to."},
    {"schedule.period", SET_FLOAT, "10", .only = "cosine_restarts", .low = 1e-3, .high = 1e9, .run_time = true,
     .doc = "Epochs until the rate is back at its start (T_0)."},
    {"schedule.period_factor", SET_FLOAT, "1", .only = "cosine_restarts", .low = 1, .high = 1000, .run_time = true,
     .doc = "How many times longer each such period is than the one before (T_mult)."},
    {"schedule.rise", SET_FLOAT, "0.3", .only = "one_cycle", .low = 0, .high = 1, .run_time = true,
     .doc = "Share of the training in which the rate rises."},
    {"schedule.shape", SET_WORD, "cosine", .only = "one_cycle", .words = "cosine linear", .run_time = true,
     .doc = "Along which line it rises and falls."},
    {"schedule.start_factor", SET_FLOAT, "0.04", .only = "one_cycle", .low = 0, .high = 1, .run_time = true,
     .doc = "Share of the rate at the first step."},
    {"schedule.end_factor", SET_FLOAT, "4e-6", .only = "one_cycle", .low = 0, .high = 1, .run_time = true,
     .doc = "Share of the rate at the last step."},
    {"schedule.cycle_momentum", SET_BOOL, "false", .only = "one_cycle",
     .doc = "Momentum (beta1 of adam) falls from high_momentum to low_momentum while the rate rises, and the other way; not in groups with one of their own."},
    {"schedule.low_momentum", SET_FLOAT, "0.85", .only = "one_cycle", .low = 0, .high = 0.9999999, .run_time = true,
     .doc = "Momentum where the rate is highest."},
    {"schedule.high_momentum", SET_FLOAT, "0.95", .only = "one_cycle", .low = 0, .high = 0.9999999, .run_time = true,
     .doc = "Momentum at the first and last step."},
    {"schedule.warmup_epochs", SET_FLOAT, "0", .low = 0, .high = 1e9, .run_time = true,
     .doc = "Epochs at the start that run at warmup_factor times the rate."},
    {"schedule.warmup_factor", SET_FLOAT, "0.1", .low = 0, .high = 1, .run_time = true,
     .doc = "Factor during these epochs."},
    {"schedule.warmup", SET_WORD, "constant", .words = "constant linear", .run_time = true,
     .doc = "Whether the factor stays there or rises evenly to 1."},
    {"batch", SET_INT, "128", .low = 1, .high = 1 << 24,
     .doc = "Images in one step."},
    {"accumulate", SET_INT, "1", .low = 1, .high = 1 << 24,
     .doc = "Parts that a batch is computed in, one after the other, their gradients added up: less memory for activations, the same step but for batch norm, which sees a part at a time. Divides the batch."},
    {"epochs", SET_INT, "200", .low = 0, .high = 1e9, .run_time = true,
     .doc = "Passes over the training images."},
    {"eval_every", SET_INT, "1", .low = 1, .high = 1e9, .run_time = true,
     .doc = "Epochs from one evaluation on the test images to the next; the last epoch is always evaluated."},
    {"patience", SET_INT, "0", .low = 0, .high = 1e9, .run_time = true,
     .doc = "Evaluations without a better accuracy after which training stops; 0: it never does."},
    {"min_delta", SET_FLOAT, "0", .low = 0, .high = 1, .run_time = true,
     .doc = "By how much an accuracy (0 to 1) must be higher to count as better for patience."},
    {"test_flip", SET_BOOL, "false",
     .doc = "Evaluation looks at each image and at its mirror image, and takes the mean of the two's scores."},
    {"tail", SET_WORD, "drop", .words = "drop keep",
     .doc = "What happens to the last partial batch of an epoch in training; evaluation always counts every image."},
    {"precision", SET_WORD, "f32", .words = "f32 bf16 f16 f64",
     .doc = "Element type of activations and their gradients. bf16 and f16 keep weights, statistics and sums in f32; f64 is slow and tells rounding from a mistake."},
    {"loss_scale", SET_WORD, "dynamic", .words = "dynamic none",
     .doc = "With precision f16: gradients are computed of the loss times a scale that follows what f16 can hold; a step whose gradients overflow is skipped. none: they are as they are."},
    {"loss_scale.start", SET_FLOAT, "65536", .only = "dynamic", .low = 1e-6, .high = 1e9,
     .doc = "Scale of the first step."},
    {"loss_scale.growth", SET_FLOAT, "2", .only = "dynamic", .low = 1, .high = 1e6,
     .doc = "Factor after so many good steps in a row."},
    {"loss_scale.interval", SET_INT, "2000", .only = "dynamic", .low = 1, .high = 1 << 30,
     .doc = "How many these are."},
    {"loss_scale.backoff", SET_FLOAT, "0.5", .only = "dynamic", .low = 1e-6, .high = 1,
     .doc = "Factor after a step that overflowed."},
    {"loss_scale.floor", SET_FLOAT, "1", .only = "dynamic", .low = 1e-6, .high = 1e9,
     .doc = "Below this the scale never gets."},
    {"loss_scale.most_skips", SET_INT, "25", .only = "dynamic", .low = 1, .high = 1e9, .run_time = true,
     .doc = "Skipped steps in a row that stop the run."},
    {"fuse", SET_WORD, "full", .words = "off elementwise full",
     .doc = "What becomes one kernel: every op its own, to measure against; chains of elementwise ops and sums; these with the convolutions that they are around."},
    {"winograd", SET_BOOL, "true",
     .doc = "Convolutions of 3x3 windows on the cpu with fewer multiplications, F(2x2,3x3), where it is faster; of bf16 where the machine has instructions for it; false: as the library does them."},
    {"cudnn", SET_BOOL, "false",
     .doc = "Convolutions on a GPU by NVIDIA's cuDNN, which must then be where the program runs; false: by kernels of tgc's own, with what is around them in one kernel."},
    {"memory", SET_INT, NULL, .low = 1, .high = MOST, .bytes = true,
     .doc = "Bytes that a training run may take in all: 10 GiB. What is not kept for the backward pass is computed again; what cannot fit does not compile."},
    {"seed", SET_INT, "0", .low = 0, .high = MOST, .run_time = true,
     .doc = "Seed of everything random: initial weights, order, augmentation."},
    {"threads", SET_INT, "0", .low = 0, .high = 4096, .run_time = true,
     .doc = "Threads that compute; 0: as many as there are cores. Results do not depend on it."},
    {0},
};
/* clang-format on */

const SettingSpec *setting_spec(const char *key)
{
    char plain[GROUP_KEY];
    bool grouped = setting_group(key, plain) > 0;
    for (const SettingSpec *s = setting_table; s->key; s++)
        if (!strcmp(s->key, grouped ? plain : key))
            return grouped && s->group == GROUP_NO ? NULL : s;
    return NULL;
}

const char *setting_default(const SettingSpec *s, const char *kind, Arena *a)
{
    size_t n = strlen(kind);
    for (const char *p = s->by_kind; n && p && *p;
         p += strcspn(p, " "), p += *p == ' ')
        if (!strncmp(p, kind, n) && p[n] == '=')
            return arena_strndup(a, p + n + 1, strcspn(p + n + 1, " "));
    return s->value;
}

const char *setting_nearest(const char *key)
{
    Nearest n = nearest_of(key);
    for (const SettingSpec *s = setting_table; s->key; s++)
        nearest_try(&n, s->key);
    if (nearest_name(&n))
        return nearest_name(&n);
    /* "momentum" for "optimizer.momentum": the last part alone. */
    n = nearest_of(key);
    const SettingSpec *best = NULL;
    for (const SettingSpec *s = setting_table; s->key; s++) {
        const char *dot = strrchr(s->key, '.');
        int before = n.distance;
        if (dot)
            nearest_try(&n, dot + 1);
        if (n.distance < before)
            best = s;
    }
    return nearest_name(&n) ? best->key : NULL;
}

/* ---- checking ----------------------------------------------------------- */

/* Is word one of the space-separated words? */
static bool word_in(const char *word, const char *words)
{
    size_t n = strcspn(word, " ");
    for (const char *p = words; n && !word[n] && *p;
         p += strcspn(p, " "), p += *p == ' ')
        if (!strncmp(p, word, n) && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

static bool fail(char *error, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(char *error, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

static const char *const type_name[] = {
    [SET_INT] = "a whole number",   [SET_FLOAT] = "a number",
    [SET_BOOL] = "true or false",   [SET_WORD] = "a word",
    [SET_TEXT] = "a piece of text", [SET_NUMBERS] = "a list of numbers",
};

static bool check_number(const SettingSpec *s, double v, char *error,
                         size_t size)
{
    if (s->type == SET_INT && v != floor(v))
        return fail(error, size, "%s: %.9g is not a whole number", s->key, v);
    if (s->bytes && v < s->low)
        return fail(error, size, "%s: %.9g bytes is no budget (like 10 GiB)",
                    s->key, v);
    if (v >= s->low && v <= s->high) /* false for nan */
        return true;
    if (s->high == DBL_MAX)
        return fail(error, size, "%s: %.9g is out of range (at least %.9g)",
                    s->key, v, s->low);
    return fail(error, size, "%s: %.9g is out of range (%.9g to %.9g)", s->key,
                v, s->low, s->high);
}

static bool check_word(const SettingSpec *s, const char *word, char *error,
                       size_t size)
{
    if (word_in(word, s->words))
        return true;
    return fail(error, size, "%s: unknown word %.60s (one of: %s)", s->key,
                word, s->words);
}

/* What a value may be taken for without loss: an int for a float, one number
 * for a list of one. */
static bool convertible(SettingType from, SettingType to)
{
    return from == to || (from == SET_INT && to == SET_FLOAT) ||
           (from == SET_FLOAT && to == SET_INT) ||
           (from == SET_WORD && to == SET_TEXT);
}

static bool check(const SettingSpec *s, const SettingValue *v, char *error,
                  size_t size)
{
    if (!convertible(v->type, s->type)) {
        if (s->words)
            return fail(error, size, "%s must be one of: %s", s->key, s->words);
        return fail(error, size, "%s must be %s", s->key, type_name[s->type]);
    }
    if (s->type == SET_WORD)
        return check_word(s, v->text, error, size);
    if (s->type == SET_INT || s->type == SET_FLOAT)
        return check_number(s, v->number, error, size);
    if (s->type == SET_NUMBERS)
        for (int i = 0; i < v->count; i++)
            if (!check_number(s, v->list[i], error, size))
                return false;
    return true;
}

static bool unknown_key(const char *key, char *error, size_t size)
{
    char plain[GROUP_KEY];
    if (setting_group(key, plain) && setting_spec(plain))
        return fail(error, size,
                    "%s holds for all parameters: set it outside of the group",
                    plain);
    if (setting_group(key, plain))
        key = plain;
    const char *near = setting_nearest(key);
    if (near)
        return fail(error, size, "unknown setting %.60s (did you mean %s?)",
                    key, near);
    return fail(error, size, "unknown setting %.60s", key);
}

/* ---- the sorted list ---------------------------------------------------- */

/* Where key is, or where it would be inserted. */
static size_t place_of(const Settings *s, const char *key, bool *found)
{
    size_t low = 0, high = s->n;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = strcmp(s->item[middle].key, key);
        if (c == 0)
            *found = true;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static SettingValue copy_value(const SettingValue *v, SettingType type,
                               Arena *a)
{
    SettingValue copy = {.type = type, .number = v->number, .count = v->count};
    if (v->text)
        copy.text = arena_strdup(a, v->text);
    if (v->count)
        copy.list = arena_copy(a, v->list, (size_t)v->count * sizeof *v->list);
    return copy;
}

bool settings_set(Settings *s, Arena *a, const char *key, SettingValue v,
                  uint32_t loc, char *error, size_t size)
{
    const SettingSpec *spec = setting_spec(key);
    if (!spec)
        return unknown_key(key, error, size);
    if (!check(spec, &v, error, size))
        return false;
    bool found, grouped = strcmp(spec->key, key) != 0;
    if (spec->group == GROUP_ONLY && !grouped)
        return fail(error, size, "%s is only for a group of parameters", key);
    size_t i = place_of(s, key, &found);
    key = grouped ? arena_strdup(a, key) : spec->key;
    Setting item = {key, copy_value(&v, spec->type, a), loc};
    if (!found) {
        ARENA_PUSH(a, s->item, s->n, s->cap, item);
        memmove(&s->item[i + 1], &s->item[i], (s->n - 1 - i) * sizeof *s->item);
    }
    s->item[i] = item;
    return true;
}

/* ---- text --------------------------------------------------------------- */

static bool read_numbers(Scan *s, Arena *a, SettingValue *v)
{
    double *list = NULL;
    size_t n = 0, cap = 0;
    if (!scan_expect(s, '['))
        return false;
    while (!scan_take(s, ']')) {
        double x;
        if ((n && !scan_expect(s, ',')) || !scan_number(s, &x))
            return false;
        if (n == 1 << 16)
            return scan_fail(s, "a list of more than %zu numbers", n);
        ARENA_PUSH(a, list, n, cap, x);
    }
    v->list = list;
    v->count = (int)n;
    return true;
}

static bool read_bool(Scan *s, SettingValue *v)
{
    char word[8];
    if (!scan_word(s, "", word, sizeof word))
        return false;
    v->number = !strcmp(word, "true");
    return v->number != 0 || !strcmp(word, "false") ||
           scan_fail(s, "expected true or false, found %s", word);
}

double bytes_in_unit(const char *unit)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {
        {"B", 1},        {"KiB", 0x1p10}, {"MiB", 0x1p20},
        {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"KB", 1e3},
        {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(unit, units[i].name))
            return units[i].bytes;
    return 0;
}

/* "10 GiB", "1.5GB", "1000": whole bytes. */
static bool read_bytes(const char *text, double *bytes)
{
    char *end, unit[8];
    *bytes = strtod(text, &end);
    if (end == text)
        return false;
    end += strspn(end, " ");
    snprintf(unit, sizeof unit, "%s", *end ? end : "B");
    unit[strcspn(unit, " ")] = 0;
    double factor = bytes_in_unit(unit);
    *bytes = floor(*bytes * factor);
    return factor != 0;
}

static bool read_value(Scan *s, Arena *a, SettingValue *v)
{
    switch (v->type) {
    case SET_INT:
    case SET_FLOAT:
        return scan_number(s, &v->number);
    case SET_BOOL:
        return read_bool(s, v);
    case SET_NUMBERS:
        return read_numbers(s, a, v);
    case SET_WORD:
    case SET_TEXT:
        v->text = arena_strndup(a, s->at, (size_t)(s->end - s->at));
        s->at = s->end;
        return true;
    }
    return false;
}

bool settings_set_text(Settings *s, Arena *a, const char *key, const char *text,
                       uint32_t loc, char *error, size_t size)
{
    const SettingSpec *spec = setting_spec(key);
    if (!spec)
        return unknown_key(key, error, size);
    SettingValue v = {.type = spec->type};
    Error e = {{0}};
    Scan scan = scan_text(text, &e);
    if (spec->bytes && !read_bytes(text, &v.number))
        return fail(error, size,
                    "%s must be a number of bytes like 10GiB, not %.60s "
                    "(units: KiB MiB GiB TiB, KB MB GB TB)",
                    key, text);
    if (spec->bytes)
        return settings_set(s, a, key, v, loc, error, size);
    if (!read_value(&scan, a, &v) || scan_peek(&scan) >= 0)
        return fail(error, size, "%s must be %s, not %.100s", key,
                    type_name[spec->type], text);
    return settings_set(s, a, key, v, loc, error, size);
}

char *setting_value_text(const SettingValue *v, Arena *a)
{
    char number[NUMBER_TEXT];
    switch (v->type) {
    case SET_BOOL:
        return arena_strdup(a, v->number != 0 ? "true" : "false");
    case SET_INT:
        return arena_printf(a, "%.0f", v->number);
    case SET_FLOAT:
        number_print(v->number, number);
        return arena_strdup(a, number);
    case SET_WORD:
    case SET_TEXT:
        return arena_strdup(a, v->text);
    case SET_NUMBERS:
        break;
    }
    char *text = arena_alloc(a, (size_t)v->count * NUMBER_TEXT + 3), *p = text;
    *p++ = '[';
    for (int i = 0; i < v->count; i++) {
        number_print(v->list[i], number);
        p += sprintf(p, "%s%s", i ? ", " : "", number);
    }
    *p = ']';
    return text;
}

/* ---- reading ------------------------------------------------------------ */

const SettingValue *settings_get(const Settings *s, const char *key)
{
    bool found;
    size_t i = place_of(s, key, &found);
    return found ? &s->item[i].value : NULL;
}

double setting_text_number(const char *text)
{
    return !text ? 0 : !strcmp(text, "true") ? 1 : strtod(text, NULL);
}

double settings_number(const Settings *s, const char *key)
{
    const SettingValue *v = settings_get(s, key);
    if (v)
        return v->number;
    const SettingSpec *spec = setting_spec(key);
    assert(spec && "a key of the table");
    return setting_text_number(spec->value);
}

const char *settings_text(const Settings *s, const char *key)
{
    const SettingValue *v = settings_get(s, key);
    if (v)
        return v->text;
    const SettingSpec *spec = setting_spec(key);
    assert(spec && "a key of the table");
    return spec->value ? spec->value : "";
}

/* ---- the end: kinds, defaults, and what fits together -------------------- */

/* The kind of the section that a key is in: "sgd" for optimizer.lr; "" where
 * the key is in none or its section is unset. */
static const char *kind_of(const Settings *s, const char *key)
{
    char section[GROUP_KEY];
    const char *dot = strrchr(key, '.');
    if (!dot || !strncmp(dot, ".group", 6))
        return "";
    snprintf(section, sizeof section, "%.*s", (int)(dot - key), key);
    return settings_text(s, settings_get(s, section)   ? section
                            : setting_group(key, NULL) ? "optimizer"
                                                       : section);
}

static bool belongs(const Settings *s, const SettingSpec *spec, const char *key)
{
    return !spec->only || word_in(kind_of(s, key), spec->only);
}

static bool fill_default(Settings *s, Arena *a, const SettingSpec *spec)
{
    char error[MAX_TEXT];
    const char *value = setting_default(spec, kind_of(s, spec->key), a);
    if (!value || spec->group == GROUP_ONLY || settings_get(s, spec->key) ||
        !belongs(s, spec, spec->key))
        return true;
    bool ok = settings_set_text(s, a, spec->key, value, 0, error, sizeof error);
    assert(ok && "the table's defaults pass its own checks");
    return ok;
}

/* The location of a key, and the message about it. */
static bool refuse(const Settings *s, const char *key, uint32_t *loc)
{
    bool found;
    size_t i = place_of(s, key, &found);
    *loc = found ? s->item[i].loc : 0;
    return false;
}

static bool check_together(const Settings *s, char *error, size_t size,
                           uint32_t *loc)
{
    const SettingValue *at = settings_get(s, "schedule.at"),
                       *mean = settings_get(s, "data.mean"),
                       *std = settings_get(s, "data.std");
    for (int i = 1; at && i < at->count; i++)
        if (at->list[i] <= at->list[i - 1]) {
            fail(error, size, "schedule.at: %.9g after %.9g (epochs must rise)",
                 at->list[i], at->list[i - 1]);
            return refuse(s, "schedule.at", loc);
        }
    for (int i = 1; at && i < at->count; i++)
        if (at->list[i] >= 1 && at->list[i - 1] > 0 && at->list[i - 1] < 1) {
            fail(error, size,
                 "schedule.at: %.9g is a share of the training and %.9g an "
                 "epoch: write either",
                 at->list[i - 1], at->list[i]);
            return refuse(s, "schedule.at", loc);
        }
    if (mean && std && mean->count != std->count) {
        fail(error, size,
             "data.mean has %d numbers and data.std %d; both need "
             "one a channel",
             mean->count, std->count);
        return refuse(s, "data.std", loc);
    }
    if (settings_number(s, "loss_scale.floor") >
        settings_number(s, "loss_scale.start")) {
        fail(error, size, "loss_scale.floor is above loss_scale.start");
        return refuse(s, "loss_scale.floor", loc);
    }
    return true;
}

bool settings_finish(Settings *s, Arena *a, char *error, size_t size,
                     uint32_t *loc)
{
    *loc = 0;
    for (size_t i = 0; i < s->n; i++) {
        const SettingSpec *spec = setting_spec(s->item[i].key);
        const char *key = s->item[i].key;
        if (belongs(s, spec, key))
            continue;
        const char *kind = kind_of(s, key);
        fail(error, size, "%s: not a setting of %s (only of: %s)", key,
             *kind ? kind : "a section that is not set", spec->only);
        return refuse(s, key, loc);
    }
    for (const SettingSpec *spec = setting_table; spec->key; spec++)
        if (!fill_default(s, a, spec))
            return false;
    if (!check_together(s, error, size, loc))
        return false;
    const char *wrong = settings_groups_check(s, error, size);
    return !wrong || refuse(s, wrong, loc);
}

static double samples_in_files(const Settings *s)
{
    const char *data = settings_text(s, "data");
    if (settings_get(s, "data.samples"))
        return settings_number(s, "data.samples");
    return !strncmp(data, "cifar", 5)       ? 50000
           : !strcmp(data, "fashion_mnist") ? 60000
                                            : 0;
}

/* As runtime/data_split.c rounds. */
int64_t settings_samples(const Settings *s)
{
    double n = samples_in_files(s);
    n -= round(settings_number(s, "data.validation") * n);
    return (int64_t)round(settings_number(s, "data.fraction") * n);
}
