"""The learning rate of each step of a training, as its log has it, against
PyTorch's schedulers (schedules.json, made by make_schedules.py); the notes
about milestones that are never reached; bad settings."""
import json
import os
import sys

import tgctest as t

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import schedule_cases as these  # noqa: E402

BATCH = 40


def options(settings):
    return [w for s in settings for w in ("--set", s)]


def train(binary, data, *more):
    return t.run(binary, "train", "--data", data, "--no-augment", *more)


def check_notes(checks, binary, data):
    def says(text, *more):
        run = train(binary, data, "--steps", 1, *more).must()
        checks.that(text in run.out, f"{' '.join(more)}: {text}", run.out)
    says("schedule.at = 2 is never reached in 2 epochs", "--epochs", "2")
    says("there are 3 epochs and not 4 as in the model file",
         "--epochs", "3")
    says("ends before the warm-up of 9", "--set", "schedule=constant", "--set",
         "schedule.warmup_epochs=9")
    run = train(binary, data, "--steps", 1, "--epochs", 9, "--set",
                "schedule.at=[0.5]").must()
    checks.that("note: schedule" not in run.out and "never" not in run.out,
                "shares of the training need no note", run.out)


def check_refusals(checks, binary, data):
    for settings, pattern in (
            (["schedule.at=[0.5, 3]"], "both epochs and, below 1, shares"),
            (["schedule.at=[3, 2]"], "must rise"),
            (["schedule=cosin"], "none of: constant multistep cosine"),
            (["schedule.period=0"], "out of range"),
            (["schedule.period_factor=0.5"], "out of range"),
            (["schedule.rise=1.5"], "out of range"),
            (["optimizer.lr_batch=0"], "out of range")):
        run = train(binary, data, *options(settings))
        checks.refused(run, pattern, f"{settings}: {pattern}")


def main():
    checks = t.Checks()
    with open(os.path.join(HERE, "schedules.json")) as file:
        golden = json.load(file)["cases"]
    data = t.idx_data(t.scratch("schedules_data"), BATCH * these.BATCHES + 3,
                      10)
    tiny = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
    binary = t.compiled(tiny, "--set", f"batch={BATCH}")
    log = os.path.join(t.scratch("schedules"), "log")
    for name, case in these.CASES.items():
        train(binary, data, "--lr", these.LR, "--epochs", these.EPOCHS,
              "--log", log, *options(case["settings"])).must()
        rates = [row["lr"] for row in t.log_rows(log) if "lr" in row]
        checks.equal(len(rates), these.STEPS, f"{name}: steps")
        far = max(abs(a - b) for a, b in zip(rates, golden[name]))
        checks.that(far < 1e-8, f"{name}: within {far:.1e} of torch")
    check_notes(checks, binary, data)
    check_refusals(checks, binary, data)
    checks.done()


if __name__ == "__main__":
    main()
