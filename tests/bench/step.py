#!/usr/bin/env python3
"""Time of a training step, tgc against PyTorch on the same machine.

    tests/bench/step.py --pytorch PATH/pytorch_step.py [--depths 20,56,110]
                        [--precision f32] [--rounds 5] [--steps 10]
                        [--python /usr/bin/python3]

Both run batch 128 in one precision, the whole step (forward, loss, backward,
SGD) on synthetic data. They take turns, round by round, so that whatever else the
machine does hits both; the figure is the median over the rounds of each one's
median step. PyTorch runs in both layouts and its better one counts. Writes
docs/results/cpu-step.md and cpu-step.json, cpu-step-bf16.md and so on."""
import argparse
import json
import os
import platform
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "support"))
import tgctest as t  # noqa: E402


def machine():
    """In words, with nothing that names the machine."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return {"processor": model, "cores": len(os.sched_getaffinity(0)),
            "system": release,
            "compiler": t.run("cc", "--version").out.splitlines()[0],
            "tgc": t.run(t.TGC, "--version").must().out.strip()}


def tgc_step(arguments, depth):
    binary = t.compiled(f"resnet{depth}", "--set",
                        f"precision={arguments.precision}")
    run = t.run(binary, "bench", "--json", "--steps",
                arguments.steps, timeout=3600).must()
    return json.loads(run.out)["median_ms"]


def pytorch_step(arguments, depth, layout):
    run = t.run(arguments.python, arguments.pytorch, "--depth", depth,
                "--layout", layout, "--steps", arguments.steps, "--dtype",
                arguments.precision,
                timeout=3600).must()
    row = json.loads(run.out.strip().splitlines()[-1])
    return row["ms_median"], row["torch"]


def measure(arguments, depth):
    times = {"tgc": [], "nchw": [], "nhwc": []}
    version = None
    for turn in range(arguments.rounds):
        times["tgc"].append(tgc_step(arguments, depth))
        for layout in ("nhwc", "nchw"):
            ms, version = pytorch_step(arguments, depth, layout)
            times[layout].append(ms)
        print(f"resnet{depth} round {turn + 1}: " + ", ".join(
            f"{k} {v[-1]:.1f} ms" for k, v in times.items()), flush=True)
    row = {name: statistics.median(values) for name, values in times.items()}
    return {"depth": depth, "tgc_ms": row["tgc"],
            "pytorch_nhwc_ms": row["nhwc"], "pytorch_nchw_ms": row["nchw"],
            "speedup": min(row["nhwc"], row["nchw"]) / row["tgc"],
            "all": times}, version


def table(result):
    where = result["machine"]
    lines = [
        "# A training step on the CPU", "",
        f"{where['processor']}, {where['cores']} cores, {where['system']}; "
        f"{where['tgc']}, {where['compiler']}; PyTorch {result['pytorch']}. "
        f"Batch {result['batch']}, {result['precision']}, synthetic data; "
        "forward, loss, backward and SGD. The two take turns; medians over "
        f"{result['rounds']} rounds of the median over {result['steps']} "
        "steps.", "",
        "| net | tgc | PyTorch, channels last | PyTorch, plain | PyTorch's "
        "better / tgc |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in result["rows"]:
        lines.append(
            f"| ResNet-{row['depth']} | {row['tgc_ms']:.0f} ms "
            f"| {row['pytorch_nhwc_ms']:.0f} ms "
            f"| {row['pytorch_nchw_ms']:.0f} ms | {row['speedup']:.2f} |")
    lines += ["", "Made by `tests/bench/step.py`; the single rounds are in "
              "the `.json` beside it.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pytorch", default=os.path.join(
        t.SHARED, "bench", "pytorch_step.py"))
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--depths", default="20,56,110")
    parser.add_argument("--precision", default="f32",
                        choices=["f32", "bf16", "f16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    arguments = parser.parse_args()
    rows, version = [], None
    for depth in arguments.depths.split(","):
        row, version = measure(arguments, int(depth))
        rows.append(row)
    result = {"machine": machine(), "pytorch": version, "batch": 128,
              "precision": arguments.precision, "rounds": arguments.rounds,
              "steps": arguments.steps, "rows": rows}
    os.makedirs(arguments.out, exist_ok=True)
    name = "cpu-step"
    if arguments.precision != "f32":
        name += "-" + arguments.precision
    with open(os.path.join(arguments.out, name + ".json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(os.path.join(arguments.out, name + ".md"), "w") as file:
        file.write(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
