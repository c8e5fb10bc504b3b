/* fold.c: what can be known at compile time, and algebra that is exact.
 *
 * Exact means: the same bits, whatever the operands are.  So x + 0 goes for
 * integers only (-0 + 0 is 0), and x * 0 stays (x may be infinite). */
#include "passes.h"
#include "build.h"
#include "rewrite.h"
#include <math.h>
#include <string.h>

/* A node of the old graph with its operands in the new one. */
typedef struct Fold {
    Graph *to;
    const Node *node;
    const Value *in;
} Fold;

static const Node *operand(const Fold *f, uint32_t i)
{
    return graph_node(f->to, f->in[i]);
}

static bool is_op(const Node *n, const char *name)
{
    return !strcmp(n->op->name, name);
}

static bool is_const(const Fold *f, uint32_t i, double *value)
{
    const Node *n = operand(f, i);
    if (!is_op(n, "const"))
        return false;
    *value = node_float(n, "value");
    return true;
}

/* Operand i in the result's place: where it has the same type. */
static bool take_operand(const Fold *f, uint32_t i, Value *out)
{
    if (!type_equal(graph_type(f->to, f->in[i]), &f->node->type[0]))
        return false;
    *out = f->in[i];
    return true;
}

/* A constant in the result's place; false where its type does not hold it. */
static bool make_const(const Fold *f, double value, Value *out)
{
    const Type *t = &f->node->type[0];
    value = dtype_round(value, t->dtype);
    Attr attr[] = {attr_float("value", value), attr_dtype("dtype", t->dtype),
                   attr_ints("shape", t->dim, t->rank)};
    uint32_t id = graph_add(f->to, &op_const, NULL, 0, attr, 3);
    if (!id)
        return false;
    f->to->node[id].type[0].layout = t->layout;
    *out = node_value(id, 0);
    return true;
}

/* ---- constants ---------------------------------------------------------- */

/* An op of a few constants is a constant. */
static bool fold_eval(const Fold *f, Value *out)
{
    double x[8];
    const Node *n = f->node;
    if (!node_has(n, T_ELEMENTWISE) || node_has(n, T_RANDOM) || !n->op->eval ||
        n->n_in == 0 || n->n_in > 8 || n->n_out != 1)
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!is_const(f, i, &x[i]))
            return false;
    return make_const(f, n->op->eval(n, x), out);
}

/* Does every element of the view come from its operand, none is the fill? */
static bool map_covers(const ViewMap *map, const Type *in, const Type *result)
{
    for (int d = 0; d < in->rank; d++) {
        int64_t low = map->offset[d], high = low;
        for (int k = 0; k < result->rank; k++) {
            int64_t reach = map->coef[d][k] * (result->dim[k] - 1);
            *(reach < 0 ? &low : &high) += reach;
        }
        if (map->div[d] != 1 || low < 0 || high >= in->dim[d])
            return false;
    }
    return true;
}

static bool fold_view_of_const(const Fold *f, Value *out)
{
    double value;
    const Node *n = f->node;
    if (n->n_in != 1 || n->n_out != 1 || !is_const(f, 0, &value))
        return false;
    if (node_has(n, T_RESHAPE))
        return make_const(f, value, out);
    if (!node_has(n, T_VIEW) || !n->op->map)
        return false;
    const Type *in = graph_type(f->to, f->in[0]);
    ViewMap map = view_map(n, in);
    if (!map_covers(&map, in, &n->type[0]) &&
        memcmp(&map.fill, &value, sizeof value))
        return false;
    return make_const(f, value, out);
}

/* ---- arithmetic --------------------------------------------------------- */

/* op(x, value) is x; and op(value, x) is where `either`. */
typedef struct Neutral {
    const char *op;
    double value;
    bool either, ints_only, bools_only;
} Neutral;

static const Neutral neutral_table[] = {
    {.op = "add", .value = 0, .either = true, .ints_only = true},
    {.op = "add", .value = -0.0, .either = true},
    {.op = "sub", .value = 0},
    {.op = "mul", .value = 1, .either = true},
    {.op = "div", .value = 1},
    {.op = "pow", .value = 1},
    {.op = "and", .value = 1, .either = true, .bools_only = true},
    {.op = "or", .value = 0, .either = true, .bools_only = true},
};
enum { N_NEUTRAL = sizeof neutral_table / sizeof *neutral_table };

static bool is_value(const Fold *f, uint32_t i, double value)
{
    double v;
    return is_const(f, i, &v) && v == value && signbit(v) == signbit(value);
}

static bool fold_neutral(const Fold *f, Value *out)
{
    DType dtype = f->node->n_out ? f->node->type[0].dtype : DT_NONE;
    for (int i = 0; i < N_NEUTRAL; i++) {
        const Neutral *e = &neutral_table[i];
        if (!is_op(f->node, e->op) || (e->ints_only && !dtype_is_int(dtype)) ||
            (e->bools_only && dtype != DT_BOOL))
            continue;
        if (is_value(f, 1, e->value) && take_operand(f, 0, out))
            return true;
        if (e->either && is_value(f, 0, e->value) && take_operand(f, 1, out))
            return true;
    }
    return false;
}

/* neg(neg(x)), not(not(x)) */
static bool fold_inverse(const Fold *f, Value *out)
{
    if (!is_op(f->node, "neg") && !is_op(f->node, "not"))
        return false;
    const Node *inner = operand(f, 0);
    if (inner->op != f->node->op)
        return false;
    Fold g = {f->to, f->node, inner->in};
    return take_operand(&g, 0, out);
}

static bool fold_select(const Fold *f, Value *out)
{
    double condition;
    if (!is_op(f->node, "select"))
        return false;
    if (is_const(f, 0, &condition))
        return take_operand(f, condition != 0 ? 1 : 2, out);
    return value_equal(f->in[1], f->in[2]) && take_operand(f, 1, out);
}

/* ---- conversions -------------------------------------------------------- */

/* Does `to` hold every value of `from`? */
static bool widens(DType from, DType to)
{
    static const uint32_t holds[DT_COUNT] = {
        [DT_BOOL] = ~0u,
        [DT_U8] = 1u << DT_I32 | 1u << DT_I64 | 1u << DT_F16 | 1u << DT_BF16 |
                  1u << DT_F32 | 1u << DT_F64,
        [DT_I32] = 1u << DT_I64 | 1u << DT_F64,
        [DT_F16] = 1u << DT_F32 | 1u << DT_F64,
        [DT_BF16] = 1u << DT_F32 | 1u << DT_F64,
        [DT_F32] = 1u << DT_F64,
    };
    return from == to || (holds[from] >> to & 1);
}

static bool fold_cast(const Fold *f, Value *out)
{
    if (!is_op(f->node, "cast"))
        return false;
    if (take_operand(f, 0, out))
        return true;
    const Node *inner = operand(f, 0);
    if (!is_op(inner, "cast") ||
        !widens(graph_type(f->to, inner->in[0])->dtype, inner->type[0].dtype))
        return false;
    Fold g = {f->to, f->node, inner->in};
    if (take_operand(&g, 0, out))
        return true;
    if (f->node->type[0].dtype == DT_BOOL)
        return false;
    *out = node_value(graph_add_copy(f->to, f->node, inner->in), 0);
    return true;
}

/* ---- shapes ------------------------------------------------------------- */

static bool map_is_identity(const ViewMap *map, int rank)
{
    for (int d = 0; d < rank; d++) {
        if (map->offset[d] || map->div[d] != 1)
            return false;
        for (int k = 0; k < rank; k++)
            if (map->coef[d][k] != (d == k))
                return false;
    }
    return true;
}

/* Views and reshapes that change nothing; reductions over no dimension. */
static bool fold_nothing(const Fold *f, Value *out)
{
    const Node *n = f->node;
    if (n->n_in != 1 || n->n_out != 1)
        return false;
    const Type *in = graph_type(f->to, f->in[0]);
    if (!type_equal(in, &n->type[0]))
        return false;
    bool nothing = node_has(n, T_RESHAPE);
    if (node_has(n, T_VIEW) && n->op->map) {
        ViewMap map = view_map(n, in);
        nothing = map_is_identity(&map, in->rank);
    }
    if (node_has(n, T_REDUCE)) /* of the same shape: no axes */
        nothing = true;
    return nothing && take_operand(f, 0, out);
}

/* reshape(reshape(x)) is one reshape. */
static bool fold_reshape(const Fold *f, Value *out)
{
    if (!node_has(f->node, T_RESHAPE) || !node_has(operand(f, 0), T_RESHAPE))
        return false;
    Fold g = {f->to, f->node, operand(f, 0)->in};
    if (!fold_nothing(&g, out))
        *out = node_value(graph_add_copy(f->to, f->node, g.in), 0);
    return true;
}

/* The result's dimension k is dimension order[k] of the operand's operand. */
static bool fold_transpose(const Fold *f, Value *out)
{
    if (!is_op(f->node, "transpose") || !is_op(operand(f, 0), "transpose"))
        return false;
    int n;
    const int64_t *outer = node_ints(f->node, "order", &n);
    const int64_t *inner = node_ints(operand(f, 0), "order", &n);
    int64_t order[MAX_RANK];
    bool identity = true;
    for (int k = 0; k < n; k++) {
        order[k] = inner[outer[k]];
        identity &= order[k] == k;
    }
    Fold g = {f->to, f->node, operand(f, 0)->in};
    if (identity)
        return take_operand(&g, 0, out);
    *out = ir_transpose(f->to, g.in[0], order, n);
    graph_node(f->to, *out)->type[0].layout = f->node->type[0].layout;
    return true;
}

/* ---- the pass ----------------------------------------------------------- */

typedef bool FoldRule(const Fold *f, Value *out);

static FoldRule *const fold_rules[] = {
    fold_eval, fold_view_of_const, fold_neutral,   fold_inverse, fold_select,
    fold_cast, fold_nothing,       fold_transpose, fold_reshape,
};
enum { N_RULES = sizeof fold_rules / sizeof *fold_rules };

static bool fold_node(Rewrite *r, uint32_t id, Arena *a)
{
    const Node *n = &r->from->node[id];
    if (node_has(n, T_SOURCE) || node_has(n, T_ROOT) || n->n_in == 0)
        return false;
    Value *in = arena_array(a, n->n_in, sizeof *in), out;
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = rewrite_get(r, n->in[i]);
    Fold f = {r->to, n, in};
    rewrite_at(r, id);
    for (int i = 0; i < N_RULES; i++)
        if (fold_rules[i](&f, &out)) {
            rewrite_set(r, node_value(id, 0), out);
            return true;
        }
    return false;
}

static Graph *fold_graph(Graph *g, PassContext *c)
{
    (void)c;
    Rewrite r;
    rewrite_begin(&r, g);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        if (!fold_node(&r, id, g->arena))
            rewrite_copy(&r, id);
    return rewrite_end(&r);
}

static bool run(Module *m, PassContext *c)
{
    return passes_each_graph(m, c, fold_graph);
}

const Pass pass_fold = {
    .name = "fold",
    .doc = "computes what is constant; drops arithmetic, views and "
           "conversions that change nothing",
    .run = run,
};
