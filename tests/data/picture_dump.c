/* picture_dump.c: what picture.h makes of files, for a comparison with others.
 *
 *     picture_dump C H W RESIZE FILE...     bytes [c,h,w] of each to stdout
 *     picture_dump time C H W RESIZE FILE...  pictures a second instead */
#include "picture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool dump(char *const *file, int n, const PictureFit *fit, bool quiet,
                 Status *s)
{
    PictureReader *p = picture_open(s);
    size_t bytes = (size_t)(fit->c * fit->h * fit->w);
    uint8_t *image = malloc(bytes);
    bool good = p && image;
    for (int i = 0; good && i < n; i++) {
        good = picture_read(p, file[i], s) && picture_fit(p, fit, image, s);
        if (good && !quiet)
            fwrite(image, 1, bytes, stdout);
    }
    free(image);
    picture_close(p);
    return good;
}

int main(int argc, char **argv)
{
    bool quiet = argc > 1 && !strcmp(argv[1], "time");
    argv += quiet;
    argc -= quiet;
    if (argc < 6) {
        fprintf(stderr, "picture_dump [time] C H W RESIZE FILE...\n");
        return 2;
    }
    PictureFit fit = {atoi(argv[1]), atoi(argv[2]), atoi(argv[3]),
                      atoi(argv[4]) != 0};
    Status s = {0};
    double begin = seconds();
    bool good = dump(argv + 5, argc - 5, &fit, quiet, &s);
    if (good && quiet)
        printf("%.0f\n", (argc - 5) / (seconds() - begin));
    if (!good)
        fprintf(stderr, "picture_dump: %s\n", s.text);
    return !good;
}
