/* augment.c: a table of steps moves a window over the image, then one pass
 * reads the pixels through it.  See augment.h.
 *
 * A new geometric step is one entry: the words of randomness that are its
 * own (so that switching one step off leaves the others' choices alone), and
 * how it changes the View. */
#include "augment.h"
#include "rng.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { WORDS = 16 /* of each sample in an epoch; see RNG_AUGMENT */ };

/* ---- steps --------------------------------------------------------------- */

typedef struct Step {
    int word; /* the first of its words, 0 .. WORDS-1 */
    void (*apply)(const Augment *a, const uint32_t *word, View *v);
} Step;

/* A window of the image's own size in the image with a border. */
static void crop(const Augment *a, const uint32_t *word, View *v)
{
    if (!a->crop)
        return;
    uint32_t places = 2 * (uint32_t)a->crop + 1;
    int64_t dx = (int64_t)rng_below(word[1], places) - a->crop;
    v->y0 += (int64_t)rng_below(word[0], places) - a->crop;
    v->x0 += dx * v->step;
}

static void flip(const Augment *a, const uint32_t *word, View *v)
{
    if (!a->flip || !(word[0] >> 31))
        return;
    v->x0 += (a->w - 1) * v->step;
    v->step = -v->step;
}

static const Step steps[] = {
    {0, crop}, /* 0: down, 1: right */
    {2, flip},
};
enum { STEPS = sizeof steps / sizeof *steps, WORDS_USED = 4 };

View augment_view(const Augment *a, int64_t epoch, int64_t sample)
{
    View v = {0, 0, 1};
    if (!a->crop && !a->flip)
        return v;
    uint64_t block = (uint64_t)sample * (WORDS / 4);
    const uint32_t key[2] = {(uint32_t)a->seed, (uint32_t)(a->seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32),
                                 (uint32_t)epoch, RNG_AUGMENT};
    uint32_t word[WORDS_USED];
    rng_philox(key, counter, word); /* words 0..3 of rng_u32 */
    for (int i = 0; i < STEPS; i++)
        steps[i].apply(a, word + steps[i].word, &v);
    return v;
}

/* ---- pixels -------------------------------------------------------------- */

/* Columns begin .. end-1 of the result lie inside the image. */
static void columns_inside(const Augment *a, View v, int64_t *begin,
                           int64_t *end)
{
    int64_t low = v.step > 0 ? -v.x0 : v.x0 - (a->w - 1);
    int64_t high = v.step > 0 ? a->w - v.x0 : v.x0 + 1;
    *begin = low < 0 ? 0 : low > a->w ? a->w : low;
    *end = high < *begin ? *begin : high > a->w ? a->w : high;
}

static void fill(float *to, int64_t stride, int64_t begin, int64_t end,
                 float value)
{
    for (int64_t x = begin; x < end; x++)
        to[x * stride] = value;
}

/* One channel of one row; `from` is the row's first pixel, NULL for a row
 * outside the image. */
static void render_row(const Augment *a, View v, const uint8_t *from,
                       const float value[256], float *to)
{
    int64_t begin, end, stride = a->stride_w;
    columns_inside(a, v, &begin, &end);
    if (!from)
        begin = end = 0;
    fill(to, stride, 0, begin, value[0]);
    for (int64_t x = begin; x < end; x++)
        to[x * stride] = value[from[v.x0 + x * v.step]];
    fill(to, stride, end, a->w, value[0]);
}

/* Row by row with the channels inside, so that a channels-last row is written
 * while it is in the cache. */
void augment_render(const Augment *a, View v, const uint8_t *pixels, float *to)
{
    for (int64_t y = 0; y < a->h; y++) {
        int64_t row = v.y0 + y;
        bool inside = row >= 0 && row < a->h;
        for (int64_t c = 0; c < a->c; c++)
            render_row(a, v, inside ? pixels + (c * a->h + row) * a->w : NULL,
                       a->value[c], to + y * a->stride_h + c * a->stride_c);
    }
}

void augment_zero(const Augment *a, float *to)
{
    for (int64_t c = 0; c < a->c; c++)
        for (int64_t y = 0; y < a->h; y++)
            fill(to + c * a->stride_c + y * a->stride_h, a->stride_w, 0, a->w,
                 0);
}

/* ---- options ------------------------------------------------------------- */

static bool check_count(const char *key, int n, int64_t channels, Status *s)
{
    if (n == 0 || n == 1 || n == channels)
        return true;
    return status_fail(s,
                       "data.%s has %d numbers, but the model's images have "
                       "%lld channels; give %lld, or one for all",
                       key, n, (long long)channels, (long long)channels);
}

static double of_channel(const double *list, int n, int64_t c, double none)
{
    return n == 0 ? none : list[n == 1 ? 0 : c];
}

static bool fill_values(Augment *a, const LoaderOptions *o, Status *s)
{
    for (int64_t c = 0; c < a->c; c++) {
        float mean = (float)of_channel(o->mean, o->n_mean, c, 0);
        float std = (float)of_channel(o->std, o->n_std, c, 1);
        if (!isfinite(mean) || !isfinite(std) || !(std > 0))
            return status_fail(s,
                               "channel %lld has mean %g and deviation %g; "
                               "data.mean must be finite, and data.std finite "
                               "and above 0",
                               (long long)c, mean, std);
        for (int byte = 0; byte < 256; byte++)
            a->value[c][byte] = ((float)byte / 255.0f - mean) / std;
    }
    return true;
}

bool augment_prepare(Augment *a, const LoaderOptions *o, Status *s)
{
    const PlanType *t = &o->image;
    assert(t->dtype == PLAN_F32 && t->rank == 4 && "images are f32 [N,C,H,W]");
    *a = (Augment){.c = t->dim[1],
                   .h = t->dim[2],
                   .w = t->dim[3],
                   .stride_c = t->stride[1],
                   .stride_h = t->stride[2],
                   .stride_w = t->stride[3],
                   .seed = o->seed,
                   .crop = o->augment ? o->crop : 0,
                   .flip = o->augment && o->flip};
    if (a->c > LOADER_MAX_CHANNELS)
        return status_fail(s,
                           "images have %lld channels; a loader takes at most "
                           "%d",
                           (long long)a->c, LOADER_MAX_CHANNELS);
    if (a->crop < 0 || a->crop > 4096)
        return status_fail(s, "data.crop is %d; it must be 0 to 4096", a->crop);
    return check_count("mean", o->n_mean, a->c, s) &&
           check_count("std", o->n_std, a->c, s) && fill_values(a, o, s);
}
