/* print.h: what the files that print a nest as C share.
 *
 *     print_c.c     functions, parts, loops
 *     print_row.c   a row: passes over it, accumulators, lanes
 *     print_body.c  what happens at one element
 *
 * Names in the printed text:
 *     y0, x0    buffers: results, operands     i3   variable 3 of the nest
 *     t12       expression 12                  a0   accumulator of reduction 0
 *     r12       expression 12, kept for the row
 */
#ifndef TGC_PRINT_H
#define TGC_PRINT_H

#include "kernel.h"
#include <stdio.h>

typedef struct Printer {
    FILE *out;
    Arena *arena;
    const KernelIr *kernel;
    const Nest *nest;
    int indent;
    const char *lane; /* subscript of what exists for each lane; "": scalars */
    bool *saved;      /* expressions kept for the row */
    uint32_t done;    /* saved ones below this level are there */
    bool *needed;     /* scratch of body_print */
} Printer;

void print_line(Printer *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void print_open(Printer *p, const char *format, ...) /* and indents */
    __attribute__((format(printf, 2, 3)));
void print_close(Printer *p);
void print_simd(Printer *p, int64_t iterations); /* the pragma, if worth it */
void print_loop(Printer *p, uint32_t var);       /* opens the whole of it */

const char *type_in_c(DType t);    /* computed in */
const char *storage_in_c(DType t); /* in memory */

/* Prints what the expressions need. */
void body_print(Printer *p, const uint32_t *expr, size_t n,
                const Store *const *store, size_t n_stores);
/* The name or the number by which an expression printed before is used. */
const char *body_name(Printer *p, uint32_t expr);
void body_store(Printer *p, const Store *s);
/* "a + x0" with names put in. */
const char *body_combine(Printer *p, uint32_t reduction, const char *a,
                         const char *x);
const char *body_start(Printer *p, uint32_t reduction);

void row_print(Printer *p);

#endif
