/* command_tune.c: which tiles a compile for a GPU takes, and whose
 * convolutions: those of a file that was measured, where there is one. */
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
    if (c->tunable && c->autotune)
        return fail("--tunable is for a program that is to be measured: "
                    "compile it once more with --tune-file then") == 0;
    return true;
}

/* ---- measuring ----------------------------------------------------------- */

/* Are convolutions of both kinds in it? */
static bool is_mixed(const Module *m)
{
    return module_graph(m, "train.tgc.all") &&
           module_graph(m, "train.cudnn.all");
}

/* A program that times all.  found: with convolutions as they were chosen, if
 * these are a mixture, which nobody has timed yet.  *chooses: there are some to
 * choose. */
static bool tune_once(const CommandLine *c, const char *path,
                      const TileTable *found, bool *chooses)
{
    char runtime[RUNTIME_PATH];
    Error e = {{0}};
    CommandLine now = *c;
    const ConvChoice convs = {.tiles = found, .vary = true};
    now.convs = &convs;
    Module *m = find_runtime(runtime) ? load_module(&now) : NULL;
    bool ok = m && optimize_module(m, &now, pass_pipeline);
    *chooses = ok && module_graph(m, "train.base");
    if (ok && (!found || is_mixed(m))) {
        CodegenOptions o = codegen_options(c);
        o.runtime = runtime;
        ok = codegen_tune(m, &o, path, &e) || fail(e.text) == 0;
    }
    module_free(m);
    return ok;
}

/* Twice where convolutions may be cuDNN's: single ones are timed among those of
 * the other's, so what was chosen is timed as a whole in the second round, and
 * the products that are new in it. */
static bool autotune(const CommandLine *c, const char *path)
{
    TileTable found = {0};
    bool chooses;
    if (!tune_once(c, path, NULL, &chooses))
        return false;
    bool ok = !chooses || (read_tiles(&found, c, path) &&
                           tune_once(c, path, &found, &chooses));
    tiles_free(&found);
    return ok;
}

bool tiles_open(Tiles *t, CommandLine *c)
{
    char path[RUNTIME_PATH];
    *t = (Tiles){0};
    if (!check_options(c))
        return false;
    if (!target_is_cuda(target_named(c->target)))
        return true;
    t->convs = (ConvChoice){.tiles = &t->table, .vary = c->tunable};
    c->convs = &t->convs;
    if (c->tunable && !c->tune_file)
        return true;
    if (!file_of(c, path))
        return !c->autotune || fail("--autotune: there is no home to keep "
                                    "tiles in: --tune-file FILE") == 0;
    return (!c->autotune || autotune(c, path)) &&
           read_tiles(&t->table, c, path);
}

void tiles_close(Tiles *t)
{
    tiles_free(&t->table);
}

void tiles_options(const Tiles *t, const CommandLine *c, CodegenOptions *o)
{
    o->tiles = c->tunable ? NULL : &t->table; /* all are to be measured */
    o->tiles_each = c->tunable ? CODEGEN_TILES : 0;
}
