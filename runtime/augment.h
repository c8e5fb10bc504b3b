/* augment.h: from the pixels of one image to what the model takes: random
 * crop and flip, scaled, normalised, laid out.
 *
 * Every random choice is a function of (seed, epoch, sample): so it does not
 * depend on threads, order or where a run was resumed.
 *
 * Values are computed as PyTorch does, in float: (x / 255 - mean) / std.  The
 * border that a crop sees is black, 0 before normalisation, as in
 * torchvision's RandomCrop(size, padding).
 */
#ifndef TGC_AUGMENT_H
#define TGC_AUGMENT_H

#include "loader.h"
#include <stddef.h>

/* Where an output image is cut from: pixel (y, x) comes from
 * (y0 + y, x0 + x * step), and is black where that lies outside. */
typedef struct View {
    int64_t y0, x0;
    int step; /* 1, or -1 where the image is mirrored */
} View;

typedef struct Augment {
    int64_t c, h, w;
    int64_t stride_c, stride_h, stride_w; /* of the result, in elements */
    uint64_t seed;
    int crop;
    bool flip;
    float value[LOADER_MAX_CHANNELS][256]; /* of each byte, normalised */
} Augment;

/* Refuses means and deviations that do not fit the channels. */
bool augment_prepare(Augment *a, const LoaderOptions *o, Status *s);

View augment_view(const Augment *a, int64_t epoch, int64_t sample);
/* u8 [c,h,w] to f32 [c,h,w] in the strides of the result. */
void augment_render(const Augment *a, View v, const uint8_t *pixels, float *to);
void augment_zero(const Augment *a, float *to);

#endif
