#!/usr/bin/env python3
"""Time of a training step with and without fusion.

    tests/bench/fusion.py [--depth 20] [--rounds 5] [--steps 10]

`fuse = off` makes every op a kernel of its own, `elementwise` fuses chains and
sums, `full` fuses around convolutions too. In float32 also with the library's
convolutions in place of our own (`winograd = false`). All take turns; the
figure is the median over the rounds of each one's median step. Writes
docs/results/fusion.md and fusion.json."""
import argparse
import json
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tgctest as t  # noqa: E402
from step import machine  # noqa: E402

ROWS = [("float32", {"precision": "f32"}),
        ("float32, `winograd = false`",
         {"precision": "f32", "winograd": "false"}),
        ("bf16", {"precision": "bf16"})]
FUSE = ("off", "elementwise", "full")


def binary(depth, settings, fuse):
    words = [w for k, v in dict(settings, fuse=fuse).items()
             for w in ("--set", f"{k}={v}")]
    return t.compiled("resnet", "-D", f"depth={depth}", *words)


def measure(arguments):
    programs = {(name, fuse): binary(arguments.depth, settings, fuse)
                for name, settings in ROWS for fuse in FUSE}
    times = {key: [] for key in programs}
    for turn in range(arguments.rounds):
        for key, program in programs.items():
            run = t.run(program, "bench", "--json", "--steps",
                        arguments.steps).must()
            times[key].append(json.loads(run.out)["median_ms"])
        print(f"round {turn + 1}: " + ", ".join(
            f"{n} {f} {v[-1]:.1f} ms" for (n, f), v in times.items()),
            flush=True)
    moved = {key: next(g for g in json.loads(t.run(
        program, "info", "--json").must().out)["graphs"]
        if g["name"] == "train") for key, program in programs.items()}
    return times, moved


def table(arguments, where, times, moved):
    lines = ["# A training step with and without fusion", "",
             f"ResNet-{arguments.depth}, batch 128. {where['processor']}, "
             f"{where['cores']} cores, {where['system']}; {where['tgc']}, "
             f"{where['compiler']}. The programs take turns; medians over "
             f"{arguments.rounds} rounds of the median over {arguments.steps} "
             "steps.", "",
             "| | off | elementwise | full | off / full | kernels run, off and "
             "full | bytes moved, off and full |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, _ in ROWS:
        ms = {f: statistics.median(times[name, f]) for f in FUSE}
        off, full = moved[name, "off"], moved[name, "full"]
        lines.append(
            f"| {name} | {ms['off']:.1f} ms | {ms['elementwise']:.1f} ms | "
            f"{ms['full']:.1f} ms | {ms['off'] / ms['full']:.2f} | "
            f"{off['steps']}, {full['steps']} | "
            f"{off['bytes_moved'] / 2**30:.2f} GiB, "
            f"{full['bytes_moved'] / 2**30:.2f} GiB |")
    return "\n".join(lines + ["", "Made by `tests/bench/fusion.py`; the single "
                              "rounds are in `fusion.json`.", ""])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    arguments = parser.parse_args()
    times, moved = measure(arguments)
    where = machine()
    text = table(arguments, where, times, moved)
    with open(os.path.join(arguments.out, "fusion.json"), "w") as file:
        json.dump({"machine": where, "depth": arguments.depth, "all": {
            f"{n} {f}": v for (n, f), v in times.items()}}, file, indent=1)
        file.write("\n")
    with open(os.path.join(arguments.out, "fusion.md"), "w") as file:
        file.write(text)
    print(text)


if __name__ == "__main__":
    main()
