"""Whole training steps on the emulator, by kernels that tgc generates: ten
steps of LeNet and of ResNet-8 with the losses of the cpu, in 16 bits to their
rounding; resumed; evaluated.  Three steps of a small net whose batch is large
enough that all is fused that can be.  usage: training.py lenet|resnet|fused"""
import json
import os
import re
import sys

import gpu
import tgctest as t

STEPS = 10
CIFAR = ("-D", "depth=8", "--set", "batch=1", "--set", "optimizer.lr=0.001")
IDX = ("--set", "data=idx", "--set", "data.samples=200", "--set", "batch=2",
       "--set", "optimizer.lr=0.0005")
FUSED = ("--set", "data=idx", "--set", "data.samples=64", "--set", "batch=8",
         "--set", "optimizer.lr=0.001")
OPTIONS = {"lenet": IDX, "resnet": CIFAR, "fused": FUSED}
# Relative, of a loss: sums are in another order, and each step adds to it.
MOST = 1e-5
# In 16 bits: so many times what they change in the cpu's losses, where the
# same is rounded, but a sum in another order may round to the other side.
MOST_HALF = 3


# Values of 64 KiB or more, and sums over lines of 24 pixels.
FUSED_NET = """
net fused(image: [1, 24, 24]) {
    x = relu(bn1: batch_norm(conv1: conv(image, 8, 3, bias = false)))
    y = relu(bn2: batch_norm(conv2: conv(x, 8, 3, bias = false)))
    y = bn3: batch_norm(conv3: conv(y, 8, 3, bias = false))
    x = relu(x + y)
    x = relu(bn4: batch_norm(conv4: conv(x, 8, 3, bias = false)))
    return fc: dense(mean(x, over = [height, width]), 10)
}
train {
    data fashion_mnist { mean = [0.286], std = [0.353] }
    loss cross_entropy
    optimizer sgd { lr = 0.01, momentum = 0.9 }
    batch = 8   epochs = 1
}
"""


def model_path(folder, model):
    if model != "fused":
        return os.path.join(t.MODELS, model + ".net")
    path = os.path.join(folder, "fused.net")
    with open(path, "w", encoding="utf-8") as f:
        f.write(FUSED_NET)
    return path


def compile_both(folder, model, options):
    """The program for the cpu, the one for GPUs, and the emulator with its
    kernels."""
    path = model_path(folder, model)
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


def losses(binary, data, log, *options, steps=STEPS):
    t.run(binary, "train", "--data", data, "--steps", steps, "--log", log,
          *options).must()
    return [(row["loss"], row["correct"]) for row in t.log_rows(log)]


def distance(a, b):
    return max(abs(x[0] - y[0]) / abs(x[0]) for x, y in zip(a, b))


class Trained:
    """Ten steps of a model, by both programs."""

    def __init__(self, folder, model, precision, data):
        self.name, self.data = f"{model} {precision}", data
        self.log = os.path.join(folder, f"{model}.{precision}")
        self.cpu, self.cuda, library = compile_both(
            folder, model, (*OPTIONS[model], "--set", f"precision={precision}"))
        self.device = ("--device", f"emu:{library}")
        self.on_cpu = losses(self.cpu, data, self.log + ".cpu")
        self.on_gpu = losses(self.cuda, data, self.log + ".cuda",
                             *self.device, "--save-dir", self.log)

    def check(self, checks, most):
        checks.equal(len(self.on_gpu), STEPS,
                     f"{self.name}: {STEPS} steps on the emulator")
        worst = distance(self.on_cpu, self.on_gpu)
        print(f"        {self.name}: losses differ by at most {worst:.1e}, "
              f"may by {most:.1e}")
        checks.that(worst < most, f"{self.name}: the losses of the cpu",
                    (self.on_cpu, self.on_gpu))


def check_resume(checks, run):
    """Stopped half way and resumed: the same bytes."""
    parts = run.log + ".parts"
    t.run(run.cuda, "train", "--data", run.data, "--steps", STEPS // 2,
          "--save-dir", parts, *run.device).must()
    t.run(run.cuda, "train", "--data", run.data, "--steps", STEPS, "--resume",
          parts, *run.device).must()
    checks.that(t.same_bytes(os.path.join(run.log, "last.safetensors"),
                             os.path.join(parts, "last.safetensors")),
                f"{run.name}: stopped and resumed, the same bytes")


def check_eval(checks, run):
    """The weights that the emulator trained, evaluated by both."""
    weights = os.path.join(run.log, "last.safetensors")
    both = [json.loads(t.run(binary, "eval", "--data", run.data, "--weights",
                             weights, "--json", *device).must().out)
            for binary, device in ((run.cpu, ()), (run.cuda, run.device))]
    a, b = (row["loss"] for row in both)
    checks.that(abs(a - b) < 1e-3 * a, f"{run.name}: eval", both)
    checks.that(abs(both[0]["correct"] - both[1]["correct"]) <= 1,
                f"{run.name}: as many right", both)


def check_kept(checks, run):
    """The images came from the device's memory; from the host's where the
    device has no room for them: the same bytes."""
    arena = json.loads(t.run(run.cuda, "info", "--json").must().out)
    small = {"TGC_EMU_MEMORY": str(arena["arena_bytes"] + 2**20)}
    last = []
    for name, env in (("kept", {}), ("streamed", small)):
        folder = f"{run.log}.{name}"
        out = t.run(run.cuda, "train", "--data", run.data, "--steps", 3,
                    "--save-dir", folder, *run.device, env=env).must().out
        checks.equal("images stay on the GPU" in out, name == "kept",
                     f"{run.name}: {name}")
        last.append(os.path.join(folder, "last.safetensors"))
    checks.that(t.same_bytes(*last), f"{run.name}: the same bytes either way")


def side_by_side(checks, run):
    """Many kernels are not in a row, and it is hardly ever only for the bytes
    that another has used that one has to wait.  Returns the graph `train`."""
    info = json.loads(t.run(run.cuda, "info", "--json").must().out)
    train = next(g for g in info["graphs"] if g["name"] == "train")
    values, longest = (train["longest_chain" + of] for of in ("_of_values", ""))
    checks.that(values <= longest <= min(1.2 * values + 1,
                                         0.85 * train["steps"]),
                f"{run.name}: {train['steps']} kernels, {longest} in a row, "
                f"{values} would have to be", info["graphs"])
    return train


def check_order(checks, run):
    """Kernels run in any order that their edges allow, to the same bytes; those
    of a kernel taken away are missed."""
    train = side_by_side(checks, run)

    def bytes_of(name, **env):
        folder = f"{run.log}.{name}"
        done = t.run(run.cuda, "train", "--data", run.data, "--steps", 2,
                     "--save-dir", folder, "--overwrite", *run.device, env=env)
        return done, os.path.join(folder, "last.safetensors")

    first = bytes_of("order")[1]
    for seed in ("2", "3", "4"):
        done, last = bytes_of("seed", TGC_EMU_SEED=seed)
        checks.that(not done.status and t.same_bytes(first, last),
                    f"{run.name}: order {seed}, the same bytes", done.err)
    found = wrong = 0
    for node in range(4, train["steps"], train["steps"] // 8):
        done, _ = bytes_of("cut", TGC_EMU_CUT=str(node))
        if "use the same bytes in no order" not in done.err:
            continue
        found += 1
        done, last = bytes_of("cut", TGC_EMU_CUT=str(node),
                              TGC_EMU_RACES="ignore")
        wrong += bool(done.status) or not t.same_bytes(first, last)
    checks.that(found >= 6 and wrong >= found / 2,
                f"{run.name}: {found} kernels without their edges, "
                f"{wrong} wrong values")


def check_fused(checks, folder):
    """What is before and after products: all of it is there, and counts."""
    data = t.idx_data(os.path.join(folder, "data"), train=64, size=24)
    before = []
    for precision, most in (("f32", MOST), ("f16", 2e-2)):
        cpu, cuda, library = compile_both(
            folder, "fused", (*FUSED, "--set", f"precision={precision}"))
        temps = os.path.join(folder, "fused.temps")
        text = "".join(open(os.path.join(temps, f), encoding="utf-8").read()
                       for f in os.listdir(temps) if f.endswith(".cu"))
        before.append(len(re.findall(r"struct \w+_before\d {", text)))
        after = re.findall(r"void \w+_after\d\(", text)
        checks.that(before[-1] >= 4 and len(after) >= 6,
                    f"fused {precision}: {before[-1]} before products, "
                    f"{len(after)} after")
        log = os.path.join(folder, precision)
        a = losses(cpu, data, log + ".cpu", steps=3)
        b = losses(cuda, data, log + ".cuda", "--device", f"emu:{library}",
                   steps=3)
        checks.that(len(b) == 3 and distance(a, b) < most,
                    f"fused {precision}: the losses of the cpu", (a, b))


def main():
    checks = t.Checks()
    model = sys.argv[1]
    folder = t.scratch(f"emulator_{model}")
    if model == "fused":
        check_fused(checks, folder)
        return checks.done()
    lenet = model == "lenet"
    data = t.idx_data(os.path.join(folder, "data")) if lenet else t.cifar10()
    exact = Trained(folder, model, "f32", data)
    exact.check(checks, MOST)
    check_kept(checks, exact)
    side_by_side(checks, exact)
    for precision in ("f16", "bf16"):
        run = Trained(folder, model, precision, data)
        side_by_side(checks, run)
        run.check(checks, MOST_HALF * distance(exact.on_cpu, run.on_cpu))
        if lenet and precision == "f16":
            check_resume(checks, run)
            check_order(checks, run)
            check_eval(checks, run)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
