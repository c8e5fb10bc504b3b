/* pickle_build.c: the values that names make when a pickle "calls" them:
 * dicts, tensors, storages; see pickle.h. */
#include "pickle_private.h"
#include <string.h>

/* ---- tensors ------------------------------------------------------------- */

/* The non-negative numbers of a tuple. */
static bool take_numbers(Pickle *p, const PickleValue *v, const char *what,
                         uint8_t *n, int64_t to[PLAN_MAX_RANK])
{
    if (v->kind != PICKLE_TUPLE)
        return pickle_fail(p, "a tensor without %s", what);
    if (v->items->n > PLAN_MAX_RANK)
        return pickle_refuse(p, "has a tensor of more than %d dimensions",
                             PLAN_MAX_RANK);
    *n = (uint8_t)v->items->n;
    for (uint32_t i = 0; i < *n; i++) {
        const PickleValue *x = &v->items->at[i];
        if (x->kind != PICKLE_INT || x->number < 0)
            return pickle_fail(p, "a tensor's %s is negative or no number",
                               what);
        to[i] = x->number;
    }
    return true;
}

/* Number of elements, and the place behind the last one in the storage, both
 * without overflow. */
static bool tensor_fits(Pickle *p, const PickleTensor *t)
{
    int64_t count = 16, end = t->offset, reach; /* 16: the largest element */
    bool empty = false, over = false;
    for (int i = 0; i < t->rank; i++) {
        empty |= t->dim[i] == 0;
        over |=
            __builtin_mul_overflow(count, t->dim[i] ? t->dim[i] : 1, &count);
        over |= __builtin_mul_overflow(t->dim[i] - 1, t->stride[i], &reach) ||
                __builtin_add_overflow(end, t->dim[i] ? reach : 0, &end);
    }
    if (over)
        return pickle_fail(p, "a tensor's shape is too large");
    if (t->offset > t->storage->part || (!empty && end >= t->storage->part))
        return pickle_fail(p, "a tensor lies outside of its storage");
    return true;
}

/* (storage, offset, size, stride, ..) */
static bool make_tensor(Pickle *p, const PickleItems *args, PickleValue *made)
{
    uint8_t strides;
    if (args->n < 4 || args->at[0].kind != PICKLE_STORAGE ||
        args->at[1].kind != PICKLE_INT || args->at[1].number < 0)
        return pickle_fail(p, "a tensor without a storage");
    PickleTensor *t = pickle_alloc(p, sizeof *t);
    if (!t)
        return false;
    t->storage = args->at[0].storage;
    t->offset = args->at[1].number;
    if (!take_numbers(p, &args->at[2], "shape", &t->rank, t->dim) ||
        !take_numbers(p, &args->at[3], "strides", &strides, t->stride))
        return false;
    if (strides != t->rank)
        return pickle_fail(p, "a tensor has %u dimensions and %u strides",
                           t->rank, strides);
    *made = (PickleValue){.kind = PICKLE_TENSOR, .tensor = t};
    return tensor_fits(p, t);
}

/* ---- dicts --------------------------------------------------------------- */

static bool is_pair(const PickleValue *v)
{
    return (v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE) &&
           v->items->n == 2;
}

/* Python 2 gives an OrderedDict its items as a list of pairs. */
static bool make_dict(Pickle *p, const PickleItems *args, PickleValue *made)
{
    PickleItems *dict = pickle_items(p);
    if (!dict)
        return false;
    *made = (PickleValue){.kind = PICKLE_DICT, .items = dict};
    if (args->n != 1 || args->at[0].kind != PICKLE_LIST)
        return true;
    const PickleItems *pairs = args->at[0].items;
    for (uint32_t i = 0; i < pairs->n; i++) {
        if (!is_pair(&pairs->at[i]))
            return pickle_fail(p, "a dict of what are no pairs");
        if (!items_add(p, dict, pairs->at[i].items->at, 2))
            return false;
    }
    return true;
}

/* ---- all names ----------------------------------------------------------- */

bool pickle_call(Pickle *p, const PickleName *name, const PickleItems *args,
                 PickleValue *made)
{
    switch (name->use) {
    case NAME_INERT:
        *made = (PickleValue){.kind = PICKLE_OTHER};
        return true;
    case NAME_DICT:
        return make_dict(p, args, made);
    case NAME_TENSOR:
        return make_tensor(p, args, made);
    case NAME_PARAMETER:
        if (!args->n || args->at[0].kind != PICKLE_TENSOR)
            return pickle_fail(p, "a parameter without a tensor");
        *made = args->at[0];
        return true;
    case NAME_SIZE:
        if (args->n != 1 || args->at[0].kind != PICKLE_TUPLE)
            return pickle_fail(p, "a size that is no tuple");
        *made = args->at[0];
        return true;
    case NAME_STORAGE:
        break;
    }
    return pickle_refuse(p, "calls %s.%s, which is no way to make a tensor",
                         name->module, name->name);
}

/* ---- storages ------------------------------------------------------------ */

/* Older files have views of storages: (key, first, length). */
static bool take_view(Pickle *p, const PickleValue *v, PickleStorage *to)
{
    if (v->kind == PICKLE_NONE)
        return true;
    if (v->kind != PICKLE_TUPLE || v->items->n != 3 ||
        v->items->at[1].kind != PICKLE_INT ||
        v->items->at[2].kind != PICKLE_INT)
        return pickle_fail(p, "a view of a storage that is garbled");
    to->first = v->items->at[1].number;
    to->part = v->items->at[2].number;
    if (to->first < 0 || to->part < 0 || to->first > to->count ||
        to->part > to->count - to->first)
        return pickle_fail(p, "a view lies outside of its storage");
    return true;
}

/* ("storage", type, key, device, count[, view]) */
bool pickle_persistent(Pickle *p, const PickleValue *id, PickleValue *made)
{
    const PickleItems *i = id->kind == PICKLE_TUPLE ? id->items : NULL;
    if (!i || !i->n || i->at[0].kind != PICKLE_TEXT)
        return pickle_fail(p, "a persistent id that is garbled");
    if (strcmp(i->at[0].text, "storage"))
        return pickle_refuse(p,
                             "has a persistent id of the kind \"%.100s\", "
                             "where only \"storage\" holds weights",
                             i->at[0].text);
    if (i->n < 5 || i->at[1].kind != PICKLE_NAME ||
        i->at[1].name->use != NAME_STORAGE || i->at[2].kind != PICKLE_TEXT ||
        i->at[4].kind != PICKLE_INT)
        return pickle_fail(p, "a storage that is garbled");
    PickleStorage *x = pickle_alloc(p, sizeof *x);
    if (!x)
        return false;
    x->key = i->at[2].text;
    x->dtype = i->at[1].name->dtype;
    x->element = i->at[1].name->element;
    x->count = x->part = i->at[4].number;
    x->before = p->storages;
    if (x->count < 0 || x->count > INT64_MAX / x->element)
        return pickle_fail(p, "a storage of an impossible size");
    if (i->n > 5 && !take_view(p, &i->at[5], x))
        return false;
    p->storages = x;
    p->n_storages++;
    *made = (PickleValue){.kind = PICKLE_STORAGE, .storage = x};
    return true;
}
