"""The parts of tests/gpu/run.  Each is a function from a Task to rows, that
are written as they are; a row that is not well has "well": False."""
import concurrent.futures
import os
import re
import shutil
import sys
import time

import by_cudnn
import measure
import models
import tgctest as t

TESTS = ("kernels", "random", "gemm")
SANITIZERS = ("memcheck", "racecheck", "synccheck")


class Task:
    """What the parts share."""

    def __init__(self, gpu, limit, emulated):
        self.gpu, self.limit, self.emulated = gpu, limit, emulated
        self.folder = t.scratch("gpu")
        self.emulator = os.path.join(t.SOURCE, "tests", "emulator")

    def left(self):
        return self.limit - time.monotonic()

    def no_time(self, what):
        return {"what": what, "well": True, "skipped": "no time was left"}

    def run(self, *argv, most=600, env=None):
        """As tgctest.run, but a run that takes too long has failed."""
        try:
            return t.run(*argv, timeout=max(5, min(most, self.left())),
                         env=env)
        except t.subprocess.TimeoutExpired as slow:
            done = t.subprocess.CompletedProcess(
                slow.cmd, 124, "", f"stopped after {slow.timeout:.0f} s")
            return t.Run([str(x) for x in argv], done)


def tail(run):
    return (run.out[-1500:] + run.err[-1500:]).strip()


# ---- ops ----------------------------------------------------------------------


def test_program(name):
    return os.path.join(t.BUILD, "tests", "codegen", f"test_codegen_{name}")


def test_environment(task):
    return {"TGC_TEST_TARGET": "cuda", "TGC_SOURCE": t.SOURCE,
            "TGC_TEST_DRIVER": "emulator" if task.emulated else "system"}


def ops_one(task, name):
    began = time.monotonic()
    run = task.run(test_program(name), env=test_environment(task))
    passed = re.findall(r"OK \] (\w+)", run.out + run.err)
    row = {"what": f"codegen_{name}", "well": run.status == 0,
           "passed": passed, "seconds": round(time.monotonic() - began, 1)}
    if run.status:
        row["message"] = tail(run)
    return row


def ops(task):
    names = TESTS[1:2] if task.emulated else TESTS
    names = [n for n in names if os.path.exists(test_program(n))]
    if not names:
        return [{"what": "ops", "well": True,
                 "skipped": "cmocka is not installed: no test programs"}]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(lambda n: ops_one(task, n), names))


# ---- sanitize -----------------------------------------------------------------


def find_sanitizer():
    places = [os.environ.get("CUDA_HOME", "/usr/local/cuda"), "/usr/local/cuda"]
    for place in ["", *(os.path.join(p, "bin") for p in places)]:
        found = shutil.which(os.path.join(place, "compute-sanitizer"))
        if found:
            return found
    return None


def sanitize_one(task, tool, argv, env, what):
    began = time.monotonic()
    if task.left() < 20:
        return task.no_time(what)
    run = task.run(*argv, most=90, env=env)
    report = run.out + run.err
    row = {"what": what, "well": run.status == 0,
           "seconds": round(time.monotonic() - began, 1)}
    if re.search("Device not supported|is not supported", report):
        return {"what": what, "well": True,
                "skipped": f"{tool} does not run on this machine"}
    if run.status == 124:
        row.update(well=True, skipped=run.err)
    elif run.status:
        row["message"] = report[-2000:]
    return row


def sanitize(task):
    tool = find_sanitizer()
    if not tool:
        return [{"what": "compute-sanitizer", "well": True,
                 "skipped": "it is not installed"}]
    case = models.small(task)
    rows = []
    for check in SANITIZERS:
        head = (tool, "--tool", check, "--error-exitcode", "9")
        rows.append(sanitize_one(
            task, tool, (*head, *models.train(case, 2, "sanitize", "--check")),
            None, f"{check}: lenet f16, two steps"))
        if not task.emulated and os.path.exists(test_program("gemm")):
            rows.append(sanitize_one(task, tool, (*head, test_program("gemm")),
                                     test_environment(task),
                                     f"{check}: codegen_gemm"))
    return rows


# ---- all ----------------------------------------------------------------------

PARTS = {"ops": ops, "models": models.models, "sanitize": sanitize,
         "bench": measure.bench, "cudnn": by_cudnn.cudnn}


def run_part(task, name):
    began = time.monotonic()
    print(f"---- {name}", flush=True)
    rows = PARTS[name](task)
    for row in rows:
        state = ("skipped: " + row["skipped"] if "skipped" in row else
                 "ok" if row["well"] else "FAILED")
        detail = f" ({row['detail']})" if "detail" in row else ""
        print(f"{row['what']}: {state}{detail}")
        if "message" in row:
            print("    " + row["message"].replace("\n", "\n    "))
    sys.stdout.flush()
    return {"seconds": round(time.monotonic() - began, 1), "rows": rows}


def run_all(names, gpu, limit, emulated):
    unknown = [n for n in names if n not in PARTS]
    if unknown:
        sys.exit(f"tests/gpu/run: there is no part {unknown[0]} "
                 f"({', '.join(PARTS)})")
    task = Task(gpu, limit, emulated)
    result = {"gpu": gpu, "tgc": t.run(t.TGC, "--version").must().out.strip(),
              "compiler": t.run("cc", "--version").out.splitlines()[0],
              "parts": {name: run_part(task, name) for name in names}}
    result["well"] = all(row["well"] for part in result["parts"].values()
                         for row in part["rows"])
    return result
