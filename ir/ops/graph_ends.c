/* ops/graph_ends.c: where values come into a graph and leave it. */
#include "common.h"

static bool infer_source(const Infer *f)
{
    return infer_declared(f, &f->out[0]);
}

const OpDesc op_input = {
    .name = "input",
    .doc = "what the step is given: a batch, its labels, the learning rate",
    .n_out = 1,
    .traits = T_SOURCE,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){{"name", ATTR_STRING, NULL, "its name"},
                                {"dtype", ATTR_DTYPE, NULL, "element type"},
                                {"shape", ATTR_INTS, NULL, "its dimensions"},
                                {0}},
    .samples = (const char *const[]){"() {name=\"image\", dtype=f32, "
                                     "shape=[2,3]}",
                                     NULL},
    .infer = infer_source,
    .cost = NULL,
};

/* The entry of the module's table that attribute "name" names. */
static const State *named_state(const Infer *f)
{
    const char *name = node_string(f->node, "name");
    int i = module_state(f->graph->module, name);
    if (i < 0)
        infer_fail(f, "there is no state \"%.200s\"", name);
    return i < 0 ? NULL : &f->graph->module->state[i];
}

static bool infer_state(const Infer *f)
{
    const State *s = named_state(f);
    if (s)
        f->out[0] = s->type;
    return s != NULL;
}

const OpDesc op_state = {
    .name = "state",
    .doc = "the value that a state (a weight, a running statistic, a momentum) "
           "had when the step began",
    .n_out = 1,
    .traits = T_SOURCE,
    .half = HALF_NO,
    .attrs =
        (const AttrSpec[]){{"name", ATTR_STRING, NULL, "which state"}, {0}},
    .infer = infer_state,
};

static bool infer_update(const Infer *f)
{
    const State *s = named_state(f);
    return s && infer_is(f, 0, &s->type, "the new value");
}

const OpDesc op_update = {
    .name = "update",
    .doc = "gives a state the value that it has when the step ends",
    .min_in = 1,
    .max_in = 1,
    .traits = T_ROOT,
    .half = HALF_NO,
    .attrs =
        (const AttrSpec[]){{"name", ATTR_STRING, NULL, "which state"}, {0}},
    .infer = infer_update,
};

const OpDesc op_output = {
    .name = "output",
    .doc = "a result that the caller reads after the step",
    .min_in = 1,
    .max_in = 1,
    .traits = T_ROOT,
    .half = HALF_NO,
    .attrs = (const AttrSpec[]){{"name", ATTR_STRING, NULL, "its name"}, {0}},
    .samples = (const char *const[]){"(f32[]) {name=\"loss\"}",
                                     "(i32[3,1]) {name=\"correct\"}", NULL},
    .infer = infer_none,
};
