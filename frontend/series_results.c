/* series_results.c: what became of the runs of a series, for programs and for
 * people; see series.h. */
#include "series.h"
#include "format.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_ROOM = 8192, TABLE_WIDTH = 100 };

/* ---- results.jsonl ------------------------------------------------------- */

static void put_text(FILE *out, const char *key, const char *value)
{
    char text[TEXT_ROOM];
    fprintf(out, "\"%s\": \"%s\", ", key,
            format_json(value, text, sizeof text));
}

static void put_item(FILE *out, const SeriesItem *x)
{
    fputc('{', out);
    put_text(out, "name", x->name);
    put_text(out, "model", x->words);
    put_text(out, "folder", x->folder);
    fprintf(out, "\"fingerprint\": \"%016" PRIx64 "\", ", x->fingerprint);
    outcome_put_fields(out, &x->outcome);
    fputs("}\n", out);
}

void series_write(const Series *s)
{
    const char *path = series_path(s, SERIES_RESULTS);
    const char *beside = series_path(s, SERIES_RESULTS ".tmp");
    FILE *out = fopen(beside, "w");
    bool done = out != NULL;
    if (out) {
        for (size_t i = 0; i < s->n_other; i++)
            fputs(s->other[i], out);
        for (int i = 0; i < s->n; i++)
            put_item(out, &s->item[i]);
        done = !fflush(out) && !ferror(out);
        done = !fclose(out) && done;
    }
    if (done && rename(beside, path) == 0)
        return;
    fprintf(stderr, "tgc: warning: cannot write %s: %s\n", path,
            strerror(errno));
    unlink(beside);
}

/* ---- reading it ---------------------------------------------------------- */

typedef struct Row {
    char name[256];
    uint64_t fingerprint;
    Outcome outcome;
} Row;

static bool read_field(Json *j, const char *key, Row *row)
{
    char text[TEXT_ROOM], *end;
    size_t n;
    if (!strcmp(key, "name"))
        return json_string(j, row->name, sizeof row->name, &n);
    if (!strcmp(key, "model") || !strcmp(key, "folder"))
        return json_string(j, text, sizeof text, &n);
    if (strcmp(key, "fingerprint"))
        return outcome_read_field(j, key, &row->outcome);
    if (!json_string(j, text, sizeof text, &n))
        return false;
    row->fingerprint = strtoull(text, &end, 16);
    return (n == 16 && !*end) || json_fail(j, "that is no fingerprint");
}

static bool read_row(const char *line, size_t size, Row *row)
{
    char key[32];
    size_t n;
    Json j = {.text = line, .size = size};
    *row = (Row){.outcome = {.best_accuracy = NAN}};
    if (!json_expect(&j, '{'))
        return false;
    do {
        if (!json_string(&j, key, sizeof key, &n) || !json_expect(&j, ':') ||
            !read_field(&j, key, row))
            return false;
    } while (json_try(&j, ','));
    return json_expect(&j, '}') && json_end(&j) && row->name[0];
}

static void take_row(Series *s, const Row *row, const char *line,
                     uint64_t *fingerprint)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->item[i].name, row->name)) {
            s->item[i].outcome = row->outcome;
            fingerprint[i] = row->fingerprint;
            return;
        }
    ARENA_PUSH(s->arena, s->other, s->n_other, s->room_other,
               (const char *)arena_strdup(s->arena, line));
}

bool series_exists(const Series *s)
{
    return access(series_path(s, SERIES_RESULTS), F_OK) == 0;
}

void series_read(Series *s, uint64_t *fingerprint)
{
    const char *path = series_path(s, SERIES_RESULTS);
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    Row row;
    for (int at = 1; file && (n = getline(&line, &room, file)) > 0; at++) {
        if (read_row(line, (size_t)n, &row))
            take_row(s, &row, line, fingerprint);
        else
            fprintf(stderr,
                    "tgc: warning: %s:%d is damaged: that run is looked at "
                    "anew\n",
                    path, at);
    }
    free(line);
    if (file)
        fclose(file);
}

/* ---- the table ----------------------------------------------------------- */

/* Words of `text`, broken between words, from `column` on, then from `at`. */
static void print_wrapped(FILE *out, const char *text, int at, int column)
{
    const char *between = "";
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (*between && column + 1 + n > TABLE_WIDTH) {
            fprintf(out, "\n%*s", at, "");
            column = at;
            between = "";
        }
        column += fprintf(out, "%s%.*s", between, n, text);
        between = " ";
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

static void print_item(const SeriesItem *x, int width, FILE *out)
{
    const Outcome *o = &x->outcome;
    char accuracy[32] = "-", epochs[48] = "-", time[32];
    if (isfinite(o->best_accuracy))
        snprintf(accuracy, sizeof accuracy, "%.2f %%%s", 100 * o->best_accuracy,
                 !strcmp(o->images, "validation") ? " val" : "");
    if (o->epochs)
        snprintf(epochs, sizeof epochs, "%lld/%lld", (long long)o->epoch,
                 (long long)o->epochs);
    fprintf(out, "%-*s  %-9s %12s %9s %8s  %s\n", width, x->name,
            outcome_state_name(o->state), accuracy, epochs,
            format_duration(o->seconds, time, sizeof time),
            o->state == OUTCOME_WAITING ? "-" : x->folder);
}

/* Why some went wrong, or ended early. */
static void print_reasons(const Series *s, FILE *out)
{
    for (int i = 0; i < s->n; i++) {
        const SeriesItem *x = &s->item[i];
        if (!*x->outcome.why)
            continue;
        int column = fprintf(out, "%s: ", x->name);
        print_wrapped(out, x->outcome.why, column < 24 ? column : 4, column);
    }
}

void series_print(const Series *s, FILE *out)
{
    int width = 5;
    for (int i = 0; i < s->n; i++)
        if ((int)strlen(s->item[i].name) > width)
            width = (int)strlen(s->item[i].name);
    fprintf(out, "%-*s  %-9s %12s %9s %8s  %s\n", width, "model", "result",
            "best acc", "epochs", "time", "folder");
    for (int i = 0; i < s->n; i++)
        print_item(&s->item[i], width, out);
    print_reasons(s, out);
}
