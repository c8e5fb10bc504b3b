/* checkpoint.h: what the files of the pass `checkpoint` share.
 *
 *     checkpoint.c         plans, measures, and searches for what fits
 *     checkpoint_split.c   kernels of which a part can be made again
 *     checkpoint_chain.c   what to keep: dynamic programming over bytes
 *     checkpoint_copy.c    the graph with the rest computed again
 *     checkpoint_exact.c   very small graphs: every way
 *     checkpoint_near.c    small graphs: one step at a time
 */
#ifndef TGC_CHECKPOINT_H
#define TGC_CHECKPOINT_H

#include "passes.h"
#include "steps.h"

/* What is known about a step of the forward pass. */
typedef struct Forward {
    bool forward; /* the loss depends on it */
    bool dear;    /* holds a convolution or a matrix product */
    bool free;    /* needs nothing but weights: computed again without asking */
    int64_t big;  /* bytes of its results that count */
    int64_t saved; /* of these, what the backward pass reads */
    double cost;   /* seconds, as the target says */
} Forward;

/* A train graph as a chain of blocks.  Cut c lies behind step cut[c]; block c
 * is the steps behind cut c - 1, up to cut[c].  Cut 0 is the beginning. */
typedef struct Chain {
    const Graph *g;
    const Target *target;
    Arena *arena;
    const bool *joined; /* by group (split_prologues); NULL: none is */
    Steps steps;
    Forward *step;
    int64_t small; /* results below are never worth dropping */
    uint32_t *cut; /* step numbers; cut[0] is unused */
    uint32_t n_cuts;
    bool *defines_cut; /* by step: does a result lead over a cut? */
    /* By block 1 .. n_cuts - 1. */
    int64_t *entry;      /* bytes that lead over the cut before it */
    int64_t *entry_dear; /* of these, results of dear steps */
    int64_t *all;        /* saved, but for what leads over the cut behind it */
    int64_t *dear;       /* results of dear steps */
    int64_t *cheap; /* the other results, but for what leads over the cut */
    double *cost, *cheap_cost;
} Chain;

/* How a segment of the chain is treated. */
typedef enum Mode {
    KEEP_ALL,  /* as without the pass */
    KEEP_DEAR, /* entry and dear results; elementwise ones are made again */
    KEEP_ENTRY /* the entry; everything is made again */
} Mode;

typedef struct Choice {
    Mode *mode;   /* by block */
    bool *starts; /* by block: is it the first of a segment? */
    double cost;  /* seconds of computing again */
} Choice;

/* A new graph in which what is computed before an anchor, and read by others
 * too, is a group of its own.  joined, by number of a group: it was one with
 * the group right before it. */
Graph *split_prologues(Graph *g, Arena *a, bool **joined);

/* Has the step results that the pass may drop, and how many steps have? */
bool chain_is_value(const Chain *c, uint32_t step);
uint32_t chain_values(const Chain *c);

/* By node: does the loss depend on it? */
bool *chain_forward(const Graph *g, Arena *a);
Chain chain_find(const Graph *g, const Target *t, Arena *a);
/* The cheapest choice whose modelled bytes are at most `bytes`; false: none. */
bool chain_choose(const Chain *c, int64_t bytes, Choice *choice);
int64_t chain_least(const Chain *c); /* bytes for which there is a choice */
int64_t chain_most(const Chain *c);  /* bytes of keeping everything */

/* What becomes of a step of the forward pass that the backward pass needs. */
typedef enum Again {
    KEPT,
    AGAIN_EACH, /* made again for each step of the backward pass that needs it
                 */
    AGAIN_ONCE, /* made again for the first of them, kept for the others */
    AGAIN_KINDS
} Again;

/* By step: what the choice says. */
Again *chain_again(const Chain *c, const Choice *choice, Arena *a);

/* The graph in which what is not kept is computed again, each time as late as
 * it can be. */
Graph *chain_rewrite(const Chain *c, Graph *g, const Again *again);

/* What a way to compute again comes to, when the graph is ordered and placed.
 */
typedef struct Outcome {
    int64_t bytes;  /* arena and tables; -1: it cannot be planned */
    double excess;  /* bytes above the budget, summed over the steps */
    double seconds; /* of computing again */
} Outcome;
typedef struct Trial {
    const Chain *chain;
    Graph *g;
    PassContext *c;
    int64_t base, budget; /* where activations begin; for arena and tables */
} Trial;
Outcome trial_run(const Trial *t, const Again *again);
Outcome trial_measure(const Trial *t, Graph *g); /* rewritten already */

/* Graphs of few large values: the best way there is; NULL: it has more.
 * sure: it could be placed as it is; else another may be better. */
Graph *search_exact(const Trial *t, Outcome *out, bool *sure);

/* Small graphs: better ways near `again`, which it changes. */
bool search_near(const Trial *t, Again *again);

bool outcome_is_better(const Outcome *a, const Outcome *b);

#endif
