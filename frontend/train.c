/* train.c: from train sections and --set to settings.
 *
 * The train section of a used file comes first, so that the file using it
 * overrides single keys; --set comes last.  What keys there are, and what they
 * take, ir/settings.c knows. */
#include "elaborate.h"
#include "layers.h"
#include "settings_groups.h"
#include <string.h>

enum { LONGEST_KEY = 64 };

/* Is text one of the space-separated words? */
static bool is_word(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = words; p && *p; p += strcspn(p, " "), p += *p == ' ')
        if (!strncmp(p, text, n) && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

static bool number_list(Elab *el, Datum d, SettingValue *v)
{
    double *list = arena_array(el->arena, d.list.n + 1, sizeof *list);
    for (size_t i = 0; i < d.list.n; i++) {
        if (!datum_is_number(d.list.item[i]))
            return false;
        list[i] = datum_number(d.list.item[i]);
    }
    *v = (SettingValue){
        .type = SET_NUMBERS, .list = list, .count = (int)d.list.n};
    return true;
}

static bool to_setting(Elab *el, Datum d, SettingValue *v)
{
    switch (d.kind) {
    case DATUM_INT:
        *v = (SettingValue){.type = SET_INT, .number = (double)d.i};
        return true;
    case DATUM_FLOAT:
        *v = (SettingValue){.type = SET_FLOAT, .number = d.f};
        return true;
    case DATUM_BOOL:
        *v = (SettingValue){.type = SET_BOOL, .number = d.b};
        return true;
    case DATUM_STRING:
        *v = (SettingValue){.type = SET_WORD, .text = d.s};
        return true;
    case DATUM_LIST:
        return number_list(el, d, v);
    default:
        return false;
    }
}

/* Does a key stand in a group that has a kind of its own? */
static bool in_own_group(const Settings *s, const char *key)
{
    char section[LONGEST_KEY];
    const char *dot = strrchr(key, '.');
    if (!setting_group(key, NULL) || !dot)
        return false;
    snprintf(section, sizeof section, "%.*s", (int)(dot - key), key);
    return settings_get(s, section) != NULL;
}

/* A section gets another kind: what only its old kind knows goes with it, so
 * that `schedule cosine` replaces a whole `schedule multistep { at = .. }`. */
static void change_kind(Settings *s, const char *section, const char *kind)
{
    const SettingValue *before = settings_get(s, section);
    size_t n = strlen(section), kept = 0;
    if (!before || !strcmp(before->text, kind))
        return;
    for (size_t i = 0; i < s->n; i++) {
        const char *key = s->item[i].key, *only = setting_spec(key)->only;
        bool inside = !strncmp(key, section, n) && key[n] == '.';
        if (!inside || !only || is_word(only, kind) ||
            (!setting_group(section, NULL) && in_own_group(s, key)))
            s->item[kept++] = s->item[i];
    }
    s->n = kept;
}

static void set(Elab *el, const char *key, SettingValue v, Span at)
{
    char error[MAX_TEXT];
    Module *m = el->module;
    if (v.type == SET_WORD && setting_spec(key))
        change_kind(&m->settings, key, v.text);
    if (!settings_set(&m->settings, m->arena, key, v, elab_loc(el, at), error,
                      sizeof error))
        diag_error(el->diag, at, "%s", error);
}

/* crop = 4, flip = horizontal: a bare name is a word where the setting takes
 * words. */
static void set_value(Elab *el, const char *key, const SettingNode *node)
{
    const SettingSpec *spec = setting_spec(key);
    const Expr *e = node->value;
    SettingValue v;
    if (!spec) {
        set(el, key, (SettingValue){.type = SET_INT}, node->key.span);
        return;
    }
    bool word = e->kind == EXPR_NAME && spec->type == SET_WORD &&
                (is_word(spec->words, e->text) ||
                 elab_lookup(el, e->text).kind == DATUM_ERROR);
    Datum d = word ? datum_string(e->text) : elab_eval(el, e);
    if (d.kind == DATUM_ERROR)
        return;
    if (to_setting(el, d, &v))
        set(el, key, v, e->span);
    else
        diag_error(el->diag, e->span, "%s cannot be %s", key,
                   datum_text(d, NULL, el->arena));
}

static void set_nodes(Elab *el, const char *section, const SettingNodes *list);

/* group "*.bias" "*bn*" muon { .. } */
static void set_group(Elab *el, const char *key, const SettingNode *node)
{
    const char *section = elab_group(el, key, node);
    if (!section)
        return;
    if (node->kind.text)
        set(el, section,
            (SettingValue){.type = SET_WORD, .text = node->kind.text},
            node->kind.span);
    set_nodes(el, section, &node->inner);
}

static void set_node(Elab *el, const char *section, const SettingNode *node)
{
    char key[LONGEST_KEY];
    int n = snprintf(key, sizeof key, "%s%s%s", section, *section ? "." : "",
                     node->key.text);
    if (n >= LONGEST_KEY) {
        diag_error(el->diag, node->key.span, "unknown setting %.40s..", key);
        return;
    }
    if (node->value) {
        set_value(el, key, node);
        return;
    }
    if (node->patterns.n) {
        set_group(el, key, node);
        return;
    }
    if (node->kind.text)
        set(el, key, (SettingValue){.type = SET_WORD, .text = node->kind.text},
            setting_spec(key) ? node->kind.span : node->key.span);
    if (setting_spec(key) && setting_spec(key)->type == SET_WORD)
        set_nodes(el, key, &node->inner);
    else if (!node->kind.text && setting_spec(key))
        diag_error(el->diag, node->key.span,
                   "%s = .. sets it; it is no section", key);
    else if (!setting_spec(key))
        set(el, key, (SettingValue){.type = SET_INT}, node->key.span);
}

static void check_twice(Elab *el, const SettingNodes *list)
{
    Scope seen = {0};
    for (size_t i = 0; i < list->n; i++) {
        const SettingNode *node = list->item[i];
        Name key = node->key;
        if (node->patterns.n)
            key = (Name){arena_printf(el->arena, "%s %s", key.text,
                                      elab_group_names(el, node)),
                         key.span};
        const Binding *first = scope_find(&seen, key.text);
        if (first &&
            diag_error(el->diag, key.span, "%s is set twice", key.text))
            diag_also(el->diag, first->span, "the first time");
        scope_set(&seen, el->arena, key, datum_bool(true));
    }
}

static void set_nodes(Elab *el, const char *section, const SettingNodes *list)
{
    check_twice(el, list);
    for (size_t i = 0; i < list->n && !diag_full(el->diag); i++)
        set_node(el, section, list->item[i]);
}

/* --set optimizer.lr=0.05; first those that choose a kind, then the others. */
static void set_option(Elab *el, const char *text, bool kinds)
{
    char error[MAX_TEXT];
    Module *m = el->module;
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) {
        diag_error(el->diag, (Span){0}, "--set %.80s: expected KEY=VALUE",
                   text);
        return;
    }
    const char *key = arena_strndup(el->arena, text, (size_t)(equals - text));
    if ((strchr(key, '.') != NULL) == kinds)
        return;
    if (setting_spec(key) && setting_spec(key)->type == SET_WORD)
        change_kind(&m->settings, key, equals + 1);
    if (!settings_set_text(&m->settings, m->arena, key, equals + 1, 0, error,
                           sizeof error))
        diag_error(el->diag, (Span){0}, "--set: %s", error);
}

/* Where a key was set, by its location in the module. */
static Span span_of(const Elab *el, uint32_t loc)
{
    if (!loc)
        return (Span){0};
    const LocInfo *info = &el->module->loc[loc];
    for (size_t i = 0; i < el->n_units; i++) {
        const Source *s = el->unit[i]->file->source;
        if (!strcmp(s->path, info->file))
            return (Span){s, info->line, info->column, info->line,
                          info->column + 1};
    }
    return (Span){0};
}

/* accumulate must divide batch. */
static void check_parts(const Elab *el)
{
    const Settings *s = &el->module->settings;
    int64_t batch = (int64_t)settings_number(s, "batch"), near;
    int64_t parts = (int64_t)settings_number(s, "accumulate");
    uint32_t loc = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->item[i].key, "accumulate"))
            loc = s->item[i].loc;
    for (near = parts < batch ? parts : batch; batch % near;)
        near--;
    if (batch % parts)
        diag_error(el->diag, span_of(el, loc),
                   "accumulate = %lld does not divide batch = %lld (%lld does)",
                   (long long)parts, (long long)batch, (long long)near);
}

Span elab_setting_span(const Elab *el, const char *key)
{
    const Settings *s = &el->module->settings;
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->item[i].key, key))
            return span_of(el, s->item[i].loc);
    return (Span){0};
}

void elab_settings(Elab *el)
{
    char error[MAX_TEXT];
    uint32_t loc;
    Module *m = el->module;
    for (size_t i = 0; i < el->n_train; i++) {
        el->in = el->train[i].unit;
        set_nodes(el, "", &el->train[i].item->settings);
        el->in = NULL;
    }
    for (int kinds = 1; kinds >= 0; kinds--)
        for (int i = 0; i < el->options->n_set; i++)
            set_option(el, el->options->set[i], kinds);
    if (el->diag->errors)
        return;
    if (!settings_finish(&m->settings, m->arena, error, sizeof error, &loc))
        diag_error(el->diag, span_of(el, loc), "%s", error);
    else
        check_parts(el);
}
