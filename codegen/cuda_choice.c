/* cuda_choice.c: see cuda_choice.h. */
#include "cuda_choice.h"
#include "codegen.h"
#include "hash.h"
#include "settings.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAMES_MOST = 200, /* of convolutions that are timed, the first ones */
    WORDS_MOST = 80   /* of a name, before its number */
};

static const char variant_start[] = "train.";

/* ---- what it is --------------------------------------------------------- */

static bool is_grad_weight(const Node *n)
{
    return node_is(n, &op_conv_grad_weight) ||
           node_is(n, &op_lib_conv_grad_weight) ||
           node_is(n, &op_cudnn_conv_grad_weight);
}

static bool is_grad_input(const Node *n)
{
    return node_is(n, &op_conv_grad_input) ||
           node_is(n, &op_cudnn_conv_grad_input);
}

static bool is_conv(const Node *n)
{
    return node_is(n, &op_conv) || node_is(n, &op_cudnn_conv) ||
           is_grad_input(n) || is_grad_weight(n);
}

static bool is_cudnn(const Node *n)
{
    return node_is(n, &op_cudnn_conv) ||
           node_is(n, &op_cudnn_conv_grad_input) ||
           node_is(n, &op_cudnn_conv_grad_weight);
}

static void print_ints(FILE *f, const char *before, const int64_t *v, int n)
{
    fputs(before, f);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s%" PRId64, i ? "x" : "", v[i]);
}

static void print_attr(FILE *f, const char *before, const Node *n,
                       const char *name)
{
    int count;
    const int64_t *v = node_ints(n, name, &count);
    print_ints(f, before, v, count);
}

/* The shape of the weights that a gradient is of. */
static void print_weights(FILE *f, const Graph *g, const Node *n)
{
    const Type *x = graph_type(g, n->in[0]), *y = graph_type(g, n->in[1]);
    const int64_t of[] = {y->dim[1], x->dim[1] / node_int(n, "groups")};
    print_ints(f, "_by_", of, 2);
    if (node_is(n, &op_lib_conv_grad_weight))
        print_attr(f, "x", n, "kernel");
    else
        print_ints(f, "x", &n->type[0].dim[2], n->type[0].rank - 2);
}

/* All that there is to it, however it is lowered and its operands lie:
 * "conv_f16_128x16x32x32_by_16x16x3x3_stride_1x1..". */
static void print_conv(FILE *f, const Graph *g, const Node *n)
{
    const Type *x = is_grad_input(n) ? &n->type[0] : graph_type(g, n->in[0]);
    fprintf(f, "%s_%s",
            is_grad_input(n)    ? "conv_grad_input"
            : is_grad_weight(n) ? "conv_grad_weight"
                                : "conv",
            dtype_name(x->dtype));
    print_ints(f, "_", x->dim, x->rank);
    if (is_grad_weight(n)) {
        print_weights(f, g, n);
    } else {
        const Type *w = graph_type(g, n->in[1]);
        print_ints(f, "_by_", w->dim, w->rank);
    }
    print_attr(f, "_stride_", n, "stride");
    print_attr(f, "_pad_", n, "pad_low");
    print_attr(f, "_", n, "pad_high");
    print_attr(f, "_dilation_", n, "dilation");
    fprintf(f, "_groups_%" PRId64, node_int(n, "groups"));
}

/* Readable, and one to a convolution. */
static void conv_name(const Graph *g, const Node *n, char name[TILES_NAME])
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    print_conv(f, g, n);
    fclose(f);
    char *end = strstr(text, "_stride");
    snprintf(name, TILES_NAME, "%.*s_%010" PRIx64,
             end - text < WORDS_MOST ? (int)(end - text) : WORDS_MOST, text,
             hash_text(0, text) >> 24);
    free(text);
}

/* ---- what cuDNN can ----------------------------------------------------- */

static bool pads_evenly(const Node *n)
{
    int count;
    const int64_t *low = node_ints(n, "pad_low", &count);
    const int64_t *high = node_ints(n, "pad_high", &count);
    return !memcmp(low, high, (size_t)count * sizeof *low);
}

/* cuDNN's engines count elements in 32 bits. */
static bool is_countable(const Graph *g, const Node *n)
{
    int64_t most = type_elements(&n->type[0]);
    for (uint32_t i = 0; i < n->n_in; i++) {
        int64_t elements = type_elements(graph_type(g, n->in[i]));
        most = most > elements ? most : elements;
    }
    return most < INT32_MAX;
}

/* Why it is ours, whatever is faster; NULL: it need not be. */
static const char *refusal(const Graph *g, const Node *n)
{
    if (settings_number(&g->module->settings, "cudnn") == 0)
        return "cudnn = false";
    if (is_grad_weight(n) && dtype_is_half(graph_type(g, n->in[0])->dtype))
        return "cuDNN would round the gradient of the weights to 16 bits";
    if (!pads_evenly(n))
        return "cuDNN pads both ends alike";
    if (!is_countable(g, n))
        return "more elements than cuDNN counts";
    return NULL;
}

/* ---- who ---------------------------------------------------------------- */

/* "cudnn" or "tgc", as this copy of the training step has it; NULL: as ever. */
static const char *variant_who(const Graph *g, const char *name)
{
    static const char *const whose[] = {"cudnn", "tgc"};
    const char *at = g->name;
    size_t start = sizeof variant_start - 1;
    if (strncmp(at, variant_start, start))
        return NULL;
    at += start;
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(whose[i]);
        if (!strncmp(at, whose[i], n) && at[n] == '.' &&
            (!strcmp(at + n + 1, name) || !strcmp(at + n + 1, "all")))
            return whose[i];
    }
    return NULL;
}

static bool is_chosen(const ConvChoice *c, const char *name)
{
    const TileRow *row = c && c->tiles ? tiles_find(c->tiles, name) : NULL;
    return row ? !strcmp(row->who, "cudnn") : !c || !c->vary;
}

bool choice_is_cudnn(const Target *t, const Graph *g, const Node *n)
{
    char name[TILES_NAME];
    if (!is_conv(n) || node_has(n, T_LIBRARY) || refusal(g, n))
        return false;
    conv_name(g, n, name);
    const char *who = variant_who(g, name);
    return who ? !strcmp(who, "cudnn") : is_chosen(t->choice, name);
}

const char *choice_why(const TileTable *tiles, const Graph *g, const Node *n,
                       Arena *a)
{
    char name[TILES_NAME];
    if (!is_conv(n))
        return NULL;
    const char *why = refusal(g, n);
    if (why)
        return why;
    conv_name(g, n, name);
    const TileRow *row = tiles ? tiles_find(tiles, name) : NULL;
    if (!row)
        return is_cudnn(n) ? NULL : "not timed";
    bool cudnn = !strcmp(row->who, "cudnn");
    if (!strcmp(row->tile, "all"))
        return arena_printf(a,
                            "timed: a step of %.1f us with all convolutions "
                            "%s, of %.1f us otherwise",
                            row->best, cudnn ? "cuDNN's" : "tgc's", row->model);
    return arena_printf(a, "timed: a step of %.1f us so, of %.1f us by %s",
                        row->best, row->model, cudnn ? "tgc" : "cuDNN");
}

/* ---- copies of the step ------------------------------------------------- */

typedef struct Names {
    Arena *arena;
    const char **name;
    size_t n, cap;
    bool some[2]; /* of ours, of cuDNN's */
} Names;

static void add_name(Names *x, const char *who, const char *of)
{
    const char *name = arena_printf(x->arena, "%s%s%s%s", variant_start, who,
                                    *of ? "." : "", of);
    for (size_t i = 0; i < x->n; i++)
        if (!strcmp(x->name[i], name))
            return;
    ARENA_PUSH(x->arena, x->name, x->n, x->cap, name);
}

const char *const *choice_variants(const Target *t, const Graph *g, Arena *a)
{
    const ConvChoice *choice = t->choice;
    Names x = {.arena = a};
    if (!choice || !choice->vary)
        return NULL;
    add_name(&x, "base", "");
    for (uint32_t id = 1; id < g->n_nodes && x.n < NAMES_MOST; id++) {
        const Node *n = &g->node[id];
        char name[TILES_NAME];
        if (!is_conv(n) || node_has(n, T_LIBRARY) || refusal(g, n))
            continue;
        conv_name(g, n, name);
        bool cudnn = is_chosen(choice, name);
        x.some[cudnn] = true;
        add_name(&x, cudnn ? "tgc" : "cudnn", name);
    }
    if (x.n == 1)
        return NULL; /* there is nothing to choose */
    if (x.some[true])
        add_name(&x, "tgc", "all");
    if (x.some[false])
        add_name(&x, "cudnn", "all");
    ARENA_PUSH(a, x.name, x.n, x.cap, NULL);
    return x.name;
}
