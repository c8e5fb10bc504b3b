/* command_export.c: `tgc export`: a net with its weights as an ONNX file, or
 * its weights alone as a file that torch.load opens, or as safetensors.
 *
 * The model is built as for a compile, but for float32 and for a batch that no
 * other size is a multiple of (codegen/onnx.h); none of it is run. */
#include "commands.h"
#include "frontend.h"
#include "onnx.h"
#include "weights.h"
#include "weights_write.h"
#include <stdlib.h>
#include <string.h>

enum { NAMES_SHOWN = 3 };

/* ---- weights ------------------------------------------------------------- */

typedef struct Source {
    WeightFile *file;
    bool average; /* the average where there is one */
} Source;

static const Weight *find_weight(const Source *from, const State *s)
{
    Arena *a = arena_new();
    const Weight *w = NULL;
    if (from->average)
        w = weights_find(from->file, arena_printf(a, "%s.average", s->name));
    arena_free(a);
    return w ? w : weights_find(from->file, s->name);
}

static bool has_average(const Module *m, const WeightFile *f)
{
    Source average = {(WeightFile *)f, true}, plain = {(WeightFile *)f, false};
    for (size_t i = 0; i < m->n_states; i++)
        if (find_weight(&average, &m->state[i]) !=
            find_weight(&plain, &m->state[i]))
            return true;
    return false;
}

static bool same_shape(const Weight *w, const Type *t)
{
    bool same = w->rank == t->rank;
    for (int i = 0; same && i < t->rank; i++)
        same = w->dim[i] == t->dim[i];
    return same;
}

/* "[16,3,3,3]" */
static const char *shape_text(const int64_t *dim, int rank, Arena *a)
{
    const char *text = "[";
    for (int i = 0; i < rank; i++)
        text =
            arena_printf(a, "%s%s%lld", text, i ? "," : "", (long long)dim[i]);
    return arena_printf(a, "%s]", text);
}

/* All that does not fit, as one message. */
static bool check_weights(const Module *m, const Source *from)
{
    if (from->average && !has_average(m, from->file)) {
        fprintf(stderr,
                "tgc: %s has no average of the weights (setting average makes "
                "one)\n",
                weights_path(from->file));
        return false;
    }
    Arena *a = arena_new();
    const char *text = "";
    int wrong = 0;
    for (size_t i = 0; i < m->n_states; i++) {
        const State *s = &m->state[i];
        const Weight *w = find_weight(from, s);
        if (s->role > STATE_BUFFER || (w && same_shape(w, &s->type)))
            continue;
        if (wrong++ >= NAMES_SHOWN)
            continue;
        const char *here = shape_text(s->type.dim, s->type.rank, a);
        text = arena_printf(
            a, "%s%s%s %s%s%s", text, wrong > 1 ? "; " : "", s->name,
            w ? "is " : "is missing", w ? shape_text(w->dim, w->rank, a) : "",
            w ? arena_printf(a, " there and %s here", here) : "");
    }
    if (wrong)
        fprintf(stderr, "tgc: %s does not fit %s: %s%s\n",
                weights_path(from->file), m->name, text,
                wrong > NAMES_SHOWN ? "; .." : "");
    arena_free(a);
    return !wrong;
}

static bool read_state(void *context, const State *s, float *to, Error *e)
{
    const Source *from = context;
    Status status = {0};
    const Weight *w = find_weight(from, s);
    return (w && weights_read(from->file, w, PLAN_F32, to, &status)) ||
           error_set(e, "%.900s", status.text);
}

/* ---- weights alone ------------------------------------------------------- */

typedef struct Chosen {
    const Source *from;
    const State **state; /* of each item */
} Chosen;

static bool item_values(void *context, uint32_t i, float *to, Status *s)
{
    const Chosen *c = context;
    const Weight *w = find_weight(c->from, c->state[i]);
    return weights_read(c->from->file, w, PLAN_F32, to, s);
}

/* What only training needs stays out. */
static WeightList list_weights(const Module *m, Chosen *chosen, Arena *a)
{
    WeightItem *item = arena_array(a, m->n_states, sizeof *item);
    WeightList l = {.item = item, .values = item_values, .context = chosen};
    chosen->state = arena_array(a, m->n_states, sizeof *chosen->state);
    for (size_t i = 0; i < m->n_states; i++) {
        const State *s = &m->state[i];
        if (s->role > STATE_BUFFER)
            continue;
        item[l.n] = (WeightItem){.name = s->name, .rank = s->type.rank};
        memcpy(item[l.n].dim, s->type.dim,
               (size_t)s->type.rank * sizeof *s->type.dim);
        chosen->state[l.n++] = s;
    }
    return l;
}

static int write_weights(const CommandLine *c, const Module *m,
                         const Source *from, bool torch)
{
    Arena *a = arena_new();
    Chosen chosen = {.from = from};
    WeightList l = list_weights(m, &chosen, a);
    Status s = {0};
    Output out;
    int code = 1;
    if (output_open(&out, c->output)) {
        bool good = torch ? weights_write_torch(out.file, &l, &s)
                          : weights_write_safetensors(out.file, &l, &s);
        code = output_close(&out, good);
    }
    arena_free(a);
    return s.failed ? fail(s.text) : code;
}

/* ---- the command --------------------------------------------------------- */

/* As float32, for inference, for a batch of any size. */
static Module *load_for_export(const CommandLine *c)
{
    static const char *const set[] = {"batch=65537", "precision=f32",
                                      "tail=drop", "accumulate=1",
                                      "test_flip=false"};
    CommandLine line = *c;
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        if (line.set.n == WORDS_MOST) {
            fail("too many --set");
            return NULL;
        }
        line.set.word[line.set.n++] = set[i];
    }
    return load_module(&line);
}

static int write_onnx(const CommandLine *c, const Module *m, Source *from)
{
    OnnxModel model = {module_graph(m, "eval"), read_state, from};
    Protobuf file;
    Error e;
    Output out;
    if (!model.graph)
        return fail("export wants a .net file: graphs of their own have no "
                    "\"eval\"");
    if (!onnx_write(&model, &file, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    int code = 1;
    if (output_open(&out, c->output)) {
        fwrite(file.data, 1, file.n, out.file);
        code = output_close(&out, true);
    }
    free(file.data);
    return code;
}

static bool ends_with(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n > k && !strcmp(path + n - k, ending);
}

/* As the name of the file says. */
static int write_file(const CommandLine *c, const Module *m, Source *from)
{
    static const char *const torch[] = {".pth", ".pt", ".th"};
    for (size_t i = 0; i < sizeof torch / sizeof *torch; i++)
        if (ends_with(c->output, torch[i]))
            return write_weights(c, m, from, true);
    return ends_with(c->output, ".safetensors")
               ? write_weights(c, m, from, false)
               : write_onnx(c, m, from);
}

int run_export(const CommandLine *c)
{
    Status s = {0};
    if (!c->weights || !c->output)
        return fail("tgc export FILE.net --weights W -o FILE.onnx (or .pth, "
                    ".safetensors): one of "
                    "these is missing");
    if (ends_with(c->input, ".ir"))
        return fail("export wants a .net file, whose batch it may choose");
    Module *m = load_for_export(c);
    Source from = {m ? weights_open(c->weights, &s) : NULL, c->average};
    int code =
        from.file && check_weights(m, &from) ? write_file(c, m, &from) : 1;
    if (s.failed)
        fail(s.text);
    weights_close(from.file);
    module_free(m);
    return code;
}
