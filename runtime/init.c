/* init.c: see init.h.
 *
 * Numbers come in fours, one block of Philox each: the elements 4b .. 4b+3 of a
 * state are made from block b of the state's own stream.
 */
#include "init.h"
#include "rng.h"
#include "types.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TWO_PI 6.283185307179586476925286766559

enum { FOUR = 4, PIECE = 1 << 14 }; /* elements that a thread takes at once */

/* Four words of the state called `name` (its hash). */
static void words_at(uint64_t seed, uint64_t name, int64_t block,
                     uint32_t word[FOUR])
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {
        (uint32_t)block, (uint32_t)((uint64_t)block >> 32),
        (uint32_t)(name >> 32), (uint32_t)name | UINT32_C(0x80000000)};
    rng_philox(key, counter, word);
}

/* Box and Muller: two independent normal numbers from two uniform ones in
 * (0, 1), where the logarithm is finite. */
static void normal_pair(const uint32_t word[2], double result[2])
{
    double u = ((double)word[0] + 0.5) * 0x1p-32;
    double angle = TWO_PI * ((double)word[1] + 0.5) * 0x1p-32;
    double radius = sqrt(-2 * log(u));
    result[0] = radius * cos(angle);
    result[1] = radius * sin(angle);
}

static void values_at(const PlanState *t, uint64_t seed, uint64_t name,
                      int64_t block, double value[FOUR])
{
    uint32_t word[FOUR];
    if (t->init != PLAN_CONST)
        words_at(seed, name, block, word);
    if (t->init == PLAN_NORMAL || t->init == PLAN_PATCHES) {
        normal_pair(word, value);
        normal_pair(word + 2, value + 2);
    }
    for (int i = 0; i < FOUR; i++)
        switch (t->init) {
        case PLAN_NORMAL:
            value[i] = t->init_a + t->init_b * value[i];
            break;
        case PLAN_PATCHES:
            value[i] = t->init_b * value[i];
            break;
        case PLAN_UNIFORM:
            value[i] =
                t->init_a + (t->init_b - t->init_a) * (double)rng_unit(word[i]);
            break;
        default:
            value[i] = t->init_a;
        }
}

static int64_t place_of(const PlanType *t, int64_t e)
{
    int64_t place = 0;
    for (int i = t->rank - 1; i >= 0; i--) {
        place += e % t->dim[i] * t->stride[i];
        e /= t->dim[i];
    }
    return place;
}

/* Elements begin .. end-1; begin is a multiple of four. */
static void init_piece(char *to, const PlanState *t, uint64_t seed,
                       int64_t begin, int64_t end)
{
    uint64_t name = rng_hash(t->name);
    int64_t size = dtype_bytes(t->type.dtype);
    bool plain = type_plain(&t->type);
    for (int64_t e = begin; e < end; e += FOUR) {
        double value[FOUR];
        values_at(t, seed, name, e / FOUR, value);
        for (int64_t k = e; k < end && k < e + FOUR; k++)
            dtype_store(t->type.dtype,
                        to + (plain ? k : place_of(&t->type, k)) * size,
                        value[k - e]);
    }
}

/* Pieces of all states in one list, so that many small states and one large
 * one keep all threads busy alike. */
static int64_t pieces_of(const PlanState *t)
{
    return (type_elements(&t->type) + PIECE - 1) / PIECE;
}

static void init_numbered(Executor *e, uint64_t seed, const int64_t *first,
                          int64_t piece)
{
    const Plan *plan = executor_plan(e);
    uint32_t low = 0, high = plan->n_states; /* first[low] <= piece */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (first[middle] <= piece)
            low = middle;
        else
            high = middle;
    }
    const PlanState *t = &plan->states[low];
    int64_t begin = (piece - first[low]) * PIECE;
    int64_t n = type_elements(&t->type);
    int64_t end = begin + PIECE < n ? begin + PIECE : n;
    init_piece(executor_state(e, low), t, seed, begin, end);
}

bool init_states(Executor *e, uint64_t seed, Status *s)
{
    const Plan *plan = executor_plan(e);
    int threads = executor_threads(e);
    int64_t n = 0, *first = calloc(plan->n_states + 1, sizeof *first);
    if (!first)
        return status_fail(s, "no memory for %u states", plan->n_states);
    for (uint32_t i = 0; i < plan->n_states; i++) {
        first[i] = n;
        n += pieces_of(&plan->states[i]);
        if (!type_plain(&plan->states[i].type)) /* gaps are part of no value */
            memset(executor_state(e, i), 0, (size_t)plan->states[i].bytes);
    }
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        init_numbered(e, seed, first, i);
    free(first);
    return executor_push(e, s);
}
