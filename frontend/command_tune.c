/* command_tune.c: which tiles a compile for a GPU takes: those of a file that
 * was measured, where there is one. */
#include "commands.h"
#include <string.h>

/* --tune-file, else where --autotune keeps it; false: nowhere. */
static bool file_of(const CommandLine *c, char path[RUNTIME_PATH])
{
    const char *arch = target_arch(c->target);
    if (!c->tune_file)
        return tiles_place(arch ? arch : "cuda", path, RUNTIME_PATH);
    snprintf(path, RUNTIME_PATH, "%s", c->tune_file);
    return true;
}

/* A file that was named must be of use; one in the cache may be. */
static bool refuse(const CommandLine *c, const char *path, const char *why)
{
    bool must = c->tune_file || c->autotune;
    fprintf(stderr, "tgc: %stiles %s cannot be used: %s\n",
            must ? "error: " : "", path, why);
    return !must;
}

static bool read_tiles(TileTable *t, const CommandLine *c, const char *path)
{
    Status s = {0};
    char why[256];
    const char *arch = target_arch(c->target);
    TilesFile found = tiles_read(t, path, &s);
    if (found == TILES_BAD)
        return refuse(c, path, s.text);
    if (found == TILES_NONE)
        return !c->tune_file ||
               refuse(c, path,
                      "there is no such file (PROGRAM bench --tune, or tgc "
                      "compile --autotune, makes one)");
    if (arch && strcmp(arch, t->arch)) {
        snprintf(why, sizeof why, "they are of %.31s (%.120s), not of %.31s",
                 t->arch, t->device, arch);
        tiles_free(t);
        return refuse(c, path, why);
    }
    if (c->verbose)
        fprintf(stderr, "tgc: tiles of %d products, measured on %s (%s): %s\n",
                t->n, t->device, t->arch, path);
    return true;
}

static bool check_options(const CommandLine *c)
{
    bool any = c->autotune || c->tunable || c->tune_file;
    if (any && !target_is_cuda(target_named(c->target)))
        return fail("--autotune, --tunable and --tune-file are for --target "
                    "cuda") == 0;
    if (c->tunable && (c->autotune || c->tune_file))
        return fail("--tunable is for a program that is to be measured: "
                    "compile it once more with --tune-file then") == 0;
    return true;
}

bool tiles_open(TileTable *t, const CommandLine *c, const Module *m,
                CodegenOptions *o)
{
    char path[RUNTIME_PATH];
    Error e = {{0}};
    *t = (TileTable){0};
    if (!check_options(c))
        return false;
    o->tiles_each = c->tunable ? CODEGEN_TILES : 0;
    if (!target_is_cuda(o->target) || c->tunable)
        return true;
    if (!file_of(c, path))
        return !c->autotune || fail("--autotune: there is no home to keep "
                                    "tiles in: --tune-file FILE") == 0;
    if (c->autotune && !codegen_tune(m, o, path, &e))
        return fail(e.text) == 0;
    o->tiles = t;
    return read_tiles(t, c, path);
}
