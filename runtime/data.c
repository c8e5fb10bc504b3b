/* data.c: the table of data sources, and what their readers share. */
#include "data.h"
#include "suggest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CIFAR_SITE "https://www.cs.toronto.edu/~kriz/"

/* clang-format off */
static const DataSource data_sources[] = {
    {"cifar10", "CIFAR-10",
     "unpack the binary version, " CIFAR_SITE "cifar-10-binary.tar.gz, and name its folder",
     cifar_read, &cifar_format_10,
     {"batches.meta.txt", "cifar-10-batches-bin/batches.meta.txt"}, NULL},
    {"cifar100", "CIFAR-100",
     "unpack the binary version, " CIFAR_SITE "cifar-100-binary.tar.gz, and name its folder",
     cifar_read, &cifar_format_100,
     {"fine_label_names.txt", "cifar-100-binary/fine_label_names.txt"}, NULL},
    {"idx", "IDX",
     "name the folder with the four IDX files of MNIST or Fashion-MNIST; Debian's package dataset-fashion-mnist puts some into /usr/share/datasets/fashion-mnist",
     idx_read, NULL, {"classes.txt"}, NULL},
    {"fashion_mnist", "Fashion-MNIST",
     "Debian's package dataset-fashion-mnist puts it into /usr/share/datasets/fashion-mnist",
     idx_read, NULL, {"classes.txt"},
     "T-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot"},
    {"folder", "pictures",
     "name the folder that has train/CLASS/*.jpg (or .png) and test/CLASS/*.jpg in it",
     folder_read, NULL, {0}, NULL},
    {"npy", "NumPy arrays",
     "save train_images.npy (u8 [n,c,h,w]), train_labels.npy, test_images.npy and test_labels.npy with np.save",
     array_read, &array_format_npy, {"classes.txt"}, NULL},
    {"raw", "raw arrays",
     "name the folder with train_images.bin (bytes, n times c*h*w), train_labels.bin, test_images.bin and test_labels.bin",
     array_read, &array_format_raw, {"classes.txt"}, NULL},
    {0},
};
/* clang-format on */

static const DataSource *source_named(const char *kind, Status *s)
{
    Suggestion suggestion = suggest_for(kind);
    char known[256] = "";
    size_t at = 0;
    for (const DataSource *d = data_sources; d->kind; d++) {
        if (!strcmp(d->kind, kind))
            return d;
        suggest_offer(&suggestion, d->kind);
        int n = snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "",
                         d->kind);
        at += (size_t)n < sizeof known - at ? (size_t)n : 0;
    }
    const char *best = suggest_best(&suggestion);
    if (best)
        status_fail(s, "there is no data source '%s'; did you mean '%s'?", kind,
                    best);
    else
        status_fail(s, "there is no data source '%s'; there are: %s", kind,
                    known);
    return NULL;
}

/* Where the model does not say, the data does. */
static void count_classes(DataSet *set, const DataRequest *r)
{
    if (set->names)
        return; /* their number is that of the names */
    set->classes = r->classes;
    for (int64_t i = 0; !r->classes && i < set->n; i++)
        if (set->labels[i] >= set->classes)
            set->classes = set->labels[i] + 1;
}

/* "cat,dog": as many as there are classes, or none. */
static bool name_classes(DataSet *set, const char *names, Status *s)
{
    int64_t n = 1;
    if (!names || set->names)
        return true;
    for (const char *c = names; *c; c++)
        n += *c == ',';
    if (n != set->classes)
        return true;
    set->names = calloc((size_t)n, sizeof *set->names);
    for (int64_t i = 0; set->names && i < n; i++) {
        size_t length = strcspn(names, ",");
        set->names[i] = strndup(names, length);
        if (!set->names[i])
            return status_fail(s, "no memory");
        names += length + 1;
    }
    return set->names || status_fail(s, "no memory");
}

const char *data_class(const DataSet *set, int64_t label, char room[24])
{
    if (set && set->names && label >= 0 && label < set->classes)
        return set->names[label];
    snprintf(room, 24, "%lld", (long long)label);
    return room;
}

bool data_read(DataSet *set, const char *kind, const DataRequest *r, Status *s)
{
    *set = (DataSet){0};
    if (!r->dir || !*r->dir)
        return status_fail(s, "no folder with data was named");
    const DataSource *source = source_named(kind, s);
    if (!source)
        return false;
    if (!source->read(source, r, set, s)) {
        data_free(set);
        return false;
    }
    count_classes(set, r);
    data_names_read(set, r->dir, source->names);
    if (name_classes(set, source->classes, s) &&
        (!r->train || data_split(set, r, s)))
        return true;
    data_free(set);
    return false;
}

void data_free(DataSet *set)
{
    if (set->close)
        set->close(set);
    for (int64_t i = 0; set->names && i < set->classes; i++)
        free(set->names[i]);
    free(set->names);
    free(set->labels);
    free(set->pick);
    free(set->pixels);
    free(set->numbers);
    *set = (DataSet){0};
}

bool data_allocate(DataSet *set, int64_t n, const DataRequest *r,
                   const char *path, Status *s)
{
    int64_t bytes;
    if (n < 1)
        return status_fail(s, "%s holds no images", path);
    if (n > INT32_MAX || __builtin_mul_overflow(n, r->c * r->h, &bytes) ||
        __builtin_mul_overflow(bytes, r->w, &bytes))
        return status_fail(s, "%s claims to hold %lld images, more than can be",
                           path, (long long)n);
    set->n = n;
    set->c = r->c;
    set->h = r->h;
    set->w = r->w;
    set->pixels = malloc((size_t)bytes);
    set->labels = malloc((size_t)n * sizeof *set->labels);
    if (!set->pixels || !set->labels)
        return status_fail(s,
                           "there is no memory for the %lld images of %s "
                           "(%lld bytes)",
                           (long long)n, path, (long long)bytes);
    return true;
}

bool data_check_shape(const DataRequest *r, const char *path, int64_t c,
                      int64_t h, int64_t w, Status *s)
{
    if (c == r->c && h == r->h && w == r->w)
        return true;
    return status_fail(s,
                       "%s holds images of %lldx%lldx%lld (channels, height, "
                       "width), but the model takes %lldx%lldx%lld",
                       path, (long long)c, (long long)h, (long long)w,
                       (long long)r->c, (long long)r->h, (long long)r->w);
}

bool data_check_label(const DataRequest *r, const char *path, int64_t index,
                      int64_t label, Status *s)
{
    if (label >= 0 && label < (r->classes ? r->classes : INT32_MAX))
        return true;
    if (!r->classes)
        return status_fail(s,
                           "%s: the label of image %lld (counted from 0) is "
                           "%lld; classes are counted from 0",
                           path, (long long)index, (long long)label);
    return status_fail(s,
                       "%s: the label of image %lld (counted from 0) is %lld, "
                       "but the model has %lld classes, 0 to %lld",
                       path, (long long)index, (long long)label,
                       (long long)r->classes, (long long)r->classes - 1);
}
