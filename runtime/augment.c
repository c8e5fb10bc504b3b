/* augment.c: the steps of data.augment on one image; see augment.h.
 *
 * Crop with a black border, flip and cutout only move pixels or hide them.
 * Where nothing else comes, they move a window over the image, and one pass
 * reads the bytes through it and normalises them by a table of 256 floats a
 * channel.  Other steps (augment_steps.c) work on an image of floats. */
#include "augment.h"
#include "rng.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- crop and flip as a window ------------------------------------------- */

int64_t augment_place(const AugmentStep *x, const AugmentDraw *d, int word,
                      int64_t from, int64_t to)
{
    int64_t border = (int64_t)x->value[0];
    uint32_t places = (uint32_t)(from - to + 2 * border + 1);
    return (int64_t)rng_below(augment_word(d, word), places) - border;
}

static bool any_crop(const AugmentList *list)
{
    for (int i = 0; i < list->n; i++)
        if (list->step[i].kind == AUGMENT_CROP ||
            list->step[i].kind == AUGMENT_RESIZED)
            return true;
    return false;
}

View augment_view(const Augment *a, int64_t epoch, int64_t sample)
{
    const AugmentDraw d = {a->seed, epoch, sample};
    View v = {0, 0, 1};
    int64_t w = a->from_w; /* of the window so far */
    if (!any_crop(&a->list)) {
        v.y0 = (a->from_h - a->h) / 2;
        v.x0 = (a->from_w - a->w) / 2;
        w = a->w;
    }
    for (int i = 0; i < a->list.n; i++) {
        const AugmentStep *x = &a->list.step[i];
        if (x->kind == AUGMENT_CROP) {
            v.y0 += augment_place(x, &d, 0, a->from_h, a->h);
            v.x0 += augment_place(x, &d, 1, w, a->w) * v.step;
            w = a->w;
        }
        if (x->kind == AUGMENT_FLIP && augment_mirrors(x, &d)) {
            v.x0 += (w - 1) * v.step;
            v.step = -v.step;
        }
    }
    return v;
}

/* May they be done by a window, then cutouts? */
static bool only_moves(const AugmentList *list)
{
    bool cut = false;
    for (int i = 0; i < list->n; i++) {
        const AugmentStep *x = &list->step[i];
        if (x->kind > AUGMENT_CUTOUT ||
            (x->kind == AUGMENT_CROP && x->special) ||
            (cut && x->kind != AUGMENT_CUTOUT))
            return false;
        cut = x->kind == AUGMENT_CUTOUT;
    }
    return true;
}

/* ---- pixels -------------------------------------------------------------- */

/* Columns begin .. end-1 of the result lie inside the image. */
static void columns_inside(const Augment *a, View v, int64_t *begin,
                           int64_t *end)
{
    int64_t low = v.step > 0 ? -v.x0 : v.x0 - (a->from_w - 1);
    int64_t high = v.step > 0 ? a->from_w - v.x0 : v.x0 + 1;
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
        bool inside = row >= 0 && row < a->from_h;
        for (int64_t c = 0; c < a->c; c++)
            render_row(a, v,
                       inside ? pixels + (c * a->from_h + row) * a->from_w
                              : NULL,
                       a->value[c], to + y * a->stride_h + c * a->stride_c);
    }
}

/* The mean is 0 after normalisation. */
static void render_cutout(const Augment *a, const int64_t box[4], float *to)
{
    for (int64_t y = box[0]; y < box[2]; y++)
        for (int64_t c = 0; c < a->c; c++)
            fill(to + y * a->stride_h + c * a->stride_c, a->stride_w, box[1],
                 box[3], 0);
}

/* ---- images of floats ---------------------------------------------------- */

int64_t augment_room(const Augment *a)
{
    return a->moves ? 0 : 2 * a->c * a->from_h * a->from_w;
}

static void render_canvas(const Augment *a, const Canvas *p, float *to)
{
    assert(p->h == a->h && p->w == a->w);
    for (int64_t y = 0; y < a->h; y++)
        for (int64_t c = 0; c < a->c; c++) {
            const float *from = p->at + (c * a->h + y) * a->w;
            float *row = to + y * a->stride_h + c * a->stride_c;
            for (int64_t x = 0; x < a->w; x++)
                row[x * a->stride_w] = (from[x] - a->mean[c]) / a->std[c];
        }
}

void augment_image(const Augment *a, int64_t epoch, int64_t sample,
                   const uint8_t *pixels, float *room, float *to)
{
    const AugmentDraw d = {a->seed, epoch, sample};
    int64_t n = a->c * a->from_h * a->from_w, box[4];
    if (a->moves) {
        augment_render(a, augment_view(a, epoch, sample), pixels, to);
        for (int i = 0; i < a->list.n; i++)
            if (a->list.step[i].kind == AUGMENT_CUTOUT) {
                augment_cutout(&a->list.step[i], &d, a->h, a->w, box);
                render_cutout(a, box, to);
            }
        return;
    }
    Canvas p = {a->c, a->from_h, a->from_w, a->h,
                a->w, room,      room + n,  a->mean};
    for (int64_t i = 0; i < n; i++)
        room[i] = (float)pixels[i] / 255.0f;
    if (!any_crop(&a->list))
        augment_middle(&p);
    for (int i = 0; i < a->list.n; i++)
        augment_apply(&a->list.step[i], &d, &p);
    render_canvas(a, &p, to);
}

void augment_zero(const Augment *a, float *to)
{
    for (int64_t c = 0; c < a->c; c++)
        for (int64_t y = 0; y < a->h; y++)
            fill(to + c * a->stride_c + y * a->stride_h, a->stride_w, 0, a->w,
                 0);
}

/* A step comes at most once, so there is one cutout at most. */
PlanRow augment_row(const Augment *a, int64_t epoch, int64_t sample)
{
    const AugmentDraw d = {a->seed, epoch, sample};
    View v = augment_view(a, epoch, sample);
    int64_t box[4] = {0};
    for (int i = 0; i < a->list.n; i++)
        if (a->list.step[i].kind == AUGMENT_CUTOUT)
            augment_cutout(&a->list.step[i], &d, a->h, a->w, box);
    PlanRow row = {.sample = (int32_t)sample,
                   .y0 = (int32_t)v.y0,
                   .x0 = (int32_t)v.x0,
                   .step = v.step};
    for (int i = 0; i < 4; i++)
        row.box[i] = (int32_t)box[i];
    return row;
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
        a->mean[c] = mean;
        a->std[c] = std;
        for (int byte = 0; byte < 256; byte++)
            a->value[c][byte] = ((float)byte / 255.0f - mean) / std;
    }
    return true;
}

/* data.augment, or in its absence data.crop and data.flip. */
static bool choose_steps(Augment *a, const LoaderOptions *o, Status *s)
{
    AugmentList *list = &a->list;
    if (!o->augment)
        return true;
    if (o->steps)
        return augment_parse(list, o->steps, s);
    if (o->crop < 0 || o->crop > 4096)
        return status_fail(s, "data.crop is %d; it must be 0 to 4096", o->crop);
    if (o->crop)
        list->step[list->n++] =
            (AugmentStep){AUGMENT_CROP, {o->crop, 0, 0}, false};
    if (o->flip)
        list->step[list->n++] =
            (AugmentStep){AUGMENT_FLIP, {0}, o->flip == LOADER_FLIP_ALTERNATE};
    return true;
}

bool augment_prepare(Augment *a, const LoaderOptions *o, Status *s)
{
    const PlanType *t = &o->image;
    assert(t->dtype == PLAN_F32 && t->rank == 4 && "images are f32 [N,C,H,W]");
    *a = (Augment){.c = t->dim[1],
                   .h = t->dim[2],
                   .w = t->dim[3],
                   .from_h = t->dim[2],
                   .from_w = t->dim[3],
                   .stride_c = t->stride[1],
                   .stride_h = t->stride[2],
                   .stride_w = t->stride[3],
                   .seed = o->seed};
    if (a->c > LOADER_MAX_CHANNELS)
        return status_fail(s,
                           "images have %lld channels; a loader takes at most "
                           "%d",
                           (long long)a->c, LOADER_MAX_CHANNELS);
    if (!choose_steps(a, o, s))
        return false;
    a->moves = only_moves(&a->list);
    return check_count("mean", o->n_mean, a->c, s) &&
           check_count("std", o->n_std, a->c, s) && fill_values(a, o, s);
}

void augment_larger(Augment *a, int64_t from_h, int64_t from_w)
{
    assert(from_h >= a->h && from_w >= a->w);
    a->from_h = from_h;
    a->from_w = from_w;
}
