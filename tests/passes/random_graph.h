/* random_graph.h: random modules for properties that hold of every pass.
 *
 * One graph "train" with inputs, states that are read and updated, chains of
 * elementwise ops, reductions, views, ops that expand, constants, things
 * computed twice and things that nobody needs.  In float64: what differs by
 * more than rounding is wrong. */
#ifndef TGC_TESTS_RANDOM_GRAPH_H
#define TGC_TESTS_RANDOM_GRAPH_H

#include "ir.h"
#include "target.h"

Module *random_module(uint64_t seed, int nodes);

/* A target that has no ops of its own, wants channels-last, and cuts every
 * reduction in up to four pieces. */
extern const Target plain_target;

#endif
