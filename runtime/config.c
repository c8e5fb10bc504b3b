/* config.c: see config.h. */
#include "config.h"
#include "number.h"
#include "suggest.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool config_open(Config *c, const Plan *plan, Status *s)
{
    c->item = calloc(plan->n_settings + 1, sizeof *c->item);
    if (!c->item)
        return status_fail(s, "no memory for %u settings", plan->n_settings);
    c->n = plan->n_settings;
    for (uint32_t i = 0; i < c->n; i++) {
        const PlanSetting *p = &plan->settings[i];
        c->item[i] = (ConfigItem){.key = p->key, .text = p->text, .plan = p};
    }
    return true;
}

void config_close(Config *c)
{
    free(c->item);
    c->item = NULL;
    c->n = 0;
}

static ConfigItem *config_find(const Config *c, const char *key)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (!strcmp(c->item[i].key, key))
            return &c->item[i];
    return NULL;
}

/* ---- changing ------------------------------------------------------------ */

static bool config_unknown(const Config *c, const char *key, Status *s)
{
    Suggestion near = suggest_for(key);
    for (uint32_t i = 0; i < c->n; i++)
        suggest_offer(&near, c->item[i].key);
    const char *best = suggest_best(&near);
    if (best)
        return status_fail(s, "there is no setting %s (did you mean %s?)", key,
                           best);
    return status_fail(s, "there is no setting %s (info lists them)", key);
}

bool config_word_in(const char *word, const char *words)
{
    size_t n = strlen(word);
    for (const char *p = words; n && *p; p += strcspn(p, " "), p += *p == ' ')
        if (!strncmp(p, word, n) && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

static bool config_number_fits(const PlanSetting *p, double v, Status *s)
{
    if (p->kind == PLAN_SET_INT && v != floor(v))
        return status_fail(s, "%s: %.9g is not a whole number", p->key, v);
    if (v >= p->low && v <= p->high)
        return true;
    return status_fail(s, "%s: %.9g is out of range (%.9g to %.9g)", p->key, v,
                       p->low, p->high);
}

enum { LIST_MOST = 256 };

static bool config_fits(const PlanSetting *p, const char *text, Status *s)
{
    double v[LIST_MOST];
    int n = 1;
    switch (p->kind) {
    case PLAN_SET_INT:
    case PLAN_SET_FLOAT:
        if (!number_float(text, v))
            return status_fail(s, "%s: \"%s\" is not a number", p->key, text);
        break;
    case PLAN_SET_NUMBERS:
        n = number_list(text, v, LIST_MOST);
        if (n < 0)
            return status_fail(s,
                               "%s: \"%s\" is not a list of numbers like "
                               "[100, 150]",
                               p->key, text);
        break;
    case PLAN_SET_BOOL:
        return config_word_in(text, "true false") ||
               status_fail(s, "%s: \"%s\" is neither true nor false", p->key,
                           text);
    case PLAN_SET_WORD:
        return !p->words || config_word_in(text, p->words) ||
               status_fail(s, "%s: \"%s\" is none of: %s", p->key, text,
                           p->words);
    default:
        return true;
    }
    for (int i = 0; i < n; i++)
        if (!config_number_fits(p, v[i], s))
            return false;
    return true;
}

bool config_set(Config *c, const char *key, const char *text, Status *s)
{
    ConfigItem *item = config_find(c, key);
    if (!item)
        return config_unknown(c, key, s);
    if (!item->plan->run_time)
        return status_fail(s,
                           "%s is part of the compiled program (compile again "
                           "with --set %s=%s)",
                           key, key, text);
    if (!config_fits(item->plan, text, s))
        return false;
    item->text = text;
    item->given = true;
    return true;
}

bool config_assign(Config *c, const char *assignment, Status *s)
{
    const char *equals = strchr(assignment, '=');
    char key[128];
    if (!equals || equals == assignment ||
        (size_t)(equals - assignment) >= sizeof key)
        return status_fail(s, "--set wants KEY=VALUE, not \"%s\"", assignment);
    snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
    return config_set(c, key, equals + 1, s);
}

/* ---- asking -------------------------------------------------------------- */

bool config_given(const Config *c, const char *key)
{
    const ConfigItem *item = config_find(c, key);
    return item && item->given;
}

const char *config_origin(const ConfigItem *item)
{
    if (item->given)
        return "command line";
    if (item->resumed)
        return "checkpoint";
    return item->text && item->plan->origin ? item->plan->origin : "default";
}

const char *config_text(const Config *c, const char *key)
{
    const ConfigItem *item = config_find(c, key);
    return item && item->text && item->text[0] ? item->text : NULL;
}

double config_number(const Config *c, const char *key, double fallback)
{
    const char *text = config_text(c, key);
    double v;
    return text && number_float(text, &v) ? v : fallback;
}

int64_t config_int(const Config *c, const char *key, int64_t fallback)
{
    return (int64_t)config_number(c, key, (double)fallback);
}

bool config_is(const Config *c, const char *key, const char *word)
{
    const char *text = config_text(c, key);
    return text && !strcmp(text, word);
}

int config_list(const Config *c, const char *key, double *value, int room)
{
    const char *text = config_text(c, key);
    int n = text ? number_list(text, value, room) : 0;
    return n > 0 ? n : 0;
}
