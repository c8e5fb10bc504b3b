/* passes.h: what the files of the passes share and nobody else sees. */
#ifndef TGC_PASSES_H
#define TGC_PASSES_H

#include "op.h"
#include "pass.h"

/* One line a pass; table.c has the order in which they run. */
#define PASS(name) extern const Pass pass_##name;
PASS(fold)
PASS(half)
PASS(autodiff)
PASS(absorb)
PASS(cse)
PASS(dce)
PASS(layout)
PASS(variants)
PASS(expand)
PASS(fuse)
PASS(checkpoint)
PASS(schedule)
PASS(memory)
#undef PASS

/* For passes that take one graph at a time: rewrite returns the graph's
 * successor, or the graph itself where it only appended, or NULL with c->error
 * set. */
typedef Graph *GraphRewrite(Graph *g, PassContext *c);
bool passes_each_graph(Module *m, PassContext *c, GraphRewrite *rewrite);

/* The graph with its steps in a good order, as a new graph: pass `schedule`. */
Graph *schedule_graph(Graph *from, PassContext *c);

/* A user's mistake, found at loc.  Returns false. */
bool pass_fail(PassContext *c, Loc loc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "grad, plain" */
void facts_print(uint32_t facts, FILE *out);

#endif
