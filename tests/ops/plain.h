/* plain.h: ops made of several steps, as plain loops in double, written from
 * their definitions. */
#ifndef TGC_TESTS_PLAIN_H
#define TGC_TESTS_PLAIN_H

#include "op.h"

typedef struct PlainCall {
    const Node *node;
    const Type *const *type; /* of the operands */
    const double *const *in;
    double *const *out; /* zeroed */
} PlainCall;

typedef void Plain(const PlainCall *c);

Plain *plain_named(const char *op); /* NULL: none */

#endif
