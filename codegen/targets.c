/* targets.c: targets by name. */
#include "targets.h"
#include "build.h"
#include "codegen.h"
#include "rows.h"
#include <string.h>

/* The newest of each line that people train on; others run what was made for
 * the one before them of the same line. */
const char *const cuda_arch_default[] = {"sm_80", "sm_90", "sm_100", "sm_120",
                                         NULL};
const char *const cuda_arch_known[] = {"sm_80",  "sm_86",  "sm_87",  "sm_89",
                                       "sm_90",  "sm_100", "sm_103", "sm_110",
                                       "sm_120", "sm_121", NULL};

Layout target_layout(const Target *t, const Graph *g, const Node *n,
                     const Type *type)
{
    (void)t, (void)g;
    if (type->rank < 3 || node_has(n, T_ELEMENTWISE) || node_has(n, T_VIEW) ||
        node_has(n, T_REDUCE) || node_has(n, T_RESHAPE))
        return TARGET_NO_OPINION;
    if (node_is(n, &op_state) || node_is(n, &op_conv_grad_weight) ||
        node_is(n, &op_matmul) || node_is(n, &op_lib_matmul) ||
        node_is(n, &op_lib_unpack) || rows_is(n))
        return 0;
    return layout_channels_last(type->rank);
}

Value target_row_major(Graph *g, Value v)
{
    if (graph_type(g, v)->layout == 0)
        return v;
    Value copy = ir_unary(g, &op_copy, v);
    graph_node(g, copy)->type[0].layout = 0;
    return copy;
}

const char *target_names(void)
{
    return "cpu, cuda, or one GPU: cuda:sm_80, sm_86, sm_87, sm_89, sm_90, "
           "sm_100, sm_103, sm_110, sm_120, sm_121";
}

const char *target_arch(const char *name)
{
    return strncmp(name, "cuda:", 5) ? NULL : name + 5;
}

bool target_is_cuda(const Target *t)
{
    return t == &target_cuda;
}

const Target *target_named(const char *name)
{
    const char *arch = target_arch(name);
    if (!strcmp(name, target_cpu.name))
        return &target_cpu;
    if (!strcmp(name, target_cuda.name))
        return &target_cuda;
    for (int i = 0; arch && cuda_arch_known[i]; i++)
        if (!strcmp(arch, cuda_arch_known[i]))
            return &target_cuda;
    return NULL;
}
