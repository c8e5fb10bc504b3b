"""Training in half precision: dynamic loss scaling against a model of it by
hand with planted overflows, what a skipped step leaves alone, when skips end a
run, resuming, checkpoints that go from one precision to another, and losses
that follow those of float32."""
import math
import os
import re

import tgctest as t

TRAIN, TEST, BATCH = 200, 90, 16
EPOCH = TRAIN // BATCH
START, GROWTH, BACKOFF, INTERVAL, FLOOR = 2.0 ** 29, 2, 0.25, 4, 16


class Fixture:
    def __init__(self):
        self.folder = t.scratch("half")
        self.data = t.idx_data(os.path.join(self.folder, "data"), TRAIN, TEST)
        self.net = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")

    def path(self, name):
        return os.path.join(self.folder, name)

    def binary(self, precision, **settings):
        options = ["--set", f"precision={precision}"]
        for key, value in settings.items():
            options += ["--set", f"{key.replace('__', '.')}={value}"]
        return t.compiled(self.net, *options)

    def train(self, binary, name, steps, *more):
        fresh = [] if "--resume" in more else ["--overwrite"]
        return t.run(binary, "train", "--data", self.data, "--save-dir",
                     self.path(name), "--log", self.path(name + ".log"),
                     "--steps", steps, *fresh, *more)

    def log(self, name):
        return t.log_rows(self.path(name + ".log"))

    def last(self, name):
        return self.path(f"{name}/last.safetensors")


def scaling(f):
    """A scale so large that the first steps overflow, and again whenever it
    has grown to where gradients of the loss do not fit."""
    return f.binary("f16", loss_scale__start=int(START),
                    loss_scale__growth=GROWTH, loss_scale__backoff=BACKOFF,
                    loss_scale__interval=INTERVAL, loss_scale__floor=FLOOR)


def check_scale(checks, f):
    """The hand's model only knows which steps were skipped."""
    f.train(scaling(f), "scale", 4 * EPOCH).must()
    rows = f.log("scale")
    scale, good, skips, wanted = START, 0, 0, []
    for row in rows:
        wanted.append(scale)
        if row["skips"] > skips:
            scale, good = max(scale * BACKOFF, FLOOR), 0
        else:
            good += 1
            if good == INTERVAL:
                scale, good = scale * GROWTH, 0
        skips = row["skips"]
    checks.equal([r["loss_scale"] for r in rows], wanted,
                 "the scale shrinks and grows as it should")
    skipped = [b["skips"] - a["skips"] for a, b in zip(rows, rows[1:])]
    checks.that(rows[0]["skips"] == 1 and set(skipped) == {0, 1},
                "the first step overflows, each is skipped once or not", rows)
    checks.that(any(skipped[k] for k in range(10, len(skipped))),
                "a scale that has grown overflows again", skipped)
    tensors, _ = t.load_tensors(f.last("scale"))
    checks.equal([list(tensors[f"tgc.loss_scale{k}"][1]) for k in
                  ("", ".good", ".skips")], [[scale], [good], [skips]],
                 "scale, good steps and skips are in the checkpoint")
    checks.that(rows[-1]["loss"] < rows[0]["loss"], "and the loss falls")


def check_skip(checks, f):
    binary = scaling(f)
    for steps in ("0", "1"):
        f.train(binary, "skip" + steps, steps).must()
    before, after = (t.load_tensors(f.last("skip" + s))[0] for s in "01")
    changed = {n for n in before if before[n] != after[n]}
    running = {n for n in before if ".running_" in n}
    checks.that(len(running) == 10 and running <= changed,
                "a skipped step updates running statistics", sorted(changed))
    checks.equal({n for n in changed - running},
                 {"tgc.loss_scale", "tgc.loss_scale.skips",
                  "tgc.loss_scale.in_row"},
                 "and nothing else: no weight, no momentum")


def check_stuck(checks, f):
    """Pixels that f16 does not hold: every step overflows, forward."""
    binary = f.binary("f16", data__std="[0.000001]", loss_scale__most_skips=5)
    run = f.train(binary, "stuck", 4 * EPOCH, "--save-every", "2")
    checks.refused(run, r"step 5 \(epoch 1\): 5 steps in a row were skipped.*"
                   r"the first op with a result that is not finite is .*"
                   r"tiny\.net:\d+", "skips in a row stop the run")
    checks.equal(len(f.log("stuck")), 4, "at the fifth one")
    tensors, metadata = t.load_tensors(f.last("stuck"))
    checks.equal(metadata.get("tgc.step"), "4", "the checkpoint before is kept")
    checks.that(all(math.isfinite(v) for _, values in tensors.values()
                    for v in values),
                "running statistics do not keep what is not finite")
    off = f.binary("f16", data__std="[0.000001]", loss_scale="none")
    checks.refused(f.train(off, "off", 4), "step 1 .*: the loss is",
                   "without loss scaling the first such step is the last")


def check_resume(checks, f):
    binary = scaling(f)
    f.train(binary, "whole", 31).must()
    f.train(binary, "parts", 3).must()  # in the middle of the overflows
    for steps in (17, 31):
        f.train(binary, "parts", steps, "--resume", f.last("parts")).must()
    checks.that(t.same_bytes(f.last("whole"), f.last("parts")),
                "stopped and resumed ends in the same bytes")
    f.train(binary, "threads", 31, "--threads", "1").must()
    checks.that(t.same_bytes(f.last("whole"), f.last("threads")),
                "so does one thread")


def check_interchange(checks, f):
    """Weights are float32 in each, so a run may go on in another precision."""
    binaries = {p: f.binary(p) for p in ("f32", "bf16", "f16")}
    previous = None
    for step, p in enumerate(("f32", "f16", "bf16", "f16", "f32"), 1):
        more = ["--resume", f.last("mixed")] if previous else []
        run = f.train(binaries[p], "mixed", 5 * step, *more)
        checks.that(run.status == 0, f"{p} goes on after {previous}", run.err)
        previous = p
    tensors, _ = t.load_tensors(f.last("mixed"))
    checks.equal({v.typecode for _, v in tensors.values()}, {"f"},
                 "weights, statistics and momentum are float32")
    double = f.binary("f64")
    checks.refused(f.train(double, "mixed", 30, "--resume", f.last("mixed")),
                   "another shape or type", "float64 is another type")


def check_losses(checks, f):
    """Over the first ten steps; rounding to 8 bits is noise of 2^-9 a value."""
    losses = {}
    for p in ("f32", "bf16", "f16"):
        f.train(f.binary(p), "loss-" + p, 10).must()
        losses[p] = [r["loss"] for r in f.log("loss-" + p)]
    for p, tolerance in (("bf16", 0.03), ("f16", 0.005)):
        off = max(abs(a - b) for a, b in zip(losses[p], losses["f32"]))
        checks.that(0 < off < tolerance, f"{p}: losses are close to float32's",
                    f"off by {off}")
    checks.that("loss_scale" not in f.log("loss-bf16")[0],
                "bf16 has no loss scale")


def kept_bytes(precision):
    """Of activations, at the peak of a step of ResNet-20."""
    unit = {"KiB": 2 ** 10, "MiB": 2 ** 20, "GiB": 2 ** 30}
    out = t.run(t.TGC, "memory", os.path.join(t.MODELS, "resnet20.net"),
                "--set", f"precision={precision}").must().out
    number, of = re.search(r"([\d.]+) (\w+) .*activations kept", out).groups()
    return float(number) * unit[of]


def check_memory(checks):
    """A few percent are masks and statistics, which have no half."""
    kept = {p: kept_bytes(p) for p in ("f32", "bf16", "f16")}
    for p in ("bf16", "f16"):
        checks.that(0.45 < kept[p] / kept["f32"] < 0.55,
                    f"{p}: activations take half the memory", kept)


def main():
    checks, f = t.Checks(), Fixture()
    check_memory(checks)
    check_scale(checks, f)
    check_skip(checks, f)
    check_stuck(checks, f)
    check_resume(checks, f)
    check_interchange(checks, f)
    check_losses(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
