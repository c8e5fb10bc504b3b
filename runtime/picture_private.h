/* picture_private.h: between picture.c, the decoders and picture_fit.c. */
#ifndef TGC_PICTURE_PRIVATE_H
#define TGC_PICTURE_PRIVATE_H

#include "picture.h"

/* What may be read past the last pixel. */
enum { PICTURE_SLACK = 8 };

/* Bytes that are used again and again. */
typedef struct PictureRoom {
    uint8_t *at;
    size_t room;
} PictureRoom;

struct PictureReader {
    Picture picture;
    struct PictureJpeg *jpeg; /* NULL until the first such file */
    struct PicturePng *png;
    PictureRoom file, rows, taps[2];
    char path[4096]; /* for messages */
    bool damaged;
};

/* At least n bytes; what was there is gone. */
bool picture_room(PictureRoom *r, size_t n, Status *s);
/* Room for a picture of this size, within the limits. */
bool picture_allocate(PictureReader *p, int64_t h, int64_t w, int64_t c,
                      Status *s);
/* "PATH is damaged: .."; false */
bool picture_damaged(PictureReader *p, const char *why, Status *s);

bool picture_jpeg(PictureReader *p, const uint8_t *bytes, size_t n, Status *s);
void picture_jpeg_close(struct PictureJpeg *x);
bool picture_png(PictureReader *p, const uint8_t *bytes, size_t n, Status *s);
void picture_png_close(struct PicturePng *x);

/* n pixels of [n,3] to three planes, so many bytes from one to the next. */
void picture_planes(const uint8_t *restrict from, int64_t n, int64_t plane,
                    uint8_t *restrict to);
/* The picture just covering h x w, its middle, to [c,h,w]. */
bool picture_resize(PictureReader *p, int64_t h, int64_t w, uint8_t *to,
                    Status *s);

/* Functions of a library by name, one after the other into `to`; false with a
 * sentence that says which package has it. */
bool picture_library(void **library, const char *file, const char *package,
                     const char *const *names, void **to, Status *s);

#endif
