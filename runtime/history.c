/* history.c: see history.h. */
#include "history.h"
#include "json.h"
#include "log.h"
#include "rundir.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MOST = 500, TEXT_MOST = 1 << 20, ROWS_MOST = 1 << 24 };

/* Room for one more at the end of an array that doubles. */
static bool grow(void *array, size_t n, size_t *room, size_t size)
{
    void **data = array;
    if (n < *room)
        return true;
    size_t wanted = *room ? 2 * *room : 64;
    void *more = realloc(*data, wanted * size);
    if (!more)
        return false;
    *data = more;
    *room = wanted;
    return true;
}

static FILE *open_file(const char *folder, const char *name)
{
    char path[RUNDIR_PATH];
    return fopen(rundir_path(folder, name, path), "r");
}

/* ---- epochs.csv ---------------------------------------------------------- */

/* Evaluation is of images that are held out or of the test images. */
static const struct {
    const char *name;
    HistoryColumn column;
} column_also[] = {{"val_loss", HISTORY_TEST_LOSS},
                   {"val_accuracy", HISTORY_TEST_ACCURACY}};

static const char *const column_name[HISTORY_COLUMNS] = {
    [HISTORY_EPOCH] = "epoch",
    [HISTORY_STEP] = "step",
    [HISTORY_LOSS] = "loss",
    [HISTORY_ACCURACY] = "accuracy",
    [HISTORY_TEST_LOSS] = "test_loss",
    [HISTORY_TEST_ACCURACY] = "test_accuracy",
    [HISTORY_LR] = "lr",
    [HISTORY_IMAGES] = "images",
    [HISTORY_SECONDS] = "seconds",
    [HISTORY_DATA_SECONDS] = "data_seconds",
    [HISTORY_STEP_SECONDS] = "step_seconds",
    [HISTORY_EVAL_SECONDS] = "eval_seconds",
    [HISTORY_BEST] = "best",
};

enum { FIELDS_MOST = 64 };

static int column_named(const char *name)
{
    for (int k = 0; k < HISTORY_COLUMNS; k++)
        if (!strcmp(name, column_name[k]))
            return k;
    for (size_t k = 0; k < sizeof column_also / sizeof *column_also; k++)
        if (!strcmp(name, column_also[k].name))
            return column_also[k].column;
    return -1;
}

/* Which column each field of the table is; -1: none that is known. */
static int read_head(char *line, int column[FIELDS_MOST])
{
    int n = 0;
    char *rest = line, *name;
    while (n < FIELDS_MOST && (name = strsep(&rest, ",\n")) && *name)
        column[n++] = column_named(name);
    return n;
}

static bool read_epoch(char *line, const int *column, int n, HistoryEpoch *e)
{
    char *rest = line, *text;
    for (int k = 0; k < HISTORY_COLUMNS; k++)
        e->value[k] = NAN;
    for (int i = 0; i < n && (text = strsep(&rest, ",\n")); i++) {
        char *end;
        double v = strtod(text, &end);
        if (column[i] >= 0 && end > text && !*end)
            e->value[column[i]] = v;
    }
    return isfinite(e->value[HISTORY_EPOCH]) && e->value[HISTORY_EPOCH] >= 1 &&
           e->value[HISTORY_EPOCH] <= 1e9;
}

static bool read_epochs(History *h, const char *folder)
{
    char *line = NULL;
    size_t room = 0;
    int column[FIELDS_MOST], n = 0;
    bool done = true;
    FILE *file = open_file(folder, RUN_EPOCHS);
    if (file && getline(&line, &room, file) > 0)
        n = read_head(line, column);
    while (file && done && n && h->n_epochs < ROWS_MOST &&
           getline(&line, &room, file) > 0) {
        done = grow(&h->epoch, h->n_epochs, &h->room_epochs, sizeof *h->epoch);
        if (done && read_epoch(line, column, n, &h->epoch[h->n_epochs]))
            h->n_epochs++;
    }
    free(line);
    if (file)
        fclose(file);
    return done;
}

/* ---- steps.jsonl --------------------------------------------------------- */

typedef struct Stretch {
    double loss;
    int64_t n;
} Stretch;

/* Stretches of `each` steps; when there are too many, two become one. */
static void add_step(History *h, Stretch *now, int64_t *each, double loss,
                     double epoch, double lr)
{
    now->loss += loss;
    if (++now->n < *each)
        return;
    h->point[h->n_points++] =
        (HistoryPoint){epoch, now->loss / (double)now->n, lr};
    *now = (Stretch){0, 0};
    if (h->n_points < POINTS_MOST)
        return;
    for (size_t i = 0; i < POINTS_MOST / 2; i++) {
        h->point[i] = h->point[2 * i + 1];
        h->point[i].loss =
            (h->point[2 * i].loss + h->point[2 * i + 1].loss) / 2;
    }
    h->n_points = POINTS_MOST / 2;
    *each *= 2;
}

/* How many steps an epoch has, for the place of a step in it: those of the
 * first epoch that the table knows. */
static double steps_each(const History *h)
{
    for (size_t i = 0; i < h->n_epochs; i++) {
        double n =
            h->epoch[i].value[HISTORY_STEP] / h->epoch[i].value[HISTORY_EPOCH];
        if (n >= 1)
            return n;
    }
    return 0;
}

static bool read_steps(History *h, const char *folder)
{
    char *line = NULL;
    size_t room = 0;
    Stretch now = {0, 0};
    int64_t each = 1;
    double in_epoch = steps_each(h);
    FILE *file = open_file(folder, RUN_STEPS);
    h->point = calloc(POINTS_MOST, sizeof *h->point);
    while (file && h->point && getline(&line, &room, file) > 0) {
        double step = log_number(line, "step"), loss = log_number(line, "loss");
        if (!isfinite(step) || !isfinite(loss))
            continue;
        h->skips = log_number(line, "skips");
        if (h->steps++ == 0)
            h->first_loss = loss;
        double epoch =
            in_epoch > 0 ? step / in_epoch : log_number(line, "epoch");
        h->last_lr = log_number(line, "lr");
        add_step(h, &now, &each, loss, epoch, h->last_lr);
    }
    free(line);
    if (file)
        fclose(file);
    return h->point != NULL;
}

/* ---- run.json ------------------------------------------------------------ */

static bool add_fact(History *h, const char *section, const char *key,
                     const char *value)
{
    if (!grow(&h->fact, h->n_facts, &h->room_facts, sizeof *h->fact))
        return false;
    HistoryFact *f = &h->fact[h->n_facts];
    *f = (HistoryFact){strdup(section), strdup(key), strdup(value)};
    h->n_facts++;
    return f->section && f->key && f->value;
}

/* {"key": "value", ..} */
static bool read_section(History *h, Json *j, const char *section)
{
    char key[256], value[8192];
    size_t n;
    if (!json_expect(j, '{') || json_try(j, '}'))
        return !j->error;
    do {
        if (!json_string(j, key, sizeof key, &n) || !json_expect(j, ':') ||
            !json_string(j, value, sizeof value, &n) ||
            !add_fact(h, section, key, value))
            return false;
    } while (json_try(j, ','));
    return json_expect(j, '}');
}

static void read_description(History *h, const char *folder)
{
    char name[64];
    size_t n;
    FILE *file = open_file(folder, RUN_DESCRIPTION);
    char *text = file ? malloc(TEXT_MOST) : NULL;
    if (text) {
        Json j = {.text = text, .size = fread(text, 1, TEXT_MOST, file)};
        if (json_expect(&j, '{'))
            do {
                if (!json_string(&j, name, sizeof name, &n) ||
                    !json_expect(&j, ':') || !read_section(h, &j, name))
                    break;
            } while (json_try(&j, ','));
    }
    free(text);
    if (file)
        fclose(file);
}

const char *history_fact(const History *h, const char *section, const char *key)
{
    for (size_t i = 0; i < h->n_facts; i++)
        if (!strcmp(h->fact[i].section, section) &&
            !strcmp(h->fact[i].key, key))
            return h->fact[i].value;
    return "";
}

const char *history_images(const History *h)
{
    double held = strtod(history_fact(h, "settings", "data.validation"), NULL);
    return held > 0 ? "validation" : "test";
}

const char *history_things(const History *h)
{
    const char *things = history_fact(h, "run", "things");
    return *things ? things : "images";
}

/* ---- result.json --------------------------------------------------------- */

static void read_outcome(History *h, const char *folder)
{
    char path[RUNDIR_PATH];
    if (!outcome_read(rundir_path(folder, RUN_RESULT, path), &h->outcome))
        h->outcome = (Outcome){.state = OUTCOME_RUNNING};
}

/* ---- predictions.csv ----------------------------------------------------- */

static bool read_predictions(History *h, const char *folder)
{
    char line[128];
    bool done = true;
    FILE *file = open_file(folder, RUN_PREDICTIONS);
    if (file && !fgets(line, sizeof line, file))
        rewind(file);
    while (file && done && fgets(line, sizeof line, file)) {
        long long index, label, predicted;
        size_t room = h->room_predictions;
        if (sscanf(line, "%lld,%lld,%lld", &index, &label, &predicted) != 3 ||
            index != (long long)h->n_predictions || label < 0 ||
            label > INT32_MAX || predicted < -1 || predicted > INT32_MAX)
            break;
        done = grow(&h->label, h->n_predictions, &room, sizeof *h->label) &&
               grow(&h->predicted, h->n_predictions, &h->room_predictions,
                    sizeof *h->predicted);
        if (!done)
            break;
        h->label[h->n_predictions] = (int32_t)label;
        h->predicted[h->n_predictions++] = (int32_t)predicted;
    }
    if (file)
        fclose(file);
    return done;
}

/* ---- the whole ----------------------------------------------------------- */

bool history_read(History *h, const char *folder, Status *s)
{
    *h = (History){.last_lr = NAN};
    FILE *file = open_file(folder, RUN_DESCRIPTION);
    if (!file)
        return status_errno(s, "read " RUN_DESCRIPTION " of the run in", folder,
                            "is it the --save-dir of a run?");
    fclose(file);
    read_description(h, folder);
    read_outcome(h, folder);
    if (read_epochs(h, folder) && read_steps(h, folder) &&
        read_predictions(h, folder))
        return true;
    history_free(h);
    return status_fail(s, "no memory for the logs of %s", folder);
}

void history_free(History *h)
{
    for (size_t i = 0; i < h->n_facts; i++) {
        free(h->fact[i].section);
        free(h->fact[i].key);
        free(h->fact[i].value);
    }
    free(h->fact);
    free(h->epoch);
    free(h->point);
    free(h->label);
    free(h->predicted);
    *h = (History){0};
}
