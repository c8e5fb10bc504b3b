/* inline_png.c: see inline_png.h.  The format: W3C, "Portable Network
 * Graphics", 2003: a signature, then pieces of length, name, data and CRC; the
 * pixels are rows with a filter byte each, packed by zlib. */
#include "inline_png.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct Bytes {
    uint8_t *data;
    size_t n;
} Bytes;

static void put(Bytes *b, const void *data, size_t n)
{
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_number(Bytes *b, uint32_t v)
{
    const uint8_t byte[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
                            (uint8_t)(v >> 8), (uint8_t)v};
    put(b, byte, 4);
}

static void put_piece(Bytes *b, const char name[4], const uint8_t *data,
                      size_t n)
{
    put_number(b, (uint32_t)n);
    size_t begin = b->n;
    put(b, name, 4);
    if (n)
        put(b, data, n);
    put_number(b, (uint32_t)crc32(0, b->data + begin, (uInt)(n + 4)));
}

static void print_base64(FILE *out, const uint8_t *data, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                "uvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)data[i] << 16;
        v |= i + 1 < n ? (uint32_t)data[i + 1] << 8 : 0;
        v |= i + 2 < n ? data[i + 2] : 0;
        putc(digit[v >> 18], out);
        putc(digit[v >> 12 & 63], out);
        putc(i + 1 < n ? digit[v >> 6 & 63] : '=', out);
        putc(i + 2 < n ? digit[v & 63] : '=', out);
    }
}

/* Rows of pixels, channels inside, each after a byte 0: no filter. */
static void fill_rows(uint8_t *to, const uint8_t *pixels, int64_t c, int64_t h,
                      int64_t w)
{
    for (int64_t y = 0; y < h; y++) {
        *to++ = 0;
        for (int64_t x = 0; x < w; x++)
            for (int64_t k = 0; k < c; k++)
                *to++ = pixels[(k * h + y) * w + x];
    }
}

static void fill_png(Bytes *b, const uint8_t *packed, size_t n, int64_t c,
                     int64_t h, int64_t w)
{
    uint8_t head[13];
    Bytes about = {head, 0};
    put_number(&about, (uint32_t)w);
    put_number(&about, (uint32_t)h);
    /* 8 bits; grey or RGB; the only packing, filter and order of rows. */
    const uint8_t rest[] = {8, c == 3 ? 2 : 0, 0, 0, 0};
    put(&about, rest, sizeof rest);
    put(b, "\x89PNG\r\n\x1a\n", 8);
    put_piece(b, "IHDR", head, sizeof head);
    put_piece(b, "IDAT", packed, n);
    put_piece(b, "IEND", NULL, 0);
}

void png_print(FILE *out, const uint8_t *pixels, int64_t c, int64_t h,
               int64_t w)
{
    c = c == 3 ? 3 : 1;
    size_t size = (size_t)(h * (1 + w * c));
    uLongf n = compressBound((uLong)size);
    uint8_t *rows = malloc(size), *packed = malloc(n);
    Bytes all = {malloc(n + 128), 0};
    if (rows && packed && all.data) {
        fill_rows(rows, pixels, c, h, w);
        if (compress2(packed, &n, rows, (uLong)size, 9) == Z_OK) {
            fill_png(&all, packed, n, c, h, w);
            fputs("data:image/png;base64,", out);
            print_base64(out, all.data, all.n);
        }
    }
    free(rows);
    free(packed);
    free(all.data);
}
