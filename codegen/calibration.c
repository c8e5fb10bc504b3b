/* calibration.c: see calibration.h. */
#include "calibration.h"
#include "file.h"
#include "process.h"
#include "sealed.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MOST = 1000000, LINE_SIZE = 512, MACHINE_SIZE = 256 };

typedef struct Entry {
    StepKey key;
    double seconds;
} Entry;

struct Calibration {
    Arena *arena;
    Entry *entry;
    size_t n, cap;
    HashTable table;
};

Calibration *calibration_new(void)
{
    Arena *a = arena_new();
    Calibration *c = arena_alloc(a, sizeof *c);
    c->arena = a;
    return c;
}

void calibration_free(Calibration *c)
{
    if (c)
        arena_free(c->arena);
}

/* ---- what is measured ---------------------------------------------------- */

StepKey step_key(const Kernels *k, const StepCode *code, const char *march,
                 int threads)
{
    uint64_t h[2];
    for (uint64_t i = 0; i < 2; i++) {
        h[i] = hash_text(i + 1, k->kernel[code->kernel].text);
        if (code->lib != UINT32_MAX)
            h[i] = hash_bytes(h[i], &k->lib[code->lib], sizeof *k->lib);
        h[i] = hash_number(h[i], (uint64_t)code->parts);
        h[i] = hash_number(h[i], (uint64_t)threads);
        h[i] = hash_text(h[i], march ? march : "native");
    }
    return (StepKey){h[0], h[1]};
}

typedef struct EntryKey {
    const Calibration *c;
    StepKey key;
} EntryKey;

static bool same_key(const void *key, uint32_t id)
{
    const EntryKey *k = key;
    const StepKey *x = &k->c->entry[id - 1].key;
    return x->a == k->key.a && x->b == k->key.b;
}

static uint32_t find_entry(const Calibration *c, StepKey key)
{
    return hash_find(&c->table, key.a, same_key, &(EntryKey){c, key});
}

bool calibration_find(const Calibration *c, StepKey key, double *seconds)
{
    uint32_t id = find_entry(c, key);
    if (id)
        *seconds = c->entry[id - 1].seconds;
    return id != 0;
}

void calibration_add(Calibration *c, StepKey key, double seconds)
{
    uint32_t id = find_entry(c, key);
    if (id) {
        c->entry[id - 1].seconds = seconds;
        return;
    }
    ARENA_PUSH(c->arena, c->entry, c->n, c->cap, ((Entry){key, seconds}));
    hash_add(&c->table, c->arena, key.a, (uint32_t)c->n);
}

/* ---- which machine ------------------------------------------------------- */

/* One line: the processor and how many cores of it there are. */
static void machine_text(char text[MACHINE_SIZE])
{
    char line[LINE_SIZE], model[LINE_SIZE] = "processor of unknown name";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10))
            continue;
        snprintf(model, sizeof model, "%s", colon + 2);
        model[strcspn(model, "\n")] = 0;
        break;
    }
    if (f)
        fclose(f);
    snprintf(text, MACHINE_SIZE, "%.200s, %d cores", model, process_cores());
}

bool calibration_place(char *path, size_t size)
{
    char machine[MACHINE_SIZE], folder[PATH_MAX];
    if (!file_cache_folder(folder) || !file_make_folder(folder))
        return false;
    machine_text(machine);
    uint64_t hash = hash_text(hash_text(0, machine), TGC_VERSION);
    int n = snprintf(path, size, "%s/steps-%016" PRIx64, folder, hash);
    return n > 0 && (size_t)n < size;
}

/* ---- the file ------------------------------------------------------------ */

static const char first_line[] = "tgc-calibration 2";

bool calibration_write(const Calibration *c, const char *path, Error *e)
{
    SealedWriter w;
    if (!sealed_create(&w, path))
        return error_set(e, "cannot write %.200s: %s", path, strerror(errno));
    char machine[MACHINE_SIZE];
    machine_text(machine);
    sealed_line(&w, "%s", first_line);
    sealed_line(&w, "tgc %s", TGC_VERSION);
    sealed_line(&w, "machine %s", machine);
    for (size_t i = 0; i < c->n; i++)
        sealed_line(&w, "step %016" PRIx64 "%016" PRIx64 " %.9g",
                    c->entry[i].key.a, c->entry[i].key.b, c->entry[i].seconds);
    return sealed_finish(&w, c->n) ||
           error_set(e, "cannot write %.200s: %s", path, strerror(errno));
}

static bool read_same(SealedReader *r, const char *word, const char *wanted,
                      const char *what, Error *e)
{
    size_t n = strlen(word);
    if (!sealed_next(r) || strncmp(r->line, word, n))
        return error_set(e, "it is damaged (line %d)", r->number);
    if (strcmp(r->line + n, wanted))
        return error_set(e,
                         "it was made by another %s (%.150s; this is %.150s)",
                         what, r->line + n, wanted);
    return true;
}

static bool read_head(SealedReader *r, Error *e)
{
    char machine[MACHINE_SIZE];
    machine_text(machine);
    if (!sealed_next(r) || strcmp(r->line, first_line))
        return error_set(e, "it is no calibration file");
    return read_same(r, "tgc ", TGC_VERSION, "tgc", e) &&
           read_same(r, "machine ", machine, "machine", e);
}

static bool read_step(const char *line, Entry *x)
{
    char *end;
    int used = 0;
    if (sscanf(line, "step %16" SCNx64 "%16" SCNx64 "%n", &x->key.a, &x->key.b,
               &used) != 2 ||
        line[used] != ' ')
        return false;
    x->seconds = strtod(line + used, &end);
    return !*end && isfinite(x->seconds) && x->seconds >= 0;
}

static bool read_steps(SealedReader *r, Calibration *to, Error *e)
{
    Entry x;
    while (sealed_next(r) && to->n < STEPS_MOST && read_step(r->line, &x))
        calibration_add(to, x.key, x.seconds);
    return sealed_ends(r, to->n) ||
           error_set(e, "it is damaged (line %d)", r->number);
}

CalibrationFile calibration_read(Calibration *c, const char *path, Error *e)
{
    SealedReader r = {.f = fopen(path, "r")};
    if (!r.f && errno == ENOENT)
        return CALIBRATION_NONE;
    if (!r.f) {
        error_set(e, "it cannot be read: %s", strerror(errno));
        return CALIBRATION_BAD;
    }
    Calibration *read = calibration_new();
    bool ok = read_head(&r, e) && read_steps(&r, read, e);
    for (size_t i = 0; ok && i < read->n; i++)
        calibration_add(c, read->entry[i].key, read->entry[i].seconds);
    calibration_free(read);
    fclose(r.f);
    return ok ? CALIBRATION_READ : CALIBRATION_BAD;
}
