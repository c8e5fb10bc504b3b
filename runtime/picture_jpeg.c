/* picture_jpeg.c: JPEG by libjpeg-turbo, which is opened when it is needed.
 *
 * The library reports what it cannot go on with through a function that must
 * not return, so a decoding is one call under setjmp.  Data that it can only
 * guess about (it would fill in grey) counts as damaged. */
#include "picture_private.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h> /* wants stdio.h before it, jerror.h after */

#include <jerror.h>

#if JPEG_LIB_VERSION >= 80
#define LIBRARY "libjpeg.so.8"
#define PACKAGE "libjpeg-turbo8"
#else
#define LIBRARY "libjpeg.so.62"
#define PACKAGE "libjpeg62-turbo"
#endif

/* In the order of `names`. */
typedef struct JpegApi {
    __typeof__(jpeg_std_error) *std_error;
    __typeof__(jpeg_CreateDecompress) *create;
    __typeof__(jpeg_mem_src) *source;
    __typeof__(jpeg_read_header) *header;
    __typeof__(jpeg_start_decompress) *start;
    __typeof__(jpeg_read_scanlines) *lines;
    __typeof__(jpeg_finish_decompress) *finish;
    __typeof__(jpeg_abort_decompress) *abort;
    __typeof__(jpeg_destroy_decompress) *destroy;
} JpegApi;

static const char *const names[] = {"jpeg_std_error",
                                    "jpeg_CreateDecompress",
                                    "jpeg_mem_src",
                                    "jpeg_read_header",
                                    "jpeg_start_decompress",
                                    "jpeg_read_scanlines",
                                    "jpeg_finish_decompress",
                                    "jpeg_abort_decompress",
                                    "jpeg_destroy_decompress",
                                    NULL};

typedef struct PictureJpeg {
    JpegApi api;
    void *library;
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    bool made; /* info */
    char why[JMSG_LENGTH_MAX];
} PictureJpeg;

static void stop(j_common_ptr info)
{
    PictureJpeg *x = info->client_data;
    x->errors.format_message(info, x->why);
    longjmp(x->failed, 1);
}

/* Level -1 is a warning.  These are harmless: odd bytes between segments,
 * version numbers. */
static void complain(j_common_ptr info, int level)
{
    int code = info->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR &&
        code != JWRN_ADOBE_XFORM)
        stop(info);
}

static void say_nothing(j_common_ptr info)
{
    (void)info;
}

/* A small file may ask for thousands of passes over a large picture. */
static void count_scans(j_common_ptr info)
{
    PictureJpeg *x = info->client_data;
    if (x->info.input_scan_number <= PICTURE_MOST_SCANS)
        return;
    snprintf(x->why, sizeof x->why, "it has more than %d scans",
             PICTURE_MOST_SCANS);
    longjmp(x->failed, 1);
}

void picture_jpeg_close(PictureJpeg *x)
{
    if (x && x->made)
        x->api.destroy(&x->info);
    if (x && x->library)
        dlclose(x->library);
    free(x);
}

/* All but what must be freed after a failure, too. */
static bool jpeg_make(PictureJpeg *x, Status *s)
{
    void *symbols[sizeof names / sizeof *names];
    if (!picture_library(&x->library, LIBRARY, PACKAGE, names, symbols, s))
        return false;
    memcpy(&x->api, symbols, sizeof x->api);
    x->info.err = x->api.std_error(&x->errors);
    x->info.client_data = x;
    x->errors.error_exit = stop;
    x->errors.emit_message = complain;
    x->errors.output_message = say_nothing;
    if (setjmp(x->failed))
        return status_fail(s, "%s: %s", LIBRARY, x->why);
    x->api.create(&x->info, JPEG_LIB_VERSION, sizeof x->info);
    x->made = true;
    x->progress.progress_monitor = count_scans;
    x->info.progress = &x->progress;
    return true;
}

static PictureJpeg *jpeg_open(Status *s)
{
    PictureJpeg *x = calloc(1, sizeof *x);
    if (!x)
        status_fail(s, "there is no memory to read pictures");
    if (x && jpeg_make(x, s))
        return x;
    picture_jpeg_close(x);
    return NULL;
}

/* Adobe's programs store CMYK inverted, and say so in a marker. */
static void from_cmyk(const uint8_t *from, int64_t n, bool inverted,
                      uint8_t *to)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) {
            int ink = from[4 * i + k], black = from[4 * i + 3];
            if (!inverted) {
                ink = 255 - ink;
                black = 255 - black;
            }
            to[3 * i + k] = (uint8_t)((ink * black + 127) / 255);
        }
}

/* Room for a row of w pixels, never at a multiple of 32: to such a place the
 * library writes past the caches and waits for it, which for small pictures
 * takes longer than all else. */
static uint8_t *row_room(PictureRoom *r, int64_t w, Status *s)
{
    if (!picture_room(r, 4 * (size_t)w + 16, s))
        return NULL;
    return (uintptr_t)r->at % 32 ? r->at : r->at + 16;
}

static bool decode(PictureReader *p, PictureJpeg *x, Status *s)
{
    struct jpeg_decompress_struct *info = &x->info;
    Picture *to = &p->picture;
    x->api.header(info, TRUE);
    bool grey = info->num_components == 1, four = info->num_components == 4;
    info->out_color_space = grey ? JCS_GRAYSCALE : four ? JCS_CMYK : JCS_RGB;
    if (!picture_allocate(p, info->image_height, info->image_width,
                          grey ? 1 : 3, s))
        return false;
    uint8_t *row = row_room(&p->rows, to->w, s);
    if (!row)
        return false;
    x->api.start(info);
    while (info->output_scanline < info->output_height) {
        uint8_t *end = to->at + to->w * to->c * info->output_scanline;
        x->api.lines(info, &row, 1);
        if (four)
            from_cmyk(row, to->w, info->saw_Adobe_marker, end);
        else
            memcpy(end, row, (size_t)(to->w * to->c));
    }
    x->api.finish(info);
    return true;
}

static bool decode_guarded(PictureReader *p, const uint8_t *bytes, size_t n,
                           Status *s)
{
    if (setjmp(p->jpeg->failed)) {
        p->jpeg->api.abort(&p->jpeg->info);
        return picture_damaged(p, p->jpeg->why, s);
    }
    p->jpeg->api.source(&p->jpeg->info, bytes, n);
    if (decode(p, p->jpeg, s))
        return true;
    p->jpeg->api.abort(&p->jpeg->info);
    return false;
}

bool picture_jpeg(PictureReader *p, const uint8_t *bytes, size_t n, Status *s)
{
    if (!p->jpeg)
        p->jpeg = jpeg_open(s);
    return p->jpeg && decode_guarded(p, bytes, n, s);
}
