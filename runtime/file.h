/* file.h: what log and checkpoint need of files. */
#ifndef TGC_FILE_H
#define TGC_FILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
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

#endif
