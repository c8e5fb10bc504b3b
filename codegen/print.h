/* print.h: what the files that print a nest as C share.
 *
 *     print_c.c     functions, parts, loops
 *     print_row.c   a row: passes over it, accumulators, lanes
 *     print_body.c  what happens at one element
 *     print_level.c what is done in which turn over a row
 *
 * and as CUDA, whose expressions are the same:
 *
 *     print_cuda.c      functions, threads and what each does
 *     print_cuda_row.c  a row, shared by some threads
 *
 * Names in the printed text:
 *     y0, x0    buffers: results, operands     i3   variable 3 of the nest
 *     t12       expression 12                  a0   accumulator of reduction 0
 *     r12       expression 12, kept for the row
 *     v12.v[u]  neighbours that expression 12 loads at once
 *     w0.v[u]   neighbours that store 0 of the nest writes at once
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
    const char *lane;  /* subscript of what exists for each lane; "": scalars */
    bool *saved;       /* expressions kept for the row */
    uint32_t done;     /* saved ones below this level are there */
    bool *needed;      /* scratch of body_print */
    const char *index; /* type of indices */
    const char *function; /* what comes before a function's name */
    uint32_t wide; /* variable of which a thread takes `vector` neighbours at
                      once; 0: none */
    int vector;
    const bool *raw; /* expressions that were loaded before; NULL: none */
    /* Where buffers lie, as C; NULL: in call->buf[] */
    const char *const *where;
} Printer;

/* What is done in one turn over a row: the reductions of a level and the
 * stores that need no more; or (row) what is computed once after the turn
 * before. */
typedef struct Level {
    uint32_t number;
    uint32_t *reduction, *of; /* of this level; their expressions */
    size_t n_reductions, cap_reductions, n_of, cap_of;
    const Store **store;
    size_t n_stores, cap_stores;
} Level;

Level level_of(Printer *p, uint32_t level, bool row);
uint32_t level_last(const Nest *n);
/* Marks in p->saved what is computed once a row and used later in it. */
void level_find_saved(Printer *p);

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
/* Around the elements of a vector, p->vector > 1: the loads of neighbours that
 * these expressions need; then the declarations, and at the end the writing, of
 * the neighbours that are stored. */
void body_wide_loads(Printer *p, const uint32_t *expr, size_t n,
                     const Store *const *store, size_t n_stores);
void body_wide_stores(Printer *p, const Store *const *store, size_t n_stores,
                      bool declare);
/* Of these expressions, neighbours that the store needs: to members v12 of
 * `raw`, which is declared by "tgc_vec<float, 4> v12". */
void body_raw_loads(Printer *p, const bool *which, const Store *store);
const char *body_wide_name(Printer *p, uint32_t expr);
/* Can it be loaded or stored so? */
bool body_is_wide(const Nest *n, const Index *at, uint32_t guards,
                  uint32_t wide, int vector);
/* Combines accumulators or elements by name: "a = a + x;". */
void print_combine(Printer *p, uint32_t reduction, const char *a,
                   const char *x);
const char *reduction_type(const Printer *p, uint32_t reduction);
/* "a + x0" with names put in. */
const char *body_combine(Printer *p, uint32_t reduction, const char *a,
                         const char *x);
const char *body_start(Printer *p, uint32_t reduction);

void row_print(Printer *p);

#endif
