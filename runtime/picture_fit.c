/* picture_fit.c: a decoded picture to the bytes that a model takes: channels,
 * size, order. */
#include "picture_private.h"
#include <string.h>

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

void picture_planes(const uint8_t *restrict from, int64_t n, int64_t plane,
                    uint8_t *restrict to)
{
    uint8_t *restrict green = to + plane, *restrict blue = green + plane;
    for (int64_t i = 0; i < n; i++) {
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
        picture_planes(from->at, (int64_t)plane, (int64_t)plane, to);
    else if (same)
        memcpy(to, from->at, plane);
    else if (!picture_resize(p, fit->h, fit->w, to, s))
        return false;
    if (from->c == 1 && fit->c == 3) {
        memcpy(to + plane, to, plane);
        memcpy(to + 2 * plane, to, plane);
    }
    return true;
}
