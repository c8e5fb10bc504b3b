"""tgc estimate: rows add up, kernels are timed once, and a calibration that is
damaged or of another machine is never trusted nor written over."""
import os
import re

import tgctest as t

SAMPLES = 160000
TINY = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")


def estimate(*argv, cache):
    return t.run(t.TGC, "estimate", *argv, env={"XDG_CACHE_HOME": cache})


def rows(run):
    """The table: a list of its rows' words."""
    lines = run.out.splitlines()
    return [line.split() for line in lines[1:lines.index("")]]


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def check_rows(checks, cache):
    arguments = [TINY, "--epochs", "7000", "--set", f"data.samples={SAMPLES}"]
    first = estimate(*arguments, cache=cache).must()
    checks.that("timing" in first.err, "what is new is timed, and said so")
    _, batch, ms, minutes, hours, *_ = rows(first)[0]
    batches = SAMPLES // int(batch)
    checks.that(float(ms) > 0, f"{ms} ms a batch")
    expected = float(ms) * batches / 60e3
    near = 0.011  # three digits are printed of either
    checks.close(float(minutes), expected, near * expected, "minutes an epoch")
    expected = float(minutes) * 7000 / 60
    checks.close(float(hours), expected, near * expected, "hours in all")
    again = estimate(*arguments, cache=cache).must()
    checks.that("timing" not in again.err, "and not a second time")
    checks.equal(again.out, first.out, "the same estimate")
    unknown = estimate(TINY, cache=cache).must()
    checks.equal(rows(unknown)[0][3:5], ["?", "?"],
                 "no hours where nobody said how many images there are")


def check_several(checks, cache, folder):
    none = os.path.join(folder, "none.net")
    run = estimate(TINY, none, TINY, cache=cache)
    checks.equal(run.status, 1, "a file that does not compile: status 1")
    checks.equal(len(rows(run)), 2, "and the others have their rows")
    little = estimate(TINY, "--memory", "40KiB", cache=cache).must()
    checks.that(re.search(r"\bno\b", little.out), "what does not fit is told")


def check_gpu(checks, cache):
    slow = estimate("--gpu", "t4", TINY, cache=cache).must()
    fast = estimate("--gpu", "h100", TINY, cache=cache).must()
    checks.that(float(rows(fast)[0][2]) <= float(rows(slow)[0][2]),
                "no processor is slower with higher rates")
    checks.that("published rates" in fast.out and "Not measured" in fast.out,
                "it says what it is")
    checks.refused(estimate("--gpu", "h10", TINY, cache=cache),
                   "rates are not known", "a processor that nobody knows")


def check_cache(checks, cache):
    folder = os.path.join(cache, "tgc")
    (name,) = os.listdir(folder)
    place = os.path.join(folder, name)
    good = read(place)
    steps = [line for line in good.splitlines() if line.startswith("step")]
    bad = {"cut short": good[:len(good) // 2],
           "changed": good.replace(steps[0][-4:], "0000", 1),
           "of another machine": re.sub(r"machine .*", "machine X", good),
           "of another tgc": re.sub(r"\ntgc .*", "\ntgc 0.0.1", good),
           "no calibration": "hello\n", "empty": "",
           "a very long line": "tgc-calibration 2\n" + "x" * 100000}
    for what in ("cut short", "of another machine"):
        write(place, bad[what])
        run = estimate(TINY, cache=cache).must()
        checks.that("cannot be used" in run.err and "timing" in run.err,
                    f"a cache that is {what} is made anew", run.err)
        run = estimate(TINY, cache=cache).must()
        checks.equal(run.err, "", "and kept")
    return good, bad


def check_file(checks, cache, folder, good, bad):
    path = os.path.join(folder, "calibration")
    out = os.path.join(folder, "program")
    for what, text in bad.items():
        write(path, text)
        for verb in (["estimate", TINY], ["memory", TINY],
                     ["compile", TINY, "-o", out]):
            run = t.run(t.TGC, *verb, "--calibration", path,
                        env={"XDG_CACHE_HOME": cache})
            checks.refused(run, "error: calibration .* cannot be used",
                           f"{verb[0]}: a file that is {what}")
        checks.equal(read(path), text, "and it is left as it was")
        checks.that(not os.path.exists(out), "nothing was compiled")
    missing = os.path.join(folder, "missing")
    checks.refused(t.run(t.TGC, "compile", TINY, "-o", out, "--calibration",
                         missing), "there is none", "compile: no such file")
    write(path, good)
    t.run(t.TGC, "memory", TINY, "--calibration", path, "--memory",
          "1MiB").must()
    estimate(TINY, "--calibration", missing, cache=cache).must()
    checks.that(os.path.exists(missing), "estimate makes the file it is given")


def main():
    checks = t.Checks()
    folder = t.scratch("estimate")
    cache = os.path.join(folder, "cache")
    os.makedirs(cache)
    check_rows(checks, cache)
    check_several(checks, cache, folder)
    check_gpu(checks, cache)
    good, bad = check_cache(checks, cache)
    check_file(checks, cache, folder, good, bad)
    checks.done()


if __name__ == "__main__":
    main()
