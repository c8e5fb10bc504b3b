/* picture_resize.c: a picture in another size.
 *
 * Resizing is Pillow's with BILINEAR: each result is a sum over the pixels
 * under a triangle as wide as one pixel of the smaller image, along rows first,
 * then along columns, weights and results rounded to whole numbers:
 *
 *     scale = in / out, at least 1;  centre = (i + 0.5) in / out
 *     weight of pixel k = max(0, 1 - |k + 0.5 - centre| / scale), sum 1
 *
 * Only the middle that is kept is computed.
 *
 * This takes as long as decoding does, so sums are made of LANES numbers at a
 * time: down the columns LANES neighbours, along a row of colours two pixels,
 *
 *     bytes     r0 g0 b0 r1 g1 b1 r2 g2      the last two times 0
 *     weights   w0 w0 w0 w1 w1 w1  0  0
 *
 * which reads up to LANES bytes past the last pixel (PICTURE_SLACK). */
#include "picture_private.h"
#include <math.h>
#include <string.h>

enum { BITS = 22, /* of a weight, after the point */ LANES = 8 };

typedef uint32_t Lanes __attribute__((vector_size(4 * LANES)));
typedef uint16_t Words __attribute__((vector_size(2 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));
_Static_assert((int)LANES <= (int)PICTURE_SLACK, "what may be read");

/* Results begin .. end-1 of `out` along one side. */
typedef struct Side {
    int64_t in, out, begin, end;
    int64_t most, pairs; /* weights for each, even; half as many */
    uint32_t *weight;    /* [end-begin][most], 0 past the last one */
    Lanes *twice;        /* [end-begin][pairs]; NULL: not wanted */
    int64_t *first;      /* [end-begin][2]: the first pixel, and how many */
} Side;

static void side_weigh(const Side *x, int64_t i)
{
    double ratio = (double)x->in / (double)x->out;
    double scale = ratio < 1 ? 1 : ratio;
    double centre = ((double)i + 0.5) * ratio, sum = 0;
    int64_t low = (int64_t)(centre - scale + 0.5);
    int64_t high = (int64_t)(centre + scale + 0.5);
    low = low < 0 || centre - scale + 0.5 < 0 ? 0 : low;
    high = high > x->in ? x->in : high;
    uint32_t *weight = x->weight + (i - x->begin) * x->most;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t k = 0; k < high - low; k++) {
            double at = ((double)(k + low) - centre + 0.5) * (1.0 / scale);
            double w = 1 - fabs(at);
            w = w < 0 ? 0 : w;
            if (pass == 0)
                sum += w;
            else
                weight[k] = (uint32_t)(0.5 + w / sum * (1 << BITS));
        }
    memset(weight + (high - low), 0,
           (size_t)(x->most - (high - low)) * sizeof *weight);
    x->first[2 * (i - x->begin)] = low;
    x->first[2 * (i - x->begin) + 1] = high - low;
}

static void side_pair(const Side *x)
{
    int64_t n = (x->end - x->begin) * x->pairs;
    for (int64_t i = 0; i < n; i++) {
        uint32_t a = x->weight[2 * i], b = x->weight[2 * i + 1];
        x->twice[i] = (Lanes){a, a, a, b, b, b, 0, 0};
    }
}

/* With `colours`, for rows of three channels. */
static bool side_make(Side *x, bool colours, PictureRoom *room, Status *s)
{
    double scale = (double)x->in / (double)x->out;
    int64_t n = x->end - x->begin;
    x->pairs = (int64_t)ceil(scale < 1 ? 1 : scale) + 1;
    x->most = 2 * x->pairs;
    size_t twice = colours ? (size_t)(n * x->pairs) * sizeof *x->twice : 0;
    size_t firsts = 2 * (size_t)n * sizeof *x->first;
    size_t weights = (size_t)(n * x->most) * sizeof *x->weight;
    if (!picture_room(room, sizeof(Lanes) + twice + firsts + weights, s))
        return false;
    uint8_t *at = room->at + -(uintptr_t)room->at % sizeof(Lanes);
    x->twice = colours ? (Lanes *)(void *)at : NULL;
    x->first = (int64_t *)(void *)(at + twice);
    x->weight = (uint32_t *)(void *)(at + twice + firsts);
    for (int64_t i = x->begin; i < x->end; i++)
        side_weigh(x, i);
    if (colours)
        side_pair(x);
    return true;
}

/* Sums stay below 2^32: those of weights below 2^23, however they are
 * rounded. */
static inline uint8_t rounded(uint32_t sum)
{
    sum = (sum + (1u << (BITS - 1))) >> BITS;
    return (uint8_t)(sum > 255 ? 255 : sum);
}

/* One row of [w] to [end-begin]. */
static void row_of_greys(const Side *x, const uint8_t *row, uint8_t *to)
{
    for (int64_t i = 0; i < x->end - x->begin; i++) {
        const uint32_t *weight = x->weight + i * x->most;
        const uint8_t *from = row + x->first[2 * i];
        int64_t n = x->first[2 * i + 1];
        uint32_t sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += from[j] * weight[j];
        to[i] = rounded(sum);
    }
}

/* What follows is compiled twice, for old processors too. */
#define EITHER static inline __attribute__((always_inline)) void

/* Bytes to lanes, by way of words: gcc would take one by one. */
#define WIDEN(to, at)                                                          \
    do {                                                                       \
        Bytes bytes;                                                           \
        memcpy(&bytes, at, sizeof bytes);                                      \
        (to) = __builtin_convertvector(__builtin_convertvector(bytes, Words),  \
                                       Lanes);                                 \
    } while (0)

/* One row of [w,3] to [end-begin,3]. */
EITHER row_of_colours(const Side *x, const uint8_t *row, uint8_t *to)
{
    for (int64_t i = 0; i < x->end - x->begin; i++) {
        const Lanes *weight = x->twice + i * x->pairs;
        const uint8_t *from = row + 3 * x->first[2 * i];
        int64_t pairs = (x->first[2 * i + 1] + 1) / 2;
        Lanes sum = {0};
        for (int64_t j = 0; j < pairs; j++) {
            Lanes some;
            WIDEN(some, from + 6 * j);
            sum += some * weight[j];
        }
        for (int k = 0; k < 3; k++)
            to[3 * i + k] = rounded(sum[k] + sum[k + 3]);
    }
}

/* Row i of the result, all `n` bytes of it, out of rows of so many. */
EITHER row_of_columns(const Side *y, int64_t i, const uint8_t *rows, int64_t n,
                      uint8_t *to)
{
    const uint32_t *weight = y->weight + i * y->most;
    int64_t count = y->first[2 * i + 1];
    for (int64_t at = 0; at < n; at += LANES) {
        Lanes sum = {0};
        for (int64_t j = 0; j < count; j++) {
            Lanes some;
            WIDEN(some, rows + j * n + at);
            sum += some * weight[j];
        }
        for (int64_t k = 0; k < LANES && at + k < n; k++)
            to[at + k] = rounded(sum[k]);
    }
}

/* Of a resizing. */
typedef struct Work {
    Side y, x;
    const Picture *from;
    uint8_t *rows; /* [bottom-top][end-begin][c], then one of the result's */
    int64_t top, bottom;
    uint8_t *to; /* [c,h,w] */
} Work;

EITHER resize(const Work *work)
{
    const Side *y = &work->y, *x = &work->x;
    const Picture *from = work->from;
    int64_t w = x->end - x->begin, h = y->end - y->begin, n = w * from->c;
    for (int64_t i = work->top; i < work->bottom; i++) {
        const uint8_t *row = from->at + i * from->w * from->c;
        uint8_t *to = work->rows + (i - work->top) * n;
        if (from->c == 1)
            row_of_greys(x, row, to);
        else
            row_of_colours(x, row, to);
    }
    uint8_t *last = work->rows + (work->bottom - work->top) * n;
    for (int64_t i = 0; i < h; i++) {
        const uint8_t *rows = work->rows + (y->first[2 * i] - work->top) * n;
        bool grey = from->c == 1;
        row_of_columns(y, i, rows, n, grey ? work->to + i * w : last);
        if (!grey)
            picture_planes(last, w, h * w, work->to + i * w);
    }
}

static void resize_anywhere(const Work *work)
{
    resize(work);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void resize_avx2(const Work *work)
{
    resize(work);
}

static void resize_best(const Work *work)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        resize_avx2(work);
    else
        resize_anywhere(work);
}
#else
static void resize_best(const Work *work)
{
    resize_anywhere(work);
}
#endif

/* The picture as large as covers h x w, of which the middle is kept. */
static void choose_sides(const Picture *p, int64_t h, int64_t w, Side *y,
                         Side *x)
{
    *y = (Side){.in = p->h, .out = h};
    *x = (Side){.in = p->w, .out = w};
    if (w * p->h >= h * p->w)
        y->out = w * p->h / p->w;
    else
        x->out = h * p->w / p->h;
    y->begin = (y->out - h) / 2;
    x->begin = (x->out - w) / 2;
    y->end = y->begin + h;
    x->end = x->begin + w;
}

bool picture_resize(PictureReader *p, int64_t h, int64_t w, uint8_t *to,
                    Status *s)
{
    Work work = {.from = &p->picture, .to = to};
    Side *y = &work.y, *x = &work.x;
    choose_sides(work.from, h, w, y, x);
    if (!side_make(y, false, &p->taps[0], s) ||
        !side_make(x, work.from->c == 3, &p->taps[1], s))
        return false;
    int64_t last = 2 * (h - 1);
    work.top = y->first[0];
    work.bottom = y->first[last] + y->first[last + 1];
    size_t rows = (size_t)(work.bottom - work.top + 1);
    if (!picture_room(&p->rows,
                      rows * (size_t)(w * work.from->c) + PICTURE_SLACK, s))
        return false;
    work.rows = p->rows.at;
    resize_best(&work);
    return true;
}
