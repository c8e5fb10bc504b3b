"""Resume equality with every feature switched on at once: averaged weights,
Muon beside AdamW with AMSGrad, groups, clipping, mixup and cutmix, all of
augmentation, a batch in parts and an odd last one, f16 with skipped steps, a
whitened and frozen first layer, one-cycle with its momentum, a validation split
of a fraction, early stopping, mirrored evaluation every other epoch. Stopped by
--steps, SIGTERM and kill -9, on other numbers of threads: all that the run's
folder holds is as if it had never stopped."""
import csv
import os
import signal
import subprocess
import time

import tgctest as t

NET = os.path.join(t.SOURCE, "tests", "e2e", "everything.net")
EPOCH, EPOCHS = 9, 6  # steps in an epoch: the last one has parts of 8 and 7
TIMES = ("data_ms", "step_ms", "seconds", "data_seconds", "step_seconds",
         "eval_seconds")


class Fixture:
    def __init__(self):
        self.folder = t.scratch("everything")
        self.data = t.idx_data(self.path("data"), train=210, test=40)
        self.binary = t.compiled(NET)

    def path(self, *name):
        return os.path.join(self.folder, *name)

    def argv(self, name, *more):
        last = self.path(name, "last.safetensors")
        where = "--resume" if os.path.exists(last) else "--save-dir"
        return [str(a) for a in (
            self.binary, "train", "--data", self.data, where, self.path(name),
            *(() if where == "--resume" else ("--seed", 3)), "--histograms", 1,
            "--save-every", 4, "--no-report", *more)]

    def hit(self, name, rows, how, *more):
        """Goes on with the run, and hits it when its log has so many rows."""
        log = self.path(name, "steps.jsonl")
        process = subprocess.Popen(self.argv(name, *more),
                                   stdout=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if os.path.exists(log):
                with open(log, "rb") as file:
                    if file.read().count(b"\n") >= rows:
                        break
            time.sleep(0.002)
        process.send_signal(how)
        return process.wait(timeout=120)

    def rows(self, name):
        """All logs but the times."""
        with open(self.path(name, "epochs.csv"), newline="") as file:
            epochs = list(csv.DictReader(file))
        for row in epochs:  # a mean, of steps read back from nine digits
            row["loss"] = f"{float(row['loss']):.6g}"
        steps = t.log_rows(self.path(name, "steps.jsonl"))
        return [{k: row[k] for k in row if k not in TIMES}
                for row in epochs + steps]


def same(checks, f, name, how):
    for file in ("last.safetensors", "best.safetensors", "predictions.csv"):
        checks.that(t.same_bytes(f.path("whole", file), f.path(name, file)),
                    f"{how}: {file}, the same bytes")
    checks.equal(f.rows(name), f.rows("whole"), f"{how}: the same logs")


def main():
    checks = t.Checks()
    f = Fixture()
    other = t.run(t.compiled(NET, "--set", "data.samples=209"), *f.argv("x")[1:])
    checks.refused(other, "143 training images.*data.samples=210",
                   "a last batch that the program is not made for")
    t.run(*f.argv("whole")).must()
    rows = t.log_rows(f.path("whole", "steps.jsonl"))
    checks.equal(len(rows), EPOCH * EPOCHS, "a whole run")
    checks.that(rows[0]["skips"] == 1 and rows[-1]["skips"] < EPOCH * 3,
                "steps were skipped, and then no more", rows[-1])
    for threads, stop in enumerate((1, 4, EPOCH - 1, EPOCH, 2 * EPOCH - 1,
                                    2 * EPOCH + 1, 4 * EPOCH), 1):
        t.run(*f.argv("steps", "--steps", stop, "--threads", threads)).must()
    t.run(*f.argv("steps")).must()
    same(checks, f, "steps", "stopped by --steps seven times")
    for after, how in ((2, signal.SIGTERM), (7, signal.SIGKILL),
                       (12, signal.SIGTERM), (21, signal.SIGKILL),
                       (30, signal.SIGKILL), (41, signal.SIGINT)):
        status = f.hit("signals", after, how)
        checks.that(status in (0, 128 + how, -how), f"{how.name} after {after} "
                    "steps", status)
    t.run(*f.argv("signals")).must()
    same(checks, f, "signals", "stopped by signals six times")
    checks.done()


if __name__ == "__main__":
    main()
