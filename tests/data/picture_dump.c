/* picture_dump.c: what picture.h makes of files, for a comparison with others.
 *
 *     picture_dump C H W RESIZE FILE...     bytes [c,h,w] of each to stdout
 *     picture_dump time THREADS C H W RESIZE FILE...  pictures a second */
#include "data_pictures.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Job {
    PictureFit fit;
    char *const *file;
    bool quiet;
} Job;

typedef struct Hand {
    PictureReader *reader;
    uint8_t *image;
} Hand;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static size_t bytes_of(const PictureFit *fit)
{
    return (size_t)(fit->c * fit->h * fit->w);
}

static void *hand_open(void *shared, Status *s)
{
    const Job *job = shared;
    Hand *h = calloc(1, sizeof *h);
    if (h) {
        h->reader = picture_open(s);
        h->image = malloc(bytes_of(&job->fit));
    }
    if (!h || !h->image)
        status_fail(s, "no memory");
    return h;
}

static void hand_close(void *own)
{
    Hand *h = own;
    if (!h)
        return;
    picture_close(h->reader);
    free(h->image);
    free(h);
}

static bool decode(void *shared, void *own, int64_t i, Status *s)
{
    const Job *job = shared;
    Hand *h = own;
    bool good = picture_read(h->reader, job->file[i], s) &&
                picture_fit(h->reader, &job->fit, h->image, s);
    if (good && !job->quiet)
        fwrite(h->image, 1, bytes_of(&job->fit), stdout);
    return good;
}

int main(int argc, char **argv)
{
    int threads = 0;
    if (argc > 2 && !strcmp(argv[1], "time")) {
        threads = atoi(argv[2]);
        argv += 2;
        argc -= 2;
    }
    if (argc < 6) {
        fprintf(stderr, "picture_dump [time THREADS] C H W RESIZE FILE...\n");
        return 2;
    }
    Job job = {
        {atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), atoi(argv[4]) != 0},
        argv + 5,
        threads != 0};
    const Crew crew = {.what = "decoding",
                       .n = argc - 5,
                       .threads = threads, /* 0: one, in order */
                       .shared = &job,
                       .open = hand_open,
                       .each = decode,
                       .close = hand_close};
    Status s = {0};
    double begin = seconds();
    bool good = crew_run(&crew, &s);
    if (good && threads)
        printf("%.0f\n", (argc - 5) / (seconds() - begin));
    if (!good)
        fprintf(stderr, "picture_dump: %s\n", s.text);
    return !good;
}
