/* npy.h: the header of a NumPy array, versions 1 to 3.
 *
 *     "\x93NUMPY"  major  minor
 *     2 bytes, from version 2 on 4: n, little-endian
 *     n bytes      {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *     rest         the elements
 *
 * As in numpy/lib/format.py.
 */
#ifndef TGC_NPY_H
#define TGC_NPY_H

#include "plan.h"
#include "status.h"
#include <stddef.h>

enum { NPY_HEAD_MOST = 4096 }; /* bytes of a header that are looked at */

typedef struct NpyArray {
    bool number;     /* false: text, of no use here */
    uint8_t dtype;   /* PlanDType, or 0: one that tgc has no use for */
    uint8_t element; /* bytes of one */
    uint8_t rank;
    int64_t dim[PLAN_MAX_RANK];
    int64_t stride[PLAN_MAX_RANK]; /* in elements; C or Fortran order */
    int64_t header;                /* bytes before the elements */
    int64_t bytes;                 /* of the elements */
} NpyArray;

/* From the first n bytes of an array; all of them, or NPY_HEAD_MOST. Messages
 * name `path` and `entry`, the array's place in it ("" for none). Objects and
 * big-endian numbers are refused. */
bool npy_parse(NpyArray *a, const unsigned char *head, size_t n,
               const char *path, const char *entry, Status *s);

#endif
