/* cudnn.c: see cudnn.h.
 *
 *     PlanConv ─> tensors, operation ─> graph ─> heuristics ─> configurations
 *                                     the first that is taken ─> execution plan
 */
#include "cudnn.h"
#include "format.h"
#include "types.h"
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

enum {
    ID_X = 1, /* of tensors, in a variant pack */
    ID_W,
    ID_Y,
    CONFIGS_MOST = 64,
    ALIGNMENT = 16, /* bytes; the arena's buffers lie on 64 */
    RANK_LEAST = 4  /* of cuDNN's images */
};

struct Cudnn {
    CudnnApi api;
    const Plan *plan;
    CudnnHandle handle; /* NULL: of a device that is not there */
    CudnnDesc device;
    CudnnDesc *made; /* all of them, to be destroyed at the end */
    size_t n_made, cap_made;
    CudnnDesc *exec; /* [conv] */
    CudnnChoice *choice;
};

/* ---- descriptors -----------------------------------------------------------
 *
 * NULL and false after a message. */

static bool keep(Cudnn *c, CudnnDesc d)
{
    if (c->n_made == c->cap_made) {
        size_t cap = 2 * c->cap_made + 256;
        CudnnDesc *made = realloc(c->made, cap * sizeof *made);
        if (!made)
            return false;
        c->made = made;
        c->cap_made = cap;
    }
    c->made[c->n_made++] = d;
    return true;
}

static CudnnDesc make(Cudnn *c, CudnnKind kind, Status *s)
{
    CudnnDesc d = NULL;
    if (!cudnn_well(&c->api, c->api.cudnnBackendCreateDescriptor((int)kind, &d),
                    "cudnnBackendCreateDescriptor", NULL, s))
        return NULL;
    if (keep(c, d))
        return d;
    c->api.cudnnBackendDestroyDescriptor(d);
    status_fail(s, "no memory for cuDNN's descriptors");
    return NULL;
}

static bool set(Cudnn *c, CudnnDesc d, CudnnAttr attr, CudnnType type,
                int64_t n, const void *values, Status *s)
{
    char what[32];
    CudnnStatus r =
        c->api.cudnnBackendSetAttribute(d, (int)attr, (int)type, n, values);
    snprintf(what, sizeof what, "attribute %d", (int)attr);
    return cudnn_well(&c->api, r, "cudnnBackendSetAttribute", what, s);
}

static bool set_desc(Cudnn *c, CudnnDesc d, CudnnAttr attr, CudnnDesc value,
                     Status *s)
{
    return set(c, d, attr, CUDNN_TYPE_DESC, 1, &value, s);
}

static bool set_int(Cudnn *c, CudnnDesc d, CudnnAttr attr, int64_t value,
                    Status *s)
{
    return set(c, d, attr, CUDNN_TYPE_INT64, 1, &value, s);
}

static bool set_enum(Cudnn *c, CudnnDesc d, CudnnAttr attr, CudnnType type,
                     int value, Status *s)
{
    return set(c, d, attr, type, 1, &value, s);
}

static bool finalize(Cudnn *c, CudnnDesc d, const char *what, Status *s)
{
    return cudnn_well(&c->api, c->api.cudnnBackendFinalize(d),
                      "cudnnBackendFinalize", what, s);
}

/* ---- a convolution ------------------------------------------------------ */

static int data_type(uint8_t dtype)
{
    return dtype == PLAN_F64    ? CUDNN_DOUBLE
           : dtype == PLAN_F16  ? CUDNN_HALF
           : dtype == PLAN_BF16 ? CUDNN_BFLOAT16
                                : CUDNN_FLOAT;
}

/* What is summed up in. */
static int sum_type(const PlanConv *p)
{
    return p->x.dtype == PLAN_F64 ? CUDNN_DOUBLE : CUDNN_FLOAT;
}

/* Images of one spatial dimension are images of height 1. */
static int spread(const PlanType *t, int64_t *dim, int64_t *stride)
{
    int missing = t->rank < RANK_LEAST ? RANK_LEAST - t->rank : 0;
    for (int d = 0; d < t->rank; d++) {
        int to = d < 2 ? d : d + missing;
        dim[to] = t->dim[d];
        stride[to] = t->stride[d];
    }
    for (int d = 2; d < 2 + missing; d++) {
        dim[d] = 1;
        stride[d] = t->dim[2] * t->stride[2];
    }
    return t->rank + missing;
}

static CudnnDesc tensor(Cudnn *c, int64_t id, const PlanType *t, Status *s)
{
    int64_t dim[PLAN_MAX_RANK], stride[PLAN_MAX_RANK];
    int rank = spread(t, dim, stride);
    CudnnDesc d = make(c, CUDNN_TENSOR, s);
    bool ok =
        d && set_int(c, d, CUDNN_TENSOR_ID, id, s) &&
        set_int(c, d, CUDNN_TENSOR_ALIGNMENT, ALIGNMENT, s) &&
        set_enum(c, d, CUDNN_TENSOR_DTYPE, CUDNN_TYPE_DATA_TYPE,
                 data_type(t->dtype), s) &&
        set(c, d, CUDNN_TENSOR_DIMS, CUDNN_TYPE_INT64, rank, dim, s) &&
        set(c, d, CUDNN_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, stride, s) &&
        finalize(c, d, "a tensor", s);
    return ok ? d : NULL;
}

static bool set_steps(Cudnn *c, CudnnDesc d, CudnnAttr attr, const PlanConv *p,
                      const int64_t *value, int64_t without, Status *s)
{
    int64_t all[PLAN_MAX_SPATIAL] = {without};
    int missing = p->spatial < RANK_LEAST - 2 ? RANK_LEAST - 2 - p->spatial : 0;
    for (int i = 0; i < p->spatial; i++)
        all[missing + i] = value[i];
    return set(c, d, attr, CUDNN_TYPE_INT64, missing + p->spatial, all, s);
}

static CudnnDesc convolution(Cudnn *c, const PlanConv *p, Status *s)
{
    CudnnDesc d = make(c, CUDNN_CONVOLUTION, s);
    int spatial = p->spatial < RANK_LEAST - 2 ? RANK_LEAST - 2 : p->spatial;
    bool ok = d && set_int(c, d, CUDNN_CONV_SPATIAL_DIMS, spatial, s) &&
              set_enum(c, d, CUDNN_CONV_PRECISION, CUDNN_TYPE_DATA_TYPE,
                       sum_type(p), s) &&
              set_enum(c, d, CUDNN_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE,
                       CUDNN_CROSS_CORRELATION, s) &&
              set_steps(c, d, CUDNN_CONV_STRIDES, p, p->stride, 1, s) &&
              set_steps(c, d, CUDNN_CONV_DILATIONS, p, p->dilation, 1, s) &&
              set_steps(c, d, CUDNN_CONV_PRE_PADDINGS, p, p->pad_low, 0, s) &&
              set_steps(c, d, CUDNN_CONV_POST_PADDINGS, p, p->pad_high, 0, s) &&
              finalize(c, d, "a convolution", s);
    return ok ? d : NULL;
}

static bool set_factor(Cudnn *c, CudnnDesc d, CudnnAttr attr, const PlanConv *p,
                       double value, Status *s)
{
    float single = (float)value;
    if (sum_type(p) == CUDNN_DOUBLE)
        return set(c, d, attr, CUDNN_TYPE_DOUBLE, 1, &value, s);
    return set(c, d, attr, CUDNN_TYPE_FLOAT, 1, &single, s);
}

static CudnnDesc operation(Cudnn *c, const PlanConv *p, Status *s)
{
    static const struct {
        CudnnKind kind;
        CudnnAttr alpha, beta, conv, w, x, y;
    } row[] = {
        [PLAN_CONV] = {CUDNN_CONV_FORWARD, CUDNN_FORWARD_ALPHA,
                       CUDNN_FORWARD_BETA, CUDNN_FORWARD_CONV, CUDNN_FORWARD_W,
                       CUDNN_FORWARD_X, CUDNN_FORWARD_Y},
        [PLAN_CONV_GRAD_INPUT] = {CUDNN_CONV_BACKWARD_DATA, CUDNN_DATA_ALPHA,
                                  CUDNN_DATA_BETA, CUDNN_DATA_CONV,
                                  CUDNN_DATA_W, CUDNN_DATA_X, CUDNN_DATA_Y},
        [PLAN_CONV_GRAD_WEIGHT] = {CUDNN_CONV_BACKWARD_FILTER,
                                   CUDNN_FILTER_ALPHA, CUDNN_FILTER_BETA,
                                   CUDNN_FILTER_CONV, CUDNN_FILTER_W,
                                   CUDNN_FILTER_X, CUDNN_FILTER_Y},
    };
    CudnnDesc conv = convolution(c, p, s);
    CudnnDesc x = conv ? tensor(c, ID_X, &p->x, s) : NULL;
    CudnnDesc w = x ? tensor(c, ID_W, &p->w, s) : NULL;
    CudnnDesc y = w ? tensor(c, ID_Y, &p->y, s) : NULL;
    CudnnDesc d = y ? make(c, row[p->kind].kind, s) : NULL;
    bool ok = d && set_factor(c, d, row[p->kind].alpha, p, 1, s) &&
              set_factor(c, d, row[p->kind].beta, p, 0, s) &&
              set_desc(c, d, row[p->kind].conv, conv, s) &&
              set_desc(c, d, row[p->kind].w, w, s) &&
              set_desc(c, d, row[p->kind].x, x, s) &&
              set_desc(c, d, row[p->kind].y, y, s) &&
              finalize(c, d, "an operation", s);
    return ok ? d : NULL;
}

static CudnnDesc graph(Cudnn *c, const PlanConv *p, Status *s)
{
    CudnnDesc op = operation(c, p, s);
    CudnnDesc d = op ? make(c, CUDNN_OPERATIONGRAPH, s) : NULL;
    bool ok = d && set_desc(c, d, CUDNN_GRAPH_OPS, op, s) &&
              finalize(c, d, "a graph", s);
    return ok ? d : NULL;
}

/* ---- engines ------------------------------------------------------------ */

/* What an engine must not do: give other bits each time, or lose digits.  In
 * float32 the matrix unit would round to TF32, which keeps 10 bits; larger
 * tiles of Winograd's, or any of 16 bits, lose more than the sums do. */
static bool note_fits(int note, uint8_t dtype)
{
    bool half = dtype == PLAN_F16 || dtype == PLAN_BF16;
    switch (note) {
    case CUDNN_NOTE_TENSOR_CORE:
        return dtype != PLAN_F32;
    case CUDNN_NOTE_WINOGRAD:
    case CUDNN_NOTE_WINOGRAD_4X4:
        return !half;
    case CUDNN_NOTE_DOWN_CONVERT:
    case CUDNN_NOTE_REDUCED_SUMS:
    case CUDNN_NOTE_FFT:
    case CUDNN_NOTE_NONDETERMINISTIC:
    case CUDNN_NOTE_WINOGRAD_6X6:
    case CUDNN_NOTE_WINOGRAD_13X13:
        return false;
    default:
        return true;
    }
}

/* False where it is not to be taken, and after a message. */
static bool engine_fits(Cudnn *c, CudnnDesc config, const PlanConv *p,
                        int64_t *index, Status *s)
{
    int note[CUDNN_NOTES_MOST];
    int64_t n = 0;
    CudnnDesc engine = make(c, CUDNN_ENGINE, s);
    const CudnnApi *api = &c->api;
    if (!engine ||
        !cudnn_well(api,
                    api->cudnnBackendGetAttribute(config, CUDNN_CFG_ENGINE,
                                                  CUDNN_TYPE_DESC, 1, &n,
                                                  &engine),
                    "cudnnBackendGetAttribute", "an engine", s) ||
        !cudnn_well(api,
                    api->cudnnBackendGetAttribute(engine, CUDNN_ENGINE_INDEX,
                                                  CUDNN_TYPE_INT64, 1, &n,
                                                  index),
                    "cudnnBackendGetAttribute", "an engine's number", s) ||
        !cudnn_well(api,
                    api->cudnnBackendGetAttribute(engine, CUDNN_ENGINE_NOTES,
                                                  CUDNN_TYPE_NUMERICAL_NOTE,
                                                  CUDNN_NOTES_MOST, &n, note),
                    "cudnnBackendGetAttribute", "an engine's notes", s))
        return false;
    for (int64_t i = 0; i < n && i < CUDNN_NOTES_MOST; i++)
        if (!note_fits(note[i], p->x.dtype))
            return false;
    return n <= CUDNN_NOTES_MOST;
}

static bool get_bytes(Cudnn *c, CudnnDesc d, CudnnAttr attr, int64_t *bytes)
{
    int64_t n = 0;
    return !c->api.cudnnBackendGetAttribute(d, (int)attr, CUDNN_TYPE_INT64, 1,
                                            &n, bytes) &&
           n == 1;
}

/* The configuration's plan, where it fits.  That it cannot be finalized is no
 * error: it may want a compiler that is not here, or another GPU. */
static bool plan_fits(Cudnn *c, CudnnDesc config, const PlanConv *p,
                      CudnnDesc *exec, int64_t *workspace, Status *s)
{
    CudnnDesc d;
    if (get_bytes(c, config, CUDNN_CFG_WORKSPACE, workspace) &&
        *workspace > p->workspace)
        return false;
    d = *exec = make(c, CUDNN_EXECUTION_PLAN, s);
    return d && set_desc(c, d, CUDNN_PLAN_CFG, config, s) &&
           set_desc(c, d, CUDNN_PLAN_DEVICEPROP, c->device, s) &&
           !c->api.cudnnBackendFinalize(d) &&
           get_bytes(c, d, CUDNN_PLAN_WORKSPACE, workspace) &&
           *workspace <= p->workspace;
}

/* The configurations that a heuristic proposes, best first; how many. */
static int64_t propose(Cudnn *c, CudnnDesc of, int mode, CudnnDesc *config,
                       Status *s)
{
    int64_t n = 0;
    CudnnDesc d = make(c, CUDNN_ENGINEHEUR, s);
    if (!d || !set_desc(c, d, CUDNN_HEUR_GRAPH, of, s) ||
        !set_enum(c, d, CUDNN_HEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode, s) ||
        !set_desc(c, d, CUDNN_HEUR_DEVICEPROP, c->device, s))
        return 0;
    if (c->api.cudnnBackendFinalize(d))
        return 0; /* it knows nothing about such a graph */
    for (int i = 0; i < CONFIGS_MOST; i++) {
        config[i] = make(c, CUDNN_ENGINECFG, s);
        if (!config[i])
            return 0;
    }
    CudnnStatus r = c->api.cudnnBackendGetAttribute(
        d, CUDNN_HEUR_RESULTS, CUDNN_TYPE_DESC, CONFIGS_MOST, &n, config);
    if (!cudnn_well(&c->api, r, "cudnnBackendGetAttribute", "engines", s))
        return 0;
    return n < CONFIGS_MOST ? n : CONFIGS_MOST;
}

/* ---- which engine a convolution gets ------------------------------------ */

/* "conv layer1.0.conv1, resnet.net:14:27": the step that runs it first. */
static void describe_step(const Plan *plan, uint32_t conv, char *text,
                          size_t size)
{
    text[0] = 0;
    for (uint32_t k = 0; k < plan->n_graphs; k++)
        for (uint32_t i = 0; i < plan->graphs[k].n_steps; i++) {
            const PlanStep *step = &plan->graphs[k].steps[i];
            if (plan->kernels[step->kernel].conv != conv + 1)
                continue;
            snprintf(text, size, "%s%s%s", step->what,
                     step->loc && step->loc[0] ? ", " : "",
                     step->loc ? step->loc : "");
            return;
        }
}

static bool none_fits(Cudnn *c, uint32_t conv, int64_t seen, Status *s)
{
    const PlanConv *p = &c->plan->convs[conv];
    char what[256], step[256], room[32];
    describe_step(c->plan, conv, step, sizeof step);
    return status_fail(
        s,
        "cuDNN %zu.%zu has no engine for a %s (%s): of the %lld that it "
        "proposes none gives the same bits each time, computes in this "
        "precision, and works in %s (compile with --no-cudnn)",
        c->api.version / 10000, c->api.version % 10000 / 100,
        cudnn_describe(p, what, sizeof what), step, (long long)seen,
        format_bytes((double)p->workspace, room, sizeof room));
}

static bool conv_open(Cudnn *c, uint32_t conv, Status *s)
{
    static const int modes[] = {CUDNN_HEUR_A, CUDNN_HEUR_FALLBACK};
    const PlanConv *p = &c->plan->convs[conv];
    CudnnChoice *choice = &c->choice[conv];
    CudnnDesc of = graph(c, p, s), config[CONFIGS_MOST];
    int64_t seen = 0;
    for (size_t m = 0; of && m < sizeof modes / sizeof *modes; m++) {
        int64_t n = propose(c, of, modes[m], config, s);
        for (int64_t i = 0; i < n && !s->failed; i++)
            if (engine_fits(c, config[i], p, &choice->engine, s) &&
                plan_fits(c, config[i], p, &c->exec[conv], &choice->workspace,
                          s))
                return true;
        seen += n;
    }
    if (!s->failed)
        return none_fits(c, conv, seen, s);
    char step[256], why[sizeof s->text];
    memcpy(why, s->text, sizeof why);
    describe_step(c->plan, conv, step, sizeof step);
    *s = (Status){0};
    return status_fail(s, "%.1500s (%s)", why, step);
}

/* ---- opening, closing --------------------------------------------------- */

static bool device_open(Cudnn *c, CuStream stream, const char *json, Status *s)
{
    const CudnnApi *api = &c->api;
    if (!json &&
        !cudnn_well(api, api->cudnnCreate(&c->handle), "cudnnCreate", NULL, s))
        return false;
    if (!json && !cudnn_well(api, api->cudnnSetStream(c->handle, stream),
                             "cudnnSetStream", NULL, s))
        return false;
    c->device = make(c, CUDNN_DEVICEPROP, s);
    if (!c->device)
        return false;
    bool ok = json ? set(c, c->device, CUDNN_DEVICE_JSON, CUDNN_TYPE_CHAR,
                         (int64_t)strlen(json), json, s)
                   : set(c, c->device, CUDNN_DEVICE_HANDLE, CUDNN_TYPE_HANDLE,
                         1, &c->handle, s);
    return ok && finalize(c, c->device, "a device", s);
}

/* What can be done without it. */
static bool library_open(CudnnApi *api, Status *s)
{
    Status why = {0};
    return cudnn_api_open(api, &why) ||
           status_fail(s,
                       "%.1500s; convolutions of this program were compiled to "
                       "be cuDNN's, --no-cudnn compiles them to kernels of "
                       "tgc's own",
                       why.text);
}

Cudnn *cudnn_open(const Plan *plan, CuStream stream, const char *json,
                  Status *s)
{
    Cudnn *c = calloc(1, sizeof *c);
    if (!c) {
        status_fail(s, "no memory for cuDNN");
        return NULL;
    }
    c->plan = plan;
    c->exec = calloc(plan->n_convs + 1u, sizeof *c->exec);
    c->choice = calloc(plan->n_convs + 1u, sizeof *c->choice);
    bool ok = c->exec && c->choice;
    if (!ok)
        status_fail(s, "no memory for %u convolutions", plan->n_convs);
    ok = ok && library_open(&c->api, s) && device_open(c, stream, json, s);
    for (uint32_t i = 0; ok && i < plan->n_convs; i++)
        ok = conv_open(c, i, s);
    if (ok)
        return c;
    cudnn_close(c);
    return NULL;
}

void cudnn_close(Cudnn *c)
{
    if (!c)
        return;
    while (c->n_made > 0)
        c->api.cudnnBackendDestroyDescriptor(c->made[--c->n_made]);
    if (c->handle)
        c->api.cudnnDestroy(c->handle);
    cudnn_api_close(&c->api);
    free(c->made);
    free(c->exec);
    free(c->choice);
    free(c);
}

size_t cudnn_version(const Cudnn *c)
{
    return c->api.version;
}

CudnnChoice cudnn_choice(const Cudnn *c, uint32_t conv)
{
    return c->choice[conv];
}

const char *cudnn_describe(const PlanConv *p, char *text, size_t size)
{
    static const char *const kind[] = {
        [PLAN_CONV] = "convolution",
        [PLAN_CONV_GRAD_INPUT] = "gradient of the input",
        [PLAN_CONV_GRAD_WEIGHT] = "gradient of the weights"};
    char x[96], w[96];
    snprintf(text, size, "%s %s %s by %s", kind[p->kind],
             dtype_name(p->x.dtype), type_shape_text(&p->x, x, sizeof x),
             type_shape_text(&p->w, w, sizeof w));
    return text;
}

/* ---- running ------------------------------------------------------------ */

bool cudnn_run(Cudnn *c, uint32_t conv, const CuPtr *arg, Status *s)
{
    const PlanConv *p = &c->plan->convs[conv];
    const CudnnApi *api = &c->api;
    const int64_t id[] = {ID_X, ID_W, ID_Y};
    const CuPtr tensors[] = {arg[p->x_arg], arg[p->w_arg], arg[p->y_arg]};
    const CuPtr *workspace = &arg[p->workspace_arg];
    CudnnDesc d = NULL;
    if (!cudnn_well(api,
                    api->cudnnBackendCreateDescriptor(CUDNN_VARIANT_PACK, &d),
                    "cudnnBackendCreateDescriptor", NULL, s))
        return false;
    bool ok =
        set(c, d, CUDNN_PACK_IDS, CUDNN_TYPE_INT64, 3, id, s) &&
        set(c, d, CUDNN_PACK_POINTERS, CUDNN_TYPE_VOID_PTR, 3, tensors, s) &&
        set(c, d, CUDNN_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, workspace, s) &&
        finalize(c, d, "a variant pack", s) &&
        cudnn_well(api, api->cudnnBackendExecute(c->handle, c->exec[conv], d),
                   "cudnnBackendExecute", NULL, s);
    api->cudnnBackendDestroyDescriptor(d);
    return ok;
}
