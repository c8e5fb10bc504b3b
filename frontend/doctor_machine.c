/* doctor_machine.c: processor, memory, disk, and data sets at the places where
 * people keep them. See doctor.h. */
#include "doctor.h"
#include "file.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- /proc -------------------------------------------------------------- */

/* The text after `key` and blanks or a colon, in a file of such lines. */
static bool find_line(const char *path, const char *key, char *text,
                      size_t size)
{
    char line[8192];
    FILE *f = fopen(path, "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        found = !strncmp(line, key, strlen(key));
        line[strcspn(line, "\n")] = 0;
        const char *at = line + strlen(key);
        if (found)
            snprintf(text, size, "%s", at + strspn(at, " \t:"));
    }
    if (f)
        fclose(f);
    return found;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + n, word))
        if ((at == text || at[-1] == ' ') && (!at[n] || at[n] == ' '))
            return true;
    return false;
}

bool look_processor(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    static const char *const sets[] = {"avx512f",  "avx512_bf16", "avx512_fp16",
                                       "amx_bf16", "avx2",        "f16c",
                                       "asimd"};
    char name[200] = "an unknown one", flags[8000] = "", list[200] = "";
    cpu_set_t mine;
    find_line("/proc/cpuinfo", "model name", name, sizeof name);
    if (!find_line("/proc/cpuinfo", "flags", flags, sizeof flags))
        find_line("/proc/cpuinfo", "Features", flags, sizeof flags);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (has_word(flags, sets[i]))
            snprintf(list + strlen(list), sizeof list - strlen(list), " %s",
                     sets[i]);
    int cores = sched_getaffinity(0, sizeof mine, &mine) ? 1 : CPU_COUNT(&mine);
    snprintf(found, FOUND_SIZE, "%s, %d core%s%s%s", name, cores,
             cores == 1 ? "" : "s", *list ? ":" : "", list);
    return true;
}

bool look_memory(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    char total[100] = "0", available[100] = "0", limit[100] = "";
    bool ok =
        find_line("/proc/meminfo", "MemTotal", total, sizeof total) &&
        find_line("/proc/meminfo", "MemAvailable", available, sizeof available);
    snprintf(found, FOUND_SIZE, "%.1f GB, %.1f GB of it available",
             1024 * atof(total) / 1e9, 1024 * atof(available) / 1e9);
    if (find_line("/sys/fs/cgroup/memory.max", "", limit, sizeof limit) &&
        atof(limit) > 0)
        snprintf(found + strlen(found), FOUND_SIZE - strlen(found),
                 "; this container may use %.1f GB", atof(limit) / 1e9);
    return ok;
}

bool look_disk(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    struct statvfs s;
    if (statvfs(".", &s)) {
        snprintf(found, FOUND_SIZE, "%s", strerror(errno));
        return false;
    }
    snprintf(found, FOUND_SIZE, "%.1f GB free in this folder",
             (double)s.f_bavail * (double)s.f_frsize / 1e9);
    return true;
}

/* The folder itself is made when there is something to keep. */
bool look_cache(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    char path[PATH_MAX], there[PATH_MAX];
    struct statvfs s;
    if (!file_cache_folder(path)) {
        snprintf(found, FOUND_SIZE,
                 "no place for one: neither XDG_CACHE_HOME nor HOME is set");
        return false;
    }
    snprintf(there, sizeof there, "%s", path);
    for (char *slash; access(there, F_OK) && (slash = strrchr(there, '/'));)
        slash[slash == there] = 0;
    if (access(there, W_OK | X_OK) || statvfs(there, &s)) {
        snprintf(found, FOUND_SIZE, "%.400s: %.400s: %s", path, there,
                 strerror(errno));
        return false;
    }
    snprintf(found, FOUND_SIZE, "%.400s, %.1f GB free", path,
             (double)s.f_bavail * (double)s.f_frsize / 1e9);
    return true;
}

/* ---- data sets ---------------------------------------------------------- */

/* Sizes are known where files hold a fixed number of records. */
typedef struct DataFiles {
    const char *row;                 /* DoctorRow.name */
    const char *folder[3], *file[6]; /* where one of these holds all of those */
    int64_t bytes;
} DataFiles;

/* clang-format off */
static const DataFiles data_table[] = {
    {"CIFAR-10", {"cifar-10-batches-bin", "cifar10", ""},
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
      "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}, 30730000},
    {"CIFAR-100", {"cifar-100-binary", "cifar100", ""},
     {"test.bin"}, 30740000},
    {"CIFAR-100", {"cifar-100-binary", "cifar100", ""},
     {"train.bin"}, 153700000},
    {"Fashion-MNIST", {"fashion-mnist", "fashion_mnist"},
     {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
      "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}, 0},
};
/* clang-format on */

/* 1: there, 0: not, -1: of another size. */
static int file_there(const Doctor *d, const char *folder, const char *name,
                      int64_t bytes)
{
    struct stat s;
    const char *path = arena_printf(d->arena, "%s/%s", folder, name);
    const char *packed = arena_printf(d->arena, "%s.gz", path);
    if (stat(path, &s) == 0)
        return !bytes || s.st_size == bytes ? 1 : -1;
    return stat(packed, &s) == 0;
}

/* Says what is wrong with a folder that has some of it; true: has any. */
static bool look_in(const Doctor *d, const DataFiles *t, const char *folder,
                    const char **wrong)
{
    int n = 0, there = 0;
    *wrong = NULL;
    for (; n < 6 && t->file[n]; n++) {
        int is = file_there(d, folder, t->file[n], t->bytes);
        there += is != 0;
        if (is < 1)
            *wrong = arena_printf(d->arena, "%s%s", t->file[n],
                                  is ? " has not its size" : " is missing");
    }
    return there > 0;
}

/* "~/x" is below the home folder. */
static const char *expand(const Doctor *d, const char *path)
{
    const char *home = getenv("HOME");
    if (path[0] != '~')
        return path;
    return arena_printf(d->arena, "%s%s", home ? home : "/nowhere", path + 1);
}

static bool look_below(const Doctor *d, const char *row, const char *place,
                       char *found)
{
    bool any = false;
    const char *wrong = NULL, *at = NULL;
    for (size_t i = 0; i < sizeof data_table / sizeof *data_table; i++) {
        const DataFiles *t = &data_table[i];
        if (strcmp(t->row, row))
            continue;
        for (int k = 0; k < 3 && t->folder[k]; k++) {
            const char *why,
                *folder = arena_printf(d->arena, "%s%s%s", place,
                                       *t->folder[k] ? "/" : "", t->folder[k]);
            if (!look_in(d, t, folder, &why))
                continue;
            any = true;
            at = folder;
            wrong = why ? why : wrong;
            break;
        }
    }
    if (any)
        snprintf(found, FOUND_SIZE, "%.500s%s%.300s", at, wrong ? ": " : "",
                 wrong ? wrong : "");
    return any && !wrong;
}

bool look_data(Doctor *d, const DoctorRow *row, char *found)
{
    static const char *const places[] = {
        ".",      "data",       "..",    "../data",   "~",
        "~/data", "~/datasets", "/data", "/datasets", "/usr/share/datasets"};
    *found = 0;
    for (int i = 0; i < d->n_in; i++)
        if (look_below(d, row->name, d->in[i], found))
            return true;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (look_below(d, row->name, expand(d, places[i]), found))
            return true;
    if (!*found)
        snprintf(
            found, FOUND_SIZE,
            "not at the usual places (tgc doctor FOLDER looks there, too)");
    return false;
}
