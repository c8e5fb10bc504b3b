/* augment.h: from the pixels of one image to what the model takes: changed at
 * random, step by step, then normalised and laid out.
 *
 *     crop(4), flip, cutout(8)      the setting data.augment, in this order
 *
 * Every random choice is a function of (seed, epoch, sample): so it does not
 * depend on threads, order or where a run was resumed.
 *
 * Values are computed as PyTorch does, in float: (x / 255 - mean) / std.
 */
#ifndef TGC_AUGMENT_H
#define TGC_AUGMENT_H

#include "loader.h"
#include <stddef.h>

/* ---- which steps --------------------------------------------------------- */

typedef enum AugmentKind {
    AUGMENT_CROP,    /* pixels of border; reflect: mirrored, else black */
    AUGMENT_FLIP,    /* left-right; alternate: every other epoch */
    AUGMENT_CUTOUT,  /* side of a square that becomes the mean */
    AUGMENT_RESIZED, /* least and greatest share of the area */
    AUGMENT_ROTATE,  /* degrees, at most, either way */
    AUGMENT_JITTER,  /* brightness, contrast, saturation */
    AUGMENT_KINDS
} AugmentKind;

typedef struct AugmentStep {
    AugmentKind kind;
    double value[3];
    bool special; /* the word that the step takes: reflect, alternate */
} AugmentStep;

typedef struct AugmentList {
    AugmentStep step[AUGMENT_KINDS]; /* each at most once, as written */
    int n;
} AugmentList;

/* Reads the setting.  Refuses unknown steps with a suggestion, and numbers
 * that a step does not take. */
bool augment_parse(AugmentList *list, const char *text, Status *s);

/* ---- one image ----------------------------------------------------------- */

/* Where an output image is cut from: pixel (y, x) comes from
 * (y0 + y, x0 + x * step), and is black where that lies outside. */
typedef struct View {
    int64_t y0, x0;
    int step; /* 1, or -1 where the image is mirrored */
} View;

typedef struct Augment {
    int64_t c, h, w;
    int64_t from_h, from_w;               /* of the pixels; at least h and w */
    int64_t stride_c, stride_h, stride_w; /* of the result, in elements */
    uint64_t seed;
    AugmentList list;
    bool moves; /* pixels only change their places: no arithmetic needed */
    float mean[LOADER_MAX_CHANNELS], std[LOADER_MAX_CHANNELS];
    float value[LOADER_MAX_CHANNELS][256]; /* of each byte, normalised */
} Augment;

/* Refuses means and deviations that do not fit the channels. */
bool augment_prepare(Augment *a, const LoaderOptions *o, Status *s);
/* The pixels are [c,from_h,from_w], larger than what comes out.  The steps crop
 * and resized_crop cut out of all of it; where there is none of them the middle
 * is cut out first. */
void augment_larger(Augment *a, int64_t from_h, int64_t from_w);
/* Floats that augment_image needs for itself; 0: none. */
int64_t augment_room(const Augment *a);

/* u8 [c,from_h,from_w] to f32 [c,h,w] in the strides of the result. */
void augment_image(const Augment *a, int64_t epoch, int64_t sample,
                   const uint8_t *pixels, float *room, float *to);
void augment_zero(const Augment *a, float *to);

/* Where `moves`: what augment_image would do, for who has the pixels somewhere
 * else. */
PlanRow augment_row(const Augment *a, int64_t epoch, int64_t sample);

/* ---- its parts, for the tests too ---------------------------------------- */

/* What crop and flip choose. */
View augment_view(const Augment *a, int64_t epoch, int64_t sample);
void augment_render(const Augment *a, View v, const uint8_t *pixels, float *to);

/* An image of floats 0..1, and room for a second one. */
typedef struct Canvas {
    int64_t c, h, w;
    int64_t to_h, to_w; /* what crop and resized_crop make of it */
    float *at, *spare;
    const float *mean;
} Canvas;

/* What random numbers depend on. */
typedef struct AugmentDraw {
    uint64_t seed;
    int64_t epoch, sample;
} AugmentDraw;

/* Word i, 0 .. 15, of the sample in this epoch (RNG_AUGMENT). */
uint32_t augment_word(const AugmentDraw *d, int i);
/* Only its middle, of the size that it is to have. */
void augment_middle(Canvas *canvas);
/* One step on the canvas. */
void augment_apply(const AugmentStep *x, const AugmentDraw *d, Canvas *canvas);

/* Choices that augment.c and augment_steps.c both make. */
/* Where a crop begins along a side: -border .. from - to + border. */
int64_t augment_place(const AugmentStep *x, const AugmentDraw *d, int word,
                      int64_t from, int64_t to);
bool augment_mirrors(const AugmentStep *x, const AugmentDraw *d);
/* Top, left, bottom, right of the square, inside the image; the ends are
 * exclusive. */
void augment_cutout(const AugmentStep *x, const AugmentDraw *d, int64_t h,
                    int64_t w, int64_t box[4]);

#endif
