/* target.h: what the passes may ask about the machine compiled for.
 *
 * codegen/ defines one Target for each; passes see only this.
 */
#ifndef TGC_TARGET_H
#define TGC_TARGET_H

#include "steps.h"

typedef struct Target Target;

/* What may be fused around a node that the target runs as a whole.
 *
 * The group runs in `pieces`, cut along dimension 0 of everything that is
 * computed in it: piece k of a member is computed from piece k of other
 * members and of values of as many outermost rows, or from all of a value from
 * outside.  So a reduction over dimension 0 stays out, but the sums of each
 * piece (a split of dimension 0, and a sum over the rest) go in.  Where neither
 * `before` nor `after` is set, the node runs alone. */
typedef struct Anchor {
    int64_t pieces;  /* divides dimension 0; 0: the node is no anchor */
    uint32_t before; /* bit i: operand i may be computed in the group */
    bool keeps;      /* and may be in memory, too, for others to read */
    uint32_t after;  /* bit i: result i may be read in the group */
} Anchor;

struct Target {
    const char *name; /* "cpu" */

    /* The layout wanted for results of this node (and for an input or state
     * that only such nodes read): called by pass `layout` where the node's
     * descriptor leaves a choice. */
    Layout (*layout)(const Target *t, const Graph *g, const Node *n,
                     const Type *type);
#define TARGET_NO_OPINION ((Layout)~0u)

    /* Rewrite node n (of another graph) into this target's own ops, appended
     * to g; false: the target has no way of its own and the node is left for
     * the generic kernel or .expand.  Called by pass `expand`. */
    bool (*lower)(const Target *t, Graph *g, const Node *n, const Value *in,
                  Value *out);

    /* Into how many partial results a long reduction is cut, so that they can
     * be computed in parallel: a function of shapes alone, never of the number
     * of threads. */
    int (*splits)(const Target *t, const Type *operand, const int64_t *axes,
                  int n_axes);

    /* What may stand in one group with node n of g.  Nodes of which this says
     * that they are anchors are left as they are by pass `expand`; pass `fuse`
     * forms the groups.  NULL: nothing. */
    Anchor (*anchor)(const Target *t, const Graph *g, const Node *n);

    /* May generic node n stand before operand `operand` of the anchor, or after
     * the anchor where `operand` is -1?  For targets whose templates do not
     * compute everything; NULL: whatever the pieces allow. */
    bool (*joins)(const Target *t, const Graph *g, const Node *anchor,
                  int operand, const Node *n);

    /* Can the target compute this group around an anchor, after all?  Asked of
     * the graph that pass `fuse` has made; what it cannot is fused no more.
     * NULL: everything that was let in. */
    bool (*holds)(const Target *t, const Graph *g, const Step *s);

    /* Most bytes that a library call of the module wants for itself; each
     * thread has as many, besides the arena. */
    int64_t (*scratch)(const Target *t, const Module *m);

    /* What the program itself takes of the same memory, besides arena and
     * scratch: code of libraries, loader, files being written; and tables, for
     * each step of a graph and for each state. */
    int64_t program_bytes, step_bytes, state_bytes;

    /* Steps that do not need each other run side by side: what one writes had
     * better not lie where another has just read. */
    bool beside;

    /* Seconds that the step takes: measured, or by published rates.  What
     * matters is how they compare. */
    double (*seconds)(const Target *t, const Graph *g, const Step *s);

    /* Of graph `train`: names of the copies that are to be timed beside it,
     * NULL-ended, in the arena; what is other in a copy, `lower` tells by its
     * name.  Called by pass `variants`.  NULL: never any. */
    const char *const *(*variants)(const Target *t, const Graph *g, Arena *a);

    void *self;         /* the target's own */
    const void *choice; /* likewise; of what the command line or a file says */
};

/* Threads that the setting `threads`, or else this machine, says there are. */
int64_t target_threads(const Module *m);

/* Scratch for all threads of target_threads. */
int64_t target_scratch_all(const Target *t, const Module *m);
/* Tables of the graph's steps; the program, and the tables of all its graphs
 * and states. */
int64_t target_tables(const Target *t, const Graph *g);
int64_t target_program(const Target *t, const Module *m);

#endif
