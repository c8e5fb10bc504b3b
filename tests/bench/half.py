#!/usr/bin/env python3
"""Accuracy in half precision: ResNet-20 on Fashion-MNIST and CIFAR-10 trained
in f32, bf16 and f16 from the same seeds.

    tests/bench/half.py [--steps 150] [--seeds 3] [--fashion DIR] [--cifar DIR]

Trains so many steps of batch 128 at a constant rate, then counts the test
images that come out right. What is wanted: precisions differ by no more than
seeds do. Writes docs/results/half.md and half.json."""
import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "support"))
import tgctest as t  # noqa: E402

PRECISIONS = ("f32", "bf16", "f16")


def train(model, data, precision, seed, arguments, folder):
    binary = t.compiled(model, "--set", f"precision={precision}", "--set",
                        "schedule=constant")
    save = os.path.join(folder, f"{model}-{precision}-{seed}")
    log = save + ".log"
    t.run(binary, "train", "--data", data, "--save-dir", save, "--log", log,
          "--overwrite", "--seed", seed, "--lr", arguments.lr, "--steps",
          arguments.steps, timeout=7200).must()
    run = t.run(binary, "eval", "--data", data, "--weights",
                os.path.join(save, "last.safetensors"), "--json",
                timeout=3600).must()
    right = json.loads(run.out)
    rows = t.log_rows(log)
    last = [r["loss"] for r in rows[-20:]]
    result = {"accuracy": 100 * right["correct"] / right["total"],
              "loss": sum(last) / len(last), "skips": rows[-1].get("skips")}
    print(model, precision, seed, result, flush=True)
    return result


def compare(model, data, arguments, folder):
    runs = {p: [] for p in PRECISIONS}
    for seed in range(1, arguments.seeds + 1):
        for p in PRECISIONS:
            runs[p].append(train(model, data, p, seed, arguments, folder))
    accuracy = {p: [r["accuracy"] for r in runs[p]] for p in PRECISIONS}
    mean = {p: statistics.mean(accuracy[p]) for p in PRECISIONS}
    spread = max(accuracy["f32"]) - min(accuracy["f32"])
    return {"model": model, "runs": runs, "mean": mean, "spread": spread,
            "within": all(abs(mean[p] - mean["f32"]) <= spread
                          for p in PRECISIONS)}


def table(results, arguments):
    lines = [
        "# Accuracy in half precision", "",
        f"ResNet-20, batch 128, SGD with momentum, rate {arguments.lr}, "
        f"{arguments.steps} steps; right of the 10,000 test images, in %, for "
        f"seeds 1 to {arguments.seeds}. The same seed starts from the same "
        "weights and sees the same images in each precision.", "",
        "| net | precision | by seed | mean | loss, last 20 steps | skipped |",
        "| --- | --- | --- | ---: | ---: | ---: |"]
    for result in results:
        for p in PRECISIONS:
            runs = result["runs"][p]
            skips = [str(r["skips"]) for r in runs if r["skips"] is not None]
            lines.append(
                f"| {result['model']} | {p} | "
                + ", ".join(f"{r['accuracy']:.2f}" for r in runs)
                + f" | {result['mean'][p]:.2f} | "
                + f"{statistics.mean(r['loss'] for r in runs):.3f} | "
                + f"{', '.join(skips) or '-'} |")
    lines.append("")
    for result in results:
        far = max(abs(result["mean"][p] - result["mean"]["f32"])
                  for p in PRECISIONS)
        lines.append(
            f"{result['model']}: the means differ by at most {far:.2f}, the "
            f"seeds of f32 by {result['spread']:.2f}.")
    lines += ["", "Made by `tests/bench/half.py`.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lr", default="0.05")
    parser.add_argument("--fashion", default=t.FASHION)
    parser.add_argument("--cifar", default=None)
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    arguments = parser.parse_args()
    folder = t.scratch("bench_half")
    results = [compare("fashion_resnet20", arguments.fashion, arguments,
                       folder),
               compare("resnet20", arguments.cifar or t.cifar10(), arguments,
                       folder)]
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, "half.json"), "w") as file:
        json.dump({"steps": arguments.steps, "seeds": arguments.seeds,
                   "results": results}, file, indent=1)
        file.write("\n")
    with open(os.path.join(arguments.out, "half.md"), "w") as file:
        file.write(table(results, arguments))
    print(table(results, arguments))
    sys.exit(0 if all(r["within"] for r in results) else 1)


if __name__ == "__main__":
    main()
