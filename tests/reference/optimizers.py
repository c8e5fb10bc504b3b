"""Twenty steps of each optimizer, schedule and loss, with parameter groups and
clipping, against PyTorch in float64 (optimizers.json, made by make_optimizers.py): the loss of
every step and every tensor after the last. In float64 the two agree to
rounding; some cases run in float32, too, and those must give the same bytes
with one thread and after an interruption.

--table runs all cases in both types and writes the worst deviations to
docs/results/optimizers.md."""
import json
import math
import os
import sys

import tgctest as t

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cases  # noqa: E402
import optimizer_cases as these  # noqa: E402

# Relative: losses (the log has nine digits of them) and weights.
# "rounded" cases get a rate that is rounded to float32 in every step.
MOST = {"f64": (1e-8, 1e-11), "rounded": (1e-7, 1e-5), "f32": (2e-5, 1e-4)}
IN_F32 = ("muon_adamw", "average_warm", "everything")


def model(folder, name):
    path, own = os.path.join(folder, name + ".net"), these.CASES[name]["train"]
    if "net" in these.CASES[name]:
        file, given = these.NETS[these.CASES[name]["net"]]
        net = os.path.join(t.MODELS, file)
    else:
        net = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
        given = ""
        own += "" if "schedule " in own else "\nschedule constant"
        own += "" if "loss " in own else "\nloss.label_smoothing = 0"
    net = os.path.relpath(net, folder)
    with open(path, "w") as file:
        file.write(f"use \"{net}\" {given}\ntrain {{\n{own}\n"
                   "data idx { mean = [0], std = [1], crop = 0, flip = none }\n"
                   f"batch = {these.BATCH}\n}}\n")
    return path


def deviation(name, values, wanted):
    """Of norm and projection, relative to the norm."""
    scale = max(wanted["norm"], 1e-6)
    return max(abs(t.norm(values) - wanted["norm"]),
               abs(cases.projection(name, values) - wanted["projection"]) /
               math.sqrt(len(values))) / scale


def train(binary, data, save, steps, *options):
    """The last checkpoint."""
    t.run(binary, "train", "--data", data, "--no-shuffle", "--steps", steps, "--save-dir", save, *options).must()
    return os.path.join(save, "last.safetensors")


def check_resume(checks, label, binary, folder, init, data, whole):
    half = train(binary, data, os.path.join(folder, "half"), these.STEPS // 2,
                 "--init", init, "--threads", 1)
    again = train(binary, data, os.path.join(folder, "rest"), these.STEPS,
                  "--resume", half, "--threads", 3)
    checks.that(t.same_bytes(whole, again),
                f"{label}: the same bytes after an interruption")


def check_average(checks, label, golden, binary, data, weights):
    """`eval` reports both."""
    run = t.run(binary, "eval", "--data", data, "--weights", weights, "--json")
    result, wanted = json.loads(run.must().out), golden["average_eval"]
    checks.close(result["loss"], golden["eval"], 1e-4 * golden["eval"],
                 f"{label}: evaluated loss")
    checks.equal("average_loss" in result, wanted is not None,
                 f"{label}: an average or none")
    if wanted is not None:
        checks.close(result["average_loss"], wanted, 1e-4 * wanted,
                     f"{label}: evaluated loss of the average")


def check(checks, name, golden, data, precision, worst):
    label = f"{name} {precision}"
    folder = t.scratch(f"optimizers_{name}_{precision}")
    binary = os.path.join(folder, name)
    t.run(t.TGC, "compile", model(folder, name), "-o", binary,
          "--set", f"precision={precision}").must()
    salt = these.CASES[name].get("salt", "")
    start = {n: (shape, cases.initial(n, shape, salt))
             for n, shape in golden["shapes"].items()}
    init, log = (os.path.join(folder, n) for n in ("init.safetensors", "log"))
    t.save_tensors(init, start)
    whole = train(binary, data, os.path.join(folder, "run"), these.STEPS,
                  "--init", init, "--log", log)
    losses = [row["loss"] for row in t.log_rows(log)]
    last, _ = t.load_tensors(whole)
    far = [abs(a - b) / b for a, b in zip(losses, golden["loss"])]
    weights = [deviation(n, last[n][1], wanted)
               for n, wanted in golden["after"].items()]
    rounded = precision == "f64" and these.CASES[name].get("rounded")
    kind = "rounded" if rounded else precision
    checks.equal(len(losses), these.STEPS, f"{label}: steps")
    for what, found, most in zip(("losses", "weights"), (far, weights),
                                 MOST[kind]):
        checks.that(max(found) <= most, f"{label}: {what} within "
                    f"{max(found):.1e}", f"more than {most}: {found}")
    check_average(checks, label, golden, binary, data, whole)
    if precision == "f32":
        check_resume(checks, label, binary, folder, init, data, whole)
    row = worst.setdefault(name, {"torch": golden["f32"]})
    row[precision] = max(far), max(weights)


TABLE = os.path.join(t.SOURCE, "docs", "results", "optimizers.md")


def write_table(worst, version):
    lines = [
        "# Twenty steps against PyTorch", "",
        f"A small residual net ({these.TRAIN} images, batch {these.BATCH}, no "
        f"shuffle) for {these.STEPS} steps with each optimizer, schedule and "
        f"loss, from the same weights, against PyTorch {version} in float64 "
        "(Muon: against its publication, by singular values). Compiled with "
        "`precision = f64` and `f32`; the worst relative deviation of any "
        "step's loss and of any tensor after the last step, and beside it that "
        "of PyTorch's own float32. In f64, rates "
        "from a schedule and mixed images are still rounded to float32: the "
        "rows with 1e-8. What each row is, `tests/reference/"
        "optimizer_cases.py` says.", "",
        "| case | loss, f64 | tensors, f64 | loss, f32 | tensors, f32 | loss, "
        "PyTorch f32 | tensors, PyTorch f32 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, row in worst.items():
        cells = [f"{x:.0e}" for p in ("f64", "f32", "torch")
                 for x in row[p]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "Made by `tests/reference/optimizers.py --table`.", ""]
    with open(TABLE, "w") as file:
        file.write("\n".join(lines))
    print("\n".join(lines))


def check_table(checks):
    with open(TABLE) as file:
        rows = [line.split("|")[1].strip() for line in file
                if line.startswith("| ")]
    checks.equal(rows[2:], list(these.CASES),
                 "docs/results/optimizers.md has a row for each case")


def main():
    checks = t.Checks()
    with open(os.path.join(HERE, "optimizers.json")) as file:
        golden = json.load(file)
    data = t.idx_data(t.scratch("optimizers_data"), these.TRAIN, these.TEST,
                      these.SIZE)
    everything = "--table" in sys.argv
    names = [a for a in sys.argv[1:] if a != "--table"] or [
        n for n in these.CASES
        if everything or not these.CASES[n].get("extra")]
    worst = {}
    for name in names:
        for precision in ("f64", "f32"):
            if precision == "f64" or everything or name in IN_F32:
                check(checks, name, golden["cases"][name], data, precision, worst)
    if everything and len(worst) == len(these.CASES):
        write_table(worst, golden["torch"])
    check_table(checks)
    checks.done()


if __name__ == "__main__":
    main()
