/* fuzz_idx.c: any bytes as the two files of an IDX data set.  Byte 0 is the
 * length of the labels' file, which follows; the rest is the images' file.
 * What is accepted has as many labels in range as it says. */
#include "data.h"
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { C = 1, H = 2, W = 2, CLASSES = 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_idx: %s\n", what);
    abort();
}

static void write_file(char path[PATH_MAX], const char *folder,
                       const char *name, const uint8_t *data, size_t size)
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    require(file && fwrite(data, 1, size, file) == size && !fclose(file),
            "cannot write a file");
}

static void read_set(const char *folder)
{
    DataRequest r = {.dir = folder,
                     .train = true,
                     .c = C,
                     .h = H,
                     .w = W,
                     .classes = CLASSES};
    DataSet set;
    Status s = {0};
    bool good = data_read(&set, "idx", &r, &s);
    require(good != s.failed, "a failure without a sentence, or with no need");
    volatile uint8_t seen = 0; /* all the pixels are there */
    for (int64_t i = 0; good && i < set.n; i++)
        require(set.labels[i] >= 0 && set.labels[i] < CLASSES,
                "a label out of range");
    for (int64_t i = 0; good && i < set.n * C * H * W; i++)
        seen = set.pixels[i];
    (void)seen;
    if (good)
        data_free(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = P_tmpdir "/fuzz-idx-XXXXXX";
    char images[PATH_MAX], labels[PATH_MAX];
    if (size < 1 || data[0] > size - 1)
        return 0;
    require(mkdtemp(folder), "cannot make a folder");
    size_t n = data[0];
    write_file(labels, folder, "train-labels-idx1-ubyte", data + 1, n);
    write_file(images, folder, "train-images-idx3-ubyte", data + 1 + n,
               size - 1 - n);
    read_set(folder);
    unlink(images);
    unlink(labels);
    rmdir(folder);
    return 0;
}
