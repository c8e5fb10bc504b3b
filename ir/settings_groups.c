/* settings_groups.c: see settings_groups.h. */
#include "settings_groups.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_PREFIX "optimizer.group"

int setting_group(const char *key, char *plain)
{
    size_t n = strlen(GROUP_PREFIX);
    if (strncmp(key, GROUP_PREFIX, n) || key[n] < '1' || key[n] > '9')
        return 0;
    char *end;
    long group = strtol(key + n, &end, 10);
    if (group > GROUPS_MOST || (*end && *end != '.'))
        return 0;
    if (plain && snprintf(plain, GROUP_KEY, "optimizer%s", end) >= GROUP_KEY)
        return 0;
    return (int)group;
}

/* "optimizer.group2.lr" from 2 and "optimizer.lr". */
static const char *group_key(int group, const char *plain, char key[GROUP_KEY])
{
    snprintf(key, GROUP_KEY, GROUP_PREFIX "%d%s", group,
             plain + strlen("optimizer"));
    return key;
}

static const SettingValue *group_get(const Settings *s, int group,
                                     const char *plain)
{
    char key[GROUP_KEY];
    return settings_get(s, group_key(group, plain, key));
}

/* ---- patterns ------------------------------------------------------------ */

/* After a * only the last one need ever be tried again, further along. */
static bool matches(const char *pattern, size_t n, const char *name)
{
    const char *end = pattern + n, *star = NULL, *again = NULL;
    while (*name) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            again = name;
        } else if (pattern < end && *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++again;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

bool pattern_matches(const char *pattern, const char *name)
{
    return matches(pattern, strlen(pattern), name);
}

bool patterns_match(const char *patterns, const char *name)
{
    for (const char *p = patterns; *p; p += strcspn(p, " "), p += *p == ' ')
        if (matches(p, strcspn(p, " "), name))
            return true;
    return false;
}

/* ---- values -------------------------------------------------------------- */

Groups settings_groups(const Settings *s, const char *name)
{
    Groups in = 0;
    for (int i = 1; i <= GROUPS_MOST; i++) {
        const SettingValue *names = group_get(s, i, "optimizer.names");
        if (names && patterns_match(names->text, name))
            in |= (Groups)1 << i;
    }
    return in;
}

/* The last of these groups that has an optimizer of its own; 0: none. */
static int group_base(const Settings *s, Groups in)
{
    int base = GROUPS_MOST;
    while (base && !(in >> base & 1 && group_get(s, base, "optimizer")))
        base--;
    return base;
}

/* NULL: it is at its default. */
static const SettingValue *group_value(const Settings *s, Groups in,
                                       const char *key)
{
    int base = group_base(s, in);
    for (int i = GROUPS_MOST; i >= base && i > 0; i--) {
        const SettingValue *v = in >> i & 1 ? group_get(s, i, key) : NULL;
        if (v)
            return v;
    }
    return base ? NULL : settings_get(s, key);
}

const char *settings_group_text(const Settings *s, Groups in, const char *key)
{
    const SettingValue *v = group_value(s, in, key);
    return v ? v->text : settings_text(s, key);
}

double settings_group_number(const Settings *s, Groups in, const char *key)
{
    const SettingValue *v = group_value(s, in, key);
    if (v)
        return v->number;
    Arena *a = arena_new();
    const char *kind = settings_group_text(s, in, "optimizer");
    double x = setting_text_number(setting_default(setting_spec(key), kind, a));
    arena_free(a);
    return x;
}

/* ---- what fits together -------------------------------------------------- */

static const char *refuse(char *error, size_t size, const Settings *s,
                          int group, const char *key, const char *why)
{
    char text[GROUP_KEY];
    const char *full = group ? group_key(group, key, text) : key;
    bool set = settings_get(s, full) != NULL;
    snprintf(error, size, "%s %s", full, why);
    /* The one in the settings lives on; where it is not set, what made the
     * group does. */
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->item[i].key,
                    set ? full : group_key(group, "optimizer.names", text)))
            return s->item[i].key;
    return key;
}

/* Nesterov's step in PyTorch, too, is defined with momentum and without
 * dampening. */
static const char *check_one(const Settings *s, int group, char *error,
                             size_t size)
{
    Groups in = group ? (Groups)1 << group : 0;
    double momentum = settings_group_number(s, in, "optimizer.momentum");
    if (group && !group_get(s, group, "optimizer.names"))
        return refuse(error, size, s, group, "optimizer.names",
                      "is missing: which parameters are in the group?");
    if (settings_group_number(s, in, "optimizer.nesterov") != 0 &&
        momentum == 0)
        return refuse(error, size, s, group, "optimizer.nesterov",
                      "needs optimizer.momentum above 0");
    if (settings_group_number(s, in, "optimizer.nesterov") != 0 &&
        settings_group_number(s, in, "optimizer.dampening") != 0)
        return refuse(error, size, s, group, "optimizer.nesterov",
                      "needs optimizer.dampening = 0");
    if (!group && settings_number(s, "schedule.cycle_momentum") != 0 &&
        !strcmp(settings_text(s, "optimizer"), "sgd") && momentum == 0)
        return refuse(error, size, s, group, "schedule.cycle_momentum",
                      "needs optimizer.momentum above 0");
    if (group && settings_number(s, "optimizer.lr") == 0 &&
        settings_group_number(s, in, "optimizer.lr") != 0)
        return refuse(error, size, s, group, "optimizer.lr",
                      "cannot be in proportion to optimizer.lr = 0 (set that "
                      "above 0, or lr_factor here)");
    return NULL;
}

const char *settings_groups_check(const Settings *s, char *error, size_t size)
{
    bool used[GROUPS_MOST + 1] = {true};
    const char *wrong = NULL;
    for (size_t i = 0; i < s->n; i++)
        used[setting_group(s->item[i].key, NULL)] = true;
    for (int i = 0; i <= GROUPS_MOST && !wrong; i++)
        wrong = used[i] ? check_one(s, i, error, size) : NULL;
    return wrong;
}
