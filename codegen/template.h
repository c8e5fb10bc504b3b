/* template.h: an op's C for one element (OpDesc.expr, .start, .combine) with
 * names put in for what it stands for. */
#ifndef TGC_TEMPLATE_H
#define TGC_TEMPLATE_H

#include "ir.h"
#include <stdio.h>

typedef struct Template {
    const Node *node;     /* whose attributes @name means */
    const char *const *x; /* texts of x0, x1, .. */
    int n_x;
    const char *a;  /* text of the accumulator; NULL: there is none */
    const char *i;  /* text of @i; NULL: not used */
    const char *at; /* of @at */
    DType dtype;    /* T: the result's */
    DType operand;  /* that functions and numbers go by where T is no float */
    const char *type_name; /* of T */
    const char *function;  /* put before a function's name */
} Template;

/* Does the text use @name? */
bool template_uses(const char *text, const char *name);
void template_print(const Template *t, const char *text, FILE *out);
/* A number of this type, as C; "f" after those that are float. */
void template_number(double value, DType dtype, FILE *out);

#endif
