/* weights_npz.c: NumPy's .npz, a zip with one .npy for each array; see
 * weights.h. */
#include "npy.h"
#include "weights_private.h"
#include <string.h>

/* Length of the array's name, 0: the entry is no array. */
static size_t array_name(const ZipEntry *e)
{
    static const char suffix[] = ".npy";
    size_t n = strlen(e->name), m = sizeof suffix - 1;
    return n > m && !strcmp(e->name + n - m, suffix) ? n - m : 0;
}

static bool add_array(WeightFile *f, const ZipEntry *e, Status *s)
{
    unsigned char head[NPY_HEAD_MOST];
    NpyArray a;
    int64_t n = e->size < NPY_HEAD_MOST ? e->size : NPY_HEAD_MOST;
    if (!zip_head(f->zip, e, head, n, s) ||
        !npy_parse(&a, head, (size_t)n, f->input.path, e->name, s))
        return false;
    if (!a.number)
        return true; /* text: no tensor */
    if (a.bytes != e->size - a.header)
        return input_damaged(&f->input, s,
                             "%.200s does not have the bytes that its shape "
                             "needs",
                             e->name);
    Weight *w = weights_add(f, e->name, array_name(e));
    w->dtype = a.dtype;
    w->rank = a.rank;
    w->first = a.header;
    w->storage = f->n - 1;
    memcpy(w->dim, a.dim, sizeof w->dim);
    memcpy(w->stride, a.stride, sizeof w->stride);
    f->storage[w->storage] = (WeightStorage){.entry = e, .bytes = e->size};
    return true;
}

bool weights_open_npz(WeightFile *f, Status *s)
{
    uint32_t arrays = 0;
    size_t names = 0;
    f->kind = "NumPy's .npz";
    for (uint32_t i = 0; i < zip_count(f->zip); i++)
        if (array_name(zip_at(f->zip, i))) {
            names += strlen(zip_at(f->zip, i)->name) + 1;
            arrays++;
        }
    if (!arrays)
        return status_fail(s,
                           "%s is a zip file, but neither PyTorch's (no "
                           "data.pkl in it) nor NumPy's (no .npy)",
                           f->input.path);
    if (!weights_room(f, arrays, arrays, names, s))
        return false;
    for (uint32_t i = 0; i < zip_count(f->zip); i++)
        if (array_name(zip_at(f->zip, i)) &&
            !add_array(f, zip_at(f->zip, i), s))
            return false;
    return true;
}
