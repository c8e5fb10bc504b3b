/* files.c: see files.h. */
#include "files.h"
#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static void require(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static const char *path_of(char path[PATH_MAX], const char *folder,
                           const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    require(n > 0 && n < PATH_MAX, "a path");
    return path;
}

char *folder_make(void)
{
    const char *above = getenv("TMPDIR");
    char name[PATH_MAX];
    path_of(name, above ? above : P_tmpdir, "tgc-data-XXXXXX");
    require(mkdtemp(name), name);
    return strdup(name);
}

static int remove_one(const char *path, const struct stat *info, int flag,
                      struct FTW *at)
{
    (void)info, (void)flag, (void)at;
    return remove(path);
}

void folder_remove(char *folder)
{
    require(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0, folder);
    free(folder);
}

void folder_below(const char *folder, const char *name)
{
    char path[PATH_MAX];
    require(mkdir(path_of(path, folder, name), 0777) == 0, path);
}

void file_write(const char *folder, const char *name, const void *data,
                size_t size, bool gzip)
{
    char path[PATH_MAX];
    gzFile file = gzopen(path_of(path, folder, name), gzip ? "wb" : "wbT");
    require(file && gzwrite(file, data, (unsigned)size) == (int)size &&
                gzclose(file) == Z_OK,
            path);
}

void file_zeros(const char *folder, const char *name, int64_t size)
{
    file_write(folder, name, "x", 1, false);
    file_cut(folder, name, 0);
    file_cut(folder, name, size);
}

void file_put(const char *folder, const char *name, int64_t at,
              const void *data, size_t size)
{
    char path[PATH_MAX];
    int fd = open(path_of(path, folder, name), O_WRONLY);
    require(fd >= 0 && pwrite(fd, data, size, at) == (ssize_t)size, path);
    close(fd);
}

void file_cut(const char *folder, const char *name, int64_t size)
{
    char path[PATH_MAX];
    require(truncate(path_of(path, folder, name), size) == 0, path);
}

int64_t file_size(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    require(stat(path_of(path, folder, name), &info) == 0, path);
    return info.st_size;
}

void file_remove(const char *folder, const char *name)
{
    char path[PATH_MAX];
    require(unlink(path_of(path, folder, name)) == 0, path);
}

void idx_write(const char *folder, const char *name, int rank,
               const uint32_t *dim, const uint8_t *data, size_t size, bool gzip)
{
    size_t head = 4 + 4 * (size_t)rank;
    uint8_t *all = malloc(head + size);
    require(all, "memory");
    memcpy(all, (uint8_t[]){0, 0, 8, (uint8_t)rank}, 4);
    for (int i = 0; i < rank; i++)
        for (int j = 0; j < 4; j++)
            all[4 + 4 * i + j] = (uint8_t)(dim[i] >> (24 - 8 * j));
    if (size)
        memcpy(all + head, data, size);
    file_write(folder, name, all, head + size, gzip);
    free(all);
}
