/* tiles.h: which of a template's tiles each product of a GPU does best with, as
 * measured on one: a file that `PROGRAM bench --tune FILE` writes and
 * `tgc compile --tune-file FILE` reads.
 *
 *     tgc-tiles 1
 *     device sm_90 NVIDIA H200
 *     product conv_3fa92c1b77 tgc 64x32/2x2 12.250 14.125
 *     product conv_f16_128x16x32x32_by_16x16x3x3_725dc75373 cudnn - 612.3 640.1
 *     end 2 6f..01            how many, and a sum over all before
 *
 * A product goes by the name of the kernel that the compiler's model chooses
 * for it, which is a hash of the kernel's text: shapes, types, what is fused
 * around it, the templates.  Then who computes it (tgc), in which tile best,
 * the microseconds of that and of the model's choice.  A convolution that may
 * be cuDNN's has another row (codegen/cuda_choice.h): who is to compute it,
 * alone
 * (-) or because all are better with one (all), the microseconds of a whole
 * step of training then and otherwise.  What was measured for other kernels is
 * never found, so it does no harm. */
#ifndef TGC_TILES_H
#define TGC_TILES_H

#include "status.h"
#include <stddef.h>

enum { TILES_NAME = 96, TILES_WORD = 32, TILES_DEVICE = 128 };

typedef struct TileRow {
    char name[TILES_NAME]; /* of the model's kernel, or of a convolution */
    char who[TILES_WORD], tile[TILES_WORD];
    double best, model; /* microseconds */
} TileRow;

typedef struct TileTable {
    char arch[TILES_WORD];     /* "sm_90" */
    char device[TILES_DEVICE]; /* "NVIDIA H200" */
    TileRow *row;              /* by name */
    int n, cap;
} TileTable;

typedef enum TilesFile {
    TILES_READ,
    TILES_NONE, /* there is no such file */
    TILES_BAD   /* damaged, of another version: the Status says what */
} TilesFile;

/* Into an empty table, which stays empty unless all of the file is well. */
TilesFile tiles_read(TileTable *t, const char *path, Status *s);
/* Beside and renamed. */
bool tiles_write(const TileTable *t, const char *path, Status *s);
void tiles_free(TileTable *t);

/* NULL: it was not measured. */
const TileRow *tiles_find(const TileTable *t, const char *name);
/* Adds it, or takes the place of the row of that name. */
bool tiles_set(TileTable *t, const TileRow *row, Status *s);

/* Where it is kept if nothing else is said: tiles-ARCH in $XDG_CACHE_HOME/tgc
 * (~/.cache/tgc), which is made.  False: neither is known. */
bool tiles_place(const char *arch, char *path, size_t size);

#endif
