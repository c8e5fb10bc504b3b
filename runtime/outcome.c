/* outcome.c: see outcome.h. */
#include "outcome.h"
#include "format.h"
#include <math.h>
#include <string.h>

enum { TEXT_MOST = 1 << 16 };

static const char *const state_name[] = {
    [OUTCOME_WAITING] = "waiting",   [OUTCOME_RUNNING] = "running",
    [OUTCOME_DONE] = "done",         [OUTCOME_STOPPED] = "stopped",
    [OUTCOME_DIVERGED] = "diverged", [OUTCOME_FAILED] = "failed",
};
enum { STATES = sizeof state_name / sizeof *state_name };

const char *outcome_state_name(OutcomeState state)
{
    return state_name[state];
}

bool outcome_state_named(const char *name, OutcomeState *state)
{
    for (int i = 0; i < STATES; i++)
        if (!strcmp(state_name[i], name)) {
            *state = (OutcomeState)i;
            return true;
        }
    return false;
}

void outcome_put_fields(FILE *out, const Outcome *x)
{
    char why[2 * OUTCOME_WHY], best[32] = "null";
    if (isfinite(x->best_accuracy))
        snprintf(best, sizeof best, "%.9g", x->best_accuracy);
    fprintf(out,
            "\"state\": \"%s\", \"why\": \"%s\", \"step\": %lld, \"epoch\": "
            "%lld, \"epochs\": %lld, \"best_accuracy\": %s, \"best_epoch\": "
            "%lld, \"images\": \"%s\", \"seconds\": %.3f",
            state_name[x->state], format_json(x->why, why, sizeof why),
            (long long)x->step, (long long)x->epoch, (long long)x->epochs, best,
            (long long)x->best_epoch, x->images, x->seconds);
}

void outcome_put(FILE *out, const Outcome *x)
{
    fputc('{', out);
    outcome_put_fields(out, x);
    fputs("}\n", out);
}

/* ---- reading ------------------------------------------------------------- */

bool outcome_read_field(Json *j, const char *key, Outcome *x)
{
    size_t n;
    char state[16];
    const struct {
        const char *key;
        double *number;
        int64_t *count;
        char *text;
        size_t room;
    } field[] = {{"why", .text = x->why, .room = sizeof x->why},
                 {"images", .text = x->images, .room = sizeof x->images},
                 {"step", .count = &x->step},
                 {"epoch", .count = &x->epoch},
                 {"epochs", .count = &x->epochs},
                 {"best_epoch", .count = &x->best_epoch},
                 {"best_accuracy", .number = &x->best_accuracy},
                 {"seconds", .number = &x->seconds}};
    if (!strcmp(key, "state"))
        return json_string(j, state, sizeof state, &n) &&
               (outcome_state_named(state, &x->state) ||
                json_fail(j, "there is no such state"));
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        if (strcmp(key, field[i].key))
            continue;
        return field[i].number ? json_number(j, field[i].number)
               : field[i].count
                   ? json_count(j, field[i].count)
                   : json_string(j, field[i].text, field[i].room, &n);
    }
    return json_fail(j, "there is no such key");
}

static bool read_object(Json *j, Outcome *x)
{
    char key[32];
    size_t n;
    if (!json_expect(j, '{'))
        return false;
    do {
        if (!json_string(j, key, sizeof key, &n) || !json_expect(j, ':') ||
            !outcome_read_field(j, key, x))
            return false;
    } while (json_try(j, ','));
    return json_expect(j, '}') && json_end(j);
}

bool outcome_read(const char *path, Outcome *x)
{
    char text[TEXT_MOST];
    FILE *file = fopen(path, "r");
    *x = (Outcome){.best_accuracy = NAN};
    if (!file)
        return false;
    Json j = {.text = text, .size = fread(text, 1, sizeof text, file)};
    fclose(file);
    return read_object(&j, x);
}
