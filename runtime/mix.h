/* mix.h: two images of a batch become one, with two labels and a weight.
 *
 *     mixup    weight * x + (1 - weight) * other     (Zhang et al., "mixup:
 *              Beyond empirical risk minimization", ICLR 2018)
 *     cutmix   a rectangle of x is that of the other; weight is the share of
 *              x that is left (Yun et al., "CutMix", ICCV 2019)
 *
 * The weight comes from Beta(alpha, alpha), once for a batch; each image's
 * other is the one so many rows further on, going round.  All of it is a
 * function of (seed, epoch, batch).
 */
#ifndef TGC_MIX_H
#define TGC_MIX_H

#include "status.h"
#include <stdint.h>

typedef struct MixOptions {
    double mixup, cutmix;             /* alpha; 0: never */
    double mixup_share, cutmix_share; /* of the batches */
} MixOptions;

typedef struct Mix {
    enum { MIX_NONE, MIX_UP, MIX_CUT } kind;
    double weight;  /* of the image itself, 0..1 */
    int64_t shift;  /* rows to the other one, 1 .. count-1 */
    int64_t box[4]; /* top, left, bottom, right; the ends are exclusive */
} Mix;

/* For a batch of `count` images of h x w; one alone is not mixed. */
Mix mix_draw(const MixOptions *o, uint64_t seed, int64_t epoch, int64_t batch,
             int64_t count, int64_t h, int64_t w);

/* A number from Beta(alpha, alpha) by the words of an element's counter. */
double mix_beta(double alpha, uint64_t seed, uint32_t step, uint64_t element);

#endif
