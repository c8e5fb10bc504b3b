/* print_cuda_private.h: what the files that print CUDA share. */
#ifndef TGC_PRINT_CUDA_PRIVATE_H
#define TGC_PRINT_CUDA_PRIVATE_H

#include "cuda_run.h"
#include "print.h"

typedef struct CudaPrinter {
    Printer p;
    CudaRun run;
    int threads;    /* of a block */
    bool tile;      /* the nest goes over a block's tile: print_cuda_tile.c */
    int64_t shared; /* bytes that the kernel's nests want, the most of them */
    int64_t shared_most; /* that they may have */
} CudaPrinter;

/* Begins a nest: c->run says how it runs. */
void cuda_start_nest(CudaPrinter *c, const Nest *n);
/* The kernel's buffers: declared, or as arguments. */
void cuda_print_buffers(Printer *p, bool arguments);
/* What a thread does for a nest without reductions. */
void cuda_print_elements(CudaPrinter *c);

/* Opens, and later closes, what is done for each of a vector's neighbours;
 * what is stored goes to memory where the condition holds ("": always). */
void cuda_open_vector(CudaPrinter *c, const Level *l);
void cuda_close_vector(CudaPrinter *c, const Level *l, const char *where);
/* Values of the loops from a number that counts them all, `wide` in vectors. */
void cuda_print_loops(CudaPrinter *c, const char *number, const uint32_t *loop,
                      uint32_t n_loops);
void cuda_print_rows(CudaPrinter *c);

#endif
