/* device_cuda_image.c: which of the plan's images a GPU runs.
 *
 * A cubin is machine code for one GPU and those of the same major number with a
 * higher minor one; PTX is compiled by the driver for any later GPU.  Machine
 * code first: it is what was tested, and loads at once. */
#include "device_cuda.h"
#include "format.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options of cuModuleLoadDataEx: what the driver's compiler has to say. */
enum { JIT_ERROR_LOG = 5, JIT_ERROR_LOG_BYTES = 6, LOG_BYTES = 512 };

/* "sm_90a", "compute_90": 90. 0: neither. */
static int arch_number(const char *arch)
{
    const char *digits = strchr(arch, '_');
    return digits ? atoi(digits + 1) : 0;
}

static bool is_ptx(const char *arch)
{
    return !strncmp(arch, "compute_", 8);
}

/* How well it fits a GPU of this number: 0 not at all. */
static int image_fits(const char *arch, int gpu)
{
    int n = arch_number(arch);
    bool just = arch[strlen(arch) - 1] == 'a';
    if (just)
        return n != gpu ? 0 : is_ptx(arch) ? 1 + n : 3000;
    if (is_ptx(arch))
        return n <= gpu ? n : 0;
    return n <= gpu && n / 10 == gpu / 10 ? 2000 + n : 0;
}

/* The best of those that fit less well than `below`. */
static const PlanImage *next_image(const Plan *plan, int gpu, int below)
{
    const PlanImage *best = NULL;
    int most = 0;
    for (uint32_t i = 0; i < plan->n_images; i++) {
        int fits = image_fits(plan->images[i].arch, gpu);
        if (fits > most && fits < below) {
            best = &plan->images[i];
            most = fits;
        }
    }
    return best;
}

static bool none_fits(const Plan *plan, int gpu, Status *s)
{
    char list[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < plan->n_images && used < sizeof list - 32; i++)
        if (!plan->images[i].unit)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                     used ? ", " : "", plan->images[i].arch);
    return status_fail(s,
                       "this GPU is an sm_%d, and %s was compiled for %s "
                       "(compile it again with --target cuda:sm_%d)",
                       gpu, plan->model, list, gpu);
}

/* The driver knows the GPU but not what is in the image. */
static bool too_old(CuResult r)
{
    return r == CU_INVALID_IMAGE || r == CU_NO_BINARY_FOR_GPU ||
           r == CU_INVALID_PTX || r == CU_UNSUPPORTED_PTX_VERSION;
}

static bool say_old(const CudaDevice *d, const PlanImage *image, Status *s)
{
    if (image->cuda <= d->api.version)
        return false;
    return !status_fail(
        s,
        "the GPU's driver knows CUDA %d.%d, and these kernels want one of CUDA "
        "%d.%d (install a newer driver)",
        d->api.version / 1000, d->api.version % 1000 / 10, image->cuda / 1000,
        image->cuda % 1000 / 10);
}

void cuda_unload(CudaDevice *d)
{
    for (uint32_t i = 0; d->module && i < d->n_modules; i++)
        if (d->module[i])
            d->api.cuModuleUnload(d->module[i]);
    free(d->module);
    d->module = NULL;
    d->n_modules = 0;
}

static CuResult load_unit(CudaDevice *d, const PlanImage *image, char *log)
{
    int option[] = {JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES};
    void *value[] = {log, (void *)(uintptr_t)LOG_BYTES};
    log[0] = 0;
    return d->api.cuModuleLoadDataEx(&d->module[image->unit], image->data, 2,
                                     option, value);
}

/* All units of an image's architecture. */
static CuResult load(CudaDevice *d, const Plan *plan, const char *arch,
                     char *log)
{
    CuResult r = 0;
    cuda_unload(d);
    d->module = calloc(plan->n_images + 1, sizeof *d->module);
    for (uint32_t i = 0; i < plan->n_images && !r; i++) {
        const PlanImage *image = &plan->images[i];
        if (strcmp(image->arch, arch))
            continue;
        if (d->n_modules <= image->unit)
            d->n_modules = image->unit + 1;
        r = d->module ? load_unit(d, image, log) : CU_OUT_OF_MEMORY;
    }
    return r;
}

static const PlanImage *load_best(Executor *e, int gpu, Status *s)
{
    CudaDevice *d = e->device;
    const PlanImage *image = next_image(e->plan, gpu, INT32_MAX);
    char log[LOG_BYTES + 1] = "", what[LOG_BYTES + 64];
    CuResult r = 0;
    if (!image)
        none_fits(e->plan, gpu, s);
    while (image) {
        r = load(d, e->plan, image->arch, log);
        if (!r)
            return image;
        const PlanImage *next =
            too_old(r) ? next_image(e->plan, gpu, image_fits(image->arch, gpu))
                       : NULL;
        if (!next)
            break;
        image = next;
    }
    if (image && !(too_old(r) && say_old(d, image, s))) {
        snprintf(what, sizeof what, "the kernels for %s%s%s", image->arch,
                 log[0] ? ": " : "", log);
        cuda_well(&d->api, r, "cuModuleLoadDataEx", what, s);
    }
    return NULL;
}

/* The step that runs a kernel first, for people. */
static const PlanStep *kernel_step(const Plan *plan, uint32_t kernel)
{
    for (uint32_t k = 0; k < plan->n_graphs; k++)
        for (uint32_t i = 0; i < plan->graphs[k].n_steps; i++)
            if (plan->graphs[k].steps[i].kernel == kernel)
                return &plan->graphs[k].steps[i];
    return NULL;
}

static bool kernel_open(Executor *e, uint32_t i, int shared, Status *s)
{
    CudaDevice *d = e->device;
    const PlanKernel *k = &e->plan->kernels[i];
    const PlanStep *step = kernel_step(e->plan, i);
    const char *loc = step && step->loc ? step->loc : "";
    char need[32], have[32];
    if (k->conv)
        return true; /* cuDNN's */
    CuResult r = d->api.cuModuleGetFunction(
        &d->kernel[i], d->module[k->unit < d->n_modules ? k->unit : 0],
        k->name);
    if (!cuda_well(&d->api, r, "cuModuleGetFunction", k->name, s))
        return false;
    if (!k->shared)
        return true;
    if (k->shared > (uint32_t)shared)
        return status_fail(
            s,
            "kernel %s (%s) wants %s of shared memory, and this GPU has %s: it "
            "was compiled for a larger one",
            k->name, loc, format_bytes(k->shared, need, sizeof need),
            format_bytes(shared, have, sizeof have));
    r = d->api.cuFuncSetAttribute(d->kernel[i], CU_FUNCTION_DYNAMIC_SHARED,
                                  (int)k->shared);
    return cuda_well(&d->api, r, "cuFuncSetAttribute", k->name, s);
}

const char *cuda_load(Executor *e, int major, int minor, int shared, Status *s)
{
    CudaDevice *d = e->device;
    const PlanImage *image = load_best(e, 10 * major + minor, s);
    if (!image)
        return NULL;
    d->kernel = calloc(e->plan->n_kernels + 1, sizeof *d->kernel);
    if (!d->kernel) {
        status_fail(s, "no memory for %u kernels", e->plan->n_kernels);
        return NULL;
    }
    for (uint32_t i = 0; i < e->plan->n_kernels; i++)
        if (!kernel_open(e, i, shared, s))
            return NULL;
    return image->arch;
}
