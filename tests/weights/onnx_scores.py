"""Runs an ONNX file on images with onnxruntime, under a Python that has it.
usage: onnx_scores.py FILE.onnx [COUNT IMAGES SCORES].. (float32, as bytes)"""
import sys

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
session = onnxruntime.InferenceSession(sys.argv[1], options,
                                       providers=["CPUExecutionProvider"])
image, = session.get_inputs()
for count, images, scores in zip(*[iter(sys.argv[2:])] * 3):
    x = np.fromfile(images, "<f4").reshape(int(count), *image.shape[1:])
    session.run(None, {image.name: x})[0].astype("<f4").tofile(scores)
