/* loader.c: how many training images a second the loader alone delivers, with
 * crop, flip, normalisation and shuffling, channels-last, batches of 128.
 *
 *     bench_loader KIND DIR [THREADS [EPOCHS]]
 *
 * Batches are taken as fast as they come and thrown away.  Prints one line an
 * epoch; the first one also pays for cold caches. */
#include "loader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 128, SLOTS = 3 };

static const double mean[] = {0.485, 0.456, 0.406};
static const double deviation[] = {0.229, 0.224, 0.225};

static LoaderOptions options(const char *kind, const char *dir, int threads)
{
    bool colour = !strncmp(kind, "cifar", 5) || !strcmp(kind, "folder");
    int64_t c = colour ? 3 : 1, side = c == 3 ? 32 : 28;
    return (LoaderOptions){
        .dir = dir,
        .kind = kind,
        .train = true,
        .keep_tail = true,
        .shuffle = true,
        .augment = true,
        .flip = true,
        .crop = 4,
        .mean = mean,
        .std = deviation,
        .n_mean = (int)c,
        .n_std = (int)c,
        .threads = threads,
        .decode_threads = threads,
        .image = {PLAN_F32,
                  4,
                  {BATCH, c, side, side},
                  {c * side * side, 1, side * c, c}},
        .label = {PLAN_I32, 1, {BATCH}, {1}},
    };
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool run_epoch(Loader *l, const LoaderSlots *slots, int64_t epoch,
                      Status *s)
{
    LoaderBatch b;
    int64_t images = 0;
    double begin = seconds();
    if (!loader_start(l, slots, epoch, 0, loader_batches(l), s))
        return false;
    while (loader_next(l, &b, s)) {
        images += b.count;
        loader_release(l, b.slot);
    }
    double took = seconds() - begin;
    printf("epoch %lld: %lld images in %.3f s, %.0f a second\n",
           (long long)epoch, (long long)images, took, (double)images / took);
    return !s->failed;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "bench_loader KIND DIR [THREADS [EPOCHS]]\n");
        return 2;
    }
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    int epochs = argc > 4 ? atoi(argv[4]) : 5;
    LoaderOptions o = options(argv[1], argv[2], threads);
    Status s = {0};
    double begin = seconds();
    Loader *l = loader_open(&o, &s);
    if (l)
        printf("opened in %.2f s, %.0f images a second\n", seconds() - begin,
               (double)loader_samples(l) / (seconds() - begin));
    LoaderSlots slots = {.n = SLOTS, .rows = BATCH};
    for (int i = 0; i < SLOTS; i++) {
        slots.image[i] = calloc((size_t)o.image.stride[0] * BATCH, 4);
        slots.label[i] = calloc(BATCH, 4);
    }
    for (int e = 0; l && e < epochs && run_epoch(l, &slots, e, &s); e++) {
    }
    loader_close(l);
    for (int i = 0; i < SLOTS; i++) {
        free(slots.image[i]);
        free(slots.label[i]);
    }
    if (s.failed)
        fprintf(stderr, "bench_loader: %s\n", s.text);
    return s.failed;
}
