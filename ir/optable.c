/* optable.c: the table of operators, out of ops/index.h. */
#include "nearest.h"
#include "op.h"
#include <stdlib.h>
#include <string.h>

const OpDesc *const op_table[] = {
#define OP(name) &op_##name,
#include "ops/index.h"
#undef OP
    NULL,
};
const size_t op_count = sizeof op_table / sizeof *op_table - 1;

static int compare_name(const void *name, const void *op)
{
    return strcmp(name, (*(const OpDesc *const *)op)->name);
}

const OpDesc *op_named(const char *name)
{
    const OpDesc *const *op =
        bsearch(name, op_table, op_count, sizeof *op_table, compare_name);
    return op ? *op : NULL;
}

const OpDesc *op_nearest(const char *name)
{
    Nearest n = nearest_of(name);
    for (size_t i = 0; i < op_count; i++)
        nearest_try(&n, op_table[i]->name);
    return nearest_name(&n) ? op_named(nearest_name(&n)) : NULL;
}

bool node_is_generic(const Node *n)
{
    const OpDesc *op = n->op;
    if (node_has(n, T_LIBRARY) || node_has(n, T_SOURCE) || node_has(n, T_ROOT))
        return false;
    return (node_has(n, T_ELEMENTWISE) && op->expr) ||
           (node_has(n, T_VIEW) && op->map) ||
           (node_has(n, T_REDUCE) && op->start && op->combine) ||
           node_has(n, T_RESHAPE);
}

bool node_is_whole(const Node *n)
{
    return !node_is_generic(n) && !node_has(n, T_SOURCE) &&
           !node_has(n, T_ROOT);
}
