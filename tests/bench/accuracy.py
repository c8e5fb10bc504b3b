#!/usr/bin/env python3
"""Accuracy of models/resnet20.net on CIFAR-10 after a few epochs, against the
same recipe in PyTorch (accuracy_pytorch.py), over some seeds. tgc trains twice
a seed: from initial weights of its own, and from PyTorch's, since these decide
more of the first epochs than anything after them.

    TGC_BUILD=build python3 tests/bench/accuracy.py --data DIR
        [--python PYTHON_WITH_TORCH] [--epochs 5] [--seeds 0,1,2]
        [--only pytorch|paired|tgc] [--time-limit SECONDS] [--resume] [--work DIR]

DIR holds CIFAR-10's binary files; both read the same. The rate falls after
1/2 and 3/4 of the epochs, as in the paper's 200.

It works epoch by epoch, each in processes of its own, and writes what is known
to WORK/accuracy.json after every one. --resume goes on from there, so that it
can be interrupted at any time, and --time-limit begins no epoch after so many
seconds. When all sides have all their seeds, the table goes to
docs/results/accuracy.md, the runs beside it to accuracy.json. --steps 20
--epochs 1 --seeds 0 tries whether everything is there, and writes no table."""
import argparse
import json
import os
import shutil
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "support"))
import tgctest as t  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
AT = [0.5, 0.75]
BATCHES = 50000 // 128
PEER = "pytorch"
PEER_SCRIPT = os.path.join(HERE, "accuracy_pytorch.py")


def run_tgc(a, folder, seed, epoch, start=()):
    """The epoch, then a count of what the weights get right."""
    binary, last = t.compiled("resnet20"), os.path.join(folder,
                                                        "last.safetensors")
    steps = (epoch + 1) * (a.steps or BATCHES)
    begin = time.monotonic()
    t.run(binary, "train", "--data", a.data, "--seed", seed, "--epochs",
          a.epochs, "--set", f"schedule.at={AT}", "--steps", steps,
          "--set", "eval_every=1000000", "--save-dir", folder,
          *(("--resume", last) if epoch else ("--overwrite", *start)),
          timeout=None).must()
    seconds = time.monotonic() - begin
    found = t.run(binary, "eval", "--data", a.data, "--weights", last,
                  "--json", timeout=None).must()
    version = t.run(t.TGC, "--version").must().out.strip()
    return {**json.loads(found.out), "seconds": seconds, "version": version}


def run_paired(a, folder, seed, epoch):
    """As run_tgc, from the weights that PyTorch starts from."""
    start = os.path.join(folder, "start.pth")
    if not epoch:
        t.run(a.python, PEER_SCRIPT, "--start", start, "--seed", seed).must()
    return run_tgc(a, folder, seed, epoch, ("--init", start))


def run_pytorch(a, folder, seed, epoch):
    done = t.run(a.python, PEER_SCRIPT, "--data", a.data, "--checkpoint",
                 os.path.join(folder, "checkpoint.pt"), "--seed", seed,
                 "--epoch", epoch, "--epochs", a.epochs, "--at",
                 json.dumps(AT), *(("--steps", a.steps) if a.steps else ()),
                 timeout=None).must()
    return json.loads(done.out.strip().splitlines()[-1])


# name: (how an epoch of it runs, what the table calls it)
SIDES = {PEER: (run_pytorch, "PyTorch"),
         "paired": (run_paired, "tgc from PyTorch's initial weights"),
         "tgc": (run_tgc, "tgc from its own")}


class Results:
    """{"tgc": {"0": [an entry for each epoch]}}, kept in a file."""

    def __init__(self, a):
        self.path = os.path.join(a.work, "accuracy.json")
        self.a, self.runs = a, {}
        if a.resume and os.path.exists(self.path):
            with open(self.path) as file:
                kept = json.load(file)
            if kept["epochs"] != a.epochs:
                sys.exit(f"{self.path} is of {kept['epochs']} epochs")
            self.runs = kept["runs"]

    def of(self, side, seed):
        return self.runs.setdefault(side, {}).setdefault(str(seed), [])

    def write(self, path):
        with open(path + ".tmp", "w") as file:
            json.dump({"epochs": self.a.epochs, "runs": self.runs}, file,
                      indent=1)
            file.write("\n")
        os.replace(path + ".tmp", path)

    def complete(self):
        return all(len(self.of(side, seed)) == self.a.epochs
                   for side in SIDES for seed in self.a.seeds)


def train(a, results):
    """False: the time is up."""
    begin = time.monotonic()
    for seed in a.seeds:
        for side in (a.only,) if a.only else SIDES:
            folder = os.path.join(a.work, f"{side}{seed}")
            epochs = results.of(side, seed)
            if not epochs:
                shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder, exist_ok=True)
            while len(epochs) < a.epochs:
                if a.time_limit and time.monotonic() - begin > a.time_limit:
                    return False
                epochs.append(SIDES[side][0](a, folder, seed, len(epochs)))
                results.write(results.path)
                now = epochs[-1]
                print(f"{side} seed {seed} epoch {len(epochs)}: "
                      f"{100 * now['correct'] / now['total']:.2f} %, "
                      f"{now['seconds']:.0f} s", flush=True)
    return True


def percent(epoch):
    return 100 * epoch["correct"] / epoch["total"]


def spread(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def table(a, results):
    last = {side: [percent(results.of(side, seed)[-1]) for seed in a.seeds]
            for side in SIDES}
    versions = {side: results.of(side, a.seeds[0])[-1]["version"]
                for side in SIDES}
    lines = [
        "# Accuracy after a few epochs", "",
        f"`models/resnet20.net` on CIFAR-10 for {a.epochs} epochs, batch 128, "
        "the rate 0.1 and a tenth of it after 1/2 and 3/4 of them, against "
        f"the same recipe in PyTorch: {versions['tgc']}, PyTorch "
        f"{versions[PEER]}, float32, CPU. All start from the same "
        "distributions and read the same files, which are lossy copies of "
        "CIFAR-10's pictures: the figures compare with each other, not with "
        "published ones. Percent of the test images after the last epoch.", "",
        "| | " + " | ".join(f"seed {s}" for s in a.seeds) +
        " | mean | deviation |",
        "| --- |" + " ---: |" * (len(a.seeds) + 2)]
    for side, (_, name) in SIDES.items():
        cells = last[side] + [statistics.mean(last[side]), spread(last[side])]
        lines.append(f"| {name} | " + " | ".join(f"{x:.2f}" for x in cells) +
                     " |")
    lines += ["", "After each epoch, mean over the seeds:", "",
              "| epoch | " + " | ".join(map(str, range(1, a.epochs + 1))) +
              " |", "| --- |" + " ---: |" * a.epochs]
    for side, (_, name) in SIDES.items():
        means = [statistics.mean(percent(results.of(side, s)[e])
                                 for s in a.seeds) for e in range(a.epochs)]
        lines.append(f"| {name} | " + " | ".join(f"{x:.2f}" for x in means) +
                     " |")
    lines += ["", "Made by `tests/bench/accuracy.py`; single runs are in "
              "`accuracy.json`.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", default="0,1,2",
                        type=lambda x: [int(s) for s in x.split(",")])
    parser.add_argument("--only", choices=SIDES)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--work", default=os.path.join(t.BUILD, "accuracy"))
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    a = parser.parse_args()
    a.data = os.path.abspath(a.data)
    os.makedirs(a.work, exist_ok=True)
    results = Results(a)
    if not train(a, results):
        print("the time is up: go on with --resume")
    if results.complete() and not a.steps:
        os.makedirs(a.out, exist_ok=True)
        results.write(os.path.join(a.out, "accuracy.json"))
        with open(os.path.join(a.out, "accuracy.md"), "w") as file:
            file.write(table(a, results))
        print(table(a, results))


if __name__ == "__main__":
    main()
