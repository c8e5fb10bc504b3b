/* file.h: what those who write files share. */
#ifndef TGC_FILE_H
#define TGC_FILE_H

#include <errno.h>
#include <stdbool.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* All n bytes; false with errno set. */
static inline bool file_write(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t done = write(fd, data, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        data += done;
        n -= (size_t)done;
    }
    return true;
}

/* Like mkdir -p; false with errno set. */
static inline bool file_make_folder(const char *folder)
{
    char part[PATH_MAX];
    int n = snprintf(part, sizeof part, "%s", folder);
    if (n <= 0 || n >= PATH_MAX) {
        errno = n <= 0 ? ENOENT : ENAMETOOLONG;
        return false;
    }
    for (int i = 1; i <= n; i++) {
        if (folder[i] && folder[i] != '/')
            continue;
        part[i] = 0;
        if (mkdir(part, 0777) && errno != EEXIST)
            return false;
        part[i] = folder[i];
    }
    return true;
}

/* Where tgc keeps what it can make again: $XDG_CACHE_HOME/tgc, or
 * ~/.cache/tgc; it may not exist.  False: there is no such place. */
static inline bool file_cache_folder(char path[PATH_MAX])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool given = cache && *cache == '/'; /* the standard: else ignored */
    if (!given && !(home && *home == '/'))
        return false;
    int n = snprintf(path, PATH_MAX, "%s%s/tgc", given ? cache : home,
                     given ? "" : "/.cache");
    return n > 0 && n < PATH_MAX;
}

#endif
