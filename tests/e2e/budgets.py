"""Computing again: budgets between the smallest and what keeping everything
takes. Every plan is below its budget, larger budgets never compute more again,
and what was trained is the same bit for bit."""
import json
import os
import re
import struct

import tgctest as t

MODEL = os.path.join(t.SOURCE, "models", "resnet56.net")
MIB = 1 << 20


def planned(model, budget):
    """Bytes that a run needs, and estimated ms of what is computed again."""
    run = t.run(t.TGC, "memory", model, "--memory", f"{budget}B").must()
    again = re.search(r"run twice: .*, about ([\d.e+]+) ms more", run.out)
    return (int(re.search(r"a run needs .* \((\d+) bytes\)", run.out)[1]),
            float(again[1]) if again else 0.0)


def need(model, budget):
    return planned(model, budget)[0]


def tensors(path):
    """Bytes of each tensor of a safetensors file."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: data[slice(*entry["data_offsets"])]
            for name, entry in header.items()}


def check_sweep(checks):
    most, least = need(MODEL, 1 << 40), need(MODEL, MIB)
    checks.that(least < most / 3, f"at least a third: {least} of {most}")
    costs = []
    for i in range(12):
        budget = least + (most - least) * i // 11
        now, cost = planned(MODEL, budget)
        checks.that(now <= budget, f"{now} bytes in {budget}")
        costs.append(cost)
    print("ms more:", *costs)
    checks.that(costs == sorted(costs, reverse=True),
                "more memory never costs more time")
    checks.that(costs[0] > 0 == costs[-1], "all kept: nothing made again")


def check_bits(checks):
    folder = t.scratch("budgets")
    data = t.idx_data(os.path.join(folder, "data"))
    tiny = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
    trained, again = [], []
    for name, budget in (("all", 1 << 40), ("least", 1024)):
        binary = os.path.join(folder, name)
        bytes_needed, cost = planned(tiny, budget)
        again.append(cost)
        t.run(t.TGC, "compile", tiny, "-o", binary, "--memory",
              f"{bytes_needed}B").must()
        save = os.path.join(folder, f"save_{name}")
        t.run(binary, "train", "--data", data, "--save-dir", save, "--steps",
              "6").must()
        trained.append(tensors(os.path.join(save, "last.safetensors")))
        print(f"{name}: {bytes_needed} bytes")
    checks.that(again[1] > 0 == again[0], "the least computes some again")
    checks.that(trained[0] == trained[1], "the same bits")


def main():
    checks = t.Checks()
    check_sweep(checks)
    check_bits(checks)
    checks.done()


if __name__ == "__main__":
    main()
