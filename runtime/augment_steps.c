/* augment_steps.c: what each step of data.augment does with an image of
 * floats.  The random words of a step are its own, so that leaving one step
 * out leaves the others' choices as they were:
 *
 *     crop 0, 1   flip 2   cutout 4, 5   rotate 6   jitter 8, 9, 10
 *     resized_crop: stream RNG_RESIZED, four for each of ten tries
 */
#include "augment.h"
#include "rng.h"
#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

enum { WORDS = 16, RESIZED_WORDS = 64, RESIZED_TRIES = 10 };

uint32_t augment_word(const AugmentDraw *d, int i)
{
    return rng_u32(d->seed, RNG_AUGMENT, (uint32_t)d->epoch,
                   (uint64_t)d->sample * WORDS + (uint64_t)i);
}

static double between(uint32_t word, double low, double high)
{
    return low + (high - low) * (double)rng_unit(word);
}

static void swap(Canvas *canvas)
{
    float *at = canvas->at;
    canvas->at = canvas->spare;
    canvas->spare = at;
}

/* ---- crop ---------------------------------------------------------------- */

/* The row or column that a border shows: numpy's "reflect", which repeats no
 * edge; -1: none, it is black. */
static int64_t behind_border(int64_t i, int64_t n, bool reflect)
{
    if (i >= 0 && i < n)
        return i;
    if (!reflect)
        return -1;
    if (n == 1)
        return 0;
    int64_t period = 2 * (n - 1);
    i = (i % period + period) % period;
    return i < n ? i : period - i;
}

static void crop_row(const AugmentStep *x, const float *row, int64_t dx,
                     const Canvas *p, float *to)
{
    for (int64_t i = 0; i < p->to_w; i++) {
        int64_t column = behind_border(i + dx, p->w, x->special);
        to[i] = row && column >= 0 ? row[column] : 0;
    }
}

/* The canvas becomes what was written into the spare one. */
static void resized_to(Canvas *p, int64_t h, int64_t w)
{
    swap(p);
    p->h = h;
    p->w = w;
}

static void crop_at(const AugmentStep *x, int64_t dy, int64_t dx, Canvas *p)
{
    for (int64_t c = 0; c < p->c; c++)
        for (int64_t y = 0; y < p->to_h; y++) {
            int64_t row = behind_border(y + dy, p->h, x->special);
            crop_row(x, row < 0 ? NULL : p->at + (c * p->h + row) * p->w, dx, p,
                     p->spare + (c * p->to_h + y) * p->to_w);
        }
    resized_to(p, p->to_h, p->to_w);
}

static void crop(const AugmentStep *x, const AugmentDraw *d, Canvas *p)
{
    int64_t dy = augment_place(x, d, 0, p->h, p->to_h);
    int64_t dx = augment_place(x, d, 1, p->w, p->to_w);
    crop_at(x, dy, dx, p);
}

void augment_middle(Canvas *p)
{
    const AugmentStep x = {.kind = AUGMENT_CROP};
    if (p->h != p->to_h || p->w != p->to_w)
        crop_at(&x, (p->h - p->to_h) / 2, (p->w - p->to_w) / 2, p);
}

/* ---- flip ---------------------------------------------------------------- */

/* Alternating: half of the images in the first epoch, the others in the
 * second, and so on (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single
 * GPU", 2024). */
bool augment_mirrors(const AugmentStep *x, const AugmentDraw *d)
{
    if (!x->special)
        return augment_word(d, 2) >> 31;
    const AugmentDraw first = {d->seed, 0, d->sample};
    return (augment_word(&first, 2) >> 31) ^ (d->epoch & 1);
}

static void flip(const AugmentStep *x, const AugmentDraw *d, Canvas *p)
{
    if (!augment_mirrors(x, d))
        return;
    for (int64_t row = 0; row < p->c * p->h; row++) {
        float *at = p->at + row * p->w;
        for (int64_t i = 0; i < p->w / 2; i++) {
            float kept = at[i];
            at[i] = at[p->w - 1 - i];
            at[p->w - 1 - i] = kept;
        }
    }
}

/* ---- cutout -------------------------------------------------------------- */

static void cut_ends(uint32_t word, int64_t size, int64_t n, int64_t *begin,
                     int64_t *end)
{
    *begin = (int64_t)rng_below(word, (uint32_t)n) - size / 2;
    *end = *begin + size;
    *begin = *begin < 0 ? 0 : *begin;
    *end = *end > n ? n : *end;
}

/* A square around any pixel, so that it may reach over the border (DeVries and
 * Taylor, "Improved regularization of convolutional neural networks with
 * cutout", 2017). */
void augment_cutout(const AugmentStep *x, const AugmentDraw *d, int64_t h,
                    int64_t w, int64_t box[4])
{
    int64_t size = (int64_t)x->value[0];
    cut_ends(augment_word(d, 4), size, h, &box[0], &box[2]);
    cut_ends(augment_word(d, 5), size, w, &box[1], &box[3]);
}

static void cutout(const AugmentStep *x, const AugmentDraw *d, Canvas *p)
{
    int64_t box[4];
    augment_cutout(x, d, p->h, p->w, box);
    for (int64_t c = 0; c < p->c; c++)
        for (int64_t y = box[0]; y < box[2]; y++)
            for (int64_t i = box[1]; i < box[3]; i++)
                p->at[(c * p->h + y) * p->w + i] = p->mean[c];
}

/* ---- resized_crop -------------------------------------------------------- */

typedef struct Piece {
    int64_t y, x, h, w;
} Piece;

static Piece middle(int64_t h, int64_t w, int64_t tall, int64_t wide)
{
    return (Piece){(h - tall) / 2, (w - wide) / 2, tall, wide};
}

/* A share of the area and a shape between 3:4 and 4:3, as torchvision's
 * RandomResizedCrop chooses them. */
static Piece resized_piece(const AugmentStep *x, const AugmentDraw *d,
                           int64_t h, int64_t w)
{
    const double low = 3.0 / 4.0, high = 4.0 / 3.0;
    uint64_t base = (uint64_t)d->sample * RESIZED_WORDS;
    for (int i = 0; i < RESIZED_TRIES; i++) {
        uint32_t word[4];
        for (int k = 0; k < 4; k++)
            word[k] = rng_u32(d->seed, RNG_RESIZED, (uint32_t)d->epoch,
                              base + (uint64_t)(4 * i + k));
        double area = between(word[0], x->value[0], x->value[1]);
        double ratio = exp(between(word[1], log(low), log(high)));
        area *= (double)h * (double)w;
        int64_t wide = llrint(sqrt(area * ratio));
        int64_t tall = llrint(sqrt(area / ratio));
        if (wide >= 1 && wide <= w && tall >= 1 && tall <= h)
            return (Piece){rng_below(word[2], (uint32_t)(h - tall + 1)),
                           rng_below(word[3], (uint32_t)(w - wide + 1)), tall,
                           wide};
    }
    double shape = (double)w / (double)h;
    if (shape < low)
        return middle(h, w, llrint((double)w / low), w);
    if (shape > high)
        return middle(h, w, h, llrint((double)h * high));
    return middle(h, w, h, w);
}

/* Where pixel i of n comes from in a piece of `size`: the place left of it
 * (or above), and how far beyond. */
static int64_t source(int64_t i, int64_t n, int64_t size, float *beyond)
{
    double at = ((double)i + 0.5) * (double)size / (double)n - 0.5;
    if (at < 0)
        at = 0;
    int64_t low = (int64_t)at;
    *beyond = (float)(at - (double)low);
    return low;
}

/* Bilinear, between the centres of pixels; beyond the outermost ones their
 * value. */
static void resize_plane(const Piece *k, const float *from, const Canvas *p,
                         float *to)
{
    int64_t h = p->to_h, w = p->to_w;
    for (int64_t y = 0; y < h; y++) {
        float dy, dx;
        int64_t top = source(y, h, k->h, &dy);
        int64_t bottom = top + 1 < k->h ? top + 1 : top;
        const float *a = from + (k->y + top) * p->w + k->x;
        const float *b = from + (k->y + bottom) * p->w + k->x;
        for (int64_t x = 0; x < w; x++) {
            int64_t left = source(x, w, k->w, &dx);
            int64_t right = left + 1 < k->w ? left + 1 : left;
            float above = a[left] + dx * (a[right] - a[left]);
            float below = b[left] + dx * (b[right] - b[left]);
            to[y * w + x] = above + dy * (below - above);
        }
    }
}

static void resized(const AugmentStep *x, const AugmentDraw *d, Canvas *p)
{
    Piece k = resized_piece(x, d, p->h, p->w);
    for (int64_t c = 0; c < p->c; c++)
        resize_plane(&k, p->at + c * p->h * p->w, p,
                     p->spare + c * p->to_h * p->to_w);
    resized_to(p, p->to_h, p->to_w);
}

/* ---- rotate -------------------------------------------------------------- */

static float pixel(const float *plane, int64_t h, int64_t w, int64_t y,
                   int64_t x)
{
    return y >= 0 && y < h && x >= 0 && x < w ? plane[y * w + x] : 0;
}

/* Bilinear; black where it lies outside. */
static float pixel_at(const float *plane, int64_t h, int64_t w, double y,
                      double x)
{
    double top = floor(y), left = floor(x);
    int64_t i = (int64_t)top, k = (int64_t)left;
    float dy = (float)(y - top), dx = (float)(x - left);
    float a = pixel(plane, h, w, i, k), b = pixel(plane, h, w, i, k + 1);
    float e = pixel(plane, h, w, i + 1, k),
          f = pixel(plane, h, w, i + 1, k + 1);
    return (1 - dy) * ((1 - dx) * a + dx * b) + dy * ((1 - dx) * e + dx * f);
}

/* Around the middle of the image, counter-clockwise for angles above 0. */
static void rotate(const AugmentStep *x, const AugmentDraw *d, Canvas *p)
{
    double angle =
        between(augment_word(d, 6), -x->value[0], x->value[0]) * PI / 180;
    double co = cos(angle), si = sin(angle);
    double my = (double)(p->h - 1) / 2, mx = (double)(p->w - 1) / 2;
    for (int64_t c = 0; c < p->c; c++) {
        const float *plane = p->at + c * p->h * p->w;
        float *to = p->spare + c * p->h * p->w;
        for (int64_t i = 0; i < p->h; i++)
            for (int64_t k = 0; k < p->w; k++) {
                double dy = (double)i - my, dx = (double)k - mx;
                to[i * p->w + k] =
                    pixel_at(plane, p->h, p->w, my + co * dy + si * dx,
                             mx + co * dx - si * dy);
            }
    }
    swap(p);
}

/* ---- jitter -------------------------------------------------------------- */

/* Luma of Rec. 601, as torchvision has it; other images than RGB: the mean. */
static float gray_of(const Canvas *p, int64_t at)
{
    int64_t plane = p->h * p->w;
    if (p->c == 3)
        return 0.2989f * p->at[at] + 0.587f * p->at[plane + at] +
               0.114f * p->at[2 * plane + at];
    float sum = 0;
    for (int64_t c = 0; c < p->c; c++)
        sum += p->at[c * plane + at];
    return sum / (float)p->c;
}

static float clamp(float v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* v becomes base + factor * (v - base), kept in 0..1. */
static float spread(float v, float base, float factor)
{
    return clamp(base + factor * (v - base));
}

static float factor_of(uint32_t word, double amount)
{
    return (float)between(word, amount < 1 ? 1 - amount : 0, 1 + amount);
}

/* Brightness, contrast, saturation, in this order; each by a factor from
 * 1 - amount to 1 + amount, as in torchvision's ColorJitter. */
static void jitter(const AugmentStep *x, const AugmentDraw *d, Canvas *p)
{
    int64_t plane = p->h * p->w, all = p->c * plane;
    float factor[3], mean = 0;
    for (int i = 0; i < 3; i++)
        factor[i] = factor_of(augment_word(d, 8 + i), x->value[i]);
    if (x->value[0] > 0)
        for (int64_t i = 0; i < all; i++)
            p->at[i] = spread(p->at[i], 0, factor[0]);
    if (x->value[1] > 0) {
        for (int64_t i = 0; i < plane; i++)
            mean += gray_of(p, i);
        mean /= (float)plane;
        for (int64_t i = 0; i < all; i++)
            p->at[i] = spread(p->at[i], mean, factor[1]);
    }
    for (int64_t i = 0; x->value[2] > 0 && i < plane; i++) {
        float gray = gray_of(p, i);
        for (int64_t c = 0; c < p->c; c++)
            p->at[c * plane + i] =
                spread(p->at[c * plane + i], gray, factor[2]);
    }
}

/* ---- the table ----------------------------------------------------------- */

void augment_apply(const AugmentStep *x, const AugmentDraw *d, Canvas *canvas)
{
    static void (*const apply[AUGMENT_KINDS])(const AugmentStep *,
                                              const AugmentDraw *, Canvas *) = {
        [AUGMENT_CROP] = crop,     [AUGMENT_FLIP] = flip,
        [AUGMENT_CUTOUT] = cutout, [AUGMENT_RESIZED] = resized,
        [AUGMENT_ROTATE] = rotate, [AUGMENT_JITTER] = jitter,
    };
    apply[x->kind](x, d, canvas);
}
