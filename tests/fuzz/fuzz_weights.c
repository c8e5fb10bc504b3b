/* fuzz_weights.c: any bytes as a file of weights, of whatever kind they look
 * like.  What is accepted has tensors that can be read, in the order of their
 * names. */
#include "types.h"
#include "weights.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST = 1 << 16 }; /* elements of a tensor that is read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_weights: %s\n", what);
    abort();
}

/* -1: too many to read. */
static int64_t elements(const Weight *w)
{
    int64_t n = 1;
    for (int i = 0; i < w->rank; i++)
        if (w->dim[i] == 0)
            return 0;
    for (int i = 0; i < w->rank; i++) {
        n *= w->dim[i];
        if (n > MOST)
            return -1;
    }
    return n;
}

/* A file may still be refused here: sums are checked as bytes are read. */
static void read_as(const WeightFile *f, const Weight *w, uint8_t dtype)
{
    int64_t n = elements(w);
    Status s = {0};
    if (n < 0 || !weights_converts(w->dtype, dtype))
        return;
    void *to = malloc((size_t)(n * dtype_bytes(dtype)) + 1);
    require(to != NULL, "no memory");
    bool done = weights_read(f, w, dtype, to, &s);
    require(done != s.failed, "a failure without a sentence");
    free(to);
}

static void read_all(const WeightFile *f)
{
    uint32_t n = weights_count(f);
    for (uint32_t i = 0; i < n; i++) {
        const Weight *w = weights_at(f, i);
        require(weights_find(f, w->name) == w, "a name is not found");
        require(w->rank <= PLAN_MAX_RANK, "too many dimensions");
        for (int k = 0; k < w->rank; k++)
            require(w->dim[k] >= 0, "a negative dimension");
        read_as(f, w, w->dtype);
        read_as(f, w, PLAN_F32);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("weights", 0);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size,
            "cannot write a file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    Status s = {0};
    WeightFile *f = weights_open(path, &s);
    require((f != NULL) != s.failed, "a failure without a sentence");
    if (f)
        read_all(f);
    weights_close(f);
    close(fd);
    return 0;
}
