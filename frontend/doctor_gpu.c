/* doctor_gpu.c: what target cuda runs on and compiles with. See doctor.h.
 *
 * All of it is opened by name, as a training binary does: nothing of CUDA is
 * needed to build tgc. */
#include "cuda_api.h"
#include "cudnn_api.h"
#include "doctor.h"
#include "nvrtc.h"
#include <stdio.h>
#include <string.h>

bool look_driver(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    CudaApi api;
    Status s = {0};
    bool ok = cuda_api_open(&api, NULL, &s);
    if (ok)
        snprintf(found, FOUND_SIZE, "CUDA %d.%d", api.version / 1000,
                 api.version % 1000 / 10);
    else
        snprintf(found, FOUND_SIZE, "%.900s", s.text);
    cuda_api_close(&api);
    return ok;
}

/* "0: NVIDIA H200, sm_90, 139.8 GB, 139.2 GB of it free" */
static bool describe_gpu(const CudaApi *api, int number, char *line,
                         size_t size, Status *s)
{
    CuDevice device;
    CuContext context;
    char name[200] = "";
    int major = 0, minor = 0;
    size_t free = 0, total = 0;
    if (!cuda_well(api, api->cuDeviceGet(&device, number), "cuDeviceGet", NULL,
                   s))
        return false;
    api->cuDeviceGetName(name, sizeof name, device);
    api->cuDeviceGetAttribute(&major, CU_COMPUTE_MAJOR, device);
    api->cuDeviceGetAttribute(&minor, CU_COMPUTE_MINOR, device);
    if (!cuda_well(api, api->cuDevicePrimaryCtxRetain(&context, device),
                   "cuDevicePrimaryCtxRetain", name, s))
        return false;
    bool ok = cuda_well(api, api->cuCtxSetCurrent(context), "cuCtxSetCurrent",
                        name, s) &&
              cuda_well(api, api->cuMemGetInfo_v2(&free, &total),
                        "cuMemGetInfo", name, s);
    api->cuDevicePrimaryCtxRelease_v2(device);
    if (ok)
        snprintf(line, size, "%d: %s, sm_%d%d, %.1f GB, %.1f GB of it free",
                 number, name, major, minor, (double)total / 1e9,
                 (double)free / 1e9);
    return ok;
}

bool look_gpus(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    CudaApi api;
    Status s = {0};
    int n = 0;
    bool ok = cuda_api_open(&api, NULL, &s) &&
              cuda_well(&api, api.cuDeviceGetCount(&n), "cuDeviceGetCount",
                        NULL, &s) &&
              (n > 0 || status_fail(&s, "there is none"));
    size_t at = 0;
    for (int i = 0; ok && i < n && at < FOUND_SIZE - 300; i++) {
        at +=
            (size_t)snprintf(found + at, FOUND_SIZE - at, "%s", i ? "\n" : "");
        ok = describe_gpu(&api, i, found + at, FOUND_SIZE - at, &s);
        at += ok ? strlen(found + at) : 0;
    }
    if (!ok)
        snprintf(found, FOUND_SIZE, "%.900s",
                 api.library ? s.text : "not seen: that takes the driver");
    cuda_api_close(&api);
    return ok;
}

bool look_nvrtc(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    Error e = {{0}};
    Nvrtc *n = nvrtc_open(&e);
    if (n)
        snprintf(found, FOUND_SIZE, "version %d.%d", nvrtc_version(n) / 1000,
                 nvrtc_version(n) % 1000 / 10);
    else
        snprintf(found, FOUND_SIZE, "%.900s", e.text);
    nvrtc_close(n);
    return n != NULL;
}

bool look_cudnn(Doctor *d, const DoctorRow *row, char *found)
{
    (void)d, (void)row;
    CudnnApi api;
    Status s = {0};
    bool ok = cudnn_api_open(&api, &s);
    if (ok)
        snprintf(found, FOUND_SIZE, "version %zu.%zu.%zu", api.version / 10000,
                 api.version % 10000 / 100, api.version % 100);
    else
        snprintf(found, FOUND_SIZE, "%.900s", s.text);
    cudnn_api_close(&api);
    return ok;
}
