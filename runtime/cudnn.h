/* cudnn.h: the plan's convolutions as execution plans of cuDNN.
 *
 * Made at start, one for each row of Plan.convs: of the engines that cuDNN's
 * heuristics propose, the first that gives the same bits each time, computes in
 * the precision that the model asks for, and works in the memory that was
 * planned for it.  Which one that is depends on cuDNN's version and on the GPU.
 */
#ifndef TGC_CUDNN_H
#define TGC_CUDNN_H

#include "cudnn_api.h"
#include "plan.h"

typedef struct Cudnn Cudnn;

/* What computes a convolution. */
typedef struct CudnnChoice {
    int64_t engine;    /* cuDNN's number of it */
    int64_t workspace; /* bytes that it works in */
} CudnnChoice;

/* Opens cuDNN on the current device, and makes all plans. `json`: for a device
 * that is described so (cuDNN's own form), without one being there; nothing can
 * be run then.  NULL with a message. */
Cudnn *cudnn_open(const Plan *plan, CuStream stream, const char *json,
                  Status *s);
void cudnn_close(Cudnn *c); /* NULL is fine */

size_t cudnn_version(const Cudnn *c); /* 91900 is 9.19.0 */
CudnnChoice cudnn_choice(const Cudnn *c, uint32_t conv);
/* "convolution f16 [128,16,32,32] by [16,16,3,3]"; returns text. */
const char *cudnn_describe(const PlanConv *p, char *text, size_t size);

/* Puts convolution `conv` into the stream; arg: addresses of the step's
 * arguments. */
bool cudnn_run(Cudnn *c, uint32_t conv, const CuPtr *arg, Status *s);

#endif
