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

/* Why a convolution or a gradient of one has a kernel of ours, for people; NULL
 * where cuDNN computes it, or where n is neither. */
const char *cudnn_refusal(const Graph *g, const Node *n);
/* Is it one that cuDNN computes? */
bool cudnn_takes(const Graph *g, const Node *n);

/* Target.lower of those.  Weights are copied to lie channels-last, as cuDNN
 * reads them without a copy of its own. */
void cudnn_lower(Graph *g, const Node *n, const Value *in, Value *out);

bool cudnn_is_step(const Graph *g, const Step *s);
/* The kernel of such a step: none, but a row of Plan.convs. */
void cudnn_add(Kernels *k, const Graph *g, const Step *s, StepCode *code);

#endif
