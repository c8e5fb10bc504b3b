"""What the plan says is what a run uses: resident memory grows by no more than
the planned arena plus 64 MB, and after start nothing is allocated."""
import json
import os
import re
import subprocess

import tgctest as t

SLACK = 64 << 20


def peak_bytes(*argv):
    """Largest resident size of the command over its life."""
    process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        raise SystemExit(f"failed ({status}): {argv}")
    return usage.ru_maxrss * 1024


def planned_bytes(binary):
    info = t.run(binary, "info", "--json").must()
    return json.loads(info.out)["arena_bytes"]


def check_peak(checks, text, binary, *train):
    base = peak_bytes(binary, "info")
    grown = peak_bytes(binary, *train) - base
    plan = planned_bytes(binary)
    checks.that(grown <= plan + SLACK, f"{text}: grows by {grown / 1e6:.0f} MB, "
                f"planned {plan / 1e6:.0f} MB")
    if plan > SLACK:  # less drowns in what the libraries take
        checks.that(grown >= plan / 2,
                    f"{text}: the plan is no gross overestimate")


def allocations(shim, binary, data, save, steps):
    """Calls of malloc and its kin over a whole run."""
    count = save + ".count"
    t.run(binary, "train", "--data", data, "--save-dir", save, "--steps", steps,
          "--no-report",
          env={"LD_PRELOAD": shim, "COUNT_FILE": count}).must()
    with open(count) as file:
        return int(re.match(r"\d+", file.read())[0])


def main():
    if t.SANITIZED:
        t.skip("sanitizers allocate for themselves")
    checks = t.Checks()
    folder = t.scratch("memory")
    data = t.idx_data(os.path.join(folder, "data"))
    tiny = t.compiled(os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"))
    check_peak(checks, "tiny", tiny, "train", "--data", data, "--save-dir",
               os.path.join(folder, "save"), "--steps", "30")
    check_peak(checks, "resnet20", t.compiled("resnet20"), "bench", "--steps",
               "2")

    shim = os.path.join(t.BUILD, "tests", "e2e", "libcount_malloc.so")
    # 12 steps an epoch: 4 and 8 are inside the first epoch; 16 and 40 in the
    # second and fourth, with checkpoints, evaluations and files of predictions
    # between.
    counts = [allocations(shim, tiny, data, os.path.join(folder, f"n{n}"), n)
              for n in (4, 8, 16, 40)]
    checks.equal(counts[1], counts[0], "4 more steps allocate nothing")
    checks.equal(counts[3], counts[2], "two more epochs allocate nothing")
    checks.equal(counts[2], counts[0], "nor does the first one")
    checks.done()


if __name__ == "__main__":
    main()
