/* data_file.c: finds, opens and reads files of numbers; see data_file.h.
 *
 * zlib's gzread reads plain files as they are, so one way serves both. */
#include "data_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    BUFFER = 1 << 17,
    MOST_AT_ONCE = 1 << 24, /* bytes in one gzread, which takes an unsigned */
    MOST_RATIO = 1032,      /* deflate packs no better than this */
};

/* ---- finding ------------------------------------------------------------- */

static bool path_join(char path[PATH_MAX], const char *dir, const char *name,
                      const char *suffix, Status *s)
{
    int n = snprintf(path, PATH_MAX, "%s%s%s%s", dir, *name ? "/" : "", name,
                     suffix);
    if (n < 0 || n >= PATH_MAX)
        return status_fail(s, "the path %.200s... is too long", dir);
    return true;
}

/* Puts the first that exists into path: 1; 0: none; -1: failed. */
static int find_name(char path[PATH_MAX], const char *folder,
                     const char *const *names, Status *s)
{
    static const char *const suffix[] = {"", ".gz"};
    for (; *names; names++)
        for (int i = 0; i < 2; i++) {
            if (!path_join(path, folder, *names, suffix[i], s))
                return -1;
            if (access(path, F_OK) == 0)
                return 1;
            if (errno != ENOENT && errno != ENOTDIR) {
                status_errno(s, "look for", path, NULL);
                return -1;
            }
        }
    return 0;
}

/* "in DIR (nor in A or B below it)" */
static const char *places_text(const char *dir, const char *const *below,
                               char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "in %s (nor in ", dir);
    for (int i = 0; below[i] && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i ? " or " : "",
                               below[i]);
    if (at < size)
        snprintf(text + at, size - at, " below it)");
    return text;
}

static bool check_folder(const char *dir, const char *get, Status *s)
{
    struct stat info;
    if (stat(dir, &info))
        return status_errno(s, "read the data in", dir, get);
    if (!S_ISDIR(info.st_mode))
        return status_fail(s, "%s is not a folder; %s", dir, get);
    return true;
}

bool data_folder_find(char folder[PATH_MAX], const char *dir,
                      const char *const *below, const char *const *names,
                      const char *get, Status *s)
{
    static const char *const itself[] = {"", NULL};
    if (!check_folder(dir, get, s))
        return false;
    for (int pass = 0; pass < 2; pass++)
        for (const char *const *b = pass ? below : itself; *b; b++) {
            char path[PATH_MAX];
            if (!path_join(folder, dir, *b, "", s))
                return false;
            int found = find_name(path, folder, names, s);
            if (found)
                return found > 0;
        }
    char places[512];
    return status_fail(s, "there is no %s %s; %s", names[0],
                       places_text(dir, below, places, sizeof places), get);
}

/* ---- opening ------------------------------------------------------------- */

bool data_file_open(DataFile *f, const char *folder, const char *const *names,
                    const char *get, Status *s)
{
    *f = (DataFile){0};
    int found = find_name(f->path, folder, names, s);
    if (found < 0)
        return false;
    if (!found)
        return status_fail(s, "there is no %s in %s; %s", names[0], folder,
                           get);
    /* A pipe of that name must not make us wait for ever. */
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    if (fd < 0 || fstat(fd, &info)) {
        status_errno(s, "open", f->path, NULL);
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (S_ISREG(info.st_mode))
        f->stream = gzdopen(fd, "rb");
    if (!f->stream) {
        close(fd);
        return status_fail(s,
                           S_ISREG(info.st_mode)
                               ? "there is no memory to read %s"
                               : "%s is not a file",
                           f->path);
    }
    gzbuffer(f->stream, BUFFER);
    f->size = info.st_size;
    f->gzip = !gzdirect(f->stream);
    return true;
}

void data_file_close(DataFile *f)
{
    if (f->stream)
        gzclose(f->stream);
    f->stream = NULL;
}

/* ---- reading ------------------------------------------------------------- */

/* zlib says "<fd:3>: invalid block type"; people know the path already. */
static bool fail_corrupt(const DataFile *f, Status *s)
{
    int code;
    const char *text = gzerror(f->stream, &code);
    if (code == Z_ERRNO)
        return status_errno(s, "read", f->path, NULL);
    const char *colon = strstr(text, ": ");
    return status_fail(s, "%s is corrupt: %s; get the file again", f->path,
                       colon ? colon + 2 : text);
}

static bool ends_early(const DataFile *f)
{
    int code;
    gzerror(f->stream, &code);
    return code == Z_BUF_ERROR;
}

static bool fail_short(const DataFile *f, int64_t wanted, Status *s)
{
    return status_fail(s,
                       "%s is cut short: %s after %lld bytes where at least "
                       "%lld are needed; get the file again",
                       f->path,
                       ends_early(f) ? "the gzip data breaks off" : "it ends",
                       (long long)f->at, (long long)wanted);
}

bool data_file_expect(DataFile *f, int64_t bytes, const char *what, Status *s)
{
    if (f->gzip && bytes / MOST_RATIO <= f->size)
        return true;
    if (!f->gzip && bytes == f->size)
        return true;
    if (f->gzip)
        return status_fail(s,
                           "%s has %lld bytes of gzip, too few for the %lld "
                           "bytes that it must unpack to (%s); get the file "
                           "again",
                           f->path, (long long)f->size, (long long)bytes, what);
    bool little = f->size < bytes;
    int64_t off = little ? bytes - f->size : f->size - bytes;
    return status_fail(
        s,
        "%s has %lld bytes, %lld too %s: it must have %lld (%s); "
        "get the file again",
        f->path, (long long)f->size, (long long)off, little ? "few" : "many",
        (long long)bytes, what);
}

bool data_file_read(DataFile *f, void *to, int64_t bytes, Status *s)
{
    char *at = to;
    int64_t end = f->at + bytes;
    while (f->at < end) {
        int64_t left = end - f->at;
        unsigned piece = left < MOST_AT_ONCE ? (unsigned)left : MOST_AT_ONCE;
        int got = gzread(f->stream, at, piece);
        if (got < 0)
            return fail_corrupt(f, s);
        if (got == 0)
            return fail_short(f, end, s);
        at += got;
        f->at += got;
    }
    return true;
}

bool data_file_end(DataFile *f, Status *s)
{
    char more;
    int got = gzread(f->stream, &more, 1); /* also checks gzip's sums */
    if (got < 0)
        return fail_corrupt(f, s);
    if (got > 0)
        return status_fail(s,
                           "%s goes on after the %lld bytes that it should "
                           "have; get the file again",
                           f->path, (long long)f->at);
    return !ends_early(f) || fail_short(f, f->at, s);
}
