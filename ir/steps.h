/* steps.h: what a graph's node list becomes when it runs.
 *
 * A step is one kernel launch.  The rule, which the memory pass and code
 * generation both go by, so that they agree on which values exist in memory:
 *
 *   - The nodes of one group are one step.
 *   - A node in no group is a step of its own, but for
 *       sources       their values are in memory before the first step;
 *       `output`      its operand stays in memory to the end;
 *       inlined ones  constants (nodes without operands that are no source and
 *                     not random) and views (T_VIEW with one operand), where
 *                     every user is computed by the generic kernel.  Who uses
 *                     such a view reads the view's own operand through its
 *                     map; who uses such a constant reads nothing.
 *   - An `update` in no group is a step without results.  It runs, as a copy,
 *     only where the memory pass could not place its operand in the state's
 *     own bytes.  An `update` inside a group only makes its operand a result.
 *   - A step of one node writes all its results.  A group writes those that a
 *     root or a node outside the group uses, inlined views among them.
 *   - A group may hold one node that the generic kernel does not compute: its
 *     anchor, a library call or a kernel template with all that is fused around
 *     it.  Members that the anchor needs are its prologue, they run before it;
 *     the others are its epilogue and run after it, or after the part of it
 *     that they need.  What passes between them is the target's business
 *     (Target.anchor); it is in memory only where somebody outside reads it.
 *
 *         fuse {
 *           %1 = mul %x, %scale             prologue
 *           %2 = relu %1
 *           %3 = lib_conv %2, %w            anchor
 *           %4 = reduce_sum %3              epilogue
 *         }
 */
#ifndef TGC_STEPS_H
#define TGC_STEPS_H

#include "op.h"

typedef struct Step {
    uint32_t first, last; /* node ids, inclusive */
    Value *in;            /* read from memory, each once, in id order */
    Value *out;           /* written to memory, in id order */
    uint32_t n_in, n_out;
} Step;

typedef struct Steps {
    Step *step;
    uint32_t n;
    uint32_t *of; /* node id -> step; NO_STEP: source, output, inlined */
} Steps;

#define NO_STEP UINT32_MAX

Steps graph_steps(const Graph *g, Arena *a);

/* The anchor of a step with other nodes around it, or the one node that it is
 * where that is not generic; 0: a step of the generic kernel. */
uint32_t step_anchor(const Graph *g, const Step *s);

/* May `out` of step s be written over `in`: same bytes, and each element of
 * `in` is read, by the same iteration, before the element of `out` at its
 * place is written, and nowhere else.  Relies on this of the generic kernel:
 * the results of a step that has one shape and at most one way to reduce it are
 * one nest of loops; an iteration loads all that it needs before it stores
 * anything; and where rows are gone over several times, what is computed in
 * one turn is stored in that turn. */
bool step_may_overwrite(const Graph *g, const Step *s, Value out, Value in);
/* The same for all results at once: over[i] is that of s->out[i]. */
void step_overwrites(const Graph *g, const Step *s, Value in, bool *over);

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
    uint32_t first, last; /* steps at which it is live, inclusive */
    uint32_t state;       /* BUF_STATE: index in the module's table */
    Value value;          /* one that lives there, for names; NO_VALUE for
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

/* Pass `memory` leaves one of these at Graph.memory for every graph: states
 * come first and lie at the same offsets in all of them, so that the graphs of
 * a module share one arena. */

enum { INPUT_SLOTS = 3 }; /* batches under way between loader and step */

/* Slots of an input: Buffer.bytes is the size of one, rounded up to 64 it is
 * the distance to the next.  Scalars are set between steps. */
static inline uint32_t input_slots(const Type *t)
{
    return t->rank ? INPUT_SLOTS : 1;
}

/* Bytes that the buffer takes in the arena: all slots of an input, aligned. */
static inline int64_t buffer_room(const Graph *g, const Buffer *b)
{
    int64_t room = (b->bytes + 63) / 64 * 64;
    return b->kind == BUF_INPUT ? room * input_slots(graph_type(g, b->value))
                                : room;
}

#endif
