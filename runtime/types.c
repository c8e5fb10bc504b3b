/* types.c: see types.h. */
#include "types.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct DTypeRow {
    const char *name;
    int64_t bytes;
} DTypeRow;

/* clang-format off */
static const DTypeRow dtype_table[] = {
    [PLAN_BOOL] = {"BOOL", 1},
    [PLAN_U8]   = {"U8",   1},
    [PLAN_I32]  = {"I32",  4},
    [PLAN_I64]  = {"I64",  8},
    [PLAN_F16]  = {"F16",  2},
    [PLAN_BF16] = {"BF16", 2},
    [PLAN_F32]  = {"F32",  4},
    [PLAN_F64]  = {"F64",  8},
};
/* clang-format on */
enum { DTYPES = sizeof dtype_table / sizeof *dtype_table };

int64_t dtype_bytes(uint8_t dtype)
{
    return dtype < DTYPES ? dtype_table[dtype].bytes : 0;
}

const char *dtype_name(uint8_t dtype)
{
    return dtype && dtype < DTYPES ? dtype_table[dtype].name : "?";
}

int dtype_named(const char *name)
{
    for (int i = 1; i < DTYPES; i++)
        if (!strcmp(dtype_table[i].name, name))
            return i;
    return 0;
}

/* ---- shapes -------------------------------------------------------------- */

int64_t type_elements(const PlanType *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

int64_t type_bytes(const PlanType *t)
{
    return type_elements(t) * dtype_bytes(t->dtype);
}

bool type_plain(const PlanType *t)
{
    int64_t step = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->dim[i] != 1 && t->stride[i] != step)
            return false;
        step *= t->dim[i];
    }
    return true;
}

const char *type_shape_text(const PlanType *t, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < t->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld",
                                 i ? "," : "", (long long)t->dim[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

/* Place in memory, in elements, of each index in row-major order: calls for
 * index after index step through it. */
static int64_t index_next(const PlanType *t, int64_t *index, int64_t place)
{
    for (int i = t->rank - 1; i >= 0; i--) {
        place += t->stride[i];
        if (++index[i] < t->dim[i])
            return place;
        place -= index[i] * t->stride[i];
        index[i] = 0;
    }
    return place;
}

void type_gather(const PlanType *t, const void *from, void *plain)
{
    if (type_plain(t)) {
        memcpy(plain, from, (size_t)type_bytes(t));
        return;
    }
    int64_t size = dtype_bytes(t->dtype), n = type_elements(t), place = 0;
    int64_t index[PLAN_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) {
        memcpy((char *)plain + i * size, (const char *)from + place * size,
               (size_t)size);
        place = index_next(t, index, place);
    }
}

void type_scatter(const PlanType *t, const void *plain, void *to)
{
    if (type_plain(t)) {
        memcpy(to, plain, (size_t)type_bytes(t));
        return;
    }
    int64_t size = dtype_bytes(t->dtype), n = type_elements(t), place = 0;
    int64_t index[PLAN_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) {
        memcpy((char *)to + place * size, (const char *)plain + i * size,
               (size_t)size);
        place = index_next(t, index, place);
    }
}

/* ---- elements ------------------------------------------------------------ */

/* An exponent of all ones is infinity or not a number. */
static int64_t first_half(const uint16_t *v, int64_t n, uint16_t exponent)
{
    for (int64_t i = 0; i < n; i++)
        if ((v[i] & exponent) == exponent)
            return i;
    return -1;
}

int64_t dtype_first_not_finite(uint8_t dtype, const void *data, int64_t n)
{
    if (dtype == PLAN_F16)
        return first_half(data, n, 0x7c00);
    if (dtype == PLAN_BF16)
        return first_half(data, n, 0x7f80);
    if (dtype == PLAN_F32) {
        const float *v = data;
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(v[i]))
                return i;
    }
    if (dtype == PLAN_F64) {
        const double *v = data;
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(v[i]))
                return i;
    }
    return -1;
}

void dtype_store(uint8_t dtype, void *to, double value)
{
    switch (dtype) {
    case PLAN_F32:
        *(float *)to = (float)value;
        break;
    case PLAN_F64:
        *(double *)to = value;
        break;
    case PLAN_I32:
        *(int32_t *)to = (int32_t)value;
        break;
    case PLAN_I64:
        *(int64_t *)to = (int64_t)value;
        break;
    case PLAN_BOOL:
        *(uint8_t *)to = value != 0;
        break;
    case PLAN_U8:
        *(uint8_t *)to = (uint8_t)value;
        break;
    case PLAN_BF16: {
        /* Round to nearest, ties to even. */
        float f = (float)value;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        if (isfinite(f))
            bits += 0x7fff + (bits >> 16 & 1);
        *(uint16_t *)to = (uint16_t)(bits >> 16);
        break;
    }
    default: /* f16: states and inputs are not kept in it */
        memset(to, 0, (size_t)dtype_bytes(dtype));
    }
}

double dtype_load(uint8_t dtype, const void *from)
{
    switch (dtype) {
    case PLAN_F32:
        return *(const float *)from;
    case PLAN_F64:
        return *(const double *)from;
    case PLAN_I32:
        return *(const int32_t *)from;
    case PLAN_I64:
        return (double)*(const int64_t *)from;
    case PLAN_BOOL:
    case PLAN_U8:
        return *(const uint8_t *)from;
    default:
        return NAN;
    }
}
