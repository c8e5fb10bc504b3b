/* onnx_private.h: what the two files of the ONNX export share.
 *
 *     onnx.c       the file: inputs, outputs, weights
 *     onnx_ops.c   each op as ONNX nodes
 */
#ifndef TGC_ONNX_PRIVATE_H
#define TGC_ONNX_PRIVATE_H

#include "onnx.h"
#include "op.h"

/* Fields of the messages, from onnx.proto. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_METADATA = 14,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    OPSET_DOMAIN = 1,
    OPSET_VERSION = 2,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_TYPE_ELEM = 1,
    TENSOR_TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2
};

typedef struct OnnxWriter {
    const OnnxModel *model;
    const Graph *g;
    Protobuf graph;    /* GraphProto so far */
    const char **name; /* of the result of each node */
    bool *small;       /* may have fewer dimensions than its type says, or 1
                          for a larger one: what repeats is not there */
    uint32_t fresh;    /* numbers for names */
    Arena *arena;
    Error *e;
} OnnxWriter;

int onnx_type(DType t); /* 0: ONNX has no such type */

/* An initializer; its name. */
const char *onnx_constant(OnnxWriter *w, DType t, const int64_t *dim, int rank,
                          const void *data, size_t bytes);
const char *onnx_ints(OnnxWriter *w, const int64_t *v, int n);

/* Nodes for node `id`, whose operands are there; false with a message. */
bool onnx_node(OnnxWriter *w, uint32_t id);

#endif
