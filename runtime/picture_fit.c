/* picture_fit.c: a decoded picture to the bytes that a model takes: channels,
 * size, order.
 *
 * Resizing is Pillow's with BILINEAR: each result is a sum over the pixels
 * under a triangle as wide as one pixel of the smaller image, along rows first,
 * then along columns, weights and results rounded to whole numbers:
 *
 *     scale = in / out, at least 1;  centre = (i + 0.5) in / out
 *     weight of pixel k = max(0, 1 - |k + 0.5 - centre| / scale), sum 1
 *
 * Only the middle that is kept is computed. */
#include "picture_private.h"
#include <math.h>
#include <string.h>

enum { BITS = 22 }; /* of a weight, after the point */

/* Results begin .. end-1 of `out` along one side. */
typedef struct Side {
    int64_t in, out, begin, end;
    int64_t most;    /* weights for each */
    int32_t *weight; /* [end-begin][most] */
    int64_t *first;  /* [end-begin][2]: the first pixel, and how many */
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
    int32_t *weight = x->weight + (i - x->begin) * x->most;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t k = 0; k < high - low; k++) {
            double at = ((double)(k + low) - centre + 0.5) * (1.0 / scale);
            double w = 1 - fabs(at);
            w = w < 0 ? 0 : w;
            if (pass == 0)
                sum += w;
            else
                weight[k] = (int32_t)(0.5 + w / sum * (1 << BITS));
        }
    x->first[2 * (i - x->begin)] = low;
    x->first[2 * (i - x->begin) + 1] = high - low;
}

static bool side_make(Side *x, PictureRoom *room, Status *s)
{
    double scale = (double)x->in / (double)x->out;
    int64_t n = x->end - x->begin;
    x->most = 2 * (int64_t)ceil(scale < 1 ? 1 : scale) + 1;
    size_t firsts = 2 * (size_t)n * sizeof *x->first;
    size_t weights = (size_t)(n * x->most) * sizeof *x->weight;
    if (!picture_room(room, firsts + weights, s))
        return false;
    x->first = (int64_t *)(void *)room->at;
    x->weight = (int32_t *)(void *)(room->at + firsts);
    for (int64_t i = x->begin; i < x->end; i++)
        side_weigh(x, i);
    return true;
}

static uint8_t rounded(int64_t sum)
{
    sum = (sum + (1 << (BITS - 1))) >> BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One row of [w,c] to [end-begin,c]. */
static void resize_row(const Side *x, const uint8_t *row, int64_t c,
                       uint8_t *to)
{
    for (int64_t i = 0; i < x->end - x->begin; i++) {
        const int32_t *weight = x->weight + i * x->most;
        const uint8_t *from = row + x->first[2 * i] * c;
        int64_t n = x->first[2 * i + 1];
        for (int64_t k = 0; k < c; k++) {
            int64_t sum = 0;
            for (int64_t j = 0; j < n; j++)
                sum += (int64_t)from[j * c + k] * weight[j];
            to[i * c + k] = rounded(sum);
        }
    }
}

/* Columns of [rows,wide,c], whose first row is `top`, to [c,h,wide]. */
static void resize_columns(const Side *y, const uint8_t *rows, int64_t top,
                           int64_t wide, int64_t c, uint8_t *to)
{
    int64_t h = y->end - y->begin;
    for (int64_t i = 0; i < h; i++) {
        const int32_t *weight = y->weight + i * y->most;
        const uint8_t *from = rows + (y->first[2 * i] - top) * wide * c;
        int64_t n = y->first[2 * i + 1];
        for (int64_t x = 0; x < wide; x++)
            for (int64_t k = 0; k < c; k++) {
                int64_t sum = 0;
                for (int64_t j = 0; j < n; j++)
                    sum += (int64_t)from[(j * wide + x) * c + k] * weight[j];
                to[(k * h + i) * wide + x] = rounded(sum);
            }
    }
}

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

static bool resize(PictureReader *p, int64_t h, int64_t w, uint8_t *to,
                   Status *s)
{
    const Picture *from = &p->picture;
    Side y, x;
    choose_sides(from, h, w, &y, &x);
    if (!side_make(&y, &p->taps[0], s) || !side_make(&x, &p->taps[1], s))
        return false;
    int64_t top = y.first[0];
    int64_t last = 2 * (h - 1), bottom = y.first[last] + y.first[last + 1];
    if (!picture_room(&p->rows, (size_t)((bottom - top) * w * from->c), s))
        return false;
    for (int64_t i = top; i < bottom; i++)
        resize_row(&x, from->at + i * from->w * from->c, from->c,
                   p->rows.at + (i - top) * w * from->c);
    resize_columns(&y, p->rows.at, top, w, from->c, to);
    return true;
}

/* [h,w,3] to [h,w], in place: 0.299 R + 0.587 G + 0.114 B. */
static void to_grey(Picture *p)
{
    for (int64_t i = 0; i < p->h * p->w; i++) {
        const uint8_t *at = p->at + 3 * i;
        p->at[i] =
            (uint8_t)((19595 * (uint32_t)at[0] + 38470 * (uint32_t)at[1] +
                       7471 * (uint32_t)at[2] + 0x8000) >>
                      16);
    }
    p->c = 1;
}

/* [plane,3] to [3,plane] */
static void copy_colours(const uint8_t *restrict from, int64_t plane,
                         uint8_t *restrict to)
{
    uint8_t *restrict green = to + plane, *restrict blue = green + plane;
    for (int64_t i = 0; i < plane; i++) {
        to[i] = from[3 * i];
        green[i] = from[3 * i + 1];
        blue[i] = from[3 * i + 2];
    }
}

bool picture_fit(PictureReader *p, const PictureFit *fit, uint8_t *to,
                 Status *s)
{
    Picture *from = &p->picture;
    size_t plane = (size_t)(fit->h * fit->w);
    bool same = from->h == fit->h && from->w == fit->w;
    if (!same && !fit->resize)
        return status_fail(s,
                           "%s has %lldx%lld pixels (height, width), but the "
                           "model takes %lldx%lld; data.resize = %lld would "
                           "make all pictures fit",
                           p->path, (long long)from->h, (long long)from->w,
                           (long long)fit->h, (long long)fit->w,
                           (long long)(fit->h < fit->w ? fit->h : fit->w));
    if (fit->c == 1 && from->c == 3)
        to_grey(from);
    if (same && from->c == 3)
        copy_colours(from->at, from->h * from->w, to);
    else if (same)
        memcpy(to, from->at, plane);
    else if (!resize(p, fit->h, fit->w, to, s))
        return false;
    if (from->c == 1 && fit->c == 3) {
        memcpy(to + plane, to, plane);
        memcpy(to + 2 * plane, to, plane);
    }
    return true;
}
