/* loader_test.c: every sample exactly once an epoch; the same bytes for any
 * number of threads, slots and for any place where a run is resumed; tails;
 * stopping; failures inside threads. */
#include "files.h"
#include "loader.h"
#include "loader_private.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { C = 2, H = 4, W = 3, IMAGE = C * H * W, MOST_BATCH = 128 };

/* ---- what the tests share ------------------------------------------------ */

/* Image i is full of the byte i % 256, and its label is i. */
static DataSet numbered(int64_t n)
{
    DataSet d = {.n = n, .c = C, .h = H, .w = W, .classes = n};
    d.pixels = malloc((size_t)(n * IMAGE));
    d.labels = malloc((size_t)n * sizeof *d.labels);
    for (int64_t i = 0; i < n; i++) {
        memset(d.pixels + i * IMAGE, (int)(i % 256), IMAGE);
        d.labels[i] = (int32_t)i;
    }
    return d;
}

static LoaderOptions options(int64_t batch, int threads)
{
    return (LoaderOptions){
        .train = true,
        .shuffle = true,
        .keep_tail = true,
        .seed = 5,
        .threads = threads,
        .image = {PLAN_F32, 4, {batch, C, H, W}, {IMAGE, 1, W * C, C}},
        .label = {PLAN_I32, 1, {batch}, {1}},
    };
}

static Loader *opened(const LoaderOptions *o, int64_t samples)
{
    Status s = {0};
    DataSet d = numbered(samples);
    Loader *l = loader_open_set(o, &d, &s);
    assert_string_equal(s.text, "");
    return l;
}

static LoaderSlots slots_make(int n, int64_t rows)
{
    LoaderSlots slots = {.n = n, .rows = rows};
    for (int i = 0; i < n; i++) {
        slots.image[i] = malloc((size_t)rows * IMAGE * sizeof(float));
        slots.label[i] = malloc((size_t)rows * sizeof(int32_t));
        memset(slots.image[i], 0x5a, (size_t)rows * IMAGE * sizeof(float));
        memset(slots.label[i], 0x5a, (size_t)rows * sizeof(int32_t));
    }
    return slots;
}

static void slots_free(LoaderSlots *slots)
{
    for (int i = 0; i < slots->n; i++) {
        free(slots->image[i]);
        free(slots->label[i]);
    }
}

/* Every batch of [first, end) in order, joined: labels and pixels. */
typedef struct Taken {
    int64_t rows;
    float *image;
    int32_t *label;
} Taken;

static void take(Loader *l, int slots_n, int64_t batch, int64_t epoch,
                 int64_t first, int64_t end, Taken *t)
{
    Status s = {0};
    LoaderBatch b;
    LoaderSlots slots = slots_make(slots_n, batch);
    assert_true(loader_start(l, &slots, epoch, first, end, &s));
    for (int64_t i = first; i < end; i++) {
        assert_true(loader_next(l, &b, &s));
        assert_int_equal(b.batch, i);
        assert_int_equal(b.epoch, epoch);
        assert_true(b.wait >= 0);
        memcpy(t->image + t->rows * IMAGE, slots.image[b.slot],
               (size_t)b.count * IMAGE * sizeof(float));
        memcpy(t->label + t->rows, slots.label[b.slot],
               (size_t)b.count * sizeof(int32_t));
        t->rows += b.count;
        loader_release(l, b.slot);
    }
    assert_false(loader_next(l, &b, &s));
    assert_false(loader_next(l, &b, &s));
    assert_false(s.failed);
    loader_stop(l);
    slots_free(&slots);
}

static Taken taken_make(int64_t n)
{
    return (Taken){0, malloc((size_t)n * IMAGE * sizeof(float)),
                   malloc((size_t)n * sizeof(int32_t))};
}

static void taken_free(Taken *t)
{
    free(t->image);
    free(t->label);
}

/* ---- an epoch ------------------------------------------------------------ */

static void check_once(const Taken *t, int64_t n, int64_t wanted)
{
    char *seen = calloc((size_t)n, 1);
    assert_int_equal(t->rows, wanted);
    for (int64_t i = 0; i < t->rows; i++) {
        assert_in_range(t->label[i], 0, n - 1);
        assert_int_equal(seen[t->label[i]]++, 0);
        for (int j = 0; j < IMAGE; j++) /* the label's own image */
            assert_true(t->image[i * IMAGE + j] ==
                        (float)(t->label[i] % 256) / 255.0f);
    }
    free(seen);
}

static void test_every_sample_once(void **state)
{
    (void)state;
    static const int64_t batches[] = {1, 3, 32, 33, 64, 100, 101, 128};
    enum { N = 101 };
    for (size_t k = 0; k < sizeof batches / sizeof *batches; k++)
        for (int threads = 1; threads <= 4; threads++)
            for (int keep = 0; keep < 2; keep++) {
                int64_t batch = batches[k];
                LoaderOptions o = options(batch, threads);
                o.keep_tail = keep;
                if (!keep && batch > N)
                    continue;
                Loader *l = opened(&o, N);
                Taken t = taken_make(N);
                int64_t end = keep ? (N + batch - 1) / batch : N / batch;
                assert_int_equal(loader_samples(l), N);
                assert_int_equal(loader_batches(l), end);
                take(l, 3, batch, 9, 0, end, &t);
                check_once(&t, N, keep ? N : N / batch * batch);
                taken_free(&t);
                loader_close(l);
            }
}

static void test_epochs_differ(void **state)
{
    (void)state;
    LoaderOptions o = options(10, 1);
    Loader *l = opened(&o, 100);
    Taken a = taken_make(100), b = taken_make(100), c = taken_make(100);
    take(l, 3, 10, 0, 0, 10, &a);
    take(l, 3, 10, 1, 0, 10, &b);
    take(l, 3, 10, 0, 0, 10, &c);
    assert_memory_not_equal(a.label, b.label, 100 * sizeof(int32_t));
    assert_memory_equal(a.label, c.label, 100 * sizeof(int32_t));
    taken_free(&a);
    taken_free(&b);
    taken_free(&c);
    loader_close(l);
}

static void test_no_shuffle_is_file_order(void **state)
{
    (void)state;
    LoaderOptions o = options(7, 2);
    o.shuffle = false;
    Loader *l = opened(&o, 50);
    Taken t = taken_make(50);
    take(l, 2, 7, 3, 0, 8, &t);
    for (int i = 0; i < 50; i++)
        assert_int_equal(t.label[i], i);
    taken_free(&t);
    loader_close(l);
}

/* ---- the same bytes ------------------------------------------------------ */

static Taken augmented_epoch(int threads, int slots, int64_t resume)
{
    enum { N = 333, BATCH = 40, END = 9 };
    static const double mean[] = {0.4}, deviation[] = {0.25};
    LoaderOptions o = options(BATCH, threads);
    o.augment = true;
    o.flip = LOADER_FLIP_RANDOM;
    o.crop = 2;
    o.mean = mean;
    o.std = deviation;
    o.n_mean = o.n_std = 1;
    Loader *l = opened(&o, N);
    Taken t = taken_make(N);
    take(l, slots, BATCH, 2, 0, resume, &t);
    if (resume < END && resume % 2) { /* as after a stop: a new loader */
        loader_close(l);
        l = opened(&o, N);
    }
    take(l, slots, BATCH, 2, resume, END, &t);
    assert_int_equal(t.rows, N);
    loader_close(l);
    return t;
}

static void test_same_bytes(void **state)
{
    (void)state;
    Taken first = augmented_epoch(1, 3, 9);
    for (int threads = 1; threads <= 4; threads++)
        for (int64_t resume = 0; resume < 9; resume++) {
            Taken t = augmented_epoch(threads, 1 + (int)(resume % 5), resume);
            assert_memory_equal(t.label, first.label,
                                (size_t)t.rows * sizeof(int32_t));
            assert_memory_equal(t.image, first.image,
                                (size_t)t.rows * IMAGE * sizeof(float));
            taken_free(&t);
        }
    taken_free(&first);
}

/* ---- tails --------------------------------------------------------------- */

static void check_tail(const LoaderSlots *slots, const LoaderBatch *b)
{
    const float *image = slots->image[b->slot];
    const int32_t *label = slots->label[b->slot];
    assert_int_equal(b->count, 2);
    for (int64_t row = 0; row < slots->rows; row++) {
        bool real = row < b->count;
        assert_int_equal(label[row], real ? 40 + row : 0);
        for (int j = 0; j < IMAGE; j++)
            assert_true(image[row * IMAGE + j] ==
                        (real ? (float)(40 + row) / 255.0f : 0));
    }
}

/* In a slot of the whole batch the rest is zeros; in a slot for the tail alone
 * nothing is written past its end. */
static void test_tail(void **state)
{
    (void)state;
    static const int64_t rows[] = {8, 2};
    LoaderOptions o = options(8, 2);
    o.shuffle = false;
    Loader *l = opened(&o, 42);
    for (int i = 0; i < 2; i++) {
        LoaderSlots slots = slots_make(2, rows[i]);
        Status s = {0};
        LoaderBatch b;
        assert_true(loader_start(l, &slots, 0, 5, 6, &s));
        assert_true(loader_next(l, &b, &s));
        check_tail(&slots, &b);
        loader_release(l, b.slot);
        loader_stop(l);
        slots_free(&slots);
    }
    loader_close(l);
}

/* Rows of images with gaps between them, channels first. */
static void test_strides(void **state)
{
    (void)state;
    enum { ROW = IMAGE + 5, BATCH = 4 };
    LoaderOptions o = options(BATCH, 1);
    o.shuffle = false;
    o.image = (PlanType){PLAN_F32, 4, {BATCH, C, H, W}, {ROW, H * W, W, 1}};
    Loader *l = opened(&o, 6);
    float image[ROW * BATCH];
    int32_t label[BATCH];
    LoaderSlots slots = {
        .n = 1, .rows = BATCH, .image = {image}, .label = {label}};
    Status s = {0};
    LoaderBatch b;
    for (int i = 0; i < ROW * BATCH; i++)
        image[i] = 7;
    assert_true(loader_start(l, &slots, 0, 1, 2, &s));
    assert_true(loader_next(l, &b, &s));
    for (int i = 0; i < ROW * BATCH; i++) {
        int row = i / ROW;
        float value = row < 2 ? (float)(4 + row) / 255.0f : 0;
        assert_true(image[i] == (i % ROW < IMAGE ? value : 7));
    }
    loader_close(l); /* also with a batch still taken */
}

/* What was handed out stays as it is until it is released. */
static void test_taken_is_left_alone(void **state)
{
    (void)state;
    enum { BATCH = 8, BYTES = BATCH * IMAGE * sizeof(float) };
    LoaderOptions o = options(BATCH, 4);
    Loader *l = opened(&o, 10 * BATCH);
    LoaderSlots slots = slots_make(2, BATCH);
    Status s = {0};
    LoaderBatch held, b;
    float copy[BATCH * IMAGE];
    assert_true(loader_start(l, &slots, 0, 0, 10, &s));
    assert_true(loader_next(l, &held, &s));
    memcpy(copy, slots.image[held.slot], BYTES);
    assert_true(loader_next(l, &b, &s));
    assert_int_not_equal(b.slot, held.slot);
    loader_release(l, b.slot);
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    assert_memory_equal(copy, slots.image[held.slot], BYTES);
    loader_close(l);
    slots_free(&slots);
}

/* ---- stopping ------------------------------------------------------------ */

typedef struct Slow {
    atomic_int fetched, signals_open;
    int64_t bad[2]; /* samples that cannot be read */
} Slow;

static const uint8_t *fetch_slowly(const DataSet *set, int64_t index,
                                   uint8_t *scratch, Status *s)
{
    Slow *slow = set->context;
    sigset_t blocked;
    nanosleep(&(struct timespec){0, 100000}, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM))
        atomic_fetch_add(&slow->signals_open, 1);
    atomic_fetch_add(&slow->fetched, 1);
    if (index == slow->bad[0] || index == slow->bad[1]) {
        status_fail(s, "image %lld is damaged", (long long)index);
        return NULL;
    }
    memset(scratch, (int)(index % 256), IMAGE);
    return scratch;
}

static Loader *opened_slow(const LoaderOptions *o, int64_t n, Slow *slow)
{
    Status s = {0};
    DataSet d = numbered(n);
    free(d.pixels);
    d.pixels = NULL;
    d.fetch = fetch_slowly;
    d.context = slow;
    Loader *l = loader_open_set(o, &d, &s);
    assert_non_null(l);
    return l;
}

static void test_stop(void **state)
{
    (void)state;
    Slow slow = {.bad = {-1, -1}};
    LoaderOptions o = options(64, 3);
    Loader *l = opened_slow(&o, 640, &slow);
    LoaderSlots slots = slots_make(3, 64);
    for (int turn = 0; turn < 6; turn++) {
        Status s = {0};
        LoaderBatch b;
        assert_true(loader_start(l, &slots, 0, 0, 10, &s));
        for (int i = 0; i < turn / 2; i++) {
            assert_true(loader_next(l, &b, &s));
            if (turn % 2)
                loader_release(l, b.slot);
        }
        loader_stop(l);
        loader_stop(l);
        assert_false(loader_next(l, &b, &s));
        int before = atomic_load(&slow.fetched);
        for (int i = 0; i < 3; i++) /* the sanitizers see who else writes */
            memset(slots.image[i], 0, 64 * IMAGE * sizeof(float));
        nanosleep(&(struct timespec){0, 3000000}, NULL);
        assert_int_equal(atomic_load(&slow.fetched), before);
    }
    Taken t = taken_make(640);
    take(l, 3, 64, 1, 0, 10, &t);
    check_once(&t, 640, 640);
    assert_int_equal(atomic_load(&slow.signals_open), 0);
    loader_close(l);
    taken_free(&t);
    slots_free(&slots);
}

static void test_close_while_running(void **state)
{
    (void)state;
    LoaderOptions o = options(16, 4);
    for (int i = 0; i < 50; i++) {
        Status s = {0};
        LoaderSlots slots = slots_make(3, 16);
        Loader *l = opened(&o, 160);
        assert_true(loader_start(l, &slots, i, 0, 10, &s));
        loader_close(l);
        slots_free(&slots);
    }
    loader_close(NULL);
}

/* ---- failures ------------------------------------------------------------ */

/* Batches before the bad one arrive; of two bad images the first is named,
 * whichever thread met its own earlier. */
static void test_failure_in_a_thread(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        Slow slow = {.bad = {150, 199}};
        LoaderOptions o = options(100, threads);
        o.shuffle = false;
        Loader *l = opened_slow(&o, 300, &slow);
        LoaderSlots slots = slots_make(3, 100);
        Status s = {0};
        LoaderBatch b;
        assert_true(loader_start(l, &slots, 0, 0, 3, &s));
        assert_true(loader_next(l, &b, &s));
        loader_release(l, b.slot);
        assert_false(loader_next(l, &b, &s));
        assert_string_equal(s.text, "image 150 is damaged");
        loader_stop(l);
        s = (Status){0};
        assert_true(loader_start(l, &slots, 0, 2, 3, &s)); /* past it */
        assert_true(loader_next(l, &b, &s));
        loader_close(l);
        slots_free(&slots);
    }
}

static void refuses(const LoaderOptions *o, int64_t n, const char *sentence)
{
    Status s = {0};
    DataSet d = numbered(n);
    assert_null(loader_open_set(o, &d, &s));
    assert_string_equal(s.text, sentence);
}

static void test_refusals(void **state)
{
    (void)state;
    LoaderOptions o = options(11, 0);
    refuses(&o, 10, "0 loader threads were asked for; 1 to 64 work");
    o.threads = 1;
    o.keep_tail = false;
    refuses(&o, 10,
            "the data has 10 images, too few for one batch of 11; take a "
            "smaller batch, or tail = keep");
    o.n_mean = 3;
    refuses(&o, 10,
            "data.mean has 3 numbers, but the model's images have 2 channels; "
            "give 2, or one for all");
    o = options(5, 1);
    Loader *l = opened(&o, 10);
    LoaderSlots slots = slots_make(1, 5);
    Status s = {0};
    assert_false(loader_start(l, &slots, 7, 1, 3, &s));
    assert_string_equal(s.text, "there is no epoch 7 with batches 1 to 3: the "
                                "data makes 2 batches");
    loader_close(l);
    slots_free(&slots);
}

/* From files to a batch, as the training binary does it. */
static void test_open_files(void **state)
{
    (void)state;
    enum { N = 5 };
    char *folder = folder_make();
    uint8_t pixels[N * H * W], labels[N] = {3, 1, 4, 1, 5};
    for (int i = 0; i < N * H * W; i++)
        pixels[i] = (uint8_t)i;
    idx_write(folder, "t10k-images-idx3-ubyte", 3, (uint32_t[]){N, H, W},
              pixels, sizeof pixels, false);
    idx_write(folder, "t10k-labels-idx1-ubyte.gz", 1, (uint32_t[]){N}, labels,
              N, true);
    LoaderOptions o = options(N, 1);
    o.image = (PlanType){PLAN_F32, 4, {N, 1, H, W}, {H * W, 1, W, 1}};
    o.dir = folder;
    o.kind = "idx";
    o.train = o.shuffle = false;
    o.classes = 6;
    Status s = {0};
    Loader *l = loader_open(&o, &s);
    assert_string_equal(s.text, "");
    LoaderSlots slots = slots_make(1, N);
    LoaderBatch b;
    assert_true(loader_start(l, &slots, 0, 0, 1, &s));
    assert_true(loader_next(l, &b, &s));
    for (int i = 0; i < N * H * W; i++)
        assert_true(slots.image[0][i] == (float)i / 255.0f);
    for (int i = 0; i < N; i++)
        assert_int_equal(slots.label[0][i], labels[i]);
    loader_close(l);
    o.classes = 5;
    assert_null(loader_open(&o, &s));
    assert_non_null(strstr(s.text, "the label of image 4"));
    slots_free(&slots);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sample_once),
        cmocka_unit_test(test_epochs_differ),
        cmocka_unit_test(test_no_shuffle_is_file_order),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_strides),
        cmocka_unit_test(test_taken_is_left_alone),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_close_while_running),
        cmocka_unit_test(test_failure_in_a_thread),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_open_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
