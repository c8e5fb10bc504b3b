"""A run that was stopped anywhere and resumed ends in the same bytes.

Stopped by --steps in the middle of an epoch, by SIGTERM, by kill -9, several
times in one run; and with another number of threads. The net augments at
random, has momentum, running statistics and a schedule, so each of them, the
generator and the position in the epoch must be in the checkpoint."""
import os
import shutil
import signal
import subprocess
import time

import tgctest as t

STEPS = 47  # of 12 an epoch: the end is in the middle of the fourth


def argv(binary, data, save, *more):
    return [binary, "train", "--data", data, "--save-dir", save, "--seed", "7",
            *more]


def finish(binary, data, save, steps, *more):
    """Trains to the end, from the last checkpoint where there is one."""
    last = os.path.join(save, "last.safetensors")
    if os.path.exists(last):
        more = ("--resume", last, *more)
    t.run(*argv(binary, data, save, "--steps", steps, *more)).must()
    return last


def interrupt(command, log, after, how):
    """Starts command, sends it a signal once its log has `after` rows."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if os.path.exists(log):
            with open(log, "rb") as file:
                if file.read().count(b"\n") >= after:
                    break
        time.sleep(0.001)
    alive = process.poll() is None
    process.send_signal(how)
    error = process.communicate(timeout=60)[1]
    return alive, process.returncode, error.decode(errors="replace")


def main():
    checks = t.Checks()
    folder = t.scratch("resume")
    data = t.idx_data(os.path.join(folder, "data"))
    binary = t.compiled(os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"))

    whole = finish(binary, data, os.path.join(folder, "whole"), STEPS)
    again = finish(binary, data, os.path.join(folder, "again"), STEPS)
    checks.that(t.same_bytes(whole, again), "two equal runs give equal bytes")

    for threads in (1, 2, 3):
        save = os.path.join(folder, f"threads{threads}")
        last = finish(binary, data, save, STEPS, "--threads", threads)
        checks.that(t.same_bytes(whole, last), f"{threads} threads: equal bytes")

    other = os.path.join(folder, "other")
    t.run(*argv(binary, data, other, "--steps", STEPS, "--seed", "8")).must()
    checks.that(not t.same_bytes(whole, os.path.join(other, "last.safetensors")),
                "another seed gives other bytes")

    for stops in ([1], [11], [12], [13], [24, 25], [5, 17, 29, 41]):
        save = os.path.join(folder, "steps" + "-".join(map(str, stops)))
        for stop in stops:
            finish(binary, data, save, stop)
        last = finish(binary, data, save, STEPS)
        checks.that(t.same_bytes(whole, last),
                    f"stopped after steps {stops} and resumed: equal bytes")
    by_signals(checks, folder, data, binary)
    frozen(checks, folder, data)
    checks.done()


def frozen(checks, folder, data):
    """Part of the parameters frozen, and what else keeps states."""
    net = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
    binary = t.compiled(net, "--set",
                        "frozen=conv1.* bn1.* layer1.conv2.*", "--set",
                        "average=ema", "--set", "accumulate=2", "--set",
                        "optimizer=adamw")
    start, whole, parts = (os.path.join(folder, "frozen-" + n)
                           for n in ("start", "whole", "parts"))
    first = t.load_tensors(finish(binary, data, start, 0))[0]
    last = finish(binary, data, whole, STEPS)
    for stop in (1, 12, 29, STEPS):
        again = finish(binary, data, parts, stop)
    checks.that(t.same_bytes(last, again),
                "frozen parameters, an average, parts of a batch, AdamW: "
                "stopped and resumed: equal bytes")
    tensors = t.load_tensors(last)[0]
    still = {"conv1.weight", "bn1.weight", "bn1.bias", "layer1.conv2.weight"}
    checks.equal({n for n in tensors if tensors[n] == first[n] and
                  n.endswith((".weight", ".bias"))}, still,
                 "what is frozen stays, and nothing else")
    states = {n.rpartition(".")[0] for n in tensors
              if n.rpartition(".")[2] not in ("weight", "bias", "running_mean",
                                              "running_var")}
    checks.equal(states & still, set(), "and has no states of an optimizer")
    checks.that(tensors["bn1.running_mean"] != first["bn1.running_mean"],
                "its running statistics go on")


def by_signals(checks, folder, data, binary):
    """Longer runs, hit at steps that differ from try to try."""
    steps = 1500
    more = ("--epochs", "1000")
    whole = finish(binary, data, os.path.join(folder, "long"), steps, *more)
    for name, how in (("SIGINT", signal.SIGINT), ("SIGTERM", signal.SIGTERM),
                      ("SIGKILL", signal.SIGKILL)):
        for after in (1, 150, 700):
            save = os.path.join(folder, f"{name}{after}")
            log = os.path.join(folder, f"{name}{after}.log")
            last = os.path.join(save, "last.safetensors")
            command = argv(binary, data, save, "--steps", str(steps), "--log",
                           log, *more)
            alive, status, error = interrupt(command, log, after, how)
            if not checks.that(alive, f"{name}: the run was hit after "
                               f"{after} steps", f"status {status}\n{error}"):
                continue
            if how != signal.SIGKILL:
                checks.that(status in (0, 130, 143) and os.path.exists(last),
                            f"{name}: saved and left", f"{status} {error}")
            kept = os.path.exists(last) and shutil.copy(last, save + ".kept")
            last = finish(binary, data, save, steps, *more)
            checks.that(t.same_bytes(whole, last),
                        f"{name} after {after} steps, resumed: equal bytes",
                        f"kept: {kept}")


if __name__ == "__main__":
    main()
