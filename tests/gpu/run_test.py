"""tests/gpu/run on a machine without a GPU: says so; with the emulator for a
GPU, and stand-ins for compute-sanitizer and PyTorch, all its parts run and its
tables have what they found.  usage: run_test.py"""
import json
import os
import sys

import tgctest as t

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(HERE, "run")
SANITIZER = """#!/bin/sh
# compute-sanitizer --tool NAME --error-exitcode 9 PROGRAM...
[ "$1 $3 $4" = "--tool --error-exitcode 9" ] || exit 9
echo "$2" >>"$TGC_SANITIZED_BY"
shift 4
exec "$@"
"""
PYTHON = """#!/bin/sh
[ "$1" = -c ] && echo True 9.9 && exit
case "$*" in *"nchw --mode graph"*) echo "out of memory" >&2; exit 1 ;; esac
echo '{"ms_median": 2.5, "ms_min": 2.25, "peak_bytes": 5, "torch": "9.9"}'
"""


def write_program(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)


def check_no_gpu(checks):
    run = t.run(sys.executable, RUN, env={"LD_LIBRARY_PATH": ""})
    if "skipped" not in run.out:
        return print("        (this machine has a GPU)")
    checks.equal(run.status, 77, "no GPU: skipped")
    checks.that("no GPU: skipped (" in run.out, "and why", run.out)


def check_parts(checks, folder):
    tools = os.path.join(folder, "tools")
    os.makedirs(os.path.join(folder, "shared", "bench"))
    os.makedirs(tools)
    write_program(os.path.join(tools, "compute-sanitizer"), SANITIZER)
    write_program(os.path.join(tools, "python3"), PYTHON)
    write_program(os.path.join(folder, "shared", "bench", "pytorch_step.py"),
                  "")
    seen = os.path.join(folder, "sanitized")
    out = os.path.join(folder, "out")
    run = t.run(sys.executable, RUN, "--emulated", "--build", t.BUILD, "--out",
                out, "--minutes", "13", timeout=840, env={
                    "PATH": tools + ":" + os.environ["PATH"],
                    "TGC_SHARED": os.path.join(folder, "shared"),
                    "TGC_SANITIZED_BY": seen})
    if "libnvrtc" in run.out and "which is not here" in run.out:
        t.skip("no NVRTC (the CUDA toolkit's libnvrtc)")
    checks.that(run.status == 0, "all parts on the emulator",
                run.out[-4000:] + run.err[-2000:])
    with open(os.path.join(out, "gpu.json"), encoding="utf-8") as file:
        return run, json.load(file), seen


def check_result(checks, run, result, seen):
    parts = result["parts"]
    rows = {r["what"]: r for p in parts.values() for r in p["rows"]}
    checks.equal(list(parts), ["ops", "models", "sanitize", "bench",
                               "cudnn"], "parts")
    if "skipped" not in rows.get("ops", {}):
        checks.that(rows["codegen_random"]["passed"], "tests of ops passed")
    for name in ("lenet f32", "lenet f16"):
        checks.that(rows[name]["same_bytes"] and
                    rows[name]["loss_distance"] <= rows[name]["allowed"],
                    f"{name}: the cpu's losses, the same bytes again")
    for name in ("bench lenet f16", "bench lenet f16, train"):
        checks.that(rows[name]["ms"] > 0, name)
    checks.that(rows["cuDNN lenet f16"]["convolutions_ms"]["conv"] > 0,
                "convolutions by the emulator's cuDNN")
    chosen = rows["cuDNN lenet f16, chosen"]
    checks.that(chosen["ms"] > 0 and
                any(c["why"].startswith("timed: ") for c in
                    chosen["convolutions"]), "and by whom each is faster",
                chosen)
    with open(seen, encoding="utf-8") as file:
        tools = set(file.read().split())
    checks.equal(tools, {"memcheck", "racecheck", "synccheck"}, "sanitizers")
    peer = [r for r in parts["bench"]["rows"] if "PyTorch" in r["what"]]
    checks.that(peer and peer[0]["ms"] == 2.5, "PyTorch's time", peer)
    checks.that("| lenet f32 | ok |" in run.out, "a table", run.out)


def main():
    checks = t.Checks()
    folder = t.scratch("gpu_run")
    check_no_gpu(checks)
    run, result, seen = check_parts(checks, folder)
    check_result(checks, run, result, seen)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
