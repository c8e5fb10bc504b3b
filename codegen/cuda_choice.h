/* cuda_choice.h: who computes a convolution on a GPU: cuDNN, or a kernel of
 * ours.
 *
 * cuDNN computes a convolution and nothing else, so what is fused around ours
 * becomes kernels of their own, for this convolution and perhaps for those
 * beside it.  So the two are compared by whole steps of training: for every
 * different convolution the program that measures has a copy of graph `train`
 * in which only this one is the other's (pass `variants`):
 *
 *     train.base          as chosen so far
 *     train.cudnn.NAME    all convolutions of this name by cuDNN
 *     train.tgc.NAME      by ours; NAME all: every one
 *
 * The file of tiles then has a row "product NAME cudnn - .." or "tgc".
 * Convolutions of one name have the same kind, type, shapes and steps. */
#ifndef TGC_CUDA_CHOICE_H
#define TGC_CUDA_CHOICE_H

#include "op.h"
#include "target.h"
#include "tiles.h"

/* Does cuDNN compute it?  n: a convolution or a gradient of one, or else the
 * answer is no. */
bool choice_is_cudnn(const Target *t, const Graph *g, const Node *n);

/* Why it is computed by whom it is, for people, in the arena; NULL: there is
 * nothing to say.  n may be lowered. */
const char *choice_why(const TileTable *tiles, const Graph *g, const Node *n,
                       Arena *a);

/* Target.variants */
const char *const *choice_variants(const Target *t, const Graph *g, Arena *a);

#endif
