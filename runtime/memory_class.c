/* memory_class.c: see memory_class.h. */
#include "memory_class.h"
#include <stddef.h>
#include <string.h>

const char *const memory_class_name[PLAN_BUFFER_KINDS] = {
    [PLAN_STATE] = "state",       [PLAN_INPUT] = "input",
    [PLAN_OUTPUT] = "output",     [PLAN_ACTIVATION] = "activation",
    [PLAN_GRADIENT] = "gradient", [PLAN_WORK] = "work",
};

const char *const memory_class_doc[PLAN_BUFFER_KINDS] = {
    [PLAN_STATE] = "weights, running statistics, optimizer",
    [PLAN_INPUT] = "batches under way",
    [PLAN_OUTPUT] = "loss and counts",
    [PLAN_ACTIVATION] = "kept for the backward pass",
    [PLAN_GRADIENT] = "made by the backward pass",
    [PLAN_WORK] = "partial sums, packed weights",
};

/* The graph that needs most: the one that trains, unless there is none. */
const PlanGraph *memory_main_graph(const Plan *plan)
{
    const PlanGraph *best = NULL;
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        if (!best || plan->graphs[i].arena_bytes > best->arena_bytes)
            best = &plan->graphs[i];
    return best;
}

static bool alive_at(const PlanBuffer *b, int32_t step)
{
    return b->kind == PLAN_STATE || b->kind == PLAN_INPUT ||
           (b->first <= step && step <= b->last);
}

/* Bytes alive at the graph's peak, by class. */
void memory_by_class(const PlanGraph *g, int64_t bytes[PLAN_BUFFER_KINDS])
{
    memset(bytes, 0, PLAN_BUFFER_KINDS * sizeof *bytes);
    for (uint32_t i = 0; i < g->n_buffers; i++)
        if (g->buffers[i].kind < PLAN_BUFFER_KINDS &&
            alive_at(&g->buffers[i], g->peak_step))
            bytes[g->buffers[i].kind] += g->buffers[i].bytes;
    /* A port's buffer is its first slot. */
    for (uint32_t i = 0; i < g->n_inputs; i++)
        bytes[PLAN_INPUT] +=
            (g->inputs[i].slots - 1) * g->buffers[g->inputs[i].buffer].bytes;
}
