/* weights.h: named tensors out of any file that people keep weights in.
 *
 *     safetensors        header of names and places        safetensors.h
 *     PyTorch, zip       data.pkl and a file per storage   weights_torch.c
 *     PyTorch before 1.6 pickles, then the storages        weights_torch.c
 *     NumPy .npz         a zip of .npy arrays              weights_npz.c
 *
 * The kind is found from the first bytes, never from the file's name.  Nothing
 * in a file is run or believed: what it says is checked against its size
 * before memory is taken, and what is not understood is refused by name.
 * docs/weights.md has the whole list.
 *
 * "module." before every name, which data parallel training leaves, is gone
 * here; so are entries that are no tensors.
 */
#ifndef TGC_WEIGHTS_H
#define TGC_WEIGHTS_H

#include "plan.h"
#include "status.h"

typedef struct Weight {
    const char *name;
    uint8_t dtype; /* PlanDType; 0: one that tgc has no use for */
    uint8_t rank;
    int64_t dim[PLAN_MAX_RANK];

    /* Where its elements are, for the reader. */
    int64_t stride[PLAN_MAX_RANK]; /* in elements, not negative */
    int64_t first;                 /* bytes before the first element */
    uint32_t storage;
} Weight;

typedef struct WeightFile WeightFile;

WeightFile *weights_open(const char *path, Status *s);
void weights_close(WeightFile *f); /* NULL is fine */
const char *weights_path(const WeightFile *f);
const char *weights_kind(const WeightFile *f); /* "NumPy's .npz" */
uint32_t weights_count(const WeightFile *f);
const Weight *weights_at(const WeightFile *f, uint32_t i);         /* by name */
const Weight *weights_find(const WeightFile *f, const char *name); /* or NULL */
/* Text that safetensors files carry; NULL: none. */
const char *weights_metadata(const WeightFile *f, const char *key);

/* Can weights_read give what has type `from` as `to`?  Each type as itself,
 * and every floating type as float32 or float64. */
bool weights_converts(uint8_t from, uint8_t to);

/* Its elements in row-major order without gaps, as `dtype`, into room for all
 * of them.  A number that the new type cannot hold is an error. */
bool weights_read(const WeightFile *f, const Weight *w, uint8_t dtype, void *to,
                  Status *s);

#endif
