"""The device `cuda`, on the emulator's driver: a run has the losses of the cpu,
the same bits in any order of threads, streams and copies, stopped and resumed;
and what is said when the GPU, its driver or its memory is not there, or goes
away.  usage: device.py TINY_KEEP TINY_CUDA"""
import os
import sys

import gpu
import tgctest as t

CPU, CUDA = sys.argv[1:3]


class Fixture:
    def __init__(self):
        self.folder = t.scratch("emulator_device")
        self.data = t.idx_data(self.path("data"))
        self.library = gpu.build(self.path("tiny.so"),
                                 os.path.join(gpu.HERE, "tiny.cu"))
        self.emu = f"emu:{self.library}"

    def path(self, *name):
        return os.path.join(self.folder, *name)

    def train(self, name, *more, binary=CUDA, device=None, env=None):
        device = device or (self.emu if binary == CUDA else "cpu")
        return t.run(binary, "train", "--data", self.data, "--save-dir",
                     self.path(name), "--overwrite", "--device", device, "--log",
                     self.path(name + ".log"), *map(str, more), env=env)

    def last(self, name):
        return self.path(name, "last.safetensors")

    def losses(self, name):
        return [row["loss"] for row in t.log_rows(self.path(name + ".log"))]


def check_cpu(checks, f):
    f.train("cpu", binary=CPU).must()
    f.train("emu").must()
    a, b = f.losses("cpu"), f.losses("emu")
    checks.equal(len(b), 52, "4 epochs of 13 steps")
    worst = max(abs(x - y) / abs(x) for x, y in zip(a, b))
    checks.that(worst < 1e-6, "the losses of the cpu", worst)
    cpu, emu = (t.load_tensors(f.last(n))[0] for n in ("cpu", "emu"))
    worst = max(abs(x - y) for n in cpu for x, y in zip(cpu[n][1], emu[n][1]))
    checks.that(worst < 1e-5, "and its weights", worst)


def check_same_bits(checks, f):
    for seed in range(2, 4):
        f.train("seed", env={"TGC_EMU_SEED": str(seed)}).must()
        checks.that(t.same_bytes(f.last("emu"), f.last("seed")),
                    f"order {seed}: the same bytes")
    f.train("check", "--check").must()
    checks.that(t.same_bytes(f.last("emu"), f.last("check")),
                "kernel by kernel: the same bytes")
    f.train("poison", env={"TGC_POISON": "1"}).must()
    checks.that(t.same_bytes(f.last("emu"), f.last("poison")),
                "poisoned memory: the same bytes")
    for stop in (12, 13, 30):
        f.train("parts", "--steps", stop).must()
        run = t.run(CUDA, "train", "--data", f.data, "--device", f.emu,
                    "--resume", f.last("parts"))
        run.must()
        checks.that(t.same_bytes(f.last("emu"), f.last("parts")),
                    f"stopped after step {stop}: the same bytes")


def check_edges(checks, f):
    """Kernels wait for what they need and for nothing else: an edge taken away
    is found, by who uses which bytes and, where that is not looked at, by a
    wrong value in some order."""
    f.train("whole", "--steps", 2).must()
    found = wrong = 0
    for node in range(1, 10):
        cut = {"TGC_EMU_CUT": str(node)}
        run = f.train("cut", "--steps", 2, env=cut)
        if not run.status:
            checks.that(t.same_bytes(f.last("whole"), f.last("cut")),
                        f"node {node} waits for nothing")
            continue
        checks.refused(run, r"nodes \d+ .* and \d+ .* use the same bytes in "
                       "no order", f"node {node} without its edges")
        found += 1
        wrong += any(is_wrong(f, {**cut, "TGC_EMU_RACES": "ignore",
                                  "TGC_EMU_SEED": str(seed)})
                     for seed in range(1, 9))
    checks.that(found >= 5 and wrong == found,
                f"{found} nodes without their edges, {wrong} wrong values")


def is_wrong(f, env):
    run = f.train("cut", "--steps", 2, env=env)
    return run.status or not t.same_bytes(f.last("whole"), f.last("cut"))


def check_commands(checks, f):
    run = t.run(CUDA, "eval", "--data", f.data, "--device", f.emu, "--weights",
                f.last("emu"), "--json").must()
    cpu = t.run(CPU, "eval", "--data", f.data, "--weights", f.last("emu"),
                "--json").must()
    checks.equal(run.out.split(",")[:2], cpu.out.split(",")[:2],
                 "eval counts as the cpu does")
    run = t.run(CUDA, "bench", "--device", f.emu, "--steps", "5", "--profile")
    checks.that("emulated GPU" in run.must().out and "update_w" in run.out,
                "bench --profile", run.out)


def check_bad_loss(checks, f):
    more = ("--lr", "1e38", "--set", "schedule=constant")
    run = f.train("bad", *more)
    checks.refused(run, "the loss is -?nan: .*with --check", "a bad loss")
    run = f.train("bad", *more, "--check")
    checks.refused(run, r"not finite.*dense fc at tiny.net:7:12",
                   "kernel by kernel: the op and its line")


def check_machine(checks, f):
    """What is not there."""
    def refused(pattern, text, device=f.emu, **env):
        run = f.train("machine", device=device,
                      env={k: str(v) for k, v in env.items()})
        checks.refused(run, pattern, text)
        checks.that(not os.path.exists(f.last("machine")), "nothing is left")

    refused("no GPU driver here.*--target cpu", "no driver", device="cuda",
            LD_LIBRARY_PATH="")
    refused("cannot open the emulator", "no emulator", device="emu:/no/such.so")
    refused("has no function cuInit", "another library", device="emu:libm.so.6")
    refused('no device "gpu"', "an unknown device", device="gpu")
    refused("after cuda: comes the number", "a bad number", device="cuda:x")
    refused("compiled for GPUs", "a program for GPUs on the cpu", device="cpu")
    refused("but no GPU", "no GPU", TGC_EMU_DEVICES=0)
    refused("knows CUDA 11.0, and 11.4 is needed", "an ancient driver",
            TGC_EMU_VERSION=11000)
    refused("knows CUDA 12.4, and these kernels want one of CUDA 13.0",
            "an old driver", TGC_EMU_VERSION=12040, TGC_EMU_REFUSE="all")
    refused("an sm_75, and tiny was compiled for sm_90, compute_80 .*"
            "--target cuda:sm_75", "an old GPU", TGC_EMU_ARCH=75)
    refused(r"needs [\d.]+ KiB and 4.00 KiB of its 4.00 KiB are free",
            "a full GPU", TGC_EMU_MEMORY=4096)
    run = f.train("machine", binary=CPU, device="cuda")
    checks.refused(run, "compiled for the cpu .*--target cuda",
                   "a program for the cpu on a GPU")


def check_images(checks, f):
    """A driver that refuses one image gets the other."""
    for env, image in (({}, "sm_90"), ({"TGC_EMU_REFUSE": "cubin"}, "compute_80"),
                       ({"TGC_EMU_ARCH": "100"}, "compute_80"),
                       ({"TGC_EMU_ARCH": "86"}, "compute_80")):
        run = f.train("image", "--steps", 1, env=env).must()
        checks.that(f"kernels for {image}\n" in run.out, f"{env}: {image}",
                    run.out[:200])


def check_system_driver(checks, f):
    """The library that the system would have."""
    os.symlink(f.library, f.path("libcuda.so.1"))
    for device in ("auto", "cuda", "cuda:0"):
        run = f.train("system", "--steps", 3, device=device,
                      env={"LD_LIBRARY_PATH": f.folder})
        checks.that(run.status == 0, f"--device {device}", run.err)
    run = f.train("system", device="cuda:1", env={"LD_LIBRARY_PATH": f.folder})
    checks.refused(run, r"there is 1 GPU here \(cuda:0\)", "a second GPU")


CALLS = ("cuMemGetInfo", "cuMemAlloc", "cuMemHostAlloc", "cuStreamCreate",
         "cuEventCreate", "cuModuleLoadDataEx", "cuModuleGetFunction",
         "cuStreamSynchronize", "cuStreamBeginCapture", "cuStreamEndCapture",
         "cuStreamGetCaptureInfo", "cuStreamUpdateCaptureDependencies",
         "cuGraphInstantiate", "cuGraphLaunch", "cuLaunchKernel",
         "cuEventRecord", "cuStreamWaitEvent", "cuEventSynchronize")


def check_failing_calls(checks, f):
    for call in CALLS:
        run = f.train("calls", env={"TGC_EMU_FAIL": call})
        checks.refused(run, f"the GPU: {call}.*out of memory "
                       r"\(CUDA_ERROR_OUT_OF_MEMORY 2\)", call)
    run = f.train("calls", "--check", env={"TGC_EMU_FAIL": "cuLaunchKernel"})
    checks.refused(run, r"cuLaunchKernel of forward \(dense fc, tiny.net:7:12\)",
                   "the kernel and its line")


def calls(f, steps):
    path = f.path("counts")
    f.train("counted", "--steps", steps, env={"TGC_EMU_CALLS": path}).must()
    with open(path, encoding="utf-8") as file:
        return {name: int(n) for name, n in map(str.split, file)}


def check_calls(checks, f):
    """A step is one launch, and what tells its batch and its end."""
    few, many = calls(f, 10), calls(f, 12)  # both within the first epoch
    each = {name: (many[name] - few.get(name, 0)) / 2 for name in many}
    each = {name: n for name, n in each.items() if n}
    checks.equal(each, {"cuGraphLaunch": 1, "copy": 2, "cuEventRecord": 2,
                        "cuStreamWaitEvent": 1, "cuEventSynchronize": 1},
                 "the driver's calls of a step")


def check_verbs(checks, f):
    """Without a driver every command says so, or does not need one."""
    none = {"LD_LIBRARY_PATH": ""}
    for verb in (("train", "--data", f.data), ("bench",), ("eval", "--data",
                 f.data, "--weights", f.last("emu"))):
        run = t.run(CUDA, *verb, env=none)
        if run.status:  # there may be one here
            checks.refused(run, "^[^\n]*no GPU[^\n]*\n$", verb[0])
    for verb in (("info",), ("info", "--json"), ("--help",), ("train",
                 "--help"), ("train", "--print-config")):
        checks.equal(t.run(CUDA, *verb, env=none).status, 0, " ".join(verb))


def check_lost(checks, f):
    """The device goes away: what was saved before is whole."""
    for kernel in (1, 100, 200):
        f.train("lost", "--steps", 13).must()
        run = t.run(CUDA, "train", "--data", f.data, "--device", f.emu,
                    "--resume", f.last("lost"), "--save-every", "50",
                    env={"TGC_EMU_LOST": str(kernel)})
        checks.refused(run, "fallen off the bus", f"lost at kernel {kernel}")
        step = int(t.load_tensors(f.last("lost"))[1]["tgc.step"])
        checks.that(13 <= step <= 13 + kernel // 6, "the checkpoint is whole",
                    step)
        t.run(CUDA, "train", "--data", f.data, "--device", f.emu, "--resume",
              f.last("lost")).must()
        checks.that(t.same_bytes(f.last("emu"), f.last("lost")),
                    "and the run goes on from it, to the same bytes")


def main():
    checks = t.Checks()
    f = Fixture()
    for check in (check_cpu, check_same_bits, check_edges, check_commands, check_bad_loss,
                  check_machine, check_images, check_system_driver,
                  check_failing_calls, check_calls, check_verbs, check_lost):
        check(checks, f)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
