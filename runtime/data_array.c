/* data_array.c: arrays as people save them: NumPy's .npy, and raw bytes.
 *
 *     npy   images u8 [n,c,h,w], [n,h,w,c] or, of one channel, [n,h,w];
 *           numbers f32, f64, i32 or i64 in the same order, and of one row
 *           [n,w]: they are taken as they are; labels u8, i32 or i64 [n]
 *     raw   images u8, n records of c*h*w bytes, [c,h,w]; labels n numbers of
 *           1, 4 or 8 bytes, little end first.  No header: the model says what
 *           a record is, and the length of the file how many there are.
 *
 * Images of a plain file that lie as the model takes them stay there. */
#include "data.h"
#include "data_file.h"
#include "data_records.h"
#include "npy.h"
#include "types.h"
#include "weights_input.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 5, LABEL_MOST = 8, CHUNK = 4096 /* numbers */ };

typedef struct ArrayFormat {
    bool npy;
    const char *images[2][NAMES], *labels[2][NAMES]; /* test, train */
} ArrayFormat;

/* clang-format off */
const ArrayFormat array_format_npy = {
    true,
    {{"test_images.npy", "x_test.npy", "X_test.npy"},
     {"train_images.npy", "x_train.npy", "X_train.npy"}},
    {{"test_labels.npy", "y_test.npy", "Y_test.npy"},
     {"train_labels.npy", "y_train.npy", "Y_train.npy"}},
};
const ArrayFormat array_format_raw = {
    false,
    {{"test_images.bin", "test_images.raw"},
     {"train_images.bin", "train_images.raw"}},
    {{"test_labels.bin", "test_labels.raw"},
     {"train_labels.bin", "train_labels.raw"}},
};
/* clang-format on */

typedef struct ArrayFile {
    DataFile file; /* at the first element */
    NpyArray of;
} ArrayFile;

/* ---- headers ------------------------------------------------------------- */

static bool in_order(const NpyArray *a)
{
    int64_t step = 1;
    for (int i = a->rank - 1; i >= 0; i--) {
        if (a->dim[i] > 1 && a->stride[i] != step)
            return false;
        step *= a->dim[i];
    }
    return true;
}

static bool read_header(ArrayFile *a, Status *s)
{
    unsigned char head[NPY_HEAD_MOST];
    DataFile *f = &a->file;
    if (!data_file_read(f, head, 12, s))
        return false;
    int count = head[6] == 1 ? 2 : 4;
    int64_t n = 8 + count + (int64_t)little_number(head + 8, count);
    bool room = n >= 12 && n <= NPY_HEAD_MOST;
    if (room && !data_file_read(f, head + 12, n - 12, s))
        return false;
    if (!npy_parse(&a->of, head, room ? (size_t)n : 12, f->path, "the array",
                   s))
        return false;
    char what[64];
    snprintf(what, sizeof what, "a header and the array of its shape");
    if (a->of.bytes > INT64_MAX / 2 ||
        !data_file_expect(f, f->at + a->of.bytes, what, s))
        return s->failed ? false
                         : status_fail(s, "%s claims to be larger than can be",
                                       f->path);
    return in_order(&a->of) ||
           status_fail(s,
                       "%s is in Fortran order (save it with "
                       "np.ascontiguousarray)",
                       f->path);
}

/* Raw files have the shape that they must have. */
static bool count_records(ArrayFile *a, const DataRequest *r, Status *s)
{
    int64_t each = r->c * r->h * r->w, n = a->file.size / each;
    if (a->file.gzip)
        return status_fail(s,
                           "%s is packed; raw arrays are read as they are "
                           "(unpack it with gunzip)",
                           a->file.path);
    if (a->file.size % each)
        return status_fail(s,
                           "%s has %lld bytes, which is no whole number of "
                           "images of %lldx%lldx%lld (channels, height, width)",
                           a->file.path, (long long)a->file.size,
                           (long long)r->c, (long long)r->h, (long long)r->w);
    a->of = (NpyArray){.number = true,
                       .dtype = PLAN_U8,
                       .element = 1,
                       .rank = 4,
                       .dim = {n, r->c, r->h, r->w}};
    return true;
}

static bool count_labels(ArrayFile *a, int64_t n, Status *s)
{
    int64_t each = n ? a->file.size / n : 0;
    if (a->file.gzip || each * n != a->file.size ||
        (each != 1 && each != 4 && each != 8))
        return status_fail(s,
                           "%s has %lld bytes; labels of %lld images are %lld, "
                           "or 4 or 8 times as many bytes",
                           a->file.path, (long long)a->file.size, (long long)n,
                           (long long)n);
    a->of = (NpyArray){.number = true,
                       .dtype = each == 1   ? PLAN_U8
                                : each == 4 ? PLAN_I32
                                            : PLAN_I64,
                       .element = (uint8_t)each,
                       .rank = 1,
                       .dim = {n}};
    return true;
}

/* ---- images -------------------------------------------------------------- */

static bool dims_are(const NpyArray *a, int64_t x, int64_t y, int64_t z)
{
    return a->rank == 4 && a->dim[1] == x && a->dim[2] == y && a->dim[3] == z;
}

static bool wrong_shape(const ArrayFile *a, const DataRequest *r, Status *s)
{
    const NpyArray *of = &a->of;
    char text[128] = "";
    for (int i = 0, at = 0; i < of->rank && at < 100; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%lld",
                       i ? "," : "", (long long)of->dim[i]);
    if (r->c == 1 && r->h == 1)
        return status_fail(s,
                           "%s holds an array [%s], but the model takes "
                           "numbers [n,%lld]",
                           a->file.path, text, (long long)r->w);
    return status_fail(s,
                       "%s holds an array [%s], but the model takes images "
                       "[n,%lld,%lld,%lld] (or with channels last)",
                       a->file.path, text, (long long)r->c, (long long)r->h,
                       (long long)r->w);
}

static bool check_images(const ArrayFile *a, const DataRequest *r, bool *last,
                         Status *s)
{
    const NpyArray *of = &a->of;
    bool flat =
        of->rank == 3 && r->c == 1 && of->dim[1] == r->h && of->dim[2] == r->w;
    bool first = dims_are(of, r->c, r->h, r->w);
    *last = !first && !flat && dims_are(of, r->h, r->w, r->c);
    if (!of->number || of->dtype != PLAN_U8)
        return status_fail(s,
                           "%s holds neither bytes (pixels from 0 to 255: "
                           ".astype(np.uint8)) nor numbers of type f32, f64, "
                           "i32 or i64",
                           a->file.path);
    return first || flat || *last || wrong_shape(a, r, s);
}

/* [h,w,c] to [c,h,w] */
static void channels_first(const DataSet *set, const uint8_t *from, uint8_t *to)
{
    int64_t plane = set->h * set->w;
    for (int64_t i = 0; i < plane; i++)
        for (int64_t c = 0; c < set->c; c++)
            to[c * plane + i] = from[i * set->c + c];
}

static bool read_channels_last(ArrayFile *a, DataSet *set, Status *s)
{
    int64_t size = set->c * set->h * set->w;
    uint8_t *image = malloc((size_t)size);
    bool good = image || status_fail(s, "there is no memory for an image");
    for (int64_t i = 0; good && i < set->n; i++) {
        good = data_file_read(&a->file, image, size, s);
        if (good)
            channels_first(set, image, set->pixels + i * size);
    }
    free(image);
    return good;
}

static bool read_images(ArrayFile *a, const DataRequest *r, DataSet *set,
                        Status *s)
{
    bool last;
    if (!check_images(a, r, &last, s) ||
        !data_allocate(set, a->of.dim[0], r, a->file.path, s))
        return false;
    int64_t size = r->c * r->h * r->w;
    const RecordShape shape = {size, 0, set->n, a->file.at};
    const char *path = a->file.path;
    if (!last && !a->file.gzip)
        return data_use_records(set, &shape, &path, 1, s);
    return (last ? read_channels_last(a, set, s)
                 : data_file_read(&a->file, set->pixels, set->n * size, s)) &&
           data_file_end(&a->file, s);
}

/* ---- numbers ------------------------------------------------------------- */

/* Bytes of one row would be pixels, and become x / 255: rather ask. */
static bool are_numbers(const NpyArray *a, const DataRequest *r)
{
    bool row = a->rank == 2 && r->c == 1 && r->h == 1;
    return a->number && (a->dtype == PLAN_F32 || a->dtype == PLAN_F64 ||
                         a->dtype == PLAN_I32 || a->dtype == PLAN_I64 ||
                         (a->dtype == PLAN_U8 && row));
}

static bool check_numbers(const ArrayFile *a, const DataRequest *r, Status *s)
{
    const NpyArray *of = &a->of;
    bool row = of->rank == 2 && r->c == 1 && r->h == 1 && of->dim[1] == r->w;
    bool flat =
        of->rank == 3 && r->c == 1 && of->dim[1] == r->h && of->dim[2] == r->w;
    if (!row && !flat && !dims_are(of, r->c, r->h, r->w))
        return wrong_shape(a, r, s);
    return of->dtype != PLAN_U8 ||
           status_fail(s,
                       "%s holds rows of bytes: numbers are f32, f64, i32 or "
                       "i64 (save it with .astype(np.int32))",
                       a->file.path);
}

/* What float32 holds as it is: integers up to 2^24. */
static bool take_number(const ArrayFile *a, const DataRequest *r, int64_t at,
                        const void *from, float *to, Status *s)
{
    bool whole = a->of.dtype == PLAN_I32 || a->of.dtype == PLAN_I64;
    double v = dtype_load(a->of.dtype, from);
    *to = (float)v;
    if (r->rows && !(v >= 0 && v < (double)r->rows && v == floor(v)))
        return status_fail(s,
                           "%s: number %lld (counted from 0) is %.9g, but the "
                           "model's table has %lld rows, 0 to %lld",
                           a->file.path, (long long)at, v, (long long)r->rows,
                           (long long)r->rows - 1);
    if (isfinite(*to) && (!whole || fabs(v) <= 0x1p24))
        return true;
    return status_fail(s, "%s: number %lld (counted from 0) is %.10g, which %s",
                       a->file.path, (long long)at, v,
                       whole ? "float32 does not hold exactly"
                             : "is no finite float32");
}

static bool read_numbers(ArrayFile *a, const DataRequest *r, DataSet *set,
                         Status *s)
{
    unsigned char chunk[8 * CHUNK];
    int64_t element = a->of.element, all;
    if (!check_numbers(a, r, s) ||
        !data_allocate(set, a->of.dim[0], r, a->file.path, s))
        return false;
    free(set->pixels);
    set->pixels = NULL;
    all = set->n * r->c * r->h * r->w;
    set->numbers = malloc((size_t)all * sizeof *set->numbers);
    if (!set->numbers)
        return status_fail(s, "there is no memory for the %lld numbers of %s",
                           (long long)all, a->file.path);
    for (int64_t at = 0; at < all;) {
        int64_t n = all - at < CHUNK ? all - at : CHUNK;
        if (!data_file_read(&a->file, chunk, n * element, s))
            return false;
        for (int64_t i = 0; i < n; i++, at++)
            if (!take_number(a, r, at, chunk + i * element, set->numbers + at,
                             s))
                return false;
    }
    return data_file_end(&a->file, s);
}

/* ---- labels -------------------------------------------------------------- */

static bool check_labels(const ArrayFile *a, const ArrayFile *images, Status *s)
{
    const NpyArray *of = &a->of;
    int64_t n = images->of.dim[0];
    if (!of->number || (of->dtype != PLAN_U8 && of->dtype != PLAN_I32 &&
                        of->dtype != PLAN_I64))
        return status_fail(s,
                           "%s does not hold labels of type u8, i32 or i64 "
                           "(save it with .astype(np.int64))",
                           a->file.path);
    if (of->rank != 1 && !(of->rank == 2 && of->dim[1] == 1))
        return status_fail(s,
                           "%s has %d dimensions: labels are one number for "
                           "each image, [n]",
                           a->file.path, of->rank);
    return of->dim[0] == n ||
           status_fail(s, "%s holds %lld images, but %s %lld labels",
                       images->file.path, (long long)n, a->file.path,
                       (long long)of->dim[0]);
}

static bool read_labels(ArrayFile *a, const DataRequest *r, DataSet *set,
                        Status *s)
{
    int bytes = a->of.element;
    for (int64_t i = 0; i < set->n; i++) {
        unsigned char raw[LABEL_MOST];
        if (!data_file_read(&a->file, raw, bytes, s))
            return false;
        uint64_t word = little_number(raw, bytes);
        int64_t label = bytes == 4 ? (int32_t)(uint32_t)word : (int64_t)word;
        if (!data_check_label(r, a->file.path, i, label, s))
            return false;
        set->labels[i] = (int32_t)label;
    }
    return data_file_end(&a->file, s);
}

/* ---- the whole ----------------------------------------------------------- */

static bool read_both(const ArrayFormat *format, ArrayFile *images,
                      ArrayFile *labels, const DataRequest *r, DataSet *set,
                      Status *s)
{
    if (!(format->npy ? read_header(images, s) : count_records(images, r, s)))
        return false;
    if (format->npy && images->of.rank == 0)
        return status_fail(s, "%s holds one number, not images",
                           images->file.path);
    return (format->npy ? read_header(labels, s)
                        : count_labels(labels, images->of.dim[0], s)) &&
           check_labels(labels, images, s) &&
           (are_numbers(&images->of, r) ? read_numbers(images, r, set, s)
                                        : read_images(images, r, set, s)) &&
           read_labels(labels, r, set, s);
}

bool array_read(const DataSource *source, const DataRequest *r, DataSet *set,
                Status *s)
{
    static const char *const below[] = {NULL};
    const ArrayFormat *format = source->format;
    char folder[PATH_MAX];
    const char *const *of_images = format->images[r->train];
    const char *const *of_labels = format->labels[r->train];
    if (!data_folder_find(folder, r->dir, below, of_images, source->get, s))
        return false;
    ArrayFile images = {0}, labels = {0};
    bool good =
        data_file_open(&images.file, folder, of_images, source->get, s) &&
        data_file_open(&labels.file, folder, of_labels, source->get, s) &&
        read_both(format, &images, &labels, r, set, s);
    data_file_close(&images.file);
    data_file_close(&labels.file);
    return good;
}
