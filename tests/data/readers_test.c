/* readers_test.c: each format read back from files that the test wrote, and
 * every kind of bad file refused with its sentence. */
#include "data.h"
#include "files.h"
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define IMAGES "train-images-idx3-ubyte"
#define LABELS "train-labels-idx1-ubyte"
#define GET_IDX                                                                \
    "name the folder with the four IDX files of MNIST or Fashion-MNIST; "      \
    "Debian's package dataset-fashion-mnist puts some into "                   \
    "/usr/share/datasets/fashion-mnist"
#define GET_CIFAR10                                                            \
    "unpack the binary version, "                                              \
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, and name its "   \
    "folder"

enum { N = 7, H = 3, W = 5, C = 2 };

static uint8_t pixel(int64_t i)
{
    return (uint8_t)(i * 37 + i / 251);
}

/* N images of C x H x W where rank is 4, of H x W where it is 3; labels are
 * 0 .. N-1. */
static void write_images(const char *folder, const char *name, int rank,
                         bool gzip)
{
    uint8_t data[N * C * H * W];
    uint32_t dim3[] = {N, H, W}, dim4[] = {N, C, H, W};
    size_t size = rank == 4 ? sizeof data : sizeof data / C;
    for (size_t i = 0; i < size; i++)
        data[i] = pixel((int64_t)i);
    idx_write(folder, name, rank, rank == 4 ? dim4 : dim3, data, size, gzip);
}

static void write_labels(const char *folder, const char *name, bool gzip)
{
    uint8_t data[N];
    for (int i = 0; i < N; i++)
        data[i] = (uint8_t)i;
    idx_write(folder, name, 1, (uint32_t[]){N}, data, N, gzip);
}

static char *idx_folder(bool gzip)
{
    char *folder = folder_make();
    write_images(folder, gzip ? IMAGES ".gz" : IMAGES, 3, gzip);
    write_labels(folder, gzip ? LABELS ".gz" : LABELS, gzip);
    return folder;
}

static DataRequest request_of(const char *dir, int c, int h, int w, int classes)
{
    return (DataRequest){
        .dir = dir, .train = true, .c = c, .h = h, .w = w, .classes = classes};
}

static DataRequest idx_request(const char *dir)
{
    return request_of(dir, 1, H, W, 10);
}

static void check_idx(const char *kind, const DataRequest *r)
{
    Status s = {0};
    DataSet set;
    data_read(&set, kind, r, &s);
    assert_string_equal(s.text, "");
    assert_int_equal(set.n, N);
    assert_int_equal(set.c * set.h * set.w, r->c * H * W);
    for (int64_t i = 0; i < set.n * set.c * H * W; i++)
        assert_int_equal(set.pixels[i], pixel(i));
    for (int i = 0; i < N; i++)
        assert_int_equal(set.labels[i], i);
    data_free(&set);
}

/* The reader refuses with exactly this sentence, in which %s is the folder. */
static void refuses(const char *kind, const DataRequest *r,
                    const char *sentence)
{
    char wanted[4096], *to = wanted;
    for (const char *c = sentence; *c;)
        if (c[0] == '%' && c[1] == 's') {
            to += sprintf(to, "%s", r->dir);
            c += 2;
        } else {
            *to++ = *c++;
        }
    *to = 0;
    Status s = {0};
    DataSet set;
    assert_false(data_read(&set, kind, r, &s));
    assert_string_equal(s.text, wanted);
    assert_null(set.pixels);
    assert_null(set.labels);
}

static void refuses_idx(char *folder, const char *sentence)
{
    DataRequest r = idx_request(folder);
    refuses("idx", &r, sentence);
    folder_remove(folder);
}

/* ---- IDX, good ----------------------------------------------------------- */

static void test_idx_plain_and_gzip(void **state)
{
    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        char *folder = idx_folder(gzip);
        DataRequest r = idx_request(folder);
        check_idx("idx", &r);
        check_idx("fashion_mnist", &r);
        folder_remove(folder);
    }
}

static void test_idx_other_names(void **state)
{
    (void)state;
    char *folder = folder_make();
    write_images(folder, "test-images-idx4-ubyte.gz", 4, true);
    write_labels(folder, "test-labels-idx1-ubyte", false);
    folder_below(folder, "MNIST");
    folder_below(folder, "MNIST/raw");
    write_images(folder, "MNIST/raw/train-images.idx3-ubyte", 3, false);
    write_labels(folder, "MNIST/raw/train-labels.idx1-ubyte", false);
    DataRequest r = idx_request(folder);
    check_idx("idx", &r);
    r = request_of(folder, C, H, W, 10);
    r.train = false;
    check_idx("idx", &r);
    folder_remove(folder);
}

static void test_classes_as_data_says(void **state)
{
    (void)state;
    char *folder = idx_folder(false);
    DataRequest r = request_of(folder, 1, H, W, 0);
    Status s = {0};
    DataSet set;
    assert_true(data_read(&set, "idx", &r, &s));
    assert_int_equal(set.classes, N);
    data_free(&set);
    folder_remove(folder);
}

/* Labels from another folder than the images would be another data set's. */
static void test_idx_one_folder(void **state)
{
    (void)state;
    char *folder = idx_folder(false);
    file_remove(folder, LABELS);
    folder_below(folder, "MNIST");
    folder_below(folder, "MNIST/raw");
    write_labels(folder, "MNIST/raw/" LABELS, false);
    refuses_idx(folder, "there is no " LABELS " in %s; " GET_IDX);
}

/* ---- IDX, bad ------------------------------------------------------------ */

static void test_missing(void **state)
{
    (void)state;
    refuses_idx(folder_make(),
                "there is no " IMAGES " in %s (nor in MNIST/raw or "
                "FashionMNIST/raw below it); " GET_IDX);
    char *folder = folder_make();
    DataRequest r = idx_request(folder);
    refuses("fashion_mnist", &r,
            "there is no " IMAGES " in %s (nor in MNIST/raw or "
            "FashionMNIST/raw below it); Debian's package "
            "dataset-fashion-mnist puts it into "
            "/usr/share/datasets/fashion-mnist");
    folder_remove(folder);
    r.dir = "/no/such/folder";
    refuses("idx", &r,
            "cannot read the data in %s: No such file or directory (" GET_IDX
            ")");
    r.dir = "/dev/null";
    refuses("idx", &r, "%s is not a folder; " GET_IDX);
    r.dir = NULL;
    refuses("idx", &r, "no folder with data was named");
}

static void test_kind(void **state)
{
    (void)state;
    DataRequest r = idx_request("/");
    refuses("cifar11", &r,
            "there is no data source 'cifar11'; did you mean 'cifar10'?");
    refuses("imagenet", &r,
            "there is no data source 'imagenet'; there are: cifar10, cifar100, "
            "idx, fashion_mnist, folder, npy, raw");
}

static void test_not_a_file(void **state)
{
    (void)state;
    char *folder = folder_make();
    folder_below(folder, IMAGES);
    refuses_idx(folder, "%s/" IMAGES " is not a file");
    folder = folder_make();
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, IMAGES);
    assert_int_equal(mkfifo(path, 0666), 0);
    refuses_idx(folder, "%s/" IMAGES " is not a file");
}

static void test_long_path(void **state)
{
    (void)state;
    char dir[PATH_MAX], wanted[512];
    memset(dir, '/', sizeof dir - 1);
    dir[sizeof dir - 1] = 0;
    DataRequest r = idx_request(dir);
    snprintf(wanted, sizeof wanted, "the path %.200s... is too long", dir);
    refuses("idx", &r, wanted);
}

static void test_idx_length(void **state)
{
    (void)state;
    char *folder = idx_folder(false);
    file_cut(folder, IMAGES, 100);
    refuses_idx(folder,
                "%s/" IMAGES " has 100 bytes, 21 too few: it must have 121 (a "
                "header of 16 and 7x3x5 as it says there); get the "
                "file again");
    folder = idx_folder(false);
    file_cut(folder, LABELS, 17);
    refuses_idx(folder, "%s/" LABELS
                        " has 17 bytes, 2 too many: it must have 15 (a header "
                        "of 8 and 7 as it says there); get the file again");
    folder = idx_folder(false);
    file_cut(folder, IMAGES, 0);
    refuses_idx(folder, "%s/" IMAGES
                        " is cut short: it ends after 0 bytes where at least "
                        "4 are needed; get the file again");
    folder = idx_folder(false);
    file_cut(folder, IMAGES, 10);
    refuses_idx(folder, "%s/" IMAGES
                        " is cut short: it ends after 10 bytes where at least "
                        "12 are needed; get the file again");
}

static void test_idx_magic(void **state)
{
    (void)state;
    char *folder = idx_folder(false);
    file_put(folder, IMAGES, 0, "\x89PNG", 4);
    refuses_idx(folder, "%s/" IMAGES
                        " begins with the bytes 89 50 4e 47, where an IDX file "
                        "of this kind has 00 00 08 03; is it another file by "
                        "this name?");
    folder = idx_folder(false);
    file_put(folder, IMAGES, 2, "\x0d", 1); /* float */
    refuses_idx(folder, "%s/" IMAGES
                        " begins with the bytes 00 00 0d 03, where an IDX file "
                        "of this kind has 00 00 08 03; is it another file by "
                        "this name?");
    folder = idx_folder(false);
    write_images(folder, LABELS, 3, false);
    refuses_idx(folder, "%s/" LABELS
                        " begins with the bytes 00 00 08 03, where an IDX file "
                        "of this kind has 00 00 08 01; is it another file by "
                        "this name?");
}

static void test_idx_counts(void **state)
{
    (void)state;
    char *folder = idx_folder(false);
    file_put(folder, IMAGES, 4, "\xff\xff\xff\xff", 4);
    refuses_idx(folder, "%s/" IMAGES
                        " has 121 bytes, 64424509320 too few: it must have "
                        "64424509441 (a header of 16 and 4294967295x3x5 as it "
                        "says there); get the file again");
    folder = idx_folder(false);
    file_put(folder, IMAGES, 4, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10);
    refuses_idx(folder,
                "%s/" IMAGES " claims to hold 4294967295x4294967295x4294901765 "
                "bytes, more than can be");
    folder = idx_folder(false);
    idx_write(folder, LABELS, 1, (uint32_t[]){6}, (uint8_t[6]){0}, 6, false);
    refuses_idx(folder,
                "%s/" IMAGES " holds 7 images, but %s/" LABELS " 6 labels");
    folder = idx_folder(false);
    idx_write(folder, IMAGES, 3, (uint32_t[]){0, H, W}, NULL, 0, false);
    idx_write(folder, LABELS, 1, (uint32_t[]){0}, NULL, 0, false);
    refuses_idx(folder, "%s/" IMAGES " holds no images");
}

static void test_shape_and_labels(void **state)
{
    (void)state;
    char *folder = idx_folder(false);
    DataRequest r = request_of(folder, 3, 32, 32, 10);
    refuses("idx", &r,
            "%s/" IMAGES " holds images of 1x3x5 (channels, height, width), "
            "but the model takes 3x32x32");
    r = request_of(folder, 1, H, W, 5);
    refuses("idx", &r,
            "%s/" LABELS ": the label of image 5 (counted from 0) is 5, but "
            "the model has 5 classes, 0 to 4");
    folder_remove(folder);
}

/* ---- gzip ---------------------------------------------------------------- */

static void test_gzip_cut(void **state)
{
    (void)state;
    char *folder = idx_folder(true);
    /* Without the sums at its end, but with all the data. */
    file_cut(folder, IMAGES ".gz", file_size(folder, IMAGES ".gz") - 8);
    refuses_idx(folder, "%s/" IMAGES
                        ".gz is cut short: the gzip data breaks off after 121 "
                        "bytes where at least 121 are needed; get the file "
                        "again");
    folder = idx_folder(true);
    file_cut(folder, IMAGES ".gz", 4);
    refuses_idx(folder, "%s/" IMAGES
                        ".gz is cut short: the gzip data breaks off after 0 "
                        "bytes where at least 4 are needed; get the file "
                        "again");
}

static void test_gzip_corrupt(void **state)
{
    (void)state;
    char *folder = idx_folder(true);
    int64_t size = file_size(folder, IMAGES ".gz");
    file_put(folder, IMAGES ".gz", size - 8, "\1\2\3\4", 4);
    refuses_idx(folder,
                "%s/" IMAGES
                ".gz is corrupt: incorrect data check; get the file again");
    folder = idx_folder(true);
    file_put(folder, IMAGES ".gz", 10, "\xff\xff\xff\xff", 4);
    refuses_idx(folder,
                "%s/" IMAGES
                ".gz is corrupt: invalid block type; get the file again");
    folder = idx_folder(true);
    file_put(folder, IMAGES ".gz", 2, "x", 1);
    refuses_idx(folder, "%s/" IMAGES
                        ".gz is corrupt: unknown compression method; get the "
                        "file again");
}

static void test_gzip_length(void **state)
{
    (void)state;
    char *folder = idx_folder(true);
    uint8_t data[N * H * W + 1] = {0};
    idx_write(folder, IMAGES ".gz", 3, (uint32_t[]){N, H, W}, data, sizeof data,
              true);
    refuses_idx(folder, "%s/" IMAGES
                        ".gz goes on after the 121 bytes that it should have; "
                        "get the file again");
    folder = idx_folder(true);
    idx_write(folder, IMAGES ".gz", 3, (uint32_t[]){N, H, W}, data, 80, true);
    refuses_idx(folder, "%s/" IMAGES
                        ".gz is cut short: it ends after 96 bytes where at "
                        "least 121 are needed; get the file again");
    /* A few bytes of gzip cannot unpack to this: no memory is taken for it. */
    folder = idx_folder(true);
    idx_write(folder, IMAGES ".gz", 3, (uint32_t[]){2000000000, H, W}, data, 1,
              true);
    char wanted[512];
    snprintf(wanted, sizeof wanted,
             "%%s/" IMAGES ".gz has %lld bytes of gzip, too few for the "
             "30000000016 bytes that it must unpack to (a header of 16 and "
             "2000000000x3x5 as it says there); get the file again",
             (long long)file_size(folder, IMAGES ".gz"));
    refuses_idx(folder, wanted);
}

/* ---- CIFAR --------------------------------------------------------------- */

enum { RECORD = 3073, RECORDS = 10000, RECORD_100 = 3074 };

static char *cifar_folder(const char *below)
{
    char *folder = folder_make(), name[128];
    if (*below)
        folder_below(folder, below);
    for (int i = 1; i <= 6; i++) {
        if (i < 6)
            snprintf(name, sizeof name, "%s/data_batch_%d.bin", below, i);
        else
            snprintf(name, sizeof name, "%s/test_batch.bin", below);
        file_zeros(folder, name, (int64_t)RECORD * RECORDS);
        uint8_t record[] = {(uint8_t)i, 10, (uint8_t)(20 + i)};
        file_put(folder, name, (int64_t)RECORD * 77, record, 3);
        file_put(folder, name, (int64_t)RECORD * 78 - 1, "\xee", 1);
    }
    return folder;
}

/* Wherever the pixels are: in memory, or in the file still. */
static const uint8_t *image_of(const DataSet *set, int64_t index,
                               uint8_t *scratch)
{
    Status s = {0};
    if (set->pixels)
        return set->pixels + index * set->c * set->h * set->w;
    const uint8_t *image = set->fetch(set, index, scratch, &s);
    assert_string_equal(s.text, "");
    return image;
}

static void check_cifar10(const DataRequest *r, int files, int first)
{
    Status s = {0};
    DataSet set;
    data_read(&set, "cifar10", r, &s);
    assert_string_equal(s.text, "");
    assert_int_equal(set.n, files * RECORDS);
    for (int i = 0; i < files; i++) {
        int64_t at = i * RECORDS + 77;
        assert_int_equal(set.labels[at], first + i);
        assert_int_equal(set.labels[at + 1], 0);
        uint8_t scratch[3072];
        const uint8_t *image = image_of(&set, at, scratch);
        assert_int_equal(image[0], 10);
        assert_int_equal(image[1], 20 + first + i);
        assert_int_equal(image[3071], 0xee);
        assert_int_equal(image_of(&set, at + 1, scratch)[0], 0);
    }
    data_free(&set);
}

static void test_cifar10(void **state)
{
    (void)state;
    const char *const below[] = {"", "cifar-10-batches-bin"};
    for (int i = 0; i < 2; i++) {
        char *folder = cifar_folder(below[i]);
        DataRequest r = request_of(folder, 3, 32, 32, 10);
        check_cifar10(&r, 5, 1);
        r.train = false;
        check_cifar10(&r, 1, 6);
        folder_remove(folder);
    }
}

static void test_cifar10_bad(void **state)
{
    (void)state;
    char *folder = cifar_folder("");
    DataRequest r = request_of(folder, 3, 32, 32, 10);
    DataRequest small = request_of(folder, 3, 32, 32, 5);
    refuses("cifar10", &small,
            "%s/data_batch_5.bin: the label of image 77 (counted from 0) is 5, "
            "but the model has 5 classes, 0 to 4");
    small = request_of(folder, 1, 28, 28, 10);
    refuses("cifar10", &small,
            "CIFAR-10 holds images of 3x32x32 (channels, height, width), but "
            "the model takes 1x28x28");
    file_put(folder, "data_batch_2.bin", 5 * RECORD, "\x0a", 1);
    refuses("cifar10", &r,
            "%s/data_batch_2.bin: label 0 of image 5 (counted from 0) is 10, "
            "but this data has 10 classes; get the file again");
    file_cut(folder, "data_batch_2.bin", RECORD * (RECORDS - 1));
    refuses("cifar10", &r,
            "%s/data_batch_2.bin has 30726927 bytes, 3073 too few: it must "
            "have 30730000 (10000 records of 3073 bytes); get the file again");
    file_cut(folder, "data_batch_2.bin", RECORD * RECORDS + 1);
    refuses("cifar10", &r,
            "%s/data_batch_2.bin has 30730001 bytes, 1 too many: it must have "
            "30730000 (10000 records of 3073 bytes); get the file again");
    file_remove(folder, "data_batch_2.bin");
    refuses("cifar10", &r, "there is no data_batch_2.bin in %s; " GET_CIFAR10);
    file_remove(folder, "data_batch_1.bin");
    refuses("cifar10", &r, "there is no data_batch_1.bin in %s; " GET_CIFAR10);
    folder_remove(folder);
    r.dir = folder = folder_make();
    refuses("cifar10", &r,
            "there is no data_batch_1.bin in %s (nor in cifar-10-batches-bin "
            "below it); " GET_CIFAR10);
    folder_remove(folder);
}

static void test_cifar100(void **state)
{
    (void)state;
    char *folder = folder_make();
    file_zeros(folder, "test.bin", (int64_t)RECORD_100 * RECORDS);
    file_put(folder, "test.bin", RECORD_100 * 3, "\x13\x63\x42", 3);
    DataRequest r = request_of(folder, 3, 32, 32, 100);
    r.train = false;
    Status s = {0};
    DataSet set;
    assert_true(data_read(&set, "cifar100", &r, &s));
    assert_int_equal(set.n, RECORDS);
    assert_int_equal(set.labels[3], 99);
    uint8_t scratch[3072];
    assert_int_equal(image_of(&set, 3, scratch)[0], 0x42);
    /* The file is cut while it is in use. */
    file_cut(folder, "test.bin", RECORD_100 * 50 + 9);
    assert_null(set.fetch(&set, 50, scratch, &s));
    assert_non_null(strstr(s.text, "test.bin has become shorter"));
    data_free(&set);
    file_cut(folder, "test.bin", (int64_t)RECORD_100 * RECORDS);
    file_put(folder, "test.bin", RECORD_100 * 3, "\x14", 1);
    refuses("cifar100", &r,
            "%s/test.bin: label 0 of image 3 (counted from 0) is 20, but this "
            "data has 20 classes; get the file again");
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx_plain_and_gzip),
        cmocka_unit_test(test_idx_other_names),
        cmocka_unit_test(test_classes_as_data_says),
        cmocka_unit_test(test_idx_one_folder),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_kind),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_idx_length),
        cmocka_unit_test(test_idx_magic),
        cmocka_unit_test(test_idx_counts),
        cmocka_unit_test(test_shape_and_labels),
        cmocka_unit_test(test_gzip_cut),
        cmocka_unit_test(test_gzip_corrupt),
        cmocka_unit_test(test_gzip_length),
        cmocka_unit_test(test_cifar10),
        cmocka_unit_test(test_cifar10_bad),
        cmocka_unit_test(test_cifar100),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
