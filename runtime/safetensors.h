/* safetensors.h: files of named tensors, as PyTorch's users exchange them.
 *
 *     8 bytes   n, length of the header, little-endian
 *     n bytes   {"name": {"dtype": "F32", "shape": [16,3], "data_offsets":
 *               [0, 192]}, .., "__metadata__": {"key": "text", ..}}
 *     rest      the tensors' bytes, little-endian, row-major, without holes
 *
 * The reader believes nothing: every length, offset and shape is checked
 * before use.  The writer gives the same bytes for the same content.
 */
#ifndef TGC_SAFETENSORS_H
#define TGC_SAFETENSORS_H

#include "plan.h"
#include "status.h"
#include <stddef.h>

typedef struct Tensor {
    const char *name;
    uint8_t dtype; /* PlanDType; 0: one that tgc has no use for */
    uint8_t rank;
    int64_t dim[PLAN_MAX_RANK];
    int64_t begin, end; /* in the data that follows the header */
} Tensor;

typedef struct Metadata {
    const char *key, *text;
} Metadata;

/* ---- reading --------------------------------------------------------------
 */

typedef struct TensorFile TensorFile;

TensorFile *tensors_open(const char *path, Status *s);
void tensors_close(TensorFile *f); /* NULL is fine */
const char *tensors_path(const TensorFile *f);
uint32_t tensors_count(const TensorFile *f);
const Tensor *tensors_at(const TensorFile *f, uint32_t i);         /* by name */
const Tensor *tensors_find(const TensorFile *f, const char *name); /* or NULL */
const char *tensors_metadata(const TensorFile *f,
                             const char *key); /* or NULL */
/* All end - begin bytes of it. */
bool tensors_read(const TensorFile *f, const Tensor *t, void *to, Status *s);

/* ---- writing ---------------------------------------------------------------
 */

/* Writes the header for tensors whose offsets are set, in the order given,
 * into `room` bytes; returns its size with the 8 bytes before it, a multiple
 * of 8, or 0 where room is too small. */
size_t tensors_header(const Tensor *t, uint32_t n, const Metadata *m,
                      uint32_t n_metadata, char *to, size_t room);

#endif
