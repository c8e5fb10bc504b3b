/* kernels_cuda.c: the CUDA kernel of a step. */
#include "cuda_run.h"
#include "kernels.h"
#include "print_cuda.h"
#include <stdlib.h>

bool kernels_add_cuda(Kernels *k, const Graph *g, const Step *s, StepCode *code,
                      Error *e)
{
    Arena *scratch = arena_new();
    const KernelIr *kernel = kernel_lower(g, s, scratch, e);
    bool ok = kernel != NULL;
    if (kernel) {
        char *text;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        int64_t parts = print_cuda_kernel(kernel, "@", f);
        fclose(f);
        *code = (StepCode){kernels_add_text(k, g, s, text), UINT32_MAX, parts};
        k->kernel[code->kernel].threads = CUDA_THREADS;
        free(text);
        if (!parts)
            ok = error_set(e, "more blocks than a grid can have");
    }
    arena_free(scratch);
    return ok;
}
