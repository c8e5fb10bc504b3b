/* augment_parse.c: the setting data.augment: "crop(4), flip, cutout(8)". */
#include "augment.h"
#include "number.h"
#include "suggest.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct StepSpec {
    const char *name;
    int least, most;  /* numbers that it takes */
    double low, high; /* each of them */
    bool whole;       /* they are whole numbers */
    const char *word; /* that may come too; NULL: none */
    double value[3];  /* of those left out */
    const char *how;  /* for messages */
} StepSpec;

/* clang-format off */
static const StepSpec spec_table[AUGMENT_KINDS] = {
    [AUGMENT_CROP]    = {"crop", 1, 1, 0, 4096, true, "reflect", {0},
                         "crop(4), or crop(4, reflect)"},
    [AUGMENT_FLIP]    = {"flip", 0, 0, 0, 0, false, "alternate", {0},
                         "flip, or flip(alternate)"},
    [AUGMENT_CUTOUT]  = {"cutout", 1, 1, 1, 4096, true, NULL, {0},
                         "cutout(8)"},
    [AUGMENT_RESIZED] = {"resized_crop", 0, 2, 1e-4, 1, false, NULL, {0.08, 1},
                         "resized_crop(0.08, 1), least and greatest share of the area"},
    [AUGMENT_ROTATE]  = {"rotate", 1, 1, 0, 180, false, NULL, {0},
                         "rotate(15), in degrees"},
    [AUGMENT_JITTER]  = {"jitter", 1, 3, 0, 10, false, NULL, {0},
                         "jitter(0.4, 0.4, 0.4): brightness, contrast, saturation"},
};
/* clang-format on */

enum { WORD_ROOM = 40 };

typedef struct Text {
    const char *at;
    const char *whole; /* for messages */
} Text;

static void skip(Text *t)
{
    while (isspace((unsigned char)*t->at))
        t->at++;
}

/* A name or a number; "" where neither comes. */
static void next_word(Text *t, char word[WORD_ROOM])
{
    int n = 0;
    skip(t);
    while (isalnum((unsigned char)*t->at) || (*t->at && strchr("_.+-", *t->at)))
        if (n < WORD_ROOM - 1)
            word[n++] = *t->at++;
        else
            break;
    word[n] = 0;
    skip(t);
}

static bool unknown_step(const Text *t, const char *name, Status *s)
{
    char known[256] = "";
    Suggestion near = suggest_for(name);
    for (int i = 0; i < AUGMENT_KINDS; i++) {
        suggest_offer(&near, spec_table[i].name);
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "",
                 spec_table[i].name);
    }
    if (!*name)
        return status_fail(s,
                           "data.augment: a step is expected at \"%.20s\" in "
                           "\"%.80s\" (there are: %s)",
                           t->at, t->whole, known);
    const char *best = suggest_best(&near);
    if (best)
        return status_fail(s,
                           "data.augment: there is no step %s; did you mean "
                           "%s?",
                           name, best);
    return status_fail(s, "data.augment: there is no step %s; there are: %s",
                       name, known);
}

static bool take_value(const StepSpec *spec, AugmentStep *x, const char *word,
                       int *n, Status *s)
{
    double v;
    if (spec->word && !strcmp(word, spec->word)) {
        x->special = true;
        return true;
    }
    if (!number_float(word, &v) || *n == spec->most)
        return status_fail(s, "data.augment: %s cannot take \"%s\": write %s",
                           spec->name, word, spec->how);
    if (!(v >= spec->low && v <= spec->high) ||
        (spec->whole && v != (double)(int64_t)v))
        return status_fail(s, "data.augment: %s takes %s from %g to %g, not %s",
                           spec->name,
                           spec->whole ? "whole numbers" : "numbers", spec->low,
                           spec->high, word);
    x->value[(*n)++] = v;
    return true;
}

/* What stands in the parentheses, if there are any. */
static bool take_values(Text *t, const StepSpec *spec, AugmentStep *x,
                        Status *s)
{
    char word[WORD_ROOM];
    int n = 0;
    memcpy(x->value, spec->value, sizeof x->value);
    if (*t->at == '(') {
        do {
            t->at++;
            next_word(t, word);
            if (!take_value(spec, x, word, &n, s))
                return false;
        } while (*t->at == ',');
        if (*t->at != ')')
            return status_fail(s, "data.augment: %s wants a ) before \"%.20s\"",
                               spec->name, t->at);
        t->at++;
        skip(t);
    }
    if (n < spec->least)
        return status_fail(s, "data.augment: %s needs numbers: %s", spec->name,
                           spec->how);
    if (x->kind == AUGMENT_RESIZED && x->value[0] > x->value[1])
        return status_fail(s,
                           "data.augment: resized_crop(%g, %g): the least "
                           "share is above the greatest",
                           x->value[0], x->value[1]);
    return true;
}

static bool take_step(Text *t, AugmentList *list, Status *s)
{
    char name[WORD_ROOM];
    next_word(t, name);
    int kind = 0;
    while (kind < AUGMENT_KINDS && strcmp(spec_table[kind].name, name))
        kind++;
    if (kind == AUGMENT_KINDS)
        return unknown_step(t, name, s);
    for (int i = 0; i < list->n; i++)
        if ((int)list->step[i].kind == kind)
            return status_fail(s, "data.augment: %s comes twice", name);
    AugmentStep *x = &list->step[list->n++];
    *x = (AugmentStep){.kind = (AugmentKind)kind};
    return take_values(t, &spec_table[kind], x, s);
}

bool augment_parse(AugmentList *list, const char *text, Status *s)
{
    Text t = {text, text};
    *list = (AugmentList){0};
    skip(&t);
    while (*t.at) {
        if (!take_step(&t, list, s))
            return false;
        if (*t.at == ',')
            t.at++;
        skip(&t);
    }
    return true;
}
