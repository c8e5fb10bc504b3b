/* print_cuda_tile.h: what a group computes after a product, as CUDA: by each
 * block on the tile of results that it has in shared memory.
 *
 *     results of the product, [pixels of the tile][line]      shared memory
 *       elementwise       a thread takes neighbouring channels of a pixel
 *       sums of a unit    threads share the unit's pixels; units are pixels in
 *                         a row in memory, and a tile holds whole ones
 *
 * What else is read and written is in global memory, as the kernel's arguments.
 */
#ifndef TGC_PRINT_CUDA_TILE_H
#define TGC_PRINT_CUDA_TILE_H

#include "kernel.h"
#include <stdio.h>

typedef struct CudaTile {
    Value value;
    int64_t pixels, channels; /* of the value; channels side by side */
    int rows, columns;        /* of a tile; rows that are whole units */
    int64_t line;             /* elements from a pixel to the next in it */
    int threads;
    int64_t shared; /* bytes that there are besides */
} CudaTile;

/* Prints a function `name`_after<k> for each nest, and to `calls` how a kernel
 * whose arguments are those of the step calls them: with tile, shared, m and n.
 * Returns the bytes of shared memory that they want, -1 with a message. */
int64_t print_cuda_after(const Graph *g, const Step *s, const CudaTile *t,
                         const char *name, FILE *functions, FILE *calls,
                         Error *e);

#endif
