/* weights.c: finds a file's kind, looks tensors up, reads them; see weights.h.
 */
#include "weights_private.h"
#include "types.h"
#include <stdlib.h>
#include <string.h>

#define MODULE "module."

/* ---- for the formats ----------------------------------------------------- */

bool weights_room(WeightFile *f, uint32_t n, uint32_t storages, size_t names,
                  Status *s)
{
    f->weight = calloc((size_t)n + 1, sizeof *f->weight);
    f->storage = calloc((size_t)storages + 1, sizeof *f->storage);
    f->names = malloc(names + 1);
    return (f->weight && f->storage && f->names) ||
           status_fail(s, "no memory for the names in %s", f->input.path);
}

Weight *weights_add(WeightFile *f, const char *name, size_t length)
{
    Weight *w = &f->weight[f->n++];
    char *copy = memcpy(f->names + f->names_used, name, length);
    copy[length] = 0;
    f->names_used += length + 1;
    *w = (Weight){.name = copy};
    return w;
}

/* ---- safetensors --------------------------------------------------------- */

static bool open_safetensors(WeightFile *f, Status *s)
{
    f->kind = "safetensors";
    f->tensors = tensors_open(f->input.path, s);
    if (!f->tensors)
        return false;
    uint32_t n = tensors_count(f->tensors);
    size_t names = 0;
    for (uint32_t i = 0; i < n; i++)
        names += strlen(tensors_at(f->tensors, i)->name) + 1;
    if (!weights_room(f, n, 0, names, s))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const Tensor *t = tensors_at(f->tensors, i);
        Weight *w = weights_add(f, t->name, strlen(t->name));
        int64_t step = 1;
        w->dtype = t->dtype;
        w->rank = t->rank;
        w->storage = i;
        memcpy(w->dim, t->dim, sizeof w->dim);
        /* The shape was held against the bytes, unless it is empty. */
        for (int k = t->rank - 1; k >= 0 && t->end > t->begin; k--) {
            w->stride[k] = step;
            step *= t->dim[k];
        }
    }
    return true;
}

/* ---- kinds --------------------------------------------------------------- */

static const ZipEntry *find_pickle(const ZipFile *z)
{
    static const char wanted[] = "/data.pkl";
    for (uint32_t i = 0; i < zip_count(z); i++) {
        const char *slash = strchr(zip_at(z, i)->name, '/');
        if (slash && !strcmp(slash, wanted))
            return zip_at(z, i);
    }
    return NULL;
}

static bool open_zip(WeightFile *f, Status *s)
{
    f->zip = zip_open(&f->input, s);
    if (!f->zip)
        return false;
    const ZipEntry *pickle = find_pickle(f->zip);
    return pickle ? weights_open_torch(f, pickle, s) : weights_open_npz(f, s);
}

enum { LOOK = 512 };

static bool starts(const unsigned char *look, const char *sign, size_t n)
{
    return !memcmp(look, sign, n);
}

/* The number that begins PyTorch's old files, as a pickle by itself: after
 * PROTO and perhaps a FRAME. */
static bool is_legacy(const unsigned char *look)
{
    static const char magic[] = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50"
                                "\x19.";
    return look[0] == 0x80 && (starts(look + 2, magic, sizeof magic - 1) ||
                               starts(look + 11, magic, sizeof magic - 1));
}

/* What people have at hand and tgc does not read. */
static bool refuse_kind(const WeightFile *f, const unsigned char *look,
                        Status *s)
{
    const char *path = f->input.path;
    if (starts(look, "\x93NUMPY", 6))
        return status_fail(s,
                           "%s is one NumPy array without a name; tgc "
                           "reads .npz (np.savez(PATH, **{\"name\": array, "
                           "..}))",
                           path);
    if (starts(look, "\x89HDF", 4))
        return status_fail(s,
                           "%s is an HDF5 file, which tgc does not read "
                           "(save the weights as safetensors or .npz)",
                           path);
    if (starts(look + 257, "ustar", 5))
        return status_fail(s,
                           "%s is a tar file: perhaps from a PyTorch before "
                           "0.1.10, which tgc does not read (load and "
                           "save it again with a later one)",
                           path);
    if (look[0] == 0x80 && look[1] >= 2 && look[1] <= 5 && look[2])
        return status_fail(s,
                           "%s is a Python pickle, but not PyTorch's; tgc "
                           "does not read it (save the weights with "
                           "torch.save or np.savez)",
                           path);
    return true;
}

/* A safetensors file, by its name or by the brace after eight bytes. */
static bool is_safetensors(const WeightFile *f, const unsigned char *look)
{
    static const char suffix[] = ".safetensors";
    size_t n = strlen(f->input.path), m = sizeof suffix - 1;
    return look[8] == '{' || (n > m && !strcmp(f->input.path + n - m, suffix));
}

static bool open_kind(WeightFile *f, Status *s)
{
    unsigned char look[LOOK] = {0};
    int64_t n = f->input.size < LOOK ? f->input.size : LOOK;
    if (!input_read(&f->input, 0, look, n, s))
        return false;
    /* A header of 640 bytes begins like a pickle of protocol 2. */
    if (starts(look + 4, "\0\0\0\0{", 5))
        return open_safetensors(f, s);
    if (starts(look, "PK\3\4", 4) || starts(look, "PK\5\6", 4))
        return open_zip(f, s);
    if (is_legacy(look))
        return weights_open_legacy(f, s);
    if (!refuse_kind(f, look, s))
        return false;
    if (is_safetensors(f, look))
        return open_safetensors(f, s);
    return status_fail(s,
                       "%s is no file of weights that tgc knows: it reads "
                       "safetensors, PyTorch's .pt and .pth, and NumPy's .npz",
                       f->input.path);
}

/* ---- opening ------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const Weight *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static bool sort_names(WeightFile *f, Status *s)
{
    if (f->n)
        qsort(f->weight, f->n, sizeof *f->weight, by_name);
    for (uint32_t i = 1; i < f->n; i++)
        if (!strcmp(f->weight[i - 1].name, f->weight[i].name))
            return input_damaged(&f->input, s, "a tensor comes twice: %.200s",
                                 f->weight[i].name);
    return true;
}

static void strip_module(WeightFile *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (strncmp(f->weight[i].name, MODULE, strlen(MODULE)))
            return;
    for (uint32_t i = 0; i < f->n; i++)
        f->weight[i].name += strlen(MODULE);
}

WeightFile *weights_open(const char *path, Status *s)
{
    WeightFile *f = calloc(1, sizeof *f);
    if (!f) {
        status_fail(s, "no memory");
        return NULL;
    }
    if (input_open(&f->input, path, s) && open_kind(f, s) && sort_names(f, s)) {
        strip_module(f);
        return f;
    }
    weights_close(f);
    return NULL;
}

void weights_close(WeightFile *f)
{
    if (!f)
        return;
    tensors_close(f->tensors);
    zip_close(f->zip);
    input_close(&f->input);
    free(f->weight);
    free(f->storage);
    free(f->names);
    free(f);
}

const char *weights_path(const WeightFile *f)
{
    return f->input.path;
}

const char *weights_kind(const WeightFile *f)
{
    return f->kind;
}

uint32_t weights_count(const WeightFile *f)
{
    return f->n;
}

const Weight *weights_at(const WeightFile *f, uint32_t i)
{
    return &f->weight[i];
}

const Weight *weights_find(const WeightFile *f, const char *name)
{
    const Weight key = {.name = name};
    return f->n ? bsearch(&key, f->weight, f->n, sizeof key, by_name) : NULL;
}

const char *weights_metadata(const WeightFile *f, const char *key)
{
    return f->tensors ? tensors_metadata(f->tensors, key) : NULL;
}

/* ---- reading ------------------------------------------------------------- */

/* Bytes from the first element to behind the last one; there is one. */
static int64_t reach(const Weight *w)
{
    int64_t last = 0;
    for (int i = 0; i < w->rank; i++)
        last += (w->dim[i] - 1) * w->stride[i];
    return (last + 1) * dtype_bytes(w->dtype);
}

static bool read_range(const WeightFile *f, const Weight *w, void *to,
                       int64_t bytes, Status *s)
{
    if (f->tensors)
        return tensors_read(f->tensors, tensors_at(f->tensors, w->storage), to,
                            s);
    const WeightStorage *x = &f->storage[w->storage];
    if (x->entry)
        return zip_read(f->zip, x->entry, w->first, w->first + bytes, to, s);
    return input_read(&f->input, x->at + w->first, to, bytes, s);
}

bool weights_read(const WeightFile *f, const Weight *w, uint8_t dtype, void *to,
                  Status *s)
{
    if (!weights_converts(w->dtype, dtype))
        return status_fail(s, "%s in %s is %s and cannot be read as %s",
                           w->name, f->input.path, dtype_name(w->dtype),
                           dtype_name(dtype));
    if (weight_elements(w) == 0)
        return true;
    int64_t bytes = reach(w);
    if (w->dtype == dtype && weight_plain(w))
        return read_range(f, w, to, bytes, s);
    void *from = malloc((size_t)bytes);
    if (!from)
        return status_fail(s, "no memory to read %s of %s", w->name,
                           f->input.path);
    bool done = read_range(f, w, from, bytes, s);
    if (done && !weights_convert(w, from, dtype, to))
        done = status_fail(s, "%s in %s has a number that %s cannot hold",
                           w->name, f->input.path, dtype_name(dtype));
    free(from);
    return done;
}
