/* onnx.h: a graph for inference as an ONNX file (onnx.ai, IR version 8, opset
 * 17), for other programs to run.
 *
 * The graph is the frontend's "eval", not yet lowered, built for a batch of
 * ONNX_BATCH: a number that no other size is a multiple of, so every dimension
 * that is one is known to be the batch's, and is left open in the file. */
#ifndef TGC_ONNX_H
#define TGC_ONNX_H

#include "ir.h"
#include "protobuf.h"

enum { ONNX_BATCH = 65537, ONNX_OPSET = 17 };

/* The values of a state, row-major, as float32; false with a message. */
typedef bool OnnxWeights(void *context, const State *s, float *to, Error *e);

typedef struct OnnxModel {
    const Graph *graph; /* from input "image" to what is compared to labels */
    OnnxWeights *weights;
    void *context;
} OnnxModel;

/* The file's bytes, for the caller to free; false with a message, where the
 * graph has something that ONNX does not, or it does not fit into 2 GB. */
bool onnx_write(const OnnxModel *m, Protobuf *file, Error *e);

#endif
