/* steps.h: what a graph's node list becomes when it runs.
 *
 * A step is one kernel launch: a group of fused nodes, or one node that is in
 * no group.  Sources, `output` and views that nobody has to see in memory are
 * no steps.  An `update` is a step (a copy) only where its operand could not
 * be placed in the state's own bytes.
 *
 * The memory pass and code generation both go by this list, so they agree on
 * which values exist in memory.
 */
#ifndef TGC_STEPS_H
#define TGC_STEPS_H

#include "op.h"

typedef struct Step {
    uint32_t first, last;   /* node ids, inclusive */
    Value *in;              /* read from memory, each once, in id order */
    Value *out;             /* written: used outside, or by a root */
    uint32_t n_in, n_out;
} Step;

typedef struct Steps {
    Step *step;
    uint32_t n;
    uint32_t *of; /* node id -> step, UINT32_MAX: none */
} Steps;

Steps graph_steps(const Graph *g, Arena *a);

/* May `out` of step s be written over `in`: same bytes, and each element of
 * `in` is read, by the same iteration, before the element of `out` at its
 * place is written, and nowhere else. */
bool step_may_overwrite(const Graph *g, const Step *s, Value out, Value in);

/* ---- where values lie: what pass `memory` finds out ------------------- */

typedef enum BufferKind {
    BUF_STATE,      /* parameters, running statistics, optimizer slots */
    BUF_INPUT,      /* filled by the loader; `slots` of them, one in use */
    BUF_OUTPUT,     /* read by the runtime after the step */
    BUF_ACTIVATION, /* made by the forward pass, needed by the backward pass */
    BUF_GRADIENT,   /* made by the backward pass */
    BUF_WORK,       /* partial sums, packed weights: dead within few steps */
    BUF_KINDS
} BufferKind;

typedef struct Buffer {
    int64_t offset, bytes; /* in the arena; offset is a multiple of 64 */
    BufferKind kind;
    uint32_t first, last;  /* steps at which it is live, inclusive */
    uint32_t state;        /* BUF_STATE: index in the module's table */
    Value value;           /* one that lives there, for names; NO_VALUE for
                              a state that this graph does not touch */
} Buffer;

struct MemoryPlan {
    Buffer *buffer;
    uint32_t n_buffers;
    /* Buffer of value v: of[v.node * MAX_OUT + v.out]; UINT32_MAX: none. */
    uint32_t *of;
    int64_t arena_bytes; /* states, inputs, outputs and everything else */
    int64_t live_bytes;  /* lower bound: most bytes live at one step */
    uint32_t peak_step;
};

/* Pass `memory` leaves one of these at Graph.memory for every graph: states come
 * first and lie at the same offsets in all of them, so that the graphs of a
 * module share one arena. */

enum { INPUT_SLOTS = 3 }; /* batches under way between loader and step */

#endif
