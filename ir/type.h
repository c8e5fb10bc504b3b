/* type.h: what a value is: element type, shape, layout.
 *
 * Shapes are logical (an image batch is always [N,C,H,W]); the layout says in
 * which order the dimensions lie in memory:
 *
 *     f32[128,16,32,32]             row-major, the last dimension is contiguous
 *     f32[128,16,32,32]{0,2,3,1}    outermost to innermost: N, H, W, C
 */
#ifndef TGC_TYPE_H
#define TGC_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_RANK = 8 };

typedef enum DType {
    DT_NONE,
    DT_BOOL, /* one byte, 0 or 1 */
    DT_U8,
    DT_I32,
    DT_I64,
    DT_F16,
    DT_BF16,
    DT_F32,
    DT_F64,
    DT_COUNT
} DType;

/* Nibble k is the logical dimension at place k, place 0 outermost.  0 means
 * row-major for any rank; a row-major order is always stored as 0. */
typedef uint32_t Layout;

typedef struct Type {
    DType dtype;
    uint8_t rank;
    Layout layout;
    int64_t dim[MAX_RANK]; /* those from rank on are 0 */
} Type;

size_t dtype_size(DType t); /* bytes of one element */
const char *dtype_name(DType t);
DType dtype_named(const char *name); /* DT_NONE where there is none */
bool dtype_is_float(DType t);
bool dtype_is_int(DType t);  /* u8, i32, i64 */
bool dtype_is_half(DType t); /* f16, bf16 */
/* What values of the type are summed in: f32 for half, else itself. */
DType dtype_wide(DType t);
/* The nearest value that the type holds, of even ones where there are two;
 * integers and bool: v itself. */
double dtype_round(double v, DType t);

Type type_make(DType dtype, int rank, const int64_t *dim);
Type type_scalar(DType dtype);
Type type_with_dtype(Type t, DType dtype); /* same shape and layout */
bool type_equal(const Type *a, const Type *b);
bool type_same_shape(const Type *a, const Type *b); /* dims only */

/* Elements and bytes.  A graph holds only types that type_fits accepted: every
 * dimension at least 1 and the byte count below 2^62. */
bool type_fits(const Type *t);
int64_t type_elements(const Type *t);
int64_t type_bytes(const Type *t);

/* Elements between neighbours along each logical dimension. */
void type_strides(const Type *t, int64_t stride[MAX_RANK]);

Layout layout_make(int rank, const int *order); /* 0 when row-major */
int layout_dim(Layout l, int rank, int place);  /* logical dim at a place */
bool layout_valid(Layout l, int rank);
Layout layout_channels_last(int rank); /* {0,2,..,rank-1,1}; 0 below rank 3 */

/* "f32[2,3]{1,0}"; returns the length as snprintf does. */
int type_print(const Type *t, char *buf, size_t size);

#endif
