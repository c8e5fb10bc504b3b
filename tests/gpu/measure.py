"""The part `bench`: milliseconds of a training step at batch 128, and those of
PyTorch on the same machine in the same sitting."""
import json
import os
import sys

import models
import tgctest as t

STEPS, WARM = 200, 20
# What matters most comes first: time may run out.
OURS = [(depth, precision) for precision in ("f16", "bf16", "f32")
        for depth in (20, 56, 110)]
THEIRS = [(depth, dtype, layout, mode)
          for mode in ("graph", "eager", "compile")
          for dtype in ("f16", "bf16")
          for layout in ("nhwc", "nchw")
          for depth in (20, 56, 110)]
SECONDS = {"graph": 60, "eager": 60, "compile": 150}  # at most, of one
GOALS = {20: 0.5, 56: 1.4, 110: 2.7}  # ms, f16, whole step, on an H200


def compiled(task, depth, precision, *options):
    case = models.Case(task, f"resnet{depth}", precision, None, 128)
    case.options[4:] = options  # the learning rate as the model has it
    return case if models.compile_for_gpu(task, case) else case


def failed(what, message):
    return {"what": what, "well": False, "message": message[-2000:]}


def bench_row(task, case, what, steps):
    """`bench`: synthetic images, sent to the GPU for each step."""
    if case.message:
        return failed(what, case.message)
    run = task.run(case.path + ".cuda", "bench", "--json", "--steps", steps,
                   *case.device)
    if run.status:
        return failed(what, run.err)
    row = json.loads(run.out)
    return {"what": what, "well": True, "ms": row["median_ms"],
            "least_ms": row["min_ms"], "memory_bytes": row["memory_bytes"],
            "detail": f"{row['median_ms']:.4f} ms a step"}


def train_row(task, case, what, steps):
    """`train`: the whole step with loading and augmentation."""
    if case.message:
        return failed(what, case.message)
    case.data = case.data or models.cifar(os.path.join(task.folder, "cifar"))
    run = task.run(*models.train(case, steps + WARM, "bench"))
    if run.status:
        return failed(what, run.err)
    rows = t.log_rows(f"{case.path}.bench.log")
    times = sorted(row["data_ms"] + row["step_ms"] for row in rows[WARM:]
                   if "step_ms" in row)
    ms = times[len(times) // 2]
    return {"what": what, "well": True, "ms": ms, "least_ms": times[0],
            "detail": f"{ms:.3f} ms a step, with augmentation"}


def ours(task):
    rows = []
    for depth, precision in OURS:
        what = f"tgc resnet{depth} {precision}"
        if task.left() < 30:
            rows.append(task.no_time(what))
            continue
        case = compiled(task, depth, precision)
        rows.append({**bench_row(task, case, what, STEPS), "depth": depth,
                     "precision": precision})
        rows.append({**train_row(task, case, what + ", train", STEPS),
                     "depth": depth, "precision": precision})
    return rows


def deepest(task):
    what = "tgc resnet1202 f16, --memory 10GiB"
    if task.left() < 60:
        return [task.no_time(what)]
    case = compiled(task, 1202, "f16", "--memory", "10GiB")
    row = bench_row(task, case, what, 5)
    row["well"] = row["well"] and row["memory_bytes"] <= 10 << 30
    return [row]


def python_with_torch(task):
    for name in ("python3", sys.executable, "/usr/bin/python3"):
        run = task.run(name, "-c", "import torch; print(torch.cuda."
                       "is_available(), torch.__version__)", most=60)
        if run.out.startswith("True"):
            return name
    return None


def theirs_one(task, python, script, case):
    depth, dtype, layout, mode = case
    what = f"PyTorch resnet{depth} {dtype} {layout} {mode}"
    if task.left() < 25:
        return task.no_time(what)
    # The kit's libraries are not for others' programs.
    before = os.environ.get("TGC_LD_LIBRARY_PATH")
    env = None if before is None else {"LD_LIBRARY_PATH": before}
    run = task.run(python, script, "--device", "cuda", "--depth", depth,
                   "--dtype", dtype, "--layout", layout, "--mode", mode,
                   "--steps", STEPS // 10, most=SECONDS[mode], env=env)
    row = {"what": what, "well": True, "depth": depth, "precision": dtype,
           "mode": mode, "layout": layout}
    try:
        peer = json.loads(run.out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {**row, "skipped": (run.err.strip().splitlines() or
                                   ["no result"])[-1][:200]}
    return {**row, "ms": peer["ms_median"], "least_ms": peer["ms_min"],
            "memory_bytes": peer["peak_bytes"], "torch": peer["torch"],
            "detail": f"{peer['ms_median']:.4f} ms a step"}


def theirs(task, cases):
    script = os.path.join(t.SHARED, "bench", "pytorch_step.py")
    if not os.path.exists(script):
        return [{"what": "PyTorch", "well": True,
                 "skipped": "no shared/bench/pytorch_step.py (set TGC_SHARED)"}]
    python = python_with_torch(task)
    if not python:
        return [{"what": "PyTorch", "well": True,
                 "skipped": "no PyTorch that sees a GPU"}]
    return [theirs_one(task, python, script, case) for case in cases]


def bench(task):
    if task.emulated:  # does it run at all
        case = models.Case(task, "lenet", "f16", models.idx(task), 2)
        models.compile_for_gpu(task, case)
        return [bench_row(task, case, "bench lenet f16", 3),
                train_row(task, case, "bench lenet f16, train", 3),
                *theirs(task, THEIRS[:2])]
    return ours(task) + deepest(task) + theirs(task, THEIRS)
