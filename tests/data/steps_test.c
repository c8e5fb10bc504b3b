/* steps_test.c: the setting data.augment: what it takes and refuses; each step
 * against plain code, pixel by pixel; how its choices are spread; mixup and
 * cutmix. */
#include "augment.h"
#include "loader_private.h"
#include "rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { C = 3, H = 9, W = 7, N = C * H * W, SEED = 77 };

static const double mean[] = {0.485, 0.456, 0.406};
static const double deviation[] = {0.229, 0.224, 0.225};

static Augment prepared(const char *steps)
{
    LoaderOptions o = {.augment = true,
                       .steps = steps,
                       .mean = mean,
                       .std = deviation,
                       .n_mean = 3,
                       .n_std = 3,
                       .seed = SEED,
                       .image = {PLAN_F32, 4, {1, C, H, W}, {N, 1, W * C, C}}};
    Status s = {0};
    Augment a;
    augment_prepare(&a, &o, &s);
    assert_string_equal(s.text, "");
    return a;
}

static void pixels_of(uint8_t pixels[N])
{
    for (int i = 0; i < N; i++)
        pixels[i] = (uint8_t)(i * 37 % 251);
}

/* The image after all steps, [c,h,w], normalisation undone. */
static void image_of(const char *steps, int64_t epoch, int64_t sample,
                     double got[C][H][W])
{
    Augment a = prepared(steps);
    uint8_t pixels[N];
    float room[2 * N], out[N];
    pixels_of(pixels);
    augment_image(&a, epoch, sample, pixels, room, out);
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                got[c][y][x] =
                    (double)out[c + y * W * C + x * C] * deviation[c] + mean[c];
}

static void plain(double image[C][H][W])
{
    uint8_t pixels[N];
    pixels_of(pixels);
    for (int i = 0; i < N; i++)
        image[i / (H * W)][i / W % H][i % W] = pixels[i] / 255.0;
}

static void same(double got[C][H][W], double wanted[C][H][W], double within)
{
    for (int i = 0; i < N; i++)
        assert_true(fabs((&got[0][0][0])[i] - (&wanted[0][0][0])[i]) < within);
}

static uint32_t word(int64_t epoch, int64_t sample, int i)
{
    return rng_u32(SEED, RNG_AUGMENT, (uint32_t)epoch,
                   16 * (uint64_t)sample + (uint64_t)i);
}

/* ---- the text ------------------------------------------------------------ */

static void test_parse(void **state)
{
    (void)state;
    AugmentList l;
    Status s = {0};
    assert_true(augment_parse(
        &l, " resized_crop(0.5,1) , flip(alternate) jitter( 0.4 ) cutout(8),",
        &s));
    assert_int_equal(l.n, 4);
    assert_true(l.step[0].kind == AUGMENT_RESIZED &&
                l.step[0].value[0] == 0.5 && l.step[0].value[1] == 1);
    assert_true(l.step[1].kind == AUGMENT_FLIP && l.step[1].special);
    assert_true(l.step[2].kind == AUGMENT_JITTER && l.step[2].value[0] == 0.4 &&
                l.step[2].value[1] == 0);
    assert_true(l.step[3].kind == AUGMENT_CUTOUT && l.step[3].value[0] == 8);
    assert_true(augment_parse(&l, "resized_crop crop(4, reflect)", &s));
    assert_true(l.step[0].value[0] == 0.08 && l.step[1].special);
    assert_true(augment_parse(&l, "", &s) && l.n == 0);
}

static void refuses(const char *text, const char *sentence)
{
    AugmentList l;
    Status s = {0};
    assert_false(augment_parse(&l, text, &s));
    assert_string_equal(s.text, sentence);
}

static void test_refusals(void **state)
{
    (void)state;
    refuses("flipp", "data.augment: there is no step flipp; did you mean "
                     "flip?");
    refuses("mosaic", "data.augment: there is no step mosaic; there are: crop, "
                      "flip, cutout, resized_crop, rotate, jitter");
    refuses("(4)", "data.augment: a step is expected at \"(4)\" in \"(4)\" "
                   "(there are: crop, flip, cutout, resized_crop, rotate, "
                   "jitter)");
    refuses("crop", "data.augment: crop needs numbers: crop(4), or crop(4, "
                    "reflect)");
    refuses("crop(4", "data.augment: crop wants a ) before \"\"");
    refuses("crop(2.5)",
            "data.augment: crop takes whole numbers from 0 to 4096, not 2.5");
    refuses("crop(4, 5)", "data.augment: crop cannot take \"5\": write "
                          "crop(4), or crop(4, reflect)");
    refuses("flip(horizontal)", "data.augment: flip cannot take "
                                "\"horizontal\": write flip, or "
                                "flip(alternate)");
    refuses("rotate(200)",
            "data.augment: rotate takes numbers from 0 to 180, not 200");
    refuses("flip, crop(2), flip", "data.augment: flip comes twice");
    refuses("resized_crop(0.9, 0.2)", "data.augment: resized_crop(0.9, 0.2): "
                                      "the least share is above the greatest");
}

/* Anything at all is taken or refused, and read no further than its end. */
static void test_any_text(void **state)
{
    (void)state;
    static const char some[] = "crop(4,flip)jitter.0-9eresized_rotatealn %\x80";
    for (uint64_t i = 0; i < 200000; i++) {
        char text[40];
        size_t n = rng_u32(1, 9, 0, 64 * i) % sizeof text;
        for (size_t k = 0; k < n; k++)
            text[k] =
                some[rng_u32(1, 9, 0, 64 * i + k + 1) % (sizeof some - 1)];
        char *exact = malloc(n + 1);
        memcpy(exact, text, n);
        exact[n] = 0;
        AugmentList l;
        Status s = {0};
        assert_true(augment_parse(&l, exact, &s) != s.failed);
        free(exact);
    }
}

/* ---- steps against plain code -------------------------------------------- */

static void crop_of(double from[C][H][W], int64_t epoch, int64_t sample,
                    int border, bool reflect, double to[C][H][W])
{
    int dy = (int)rng_below(word(epoch, sample, 0), 2 * (uint32_t)border + 1);
    int dx = (int)rng_below(word(epoch, sample, 1), 2 * (uint32_t)border + 1);
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                int i = y + dy - border, k = x + dx - border;
                bool inside = i >= 0 && i < H && k >= 0 && k < W;
                if (reflect) { /* as far as one mirror reaches */
                    i = i < 0 ? -i : i >= H ? 2 * H - 2 - i : i;
                    k = k < 0 ? -k : k >= W ? 2 * W - 2 - k : k;
                    inside = true;
                }
                to[c][y][x] = inside ? from[c][i][k] : 0;
            }
}

static void mirror(double image[C][H][W])
{
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W / 2; x++) {
                double kept = image[c][y][x];
                image[c][y][x] = image[c][y][W - 1 - x];
                image[c][y][W - 1 - x] = kept;
            }
}

static void cut(double image[C][H][W], int64_t epoch, int64_t sample, int size)
{
    int top = (int)rng_below(word(epoch, sample, 4), H) - size / 2;
    int left = (int)rng_below(word(epoch, sample, 5), W) - size / 2;
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                if (y >= top && y < top + size && x >= left && x < left + size)
                    image[c][y][x] = mean[c];
}

static void test_moves(void **state)
{
    (void)state;
    double got[C][H][W], first[C][H][W], wanted[C][H][W];
    for (int64_t sample = 0; sample < 300; sample++) {
        bool flipped = word(2, sample, 2) >> 31;
        plain(first);
        crop_of(first, 2, sample, 3, true, wanted);
        image_of("crop(3, reflect)", 2, sample, got);
        same(got, wanted, 1e-6);
        crop_of(first, 2, sample, 3, false, wanted);
        if (flipped)
            mirror(wanted);
        cut(wanted, 2, sample, 4);
        image_of("crop(3), flip, cutout(4)", 2, sample, got);
        same(got, wanted, 1e-6);
        /* Another order is another image: cut first, then moved. */
        plain(first);
        cut(first, 2, sample, 4);
        if (flipped)
            mirror(first);
        crop_of(first, 2, sample, 3, false, wanted);
        image_of("cutout(4), flip, crop(3)", 2, sample, got);
        same(got, wanted, 1e-6);
    }
}

/* Moves through a window and through floats give the same bits. */
static void test_both_ways(void **state)
{
    (void)state;
    Augment a = prepared("crop(2), flip, cutout(5)"), b = a;
    uint8_t pixels[N];
    float room[2 * N], x[N], y[N];
    pixels_of(pixels);
    assert_true(a.moves && augment_room(&a) == 0);
    b.moves = false;
    for (int64_t sample = 0; sample < 500; sample++) {
        augment_image(&a, 1, sample, pixels, NULL, x);
        augment_image(&b, 1, sample, pixels, room, y);
        assert_memory_equal(x, y, sizeof x);
    }
}

static void test_alternate(void **state)
{
    (void)state;
    Augment a = prepared("flip(alternate)");
    int mirrored = 0;
    for (int64_t sample = 0; sample < 10000; sample++) {
        int first = augment_view(&a, 0, sample).step;
        mirrored += first < 0;
        for (int64_t epoch = 1; epoch < 4; epoch++)
            assert_int_equal(augment_view(&a, epoch, sample).step,
                             epoch % 2 ? -first : first);
    }
    assert_true(abs(mirrored - 5000) < 165); /* 3.3 deviations of 50 */
}

/* The value at a place between pixels, by the sum over all pixels of
 * triangles around them. */
static double between(double plane[H][W], double y, double x)
{
    double sum = 0;
    for (int i = 0; i < H; i++)
        for (int k = 0; k < W; k++)
            sum += fmax(0, 1 - fabs(y - i)) * fmax(0, 1 - fabs(x - k)) *
                   plane[i][k];
    return sum;
}

static void test_rotate(void **state)
{
    (void)state;
    double got[C][H][W], first[C][H][W], wanted[C][H][W];
    plain(first);
    for (int64_t sample = 0; sample < 100; sample++) {
        double angle = (2 * (double)rng_unit(word(4, sample, 6)) - 1) * 30;
        double a = angle * acos(-1) / 180;
        for (int i = 0; i < N; i++) {
            int c = i / (H * W), y = i / W % H, x = i % W;
            double v = y - (H - 1) / 2.0, u = x - (W - 1) / 2.0;
            /* Forward the point (u, v), y downwards, goes counter-clockwise to
             * (u cos a + v sin a, v cos a - u sin a); this is the way back. */
            wanted[c][y][x] =
                between(first[c], (H - 1) / 2.0 + v * cos(a) + u * sin(a),
                        (W - 1) / 2.0 + u * cos(a) - v * sin(a));
        }
        image_of("rotate(30)", 4, sample, got);
        same(got, wanted, 1e-5);
    }
}

/* The piece is found again in the words; then each pixel is the value of the
 * piece between its pixels, nearest inside it. */
static void resized_of(int64_t sample, double low, double high, int piece[4])
{
    for (int i = 0; i < 10; i++) {
        double u[4];
        for (int k = 0; k < 4; k++)
            u[k] = (double)rng_unit(
                rng_u32(SEED, RNG_RESIZED, 5,
                        64 * (uint64_t)sample + (uint64_t)(4 * i + k)));
        double area = H * W * (low + (high - low) * u[0]);
        double ratio = 0.75 * pow(16.0 / 9, u[1]);
        int wide = (int)rint(sqrt(area * ratio));
        int tall = (int)rint(sqrt(area / ratio));
        if (wide < 1 || wide > W || tall < 1 || tall > H)
            continue;
        piece[0] = (int)(u[2] * (H - tall + 1));
        piece[1] = (int)(u[3] * (W - wide + 1));
        piece[2] = tall;
        piece[3] = wide;
        return;
    }
    /* 7 : 9 lies between 3 : 4 and 4 : 3, so the whole image is the piece. */
    memcpy(piece, (int[]){0, 0, H, W}, 4 * sizeof *piece);
}

static double inside(double at, int n)
{
    return at < 0 ? 0 : at > n - 1 ? n - 1 : at;
}

static void test_resized_crop(void **state)
{
    (void)state;
    double got[C][H][W], first[C][H][W], wanted[C][H][W], least = 1, most = 0;
    plain(first);
    for (int64_t sample = 0; sample < 300; sample++) {
        int p[4];
        resized_of(sample, 0.2, 0.9, p);
        double share = p[2] * p[3] / (double)(H * W);
        least = fmin(least, share);
        most = fmax(most, share);
        for (int i = 0; i < N; i++) {
            int c = i / (H * W), y = i / W % H, x = i % W;
            double v = inside((y + 0.5) * p[2] / H - 0.5, p[2]);
            double u = inside((x + 0.5) * p[3] / W - 0.5, p[3]);
            wanted[c][y][x] = between(first[c], p[0] + v, p[1] + u);
        }
        image_of("resized_crop(0.2, 0.9)", 5, sample, got);
        same(got, wanted, 1e-5);
    }
    assert_true(least < 0.3 && most > 0.8);
}

static double kept(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

static double luma(double image[C][H][W], int y, int x)
{
    return 0.2989 * image[0][y][x] + 0.587 * image[1][y][x] +
           0.114 * image[2][y][x];
}

static void test_jitter(void **state)
{
    (void)state;
    double got[C][H][W], image[C][H][W];
    for (int64_t sample = 0; sample < 100; sample++) {
        double f[3], gray = 0;
        const double amount[] = {0.4, 1.5, 0.7};
        for (int i = 0; i < 3; i++) {
            double low = fmax(0, 1 - amount[i]);
            f[i] = low + (1 + amount[i] - low) *
                             (double)rng_unit(word(6, sample, 8 + i));
        }
        plain(image);
        for (int i = 0; i < N; i++)
            (&image[0][0][0])[i] = kept(f[0] * (&image[0][0][0])[i]);
        for (int i = 0; i < H * W; i++)
            gray += luma(image, i / W, i % W) / (H * W);
        for (int i = 0; i < N; i++)
            (&image[0][0][0])[i] =
                kept(gray + f[1] * ((&image[0][0][0])[i] - gray));
        for (int i = 0; i < H * W; i++) {
            double own = luma(image, i / W, i % W);
            for (int c = 0; c < C; c++)
                image[c][i / W][i % W] =
                    kept(own + f[2] * (image[c][i / W][i % W] - own));
        }
        image_of("jitter(0.4, 1.5, 0.7)", 6, sample, got);
        same(got, image, 1e-5);
    }
}

/* ---- mixing -------------------------------------------------------------- */

/* Beta(a, a) has mean 1/2, variance 1 / (4 (2a + 1)) and fourth central moment
 * 3 / (16 (2a + 1) (2a + 3)). */
static void test_beta(void **state)
{
    (void)state;
    static const double alphas[] = {0.05, 0.2, 0.5, 1, 2, 8};
    enum { DRAWS = 40000 };
    for (int k = 0; k < 6; k++) {
        double a = alphas[k], sum = 0, square = 0, fourth = 0;
        for (uint64_t i = 0; i < DRAWS; i++) {
            double off = mix_beta(a, 3, 0, 1024 * i) - 0.5;
            assert_true(off >= -0.5 && off <= 0.5);
            sum += off;
            square += off * off;
            fourth += off * off * off * off;
        }
        double variance = 1 / (4 * (2 * a + 1));
        double four = 3 / (16 * (2 * a + 1) * (2 * a + 3));
        double sure = 3.5 / sqrt(DRAWS);
        assert_true(fabs(sum / DRAWS) < sure * sqrt(variance));
        assert_true(fabs(square / DRAWS - variance) <
                    sure * sqrt(four - variance * variance) + 1e-12);
        assert_true(fabs(fourth / DRAWS - four) < 0.03 * four + 0.001);
    }
}

/* Beta(1, 1) is uniform: Kolmogorov and Smirnov's distance, 0.999 quantile. */
static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_beta_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 10000 };
    static double v[DRAWS];
    for (uint64_t i = 0; i < DRAWS; i++)
        v[i] = mix_beta(1, 4, (uint32_t)i, 0);
    qsort(v, DRAWS, sizeof *v, by_value);
    for (int i = 0; i < DRAWS; i++)
        assert_true(fabs(v[i] - (i + 0.5) / DRAWS) < 1.95 / sqrt(DRAWS));
}

static void test_mix_choices(void **state)
{
    (void)state;
    const MixOptions o = {0.4, 1, 0.3, 0.5};
    int kinds[3] = {0}, shifts[10] = {0};
    double area = 0, expected = 0;
    for (int64_t batch = 0; batch < 20000; batch++) {
        Mix m = mix_draw(&o, 9, 1, batch, 11, 32, 24);
        kinds[m.kind]++;
        if (m.kind == MIX_NONE) {
            assert_true(m.weight == 1);
            continue;
        }
        assert_in_range(m.shift, 1, 10);
        shifts[m.shift - 1]++;
        if (m.kind == MIX_UP)
            continue;
        assert_true(m.box[0] >= 0 && m.box[0] <= m.box[2] && m.box[2] <= 32);
        assert_true(m.box[1] >= 0 && m.box[1] <= m.box[3] && m.box[3] <= 24);
        double hidden = (double)((m.box[2] - m.box[0]) * (m.box[3] - m.box[1]));
        assert_true(fabs(1 - hidden / (32 * 24) - m.weight) < 1e-12);
        area += m.weight;
        expected++;
    }
    assert_true(abs(kinds[MIX_UP] - 6000) < 220); /* 3.4 deviations */
    assert_true(abs(kinds[MIX_CUT] - 10000) < 240);
    for (int i = 0; i < 10; i++)
        assert_true(abs(shifts[i] - 1600) < 140);
    /* Boxes reach over the border, so more than half of the image is left:
     * E[1 - w] is E[(1 - s/4)^2 s^2] for s^2 uniform, that is 0.5 - 2/5/2 +
     * 1/48 = 0.3208 without rounding. */
    assert_true(fabs(1 - area / expected - 0.3208) < 0.02);
    Mix alone = mix_draw(&o, 9, 1, 0, 1, 32, 24);
    assert_true(alone.kind == MIX_NONE);
}

enum { SAMPLES = 23, BATCH = 5, BATCHES = 5 };

static Loader *mixing_loader(const MixOptions *mix, int threads)
{
    Status s = {0};
    DataSet d = {.n = SAMPLES, .c = C, .h = H, .w = W, .classes = SAMPLES};
    d.pixels = malloc(SAMPLES * N);
    d.labels = malloc(SAMPLES * sizeof *d.labels);
    for (int i = 0; i < SAMPLES * N; i++)
        d.pixels[i] = (uint8_t)(i * 13 % 256);
    for (int i = 0; i < SAMPLES; i++)
        d.labels[i] = i;
    LoaderOptions o = {
        .train = true,
        .shuffle = true,
        .keep_tail = true,
        .augment = true,
        .steps = "flip, rotate(20)",
        .mix = *mix,
        .seed = SEED,
        .threads = threads,
        .image = {PLAN_F32, 4, {BATCH, C, H, W}, {N, 1, W * C, C}},
        .label = {PLAN_I32, 1, {BATCH}, {1}},
    };
    Loader *l = loader_open_set(&o, &d, &s);
    assert_string_equal(s.text, "");
    return l;
}

typedef struct Epoch {
    float image[SAMPLES * N];
    int32_t label[SAMPLES], other[SAMPLES];
    double mix[BATCHES];
} Epoch;

static void load(const MixOptions *mix, int threads, int64_t epoch,
                 int64_t first, Epoch *e)
{
    static float image[2][BATCH * N];
    int32_t label[2][BATCH], other[2][BATCH];
    LoaderSlots slots = {.n = 2,
                         .rows = BATCH,
                         .image = {image[0], image[1]},
                         .label = {label[0], label[1]},
                         .other = {other[0], other[1]}};
    LoaderBatch b;
    Status s = {0};
    Loader *l = mixing_loader(mix, threads);
    assert_true(loader_start(l, &slots, epoch, first, BATCHES, &s));
    while (loader_next(l, &b, &s)) {
        int64_t at = b.batch * BATCH;
        memcpy(e->image + at * N, image[b.slot],
               (size_t)(b.count * N) * sizeof(float));
        memcpy(e->label + at, label[b.slot], (size_t)b.count * sizeof(int32_t));
        memcpy(e->other + at, other[b.slot], (size_t)b.count * sizeof(int32_t));
        e->mix[b.batch] = b.mix;
        loader_release(l, b.slot);
    }
    assert_false(s.failed);
    loader_close(l);
}

/* Each row is what the unmixed epoch's two rows make together. */
static void check_mixed(const Epoch *plain_epoch, const Epoch *e,
                        const MixOptions *o, int64_t epoch)
{
    for (int64_t i = 0; i < SAMPLES; i++) {
        int64_t batch = i / BATCH, start = batch * BATCH;
        int64_t count = SAMPLES - start < BATCH ? SAMPLES - start : BATCH;
        Mix m = mix_draw(o, SEED, epoch, batch, count, H, W);
        int64_t k = start + (i - start + m.shift) % count;
        assert_true(e->mix[batch] == m.weight);
        assert_int_equal(e->label[i], plain_epoch->label[i]);
        assert_int_equal(e->other[i], plain_epoch->label[k]);
        for (int p = 0; p < N; p++) {
            int y = p / (W * C), x = p / C % W;
            float a = plain_epoch->image[i * N + p];
            float b = plain_epoch->image[k * N + p];
            bool in =
                y >= m.box[0] && y < m.box[2] && x >= m.box[1] && x < m.box[3];
            double want = m.kind == MIX_CUT ? (in ? b : a)
                                            : m.weight * a + (1 - m.weight) * b;
            assert_true(fabs(e->image[i * N + p] - want) < 1e-5);
        }
    }
}

static void test_loader_mixes(void **state)
{
    (void)state;
    static Epoch before, one, many, resumed;
    static const MixOptions none = {0, 0, 0, 0}, up = {0.6, 0, 1, 0},
                            cut_only = {0, 1, 0, 1}, some = {1, 1, 0.4, 0.3};
    const MixOptions *const all[] = {&up, &cut_only, &some};
    for (int64_t epoch = 0; epoch < 6; epoch++)
        for (int k = 0; k < 3; k++) {
            load(&none, 1, epoch, 0, &before);
            load(all[k], 1, epoch, 0, &one);
            check_mixed(&before, &one, all[k], epoch);
            load(all[k], 3, epoch, 0, &many);
            assert_memory_equal(&one, &many, sizeof one);
            resumed = one;
            load(all[k], 2, epoch, 3, &resumed);
            assert_memory_equal(&one, &resumed, sizeof one);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_alternate),
        cmocka_unit_test(test_rotate),
        cmocka_unit_test(test_resized_crop),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_beta),
        cmocka_unit_test(test_beta_uniform),
        cmocka_unit_test(test_mix_choices),
        cmocka_unit_test(test_loader_mixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
