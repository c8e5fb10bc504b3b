/* cuda_cache.c: see cuda_cache.h. */
#include "cuda_cache.h"
#include "file.h"
#include "hash.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ENTRIES_MOST = 4096,       /* the oldest go when there are more */
    ENTRY_BYTES_MOST = 1 << 28 /* what is larger is none of ours */
};

#define CACHE_MAGIC "tgc cuda image 1\n"

typedef struct Header {
    char magic[sizeof CACHE_MAGIC + 6]; /* 24 bytes */
    uint64_t image_bytes, log_bytes, sum;
} Header;

void cache_key_add(CacheKey *k, const char *text)
{
    size_t n = strlen(text) + 1; /* its end counts */
    k->half[0] = hash_bytes(k->half[0], text, n);
    k->half[1] = hash_bytes(k->half[1] ^ 0x9e3779b97f4a7c15u, text, n);
}

/* ---- where -------------------------------------------------------------- */

static bool entry_path(const CacheKey *k, char path[PATH_MAX])
{
    if (!file_cache_folder(path) || strlen(path) > PATH_MAX - 64)
        return false;
    size_t n = strlen(path);
    snprintf(path + n, PATH_MAX - n, "/%016" PRIx64 "%016" PRIx64 ".image",
             k->half[0], k->half[1]);
    return true;
}

/* ---- reading ------------------------------------------------------------ */

static uint64_t sum_of(const char *bytes, size_t n)
{
    return hash_bytes(0x7467, bytes, n);
}

static bool read_entry(FILE *f, Arena *a, CacheEntry *entry)
{
    Header h;
    if (fread(&h, sizeof h, 1, f) != 1 ||
        memcmp(h.magic, CACHE_MAGIC, sizeof CACHE_MAGIC) != 0)
        return false;
    if (h.image_bytes > ENTRY_BYTES_MOST || h.log_bytes > ENTRY_BYTES_MOST)
        return false;
    size_t n = (size_t)(h.image_bytes + h.log_bytes);
    char *bytes = arena_array(a, n + 1, 1);
    if (fread(bytes, 1, n, f) != n || getc(f) != EOF ||
        sum_of(bytes, n) != h.sum || !h.image_bytes)
        return false;
    *entry = (CacheEntry){bytes, bytes + h.image_bytes, (size_t)h.image_bytes};
    return true;
}

bool cache_get(const CacheKey *k, Arena *a, CacheEntry *entry)
{
    char path[PATH_MAX];
    FILE *f = entry_path(k, path) ? fopen(path, "rb") : NULL;
    if (!f)
        return false;
    bool ok = read_entry(f, a, entry);
    fclose(f);
    return ok;
}

/* ---- writing ------------------------------------------------------------ */

static bool write_entry(FILE *f, const CacheEntry *entry)
{
    size_t log_bytes = strlen(entry->log), n = entry->bytes + log_bytes;
    Header h = {.image_bytes = entry->bytes, .log_bytes = log_bytes};
    memcpy(h.magic, CACHE_MAGIC, sizeof CACHE_MAGIC);
    char *bytes = malloc(n + 1);
    if (!bytes)
        return false;
    memcpy(bytes, entry->image, entry->bytes);
    memcpy(bytes + entry->bytes, entry->log, log_bytes);
    h.sum = sum_of(bytes, n);
    bool ok = fwrite(&h, sizeof h, 1, f) == 1 && fwrite(bytes, 1, n, f) == n;
    free(bytes);
    return ok;
}

void cache_put(const CacheKey *k, const CacheEntry *entry)
{
    char folder[PATH_MAX], path[PATH_MAX], beside[PATH_MAX + 32];
    if (!file_cache_folder(folder) || !file_make_folder(folder) ||
        !entry_path(k, path))
        return;
    snprintf(beside, sizeof beside, "%s.%ld", path, (long)getpid());
    FILE *f = fopen(beside, "wb");
    if (!f)
        return;
    bool ok = write_entry(f, entry);
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(beside, path))
        unlink(beside);
}

/* ---- keeping it small --------------------------------------------------- */

typedef struct Old {
    char *name; /* in the folder */
    struct timespec time;
} Old;

static int by_age(const void *a, const void *b)
{
    const Old *x = a, *y = b;
    if (x->time.tv_sec != y->time.tv_sec)
        return x->time.tv_sec < y->time.tv_sec ? -1 : 1;
    if (x->time.tv_nsec != y->time.tv_nsec)
        return x->time.tv_nsec < y->time.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

void cache_trim(void)
{
    char folder[PATH_MAX], path[2 * PATH_MAX];
    DIR *d = file_cache_folder(folder) ? opendir(folder) : NULL;
    if (!d)
        return;
    Arena *a = arena_new();
    Old *old = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *e; (e = readdir(d));) {
        struct stat info;
        size_t length = strlen(e->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (length > 6 && !strcmp(e->d_name + length - 6, ".image") &&
            stat(path, &info) == 0)
            ARENA_PUSH(a, old, n, cap,
                       ((Old){arena_strdup(a, e->d_name), info.st_mtim}));
    }
    closedir(d);
    if (n > ENTRIES_MOST)
        qsort(old, n, sizeof *old, by_age);
    for (size_t i = 0; i + ENTRIES_MOST < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, old[i].name);
        unlink(path);
    }
    arena_free(a);
}
