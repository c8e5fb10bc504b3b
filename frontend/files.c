/* files.c: a model file and the files that it uses: params, constants, blocks,
 * and the one net.
 *
 * Every file has its own params; `use "f.net" { depth = 110 }` and -D depth=56
 * set them, -D in whatever file has a param of that name.  Blocks and the net
 * are seen by all. */
#include "elaborate.h"
#include "parse.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- -D
 * ------------------------------------------------------------------------- */

static void bad_define(Elab *el, const char *text)
{
    diag_error(el->diag, (Span){0}, "-D %.80s: expected NAME=VALUE", text);
}

/* "depth=56": the value is an expression of the language. */
static void read_define(Elab *el, const char *text)
{
    const char *equals = strchr(text, '=');
    Error e;
    if (!equals || equals == text) {
        bad_define(el, text);
        return;
    }
    const char *name = arena_strndup(el->arena, text, (size_t)(equals - text));
    const Source *source =
        source_text(el->arena, arena_printf(el->arena, "-D %.80s", name),
                    equals + 1, strlen(equals + 1), &e);
    if (!source) {
        bad_define(el, name);
        return;
    }
    Expr *value = parse_expr(source, el->arena, el->diag);
    Span at = {source, 1, 1, 1, 1};
    if (value)
        el->define[el->n_defines++] =
            (Define){{name, value->span}, value, false};
    else if (!el->diag->errors)
        diag_error(el->diag, at, "expected a value");
}

static void read_defines(Elab *el)
{
    int n = el->options->n_define;
    el->define = arena_array(el->arena, (size_t)n + 1, sizeof *el->define);
    for (int i = 0; i < n; i++)
        read_define(el, el->options->define[i]);
}

/* The last -D of that name; all of them count as used. */
static Define *find_define(Elab *el, const char *name)
{
    Define *found = NULL;
    for (int i = 0; i < el->n_defines; i++)
        if (!strcmp(el->define[i].name.text, name)) {
            found = &el->define[i];
            found->used = true;
        }
    return found;
}

static void check_defines(Elab *el)
{
    for (int i = 0; i < el->n_defines; i++) {
        const Define *d = &el->define[i];
        if (d->used ||
            !diag_error(el->diag, (Span){0}, "-D %s: there is no such param",
                        d->name.text))
            continue;
        Nearest n = nearest_of(d->name.text);
        for (size_t u = 0; u < el->n_units; u++)
            for (size_t k = 0; k < el->unit[u]->file->n; k++)
                if (el->unit[u]->file->item[k]->kind == ITEM_PARAM)
                    nearest_try(&n, el->unit[u]->file->item[k]->name.text);
        diag_did_you_mean(el->diag, &n);
    }
}

/* ---- params
 * ---------------------------------------------------------------------- */

static bool same_kind(Datum wanted, Datum given)
{
    bool callable = wanted.kind == DATUM_BLOCK || wanted.kind == DATUM_LAYER;
    return wanted.kind == given.kind || wanted.kind == DATUM_ERROR ||
           (wanted.kind == DATUM_FLOAT && given.kind == DATUM_INT) ||
           (callable &&
            (given.kind == DATUM_BLOCK || given.kind == DATUM_LAYER));
}

/* Where a param's value comes from: -D, else `use`, else its default. */
static Datum param_value(Elab *el, const Item *item, Span *at)
{
    const char *name = item->name.text;
    Define *define = find_define(el, name);
    Binding *given = scope_find(&el->in->given, name);
    *at = item->name.span;
    if (define) {
        *at = define->value->span;
        return elab_eval(el, define->value);
    }
    if (given) {
        *at = given->span;
        return given->value;
    }
    if (item->value)
        return datum_error();
    if (diag_error(el->diag, item->span, "%s has no value", name))
        diag_hint(el->diag, "give it one: -D %s=.., or in the use of this file",
                  name);
    return datum_error();
}

static void set_name(Elab *el, Name name, Datum value)
{
    const Binding *b = scope_find(&el->in->scope, name.text);
    if (b && diag_error(el->diag, name.span, "%s is defined twice", name.text))
        diag_also(el->diag, b->span, "the first time");
    scope_set(&el->in->scope, el->arena, name, value);
}

static void load_param(Elab *el, const Item *item)
{
    Datum standard = item->value ? elab_eval(el, item->value) : datum_error();
    Span at;
    Datum value = param_value(el, item, &at);
    if (value.kind == DATUM_ERROR)
        value = standard;
    else if (!same_kind(standard, value))
        diag_error(el->diag, at, "%s is %s (by default %s), not %s",
                   item->name.text, datum_kind(standard),
                   datum_text(standard, NULL, el->arena),
                   datum_text(value, NULL, el->arena));
    if (standard.kind == DATUM_FLOAT && value.kind == DATUM_INT)
        value = datum_float((double)value.i);
    set_name(el, item->name, value);
}

/* What `use` binds must be params of the file. */
static void check_bindings(Elab *el, const Unit *u)
{
    for (size_t i = 0; u->bindings && i < u->bindings->n; i++) {
        Name name = u->bindings->item[i].name;
        Nearest n = nearest_of(name.text);
        bool known = false;
        for (size_t k = 0; k < u->file->n; k++)
            if (u->file->item[k]->kind == ITEM_PARAM) {
                known =
                    known || !strcmp(u->file->item[k]->name.text, name.text);
                nearest_try(&n, u->file->item[k]->name.text);
            }
        if (!known && diag_error(el->diag, name.span, "%s has no param %s",
                                 u->path, name.text))
            diag_did_you_mean(el->diag, &n);
    }
}

/* ---- blocks and the net
 * ------------------------------------------------------------ */

static void check_parameters(Elab *el, const Item *item)
{
    Scope seen = {0};
    const Parameters *p = &item->parameters;
    bool defaults = false;
    for (size_t i = 0; i < p->n; i++) {
        const Parameter *one = &p->item[i];
        if (scope_find(&seen, one->name.text))
            diag_error(el->diag, one->name.span, "two parameters are named %s",
                       one->name.text);
        scope_set(&seen, el->arena, one->name, datum_bool(true));
        if (item->kind == ITEM_BLOCK && defaults && !one->value)
            diag_error(el->diag, one->name.span,
                       "%s needs a default: one before it has one",
                       one->name.text);
        defaults = defaults || one->value;
    }
}

static Block *block_new(Elab *el, const Item *item)
{
    Block b = {item, el->in};
    check_parameters(el, item);
    return arena_copy(el->arena, &b, sizeof b);
}

static void load_block(Elab *el, const Item *item)
{
    const Binding *first = scope_find(&el->blocks, item->name.text);
    if (first && diag_error(el->diag, item->name.span,
                            "block %s exists already", item->name.text))
        diag_also(el->diag, first->span, "here");
    scope_set(&el->blocks, el->arena, item->name,
              (Datum){.kind = DATUM_BLOCK, .block = block_new(el, item)});
}

static void load_net(Elab *el, const Item *item)
{
    if (el->net) {
        if (diag_error(el->diag, item->name.span, "a second net"))
            diag_also(el->diag, el->net->item->name.span, "the first");
        return;
    }
    el->net = block_new(el, item);
}

/* ---- files
 * ---------------------------------------------------------------------------
 */

/* The path of a used file: relative to the file that uses it. */
static const char *beside(Elab *el, const char *user, const char *path)
{
    const char *slash = strrchr(user, '/');
    if (*path == '/' || !slash)
        return path;
    return arena_printf(el->arena, "%.*s/%s", (int)(slash - user), user, path);
}

static const char *real_path(Elab *el, const char *path)
{
    char real[PATH_MAX];
    return arena_strdup(el->arena, realpath(path, real) ? real : path);
}

static void load_unit(Elab *el, Unit *u);

static bool in_use(Elab *el, const char *real, Span at)
{
    for (const Unit *u = el->in; u; u = u->user)
        if (!strcmp(u->real, real)) {
            diag_error(el->diag, at, "%s uses itself", u->path);
            return true;
        }
    return false;
}

/* Was it loaded with nothing bound?  Then once is enough. */
static bool loaded(const Elab *el, const char *real)
{
    for (size_t i = 0; i < el->n_units; i++)
        if (!strcmp(el->unit[i]->real, real))
            return !el->unit[i]->bindings || !el->unit[i]->bindings->n;
    return false;
}

static Unit *unit_new(Elab *el, const char *path, const File *file)
{
    Unit *u = arena_alloc(el->arena, sizeof *u);
    u->file = file;
    u->path = path;
    u->real = real_path(el, path);
    u->user = el->in;
    ARENA_PUSH(el->arena, el->unit, el->n_units, el->cap_units, u);
    return u;
}

static void bind(Elab *el, Unit *u, const Parameters *bindings)
{
    u->bindings = bindings;
    for (size_t i = 0; i < bindings->n; i++) {
        Name name = bindings->item[i].name;
        if (scope_find(&u->given, name.text))
            diag_error(el->diag, name.span, "%s is given twice", name.text);
        scope_set(&u->given, el->arena, name,
                  elab_eval(el, bindings->item[i].value));
    }
}

static void load_use(Elab *el, const Item *item)
{
    const char *path = beside(el, el->in->path, item->name.text);
    const char *real = real_path(el, path);
    Error e;
    if (in_use(el, real, item->name.span) ||
        (!item->parameters.n && loaded(el, real)))
        return;
    if (el->n_units >= MOST_FILES) {
        diag_error(el->diag, item->name.span, "more than %d files", MOST_FILES);
        return;
    }
    const Source *source = source_read(el->arena, path, &e);
    if (!source) {
        diag_error(el->diag, item->name.span, "%s: %s", path, e.text);
        return;
    }
    File *file = parse_file(source, el->arena, el->diag);
    Unit *u = unit_new(el, path, file);
    bind(el, u, &item->parameters);
    load_unit(el, u);
}

static void load_item(Elab *el, const Item *item)
{
    switch (item->kind) {
    case ITEM_PARAM:
        load_param(el, item);
        break;
    case ITEM_CONSTANT:
        set_name(el, item->name, elab_eval(el, item->value));
        break;
    case ITEM_REQUIRE:
        elab_require(el, item->value, item->message);
        break;
    case ITEM_USE:
        load_use(el, item);
        break;
    case ITEM_NET:
        load_net(el, item);
        break;
    case ITEM_BLOCK:
    case ITEM_TRAIN:
        break;
    }
}

static void load_train(Elab *el, Unit *u)
{
    const Item *first = NULL;
    for (size_t i = 0; i < u->file->n; i++) {
        const Item *item = u->file->item[i];
        if (item->kind != ITEM_TRAIN)
            continue;
        if (first && diag_error(el->diag, item->span, "a second train section"))
            diag_also(el->diag, first->span, "the first");
        first = item;
        TrainSection t = {u, item};
        ARENA_PUSH(el->arena, el->train, el->n_train, el->cap_train, t);
    }
}

/* Blocks first, so that params may name them; then the rest in order. */
static void load_unit(Elab *el, Unit *u)
{
    Unit *outer = el->in;
    el->in = u;
    for (size_t i = 0; i < u->file->n; i++)
        if (u->file->item[i]->kind == ITEM_BLOCK)
            load_block(el, u->file->item[i]);
    for (size_t i = 0; i < u->file->n; i++)
        load_item(el, u->file->item[i]);
    check_bindings(el, u);
    load_train(el, u);
    el->in = outer;
}

void elab_load(Elab *el, const Source *source)
{
    read_defines(el);
    File *file = parse_file(source, el->arena, el->diag);
    if (el->diag->errors)
        return;
    load_unit(el, unit_new(el, source->path, file));
    if (el->diag->errors)
        return;
    check_defines(el);
    if (!el->net)
        diag_error(el->diag, (Span){source, 0, 0, 0, 0},
                   "there is no net in this file: net NAME(image: [3, 32, 32]) "
                   "{ .. }");
}
