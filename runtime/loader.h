/* loader.h: batches, decoded and augmented by threads ahead of the step.
 *
 *     Loader *l = loader_open(&options, status);      files read and checked
 *     loader_start(l, &slots, epoch, first, end, ..)  threads begin to fill
 *     while (loader_next(l, &batch, status)) {        the next one, in order
 *         ... use slots.image[batch.slot] ...
 *         loader_release(l, batch.slot);              may be filled again
 *     }                                  ends after batch end-1, or on failure
 *     loader_stop(l);                    no thread writes any slot after this
 *     loader_close(l);
 *
 * The bytes of a batch depend on (data, seed, epoch, batch number) alone: not
 * on threads, on time, or on what was loaded before.
 *
 * Its threads block all signals, so that these reach the main thread.
 *
 * The slots are memory of the caller's, in the arena.  A graph that does not
 * use them may put other things there, so a loader is stopped before another
 * graph runs.
 */
#ifndef TGC_LOADER_H
#define TGC_LOADER_H

#include "mix.h"
#include "plan.h"
#include "status.h"

enum { LOADER_MAX_SLOTS = 8, LOADER_MAX_CHANNELS = 16 };

typedef enum LoaderFlip {
    LOADER_FLIP_NONE,
    LOADER_FLIP_RANDOM,   /* each image with probability 1/2 */
    LOADER_FLIP_ALTERNATE /* every other epoch */
} LoaderFlip;

typedef struct LoaderOptions {
    const char *dir;
    const char *kind;  /* setting "data": "cifar10", "idx", ... */
    bool train;        /* of the training files, else of the test files */
    bool held;         /* of those: the ones held out for validation */
    double validation; /* share of the training images that is held out */
    double fraction;   /* share of the others that is used; 0: all */
    uint64_t split_seed;
    /* Pictures in files of their own only, see data.h. */
    int64_t resize;
    const char *cache;
    bool skip_damaged;
    int decode_threads;
    const struct DataWatch *watch;
    bool keep_tail;     /* a last partial batch is a batch, else dropped */
    bool shuffle;       /* by (seed, epoch) */
    bool augment;       /* change training images at random; else the four
                           options that follow are ignored */
    const char *steps;  /* setting data.augment; NULL: crop and flip */
    int flip;           /* a LoaderFlip */
    int crop;           /* random crop from the image padded by so many
                           black pixels, 0 before normalisation; 0: none */
    MixOptions mix;     /* two images become one */
    const double *mean; /* of each channel, of pixels scaled to 0..1 */
    const double *std;
    int n_mean, n_std; /* 0: no normalisation; 1: for all channels */
    int64_t classes;   /* labels are 0 .. classes-1; 0: as the data says */
    int64_t rows;      /* numbers of the data are whole, 0 .. rows-1; 0: any */
    uint64_t seed;
    int threads;    /* at least 1 */
    PlanType image; /* f32 [N,C,H,W], strides as they lie in memory */
    PlanType label; /* i32 [N] */
} LoaderOptions;

/* Where batches go.  Rows past a batch's valid ones are filled with zeros. */
typedef struct LoaderSlots {
    int n;
    int64_t rows; /* room for so many images in each: the batch size, or at
                     least the valid rows of the batches that are loaded */
    float *image[LOADER_MAX_SLOTS];
    int32_t *label[LOADER_MAX_SLOTS];
    int32_t *other[LOADER_MAX_SLOTS]; /* label of the image mixed in; NULL:
                                         nothing is mixed */
    PlanRow *row[LOADER_MAX_SLOTS];   /* [rows] where the device has the
                                         pixels: what is written instead of
                                         the image; else NULL */
} LoaderSlots;

typedef struct LoaderBatch {
    int slot;
    int64_t count; /* valid rows; fewer than the batch size only in a tail */
    int64_t epoch, batch;
    double wait; /* seconds that loader_next waited */
    double mix;  /* weight of `label`, the rest is that of `other` */
} LoaderBatch;

typedef struct Loader Loader;

/* NULL with a message where files are missing, short, oversized or corrupt, a
 * label is out of range, or images do not have the shape wanted. */
Loader *loader_open(const LoaderOptions *o, Status *s);
int64_t loader_samples(const Loader *l);
/* What people should know about the data; "" for nothing. */
const char *loader_note(const Loader *l);
/* "cat", for reports; NULL where the data does not name its classes. */
const char *loader_class_name(const Loader *l, int64_t class);
const struct DataSet *loader_set(const Loader *l);
int64_t loader_batches(const Loader *l); /* in an epoch, tail as in options */

/* For who keeps the pixels himself and asks for rows: the table of bytes,
 * normalised, [c][256], NULL where images are more than windows of images of
 * their own size; the bytes of an image, u8 [c,h,w]. */
const float *loader_values(const Loader *l);
bool loader_pixels(const Loader *l, int64_t sample, uint8_t *to, Status *s);
/* An image of the data as it is, only normalised: plain f32 [c,h,w] as in
 * options.image.  False where it cannot be read. */
bool loader_image(const Loader *l, int64_t index, float *to, Status *s);

/* Begin with batch `first` of the epoch; the last one is end-1.  The loader
 * must be stopped, or at its end.  Allocates nothing. */
bool loader_start(Loader *l, const LoaderSlots *slots, int64_t epoch,
                  int64_t first, int64_t end, Status *s);
/* False at the end (s->failed is not set) and on failure (it is). */
bool loader_next(Loader *l, LoaderBatch *batch, Status *s);
void loader_release(Loader *l, int slot);
void loader_stop(Loader *l);  /* may be called at any time, twice too */
void loader_close(Loader *l); /* NULL is fine */

#endif
