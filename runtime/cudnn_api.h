/* cudnn_api.h: NVIDIA's cuDNN, opened when the program runs.
 *
 * Nothing of cuDNN is needed to build: what is used of its graph API is
 * declared here, as NVIDIA's "cuDNN Backend API" documents it, and looked up in
 * libcudnn.so.9. A machine without it gets one sentence, and a program without
 * such convolutions never asks.
 *
 * The graph API is descriptors, made, filled with attributes and finalized:
 * tensors and operations make an operation graph, a heuristic gives engine
 * configurations for it, one of them makes an execution plan.
 */
#ifndef TGC_CUDNN_API_H
#define TGC_CUDNN_API_H

#include "cuda_api.h"

typedef int CudnnStatus;
typedef struct CudnnHandleRec *CudnnHandle;
typedef void *CudnnDesc;

/* cudnnBackendDescriptorType_t */
typedef enum CudnnKind {
    CUDNN_POINTWISE = 0,
    CUDNN_CONVOLUTION = 1,
    CUDNN_ENGINE = 2,
    CUDNN_ENGINECFG = 3,
    CUDNN_ENGINEHEUR = 4,
    CUDNN_EXECUTION_PLAN = 5,
    CUDNN_CONV_FORWARD = 10,
    CUDNN_CONV_BACKWARD_FILTER = 11,
    CUDNN_CONV_BACKWARD_DATA = 12,
    CUDNN_OPERATION_POINTWISE = 13,
    CUDNN_OPERATIONGRAPH = 15,
    CUDNN_VARIANT_PACK = 16,
    CUDNN_TENSOR = 17,
    CUDNN_DEVICEPROP = 38
} CudnnKind;

/* cudnnBackendAttributeType_t: what a value is */
typedef enum CudnnType {
    CUDNN_TYPE_HANDLE = 0,
    CUDNN_TYPE_DATA_TYPE = 1,
    CUDNN_TYPE_BOOLEAN = 2,
    CUDNN_TYPE_INT64 = 3,
    CUDNN_TYPE_FLOAT = 4,
    CUDNN_TYPE_DOUBLE = 5,
    CUDNN_TYPE_VOID_PTR = 6,
    CUDNN_TYPE_CONVOLUTION_MODE = 7,
    CUDNN_TYPE_HEUR_MODE = 8,
    CUDNN_TYPE_NUMERICAL_NOTE = 11,
    CUDNN_TYPE_POINTWISE_MODE = 14,
    CUDNN_TYPE_DESC = 15,
    CUDNN_TYPE_CHAR = 24
} CudnnType;

/* cudnnBackendAttributeName_t */
typedef enum CudnnAttr {
    CUDNN_POINTWISE_MODE = 0,
    CUDNN_POINTWISE_PRECISION = 1,
    CUDNN_CONV_PRECISION = 100,
    CUDNN_CONV_MODE = 101,
    CUDNN_CONV_DILATIONS = 102,
    CUDNN_CONV_STRIDES = 103,
    CUDNN_CONV_POST_PADDINGS = 104,
    CUDNN_CONV_PRE_PADDINGS = 105,
    CUDNN_CONV_SPATIAL_DIMS = 106,
    CUDNN_HEUR_MODE = 200,
    CUDNN_HEUR_GRAPH = 201,
    CUDNN_HEUR_RESULTS = 202,
    CUDNN_HEUR_DEVICEPROP = 204,
    CUDNN_CFG_ENGINE = 300,
    CUDNN_CFG_WORKSPACE = 303,
    CUDNN_PLAN_CFG = 401,
    CUDNN_PLAN_WORKSPACE = 402,
    CUDNN_PLAN_DEVICEPROP = 407,
    /* of the forward convolution; each gradient has its own six */
    CUDNN_FORWARD_ALPHA = 700,
    CUDNN_FORWARD_BETA = 701,
    CUDNN_FORWARD_CONV = 702,
    CUDNN_FORWARD_W = 703,
    CUDNN_FORWARD_X = 704,
    CUDNN_FORWARD_Y = 705,
    CUDNN_DATA_ALPHA = 706,
    CUDNN_DATA_BETA = 707,
    CUDNN_DATA_CONV = 708,
    CUDNN_DATA_W = 709,
    CUDNN_DATA_X = 710,
    CUDNN_DATA_Y = 711,
    CUDNN_FILTER_ALPHA = 712,
    CUDNN_FILTER_BETA = 713,
    CUDNN_FILTER_CONV = 714,
    CUDNN_FILTER_W = 715,
    CUDNN_FILTER_X = 716,
    CUDNN_FILTER_Y = 717,
    CUDNN_OP_POINTWISE_DESC = 750,
    CUDNN_OP_POINTWISE_X = 751,
    CUDNN_OP_POINTWISE_Y = 753,
    CUDNN_GRAPH_OPS = 801,
    CUDNN_TENSOR_ALIGNMENT = 900,
    CUDNN_TENSOR_DTYPE = 901,
    CUDNN_TENSOR_DIMS = 902,
    CUDNN_TENSOR_STRIDES = 903,
    CUDNN_TENSOR_ID = 906,
    CUDNN_TENSOR_VIRTUAL = 907,
    CUDNN_PACK_IDS = 1000,
    CUDNN_PACK_POINTERS = 1001,
    CUDNN_PACK_WORKSPACE = 1003,
    CUDNN_ENGINE_INDEX = 1301,
    CUDNN_ENGINE_NOTES = 1303,
    CUDNN_DEVICE_HANDLE = 2701,
    CUDNN_DEVICE_JSON = 2702
} CudnnAttr;

/* Values of enumerations. */
enum {
    CUDNN_FLOAT = 0,
    CUDNN_DOUBLE = 1,
    CUDNN_HALF = 2,
    CUDNN_BFLOAT16 = 9,
    CUDNN_CROSS_CORRELATION = 1,
    CUDNN_HEUR_FALLBACK = 2, /* engines that work, however fast */
    CUDNN_HEUR_A = 3,
    CUDNN_IDENTITY = 21
};

/* cudnnBackendNumericalNote_t: what an engine does to numbers */
enum {
    CUDNN_NOTE_TENSOR_CORE = 0, /* float32: rounded to TF32 */
    CUDNN_NOTE_DOWN_CONVERT = 1,
    CUDNN_NOTE_REDUCED_SUMS = 2,
    CUDNN_NOTE_FFT = 3,
    CUDNN_NOTE_NONDETERMINISTIC = 4,
    CUDNN_NOTE_WINOGRAD = 5,
    CUDNN_NOTE_WINOGRAD_4X4 = 6, /* F(2x2,3x3) */
    CUDNN_NOTE_WINOGRAD_6X6 = 7,
    CUDNN_NOTE_WINOGRAD_13X13 = 8,
    CUDNN_NOTES_MOST = 16
};

/* clang-format off */
#define CUDNN_FUNCTIONS(X) \
    X(cudnnCreate, (CudnnHandle *handle)) \
    X(cudnnDestroy, (CudnnHandle handle)) \
    X(cudnnSetStream, (CudnnHandle handle, CuStream stream)) \
    X(cudnnBackendCreateDescriptor, (int kind, CudnnDesc *desc)) \
    X(cudnnBackendDestroyDescriptor, (CudnnDesc desc)) \
    X(cudnnBackendFinalize, (CudnnDesc desc)) \
    X(cudnnBackendSetAttribute, (CudnnDesc desc, int attr, int type, int64_t n, const void *values)) \
    X(cudnnBackendGetAttribute, (CudnnDesc desc, int attr, int type, int64_t most, int64_t *n, void *values)) \
    X(cudnnBackendExecute, (CudnnHandle handle, CudnnDesc plan, CudnnDesc pack))
/* clang-format on */

typedef struct CudnnApi {
    void *library;
    size_t version; /* 91900 is 9.19.0 */
#define CUDNN_MEMBER(name, arguments) CudnnStatus(*name) arguments;
    CUDNN_FUNCTIONS(CUDNN_MEMBER)
#undef CUDNN_MEMBER
    size_t (*cudnnGetVersion)(void);
    const char *(*cudnnGetErrorString)(CudnnStatus status);
    void (*cudnnGetLastErrorString)(char *text, size_t size);
} CudnnApi;

/* Of $TGC_CUDNN, or else of the system. */
bool cudnn_api_open(CudnnApi *api, Status *s);
void cudnn_api_close(CudnnApi *api);

/* True where the call went well; else "cuDNN: cudnnBackendFinalize of a plan
 * (..): CUDNN_STATUS_NOT_SUPPORTED". */
bool cudnn_well(const CudnnApi *api, CudnnStatus status, const char *call,
                const char *object, Status *s);

#endif
