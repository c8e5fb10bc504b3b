#!/usr/bin/env python3
"""Each kernel of a training step against its own bound on this machine.

    tests/bench/bounds.py [--depth 20] [--steps 10]

The bound of a kernel is the longer of two times: its bytes at the rate at which
one core copies memory, its flops at the rate of the library's product of large
matrices (build/tests/bench/bench_peak). Both are of one thread, as is the
profile: `bench --profile --threads 1`. Bytes are what a step reads and writes
once; data that the last step left in the cache comes faster, so a kernel can be
under its bound. Flops are those that are done: of a convolution by Winograd's
F(2x2,3x3) 16 of 36 multiplications, and none of its transforms, which are what
such a kernel takes beyond its bound. Writes docs/results/step-bounds.md."""
import argparse
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tgctest as t  # noqa: E402
from step import machine  # noqa: E402

ROW = re.compile(r"\s*([\d.]+)\s+([\d.]+)\s+(\d+)\s+([\d.]+)\s+([\d.]+)\s+"
                 r"(k\w+)\s+(.*)$")
SHOWN = 0.005  # of the step; the rest is one row


def profile(precision, arguments):
    binary = t.compiled("resnet", "-D", f"depth={arguments.depth}", "--set",
                        f"precision={precision}")
    out = t.run(binary, "bench", "--profile", "--threads", "1", "--steps",
                arguments.steps).must().out
    rows = []
    for line in out.splitlines():
        match = ROW.match(line)
        if match:
            ms, _, steps, flops, rate, name, what = match.groups()
            ms = float(ms)
            rows.append({"ms": ms, "steps": int(steps), "name": name,
                         "flops": float(flops) * ms * 1e6,
                         "bytes": float(rate) * ms * 1e6, "what": what})
    return rows


def bound(row, peak, precision):
    """Milliseconds, and of what."""
    times = {"memory": 1e3 * row["bytes"] / peak["bandwidth"]}
    # Arithmetic other than products is float32 in every precision.
    dense = "lib_" in row["what"] or "..." in row["what"]
    flops = peak[precision if dense and peak[precision] else "f32"]
    times["arithmetic"] = 1e3 * row["flops"] / flops
    what = max(times, key=times.get)
    return times[what], what


def cell(row):
    words = row["what"].split()
    where = [w for w in words if ".net:" in w]
    ops = [w for w in words[:words.index(where[0])] if w != "..."] if where \
        else words
    return " ".join(ops[:7]) + (f" ({where[0].split('/')[-1].rstrip(',')})"
                                if where else "")


def section(precision, rows, peak):
    whole = sum(row["ms"] for row in rows)
    lines = [f"## {precision}", "",
             "| ms | of the step | steps | bound, ms | of | time / bound | "
             "kernel, its first step |",
             "| ---: | ---: | ---: | ---: | --- | ---: | --- |"]
    rest = {"ms": 0, "steps": 0, "bound": 0}
    total = 0
    for row in rows:
        least, what = bound(row, peak, precision)
        total += least
        if row["ms"] < SHOWN * whole:
            rest["ms"] += row["ms"]
            rest["steps"] += row["steps"]
            rest["bound"] += least
            continue
        ratio = f"{row['ms'] / least:.2f}" if least else ""
        lines.append(f"| {row['ms']:.2f} | {100 * row['ms'] / whole:.1f} % | "
                     f"{row['steps']} | {least:.2f} | {what} | {ratio} | "
                     f"{cell(row)} |")
    lines += [f"| {rest['ms']:.2f} | {100 * rest['ms'] / whole:.1f} % | "
              f"{rest['steps']} | {rest['bound']:.2f} | | | the others |",
              f"| {whole:.1f} | | {sum(r['steps'] for r in rows)} | "
              f"{total:.1f} | | {whole / total:.2f} | all |", ""]
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", default=os.path.join(
        t.SOURCE, "docs", "results", "step-bounds.md"))
    arguments = parser.parse_args()
    peak = json.loads(t.run(os.path.join(
        t.BUILD, "tests", "bench", "bench_peak")).must().out)
    where = machine()
    lines = ["# A step's kernels against their bounds", "",
             f"ResNet-{arguments.depth}, batch 128, one thread of: "
             f"{where['processor']}, {where['system']}; {where['tgc']}, "
             f"{where['compiler']}. One core copies "
             f"{peak['bandwidth'] / 1e9:.1f} GB/s (read and written), and "
             f"multiplies large matrices at {peak['f32'] / 1e9:.0f} GFLOP/s in "
             f"float32 and {peak['bf16'] / 1e9:.0f} in bf16. What the bound "
             "counts, and what not, says `tests/bench/bounds.py`, which made "
             "this.", ""]
    for precision in ("f32", "bf16"):
        lines += section(precision, profile(precision, arguments), peak)
    text = "\n".join(lines)
    with open(arguments.out, "w") as file:
        file.write(text)
    print(text)


if __name__ == "__main__":
    main()
