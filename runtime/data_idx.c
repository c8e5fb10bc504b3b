/* data_idx.c: IDX, the format of MNIST and its kin, plain or gzip.
 *
 *     0 0 8 rank     8: unsigned bytes
 *     dimensions     rank numbers of 32 bits, big end first
 *     bytes          row-major
 *
 * Labels have rank 1; images rank 3 [n,h,w], one channel, or rank 4 [n,c,h,w].
 */
#include "data.h"
#include "data_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANK = 4 };

typedef struct IdxHeader {
    int rank;
    int64_t dim[MOST_RANK];
    int64_t elements;
} IdxHeader;

/* As published, as other archives name them, and as torchvision stores
 * them. */
static const char *const train_images[] = {"train-images-idx3-ubyte",
                                           "train-images.idx3-ubyte",
                                           "train-images-idx4-ubyte", NULL};
static const char *const train_labels[] = {"train-labels-idx1-ubyte",
                                           "train-labels.idx1-ubyte", NULL};
static const char *const test_images[] = {
    "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte",
    "t10k-images-idx4-ubyte", "test-images-idx3-ubyte",
    "test-images-idx4-ubyte", NULL};
static const char *const test_labels[] = {"t10k-labels-idx1-ubyte",
                                          "t10k-labels.idx1-ubyte",
                                          "test-labels-idx1-ubyte", NULL};
static const char *const below[] = {"MNIST/raw", "FashionMNIST/raw", NULL};

static bool read_rank(DataFile *f, int low, int high, int *rank, Status *s)
{
    uint8_t b[4];
    if (!data_file_read(f, b, 4, s))
        return false;
    *rank = b[3];
    if (!b[0] && !b[1] && b[2] == 8 && *rank >= low && *rank <= high)
        return true;
    return status_fail(s,
                       "%s begins with the bytes %02x %02x %02x %02x, where "
                       "an IDX file of this kind has 00 00 08 %02x; is it "
                       "another file by this name?",
                       f->path, b[0], b[1], b[2], b[3], low);
}

static const char *dims_text(const IdxHeader *h, char *text, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < h->rank; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? "x" : "",
                               (long long)h->dim[i]);
    return text;
}

/* The header, which the length of the file bears out. */
static bool read_header(DataFile *f, int low, int high, IdxHeader *h, Status *s)
{
    uint8_t b[4];
    char text[64], what[128];
    bool fits = true;
    h->elements = 1;
    if (!read_rank(f, low, high, &h->rank, s))
        return false;
    for (int i = 0; i < h->rank; i++) {
        if (!data_file_read(f, b, 4, s))
            return false;
        h->dim[i] = (int64_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
        if (__builtin_mul_overflow(h->elements, h->dim[i], &h->elements))
            fits = false;
    }
    dims_text(h, text, sizeof text);
    if (!fits || h->elements > INT64_MAX / 2)
        return status_fail(s, "%s claims to hold %s bytes, more than can be",
                           f->path, text);
    snprintf(what, sizeof what, "a header of %lld and %s as it says there",
             (long long)f->at, text);
    return data_file_expect(f, f->at + h->elements, what, s);
}

static bool read_labels(DataFile *f, const DataRequest *r, DataSet *set,
                        Status *s)
{
    uint8_t piece[4096];
    for (int64_t i = 0; i < set->n;) {
        int64_t left = set->n - i;
        int64_t n = left < (int64_t)sizeof piece ? left : (int64_t)sizeof piece;
        if (!data_file_read(f, piece, n, s))
            return false;
        for (int64_t j = 0; j < n; j++, i++) {
            set->labels[i] = piece[j];
            if (!data_check_label(r, f->path, i, piece[j], s))
                return false;
        }
    }
    return data_file_end(f, s);
}

static bool read_both(DataFile *images, DataFile *labels, const DataRequest *r,
                      DataSet *set, Status *s)
{
    IdxHeader of, count;
    if (!read_header(images, 3, 4, &of, s))
        return false;
    int64_t c = of.rank == 4 ? of.dim[1] : 1;
    int64_t h = of.dim[of.rank - 2], w = of.dim[of.rank - 1];
    if (!data_check_shape(r, images->path, c, h, w, s) ||
        !read_header(labels, 1, 1, &count, s))
        return false;
    if (of.dim[0] != count.dim[0])
        return status_fail(s, "%s holds %lld images, but %s %lld labels",
                           images->path, (long long)of.dim[0], labels->path,
                           (long long)count.dim[0]);
    return data_allocate(set, of.dim[0], r, images->path, s) &&
           data_file_read(images, set->pixels, of.elements, s) &&
           data_file_end(images, s) && read_labels(labels, r, set, s);
}

bool idx_read(const DataSource *source, const DataRequest *r, DataSet *set,
              Status *s)
{
    char folder[PATH_MAX];
    const char *const *of_images = r->train ? train_images : test_images;
    const char *const *of_labels = r->train ? train_labels : test_labels;
    if (!data_folder_find(folder, r->dir, below, of_images, source->get, s))
        return false;
    DataFile images = {0}, labels = {0};
    bool good = data_file_open(&images, folder, of_images, source->get, s) &&
                data_file_open(&labels, folder, of_labels, source->get, s) &&
                read_both(&images, &labels, r, set, s);
    data_file_close(&images);
    data_file_close(&labels);
    return good;
}
