/* ops/random.c: random numbers that are a function of where they are used.
 *
 * Philox4x32-10 with (seed; element, step, stream), as runtime/rng.h says:
 *     tgc_uniform(seed, step, stream, element)
 *         = rng_unit(rng_u32(seed, stream, (uint32_t)step, element))
 * Generated kernels define that function.  Computing a mask again, in another
 * kernel or after a resume, gives the same mask. */
#include "common.h"

static bool infer_random(const Infer *f)
{
    Type want = type_with_dtype(*f->in[0], DT_I64);
    if (!infer_is(f, 0, &want, "the seed") ||
        !infer_is(f, 1, &want, "the step"))
        return false;
    int64_t stream = node_int(f->node, "stream");
    if (stream < 0 || stream > INT32_MAX)
        return infer_fail(f, "stream is %lld, not from 0 to 2^31 - 1",
                          (long long)stream);
    f->out[0] = type_with_dtype(want, DT_F32);
    return true;
}

const OpDesc op_random_uniform = {
    .name = "random_uniform",
    .doc = "numbers in [0, 1) with 24 bits, by Philox4x32-10 from seed, step "
           "(i64, of the result's shape: broadcast them), stream and the "
           "element's row-major index",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .traits = T_ELEMENTWISE | T_RANDOM,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){{"stream", ATTR_INT, NULL,
                                 "a number for each use in the model"},
                                {0}},
    .samples = (const char *const[]){"(i64[2,3], i64[2,3]) {stream=7}",
                                     "(i64[33], i64[33]) {stream=0}", NULL},
    .infer = infer_random,
    .grad = grad_none,
    .cost = cost_per_element,
    .expr = "tgc_uniform(x0, x1, @stream, @i)",
};
