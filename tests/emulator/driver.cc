/* driver.cc: the functions of the CUDA driver that the runtime calls, over the
 * emulator, so that the very code that drives a GPU runs without one.
 *
 * Like a GPU, and unlike a simple stand-in, it does nothing at once: calls put
 * operations into their stream's queue, and which stream goes on, now or only
 * when somebody waits, is up to chance.  So a missing wait between two streams,
 * or a buffer of the host that is filled again too early, shows.  So do the
 * nodes of a graph: any that has what it waits for may be next.  And where two
 * use the same bytes, one to write, and neither waits for the other, the graph
 * is refused.
 *
 * The environment says what it is and how it fails:
 *
 *     TGC_EMU_SEED=N        another order of everything
 *     TGC_EMU_DEVICES=N     GPUs; 0 for none
 *     TGC_EMU_ARCH=90       their number
 *     TGC_EMU_MEMORY=BYTES  of each
 *     TGC_EMU_VERSION=13000 of the driver
 *     TGC_EMU_REFUSE=cubin  images that it does not load: cubin, ptx, all
 *     TGC_EMU_FAIL=CALL     this call runs out of memory
 *     TGC_EMU_LOST=N        from the Nth kernel on the device is lost
 *     TGC_EMU_CUT=N         the Nth node of each graph waits for none
 *     TGC_EMU_RACES=ignore  nodes of a graph may get into each other's way
 *     TGC_EMU_CALLS=FILE    how often each call came, written at the end
 */
#include "cuda_api.h"
#include "emulator.h"
#include "graph.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

extern "C" {
#define DECLARE(name, arguments) CuResult name arguments;
CUDA_FUNCTIONS(DECLARE)
#undef DECLARE
void tgc_emulator_spans(const CudaSpan *span, unsigned n);
}

enum : CuResult {
    OK = 0,
    INVALID_VALUE = 1,
    NOT_INITIALIZED = 3,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    CAPTURE_UNSUPPORTED = 900,
    UNKNOWN = 999
};

enum { SHARED_WITHOUT_ASKING = 48 << 10 };

/* ---- what there is --------------------------------------------------------
 */

struct CuStreamRec {
    std::vector<Op> queue;
    CuGraph capture; /* NULL: not capturing */
    Nodes next;      /* what is captured next waits for */
    Run run;         /* of the graph at the queue's front */
};

struct CuModuleRec {
    std::vector<CuFunction> functions;
};

struct Driver {
    bool started, current;
    std::vector<CuStream> streams;
    std::vector<EmuSpan> spans; /* of the next launch */
    size_t taken;
    uint64_t ticket, random;
    long launches;
    std::map<std::string, long> calls;
    CuResult broken; /* sticky, as on a GPU */
    std::string why;
};

static Driver driver;

static const char *setting(const char *name)
{
    const char *text = getenv(name);
    return text ? text : "";
}

static long number(const char *name, long otherwise)
{
    const char *text = setting(name);
    return *text ? atol(text) : otherwise;
}

static uint64_t chance(uint64_t below)
{
    uint64_t z = driver.random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    return (z ^ z >> 31) % below;
}

static double clock_seconds(void)
{
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

static CuResult break_down(CuResult result, const std::string &why)
{
    if (!driver.broken) {
        driver.broken = result;
        driver.why = why;
    }
    return driver.broken;
}

/* Every call that needs a context. */
static CuResult ready(const char *call)
{
    driver.calls[call]++;
    if (driver.broken)
        return driver.broken;
    if (!driver.started)
        return NOT_INITIALIZED;
    if (!driver.current)
        return INVALID_CONTEXT;
    return strcmp(setting("TGC_EMU_FAIL"), call) ? 0 : CU_OUT_OF_MEMORY;
}

/* ---- doing ----------------------------------------------------------------
 */

static void do_launch(const Op &op)
{
    long lost = number("TGC_EMU_LOST", 0);
    if (lost && ++driver.launches >= lost) {
        break_down(UNKNOWN, "the device has fallen off the bus");
        return;
    }
    std::vector<void *> address(op.args.size());
    for (size_t i = 0; i < op.args.size(); i++)
        address[i] = (void *)&op.args[i];
    EmuLaunch l = {op.function->name.c_str(),
                   {op.grid[0], op.grid[1], op.grid[2]},
                   {op.block[0], op.block[1], op.block[2]},
                   op.shared,
                   address.data(),
                   op.spans.data(),
                   (unsigned)op.spans.size()};
    if (emu_launch(&l))
        break_down(LAUNCH_FAILED, emu_error());
}

static void do_op(const Op &op)
{
    if (driver.broken)
        return;
    switch (op.kind) {
    case OP_COPY:
        memcpy(op.to, op.from, op.bytes);
        if (op.value == 1)
            emu_define(op.to, op.bytes);
        return;
    case OP_SET:
        memset(op.to, op.value, op.bytes);
        emu_undefine(op.to, op.bytes); /* so that what reads it is found */
        return;
    case OP_LAUNCH:
        return do_launch(op);
    case OP_RECORD:
        op.event->done = op.ticket;
        op.event->seconds = clock_seconds();
        return;
    case OP_HOST:
        if (const char *why = op.host(op.data))
            break_down(LAUNCH_FAILED, why);
        return;
    default:
        return;
    }
}

/* One node of the graph at its stream's front; false: that was the last. */
static bool do_node(CuStream s, CuGraphExec g)
{
    if (!s->run.left)
        run_begin(g, &s->run, chance);
    if (!s->run.left)
        return false;
    do_op(g->ops[run_next(g, &s->run, chance)]);
    return s->run.left != 0;
}

static bool can_go_on(const CuStreamRec *s)
{
    if (s->queue.empty())
        return false;
    const Op &op = s->queue.front();
    return op.kind != OP_WAIT || op.event->done >= op.ticket;
}

/* One operation of some stream that can go on; false: there is none. */
static bool progress(void)
{
    size_t n = driver.streams.size(), start = n ? chance(n) : 0;
    for (size_t i = 0; i < n; i++) {
        CuStream s = driver.streams[(start + i) % n];
        if (!can_go_on(s))
            continue;
        Op op = s->queue.front();
        if (op.kind == OP_GRAPH && do_node(s, op.graph))
            return true;
        s->queue.erase(s->queue.begin());
        do_op(op);
        return true;
    }
    return false;
}

static void some_progress(void)
{
    while (chance(3) == 0 && progress())
        ;
}

static CuResult add(CuStream stream, const Op &op)
{
    if (!stream)
        return INVALID_HANDLE;
    if (stream->capture) {
        stream->capture->ops.push_back(op);
        stream->capture->waits.push_back(stream->next);
        stream->next = {(CuGraphNode)(uintptr_t)stream->capture->ops.size()};
    } else
        stream->queue.push_back(op);
    some_progress();
    return driver.broken;
}

/* ---- the machine ----------------------------------------------------------
 */

CuResult cuInit(unsigned)
{
    driver.started = true;
    driver.random = (uint64_t)number("TGC_EMU_SEED", 1);
    emu_seed(driver.random);
    return number("TGC_EMU_DEVICES", 1) ? 0 : CU_NO_DEVICE;
}

CuResult cuDriverGetVersion(int *version)
{
    *version = (int)number("TGC_EMU_VERSION", 13000);
    return OK;
}

CuResult cuGetErrorName(CuResult error, const char **text)
{
    *text = error == CU_OUT_OF_MEMORY  ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == LAUNCH_FAILED   ? "CUDA_ERROR_LAUNCH_FAILED"
            : error == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : error == UNKNOWN         ? "CUDA_ERROR_UNKNOWN"
                                       : "CUDA_ERROR";
    return OK;
}

CuResult cuGetErrorString(CuResult error, const char **text)
{
    *text = error == driver.broken      ? driver.why.c_str()
            : error == CU_OUT_OF_MEMORY ? "out of memory"
                                        : "failed";
    return OK;
}

CuResult cuDeviceGetCount(int *count)
{
    *count = (int)number("TGC_EMU_DEVICES", 1);
    return OK;
}

CuResult cuDeviceGet(CuDevice *device, int n)
{
    *device = n;
    return n < number("TGC_EMU_DEVICES", 1) ? OK : INVALID_VALUE;
}

CuResult cuDeviceGetName(char *name, int size, CuDevice)
{
    snprintf(name, (size_t)size, "emulated GPU");
    return OK;
}

CuResult cuDeviceGetAttribute(int *value, int attribute, CuDevice)
{
    long arch = number("TGC_EMU_ARCH", 90);
    *value = attribute == CU_COMPUTE_MAJOR   ? (int)arch / 10
             : attribute == CU_COMPUTE_MINOR ? (int)arch % 10
             : attribute == CU_SHARED_MOST   ? (int)EMU_SHARED_MOST
                                             : 0;
    return OK;
}

CuResult cuDevicePrimaryCtxRetain(CuContext *context, CuDevice)
{
    *context = (CuContext)&driver;
    return driver.started ? OK : NOT_INITIALIZED;
}

CuResult cuDevicePrimaryCtxRelease_v2(CuDevice)
{
    const char *path = setting("TGC_EMU_CALLS");
    FILE *file = *path ? fopen(path, "w") : nullptr;
    for (const auto &call : driver.calls)
        if (file)
            fprintf(file, "%s %ld\n", call.first.c_str(), call.second);
    if (file)
        fclose(file);
    return OK;
}

CuResult cuCtxSetCurrent(CuContext context)
{
    driver.current = context != nullptr;
    return OK;
}

/* ---- memory ---------------------------------------------------------------
 */

static size_t memory_all(void)
{
    return (size_t)number("TGC_EMU_MEMORY", 1L << 34);
}

CuResult cuMemGetInfo_v2(size_t *left, size_t *total)
{
    *total = memory_all();
    *left = *total - driver.taken;
    return ready("cuMemGetInfo");
}

CuResult cuMemAlloc_v2(CuPtr *memory, size_t bytes)
{
    CuResult r = ready("cuMemAlloc");
    if (r)
        return r;
    void *p = bytes <= memory_all() - driver.taken ? emu_alloc(bytes) : nullptr;
    *memory = (CuPtr)(uintptr_t)p;
    driver.taken += p ? bytes : 0;
    return p ? 0 : CU_OUT_OF_MEMORY;
}

CuResult cuMemFree_v2(CuPtr memory)
{
    emu_free((void *)(uintptr_t)memory);
    return OK;
}

CuResult cuMemHostAlloc(void **memory, size_t bytes, unsigned)
{
    CuResult r = ready("cuMemHostAlloc");
    if (!r)
        *memory = malloc(bytes);
    return r;
}

CuResult cuMemFreeHost(void *memory)
{
    free(memory);
    return OK;
}

static CuResult add_copy(void *to, const void *from, size_t bytes, int value,
                         CuStream stream)
{
    CuResult r = ready("copy");
    if (r)
        return r;
    Op op = {};
    op.kind = OP_COPY;
    op.to = (char *)to;
    op.from = (const char *)from;
    op.bytes = bytes;
    op.value = value;
    return add(stream, op);
}

CuResult cuMemcpyHtoDAsync_v2(CuPtr to, const void *from, size_t bytes,
                              CuStream stream)
{
    return add_copy((void *)(uintptr_t)to, from, bytes, 1, stream);
}

CuResult cuMemcpyDtoHAsync_v2(void *to, CuPtr from, size_t bytes,
                              CuStream stream)
{
    return add_copy(to, (const void *)(uintptr_t)from, bytes, 2, stream);
}

CuResult cuMemsetD8Async(CuPtr memory, unsigned char value, size_t bytes,
                         CuStream stream)
{
    CuResult r = ready("cuMemsetD8Async");
    if (r)
        return r;
    Op op = {};
    op.kind = OP_SET;
    op.to = (char *)(uintptr_t)memory;
    op.bytes = bytes;
    op.value = value;
    return add(stream, op);
}

/* ---- kernels --------------------------------------------------------------
 */

/* A cubin is an ELF file; the rest is PTX. */
CuResult cuModuleLoadDataEx(CuModule *module, const void *image, unsigned,
                            int *, void **)
{
    CuResult r = ready("cuModuleLoadDataEx");
    const char *refuse = setting("TGC_EMU_REFUSE");
    bool cubin = !memcmp(image, "\177ELF", 4), all = !strcmp(refuse, "all");
    if (r)
        return r;
    if (cubin && (all || !strcmp(refuse, "cubin")))
        return CU_NO_BINARY_FOR_GPU;
    if (!cubin && (all || !strcmp(refuse, "ptx")))
        return CU_UNSUPPORTED_PTX_VERSION;
    *module = new CuModuleRec();
    return OK;
}

CuResult cuModuleUnload(CuModule module)
{
    for (CuFunction f : module->functions)
        delete f;
    delete module;
    return OK;
}

CuResult cuModuleGetFunction(CuFunction *function, CuModule module,
                             const char *name)
{
    CuResult r = ready("cuModuleGetFunction");
    if (r)
        return r;
    if (!emu_kernel_exists(name))
        return NOT_FOUND;
    *function = new CuFunctionRec{name, 0};
    module->functions.push_back(*function);
    return OK;
}

CuResult cuFuncSetAttribute(CuFunction function, int attribute, int value)
{
    if (attribute != CU_FUNCTION_DYNAMIC_SHARED || value > EMU_SHARED_MOST)
        return INVALID_VALUE;
    function->dynamic_shared = value;
    return ready("cuFuncSetAttribute");
}

void tgc_emulator_spans(const CudaSpan *span, unsigned n)
{
    driver.spans.clear();
    for (unsigned i = 0; i < n; i++)
        driver.spans.push_back({(char *)span[i].at, span[i].bytes,
                                span[i].written, span[i].fresh});
}

CuResult cuLaunchKernel(CuFunction function, unsigned grid_x, unsigned grid_y,
                        unsigned grid_z, unsigned block_x, unsigned block_y,
                        unsigned block_z, unsigned shared, CuStream stream,
                        void **args, void **)
{
    CuResult r = ready("cuLaunchKernel");
    if (r)
        return r;
    if (!grid_x || !grid_y || !grid_z || grid_y > 65535 || grid_z > 65535 ||
        block_x * block_y * block_z > EMU_THREADS_MOST ||
        (shared > SHARED_WITHOUT_ASKING &&
         (int)shared > function->dynamic_shared))
        return INVALID_VALUE;
    Op op = {};
    op.kind = OP_LAUNCH;
    op.function = function;
    unsigned grid[] = {grid_x, grid_y, grid_z};
    unsigned block[] = {block_x, block_y, block_z};
    memcpy(op.grid, grid, sizeof grid);
    memcpy(op.block, block, sizeof block);
    op.shared = shared;
    for (int i = 0; i < emu_kernel_args(function->name.c_str()); i++)
        op.args.push_back(*(void **)args[i]);
    op.spans.swap(driver.spans);
    return add(stream, op);
}

int emu_enqueue(void *stream, const char *(*run)(void *data), void *data)
{
    CuResult r = ready("emu_enqueue");
    if (r)
        return r;
    Op op = {};
    op.kind = OP_HOST;
    op.host = run;
    op.data = data;
    op.spans.swap(driver.spans);
    return add((CuStream)stream, op);
}

/* ---- streams, events, graphs ----------------------------------------------
 */

CuResult cuStreamCreate(CuStream *stream, unsigned)
{
    CuResult r = ready("cuStreamCreate");
    if (r)
        return r;
    *stream = new CuStreamRec();
    driver.streams.push_back(*stream);
    return OK;
}

CuResult cuStreamDestroy_v2(CuStream stream)
{
    for (size_t i = 0; i < driver.streams.size(); i++)
        if (driver.streams[i] == stream) {
            driver.streams.erase(driver.streams.begin() + (long)i);
            delete stream;
            return OK;
        }
    return INVALID_HANDLE;
}

CuResult cuStreamSynchronize(CuStream stream)
{
    CuResult r = ready("cuStreamSynchronize");
    while (!r && !stream->queue.empty())
        r = progress() ? driver.broken : (CuResult)UNKNOWN;
    return r;
}

CuResult cuStreamWaitEvent(CuStream stream, CuEvent event, unsigned)
{
    CuResult r = ready("cuStreamWaitEvent");
    if (r)
        return r;
    Op op = {};
    op.kind = OP_WAIT;
    op.event = event;
    op.ticket = event->asked;
    return add(stream, op);
}

CuResult cuStreamBeginCapture_v2(CuStream stream, int)
{
    CuResult r = ready("cuStreamBeginCapture");
    if (!r)
        stream->capture = new CuGraphRec();
    stream->next.clear();
    return r;
}

CuResult cuStreamGetCaptureInfo_v2(CuStream stream, int *status, uint64_t *,
                                   CuGraph *, const CuGraphNode **node,
                                   size_t *n)
{
    *status = stream->capture ? CU_CAPTURE_ACTIVE : 0;
    *node = stream->next.data();
    *n = stream->next.size();
    return ready("cuStreamGetCaptureInfo");
}

CuResult cuStreamUpdateCaptureDependencies(CuStream stream, CuGraphNode *node,
                                           size_t n, unsigned flags)
{
    CuResult r = ready("cuStreamUpdateCaptureDependencies");
    if (r)
        return r;
    if (!stream->capture || flags != CU_CAPTURE_SET_DEPENDENCIES)
        return INVALID_VALUE;
    for (size_t i = 0; i < n; i++)
        if (node_number(node[i]) >= stream->capture->ops.size())
            return INVALID_VALUE;
    stream->next.assign(node, node + n);
    return r;
}

CuResult cuStreamEndCapture(CuStream stream, CuGraph *graph)
{
    *graph = stream->capture;
    stream->capture = nullptr;
    return ready("cuStreamEndCapture");
}

CuResult cuEventCreate(CuEvent *event, unsigned flags)
{
    *event = new CuEventRec{0, 0, 0, flags == CU_EVENT_TIMED};
    return ready("cuEventCreate");
}

CuResult cuEventDestroy_v2(CuEvent event)
{
    delete event;
    return OK;
}

CuResult cuEventRecord(CuEvent event, CuStream stream)
{
    CuResult r = ready("cuEventRecord");
    if (r)
        return r;
    Op op = {};
    op.kind = OP_RECORD;
    op.event = event;
    op.ticket = event->asked = ++driver.ticket;
    return add(stream, op);
}

CuResult cuEventSynchronize(CuEvent event)
{
    CuResult r = ready("cuEventSynchronize");
    while (!r && event->done < event->asked)
        r = progress() ? driver.broken : (CuResult)UNKNOWN;
    return r;
}

CuResult cuEventElapsedTime(float *milliseconds, CuEvent from, CuEvent to)
{
    *milliseconds = (float)(1e3 * (to->seconds - from->seconds));
    return from->timed && to->timed ? ready("cuEventElapsedTime")
                                    : (CuResult)INVALID_HANDLE;
}

CuResult cuGraphInstantiateWithFlags(CuGraphExec *exec, CuGraph graph,
                                     unsigned long long)
{
    CuResult r = ready("cuGraphInstantiate");
    if (r)
        return r;
    *exec = graph_made(graph, (size_t)number("TGC_EMU_CUT", 0));
    std::string race = graph_race(*exec);
    if (race.empty() || !strcmp(setting("TGC_EMU_RACES"), "ignore"))
        return r;
    return break_down(LAUNCH_FAILED, race);
}

CuResult cuGraphDestroy(CuGraph graph)
{
    delete graph;
    return OK;
}

CuResult cuGraphExecDestroy(CuGraphExec exec)
{
    delete exec;
    return OK;
}

CuResult cuGraphLaunch(CuGraphExec exec, CuStream stream)
{
    CuResult r = ready("cuGraphLaunch");
    if (r)
        return r;
    Op op = {};
    op.kind = OP_GRAPH;
    op.graph = exec;
    return add(stream, op);
}
