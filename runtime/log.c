/* log.c: see log.h. */
#include "log.h"
#include "file.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of the leading whole lines that are rows of steps up to `after`. */
static long rows_to_keep(FILE *file, int64_t after)
{
    char *line = NULL;
    size_t room = 0;
    long keep = 0;
    for (;;) {
        ssize_t n = getline(&line, &room, file);
        long long step;
        if (n <= 0 || line[n - 1] != '\n' ||
            sscanf(line, "{\"step\": %lld,", &step) != 1 || step > after)
            break;
        keep += n;
    }
    free(line);
    return keep;
}

static bool log_keep(const Log *log, int64_t after, Status *s)
{
    FILE *file = fopen(log->path, "r");
    if (!file)
        return status_errno(s, "read the log", log->path, NULL);
    long keep = rows_to_keep(file, after);
    fclose(file);
    if (ftruncate(log->fd, keep) || lseek(log->fd, keep, SEEK_SET) < 0)
        return status_errno(s, "go on with the log", log->path, NULL);
    return true;
}

bool log_open(Log *log, const char *path, int64_t after, Status *s)
{
    log->fd = -1;
    log->path = path;
    if (!path)
        return true;
    int fresh = after > 0 ? 0 : O_TRUNC;
    log->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | fresh, 0666);
    if (log->fd < 0)
        return status_errno(s, "open the log", path, NULL);
    /* A pipe or a terminal has no rows to keep. */
    bool seekable = lseek(log->fd, 0, SEEK_CUR) >= 0;
    return after == 0 || !seekable || log_keep(log, after, s);
}

bool log_row(const Log *log, const LogRow *row, Status *s)
{
    char line[512];
    if (log->fd < 0)
        return true;
    int n =
        snprintf(line, sizeof line,
                 "{\"step\": %lld, \"epoch\": %lld, \"loss\": %.9g, "
                 "\"correct\": %lld, \"lr\": %.9g, \"data_ms\": %.3f, "
                 "\"step_ms\": %.3f}\n",
                 (long long)row->step, (long long)row->epoch, row->loss,
                 (long long)row->correct, row->lr, row->data_ms, row->step_ms);
    return file_write(log->fd, line, (size_t)n) ||
           status_errno(s, "write the log", log->path, NULL);
}

bool log_close(Log *log, Status *s)
{
    int fd = log->fd;
    log->fd = -1;
    return fd < 0 || close(fd) == 0 ||
           status_errno(s, "write the log", log->path, NULL);
}
