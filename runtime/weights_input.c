/* weights_input.c: see weights_input.h. */
#include "weights_input.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool input_open(Input *in, const char *path, Status *s)
{
    struct stat info;
    *in = (Input){.path = strdup(path), .fd = -1};
    if (!in->path)
        return status_fail(s, "no memory");
    in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in->fd < 0)
        return status_errno(s, "open", path,
                            errno == ENOENT ? "check the path" : NULL);
    if (fstat(in->fd, &info))
        return status_errno(s, "read", path, NULL);
    if (!S_ISREG(info.st_mode))
        return status_fail(s, "%s is not a regular file (weights are wanted)",
                           path);
    in->size = info.st_size;
    return true;
}

void input_close(Input *in)
{
    if (in->path && in->fd >= 0)
        close(in->fd);
    free(in->path);
    *in = (Input){.fd = -1};
}

bool input_read(const Input *in, int64_t at, void *to, int64_t n, Status *s)
{
    if (at < 0 || n < 0 || at > in->size || n > in->size - at)
        return input_damaged(in, s, "it ends too early");
    for (int64_t done = 0; done < n;) {
        ssize_t got = pread(in->fd, (char *)to + done, (size_t)(n - done),
                            (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_errno(s, "read", in->path, NULL);
        if (got == 0)
            return input_damaged(in, s, "it ends too early");
        done += got;
    }
    return true;
}

bool input_damaged(const Input *in, Status *s, const char *format, ...)
{
    char why[600];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof why, format, list);
    va_end(list);
    return status_fail(s,
                       "%s is damaged: %s (get it again, or use another one)",
                       in->path, why);
}
