#!/usr/bin/env python3
"""What the CUDA products of a training step bring to shared memory through the
caches, and how many elements they compute there before they multiply: counted
from the kernels' constants, nothing is timed and no GPU is needed.

    tests/bench/cuda_brought.py models/resnet20.net --set precision=f16

Padding counts as if it were read.  Tables of docs/results/cuda-step.md."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support")]
import tgctest as t  # noqa: E402

KINDS = {"tgc_x_for_y": "convolutions", "tgc_x_patch": "convolutions",
         "tgc_y_for_x": "gradients of inputs",
         "tgc_y_patch": "gradients of inputs",
         "tgc_x_for_w": "gradients of weights"}
KERNEL = re.compile(r"^struct (\w+)_p \{(.*?)^\}\n\n", re.S | re.M)
CONSTANT = re.compile(r"static constexpr \w+ (\w+) = (-?\d+);")
CLASS = re.compile(r"^    tgc_gemm\w*<\w+,\s+(\w+)<", re.M)
RAW = re.compile(r"_before(\d) \{.*?struct Raw \{(.*?)\};", re.S)
WIDE = re.compile(r"tgc_vec<(\w+), \d+>")
BYTES = {"float": 4, "double": 8, "tgc_f16": 2, "tgc_bf16": 2}


def emitted(what, arguments):
    return t.run(t.TGC, "compile", *arguments, "--target", "cuda:sm_90",
                 f"--emit={what}").must().out


def operand_bytes(body):
    """Of each operand: bytes that are read for an element, is it computed."""
    own = 2 if re.search(r"typedef tgc_b?f16 T;", body) else 4
    raw = {int(i): sum(BYTES[w] for w in WIDE.findall(text))
           for i, text in RAW.findall(body)}
    return [(raw.get(i, own), i in raw) for i in range(2)]


def elements(p, which):
    """Elements of a and of b that all blocks bring."""
    taps = p["KD"] * p["KH"] * p["KW"]
    pixels = {d: p["N"] * p[d + "D"] * p[d + "H"] * p[d + "W"] for d in "XY"}
    rows, columns, k = {
        "convolutions": (pixels["Y"], p["O"], p["K"]),
        "gradients of inputs": (pixels["X"], p["C"], p["K"]),
        "gradients of weights": (taps * p["C"], p["O"], pixels["Y"])}[which]
    across, down = -(-columns // p["BN"]), -(-rows // p["STEP"])
    if "PATCH" not in p:
        a, b = rows * k * across, columns * k * down
        if which == "gradients of inputs":  # taps that meet a pixel
            a //= p["SD"] * p["SH"] * p["SW"]
    else:
        channels = p["SLICE"] * p["SLICES"]
        a = down * across * p["PATCH"] * channels
        b = columns * taps * channels * down
    return a * p["BATCHES"], b * p["BATCHES"]


def count(arguments):
    plan = emitted("plan", arguments)
    train = plan[plan.index("\ngraph train"):]
    train = train[:train.find("\ngraph", 1)]
    steps = re.findall(r"^    \d+ +(\w+) +\d+  ", train, re.M)
    text = emitted("cu", arguments)
    total = {}
    for m in KERNEL.finditer(text):
        name = m.group(1)
        body = text[m.start():text.index("\n}\n\n",
                                         text.index("__global__", m.end()))]
        which = KINDS.get(CLASS.search(body).group(1))
        if not which:
            continue
        p = {k: int(v) for k, v in CONSTANT.findall(m.group(2))}
        n = steps.count(name)
        row = total.setdefault(which, [0, 0, 0])
        row[0] += n
        for count_of, (size, computed) in zip(elements(p, which),
                                              operand_bytes(body)):
            row[1] += n * count_of * size
            row[2] += n * count_of * computed
    return total


def main():
    print("| | kernels | to shared memory | computed before |")
    print("| --- | ---: | ---: | ---: |")
    for which, (n, size, computed) in count(sys.argv[1:]).items():
        print(f"| {which} | {n} | {size / 2**20:.0f} MiB | "
              f"{computed / 1e6:.0f} M |")


if __name__ == "__main__":
    main()
