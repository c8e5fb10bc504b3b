/* calibration.c: see calibration.h. */
#include "calibration.h"
#include "process.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool make_folder(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

bool calibration_place(char *path, size_t size)
{
    char machine[MACHINE_SIZE], folder[4096];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        snprintf(folder, sizeof folder, "%s", cache);
    else if (home && *home == '/')
        snprintf(folder, sizeof folder, "%s/.cache", home);
    else
        return false;
    machine_text(machine);
    uint64_t hash = hash_text(hash_text(0, machine), TGC_VERSION);
    size_t used = strlen(folder);
    make_folder(folder);
    snprintf(folder + used, sizeof folder - used, "/tgc");
    if (!make_folder(folder))
        return false;
    int n = snprintf(path, size, "%s/steps-%016" PRIx64, folder, hash);
    return n > 0 && (size_t)n < size;
}

/* ---- the file ------------------------------------------------------------ */

/* The sum goes over all lines but the last. */
static void write_line(FILE *f, uint64_t *sum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void write_line(FILE *f, uint64_t *sum, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    *sum = hash_text(*sum, line);
    fprintf(f, "%s\n", line);
}

static void write_all(const Calibration *c, FILE *f)
{
    uint64_t sum = 0;
    char machine[MACHINE_SIZE];
    machine_text(machine);
    write_line(f, &sum, "tgc-calibration 1");
    write_line(f, &sum, "tgc %s", TGC_VERSION);
    write_line(f, &sum, "machine %s", machine);
    for (size_t i = 0; i < c->n; i++)
        write_line(f, &sum, "step %016" PRIx64 "%016" PRIx64 " %.9g",
                   c->entry[i].key.a, c->entry[i].key.b, c->entry[i].seconds);
    fprintf(f, "end %zu %016" PRIx64 "\n", c->n, sum);
}

bool calibration_write(const Calibration *c, const char *path, Error *e)
{
    char beside[4096 + 32];
    snprintf(beside, sizeof beside, "%.4096s.tgc-%ld", path, (long)getpid());
    FILE *f = fopen(beside, "w");
    if (!f)
        return error_set(e, "cannot write %.200s: %s", path, strerror(errno));
    write_all(c, f);
    bool ok = !fflush(f) && !ferror(f);
    ok &= !fclose(f);
    if (ok && rename(beside, path) == 0)
        return true;
    error_set(e, "cannot write %.200s: %s", path, strerror(errno));
    unlink(beside);
    return false;
}

typedef struct Reader {
    FILE *f;
    char line[LINE_SIZE];
    uint64_t sum;
    int number; /* of the line */
} Reader;

/* The next line, without its end. */
static bool read_line(Reader *r)
{
    if (!fgets(r->line, sizeof r->line, r->f))
        return false;
    r->number++;
    size_t n = strlen(r->line);
    if (!n || r->line[n - 1] != '\n')
        return false;
    r->line[n - 1] = 0;
    return true;
}

static bool read_same(Reader *r, const char *word, const char *wanted,
                      const char *what, Error *e)
{
    size_t n = strlen(word);
    if (!read_line(r) || strncmp(r->line, word, n))
        return error_set(e, "it is damaged (line %d)", r->number);
    if (strcmp(r->line + n, wanted))
        return error_set(e,
                         "it was made by another %s (%.150s; this is %.150s)",
                         what, r->line + n, wanted);
    r->sum = hash_text(r->sum, r->line);
    return true;
}

static bool read_head(Reader *r, Error *e)
{
    char machine[MACHINE_SIZE];
    machine_text(machine);
    if (!read_line(r) || strcmp(r->line, "tgc-calibration 1"))
        return error_set(e, "it is no calibration file");
    r->sum = hash_text(0, r->line);
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

static bool read_steps(Reader *r, Calibration *to, Error *e)
{
    Entry x;
    while (read_line(r) && to->n < STEPS_MOST && read_step(r->line, &x)) {
        r->sum = hash_text(r->sum, r->line);
        calibration_add(to, x.key, x.seconds);
    }
    size_t n;
    uint64_t sum;
    if (sscanf(r->line, "end %zu %16" SCNx64, &n, &sum) == 2 && n == to->n &&
        sum == r->sum)
        return true;
    return error_set(e, "it is damaged (line %d)", r->number);
}

CalibrationFile calibration_read(Calibration *c, const char *path, Error *e)
{
    Reader r = {.f = fopen(path, "r")};
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
