/* layers.c: the table of layers, and what their build functions share. */
#include "layers.h"
#include "layers_all.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In the order of the manual. */
const Layer *const layer_table[] = {
#define LAYER(name) &layer_##name,
#include "layers_all.h"
#undef LAYER
    NULL,
};

const Layer *layer_named(const char *name)
{
    for (const Layer *const *l = layer_table; *l; l++)
        if (!strcmp((*l)->name, name))
            return *l;
    return NULL;
}

/* ---- signatures
 * --------------------------------------------------------------- */

const char *layer_signature(const Layer *layer, Arena *a)
{
    const char *text = arena_printf(a, "%s(", layer->name);
    for (const LayerParam *p = layer->params; p->name; p++) {
        text = arena_printf(a, "%s%s%s", text, p == layer->params ? "" : ", ",
                            p->name);
        if (p->value)
            text =
                arena_printf(a, "%s = %s", text, *p->value ? p->value : "..");
    }
    return arena_printf(a, "%s)", text);
}

Datum layer_default(const LayerParam *p, Arena *a)
{
    const char *text = p->value;
    switch (p->kind) {
    case PARAM_BOOL:
        return datum_bool(!strcmp(text, "true"));
    case PARAM_NUMBER:
        return datum_float(strtod(text, NULL));
    case PARAM_INT:
    case PARAM_PAIR:
    case PARAM_ENDS:
        return datum_int(strtoll(text, NULL, 10));
    default:
        return datum_string(arena_strdup(a, text));
    }
}

/* ---- arguments
 * ------------------------------------------------------------------ */

int layer_index(const LayerCall *c, const char *name)
{
    for (int i = 0; c->layer->params[i].name; i++)
        if (!strcmp(c->layer->params[i].name, name))
            return i;
    assert(!"a parameter of the layer");
    return 0;
}

Value layer_tensor(const LayerCall *c, const char *name)
{
    return c->arg[layer_index(c, name)].tensor;
}

int64_t layer_int(const LayerCall *c, const char *name)
{
    return c->arg[layer_index(c, name)].i;
}

double layer_number(const LayerCall *c, const char *name)
{
    return datum_number(c->arg[layer_index(c, name)]);
}

bool layer_bool(const LayerCall *c, const char *name)
{
    return c->arg[layer_index(c, name)].b;
}

const char *layer_word(const LayerCall *c, const char *name)
{
    return c->arg[layer_index(c, name)].s;
}

void layer_pair(const LayerCall *c, const char *name, int64_t v[2])
{
    Datum d = c->arg[layer_index(c, name)];
    v[0] = d.kind == DATUM_LIST ? d.list.item[0].i : d.i;
    v[1] = d.kind == DATUM_LIST ? d.list.item[1].i : d.i;
}

bool layer_given(const LayerCall *c, const char *name)
{
    return c->given[layer_index(c, name)];
}

const Type *layer_type(const LayerCall *c, Value v)
{
    return graph_type(c->el->graph, v);
}

Datum layer_fail(const LayerCall *c, const char *name, const char *format, ...)
{
    char text[MAX_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    Span at = name ? c->at[layer_index(c, name)] : c->span;
    diag_error(c->el->diag, at, "%s: %s", c->layer->name, text);
    return datum_error();
}

/* ---- nodes
 * ----------------------------------------------------------------------- */

Value layer_node(LayerCall *c, const OpDesc *op, const Value *in, int n_in,
                 const Attr *attr, int n_attr)
{
    return elab_node(c->el, c->span, op, in, n_in, attr, n_attr);
}

Value layer_unary(LayerCall *c, const OpDesc *op, Value x)
{
    return layer_node(c, op, &x, 1, NULL, 0);
}

Value layer_binary(LayerCall *c, const OpDesc *op, Value x, Value y)
{
    return layer_node(c, op, (Value[]){x, y}, 2, NULL, 0);
}

Value layer_const(LayerCall *c, const Type *type, double value)
{
    Attr attr[] = {attr_float("value", value), attr_dtype("dtype", type->dtype),
                   attr_ints("shape", type->dim, type->rank)};
    return layer_node(c, &op_const, NULL, 0, attr, 3);
}

Value layer_broadcast(LayerCall *c, Value v, const Type *like,
                      const int64_t *dims, int n)
{
    Attr attr[] = {attr_ints("shape", like->dim, like->rank),
                   attr_ints("dims", dims, n)};
    return layer_node(c, &op_broadcast, &v, 1, attr, 2);
}

Datum layer_result(Value v)
{
    return v.node ? datum_tensor(v) : datum_error();
}

/* ---- states
 * ---------------------------------------------------------------------- */

static void duplicate(LayerCall *c, const char *name, const Binding *first)
{
    if (!diag_error(c->el->diag, c->span,
                    "%s is the name of another layer's state already", name))
        return;
    diag_also(c->el->diag, first->span, "by this one");
    diag_hint(c->el->diag, "give one of them a label: conv2: conv(..); two "
                           "calls of a block need labels as well");
}

/* The state's place in the module; -1 after a message.  The graphs of a module
 * share their states. */
static int find_state(LayerCall *c, State *s)
{
    Module *m = c->el->module;
    int i = module_state(m, s->name);
    if (i < 0)
        return module_add_state(m, s);
    if (type_equal(&m->state[i].type, &s->type))
        return i;
    layer_fail(c, NULL, "%s has another shape in graph %s", s->name,
               c->el->graph->name);
    return -1;
}

Value layer_state(LayerCall *c, const char *name, const Type *type,
                  StateRole role, Start start)
{
    Elab *el = c->el;
    if (!type_fits(type)) {
        layer_fail(c, NULL, "%s would be too large", name);
        return NO_VALUE;
    }
    const char *path = arena_printf(el->arena, "%s.%s", c->path, name);
    const Binding *first = scope_find(&el->paths, path);
    if (first) {
        duplicate(c, path, first);
        return NO_VALUE;
    }
    scope_set(&el->paths, el->arena, (Name){path, c->span}, datum_bool(true));
    State s = {.name = path,
               .of = "",
               .type = *type,
               .role = role,
               .init = start.kind,
               .init_a = start.a,
               .init_b = start.b,
               .loc = elab_loc(el, c->span)};
    if (find_state(c, &s) < 0)
        return NO_VALUE;
    Attr attr = attr_string("name", path);
    return layer_node(c, &op_state, NULL, 0, &attr, 1);
}

void layer_update(LayerCall *c, const char *name, Value v)
{
    Attr attr =
        attr_string("name", arena_printf(c->el->arena, "%s.%s", c->path, name));
    layer_node(c, &op_update, &v, 1, &attr, 1);
}
