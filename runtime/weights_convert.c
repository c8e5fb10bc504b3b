/* weights_convert.c: elements from any place and floating type to row-major
 * order; see weights.h. */
#include "types.h"
#include "weights_private.h"
#include <float.h>
#include <math.h>
#include <string.h>

bool weights_converts(uint8_t from, uint8_t to)
{
    bool floating = from >= PLAN_F16 && from <= PLAN_F64;
    return from &&
           (from == to || (floating && (to == PLAN_F32 || to == PLAN_F64)));
}

int64_t weight_elements(const Weight *w)
{
    int64_t n = 1;
    for (int i = 0; i < w->rank; i++)
        if (w->dim[i] == 0)
            return 0;
    for (int i = 0; i < w->rank; i++)
        n *= w->dim[i];
    return n;
}

bool weight_plain(const Weight *w)
{
    int64_t step = 1;
    for (int i = w->rank - 1; i >= 0; i--) {
        if (w->dim[i] == 0)
            return true;
        if (w->dim[i] != 1 && w->stride[i] != step)
            return false;
        step *= w->dim[i];
    }
    return true;
}

/* IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction. */
static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double v = exponent == 31  ? (fraction ? NAN : INFINITY)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(fraction + 1024, exponent - 25);
    return bits & 0x8000 ? -v : v;
}

static double load(uint8_t dtype, const char *from)
{
    uint16_t half;
    uint32_t bits;
    float single;
    double v;
    switch (dtype) {
    case PLAN_F16:
        memcpy(&half, from, sizeof half);
        return half_value(half);
    case PLAN_BF16:
        memcpy(&half, from, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&single, &bits, sizeof single);
        return single;
    case PLAN_F32:
        memcpy(&single, from, sizeof single);
        return single;
    default:
        memcpy(&v, from, sizeof v);
        return v;
    }
}

/* Past FLT_MAX but rounding to it is still fine. */
static bool store(uint8_t dtype, double v, char *to)
{
    if (dtype == PLAN_F64) {
        memcpy(to, &v, sizeof v);
        return true;
    }
    if (isfinite(v) && fabs(v) >= FLT_MAX * (1 + FLT_EPSILON / 4))
        return false;
    float single = (float)v;
    memcpy(to, &single, sizeof single);
    return true;
}

static bool convert_one(const Weight *w, uint8_t dtype, const char *from,
                        char *to)
{
    if (dtype != w->dtype)
        return store(dtype, load(w->dtype, from), to);
    memcpy(to, from, (size_t)dtype_bytes(dtype));
    return true;
}

bool weights_convert(const Weight *w, const void *from, uint8_t dtype, void *to)
{
    int64_t index[PLAN_MAX_RANK] = {0}, place = 0;
    int64_t n = weight_elements(w), have = dtype_bytes(w->dtype);
    int64_t size = dtype_bytes(dtype);
    for (int64_t i = 0; i < n; i++) {
        if (!convert_one(w, dtype, (const char *)from + place * have,
                         (char *)to + i * size))
            return false;
        for (int k = w->rank - 1; k >= 0; k--) {
            place += w->stride[k];
            if (++index[k] < w->dim[k])
                break;
            place -= index[k] * w->stride[k];
            index[k] = 0;
        }
    }
    return true;
}
