/* run_graph.c: see run_graph.h. */
#include "run_graph.h"
#include "kernels.h"
#include "lib.h"
#include "plan.h"
#include "process.h"
#include "steps.h"
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CANARY = 64 };

typedef struct Memory {
    char *bytes; /* NULL: the value is not in memory */
    bool ours;   /* not another value's bytes */
    bool gone;   /* overwritten by a later value */
} Memory;

struct RunGraph {
    Arena *arena;
    const Graph *g;
    Steps steps;
    StepCode *code;
    Kernels *kernels;
    Memory *memory;
    Kernel **run; /* of each kernel */
    Lib *lib;
    char *scratch, *source;
    void *library;
    char folder[64];
};

static Memory *memory_of(const RunGraph *r, Value v)
{
    return &r->memory[(size_t)v.node * MAX_OUT + v.out];
}

/* ---- numbers ------------------------------------------------------------ */

static int64_t element_place(const Type *t, int64_t element)
{
    int64_t stride[MAX_RANK], place = 0;
    type_strides(t, stride);
    for (int d = t->rank - 1; d >= 0; d--) {
        place += element % t->dim[d] * stride[d];
        element /= t->dim[d];
    }
    return place;
}

static float from_bf16(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint16_t to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double run_graph_get(const RunGraph *r, Value v, int64_t element)
{
    const Type *t = graph_type(r->g, v);
    const void *p = memory_of(r, v)->bytes;
    int64_t i = element_place(t, element);
    switch (t->dtype) {
    case DT_F32:
        return ((const float *)p)[i];
    case DT_F64:
        return ((const double *)p)[i];
    case DT_I32:
        return ((const int32_t *)p)[i];
    case DT_I64:
        return (double)((const int64_t *)p)[i];
    case DT_BF16:
        return from_bf16(((const uint16_t *)p)[i]);
    default:
        return ((const uint8_t *)p)[i];
    }
}

void run_graph_set(RunGraph *r, Value v, int64_t element, double x)
{
    const Type *t = graph_type(r->g, v);
    void *p = memory_of(r, v)->bytes;
    int64_t i = element_place(t, element);
    switch (t->dtype) {
    case DT_F32:
        ((float *)p)[i] = (float)x;
        break;
    case DT_F64:
        ((double *)p)[i] = x;
        break;
    case DT_I32:
        ((int32_t *)p)[i] = (int32_t)x;
        break;
    case DT_I64:
        ((int64_t *)p)[i] = (int64_t)x;
        break;
    case DT_BF16:
        ((uint16_t *)p)[i] = to_bf16((float)x);
        break;
    default:
        ((uint8_t *)p)[i] = (uint8_t)x;
    }
}

bool run_graph_has(const RunGraph *r, Value v)
{
    const Memory *m = memory_of(r, v);
    return m->bytes && !m->gone;
}

const char *run_graph_source(const RunGraph *r)
{
    return r->source;
}

/* ---- memory ------------------------------------------------------------- */

static void take_memory(RunGraph *r, Value v)
{
    Memory *m = memory_of(r, v);
    if (m->bytes)
        return;
    size_t size = (size_t)type_bytes(graph_type(r->g, v));
    char *bytes = aligned_alloc(64, (size + 2 * CANARY + 63) / 64 * 64);
    if (!bytes)
        abort();
    memset(bytes, 0xAB, size + 2 * CANARY);
    m->bytes = bytes + CANARY;
    m->ours = true;
}

static bool is_last_use(const RunGraph *r, uint32_t step, Value v)
{
    if (node_has(graph_node(r->g, v), T_SOURCE))
        return false;
    for (uint32_t s = step + 1; s < r->steps.n; s++)
        for (uint32_t i = 0; i < r->steps.step[s].n_in; i++)
            if (value_equal(r->steps.step[s].in[i], v))
                return false;
    return true;
}

/* The bytes of an operand for this result, if it may have them. */
static void overwrite_operand(RunGraph *r, uint32_t step, Value out)
{
    const Step *s = &r->steps.step[step];
    for (uint32_t i = 0; i < s->n_in; i++) {
        Memory *m = memory_of(r, s->in[i]);
        if (m->gone || !is_last_use(r, step, s->in[i]) ||
            !step_may_overwrite(r->g, s, out, s->in[i]))
            continue;
        *memory_of(r, out) = (Memory){m->bytes, false, false};
        m->gone = true;
        return;
    }
}

static void take_all(RunGraph *r, bool in_place)
{
    for (uint32_t id = 1; id < r->g->n_nodes; id++)
        if (node_has(&r->g->node[id], T_SOURCE))
            for (unsigned o = 0; o < r->g->node[id].n_out; o++)
                take_memory(r, node_value(id, o));
    for (uint32_t i = 0; i < r->steps.n; i++) {
        const Step *s = &r->steps.step[i];
        for (uint32_t o = 0; o < s->n_out; o++) {
            if (in_place)
                overwrite_operand(r, i, s->out[o]);
            take_memory(r, s->out[o]);
        }
    }
}

static bool canaries_live(const RunGraph *r, Error *e)
{
    for (uint32_t id = 1; id < r->g->n_nodes; id++)
        for (unsigned o = 0; o < r->g->node[id].n_out; o++) {
            Value v = node_value(id, o);
            const Memory *m = memory_of(r, v);
            if (!m->bytes || !m->ours)
                continue;
            int64_t size = type_bytes(graph_type(r->g, v));
            for (int i = 0; i < CANARY; i++)
                if ((m->bytes[i - CANARY] & 255) != 0xAB ||
                    (m->bytes[size + i] & 255) != 0xAB)
                    return error_set(e, "a kernel wrote beside %%%u", id);
        }
    return true;
}

/* ---- compiling ---------------------------------------------------------- */

static bool lower_steps(RunGraph *r, Error *e)
{
    r->kernels = kernels_new();
    r->code = arena_array(r->arena, r->steps.n, sizeof *r->code);
    for (uint32_t i = 0; i < r->steps.n; i++) {
        const Step *s = &r->steps.step[i];
        if (node_has(&r->g->node[s->first], T_ROOT) && s->first == s->last)
            continue; /* what it would copy is looked at itself */
        if (!kernels_add(r->kernels, r->g, s, &r->code[i], e))
            return false;
    }
    size_t size;
    FILE *f = open_memstream(&r->source, &size);
    kernels_print(r->kernels, 0, r->kernels->n_kernels, f);
    fclose(f);
    return true;
}

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    fputs(text, f);
    return fclose(f) == 0;
}

/* The compiler's words, for the message. */
static bool compile_failed(const RunGraph *r, const char *log, Error *e)
{
    char text[400] = "";
    FILE *f = fopen(log, "r");
    if (f) {
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
    }
    fprintf(stderr, "%s\n", r->source);
    return error_set(e, "cc: %s", text);
}

static bool compile(RunGraph *r, Error *e)
{
    snprintf(r->folder, sizeof r->folder, "/tmp/tgc-test-XXXXXX");
    if (!mkdtemp(r->folder))
        return error_set(e, "cannot make a folder in /tmp");
    Arena *a = r->arena;
    const char *c = arena_printf(a, "%s/k.c", r->folder);
    const char *so = arena_printf(a, "%s/k.so", r->folder);
    const char *log = arena_printf(a, "%s/log", r->folder);
    if (!write_file(c, r->source))
        return error_set(e, "cannot write %s", c);
    const char *argv[] = {"cc", "-shared", "-fPIC", "-O1", "-march=native",
                          "-fno-math-errno", "-fno-trapping-math",
                          "-fopenmp-simd", "-I", TGC_RUNTIME_FOLDER, "-o", so,
                          c, "-lm", NULL};
    Command command = {(char *const *)argv, log};
    int failed;
    sigset_t none;
    sigemptyset(&none);
    if (!process_run(&command, 1, 1, &none, &failed, e))
        return compile_failed(r, log, e);
    r->library = dlopen(so, RTLD_NOW);
    if (!r->library)
        return error_set(e, "%s", dlerror());
    r->run = arena_array(a, r->kernels->n_kernels, sizeof *r->run);
    for (size_t i = 0; i < r->kernels->n_kernels; i++)
        *(void **)&r->run[i] = dlsym(r->library, r->kernels->kernel[i].name);
    return true;
}

static void remove_folder(const RunGraph *r)
{
    const char *const name[] = {"k.c", "k.so", "log"};
    for (size_t i = 0; *r->folder && i < sizeof name / sizeof *name; i++)
        unlink(arena_printf(r->arena, "%s/%s", r->folder, name[i]));
    if (*r->folder)
        rmdir(r->folder);
}

static bool open_library(RunGraph *r, Error *e)
{
    const Kernels *k = r->kernels;
    size_t size = (size_t)k->scratch_bytes + 64;
    r->scratch = aligned_alloc(64, (size + 63) / 64 * 64);
    r->lib = lib_open(k->lib, (uint32_t)k->n_libs, 1, e->text, sizeof e->text);
    return r->lib != NULL;
}

static RunGraph *open_graph(const Graph *g, bool in_place, Error *e)
{
    Arena *a = arena_new();
    RunGraph *r = arena_alloc(a, sizeof *r);
    r->arena = a;
    r->g = g;
    r->steps = graph_steps(g, a);
    r->memory =
        arena_array(a, (size_t)g->n_nodes * MAX_OUT, sizeof *r->memory);
    take_all(r, in_place);
    if (lower_steps(r, e) && compile(r, e) && open_library(r, e)) {
        remove_folder(r);
        return r;
    }
    run_graph_close(r);
    return NULL;
}

RunGraph *run_graph_open(const Graph *g, Error *e)
{
    return open_graph(g, false, e);
}

RunGraph *run_graph_open_in_place(const Graph *g, Error *e)
{
    return open_graph(g, true, e);
}

void run_graph_close(RunGraph *r)
{
    if (!r)
        return;
    remove_folder(r);
    for (size_t i = 0; i < (size_t)r->g->n_nodes * MAX_OUT; i++)
        if (r->memory[i].ours)
            free(r->memory[i].bytes - CANARY);
    if (r->library)
        dlclose(r->library);
    lib_close(r->lib);
    free(r->scratch);
    free(r->source);
    kernels_free(r->kernels);
    arena_free(r->arena);
}

/* ---- running ------------------------------------------------------------ */

static void run_parts(const RunGraph *r, const StepCode *code,
                      const KernelCall *call, uint32_t shuffle)
{
    Kernel *run = r->run[code->kernel];
    if (!shuffle) {
        run(call, 0, code->parts);
        return;
    }
    int64_t pieces = code->parts < 5 ? code->parts : 5;
    for (int64_t i = 0; i < pieces; i++) {
        int64_t k = (i + shuffle) % pieces;
        if (shuffle % 2)
            k = pieces - 1 - k;
        run(call, code->parts * k / pieces, code->parts * (k + 1) / pieces);
    }
}

bool run_graph_run(RunGraph *r, uint32_t shuffle, Error *e)
{
    for (uint32_t i = 0; i < r->steps.n; i++) {
        const Step *s = &r->steps.step[i];
        const StepCode *code = &r->code[i];
        if (!code->parts)
            continue;
        char **buffer = calloc(s->n_in + s->n_out + 1, sizeof *buffer);
        for (uint32_t k = 0; k < s->n_out; k++)
            buffer[k] = memory_of(r, s->out[k])->bytes;
        for (uint32_t k = 0; k < s->n_in; k++)
            buffer[s->n_out + k] = memory_of(r, s->in[k])->bytes;
        struct LibCall *lib =
            code->lib == UINT32_MAX ? NULL : lib_call(r->lib, code->lib);
        KernelCall call = {buffer, &lib, r->scratch, 0};
        run_parts(r, code, &call, shuffle);
        free(buffer);
    }
    if (lib_failure(r->lib))
        return error_set(e, "library: %s", lib_failure(r->lib));
    return canaries_live(r, e);
}
