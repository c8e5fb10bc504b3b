/* eval.c: expressions to values; and the elaborator's bounds. */
#include "elaborate.h"
#include "layers.h"
#include <inttypes.h>
#include <string.h>

/* ---- bounds -----------------------------------------------------------------
 */

bool elab_enter(Elab *el, Span at)
{
    if (el->depth < DEEPEST) {
        el->depth++;
        return true;
    }
    diag_error(el->diag, at, "nested too deeply");
    return false;
}

void elab_leave(Elab *el)
{
    el->depth--;
}

bool elab_step(Elab *el, Span at)
{
    if (diag_full(el->diag) || el->steps > MOST_STEPS)
        return false;
    if (el->steps++ < MOST_STEPS)
        return true;
    if (diag_error(el->diag, at, "more than %d steps to expand this net",
                   MOST_STEPS))
        diag_hint(el->diag, "is the bound of a loop too large?");
    return false;
}

/* ---- nodes ------------------------------------------------------------------
 */

Loc elab_loc(Elab *el, Span at)
{
    if (!at.source)
        return 0;
    return module_loc(el->module, at.source->path, at.line, at.column,
                      el->call ? el->call->loc : 0);
}

Value elab_node(Elab *el, Span at, const OpDesc *op, const Value *in, int n_in,
                const Attr *attr, int n_attr)
{
    Graph *g = el->graph;
    for (int i = 0; i < n_in; i++)
        if (!in[i].node)
            return NO_VALUE;
    if (g->n_nodes > MOST_NODES) {
        diag_error(el->diag, at, "more than %d operations in one net",
                   MOST_NODES);
        el->steps = MOST_STEPS + 1;
        return NO_VALUE;
    }
    g->loc = elab_loc(el, at);
    uint32_t id = graph_add(g, op, in, n_in, attr, n_attr);
    if (!id)
        diag_error(el->diag, at, "%s", g->error.text);
    return node_value(id, 0);
}

/* ---- names ------------------------------------------------------------------
 */

/* A name's binding among locals, then those of the file. */
static const Binding *find(const Elab *el, const char *name)
{
    const Binding *b = el->call ? scope_find(&el->call->scope, name) : NULL;
    return b ? b : el->in ? scope_find(&el->in->scope, name) : NULL;
}

Datum elab_lookup(Elab *el, const char *name)
{
    const Binding *b = find(el, name);
    b = b ? b : scope_find(&el->blocks, name);
    if (b)
        return b->value;
    const Layer *layer = layer_named(name);
    return layer ? (Datum){.kind = DATUM_LAYER, .layer = layer} : datum_error();
}

static void try_scope(Nearest *n, const Scope *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->item[i].hidden)
            nearest_try(n, s->item[i].name);
}

void elab_suggest(Elab *el, const char *name, bool callable)
{
    Nearest n = nearest_of(name);
    if (el->call && !callable)
        try_scope(&n, &el->call->scope);
    if (el->in && !callable)
        try_scope(&n, &el->in->scope);
    try_scope(&n, &el->blocks);
    for (const Layer *const *l = layer_table; callable && *l; l++)
        nearest_try(&n, (*l)->name);
    diag_did_you_mean(el->diag, &n);
}

static Datum eval_name(Elab *el, const Expr *e)
{
    const Binding *b = find(el, e->text);
    if (b)
        return b->value;
    Datum d = elab_lookup(el, e->text);
    if (d.kind == DATUM_ERROR &&
        diag_error(el->diag, e->span, "unknown name %s", e->text))
        elab_suggest(el, e->text, false);
    return d;
}

/* ---- labels -----------------------------------------------------------------
 */

static bool label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_';
}

/* Pieces of letters, digits and _ between single dots. */
static bool label_valid(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p == '.' ? p == text || !label_char(p[-1]) || !label_char(p[1])
                      : !label_char(*p))
            return false;
    return *text != 0;
}

static const char *part_text(Elab *el, const LabelPart *part)
{
    if (part->text)
        return part->text;
    Datum d = elab_eval(el, part->value);
    if (d.kind == DATUM_STRING)
        return d.s;
    if (d.kind == DATUM_INT)
        return arena_printf(el->arena, "%" PRId64, d.i);
    if (d.kind != DATUM_ERROR)
        diag_error(el->diag, part->value->span,
                   "a label takes whole numbers and strings, not %s",
                   datum_kind(d));
    return NULL;
}

const char *elab_label(Elab *el, const Label *label)
{
    char text[LONGEST_PATH + 1] = "";
    size_t n = 0;
    for (size_t i = 0; i < label->n; i++) {
        const char *part = part_text(el, &label->item[i]);
        if (!part)
            return NULL;
        if (n + strlen(part) > LONGEST_PATH) {
            diag_error(el->diag, label->span, "a label of more than %d bytes",
                       LONGEST_PATH);
            return NULL;
        }
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", part);
    }
    if (label_valid(text))
        return arena_strdup(el->arena, text);
    diag_error(el->diag, label->span,
               "%s is no name for a layer: letters, digits and _, with single "
               "dots between",
               text);
    return NULL;
}

/* ---- operators --------------------------------------------------------------
 */

static bool is_tensor(Datum d)
{
    return d.kind == DATUM_TENSOR;
}

static bool truth_of(Elab *el, const Expr *e, Datum d, bool *v)
{
    *v = d.kind == DATUM_BOOL && d.b;
    if (d.kind == DATUM_BOOL)
        return true;
    if (d.kind != DATUM_ERROR)
        diag_error(el->diag, e->span, "expected true or false, found %s",
                   datum_text(d, el->graph, el->arena));
    return false;
}

bool elab_condition(Elab *el, const Expr *e, bool *v)
{
    return truth_of(el, e, elab_eval(el, e), v);
}

bool elab_int(Elab *el, const Expr *e, int64_t *v)
{
    Datum d = elab_eval(el, e);
    *v = d.kind == DATUM_INT ? d.i : 0;
    if (d.kind == DATUM_INT)
        return true;
    if (d.kind != DATUM_ERROR)
        diag_error(el->diag, e->span, "expected a whole number, found %s",
                   datum_text(d, el->graph, el->arena));
    return false;
}

/* `and` and `or` look at the right side only where it matters. */
static Datum eval_logic(Elab *el, const Expr *e)
{
    bool left, right;
    if (!elab_condition(el, e->operand[0], &left))
        return datum_error();
    if (left == (e->op == OPERATOR_OR))
        return datum_bool(left);
    if (!elab_condition(el, e->operand[1], &right))
        return datum_error();
    return datum_bool(right);
}

static Datum eval_binary(Elab *el, const Expr *e)
{
    if (e->op == OPERATOR_AND || e->op == OPERATOR_OR)
        return eval_logic(el, e);
    Datum x = elab_eval(el, e->operand[0]), y = elab_eval(el, e->operand[1]);
    if (x.kind == DATUM_ERROR || y.kind == DATUM_ERROR)
        return datum_error();
    if (is_tensor(x) || is_tensor(y))
        return tensor_binary(el, e->span, e->op, x, y);
    Error error;
    Datum d = arithmetic_binary(e->op, x, y, &error);
    if (d.kind == DATUM_ERROR)
        diag_error(el->diag, e->span, "%s", error.text);
    return d;
}

static Datum eval_unary(Elab *el, const Expr *e)
{
    Datum x = elab_eval(el, e->operand[0]);
    if (x.kind == DATUM_ERROR)
        return x;
    if (is_tensor(x) && e->op == OPERATOR_NEGATE)
        return tensor_negate(el, e->span, x);
    Error error;
    Datum d = arithmetic_unary(e->op, x, &error);
    if (d.kind == DATUM_ERROR)
        diag_error(el->diag, e->span, "%s", error.text);
    return d;
}

static Datum eval_index(Elab *el, const Expr *e)
{
    Datum list = elab_eval(el, e->operand[0]);
    int64_t i;
    if (!elab_int(el, e->operand[1], &i) || list.kind == DATUM_ERROR)
        return datum_error();
    if (list.kind != DATUM_LIST) {
        if (diag_error(el->diag, e->operand[0]->span,
                       "only lists have elements; this is %s",
                       datum_text(list, el->graph, el->arena)) &&
            is_tensor(list))
            diag_hint(el->diag, "slice(x, axis, begin, end) takes a piece of "
                                "a tensor, shape(x)[i] a dimension");
        return datum_error();
    }
    if (i >= 0 && (uint64_t)i < list.list.n)
        return list.list.item[i];
    diag_error(el->diag, e->operand[1]->span,
               "no element %" PRId64 " in a list of %zu (the first is 0)", i,
               list.list.n);
    return datum_error();
}

static Datum eval_list(Elab *el, const Expr *e)
{
    Datum *item = arena_array(el->arena, e->list.n + 1, sizeof *item);
    for (size_t i = 0; i < e->list.n; i++) {
        item[i] = elab_eval(el, e->list.item[i]);
        if (item[i].kind == DATUM_ERROR)
            return datum_error();
    }
    return (Datum){.kind = DATUM_LIST, .list = {item, e->list.n}};
}

static Datum eval_labelled(Elab *el, const Expr *e)
{
    const Expr *of = e->labelled.of;
    if (of->kind == EXPR_CALL)
        return elab_call(el, of, &e->labelled.label);
    if (diag_error(el->diag, e->labelled.label.span,
                   "a label names a call, and none follows"))
        diag_hint(el->diag, "label the call itself: "
                            "x = relu(bn1: batch_norm(y))");
    elab_eval(el, of);
    return datum_error();
}

static Datum eval_choice(Elab *el, const Expr *e)
{
    bool yes;
    if (!elab_condition(el, e->operand[0], &yes))
        return datum_error();
    return elab_eval_results(el, e->operand[yes ? 1 : 2]);
}

static Datum eval_kind(Elab *el, const Expr *e)
{
    switch (e->kind) {
    case EXPR_INT:
        return datum_int(e->integer);
    case EXPR_FLOAT:
        return datum_float(e->number);
    case EXPR_BOOL:
        return datum_bool(e->truth);
    case EXPR_STRING:
        return datum_string(e->text);
    case EXPR_NAME:
        return eval_name(el, e);
    case EXPR_LIST:
        return eval_list(el, e);
    case EXPR_UNARY:
        return eval_unary(el, e);
    case EXPR_BINARY:
        return eval_binary(el, e);
    case EXPR_CHOICE:
        return eval_choice(el, e);
    case EXPR_INDEX:
        return eval_index(el, e);
    case EXPR_CALL:
        return elab_call(el, e, NULL);
    case EXPR_LABEL:
        return eval_labelled(el, e);
    case EXPR_ERROR:
        break;
    }
    return datum_error();
}

Datum elab_eval_results(Elab *el, const Expr *e)
{
    if (!elab_enter(el, e->span))
        return datum_error();
    Datum d = eval_kind(el, e);
    elab_leave(el);
    return d;
}

Datum elab_eval(Elab *el, const Expr *e)
{
    Datum d = elab_eval_results(el, e);
    if (d.kind != DATUM_RESULTS)
        return d;
    if (diag_error(el->diag, e->span, "%zu results where one is wanted",
                   d.list.n))
        diag_hint(el->diag, "take them apart first: a, b = ...");
    return datum_error();
}
