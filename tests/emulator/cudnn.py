"""Convolutions by cuDNN, on the emulator's stand-in for it (cudnn.cc), which
checks every descriptor and proposes engines that must not be taken: ten steps
with the losses of the cpu; how it is missing, too old, or fails.
usage: cudnn.py"""
import json
import os
import sys

import tgctest as t
from training import (MOST, MOST_HALF, OPTIONS, STEPS, compile_both, distance,
                      losses)

NOWHERE = "/nowhere/libcudnn.so.9"
# Groups, dilation, windows, paddings and steps that are not square.
ODD = """net odd(image: [1, 28, 28]) {
    x = relu(stem: conv(image, 6, [3, 5], [2, 1], pad = [1, 2]))
    x = relu(groups: conv(x, 9, 3, groups = 3, dilation = [1, 2]))
    x = relu(depth: conv(x, 9, 5, 3, groups = 9))
    x = relu(point: conv(x, 7, 1, bias = false))
    return linear: dense(mean(x), 10)
}

train {
    data idx { samples = 200 }
    batch = 2
    optimizer.lr = 0.01
}
"""


class Trained:
    """Ten steps of a model by both programs, the GPU's with cuDNN."""

    def __init__(self, folder, model, precision, data):
        self.name = f"{os.path.basename(model)} {precision}"
        self.data = data
        self.log = os.path.join(folder, f"{model}.{precision}")
        self.cpu, self.cuda, library = compile_both(
            folder, model, (*OPTIONS.get(model, ()), "--set", "cudnn=true",
                            "--set", f"precision={precision}"))
        self.device = ("--device", f"emu:{library}")
        self.env = {"TGC_CUDNN": library,
                    "TGC_EMU_CUDNN_LOG": self.log + ".calls"}
        self.on_cpu = losses(self.cpu, data, self.log + ".cpu")
        os.environ.update(self.env)
        self.on_gpu = losses(self.cuda, data, self.log + ".cuda",
                             *self.device, "--save-dir", self.log)

    def train(self, name, *more, **env):
        return t.run(self.cuda, "train", "--data", self.data, "--steps", "2",
                     "--save-dir", f"{self.log}.{name}", *self.device, *more,
                     env={**self.env, **env})

    def check(self, checks, most, kinds):
        worst = distance(self.on_cpu, self.on_gpu)
        print(f"        {self.name}: losses differ by at most {worst:.1e}, "
              f"may by {most:.1e}")
        checks.equal(len(self.on_gpu), STEPS, f"{self.name}: {STEPS} steps")
        checks.that(worst < most, f"{self.name}: the losses of the cpu",
                    (self.on_cpu, self.on_gpu))
        with open(self.log + ".calls", encoding="utf-8") as file:
            executed = int(file.read().split()[1])
        info = json.loads(t.run(self.cuda, "info", "--json").must().out)
        calls = [c for c in info["convolutions"] if c["by"] == "cuDNN"]
        found = {c["call"].split(" F32")[0].split(" F16")[0] for c in calls}
        checks.equal(found, kinds, f"{self.name}: what cuDNN computes")
        # Each graph of a step is captured once for each of its input slots.
        uses = sum(c["uses"] for c in calls)
        checks.that(executed >= uses / 3, f"{self.name}: it did", executed)


def check_same(checks, run):
    first = run.train("graph").must()
    checks.that("cuDNN 9.19" in first.out + first.err, "the banner names it")
    run.train("check", "--check").must()
    run.train("poison", TGC_POISON="1", TGC_EMU_SEED="7").must()
    last = [f"{run.log}.{name}/last.safetensors"
            for name in ("graph", "check", "poison")]
    checks.that(t.same_bytes(last[0], last[1]), "one by one: the same bytes")
    checks.that(t.same_bytes(last[0], last[2]),
                "poisoned memory, another order: the same bytes")


def check_messages(checks, run):
    """One sentence, before any work."""
    place = ".net:"
    for what, env, *words in (
            ("absent", {"TGC_CUDNN": NOWHERE}, "there is no cuDNN here",
             "TGC_CUDNN", "--no-cudnn"),
            ("version 8", {"TGC_EMU_CUDNN_VERSION": "8907"}, "version 8.9",
             "--no-cudnn"),
            ("version 10", {"TGC_EMU_CUDNN_VERSION": "100100"},
             "version 10.1", "--no-cudnn"),
            ("too old", {"TGC_EMU_CUDNN_VERSION": "90701"}, "version 9.7",
             "9.8 is needed"),
            ("does not start", {"TGC_EMU_CUDNN_FAIL": "cudnnCreate"},
             "cuDNN: cudnnCreate"),
            ("no engine", {"TGC_EMU_CUDNN_ENGINES": "bad"},
             "has no engine for a convolution F32", place, "--no-cudnn"),
            ("a call", {"TGC_EMU_CUDNN_FAIL": "cudnnBackendFinalize"},
             "cudnnBackendFinalize"),
            ("running", {"TGC_EMU_CUDNN_FAIL": "cudnnBackendExecute"},
             "cudnnBackendExecute", "EXECUTION_FAILED", place)):
        name = what.replace(" ", "_")
        out = run.train(name, **env)
        checks.equal(out.status, 1, f"{what}: exit status")
        for word in words:
            checks.that(word in out.err, f"{what}: {word}", out.err)
        checks.that(not os.path.exists(f"{run.log}.{name}/last.safetensors"),
                    f"{what}: no checkpoint")


def check_choice(checks):
    """The command line goes over the model."""
    model = os.path.join(t.MODELS, "lenet.net")
    for words, by_cudnn in (((), False), (("--cudnn",), True),
                            (("--set", "cudnn=true"), True),
                            (("--set", "cudnn=true", "--no-cudnn"), False)):
        plan = t.run(t.TGC, "compile", model, "--target", "cuda:sm_90",
                     "--emit=plan", *words).must().out
        checks.equal("cudnn_conv" in plan, by_cudnn,
                     " ".join(words) or "by default")
    for words, message in ((("--cudnn", "--no-cudnn", "--target", "cuda"),
                            "which of the two"), (("--cudnn",), "--target")):
        run = t.run(t.TGC, "compile", model, "--emit=plan", *words)
        checks.equal(run.status, 1, " ".join(words))
        checks.that(message in run.err, message, run.err)


def main():
    checks = t.Checks()
    folder = t.scratch("emulator_cudnn")
    check_choice(checks)
    data = t.idx_data(os.path.join(folder, "data"))
    odd = os.path.join(folder, "odd.net")
    with open(odd, "w", encoding="utf-8") as file:
        file.write(ODD)
    net = Trained(folder, odd[:-4], "f32", data)
    forward = {"convolution", "gradient of the input"}
    net.check(checks, MOST, forward | {"gradient of the weights"})
    check_same(checks, net)
    check_messages(checks, net)
    half = Trained(folder, "resnet", "f16", t.cifar10())
    exact = losses(t.compiled("resnet", *OPTIONS["resnet"]), t.cifar10(),
                   half.log + ".f32")
    half.check(checks, MOST_HALF * distance(exact, half.on_cpu), forward)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
