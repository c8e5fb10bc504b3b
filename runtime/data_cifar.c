/* data_cifar.c: CIFAR-10 and CIFAR-100, binary version.
 *
 *     record    label bytes, then 3 x 32 x 32 pixels: red, green, blue
 *     CIFAR-10  one label;          5 + 1 files of 10,000 records
 *     CIFAR-100 coarse, then fine;  50,000 and 10,000 records
 *
 * The last label of a record is the class.  The files have no header, so
 * their length is all that tells a whole one from a piece.
 *
 * All are read through and checked.  If none is packed, the pixels stay in the
 * files: 154 MB that the program need not hold. */
#include "data.h"
#include "data_file.h"
#include "data_records.h"
#include <stdio.h>
#include <string.h>

enum { SIDE = 32, CHANNELS = 3, PIXELS = CHANNELS * SIDE * SIDE };
enum { MOST_LABELS = 2, MOST_FILES = 5 };

typedef struct CifarFormat {
    const char *folder; /* in the archive as published */
    int labels;         /* bytes before the pixels */
    int classes[MOST_LABELS];
    const char *train[MOST_FILES + 1], *test[MOST_FILES + 1];
    int train_records, test_records; /* in each file */
} CifarFormat;

const CifarFormat cifar_format_10 = {
    .folder = "cifar-10-batches-bin",
    .labels = 1,
    .classes = {10},
    .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
              "data_batch_4.bin", "data_batch_5.bin"},
    .test = {"test_batch.bin"},
    .train_records = 10000,
    .test_records = 10000,
};

const CifarFormat cifar_format_100 = {
    .folder = "cifar-100-binary",
    .labels = 2,
    .classes = {20, 100},
    .train = {"train.bin"},
    .test = {"test.bin"},
    .train_records = 50000,
    .test_records = 10000,
};

/* Image `index` of this file becomes image `to` of the set. */
static bool read_record(const CifarFormat *c, DataFile *f, int64_t index,
                        const DataRequest *r, DataSet *set, int64_t to,
                        Status *s)
{
    uint8_t label[MOST_LABELS], pixels[PIXELS];
    if (!data_file_read(f, label, c->labels, s))
        return false;
    for (int i = 0; i < c->labels; i++)
        if (label[i] >= c->classes[i])
            return status_fail(s,
                               "%s: label %d of image %lld (counted from 0) is "
                               "%d, but this data has %d classes; get the file "
                               "again",
                               f->path, i, (long long)index, label[i],
                               c->classes[i]);
    set->labels[to] = label[c->labels - 1];
    return data_check_label(r, f->path, index, set->labels[to], s) &&
           data_file_read(f, set->pixels ? set->pixels + to * PIXELS : pixels,
                          PIXELS, s);
}

static bool read_file(const CifarFormat *c, DataFile *f, int records,
                      const DataRequest *r, DataSet *set, int64_t to, Status *s)
{
    int64_t bytes = c->labels + PIXELS;
    char what[64];
    snprintf(what, sizeof what, "%d records of %d bytes", records, (int)bytes);
    if (!data_file_expect(f, records * bytes, what, s))
        return false;
    for (int i = 0; i < records; i++)
        if (!read_record(c, f, i, r, set, to + i, s))
            return false;
    return data_file_end(f, s);
}

typedef struct Files {
    int n;
    bool packed; /* any of them */
    char path[MOST_FILES][PATH_MAX];
} Files;

static bool find_files(const DataSource *source, const char *folder,
                       const char *const *names, Files *files, Status *s)
{
    for (; names[files->n]; files->n++) {
        DataFile f;
        const char *const name[] = {names[files->n], NULL};
        if (!data_file_open(&f, folder, name, source->get, s))
            return false;
        memcpy(files->path[files->n], f.path, PATH_MAX);
        files->packed = files->packed || f.gzip;
        data_file_close(&f);
    }
    return true;
}

static bool read_files(const DataSource *source, const DataRequest *r,
                       const char *folder, const char *const *names,
                       int records, DataSet *set, Status *s)
{
    for (int i = 0; names[i]; i++) {
        DataFile f;
        const char *const name[] = {names[i], NULL};
        bool good = data_file_open(&f, folder, name, source->get, s) &&
                    read_file(source->format, &f, records, r, set,
                              (int64_t)i * records, s);
        data_file_close(&f);
        if (!good)
            return false;
    }
    return true;
}

static bool keep_in_files(const CifarFormat *c, const Files *files, int records,
                          DataSet *set, Status *s)
{
    const RecordShape shape = {c->labels + PIXELS, c->labels, records, 0};
    const char *paths[MOST_FILES];
    for (int i = 0; i < files->n; i++)
        paths[i] = files->path[i];
    return data_use_records(set, &shape, paths, files->n, s);
}

bool cifar_read(const DataSource *source, const DataRequest *r, DataSet *set,
                Status *s)
{
    const CifarFormat *c = source->format;
    const char *const *names = r->train ? c->train : c->test;
    int records = r->train ? c->train_records : c->test_records;
    const char *const below[] = {c->folder, NULL};
    char folder[PATH_MAX];
    Files files = {0};
    if (!data_check_shape(r, source->title, CHANNELS, SIDE, SIDE, s) ||
        !data_folder_find(folder, r->dir, below, names, source->get, s) ||
        !find_files(source, folder, names, &files, s) ||
        !data_allocate(set, (int64_t)files.n * records, r, source->title, s))
        return false;
    if (!files.packed && !keep_in_files(c, &files, records, set, s))
        return false;
    return read_files(source, r, folder, names, records, set, s);
}
