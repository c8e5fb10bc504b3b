/* exec.c: statements: names get values, loops are unrolled, the graph grows. */
#include "elaborate.h"
#include <inttypes.h>
#include <string.h>

/* ---- shapes written down
 * ----------------------------------------------------- */

bool elab_shape(Elab *el, const Expr *e, Type *t)
{
    Datum d = elab_eval(el, e);
    if (d.kind == DATUM_ERROR)
        return false;
    if (d.kind != DATUM_LIST || d.list.n < 1 || d.list.n >= MAX_RANK) {
        diag_error(el->diag, e->span,
                   "a shape is a list of 1 to %d sizes, as [3, 32, 32]; the "
                   "batch is not among them",
                   MAX_RANK - 1);
        return false;
    }
    t->rank = (uint8_t)(d.list.n + 1);
    for (size_t i = 0; i < d.list.n; i++) {
        Datum size = d.list.item[i];
        if (size.kind != DATUM_INT || size.i < 1) {
            diag_error(el->diag, e->span,
                       "%s in a shape; sizes are whole numbers from 1",
                       datum_text(size, el->graph, el->arena));
            return false;
        }
        t->dim[i + 1] = size.i;
    }
    return true;
}

void elab_check_shape(Elab *el, const Expr *shape, Datum value)
{
    Type want = {.dtype = DT_F32};
    if (!elab_shape(el, shape, &want) || value.kind == DATUM_ERROR)
        return;
    if (value.kind != DATUM_TENSOR) {
        diag_error(el->diag, shape->span, "a shape for %s",
                   datum_text(value, el->graph, el->arena));
        return;
    }
    const Type *is = graph_type(el->graph, value.tensor);
    want.dim[0] = is->dim[0];
    if (!type_same_shape(&want, is))
        diag_error(el->diag, shape->span, "written down as %s, but it is %s",
                   shape_text(&want, el->arena), shape_text(is, el->arena));
}

/* ---- assignment
 * -------------------------------------------------------------- */

static void assign(Elab *el, const AssignTarget *target, Datum value)
{
    if (target->shape)
        elab_check_shape(el, target->shape, value);
    if (value.kind == DATUM_TENSOR) {
        Node *n = graph_node(el->graph, value.tensor);
        if (!n->name)
            n->name = arena_strdup(el->graph->arena, target->name.text);
    }
    scope_set(&el->call->scope, el->arena, target->name, value);
}

static void exec_assign(Elab *el, const Statement *s)
{
    const Targets *t = &s->assign.targets;
    Datum d = t->n == 1 ? elab_eval(el, s->assign.value)
                        : elab_eval_results(el, s->assign.value);
    size_t n = d.kind == DATUM_RESULTS ? d.list.n : 1;
    bool known = d.kind != DATUM_ERROR;
    if (known && n != t->n)
        diag_error(el->diag, s->span, "%zu names for %zu result%s", t->n, n,
                   n == 1 ? "" : "s");
    for (size_t i = 0; i < t->n; i++)
        assign(el, &t->item[i],
               !known || n != t->n       ? datum_error()
               : d.kind == DATUM_RESULTS ? d.list.item[i]
                                         : d);
}

/* ---- loops
 * --------------------------------------------------------------------- */

/* The loop's variable hides a name of the same kind outside, and is gone
 * afterwards. */
static void exec_round(Elab *el, const Statement *s, Datum value)
{
    scope_set(&el->call->scope, el->arena, s->loop.name, value);
    elab_body(el, &s->loop.body);
}

static bool goes_on(Elab *el, const Statement *s)
{
    return !el->call->returned && elab_step(el, s->span);
}

static void exec_range(Elab *el, const Statement *s)
{
    int64_t from, to;
    if (!elab_int(el, s->loop.from, &from) || !elab_int(el, s->loop.to, &to))
        return;
    for (int64_t i = from; i <= to && goes_on(el, s); i++) {
        exec_round(el, s, datum_int(i));
        if (i == INT64_MAX)
            break;
    }
}

static void exec_list(Elab *el, const Statement *s)
{
    Datum list = elab_eval(el, s->loop.from);
    if (list.kind == DATUM_LIST) {
        for (size_t i = 0; i < list.list.n && goes_on(el, s); i++)
            exec_round(el, s, list.list.item[i]);
    } else if (list.kind != DATUM_ERROR) {
        diag_error(el->diag, s->loop.from->span,
                   "a loop goes over a range, 0 .. n - 1, or a list, not %s",
                   datum_text(list, el->graph, el->arena));
    }
}

static void exec_for(Elab *el, const Statement *s)
{
    const Binding *outer = scope_find(&el->call->scope, s->loop.name.text);
    Binding kept = outer ? *outer : (Binding){0};
    if (s->loop.to)
        exec_range(el, s);
    else
        exec_list(el, s);
    Binding *now = scope_find(&el->call->scope, s->loop.name.text);
    if (now) {
        now->hidden = !outer;
        now->value = kept.value;
        now->span = kept.span;
    }
}

/* ---- the rest
 * ------------------------------------------------------------------- */

/* The names in an expression, each once, as far as there is room. */
typedef struct Names {
    const char *item[8];
    size_t n;
} Names;

static void collect_names(const Expr *e, Names *names)
{
    if (e->kind == EXPR_NAME) {
        for (size_t i = 0; i < names->n; i++)
            if (!strcmp(names->item[i], e->text))
                return;
        if (names->n < sizeof names->item / sizeof *names->item)
            names->item[names->n++] = e->text;
    }
    int n = e->kind == EXPR_UNARY    ? 1
            : e->kind == EXPR_BINARY ? 2
            : e->kind == EXPR_CHOICE ? 3
                                     : 0;
    for (int i = 0; i < n; i++)
        collect_names(e->operand[i], names);
}

/* "with depth = 21": what the names in a condition were. */
static void hint_values(Elab *el, const Expr *e)
{
    Names names = {.n = 0};
    collect_names(e, &names);
    for (size_t i = 0; i < names.n; i++) {
        Datum d = elab_lookup(el, names.item[i]);
        if (d.kind != DATUM_ERROR && d.kind != DATUM_LAYER)
            diag_hint(el->diag, "with %s = %s", names.item[i],
                      datum_text(d, el->graph, el->arena));
    }
}

void elab_require(Elab *el, const Expr *condition, const Expr *message)
{
    bool holds;
    if (!elab_condition(el, condition, &holds) || holds)
        return;
    const char *text = "this does not hold";
    if (message) {
        Datum d = elab_eval(el, message);
        if (d.kind == DATUM_STRING)
            text = d.s;
        else if (d.kind != DATUM_ERROR)
            diag_error(el->diag, message->span,
                       "the message of require is a string, not %s",
                       datum_kind(d));
    }
    if (diag_error(el->diag, condition->span, "%s", text))
        hint_values(el, condition);
}

static void exec_return(Elab *el, const Statement *s)
{
    size_t n = s->results.n;
    Datum *item = arena_array(el->arena, n, sizeof *item);
    Call *call = el->call;
    call->returned = true;
    call->results = datum_error();
    for (size_t i = 0; i < n; i++)
        item[i] = n == 1 ? elab_eval_results(el, s->results.item[i])
                         : elab_eval(el, s->results.item[i]);
    for (size_t i = 0; i < n; i++)
        if (item[i].kind == DATUM_ERROR)
            return;
    call->results =
        n == 1 ? item[0] : (Datum){.kind = DATUM_RESULTS, .list = {item, n}};
}

static void exec_if(Elab *el, const Statement *s)
{
    bool yes;
    if (elab_condition(el, s->choice.condition, &yes))
        elab_body(el, yes ? &s->choice.yes : &s->choice.no);
}

static void exec(Elab *el, const Statement *s)
{
    switch (s->kind) {
    case STATEMENT_ASSIGN:
        exec_assign(el, s);
        break;
    case STATEMENT_RETURN:
        exec_return(el, s);
        break;
    case STATEMENT_FOR:
        exec_for(el, s);
        break;
    case STATEMENT_IF:
        exec_if(el, s);
        break;
    case STATEMENT_REQUIRE:
        elab_require(el, s->require.condition, s->require.message);
        break;
    }
}

void elab_body(Elab *el, const Body *body)
{
    if (!elab_enter(el, body->span))
        return;
    for (size_t i = 0; i < body->n; i++) {
        if (!elab_step(el, body->item[i]->span))
            break;
        if (el->call->returned) {
            diag_error(el->diag, body->item[i]->span,
                       "never reached: the block has returned before");
            break;
        }
        exec(el, body->item[i]);
    }
    elab_leave(el);
}
