#!/usr/bin/env python3
"""How near `tgc estimate` comes to what `bench` then measures.

    tests/bench/estimate.py [--depths 20,56,110] [--rounds 5]

Estimates with an empty cache, then runs each program; they take turns. Writes
docs/results/estimate.md."""
import argparse
import json
import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "support"))
import tgctest as t  # noqa: E402
from step import machine  # noqa: E402


def estimate(depths):
    files = [os.path.join(t.MODELS, f"resnet{d}.net") for d in depths]
    with tempfile.TemporaryDirectory() as cache:
        run = t.run(t.TGC, "estimate", *files,
                    env={"XDG_CACHE_HOME": cache}, timeout=3600).must()
    return [float(line.split()[2]) for line in
            run.out.splitlines()[1:1 + len(depths)]]


def bench(depth, steps):
    run = t.run(t.compiled(f"resnet{depth}"), "bench", "--json", "--steps",
                steps, timeout=3600).must()
    return json.loads(run.out)["median_ms"]


def table(depths, estimates, times, where):
    lines = [
        "# Estimated and measured", "",
        f"{where['processor']}, {where['cores']} cores, {where['system']}; "
        f"{where['tgc']}. Batch 128, float32; milliseconds of a training step. "
        "Estimates begin with nothing measured; medians over the rounds.", "",
        "| net | `tgc estimate` | `bench` | estimate / bench |",
        "| --- | ---: | ---: | ---: |"]
    for i, depth in enumerate(depths):
        guess = statistics.median(e[i] for e in estimates)
        real = statistics.median(m[i] for m in times)
        lines.append(f"| ResNet-{depth} | {guess:.0f} ms | {real:.0f} ms "
                     f"| {guess / real:.3f} |")
    return "\n".join(lines + ["", "Made by `tests/bench/estimate.py`.", ""])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--depths", default="20,56,110")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", default=os.path.join(
        t.SOURCE, "docs", "results", "estimate.md"))
    arguments = parser.parse_args()
    depths = [int(d) for d in arguments.depths.split(",")]
    estimates, times = [], []
    for _ in range(arguments.rounds):
        estimates.append(estimate(depths))
        times.append([bench(d, arguments.steps) for d in depths])
        print(estimates[-1], times[-1], flush=True)
    text = table(depths, estimates, times, machine())
    with open(arguments.out, "w") as file:
        file.write(text)
    print(text)


if __name__ == "__main__":
    main()
