/* cuda_cudnn.h: convolutions that go to NVIDIA's cuDNN instead of a kernel of
 * ours.
 *
 *     conv ── cudnn_lower ──> cudnn_conv ── cudnn_add ──> Plan.convs
 *
 * Nothing here needs cuDNN: the program opens it when it starts, and chooses
 * among its engines (runtime/cudnn.h). */
#ifndef TGC_CUDA_CUDNN_H
#define TGC_CUDA_CUDNN_H

#include "kernels.h"

/* Target.lower of those that cuDNN computes (cuda_choice.h).  Weights are
 * copied to lie channels-last, as cuDNN reads them without a copy of its own.
 */
void cudnn_lower(Graph *g, const Node *n, const Value *in, Value *out);

bool cudnn_is_step(const Graph *g, const Step *s);
/* The kernel of such a step: none, but a row of Plan.convs. */
void cudnn_add(Kernels *k, const Graph *g, const Step *s, StepCode *code);

#endif
