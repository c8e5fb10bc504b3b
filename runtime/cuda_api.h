/* cuda_api.h: the CUDA driver, opened when the program runs.
 *
 * Nothing of CUDA is needed to build: the functions used are declared here, as
 * NVIDIA's "CUDA Driver API" documents them, and looked up in libcuda.so.1. A
 * machine without it gets one sentence.
 *
 * The emulator (tests/emulator) is a library with the same functions, so that
 * all of this runs where there is no GPU.
 */
#ifndef TGC_CUDA_API_H
#define TGC_CUDA_API_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef int CuResult, CuDevice;
typedef uint64_t CuPtr; /* an address on the device */
typedef struct CuContextRec *CuContext;
typedef struct CuModuleRec *CuModule;
typedef struct CuFunctionRec *CuFunction;
typedef struct CuStreamRec *CuStream;
typedef struct CuEventRec *CuEvent;
typedef struct CuGraphRec *CuGraph;
typedef struct CuGraphNodeRec *CuGraphNode;
typedef struct CuGraphExecRec *CuGraphExec;

/* Values of CUresult that something is done about. */
enum {
    CU_OUT_OF_MEMORY = 2,
    CU_NO_DEVICE = 100,
    CU_INVALID_IMAGE = 200,
    CU_NO_BINARY_FOR_GPU = 209,
    CU_INVALID_PTX = 218,
    CU_UNSUPPORTED_PTX_VERSION = 222,
    CU_SYSTEM_DRIVER_MISMATCH = 803
};

/* Of CUdevice_attribute, CUfunction_attribute, CUstream_flags, .. */
enum {
    CU_COMPUTE_MAJOR = 75,
    CU_COMPUTE_MINOR = 76,
    CU_SHARED_MOST = 97, /* bytes of shared memory that a block may ask for */
    CU_FUNCTION_DYNAMIC_SHARED = 8,
    CU_STREAM_NON_BLOCKING = 1,
    CU_EVENT_TIMED = 0,
    CU_EVENT_UNTIMED = 2,
    CU_CAPTURE_RELAXED = 2,
    CU_CAPTURE_ACTIVE = 1,
    CU_CAPTURE_SET_DEPENDENCIES = 1
};

/* clang-format off */
#define CUDA_FUNCTIONS(X) \
    X(cuInit, (unsigned flags)) \
    X(cuDriverGetVersion, (int *version)) \
    X(cuGetErrorName, (CuResult error, const char **text)) \
    X(cuGetErrorString, (CuResult error, const char **text)) \
    X(cuDeviceGetCount, (int *count)) \
    X(cuDeviceGet, (CuDevice *device, int number)) \
    X(cuDeviceGetName, (char *name, int size, CuDevice device)) \
    X(cuDeviceGetAttribute, (int *value, int attribute, CuDevice device)) \
    X(cuDevicePrimaryCtxRetain, (CuContext *context, CuDevice device)) \
    X(cuDevicePrimaryCtxRelease_v2, (CuDevice device)) \
    X(cuCtxSetCurrent, (CuContext context)) \
    X(cuMemGetInfo_v2, (size_t *free, size_t *total)) \
    X(cuMemAlloc_v2, (CuPtr *memory, size_t bytes)) \
    X(cuMemFree_v2, (CuPtr memory)) \
    X(cuMemHostAlloc, (void **memory, size_t bytes, unsigned flags)) \
    X(cuMemFreeHost, (void *memory)) \
    X(cuMemcpyHtoDAsync_v2, (CuPtr to, const void *from, size_t bytes, CuStream stream)) \
    X(cuMemcpyDtoHAsync_v2, (void *to, CuPtr from, size_t bytes, CuStream stream)) \
    X(cuMemsetD8Async, (CuPtr memory, unsigned char value, size_t bytes, CuStream stream)) \
    X(cuModuleLoadDataEx, (CuModule *module, const void *image, unsigned n, int *options, void **values)) \
    X(cuModuleUnload, (CuModule module)) \
    X(cuModuleGetFunction, (CuFunction *function, CuModule module, const char *name)) \
    X(cuFuncSetAttribute, (CuFunction function, int attribute, int value)) \
    X(cuStreamCreate, (CuStream *stream, unsigned flags)) \
    X(cuStreamDestroy_v2, (CuStream stream)) \
    X(cuStreamSynchronize, (CuStream stream)) \
    X(cuStreamWaitEvent, (CuStream stream, CuEvent event, unsigned flags)) \
    X(cuStreamBeginCapture_v2, (CuStream stream, int mode)) \
    X(cuStreamEndCapture, (CuStream stream, CuGraph *graph)) \
    X(cuStreamGetCaptureInfo_v2, (CuStream stream, int *status, uint64_t *id, CuGraph *graph, \
                                  const CuGraphNode **node, size_t *n)) \
    X(cuStreamUpdateCaptureDependencies, (CuStream stream, CuGraphNode *node, size_t n, unsigned flags)) \
    X(cuEventCreate, (CuEvent *event, unsigned flags)) \
    X(cuEventDestroy_v2, (CuEvent event)) \
    X(cuEventRecord, (CuEvent event, CuStream stream)) \
    X(cuEventSynchronize, (CuEvent event)) \
    X(cuEventElapsedTime, (float *milliseconds, CuEvent from, CuEvent to)) \
    X(cuLaunchKernel, (CuFunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, \
                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, \
                       CuStream stream, void **args, void **extra)) \
    X(cuGraphInstantiateWithFlags, (CuGraphExec *exec, CuGraph graph, unsigned long long flags)) \
    X(cuGraphDestroy, (CuGraph graph)) \
    X(cuGraphExecDestroy, (CuGraphExec exec)) \
    X(cuGraphLaunch, (CuGraphExec exec, CuStream stream))
/* clang-format on */

/* What an argument of a launch may touch, for the emulator to check. */
typedef struct CudaSpan {
    void *at; /* as the device sees it */
    size_t bytes;
    int written; /* a result; else an operand */
    int fresh;   /* a result of which nothing is defined before */
} CudaSpan;

typedef struct CudaApi {
    void *library;
    int version; /* of the driver: 13000 is 13.0 */
#define CUDA_MEMBER(name, arguments) CuResult(*name) arguments;
    CUDA_FUNCTIONS(CUDA_MEMBER)
#undef CUDA_MEMBER
    /* Of an emulator, else NULL: the spans of the next launch. */
    void (*emulator_spans)(const CudaSpan *span, unsigned n);
} CudaApi;

/* `path` NULL: the system's driver. */
bool cuda_api_open(CudaApi *api, const char *path, Status *s);
void cuda_api_close(CudaApi *api);

/* True where the call went well; else "cuMemAlloc (..): out of memory
 * (CUDA_ERROR_OUT_OF_MEMORY)".  `object` may be NULL. */
bool cuda_well(const CudaApi *api, CuResult result, const char *call,
               const char *object, Status *s);

#endif
