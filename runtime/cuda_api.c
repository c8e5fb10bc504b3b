/* cuda_api.c: see cuda_api.h. */
#include "cuda_api.h"
#include <dlfcn.h>
#include <string.h>

/* Graphs captured from streams with everything that is used here. */
enum { VERSION_LEAST = 11040 };

static const struct {
    const char *name;
    size_t at; /* in CudaApi */
} functions[] = {
#define CUDA_ROW(name, arguments) {#name, offsetof(CudaApi, name)},
    CUDA_FUNCTIONS(CUDA_ROW)
#undef CUDA_ROW
};

/* A pointer to a function is not a pointer to data in C; POSIX says that they
 * are of one size. */
static void set_function(CudaApi *api, size_t at, void *symbol)
{
    memcpy((char *)api + at, &symbol, sizeof symbol);
}

static bool find_functions(CudaApi *api, const char *path, Status *s)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *symbol = dlsym(api->library, functions[i].name);
        if (!symbol)
            return status_fail(s,
                               "the GPU's driver (%s) has no function %s: it "
                               "is older than CUDA 11.4, which is needed "
                               "(install a newer driver)",
                               path, functions[i].name);
        set_function(api, functions[i].at, symbol);
    }
    set_function(api, offsetof(CudaApi, emulator_spans),
                 dlsym(api->library, "tgc_emulator_spans"));
    return true;
}

static bool find_device(CudaApi *api, Status *s)
{
    CuResult r = api->cuInit(0);
    if (r == CU_NO_DEVICE)
        return status_fail(s, "there is a driver for GPUs here, but no GPU (or "
                              "CUDA_VISIBLE_DEVICES hides it)");
    if (r == CU_SYSTEM_DRIVER_MISMATCH)
        return status_fail(s, "the GPU's driver has been updated but not "
                              "loaded (restart this machine)");
    if (!cuda_well(api, r, "cuInit", NULL, s) ||
        !cuda_well(api, api->cuDriverGetVersion(&api->version),
                   "cuDriverGetVersion", NULL, s))
        return false;
    return api->version >= VERSION_LEAST ||
           status_fail(s,
                       "the GPU's driver knows CUDA %d.%d, and 11.4 is needed "
                       "(install a newer driver)",
                       api->version / 1000, api->version % 1000 / 10);
}

bool cuda_api_open(CudaApi *api, const char *path, Status *s)
{
    const char *library = path ? path : "libcuda.so.1";
    *api = (CudaApi){0};
    api->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!api->library && path)
        return status_fail(s, "cannot open the emulator: %s", dlerror());
    if (!api->library)
        return status_fail(s,
                           "there is no GPU driver here (%s; install "
                           "NVIDIA's, or compile with --target cpu)",
                           dlerror());
    return find_functions(api, library, s) && find_device(api, s);
}

void cuda_api_close(CudaApi *api)
{
    if (api->library)
        dlclose(api->library);
    api->library = NULL;
}

bool cuda_well(const CudaApi *api, CuResult result, const char *call,
               const char *object, Status *s)
{
    const char *name = NULL, *text = NULL;
    if (!result)
        return true;
    api->cuGetErrorName(result, &name);
    api->cuGetErrorString(result, &text);
    return status_fail(s, "the GPU: %s%s%s: %s (%s %d)", call,
                       object ? " of " : "", object ? object : "",
                       text ? text : "failed", name ? name : "error", result);
}
