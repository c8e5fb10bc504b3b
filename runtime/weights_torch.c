/* weights_torch.c: what torch.save writes; see weights.h.
 *
 *     before 1.6    pickles: magic, protocol, system, the object, the keys
 *                   then for each key: count (8 bytes), elements
 *     since 1.6     a zip: NAME/data.pkl is the object, NAME/data/KEY the
 *                   elements of a storage, NAME/byteorder perhaps
 *
 * Either way the object names storages by keys; tensors are views of them.
 */
#include "pickle.h"
#include "weights_private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1001 };

/* ---- the state dict ------------------------------------------------------ */

static bool is_weight(const PickleItems *dict, uint32_t i)
{
    return dict->at[i].kind == PICKLE_TEXT &&
           dict->at[i + 1].kind == PICKLE_TENSOR;
}

static uint32_t count_weights(const PickleValue *v, size_t *names)
{
    uint32_t n = 0;
    *names = 0;
    for (uint32_t i = 0; v->kind == PICKLE_DICT && i < v->items->n; i += 2)
        if (is_weight(v->items, i)) {
            *names += strlen(v->items->at[i].text) + 1;
            n++;
        }
    return n;
}

/* Under one of these keys, or the object itself: a file that also keeps the
 * best accuracy as a tensor has its weights under a key. */
static const PickleValue *find_dict(const PickleValue *object)
{
    static const char *const keys[] = {"state_dict", "model_state_dict",
                                       "model", "net", "weights"};
    size_t names;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const PickleValue *v = pickle_find(object, keys[i]);
        if (v && count_weights(v, &names))
            return v;
    }
    return count_weights(object, &names) ? object : NULL;
}

static bool no_dict(const WeightFile *f, const PickleValue *object, Status *s)
{
    char keys[300] = "";
    size_t used = 0;
    for (uint32_t i = 0; object->kind == PICKLE_DICT && i < object->items->n &&
                         used < sizeof keys;
         i += 2)
        if (object->items->at[i].kind == PICKLE_TEXT)
            used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%.60s",
                                     used ? ", " : "; it has ",
                                     object->items->at[i].text);
    return status_fail(s,
                       "%s holds no state dict, neither by itself nor under "
                       "state_dict, model_state_dict, model, net or "
                       "weights%s (in Python: torch.save(model.state_dict(), "
                       "PATH))",
                       f->input.path, keys);
}

static void add_weight(WeightFile *f, const char *name, const PickleTensor *t)
{
    Weight *w = weights_add(f, name, strlen(name));
    w->dtype = t->storage->dtype;
    w->rank = t->rank;
    w->storage = t->storage->index;
    w->first = (t->storage->first + t->offset) * t->storage->element;
    memcpy(w->dim, t->dim, sizeof w->dim);
    memcpy(w->stride, t->stride, sizeof w->stride);
}

/* ---- storages ------------------------------------------------------------ */

typedef struct Storages {
    PickleStorage **mention; /* all of them, by key */
    uint32_t n, keys;
} Storages;

static int by_key(const void *a, const void *b)
{
    const PickleStorage *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

/* Gives mentions of the same key the same index. */
static bool storages_open(Storages *x, const WeightFile *f, const Pickle *p,
                          Status *s)
{
    PickleStorage *last = pickle_storages(p, &x->n);
    x->mention = calloc((size_t)x->n + 1, sizeof *x->mention);
    if (!x->mention)
        return status_fail(s, "no memory to read %s", f->input.path);
    for (uint32_t i = x->n; i > 0; last = last->before)
        x->mention[--i] = last;
    qsort(x->mention, x->n, sizeof *x->mention, by_key);
    for (uint32_t i = 0; i < x->n; i++) {
        PickleStorage *own = x->mention[i];
        const PickleStorage *other = i ? x->mention[i - 1] : NULL;
        bool same = other && !strcmp(own->key, other->key);
        if (same && (own->count != other->count || own->dtype != other->dtype ||
                     own->element != other->element))
            return input_damaged(&f->input, s, "storage %.60s has two types",
                                 own->key);
        own->index = same ? other->index : x->keys++;
    }
    return true;
}

static const PickleStorage *storages_find(const Storages *x, const char *key)
{
    const PickleStorage wanted = {.key = key}, *at = &wanted;
    PickleStorage **found =
        x->n ? bsearch(&at, x->mention, x->n, sizeof at, by_key) : NULL;
    return found ? *found : NULL;
}

/* ---- the zip ------------------------------------------------------------- */

static bool place_entry(WeightFile *f, const PickleStorage *x,
                        const char *folder, int length, Status *s)
{
    char name[512];
    int n = snprintf(name, sizeof name, "%.*s/data/%s", length, folder, x->key);
    const ZipEntry *e = n < (int)sizeof name ? zip_find(f->zip, name) : NULL;
    if (!e)
        return input_damaged(&f->input, s, "storage %.60s is missing", x->key);
    if (e->deflated)
        return status_fail(s,
                           "%.60s in %s is packed, where PyTorch stores "
                           "elements as they are (save it again with "
                           "torch.save)",
                           e->name, f->input.path);
    if (e->size != x->count * x->element)
        return input_damaged(&f->input, s,
                             "storage %.60s has %lld bytes and should have "
                             "%lld",
                             x->key, (long long)e->size,
                             (long long)(x->count * x->element));
    f->storage[x->index] = (WeightStorage){.bytes = e->size, .entry = e};
    return true;
}

static bool check_byteorder(const WeightFile *f, const char *folder, int length,
                            Status *s)
{
    char name[512], order[8] = "";
    if (snprintf(name, sizeof name, "%.*s/byteorder", length, folder) >=
        (int)sizeof name)
        return true;
    const ZipEntry *e = zip_find(f->zip, name);
    if (!e)
        return true;
    int64_t n = e->size < (int64_t)sizeof order - 1 ? e->size
                                                    : (int64_t)sizeof order - 1;
    if (!zip_head(f->zip, e, order, n, s))
        return false;
    return !strcmp(order, "little") ||
           status_fail(s,
                       "%s was written on a big-endian machine, which tgc "
                       "does not read (load and save it on another one)",
                       f->input.path);
}

static bool place_zip(WeightFile *f, Pickle *p, const Storages *x,
                      const void *context, Status *s)
{
    const ZipEntry *pickle = context;
    int length = (int)(strchr(pickle->name, '/') - pickle->name);
    (void)p;
    if (!check_byteorder(f, pickle->name, length, s))
        return false;
    for (uint32_t i = 0; i < x->n; i++)
        if (i + 1 == x->n || x->mention[i]->index != x->mention[i + 1]->index)
            if (!place_entry(f, x->mention[i], pickle->name, length, s))
                return false;
    return true;
}

/* ---- the old format ------------------------------------------------------ */

static bool place_next(WeightFile *f, const PickleStorage *x, bool *placed,
                       int64_t *at, Status *s)
{
    unsigned char count[8];
    if (placed[x->index])
        return input_damaged(&f->input, s, "storage %.60s comes twice", x->key);
    if (!input_read(&f->input, *at, count, sizeof count, s))
        return false;
    if (little_number(count, 8) != (uint64_t)x->count)
        return input_damaged(&f->input, s, "storage %.60s has two sizes",
                             x->key);
    int64_t bytes = x->count * x->element;
    *at += (int64_t)sizeof count;
    if (bytes > f->input.size - *at)
        return input_damaged(&f->input, s, "it ends before storage %.60s does",
                             x->key);
    f->storage[x->index] = (WeightStorage){.at = *at, .bytes = bytes};
    placed[x->index] = true;
    *at += bytes;
    return true;
}

static bool place_keys(WeightFile *f, const Pickle *p, const Storages *x,
                       const PickleItems *keys, bool *placed, Status *s)
{
    int64_t at = pickle_place(p);
    for (uint32_t i = 0; i < keys->n; i++) {
        const PickleStorage *known = keys->at[i].kind == PICKLE_TEXT
                                         ? storages_find(x, keys->at[i].text)
                                         : NULL;
        if (!known)
            return input_damaged(&f->input, s,
                                 "a storage that no tensor refers to");
        if (!place_next(f, known, placed, &at, s))
            return false;
    }
    for (uint32_t i = 0; i < x->n; i++)
        if (!placed[x->mention[i]->index])
            return input_damaged(&f->input, s, "storage %.60s is missing",
                                 x->mention[i]->key);
    return true;
}

static bool place_legacy(WeightFile *f, Pickle *p, const Storages *x,
                         const void *context, Status *s)
{
    PickleValue keys;
    (void)context;
    if (!pickle_next(p, &keys, s))
        return false;
    if (keys.kind != PICKLE_LIST)
        return input_damaged(&f->input, s, "its list of storages is missing");
    bool *placed = calloc((size_t)x->keys + 1, sizeof *placed);
    if (!placed)
        return status_fail(s, "no memory to read %s", f->input.path);
    bool done = place_keys(f, p, x, keys.items, placed, s);
    free(placed);
    return done;
}

/* The three pickles before the object: magic, version, system. */
static bool read_system(const WeightFile *f, Pickle *p, Status *s)
{
    PickleValue magic, version, system;
    if (!pickle_next(p, &magic, s) || !pickle_next(p, &version, s) ||
        !pickle_next(p, &system, s))
        return false;
    if (version.kind != PICKLE_INT || version.number != FORMAT_VERSION)
        return status_fail(s,
                           "%s has a version of PyTorch's format that tgc "
                           "does not read (load and save it again)",
                           f->input.path);
    const PickleValue *little = pickle_find(&system, "little_endian");
    if (little && little->kind == PICKLE_INT && !little->number)
        return status_fail(s,
                           "%s was written on a big-endian machine, which "
                           "tgc does not read (load and save it on another "
                           "one)",
                           f->input.path);
    return true;
}

/* ---- both ---------------------------------------------------------------- */

typedef bool PlaceStorages(WeightFile *f, Pickle *p, const Storages *x,
                           const void *context, Status *s);

/* The pickle's next object, and where its storages are. */
static bool read_object(WeightFile *f, Pickle *p, PlaceStorages *place,
                        const void *context, Status *s)
{
    PickleValue object;
    Storages x = {0};
    size_t names;
    if (!pickle_next(p, &object, s))
        return false;
    const PickleValue *dict = find_dict(&object);
    if (!dict)
        return no_dict(f, &object, s);
    uint32_t n = count_weights(dict, &names);
    bool done = storages_open(&x, f, p, s) &&
                weights_room(f, n, x.keys, names, s) &&
                place(f, p, &x, context, s);
    for (uint32_t i = 0; done && i < dict->items->n; i += 2)
        if (is_weight(dict->items, i))
            add_weight(f, dict->items->at[i].text,
                       dict->items->at[i + 1].tensor);
    free(x.mention);
    return done;
}

bool weights_open_legacy(WeightFile *f, Status *s)
{
    f->kind = "PyTorch's format before 1.6";
    Pickle *p = pickle_open(&f->input, 0, f->input.size, s);
    bool done =
        p && read_system(f, p, s) && read_object(f, p, place_legacy, NULL, s);
    pickle_close(p);
    return done;
}

bool weights_open_torch(WeightFile *f, const ZipEntry *pickle, Status *s)
{
    f->kind = "PyTorch's zip format";
    if (pickle->deflated)
        return status_fail(s,
                           "%.200s in %s is packed, where PyTorch stores "
                           "it as it is (save it again with torch.save)",
                           pickle->name, f->input.path);
    if (!zip_read(f->zip, pickle, 0, 0, NULL, s)) /* its checksum */
        return false;
    Pickle *p =
        pickle_open(&f->input, pickle->at, pickle->at + pickle->size, s);
    bool done = p && read_object(f, p, place_zip, pickle, s);
    pickle_close(p);
    return done;
}
