"""A batch in parts is the same step as the batch as a whole: without batch norm
the weights are equal to rounding, whatever is left for the last step of an
epoch; stopped and resumed the bits are the same; and a plan with parts needs
less memory."""
import json
import os

import tgctest as t

NET = os.path.join(t.SOURCE, "tests", "reference", "mlp.net")
TINY = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
SETTINGS = {"batch": 24, "tail": "keep", "optimizer.momentum": 0.9,
            "data": "idx", "data.mean": "[0.3]", "data.std": "[0.35]",
            "data.crop": 2}


def binary(net, samples, parts, **more):
    settings = dict(SETTINGS, accumulate=parts, **more)
    settings["data.samples"] = samples
    return t.compiled(net, *(w for k, v in settings.items()
                             for w in ("--set", f"{k}={v}")))


def train(program, data, save, *more):
    log = os.path.join(save, "log")
    t.run(program, "train", "--data", data, "--save-dir", save, "--lr", "0.01",
          "--log", log, *more).must()
    return os.path.join(save, "last.safetensors"), t.log_rows(log)


def distance(a, b):
    """The largest difference of two checkpoints' weights over the largest
    weight of the tensor; sums of parts are none of a step's results."""
    far = 0
    for name, (_, values) in b.items():
        if not name.endswith(".sum"):
            largest = max(map(abs, values)) or 1
            far = max(far, max(abs(x - y) for x, y in
                               zip(a[name][1], values)) / largest)
    return far


def check_equal(checks, folder, samples, parts):
    """Three epochs; the last step of each has samples % 24 images."""
    data = t.idx_data(os.path.join(folder, f"data{samples}"), train=samples)
    saved = []
    for n in (1, parts):
        save = os.path.join(folder, f"{samples}_{parts}_{n}")
        last, rows = train(binary(NET, samples, n, precision="f64"), data, save,
                           "--epochs", "3")
        saved.append((t.load_tensors(last)[0], rows))
    (whole, rows), (part, part_rows) = saved
    text = f"{samples} images, {parts} parts"
    far = distance(part, whole)
    checks.that(far < 1e-10, f"{text}: weights are {far:.1e} apart")
    checks.equal(len(part_rows), len(rows), f"{text}: steps")
    checks.that(all(abs(a["loss"] - b["loss"]) < 1e-9 and
                    a["correct"] == b["correct"] and a["lr"] == b["lr"]
                    for a, b in zip(part_rows, rows)), f"{text}: losses")
    sums = [v for n, (_, v) in part.items() if n.endswith(".sum")]
    checks.that(sums and not any(map(any, sums)), f"{text}: sums end at zero")


def check_resume(checks, folder):
    """Stopped inside an epoch, right before its last step, and at its end."""
    data = t.idx_data(os.path.join(folder, "data_resume"), train=100)
    program = binary(TINY, 100, 4)
    whole, _ = train(program, data, os.path.join(folder, "whole"), "--steps",
                     "13")
    for stops in ([2, 4], [5, 9], [10]):
        save = os.path.join(folder, "stop" + "-".join(map(str, stops)))
        more = []
        for stop in (*stops, 13):
            last, _ = train(program, data, save, "--steps", stop, *more)
            more = ["--resume", last]
        checks.that(t.same_bytes(whole, last), f"stopped after {stops}")
    one, _ = train(program, data, os.path.join(folder, "one"), "--steps", "13",
                   "--threads", "1")
    checks.that(t.same_bytes(whole, one), "one thread")


def check_memory(checks):
    def activations(parts):
        run = t.run(t.TGC, "memory", os.path.join(t.MODELS, "resnet20.net"),
                    "--set", f"accumulate={parts}").must()
        line = next(x for x in run.out.splitlines() if "kept for" in x)
        unit = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[line.split()[1]]
        return float(line.split()[0]) * unit
    one, four = activations(1), activations(4)
    checks.that(0.2 < four / one < 0.3,
                f"activations: {one:.0f} MiB, in four parts {four:.0f} MiB")


def check_bench(checks):
    run = t.run(binary(TINY, 100, 4), "bench", "--json", "--steps", "2").must()
    checks.equal(json.loads(run.out)["batch"], 24, "bench counts whole batches")


def main():
    checks = t.Checks()
    folder = t.scratch("accumulate")
    for samples, parts in ((100, 4), (102, 6), (108, 4)):
        check_equal(checks, folder, samples, parts)
    check_resume(checks, folder)
    check_memory(checks)
    check_bench(checks)
    checks.done()


if __name__ == "__main__":
    main()
