/* zip_read.c: the data of a zip file's entries; see zip.h.
 *
 * One way for all: a stream that gives the content in pieces, from which the
 * wanted part is kept and the sum of everything is taken. */
#include "zip_private.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PIECE = 1 << 14 };

typedef struct Stream {
    const ZipFile *z;
    const ZipEntry *e;
    int64_t taken, given; /* bytes of the file, of the content, so far */
    uLong crc;
    z_stream inflate;
    bool inflating, ended;
    unsigned char packed[PIECE], content[PIECE];
} Stream;

static bool stream_fail(const Stream *x, Status *s, const char *why)
{
    return input_damaged(x->z->in, s, "%.200s %s", x->e->name, why);
}

static Stream *stream_open(const ZipFile *z, const ZipEntry *e, Status *s)
{
    Stream *x = calloc(1, sizeof *x);
    if (x) {
        x->z = z;
        x->e = e;
        x->crc = crc32(0, NULL, 0);
        x->inflating =
            e->deflated && inflateInit2(&x->inflate, -MAX_WBITS) == Z_OK;
    }
    if (x && x->inflating == e->deflated)
        return x;
    free(x);
    status_fail(s, "no memory to read %s", z->in->path);
    return NULL;
}

static void stream_close(Stream *x)
{
    if (x->inflating)
        inflateEnd(&x->inflate);
    free(x);
}

/* The next bytes of the file, at most PIECE. */
static bool take_packed(Stream *x, unsigned char *to, int64_t *n, Status *s)
{
    int64_t left = x->e->packed - x->taken;
    *n = left < PIECE ? left : PIECE;
    if (!input_read(x->z->in, x->e->at + x->taken, to, *n, s))
        return false;
    x->taken += *n;
    return true;
}

static bool inflate_piece(Stream *x, int64_t *n, Status *s)
{
    int64_t more;
    x->inflate.next_out = x->content;
    x->inflate.avail_out = PIECE;
    while (x->inflate.avail_out && !x->ended) {
        if (!x->inflate.avail_in) {
            if (!take_packed(x, x->packed, &more, s))
                return false;
            if (!more)
                return stream_fail(x, s, "breaks off");
            x->inflate.next_in = x->packed;
            x->inflate.avail_in = (uInt)more;
        }
        int code = inflate(&x->inflate, Z_NO_FLUSH);
        x->ended = code == Z_STREAM_END;
        if (code != Z_OK && code != Z_STREAM_END)
            return stream_fail(x, s, "cannot be unpacked");
    }
    *n = PIECE - x->inflate.avail_out;
    return true;
}

/* The next piece of content, in x->content; 0 bytes: all of it was given. */
static bool stream_piece(Stream *x, int64_t *n, Status *s)
{
    bool done = x->e->deflated ? inflate_piece(x, n, s)
                               : take_packed(x, x->content, n, s);
    if (!done)
        return false;
    if (*n > x->e->size - x->given)
        return stream_fail(x, s, "is longer than its declared size");
    x->given += *n;
    x->crc = crc32(x->crc, x->content, (uInt)*n);
    return true;
}

static bool stream_check(const Stream *x, Status *s)
{
    if (x->given != x->e->size)
        return stream_fail(x, s, "is shorter than its declared size");
    if (x->taken != x->e->packed || (x->e->deflated && x->inflate.avail_in))
        return stream_fail(x, s, "has bytes left over");
    return x->crc == x->e->crc || stream_fail(x, s, "has a wrong checksum");
}

/* Keeps what of the piece that ends at x->given lies in begin .. end-1. */
static void keep_part(const Stream *x, int64_t n, int64_t begin, int64_t end,
                      char *to)
{
    int64_t first = x->given - n, low = begin > first ? begin : first;
    int64_t high = end < x->given ? end : x->given;
    if (low < high)
        memcpy(to + (low - begin), x->content + (low - first),
               (size_t)(high - low));
}

static bool read_part(Stream *x, int64_t begin, int64_t end, char *to,
                      bool whole, Status *s)
{
    int64_t n = 1;
    while (n && (whole || x->given < end)) {
        if (!stream_piece(x, &n, s))
            return false;
        keep_part(x, n, begin, end, to);
    }
    if (whole)
        return stream_check(x, s);
    return x->given >= end || stream_fail(x, s,
                                          "is shorter than its "
                                          "declared size");
}

static bool read_entry(const ZipFile *z, const ZipEntry *e, int64_t begin,
                       int64_t end, char *to, bool whole, Status *s)
{
    if (begin < 0 || begin > end || end > e->size)
        return input_damaged(z->in, s, "%.200s is too short", e->name);
    Stream *x = stream_open(z, e, s);
    if (!x)
        return false;
    bool done = read_part(x, begin, end, to, whole, s);
    stream_close(x);
    return done;
}

bool zip_head(const ZipFile *z, const ZipEntry *e, void *to, int64_t n,
              Status *s)
{
    return read_entry(z, e, 0, n, to, false, s);
}

bool zip_read(const ZipFile *z, const ZipEntry *e, int64_t begin, int64_t end,
              void *to, Status *s)
{
    return read_entry(z, e, begin, end, to, true, s);
}
