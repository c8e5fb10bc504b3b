"""The training binary made from a plan written by hand: the same bits on any
number of threads, poisoned or not, stopped or not; what it says when the loss
goes bad. usage: binary.py TINY_DROP TINY_KEEP"""
import json
import os
import signal
import subprocess
import sys
import time

import tgctest as t

DROP, KEEP = sys.argv[1:3]


class Fixture:
    def __init__(self):
        self.folder = t.scratch("runtime_binary")
        self.data = t.idx_data(os.path.join(self.folder, "data"))

    def path(self, *name):
        return os.path.join(self.folder, *name)

    def last(self, name):
        return self.path(name, "last.safetensors")

    def argv(self, name, *more, binary=DROP):
        return [binary, "train", "--data", self.data, "--save-dir",
                self.path(name), "--log", self.path(name + ".log"),
                *([] if "--resume" in more else ["--overwrite"]),
                *map(str, more)]

    def train(self, name, *more, binary=DROP, env=None):
        return t.run(*self.argv(name, *more, binary=binary), env=env)

    def rows(self, name):
        return [{k: row[k] for k in ("step", "epoch", "loss", "correct", "lr")}
                for row in t.log_rows(self.path(name + ".log"))]


def check_same_bits(checks, f):
    f.train("whole").must()
    checks.equal(len(f.rows("whole")), 48, "4 epochs of 12 steps")
    for threads in (1, 3):
        f.train("threads", "--threads", threads).must()
        checks.that(t.same_bytes(f.last("whole"), f.last("threads")),
                    f"{threads} threads: the same bytes")
    f.train("poison", env={"TGC_POISON": "1"}).must()
    checks.that(t.same_bytes(f.last("whole"), f.last("poison")),
                "poisoned memory: the same bytes")
    for stop in (0, 1, 11, 12, 13, 40):
        f.train("parts", "--steps", stop).must()
        f.train("parts", "--resume", f.last("parts")).must()
        checks.that(t.same_bytes(f.last("whole"), f.last("parts")) and
                    t.same_bytes(f.path("whole", "best.safetensors"),
                                 f.path("parts", "best.safetensors")),
                    f"stopped after step {stop}: the same bytes")
        checks.equal(f.rows("parts"), f.rows("whole"), "and the same log")


def check_tail(checks, f):
    f.train("tail", binary=KEEP).must()
    checks.equal(len(f.rows("tail")), 4 * 13, "the tail is a step")
    for stop in (12, 13, 25):
        f.train("tails", "--steps", stop, binary=KEEP).must()
        f.train("tails", "--resume", f.last("tails"), binary=KEEP).must()
        checks.that(t.same_bytes(f.last("tail"), f.last("tails")),
                    f"tail kept, stopped after step {stop}: the same bytes")
    odd = t.idx_data(f.path("odd"), train=201)
    run = t.run(KEEP, "train", "--data", odd)
    checks.refused(run, "batch of 9.*data.samples=201", "another tail")
    run = t.run(DROP, "train", "--data", t.idx_data(f.path("few"), train=15))
    checks.refused(run, "too few for one batch", "less than a batch")


def interrupted(f, name, how, times=1, after=None):
    """Hits a long run in its middle; its status.  after: as under nohup, and
    what is sent some steps later."""
    command = f.argv(name, "--epochs", 100000, "--save-every", 10)
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN if after
                                   else signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                               preexec_fn=ignore)
    log = f.path(name + ".log")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if os.path.exists(log) and os.path.getsize(log) > 10000:
            break
        time.sleep(0.01)
    for _ in range(times):
        process.send_signal(how)
        time.sleep(0.02)
    if after:
        size = os.path.getsize(log)
        while process.poll() is None and os.path.getsize(log) < size + 5000:
            time.sleep(0.01)
        process.send_signal(after)
    return process.wait(timeout=60)


def check_signals(checks, f):
    for name, how, wanted in (("int", signal.SIGINT, 130),
                              ("term", signal.SIGTERM, 143),
                              ("kill", signal.SIGKILL, -9)):
        checks.equal(interrupted(f, name, how), wanted, f"{name}: the status")
        steps = json.loads(t.load_tensors(f.last(name))[1]["tgc.step"]) + 30
        more = ("--epochs", 100000, "--steps", steps)
        f.train(name, "--resume", f.last(name), *more).must()
        f.train("straight", *more).must()
        checks.that(t.same_bytes(f.last(name), f.last("straight")),
                    f"{name}: resumed, the same bytes")
        checks.equal(f.rows(name), f.rows("straight"), "and the same log")
    checks.equal(interrupted(f, "hup", signal.SIGHUP), 129,
                 "the terminal is gone: the status")
    checks.that(os.path.exists(f.last("hup")), "and it is saved")
    checks.equal(interrupted(f, "nohup", signal.SIGHUP, after=signal.SIGTERM),
                 143, "nohup: it goes on")
    checks.equal(interrupted(f, "twice", signal.SIGTERM, 2), 143,
                 "two signals of one moment: as `timeout` sends them")
    step = t.load_tensors(f.last("twice"))[1]["tgc.step"]
    checks.equal(int(step), len(f.rows("twice")),
                 "are one: it saves what it did")


def check_bad_loss(checks, f):
    f.train("bad", "--steps", 5).must()
    with open(f.last("bad"), "rb") as file:
        before = file.read()
    run = f.train("bad", "--resume", f.last("bad"), "--lr", "1e38",
                  "--set", "schedule=constant")
    checks.refused(run, r"step \d+ .*not finite.*dense fc at tiny.net:7:12",
                   "a bad loss: step, op and line")
    with open(f.last("bad"), "rb") as file:
        checks.that(file.read() == before, "the good checkpoint is kept")
    weights, metadata = t.load_tensors(f.last("bad"))
    weights["fc.bias"][1][3] = float("nan")
    path = f.path("nan.safetensors")
    t.save_tensors(path, weights, metadata)
    run = f.train("bad", "--init", path)
    checks.refused(run, "step 1 .*fc.bias was not finite", "a bad weight")
    run = f.train("bad", "--init", path, "--steps", 0)
    checks.refused(run, "fc.bias is not finite", "is not saved")
    run = t.run(DROP, "eval", "--data", f.data, "--weights", path)
    checks.refused(run, "fc.bias was not finite", "nor evaluated")


def check_weights(checks, f):
    """Files from PyTorch: no slots, counters, perhaps behind "module."."""
    weights, _ = t.load_tensors(f.last("whole"))
    plain = {n: v for n, v in weights.items() if "momentum" not in n}
    plain["norm.num_batches_tracked"] = ([], t.array.array("q", [5]))
    path, module = f.path("plain.safetensors"), f.path("module.safetensors")
    t.save_tensors(path, plain)
    t.save_tensors(module, {"module." + n: v for n, v in plain.items()})
    outs = [t.run(DROP, "eval", "--data", f.data, "--weights", p,
                  "--json").must().out
            for p in (f.last("whole"), path, module)]
    checks.that(len(set(outs)) == 1, "PyTorch's files evaluate the same", outs)
    wide = {n: (shape, t.array.array("d", v)) for n, (shape, v) in plain.items()
            if n != "norm.num_batches_tracked"}
    t.save_tensors(path, wide)
    out = t.run(DROP, "eval", "--data", f.data, "--weights", path,
                "--json").must().out
    checks.equal(out, outs[0], "weights in float64 are rounded back")
    t.save_tensors(path, plain)
    checks.refused(f.train("scrap", "--resume", path), "--init",
                   "no resuming from weights alone")
    plain["fc.wieght"] = plain.pop("fc.weight")
    t.save_tensors(path, plain)
    checks.refused(f.train("scrap", "--init", path),
                   r"1 tensor is missing: fc.weight \(there is fc.wieght\).*"
                   "1 is not in this model: fc.wieght", "a misspelled tensor")


def check_start(checks, f):
    """Start values: of the right distribution, a function of the seed."""
    starts = []
    for seed in (3, 3, 4):
        f.train("start", "--steps", 0, "--seed", seed).must()
        starts.append(t.load_tensors(f.last("start"))[0])
    checks.that(starts[0] == starts[1] and
                starts[0]["fc.weight"] != starts[2]["fc.weight"],
                "the seed, and nothing else, decides")
    values = starts[0]["fc.weight"][1]
    mean = sum(values) / len(values)
    deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
    # 7840 of them: three standard errors, which one seed in a hundred misses.
    checks.close(mean, 0, 3 * 0.01 / 7840 ** 0.5, "normal: mean")
    checks.close(deviation, 0.01, 3 * 0.01 / (2 * 7840) ** 0.5,
                 "normal: deviation")
    within = sum(abs(v) < 0.01 for v in values) / len(values)
    checks.close(within, 0.6827, 3 * (0.6827 * 0.3173 / 7840) ** 0.5,
                 "normal: share within one deviation")
    checks.that(all(-0.01 <= v < 0.01 for v in starts[0]["fc.bias"][1]),
                "uniform: range")
    checks.equal(set(starts[0]["fc.weight.momentum"][1]), {0.0}, "constant")


def check_settings(checks, f):
    for more, pattern in (
            (["--set", "bach=3"], "did you mean batch"),
            (["--set", "batch=3"], "compile again.*batch=3"),
            (["--set", "epochs"], "KEY=VALUE"),
            (["--lr", "-1"], "out of range"),
            (["--epochs", "1.5"], "whole number"),
            (["--set", "schedule=multistep", "--set", "schedule.at=[3, 2]"],
             "must rise"),
            (["--set", "schedule=linear"], "none of: constant"),
            (["--resume", f.last("whole"), "--seed", "9"], "seed = 0"),
            (["--resume", f.last("whole"), "--init", f.last("whole")],
             "exclude"),
            (["--resume", f.last("tail")], "tail = keep")):
        checks.refused(f.train("scrap", *more), pattern, " ".join(more)[-60:])


def main():
    checks = t.Checks()
    f = Fixture()
    check_same_bits(checks, f)
    check_tail(checks, f)
    check_signals(checks, f)
    check_bad_loss(checks, f)
    check_weights(checks, f)
    check_start(checks, f)
    check_settings(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
