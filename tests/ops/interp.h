/* interp.h: runs any graph in plain double arithmetic, so that what the
 * compiler makes of it can be held against something.
 *
 * Elementwise ops go by .eval, views by .map, reductions by loops; what is
 * made of several (conv, pools, norms, losses) by plain loops of its own
 * (plain.c), written from the definition and not from .expand.  So a graph and
 * its expansion are computed in two independent ways.
 *
 *     Interp *i = interp_new(g, arena, INTERP_EXACT);
 *     interp_fill(i, 1);                       or interp_source(i, "x")[3] = 2;
 *     if (!interp_run(i, &e)) fail_msg("%s", e.text);
 *     interp_root(i, "output", "loss")[0]
 *
 * To hold a pass against what it started from: interp_same(before, after).
 *
 * Library ops run as well, packed weights being in plain order here: a graph
 * after `expand` for the cpu can be held against the one before.
 *
 * Values are row-major by logical dimensions, whatever the layout.  Nothing is
 * in place and everything is kept: for small graphs. */
#ifndef TGC_TESTS_INTERP_H
#define TGC_TESTS_INTERP_H

#include "op.h"

typedef struct Interp Interp;

typedef enum InterpMode {
    INTERP_EXACT, /* floating point of every type in double */
    INTERP_ROUND  /* each result, and each partial sum, rounded to its type */
} InterpMode;

Interp *interp_new(const Graph *g, Arena *a, InterpMode mode);

/* The value of the input or state of that name, zero until written; NULL
 * where the graph has none.  In a graph of its own (before autodiff, say) the
 * same name means the same value. */
double *interp_source(Interp *i, const char *name);

/* Random values for all of them, by (seed, name): floats in -1..1 (states that
 * start from a constant within 0.5 of it, so variances are positive), integers
 * 0, 1 or 2, bool. */
void interp_fill(Interp *i, uint64_t seed);
/* One of them; floats from low to high. */
void interp_fill_source(Interp *i, const char *name, uint64_t seed, double low,
                        double high);

/* Computes every node.  False where an op is unknown here. */
bool interp_run(Interp *i, Error *e);

const double *interp_value(const Interp *i, Value v);
/* Of the root `op` ("output", "update") with this name; NULL: none. */
const double *interp_root(const Interp *i, const char *op, const char *name);
Value interp_root_value(const Interp *i, const char *op, const char *name);

/* Largest |a - b| over 1 + the largest |a|; infinite where only one of two
 * places is finite.  nan equals nan. */
double interp_distance(const double *a, const double *b, int64_t n);

/* Fills both graphs alike, runs them, and compares every output and update of
 * `a`, which `b` must have too, to `tolerance` as interp_distance means it. */
bool interp_same(const Graph *a, const Graph *b, uint64_t seed,
                 double tolerance, Error *e);

/* A copy in which every node with .expand is replaced by what that appends,
 * until none is left.  The caller frees it. */
Graph *interp_expand(const Graph *g);

/* A number from -1 to 1 (bit mixing by splitmix64: only for filling). */
double interp_random(uint64_t *state);

/* v as the nearest value of that element type. */
double interp_rounded(double v, DType dtype);

#endif
