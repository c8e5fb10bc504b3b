/* groups.c: `group "*.bias" "*bn*" { .. }` in the optimizer's section: which
 * number a group gets, and whether its patterns name anything.
 *
 * Groups are numbered in the order written.  One with the patterns of an
 * earlier one, from a used file, is that one. */
#include "elaborate.h"
#include "nearest.h"
#include "settings_groups.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { PATTERNS_MOST = 64 }; /* in one group */

const char *elab_group_names(Elab *el, const SettingNode *node)
{
    size_t size = 1;
    for (size_t i = 0; i < node->patterns.n; i++)
        size += strlen(node->patterns.item[i].text) + 1;
    char *text = arena_alloc(el->arena, size), *p = text;
    *p = 0;
    for (size_t i = 0; i < node->patterns.n; i++)
        p += sprintf(p, "%s%s", i ? " " : "", node->patterns.item[i].text);
    return text;
}

static bool check_pattern(Elab *el, Name pattern)
{
    const char *p = pattern.text;
    while (isgraph((unsigned char)*p) && *p != '"' && *p != '\\')
        p++;
    if (!*p && p > pattern.text)
        return true;
    diag_error(el->diag, pattern.span,
               *p ? "a pattern is letters, digits, . _ and *"
                  : "an empty pattern matches nothing");
    return false;
}

/* The group with these patterns, or the first number that is free; 0: none. */
static int group_number(const Settings *s, const char *names)
{
    char key[GROUP_KEY];
    for (int i = 1; i <= GROUPS_MOST; i++) {
        snprintf(key, sizeof key, "optimizer.group%d.names", i);
        const SettingValue *v = settings_get(s, key);
        if (!v || !strcmp(v->text, names))
            return i;
    }
    return 0;
}

const char *elab_group(Elab *el, const char *key, const SettingNode *node)
{
    Module *m = el->module;
    char error[MAX_TEXT];
    Span at = node->patterns.item[0].span;
    if (strcmp(key, "optimizer.group")) {
        diag_error(el->diag, at,
                   "only `group` in the section of the optimizer goes by "
                   "names of parameters");
        return NULL;
    }
    if (node->patterns.n > PATTERNS_MOST) {
        diag_error(el->diag, at, "more than %d patterns for one group",
                   PATTERNS_MOST);
        return NULL;
    }
    for (size_t i = 0; i < node->patterns.n; i++) {
        Name pattern = node->patterns.item[i];
        if (!check_pattern(el, pattern))
            return NULL;
        scope_set(&el->patterns, el->arena, pattern, datum_bool(true));
    }
    const char *names = elab_group_names(el, node);
    int number = group_number(&m->settings, names);
    if (!number) {
        diag_error(el->diag, at, "more than %d groups", GROUPS_MOST);
        return NULL;
    }
    const char *section = arena_printf(el->arena, "optimizer.group%d", number);
    SettingValue v = {.type = SET_TEXT, .text = names};
    if (settings_set(&m->settings, m->arena,
                     arena_printf(el->arena, "%s.names", section), v,
                     elab_loc(el, at), error, sizeof error))
        return section;
    diag_error(el->diag, at, "%s", error);
    return NULL;
}

/* ---- do they match? ------------------------------------------------------ */

static bool matches_any(const Module *m, const char *pattern)
{
    for (size_t i = 0; i < m->n_states; i++)
        if (m->state[i].role == STATE_PARAM &&
            pattern_matches(pattern, m->state[i].name))
            return true;
    return false;
}

/* Offers names, and each part of a name with what stands around it. */
static const char *nearest_pattern(Elab *el, const char *wrong)
{
    const Module *m = el->module;
    Nearest near = nearest_of(wrong);
    for (size_t i = 0; i < m->n_states; i++) {
        const char *name = m->state[i].name;
        if (m->state[i].role != STATE_PARAM)
            continue;
        nearest_try(&near, name);
        for (const char *p = name; *p; p += strcspn(p, "."), p += *p == '.') {
            int n = (int)strcspn(p, ".");
            nearest_try(&near, arena_printf(el->arena, "*.%s", p));
            nearest_try(&near, arena_printf(el->arena, "*%s", p));
            nearest_try(&near, arena_printf(el->arena, "%.*s*", n, p));
            nearest_try(&near, arena_printf(el->arena, "*%.*s*", n, p));
        }
    }
    return nearest_name(&near);
}

/* place: where the names stand, if not each for itself. */
static void check_patterns(Elab *el, const char *names, Span place)
{
    const char *p = names;
    while (*p) {
        size_t n = strcspn(p, " ");
        const char *pattern = arena_strndup(el->arena, p, n);
        p += n + (p[n] == ' ');
        if (!n || matches_any(el->module, pattern))
            continue;
        const Binding *at = scope_find(&el->patterns, pattern);
        if (!diag_error(el->diag, at ? at->span : place,
                        "no parameter matches \"%.100s\"", pattern))
            return;
        const char *near = nearest_pattern(el, pattern);
        if (near)
            diag_hint(el->diag, "did you mean \"%s\"?", near);
        else
            diag_hint(el->diag,
                      "`tgc dump` lists them as `state NAME .. param`");
    }
}

void elab_check_groups(Elab *el)
{
    char key[GROUP_KEY];
    for (int i = 1; i <= GROUPS_MOST; i++) {
        snprintf(key, sizeof key, "optimizer.group%d.names", i);
        const SettingValue *names = settings_get(&el->module->settings, key);
        if (names)
            check_patterns(el, names->text, (Span){0});
    }
}

void elab_freeze(Elab *el)
{
    Module *m = el->module;
    const SettingValue *frozen = settings_get(&m->settings, "frozen");
    if (!frozen)
        return;
    Span place = elab_setting_span(el, "frozen");
    check_patterns(el, frozen->text, place);
    bool any = false;
    for (size_t i = 0; i < m->n_states; i++) {
        State *s = &m->state[i];
        if (s->role != STATE_PARAM)
            continue;
        s->frozen = patterns_match(frozen->text, s->name);
        any = any || !s->frozen;
    }
    if (!any)
        diag_error(el->diag, place,
                   "there is nothing to train: every parameter is frozen by "
                   "\"%.100s\"",
                   frozen->text);
}
