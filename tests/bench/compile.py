#!/usr/bin/env python3
"""What compiling costs and what comes out: seconds and peak memory of
`tgc compile`, size of the binary, planned memory, number of kernels, and the
time from start to the end of the first step (batch as in the model file).

    tests/bench/compile.py [--depths 20,110,1202] [--rounds 3]
    tests/bench/compile.py --cuda sm_90      the same for a GPU, in the same file

Medians over the rounds. The time and memory of the C compiler that tgc calls
are included: time is wall time, memory the largest of any one process. The
first step's time is what `bench` reports: from the start of main to its end.
For a GPU each net is compiled with an empty cache of images, and again; the
seconds of all processors say what a time would be on a machine of other cores,
or of nothing else to do. Writes docs/results/compile.md and compile.json."""
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


def timed(*argv, env=None):
    """Seconds, largest resident bytes of the process or any child of it,
    seconds of all processors."""
    begin = time.perf_counter()
    process = subprocess.Popen([str(a) for a in argv],
                               stdout=subprocess.DEVNULL,
                               env=dict(os.environ, **(env or {})))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"failed: {argv}")
    return (time.perf_counter() - begin, usage.ru_maxrss * 1024,
            usage.ru_utime + usage.ru_stime)


def measure(depth, rounds, folder):
    model = os.path.join(t.MODELS, f"resnet{depth}.net")
    binary = os.path.join(folder, f"resnet{depth}")
    seconds, memory, first = [], [], []
    for _ in range(rounds):
        took, peak, _ = timed(t.TGC, "compile", model, "-o", binary)
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


def measure_cuda(depth, arch, rounds, folder):
    model = os.path.join(t.MODELS, f"resnet{depth}.net")
    binary = os.path.join(folder, f"resnet{depth}.cuda")
    row = {"depth": depth}
    for what in ("cold", "cached"):
        runs = []
        for i in range(rounds):
            cache = {"XDG_CACHE_HOME": os.path.join(
                folder, f"cache{depth}.{i}")}
            runs.append(timed(t.TGC, "compile", model, "--target",
                              f"cuda:{arch}", "-o", binary, env=cache))
        row[f"{what}_s"] = statistics.median(r[0] for r in runs)
        row[f"{what}_cpu_s"] = statistics.median(r[2] for r in runs)
    info = json.loads(t.run(binary, "info", "--json").must().out)
    row["binary_bytes"] = os.path.getsize(binary)
    row["kernels"] = info["kernels"]
    return row


def cuda_table(result):
    cuda = result.get("cuda")
    if not cuda:
        return []
    lines = ["", f"## For a GPU: `--target cuda:{cuda['arch']}`", "",
             f"{cuda['tgc']}; NVRTC compiles the kernels in units, side by "
             f"side. Medians of {cuda['rounds']}; beside the time from start "
             "to end the seconds that all processors worked, for the machine "
             "had other work to do.", "",
             "| net | nothing in the cache | processors | all in the cache | "
             "processors | binary | kernels |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    lines += [f"| ResNet-{row['depth']} | {row['cold_s']:.1f} s "
              f"| {row['cold_cpu_s']:.1f} s | {row['cached_s']:.1f} s "
              f"| {row['cached_cpu_s']:.1f} s "
              f"| {row['binary_bytes'] / 1e6:.2f} MB | {row['kernels']} |"
              for row in cuda["rows"]]
    return lines


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
    lines += cuda_table(result)
    lines += ["", "Made by `tests/bench/compile.py`.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--depths", default="20,110,1202")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cuda", metavar="ARCH")
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    arguments = parser.parse_args()
    path = os.path.join(arguments.out, "compile.json")
    result = {}
    if os.path.exists(path):
        with open(path) as file:
            result = json.load(file)
    depths = [int(d) for d in arguments.depths.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.cuda:
            result["cuda"] = {
                "arch": arguments.cuda, "rounds": arguments.rounds,
                "tgc": machine()["tgc"],
                "rows": [measure_cuda(d, arguments.cuda, arguments.rounds,
                                      folder) for d in depths]}
        else:
            result.update(machine=machine(), rounds=arguments.rounds,
                          rows=[measure(d, arguments.rounds, folder)
                                for d in depths])
    os.makedirs(arguments.out, exist_ok=True)
    with open(path, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(os.path.join(arguments.out, "compile.md"), "w") as file:
        file.write(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
