/* picture.h: JPEG and PNG files, decoded and fitted to what a model takes.
 *
 *     PictureReader *p = picture_open(status);       one for each thread
 *     picture_read(p, path, status)                  decoded, as it is
 *     picture_fit(p, &fit, to, status)               u8 [c,h,w]
 *     picture_close(p)
 *
 * The decoders are libjpeg-turbo and libpng, opened when the first such file
 * comes: a program that reads other data does not need them.  What they say
 * about files is not trusted: sizes have limits, and a file that they complain
 * about is damaged.
 */
#ifndef TGC_PICTURE_H
#define TGC_PICTURE_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>

enum {
    PICTURE_MOST_BYTES = 1 << 28,  /* of a file */
    PICTURE_MOST_PIXELS = 1 << 26, /* height times width */
    PICTURE_MOST_SCANS = 500       /* of a progressive JPEG */
};

/* Bytes [h,w,c], c is 1 (grey) or 3 (red, green, blue). */
typedef struct Picture {
    int64_t h, w, c;
    uint8_t *at;
    size_t room; /* bytes at `at` */
} Picture;

typedef struct PictureReader PictureReader;

typedef struct PictureFit {
    int64_t c, h, w; /* what comes out */
    bool resize;     /* so that it just covers h x w, then the middle is cut
                        out; else it must have that size */
} PictureFit;

/* NULL without memory. */
PictureReader *picture_open(Status *s);
void picture_close(PictureReader *p); /* NULL is fine */

/* The type is told by the first bytes.  Alpha is dropped, 16 bits become 8,
 * palettes colours, CMYK red, green, blue. */
bool picture_read(PictureReader *p, const char *path, Status *s);
/* The same from memory; `path` is for messages. */
bool picture_decode(PictureReader *p, const uint8_t *bytes, size_t n,
                    const char *path, Status *s);
const Picture *picture_last(const PictureReader *p);
/* Did the last reading fail because of what is in the file? */
bool picture_was_damaged(const PictureReader *p);

/* What was read last, to u8 [c,h,w].  Grey and colour become each other as in
 * Pillow's convert (ITU-R 601 weights); sizes as in its resize with BILINEAR
 * (a triangle as wide as a pixel of the smaller image), bit for bit. */
bool picture_fit(PictureReader *p, const PictureFit *fit, uint8_t *to,
                 Status *s);

#endif
