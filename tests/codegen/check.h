/* check.h: many graphs, each run as generated C and by the interpreter.
 *
 * The graphs are collected first and compiled by one call of cc. */
#ifndef TGC_TESTS_CODEGEN_CHECK_H
#define TGC_TESTS_CODEGEN_CHECK_H

#include "interp.h"
#include "op.h"

typedef struct Checks Checks;

typedef struct Check {
    const char *what;  /* for messages */
    Module *module;    /* freed after the run */
    Graph *g;          /* likewise; it may be one of the module's */
    bool outputs_only; /* packed weights are the library's own affair */
    bool in_place;     /* write over operands where that is allowed */
    uint32_t shuffle;  /* order of parts, see run_graph_run */
    uint64_t seed;     /* of the inputs */
    double low, high;  /* their range */
    double tolerance;  /* 0: by element type */
} Check;

Checks *checks_new(void);
/* cuda: what is added from here on is run in up to so many tiles of each
 * product, one after the other. */
void checks_tiles(Checks *c, int each);
/* cuda: the text of some kernel must hold this. */
void checks_want(Checks *c, const char *kernel);
void checks_add(Checks *c, const Check *check);
/* Compiles, runs, compares every value in memory; fails the test on the first
 * that differs.  Frees everything. */
void checks_run(Checks *c);

#endif
