/* file.h: what those who write files share. */
#ifndef TGC_FILE_H
#define TGC_FILE_H

#include <errno.h>
#include <stdbool.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
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

#endif
