/* rng.h: random numbers by counter.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011): a number is a function of where it is used, not of what was drawn
 * before.  So any thread may draw any number, a run that resumes draws the
 * same ones, and recomputing a random mask repeats it.
 *
 *     key      seed (64 bits)
 *     counter  element / 4 (64 bits) | step (32) | stream (32)
 *     word     element % 4
 *
 * Test vectors, as published with Random123 (key, counter -> result):
 *     00000000 00000000, 00000000 x4 -> 6627e8d5 e169c58d bc57ac4c 9b00dbd8
 *     ffffffff ffffffff, ffffffff x4 -> 408f276d 41c83b0e a20bc7c6 6d5451fd
 *     a4093822 299f31d0, 243f6a88 85a308d3 13198a2e 03707344
 *                                    -> d16cfe09 94fdcceb 5001e420 24126ea1
 */
#ifndef TGC_RNG_H
#define TGC_RNG_H

#include <stdint.h>

/* What a number is for.  Streams below 2^31 belong to the runtime and to ops;
 * those with the top bit set to the start values of states (init.c). */
enum {
    RNG_SHUFFLE = 1,   /* step: epoch; element: place in the data set */
    RNG_AUGMENT = 2,   /* step: epoch; element: 16 * sample + which */
    RNG_SYNTHETIC = 3, /* step: 0; element: place in the batch */
    RNG_RESIZED = 4,   /* step: epoch; element: 64 * sample + which */
    RNG_MIX = 5,       /* step: epoch; element: 1024 * batch + which */
    RNG_SPLIT = 6      /* step: 0; element: place in the training files */
};

/* Four words from one counter. */
void rng_philox(const uint32_t key[2], const uint32_t counter[4],
                uint32_t result[4]);

uint32_t rng_u32(uint64_t seed, uint32_t stream, uint32_t step,
                 uint64_t element);

/* 0 <= result < n without bias worth naming (a 32 x 32 bit product); n > 0. */
uint32_t rng_below(uint32_t word, uint32_t n);

/* Uniform in [0, 1) with 24 bits: exact in float. */
float rng_unit(uint32_t word);

/* FNV-1a, 64 bits, for streams that have a name. */
uint64_t rng_hash(const char *text);

#endif
