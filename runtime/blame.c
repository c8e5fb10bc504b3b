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

static bool blame_states(const Executor *e, char *text, size_t size)
{
    for (uint32_t i = 0; i < e->plan->n_states; i++) {
        const PlanState *t = &e->plan->states[i];
        int64_t at =
            dtype_first_not_finite(t->type.dtype, executor_state(e, i),
                                   t->bytes / dtype_bytes(t->type.dtype));
        if (at < 0)
            continue;
        snprintf(text, size,
                 "%s was not finite before this step (element %lld): the "
                 "update before was too large, a smaller learning rate or a "
                 "warm-up may help",
                 t->name, (long long)at);
        return true;
    }
    return false;
}

static bool blame_inputs(const Executor *e, int graph, uint32_t slot,
                         char *text, size_t size)
{
    const PlanGraph *g = &e->plan->graphs[graph];
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const PlanPort *p = &g->inputs[i];
        const void *data =
            executor_input(e, graph, p, slot < p->slots ? slot : 0);
        if (dtype_first_not_finite(p->type.dtype, data,
                                   type_elements(&p->type)) < 0)
            continue;
        snprintf(text, size, "its input \"%s\" is not finite", p->name);
        return true;
    }
    return false;
}

/* Are the results of step i finite, now that it has run? */
static bool step_finite(const ExecutorGraph *x, uint32_t i, uint32_t slot)
{
    const PlanStep *step = &x->graph->steps[i];
    for (uint32_t k = 0; k < step->n_out; k++) {
        const PlanBuffer *b = &x->graph->buffers[x->graph->args[step->arg + k]];
        const void *data = x->buf[slot * x->n_args + step->arg + k];
        int64_t size = dtype_bytes(b->dtype);
        if (size &&
            dtype_first_not_finite(b->dtype, data, b->bytes / size) >= 0)
            return false;
    }
    return true;
}

void executor_blame(Executor *e, int graph, uint32_t slot, char *text,
                    size_t size)
{
    const ExecutorGraph *x = &e->graph[graph];
    if (blame_states(e, text, size) || blame_inputs(e, graph, slot, text, size))
        return;
    for (uint32_t i = 0; i < x->graph->n_steps; i++) {
        const PlanStep *step = &x->graph->steps[i];
        executor_step(e, x, i, slot, 0, 1);
        if (!step_finite(x, i, slot)) {
            snprintf(text, size,
                     "the first op with a result that is not "
                     "finite is %s%s%s",
                     step->what, step->loc && step->loc[0] ? " at " : "",
                     step->loc ? step->loc : "");
            return;
        }
        if ((int32_t)i == x->graph->loss_step)
            break;
    }
    snprintf(text, size,
             "no single op could be blamed: run it again with "
             "the same seed to see whether it repeats");
}
