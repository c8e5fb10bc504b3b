/* tune.c: --autotune: a program with several tiles of each product, and copies
 * of its step for cuDNN's convolutions, which times them on this machine's GPU
 * and writes the file of tiles. */
#include "codegen.h"
#include "process.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAID_SIZE = 400 };

typedef struct Tuning {
    Arena *arena;
    const char *folder, *log;
    char *binary;
    sigset_t signals;
} Tuning;

static bool make_folder(Tuning *t, Error *e)
{
    t->folder = process_folder(t->arena, e);
    if (!t->folder)
        return false;
    t->binary = arena_printf(t->arena, "%s/tiles", t->folder);
    t->log = arena_printf(t->arena, "%s/log", t->folder);
    return true;
}

/* The last line of what the program said. */
static void last_line(const Tuning *t, char said[SAID_SIZE])
{
    char line[SAID_SIZE];
    FILE *f = fopen(t->log, "r");
    said[0] = 0;
    while (f && fgets(line, sizeof line, f))
        if (line[0] != '\n')
            memcpy(said, line, sizeof line);
    if (f)
        fclose(f);
    said[strcspn(said, "\n")] = 0;
}

/* What it says of what it timed. */
static void say_found(const Tuning *t)
{
    char line[SAID_SIZE];
    FILE *f = fopen(t->log, "r");
    while (f && fgets(line, sizeof line, f))
        if (strstr(line, " timed"))
            fprintf(stderr, "tgc: %s", line);
    if (f)
        fclose(f);
}

static bool run_it(const Tuning *t, const char *path, Error *e)
{
    char said[SAID_SIZE], *file = strdup(path);
    char *argv[] = {t->binary, "bench", "--tune", file, NULL};
    Command command = {.argv = argv, .log = t->log};
    int failed = 0;
    bool ok = file && process_run(&command, 1, 1, &t->signals, &failed, e);
    free(file);
    last_line(t, said);
    if (ok)
        say_found(t);
    else if (said[0] && !process_interrupted())
        error_set(e, "--autotune: %.380s", said);
    return ok;
}

bool codegen_tune(const Module *m, const CodegenOptions *o, const char *path,
                  Error *e)
{
    Tuning t = {.arena = arena_new()};
    CodegenOptions all = *o;
    all.tiles = NULL;
    all.tiles_each = CODEGEN_TILES;
    all.save_temps = NULL;
    bool ok = make_folder(&t, e);
    if (ok) {
        process_block_signals(&t.signals);
        ok = codegen_compile(m, &all, t.binary, e) && run_it(&t, path, e);
        unlink(t.binary);
        unlink(t.log);
        rmdir(t.folder);
        process_restore_signals(&t.signals);
    }
    arena_free(t.arena);
    return ok;
}
