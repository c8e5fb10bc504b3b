/* types.h: what the runtime needs to know about element types and shapes. */
#ifndef TGC_TYPES_H
#define TGC_TYPES_H

#include "plan.h"
#include <stddef.h>

int64_t dtype_bytes(uint8_t dtype);    /* 0: no such type */
const char *dtype_name(uint8_t dtype); /* "F32", as in safetensors */
int dtype_named(const char *name);     /* 0: unknown */

int64_t type_elements(const PlanType *t); /* 1 for rank 0 */
int64_t type_bytes(const PlanType *t);
bool type_plain(const PlanType *t); /* row-major, without gaps */
/* "[16,3,3,3]" */
const char *type_shape_text(const PlanType *t, char *text, size_t size);

/* Copies between where a value lies and plain row-major order. */
void type_gather(const PlanType *t, const void *from, void *plain);
void type_scatter(const PlanType *t, const void *plain, void *to);

/* Element i of `data` is a number that is not finite; integers always are.
 * Returns the place of the first such element, -1: none. */
int64_t dtype_first_not_finite(uint8_t dtype, const void *data, int64_t n);

/* Store a number as the given type. */
void dtype_store(uint8_t dtype, void *to, double value);
double dtype_load(uint8_t dtype, const void *from);

#endif
