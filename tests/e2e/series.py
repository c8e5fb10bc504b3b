"""tgc run-all: models one after the other. What goes wrong with one does not
stop the next; a signal ends the run under way and the series; --resume leaves
out what is done and goes on to the same bits; results for programs."""
import json
import os
import pty
import re
import signal
import subprocess
import time

import tgctest as t

NET = """net small(image: [1, 28, 28]) {
    x = relu(hidden: dense(flatten(mean(image, over = width)), 8))
    return linear: dense(x, 10)
}

train {
    data      idx { crop = 2, mean = [0.3], std = [0.3] }
    loss      cross_entropy
    optimizer sgd { lr = 0.05, momentum = 0.9 }
    batch = 16   epochs = 4
}
"""
STEPS = 12  # in an epoch


class Fixture:
    def __init__(self):
        self.folder = t.scratch("series")
        self.data = t.idx_data(self.path("data"))
        self.net("broken", NET.replace("relu(", "relo(", 1))
        self.net("huge", NET.replace("batch = 16", "batch = 16 memory = 1"))
        self.net("good", NET)

    def path(self, *name):
        return os.path.join(self.folder, *name)

    def net(self, name, text):
        with open(self.path(name + ".net"), "w") as file:
            file.write(text)

    def argv(self, name, *more):
        return [t.TGC, "run-all", "--no-estimate", "--data", self.data,
                "--save-dir", self.path(name), *map(str, more)]

    def run(self, name, *more):
        return t.run(*self.argv(name, *more), cwd=self.folder)

    def results(self, name):
        return {row["name"]: row
                for row in t.log_rows(self.path(name, "results.jsonl"))}

    def last(self, *name):
        return self.path(*name, "last.safetensors")


def table(run):
    """The rows at the end: {model: [result, best accuracy, ..]}."""
    text = run.out if hasattr(run, "out") else run
    rows = text[text.rindex("\nmodel "):].splitlines()[2:]
    return {r.split()[0]: r.split()[1:] for r in rows if "  " in r.strip()}


def check_failures(checks, f):
    """Each in its own way, and the good ones between them are trained."""
    run = f.run("failures", "--epochs", 2, "broken.net", "good.net",
                "good.net --lr 1e30", "huge.net", "none.net",
                "good.net --set batch=20 --set 'data.augment=flip, cutout(4)'",
                "good.net --data nowhere")
    checks.equal(run.status, 1, "one failed: status 1")
    rows, last = f.results("failures"), "good-batch=20-augment=flip__cutout_4_"
    checks.equal([(n, rows[n]["state"]) for n in rows],
                 [("broken", "failed"), ("good", "done"),
                  ("good-lr=1e30", "diverged"), ("huge", "failed"),
                  ("none", "failed"), (last, "done"),
                  ("good-data=nowhere", "failed")], "what became of each")
    shown = table(run)
    checks.equal({n: shown[n][0] for n in rows},
                 {n: rows[n]["state"] for n in rows}, "and the table says so")
    for name, why in (("broken", "no layer or block named relo"),
                      ("good-lr=1e30", "the loss is (nan|inf)"),
                      ("huge", "memory"), ("none", "cannot read it"),
                      ("good-data=nowhere", "nowhere")):
        checks.that(re.search(why, rows[name]["why"]), f"{name}: why",
                    rows[name]["why"])
        checks.that(re.search(rf"^{re.escape(name)}: ", run.out, re.M),
                    "below the table", run.out[-2000:])
    checks.that("did you mean relu?" in run.err, "a message as tgc compile "
                "prints it", run.err)
    best = f.path("failures", "good", "result.json")
    with open(best) as file:
        own = json.load(file)
    checks.equal([rows["good"][k] for k in ("best_accuracy", "epoch", "step")],
                 [own["best_accuracy"], 2, 2 * STEPS], "figures of the run")
    checks.equal(shown["good"][1:4],
                 [f"{100 * own['best_accuracy']:.2f}", "%", "2/2"], "shown")
    program = f.path("failures", last, last)
    about = t.run(program, "info").must().out
    checks.that(re.search(r"batch +20\b", about), "a program of its own")
    checks.that("[2/7] good" in run.out and "[7/7]" in run.out,
                "which of how many")


def check_resume(checks, f):
    """What is done stays as it is; what was begun goes on to the same bits;
    what failed is tried again."""
    whole = f.run("whole", "--epochs", 3, "good.net", "good.net --seed 1")
    checks.equal(whole.status, 0, "all is well: status 0")
    models = ("good.net", "good.net --seed 1", "late.net")
    f.run("parts", "--epochs", 3, "--steps", STEPS + 5, *models[1:])
    checks.equal(f.results("parts")["late"]["state"], "failed", "no such file")
    checks.refused(f.run("parts", *models), "holds another series.*--resume",
                   "without --resume nothing is touched")
    f.net("late", NET)
    again = ("parts", "--epochs", 3, "--resume", *models)
    run = f.run(*again)
    checks.equal(run.status, 0, "resumed: all is well")
    for name in ("good", "good-seed=1"):
        checks.that(t.same_bytes(f.last("whole", name), f.last("parts", name)),
                    f"{name}: the same bytes")
    checks.that("going on after step 17" in run.out, "one went on", run.out)
    checks.equal({r["state"] for r in f.results("parts").values()}, {"done"},
                 "all are done")
    before = {n: os.stat(f.last("parts", n)).st_mtime_ns
              for n in ("good", "late")}
    run = f.run(*again)
    checks.that(run.status == 0 and run.out.count("done before") == 3 and
                "training and" not in run.out, "done again: all are left out",
                run.out)
    checks.equal({n: os.stat(f.last("parts", n)).st_mtime_ns for n in before},
                 before, "and untouched")
    run = f.run("parts", "--epochs", 4, "--resume", "good.net")
    checks.that("changed: epochs = 4 (was 3)" in run.out and
                f.results("parts")["good"]["epoch"] == 4,
                "with more epochs it goes on", run.out)
    checks.equal(sorted(f.results("parts")), ["good", "good-seed=1", "late"],
                 "rows of the others stay")
    run = f.run("parts", "--resume", "good.net --set batch=20", *models[1:2])
    checks.equal(run.status, 0, "another model beside them")
    run = f.run("parts", "--overwrite", "--epochs", 1, "good.net")
    checks.that(run.status == 0 and f.results("parts")["good"]["epoch"] == 1,
                "--overwrite begins anew", run.err)
    with open(f.path("parts", "results.jsonl"), "a") as file:
        file.write('{"name": "good", "epoch": [}\n')
    run = f.run("parts", "--resume", "--epochs", 1, "good.net")
    checks.that("results.jsonl:2 is damaged" in run.err and run.status == 0,
                "a damaged row is told, and left out", run.err)


def begun(path, rows, process):
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if os.path.exists(path):
            with open(path, "rb") as file:
                if file.read().count(b"\n") >= rows:
                    return True
        time.sleep(0.005)
    return False


def child_of(process, name):
    """The program under way."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [int(p) for p in file.read().split()]


def check_signals(checks, f):
    long = ("--epochs", 100000, "good.net", "good.net --seed 1")
    for name, how, whom, status in (
            ("term", signal.SIGTERM, "series", 143),
            ("int", signal.SIGINT, "group", 130),
            ("kill", signal.SIGKILL, "program", 1)):
        process = subprocess.Popen(f.argv(name, *long), cwd=f.folder,
                                   start_new_session=True,
                                   stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.DEVNULL)
        if not checks.that(begun(f.path(name, "good", "steps.jsonl"), 20,
                                 process), f"{name}: it runs"):
            process.kill()
            continue
        checks.equal(f.results(name)["good"]["state"], "running",
                     "results.jsonl says so")
        if whom == "group":
            os.killpg(process.pid, how)
        elif whom == "series":
            process.send_signal(how)
        else:
            for pid in child_of(process, name):
                os.kill(pid, how)
            begun(f.path(name, "good-seed=1", "steps.jsonl"), 5, process)
            process.send_signal(signal.SIGTERM)
            status = 143
        out, _ = process.communicate(timeout=120)
        checks.equal(process.returncode, status, f"{how!r}: the status")
        rows = f.results(name)
        wanted = (["failed", "stopped"] if name == "kill"
                  else ["stopped", "waiting"])
        checks.equal([r["state"] for r in rows.values()], wanted, "the results")
        checks.that("with --resume" in out and table(out), "a table, and what "
                    "to type", out[-800:])
        if name == "kill":
            checks.that("killed by signal 9" in rows["good"]["why"],
                        "the next one ran", rows)
            continue
        step = rows["good"]["step"]
        meta = t.load_tensors(f.last(name, "good"))[1]
        checks.equal(int(meta["tgc.step"]), step, "what it did is saved")


def check_terminal(checks, f):
    """^C at a terminal reaches both; the program must not take it twice."""
    pid, ours = pty.fork()
    if pid == 0:
        os.chdir(f.folder)
        argv = f.argv("terminal", "--epochs", 100000, "good.net")
        os.execv(argv[0], argv)
    deadline, log = time.monotonic() + 120, f.path("terminal", "good",
                                                   "steps.jsonl")
    data = b""
    sent = False
    while time.monotonic() < deadline:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:
            break
        data += piece
        if not sent and os.path.exists(log) and os.path.getsize(log) > 4000:
            os.write(ours, b"\x03")
            sent = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    checks.equal(status, 130, "^C: the status")
    checks.equal([r["state"] for r in f.results("terminal").values()],
                 ["stopped"], "saved and stopped")
    checks.that(b"\x1b[K" in data and b"model " in data,
                "the program draws on the terminal", data[-600:])


def check_refused(checks, f):
    for text, pattern, *argv in (
            ("no folder", "--save-dir", "--data", "d", "good.net"),
            ("no data", "needs --data", "--save-dir", "x", "good.net"),
            ("no model", "which file", "--data", "d", "--save-dir", "x"),
            ("a model twice", "is there twice.*--seed 1", "--data", "d",
             "--save-dir", "x", "good.net", "good.net"),
            ("two files in one", "one file and its own", "--data", "d",
             "--save-dir", "x", "good.net late.net"),
            ("an open quote", "quote that does not end", "--data", "d",
             "--save-dir", "x", "good.net --set 'a=1"),
            ("an unknown option", r"did you mean --set.*in \"good.net --sed",
             "--data", "d", "--save-dir", "x", "good.net --sed 1"),
            ("a folder for one", "for the whole series", "--data", "d",
             "--save-dir", "x", "good.net --save-dir y"),
            ("both ways", "leave one of them out", "--data", "d", "--resume",
             "--overwrite", "--save-dir", "x", "good.net")):
        run = t.run(t.TGC, "run-all", *argv, cwd=f.folder)
        checks.refused(run, pattern, text)
    checks.that(not os.path.exists(f.path("x")), "and nothing is made")
    with open(f.path("file"), "w"):
        pass
    checks.refused(f.run("file", "good.net"), "cannot make the folder",
                   "a file in the way")


def check_estimate(checks, f):
    argv = [a for a in f.argv("estimate", "--steps", 3, "--set",
                              "data.samples=16000000", "good.net", "broken.net",
                              "good.net --epochs 9") if a != "--no-estimate"]
    run = t.run(*argv, cwd=f.folder, env={"XDG_CACHE_HOME": f.path("cache")})
    rows = [line.split() for line in run.out[:run.out.index("\n\n")]
            .splitlines()]
    checks.equal([r[0] for r in rows[:3]], ["model", "good", "good-epochs=9"],
                 "a row for each that is sound, before all else")
    hours = [float(r[4]) for r in rows[1:3]]
    checks.close(hours[1] / hours[0], 9 / 4, 0.2, "epochs of its own count")
    checks.that(run.out.index("what is to be done: ") < run.out.index("[1/3]"),
                "and the sum", run.out)
    f.run("estimate", "--resume", "--steps", 3, "good.net")


def check_named(checks, f):
    """What a run was evaluated on, and why a GPU's times are not known."""
    nowhere = {"TGC_NVRTC": f.path("no.so")}
    run = t.run(t.TGC, "run-all", "--data", f.data, "--save-dir",
                f.path("named"), "--epochs", 1,
                "good.net --set data.validation=0.2",
                "good.net --target cuda:sm_90", cwd=f.folder, env=nowhere)
    checks.equal(run.status, 1, "no compiler for GPUs: status 1")
    rows = table(run)
    checks.equal(rows["good-validation=0.2"][2:4], ["%", "val"],
                 "the table says that it was held out")
    checks.equal(f.results("named")["good-validation=0.2"]["images"],
                 "validation", "and so do the results")
    checks.equal(re.findall(r"no estimate for (.*?): .*--gpu NAME", run.out),
                 ["good"], "why there is no estimate")


def main():
    checks = t.Checks()
    f = Fixture()
    check_failures(checks, f)
    check_resume(checks, f)
    check_signals(checks, f)
    check_terminal(checks, f)
    check_refused(checks, f)
    check_estimate(checks, f)
    check_named(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
