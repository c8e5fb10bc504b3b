/* lib.c: oneDNN behind lib.h.
 *
 *     LibDesc --conv_desc--> primitive descriptor --> primitive, shared
 *                                                \--> memory objects, one set
 *                                                     for each thread
 *
 * A primitive is immutable once made and keeps its scratchpad outside (user
 * mode), so all threads run the same one; only the memory objects, which hold
 * the pointers of the call under way, are a thread's own.
 */
#include "lib.h"
#include "plan.h"
#include "winograd.h"
#include <dnnl.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Operands a and b, the result, and the scratchpad. */
enum { ARGS = 4, SCRATCHPAD = 3 };

struct LibCall {
    Lib *lib;
    LibDesc desc;
    dnnl_primitive_t primitive; /* NULL where desc.winograd */
    int arg[ARGS];              /* DNNL_ARG_..., 0: not used */
    dnnl_memory_t *memory;      /* [thread * ARGS + place] */
};

struct Lib {
    dnnl_engine_t engine;
    dnnl_stream_t *stream; /* one a thread */
    int threads;
    uint32_t n;
    struct LibCall *call;
    atomic_int failure; /* dnnl_status_t of the first call that failed */
};

/* What a description becomes before it is a primitive. */
typedef struct Recipe {
    dnnl_primitive_desc_t pd;
    int arg[ARGS];
    dnnl_memory_desc_t md[ARGS];
} Recipe;

/* ---- memory descriptors -------------------------------------------------- */

static dnnl_data_type_t lib_dtype(uint8_t dtype)
{
    switch (dtype) {
    case PLAN_F32:
        return dnnl_f32;
    case PLAN_BF16:
        return dnnl_bf16;
    case PLAN_F16:
        return dnnl_f16;
    default:
        return dnnl_data_type_undef;
    }
}

/* [N,C,spatial..], channels last. */
static dnnl_status_t activation_md(const LibDesc *d, int64_t channels,
                                   const int64_t *size, dnnl_memory_desc_t *md)
{
    dnnl_dims_t dim = {d->batch, channels}, stride = {0, 1};
    int64_t step = channels;
    for (int i = d->spatial - 1; i >= 0; i--) {
        dim[2 + i] = size[i];
        stride[2 + i] = step;
        step *= size[i];
    }
    stride[0] = step;
    return dnnl_memory_desc_init_by_strides(md, d->spatial + 2, dim,
                                            lib_dtype(d->dtype), stride);
}

/* [O,I/g,kernel..], or [g,O/g,I/g,kernel..] where there are groups: the same
 * bytes in plain order.  `plain` false: whatever the library likes. */
static dnnl_status_t weight_md(const LibDesc *d, uint8_t dtype, bool plain,
                               dnnl_memory_desc_t *md)
{
    dnnl_dims_t dim, stride;
    int n = 0;
    if (d->groups > 1)
        dim[n++] = d->groups;
    dim[n++] = d->out_channels / d->groups;
    dim[n++] = d->in_channels / d->groups;
    for (int i = 0; i < d->spatial; i++)
        dim[n++] = d->kernel[i];
    if (!plain)
        return dnnl_memory_desc_init_by_tag(md, n, dim, lib_dtype(dtype),
                                            dnnl_format_tag_any);
    int64_t step = 1;
    for (int i = n - 1; i >= 0; i--) {
        stride[i] = step;
        step *= dim[i];
    }
    return dnnl_memory_desc_init_by_strides(md, n, dim, lib_dtype(dtype),
                                            stride);
}

static dnnl_status_t matrix_md(uint8_t dtype, int64_t rows, int64_t columns,
                               int64_t row, int64_t column,
                               dnnl_memory_desc_t *md)
{
    const dnnl_dims_t dim = {rows, columns}, stride = {row, column};
    return dnnl_memory_desc_init_by_strides(md, 2, dim, lib_dtype(dtype),
                                            stride);
}

/* ---- primitive descriptors ----------------------------------------------- */

/* Scratch memory is ours, a thread's own, taken once at start. */
static dnnl_status_t pd_create(dnnl_engine_t engine, const_dnnl_op_desc_t op,
                               const_dnnl_primitive_desc_t hint,
                               dnnl_primitive_desc_t *pd)
{
    dnnl_primitive_attr_t attr;
    dnnl_status_t s = dnnl_primitive_attr_create(&attr);
    if (s != dnnl_success)
        return s;
    s = dnnl_primitive_attr_set_scratchpad_mode(attr,
                                                dnnl_scratchpad_mode_user);
    if (s == dnnl_success)
        s = dnnl_primitive_desc_create(pd, op, attr, engine, hint);
    dnnl_primitive_attr_destroy(attr);
    return s;
}

static void recipe_take(Recipe *r, int place, int arg, dnnl_query_t what,
                        int index)
{
    r->arg[place] = arg;
    r->md[place] = *dnnl_primitive_desc_query_md(r->pd, what, index);
}

typedef struct ConvShape {
    dnnl_memory_desc_t x, w, y, dw;
    dnnl_dims_t stride, dilation, low, high;
} ConvShape;

static dnnl_status_t conv_shape(const LibDesc *d, ConvShape *c)
{
    for (int i = 0; i < d->spatial; i++) {
        c->stride[i] = d->stride[i];
        c->dilation[i] = d->dilation[i] - 1; /* oneDNN's 0 is dense */
        c->low[i] = d->pad_low[i];
        c->high[i] = d->pad_high[i];
    }
    dnnl_status_t s = activation_md(d, d->in_channels, d->in, &c->x);
    if (s == dnnl_success)
        s = activation_md(d, d->out_channels, d->out, &c->y);
    if (s == dnnl_success)
        s = weight_md(d, d->dtype, false, &c->w);
    return s == dnnl_success ? weight_md(d, d->wide, false, &c->dw) : s;
}

static dnnl_status_t conv_forward(dnnl_engine_t engine, const ConvShape *c,
                                  Recipe *r)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t s = dnnl_dilated_convolution_forward_desc_init(
        &op, dnnl_forward_training, dnnl_convolution_direct, &c->x, &c->w, NULL,
        &c->y, c->stride, c->dilation, c->low, c->high);
    if (s == dnnl_success)
        s = pd_create(engine, &op, NULL, &r->pd);
    if (s != dnnl_success)
        return s;
    recipe_take(r, 0, DNNL_ARG_SRC, dnnl_query_src_md, 0);
    recipe_take(r, 1, DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0);
    recipe_take(r, 2, DNNL_ARG_DST, dnnl_query_dst_md, 0);
    return s;
}

static dnnl_status_t conv_grad_input(dnnl_engine_t engine, const ConvShape *c,
                                     const_dnnl_primitive_desc_t forward,
                                     Recipe *r)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t s = dnnl_dilated_convolution_backward_data_desc_init(
        &op, dnnl_convolution_direct, &c->x, &c->w, &c->y, c->stride,
        c->dilation, c->low, c->high);
    if (s == dnnl_success)
        s = pd_create(engine, &op, forward, &r->pd);
    if (s != dnnl_success)
        return s;
    recipe_take(r, 0, DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0);
    recipe_take(r, 1, DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0);
    recipe_take(r, 2, DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md, 0);
    return s;
}

static dnnl_status_t conv_grad_weight(dnnl_engine_t engine, const ConvShape *c,
                                      const_dnnl_primitive_desc_t forward,
                                      Recipe *r)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t s = dnnl_dilated_convolution_backward_weights_desc_init(
        &op, dnnl_convolution_direct, &c->x, &c->dw, NULL, &c->y, c->stride,
        c->dilation, c->low, c->high);
    if (s == dnnl_success)
        s = pd_create(engine, &op, forward, &r->pd);
    if (s != dnnl_success)
        return s;
    recipe_take(r, 0, DNNL_ARG_SRC, dnnl_query_src_md, 0);
    recipe_take(r, 1, DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0);
    recipe_take(r, 2, DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md, 0);
    return s;
}

static dnnl_status_t conv_recipe(dnnl_engine_t engine, const LibDesc *d,
                                 int kind, Recipe *r)
{
    ConvShape c;
    dnnl_status_t s = conv_shape(d, &c);
    if (s != dnnl_success)
        return s;
    if (kind == LIB_CONV)
        return conv_forward(engine, &c, r);
    Recipe forward = {0}; /* the library asks for it as a hint */
    s = conv_forward(engine, &c, &forward);
    if (s != dnnl_success)
        return s;
    s = kind == LIB_CONV_GRAD_INPUT
            ? conv_grad_input(engine, &c, forward.pd, r)
            : conv_grad_weight(engine, &c, forward.pd, r);
    dnnl_primitive_desc_destroy(forward.pd);
    return s;
}

/* Between plain weights and the order that conv kind d->of chose. */
static dnnl_status_t reorder_recipe(dnnl_engine_t engine, const LibDesc *d,
                                    Recipe *r)
{
    Recipe conv = {0};
    dnnl_status_t s = conv_recipe(engine, d, d->of, &conv);
    if (s != dnnl_success)
        return s;
    bool pack = d->kind == LIB_PACK;
    dnnl_memory_desc_t packed = conv.md[d->of == LIB_CONV_GRAD_WEIGHT ? 2 : 1];
    dnnl_primitive_desc_destroy(conv.pd);
    r->md[pack ? 2 : 0] = packed;
    s = weight_md(d, d->wide, true, &r->md[pack ? 0 : 2]);
    if (s != dnnl_success)
        return s;
    r->arg[0] = DNNL_ARG_FROM;
    r->arg[2] = DNNL_ARG_TO;
    dnnl_primitive_attr_t attr;
    s = dnnl_primitive_attr_create(&attr);
    if (s != dnnl_success)
        return s;
    s = dnnl_primitive_attr_set_scratchpad_mode(attr,
                                                dnnl_scratchpad_mode_user);
    if (s == dnnl_success)
        s = dnnl_reorder_primitive_desc_create(&r->pd, &r->md[0], engine,
                                               &r->md[2], engine, attr);
    dnnl_primitive_attr_destroy(attr);
    return s;
}

static dnnl_status_t matmul_recipe(dnnl_engine_t engine, const LibDesc *d,
                                   Recipe *r)
{
    dnnl_memory_desc_t a, b, y;
    dnnl_status_t s = matrix_md(d->dtype, d->m, d->k, d->a_row, d->a_col, &a);
    if (s == dnnl_success)
        s = matrix_md(d->dtype, d->k, d->n, d->b_row, d->b_col, &b);
    if (s == dnnl_success)
        s = matrix_md(d->wide, d->m, d->n, d->n, 1, &y);
    dnnl_matmul_desc_t op;
    if (s == dnnl_success)
        s = dnnl_matmul_desc_init(&op, &a, &b, NULL, &y);
    if (s == dnnl_success)
        s = pd_create(engine, &op, NULL, &r->pd);
    if (s != dnnl_success)
        return s;
    recipe_take(r, 0, DNNL_ARG_SRC, dnnl_query_src_md, 0);
    recipe_take(r, 1, DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0);
    recipe_take(r, 2, DNNL_ARG_DST, dnnl_query_dst_md, 0);
    return s;
}

static dnnl_status_t recipe_make(dnnl_engine_t engine, const LibDesc *d,
                                 Recipe *r)
{
    dnnl_status_t s;
    if (d->kind == LIB_MATMUL)
        s = matmul_recipe(engine, d, r);
    else if (d->kind == LIB_PACK || d->kind == LIB_UNPACK)
        s = reorder_recipe(engine, d, r);
    else
        s = conv_recipe(engine, d, d->kind, r);
    if (s == dnnl_success)
        recipe_take(r, SCRATCHPAD, DNNL_ARG_SCRATCHPAD,
                    dnnl_query_scratchpad_md, 0);
    return s;
}

/* ---- checks and messages ------------------------------------------------- */

static const char *lib_kind_name(int kind)
{
    switch (kind) {
    case LIB_CONV:
        return "convolution";
    case LIB_CONV_GRAD_INPUT:
        return "convolution gradient of the input";
    case LIB_CONV_GRAD_WEIGHT:
        return "convolution gradient of the weights";
    case LIB_PACK:
        return "packing of weights";
    case LIB_UNPACK:
        return "unpacking of weights";
    case LIB_MATMUL:
        return "matrix product";
    default:
        return "unknown call";
    }
}

static const char *lib_status_name(int s)
{
    switch (s) {
    case dnnl_out_of_memory:
        return "out of memory";
    case dnnl_invalid_arguments:
        return "invalid arguments";
    case dnnl_unimplemented:
        return "not implemented";
    default:
        return "runtime error";
    }
}

/* Sizes past 2^31 would be cut short inside the library. */
static bool size_fits(int64_t size)
{
    return size >= 1 && size <= INT32_MAX;
}

static bool spatial_fits(const LibDesc *d, int i)
{
    if (!size_fits(d->in[i]) || !size_fits(d->out[i]) ||
        !size_fits(d->kernel[i]) || !size_fits(d->stride[i]) ||
        !size_fits(d->dilation[i]))
        return false;
    if (d->pad_low[i] < 0 || d->pad_low[i] > INT32_MAX || d->pad_high[i] < 0 ||
        d->pad_high[i] > INT32_MAX)
        return false;
    int64_t window = (d->kernel[i] - 1) * d->dilation[i] + 1;
    int64_t room = d->in[i] + d->pad_low[i] + d->pad_high[i] - window;
    return room >= 0 && room / d->stride[i] + 1 == d->out[i];
}

static bool conv_fits(const LibDesc *d)
{
    if (d->spatial < 1 || d->spatial > LIB_MAX_SPATIAL ||
        !size_fits(d->batch) || !size_fits(d->groups) ||
        !size_fits(d->in_channels) || !size_fits(d->out_channels) ||
        d->in_channels % d->groups || d->out_channels % d->groups)
        return false;
    for (int i = 0; i < d->spatial; i++)
        if (!spatial_fits(d, i))
            return false;
    return true;
}

static bool desc_fits(const LibDesc *d)
{
    if (lib_dtype(d->dtype) == dnnl_data_type_undef ||
        lib_dtype(d->wide) == dnnl_data_type_undef)
        return false;
    if (d->kind == LIB_MATMUL)
        return size_fits(d->m) && size_fits(d->n) && size_fits(d->k) &&
               size_fits(d->a_row) && size_fits(d->a_col) &&
               size_fits(d->b_row) && size_fits(d->b_col);
    if (d->winograd && !winograd_fits(d))
        return false;
    int conv = d->kind;
    if (conv == LIB_PACK || conv == LIB_UNPACK)
        conv = d->of;
    return conv >= LIB_CONV && conv <= LIB_CONV_GRAD_WEIGHT && conv_fits(d);
}

static void shape_text(const LibDesc *d, char *text, size_t size)
{
    if (d->kind == LIB_MATMUL) {
        snprintf(text, size, "[%lld,%lld] x [%lld,%lld]", (long long)d->m,
                 (long long)d->k, (long long)d->k, (long long)d->n);
        return;
    }
    int used = snprintf(text, size, "batch %lld, channels %lld to %lld, image",
                        (long long)d->batch, (long long)d->in_channels,
                        (long long)d->out_channels);
    for (int i = 0; i < d->spatial && i < LIB_MAX_SPATIAL; i++)
        if (used >= 0 && (size_t)used < size)
            used += snprintf(text + used, size - used, "%c%lld", i ? 'x' : ' ',
                             (long long)d->in[i]);
}

const char *lib_describe(const LibDesc *d, char *text, size_t size)
{
    char shape[256];
    shape_text(d, shape, sizeof shape);
    snprintf(text, size, "%s (%s)", lib_kind_name(d->kind), shape);
    return text;
}

static bool recipe_error(const LibDesc *d, dnnl_status_t s, char *error,
                         size_t size)
{
    char what[320];
    snprintf(error, size, "%s cannot make a %s: %s", lib_version(),
             lib_describe(d, what, sizeof what), lib_status_name(s));
    return false;
}

/* Makes what `make` makes as for a program with one thread. */
static dnnl_status_t recipe_for_one(dnnl_engine_t engine, const LibDesc *d,
                                    Recipe *r, dnnl_primitive_t *primitive)
{
    if (!desc_fits(d))
        return dnnl_invalid_arguments;
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_status_t s = recipe_make(engine, d, r);
    if (s == dnnl_success && primitive)
        s = dnnl_primitive_create(primitive, r->pd);
    omp_set_num_threads(threads);
    return s;
}

/* ---- the interface ------------------------------------------------------- */

const char *lib_version(void)
{
    /* The version compiled against is the one that the package manager keeps
     * compatible by its soname. */
#define VERSION_TEXT(a, b, c) "oneDNN " #a "." #b "." #c
#define VERSION_OF(a, b, c)   VERSION_TEXT(a, b, c)
    return VERSION_OF(DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR,
                      DNNL_VERSION_PATCH);
#undef VERSION_OF
#undef VERSION_TEXT
}

static int64_t md_bytes(const dnnl_memory_desc_t *md)
{
    return (int64_t)dnnl_memory_desc_get_size(md);
}

static void info_fill(const LibDesc *d, const Recipe *r, LibInfo *info)
{
    memset(info, 0, sizeof *info);
    if (d->kind == LIB_CONV || d->kind == LIB_CONV_GRAD_INPUT)
        info->packed_bytes = md_bytes(&r->md[1]);
    else if (d->kind == LIB_CONV_GRAD_WEIGHT || d->kind == LIB_PACK)
        info->packed_bytes = md_bytes(&r->md[2]);
    else if (d->kind == LIB_UNPACK)
        info->packed_bytes = md_bytes(&r->md[0]);
    info->scratch_bytes = md_bytes(&r->md[SCRATCHPAD]);
    const char *name = "";
    dnnl_primitive_desc_query(r->pd, dnnl_query_impl_info_str, 0, &name);
    snprintf(info->implementation, sizeof info->implementation, "%s", name);
}

bool lib_winograd_fits(const LibDesc *d)
{
    return winograd_fits(d) && desc_fits(d) && winograd_is_fast(d);
}

static bool winograd_query(const LibDesc *d, LibInfo *info, char *error,
                           size_t size)
{
    if (!desc_fits(d))
        return recipe_error(d, dnnl_invalid_arguments, error, size);
    winograd_info(d, info);
    return true;
}

bool lib_query(const LibDesc *d, LibInfo *info, char *error, size_t size)
{
    if (d->winograd)
        return winograd_query(d, info, error, size);
    dnnl_engine_t engine;
    dnnl_status_t s = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (s != dnnl_success)
        return recipe_error(d, s, error, size);
    Recipe r = {0};
    s = recipe_for_one(engine, d, &r, NULL);
    if (s == dnnl_success) {
        info_fill(d, &r, info);
        dnnl_primitive_desc_destroy(r.pd);
    }
    dnnl_engine_destroy(engine);
    return s == dnnl_success || recipe_error(d, s, error, size);
}

static dnnl_status_t call_open(Lib *lib, struct LibCall *c, const LibDesc *d)
{
    Recipe r = {0};
    c->lib = lib;
    c->desc = *d;
    if (d->winograd)
        return desc_fits(d) ? dnnl_success : dnnl_invalid_arguments;
    dnnl_status_t s = recipe_for_one(lib->engine, d, &r, &c->primitive);
    if (r.pd)
        dnnl_primitive_desc_destroy(r.pd);
    if (s != dnnl_success)
        return s;
    memcpy(c->arg, r.arg, sizeof c->arg);
    if (md_bytes(&r.md[SCRATCHPAD]) == 0)
        c->arg[SCRATCHPAD] = 0;
    c->memory = calloc((size_t)lib->threads * ARGS, sizeof *c->memory);
    if (!c->memory)
        return dnnl_out_of_memory;
    for (int i = 0; i < lib->threads * ARGS && s == dnnl_success; i++)
        if (c->arg[i % ARGS])
            s = dnnl_memory_create(&c->memory[i], &r.md[i % ARGS], lib->engine,
                                   DNNL_MEMORY_NONE);
    return s;
}

static dnnl_status_t lib_start(Lib *lib, int threads, uint32_t n)
{
    dnnl_status_t s = dnnl_engine_create(&lib->engine, dnnl_cpu, 0);
    if (s != dnnl_success)
        return s;
    lib->stream = calloc((size_t)threads, sizeof(dnnl_stream_t));
    lib->call = calloc(n ? n : 1, sizeof *lib->call);
    if (!lib->stream || !lib->call)
        return dnnl_out_of_memory;
    lib->threads = threads;
    lib->n = n;
    for (int i = 0; i < threads && s == dnnl_success; i++)
        s = dnnl_stream_create(&lib->stream[i], lib->engine,
                               dnnl_stream_default_flags);
    return s;
}

Lib *lib_open(const LibDesc *desc, uint32_t n, int threads, char *error,
              size_t size)
{
    Lib *lib = calloc(1, sizeof *lib);
    dnnl_status_t s = lib ? lib_start(lib, threads, n) : dnnl_out_of_memory;
    if (s != dnnl_success) {
        snprintf(error, size, "cannot start %s: %s", lib_version(),
                 lib_status_name(s));
        lib_close(lib);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        s = call_open(lib, &lib->call[i], &desc[i]);
        if (s != dnnl_success) {
            recipe_error(&desc[i], s, error, size);
            lib_close(lib);
            return NULL;
        }
    }
    return lib;
}

void lib_close(Lib *lib)
{
    if (!lib)
        return;
    for (uint32_t i = 0; i < lib->n; i++) {
        struct LibCall *c = &lib->call[i];
        for (int k = 0; c->memory && k < lib->threads * ARGS; k++)
            if (c->memory[k])
                dnnl_memory_destroy(c->memory[k]);
        free(c->memory);
        if (c->primitive)
            dnnl_primitive_destroy(c->primitive);
    }
    for (int i = 0; lib->stream && i < lib->threads; i++)
        if (lib->stream[i])
            dnnl_stream_destroy(lib->stream[i]);
    if (lib->engine)
        dnnl_engine_destroy(lib->engine);
    free(lib->stream);
    free(lib->call);
    free(lib);
}

struct LibCall *lib_call(Lib *lib, uint32_t i)
{
    return i < lib->n ? &lib->call[i] : NULL;
}

const char *lib_failure(const Lib *lib)
{
    int s = atomic_load(&((Lib *)lib)->failure);
    return s == dnnl_success ? NULL : lib_status_name(s);
}

void tgc_lib_run(const KernelCall *call, int which, const void *a,
                 const void *b, void *result)
{
    const struct LibCall *c = call->lib[which];
    if (c->desc.winograd) {
        winograd_run(&c->desc, a, b, result, call->scratch);
        return;
    }
    void *const data[ARGS] = {(void *)a, (void *)b, result, call->scratch};
    dnnl_memory_t *memory = &c->memory[(size_t)call->thread * ARGS];
    dnnl_stream_t stream = c->lib->stream[call->thread];
    dnnl_exec_arg_t arg[ARGS];
    dnnl_status_t s = dnnl_success;
    int n = 0;
    for (int i = 0; i < ARGS && s == dnnl_success; i++) {
        if (!c->arg[i])
            continue;
        s = dnnl_memory_set_data_handle_v2(memory[i], data[i], stream);
        arg[n++] = (dnnl_exec_arg_t){c->arg[i], memory[i]};
    }
    if (s == dnnl_success)
        s = dnnl_primitive_execute(c->primitive, stream, n, arg);
    if (s != dnnl_success)
        atomic_store(&c->lib->failure, s);
}
