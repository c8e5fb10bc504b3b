"""gpu.json and gpu.md, from what the parts found."""
import json
import os

import by_cudnn
import machine
import measure
import tgctest as t


def state(row):
    if "skipped" in row:
        return "skipped: " + row["skipped"]
    return "ok" if row["well"] else "FAILED"


def ms(value):
    return f"{value:.3f} ms" if value is not None else "-"


def best(rows, depth, precision):
    """PyTorch's fastest, in any precision of 16 bits for one of them."""
    times = [(r["ms"], f"{r['mode']}, {r['layout']}") for r in rows
             if r["what"].startswith("PyTorch") and "ms" in r and
             r["depth"] == depth and r["precision"] == precision]
    return min(times) if times else (None, "not run")


def bench_table(rows):
    lines = ["| net | | one batch | train, augmented | PyTorch's fastest | its "
             "mode | PyTorch / tgc | goal of train |",
             "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |"]
    times = {r["what"]: r.get("ms") for r in rows}
    for depth, precision in measure.OURS:
        name = f"tgc resnet{depth} {precision}"
        if name not in times:
            continue
        one, whole = times[name], times.get(name + ", train")
        peer, mode = best(rows, depth, precision)
        ratio = f"{peer / one:.2f}" if peer and one else "-"
        goal = ms(measure.GOALS[depth]) if precision == "f16" else ""
        lines.append(f"| ResNet-{depth} | {precision} | {ms(one)} | {ms(whole)} "
                     f"| {ms(peer)} | {mode} | {ratio} | {goal} |")
    return lines if len(lines) > 2 else []


def torch_version(rows):
    found = {r["torch"] for r in rows if "torch" in r}
    return f"; PyTorch {found.pop()}" if found else ""


def markdown(result):
    rows = [r for p in result["parts"].values() for r in p["rows"]]
    lines = ["# On a GPU", "", f"{machine.line(result['gpu'])}; "
             f"{result['tgc']}, {result['compiler']}{torch_version(rows)}. "
             f"Made by `tests/gpu/run` in one sitting of {result['seconds']} "
             "s.", ""]
    table = bench_table(rows)
    if table:
        lines += [f"A training step at batch 128, medians of {measure.STEPS} "
                  "steps. *One batch*: synthetic images, sent to the GPU while "
                  "the steps before run; PyTorch's stay there. *Train*: with loading and augmentation.",
                  "", *table, ""]
    table = by_cudnn.among(rows)
    if table:
        lines += ["The same step with convolutions by cuDNN (`--cudnn`).", "",
                  *table, ""]
    for name, part in result["parts"].items():
        lines += [f"## {name}, {part['seconds']:.0f} s", "",
                  "| | | |", "| --- | --- | --- |"]
        lines += [f"| {r['what']} | {state(r)} | {r.get('detail', '')} |"
                  for r in part["rows"]] + [""]
    return "\n".join(lines)


def write(result, folder, emulated):
    """What the emulator did is no result."""
    folder = folder or (None if emulated else
                        os.path.join(t.SOURCE, "docs", "results"))
    text = markdown(result)
    print(text)
    if not folder:
        return
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "gpu.json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "gpu.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
