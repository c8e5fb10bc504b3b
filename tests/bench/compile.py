#!/usr/bin/env python3
"""What compiling costs and what comes out: seconds and peak memory of
`tgc compile`, size of the binary, planned memory, number of kernels, and the
time from start to the end of the first step (batch as in the model file).

    tests/bench/compile.py [--depths 20,110,1202] [--rounds 3]

Medians over the rounds. The time and memory of the C compiler that tgc calls
are included: time is wall time, memory the largest of any one process. The
first step's time is what `bench` reports: from the start of main to its end.
Writes docs/results/compile.md and compile.json."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tgctest as t  # noqa: E402
from step import machine  # noqa: E402


def timed(*argv):
    """Seconds, largest resident bytes of the process or any child of it."""
    begin = time.perf_counter()
    process = subprocess.Popen([str(a) for a in argv],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"failed: {argv}")
    return time.perf_counter() - begin, usage.ru_maxrss * 1024


def measure(depth, rounds, folder):
    model = os.path.join(t.MODELS, f"resnet{depth}.net")
    binary = os.path.join(folder, f"resnet{depth}")
    seconds, memory, first = [], [], []
    for _ in range(rounds):
        took, peak = timed(t.TGC, "compile", model, "-o", binary)
        seconds.append(took)
        memory.append(peak)
    row = {"depth": depth, "compile_s": statistics.median(seconds),
           "compile_bytes": max(memory),
           "binary_bytes": os.path.getsize(binary)}
    info = json.loads(t.run(binary, "info", "--json").must().out)
    row["arena_bytes"], row["kernels"] = info["arena_bytes"], info["kernels"]
    if depth <= 110:
        for _ in range(rounds):
            run = t.run(binary, "bench", "--json", "--steps", "1").must()
            first.append(json.loads(run.out)["first_step_ms"] / 1e3)
        row["first_step_s"] = statistics.median(first)
    return row


def table(result):
    where = result["machine"]
    lines = ["# Compiling", "",
             f"{where['processor']}, {where['cores']} cores, "
             f"{where['system']}; {where['tgc']}, {where['compiler']}. "
             f"Medians of {result['rounds']}.", "",
             "| net | compile | its peak memory | binary | kernels | planned "
             "memory of a run | start to end of the first step |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in result["rows"]:
        first = row.get("first_step_s")
        lines.append(
            f"| ResNet-{row['depth']} | {row['compile_s']:.1f} s "
            f"| {row['compile_bytes'] / 1e6:.0f} MB "
            f"| {row['binary_bytes'] / 1e6:.2f} MB | {row['kernels']} "
            f"| {row['arena_bytes'] / 1e6:.0f} MB | "
            + (f"{first:.2f} s |" if first else "not run |"))
    lines += ["", "Made by `tests/bench/compile.py`.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--depths", default="20,110,1202")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(int(d), arguments.rounds, folder)
                for d in arguments.depths.split(",")]
    result = {"machine": machine(), "rounds": arguments.rounds, "rows": rows}
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, "compile.json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(os.path.join(arguments.out, "compile.md"), "w") as file:
        file.write(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
