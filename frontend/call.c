/* call.c: calling blocks and layers: arguments to parameters, names to paths.
 */
#include "elaborate.h"
#include "layers.h"
#include <string.h>

/* ---- arguments
 * ---------------------------------------------------------------- */

/* What is called, as its callers see it: a block or a layer. */
typedef struct Signature {
    const char *what; /* its name */
    size_t n;         /* parameters */
    const Block *block;
    const Layer *layer; /* NULL: a block */
} Signature;

static const char *parameter_name(const Signature *s, size_t k)
{
    return s->layer ? s->layer->params[k].name
                    : s->block->item->parameters.item[k].name.text;
}

/* "basic(x, channels, stride = ..)" */
static const char *signature_text(const Signature *s, Arena *a)
{
    if (s->layer)
        return layer_signature(s->layer, a);
    const char *text = arena_printf(a, "%s(", s->what);
    for (size_t i = 0; i < s->n && i < 20; i++)
        text = arena_printf(
            a, "%s%s%s%s", text, i ? ", " : "", parameter_name(s, i),
            s->block->item->parameters.item[i].value ? " = .." : "");
    return arena_printf(a, "%s)", text);
}

static void too_many(Elab *el, const Signature *s, const Expr *e, size_t given)
{
    const Argument *first = &e->call.arguments.item[s->n];
    if (diag_error(el->diag, first->value->span,
                   "%zu arguments, and %s takes %zu", given, s->what, s->n))
        diag_hint(el->diag, "%s", signature_text(s, el->arena));
}

static void unknown_argument(Elab *el, const Signature *s, Name name)
{
    if (!diag_error(el->diag, name.span, "%s has no argument named %s", s->what,
                    name.text))
        return;
    Nearest n = nearest_of(name.text);
    for (size_t i = 0; i < s->n; i++)
        nearest_try(&n, parameter_name(s, i));
    if (nearest_name(&n))
        diag_did_you_mean(el->diag, &n);
    else
        diag_hint(el->diag, "%s", signature_text(s, el->arena));
}

/* The parameter that an argument is for; -1 after a message. */
static int place_argument(Elab *el, const Signature *s, const Expr *e, size_t i,
                          bool *named)
{
    const Argument *a = &e->call.arguments.item[i];
    if (a->name.text) {
        *named = true;
        for (size_t k = 0; k < s->n; k++)
            if (!strcmp(parameter_name(s, k), a->name.text))
                return (int)k;
        unknown_argument(el, s, a->name);
    } else if (*named) {
        diag_error(el->diag, a->value->span,
                   "an argument without a name after one with a name");
    } else if (i < s->n) {
        return (int)i;
    } else {
        too_many(el, s, e, e->call.arguments.n);
    }
    return -1;
}

/* argument[k]: what is given for parameter k, or NULL. */
static bool place_arguments(Elab *el, const Signature *s, const Expr *e,
                            const Expr **argument)
{
    bool ok = true, named = false;
    const Arguments *list = &e->call.arguments;
    for (size_t i = 0; i < list->n; i++) {
        const Argument *a = &list->item[i];
        int k = place_argument(el, s, e, i, &named);
        if (k >= 0 && argument[k]) {
            diag_error(el->diag, a->value->span, "%s is given twice",
                       parameter_name(s, k));
            ok = false;
        } else if (k >= 0) {
            argument[k] = a->value;
        } else {
            ok = false;
            if (!a->name.text)
                break;
        }
    }
    return ok;
}

static void missing(Elab *el, const Signature *s, const Expr *e, size_t k)
{
    if (diag_error(el->diag, e->span, "%s: %s is missing", s->what,
                   parameter_name(s, k)))
        diag_hint(el->diag, "%s", signature_text(s, el->arena));
}

/* ---- paths
 * -------------------------------------------------------------------- */

static const char *join(Elab *el, Span at, const char *path, const char *label)
{
    if (strlen(path) + strlen(label) >= LONGEST_PATH) {
        diag_error(el->diag, at, "a layer's name of more than %d bytes",
                   LONGEST_PATH);
        return NULL;
    }
    return arena_printf(el->arena, "%s%s%s", path, *path ? "." : "", label);
}

/* The path of a call: its label below the block's own path.  Without a label,
 * a layer with weights is called as it is, a block adds nothing. */
static const char *call_path(Elab *el, const Expr *e, const Label *label,
                             const char *otherwise)
{
    const char *path = el->call ? el->call->path : "";
    const char *name = label ? elab_label(el, label) : otherwise;
    if (!name)
        return NULL;
    Span at = label ? label->span : e->span;
    return *name ? join(el, at, path, name) : path;
}

/* ---- blocks
 * ------------------------------------------------------------------- */

static bool is_running(const Elab *el, const Block *b)
{
    for (const Call *c = el->call; c; c = c->up)
        if (c->block == b)
            return true;
    return false;
}

/* Defaults may use the parameters before them. */
static bool set_parameters(Elab *el, const Signature *s, const Expr *e,
                           const Expr *const *argument, const Datum *value)
{
    const Parameters *p = &el->call->block->item->parameters;
    bool ok = true;
    for (size_t k = 0; k < p->n; k++) {
        Datum d = datum_error();
        if (argument[k]) {
            d = value[k];
        } else if (p->item[k].value) {
            d = elab_eval(el, p->item[k].value);
        } else {
            ok = false;
            const Frame *frame = el->diag->frame;
            el->diag->frame = frame->up; /* it is the caller's mistake */
            missing(el, s, e, k);
            el->diag->frame = frame;
        }
        scope_set(&el->call->scope, el->arena, p->item[k].name, d);
    }
    return ok;
}

static void begin_call(Elab *el, Call *call, const Block *b, Span at)
{
    call->block = b;
    call->up = el->call;
    call->loc = elab_loc(el, at);
    call->frame = (Frame){b->item->name.text, at, el->diag->frame};
    call->results = datum_error();
    el->call = call;
    el->in = b->unit;
}

static Datum run_body(Elab *el, const Block *b)
{
    Call *call = el->call;
    int errors = el->diag->errors;
    elab_body(el, &b->item->body);
    if (!call->returned && el->diag->errors == errors &&
        el->steps <= MOST_STEPS)
        diag_error(el->diag, b->item->name.span, "%s ends without return",
                   b->item->name.text);
    return call->results;
}

static Datum call_block(Elab *el, const Expr *e, const Label *label,
                        const Block *b)
{
    Signature s = {
        .what = b->item->name.text, .n = b->item->parameters.n, .block = b};
    const Expr **argument = arena_array(el->arena, s.n + 1, sizeof *argument);
    Datum *value = arena_array(el->arena, s.n + 1, sizeof *value);
    if (is_running(el, b)) {
        diag_error(el->diag, e->span,
                   "%s calls itself; nets are finite, so blocks do not recurse",
                   s.what);
        return datum_error();
    }
    bool ok = place_arguments(el, &s, e, argument);
    for (size_t k = 0; k < s.n; k++)
        if (argument[k])
            value[k] = elab_eval(el, argument[k]);
    Call call = {.path = call_path(el, e, label, "")};
    if (!ok || !call.path)
        return datum_error();
    Unit *in = el->in;
    begin_call(el, &call, b, e->span);
    el->diag->frame = &call.frame;
    Datum d = set_parameters(el, &s, e, argument, value) ? run_body(el, b)
                                                         : datum_error();
    el->diag->frame = call.frame.up;
    el->call = call.up;
    el->in = in;
    return d;
}

/* The net is a block that nobody calls. */
Datum elab_run_net(Elab *el, Value image)
{
    Call call = {.path = ""};
    begin_call(el, &call, el->net, (Span){0});
    if (el->net->item->parameters.n)
        scope_set(&call.scope, el->arena,
                  el->net->item->parameters.item[0].name, datum_tensor(image));
    Datum d = run_body(el, el->net);
    el->call = NULL;
    return d;
}

/* ---- layers
 * ------------------------------------------------------------------- */

static bool word_known(const char *words, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = words; p && *p; p += strcspn(p, " "), p += *p == ' ')
        if (!strncmp(p, name, n) && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

/* A bare word, where the parameter takes words; else its value. */
static Datum eval_word(Elab *el, const LayerParam *p, const Expr *e)
{
    if (e->kind == EXPR_NAME && word_known(p->words, e->text))
        return datum_string(e->text);
    if (e->kind == EXPR_NAME && elab_lookup(el, e->text).kind == DATUM_ERROR) {
        if (diag_error(el->diag, e->span, "%s is none of: %s", e->text,
                       p->words)) {
            Nearest n = nearest_of(e->text);
            char word[32];
            for (const char *w = p->words; *w;
                 w += strcspn(w, " "), w += *w == ' ') {
                snprintf(word, sizeof word, "%.*s", (int)strcspn(w, " "), w);
                nearest_try(&n, arena_strdup(el->arena, word));
            }
            diag_did_you_mean(el->diag, &n);
        }
        return datum_error();
    }
    return elab_eval(el, e);
}

static Datum eval_argument(Elab *el, const LayerParam *p, const Expr *e)
{
    if (p->kind == PARAM_WORD)
        return eval_word(el, p, e);
    if (p->kind != PARAM_AXES)
        return elab_eval(el, e);
    if (e->kind != EXPR_LIST) {
        Datum one = eval_word(el, p, e);
        return one.kind == DATUM_STRING ? datum_list(el->arena, &one, 1) : one;
    }
    Datum *item = arena_array(el->arena, e->list.n + 1, sizeof *item);
    for (size_t i = 0; i < e->list.n; i++) {
        item[i] = eval_word(el, p, e->list.item[i]);
        if (item[i].kind == DATUM_ERROR)
            return datum_error();
    }
    return (Datum){.kind = DATUM_LIST, .list = {item, e->list.n}};
}

static bool in_range(const LayerParam *p, Datum d)
{
    if (d.kind == DATUM_LIST) {
        for (size_t i = 0; i < d.list.n; i++)
            if (!in_range(p, d.list.item[i]))
                return false;
        return true;
    }
    return p->high <= p->low || !datum_is_number(d) ||
           (datum_number(d) >= p->low && datum_number(d) <= p->high);
}

static bool two_ints(Datum d)
{
    return d.kind == DATUM_INT || (d.kind == DATUM_LIST && d.list.n == 2 &&
                                   d.list.item[0].kind == DATUM_INT &&
                                   d.list.item[1].kind == DATUM_INT);
}

static bool words_known(const LayerParam *p, Datum d)
{
    if (d.kind != DATUM_LIST || d.list.n == 0)
        return false;
    for (size_t i = 0; i < d.list.n; i++)
        if (d.list.item[i].kind != DATUM_STRING ||
            !word_known(p->words, d.list.item[i].s))
            return false;
    return true;
}

static bool kind_fits(const LayerParam *p, Datum d)
{
    switch (p->kind) {
    case PARAM_TENSOR:
        return d.kind == DATUM_TENSOR;
    case PARAM_INT:
        return d.kind == DATUM_INT;
    case PARAM_NUMBER:
        return datum_is_number(d);
    case PARAM_BOOL:
        return d.kind == DATUM_BOOL;
    case PARAM_PAIR:
    case PARAM_ENDS:
        return two_ints(d);
    case PARAM_WORD:
        return d.kind == DATUM_STRING && word_known(p->words, d.s);
    case PARAM_AXES:
        return words_known(p, d);
    case PARAM_ANY:
        break;
    }
    return true;
}

static const char *kind_wanted(const LayerParam *p, Arena *a)
{
    static const char *const text[] = {
        [PARAM_TENSOR] = "a tensor",
        [PARAM_INT] = "a whole number",
        [PARAM_NUMBER] = "a number",
        [PARAM_BOOL] = "true or false",
        [PARAM_PAIR] = "a whole number, or two as [height, width]",
        [PARAM_ENDS] = "a whole number, or two as [before, behind]"};
    if (p->kind == PARAM_WORD)
        return arena_printf(a, "one of: %s", p->words);
    if (p->kind == PARAM_AXES)
        return arena_printf(a, "a list of: %s", p->words);
    return text[p->kind];
}

static bool check_argument(LayerCall *c, size_t k)
{
    const LayerParam *p = &c->layer->params[k];
    Elab *el = c->el;
    Datum d = c->arg[k];
    if (d.kind == DATUM_ERROR)
        return false;
    if (!kind_fits(p, d)) {
        diag_error(el->diag, c->at[k], "%s: %s must be %s, not %s",
                   c->layer->name, p->name, kind_wanted(p, el->arena),
                   datum_text(d, el->graph, el->arena));
        return false;
    }
    if (in_range(p, d))
        return true;
    if (p->high < 1e15)
        diag_error(el->diag, c->at[k], "%s: %s is %s, not from %g to %g",
                   c->layer->name, p->name, datum_text(d, el->graph, el->arena),
                   p->low, p->high);
    else
        diag_error(el->diag, c->at[k], "%s: %s is %s, and must be at least %g",
                   c->layer->name, p->name, datum_text(d, el->graph, el->arena),
                   p->low);
    return false;
}

static Signature layer_sign(const Layer *layer)
{
    Signature s = {.what = layer->name, .layer = layer};
    while (layer->params[s.n].name)
        s.n++;
    return s;
}

/* Values for all parameters; false after a message. */
static bool fill_arguments(LayerCall *c, const Signature *s, const Expr *e,
                           const Expr *const *argument)
{
    bool ok = true;
    for (size_t k = 0; k < s->n; k++) {
        const LayerParam *p = &c->layer->params[k];
        c->at[k] = argument[k] ? argument[k]->span : e->span;
        c->given[k] = argument[k] != NULL;
        if (argument[k]) {
            c->arg[k] = eval_argument(c->el, p, argument[k]);
            ok = check_argument(c, k) && ok;
        } else if (p->value) {
            c->arg[k] = layer_default(p, c->el->arena);
        } else {
            missing(c->el, s, e, k);
            ok = false;
        }
    }
    return ok;
}

/* It would name nothing, and what it was meant for would go without. */
static void useless_label(Elab *el, const Label *label, const Layer *layer)
{
    if (diag_error(el->diag, label->span,
                   "%s has no weights that a label "
                   "could name",
                   layer->name))
        diag_hint(el->diag, "put the label before the layer that has: "
                            "x = relu(conv1: conv(x, 16, 3))");
}

static Datum call_layer(Elab *el, const Expr *e, const Label *label,
                        const Layer *layer)
{
    Signature s = layer_sign(layer);
    const Expr *argument[LAYER_PARAMS] = {0};
    LayerCall c = {.el = el, .layer = layer, .span = e->span};
    bool placed = place_arguments(el, &s, e, argument);
    if (!placed || !fill_arguments(&c, &s, e, argument))
        return datum_error();
    c.path = call_path(el, e, label, layer->owns ? layer->name : "");
    if (!c.path)
        return datum_error();
    if (label && !layer->owns)
        useless_label(el, label, layer);
    if (el->graph)
        el->graph->hint = label || layer->owns ? c.path : NULL;
    Datum d = layer->build(&c);
    if (el->graph)
        el->graph->hint = NULL;
    return d;
}

/* ---- what a call names
 * ---------------------------------------------------------- */

/* A block or a layer of that name: one held by a local name goes first; a
 * local number of the same name does not get in the way. */
static Datum callee_of(Elab *el, const char *name)
{
    const Scope *scope[] = {el->call ? &el->call->scope : NULL,
                            el->in ? &el->in->scope : NULL, &el->blocks};
    for (size_t i = 0; i < sizeof scope / sizeof *scope; i++) {
        const Binding *b = scope[i] ? scope_find(scope[i], name) : NULL;
        if (b && (b->value.kind == DATUM_BLOCK || b->value.kind == DATUM_LAYER))
            return b->value;
    }
    const Layer *layer = layer_named(name);
    return layer ? (Datum){.kind = DATUM_LAYER, .layer = layer} : datum_error();
}

Datum elab_call(Elab *el, const Expr *e, const Label *label)
{
    Name name = e->call.name;
    Datum callee = callee_of(el, name.text);
    if (!elab_step(el, e->span))
        return datum_error();
    if (callee.kind == DATUM_LAYER)
        return call_layer(el, e, label, callee.layer);
    if (callee.kind == DATUM_BLOCK)
        return call_block(el, e, label, callee.block);
    if (diag_error(el->diag, name.span, "there is no layer or block named %s",
                   name.text))
        elab_suggest(el, name.text, true);
    return datum_error();
}
