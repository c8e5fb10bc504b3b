"""What fusing does to a ResNet-8 in training: the same losses, fewer kernels,
fewer bytes, and nothing saved for the backward pass but what convolutions wrote
and what blocks hand on."""
import json
import os
import re

import tgctest as t

LINE = re.compile(r"\s+([\d.]+) MiB\s+steps\s+(\d+) to\s+(\d+)\s+(\w+)"
                  r"(?: of (\S+))?\s+\S+resnet\.net:(\d+)$")


def binary(**settings):
    words = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
    return t.compiled("resnet", "-D", "depth=8", "--set", "batch=32", *words)


def info(**settings):
    about = t.run(binary(**settings), "info", "--json").must().out
    return json.loads(about)


def graph(about, name):
    return next(g for g in about["graphs"] if g["name"] == name)


def check_convolutions(checks, about, own):
    """Those of 3x3 windows next to each other are our own, of a type for which
    the machine has instructions."""
    runs = {c["call"]: c["implementation"] for c in about["library"]}
    checks.that(all(runs.values()), "every call says what runs it", runs)
    for call, by in runs.items():
        fits = "channels 3 to" not in call and bool(
            re.search(r"channels (\d+) to \1,", call))
        if call.startswith("convolution"):
            checks.equal(by.startswith("winograd"), own and fits, call)


def check_info(checks):
    full, off = info(), info(fuse="off")
    for name in ("train", "eval"):
        fused, alone = graph(full, name), graph(off, name)
        # In a program without fusion they can be counted, but for a copy that
        # placing the states may cost.
        for key, unfused in (("steps", "unfused_steps"),
                             ("bytes_moved", "unfused_bytes")):
            checks.that(abs(fused[unfused] - alone[key]) <= 0.02 * alone[key],
                        f"{name}: {unfused} is {key} of fuse=off",
                        (fused[unfused], alone[key]))
        checks.that(fused["bytes_moved"] < 0.4 * fused["unfused_bytes"],
                    f"{name}: bytes moved", fused)
        checks.that(fused["steps"] < 0.4 * fused["unfused_steps"],
                    f"{name}: steps", fused)
    check_convolutions(checks, full, True)
    with open("/proc/cpuinfo") as file:
        check_convolutions(checks, info(precision="bf16"),
                           "avx512_bf16" in file.read())
    runs = [c["implementation"] for c in info(winograd="false")["library"]]
    checks.that(not any(r.startswith("winograd") for r in runs),
                "winograd = false", runs)


def check_saved(checks):
    """At the peak: raw results of convolutions, and one side of the relu that
    ends a block. Never both sides of a relu, never a normalised value."""
    out = t.run(t.TGC, "memory", os.path.join(t.SOURCE, "models", "resnet.net"), "-D", "depth=8").must().out
    rows = [LINE.match(line) for line in out[out.index("the largest"):]
            .splitlines()]
    saved = [(m[4], m[5], m[6]) for m in rows
             if m and not (m[5] or "").startswith("d.") and m[4] != "image"]
    ops = [op for op, _, _ in saved]
    checks.that(ops.count("lib_conv") >= 3, "convolutions are kept", saved)
    checks.that(set(ops) <= {"lib_conv", "relu"}, "nothing else is", saved)
    ends = {line for op, _, line in saved if op == "relu"}
    checks.that(len(ends) == 1, "relus are kept at the end of blocks alone",
                saved)


def check_losses(checks):
    """The same training, to rounding, however it is cut into kernels."""
    data, losses = t.cifar10(), {}
    for fuse in ("off", "elementwise", "full"):
        folder = t.scratch(f"fusion_{fuse}")
        log = os.path.join(folder, "log")
        t.run(binary(fuse=fuse), "train", "--data", data, "--steps", "4",
              "--no-augment", "--no-shuffle", "--save-dir", folder, "--log",
              log).must()
        losses[fuse] = [row["loss"] for row in t.log_rows(log)]
    for fuse in ("elementwise", "full"):
        checks.that(all(abs(a - b) <= 1e-4 * abs(a) for a, b in
                        zip(losses["off"], losses[fuse])),
                    f"losses with fuse={fuse}", losses)


def main():
    checks = t.Checks()
    check_info(checks)
    check_saved(checks)
    check_losses(checks)
    checks.done()


if __name__ == "__main__":
    main()
