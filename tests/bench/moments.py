#!/usr/bin/env python3
"""What a variance loses when it comes from a sum and a sum of squares in
float32, as cuDNN's convolutions can give them, and from shifted parts, as op
`moments` takes it (ir/ops/norm.c), for channels whose mean is large against
their deviation; and how large it is in trained nets.

    tests/bench/moments.py

Needs numpy. Prints the tables of docs/results/cudnn-stats.md."""
import json
import os

import numpy

PIXELS = 128 * 32 * 32  # of a channel
PART = 128
RATIOS = (0, 1, 3, 10, 30, 100, 300)
SEEDS = 3
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
SHARED = os.environ.get("TGC_SHARED", os.path.join(ROOT, "shared"))
f32 = numpy.float32


def in_order(values):
    """One after the other in float32, each row by itself."""
    total = numpy.zeros(values.shape[1:], f32)
    for row in values:
        total = total + row
    return total


def in_parts(values):
    """Sums of parts, and their sum."""
    return in_order(in_order(values.reshape(-1, PART).T.astype(f32)))


def from_sums(s, q):
    mean = f32(s) / f32(PIXELS)
    return f32(q) / f32(PIXELS) - mean * mean


def shifted(x):
    parts = x.reshape(-1, PART).T.astype(f32)
    k, n = parts[0], f32(PART)
    d = parts - k
    s1, s2 = in_order(d), in_order(d * d)
    offset = k - k[0] + s1 / n
    off = offset - in_order(offset) / f32(len(offset))
    return in_order(s2 - s1 * s1 / n + n * off * off) / f32(PIXELS)


def errors(ratio, seed):
    """Relative: by storing it in 16 bits; then of what is stored."""
    exact = numpy.random.default_rng(seed).standard_normal(PIXELS) + ratio
    half = exact.astype(numpy.float16)
    wide, x = half.astype(numpy.float64), half.astype(f32)
    true, stored = exact.var(), wide.var()
    ways = (from_sums(wide.sum(), (wide * wide).sum()),
            from_sums(in_parts(x), in_parts(x * x)), shifted(x))
    return [abs(stored - true) / true,
            *(abs(float(v) - stored) / stored for v in ways)]


def ratios(path):
    """|mean| over deviation of all channels, as running statistics have it."""
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8:8 + size])

    def values(key):
        a, b = head[key]["data_offsets"]
        return numpy.frombuffer(data[8 + size + a:8 + size + b], f32)

    return numpy.concatenate([
        abs(values(key)) / numpy.sqrt(values(key.replace("_mean", "_var")))
        for key in head if key.endswith("running_mean")])


def main():
    print("| mean / deviation | 16 bits | sums rounded once | sums in parts | "
          "shifted parts |\n| ---: | ---: | ---: | ---: | ---: |")
    for ratio in RATIOS:
        worst = numpy.max([errors(ratio, s) for s in range(SEEDS)], axis=0)
        print(f"| {ratio} | " + " | ".join(f"{v:.1e}" for v in worst) + " |")
    print("\n| net | channels | median | largest |\n| --- | ---: | ---: | ---: |")
    for name in ("resnet20", "resnet56"):
        path = os.path.join(SHARED, "data", "pretrained", name + ".safetensors")
        if os.path.exists(path):
            r = ratios(path)
            print(f"| {name} | {len(r)} | {numpy.median(r):.2f} | "
                  f"{r.max():.1f} |")


if __name__ == "__main__":
    main()
