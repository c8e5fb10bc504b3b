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


def arena(model, budget):
    run = t.run(t.TGC, "memory", model, "--memory", f"{budget}B").must()
    return int(re.search(r"arena .* \((\d+) bytes\)", run.out)[1])


def steps(model, budget):
    run = t.run(t.TGC, "memory", model, "--memory", f"{budget}B").must()
    return int(re.search(r"train: (\d+) steps", run.out)[1])


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
    most, least = arena(MODEL, 1 << 40), arena(MODEL, MIB)
    checks.that(least < most / 3, f"at least a third: {least} of {most}")
    before = None
    for i in range(12):
        budget = least + (most - least) * i // 11 + MIB
        now = arena(MODEL, budget)
        checks.that(now <= budget, f"{now} bytes in {budget}")
        count = steps(MODEL, budget)
        if i in (0, 11):
            print(f"budget {budget / MIB:.0f} MiB: {now / MIB:.0f}, "
                  f"{count} steps")
        before = before or count
    checks.that(count <= before, "with everything kept nothing is made again")


def check_bits(checks):
    folder = t.scratch("budgets")
    data = t.idx_data(os.path.join(folder, "data"))
    tiny = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
    trained = []
    for name, budget in (("all", 1 << 40), ("least", 1024)):
        binary = os.path.join(folder, name)
        need = arena(tiny, budget)
        t.run(t.TGC, "compile", tiny, "-o", binary, "--memory",
              f"{need + MIB}B" if name == "all" else f"{need + 256 * 1024}B"
              ).must()
        save = os.path.join(folder, f"save_{name}")
        t.run(binary, "train", "--data", data, "--save-dir", save, "--steps",
              "6").must()
        trained.append(tensors(os.path.join(save, "last.safetensors")))
        print(f"{name}: arena {need} bytes")
    checks.that(trained[0] == trained[1], "the same bits")


def main():
    checks = t.Checks()
    check_sweep(checks)
    check_bits(checks)
    checks.done()


if __name__ == "__main__":
    main()
