/* kernels_cuda.c: the CUDA kernel of a step. */
#include "cuda_choice.h"
#include "cuda_gemm.h"
#include "cuda_run.h"
#include "cuda_cudnn.h"
#include "kernels.h"
#include "print_cuda.h"
#include "rows.h"
#include <stdlib.h>
#include <string.h>

enum { TILES_MOST = 32 }; /* of a product */

/* ---- texts, in which the kernel's name is @ ----------------------------- */

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

/* A product; not what is whole for want of another way (rows.h). */
static uint32_t step_product(const Graph *g, const Step *s)
{
    uint32_t anchor = step_anchor(g, s);
    return anchor && rows_is(&g->node[anchor]) ? 0 : anchor;
}

static bool print_rows(const Graph *g, const Step *s, FILE *f, CudaGemm *c)
{
    c->parts = rows_print_cuda(g, s, "@", f);
    c->threads = CUDA_THREADS;
    return true;
}

/* Of a product, in a tile of this name (NULL: the model's), or of anything
 * else.  To be freed; NULL with a message. */
static char *step_text(const Graph *g, const Step *s, const char *tile,
                       CudaGemm *c, Error *e)
{
    char *text;
    size_t size;
    bool ok;
    FILE *f = open_memstream(&text, &size);
    *c = (CudaGemm){0};
    if (step_product(g, s))
        ok = cuda_gemm_print(g, s, "@", tile, f, c, e);
    else if (step_anchor(g, s))
        ok = print_rows(g, s, f, c);
    else
        ok = print_generic(g, s, f, c, e);
    fclose(f);
    if (ok && (c->parts < 1 || c->parts > INT32_MAX))
        ok = error_set(e, "more blocks than a grid can have");
    if (ok)
        return text;
    free(text);
    return NULL;
}

/* ---- tiles -------------------------------------------------------------- */

/* The same in the tile that was measured to be best, if one was and it fits. */
static char *measured_text(Kernels *k, const Graph *g, const Step *s,
                           const char *model, CudaGemm *c)
{
    const TileRow *row =
        tiles_find(k->tiles, kernels_text_name(k, g, s, model));
    CudaGemm other;
    Error ignored;
    if (!row || strcmp(row->who, "tgc"))
        return NULL;
    char *text = step_text(g, s, row->tile, &other, &ignored);
    if (text)
        *c = other;
    return text;
}

static uint32_t add_text(Kernels *k, const Graph *g, const Step *s,
                         const char *text, const CudaGemm *c)
{
    uint32_t id = kernels_add_text(k, g, s, text);
    k->kernel[id].threads = c->threads;
    k->kernel[id].shared = c->shared;
    return id;
}

/* The model's tile first, whose kernel is `instead`. */
static void add_candidates(Kernels *k, const Graph *g, const Step *s,
                           uint32_t instead)
{
    const char *tile[TILES_MOST];
    const Node *anchor = &g->node[step_anchor(g, s)];
    int n = cuda_gemm_tiles(g, anchor, tile, TILES_MOST, k->arena);
    int left = k->tiles_each;
    for (int i = 0; i < n && left; i++) {
        CudaGemm c;
        Error ignored;
        char *text = step_text(g, s, tile[i], &c, &ignored);
        if (!text)
            continue;
        uint32_t id = add_text(k, g, s, text, &c);
        k->kernel[id].uses--; /* no step does */
        left--;
        ARENA_PUSH(k->arena, k->candidate, k->n_candidates, k->cap_candidates,
                   ((KernelCandidate){instead, id, c.parts, tile[i]}));
        free(text);
    }
}

bool kernels_add_cuda(Kernels *k, const Graph *g, const Step *s, StepCode *code,
                      Error *e)
{
    CudaGemm c;
    uint32_t anchor = step_product(g, s);
    if (cudnn_is_step(g, s)) {
        cudnn_add(k, g, s, code);
        return true;
    }
    char *text = step_text(g, s, NULL, &c, e);
    if (!text)
        return false;
    if (k->tiles && anchor) {
        char *better = measured_text(k, g, s, text, &c);
        if (better) {
            free(text);
            text = better;
        }
    }
    size_t known = k->n_kernels;
    uint32_t id = add_text(k, g, s, text, &c);
    *code = (StepCode){id, UINT32_MAX, c.parts};
    free(text);
    if (anchor)
        k->kernel[id].why = choice_why(k->tiles, g, &g->node[anchor], k->arena);
    if (k->tiles_each && k->n_kernels > known && anchor)
        add_candidates(k, g, s, id);
    return true;
}
