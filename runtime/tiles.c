/* tiles.c: see tiles.h. */
#include "tiles.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_SIZE = 512, PATH_SIZE = 4096, ROWS_MOST = 1000000 };

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

static bool make_folder(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

bool tiles_place(const char *arch, char *path, size_t size)
{
    char folder[PATH_SIZE];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        snprintf(folder, sizeof folder, "%s", cache);
    else if (home && *home == '/')
        snprintf(folder, sizeof folder, "%s/.cache", home);
    else
        return false;
    make_folder(folder);
    size_t used = strlen(folder);
    snprintf(folder + used, sizeof folder - used, "/tgc");
    make_folder(folder);
    int n = snprintf(path, size, "%s/tiles-%s", folder, arch);
    return n > 0 && (size_t)n < size;
}

/* ---- writing ------------------------------------------------------------ */

/* Fowler, Noll and Vo's hash, FNV-1a, of a line and its end. */
static uint64_t add_line(uint64_t sum, const char *line)
{
    for (; *line; line++)
        sum = (sum ^ (unsigned char)*line) * UINT64_C(0x100000001b3);
    return (sum ^ '\n') * UINT64_C(0x100000001b3);
}

static const uint64_t sum_of_nothing = UINT64_C(0xcbf29ce484222325);

static void write_line(FILE *f, uint64_t *sum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void write_line(FILE *f, uint64_t *sum, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    *sum = add_line(*sum, line);
    fprintf(f, "%s\n", line);
}

static void write_all(const TileTable *t, FILE *f)
{
    uint64_t sum = sum_of_nothing;
    write_line(f, &sum, "%s", first_line);
    write_line(f, &sum, "device %s %s", t->arch, t->device);
    for (int i = 0; i < t->n; i++)
        write_line(f, &sum, "product %s %s %s %.3f %.3f", t->row[i].name,
                   t->row[i].who, t->row[i].tile, t->row[i].best,
                   t->row[i].model);
    fprintf(f, "end %d %016" PRIx64 "\n", t->n, sum);
}

bool tiles_write(const TileTable *t, const char *path, Status *s)
{
    char beside[PATH_SIZE + 32];
    snprintf(beside, sizeof beside, "%.4000s.tgc-%ld", path, (long)getpid());
    FILE *f = fopen(beside, "w");
    if (!f)
        return status_errno(s, "write", path, NULL);
    write_all(t, f);
    bool ok = !fflush(f) && !ferror(f);
    ok &= !fclose(f);
    if (ok && rename(beside, path) == 0)
        return true;
    status_errno(s, "write", path, NULL);
    unlink(beside);
    return false;
}

/* ---- reading ------------------------------------------------------------ */

typedef struct Reader {
    FILE *f;
    char line[LINE_SIZE];
    uint64_t sum; /* of the lines before this one */
    int number;
} Reader;

/* The next line, without its end. */
static bool next_line(Reader *r)
{
    if (r->number)
        r->sum = add_line(r->sum, r->line);
    if (!fgets(r->line, sizeof r->line, r->f))
        return false;
    r->number++;
    size_t n = strlen(r->line);
    if (!n || r->line[n - 1] != '\n')
        return false;
    r->line[n - 1] = 0;
    return true;
}

static bool read_device(Reader *r, TileTable *t)
{
    int at = 0;
    if (!next_line(r) || sscanf(r->line, "device %31s %n", t->arch, &at) != 1 ||
        !at)
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

static bool read_end(const Reader *r, int n)
{
    int rows = 0, at = 0;
    uint64_t sum = 0;
    return sscanf(r->line, "end %d %16" SCNx64 "%n", &rows, &sum, &at) == 2 &&
           !r->line[at] && rows == n && sum == r->sum;
}

static bool read_all(Reader *r, TileTable *t, Status *s)
{
    if (!next_line(r) || strncmp(r->line, first_line, sizeof first_line - 2))
        return status_fail(s, "it is no file of tiles");
    if (strcmp(r->line, first_line))
        return status_fail(s,
                           "it was made by another version (%.40s; this is "
                           "%s): measure again",
                           r->line, first_line);
    bool well = read_device(r, t);
    TileRow row;
    while (well && next_line(r) && t->n < ROWS_MOST && read_row(r->line, &row))
        if (!tiles_set(t, &row, s))
            return false;
    if (!well || !read_end(r, t->n) || getc(r->f) != EOF)
        return status_fail(s, "it is damaged (line %d): measure again",
                           r->number);
    return true;
}

TilesFile tiles_read(TileTable *t, const char *path, Status *s)
{
    Reader r = {.f = fopen(path, "r"), .sum = sum_of_nothing};
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
