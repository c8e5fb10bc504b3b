/* tiles.c: see tiles.h. */
#include "tiles.h"
#include "file.h"
#include "sealed.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MOST = 1000000 };

static const char first_line[] = "tgc-tiles 1";

/* ---- rows --------------------------------------------------------------- */

void tiles_free(TileTable *t)
{
    free(t->row);
    *t = (TileTable){0};
}

/* Where the name is, or would be. */
static int place_of(const TileTable *t, const char *name)
{
    int low = 0, high = t->n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (strcmp(t->row[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const TileRow *tiles_find(const TileTable *t, const char *name)
{
    int at = place_of(t, name);
    return at < t->n && !strcmp(t->row[at].name, name) ? &t->row[at] : NULL;
}

bool tiles_set(TileTable *t, const TileRow *row, Status *s)
{
    int at = place_of(t, row->name);
    if (at < t->n && !strcmp(t->row[at].name, row->name)) {
        t->row[at] = *row;
        return true;
    }
    if (t->n == t->cap) {
        int cap = 2 * t->cap + 16;
        TileRow *more = realloc(t->row, (size_t)cap * sizeof *more);
        if (!more)
            return status_fail(s, "no memory for a table of tiles");
        t->row = more;
        t->cap = cap;
    }
    memmove(&t->row[at + 1], &t->row[at], (size_t)(t->n - at) * sizeof *t->row);
    t->row[at] = *row;
    t->n++;
    return true;
}

/* ---- where -------------------------------------------------------------- */

bool tiles_place(const char *arch, char *path, size_t size)
{
    char folder[PATH_MAX];
    if (!file_cache_folder(folder))
        return false;
    file_make_folder(folder);
    int n = snprintf(path, size, "%s/tiles-%s", folder, arch);
    return n > 0 && (size_t)n < size;
}

/* ---- writing ------------------------------------------------------------ */

bool tiles_write(const TileTable *t, const char *path, Status *s)
{
    SealedWriter w;
    if (!sealed_create(&w, path))
        return status_errno(s, "write", path, NULL);
    sealed_line(&w, "%s", first_line);
    sealed_line(&w, "device %s %s", t->arch, t->device);
    for (int i = 0; i < t->n; i++)
        sealed_line(&w, "product %s %s %s %.3f %.3f", t->row[i].name,
                    t->row[i].who, t->row[i].tile, t->row[i].best,
                    t->row[i].model);
    return sealed_finish(&w, (size_t)t->n) ||
           status_errno(s, "write", path, NULL);
}

/* ---- reading ------------------------------------------------------------ */

static bool read_device(SealedReader *r, TileTable *t)
{
    int at = 0;
    if (!sealed_next(r) ||
        sscanf(r->line, "device %31s %n", t->arch, &at) != 1 || !at)
        return false;
    snprintf(t->device, sizeof t->device, "%.127s", r->line + at);
    return true;
}

static bool read_row(const char *line, TileRow *row)
{
    int at = 0;
    *row = (TileRow){0};
    return sscanf(line, "product %95s %31s %31s %lf %lf%n", row->name, row->who,
                  row->tile, &row->best, &row->model, &at) == 5 &&
           !line[at] && isfinite(row->best) && isfinite(row->model) &&
           row->best >= 0 && row->model >= 0;
}

static bool read_all(SealedReader *r, TileTable *t, Status *s)
{
    if (!sealed_next(r) || strncmp(r->line, first_line, sizeof first_line - 2))
        return status_fail(s, "it is no file of tiles");
    if (strcmp(r->line, first_line))
        return status_fail(s,
                           "it was made by another version (%.40s; this is "
                           "%s): measure again",
                           r->line, first_line);
    bool well = read_device(r, t);
    TileRow row;
    while (well && sealed_next(r) && t->n < ROWS_MOST &&
           read_row(r->line, &row))
        if (!tiles_set(t, &row, s))
            return false;
    if (!well || !sealed_ends(r, (size_t)t->n))
        return status_fail(s, "it is damaged (line %d): measure again",
                           r->number);
    return true;
}

TilesFile tiles_read(TileTable *t, const char *path, Status *s)
{
    SealedReader r = {.f = fopen(path, "r")};
    if (!r.f && errno == ENOENT)
        return TILES_NONE;
    if (!r.f) {
        status_fail(s, "it cannot be read: %s", strerror(errno));
        return TILES_BAD;
    }
    bool ok = read_all(&r, t, s);
    fclose(r.f);
    if (ok)
        return TILES_READ;
    tiles_free(t);
    return TILES_BAD;
}
