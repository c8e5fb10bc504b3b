"""Whole training steps on the emulator, by kernels that tgc generates: ten
steps of LeNet and of ResNet-8 with the losses of the cpu.
usage: training.py"""
import os
import re
import sys

import gpu
import tgctest as t

STEPS = 10
CIFAR = ("-D", "depth=8", "--set", "batch=1", "--set", "optimizer.lr=0.001")
IDX = ("--set", "data=idx", "--set", "data.samples=200", "--set", "batch=2",
       "--set", "optimizer.lr=0.002")
MODELS = (("lenet", IDX), ("resnet", CIFAR))
# Relative, of a loss: sums are in another order, and each step adds to it.  In
# f16 what is rounded to eleven bits may fall on either side.
MOST = {"f32": 1e-5, "f16": 1e-2}


def compile_both(folder, model, options):
    """The program for the cpu, the one for GPUs, and the emulator with its
    kernels."""
    path = os.path.join(t.MODELS, model + ".net")
    name = os.path.join(folder, model)
    cuda = t.run(t.TGC, "compile", path, "--target", "cuda:sm_90", *options,
                 f"--save-temps={name}.temps", "-o", name + ".cuda")
    if cuda.status and re.search("libnvrtc.*which is not here", cuda.err):
        t.skip(cuda.err.strip())
    cuda.must()
    t.run(t.TGC, "compile", path, *options, "-o", name + ".cpu").must()
    texts = sorted(os.path.join(name + ".temps", f)
                   for f in os.listdir(name + ".temps") if f.endswith(".cu"))
    return name + ".cpu", name + ".cuda", gpu.build(name + ".so", *texts)


def losses(binary, data, log, *options):
    t.run(binary, "train", "--data", data, "--steps", str(STEPS), "--log", log,
          *options).must()
    return [(row["loss"], row["correct"]) for row in t.log_rows(log)]


def check_model(checks, folder, model, precision, options, data):
    cpu, cuda, library = compile_both(
        folder, model, (*options, "--set", f"precision={precision}"))
    log = os.path.join(folder, model)
    model = f"{model} {precision}"
    a = losses(cpu, data, log + ".cpu.log")
    b = losses(cuda, data, log + ".cuda.log", "--device", f"emu:{library}")
    checks.equal(len(b), STEPS, f"{model}: {STEPS} steps on the emulator")
    worst = max(abs(x[0] - y[0]) / abs(x[0]) for x, y in zip(a, b))
    print(f"        {model}: losses differ by at most {worst:.1e}")
    checks.that(worst < MOST[precision], f"{model}: the losses of the cpu",
                (a, b))


def main():
    checks = t.Checks()
    folder = t.scratch("emulator_training")
    idx = t.idx_data(os.path.join(folder, "data"))
    for model, options in MODELS:
        data = idx if model == "lenet" else t.cifar10()
        for precision in MOST:
            check_model(checks, folder, model, precision, options, data)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
