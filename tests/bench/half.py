#!/usr/bin/env python3
"""Accuracy in half precision: ResNet-20 on Fashion-MNIST and CIFAR-10 trained
in f32, bf16 and f16 from the same seeds.

    tests/bench/half.py [--epochs 3] [--seeds 3] [--fashion DIR] [--cifar DIR]
    tests/bench/half.py --resume [--minutes 8]      goes on, for so long

Trains for so many epochs of batch 128 with a cosine schedule, then counts the
test images that come out right. What is wanted: precisions differ by no more
than seeds do (max - min of f32).

It takes hours, so it may be stopped at any time: results so far are in
docs/results/half.json, runs under way in BUILD/tests/bench_half. --resume goes
on from both; with --minutes it stops by itself, status 3 while there is more
to do:

    while tests/bench/half.py --resume --minutes 8; [ $? = 3 ]; do :; done

Writes docs/results/half.md when the last run is done, with status 1 where the
precisions differ by more."""
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

PRECISIONS = ("f32", "bf16", "f16")
NETS = ("fashion_resnet20", "resnet20")
MORE = 3


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.begun = time.monotonic()
        self.folder = os.path.join(t.BUILD, "tests", "bench_half")
        self.results = os.path.join(arguments.out, "half.json")
        self.recipe = {"epochs": arguments.epochs, "seeds": arguments.seeds,
                       "lr": arguments.lr}
        self.runs = {}
        if arguments.resume and os.path.exists(self.results):
            with open(self.results) as file:
                kept = json.load(file)
            if {k: kept[k] for k in self.recipe} != self.recipe:
                sys.exit(f"{self.results} is of another recipe "
                         f"({ {k: kept[k] for k in self.recipe} }): give the "
                         "same, or leave out --resume to begin anew")
            self.runs = kept["runs"]
        elif not arguments.resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)
        os.makedirs(arguments.out, exist_ok=True)

    def seconds_left(self):
        if not self.arguments.minutes:
            return None
        return 60 * self.arguments.minutes - (time.monotonic() - self.begun)

    def keep(self):
        with open(self.results + ".new", "w") as file:
            json.dump(dict(self.recipe, runs=self.runs), file, indent=1)
            file.write("\n")
        os.replace(self.results + ".new", self.results)

    def data(self, net):
        if net == "resnet20":
            return self.arguments.cifar or t.cifar10()
        return self.arguments.fashion

    def binary(self, net, precision):
        """Kept beside the runs: a run goes on with what it began with."""
        binary = os.path.join(self.folder, f"{net}-{precision}")
        if not os.path.exists(binary):
            shutil.copy(t.compiled(net, "--set", f"precision={precision}",
                                   "--set", "schedule=cosine"), binary)
        return binary

    def train(self, net, precision, seed):
        """None where time ran out before the end."""
        binary = self.binary(net, precision)
        data = self.data(net)
        save = os.path.join(self.folder, f"{net}-{precision}-{seed}")
        last = os.path.join(save, "last.safetensors")
        more = ["--resume", save] if os.path.exists(last) else [
            "--overwrite", "--seed", seed, "--lr", self.arguments.lr,
            "--epochs", self.arguments.epochs]
        left = self.seconds_left()
        if left is not None:
            if left < 5:
                return None
            more += ["--time-limit", f"{left:.0f}s"]
        t.run(binary, "train", "--data", data, "--save-dir", save,
              "--save-every", 100, *more, timeout=None).must()
        rows = t.log_rows(os.path.join(save, "steps.jsonl"))
        if t.load_tensors(last)[1]["tgc.epoch"] != str(self.arguments.epochs):
            return None
        run = t.run(binary, "eval", "--data", data, "--weights", last,
                    "--json", timeout=None).must()
        right = json.loads(run.out)
        losses = [r["loss"] for r in rows[-50:] if r["loss"] is not None]
        return {"accuracy": 100 * right["correct"] / right["total"],
                "loss": statistics.mean(losses), "skips": rows[-1].get("skips")}

    def all(self):
        """False where there is more to do."""
        for net in NETS:
            for seed in range(1, self.arguments.seeds + 1):
                for precision in PRECISIONS:
                    name = f"{net} {precision} {seed}"
                    if name in self.runs:
                        continue
                    result = self.train(net, precision, seed)
                    if result is None:
                        print(f"{name}: not through yet", flush=True)
                        return False
                    self.runs[name] = result
                    self.keep()
                    print(f"{name}: {result}", flush=True)
        return True

    def of(self, net, precision):
        return [self.runs[f"{net} {precision} {seed}"]
                for seed in range(1, self.arguments.seeds + 1)]

    def accuracies(self, net, precision):
        return [r["accuracy"] for r in self.of(net, precision)]

    def far(self, net):
        """How far the means are from f32's, at most."""
        mean = {p: statistics.mean(self.accuracies(net, p))
                for p in PRECISIONS}
        return max(abs(mean[p] - mean["f32"]) for p in PRECISIONS)

    def spread(self, net):
        accuracies = self.accuracies(net, "f32")
        return max(accuracies) - min(accuracies)


def row(bench, net, precision):
    runs = bench.of(net, precision)
    accuracies = bench.accuracies(net, precision)
    skips = [str(r["skips"]) for r in runs if r["skips"] is not None]
    return (f"| {net} | {precision} | "
            + ", ".join(f"{a:.2f}" for a in accuracies)
            + f" | {statistics.mean(accuracies):.2f} | "
            + f"{statistics.mean(r['loss'] for r in runs):.3f} | "
            + f"{', '.join(skips) or '-'} |")


def table(bench):
    a = bench.arguments
    lines = [
        "# Accuracy in half precision", "",
        f"ResNet-20, batch 128, SGD with momentum, cosine schedule from "
        f"{a.lr}, {a.epochs} epochs; right of the 10,000 test images, in %, "
        f"for seeds 1 to {a.seeds}. The same seed starts from the same weights "
        "and sees the same images in each precision.", "",
        "| net | precision | by seed | mean | loss, last 50 steps | skipped "
        "steps |", "| --- | --- | --- | ---: | ---: | ---: |"]
    lines += [row(bench, net, p) for net in NETS for p in PRECISIONS] + [""]
    lines += [f"{net}: the means differ from f32's by at most "
              f"{bench.far(net):.2f}, the seeds of f32 by "
              f"{bench.spread(net):.2f}." for net in NETS]
    return "\n".join(lines + ["", "Made by `tests/bench/half.py`.", ""])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lr", default="0.1")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--fashion", default=t.FASHION)
    parser.add_argument("--cifar", default=None)
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    bench = Bench(parser.parse_args())
    if not bench.all():
        sys.exit(MORE)
    with open(os.path.join(bench.arguments.out, "half.md"), "w") as file:
        file.write(table(bench))
    print(table(bench))
    sys.exit(any(bench.far(n) > bench.spread(n) for n in NETS))


if __name__ == "__main__":
    main()
