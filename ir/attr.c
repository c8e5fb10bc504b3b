/* attr.c: attributes: making, comparing and reading them off a node; which of
 * them text may leave out. */
#include "nearest.h"
#include "op.h"
#include "scan.h"
#include <assert.h>
#include <string.h>

Attr attr_int(const char *name, int64_t v)
{
    return (Attr){.name = name, .kind = ATTR_INT, .i = v};
}

Attr attr_float(const char *name, double v)
{
    return (Attr){.name = name, .kind = ATTR_FLOAT, .f = v};
}

Attr attr_bool(const char *name, bool v)
{
    return (Attr){.name = name, .kind = ATTR_BOOL, .i = v};
}

Attr attr_string(const char *name, const char *v)
{
    return (Attr){.name = name, .kind = ATTR_STRING, .s = v ? v : ""};
}

Attr attr_ints(const char *name, const int64_t *v, int n)
{
    return (Attr){.name = name, .kind = ATTR_INTS, .ints = {v, n}};
}

Attr attr_dtype(const char *name, DType v)
{
    return (Attr){.name = name, .kind = ATTR_DTYPE, .i = v};
}

static bool same_value(const Attr *a, const Attr *b)
{
    switch (a->kind) {
    case ATTR_STRING:
        return !strcmp(a->s, b->s);
    case ATTR_FLOAT: /* by bits: 0 and -0 differ, nan equals itself */
        return !memcmp(&a->f, &b->f, sizeof a->f);
    case ATTR_INTS:
        return a->ints.n == b->ints.n &&
               (!a->ints.n || !memcmp(a->ints.v, b->ints.v,
                                      (size_t)a->ints.n * sizeof *a->ints.v));
    default:
        return a->i == b->i;
    }
}

bool attr_equal(const Attr *a, const Attr *b)
{
    return a->kind == b->kind && !strcmp(a->name, b->name) && same_value(a, b);
}

const AttrSpec *attr_spec(const OpDesc *op, const char *name, Error *e)
{
    Nearest n = nearest_of(name);
    for (const AttrSpec *s = op->attrs; s && s->name; s++) {
        if (!strcmp(s->name, name))
            return s;
        nearest_try(&n, s->name);
    }
    const char *near = nearest_name(&n);
    if (near)
        error_set(e, "%s has no attribute %.100s (did you mean %s?)", op->name,
                  name, near);
    else
        error_set(e, "%s has no attribute %.100s", op->name, name);
    return NULL;
}

bool attr_is_default(const AttrSpec *spec, const Attr *a)
{
    if (!spec->value)
        return false;
    Attr standard = {.name = spec->name, .kind = spec->kind};
    int64_t list[2 * MAX_RANK];
    Error e = {{0}};
    Scan s = scan_text(spec->value, &e);
    if (spec->kind == ATTR_STRING) {
        standard.s = spec->value;
    } else if (spec->kind == ATTR_INTS) {
        standard.ints.n = scan_ints(&s, list, 2 * MAX_RANK);
        standard.ints.v = list;
    } else if (!scan_attr_value(&s, NULL, &standard)) {
        return false;
    }
    return same_value(&standard, a);
}

bool attr_from_type(const AttrSpec *spec, const Type *result, Attr *a)
{
    if (spec->kind == ATTR_DTYPE && !strcmp(spec->name, "dtype"))
        *a = attr_dtype(spec->name, result->dtype);
    else if (spec->kind == ATTR_INTS && !strcmp(spec->name, "shape"))
        *a = attr_ints(spec->name, result->dim, result->rank);
    else
        return false;
    return true;
}

static const Attr *find(const Node *n, const char *name)
{
    const AttrSpec *spec = n->op->attrs;
    for (int i = 0; spec && spec[i].name; i++)
        if (!strcmp(spec[i].name, name))
            return &n->attr[i];
    return NULL;
}

const Attr *node_attr(const Node *n, const char *name)
{
    const Attr *a = find(n, name);
    assert(a && "the op has this attribute");
    return a;
}

int64_t node_int(const Node *n, const char *name)
{
    const Attr *a = node_attr(n, name);
    assert(a->kind == ATTR_INT || a->kind == ATTR_BOOL ||
           a->kind == ATTR_DTYPE);
    return a->i;
}

double node_float(const Node *n, const char *name)
{
    const Attr *a = node_attr(n, name);
    assert(a->kind == ATTR_FLOAT);
    return a->f;
}

const char *node_string(const Node *n, const char *name)
{
    const Attr *a = node_attr(n, name);
    assert(a->kind == ATTR_STRING);
    return a->s;
}

const int64_t *node_ints(const Node *n, const char *name, int *count)
{
    const Attr *a = node_attr(n, name);
    assert(a->kind == ATTR_INTS);
    *count = a->ints.n;
    return a->ints.v;
}
