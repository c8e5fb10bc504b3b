/* scale.h: dynamic loss scaling, for gradients in f16.
 *
 * The gradient of the loss starts at a scale instead of 1, so that small
 * gradients do not become 0 in f16.  Where one of the parameters' gradients is
 * not finite the step is skipped and the scale shrinks; after many good steps
 * in a row it grows (Micikevicius et al., "Mixed precision training", 2017;
 * the rules and defaults are those of torch.cuda.amp.GradScaler).
 *
 * State of the run, in every checkpoint:
 *     tgc.loss_scale           f32, what the next step will use
 *     tgc.loss_scale.good      i32, good steps since it last changed
 *     tgc.loss_scale.skips     i32, steps skipped since the start
 *     tgc.loss_scale.in_row    i32, of these the last ones, one after another
 *
 * Outputs for the runtime: loss_scale (that of this step), skips, skips_in_row
 * (with this step). */
#ifndef TGC_SCALE_H
#define TGC_SCALE_H

#include "update.h"

/* The gradient of the loss with respect to itself: 1, or the scale. */
Value scale_seed(Graph *g, Value loss);

/* For a graph that leaves the scale to another: its output loss_scale. */
void scale_report(Graph *g);

/* A stage of update.h: gradients of the loss, and whether they are finite. */
bool scale_undo(Update *u);

#endif
