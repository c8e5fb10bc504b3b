/* zip.c: the directory of a zip file; see zip.h.  The format is PKWARE's
 * APPNOTE 6.3. */
#include "zip_private.h"
#include <stdlib.h>
#include <string.h>

enum {
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    COMMENT_MOST = 65535,
    DIRECTORY_MOST = 1 << 26,
    RATIO_MOST = 1032, /* deflate packs no better than this */
    ENCRYPTED = 1,     /* in an entry's flags */
};

#define LOCAL_SIGN   0x04034b50u
#define CENTRAL_SIGN 0x02014b50u
#define END_SIGN     0x06054b50u
#define END64_SIGN   0x06064b50u
#define LOCATOR_SIGN 0x07064b50u
#define IN_ZIP64     0xffffffffu /* the real number is in zip64's record */

static uint32_t u16(const unsigned char *at)
{
    return (uint32_t)little_number(at, 2);
}

static uint32_t u32(const unsigned char *at)
{
    return (uint32_t)little_number(at, 4);
}

static bool no_memory(const ZipFile *z, Status *s)
{
    return status_fail(s, "no memory for the directory of %s", z->in->path);
}

/* ---- the end record ------------------------------------------------------ */

typedef struct Directory {
    int64_t at, bytes, n;
} Directory;

/* A number of zip64: 64 bits, but no file is that large. */
static bool take_64(const ZipFile *z, const unsigned char *at, int64_t *to,
                    Status *s)
{
    uint64_t v = little_number(at, 8);
    if (v > (uint64_t)z->in->size)
        return input_damaged(z->in, s, "its directory lies outside of it");
    *to = (int64_t)v;
    return true;
}

/* The record of zip64 comes before the end record, behind a locator. */
static bool read_end64(const ZipFile *z, int64_t end, Directory *d, Status *s)
{
    unsigned char locator[LOCATOR_BYTES], record[END64_BYTES];
    int64_t at = 0;
    if (end < LOCATOR_BYTES)
        return true;
    if (!input_read(z->in, end - LOCATOR_BYTES, locator, LOCATOR_BYTES, s))
        return false;
    if (u32(locator) != LOCATOR_SIGN)
        return true;
    if (!take_64(z, locator + 8, &at, s) ||
        !input_read(z->in, at, record, END64_BYTES, s))
        return false;
    if (u32(record) != END64_SIGN)
        return input_damaged(z->in, s, "its zip64 record is not there");
    return take_64(z, record + 32, &d->n, s) &&
           take_64(z, record + 40, &d->bytes, s) &&
           take_64(z, record + 48, &d->at, s);
}

static bool parse_end(const ZipFile *z, const unsigned char *record,
                      int64_t end, Directory *d, Status *s)
{
    d->n = u16(record + 10);
    d->bytes = u32(record + 12);
    d->at = u32(record + 16);
    if (u16(record + 4) || u16(record + 6))
        return status_fail(s,
                           "%s is one volume of a split zip file, which "
                           "tgc does not read",
                           z->in->path);
    if (!read_end64(z, end, d, s))
        return false;
    if (d->at > end || d->bytes > end - d->at || d->bytes > DIRECTORY_MOST ||
        d->n > d->bytes / CENTRAL_BYTES)
        return input_damaged(z->in, s, "its directory lies outside of it");
    return true;
}

/* The record is at the file's end, but for a comment. */
static bool find_end(const ZipFile *z, Directory *d, Status *s)
{
    int64_t room = END_BYTES + COMMENT_MOST;
    int64_t n = z->in->size < room ? z->in->size : room;
    unsigned char *tail = malloc((size_t)n + 1);
    if (!tail)
        return no_memory(z, s);
    bool done = input_read(z->in, z->in->size - n, tail, n, s);
    int64_t i = n - END_BYTES;
    while (
        done && i >= 0 &&
        (u32(tail + i) != END_SIGN || u16(tail + i + 20) != n - i - END_BYTES))
        i--;
    if (done && i < 0)
        done = input_damaged(z->in, s,
                             "its directory is missing: the zip "
                             "file is cut short");
    done = done && parse_end(z, tail + i, z->in->size - n + i, d, s);
    free(tail);
    return done;
}

/* ---- entries ------------------------------------------------------------- */

/* Sizes and place that do not fit 32 bits are in an extra field. */
static bool parse_zip64(const ZipFile *z, ZipEntry *e,
                        const unsigned char *extra, uint32_t n, Status *s)
{
    int64_t *field[] = {&e->size, &e->packed, &e->header};
    while (n >= 4) {
        uint32_t kind = u16(extra), bytes = u16(extra + 2);
        if (bytes > n - 4)
            break;
        for (int i = 0, at = 0; kind == 1 && i < 3; i++) {
            if (*field[i] != IN_ZIP64)
                continue;
            if (at + 8 > (int)bytes || extra[4 + at + 7] & 0x80)
                return input_damaged(z->in, s, "a zip64 field does not fit");
            *field[i] = (int64_t)little_number(extra + 4 + at, 8);
            at += 8;
        }
        extra += 4 + bytes;
        n -= 4 + bytes;
    }
    return true;
}

static bool check_entry(const ZipFile *z, const ZipEntry *e, uint32_t flags,
                        uint32_t method, Status *s)
{
    if (flags & ENCRYPTED)
        return status_fail(s,
                           "%.200s in %s is encrypted, which tgc does not "
                           "read (save it without a password)",
                           e->name, z->in->path);
    if (method != 0 && method != 8)
        return status_fail(s,
                           "%.200s in %s is packed by method %u, tgc knows "
                           "stored and deflate only (save it again)",
                           e->name, z->in->path, method);
    if (!e->deflated && e->packed != e->size)
        return input_damaged(z->in, s, "%.200s has two sizes", e->name);
    if (e->packed > z->in->size || e->size / RATIO_MOST > e->packed)
        return input_damaged(z->in, s, "%.200s has a size that cannot be",
                             e->name);
    return true;
}

/* Names go to z->names, which has room for the whole directory. */
static bool parse_entry(ZipFile *z, const unsigned char *at, int64_t left,
                        int64_t *used, Status *s)
{
    if (left < CENTRAL_BYTES || u32(at) != CENTRAL_SIGN)
        return input_damaged(z->in, s, "its directory is garbled");
    uint32_t name = u16(at + 28), extra = u16(at + 30);
    *used = (int64_t)CENTRAL_BYTES + name + extra + u16(at + 32);
    if (*used > left || memchr(at + CENTRAL_BYTES, 0, name))
        return input_damaged(z->in, s, "its directory is garbled");
    char *to = z->names + z->names_used;
    memcpy(to, at + CENTRAL_BYTES, name);
    to[name] = 0;
    z->names_used += name + 1;
    ZipEntry *e = &z->entry[z->n++];
    *e = (ZipEntry){.name = to, .crc = u32(at + 16)};
    e->deflated = u16(at + 10) == 8;
    e->packed = u32(at + 20);
    e->size = u32(at + 24);
    e->header = u32(at + 42);
    return parse_zip64(z, e, at + CENTRAL_BYTES + name, extra, s) &&
           check_entry(z, e, u16(at + 8), u16(at + 10), s);
}

static bool parse_directory(ZipFile *z, const Directory *d,
                            const unsigned char *bytes, Status *s)
{
    int64_t at = 0, used = 0;
    for (int64_t i = 0; i < d->n; i++, at += used)
        if (!parse_entry(z, bytes + at, d->bytes - at, &used, s))
            return false;
    return at == d->bytes ||
           input_damaged(z->in, s, "its directory has bytes left over");
}

static bool read_directory(ZipFile *z, const Directory *d, Status *s)
{
    unsigned char *bytes = malloc((size_t)d->bytes + 1);
    z->entry = calloc((size_t)d->n + 1, sizeof *z->entry);
    z->names = malloc((size_t)(d->bytes + d->n) + 1);
    bool done = bytes && z->entry && z->names;
    if (!done)
        no_memory(z, s);
    done = done && input_read(z->in, d->at, bytes, d->bytes, s) &&
           parse_directory(z, d, bytes, s);
    free(bytes);
    return done;
}

/* ---- local headers ------------------------------------------------------- */

/* Finds where the data begins. The sizes here are often left out (they follow
 * the data then), so that only name and method can be compared. */
static bool read_local(ZipFile *z, ZipEntry *e, char *name, Status *s)
{
    unsigned char h[LOCAL_BYTES];
    size_t length = strlen(e->name);
    if (!input_read(z->in, e->header, h, LOCAL_BYTES, s))
        return false;
    if (u32(h) != LOCAL_SIGN || u16(h + 26) != length ||
        (u16(h + 8) == 8) != e->deflated)
        return input_damaged(z->in, s,
                             "%.200s is not where its directory "
                             "says",
                             e->name);
    e->at = e->header + LOCAL_BYTES + (int64_t)length + u16(h + 28);
    if (!input_read(z->in, e->header + LOCAL_BYTES, name, (int64_t)length, s))
        return false;
    if (memcmp(name, e->name, length))
        return input_damaged(z->in, s, "%.200s has another name inside",
                             e->name);
    return true;
}

static bool read_locals(ZipFile *z, Status *s)
{
    char *name = malloc(COMMENT_MOST + 1);
    bool done = name != NULL;
    if (!done)
        no_memory(z, s);
    for (uint32_t i = 0; done && i < z->n; i++)
        done = read_local(z, &z->entry[i], name, s);
    free(name);
    return done;
}

static int by_place(const void *a, const void *b)
{
    const ZipEntry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int by_name(const void *a, const void *b)
{
    const ZipEntry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Entries that share bytes are how a small file unpacks to a huge one. */
static bool check_places(ZipFile *z, const Directory *d, Status *s)
{
    int64_t end = 0;
    qsort(z->entry, z->n, sizeof *z->entry, by_place);
    for (uint32_t i = 0; i < z->n; i++) {
        const ZipEntry *e = &z->entry[i];
        if (e->header < end)
            return input_damaged(z->in, s, "%.200s overlaps another entry",
                                 e->name);
        if (e->at > d->at || e->packed > d->at - e->at)
            return input_damaged(z->in, s, "%.200s runs into the directory",
                                 e->name);
        end = e->at + e->packed;
    }
    qsort(z->entry, z->n, sizeof *z->entry, by_name);
    for (uint32_t i = 1; i < z->n; i++)
        if (!strcmp(z->entry[i - 1].name, z->entry[i].name))
            return input_damaged(z->in, s, "%.200s comes twice",
                                 z->entry[i].name);
    return true;
}

/* ---- the whole ----------------------------------------------------------- */

static bool open_directory(ZipFile *z, Status *s)
{
    Directory d = {0};
    return find_end(z, &d, s) && read_directory(z, &d, s) &&
           read_locals(z, s) && check_places(z, &d, s);
}

ZipFile *zip_open(const Input *in, Status *s)
{
    ZipFile *z = calloc(1, sizeof *z);
    if (!z) {
        status_fail(s, "no memory");
        return NULL;
    }
    z->in = in;
    if (open_directory(z, s))
        return z;
    zip_close(z);
    return NULL;
}

void zip_close(ZipFile *z)
{
    if (!z)
        return;
    free(z->entry);
    free(z->names);
    free(z);
}

uint32_t zip_count(const ZipFile *z)
{
    return z->n;
}

const ZipEntry *zip_at(const ZipFile *z, uint32_t i)
{
    return &z->entry[i];
}

const ZipEntry *zip_find(const ZipFile *z, const char *name)
{
    const ZipEntry key = {.name = name};
    return z->n ? bsearch(&key, z->entry, z->n, sizeof key, by_name) : NULL;
}
