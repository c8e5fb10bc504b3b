#!/usr/bin/env python3
"""Errors and times of the convolutions of a ResNet-20 in bf16: Winograd's, the
library's direct ones and PyTorch's.

    tests/bench/winograd.py [--images 128]

Needs PyTorch. Inputs as after a relu, gradients with a mean; each error is the
largest and the root of the mean square of (result - float64) over the largest
element of the float64 one, from operands that bf16 holds exactly and (whole)
from float32 ones, which are rounded first, as activations are in training.
Last the gradient of a whole ResNet-20 at the first batch of CIFAR-10. Writes
docs/results/winograd.md."""
import argparse
import json
import os
import statistics
import sys

import numpy
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tgctest as t  # noqa: E402
from step import machine  # noqa: E402

SHAPES = [(16, 32), (32, 16), (64, 8)]  # channels, rows and columns
KINDS = ["result", "gradient of the input", "gradient of the weights"]
BF16 = torch.bfloat16


def data(images, channels, size):
    torch.manual_seed(channels)
    x = torch.relu(torch.randn(images, channels, size, size) + 0.3)
    w = torch.randn(channels, channels, 3, 3) * (2 / (9 * channels)) ** 0.5
    dy = torch.randn(images, channels, size, size) + 0.1
    return x, w, dy


def by_torch(x, w, dy, dtype):
    """The three results, in float64."""
    x, w, dy = (v.to(dtype) for v in (x, w, dy))
    x.requires_grad_(), w.requires_grad_()
    y = torch.nn.functional.conv2d(x, w, padding=1)
    dx, dw = torch.autograd.grad(y, (x, w), dy)
    return [v.detach().double() for v in (y, dx, dw)]


def as_bytes(v, dtype):
    """Channels-last, or weights as they are."""
    if dtype is None:
        return v.contiguous().numpy().tobytes()
    v = v.permute(0, 2, 3, 1).contiguous().to(dtype)
    return v.view(torch.int16).numpy().tobytes()


def by_tgc(kind, how, x, w, dy):
    """The result in float64, and milliseconds of one core."""
    folder = t.scratch("bench_winograd")
    images, channels, size, _ = x.shape
    a, b, out = (os.path.join(folder, n) for n in "abr")
    for path, v, dtype in ((a, dy if kind == 2 else x, BF16),
                           (b, dy if kind == 3 else w,
                            BF16 if kind == 3 else None)):
        with open(path, "wb") as file:
            file.write(as_bytes(v, dtype))
    ms = float(t.run(os.path.join(t.BUILD, "tests", "bench", "bench_conv"),
                     kind, "bf16", how, images, channels, size, a, b,
                     out).must().out)
    if kind == 3:
        result = numpy.fromfile(out, numpy.float32).reshape(w.shape)
        return torch.from_numpy(result).double(), ms
    raw = torch.from_numpy(numpy.fromfile(out, numpy.int16)).view(BF16)
    return raw.reshape(images, size, size, channels).permute(
        0, 3, 1, 2).double(), ms


def error(got, truth):
    off, most = got - truth, truth.abs().max()
    return (f"{off.abs().max() / most:.1e}", f"{off.pow(2).mean().sqrt() / most:.1e}")


def convolutions(images):
    lines = ["| | | Winograd | direct | PyTorch | Winograd, whole | direct, "
             "whole | Winograd | direct |",
             "| --- | --- | --- | --- | --- | --- | --- | ---: | ---: |"]
    for channels, size in SHAPES:
        x, w, dy = data(images, channels, size)
        short = [v.to(BF16).float() for v in (x, w, dy)]
        truth = by_torch(*short, torch.float64)
        whole = by_torch(x, w, dy, torch.float64)
        other = by_torch(*short, BF16)
        for kind, name in enumerate(KINDS, 1):
            own, own_ms = by_tgc(kind, "winograd", *short)
            direct, direct_ms = by_tgc(kind, "direct", *short)
            cells = [error(v, truth[kind - 1])
                     for v in (own, direct, other[kind - 1])]
            cells += [error(by_tgc(kind, how, x, w, dy)[0], whole[kind - 1])
                      for how in ("winograd", "direct")]
            lines.append(
                f"| {channels} channels, {size}x{size} | {name} | " +
                " | ".join(", ".join(c) for c in cells) +
                f" | {own_ms:.2f} ms | {direct_ms:.2f} ms |")
    return lines


def off_by(name, after, before, reference, decay):
    """Of a gradient, from the momentum that the first step leaves."""
    slot = numpy.array(after[name + ".momentum"][1])
    return slot - decay * numpy.array(before[name][1]) - numpy.array(
        reference[name][1])


def whole_net():
    with open(t.shared("reference", "resnet20-sgd.json")) as file:
        settings = json.load(file)["settings"]
    init = t.shared("reference", "resnet20-init.safetensors")
    before, _ = t.load_tensors(init)
    reference, _ = t.load_tensors(
        t.shared("reference", "resnet20-grad-step0.safetensors"))
    lines = ["| | all parameters | median of the convolutions | the worst |",
             "| --- | ---: | ---: | ---: |"]
    for name, words in (("bf16, Winograd", ["precision=bf16"]),
                        ("bf16, direct", ["precision=bf16", "winograd=false"]),
                        ("float32", ["precision=f32"])):
        folder = t.scratch("bench_winograd_net")
        binary = t.compiled("resnet20",
                            *(w for s in words for w in ("--set", s)))
        t.run(binary, "train", "--data", t.cifar10(), "--init", init,
              "--no-augment", "--no-shuffle", "--lr", settings["lr"], "--steps",
              1, "--save-dir", folder).must()
        after, _ = t.load_tensors(os.path.join(folder, "last.safetensors"))
        off = {n: off_by(n, after, before, reference, settings["weight_decay"])
               for n in reference}
        far = {n: t.norm(off[n]) / t.norm(reference[n][1])
               for n in reference if "conv" in n}
        every = (sum(t.norm(v) ** 2 for v in off.values()) /
                 sum(t.norm(v[1]) ** 2 for v in reference.values())) ** 0.5
        lines.append(f"| {name} | {every:.2e} | "
                     f"{statistics.median(far.values()):.2e} | "
                     f"{max(far.values()):.2e} |")
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--out", default=os.path.join(
        t.SOURCE, "docs", "results", "winograd.md"))
    arguments = parser.parse_args()
    where = machine()
    lines = [
        "# Convolutions in bf16: errors and times", "",
        f"{where['processor']}, {where['system']}; {where['tgc']}; PyTorch "
        f"{torch.__version__}. 3x3 windows, {arguments.images} images; the "
        "times are of one core. An error is of float64's result, over its "
        "largest element: the largest one, and the root of the mean square. "
        "\"Whole\" counts that operands were float32 before they were rounded "
        "to bf16, as activations and their gradients are in training.", "",
        *convolutions(arguments.images), "",
        "The gradient of ResNet-20's loss at one batch against float64's "
        "(norm of the difference over the norm):", "", *whole_net(), "",
        "So a gradient of weights loses digits that the direct way, which sums "
        "exact products, keeps; but as many were lost before, where "
        "activations and gradients became bf16, and a net's gradient does not "
        "show it.", "", "Made by `tests/bench/winograd.py`.", ""]
    text = "\n".join(lines)
    with open(arguments.out, "w") as file:
        file.write(text)
    print(text)


if __name__ == "__main__":
    main()
