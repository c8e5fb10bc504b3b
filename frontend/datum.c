/* datum.c: values of expressions, and names for them. */
#include "datum.h"
#include "layers.h"
#include "elaborate.h"
#include "scan.h"
#include <inttypes.h>
#include <string.h>

Datum datum_error(void)
{
    return (Datum){.kind = DATUM_ERROR};
}

Datum datum_int(int64_t i)
{
    return (Datum){.kind = DATUM_INT, .i = i};
}

Datum datum_float(double f)
{
    return (Datum){.kind = DATUM_FLOAT, .f = f};
}

Datum datum_bool(bool b)
{
    return (Datum){.kind = DATUM_BOOL, .b = b};
}

Datum datum_string(const char *s)
{
    return (Datum){.kind = DATUM_STRING, .s = s};
}

Datum datum_tensor(Value v)
{
    return (Datum){.kind = DATUM_TENSOR, .tensor = v};
}

Datum datum_list(Arena *a, const Datum *item, size_t n)
{
    Datum d = {.kind = DATUM_LIST};
    d.list.n = n;
    d.list.item = n ? arena_copy(a, item, n * sizeof *item) : NULL;
    return d;
}

double datum_number(Datum d)
{
    return d.kind == DATUM_INT ? (double)d.i : d.f;
}

static bool lists_equal(Datum a, Datum b)
{
    if (a.list.n != b.list.n)
        return false;
    for (size_t i = 0; i < a.list.n; i++)
        if (!datum_equal(a.list.item[i], b.list.item[i]))
            return false;
    return true;
}

bool datum_equal(Datum a, Datum b)
{
    if (a.kind == DATUM_INT && b.kind == DATUM_INT)
        return a.i == b.i;
    if (datum_is_number(a) && datum_is_number(b))
        return datum_number(a) == datum_number(b);
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case DATUM_BOOL:
        return a.b == b.b;
    case DATUM_STRING:
        return !strcmp(a.s, b.s);
    case DATUM_LIST:
        return lists_equal(a, b);
    case DATUM_BLOCK:
        return a.block == b.block;
    case DATUM_LAYER:
        return a.layer == b.layer;
    default:
        return false;
    }
}

const char *datum_kind(Datum d)
{
    static const char *const name[] = {
        [DATUM_ERROR] = "an error",  [DATUM_INT] = "a whole number",
        [DATUM_FLOAT] = "a number",  [DATUM_BOOL] = "true or false",
        [DATUM_STRING] = "a string", [DATUM_LIST] = "a list",
        [DATUM_TENSOR] = "a tensor", [DATUM_BLOCK] = "a block",
        [DATUM_LAYER] = "a layer",   [DATUM_RESULTS] = "several results"};
    return name[d.kind];
}

const char *shape_text(const Type *t, Arena *a)
{
    char text[32 * MAX_RANK] = "[";
    size_t n = 1;
    for (int i = 1; i < t->rank; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%" PRId64,
                              i > 1 ? ", " : "", t->dim[i]);
    snprintf(text + n, sizeof text - n, "]");
    return arena_strdup(a, text);
}

static const char *list_text(Datum d, const Graph *g, Arena *a)
{
    const char *text = "[";
    for (size_t i = 0; i < d.list.n && i < 8; i++)
        text = arena_printf(a, "%s%s%s", text, i ? ", " : "",
                            datum_text(d.list.item[i], g, a));
    return arena_printf(a, "%s%s]", text, d.list.n > 8 ? ", .." : "");
}

const char *datum_text(Datum d, const Graph *g, Arena *a)
{
    char number[NUMBER_TEXT];
    switch (d.kind) {
    case DATUM_INT:
        return arena_printf(a, "%" PRId64, d.i);
    case DATUM_FLOAT:
        number_print(d.f, number);
        return arena_strdup(a, number);
    case DATUM_BOOL:
        return d.b ? "true" : "false";
    case DATUM_STRING:
        return arena_printf(a, "\"%.60s\"", d.s);
    case DATUM_LIST:
        return list_text(d, g, a);
    case DATUM_TENSOR:
        return arena_printf(a, "a tensor %s",
                            shape_text(graph_type(g, d.tensor), a));
    case DATUM_BLOCK:
        return arena_printf(a, "block %s", d.block->item->name.text);
    case DATUM_LAYER:
        return arena_printf(a, "layer %s", d.layer->name);
    case DATUM_RESULTS:
        return arena_printf(a, "%zu results", d.list.n);
    case DATUM_ERROR:
        break;
    }
    return "an error";
}

/* ---- names ----------------------------------------------------------------
 */

typedef struct ScopeKey {
    const Scope *scope;
    const char *name;
} ScopeKey;

static bool same_name(const void *key, uint32_t id)
{
    const ScopeKey *k = key;
    return !strcmp(k->scope->item[id - 1].name, k->name);
}

Binding *scope_find(const Scope *s, const char *name)
{
    ScopeKey key = {s, name};
    uint32_t id = hash_find(&s->table, hash_text(0, name), same_name, &key);
    return id && !s->item[id - 1].hidden ? &s->item[id - 1] : NULL;
}

Binding *scope_set(Scope *s, Arena *a, Name name, Datum value)
{
    ScopeKey key = {s, name.text};
    uint64_t hash = hash_text(0, name.text);
    uint32_t id = hash_find(&s->table, hash, same_name, &key);
    if (!id) {
        Binding fresh = {.name = name.text};
        ARENA_PUSH(a, s->item, s->n, s->cap, fresh);
        id = (uint32_t)s->n;
        hash_add(&s->table, a, hash, id);
    }
    Binding *b = &s->item[id - 1];
    b->value = value;
    b->span = name.span;
    b->hidden = false;
    return b;
}
