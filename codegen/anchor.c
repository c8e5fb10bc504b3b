/* anchor.c: a group around a library call; see anchor.h.
 *
 * Prologue and epilogue become graphs of their own, in which every value is one
 * piece; from there on they are kernels like others (lower.c).  Values from
 * outside of the group come in as inputs: a piece of them, or all of a vector
 * that is the same for every piece. */
#include "anchor.h"
#include "pieces.h"
#include "print_c.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { IMPORT_DEPTH = 200 }; /* views of views */

typedef struct Around {
    const Graph *g;
    const Step *step;
    uint32_t anchor;
    LibParts parts;
    bool *before;    /* by member: the anchor needs it */
    int64_t *offset; /* by member's result: in scratch; 0: not there */
    int64_t scratch; /* bytes so far */
    Arena *arena;
    Error *error;
} Around;

static bool is_member(const Around *r, Value v)
{
    return v.node >= r->step->first && v.node <= r->step->last;
}

/* 0: prologue, 1: the anchor, 2: epilogue. */
static int stage_of(const Around *r, uint32_t id)
{
    return id == r->anchor ? 1 : r->before[id - r->step->first] ? 0 : 2;
}

static int64_t *offset_of(const Around *r, Value v)
{
    return &r->offset[(size_t)(v.node - r->step->first) * MAX_OUT + v.out];
}

static uint32_t find_value(const Value *list, uint32_t n, Value v)
{
    for (uint32_t i = 0; i < n; i++)
        if (value_equal(list[i], v))
            return i;
    return UINT32_MAX;
}

/* ---- what lies where ---------------------------------------------------- */

static void find_stages(Around *r)
{
    const Step *s = r->step;
    r->before[r->anchor - s->first] = true;
    for (uint32_t id = r->anchor; id >= s->first; id--) {
        const Node *n = &r->g->node[id];
        for (uint32_t i = 0; r->before[id - s->first] && i < n->n_in; i++)
            if (is_member(r, n->in[i]))
                r->before[n->in[i].node - s->first] = true;
    }
}

static void take_scratch(Around *r, Value v)
{
    int64_t bytes = type_bytes(graph_type(r->g, v)) / r->parts.parts;
    *offset_of(r, v) = r->scratch;
    r->scratch += (bytes + 63) / 64 * 64;
}

/* Values that one stage makes and another one reads. */
static void find_scratch(Around *r)
{
    const Step *s = r->step;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &r->g->node[id];
        for (uint32_t i = 0; i < n->n_in; i++) {
            Value v = n->in[i];
            if (!is_member(r, v) || node_has(n, T_ROOT) ||
                stage_of(r, v.node) == stage_of(r, id) || *offset_of(r, v) ||
                find_value(s->out, s->n_out, v) != UINT32_MAX)
                continue;
            take_scratch(r, v);
        }
    }
    Value result = node_value(r->anchor, 0);
    if (!*offset_of(r, result) &&
        find_value(s->out, s->n_out, result) == UINT32_MAX)
        take_scratch(r, result); /* nobody reads it */
}

static Around around(const Graph *g, const Step *s, int64_t lib_scratch,
                     Arena *a, Error *e)
{
    size_t n = s->last - s->first + 1;
    Around r = {.g = g, .step = s, .arena = a, .error = e};
    r.anchor = step_anchor(g, s);
    r.parts = libcall_parts(g, &g->node[r.anchor]);
    r.before = arena_array(a, n, sizeof *r.before);
    r.offset = arena_array(a, n * MAX_OUT, sizeof *r.offset);
    r.scratch = (lib_scratch + 64) / 64 * 64; /* no value lies at 0 */
    find_stages(&r);
    find_scratch(&r);
    return r;
}

int64_t anchor_scratch(const Graph *g, const Step *s, int64_t lib_scratch)
{
    Error e;
    Arena *a = arena_new();
    Around r = around(g, s, lib_scratch, a, &e);
    arena_free(a);
    return r.scratch;
}

/* C for the address of a value, or of its piece `part`, `bytes` from the next
 * one. */
static const char *address(const Around *r, Value v, int64_t bytes)
{
    const Step *s = r->step;
    if (is_member(r, v) && *offset_of(r, v))
        return arena_printf(r->arena, "call->scratch + %" PRId64,
                            *offset_of(r, v));
    uint32_t i = find_value(s->out, s->n_out, v);
    if (i == UINT32_MAX)
        i = s->n_out + find_value(s->in, s->n_in, v);
    if (!bytes)
        return arena_printf(r->arena, "call->buf[%u]", i);
    return arena_printf(r->arena, "call->buf[%u] + part * %" PRId64, i, bytes);
}

static const char *piece_address(const Around *r, Value v)
{
    return address(r, v, type_bytes(graph_type(r->g, v)) / r->parts.parts);
}

/* ---- the graph of a stage ----------------------------------------------- */

/* A value of the whole graph as the stage knows it. */
typedef struct Known {
    Value whole, here;
    bool piece;
    const char *where; /* C, of what is in memory; NULL: computed */
} Known;

typedef struct Stage {
    Around *r;
    int number;
    Graph *g;
    Known *known;
    size_t n_known, cap_known;
    int depth;
} Stage;

static Known *stage_find(const Stage *t, Value v, bool piece)
{
    for (size_t i = 0; i < t->n_known; i++)
        if (value_equal(t->known[i].whole, v) && t->known[i].piece == piece)
            return &t->known[i];
    return NULL;
}

static Value stage_learn(Stage *t, Value v, Value here, bool piece,
                         const char *where)
{
    ARENA_PUSH(t->r->arena, t->known, t->n_known, t->cap_known,
               ((Known){v, here, piece, where}));
    return here;
}

/* A copy of a node whose results are pieces. */
static uint32_t stage_copy(Stage *t, const Node *n, const Value *in, bool piece)
{
    uint32_t id = graph_add_copy(t->g, n, in);
    Node *copy = &t->g->node[id];
    for (unsigned o = 0; piece && o < copy->n_out; o++)
        copy->type[o] = piece_type(&copy->type[o], t->r->parts.parts);
    copy->group = 0;
    return id;
}

static Value stage_input(Stage *t, Value v, bool piece)
{
    Type type = *graph_type(t->r->g, v);
    if (piece)
        type = piece_type(&type, t->r->parts.parts);
    const char *where = piece ? piece_address(t->r, v) : address(t->r, v, 0);
    Attr attr[] = {attr_string("name", ""), attr_dtype("dtype", type.dtype),
                   attr_ints("shape", type.dim, type.rank)};
    uint32_t id = graph_add(t->g, &op_input, NULL, 0, attr, 3);
    t->g->node[id].type[0] = type;
    return stage_learn(t, v, node_value(id, 0), piece, where);
}

static Value stage_fail(Stage *t, const Node *n)
{
    error_set(t->r->error,
              "%s cannot run in %" PRId64 " pieces with the %s of its group",
              n->op->name, t->r->parts.parts,
              t->r->g->node[t->r->anchor].op->name);
    return NO_VALUE;
}

static Value stage_value(Stage *t, Value v, bool piece);

/* Operand i of n; NO_VALUE with a message. */
static Value stage_operand(Stage *t, const Node *n, uint32_t i, bool piece)
{
    PieceUse use = PIECE_ALL;
    if (piece)
        use = piece_use(t->r->g, n, i, t->r->parts.parts);
    if (use == PIECE_NONE)
        return stage_fail(t, n);
    return stage_value(t, n->in[i], use == PIECE_SAME);
}

/* Constants and views of what is in memory, which nobody computes. */
static Value stage_view(Stage *t, Value v, bool piece)
{
    const Node *n = graph_node(t->r->g, v);
    Value in = NO_VALUE;
    if (t->depth == IMPORT_DEPTH ||
        (piece && !piece_runs(n, t->r->parts.parts)))
        return stage_fail(t, n);
    t->depth++;
    if (n->n_in)
        in = stage_operand(t, n, 0, piece);
    t->depth--;
    if (n->n_in && !in.node)
        return NO_VALUE;
    Value here = node_value(stage_copy(t, n, &in, piece), 0);
    return stage_learn(t, v, here, piece, NULL);
}

static Value stage_value(Stage *t, Value v, bool piece)
{
    const Around *r = t->r;
    const Known *known = stage_find(t, v, piece);
    if (known)
        return known->here;
    if (is_member(r, v) && !piece)
        return stage_fail(t, graph_node(r->g, v));
    if (is_member(r, v) ||
        find_value(r->step->in, r->step->n_in, v) != UINT32_MAX)
        return stage_input(t, v, piece);
    return stage_view(t, v, piece);
}

static bool is_of_stage(const Stage *t, Value v)
{
    return is_member(t->r, v) && stage_of(t->r, v.node) == t->number &&
           !node_has(graph_node(t->r->g, v), T_ROOT);
}

static bool add_member(Stage *t, uint32_t id)
{
    const Node *n = &t->r->g->node[id];
    Value *in = arena_array(t->r->arena, n->n_in, sizeof *in);
    if (!piece_runs(n, t->r->parts.parts))
        return stage_fail(t, n).node;
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = stage_operand(t, n, i, true);
        if (!in[i].node)
            return false;
    }
    uint32_t now = stage_copy(t, n, in, true);
    t->g->node[now].group = 1;
    for (unsigned o = 0; o < n->n_out; o++)
        stage_learn(t, node_value(id, o), node_value(now, o), true, NULL);
    return true;
}

/* What comes from elsewhere first, so that the members stand together. */
static bool add_members(Stage *t)
{
    const Step *s = t->r->step;
    for (uint32_t id = s->first; id <= s->last; id++) {
        const Node *n = &t->r->g->node[id];
        if (!is_of_stage(t, node_value(id, 0)))
            continue;
        for (uint32_t i = 0; i < n->n_in; i++)
            if (!is_of_stage(t, n->in[i]) && !stage_operand(t, n, i, true).node)
                return false;
    }
    for (uint32_t id = s->first; id <= s->last; id++)
        if (is_of_stage(t, node_value(id, 0)) && !add_member(t, id))
            return false;
    return true;
}

/* Results that lie in memory, and so where; returns how many, -1 with a message
 * where a piece of one is not bytes in a row. */
static int add_results(Stage *t)
{
    const Step *s = t->r->step;
    int n = 0;
    for (uint32_t id = s->first; id <= s->last; id++)
        for (unsigned o = 0; o < t->r->g->node[id].n_out; o++) {
            Value v = node_value(id, o);
            if (!is_of_stage(t, v) ||
                (!*offset_of(t->r, v) &&
                 find_value(s->out, s->n_out, v) == UINT32_MAX))
                continue;
            Known *k = stage_find(t, v, true);
            if (!piece_fits(graph_type(t->r->g, v), t->r->parts.parts))
                return (int)stage_fail(t, &t->r->g->node[id]).node - 1;
            k->where = piece_address(t->r, v);
            Attr name = attr_string("name", "");
            graph_add(t->g, &op_output, &k->here, 1, &name, 1);
            n++;
        }
    return n;
}

/* ---- the stage as C ----------------------------------------------------- */

static Known *known_here(const Stage *t, Value here)
{
    for (size_t i = 0; i < t->n_known; i++)
        if (value_equal(t->known[i].here, here))
            return &t->known[i];
    assert(false && "every buffer of a stage comes from somewhere");
    return NULL;
}

/* Only results of the step may be written over its operands. */
static void share_buffers(const Stage *t, KernelIr *k)
{
    const Step *s = t->r->step;
    for (uint32_t i = 0; i < k->n_buffers; i++)
        k->buffer[i].shared = false;
    for (uint32_t o = 0; o < k->n_out; o++)
        for (uint32_t i = k->n_out; i < k->n_buffers; i++) {
            Value out = known_here(t, k->buffer[o].value)->whole;
            Value in = known_here(t, k->buffer[i].value)->whole;
            if (find_value(s->out, s->n_out, out) != UINT32_MAX &&
                find_value(s->in, s->n_in, in) != UINT32_MAX &&
                step_may_overwrite(t->r->g, s, out, in))
                k->buffer[o].shared = k->buffer[i].shared = true;
        }
}

static bool print_stage(Stage *t, FILE *functions, FILE *body)
{
    const char *name = t->number ? "@_after" : "@_before";
    Arena *a = t->r->arena;
    if (!add_members(t))
        return false;
    int results = add_results(t);
    if (results <= 0)
        return results == 0;
    Steps steps = graph_steps(t->g, a);
    assert(steps.n == 1 && "a stage is one group");
    KernelIr *k = kernel_lower(t->g, &steps.step[0], a, t->r->error);
    if (!k)
        return false;
    share_buffers(t, k);
    const char **where = arena_array(a, k->n_buffers, sizeof *where);
    for (uint32_t i = 0; i < k->n_buffers; i++)
        where[i] = known_here(t, k->buffer[i].value)->where;
    print_c_nests(k, name, functions);
    print_c_calls(k, name, where, 2, body);
    return true;
}

static bool stage(Around *r, int number, FILE *functions, FILE *body)
{
    Stage t = {.r = r, .number = number};
    t.g = graph_new(r->g->module, "stage");
    bool ok = print_stage(&t, functions, body);
    graph_free(t.g);
    return ok;
}

static void print_call(const Around *r, FILE *body)
{
    const Node *n = &r->g->node[r->anchor];
    const char *b = "0";
    if (n->n_in > 1)
        b = address(r, n->in[1], r->parts.b_bytes);
    fprintf(body,
            "        tgc_lib_run(call, 0, %s, %s,\n                    %s);\n",
            address(r, n->in[0], r->parts.a_bytes), b,
            address(r, node_value(r->anchor, 0), r->parts.result_bytes));
}

const char *anchor_text(const Graph *g, const Step *s, int64_t lib_scratch,
                        Arena *a, Error *e)
{
    Around r = around(g, s, lib_scratch, a, e);
    char *functions = NULL, *body = NULL, *text = NULL;
    size_t size;
    FILE *f = open_memstream(&functions, &size);
    FILE *b = open_memstream(&body, &size);
    bool ok = stage(&r, 0, f, b);
    print_call(&r, b);
    ok = ok && stage(&r, 2, f, b);
    fclose(f);
    fclose(b);
    if (ok)
        text = arena_printf(
            a,
            "%svoid @(const KernelCall *call, int64_t begin, int64_t end)\n"
            "{\n"
            "    for (int64_t part = begin; part < end; part++) {\n"
            "%s"
            "    }\n"
            "}\n\n",
            functions, body);
    free(functions);
    free(body);
    return text;
}
