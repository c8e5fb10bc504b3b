/* checkpoint.h: what the files of the pass `checkpoint` share.
 *
 *     checkpoint.c         plans, measures, and searches for what fits
 *     checkpoint_chain.c   what to keep: dynamic programming over bytes
 *     checkpoint_copy.c    the graph with the rest computed again
 */
#ifndef TGC_CHECKPOINT_H
#define TGC_CHECKPOINT_H

#include "steps.h"

/* What is known about a step of the forward pass. */
typedef struct Forward {
    bool forward; /* the loss depends on it */
    bool dear;    /* holds a library call, or a sum over something large */
    bool free;    /* needs nothing but weights: computed again without asking */
    int64_t big;  /* bytes of its results that count */
    int64_t saved; /* of these, what the backward pass reads */
    double cost;   /* seconds, modelled */
} Forward;

/* A train graph as a chain of blocks.  Cut c lies behind step cut[c]; block c
 * is the steps behind cut c - 1, up to cut[c].  Cut 0 is the beginning. */
typedef struct Chain {
    const Graph *g;
    Arena *arena;
    Steps steps;
    Forward *step;
    int64_t small; /* results below are never worth dropping */
    uint32_t *cut; /* step numbers; cut[0] is unused */
    uint32_t n_cuts;
    bool *defines_cut; /* by step: does a result lead over a cut? */
    /* By block 1 .. n_cuts - 1. */
    int64_t *entry; /* bytes that lead over the cut before it */
    int64_t *all;   /* saved, but for what leads over the cut behind it */
    int64_t *dear;  /* results of dear steps */
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

Chain chain_find(const Graph *g, Arena *a);
/* The cheapest choice whose modelled bytes are at most `bytes`; false: none. */
bool chain_choose(const Chain *c, int64_t bytes, Choice *choice);
int64_t chain_least(const Chain *c); /* bytes for which there is a choice */
int64_t chain_most(const Chain *c);  /* bytes of keeping everything */

/* The graph in which what is not kept is computed again, each time as late as
 * it can be. */
Graph *chain_rewrite(const Chain *c, Graph *g, const Choice *choice);

#endif
