/* ops/cudnn.c: convolutions that NVIDIA's cuDNN computes, as the cuda target
 * makes them out of conv and its gradients (codegen/cuda_cudnn.c).
 *
 * The second result is memory that cuDNN works in: nobody reads it, but as a
 * result it has its place in the arena, so what a run takes stays known.
 *
 *     cudnn_conv               x, w     -> y, u8[workspace]
 *     cudnn_conv_grad_input    dy, w    -> dx, u8[workspace]
 *     cudnn_conv_grad_weight   x, dy    -> dw, u8[workspace]; channels-last */
#include "conv.h"
#include <inttypes.h>

#define WORKSPACE                                                              \
    {                                                                          \
        "workspace", ATTR_INT, NULL, "most bytes that it may work in"          \
    }

/* ---- inference ---------------------------------------------------------- */

static bool infer_workspace(const Infer *f)
{
    int64_t bytes = node_int(f->node, "workspace");
    if (bytes < 1 || bytes > MAX_EXTENT)
        return infer_fail(f, "workspace is %" PRId64 ", the least is 1", bytes);
    f->out[1] = type_make(DT_U8, 1, &bytes);
    return true;
}

static bool infer_cudnn_conv(const Infer *f)
{
    return infer_conv(f) && infer_workspace(f);
}

static bool infer_cudnn_conv_grad_input(const Infer *f)
{
    return infer_conv_grad_input(f) && infer_workspace(f);
}

static bool infer_cudnn_conv_grad_weight(const Infer *f)
{
    if (!infer_conv_grad_weight(f) || !infer_workspace(f))
        return false;
    f->out[0].layout = layout_channels_last(f->out[0].rank);
    return true;
}

/* ---- descriptors -------------------------------------------------------- */

#define SPEC                                                                   \
    "stride=[1,2], pad_low=[1,1], pad_high=[1,1], dilation=[1,1], "            \
    "workspace=64"

const OpDesc op_cudnn_conv = {
    .name = "cudnn_conv",
    .doc = "conv by cuDNN; second result: what it works in",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CONV_ATTRS, WORKSPACE, {0}},
    .samples =
        SAMPLES("(f32[2,3,5,4]{0,2,3,1}, f32[4,3,3,3]{0,2,3,1}) {" SPEC "}"),
    .infer = infer_cudnn_conv,
    .cost = cost_conv,
};

const OpDesc op_cudnn_conv_grad_input = {
    .name = "cudnn_conv_grad_input",
    .doc = "conv_grad_input by cuDNN; second result: what it works in",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CONV_ATTRS,
                                WORKSPACE,
                                {"shape", ATTR_INTS, NULL, "of the input"},
                                {0}},
    .samples = SAMPLES("(f32[2,4,5,2]{0,2,3,1}, f32[4,3,3,3]{0,2,3,1}) {" SPEC
                       ", shape=[2,3,5,4]}"),
    .infer = infer_cudnn_conv_grad_input,
    .cost = cost_conv_grad_input,
};

const OpDesc op_cudnn_conv_grad_weight = {
    .name = "cudnn_conv_grad_weight",
    .doc = "conv_grad_weight by cuDNN, channels-last; second result: what it "
           "works in",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .traits = T_LIBRARY,
    .half = HALF_YES,
    .attrs = (const AttrSpec[]){CONV_ATTRS,
                                WORKSPACE,
                                {"shape", ATTR_INTS, NULL, "of the weights"},
                                {0}},
    .samples = SAMPLES("(f32[2,3,5,4]{0,2,3,1}, f32[2,4,5,2]{0,2,3,1}) {" SPEC
                       ", shape=[4,3,3,3]}"),
    .infer = infer_cudnn_conv_grad_weight,
    .cost = cost_conv_grad_weight,
};
