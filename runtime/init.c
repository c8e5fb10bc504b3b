/* init.c: see init.h. */
#include "init.h"
#include "rng.h"
#include "types.h"
#include <math.h>
#include <string.h>

#define TWO_PI 6.283185307179586476925286766559

/* The state's own numbers: element e, number k of its two. */
static uint32_t word_at(uint64_t seed, uint64_t name, int64_t e, int k)
{
    uint32_t stream = (uint32_t)name | UINT32_C(0x80000000);
    return rng_u32(seed, stream, (uint32_t)(name >> 32), 2 * (uint64_t)e + k);
}

/* In (0, 1): the logarithm of it is finite. */
static double open_unit(uint32_t word)
{
    return ((double)word + 0.5) * 0x1p-32;
}

/* Box and Muller, one of the pair: a start is worth its cosine. */
static double normal_at(uint64_t seed, uint64_t name, int64_t e)
{
    double radius = sqrt(-2 * log(open_unit(word_at(seed, name, e, 0))));
    return radius * cos(TWO_PI * open_unit(word_at(seed, name, e, 1)));
}

static double value_at(const PlanState *t, uint64_t seed, uint64_t name,
                       int64_t e)
{
    double u;
    switch (t->init) {
    case PLAN_NORMAL:
        return t->init_a + t->init_b * normal_at(seed, name, e);
    case PLAN_UNIFORM:
        u = (double)rng_unit(word_at(seed, name, e, 0));
        return t->init_a + (t->init_b - t->init_a) * u;
    default:
        return t->init_a;
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

static void init_state(char *to, const PlanState *t, uint64_t seed, int threads)
{
    uint64_t name = rng_hash(t->name);
    int64_t n = type_elements(&t->type), size = dtype_bytes(t->type.dtype);
    bool plain = type_plain(&t->type);
    memset(to, 0, (size_t)t->bytes); /* gaps are part of no value */
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t e = 0; e < n; e++) {
        int64_t place = plain ? e : place_of(&t->type, e);
        dtype_store(t->type.dtype, to + place * size,
                    value_at(t, seed, name, e));
    }
}

void init_states(Executor *e, uint64_t seed)
{
    const Plan *plan = executor_plan(e);
    for (uint32_t i = 0; i < plan->n_states; i++)
        init_state(executor_state(e, i), &plan->states[i], seed,
                   executor_threads(e));
}
