"""Computing again: budgets between the smallest and what keeping everything
takes. Every plan is below its budget, larger budgets never compute more again,
and what was trained is the same bit for bit, with random masks and in half."""
import os
import re

import tgctest as t

MODEL = os.path.join(t.SOURCE, "models", "resnet56.net")
MIB = 1 << 20


def planned(model, budget, *options):
    """Bytes that a run needs, and estimated ms of what is computed again."""
    run = t.run(t.TGC, "memory", model, "--memory", f"{budget}B",
                *options).must()
    again = re.search(r"run twice: .*, about ([\d.e+]+) ms more", run.out)
    return (int(re.search(r"a run needs .* \((\d+) bytes\)", run.out)[1]),
            float(again[1]) if again else 0.0)


def need(model, budget):
    return planned(model, budget)[0]


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


def check_bits(checks, folder, data, net, *options):
    """Weights, momentum and running statistics after six steps."""
    trained, again = [], []
    for name, budget in (("all", 1 << 40), ("least", 1024)):
        binary = os.path.join(folder, name)
        need, cost = planned(net, budget, *options)
        again.append(cost)
        t.run(t.TGC, "compile", net, "-o", binary, "--memory", f"{need}B",
              *options).must()
        save = os.path.join(folder, f"save_{name}")
        t.run(binary, "train", "--data", data, "--save-dir", save, "--steps",
              "6", "--overwrite").must()
        trained.append(t.tensor_bytes(os.path.join(save, "last.safetensors")))
        print(f"{name}: {need} bytes")
    text = " ".join([os.path.basename(net), *options])
    checks.that(again[1] > 0 == again[0], f"{text}: the least makes some again")
    checks.that(trained[0] == trained[1], f"{text}: the same bits")


def with_dropout(folder, net):
    """The net, its first layer's result and every block's dropped in part."""
    path = os.path.join(folder, "dropping.net")
    with open(net) as file:
        text = file.read()
    text = text.replace("y = relu(bn1:", "y = dropout(relu(bn1:").replace(
        "x = relu(bn1:", "x = dropout(relu(bn1:").replace(
            "bias = false)))\n", "bias = false))), 0.3)\n")
    with open(path, "w") as file:
        file.write(text)
    return path


def check_all_bits(checks):
    folder = t.scratch("budgets")
    data = t.idx_data(os.path.join(folder, "data"))
    tiny = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
    check_bits(checks, folder, data, tiny)
    for precision in ("f32", "bf16", "f16"):
        check_bits(checks, folder, data, with_dropout(folder, tiny), "--set",
                   f"precision={precision}")


def main():
    checks = t.Checks()
    check_sweep(checks)
    check_all_bits(checks)
    checks.done()


if __name__ == "__main__":
    main()
