"""Short trainings of small nets against PyTorch in float64 (golden.json, made
by make_golden.py): losses, first gradients, values after the last step, and an
evaluation. MLP, LeNet, and a small residual net with batch norm; momentum,
Nesterov, weight decay, label smoothing; a batch in parts."""
import json
import math
import os
import sys

import tgctest as t

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cases  # noqa: E402


NETS = {"mlp": os.path.join(HERE, "mlp.net"),
        "lenet": os.path.join(HERE, "lenet.net"),
        "tiny": os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"),
        "resnet20": os.path.join(t.MODELS, "resnet.net")}


def binary_of(case):
    def number(x):
        return repr(x).lower()
    settings = {"optimizer.momentum": number(case["momentum"]),
                "optimizer.nesterov": number(case["nesterov"]),
                "optimizer.weight_decay": number(case["weight_decay"]),
                "loss.label_smoothing": number(case["label_smoothing"]),
                "data.mean": f"[{cases.MEAN}]", "data.std": f"[{cases.STD}]",
                "batch": str(case["batch"]), "data": "idx"}
    if "accumulate" in case:
        settings.update({"accumulate": str(case["accumulate"]), "tail": "keep",
                         "data.samples": str(cases.TRAIN)})
    options = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
    if case["net"] == "resnet20":
        options += ["-D", f"input=[1, {cases.SIZE}, {cases.SIZE}]"]
    return t.compiled(NETS[case["net"]], *options)


def summary_close(checks, name, values, wanted, tolerance, text):
    """Norm and projection, relative to the norm."""
    scale = max(wanted["norm"], 1e-6)
    far = max(abs(t.norm(values) - wanted["norm"]),
              abs(cases.projection(name, values) - wanted["projection"]) /
              math.sqrt(len(values))) / scale
    checks.that(far <= tolerance, f"{text} {name}: {far:.1e}",
                f"more than {tolerance}")


def check_case(checks, name, golden, data):
    case = golden["settings"]
    folder = t.scratch("reference_" + name)
    init = os.path.join(folder, "init.safetensors")
    start = {n: (shape, cases.initial(n, shape, case.get("salt", "")))
             for n, shape in golden["shapes"].items()}
    t.save_tensors(init, start)
    binary = binary_of(case)

    def train(what, steps):
        save, log = os.path.join(folder, what), os.path.join(folder, "log")
        t.run(binary, "train", "--data", data, "--init", init, "--no-augment",
              "--no-shuffle", "--lr", case["lr"], "--steps", steps,
              "--save-dir", save, "--log", log).must()
        return os.path.join(save, "last.safetensors"), t.log_rows(log)

    first, _ = train("first", 1)
    tensors, _ = t.load_tensors(first)
    check_gradient(checks, name, golden, start, tensors)
    last, rows = train("all", case["steps"])
    for row, loss, correct in zip(rows, golden["loss"], golden["correct"]):
        checks.close(row["loss"], loss, 2e-4 * loss,
                     f"{name}: loss of step {row['step']}")
        checks.close(row["correct"], correct, 1, f"{name}: correct")
    checks.equal(len(rows), case["steps"], f"{name}: steps")
    tensors, _ = t.load_tensors(last)
    for n, wanted in golden["after"].items():
        summary_close(checks, n, tensors[n][1], wanted, 1e-3, f"{name}: after")
    run = t.run(binary, "eval", "--data", data, "--weights", last, "--json")
    result = json.loads(run.must().out)
    wanted = golden["eval"]
    checks.equal(result["total"], wanted["total"], f"{name}: images")
    checks.close(result["correct"], wanted["correct"], 1, f"{name}: right")
    checks.close(result["loss"], wanted["loss"], 2e-3 * wanted["loss"],
                 f"{name}: evaluated loss")


def check_gradient(checks, name, golden, start, tensors):
    """After one step the slot is g + decay * w; without momentum there is no
    slot, and the weight is w - lr * g."""
    case = golden["settings"]
    for n, wanted in golden["gradient"].items():
        before = start[n][1]
        if case["momentum"]:
            slot = tensors[n + ".momentum"][1]
            g = [m - case["weight_decay"] * w for m, w in zip(slot, before)]
            tolerance = 1e-4
        else:
            g = [(w - v) / case["lr"] for v, w in zip(tensors[n][1], before)]
            tolerance = 2e-3  # the difference of two rounded weights
        summary_close(checks, n, g, wanted, tolerance, f"{name}: gradient")


def main():
    checks = t.Checks()
    with open(os.path.join(HERE, "golden.json")) as file:
        golden = json.load(file)["cases"]
    data = t.idx_data(t.scratch("reference_data"), cases.TRAIN, cases.TEST,
                      cases.SIZE)
    for name in sys.argv[1:] or golden:
        check_case(checks, name, golden[name], data)
    checks.done()


if __name__ == "__main__":
    main()
