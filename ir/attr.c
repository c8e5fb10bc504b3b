/* attr.c: attributes: making, comparing and reading them off a node. */
#include "op.h"
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
