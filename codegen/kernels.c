/* kernels.c: collects the kernels of a module; equal ones are one. */
#include "kernels.h"
#include "anchor.h"
#include "codegen.h"
#include "libcall.h"
#include "print_c.h"
#include "print_cuda.h"
#include "rows.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    ABOUT_NODES = 24, /* lines of a comment */
    UNIT_LEAST = 4,   /* kernels of a unit */
    UNIT_MOST = 16,
    UNIT_CHANCE = 6, /* so many more, on average, end one */
    NAME_BITS = 40
};

Kernels *kernels_new(const Target *t)
{
    Arena *a = arena_new();
    Kernels *k = arena_alloc(a, sizeof *k);
    k->arena = a;
    k->target = t;
    return k;
}

void kernels_free(Kernels *k)
{
    if (k)
        arena_free(k->arena);
}

/* ---- words for people --------------------------------------------------- */

const char *step_name(const Graph *g, const Step *s, Arena *a)
{
    const char *last = NULL;
    char *text = NULL;
    int n = 0;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const char *op = g->node[id].op->name;
        if (node_has(&g->node[id], T_VIEW) && s->first != s->last)
            continue;
        if (last && !strcmp(last, op))
            continue;
        if (n++ == 6)
            return arena_printf(a, "%s ...", text);
        text = text ? arena_printf(a, "%s %s", text, op) : arena_strdup(a, op);
        last = op;
    }
    const char *name = g->node[s->last].name;
    text = text ? text : "view";
    return name ? arena_printf(a, "%s %s", text, name) : text;
}

const char *place_name(const Module *m, Loc loc, Arena *a)
{
    const char *text = "";
    for (Loc l = loc; l; l = m->loc[l].caller) {
        const LocInfo *info = &m->loc[l];
        const char *slash = strrchr(info->file, '/');
        text = arena_printf(
            a, "%s%s%s:%d:%d", text, l == loc ? "" : ", called from ",
            slash ? slash + 1 : info->file, info->line, info->column);
    }
    return text;
}

static const char *type_words(const Type *t, Arena *a)
{
    char text[256];
    type_print(t, text, sizeof text);
    return arena_strdup(a, text);
}

static const char *what_and_where(const Graph *g, const Step *s, Arena *a)
{
    const char *loc = place_name(g->module, g->node[s->last].loc, a);
    return arena_printf(a, "%s%s%s", step_name(g, s, a), *loc ? ", " : "", loc);
}

/* The comment above a kernel: where it comes from, its nodes. */
static const char *about_step(const Graph *g, const Step *s, Arena *a)
{
    char *text = arena_printf(a, "/* %s\n", what_and_where(g, s, a));
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &g->node[id];
        if (id - s->first == ABOUT_NODES) {
            text = arena_printf(a, "%s *     ... %u more\n", text,
                                s->last - id + 1);
            break;
        }
        text = arena_printf(a, "%s *     %s%s", text, n->op->name,
                            n->n_in ? " of" : "");
        for (uint32_t i = 0; i < n->n_in; i++)
            text = arena_printf(a, "%s %s", text,
                                type_words(graph_type(g, n->in[i]), a));
        text = arena_printf(a, "%s\n", text);
    }
    return arena_printf(a, "%s */\n", text);
}

/* ---- kernels ------------------------------------------------------------ */

typedef struct TextKey {
    const Kernels *k;
    const char *text;
} TextKey;

static bool text_same(const void *key, uint32_t id)
{
    const TextKey *t = key;
    return !strcmp(t->k->kernel[id - 1].text, t->text);
}

static const char *step_op(const Graph *g, const Step *s)
{
    uint32_t anchor = step_anchor(g, s);
    return g->node[anchor ? anchor : s->last].op->name;
}

static uint64_t head_hash(void)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    print_cuda_head(f);
    fclose(f);
    uint64_t hash = hash_text(0, text);
    free(text);
    return hash;
}

const char *kernels_text_name(Kernels *k, const Graph *g, const Step *s,
                              const char *text)
{
    if (!k->head)
        k->head = head_hash();
    return arena_printf(k->arena, "%s_%010" PRIx64, step_op(g, s),
                        hash_text(k->head, text) >> (64 - NAME_BITS));
}

/* On a GPU a kernel is called by what is in it, so that its image may be taken
 * from another model's compile; and where a unit ends follows from what is in
 * it, so that a kernel more or less changes one unit, not all that follow. */
static void name_by_text(Kernels *k, const Graph *g, const Step *s,
                         KernelText *t, uint64_t hash)
{
    t->name = kernels_text_name(k, g, s, t->text);
    t->unit = k->unit;
    k->in_unit++;
    if (k->in_unit < UNIT_LEAST ||
        (k->in_unit < UNIT_MOST && hash % UNIT_CHANCE))
        return;
    k->unit++;
    k->in_unit = 0;
}

/* In texts the kernel's name is @, which C does not know. */
uint32_t kernels_add_text(Kernels *k, const Graph *g, const Step *s,
                          const char *text)
{
    uint64_t hash = hash_text(0, text);
    uint32_t id = hash_find(&k->by_text, hash, text_same, &(TextKey){k, text});
    if (!id) {
        KernelText t = {.name = arena_printf(k->arena, "k%zu_%s", k->n_kernels,
                                             step_op(g, s)),
                        .about = about_step(g, s, k->arena),
                        .what = what_and_where(g, s, k->arena),
                        .text = arena_strdup(k->arena, text)};
        if (target_is_cuda(k->target))
            name_by_text(k, g, s, &t, hash);
        ARENA_PUSH(k->arena, k->kernel, k->n_kernels, k->cap_kernels, t);
        id = (uint32_t)k->n_kernels;
        hash_add(&k->by_text, k->arena, hash, id);
    }
    k->kernel[id - 1].uses++;
    return id - 1;
}

static bool add_generic(Kernels *k, const Graph *g, const Step *s,
                        StepCode *code, Error *e)
{
    Arena *scratch = arena_new();
    const KernelIr *kernel = kernel_lower(g, s, scratch, e);
    if (kernel) {
        char *text;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        print_c_kernel(kernel, "@", f);
        fclose(f);
        *code = (StepCode){kernels_add_text(k, g, s, text), UINT32_MAX,
                           kernel->parts};
        free(text);
    }
    arena_free(scratch);
    return kernel != NULL;
}

static void add_rows(Kernels *k, const Graph *g, const Step *s, StepCode *code)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    int64_t parts = rows_print_c(g, s, "@", f);
    fclose(f);
    *code = (StepCode){kernels_add_text(k, g, s, text), UINT32_MAX, parts};
    free(text);
}

/* ---- library calls ------------------------------------------------------ */

typedef struct LibKey {
    const Kernels *k;
    const LibDesc *desc;
} LibKey;

static bool lib_same(const void *key, uint32_t id)
{
    const LibKey *l = key;
    return !memcmp(&l->k->lib[id - 1], l->desc, sizeof *l->desc);
}

/* Its number, and the scratch memory that it wants. */
static bool add_lib(Kernels *k, const LibDesc *d, uint32_t *number,
                    int64_t *scratch, Error *e)
{
    uint64_t hash = hash_bytes(0, d, sizeof *d);
    uint32_t id = hash_find(&k->by_lib, hash, lib_same, &(LibKey){k, d});
    if (!id) {
        LibInfo info;
        if (!lib_query(d, &info, e->text, sizeof e->text))
            return false;
        ARENA_PUSH(k->arena, k->lib, k->n_libs, k->cap_libs, *d);
        ARENA_PUSH(k->arena, k->lib_scratch, k->n_scratch, k->cap_scratch,
                   info.scratch_bytes);
        id = (uint32_t)k->n_libs;
        hash_add(&k->by_lib, k->arena, hash, id);
    }
    *number = id - 1;
    *scratch = k->lib_scratch[id - 1];
    return true;
}

/* The loop over pieces is ours, so that what is fused before and after a call
 * runs on the same piece. */
static bool add_library(Kernels *k, const Graph *g, const Step *s,
                        uint32_t anchor, StepCode *code, Error *e)
{
    const Node *n = &g->node[anchor];
    if (!libcall_lies_well(g, n))
        return error_set(e,
                         "an operand of %s is in a layout that the library "
                         "does not read",
                         n->op->name);
    LibDesc desc;
    int64_t scratch;
    libcall_desc(g, n, &desc);
    if (!add_lib(k, &desc, &code->lib, &scratch, e))
        return false;
    Arena *a = arena_new();
    const char *text = anchor_text(g, s, scratch, a, e);
    if (text) {
        if (s->first != s->last)
            scratch = anchor_scratch(g, s, scratch);
        if (k->scratch_bytes < scratch)
            k->scratch_bytes = scratch;
        code->kernel = kernels_add_text(k, g, s, text);
        code->parts = libcall_parts(g, n).parts;
    }
    arena_free(a);
    return text != NULL;
}

bool kernels_add(Kernels *k, const Graph *g, const Step *s, StepCode *code,
                 Error *e)
{
    if (target_is_cuda(k->target))
        return kernels_add_cuda(k, g, s, code, e);
    uint32_t anchor = step_anchor(g, s);
    if (anchor && node_has(&g->node[anchor], T_LIBRARY))
        return add_library(k, g, s, anchor, code, e);
    if (anchor && rows_fits(g, &g->node[anchor])) {
        add_rows(k, g, s, code);
        return true;
    }
    return add_generic(k, g, s, code, e);
}

/* ---- printing ----------------------------------------------------------- */

static void print_named(const char *text, const char *name, FILE *out)
{
    for (const char *at; (at = strchr(text, '@')); text = at + 1)
        fprintf(out, "%.*s%s", (int)(at - text), text, name);
    fputs(text, out);
}

void kernel_print(const KernelText *k, FILE *out)
{
    fputs(k->about, out);
    print_named(k->text, k->name, out);
}

void kernels_print(const Kernels *k, size_t begin, size_t end, FILE *out)
{
    if (target_is_cuda(k->target))
        print_cuda_head(out);
    else
        print_c_head(out);
    for (size_t i = begin; i < end; i++)
        kernel_print(&k->kernel[i], out);
    if (target_is_cuda(k->target) && end == k->n_kernels)
        print_cuda_fetch(out);
}

void kernels_print_declarations(const Kernels *k, FILE *out)
{
    for (size_t i = 0; i < k->n_kernels; i++)
        fprintf(out, "Kernel %s;\n", k->kernel[i].name);
}
