"""The part `cudnn`: convolutions by NVIDIA's cuDNN instead of tgc's kernels.
Ten steps with the losses of the cpu, the same bytes again; and what a step and
its convolutions take either way, and with each by whom it was measured to be
faster, in one sitting."""
import json
import os
import re

import measure
import models

STEPS = 100
TURNS = 20  # of all that is timed to choose
MODELS = (("lenet", "f32"), ("lenet", "f16"), ("resnet20", "f32"),
          ("resnet20", "f16"), ("resnet20", "bf16"))
BY_CUDNN = ("--set", "cudnn=true")
# ms, percent, steps, GFLOP/s, GB/s, kernel, what it is
KERNEL = re.compile(r"^ *([\d.]+) +[\d.]+ +\d+ +[\d.]+ +[\d.]+ +"
                    r"(?:cudnn_|lib_)?(conv\w*?)_[0-9a-f]{10} ", re.M)


def absent(task, case):
    """Why there is no cuDNN, or None."""
    run = task.run(case.path + ".cuda", "bench", "--steps", 1, *case.device)
    found = re.search("there is no cuDNN.*|the cuDNN.*", run.err)
    return found[0][:200] if run.status and found else None


def case_of(task, model, precision, data, batch):
    case = models.Case(task, model, precision, data, batch)
    case.path += ".cudnn"
    case.options += BY_CUDNN
    return case


def check(task, model, precision, exact):
    data = (models.cifar(os.path.join(task.folder, "cifar"))
            if model.startswith("resnet") else models.idx(task))
    case = models.compile_both(
        task, case_of(task, model, precision, data, models.BATCH))
    why = case.message is None and absent(task, case)
    if why:
        return {"what": "cuDNN", "well": True, "skipped": why}, None
    row, cpu = models.check(task, case, models.STEPS, exact)
    return {**row, "what": f"cuDNN {model} {precision}"}, cpu


def profile(task, case):
    """Milliseconds of a step in each kind of convolution, with what is fused
    around it, one kernel after the other."""
    run = task.run(case.path + ".cuda", "bench", "--profile", "--steps", 10,
                   *case.device)
    kinds = {}
    for ms, kind in KERNEL.findall(run.out):
        kinds[kind] = kinds.get(kind, 0) + float(ms)
    return kinds


def measured(task, what, case, steps):
    row = measure.bench_row(task, case, what, steps)
    if "ms" in row:
        kinds = row["convolutions_ms"] = profile(task, case)
        row["detail"] += "; " + ", ".join(f"{kind} {ms:.3f}" for kind, ms in
                                          sorted(kinds.items()))
        row["well"] = "conv" in kinds
    return row


def choose(task, case, rounds, turns):
    """Compiles it with each convolution by whom it is faster."""
    tiles, options = case.path + ".tiles", case.options
    for i in range(rounds):
        found = ("--tune-file", tiles) if i else ()
        case.options = [*options, "--tunable", *found]
        if not models.compile_for_gpu(task, case):
            return
        run = task.run(case.path + ".cuda", "bench", "--steps", turns,
                       "--tune", tiles, *case.device)
        if run.status:
            case.message = run.err[-2000:]
            return
    case.options = [*options, "--tune-file", tiles]
    models.compile_for_gpu(task, case)


def chosen(task, what, case, rounds, turns, steps):
    """A row; how many convolutions are whose, and why each."""
    case.path += ".chosen"
    choose(task, case, rounds, turns)
    row = measured(task, what, case, steps)
    if "ms" not in row:
        return row
    info = task.run(case.path + ".cuda", "info", "--json")
    found = json.loads(info.out)["convolutions"]
    row["convolutions"] = [{k: c[k] for k in ("kernel", "by", "why", "uses")}
                           for c in found]
    cudnn = sum(c["by"] == "cuDNN" for c in found)
    row["detail"] += f"; {cudnn} of {len(found)} kernels cuDNN's"
    return row


def emulated(task):
    """Does it run at all."""
    case = case_of(task, "lenet", "f16", models.idx(task), 2)
    models.compile_for_gpu(task, case)
    os.environ["TGC_CUDNN"] = case.path + ".so"
    rows = [measured(task, "cuDNN lenet f16", case, 2)]
    os.environ["TGC_CUDNN"] = case.path + ".chosen.so"
    return rows + [chosen(task, "cuDNN lenet f16, chosen", case, 1, 1, 2)]


def cudnn(task):
    if task.emulated:
        return emulated(task)
    rows, exact = [], None
    for model, precision in MODELS:
        if task.left() < 40:
            rows.append(task.no_time(f"cuDNN {model} {precision}"))
            continue
        row, cpu = check(task, model, precision, exact)
        rows.append(row)
        if "skipped" in row:
            return rows
        exact = cpu if precision == "f32" else exact
    for depth, precision in measure.OURS:
        what = f"cuDNN resnet{depth} {precision}"
        if task.left() < 40:
            rows.append(task.no_time(what))
            continue
        ours = measure.compiled(task, depth, precision)
        theirs = case_of(task, f"resnet{depth}", precision, None, 128)
        theirs.options[4:] = BY_CUDNN
        models.compile_for_gpu(task, theirs)
        rows += [measured(task, f"{what}, tgc's", ours, STEPS),
                 measured(task, f"{what}, cuDNN's", theirs, STEPS)]
        if task.left() < 150:
            rows.append(task.no_time(f"{what}, chosen"))
        else:
            rows.append(chosen(task, f"{what}, chosen", theirs, 2, TURNS,
                               STEPS))
    return rows


def among(rows):
    """A table of those that were compared."""
    times = {r["what"]: r["ms"] for r in rows if "ms" in r}
    lines = ["| net | | tgc's kernels | cuDNN's convolutions | cuDNN / tgc | "
             "each by whom it is faster |",
             "| --- | --- | ---: | ---: | ---: | ---: |"]
    for depth, precision in measure.OURS:
        name = f"cuDNN resnet{depth} {precision}"
        pair = [times.get(f"{name}, {who}") for who in ("tgc's", "cuDNN's")]
        best = times.get(f"{name}, chosen")
        if all(pair):
            lines.append(f"| ResNet-{depth} | {precision} | {pair[0]:.3f} ms | "
                         f"{pair[1]:.3f} ms | {pair[1] / pair[0]:.2f} | " +
                         (f"{best:.3f} ms |" if best else "- |"))
    return lines if len(lines) > 2 else []
