/* weights_private.h: what the readers of the several formats fill in. */
#ifndef TGC_WEIGHTS_PRIVATE_H
#define TGC_WEIGHTS_PRIVATE_H

#include "safetensors.h"
#include "weights.h"
#include "zip.h"

/* Bytes that tensors are views of: a range of the file, or a zip's entry. */
typedef struct WeightStorage {
    int64_t at, bytes;
    const ZipEntry *entry;
} WeightStorage;

struct WeightFile {
    const char *kind;
    Input input;
    TensorFile *tensors; /* a safetensors file: storage i is its tensor i */
    ZipFile *zip;
    WeightStorage *storage;
    Weight *weight; /* by name */
    uint32_t n;
    char *names;
    size_t names_used;
};

/* Room for n weights, as many storages, and names of so many bytes. */
bool weights_room(WeightFile *f, uint32_t n, uint32_t storages, size_t names,
                  Status *s);
/* One more, with a copy of its name, which has room. */
Weight *weights_add(WeightFile *f, const char *name, size_t length);

/* Formats; f->input is open, f->zip as well for those in a zip. */
bool weights_open_legacy(WeightFile *f, Status *s);
bool weights_open_torch(WeightFile *f, const ZipEntry *pickle, Status *s);
bool weights_open_npz(WeightFile *f, Status *s);

/* Elements with strides, of one type, to elements in row-major order, of
 * another one. False: a number that does not fit. */
bool weights_convert(const Weight *w, const void *from, uint8_t dtype,
                     void *to);

/* Elements of it.  Every format has checked that their bytes do not overflow,
 * but for tensors without elements. */
int64_t weight_elements(const Weight *w);
bool weight_plain(const Weight *w); /* row-major, without gaps */

#endif
