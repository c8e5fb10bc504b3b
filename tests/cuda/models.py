"""Every kernel of every model under models/, in float32, f16 and bf16, through
NVRTC for the GPUs that tgc makes images for: all compile, and no more than
a stated handful spill registers.

Kernels are taken apart and each different one is compiled once for each GPU,
whatever models have it.  What a kernel needs is kept beside the builds
(cuda-kernels/), by the hash of its text and options, so that the next run is
quick."""
import ctypes
import glob
import hashlib
import json
import multiprocessing
import os
import re

import tgctest as t

GPUS = ["sm_80", "sm_90", "sm_100", "sm_120"]
PRECISIONS = ["f32", "f16", "bf16"]
# Spilling is measured in bytes that a thread writes to memory and reads again.
SPILLING_KERNELS = 16  # of a GPU: less than one in a hundred
SPILLED_BYTES = 24
OPTIONS = ["-std=c++17", "-default-device", "-diag-suppress=177", "--fmad=false",
           "--ptxas-options=-v"]
KEPT = os.path.join(os.path.dirname(t.BUILD), "cuda-kernels")
A_UNIT = 24  # kernels compiled together
ENTRY = re.compile(r"Compiling entry function '(\w+)'.*?\n(.*?)Used (\d+) "
                   r"registers", re.S)
SPILL = re.compile(r"(\d+) bytes spill stores")


def open_nvrtc():
    names = [os.environ.get("TGC_NVRTC"), "libnvrtc.so.13", "libnvrtc.so.12"]
    names += sorted(glob.glob("/usr/local/cuda*/lib64/libnvrtc.so.1*"),
                    reverse=True)
    for name in filter(None, names):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    return None


def compile_unit(job):
    """(status, log) of a source for a GPU."""
    source, gpu = job
    nvrtc = open_nvrtc()
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"k.cu", 0,
                             None, None)
    options = [o.encode() for o in OPTIONS + [f"-arch={gpu}"]]
    array = (ctypes.c_char_p * len(options))(*options)
    status = nvrtc.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status, log.value.decode()


def model_kernels(path, precision):
    """The head, and the kernels by a name that says what is in them."""
    options = []
    if precision != "f32":
        options = ["--set", f"precision={precision}"]
    if "1202" in path:  # its own way to train it
        options += ["--memory", "10GiB"]
    text = t.run(t.TGC, "compile", path, "--target", "cuda", "--emit=cu",
                 *options).must().out
    ends = [m.end() for m in re.finditer(
        r'^extern "C" __global__.*?^}\n\n', text, re.S | re.M)]
    first = re.search(r"^(static __device__ void|struct) \w+_[0-9a-f]{10}_",
                      text, re.M)
    begin = text.rindex("\n/* ", 0, first.start()) + 1  # its comment
    kernels = {}
    for start, end in zip([begin] + ends, ends):
        body = text[start:end]
        body = body[body.index("*/") + 3:]  # the comment names the model
        # the name goes by what is in it
        name = re.search(r"__launch_bounds__\([^)]*\)\n(\w+)\(", body).group(1)
        kernels[name] = body
    return text[:begin], kernels


def all_kernels():
    head, kernels = "", {}  # name -> text
    for path in sorted(glob.glob(os.path.join(t.MODELS, "*.net"))):
        for precision in PRECISIONS:
            head, found = model_kernels(path, precision)
            kernels.update(found)
    return head, kernels


def kept_path(head, gpu, kernel, version):
    key = hashlib.sha256("\0".join([head, gpu, version, kernel] +
                                   OPTIONS).encode())
    return os.path.join(KEPT, key.hexdigest()[:32])


def read_log(log):
    """kernel -> bytes spilled"""
    return {m.group(1): int(SPILL.search(m.group(2)).group(1))
            for m in ENTRY.finditer(log)}


def compile_all(checks, head, kernels, version):
    os.makedirs(KEPT, exist_ok=True)
    spilled, jobs, members = {}, [], []
    for gpu in GPUS:
        left = []
        for name in sorted(kernels):
            path = kept_path(head, gpu, name, version)
            if os.path.exists(path):
                with open(path) as file:
                    spilled[gpu, name] = json.load(file)
            else:
                left.append(name)
        for i in range(0, len(left), A_UNIT):
            unit = left[i:i + A_UNIT]
            jobs.append((head + "".join(kernels[n] for n in unit), gpu))
            members.append(unit)
    print(f"        {len(kernels)} different kernels, {len(jobs)} units to "
          f"compile, {len(spilled)} results kept from before")
    with multiprocessing.Pool(min(2, os.cpu_count() or 1)) as pool:
        for (_, gpu), unit, (status, log) in zip(
                jobs, members, pool.imap(compile_unit, jobs)):
            found = read_log(log)
            if not checks.that(status == 0 and set(unit) <= set(found),
                               f"{gpu}: {', '.join(unit[:3])} .. compile",
                               log[-3000:]):
                continue
            for name in unit:
                spilled[gpu, name] = found[name]
                with open(kept_path(head, gpu, name, version), "w") as file:
                    json.dump(found[name], file)
    return spilled


def main():
    nvrtc = open_nvrtc()
    if not nvrtc:
        t.skip("no NVRTC (the CUDA toolkit's libnvrtc)")
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    if (major.value, minor.value) < (12, 8):
        t.skip(f"NVRTC {major.value}.{minor.value} does not know sm_100")
    checks = t.Checks()
    head, kernels = all_kernels()
    checks.that(len(kernels) > 100, "the models have kernels", len(kernels))
    spilled = compile_all(checks, head, kernels, f"{major.value}.{minor.value}")
    checks.equal(set(spilled), {(gpu, n) for n in kernels for gpu in GPUS},
                 "each is compiled for each GPU")
    for gpu in GPUS:
        bad = {n: b for (g, n), b in spilled.items() if g == gpu and b}
        checks.that(len(bad) <= SPILLING_KERNELS and
                    all(b <= SPILLED_BYTES for b in bad.values()),
                    f"{gpu}: {len(bad)} of {len(kernels)} kernels spill", bad)
    checks.done()


if __name__ == "__main__":
    main()
