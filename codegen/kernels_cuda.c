/* kernels_cuda.c: the CUDA kernel of a step. */
#include "cuda_gemm.h"
#include "cuda_run.h"
#include "cuda_cudnn.h"
#include "kernels.h"
#include "print_cuda.h"
#include <stdlib.h>

/* In the text the kernel's name is @. */
static bool print_generic(const Graph *g, const Step *s, FILE *f, CudaGemm *c,
                          Error *e)
{
    Arena *scratch = arena_new();
    const KernelIr *kernel = kernel_lower(g, s, scratch, e);
    if (kernel) {
        c->parts = print_cuda_kernel(kernel, "@", f);
        c->threads = CUDA_THREADS;
    }
    arena_free(scratch);
    return kernel != NULL;
}

bool kernels_add_cuda(Kernels *k, const Graph *g, const Step *s, StepCode *code,
                      Error *e)
{
    char *text;
    size_t size;
    CudaGemm c = {0};
    bool ok = true;
    if (cudnn_is_step(g, s)) {
        cudnn_add(k, g, s, code);
        return true;
    }
    FILE *f = open_memstream(&text, &size);
    uint32_t anchor = step_anchor(g, s);
    if (anchor)
        ok = cuda_gemm_print(g, s, "@", f, &c, e);
    else
        ok = print_generic(g, s, f, &c, e);
    fclose(f);
    if (ok && (c.parts < 1 || c.parts > INT32_MAX))
        ok = error_set(e, "more blocks than a grid can have");
    if (ok) {
        *code =
            (StepCode){kernels_add_text(k, g, s, text), UINT32_MAX, c.parts};
        k->kernel[code->kernel].threads = c.threads;
        k->kernel[code->kernel].shared = c.shared;
        if (anchor)
            k->kernel[code->kernel].why = cudnn_refusal(g, &g->node[anchor]);
    }
    free(text);
    return ok;
}
