/* driver.c: generated CUDA kernels by NVRTC and a driver; see emulate.h. */
#include "cuda_api.h"
#include "emulate.h"
#include "nvrtc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS_MOST = 512, SHARED_WITHOUT_ASKING = 48 << 10 };

struct Driver {
    CudaApi api;
    CuDevice device;
    CuContext context;
    CuModule module;
    CuStream stream;
};

static bool well(const Driver *d, CuResult r, const char *call, const char *of,
                 Error *e)
{
    Status s = {0};
    return cuda_well(&d->api, r, call, of, &s) ||
           error_set(e, "%.400s", s.text);
}

/* ---- opening --------------------------------------------------------------
 */

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    long n = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    char *text = n >= 0 ? calloc(1, (size_t)n + 1) : NULL;
    if (text && (fseek(f, 0, SEEK_SET) != 0 ||
                 fread(text, 1, (size_t)n, f) != (size_t)n)) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

static bool compile(const char *cu, const char *arch, NvrtcOutput *out,
                    Error *e)
{
    char *text = read_text(cu);
    Nvrtc *n = text ? nvrtc_open(e) : NULL;
    bool done = n && nvrtc_compile(n, text, "kernels.cu", arch, out, e);
    if (!text)
        error_set(e, "cannot read %s", cu);
    else if (n && !done)
        fprintf(stderr, "%.4000s\n", out->log ? out->log : "");
    nvrtc_close(n);
    free(text);
    return done;
}

static bool load(Driver *d, const char *cu, Error *e)
{
    int major = 0, minor = 0;
    char arch[32];
    NvrtcOutput out = {0};
    d->api.cuDeviceGetAttribute(&major, CU_COMPUTE_MAJOR, d->device);
    d->api.cuDeviceGetAttribute(&minor, CU_COMPUTE_MINOR, d->device);
    snprintf(arch, sizeof arch, "sm_%d%d", major, minor);
    bool done =
        compile(cu, arch, &out, e) &&
        well(d, d->api.cuModuleLoadDataEx(&d->module, out.image, 0, NULL, NULL),
             "cuModuleLoadDataEx", arch, e);
    nvrtc_output_free(&out);
    return done;
}

static bool open_device(Driver *d, const char *library, Error *e)
{
    Status s = {0};
    const CudaApi *api = &d->api;
    if (!cuda_api_open(&d->api, library, &s))
        return error_set(e, "%.400s", s.text);
    return well(d, api->cuDeviceGet(&d->device, 0), "cuDeviceGet", NULL, e) &&
           well(d, api->cuDevicePrimaryCtxRetain(&d->context, d->device),
                "cuDevicePrimaryCtxRetain", NULL, e) &&
           well(d, api->cuCtxSetCurrent(d->context), "cuCtxSetCurrent", NULL,
                e) &&
           well(d, api->cuStreamCreate(&d->stream, CU_STREAM_NON_BLOCKING),
                "cuStreamCreate", NULL, e);
}

Driver *driver_open(const char *cu, const char *library, Error *e)
{
    Driver *d = calloc(1, sizeof *d);
    if (d && open_device(d, library, e) && load(d, cu, e))
        return d;
    driver_close(d);
    return NULL;
}

void driver_close(Driver *d)
{
    if (!d)
        return;
    if (d->module)
        d->api.cuModuleUnload(d->module);
    if (d->stream)
        d->api.cuStreamDestroy_v2(d->stream);
    if (d->context)
        d->api.cuDevicePrimaryCtxRelease_v2(d->device);
    cuda_api_close(&d->api);
    free(d);
}

/* ---- a launch -------------------------------------------------------------
 */

/* Arguments that are one on the host are one there. */
static bool take(Driver *d, const EmulatedLaunch *l, CuPtr *at, Error *e)
{
    for (uint32_t i = 0; i < l->n_args; i++) {
        const EmulatedArg *a = &l->arg[i];
        for (uint32_t k = 0; k < i && !at[i]; k++)
            if (l->arg[k].at == a->at)
                at[i] = at[k];
        if (at[i])
            continue;
        if (!well(d, d->api.cuMemAlloc_v2(&at[i], a->bytes + 1), "cuMemAlloc",
                  l->kernel, e) ||
            !well(
                d,
                d->api.cuMemcpyHtoDAsync_v2(at[i], a->at, a->bytes, d->stream),
                "cuMemcpyHtoDAsync", l->kernel, e))
            return false;
    }
    return true;
}

static bool fetch(Driver *d, const EmulatedLaunch *l, const CuPtr *at, Error *e)
{
    for (uint32_t i = 0; i < l->n_args; i++)
        if (l->arg[i].written &&
            !well(d,
                  d->api.cuMemcpyDtoHAsync_v2(l->arg[i].at, at[i],
                                              l->arg[i].bytes, d->stream),
                  "cuMemcpyDtoHAsync", l->kernel, e))
            return false;
    return well(d, d->api.cuStreamSynchronize(d->stream), "running", l->kernel,
                e);
}

static void release(Driver *d, const EmulatedLaunch *l, const CuPtr *at)
{
    for (uint32_t i = 0; i < l->n_args; i++) {
        bool first = at[i] != 0;
        for (uint32_t k = 0; k < i; k++)
            first &= at[k] != at[i];
        if (first)
            d->api.cuMemFree_v2(at[i]);
    }
}

static bool run(Driver *d, const EmulatedLaunch *l, CuPtr *at, Error *e)
{
    CuFunction f;
    void *pointer[ARGS_MOST];
    for (uint32_t i = 0; i < l->n_args; i++)
        pointer[i] = &at[i];
    if (!well(d, d->api.cuModuleGetFunction(&f, d->module, l->kernel),
              "cuModuleGetFunction", l->kernel, e))
        return false;
    if (l->shared > SHARED_WITHOUT_ASKING &&
        !well(d,
              d->api.cuFuncSetAttribute(f, CU_FUNCTION_DYNAMIC_SHARED,
                                        (int)l->shared),
              "cuFuncSetAttribute", l->kernel, e))
        return false;
    return well(d,
                d->api.cuLaunchKernel(f, (unsigned)l->parts, 1, 1, l->threads,
                                      1, 1, l->shared, d->stream, pointer,
                                      NULL),
                "cuLaunchKernel", l->kernel, e) &&
           fetch(d, l, at, e);
}

bool driver_launch(Driver *d, const EmulatedLaunch *l, Error *e)
{
    CuPtr at[ARGS_MOST] = {0};
    if (l->n_args > ARGS_MOST)
        return error_set(e, "%u arguments are too many", l->n_args);
    bool done = take(d, l, at, e) && run(d, l, at, e);
    release(d, l, at);
    return done;
}
