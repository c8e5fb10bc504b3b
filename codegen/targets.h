/* targets.h: the targets that there are. */
#ifndef TGC_TARGETS_H
#define TGC_TARGETS_H

#include "target.h"

extern const Target target_cpu, target_cuda;

/* Target.layout: channels last, but for weights, which files have row-major,
 * and what comes before or after products of matrices. */
Layout target_layout(const Target *t, const Graph *g, const Node *n,
                     const Type *type);

/* v, or a copy of it that is row-major where v is not. */
Value target_row_major(Graph *g, Value v);

/* conv or conv_grad_input as windows, products and sums (OpDesc.expand), but so
 * that the result's channels are neighbours wherever the generated kernel reads
 * or writes them: it has a lane for each then.  True. */
bool target_expand_conv(Graph *g, const Node *n, const Value *in, Value *out);

/* GPUs that images are made for, by default and at all; each list ends with
 * NULL. */
extern const char *const cuda_arch_default[], *const cuda_arch_known[];

#endif
