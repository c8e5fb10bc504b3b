/* run_graph.c: see run_graph.h. */
#include "run_graph.h"
#include "codegen.h"
#include "emulate.h"
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
    RunSet *set;
    const Graph *g;
    Steps steps;
    StepCode *code, *first; /* of each step; as the model of costs has it */
    Memory *memory;
};

struct RunSet {
    Arena *arena;
    RunGraph **graph;
    size_t n_graphs, cap_graphs;
    Kernels *kernels;
    Kernel **run; /* of each kernel */
    Lib *lib;
    char *scratch, *source;
    void *library;
    Emulated *emulated; /* instead, for cuda */
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

static double from_f16(uint16_t x)
{
    int exponent = x >> 10 & 31;
    double fraction = (x & 1023) / 1024.0;
    double v =
        exponent ? ldexp(1 + fraction, exponent - 15) : ldexp(fraction, -14);
    if (exponent == 31)
        v = fraction != 0 ? NAN : INFINITY;
    return x >> 15 ? -v : v;
}

/* Of numbers that are not too small: no subnormal ones. */
static uint16_t to_f16(double x)
{
    int exponent;
    double fraction = frexp(fabs(x), &exponent); /* 0.5 <= fraction < 1 */
    if (x == 0 || exponent < -13)
        return 0;
    int bits = (exponent + 14) * 1024 + (int)rint((fraction * 2 - 1) * 1024);
    return (uint16_t)(bits | (x < 0) << 15);
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
    case DT_F16:
        return from_f16(((const uint16_t *)p)[i]);
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
    case DT_F16:
        ((uint16_t *)p)[i] = to_f16(x);
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

const char *run_set_source(const RunSet *s)
{
    return s->source;
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

static bool is_update(const Graph *g, const Step *s)
{
    return node_has(&g->node[s->first], T_ROOT) && !g->node[s->first].group;
}

static bool lower_steps(RunGraph *r, Error *e)
{
    r->code = arena_array(r->set->arena, r->steps.n, sizeof *r->code);
    for (uint32_t i = 0; i < r->steps.n; i++) {
        const Step *s = &r->steps.step[i];
        if (is_update(r->g, s))
            continue; /* what it would copy is looked at itself */
        if (!kernels_add(r->set->kernels, r->g, s, &r->code[i], e))
            return false;
    }
    r->first = arena_array(r->set->arena, r->steps.n, sizeof *r->first);
    memcpy(r->first, r->code, r->steps.n * sizeof *r->first);
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
static bool compile_failed(const RunSet *s, const char *log, Error *e)
{
    char text[400] = "";
    FILE *f = fopen(log, "r");
    if (f) {
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
    }
    fprintf(stderr, "%s\n", s->source);
    return error_set(e, "cc: %s", text);
}

static bool compile(RunSet *s, Error *e)
{
    Arena *a = s->arena;
    bool cuda = target_is_cuda(s->kernels->target);
    const char *c = arena_printf(a, "%s/k.c%s", s->folder, cuda ? "u" : "");
    const char *so = arena_printf(a, "%s/k.so", s->folder);
    const char *log = arena_printf(a, "%s/log", s->folder);
    if (!write_file(c, s->source))
        return error_set(e, "cannot write %s", c);
    const char *argv[] = {"cc",
                          "-shared",
                          "-fPIC",
                          "-O2",
                          "-march=native",
                          "-fno-math-errno",
                          "-fno-trapping-math",
                          "-fopenmp-simd",
                          "-I",
                          TGC_RUNTIME_FOLDER,
                          "-o",
                          so,
                          c,
                          "-lm",
                          NULL};
    Command command = {.argv = (char *const *)argv, .log = log};
    int failed;
    sigset_t none;
    sigemptyset(&none);
    if (cuda) {
        s->emulated = emulated_open(c, so, log, e);
        return s->emulated || compile_failed(s, log, e);
    }
    if (!process_run(&command, 1, 1, &none, &failed, e))
        return compile_failed(s, log, e);
    s->library = dlopen(so, RTLD_NOW);
    return s->library || error_set(e, "%s", dlerror());
}

static void find_kernels(RunSet *s)
{
    s->run = arena_array(s->arena, s->kernels->n_kernels, sizeof *s->run);
    for (size_t i = 0; s->library && i < s->kernels->n_kernels; i++)
        *(void **)&s->run[i] = dlsym(s->library, s->kernels->kernel[i].name);
}

static void remove_folder(const RunSet *s)
{
    const char *const name[] = {"k.c", "k.cu", "k.so", "log"};
    for (size_t i = 0; *s->folder && i < sizeof name / sizeof *name; i++)
        unlink(arena_printf(s->arena, "%s/%s", s->folder, name[i]));
    if (*s->folder)
        rmdir(s->folder);
}

static bool open_library(RunSet *s, Error *e)
{
    const Kernels *k = s->kernels;
    size_t size = (size_t)k->scratch_bytes + 64;
    s->scratch = aligned_alloc(64, (size + 63) / 64 * 64);
    s->lib = lib_open(k->lib, (uint32_t)k->n_libs, 1, e->text, sizeof e->text);
    return s->lib != NULL;
}

RunSet *run_set_new(void)
{
    Arena *a = arena_new();
    RunSet *s = arena_alloc(a, sizeof *s);
    s->arena = a;
    s->kernels = kernels_new(target_named(test_target()));
    return s;
}

void run_set_tiles(RunSet *s, int each)
{
    s->kernels->tiles_each = each;
}

RunGraph *run_set_add(RunSet *s, const Graph *g, bool in_place, Error *e)
{
    Arena *a = s->arena;
    RunGraph *r = arena_alloc(a, sizeof *r);
    r->set = s;
    r->g = g;
    r->steps = graph_steps(g, a);
    r->memory = arena_array(a, (size_t)g->n_nodes * MAX_OUT, sizeof *r->memory);
    ARENA_PUSH(a, s->graph, s->n_graphs, s->cap_graphs, r);
    take_all(r, in_place);
    return lower_steps(r, e) ? r : NULL;
}

bool run_set_compile(RunSet *s, Error *e)
{
    size_t size;
    FILE *f = open_memstream(&s->source, &size);
    kernels_print(s->kernels, 0, s->kernels->n_kernels, f);
    fclose(f);
    snprintf(s->folder, sizeof s->folder, "/tmp/tgc-test-XXXXXX");
    if (!mkdtemp(s->folder))
        return error_set(e, "cannot make a folder in /tmp");
    bool ok = compile(s, e) && open_library(s, e);
    remove_folder(s);
    if (ok)
        find_kernels(s);
    return ok;
}

void run_set_free(RunSet *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_graphs; i++) {
        RunGraph *r = s->graph[i];
        for (size_t k = 0; k < (size_t)r->g->n_nodes * MAX_OUT; k++)
            if (r->memory[k].ours)
                free(r->memory[k].bytes - CANARY);
    }
    if (s->library)
        dlclose(s->library);
    emulated_close(s->emulated);
    lib_close(s->lib);
    free(s->scratch);
    free(s->source);
    kernels_free(s->kernels);
    arena_free(s->arena);
}

/* ---- running ------------------------------------------------------------ */

/* The same buffer may be a result and an operand. */
static bool run_emulated(const RunGraph *r, const Step *s, const StepCode *code,
                         uint32_t shuffle, Error *e)
{
    uint32_t n = s->n_out + s->n_in;
    EmulatedArg *arg = calloc(n + 1, sizeof *arg);
    for (uint32_t i = 0; i < n; i++) {
        Value v = i < s->n_out ? s->out[i] : s->in[i - s->n_out];
        size_t bytes = (size_t)type_bytes(graph_type(r->g, v));
        bool result = i < s->n_out;
        arg[i] = (EmulatedArg){memory_of(r, v)->bytes, bytes, result, result};
    }
    for (uint32_t o = 0; o < s->n_out; o++)
        for (uint32_t i = s->n_out; i < n; i++)
            arg[o].fresh &= arg[o].at != arg[i].at;
    const KernelText *k = &r->set->kernels->kernel[code->kernel];
    const EmulatedLaunch l = {.kernel = k->name,
                              .parts = code->parts,
                              .threads = k->threads,
                              .shared = k->shared,
                              .arg = arg,
                              .n_args = n,
                              .seed = shuffle};
    bool ok = emulated_launch(r->set->emulated, &l, e);
    free(arg);
    return ok;
}

static void run_parts(const RunGraph *r, const StepCode *code,
                      const KernelCall *call, uint32_t shuffle)
{
    Kernel *run = r->set->run[code->kernel];
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

/* Candidate number i of a step's kernel. */
static const KernelCandidate *candidate(const Kernels *k, uint32_t kernel,
                                        int i)
{
    for (size_t c = 0; c < k->n_candidates; c++)
        if (k->candidate[c].instead == kernel && i-- == 0)
            return &k->candidate[c];
    return NULL;
}

bool run_graph_tile(RunGraph *r, int i)
{
    bool any = false;
    for (uint32_t s = 0; s < r->steps.n; s++) {
        const KernelCandidate *c =
            candidate(r->set->kernels, r->first[s].kernel, i);
        r->code[s] = r->first[s];
        if (!c || !r->first[s].parts)
            continue;
        any = true;
        r->code[s].kernel = c->kernel;
        r->code[s].parts = c->parts;
    }
    return any;
}

bool run_graph_run(RunGraph *r, uint32_t shuffle, Error *e)
{
    for (uint32_t i = 0; i < r->steps.n; i++) {
        const Step *s = &r->steps.step[i];
        const StepCode *code = &r->code[i];
        if (!code->parts)
            continue;
        if (target_is_cuda(r->set->kernels->target)) {
            if (!run_emulated(r, s, code, shuffle, e))
                return false;
            continue;
        }
        char **buffer = calloc(s->n_in + s->n_out + 1, sizeof *buffer);
        for (uint32_t k = 0; k < s->n_out; k++)
            buffer[k] = memory_of(r, s->out[k])->bytes;
        for (uint32_t k = 0; k < s->n_in; k++)
            buffer[s->n_out + k] = memory_of(r, s->in[k])->bytes;
        struct LibCall *lib =
            code->lib == UINT32_MAX ? NULL : lib_call(r->set->lib, code->lib);
        KernelCall call = {buffer, &lib, r->set->scratch, 0};
        run_parts(r, code, &call, shuffle);
        free(buffer);
    }
    if (lib_failure(r->set->lib))
        return error_set(e, "library: %s", lib_failure(r->set->lib));
    return canaries_live(r, e);
}
