/* cudnn_api.c: see cudnn_api.h. */
#include "cudnn_api.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Plans by a descriptor of the device came with 9.8. */
enum { VERSION_LEAST = 90800, VERSION_MAJOR = 9 };

static const struct {
    const char *name;
    size_t at; /* in CudnnApi */
} functions[] = {
#define CUDNN_ROW(name, arguments) {#name, offsetof(CudnnApi, name)},
    CUDNN_FUNCTIONS(CUDNN_ROW)
#undef CUDNN_ROW
        {"cudnnGetErrorString", offsetof(CudnnApi, cudnnGetErrorString)},
    {"cudnnGetLastErrorString", offsetof(CudnnApi, cudnnGetLastErrorString)},
};

static bool find_function(CudnnApi *api, const char *name, size_t at)
{
    void *symbol = dlsym(api->library, name);
    memcpy((char *)api + at, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool version_fits(CudnnApi *api, Status *s)
{
    if (!find_function(api, "cudnnGetVersion",
                       offsetof(CudnnApi, cudnnGetVersion)))
        return status_fail(s, "the cuDNN that was found has no function "
                              "cudnnGetVersion: it is something else");
    size_t v = api->version = api->cudnnGetVersion();
    size_t part = v >= 10 * 1000 * VERSION_MAJOR ? 10000 : 1000;
    size_t major = v / part, minor = v % part / 100;
    if (major != VERSION_MAJOR)
        return status_fail(s,
                           "the cuDNN here is version %zu.%zu, and version %d "
                           "is needed",
                           major, minor, VERSION_MAJOR);
    return v >= VERSION_LEAST ||
           status_fail(s,
                       "the cuDNN here is version %zu.%zu, and 9.8 is needed "
                       "(install a newer one)",
                       major, minor);
}

bool cudnn_api_open(CudnnApi *api, Status *s)
{
    const char *given = getenv("TGC_CUDNN");
    *api = (CudnnApi){0};
    /* It has threads and memory of its own that do not go when it is closed. */
    api->library = dlopen(given && *given ? given : "libcudnn.so.9",
                          RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!api->library)
        return status_fail(s,
                           "there is no cuDNN here (%s; install NVIDIA's cuDNN "
                           "9.8 or later, or set TGC_CUDNN to its "
                           "libcudnn.so.9)",
                           dlerror());
    if (!version_fits(api, s))
        return false;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!find_function(api, functions[i].name, functions[i].at))
            return status_fail(s, "the cuDNN that was found has no function %s",
                               functions[i].name);
    return true;
}

void cudnn_api_close(CudnnApi *api)
{
    if (api->library)
        dlclose(api->library);
    api->library = NULL;
}

bool cudnn_well(const CudnnApi *api, CudnnStatus status, const char *call,
                const char *object, Status *s)
{
    char why[512] = "";
    if (!status)
        return true;
    api->cudnnGetLastErrorString(why, sizeof why);
    return status_fail(s, "cuDNN: %s%s%s: %s (%d)%s%s", call,
                       object ? " of " : "", object ? object : "",
                       api->cudnnGetErrorString(status), status,
                       why[0] ? ": " : "", why);
}
