/* loader_order.c: Fisher and Yates's shuffle (Durstenfeld's form, CACM 7(7),
 * 1964), its numbers by counter: place i draws word i of the epoch. */
#include "loader_order.h"
#include "rng.h"

void order_plain(uint32_t *order, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
}

static void shuffle(uint32_t *order, int64_t n, uint64_t seed, uint32_t stream,
                    uint32_t step)
{
    order_plain(order, n);
    for (int64_t i = n - 1; i > 0; i--) {
        uint32_t word = rng_u32(seed, stream, step, (uint64_t)i);
        uint32_t j = rng_below(word, (uint32_t)i + 1);
        uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

void order_shuffled(uint32_t *order, int64_t n, uint64_t seed, int64_t epoch)
{
    shuffle(order, n, seed, RNG_SHUFFLE, (uint32_t)epoch);
}

void order_split(uint32_t *order, int64_t n, uint64_t seed)
{
    shuffle(order, n, seed, RNG_SPLIT, 0);
}
