/* data_pictures.c: see data_pictures.h. */
#include "data_pictures.h"
#include "data_records.h"
#include "file.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMED = 5 }; /* damaged pictures that a note names */

typedef struct CacheHead {
    char magic[8];
    uint64_t key, n, bytes, damaged, sum;
} CacheHead;

static const char magic[8] = "tgcpics1";

/* Pixels on their way. */
typedef struct Decoding {
    const Pictures *of;
    size_t bytes; /* of an image */
    int fd;       /* of the cache file; -1: to memory */
    char file[PATH_MAX];
    uint8_t *pixels; /* or NULL */
    uint64_t *sum;   /* [n] */
} Decoding;

uint64_t pictures_sum(const uint8_t *bytes, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ n, word;
    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 29;
    }
    for (; n; n--, bytes++)
        h = (h ^ *bytes) * 0x100000001b3u;
    h ^= h >> 32;
    return h ? h : 1;
}

static bool write_at(int fd, const void *from, size_t n, int64_t at)
{
    const char *c = from;
    while (n) {
        ssize_t done = pwrite(fd, c, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        c += done;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

static bool read_at(int fd, void *to, size_t n, int64_t at)
{
    char *c = to;
    while (n) {
        ssize_t done = pread(fd, c, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        c += done;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

/* ---- one picture --------------------------------------------------------- */

typedef struct Hand {
    PictureReader *reader;
    uint8_t *image;
} Hand;

static void hand_close(void *own)
{
    Hand *h = own;
    if (!h)
        return;
    picture_close(h->reader);
    free(h->image);
    free(h);
}

static void *hand_open(void *shared, Status *s)
{
    const Decoding *d = shared;
    Hand *h = calloc(1, sizeof *h);
    if (h) {
        h->reader = picture_open(s);
        h->image = malloc(d->bytes);
    }
    if (!h || !h->reader || !h->image)
        status_fail(s, "there is no memory to read pictures");
    return h;
}

static bool decode_one(void *shared, void *own, int64_t i, Status *s)
{
    Decoding *d = shared;
    const Pictures *x = d->of;
    Hand *h = own;
    Status why = {0};
    uint8_t *to = d->pixels ? d->pixels + (size_t)i * d->bytes : h->image;
    if (picture_read(h->reader, x->path[i], &why)) {
        if (!picture_fit(h->reader, &x->fit, to, s))
            return false;
        d->sum[i] = pictures_sum(to, d->bytes);
    } else if (x->request->skip_damaged && picture_was_damaged(h->reader)) {
        memset(to, 0, d->bytes);
        d->sum[i] = 0;
    } else {
        return status_fail(s, "%s", why.text);
    }
    int64_t at = (int64_t)sizeof(CacheHead) + i * (int64_t)d->bytes;
    return d->fd < 0 || write_at(d->fd, to, d->bytes, at) ||
           status_errno(s, "write", d->file,
                        "data.cache = memory needs no file");
}

static bool decode_all(Decoding *d, Status *s)
{
    const Crew crew = {.what = "decoding pictures",
                       .n = d->of->n,
                       .threads = d->of->request->threads,
                       .watch = d->of->request->watch,
                       .shared = d,
                       .open = hand_open,
                       .each = decode_one,
                       .close = hand_close};
    return crew_run(&crew, s);
}

/* ---- the cache ----------------------------------------------------------- */

static int64_t count_damaged(const Decoding *d)
{
    int64_t n = 0;
    for (int64_t i = 0; i < d->of->n; i++)
        n += !d->sum[i];
    return n;
}

static uint64_t sum_of_sums(const Decoding *d)
{
    return pictures_sum((const uint8_t *)d->sum,
                        (size_t)d->of->n * sizeof *d->sum);
}

static CacheHead head_of(const Decoding *d)
{
    CacheHead head = {.key = d->of->key,
                      .n = (uint64_t)d->of->n,
                      .bytes = d->bytes,
                      .damaged = (uint64_t)count_damaged(d),
                      .sum = sum_of_sums(d)};
    memcpy(head.magic, magic, sizeof magic);
    return head;
}

static int64_t sums_at(const Decoding *d)
{
    return (int64_t)sizeof(CacheHead) + d->of->n * (int64_t)d->bytes;
}

static bool check_one(void *shared, void *own, int64_t i, Status *s)
{
    const Decoding *d = shared;
    Hand *h = own;
    int64_t at = (int64_t)sizeof(CacheHead) + i * (int64_t)d->bytes;
    return !d->sum[i] ||
           (read_at(d->fd, h->image, d->bytes, at) &&
            pictures_sum(h->image, d->bytes) == d->sum[i]) ||
           status_fail(s, "image %lld is not what it was", (long long)i);
}

/* Is there such a file, of these pictures, whole?  A picture that was damaged
 * when it was made is looked at again where it may not be skipped. */
static bool cache_holds(Decoding *d, bool *stopped, Status *s)
{
    CacheHead head;
    struct stat info;
    size_t sums = (size_t)d->of->n * sizeof *d->sum;
    bool good = !fstat(d->fd, &info) && S_ISREG(info.st_mode) &&
                info.st_size == sums_at(d) + (int64_t)sums &&
                read_at(d->fd, &head, sizeof head, 0) &&
                read_at(d->fd, d->sum, sums, sums_at(d));
    if (!good)
        return false;
    CacheHead wanted = head_of(d);
    if (memcmp(&head, &wanted, sizeof head) ||
        (head.damaged && !d->of->request->skip_damaged))
        return false;
    const Crew crew = {.what = "checking the cache of pictures",
                       .n = d->of->n,
                       .threads = d->of->request->threads,
                       .watch = d->of->request->watch,
                       .shared = d,
                       .open = hand_open,
                       .each = check_one,
                       .close = hand_close};
    Status why = {0};
    good = crew_run(&crew, &why);
    *stopped = !good && !strncmp(why.text, "stopped", 7);
    return good || (*stopped && status_fail(s, "%s", why.text));
}

static bool cache_found(Decoding *d, bool *stopped, Status *s)
{
    d->fd = open(d->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (d->fd < 0)
        return false;
    bool good = cache_holds(d, stopped, s);
    close(d->fd);
    return good;
}

/* A file that takes room at once, so that a full disk is known before the
 * work; in the folder, but without a name where the system can do that, so
 * that nothing is left behind whatever happens.  -1 where none can be. */
static int cache_create(const Decoding *d, const char *folder, char *beside)
{
    int64_t size = sums_at(d) + d->of->n * (int64_t)sizeof *d->sum;
    *beside = 0;
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    if (fd < 0) {
        if (snprintf(beside, PATH_MAX, "%.*s.%d", PATH_MAX - 20, d->file,
                     (int)getpid()) >= PATH_MAX)
            return -1;
        fd = open(beside, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
    }
    if (fd >= 0 && posix_fallocate(fd, 0, size)) {
        close(fd);
        if (*beside)
            unlink(beside);
        fd = -1;
    }
    return fd;
}

/* From no name to a name beside, and from there to its own. */
static bool cache_place(const Decoding *d, char *beside, Status *s)
{
    char unnamed[64];
    CacheHead head = head_of(d);
    size_t sums = (size_t)d->of->n * sizeof *d->sum;
    bool good = write_at(d->fd, d->sum, sums, sums_at(d)) &&
                write_at(d->fd, &head, sizeof head, 0) && !fsync(d->fd);
    if (good && !*beside) {
        snprintf(unnamed, sizeof unnamed, "/proc/self/fd/%d", d->fd);
        snprintf(beside, PATH_MAX, "%.*s.%d", PATH_MAX - 20, d->file,
                 (int)getpid());
        unlink(beside);
        good = !linkat(AT_FDCWD, unnamed, AT_FDCWD, beside, AT_SYMLINK_FOLLOW);
    }
    return (good && !rename(beside, d->file)) ||
           status_errno(s, "write", d->file,
                        "data.cache = memory needs no file");
}

static bool cache_make(Decoding *d, int fd, char *beside, Status *s)
{
    d->fd = fd;
    bool good = decode_all(d, s) && cache_place(d, beside, s);
    if (!good && *beside)
        unlink(beside);
    close(d->fd);
    d->fd = -1;
    return good;
}

/* ---- the set ------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Damaged ones stay out, and the first of them are named. */
static bool leave_out(DataSet *set, const Decoding *d, Status *s)
{
    int64_t n = d->of->n, damaged = count_damaged(d);
    if (!damaged)
        return true;
    char list[160] = "";
    bool *keep = malloc((size_t)n * sizeof *keep);
    if (!keep)
        return status_fail(s, "there is no memory for %lld pictures",
                           (long long)n);
    for (int64_t i = 0, named = 0; i < n; i++) {
        size_t at = strlen(list);
        keep[i] = d->sum[i] != 0;
        if (!keep[i] && named++ < NAMED)
            snprintf(list + at, sizeof list - at, "%s%.40s", at ? ", " : "",
                     base_name(d->of->path[i]));
    }
    size_t used = strlen(set->note);
    snprintf(set->note + used, sizeof set->note - used,
             "%s%lld of %lld pictures are damaged and left out: %s%s",
             used ? "; " : "", (long long)damaged, (long long)n, list,
             damaged > NAMED ? ", .." : "");
    bool good = data_keep(set, keep, s);
    free(keep);
    return good;
}

/* In a file: 1; 0: there can be none; -1: failed. */
static int use_file(DataSet *set, Decoding *d, Status *s)
{
    const char *folder = d->of->request->cache;
    char beside[PATH_MAX];
    bool stopped = false;
    if (!folder || snprintf(d->file, sizeof d->file, "%s/%s", folder,
                            d->of->name) >= PATH_MAX)
        return 0;
    if (!cache_found(d, &stopped, s)) {
        if (stopped)
            return -1;
        int fd =
            file_make_folder(folder) ? cache_create(d, folder, beside) : -1;
        if (fd < 0) {
            snprintf(set->note, sizeof set->note,
                     "no cache of decoded pictures can be written in %.100s; "
                     "they are kept in memory",
                     folder);
            return 0;
        }
        if (!cache_make(d, fd, beside, s))
            return -1;
    }
    const RecordShape shape = {(int64_t)d->bytes, 0, d->of->n,
                               sizeof(CacheHead)};
    const char *path = d->file;
    return data_use_records(set, &shape, &path, 1, s) ? 1 : -1;
}

static bool use_memory(DataSet *set, Decoding *d, Status *s)
{
    set->pixels = malloc((size_t)set->n * d->bytes);
    d->pixels = set->pixels;
    d->fd = -1;
    if (!d->pixels)
        return status_fail(s,
                           "there is no memory for %lld pictures (%lld bytes "
                           "each)",
                           (long long)set->n, (long long)d->bytes);
    return decode_all(d, s);
}

bool data_use_pictures(DataSet *set, const Pictures *x, Status *s)
{
    Decoding d = {.of = x,
                  .bytes = (size_t)(x->fit.c * x->fit.h * x->fit.w),
                  .fd = -1,
                  .sum = calloc((size_t)x->n, sizeof *d.sum)};
    if (!d.sum)
        return status_fail(s, "there is no memory for %lld pictures",
                           (long long)x->n);
    int in_file = use_file(set, &d, s);
    bool good = in_file > 0 || (in_file == 0 && use_memory(set, &d, s));
    good = good && leave_out(set, &d, s);
    free(d.sum);
    return good;
}
