/* mix.c: see mix.h. */
#include "mix.h"
#include "rng.h"
#include <math.h>

#define PI 3.14159265358979323846

/* Words of a batch: 0 which kind, 1 the shift, 2 and 3 the middle of the
 * rectangle; from 64 and 512 on those of the two gammas. */
enum { WORDS = 1024, FIRST = 64, SECOND = 512 };

typedef struct Words {
    uint64_t seed;
    uint32_t step;
    uint64_t at, end;
} Words;

/* In (0, 1): never 0, so that its logarithm is finite.  Past the end, which
 * needs 100 refusals in a row of one in twenty, numbers repeat. */
static double unit(Words *x)
{
    uint64_t at = x->at < x->end ? x->at++ : x->end - 1;
    uint32_t word = rng_u32(x->seed, RNG_MIX, x->step, at);
    return ((double)word + 0.5) * 0x1p-32;
}

/* By Box and Muller. */
static double normal(Words *x)
{
    double r = sqrt(-2 * log(unit(x)));
    return r * cos(2 * PI * unit(x));
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables", TOMS
 * 26(3), 2000; its logarithm, since for a small alpha the number itself may
 * be too small to be told from 0. */
static double log_gamma_variate(double alpha, Words *x)
{
    double boost = 0;
    if (alpha < 1) {
        boost = log(unit(x)) / alpha;
        alpha += 1;
    }
    double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
    while (x->at < x->end - 4) {
        double n = normal(x), v = 1 + c * n;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(unit(x)) < 0.5 * n * n + d - d * v + d * log(v))
            return boost + log(d * v);
    }
    return boost + log(d);
}

double mix_beta(double alpha, uint64_t seed, uint32_t step, uint64_t element)
{
    Words a = {seed, step, element + FIRST, element + SECOND};
    Words b = {seed, step, element + SECOND, element + WORDS};
    double x = log_gamma_variate(alpha, &a), y = log_gamma_variate(alpha, &b);
    return 1 / (1 + exp(y - x));
}

static void ends(uint32_t word, double side, int64_t n, int64_t *begin,
                 int64_t *end)
{
    int64_t size = (int64_t)(side * (double)n);
    *begin = (int64_t)rng_below(word, (uint32_t)n) - size / 2;
    *end = *begin + size;
    *begin = *begin < 0 ? 0 : *begin;
    *end = *end > n ? n : *end;
}

Mix mix_draw(const MixOptions *o, uint64_t seed, int64_t epoch, int64_t batch,
             int64_t count, int64_t h, int64_t w)
{
    Mix x = {.kind = MIX_NONE, .weight = 1};
    uint64_t element = (uint64_t)batch * WORDS;
    uint32_t step = (uint32_t)epoch, word[4];
    if (count < 2 || (o->mixup <= 0 && o->cutmix <= 0))
        return x;
    for (int i = 0; i < 4; i++)
        word[i] = rng_u32(seed, RNG_MIX, step, element + (uint64_t)i);
    double which = (double)rng_unit(word[0]);
    double up = o->mixup > 0 ? o->mixup_share : 0;
    double cut = o->cutmix > 0 ? o->cutmix_share : 0;
    if (which >= up + cut)
        return x;
    x.kind = which < up ? MIX_UP : MIX_CUT;
    x.shift = 1 + rng_below(word[1], (uint32_t)(count - 1));
    x.weight =
        mix_beta(x.kind == MIX_UP ? o->mixup : o->cutmix, seed, step, element);
    if (x.kind == MIX_UP)
        return x;
    double side = sqrt(1 - x.weight);
    ends(word[2], side, h, &x.box[0], &x.box[2]);
    ends(word[3], side, w, &x.box[1], &x.box[3]);
    double hidden =
        (double)(x.box[2] - x.box[0]) * (double)(x.box[3] - x.box[1]);
    x.weight = 1 - hidden / ((double)h * (double)w);
    return x;
}
