/* larger_test.c: training images cut out of larger ones, against plain code:
 * every place and both directions come, as often as each other; evaluation and
 * lists without a crop take the middle; both ways to do it give the same. */
#include "augment.h"
#include "data.h"
#include "loader_private.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { C = 2, H = 5, W = 4, FROM_H = 9, FROM_W = 7, BORDER = 1 };
enum { TALL = FROM_H - H + 2 * BORDER + 1, WIDE = FROM_W - W + 2 * BORDER + 1 };
enum { IMAGE = C * H * W, PIXELS = C * FROM_H * FROM_W, SAMPLES = 20000 };

static Augment prepared(const char *steps)
{
    LoaderOptions o = {
        .augment = steps != NULL,
        .steps = steps,
        .seed = 9,
        .image = {PLAN_F32, 4, {1, C, H, W}, {IMAGE, H * W, W, 1}}};
    Status s = {0};
    Augment a;
    assert_true(augment_prepare(&a, &o, &s));
    augment_larger(&a, FROM_H, FROM_W);
    return a;
}

static void image_of(const Augment *a, int64_t sample, float to[IMAGE])
{
    uint8_t pixels[PIXELS];
    for (int i = 0; i < PIXELS; i++)
        pixels[i] = (uint8_t)(1 + i); /* all differ, none is black */
    float *room = calloc((size_t)augment_room(a) + 1, sizeof *room);
    augment_image(a, 0, sample, pixels, room, to);
    free(room);
}

/* The window at (top, left), perhaps mirrored; black outside. */
static bool is_window(const float image[IMAGE], int top, int left, bool mirror)
{
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                int i = top + y, k = left + (mirror ? W - 1 - x : x);
                bool in = i >= 0 && i < FROM_H && k >= 0 && k < FROM_W;
                float byte =
                    in ? (float)(1 + (c * FROM_H + i) * FROM_W + k) : 0;
                float got = image[(c * H + y) * W + x] * 255;
                if (fabsf(got - byte) > 0.01f)
                    return false;
            }
    return true;
}

/* Which window it is; fails where it is none, or more than one. */
static int find_window(const float image[IMAGE])
{
    int found = -1;
    for (int mirror = 0; mirror < 2; mirror++)
        for (int top = 0; top < TALL; top++)
            for (int left = 0; left < WIDE; left++)
                if (is_window(image, top - BORDER, left - BORDER, mirror)) {
                    assert_int_equal(found, -1);
                    found = (mirror * TALL + top) * WIDE + left;
                }
    assert_int_not_equal(found, -1);
    return found;
}

static void check_spread(const char *steps)
{
    enum { PLACES = 2 * TALL * WIDE };
    Augment a = prepared(steps);
    int64_t count[PLACES] = {0};
    double chi = 0, expected = (double)SAMPLES / PLACES;
    for (int i = 0; i < SAMPLES; i++) {
        float image[IMAGE];
        image_of(&a, i, image);
        count[find_window(image)]++;
    }
    for (int i = 0; i < PLACES; i++)
        chi += pow((double)count[i] - expected, 2) / expected;
    assert_int_equal(PLACES, 84);
    assert_true(chi < 128.6); /* 83 degrees of freedom, 99.9 % */
}

static void test_every_place(void **state)
{
    (void)state;
    assert_int_equal(augment_room(&(Augment){.moves = true}), 0);
    check_spread("crop(1), flip");
    check_spread("flip, crop(1)");
    check_spread("crop(1), flip, jitter(0)"); /* on floats */
}

static void test_both_ways(void **state)
{
    (void)state;
    static const char *const steps[] = {"crop(0), flip", "flip, crop(1)",
                                        "crop(1), flip, cutout(3)", "flip",
                                        "cutout(2)"};
    for (int k = 0; k < 5; k++) {
        char slow[80];
        strcat(strcpy(slow, steps[k]), ", jitter(0)");
        Augment a = prepared(steps[k]), b = prepared(slow);
        assert_true(a.moves && !b.moves);
        for (int i = 0; i < 300; i++) {
            float x[IMAGE], y[IMAGE];
            image_of(&a, i, x);
            image_of(&b, i, y);
            for (int j = 0; j < IMAGE; j++)
                assert_true(fabsf(x[j] - y[j]) < 1e-6f);
        }
    }
}

static void test_middle(void **state)
{
    (void)state;
    static const char *const steps[] = {NULL, "", "jitter(0)"};
    for (int k = 0; k < 3; k++) {
        Augment a = prepared(steps[k]);
        float image[IMAGE];
        image_of(&a, k, image);
        assert_true(
            is_window(image, (FROM_H - H) / 2, (FROM_W - W) / 2, false));
    }
}

/* A ramp stays one, as steep as its piece is large: neighbours differ by
 * (pixels of the piece) / (pixels of the result), where no edge is near. */
static void test_resized(void **state)
{
    (void)state;
    bool seen[FROM_H + 1] = {false};
    Augment a = prepared("resized_crop(0.2, 1)");
    for (int i = 0; i < 2000; i++) {
        uint8_t pixels[PIXELS];
        float image[IMAGE], room[2 * PIXELS];
        for (int k = 0; k < PIXELS; k++)
            pixels[k] = (uint8_t)(10 * (k / FROM_W % FROM_H));
        augment_image(&a, 0, i, pixels, room, image);
        float low = image[W], high = image[3 * W]; /* rows 1 and 3 of 5 */
        float tall = (high - low) * 255 / 10 / 2 * H;
        int piece = (int)lrintf(tall);
        assert_true(fabsf(tall - (float)piece) < 1e-3f);
        assert_in_range(piece, 1, FROM_H);
        seen[piece] = true;
    }
    for (int tall = 4; tall <= FROM_H; tall++)
        assert_true(seen[tall]);
}

/* Who keeps the pixels of images himself has room for the model's size. */
static void test_not_kept_elsewhere(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        LoaderOptions o = {
            .keep_tail = true,
            .threads = 1,
            .image = {PLAN_F32, 4, {1, C, H, W}, {IMAGE, H * W, W, 1}},
            .label = {PLAN_I32, 1, {1}, {1}}};
        DataSet d = {.n = 1, .c = C, .h = H + more, .w = W, .classes = 1};
        d.labels = calloc(1, sizeof *d.labels);
        d.pixels = calloc(1, C * (H + 1) * W);
        Status s = {0};
        Loader *l = loader_open_set(&o, &d, &s);
        assert_non_null(l);
        assert_true((loader_values(l) == NULL) == more);
        loader_close(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_place),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_middle),
        cmocka_unit_test(test_resized),
        cmocka_unit_test(test_not_kept_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
