/* loader_order.h: in which order an epoch takes the samples. */
#ifndef TGC_LOADER_ORDER_H
#define TGC_LOADER_ORDER_H

#include <stdint.h>

/* order[0 .. n-1] = 0 .. n-1. */
void order_plain(uint32_t *order, int64_t n);
/* A permutation that depends on (n, seed, epoch) alone. */
void order_shuffled(uint32_t *order, int64_t n, uint64_t seed, int64_t epoch);
/* A permutation that depends on (n, seed) alone: who is held out. */
void order_split(uint32_t *order, int64_t n, uint64_t seed);

#endif
