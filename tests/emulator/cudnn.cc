/* cudnn.cc: a library that looks like cuDNN, over the emulator's driver, so
 * that convolutions of the plan's run without a GPU: $TGC_CUDNN names the file
 * that is the emulator, too.
 *
 * It is stricter than the real one: an attribute of the wrong descriptor, type
 * or number of elements, a descriptor that is not finalized, tensors that do
 * not fit together, memory that is not the device's, or that nobody wrote, are
 * all refused.  Of the engines that it proposes most must not be taken, each for
 * a reason of its own; what is computed with one of them fails.
 *
 * The environment says how it fails:
 *
 *     TGC_EMU_CUDNN_VERSION=91900
 *     TGC_EMU_CUDNN_FAIL=CALL       this call fails
 *     TGC_EMU_CUDNN_ENGINES=bad     no engine that may be taken
 *     TGC_EMU_CUDNN_LOG=FILE        convolutions put into streams, at the end
 */
#include "cudnn_api.h"
#include "emulator.h"
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

extern "C" {
#define DECLARE(name, arguments) CudnnStatus name arguments;
CUDNN_FUNCTIONS(DECLARE)
#undef DECLARE
size_t cudnnGetVersion(void);
const char *cudnnGetErrorString(CudnnStatus status);
void cudnnGetLastErrorString(char *text, size_t size);
}

enum : CudnnStatus {
    OK = 0,
    BAD_PARAM = 2000,
    NOT_SUPPORTED = 3000,
    EXECUTION_FAILED = 5000
};

/* ---- descriptors ----------------------------------------------------------
 */

struct Desc {
    int kind;
    bool final;
    std::map<int, std::vector<int64_t>> numbers;
    std::map<int, std::vector<double>> factors;
    std::map<int, std::vector<Desc *>> descs;
    std::map<int, std::vector<void *>> pointers;
    int engine; /* of an engine, its configuration and its plan */
    Desc *graph;
};

struct CudnnHandleRec {
    CuStream stream;
    long executed;
};

struct Rule {
    int kind, attr, type, least, most;
    int of; /* descriptors: their kind */
};

enum { DIMS = 8 };
static const Rule rules[] = {
    {CUDNN_DEVICEPROP, CUDNN_DEVICE_HANDLE, CUDNN_TYPE_HANDLE, 1, 1, 0},
    {CUDNN_TENSOR, CUDNN_TENSOR_ID, CUDNN_TYPE_INT64, 1, 1, 0},
    {CUDNN_TENSOR, CUDNN_TENSOR_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1, 0},
    {CUDNN_TENSOR, CUDNN_TENSOR_DTYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, 0},
    {CUDNN_TENSOR, CUDNN_TENSOR_DIMS, CUDNN_TYPE_INT64, 4, 5, 0},
    {CUDNN_TENSOR, CUDNN_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, 5, 0},
    {CUDNN_CONVOLUTION, CUDNN_CONV_PRECISION, CUDNN_TYPE_DATA_TYPE, 1, 1, 0},
    {CUDNN_CONVOLUTION, CUDNN_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, 1, 0},
    {CUDNN_CONVOLUTION, CUDNN_CONV_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1, 0},
    {CUDNN_CONVOLUTION, CUDNN_CONV_DILATIONS, CUDNN_TYPE_INT64, 2, 3, 0},
    {CUDNN_CONVOLUTION, CUDNN_CONV_STRIDES, CUDNN_TYPE_INT64, 2, 3, 0},
    {CUDNN_CONVOLUTION, CUDNN_CONV_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, 3, 0},
    {CUDNN_CONVOLUTION, CUDNN_CONV_POST_PADDINGS, CUDNN_TYPE_INT64, 2, 3, 0},
#define OPERATION(kind, base)                                                  \
    {kind, base, -1, 1, 1, 0}, {kind, base + 1, -1, 1, 1, 0},                  \
        {kind, base + 2, CUDNN_TYPE_DESC, 1, 1, CUDNN_CONVOLUTION},            \
        {kind, base + 3, CUDNN_TYPE_DESC, 1, 1, CUDNN_TENSOR},                 \
        {kind, base + 4, CUDNN_TYPE_DESC, 1, 1, CUDNN_TENSOR},                 \
        {kind, base + 5, CUDNN_TYPE_DESC, 1, 1, CUDNN_TENSOR}
    OPERATION(CUDNN_CONV_FORWARD, CUDNN_FORWARD_ALPHA),
    OPERATION(CUDNN_CONV_BACKWARD_DATA, CUDNN_DATA_ALPHA),
    OPERATION(CUDNN_CONV_BACKWARD_FILTER, CUDNN_FILTER_ALPHA),
    {CUDNN_OPERATIONGRAPH, CUDNN_GRAPH_OPS, CUDNN_TYPE_DESC, 1, 1, -1},
    {CUDNN_ENGINEHEUR, CUDNN_HEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1, 0},
    {CUDNN_ENGINEHEUR, CUDNN_HEUR_GRAPH, CUDNN_TYPE_DESC, 1, 1,
     CUDNN_OPERATIONGRAPH},
    {CUDNN_ENGINEHEUR, CUDNN_HEUR_DEVICEPROP, CUDNN_TYPE_DESC, 1, 1,
     CUDNN_DEVICEPROP},
    {CUDNN_EXECUTION_PLAN, CUDNN_PLAN_CFG, CUDNN_TYPE_DESC, 1, 1,
     CUDNN_ENGINECFG},
    {CUDNN_EXECUTION_PLAN, CUDNN_PLAN_DEVICEPROP, CUDNN_TYPE_DESC, 1, 1,
     CUDNN_DEVICEPROP},
    {CUDNN_VARIANT_PACK, CUDNN_PACK_IDS, CUDNN_TYPE_INT64, 1, DIMS, 0},
    {CUDNN_VARIANT_PACK, CUDNN_PACK_POINTERS, CUDNN_TYPE_VOID_PTR, 1, DIMS, 0},
    {CUDNN_VARIANT_PACK, CUDNN_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1, 0},
};

static std::string last_error;

static const char *setting(const char *name)
{
    const char *text = getenv(name);
    return text ? text : "";
}

static CudnnStatus refuse(CudnnStatus status, const std::string &why)
{
    last_error = why;
    return status;
}

static bool fails(const char *call)
{
    return !strcmp(setting("TGC_EMU_CUDNN_FAIL"), call);
}

static const Rule *rule_of(int kind, int attr)
{
    for (const Rule &r : rules)
        if (r.kind == kind && r.attr == attr)
            return &r;
    return nullptr;
}

static bool has(const Desc *d, int attr)
{
    return d->numbers.count(attr) || d->factors.count(attr) ||
           d->descs.count(attr) || d->pointers.count(attr);
}

/* ---- the library ---------------------------------------------------------- */

size_t cudnnGetVersion(void)
{
    const char *text = setting("TGC_EMU_CUDNN_VERSION");
    return *text ? (size_t)atol(text) : 91900;
}

const char *cudnnGetErrorString(CudnnStatus status)
{
    return status == NOT_SUPPORTED      ? "CUDNN_STATUS_NOT_SUPPORTED"
           : status == EXECUTION_FAILED ? "CUDNN_STATUS_EXECUTION_FAILED"
                                        : "CUDNN_STATUS_BAD_PARAM";
}

void cudnnGetLastErrorString(char *text, size_t size)
{
    snprintf(text, size, "%s", last_error.c_str());
}

CudnnStatus cudnnCreate(CudnnHandle *handle)
{
    if (fails("cudnnCreate"))
        return refuse(EXECUTION_FAILED, "the test says so");
    *handle = new CudnnHandleRec();
    return OK;
}

CudnnStatus cudnnDestroy(CudnnHandle handle)
{
    const char *path = setting("TGC_EMU_CUDNN_LOG");
    FILE *file = *path ? fopen(path, "w") : nullptr;
    if (file) {
        fprintf(file, "executed %ld\n", handle->executed);
        fclose(file);
    }
    delete handle;
    return OK;
}

CudnnStatus cudnnSetStream(CudnnHandle handle, CuStream stream)
{
    handle->stream = stream;
    return stream ? OK : refuse(BAD_PARAM, "the stream is NULL");
}

CudnnStatus cudnnBackendCreateDescriptor(int kind, CudnnDesc *desc)
{
    Desc *d = new Desc();
    d->kind = kind;
    *desc = d;
    return OK;
}

CudnnStatus cudnnBackendDestroyDescriptor(CudnnDesc desc)
{
    delete (Desc *)desc;
    return OK;
}

static CudnnStatus set_descs(Desc *d, const Rule &r, int64_t n,
                             const void *values)
{
    for (int64_t i = 0; i < n; i++) {
        Desc *v = ((Desc *const *)values)[i];
        if (!v || !v->final)
            return refuse(BAD_PARAM, "the descriptor is not finalized");
        bool operation = v->kind >= CUDNN_CONV_FORWARD &&
                         v->kind <= CUDNN_CONV_BACKWARD_DATA;
        if (r.of < 0 ? !operation : v->kind != r.of)
            return refuse(BAD_PARAM, "a descriptor of another kind");
        d->descs[r.attr].push_back(v);
    }
    return OK;
}

static CudnnStatus set_values(Desc *d, int attr, int type, int64_t n,
                              const void *values)
{
    for (int64_t i = 0; i < n; i++)
        switch (type) {
        case CUDNN_TYPE_INT64:
            d->numbers[attr].push_back(((const int64_t *)values)[i]);
            break;
        case CUDNN_TYPE_FLOAT:
            d->factors[attr].push_back(((const float *)values)[i]);
            break;
        case CUDNN_TYPE_DOUBLE:
            d->factors[attr].push_back(((const double *)values)[i]);
            break;
        case CUDNN_TYPE_HANDLE:
        case CUDNN_TYPE_VOID_PTR:
            d->pointers[attr].push_back(((void *const *)values)[i]);
            break;
        default:
            d->numbers[attr].push_back(((const int *)values)[i]);
        }
    return OK;
}

CudnnStatus cudnnBackendSetAttribute(CudnnDesc desc, int attr, int type,
                                     int64_t n, const void *values)
{
    Desc *d = (Desc *)desc;
    const Rule *r = rule_of(d->kind, attr);
    if (!r || d->final || has(d, attr))
        return refuse(BAD_PARAM, "this descriptor takes no such attribute");
    bool factor = type == CUDNN_TYPE_FLOAT || type == CUDNN_TYPE_DOUBLE;
    if (r->type < 0 ? !factor : type != r->type)
        return refuse(BAD_PARAM, "the attribute is of another type");
    if (n < r->least || n > r->most)
        return refuse(BAD_PARAM, "the attribute has other numbers of elements");
    return type == CUDNN_TYPE_DESC ? set_descs(d, *r, n, values)
                                   : set_values(d, attr, type, n, values);
}

/* ---- what fits together ---------------------------------------------------
 */

static int base_of(const Desc *op)
{
    return op->kind == CUDNN_CONV_FORWARD         ? CUDNN_FORWARD_ALPHA
           : op->kind == CUDNN_CONV_BACKWARD_DATA ? CUDNN_DATA_ALPHA
                                                  : CUDNN_FILTER_ALPHA;
}

static const std::vector<int64_t> &dims(const Desc *tensor)
{
    return tensor->numbers.at(CUDNN_TENSOR_DIMS);
}

static int64_t number(const Desc *d, int attr)
{
    return d->numbers.at(attr)[0];
}

static bool tensor_fits(const Desc *d)
{
    const auto &stride = d->numbers.at(CUDNN_TENSOR_STRIDES);
    if (dims(d).size() != stride.size())
        return false;
    for (size_t i = 0; i < stride.size(); i++)
        if (dims(d)[i] < 1 || stride[i] < 1)
            return false;
    int64_t type = number(d, CUDNN_TENSOR_DTYPE);
    return type == CUDNN_FLOAT || type == CUDNN_DOUBLE || type == CUDNN_HALF ||
           type == CUDNN_BFLOAT16;
}

static bool convolution_fits(const Desc *d)
{
    size_t n = (size_t)number(d, CUDNN_CONV_SPATIAL_DIMS);
    for (int attr : {CUDNN_CONV_DILATIONS, CUDNN_CONV_STRIDES,
                     CUDNN_CONV_PRE_PADDINGS, CUDNN_CONV_POST_PADDINGS})
        if (d->numbers.at(attr).size() != n)
            return false;
    return number(d, CUDNN_CONV_MODE) == CUDNN_CROSS_CORRELATION &&
           d->numbers.at(CUDNN_CONV_PRE_PADDINGS) ==
               d->numbers.at(CUDNN_CONV_POST_PADDINGS);
}

static bool operation_fits(const Desc *d)
{
    int base = base_of(d);
    const Desc *conv = d->descs.at(base + 2)[0], *w = d->descs.at(base + 3)[0];
    const Desc *x = d->descs.at(base + 4)[0], *y = d->descs.at(base + 5)[0];
    size_t rank = dims(x).size();
    if (d->factors.at(base)[0] != 1 || d->factors.at(base + 1)[0] != 0)
        return false;
    if (dims(w).size() != rank || dims(y).size() != rank ||
        (size_t)number(conv, CUDNN_CONV_SPATIAL_DIMS) + 2 != rank)
        return false;
    if (dims(x)[0] != dims(y)[0] || dims(w)[0] != dims(y)[1] ||
        dims(x)[1] % dims(w)[1] ||
        dims(w)[0] % (dims(x)[1] / dims(w)[1]))
        return false;
    for (size_t i = 2; i < rank; i++) {
        int64_t pad = conv->numbers.at(CUDNN_CONV_PRE_PADDINGS)[i - 2];
        int64_t reach = conv->numbers.at(CUDNN_CONV_DILATIONS)[i - 2] *
                            (dims(w)[i] - 1) +
                        1;
        int64_t stride = conv->numbers.at(CUDNN_CONV_STRIDES)[i - 2];
        if ((dims(x)[i] + 2 * pad - reach) / stride + 1 != dims(y)[i])
            return false;
    }
    int64_t type = number(x, CUDNN_TENSOR_DTYPE);
    bool wide = type == CUDNN_DOUBLE;
    return number(w, CUDNN_TENSOR_DTYPE) == type &&
           number(y, CUDNN_TENSOR_DTYPE) == type &&
           number(conv, CUDNN_CONV_PRECISION) ==
               (wide ? CUDNN_DOUBLE : CUDNN_FLOAT);
}

static bool pack_fits(const Desc *d)
{
    return d->numbers.at(CUDNN_PACK_IDS).size() ==
           d->pointers.at(CUDNN_PACK_POINTERS).size();
}

/* ---- engines --------------------------------------------------------------
 */

struct Engine {
    int note;   /* -1: none */
    bool large; /* works in more memory than there can be */
    bool makes; /* a plan of it can be finalized */
};

enum { GOOD = 9 };
static const Engine engines[] = {
    {CUDNN_NOTE_NONDETERMINISTIC, false, true},
    {CUDNN_NOTE_DOWN_CONVERT, false, true},
    {CUDNN_NOTE_REDUCED_SUMS, false, true},
    {CUDNN_NOTE_FFT, false, true},
    {CUDNN_NOTE_WINOGRAD_6X6, false, true},
    {CUDNN_NOTE_WINOGRAD_13X13, false, true},
    {CUDNN_NOTE_TENSOR_CORE, false, true}, /* proposed in float32 */
    {-1, true, true},
    {-1, false, false},
    {-1, false, true}, /* GOOD */
};

static const Desc *operation_of(const Desc *graph)
{
    return graph->descs.at(CUDNN_GRAPH_OPS)[0];
}

static size_t type_size(int64_t type)
{
    return type == CUDNN_DOUBLE ? 8 : type == CUDNN_FLOAT ? 4 : 2;
}

/* Bytes from its first element to its last. */
static size_t tensor_bytes(const Desc *t)
{
    int64_t last = 0;
    for (size_t i = 0; i < dims(t).size(); i++)
        last += (dims(t)[i] - 1) * t->numbers.at(CUDNN_TENSOR_STRIDES)[i];
    return (size_t)(last + 1) * type_size(number(t, CUDNN_TENSOR_DTYPE));
}

/* As much as copies of all that is read and written would take. */
static int64_t workspace_of(const Desc *d)
{
    const Desc *op = operation_of(d->graph);
    int64_t bytes = engines[d->engine].large ? INT64_C(1) << 40 : 0;
    for (int i = 3; i < 6; i++)
        bytes += (int64_t)tensor_bytes(op->descs.at(base_of(op) + i)[0]);
    return bytes;
}

static bool is_proposed(const Desc *heuristic, int engine)
{
    bool fallback = number(heuristic, CUDNN_HEUR_MODE) == CUDNN_HEUR_FALLBACK;
    const Desc *op =
        operation_of(heuristic->descs.at(CUDNN_HEUR_GRAPH)[0]);
    /* Weights' gradients have one in the list of last resort alone. */
    bool late = op->kind == CUDNN_CONV_BACKWARD_FILTER;
    int64_t type = number(op->descs.at(base_of(op) + 4)[0], CUDNN_TENSOR_DTYPE);
    if (engines[engine].note == CUDNN_NOTE_TENSOR_CORE && type != CUDNN_FLOAT)
        return false;
    if (engine != GOOD)
        return !fallback;
    return fallback == late && strcmp(setting("TGC_EMU_CUDNN_ENGINES"), "bad");
}

static CudnnStatus heuristic_results(const Desc *d, int64_t most, int64_t *n,
                                     void *values)
{
    *n = 0;
    for (int i = 0; i <= GOOD && *n < most; i++) {
        if (!is_proposed(d, i))
            continue;
        Desc *config = ((Desc **)values)[(*n)++];
        if (config->kind != CUDNN_ENGINECFG)
            return refuse(BAD_PARAM, "results are configurations");
        config->final = true;
        config->engine = i;
        config->graph = d->descs.at(CUDNN_HEUR_GRAPH)[0];
    }
    return OK;
}

CudnnStatus cudnnBackendFinalize(CudnnDesc desc)
{
    Desc *d = (Desc *)desc;
    if (fails("cudnnBackendFinalize"))
        return refuse(BAD_PARAM, "the test says so");
    for (const Rule &r : rules)
        if (r.kind == d->kind && !has(d, r.attr))
            return refuse(BAD_PARAM, "attribute " + std::to_string(r.attr) +
                                         " is missing");
    bool fits = d->kind == CUDNN_TENSOR          ? tensor_fits(d)
                : d->kind == CUDNN_CONVOLUTION   ? convolution_fits(d)
                : d->kind == CUDNN_VARIANT_PACK  ? pack_fits(d)
                : d->kind >= CUDNN_CONV_FORWARD &&
                        d->kind <= CUDNN_CONV_BACKWARD_DATA
                    ? operation_fits(d)
                    : true;
    if (!fits)
        return refuse(BAD_PARAM, "attributes do not fit together");
    if (d->kind == CUDNN_EXECUTION_PLAN) {
        const Desc *config = d->descs.at(CUDNN_PLAN_CFG)[0];
        d->engine = config->engine;
        d->graph = config->graph;
        if (!engines[d->engine].makes)
            return refuse(NOT_SUPPORTED, "there is no compiler for it here");
    }
    d->final = true;
    return OK;
}

CudnnStatus cudnnBackendGetAttribute(CudnnDesc desc, int attr, int type,
                                     int64_t most, int64_t *n, void *values)
{
    Desc *d = (Desc *)desc;
    if (!d->final || most < 1)
        return refuse(BAD_PARAM, "the descriptor is not finalized");
    *n = 1;
    if (attr == CUDNN_HEUR_RESULTS && type == CUDNN_TYPE_DESC)
        return heuristic_results(d, most, n, values);
    if (attr == CUDNN_CFG_ENGINE && type == CUDNN_TYPE_DESC) {
        Desc *engine = *(Desc **)values;
        engine->final = true;
        engine->engine = d->engine;
        return engine->kind == CUDNN_ENGINE ? OK : BAD_PARAM;
    }
    if (attr == CUDNN_ENGINE_INDEX && type == CUDNN_TYPE_INT64) {
        *(int64_t *)values = d->engine;
        return OK;
    }
    if (attr == CUDNN_ENGINE_NOTES && type == CUDNN_TYPE_NUMERICAL_NOTE) {
        *n = engines[d->engine].note >= 0;
        *(int *)values = engines[d->engine].note;
        return OK;
    }
    if ((attr == CUDNN_CFG_WORKSPACE || attr == CUDNN_PLAN_WORKSPACE) &&
        type == CUDNN_TYPE_INT64) {
        *(int64_t *)values = workspace_of(d);
        return OK;
    }
    return refuse(BAD_PARAM, "there is no such attribute");
}

/* ---- computing ------------------------------------------------------------
 */

struct Tensor {
    char *at;
    size_t bytes;
    int64_t type, dim[5], stride[5]; /* [N,C,D,H,W] */
};

struct Work {
    int kind;
    Tensor x, w, y;
    int64_t stride[3], dilation[3], pad[3];
    char *workspace;
    size_t workspace_bytes;
    std::string why;
};

static Tensor tensor_of(const Desc *t, void *at)
{
    Tensor r = {(char *)at, tensor_bytes(t), number(t, CUDNN_TENSOR_DTYPE),
                {1, 1, 1, 1, 1}, {}};
    size_t rank = dims(t).size(), missing = 5 - rank;
    for (size_t i = 0; i < rank; i++) {
        size_t to = i < 2 ? i : i + missing;
        r.dim[to] = dims(t)[i];
        r.stride[to] = t->numbers.at(CUDNN_TENSOR_STRIDES)[i];
    }
    return r;
}

static char *place(const Tensor &t, int64_t a, int64_t b, const int64_t *at)
{
    int64_t i = a * t.stride[0] + b * t.stride[1];
    for (int d = 0; d < 3; d++)
        i += at[d] * t.stride[2 + d];
    return t.at + i * (int64_t)type_size(t.type);
}

static double load(const Tensor &t, const char *p)
{
    if (t.type == CUDNN_DOUBLE)
        return *(const double *)p;
    if (t.type == CUDNN_FLOAT)
        return *(const float *)p;
    uint16_t bits = *(const uint16_t *)p;
    if (t.type == CUDNN_BFLOAT16) {
        uint32_t wide = (uint32_t)bits << 16;
        float f;
        memcpy(&f, &wide, sizeof f);
        return f;
    }
    _Float16 half;
    memcpy(&half, &bits, sizeof half);
    return (double)half;
}

static void store(const Tensor &t, char *p, double sum)
{
    float f = (float)sum; /* as a GPU adds up */
    if (t.type == CUDNN_DOUBLE) {
        *(double *)p = sum;
    } else if (t.type == CUDNN_FLOAT) {
        *(float *)p = f;
    } else if (t.type == CUDNN_BFLOAT16) {
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        bits += 0x7fff + (bits >> 16 & 1);
        *(uint16_t *)p = (uint16_t)(bits >> 16);
    } else {
        _Float16 half = (_Float16)f;
        memcpy(p, &half, sizeof half);
    }
}

/* Every product of the convolution, once: y[n,o,q] x[n,c,p] w[o,c,k]. */
template <class F> static void each_product(const Work &k, int64_t n, F use)
{
    int64_t groups = k.x.dim[1] / k.w.dim[1], out = k.w.dim[0] / groups;
    const int64_t *yd = &k.y.dim[2], *wd = &k.w.dim[2], *xd = &k.x.dim[2];
    int64_t places = yd[0] * yd[1] * yd[2], taps = wd[0] * wd[1] * wd[2];
    for (int64_t i = 0; i < places * taps; i++) {
        int64_t q = i / taps, t = i % taps, p[3], at[3];
        int64_t qs[] = {q / (yd[1] * yd[2]), q / yd[2] % yd[1], q % yd[2]};
        int64_t ts[] = {t / (wd[1] * wd[2]), t / wd[2] % wd[1], t % wd[2]};
        bool inside = true;
        for (int d = 0; d < 3; d++) {
            p[d] = qs[d] * k.stride[d] + ts[d] * k.dilation[d] - k.pad[d];
            at[d] = ts[d];
            inside = inside && p[d] >= 0 && p[d] < xd[d];
        }
        if (!inside)
            continue;
        for (int64_t o = 0; o < k.w.dim[0]; o++)
            for (int64_t c = 0; c < k.w.dim[1]; c++)
                use(place(k.y, n, o, qs),
                    place(k.x, n, o / out * k.w.dim[1] + c, p),
                    place(k.w, o, c, at));
    }
}

static void compute(const Work &k)
{
    const Tensor &to = k.kind == CUDNN_CONV_FORWARD         ? k.y
                       : k.kind == CUDNN_CONV_BACKWARD_DATA ? k.x
                                                            : k.w;
    size_t size = type_size(to.type);
    std::vector<double> sum(to.bytes / size);
    for (int64_t n = 0; n < k.x.dim[0]; n++)
        each_product(k, n, [&](char *y, char *x, char *w) {
            char *result = &to == &k.y ? y : &to == &k.x ? x : w;
            double a = &to == &k.x ? load(k.y, y) : load(k.x, x);
            double b = &to == &k.w ? load(k.y, y) : load(k.w, w);
            sum[(size_t)(result - to.at) / size] += a * b;
        });
    for (size_t i = 0; i < sum.size(); i++)
        store(to, to.at + i * size, sum[i]);
}

static bool overlap(const char *a, size_t n, const char *b, size_t m)
{
    return a < b + m && b < a + n;
}

static const char *run(void *data)
{
    Work &k = *(Work *)data;
    const Tensor *all[] = {&k.x, &k.w, &k.y};
    int to = k.kind == CUDNN_CONV_FORWARD         ? 2
             : k.kind == CUDNN_CONV_BACKWARD_DATA ? 0
                                                  : 1;
    k.why = "";
    if (!emu_is_device(k.workspace, k.workspace_bytes))
        k.why = "cuDNN: the workspace is not the device's memory";
    for (int i = 0; i < 3; i++) {
        const Tensor &t = *all[i];
        if (!emu_is_device(t.at, t.bytes) || (uintptr_t)t.at % 16)
            k.why = "cuDNN: a tensor is not in the device's memory";
        else if (i != to && !emu_is_defined(t.at, t.bytes))
            k.why = "cuDNN: an operand that nobody wrote";
        if (overlap(t.at, t.bytes, k.workspace, k.workspace_bytes) ||
            (i != to && overlap(t.at, t.bytes, all[to]->at, all[to]->bytes)))
            k.why = "cuDNN: memory is used for two things";
    }
    if (!k.why.empty())
        return k.why.c_str();
    emu_undefine(k.workspace, k.workspace_bytes);
    compute(k);
    emu_define(all[to]->at, all[to]->bytes);
    return nullptr;
}

static void *pointer_of(const Desc *pack, const Desc *tensor)
{
    const auto &ids = pack->numbers.at(CUDNN_PACK_IDS);
    for (size_t i = 0; i < ids.size(); i++)
        if (ids[i] == number(tensor, CUDNN_TENSOR_ID))
            return pack->pointers.at(CUDNN_PACK_POINTERS)[i];
    return nullptr;
}

static void copy_steps(int64_t *to, const Desc *conv, int attr, int64_t without)
{
    const auto &v = conv->numbers.at(attr);
    for (int i = 0; i < 3; i++)
        to[i] = without;
    for (size_t i = 0; i < v.size(); i++)
        to[3 - v.size() + i] = v[i];
}

/* What the stream is to do; a graph may do it again and again, so it stays. */
static Work *work_of(const Desc *plan, const Desc *pack)
{
    static std::vector<std::unique_ptr<Work>> works;
    const Desc *op = operation_of(plan->graph);
    int base = base_of(op);
    const Desc *conv = op->descs.at(base + 2)[0];
    const Desc *tensor[3];
    for (int i = 0; i < 3; i++)
        tensor[i] = op->descs.at(base + 3 + i)[0];
    Work *k = new Work();
    works.emplace_back(k);
    k->kind = op->kind;
    k->w = tensor_of(tensor[0], pointer_of(pack, tensor[0]));
    k->x = tensor_of(tensor[1], pointer_of(pack, tensor[1]));
    k->y = tensor_of(tensor[2], pointer_of(pack, tensor[2]));
    copy_steps(k->stride, conv, CUDNN_CONV_STRIDES, 1);
    copy_steps(k->dilation, conv, CUDNN_CONV_DILATIONS, 1);
    copy_steps(k->pad, conv, CUDNN_CONV_PRE_PADDINGS, 0);
    k->workspace = (char *)pack->pointers.at(CUDNN_PACK_WORKSPACE)[0];
    k->workspace_bytes = (size_t)workspace_of(plan);
    return k;
}

CudnnStatus cudnnBackendExecute(CudnnHandle handle, CudnnDesc plan,
                                CudnnDesc pack)
{
    const Desc *p = (const Desc *)plan, *v = (const Desc *)pack;
    if (fails("cudnnBackendExecute"))
        return refuse(EXECUTION_FAILED, "the test says so");
    if (p->kind != CUDNN_EXECUTION_PLAN || !p->final ||
        v->kind != CUDNN_VARIANT_PACK || !v->final)
        return refuse(BAD_PARAM, "a plan and a variant pack are needed");
    if (p->engine != GOOD)
        return refuse(EXECUTION_FAILED, "an engine that must not be taken");
    handle->executed++;
    return emu_enqueue(handle->stream, run, work_of(p, v))
               ? refuse(EXECUTION_FAILED, "the device is broken")
               : OK;
}
