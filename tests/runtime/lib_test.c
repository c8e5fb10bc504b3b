/* lib_test.c: every kind of library call against plain loops, on shapes that
 * go wrong easily: groups, dilation, padding on one side, 1 to 3 dimensions,
 * images that a stride does not divide. */
#include "lib.h"
#include "plan.h"
#include "winograd.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* One dimension of a convolution. */
typedef struct Dim {
    int in, kernel, stride, dilation, low, high;
} Dim;

typedef struct Case {
    int batch, groups, from, to, spatial;
    Dim dim[LIB_MAX_SPATIAL];
    uint8_t dtype; /* 0: f32 */
    bool winograd;
} Case;

static const Case cases[] = {
    {2, 1, 3, 16, 2, {{9, 3, 1, 1, 1, 1}, {7, 3, 1, 1, 1, 1}}, 0, false},
    {1, 1, 16, 32, 2, {{8, 3, 2, 1, 1, 1}, {9, 3, 2, 1, 1, 1}}, 0, false},
    {3, 1, 5, 7, 2, {{10, 5, 3, 1, 2, 0}, {11, 2, 1, 1, 0, 3}}, 0, false},
    {2, 4, 8, 12, 2, {{6, 3, 1, 1, 1, 1}, {6, 3, 1, 1, 1, 1}}, 0, false},
    {2, 8, 8, 8, 2, {{7, 7, 1, 1, 3, 3}, {5, 7, 1, 1, 3, 3}}, 0, false},
    {1, 1, 4, 6, 2, {{12, 3, 2, 2, 2, 1}, {9, 3, 1, 3, 3, 3}}, 0, false},
    {2, 1, 16, 16, 2, {{1, 1, 1, 1, 0, 0}, {1, 1, 1, 1, 0, 0}}, 0, false},
    {2, 1, 3, 8, 1, {{17, 4, 2, 1, 1, 2}}, 0, false},
    {1,
     2,
     4,
     6,
     3,
     {{5, 3, 1, 1, 1, 1}, {4, 2, 2, 1, 0, 1}, {6, 3, 1, 2, 2, 2}},
     0,
     false},
    {1, 1, 1, 1, 2, {{28, 5, 1, 1, 2, 2}, {28, 5, 1, 1, 2, 2}}, 0, false},
};

static LibDesc describe(const Case *c, int kind)
{
    LibDesc d = {.kind = kind,
                 .dtype = c->dtype ? c->dtype : PLAN_F32,
                 .wide = PLAN_F32,
                 .spatial = c->spatial,
                 .winograd = c->winograd,
                 .batch = c->batch,
                 .groups = c->groups,
                 .in_channels = c->from,
                 .out_channels = c->to};
    for (int i = 0; i < c->spatial; i++) {
        const Dim *m = &c->dim[i];
        d.in[i] = m->in;
        d.kernel[i] = m->kernel;
        d.stride[i] = m->stride;
        d.dilation[i] = m->dilation;
        d.pad_low[i] = m->low;
        d.pad_high[i] = m->high;
        int window = (m->kernel - 1) * m->dilation + 1;
        d.out[i] = (m->in + m->low + m->high - window) / m->stride + 1;
    }
    return d;
}

static int64_t product(const int64_t *size, int n)
{
    int64_t result = 1;
    for (int i = 0; i < n; i++)
        result *= size[i];
    return result;
}

static float *noise(int64_t n, unsigned seed)
{
    float *v = malloc(n * sizeof *v);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 16) / 32768.0f - 1.0f;
    }
    return v;
}

/* Flat place of `index` in a box, the last dimension fastest. */
static void unflatten(int64_t flat, const int64_t *size, int n, int64_t *index)
{
    for (int i = n - 1; i >= 0; i--) {
        index[i] = flat % size[i];
        flat /= size[i];
    }
}

typedef void Visit(void *context, int64_t x, int64_t w, int64_t y);

/* Calls visit for each multiply-add of the convolution, with places in
 * channels-last x and y and in plain w. */
static void conv_visit(const LibDesc *d, Visit *visit, void *context)
{
    int64_t n_out = product(d->out, d->spatial);
    int64_t n_in = product(d->in, d->spatial);
    int64_t n_kernel = product(d->kernel, d->spatial);
    int64_t per_in = d->in_channels / d->groups;
    int64_t per_out = d->out_channels / d->groups;
    for (int64_t b = 0; b < d->batch; b++)
        for (int64_t p = 0; p < n_out; p++)
            for (int64_t k = 0; k < n_kernel; k++) {
                int64_t at[LIB_MAX_SPATIAL], tap[LIB_MAX_SPATIAL], place = 0;
                unflatten(p, d->out, d->spatial, at);
                unflatten(k, d->kernel, d->spatial, tap);
                bool inside = true;
                for (int i = 0; i < d->spatial; i++) {
                    int64_t t = at[i] * d->stride[i] + tap[i] * d->dilation[i] -
                                d->pad_low[i];
                    inside = inside && t >= 0 && t < d->in[i];
                    place = place * d->in[i] + t;
                }
                for (int64_t o = 0; inside && o < d->out_channels; o++)
                    for (int64_t c = 0; c < per_in; c++)
                        visit(context,
                              (b * n_in + place) * d->in_channels +
                                  o / per_out * per_in + c,
                              (o * per_in + c) * n_kernel + k,
                              (b * n_out + p) * d->out_channels + o);
            }
}

typedef struct Tensors {
    float *x, *w, *y;
    double *result;
} Tensors;

static void add_y(void *context, int64_t x, int64_t w, int64_t y)
{
    Tensors *t = context;
    t->result[y] += (double)t->x[x] * t->w[w];
}
static void add_x(void *context, int64_t x, int64_t w, int64_t y)
{
    Tensors *t = context;
    t->result[x] += (double)t->y[y] * t->w[w];
}
static void add_w(void *context, int64_t x, int64_t w, int64_t y)
{
    Tensors *t = context;
    t->result[w] += (double)t->x[x] * t->y[y];
}

static void assert_close(const float *got, const double *want, int64_t n,
                         double relative)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    assert_true(sqrt(difference) <= relative * sqrt(norm) + 1e-6);
}

/* ---- bf16 --------------------------------------------------------------- */

/* Numbers that bf16 holds, so that products of them are exact in float. */
static void shorten(float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&v[i], &bits, sizeof bits);
    }
}

static uint16_t *narrow(const float *v, int64_t n)
{
    uint16_t *half = malloc(n * sizeof *half);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        half[i] = (uint16_t)(bits >> 16);
    }
    return half;
}

/* In place: v begins as n bf16. */
static void widen(float *v, int64_t n)
{
    const uint16_t *half = (const uint16_t *)v;
    for (int64_t i = n - 1; i >= 0; i--) {
        uint32_t bits = (uint32_t)half[i] << 16;
        memcpy(&v[i], &bits, sizeof bits);
    }
}

static void *checked(void *p)
{
    assert_non_null(p);
    return p;
}

/* Runs one call on thread 1 of 2, as a kernel would. */
static void run(const LibDesc *d, const void *a, const void *b, void *result)
{
    char error[256] = "";
    LibInfo info;
    if (!lib_query(d, &info, error, sizeof error))
        fail_msg("%s", error);
    assert_true(info.implementation[0]);
    Lib *lib = lib_open(d, 1, 2, error, sizeof error);
    if (!lib)
        fail_msg("%s", error);
    char *scratch =
        checked(aligned_alloc(64, (info.scratch_bytes + 127) & ~63));
    struct LibCall *calls[1] = {lib_call(lib, 0)};
    KernelCall call = {.lib = calls, .scratch = scratch, .thread = 1};
    tgc_lib_run(&call, 0, a, b, result);
    assert_null(lib_failure(lib));
    free(scratch);
    lib_close(lib);
}

static void *pack(const Case *c, int of, const float *w)
{
    LibDesc d = describe(c, LIB_PACK);
    d.of = of;
    LibInfo info;
    char error[256];
    assert_true(lib_query(&d, &info, error, sizeof error));
    char *packed = checked(aligned_alloc(64, (info.packed_bytes + 63) & ~63));
    run(&d, w, NULL, packed);
    return packed;
}

static void *operand(const Case *c, const float *v, int64_t n)
{
    if (c->dtype == PLAN_BF16)
        return narrow(v, n);
    return memcpy(malloc(n * sizeof *v), v, n * sizeof *v);
}

/* Winograd rounds transformed operands of bf16 to bf16 again. */
enum { ROUNDINGS = 3 };

/* A result of the operands' type: rounded to its last digit. */
static void check_result(const Case *c, float *got, const double *want,
                         int64_t n)
{
    double error = c->dtype == PLAN_BF16 ? 4e-3 : 1e-5;
    if (c->dtype == PLAN_BF16)
        widen(got, n);
    assert_close(got, want, n, c->winograd ? ROUNDINGS * error : error);
}

static void check_gradients(const Case *c, Tensors *t, const LibDesc *conv,
                            int64_t nx, int64_t nw, int64_t ny, float *got)
{
    LibDesc d = *conv;
    void *x = operand(c, t->x, nx), *y = operand(c, t->y, ny);
    void *packed = pack(c, LIB_CONV_GRAD_INPUT, t->w);
    memset(t->result, 0, nx * sizeof(double));
    conv_visit(&d, add_x, t);
    d.kind = LIB_CONV_GRAD_INPUT;
    run(&d, y, packed, got);
    check_result(c, got, t->result, nx);
    free(packed);

    /* The packed gradient needs unpacking; packing t->w gives the room. */
    packed = pack(c, LIB_CONV_GRAD_WEIGHT, t->w);
    memset(t->result, 0, nw * sizeof(double));
    conv_visit(&d, add_w, t);
    d.kind = LIB_CONV_GRAD_WEIGHT;
    run(&d, x, y, packed);
    d.kind = LIB_UNPACK;
    d.of = LIB_CONV_GRAD_WEIGHT;
    run(&d, packed, NULL, got);
    /* in f32 whatever x and y are, but for those roundings */
    bool rounded = c->winograd && c->dtype == PLAN_BF16;
    assert_close(got, t->result, nw, rounded ? ROUNDINGS * 4e-3 : 1e-5);
    free(packed);
    free(x);
    free(y);
}

static void check_case(const Case *c)
{
    LibDesc d = describe(c, LIB_CONV);
    int64_t nx = d.batch * d.in_channels * product(d.in, d.spatial);
    int64_t ny = d.batch * d.out_channels * product(d.out, d.spatial);
    int64_t nw = d.out_channels * (d.in_channels / d.groups) *
                 product(d.kernel, d.spatial);
    int64_t most = nx > ny ? (nx > nw ? nx : nw) : (ny > nw ? ny : nw);
    Tensors t = {noise(nx, 1), noise(nw, 2), noise(ny, 3), NULL};
    float *got = malloc(most * sizeof *got);
    shorten(t.x, nx);
    shorten(t.w, nw);
    shorten(t.y, ny);

    void *packed = pack(c, LIB_CONV, t.w), *x = operand(c, t.x, nx);
    t.result = calloc(most, sizeof(double));
    conv_visit(&d, add_y, &t);
    run(&d, x, packed, got);
    check_result(c, got, t.result, ny);
    free(packed);
    free(x);
    check_gradients(c, &t, &d, nx, nw, ny, got);

    free(got);
    free(t.result);
    free(t.x);
    free(t.w);
    free(t.y);
}

static void test_conv(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
}

/* Weights come and gradients of weights go as f32. */
static void test_conv_bf16(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Case c = cases[i];
        c.dtype = PLAN_BF16;
        check_case(&c);
    }
}

/* Odd sizes, so that tiles reach past the border; padding of every kind; more
 * tiles than a block; channels that fill vectors of each width differently. */
static const Case winograd_cases[] = {
    {2, 1, 16, 16, 2, {{8, 3, 1, 1, 1, 1}, {8, 3, 1, 1, 1, 1}}, 0, true},
    {1, 1, 32, 16, 2, {{9, 3, 1, 1, 1, 1}, {7, 3, 1, 1, 1, 1}}, 0, true},
    {3, 1, 16, 48, 2, {{5, 3, 1, 1, 0, 0}, {6, 3, 1, 1, 0, 1}}, 0, true},
    {1, 1, 48, 32, 2, {{4, 3, 1, 1, 2, 2}, {3, 3, 1, 1, 2, 0}}, 0, true},
    {5, 1, 16, 32, 2, {{11, 3, 1, 1, 1, 1}, {13, 3, 1, 1, 1, 1}}, 0, true},
    {2, 1, 16, 16, 2, {{3, 3, 1, 1, 0, 0}, {3, 3, 1, 1, 0, 0}}, 0, true},
    {1, 1, 32, 32, 2, {{3, 3, 1, 1, 4, 3}, {2, 3, 1, 1, 3, 5}}, 0, true},
};

static const uint8_t winograd_types[] = {PLAN_F32, PLAN_BF16};

static void check_winograd(Case c)
{
    c.winograd = true;
    for (int t = 0; t < 2; t++) {
        c.dtype = winograd_types[t];
        check_case(&c);
    }
}

static void test_winograd(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof winograd_cases / sizeof *winograd_cases; i++)
        check_winograd(winograd_cases[i]);
}

static int draw(unsigned *seed, int low, int high)
{
    *seed = *seed * 1664525u + 1013904223u;
    return low + (int)((*seed >> 16) % (unsigned)(high - low + 1));
}

/* Images from 1x1 on, most of a tile in the padding, or none; an odd number of
 * tiles, which go in pairs for bf16. */
static void test_winograd_random(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int i = 0; i < 60; i++) {
        Case c = {.batch = draw(&seed, 1, 3), .groups = 1, .spatial = 2};
        c.from = 16 * draw(&seed, 1, 3);
        c.to = 16 * draw(&seed, 1, 3);
        for (int k = 0; k < 2; k++) {
            Dim *d = &c.dim[k];
            *d = (Dim){draw(&seed, 1, 7), 3, 1, 1, draw(&seed, 0, 2),
                       draw(&seed, 0, 2)};
            while (d->in + d->low + d->high < 3)
                d->high++;
        }
        check_winograd(c);
    }
}

/* A convolution and a gradient of weights by one set of kernels, of bf16
 * numbers, as float32: y [6,7,32], packed gradient [16,16,32]. */
typedef struct SetResult {
    float y[6 * 7 * 32], packed[16 * 16 * 32];
} SetResult;

static void run_set(const WinogradKernels *k, const Case *c, SetResult *r)
{
    const WinogradShape s = {1, 16, 32, {6, 7}, {6, 7}, {1, 1}, {3, 4}};
    float *x = noise(6 * 7 * 16, 1), *w = noise(32 * 16 * 9, 2);
    float *dy = noise(6 * 7 * 32, 3);
    shorten(x, 6 * 7 * 16);
    shorten(dy, 6 * 7 * 32);
    x[5] = NAN; /* one tile's rows and columns of it, and nothing else */
    void *a = operand(c, x, 6 * 7 * 16), *b = operand(c, dy, 6 * 7 * 32);
    float *u = malloc(16 * 16 * 32 * sizeof *u);
    float *scratch = checked(aligned_alloc(64, 1 << 18));
    k->pack(16, 32, false, w, u);
    k->conv(&s, a, u, r->y, scratch);
    if (c->dtype == PLAN_BF16)
        widen(r->y, 6 * 7 * 32);
    k->grad_weight(&s, a, b, r->packed, scratch);
    free(scratch);
    free(u);
    free(b);
    free(a);
    free(dy);
    free(w);
    free(x);
}

static void assert_alike(const float *a, const float *b, int n, float most)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(isnan(a[i]) != 0, isnan(b[i]) != 0);
        assert_true(isnan(a[i]) || fabsf(a[i] - b[i]) <= most);
    }
}

/* Every instruction set that this machine has gives the same results, up to a
 * last digit of y, and hands on what is not a number. */
static void test_winograd_sets(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++) {
        Case c = {.dtype = winograd_types[t]};
        const WinogradKernels *k;
        SetResult first, other;
        assert_non_null(winograd_kernels(c.dtype, 0));
        run_set(winograd_kernels(c.dtype, 0), &c, &first);
        assert_true(isnan(first.y[0]) && !isnan(first.y[6 * 7 * 32 - 1]));
        for (int i = 1; (k = winograd_kernels(c.dtype, i)) != NULL; i++) {
            run_set(k, &c, &other);
            assert_alike(first.y, other.y, 6 * 7 * 32, t ? 16.0f / 128 : 1e-4f);
            assert_alike(first.packed, other.packed, 16 * 16 * 32, 1e-3f);
        }
        assert_null(winograd_kernels(c.dtype, 3));
    }
}

static void test_winograd_refused(void **state)
{
    (void)state;
    LibDesc d = describe(&winograd_cases[0], LIB_CONV), other = d;
    LibInfo info;
    char error[256];
    assert_true(lib_winograd_fits(&d));
    other.stride[1] = 2;
    other.out[1] = 4;
    assert_false(lib_winograd_fits(&other));
    assert_false(lib_query(&other, &info, error, sizeof error));
    other = d;
    other.in_channels = 24;
    assert_false(lib_winograd_fits(&other));
    assert_null(lib_open(&other, 1, 1, error, sizeof error));
    other = d;
    other.dtype = PLAN_F16;
    assert_false(lib_winograd_fits(&other));
    assert_false(lib_query(&other, &info, error, sizeof error));
    other.dtype = PLAN_BF16; /* runs everywhere, wanted where it is fast */
    assert_true(lib_query(&other, &info, error, sizeof error));
    assert_int_equal(lib_winograd_fits(&other),
                     winograd_kernels(PLAN_BF16, 0)->fast);
}

static void check_matmul(int m, int n, int k, bool ta, bool tb)
{
    LibDesc d = {.kind = LIB_MATMUL,
                 .dtype = PLAN_F32,
                 .wide = PLAN_F32,
                 .m = m,
                 .n = n,
                 .k = k};
    d.a_row = ta ? 1 : k;
    d.a_col = ta ? m : 1;
    d.b_row = tb ? 1 : n;
    d.b_col = tb ? k : 1;
    float *a = noise((int64_t)m * k, 4), *b = noise((int64_t)k * n, 5);
    float *got = malloc((size_t)m * n * sizeof *got);
    double *want = calloc((size_t)m * n, sizeof *want);
    shorten(a, (int64_t)m * k);
    shorten(b, (int64_t)k * n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            for (int p = 0; p < k; p++)
                want[i * n + j] += (double)a[i * d.a_row + p * d.a_col] *
                                   b[p * d.b_row + j * d.b_col];
    run(&d, a, b, got);
    assert_close(got, want, (int64_t)m * n, 1e-5);
    void *short_a = narrow(a, (int64_t)m * k),
         *short_b = narrow(b, (int64_t)k * n);
    d.dtype = PLAN_BF16;
    run(&d, short_a, short_b, got);
    assert_close(got, want, (int64_t)m * n, 1e-5);
    d.wide = PLAN_BF16;
    run(&d, short_a, short_b, got);
    widen(got, (int64_t)m * n);
    assert_close(got, want, (int64_t)m * n, 4e-3);
    free(short_a);
    free(short_b);
    free(a);
    free(b);
    free(got);
    free(want);
}

static void test_matmul(void **state)
{
    (void)state;
    const int size[][3] = {{1, 1, 1}, {3, 10, 64}, {128, 10, 64}, {65, 33, 17}};
    for (int i = 0; i < 4; i++)
        for (int t = 0; t < 4; t++)
            check_matmul(size[i][0], size[i][1], size[i][2], t & 1, t & 2);
}

static void test_refused(void **state)
{
    (void)state;
    LibInfo info;
    char error[256] = "";
    LibDesc d = describe(&cases[0], LIB_CONV);
    d.out[0]++;
    assert_false(lib_query(&d, &info, error, sizeof error));
    assert_non_null(strstr(error, "convolution"));
    assert_non_null(strstr(error, "channels 3 to 16"));
    d = describe(&cases[0], LIB_CONV);
    d.batch = INT64_C(1) << 40;
    assert_null(lib_open(&d, 1, 1, error, sizeof error));
    d = describe(&cases[0], 99);
    assert_false(lib_query(&d, &info, error, sizeof error));
    d = describe(&cases[0], LIB_PACK); /* .of is not set */
    assert_false(lib_query(&d, &info, error, sizeof error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_conv_bf16),
        cmocka_unit_test(test_winograd),
        cmocka_unit_test(test_winograd_random),
        cmocka_unit_test(test_winograd_sets),
        cmocka_unit_test(test_winograd_refused),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
