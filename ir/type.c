/* type.c: element types, shapes and layouts. */
#include "type.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t size;
} dtype_table[DT_COUNT] = {
    [DT_NONE] = {"none", 0}, [DT_BOOL] = {"bool", 1}, [DT_U8] = {"u8", 1},
    [DT_I32] = {"i32", 4},   [DT_I64] = {"i64", 8},   [DT_F16] = {"f16", 2},
    [DT_BF16] = {"bf16", 2}, [DT_F32] = {"f32", 4},   [DT_F64] = {"f64", 8},
};

size_t dtype_size(DType t)
{
    assert(t < DT_COUNT);
    return dtype_table[t].size;
}

const char *dtype_name(DType t)
{
    assert(t < DT_COUNT);
    return dtype_table[t].name;
}

DType dtype_named(const char *name)
{
    for (int t = DT_NONE + 1; t < DT_COUNT; t++)
        if (!strcmp(name, dtype_table[t].name))
            return t;
    return DT_NONE;
}

bool dtype_is_float(DType t)
{
    return t >= DT_F16 && t <= DT_F64;
}

bool dtype_is_int(DType t)
{
    return t >= DT_U8 && t <= DT_I64;
}

bool dtype_is_half(DType t)
{
    return t == DT_F16 || t == DT_BF16;
}

DType dtype_wide(DType t)
{
    return dtype_is_half(t) ? DT_F32 : t;
}

/* To `digits` binary digits, fewer below 2^lowest; infinite from `limit` on. */
static double round_digits(double v, int digits, int lowest, double limit)
{
    int exponent;
    if (!isfinite(v) || v == 0)
        return v;
    frexp(v, &exponent); /* |v| in [2^(exponent-1), 2^exponent) */
    int last = (exponent - 1 < lowest ? lowest : exponent - 1) - digits + 1;
    v = ldexp(nearbyint(ldexp(v, -last)), last);
    return fabs(v) >= limit ? copysign(INFINITY, v) : v;
}

double dtype_round(double v, DType t)
{
    switch (t) {
    case DT_F16:
        return round_digits(v, 11, -14, 0x1p16);
    case DT_BF16:
        return round_digits(v, 8, -126, 0x1p128);
    case DT_F32:
        return (float)v;
    default:
        return v;
    }
}

Type type_make(DType dtype, int rank, const int64_t *dim)
{
    assert(rank >= 0 && rank <= MAX_RANK);
    Type t = {.dtype = dtype, .rank = (uint8_t)rank};
    for (int d = 0; d < rank; d++)
        t.dim[d] = dim[d];
    return t;
}

Type type_scalar(DType dtype)
{
    return type_make(dtype, 0, NULL);
}

Type type_with_dtype(Type t, DType dtype)
{
    t.dtype = dtype;
    return t;
}

bool type_same_shape(const Type *a, const Type *b)
{
    if (a->rank != b->rank)
        return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d])
            return false;
    return true;
}

bool type_equal(const Type *a, const Type *b)
{
    return a->dtype == b->dtype && a->layout == b->layout &&
           type_same_shape(a, b);
}

bool type_fits(const Type *t)
{
    if (t->dtype <= DT_NONE || t->dtype >= DT_COUNT || t->rank > MAX_RANK ||
        !layout_valid(t->layout, t->rank))
        return false;
    int64_t bytes = (int64_t)dtype_size(t->dtype), limit = INT64_C(1) << 62;
    for (int d = 0; d < t->rank; d++)
        if (t->dim[d] < 1 || __builtin_mul_overflow(bytes, t->dim[d], &bytes))
            return false;
    return bytes < limit;
}

int64_t type_elements(const Type *t)
{
    int64_t n = 1;
    for (int d = 0; d < t->rank; d++)
        n *= t->dim[d];
    return n;
}

int64_t type_bytes(const Type *t)
{
    return type_elements(t) * (int64_t)dtype_size(t->dtype);
}

void type_strides(const Type *t, int64_t stride[MAX_RANK])
{
    int64_t step = 1;
    for (int place = t->rank - 1; place >= 0; place--) {
        int d = layout_dim(t->layout, t->rank, place);
        stride[d] = step;
        step *= t->dim[d];
    }
}

Layout layout_make(int rank, const int *order)
{
    assert(rank >= 0 && rank <= MAX_RANK);
    Layout l = 0;
    bool row_major = true;
    for (int place = 0; place < rank; place++) {
        l |= (Layout)order[place] << (4 * place);
        row_major &= order[place] == place;
    }
    return row_major ? 0 : l;
}

int layout_dim(Layout l, int rank, int place)
{
    assert(place >= 0 && place < rank);
    return l ? (int)(l >> (4 * place) & 15) : place;
}

bool layout_valid(Layout l, int rank)
{
    if (l == 0)
        return true;
    if (rank > MAX_RANK || (rank < MAX_RANK && l >> (4 * rank)))
        return false;
    unsigned seen = 0;
    bool row_major = true;
    for (int place = 0; place < rank; place++) {
        seen |= 1u << layout_dim(l, rank, place);
        row_major &= layout_dim(l, rank, place) == place;
    }
    return !row_major && seen == (1u << rank) - 1;
}

Layout layout_channels_last(int rank)
{
    if (rank < 3)
        return 0;
    int order[MAX_RANK] = {0};
    for (int place = 1; place < rank - 1; place++)
        order[place] = place + 1;
    order[rank - 1] = 1;
    return layout_make(rank, order);
}

/* snprintf that can be called again and again: n is the length so far. */
#define APPEND(...)                                                            \
    (n += snprintf((size_t)n < size ? buf + n : NULL,                          \
                   (size_t)n < size ? size - (size_t)n : 0, __VA_ARGS__))

int type_print(const Type *t, char *buf, size_t size)
{
    int n = 0;
    APPEND("%s[", dtype_name(t->dtype));
    for (int d = 0; d < t->rank; d++)
        APPEND("%s%" PRId64, d ? "," : "", t->dim[d]);
    APPEND("]");
    if (t->layout) {
        for (int p = 0; p < t->rank; p++)
            APPEND("%c%d", p ? ',' : '{', layout_dim(t->layout, t->rank, p));
        APPEND("}");
    }
    return n;
}
