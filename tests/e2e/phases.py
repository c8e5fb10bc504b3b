"""A run is hit in each of its phases: before its first step, while it evaluates,
while it writes its page; and a series while it compiles. What is there then can
go on, to the same bytes, and nothing half-written is taken for whole."""
import os
import re
import signal
import subprocess
import time

import tgctest as t

STEPS, EPOCHS = 3, 2  # in an epoch, of 48 images; many more are evaluated


class Fixture:
    def __init__(self):
        self.folder = t.scratch("phases")
        self.data = t.idx_data(self.path("data"), train=48, test=1500)
        self.net = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
        self.binary = t.compiled(self.net)
        t.run(*self.argv("whole")).must()

    def path(self, *name):
        return os.path.join(self.folder, *name)

    def last(self, name):
        return self.path(name, "last.safetensors")

    def argv(self, name):
        where = "--resume" if os.path.exists(self.last(name)) else "--save-dir"
        return [self.binary, "train", "--data", self.data, where,
                self.path(name), "--epochs", str(EPOCHS)]

    def hit(self, name, when, seconds, how):
        """Starts or goes on, waits for when() and some seconds; the status."""
        process = subprocess.Popen(self.argv(name), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while (process.poll() is None and not when() and
               time.monotonic() < deadline):
            time.sleep(0.0005)
        time.sleep(seconds)
        process.send_signal(how)
        process.communicate(timeout=120)
        return process.returncode


def check_end(checks, f, name, what):
    """Gone on with, it is the run that nobody hit."""
    t.run(*f.argv(name)).must()
    for file in ("last.safetensors", "best.safetensors", "predictions.csv"):
        checks.that(t.same_bytes(f.path("whole", file), f.path(name, file)),
                    f"{what}: {file}, the same bytes")
    left = sorted(set(os.listdir(f.path(name))) ^
                  set(os.listdir(f.path("whole"))))
    checks.equal([n for n in left if not n.endswith(".tmp")], [],
                 f"{what}: the same files")


def rows(path):
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        return file.read().count(b"\n")


def check_opening(checks, f):
    for i, seconds in enumerate((0, 0.01)):
        name = f"opening{i}"
        status = f.hit(name, lambda: True, seconds, signal.SIGTERM)
        checks.that(status in (-signal.SIGTERM, 143), "hit while it opens",
                    status)
        check_end(checks, f, name, f"after {seconds} seconds")


def check_evaluating(checks, f):
    within = 0
    for how, seconds in ((signal.SIGTERM, 0), (signal.SIGTERM, 0.003),
                         (signal.SIGKILL, 0.01)):
        name = f"evaluating{how}-{seconds}"
        log = f.path(name, "steps.jsonl")
        status = f.hit(name, lambda: rows(log) >= STEPS, seconds, how)
        checks.that(status in (143, -signal.SIGKILL),
                    f"{how.name} while it evaluates", status)
        if os.path.exists(f.last(name)):
            meta = t.load_tensors(f.last(name))[1]
            within += (int(meta["tgc.batch"]), int(meta["tgc.epoch"])) == (
                STEPS, 0)
        check_end(checks, f, name, f"{how.name} in an evaluation")
        checks.equal(rows(f.path(name, "epochs.csv")), 1 + EPOCHS,
                     "a row for each epoch")
    checks.that(within, "one was hit when all steps of an epoch were done and "
                "the epoch was not", within)


def state_is_done(path):
    def look():
        if not os.path.exists(path):
            return False
        with open(path, encoding="utf-8") as file:
            return '"done"' in file.read()
    return look


def check_report(checks, f):
    for how in (signal.SIGTERM, signal.SIGKILL):
        name = f"report{how}"
        f.hit(name, state_is_done(f.path(name, "result.json")), 0, how)
        page = f.path(name, "report.html")
        if os.path.exists(page):
            with open(page, encoding="utf-8") as file:
                checks.that(file.read().rstrip().endswith("</html>"),
                            f"{how.name}: a page is whole")
        t.run(f.binary, "report", "--save-dir", f.path(name)).must()
        checks.that(os.path.exists(page), f"{how.name}: it is made later")
        check_end(checks, f, name, f"{how.name} at the end")


def check_series(checks, f):
    """Between two models: the next one is being compiled."""
    argv = [t.TGC, "run-all", "--no-estimate", "--data", f.data, "--save-dir",
            f.path("series"), "--epochs", "1", f"{f.net}",
            f"{f.net} --set batch=24"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL)
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("[2/2]"):
            process.send_signal(signal.SIGTERM)
    checks.equal(process.wait(timeout=120), 143, "the series says so")
    names = [row["name"] for row in t.log_rows(f.path("series",
                                                      "results.jsonl"))]
    states = {row["name"]: row["state"]
              for row in t.log_rows(f.path("series", "results.jsonl"))}
    checks.equal(list(states.values()), ["done", "waiting"],
                 "one is done, one was not begun")
    checks.that(re.search(r"\nmodel .*\ntiny +done .*\ntiny-batch=24 +waiting",
                          text), "the table", text[-600:])
    done = os.stat(f.path("series", names[0], "last.safetensors")).st_mtime_ns
    t.run(*argv, "--resume").must()
    checks.equal(os.stat(f.path("series", names[0], "last.safetensors"))
                 .st_mtime_ns, done, "what was done stays")
    checks.that(os.path.exists(f.path("series", names[1], "last.safetensors")),
                "and the other is trained")


def main():
    checks = t.Checks()
    f = Fixture()
    check_opening(checks, f)
    check_evaluating(checks, f)
    check_report(checks, f)
    check_series(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
