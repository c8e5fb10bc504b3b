/* rows_test.c: rows of tables of many sizes, and sums into them, in several
 * parts and blocks, against plain loops in double. */
#include "build.h"
#include "check.h"
#include "codegen.h"
#include "emulate.h"
#include "pass.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

typedef struct Shape {
    int64_t rows, n, batch, length; /* a table; numbers */
} Shape;

/* One row, one column, one number; parts and blocks that are not full; more
 * rows than numbers and the other way round. */
static const Shape shape_table[] = {
    {1, 1, 1, 1},      {5, 300, 2, 9},   {1000, 70, 3, 31},
    {9001, 3, 50, 11}, {700, 33, 1, 90}, {40, 1, 23, 57},
};

/* [batch, length]: all over the table, neighbours and equal ones among them;
 * some before its first row, some after its last one. */
static Value numbers(Graph *g, const Shape *s)
{
    Type t = type_make(DT_I32, 2, (const int64_t[]){s->batch, s->length});
    Value picked = ir_input(g, "at", &t);
    Attr attr[] = {attr_int("axis", 1), attr_dtype("dtype", DT_I32),
                   attr_ints("shape", t.dim, 2)};
    Value along = ir_node(g, op_named("iota"), NULL, 0, attr, 3);
    Value far =
        ir_mul(g, picked, ir_const_like(g, picked, (double)(s->rows / 2)));
    Value v = ir_add(g, far, along);
    return ir_node(g, op_named("sub"), (Value[]){v, ir_const_like(g, v, 2)}, 2,
                   NULL, 0);
}

static Value inside(Graph *g, Value v, int64_t rows)
{
    Value low = ir_const_like(g, v, 0);
    Value high = ir_const_like(g, v, (double)(rows - 1));
    v = ir_node(g, op_named("max"), (Value[]){v, low}, 2, NULL, 0);
    return ir_node(g, op_named("min"), (Value[]){v, high}, 2, NULL, 0);
}

/* Operands may lie in any way. */
static Value input(Graph *g, const char *name, const Type *t, bool turned)
{
    Value v = ir_input(g, name, t);
    if (turned && t->rank == 2)
        graph_node(g, v)->type[0].layout = layout_make(2, (const int[]){1, 0});
    return v;
}

static void add(Checks *c, const Shape *s, DType dtype, bool turned)
{
    static const char *const names[] = {"expand", "cse", "dce", "fuse", NULL};
    Module *m = module_new("rows");
    Graph *g = graph_new(m, "train");
    module_add_graph(m, g);
    Type table = type_make(dtype, 2, (const int64_t[]){s->rows, s->n});
    Type rows =
        type_make(dtype, 3, (const int64_t[]){s->batch, s->length, s->n});
    Value at = numbers(g, s);
    Value in[] = {input(g, "table", &table, turned), inside(g, at, s->rows)};
    Value y = ir_node(g, &op_gather, in, 2, NULL, 0);
    ir_output(g, "y", y);
    Attr attr = attr_int("rows", s->rows);
    in[0] = at;
    in[1] = ir_input(g, "dy", &rows);
    ir_output(g, "sums", ir_node(g, &op_gather_grad, in, 2, &attr, 1));
    PassContext context = {.target = target_named(test_target())};
    if (!passes_run(m, &context, names, &(PassOptions){0}))
        fail_msg("%s", context.error.text);
    checks_add(c, &(Check){.what = "rows",
                           .module = m,
                           .g = m->graph[0],
                           .outputs_only = true,
                           .shuffle = 3,
                           .seed = (uint64_t)s->rows,
                           .low = -1,
                           .high = 1});
}

static void rows_and_sums(void **state)
{
    (void)state;
    Checks *c = checks_new();
    for (size_t i = 0; i < sizeof shape_table / sizeof *shape_table; i++) {
        add(c, &shape_table[i], DT_F32, false);
        add(c, &shape_table[i], DT_F64, true);
    }
    checks_run(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_and_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
