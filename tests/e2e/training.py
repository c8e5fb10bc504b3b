"""The training binary's command line: train, eval, info, bench; every sample
counted once; settings changed from outside; refusals; a loss that goes bad."""
import json
import math
import os

import tgctest as t

TRAIN, TEST, BATCH = 200, 90, 16  # neither is a multiple of the batch


class Fixture:
    def __init__(self):
        self.folder = t.scratch("training")
        self.data = t.idx_data(os.path.join(self.folder, "data"), TRAIN, TEST)
        self.net = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
        self.binary = t.compiled(self.net)

    def path(self, name):
        return os.path.join(self.folder, name)

    def train(self, name, *more, binary=None, data=None):
        return t.run(binary or self.binary, "train", "--data",
                     data or self.data, "--save-dir", self.path(name), "--log",
                     self.path(name + ".log"),
                     *([] if "--resume" in more else ["--overwrite"]), *more)

    def log(self, name):
        return t.log_rows(self.path(name + ".log"))


def check_train(checks, f):
    run = f.train("plain").must()
    rows = f.log("plain")
    checks.equal(len(rows), 4 * (TRAIN // BATCH), "4 epochs, the tail dropped")
    wanted = {"step", "epoch", "loss", "correct", "lr", "data_ms", "step_ms"}
    checks.that(wanted <= set(rows[0]), "a log row has every field", rows[0])
    checks.equal([r["step"] for r in rows], list(range(1, len(rows) + 1)),
                 "steps are numbered from 1")
    checks.equal([rows[0]["epoch"], rows[-1]["epoch"]], [1, 4], "epochs too")
    checks.close(rows[0]["lr"], 0.05, 1e-9, "the first rate")
    checks.close(rows[-1]["lr"], 0.005, 1e-9, "the rate after the milestone")
    checks.that(rows[-1]["loss"] < rows[0]["loss"], "the loss falls")
    checks.that("\r" not in run.out + run.err, "plain lines without a terminal")
    for name in ("last", "best"):
        checks.that(os.path.exists(f.path(f"plain/{name}.safetensors")), name)


def check_tail(checks, f):
    keep = t.compiled(f.net, "--set", "tail=keep", "--set",
                      f"data.samples={TRAIN}")
    f.train("keep", "--epochs", "2", binary=keep).must()
    rows = f.log("keep")
    checks.equal(len(rows), 2 * math.ceil(TRAIN / BATCH), "tail=keep: steps")
    checks.that(all(0 <= r["correct"] <= BATCH for r in rows) and
                rows[TRAIN // BATCH]["correct"] <= TRAIN % BATCH,
                "tail=keep: the short batch counts its own samples")


def check_eval(checks, f):
    best = f.path("plain/last.safetensors")
    run = t.run(f.binary, "eval", "--data", f.data, "--weights", best,
                "--json").must()
    whole = json.loads(run.out)
    checks.equal(whole["total"], TEST, "eval counts every image once")
    checks.that(set(whole) >= {"correct", "total", "loss"}, "eval --json")
    # With a batch that divides the images evenly the sums must be the same.
    even = t.compiled(f.net, "--set", "batch=9")
    other = json.loads(t.run(even, "eval", "--data", f.data, "--weights", best,
                             "--json").must().out)
    checks.equal(other["correct"], whole["correct"], "eval by nines: correct")
    checks.close(other["loss"], whole["loss"], 1e-5, "eval by nines: loss")
    checks.that(t.run(f.binary, "eval", "--data", f.data, "--weights",
                      best).must().out.strip(), "eval in words")


def check_outside(checks, f):
    """Settings that may change when the binary runs."""
    f.train("lr", "--steps", "3", "--lr", "0.125").must()
    checks.close(f.log("lr")[0]["lr"], 0.125, 1e-9, "--lr")
    f.train("epochs", "--epochs", "1").must()
    checks.equal(len(f.log("epochs")), TRAIN // BATCH, "--epochs")
    f.train("none", "--epochs", "0").must()
    losses = []
    for name in ("a", "b"):
        f.train(name, "--steps", "5", "--no-augment", "--no-shuffle").must()
        losses.append([r["loss"] for r in f.log(name)])
    checks.equal(losses[0], losses[1], "--no-augment --no-shuffle repeats")
    f.train("c", "--steps", "5", "--no-augment").must()
    checks.that([r["loss"] for r in f.log("c")] != losses[0],
                "shuffling changes the batches")


def check_words(checks, f):
    for verb in ("train", "eval", "info", "bench"):
        run = t.run(f.binary, verb, "--help")
        checks.that(run.status == 0 and "--help" in run.out + run.err,
                    f"{verb} --help")
    run = t.run(f.binary)
    checks.that(run.status != 0 and "train" in run.out + run.err, "no verb")
    info = t.run(f.binary, "info").must().out
    for word in ("parameter", "memory", "kernel", "optimizer.lr"):
        checks.that(word in info.lower(), f"info shows {word}", info)
    bench = json.loads(t.run(f.binary, "bench", "--json", "--steps",
                             "5").must().out)
    checks.that(any("median" in k for k in bench), "bench --json", bench)
    for argv, pattern, text in [
            (["trian"], "train", "a misspelled verb"),
            (["train", "--data", f.data, "--epoch", "3"], "--epochs",
             "a misspelled option"),
            (["train", "--data"], "--data", "an option without its value"),
            (["train"], "--data", "no data"),
            (["train", "--data", f.data, "--epochs", "some"], "epochs",
             "a value that is no number"),
            (["train", "--data", f.data, "--threads", "-1"], "threads",
             "a number of threads below zero"),
            (["train", "--data", f.path("nowhere")], "nowhere", "no folder"),
            (["eval", "--data", f.data], "--weights", "no weights")]:
        checks.refused(t.run(f.binary, *argv), pattern, text)


def check_nan(checks, f):
    f.train("nan", "--steps", "12").must()
    last = f.path("nan/last.safetensors")
    with open(last, "rb") as file:
        before = file.read()
    run = f.train("nan", "--resume", last, "--lr", "1e6", "--epochs", "50")
    checks.refused(run, r"step \d+", "a loss that is no number names the step")
    checks.that("nan" in run.err.lower() or "inf" in run.err.lower() or
                "finite" in run.err.lower(), "and says what happened", run.err)
    checks.that("tiny.net:" in run.err, "and the line of the first bad op",
                run.err)
    with open(last, "rb") as file:
        after = file.read()
    tensors, _ = t.load_tensors(last)
    finite = all(math.isfinite(v) for _, values in tensors.values()
                 for v in values)
    checks.that(finite and (after == before or len(after) == len(before)),
                "the last checkpoint is still a good one")


def damaged(f, name, damage):
    """A copy of the data in which `damage(folder)` did something."""
    folder = t.idx_data(f.path(name), TRAIN, TEST)
    damage(folder)
    return folder


def cut(name, size):
    def damage(folder):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(data[:size] if size < 0 else data + bytes(size))
    return damage


def put(name, at, data):
    def damage(folder):
        with open(os.path.join(folder, name), "r+b") as file:
            file.seek(at)
            file.write(data)
    return damage


def check_data(checks, f):
    images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
    for text, damage in [
            ("a missing file", lambda d: os.remove(os.path.join(d, images))),
            ("a short file", cut(images, -100)),
            ("an oversized file", cut(images, 100)),
            ("another magic number", put(images, 0, b"\x1f\x8bxx")),
            ("more images than labels", put(images, 4, b"\0\0\0\xc9")),
            ("a count past 2^31", put(images, 4, b"\xff\xff\xff\xff")),
            ("images of another size", put(images, 8, b"\0\0\0\x1d"))]:
        data = damaged(f, text.replace(" ", "_"), damage)
        checks.refused(f.train("scrap", "--steps", "2", data=data), images,
                       f"data: {text}")
    data = damaged(f, "label", put(labels, 8 + 77, b"\x0a"))
    checks.refused(f.train("scrap", "--steps", "2", data=data),
                   labels + ".*(77|78)", "data: a label out of range, and where")


def main():
    checks = t.Checks()
    f = Fixture()
    check_train(checks, f)
    check_tail(checks, f)
    check_eval(checks, f)
    check_outside(checks, f)
    check_words(checks, f)
    check_nan(checks, f)
    check_data(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
