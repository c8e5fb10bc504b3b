/* split_test.c: for any number of images and classes, batch, threads, slots,
 * fraction, share held out, kind of storage and place to resume: an epoch has
 * each of its images exactly once, training and validation share none, and
 * every class gets its share. */
#include "data.h"
#include "loader.h"
#include "loader_private.h"
#include "rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { C = 1, H = 2, W = 3, IMAGE = C * H * W, TRIALS = 250, MOST = 600 };

typedef struct Trial {
    int64_t n, classes, batch, resume;
    int threads, slots;
    bool files, keep_tail;
    double fraction, validation;
    uint64_t seed;
} Trial;

static uint32_t draw(int trial, int which, uint32_t below)
{
    return rng_below(rng_u32(11, 77, (uint32_t)trial, (uint64_t)which), below);
}

static Trial trial_make(int i)
{
    static const double fractions[] = {1, 0.5, 0.37, 0.9};
    static const double held[] = {0, 0.1, 0.5, 0.27};
    return (Trial){
        .n = 60 + draw(i, 0, MOST - 60),
        .classes = 1 + draw(i, 1, 5),
        .batch = 1 + draw(i, 2, 40),
        .resume = draw(i, 3, 10),
        .threads = 1 + (int)draw(i, 4, 4),
        .slots = 1 + (int)draw(i, 5, 4),
        .files = draw(i, 6, 2),
        .keep_tail = draw(i, 7, 2),
        .fraction = fractions[draw(i, 8, 4)],
        .validation = held[draw(i, 9, 4)],
        .seed = draw(i, 10, 3),
    };
}

/* An image holds its place. */
static void paint(uint8_t *pixels, int64_t place)
{
    memset(pixels, 0, IMAGE);
    pixels[0] = (uint8_t)(place % 256);
    pixels[1] = (uint8_t)(place / 256);
}

static const uint8_t *fetch(const DataSet *set, int64_t place, uint8_t *scratch,
                            Status *s)
{
    (void)set;
    (void)s;
    paint(scratch, place);
    return scratch;
}

static int64_t class_of(const Trial *x, int64_t place)
{
    return place * place % x->classes;
}

static DataSet set_make(const Trial *x, bool held)
{
    DataSet d = {.n = x->n, .c = C, .h = H, .w = W, .classes = x->classes};
    d.labels = malloc((size_t)x->n * sizeof *d.labels);
    d.pixels = x->files ? NULL : malloc((size_t)x->n * IMAGE);
    d.fetch = fetch;
    for (int64_t i = 0; i < x->n; i++) {
        d.labels[i] = (int32_t)class_of(x, i);
        if (d.pixels)
            paint(d.pixels + i * IMAGE, i);
    }
    const DataRequest r = {.train = true,
                           .validation = x->validation,
                           .held = held,
                           .fraction = x->fraction,
                           .split_seed = x->seed};
    Status s = {0};
    assert_true(data_split(&d, &r, &s));
    return d;
}

static Loader *open_loader(const Trial *x, bool held)
{
    const LoaderOptions o = {
        .train = true,
        .shuffle = !held,
        .keep_tail = x->keep_tail || held,
        .seed = 5,
        .threads = x->threads,
        .image = {PLAN_F32, 4, {x->batch, C, H, W}, {IMAGE, H * W, W, 1}},
        .label = {PLAN_I32, 1, {x->batch}, {1}},
    };
    DataSet d = set_make(x, held);
    Status s = {0};
    Loader *l = loader_open_set(&o, &d, &s);
    assert_string_equal(s.text, "");
    return l;
}

/* Counts the images of batches first .. end-1. */
static void count(Loader *l, const Trial *x, int64_t first, int64_t end,
                  int *seen)
{
    LoaderSlots slots = {.n = x->slots, .rows = x->batch};
    for (int i = 0; i < slots.n; i++) {
        slots.image[i] = malloc((size_t)x->batch * IMAGE * sizeof(float));
        slots.label[i] = malloc((size_t)x->batch * sizeof(int32_t));
    }
    Status s = {0};
    LoaderBatch b;
    assert_true(loader_start(l, &slots, 2, first, end, &s));
    while (loader_next(l, &b, &s)) {
        for (int64_t row = 0; row < b.count; row++) {
            const float *pixel = slots.image[b.slot] + row * IMAGE;
            int64_t place =
                lrintf(pixel[0] * 255) + 256 * lrintf(pixel[1] * 255);
            assert_in_range(place, 0, x->n - 1);
            assert_int_equal(slots.label[b.slot][row], class_of(x, place));
            seen[place]++;
        }
        loader_release(l, b.slot);
    }
    assert_false(s.failed);
    loader_stop(l);
    for (int i = 0; i < slots.n; i++) {
        free(slots.image[i]);
        free(slots.label[i]);
    }
}

static int64_t rounded(double share, int64_t n)
{
    return (int64_t)round(share * (double)n);
}

static int64_t sum(const int *seen, int64_t n)
{
    int64_t all = 0;
    for (int64_t i = 0; i < n; i++)
        all += seen[i];
    return all;
}

/* Each class has its share, up to one image. */
static void check_shares(const Trial *x, const int *seen, double share)
{
    for (int64_t c = 0; c < x->classes; c++) {
        double has = 0, got = 0;
        for (int64_t i = 0; i < x->n; i++)
            if (class_of(x, i) == c) {
                has++;
                got += seen[i];
            }
        assert_true(fabs(got - share * has) < 2);
    }
}

static void check_trial(const Trial *x)
{
    int train[MOST] = {0}, again[MOST] = {0}, held[MOST] = {0};
    Loader *l = open_loader(x, false);
    int64_t end = loader_batches(l), samples = loader_samples(l);
    int64_t n_held = rounded(x->validation, x->n);
    assert_int_equal(samples, rounded(x->fraction, x->n - n_held));
    count(l, x, 0, end, train);
    int64_t middle = x->resume < end ? x->resume : end;
    count(l, x, 0, middle, again);
    loader_close(l);
    l = open_loader(x, false); /* as another process */
    count(l, x, middle, end, again);
    loader_close(l);
    assert_memory_equal(train, again, sizeof train);
    int64_t whole = x->keep_tail ? samples : samples / x->batch * x->batch;
    assert_int_equal(sum(train, x->n), whole);
    if (x->keep_tail)
        check_shares(x, train, (1 - x->validation) * x->fraction);
    if (x->validation > 0) {
        l = open_loader(x, true);
        count(l, x, 0, loader_batches(l), held);
        loader_close(l);
        assert_int_equal(sum(held, x->n), n_held);
        check_shares(x, held, x->validation);
    }
    for (int64_t i = 0; i < x->n; i++)
        assert_in_range(train[i] + held[i], 0, 1);
}

static void test_each_once(void **state)
{
    (void)state;
    for (int i = 0; i < TRIALS; i++) {
        Trial x = trial_make(i);
        int64_t left = rounded(x.fraction, x.n - rounded(x.validation, x.n));
        if (!x.keep_tail && left < x.batch)
            x.keep_tail = true;
        check_trial(&x);
    }
}

/* Another fraction is evaluated on the same images; another seed on others. */
static void test_held_stay(void **state)
{
    (void)state;
    Trial x = {.n = 200, .classes = 4, .fraction = 1, .validation = 0.2};
    DataSet a = set_make(&x, true);
    x.fraction = 0.3;
    DataSet b = set_make(&x, true);
    x.seed = 1;
    DataSet c = set_make(&x, true);
    assert_int_equal(a.n, 40);
    assert_memory_equal(a.pick, b.pick, 40 * sizeof *a.pick);
    assert_memory_not_equal(a.pick, c.pick, 40 * sizeof *a.pick);
    data_free(&a);
    data_free(&b);
    data_free(&c);
}

static void refuses(int64_t n, double validation, double fraction, bool held,
                    const char *sentence)
{
    char *names[] = {strdup("cat"), strdup("dog")};
    DataSet d = {.n = n, .c = C, .h = H, .w = W, .classes = 2};
    d.names = malloc(sizeof names);
    memcpy(d.names, names, sizeof names);
    d.labels = calloc((size_t)n, sizeof *d.labels);
    d.labels[0] = 1; /* the only dog */
    d.fetch = fetch;
    const DataRequest r = {.train = true,
                           .validation = validation,
                           .held = held,
                           .fraction = fraction};
    Status s = {0};
    assert_false(data_split(&d, &r, &s));
    assert_string_equal(s.text, sentence);
    data_free(&d);
}

static void test_empty_classes(void **state)
{
    (void)state;
    refuses(10, 0.2, 1, false,
            "data.validation = 0.2 leaves class 1 (dog), which has 1 images, "
            "none to evaluate on: take a larger share");
    refuses(10, 0.9, 1, false,
            "data.validation = 0.9 leaves class 1 (dog), which has 1 images, "
            "none to train on: take a smaller share");
    refuses(10, 0, 0.4, false,
            "data.fraction = 0.4 leaves class 1 (dog), which has 1 images, "
            "none to train on: take a larger share");
    refuses(10, 0, 1, true,
            "nothing is held out: data.validation is 0 (--set "
            "data.validation=0.1)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_held_stay),
        cmocka_unit_test(test_empty_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
