/* picture_png.c: PNG by libpng, which is opened when it is needed. */
#include "picture_private.h"
#include <dlfcn.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libpng16.so.16"

/* In the order of `names`. */
typedef struct PngApi {
    __typeof__(png_create_read_struct) *create;
    __typeof__(png_create_info_struct) *create_info;
    __typeof__(png_destroy_read_struct) *destroy;
    __typeof__(png_init_io) *source;
    __typeof__(png_read_info) *header;
    __typeof__(png_get_image_width) *width;
    __typeof__(png_get_image_height) *height;
    __typeof__(png_set_expand) *expand;
    __typeof__(png_set_scale_16) *scale_16;
    __typeof__(png_set_strip_alpha) *strip_alpha;
    __typeof__(png_set_interlace_handling) *interlace;
    __typeof__(png_read_update_info) *update;
    __typeof__(png_get_channels) *channels;
    __typeof__(png_read_image) *image;
    __typeof__(png_read_end) *end;
} PngApi;

static const char *const names[] = {"png_create_read_struct",
                                    "png_create_info_struct",
                                    "png_destroy_read_struct",
                                    "png_init_io",
                                    "png_read_info",
                                    "png_get_image_width",
                                    "png_get_image_height",
                                    "png_set_expand",
                                    "png_set_scale_16",
                                    "png_set_strip_alpha",
                                    "png_set_interlace_handling",
                                    "png_read_update_info",
                                    "png_get_channels",
                                    "png_read_image",
                                    "png_read_end",
                                    NULL};

typedef struct PicturePng {
    PngApi api;
    void *library;
    png_structp png;
    png_infop info;
    FILE *from; /* the file's bytes */
    jmp_buf failed;
    char why[200];
} PicturePng;

/* Must not return.  Whose picture it is only the library knows, which is open
 * already: this asks it by name. */
static void stop(png_structp png, png_const_charp why)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    void *symbol = dlsym(library, "png_get_error_ptr");
    __typeof__(png_get_error_ptr) *error_of;
    memcpy(&error_of, &symbol, sizeof error_of);
    PicturePng *x = error_of(png);
    dlclose(library);
    snprintf(x->why, sizeof x->why, "%s", why);
    longjmp(x->failed, 1);
}

static void say_nothing(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

static void png_forget(PicturePng *x)
{
    if (x->png)
        x->api.destroy(&x->png, &x->info, NULL);
    if (x->from)
        fclose(x->from);
    x->from = NULL;
}

void picture_png_close(PicturePng *x)
{
    if (!x)
        return;
    png_forget(x);
    if (x->library)
        dlclose(x->library);
    free(x);
}

static PicturePng *png_open(Status *s)
{
    PicturePng *x = calloc(1, sizeof *x);
    void *symbols[sizeof names / sizeof *names];
    if (!x) {
        status_fail(s, "there is no memory to read pictures");
        return NULL;
    }
    if (!picture_library(&x->library, LIBRARY, "libpng16-16", names, symbols,
                         s)) {
        picture_png_close(x);
        return NULL;
    }
    memcpy(&x->api, symbols, sizeof x->api);
    return x;
}

/* Each row where it belongs: an interlaced picture comes in seven passes. */
static bool read_rows(PictureReader *p, PicturePng *x, Status *s)
{
    const Picture *to = &p->picture;
    if (!picture_room(&p->rows, (size_t)to->h * sizeof(png_bytep), s))
        return false;
    png_bytep *row = (png_bytep *)(void *)p->rows.at;
    for (int64_t y = 0; y < to->h; y++)
        row[y] = to->at + y * to->w * to->c;
    x->api.image(x->png, row);
    x->api.end(x->png, NULL);
    return true;
}

static bool decode(PictureReader *p, PicturePng *x, Status *s)
{
    x->api.source(x->png, x->from);
    x->api.header(x->png, x->info);
    int64_t h = x->api.height(x->png, x->info);
    int64_t w = x->api.width(x->png, x->info);
    x->api.expand(x->png);
    x->api.scale_16(x->png);
    x->api.strip_alpha(x->png);
    x->api.interlace(x->png);
    /* Before the library takes memory for rows. */
    if (!picture_allocate(p, h, w, 3, s))
        return false;
    x->api.update(x->png, x->info);
    return picture_allocate(p, h, w, x->api.channels(x->png, x->info), s) &&
           read_rows(p, x, s);
}

static bool decode_guarded(PictureReader *p, Status *s)
{
    if (setjmp(p->png->failed))
        return picture_damaged(p, p->png->why, s);
    PngApi *api = &p->png->api;
    p->png->png = api->create(PNG_LIBPNG_VER_STRING, p->png, stop, say_nothing);
    p->png->info = p->png->png ? api->create_info(p->png->png) : NULL;
    if (!p->png->info)
        return status_fail(s, "there is no memory to read pictures");
    return decode(p, p->png, s);
}

bool picture_png(PictureReader *p, const uint8_t *bytes, size_t n, Status *s)
{
    if (!p->png)
        p->png = png_open(s);
    if (!p->png)
        return false;
    p->png->from = fmemopen((void *)(uintptr_t)bytes, n, "rb");
    bool good = p->png->from
                    ? decode_guarded(p, s)
                    : status_fail(s, "there is no memory to read pictures");
    png_forget(p->png);
    return good;
}
