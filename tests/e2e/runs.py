"""A run and its folder: what lies in it, whose it is, what ends a run, what a
resumed one may change, and logs on a full disk."""
import csv
import json
import os
import re

import tgctest as t

STEPS = 12  # in an epoch


class Fixture:
    def __init__(self):
        self.folder = t.scratch("runs")
        self.data = t.idx_data(os.path.join(self.folder, "data"))
        self.binary = t.compiled(
            os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"))

    def path(self, *name):
        return os.path.join(self.folder, *name)

    def train(self, name, *more, **how):
        return t.run(self.binary, "train", "--data", self.data, "--save-dir",
                     self.path(name), *more, **how)

    def result(self, name):
        with open(self.path(name, "result.json")) as file:
            return json.load(file)

    def epochs(self, name):
        with open(self.path(name, "epochs.csv"), newline="") as file:
            return list(csv.DictReader(file))


def check_folder(checks, f):
    f.train("plain", "--epochs", "3").must()
    checks.that(set(os.listdir(f.path("plain"))) >= {
        "run.json", "steps.jsonl", "epochs.csv", "last.safetensors",
        "best.safetensors"}, "a run's folder", os.listdir(f.path("plain")))
    with open(f.path("plain", "run.json")) as file:
        about = json.load(file)
    checks.equal(about["settings"]["epochs"], "3", "run.json: a setting")
    checks.equal(about["origin"]["epochs"], "command line", "its origin")
    checks.that(re.match(r"tiny\.net:\d+", about["origin"]["optimizer.lr"]),
                "a line of the model file", about["origin"])
    checks.equal(about["origin"]["seed"], "default", "a default")
    checks.that(about["machine"]["processor"] and about["run"]["command"],
                "and the machine", about)
    result, rows = f.result("plain"), f.epochs("plain")
    checks.equal([result[k] for k in ("state", "why", "step", "epoch", "epochs",
                                      "images")],
                 ["done", "", 3 * STEPS, 3, 3, "test"], "result.json")
    best = max(rows, key=lambda row: float(row["test_accuracy"]))
    checks.that(result["best_epoch"] == int(best["epoch"]) and
                abs(result["best_accuracy"] - float(best["test_accuracy"])) <
                1e-8 and result["seconds"] > 0, "what was best", result)
    checks.equal([r["epoch"] for r in rows], ["1", "2", "3"], "epochs.csv")
    steps = t.log_rows(f.path("plain", "steps.jsonl"))
    for row in rows:
        mine = [s for s in steps if s["epoch"] == int(row["epoch"])]
        checks.close(float(row["loss"]),
                     sum(s["loss"] for s in mine) / len(mine), 1e-6,
                     f"epoch {row['epoch']}: its loss is the mean of its steps")
        checks.close(float(row["accuracy"]),
                     sum(s["correct"] for s in mine) / (16 * len(mine)), 1e-6,
                     "and its accuracy")
    f.train("csv", "--steps", "5", "--log", f.path("log.csv")).must()
    with open(f.path("log.csv"), newline="") as file:
        checks.equal([r["step"] for r in csv.DictReader(file)],
                     list("12345"), "--log FILE.csv")


def check_owner(checks, f):
    checks.refused(f.train("plain"), "holds another run.*--resume.*--overwrite",
                   "a folder with another run")
    last = f.path("plain", "last.safetensors")
    checks.refused(f.train("plain", "--resume", last, "--overwrite"),
                   "--overwrite would remove", "resume and overwrite at once")
    other = f.train("other", "--steps", "3").must()
    checks.that("changed" not in other.out, "nothing changed")
    checks.refused(f.train("other", "--resume", last), "holds another run",
                   "a checkpoint from elsewhere")
    with open(f.path("other", "mine.txt"), "w") as file:
        file.write("not the run's")
    f.train("other", "--overwrite", "--steps", "0").must()
    checks.equal(t.log_rows(f.path("other", "steps.jsonl")), [],
                 "--overwrite begins new logs")
    checks.that(os.path.exists(f.path("other", "mine.txt")),
                "and leaves what is not its own")


def check_resume(checks, f):
    """By the folder; logs as if never stopped; what may change."""
    f.train("whole").must()
    f.train("parts", "--steps", 2 * STEPS + 5).must()
    # Rows past the checkpoint, as a killed run leaves them, and half a row.
    for name, row in (("steps.jsonl", '{"step": 40, "epoch": 9}\n{"st'),
                      ("epochs.csv", "3,40,1\n4,")):
        with open(f.path("parts", name), "a") as file:
            file.write(row)
    t.run(f.binary, "train", "--data", f.data, "--resume",
          f.path("parts")).must()
    checks.that(t.same_bytes(f.path("whole", "last.safetensors"),
                             f.path("parts", "last.safetensors")),
                "--resume FOLDER: the same bytes")
    columns = ("epoch", "step", "test_loss", "test_accuracy", "lr", "best")
    checks.equal([[r[c] for c in columns] for r in f.epochs("parts")],
                 [[r[c] for c in columns] for r in f.epochs("whole")],
                 "and the same table")
    checks.equal([r["loss"] for r in
                  t.log_rows(f.path("parts", "steps.jsonl"))],
                 [r["loss"] for r in
                  t.log_rows(f.path("whole", "steps.jsonl"))], "and log")
    run = t.run(f.binary, "train", "--data", f.data, "--resume",
                f.path("parts"), "--epochs", "5", "--lr", "0.01").must()
    checks.that(re.search(r"changed.*epochs = 5 \(was 4\)", run.out) and
                re.search(r"optimizer.lr = 0.01 \(was 0.05\)", run.out),
                "what a resumed run changes is shown", run.out)
    run = f.train("parts", "--resume", f.path("parts"), "--seed", "9")
    checks.refused(run, r"seed = 0 \(here 9\).*cannot change",
                   "what it may not change")
    wider = t.compiled(os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"),
                       "--set", "batch=20", "--set", "optimizer.momentum=0.8")
    run = t.run(wider, "train", "--data", f.data, "--resume", f.path("parts"))
    checks.refused(run, r"batch = 16 \(here 20\), optimizer.momentum = 0.9 "
                   r"\(here 0.8\)", "all that differ are named")


def check_no_last(checks, f):
    """A folder without the checkpoint to go on from says what to type."""
    f.train("gone", "--epochs", "2").must()
    os.unlink(f.path("gone", "last.safetensors"))
    run = f.train("gone", "--resume", f.path("gone"))
    checks.refused(run, "holds no last.safetensors.*--resume (\\S+best"
                   ".safetensors) goes on", "only the best one is left")
    best = re.search(r"--resume (\S+)", run.err).group(1)
    t.run(f.binary, "train", "--data", f.data, "--resume", best).must()
    checks.that(os.path.exists(f.path("gone", "last.safetensors")),
                "what it says can be typed")
    os.makedirs(f.path("nothing"))
    checks.refused(f.train("nothing", "--resume", f.path("nothing")),
                   "holds no checkpoint", "a folder without any")


def check_diverged(checks, f):
    """A rate that throws the weights off: how it ended, and what to do."""
    run = f.train("diverged", "--lr", "1e30")
    checks.refused(run, "the loss is", "a loss that is not finite")
    result = f.result("diverged")
    checks.that(result["state"] == "diverged" and
                result["why"] in run.err and result["why"],
                "result.json says so", result)
    checks.that(re.search(r"advice: +After \d+ steps?, at a learning rate of "
                          r"1e\+30,.*--lr 3.3e\+29", run.out),
                "and the advice", run.out)


def check_config(checks, f):
    run = t.run(f.binary, "train", "--print-config", "--lr", "0.25", "--resume",
                f.path("parts", "last.safetensors")).must()
    lines = {line.split()[0]: line.split(None, 1)[1]
             for line in run.out.splitlines()}
    for key, pattern in (("optimizer.lr", r"0.25 +command line"),
                         ("epochs", r"5 +checkpoint"),
                         ("batch", r"16 +tiny.net:\d+"),
                         ("patience", r"0 +default"),
                         ("data.classes", r"10 +compiled in")):
        checks.that(re.fullmatch(pattern, lines.get(key, "").strip()),
                    f"--print-config: {key}", lines.get(key))
    checks.that(not os.path.exists(f.path("none")), "and makes nothing")


def check_ends(checks, f):
    """With a rate of 0 no evaluation is better than the first."""
    run = f.train("patience", "--lr", "0", "--epochs", "50", "--patience",
                  "3").must()
    checks.equal(len(f.epochs("patience")), 4, "patience: 1 + 3 evaluations")
    checks.that("no better accuracy in 3 evaluations" in run.out, "and why",
                run.out)
    run = f.train("patience", "--resume", f.path("patience")).must()
    checks.equal(len(f.epochs("patience")), 4, "resumed, it is over still")
    f.train("patience", "--resume", f.path("patience"), "--patience",
            "5").must()
    checks.equal(len(f.epochs("patience")), 6, "with more patience it goes on")
    f.train("delta", "--epochs", "50", "--patience", "2", "--set",
            "min_delta=1").must()
    checks.equal(len(f.epochs("delta")), 3, "min_delta: nothing is better by 1")

    f.train("every", "--epochs", "5", "--set", "eval_every=2").must()
    checks.equal([r["epoch"] for r in f.epochs("every") if r["test_loss"]],
                 ["2", "4", "5"], "eval_every=2, and the last epoch")
    f.train("every_parts", "--epochs", "5", "--set", "eval_every=2", "--steps",
            STEPS).must()
    f.train("every_parts", "--resume", f.path("every_parts")).must()
    checks.that(t.same_bytes(f.path("every", "last.safetensors"),
                             f.path("every_parts", "last.safetensors")),
                "resumed: the same bytes")

    run = f.train("limit", "--epochs", "100000", "--time-limit", "1s")
    checks.that(run.status == 0 and "time limit of 1s" in run.out and
                "--resume" in run.out, "--time-limit", run.out[-500:])
    checks.that(os.path.exists(f.path("limit", "last.safetensors")), "saves")
    checks.equal([f.result("limit")[k] for k in ("state", "why")],
                 ["stopped", "the time limit of 1s is reached"],
                 "result.json says why")
    for text in ("0s", "5", "1m1h", "s", "-1s", "1x"):
        checks.refused(f.train("scrap", "--time-limit", text), "--time-limit",
                       f"--time-limit {text}")
    for option in ("eval_every=0", "min_delta=2", "patience=-1"):
        checks.refused(f.train("scrap", "--set", option), option.split("=")[0],
                       option)


def check_together(checks, f):
    """Settings that contradict each other, and those that change nothing."""
    run = f.train("scrap", "--set", "schedule=cosine", "--set",
                  "schedule.gamma=0.5")
    checks.refused(run, r"schedule.gamma: not a setting of cosine \(only of: "
                   r"multistep\)", "a setting of another schedule")
    for sets, note in (
            (["min_delta=0.1"], "min_delta = 0.1 has no effect without "
             "patience"),
            (["data.split_seed=3"], "data.split_seed = 3 has no effect without "
             "data.fraction or data.validation"),
            (["data.augment=flip"], "data.crop = 2 has no effect beside "
             "data.augment"),
            (["schedule.warmup_factor=0.5"], "schedule.warmup_factor = 0.5 has "
             "no effect without schedule.warmup_epochs"),
            (["schedule=cosine", "schedule.min_lr=5"], "schedule.min_lr = 5 is "
             "above the learning rate, 0.05")):
        options = [word for s in sets for word in ("--set", s)]
        run = t.run(f.binary, "train", "--data", f.data, "--steps", 0,
                    *options).must()
        checks.that(f"note: {note}" in run.out, f"{' '.join(sets)}: a note",
                    run.out)
    run = t.run(f.binary, "train", "--data", f.data, "--steps", 0, "--set",
                "min_delta=0.1", "--patience", 3, "--set", "data.fraction=0.9",
                "--set", "data.split_seed=3").must()
    checks.that("has no effect" not in run.out, "none where they have one",
                run.out)


def check_full_disk(checks, f):
    """/dev/full takes no byte, as a full disk."""
    run = f.train("full", "--epochs", "1", "--log", "/dev/full").must()
    warnings = [l for l in run.err.splitlines() if "warning" in l]
    checks.that(len(warnings) == 1 and "/dev/full" in warnings[0] and
                "space" in warnings[0], "a log on a full disk: one warning",
                run.err)
    checks.equal(len(t.log_rows(f.path("full", "steps.jsonl"))), STEPS,
                 "and the run goes on")


def main():
    checks = t.Checks()
    f = Fixture()
    check_folder(checks, f)
    check_owner(checks, f)
    check_resume(checks, f)
    check_no_last(checks, f)
    check_diverged(checks, f)
    check_config(checks, f)
    check_ends(checks, f)
    check_together(checks, f)
    check_full_disk(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
