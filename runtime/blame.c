/* blame.c: which op was the first to produce what is not finite.
 *
 * Runs are never checked op by op: that would cost a pass over memory each.
 * Only when a loss has come out wrong is the run repeated, slowly, on the same
 * input; parameters have not changed since (PlanGraph.loss_step).
 */
#include "executor_private.h"
#include "types.h"
#include <stdio.h>
#include <string.h>

/* A state that was bad before the run, or NULL. */
static const char *bad_state(const Executor *e)
{
    for (uint32_t i = 0; i < e->plan->n_states; i++) {
        const PlanState *t = &e->plan->states[i];
        int64_t n = t->bytes / dtype_bytes(t->type.dtype);
        if (dtype_first_not_finite(t->type.dtype, executor_state(e, i), n) >= 0)
            return t->name;
    }
    return NULL;
}

/* An input that was bad before the run, or NULL. */
static const char *bad_input(const Executor *e, int graph, uint32_t slot)
{
    const PlanGraph *g = &e->plan->graphs[graph];
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const PlanPort *p = &g->inputs[i];
        const void *data =
            executor_input(e, graph, p, slot < p->slots ? slot : 0);
        if (dtype_first_not_finite(p->type.dtype, data,
                                   type_elements(&p->type)) >= 0)
            return p->name;
    }
    return NULL;
}

/* Are the results of step i finite, now that it has run?  Where the device does
 * not say, they count as finite. */
static bool step_finite(Executor *e, int graph, uint32_t i, uint32_t slot,
                        Status *s)
{
    const PlanGraph *g = e->graph[graph].graph;
    const PlanStep *step = &g->steps[i];
    for (uint32_t k = 0; k < step->n_out; k++) {
        const PlanBuffer *b = &g->buffers[g->args[step->arg + k]];
        const void *data = e->kind->read(e, graph, slot, step->arg + k, s);
        int64_t size = dtype_bytes(b->dtype);
        if (data && size &&
            dtype_first_not_finite(b->dtype, data, b->bytes / size) >= 0)
            return false;
    }
    return true;
}

/* Runs step after step; the first one with a bad result, or NULL. */
static const PlanStep *bad_step(Executor *e, int graph, uint32_t slot)
{
    const PlanGraph *g = e->graph[graph].graph;
    Status s = {0};
    double seconds = 0;
    for (uint32_t i = 0; i < g->n_steps; i++) {
        if (!e->kind->step(e, graph, slot, i, &seconds, &s))
            return NULL;
        if (!step_finite(e, graph, i, slot, &s))
            return &g->steps[i];
        if ((int32_t)i == g->loss_step)
            break;
    }
    return NULL;
}

void executor_blame(Executor *e, int graph, uint32_t slot, char *text,
                    size_t size)
{
    Status pulled = {0};
    if (!e->replays && !e->graph[graph].result[RESULT_LOSS_SCALE]) {
        snprintf(text, size,
                 "this device runs a step as a whole, so that its weights have "
                 "changed already; the same run with --check, from the last "
                 "checkpoint, says which op it was");
        return;
    }
    executor_pull(e, &pulled);
    const char *state = bad_state(e), *input = bad_input(e, graph, slot);
    const PlanStep *step = bad_step(e, graph, slot);
    size_t used = 0;
    text[0] = 0;
    if (state)
        used = (size_t)snprintf(text, size,
                                "%s was not finite before this step, the "
                                "update before was too large; ",
                                state);
    if (input && used < size)
        used += (size_t)snprintf(text + used, size - used,
                                 "its input \"%s\" is not finite; ", input);
    if (used >= size)
        return;
    if (step)
        snprintf(text + used, size - used,
                 "the first op with a result that is not finite is %s%s%s",
                 step->what, step->loc && step->loc[0] ? " at " : "",
                 step->loc ? step->loc : "");
    else
        snprintf(text + used, size - used, "no single op is to blame");
}
