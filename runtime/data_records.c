/* data_records.c: see data_records.h. */
#include "data_records.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Records {
    RecordShape shape;
    int files, fd[RECORDS_MOST_FILES];
    char *path[RECORDS_MOST_FILES];
} Records;

static const uint8_t *records_fetch(const DataSet *set, int64_t index,
                                    uint8_t *scratch, Status *s)
{
    const Records *r = set->context;
    int64_t file = index / r->shape.each, size = set->c * set->h * set->w;
    off_t at =
        r->shape.head + index % r->shape.each * r->shape.bytes + r->shape.skip;
    for (int64_t done = 0; done < size;) {
        ssize_t n = pread(r->fd[file], scratch + done, (size_t)(size - done),
                          at + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status_errno(s, "read", r->path[file], NULL);
            return NULL;
        }
        if (n == 0) {
            status_fail(s,
                        "%s has become shorter while it was in use; put it "
                        "back and go on from the last checkpoint",
                        r->path[file]);
            return NULL;
        }
        done += n;
    }
    return scratch;
}

static void records_close(DataSet *set)
{
    Records *r = set->context;
    for (int i = 0; i < r->files; i++) {
        if (r->fd[i] >= 0)
            close(r->fd[i]);
        free(r->path[i]);
    }
    free(r);
}

bool data_use_records(DataSet *set, const RecordShape *shape,
                      const char *const *paths, int files, Status *s)
{
    Records *r = calloc(1, sizeof *r);
    if (!r || files > RECORDS_MOST_FILES) {
        free(r);
        return status_fail(s, "there is no memory for %d files", files);
    }
    r->shape = *shape;
    set->context = r;
    set->close = records_close;
    for (; r->files < files; r->files++) {
        const char *path = paths[r->files];
        r->fd[r->files] = open(path, O_RDONLY | O_CLOEXEC);
        r->path[r->files] = strdup(path);
        if (r->fd[r->files] < 0 || !r->path[r->files]) {
            r->files++;
            return status_errno(s, "open", path, NULL);
        }
    }
    free(set->pixels);
    set->pixels = NULL;
    set->fetch = records_fetch;
    return true;
}
