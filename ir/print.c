/* print.c: the IR as text.  The grammar is in docs/ir.md, the reader in
 * read.c; print(read(print(m))) == print(m). */
#include "op.h"
#include "scan.h"
#include "text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void print_quoted(const char *s, FILE *out)
{
    putc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < ' ' || c == 127)
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

static void print_name(const char *name, FILE *out)
{
    if (name_is_bare(name))
        fputs(name, out);
    else
        print_quoted(name, out);
}

static void print_type(const Type *t, FILE *out)
{
    char text[256];
    type_print(t, text, sizeof text);
    fputs(text, out);
}

/* A file in a location must not begin like a line number. */
static void print_file(const char *file, FILE *out)
{
    if (name_is_bare(file) && (*file < '0' || *file > '9'))
        fputs(file, out);
    else
        print_quoted(file, out);
}

/* " @resnet.net:14:27<32:33": the file again only where it changes. */
static void print_loc(const Module *m, Loc loc, FILE *out)
{
    const char *file = NULL;
    for (Loc l = loc; l; l = m->loc[l].caller) {
        const LocInfo *info = &m->loc[l];
        fputs(l == loc ? " @" : "<", out);
        if (!file || strcmp(file, info->file)) {
            file = info->file;
            print_file(file, out);
            putc(':', out);
        }
        fprintf(out, "%d:%d", info->line, info->column);
    }
}

/* ---- nodes -------------------------------------------------------------- */

static void print_ints(const Attr *a, FILE *out)
{
    putc('[', out);
    for (int i = 0; i < a->ints.n; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", a->ints.v[i]);
    putc(']', out);
}

static void print_attr_value(const Attr *a, FILE *out)
{
    char number[NUMBER_TEXT];
    switch (a->kind) {
    case ATTR_INT:
        fprintf(out, "%" PRId64, a->i);
        break;
    case ATTR_FLOAT:
        number_print(a->f, number);
        fputs(number, out);
        break;
    case ATTR_BOOL:
        fputs(a->i ? "true" : "false", out);
        break;
    case ATTR_STRING:
        print_quoted(a->s, out);
        break;
    case ATTR_INTS:
        print_ints(a, out);
        break;
    case ATTR_DTYPE:
        fputs(dtype_name((DType)a->i), out);
        break;
    }
}

/* Need not be printed: the reader knows. */
static bool is_implied(const Node *n, const AttrSpec *spec, const Attr *a)
{
    Attr implied;
    if (n->n_out && attr_from_type(spec, &n->type[0], &implied))
        return attr_equal(&implied, a);
    return attr_is_default(spec, a);
}

static void print_attrs(const Node *n, FILE *out)
{
    const AttrSpec *spec = n->op->attrs;
    bool any = false;
    for (int i = 0; spec && spec[i].name; i++) {
        if (is_implied(n, &spec[i], &n->attr[i]))
            continue;
        fprintf(out, "%s%s=", any ? ", " : " {", spec[i].name);
        print_attr_value(&n->attr[i], out);
        any = true;
    }
    if (any)
        putc('}', out);
}

static void print_value(Value v, FILE *out)
{
    fprintf(out, "%%%u", v.node);
    if (v.out)
        fprintf(out, ":%u", v.out);
}

static void print_results(const Node *n, uint32_t id, FILE *out)
{
    for (unsigned i = 0; i < n->n_out; i++) {
        if (i)
            fputs(", ", out);
        print_value(node_value(id, i), out);
    }
    if (n->n_out)
        fputs(" = ", out);
}

void node_print(const Graph *g, uint32_t id, FILE *out)
{
    const Node *n = &g->node[id];
    print_results(n, id, out);
    fputs(n->again ? "again " : "", out);
    fputs(n->op->name, out);
    for (uint32_t i = 0; i < n->n_in; i++) {
        fputs(i ? ", " : " ", out);
        print_value(n->in[i], out);
    }
    print_attrs(n, out);
    for (int i = 0; i < n->n_out; i++) {
        fputs(i ? ", " : " : ", out);
        print_type(&n->type[i], out);
    }
    if (n->name) {
        putc(' ', out);
        print_quoted(n->name, out);
    }
    print_loc(g->module, n->loc, out);
    putc('\n', out);
}

/* ---- groups, for people -------------------------------------------------- */

enum { NAMED_MOST = 6 }; /* values that a comment names */

/* By node: does another kernel read it, or a root? */
static bool *find_read_outside(const Graph *g, Arena *a)
{
    bool *read = arena_array(a, g->n_nodes, sizeof *read);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *n = &g->node[id];
        for (uint32_t i = 0; i < n->n_in; i++)
            if (n->in[i].node < g->n_nodes &&
                g->node[n->in[i].node].group != n->group)
                read[n->in[i].node] = true;
    }
    return read;
}

static void print_numbered(const char *word, const uint32_t *id, uint32_t n,
                           FILE *out)
{
    for (uint32_t i = 0; i < n && i < NAMED_MOST; i++)
        fprintf(out, "%s%%%u", i ? " " : word, id[i]);
    if (n > NAMED_MOST)
        fprintf(out, " and %u more", n - NAMED_MOST);
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Nodes outside of the group first..last that it reads, each once. */
static uint32_t find_read(const Graph *g, uint32_t first, uint32_t last,
                          uint32_t *id)
{
    uint32_t n = 0, once = 0;
    for (uint32_t k = first; k <= last; k++)
        for (uint32_t i = 0; i < g->node[k].n_in; i++)
            if (g->node[k].in[i].node < first)
                id[n++] = g->node[k].in[i].node;
    if (n)
        qsort(id, n, sizeof *id, compare_ids);
    for (uint32_t i = 0; i < n; i++)
        if (!i || id[i] != id[i - 1])
            id[once++] = id[i];
    return once;
}

/* "  # an anchor, 4 ops before and 3 after it; reads %3 %9; writes %18" */
static void print_group(const Graph *g, uint32_t first, const bool *outside,
                        FILE *out)
{
    Arena *a = arena_new();
    uint32_t last = first, anchor = 0, n_out = 0, room = 0;
    for (uint32_t id = first;
         id < g->n_nodes && g->node[id].group == g->node[first].group; id++) {
        last = id;
        room += g->node[id].n_in;
        if (node_is_whole(&g->node[id]))
            anchor = id;
    }
    uint32_t *in = arena_array(a, room + 1, sizeof *in);
    uint32_t *result = arena_array(a, last - first + 1, sizeof *result);
    for (uint32_t id = first; id <= last; id++)
        if (outside[id])
            result[n_out++] = id;
    if (anchor)
        fprintf(out, "  fuse {  # an anchor, %u ops before and %u after it",
                anchor - first, last - anchor);
    else
        fprintf(out, "  fuse {  # %u op%s", last - first + 1,
                last > first ? "s" : "");
    print_numbered("; reads ", in, find_read(g, first, last, in), out);
    print_numbered("; writes ", result, n_out, out);
    putc('\n', out);
    arena_free(a);
}

void graph_print(const Graph *g, FILE *out)
{
    uint32_t group = 0;
    Arena *a = arena_new();
    const bool *outside = find_read_outside(g, a);
    fputs("graph ", out);
    print_name(g->name, out);
    fputs(" {\n", out);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        uint32_t now = g->node[id].group;
        if (group && now != group)
            fputs("  }\n", out);
        if (now && now != group)
            print_group(g, id, outside, out);
        group = now;
        fputs(group ? "    " : "  ", out);
        node_print(g, id, out);
    }
    fputs(group ? "  }\n}\n" : "}\n", out);
    arena_free(a);
}

/* ---- modules ------------------------------------------------------------ */

static void print_settings(const Module *m, FILE *out)
{
    Arena *scratch = arena_new();
    for (size_t i = 0; i < m->settings.n; i++) {
        const Setting *s = &m->settings.item[i];
        char *text = setting_value_text(&s->value, scratch);
        fprintf(out, "set %s = ", s->key);
        if (s->value.type == SET_TEXT || s->value.type == SET_WORD)
            print_name(text, out);
        else
            fputs(text, out);
        print_loc(m, s->loc, out);
        putc('\n', out);
    }
    arena_free(scratch);
}

static void print_state(const Module *m, const State *s, FILE *out)
{
    static const char *const role[] = {"param", "buffer", "slot", "run"};
    static const char *const init[] = {"const", "normal", "uniform", "patches"};
    char a[NUMBER_TEXT], b[NUMBER_TEXT];
    fputs("state ", out);
    print_name(s->name, out);
    fputs(" : ", out);
    print_type(&s->type, out);
    fprintf(out, " %s", role[s->role]);
    if (*s->of) {
        fputs(" of ", out);
        print_name(s->of, out);
    }
    number_print(s->init_a, a);
    number_print(s->init_b, b);
    fprintf(out, "%s %s(%s", s->frozen ? " frozen" : "", init[s->init], a);
    if (s->init != INIT_CONST)
        fprintf(out, ", %s", b);
    putc(')', out);
    print_loc(m, s->loc, out);
    putc('\n', out);
}

void module_print(const Module *m, FILE *out)
{
    fputs("module ", out);
    print_name(m->name, out);
    putc('\n', out);
    print_settings(m, out);
    for (size_t i = 0; i < m->n_states; i++)
        print_state(m, &m->state[i], out);
    for (size_t i = 0; i < m->n_graphs; i++)
        graph_print(m->graph[i], out);
}

char *module_to_string(const Module *m, Arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return arena_strdup(a, "");
    module_print(m, f);
    fclose(f);
    char *copy = arena_strndup(a, text, size);
    free(text);
    return copy;
}
