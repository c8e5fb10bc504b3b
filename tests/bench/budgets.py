#!/usr/bin/env python3
"""Budgets of memory, what they cost, and whether runs keep them.

    tests/bench/budgets.py sweep --data cifar-10-batches-bin
    tests/bench/budgets.py deep --data cifar-10-batches-bin

sweep: ResNet-56, float32, 12 budgets from the smallest to what keeping
everything takes: planned peak, resident peak of two steps of training less that
of `info`, extra multiply-adds, estimated extra time, and whether weights and momentum are those of a run without a budget, bit for
bit. deep: what ResNet-1202 needs with and without, and two steps of it.

Writes docs/results/checkpoint.md and checkpoint.json; each half keeps what the
other wrote."""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tgctest as t  # noqa: E402
from step import machine  # noqa: E402

RESULTS = os.path.join(t.SOURCE, "docs", "results", "checkpoint")
BUDGETS = 12
MIB = 1 << 20


def net(depth):
    return os.path.join(t.MODELS, f"resnet{depth}.net")


def planned(depth, budget, *options):
    """Bytes of a run on these cores, as planned for the budget, or the least
    that can be had where that is more."""
    out = t.run(t.TGC, "memory", net(depth), "--memory", f"{budget}B", *options,
                timeout=3600).must().out
    return int(re.search(r"a run needs .* \((\d+) bytes\)", out)[1])


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compiled(depth, budget, binary, *options):
    """What the compiler says of the budget, and the processor time that it and
    the C compiler took."""
    begin = cpu_seconds()
    err = t.run(t.TGC, "compile", net(depth), "--memory", f"{budget}B", "-o",
                binary, *options, timeout=3600).must().err
    row = {"budget": budget, "compile_s": cpu_seconds() - begin,
           "kernels_again": 0, "multiply_adds": 0.0, "extra_ms": 0.0,
           "extra_time": 0.0}
    again = re.search(r"(\d+) kernels run twice: ([\d.]+) % more multiply-adds, "
                      r"about ([\d.e+]+) ms more \(([\d.]+) %\)", err)
    if again:
        row["kernels_again"] = int(again[1])
        row["multiply_adds"], row["extra_ms"] = float(again[2]), float(again[3])
        row["extra_time"] = float(again[4])
    elif "everything is kept" not in err:
        sys.exit(f"what does this say? {err}")
    info = json.loads(t.run(binary, "info", "--json").must().out)
    row["planned"] = (info["arena_bytes"] + info["program_bytes"] +
                      info["scratch_bytes"] * info["threads"])
    return row


def resident(*argv):
    """Largest resident bytes of the command over its life."""
    process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"failed: {argv}")
    return usage.ru_maxrss * 1024


def trained(binary, data, folder):
    """Resident bytes above those of `info`, and all tensors at the end."""
    grown = resident(binary, "train", "--data", data, "--steps", 2,
                     "--save-dir", folder) - resident(binary, "info")
    return grown, t.tensor_bytes(os.path.join(folder, "last.safetensors"))


def sweep(data):
    least, most = planned(56, MIB), planned(56, 1 << 44)
    rows, bits = [], None
    for i in reversed(range(BUDGETS)):
        budget = least + (most - least) * i // (BUDGETS - 1)
        with tempfile.TemporaryDirectory() as folder:
            binary = os.path.join(folder, "resnet56")
            row = compiled(56, budget, binary)
            row["resident"], now = trained(binary, data,
                                           os.path.join(folder, "save"))
        bits = bits or now
        row["same_bits"] = now == bits
        rows.append(row)
        print(row, flush=True)
    return rows[::-1]


def deep(data, depth):
    model, result = net(depth), {}
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "net")
        for precision in ("f32", "f16"):
            options = "--set", f"precision={precision}"
            result[precision] = planned(depth, 1 << 44, *options)
        states = re.search(r"([\d.]+) MiB +[\d.]+ % +weights, slots",
                           t.run(t.TGC, "memory", model).must().out)[1]
        kept = result["f32"] - int(float(states) * MIB)
        result["half"] = compiled(depth, result["f32"] - kept // 2, binary)
        print(result, flush=True)
        options = "--set", "precision=f16"
        least = planned(depth, MIB, *options) + MIB
        row = compiled(depth, least, binary, *options)
        row["resident"], _ = trained(binary, data, os.path.join(folder, "f16"))
        result["least_f16"] = row
        print(result, flush=True)
        row = compiled(depth, 10 << 30, binary)
        save = os.path.join(folder, "save")
        row["resident"], _ = trained(binary, data, save)
        with open(os.path.join(save, "steps.jsonl")) as file:
            log = [json.loads(line) for line in file]
        row["losses"] = [x["loss"] for x in log]
        result["ten"] = row
    return result


def mib(n):
    return f"{n / MIB:.0f} MiB"


def sweep_table(rows):
    lines = ["## A sweep over ResNet-56", "",
             "Batch 128, float32; 12 budgets from the smallest to what keeping "
             "everything takes. Resident is the peak of two steps of training "
             "less that of `info`; bits are those of weights and momentum "
             "after two steps, against the run that keeps everything.", "",
             "| budget | planned | resident | kernels again | multiply-adds | "
             "time, estimated | bits |",
             "| ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for r in rows:
        lines.append(
            f"| {mib(r['budget'])} | {mib(r['planned'])} "
            f"| {mib(r['resident'])} | {r['kernels_again']} "
            f"| +{r['multiply_adds']:.1f} % | +{r['extra_time']:.1f} % "
            f"| {'equal' if r['same_bits'] else 'DIFFERENT'} |")
    return lines + [""]


def deep_table(d):
    half, least, ten = d["half"], d["least_f16"], d["ten"]
    again = (f"+{ten['multiply_adds']:.1f} % multiply-adds"
             if ten["kernels_again"] else "nothing is computed again")
    gib = 1 << 30
    return ["## ResNet-1202, batch 128", "",
            "| | |", "| --- | --- |",
            f"| planned peak, everything kept, float32 | "
            f"{d['f32'] / gib:.2f} GiB |",
            f"| planned peak, everything kept, f16 | {d['f16'] / gib:.2f} GiB |",
            f"| `--memory 10GiB`, float32 | planned {ten['planned'] / gib:.2f} "
            f"GiB, {again}; resident after two steps "
            f"{ten['resident'] / gib:.2f} GiB, losses "
            f"{', '.join(f'{x:.3f}' for x in ten['losses'])} |",
            f"| half the activations, float32 | planned "
            f"{half['planned'] / gib:.2f} of {half['budget'] / gib:.2f} GiB, "
            f"+{half['multiply_adds']:.1f} % multiply-adds, estimated "
            f"+{half['extra_time']:.1f} % time; compiled in "
            f"{half['compile_s']:.0f} s of processor time |",
            f"| the smallest budget, f16 | {least['budget'] / 1e6:.0f} MB, "
            f"+{least['multiply_adds']:.1f} % multiply-adds, estimated "
            f"+{least['extra_time']:.1f} % time; resident after two steps "
            f"{least['resident'] / 1e6:.0f} MB; compiled in "
            f"{least['compile_s']:.0f} s of processor time |", ""]


def write(result):
    where = result["machine"]
    lines = ["# Computing again instead of keeping", "",
             f"{where['processor']}, {where['cores']} cores, {where['system']}; "
             f"{where['tgc']}.", ""]
    if "sweep" in result:
        lines += sweep_table(result["sweep"])
    if "deep" in result:
        lines += deep_table(result["deep"])
    lines += ["Made by `tests/bench/budgets.py`.", ""]
    with open(RESULTS + ".md", "w") as file:
        file.write("\n".join(lines))
    with open(RESULTS + ".json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["sweep", "deep"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--depth", type=int, default=1202)
    arguments = parser.parse_args()
    result = {}
    if os.path.exists(RESULTS + ".json"):
        with open(RESULTS + ".json") as file:
            result = json.load(file)
    result["machine"] = machine()
    if arguments.what == "sweep":
        result["sweep"] = sweep(arguments.data)
    else:
        result["deep"] = deep(arguments.data, arguments.depth)
    write(result)


if __name__ == "__main__":
    main()
