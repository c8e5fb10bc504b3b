/* log.c: see log.h. */
#include "log.h"
#include "file.h"
#include <ctype.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROW_ROOM = 1024 };

/* ---- going on with a log ------------------------------------------------- */

/* Is this line a row up to `after`, or the head of a table? */
static bool row_kept(const char *line, bool csv, bool first, int64_t after)
{
    long long number;
    if (csv && first && !isdigit((unsigned char)*line))
        return true;
    return sscanf(line, csv ? "%lld," : "{\"%*[a-z_]\": %lld,", &number) == 1 &&
           number <= after;
}

/* Bytes of the leading whole lines that stay. */
static long rows_to_keep(FILE *file, bool csv, int64_t after)
{
    char *line = NULL;
    size_t room = 0;
    long keep = 0;
    for (;;) {
        ssize_t n = getline(&line, &room, file);
        if (n <= 0 || line[n - 1] != '\n' ||
            !row_kept(line, csv, keep == 0, after))
            break;
        keep += n;
    }
    free(line);
    return keep;
}

static bool log_keep(Log *log, int64_t after, Status *s)
{
    FILE *file = fopen(log->path, "r");
    if (!file)
        return status_errno(s, "read the log", log->path, NULL);
    log->size = rows_to_keep(file, log->csv, after);
    fclose(file);
    if (ftruncate(log->fd, log->size) ||
        lseek(log->fd, log->size, SEEK_SET) < 0)
        return status_errno(s, "go on with the log", log->path, NULL);
    return true;
}

bool log_open(Log *log, const char *path, int64_t after, Status *s)
{
    *log = (Log){.fd = -1};
    if (!path)
        return true;
    size_t n = strlen(path);
    if (n >= sizeof log->path)
        return status_fail(s, "the path of the log is too long: %.80s..", path);
    memcpy(log->path, path, n + 1);
    log->csv = n > 4 && !strcmp(path + n - 4, ".csv");
    int fresh = after > 0 ? 0 : O_TRUNC;
    log->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | fresh, 0666);
    if (log->fd < 0)
        return status_errno(s, "open the log", path, NULL);
    if (lseek(log->fd, 0, SEEK_CUR) < 0)
        log->size = -1; /* no rows to keep there */
    return after == 0 || log->size < 0 || log_keep(log, after, s);
}

/* ---- rows ---------------------------------------------------------------- */

static int field_text(const LogField *f, bool csv, char *to, size_t room)
{
    switch (f->kind) {
    case LOG_COUNT:
        return snprintf(to, room, "%lld", (long long)f->value);
    case LOG_FLAG:
        return snprintf(to, room, "%s",
                        csv ? (f->value != 0 ? "1" : "0")
                            : (f->value != 0 ? "true" : "false"));
    default:
        break;
    }
    if (!isfinite(f->value))
        return snprintf(to, room, csv ? "" : "null");
    return snprintf(to, room, f->kind == LOG_TIME ? "%.3f" : "%.9g", f->value);
}

typedef struct Line {
    char text[ROW_ROOM];
    size_t n;
} Line;

static void line_add(Line *line, const char *text)
{
    size_t n = strlen(text), room = sizeof line->text - line->n - 1;
    n = n < room ? n : room;
    memcpy(line->text + line->n, text, n);
    line->n += n;
}

static void line_head(Line *line, const LogField *field, int n)
{
    for (int i = 0; i < n; i++) {
        line_add(line, i ? "," : "");
        line_add(line, field[i].name);
    }
    line_add(line, "\n");
}

static void line_row(Line *line, const LogField *field, int n, bool csv)
{
    char value[64];
    for (int i = 0; i < n; i++) {
        field_text(&field[i], csv, value, sizeof value);
        line_add(line, i ? (csv ? "," : ", ") : (csv ? "" : "{"));
        if (!csv) {
            line_add(line, "\"");
            line_add(line, field[i].name);
            line_add(line, "\": ");
        }
        line_add(line, value);
    }
    line_add(line, csv ? "\n" : "}\n");
}

/* No half row stays behind. */
static void log_give_up(Log *log)
{
    fprintf(stderr,
            "warning: cannot write the log %s: %s; training goes on, the log "
            "ends here\n",
            log->path, strerror(errno));
    if (log->size >= 0 && ftruncate(log->fd, log->size))
        errno = 0;
    close(log->fd);
    log->fd = -1;
}

void log_row(Log *log, const LogField *field, int n)
{
    Line line = {.n = 0};
    if (log->fd < 0)
        return;
    if (log->csv && log->size == 0)
        line_head(&line, field, n);
    line_row(&line, field, n, log->csv);
    if (!file_write(log->fd, line.text, line.n))
        log_give_up(log);
    else if (log->size >= 0)
        log->size += (int64_t)line.n;
}

void log_close(Log *log)
{
    if (log->fd >= 0 && close(log->fd))
        fprintf(stderr, "warning: cannot write the log %s: %s\n", log->path,
                strerror(errno));
    log->fd = -1;
}

/* ---- reading back -------------------------------------------------------- */

double log_number(const char *line, const char *key)
{
    char name[32], *end;
    snprintf(name, sizeof name, "\"%s\": ", key);
    const char *at = strstr(line, name);
    if (!at)
        return NAN;
    at += strlen(name);
    double v = strtod(at, &end);
    return end > at ? v : NAN;
}
