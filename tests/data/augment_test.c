/* augment_test.c: crop, flip, normalisation and layout against plain code;
 * that the choices are spread as they should be; that the shuffle is fair. */
#include "augment.h"
#include "loader_order.h"
#include "rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { C = 3, H = 6, W = 5, PAD = 2 };

static const double mean[] = {0.485, 0.456, 0.406};
static const double deviation[] = {0.229, 0.224, 0.225};

static LoaderOptions options(int crop, bool flip)
{
    return (LoaderOptions){
        .augment = true,
        .flip = flip,
        .crop = crop,
        .mean = mean,
        .std = deviation,
        .n_mean = 3,
        .n_std = 3,
        .seed = 0x123456789abcdef,
        .image = {PLAN_F32, 4, {1, C, H, W}, {C * H * W, 1, W * C, C}}};
}

static Augment prepared(const LoaderOptions *o)
{
    Status s = {0};
    Augment a;
    assert_true(augment_prepare(&a, o, &s));
    return a;
}

/* ---- pixels -------------------------------------------------------------- */

/* What ToTensor and Normalize make of a byte, from PyTorch 1.13:
 *
 *     x = torch.tensor(bytes, dtype=torch.uint8).to(torch.float32).div(255)
 *     x.sub_(torch.tensor(mean)).div_(torch.tensor(std))
 */
static void test_values_of_pytorch(void **state)
{
    (void)state;
    static const int byte[] = {0, 1, 77, 128, 200, 255};
    static const float wanted[C][6] = {
        {-0x1.0f177ap+1, -0x1.0ce656p+1, -0x1.993d92p-1, 0x1.2f5e64p-4,
         0x1.4e9a9ep+0, 0x1.1fdc3ap+1},
        {-0x1.049248p+1, -0x1.02549ep+1, -0x1.6016f0p-1, 0x1.a43690p-3,
         0x1.773738p+0, 0x1.36db6ep+1},
        {-0x1.cdf012p+0, -0x1.c979d4p+0, -0x1.d97e72p-2, 0x1.b4ba78p-2,
         0x1.ae6fdep+0, 0x1.51eb86p+1},
    };
    LoaderOptions o = options(0, false);
    Augment a = prepared(&o);
    for (int c = 0; c < C; c++)
        for (int i = 0; i < 6; i++)
            assert_true(a.value[c][byte[i]] == wanted[c][i]);
}

static void test_one_mean_or_none(void **state)
{
    (void)state;
    LoaderOptions o = options(0, false);
    o.n_mean = o.n_std = 1;
    Augment a = prepared(&o);
    assert_memory_equal(a.value[0], a.value[2], sizeof a.value[0]);
    o.n_mean = o.n_std = 0;
    a = prepared(&o);
    assert_true(a.value[2][0] == 0 && a.value[2][255] == 1);
    assert_true(a.value[1][51] == 51.0f / 255.0f);
}

static void refuses(const LoaderOptions *o, const char *sentence)
{
    Status s = {0};
    Augment a;
    assert_false(augment_prepare(&a, o, &s));
    assert_string_equal(s.text, sentence);
}

static void test_bad_options(void **state)
{
    (void)state;
    LoaderOptions o = options(0, false);
    o.n_std = 2;
    refuses(&o, "data.std has 2 numbers, but the model's images have 3 "
                "channels; give 3, or one for all");
    o = options(0, false);
    o.n_mean = 4;
    refuses(&o, "data.mean has 4 numbers, but the model's images have 3 "
                "channels; give 3, or one for all");
    const double bad[] = {0.1, 0, NAN};
    o = options(0, false);
    o.std = bad;
    refuses(&o, "channel 1 has mean 0.456 and deviation 0; data.mean must be "
                "finite, and data.std finite and above 0");
    o = options(0, false);
    o.mean = bad;
    refuses(&o, "channel 2 has mean nan and deviation 0.225; data.mean must be "
                "finite, and data.std finite and above 0");
    o = options(5000, false);
    refuses(&o, "data.crop is 5000; it must be 0 to 4096");
    o = options(0, false);
    o.image.dim[1] = 17;
    refuses(&o, "images have 17 channels; a loader takes at most 16");
}

/* The plain way: pad, cut, mirror, normalise. */
static float reference(const uint8_t *pixels, int down, int right, bool mirror,
                       int c, int y, int x)
{
    enum { TALL = H + 2 * PAD, WIDE = W + 2 * PAD };
    uint8_t padded[TALL][WIDE] = {{0}};
    for (int i = 0; i < H; i++)
        memcpy(&padded[PAD + i][PAD], pixels + (c * H + i) * W, W);
    int column = mirror ? W - 1 - x : x;
    float value = (float)padded[down + y][right + column] / 255.0f;
    return (value - (float)mean[c]) / (float)deviation[c];
}

static void check_image(const Augment *a, const uint8_t *pixels, View v,
                        int down, int right, bool mirror)
{
    float got[C * H * W + 1];
    got[C * H * W] = 123;
    augment_render(a, v, pixels, got);
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                float value =
                    got[c * a->stride_c + y * a->stride_h + x * a->stride_w];
                assert_true(value ==
                            reference(pixels, down, right, mirror, c, y, x));
            }
    assert_true(got[C * H * W] == 123);
}

/* Every place of the window, mirrored or not, channels first and last, by the
 * choices as documented: words 0 and 1 are the place, word 2 the flip. */
static void test_render_every_view(void **state)
{
    (void)state;
    uint8_t pixels[C * H * W];
    for (int i = 0; i < C * H * W; i++)
        pixels[i] = (uint8_t)(1 + i * 2);
    bool seen[2 * PAD + 1][2 * PAD + 1][2] = {{{0}}};
    int left = sizeof seen;
    LoaderOptions o = options(PAD, true);
    for (int64_t sample = 0; left; sample++) {
        Augment a = prepared(&o);
        uint64_t at = 16 * (uint64_t)sample;
        uint32_t places = 2 * PAD + 1;
        uint32_t down = rng_below(rng_u32(o.seed, RNG_AUGMENT, 3, at), places);
        uint32_t right =
            rng_below(rng_u32(o.seed, RNG_AUGMENT, 3, at + 1), places);
        bool mirror = rng_u32(o.seed, RNG_AUGMENT, 3, at + 2) >> 31;
        View v = augment_view(&a, 3, sample);
        check_image(&a, pixels, v, (int)down, (int)right, mirror);
        a.stride_c = H * W;
        a.stride_h = W;
        a.stride_w = 1;
        check_image(&a, pixels, v, (int)down, (int)right, mirror);
        left -= !seen[down][right][mirror];
        seen[down][right][mirror] = true;
    }
}

/* A window that sees nothing but the border. */
static void test_border_wider_than_image(void **state)
{
    (void)state;
    uint8_t pixels[C * H * W];
    memset(pixels, 255, sizeof pixels);
    LoaderOptions o = options(4096, true);
    Augment a = prepared(&o);
    float got[C * H * W];
    for (int64_t sample = 0; sample < 2000; sample++) {
        View v = augment_view(&a, 0, sample);
        augment_render(&a, v, pixels, got);
        bool outside = v.y0 <= -H || v.y0 >= H;
        for (int i = 0; outside && i < C * H * W; i++)
            assert_true(got[i] == a.value[i % C][0]);
    }
}

static void test_no_augment(void **state)
{
    (void)state;
    LoaderOptions o = options(PAD, true);
    o.augment = false;
    Augment a = prepared(&o);
    for (int64_t sample = 0; sample < 50; sample++) {
        View v = augment_view(&a, 1, sample);
        assert_true(v.y0 == 0 && v.x0 == 0 && v.step == 1);
    }
}

/* One step switched off leaves the choices of the others alone. */
static void test_steps_independent(void **state)
{
    (void)state;
    LoaderOptions both = options(PAD, true), one = options(0, true);
    Augment a = prepared(&both), b = prepared(&one);
    for (int64_t sample = 0; sample < 500; sample++)
        assert_int_equal(augment_view(&a, 2, sample).step,
                         augment_view(&b, 2, sample).step);
}

/* ---- how choices are spread ---------------------------------------------- */

/* Pearson's statistic against equal shares.  The limits in the tests are the
 * 0.999 quantiles; seeds are fixed, so they pass always or never. */
static double chi_square(const int64_t *count, int cells)
{
    double total = 0, sum = 0;
    for (int i = 0; i < cells; i++)
        total += (double)count[i];
    for (int i = 0; i < cells; i++) {
        double off = (double)count[i] - total / cells;
        sum += off * off * cells / total;
    }
    return sum;
}

static void place_of(const Augment *a, View v, int64_t *down, int64_t *right)
{
    bool mirror = v.step < 0;
    int64_t border = (int64_t)a->list.step[0].value[0];
    *down = v.y0 + border;
    *right = (mirror ? v.x0 - (a->w - 1) : v.x0) + border;
}

static void test_spread_of_crop_and_flip(void **state)
{
    (void)state;
    LoaderOptions o = options(4, true);
    Augment a = prepared(&o);
    int64_t place[81] = {0}, sides[18] = {0}, down, right;
    for (int64_t sample = 0; sample < 81 * 500; sample++) {
        View v = augment_view(&a, 7, sample);
        place_of(&a, v, &down, &right);
        assert_in_range(down, 0, 8);
        assert_in_range(right, 0, 8);
        place[down * 9 + right]++;
        sides[right * 2 + (v.step < 0)]++;
    }
    assert_true(chi_square(place, 81) < 124.84); /* 80 degrees of freedom */
    assert_true(chi_square(sides, 18) < 40.79);  /* 17 */
}

/* Neighbours in the data set, and an image from one epoch to the next, choose
 * independently. */
static void test_spread_over_samples_and_epochs(void **state)
{
    (void)state;
    LoaderOptions o = options(0, true);
    Augment a = prepared(&o);
    int64_t samples[8] = {0}, epochs[8] = {0};
    for (int64_t i = 0; i < 20000; i++) {
        int over_samples = 0, over_epochs = 0;
        for (int j = 0; j < 3; j++) {
            over_samples |= (augment_view(&a, 0, 3 * i + j).step < 0) << j;
            over_epochs |= (augment_view(&a, 3 * i + j, 5).step < 0) << j;
        }
        samples[over_samples]++;
        epochs[over_epochs]++;
    }
    assert_true(chi_square(samples, 8) < 24.32); /* 7 */
    assert_true(chi_square(epochs, 8) < 24.32);
}

/* ---- the order ----------------------------------------------------------- */

static void test_order_is_a_permutation(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 17, 1000, 50000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int64_t n = sizes[k];
        uint32_t *order = malloc((size_t)n * sizeof *order);
        char *seen = calloc((size_t)n, 1);
        order_shuffled(order, n, 11, 4);
        for (int64_t i = 0; i < n; i++) {
            assert_in_range(order[i], 0, n - 1);
            assert_int_equal(seen[order[i]]++, 0);
        }
        free(order);
        free(seen);
    }
}

/* All 24 orders of four samples are as likely, over epochs and over seeds. */
static void test_order_is_fair(void **state)
{
    (void)state;
    int64_t epochs[256] = {0}, seeds[256] = {0};
    uint32_t o[4];
    for (int64_t i = 0; i < 24 * 500; i++) {
        order_shuffled(o, 4, 1, i);
        epochs[o[0] * 64 + o[1] * 16 + o[2] * 4 + o[3]]++;
        order_shuffled(o, 4, (uint64_t)i << 20, 1);
        seeds[o[0] * 64 + o[1] * 16 + o[2] * 4 + o[3]]++;
    }
    int64_t of_epochs[24], of_seeds[24], orders = 0;
    for (int i = 0; i < 256; i++)
        if (epochs[i]) {
            of_epochs[orders] = epochs[i];
            of_seeds[orders++] = seeds[i];
        }
    assert_int_equal(orders, 24);
    assert_true(chi_square(of_epochs, 24) < 49.73); /* 23 */
    assert_true(chi_square(of_seeds, 24) < 49.73);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_pytorch),
        cmocka_unit_test(test_one_mean_or_none),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_render_every_view),
        cmocka_unit_test(test_border_wider_than_image),
        cmocka_unit_test(test_no_augment),
        cmocka_unit_test(test_steps_independent),
        cmocka_unit_test(test_spread_of_crop_and_flip),
        cmocka_unit_test(test_spread_over_samples_and_epochs),
        cmocka_unit_test(test_order_is_a_permutation),
        cmocka_unit_test(test_order_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
