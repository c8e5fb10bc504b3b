"""Every convolution of every model, and some odd ones, handed to the real cuDNN:
it takes the descriptors, and among the engines that it proposes for an A100 and
an H100 is one that may be taken.  cuDNN makes plans for a device that is
described to it, so this needs the library and no GPU.
usage: cudnn_real.py CUDNN_PLANS"""
import ctypes
import glob
import json
import os
import re
import sys

import tgctest as t

PLANS = sys.argv[1]
SAME = {"resnet", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202"}
COMMON = {
    "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
    "regsPerBlock": 65536, "warpSize": 32, "maxSharedMemoryPerBlock": 49152,
    "reservedSharedMemoryPerBlock": 1024, "oversizedSharedMemoryPerBlock": 0,
    "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024,
    "maxThreadsPerSM": 2048, "smCountOrigin": 0, "pciDeviceId": 0,
    "isTccDriver": 0, "supportCoopLaunch": 1, "memoryBusWidth": 5120,
    "totalGlobalMem": 80 << 30, "cudaDeviceId": 0, "driverVer": 13000}
DEVICES = {
    "A100": {"deviceVer": 800, "multiProcessorCount": 108,
             "maxSharedMemoryPerBlockOptin": 166912, "l2CacheSize": 40 << 20,
             "smClockRateKHz": 1410000, "memClockRateKHz": 1593000},
    "H100": {"deviceVer": 900, "multiProcessorCount": 132,
             "maxSharedMemoryPerBlockOptin": 232448, "l2CacheSize": 50 << 20,
             "smClockRateKHz": 1980000, "memClockRateKHz": 2619000}}
# cuDNN's libraries are linked with the driver's, which they do not call here.
DRIVER = """GetErrorString GetErrorName ModuleGetFunction ModuleLoadData
ModuleUnload TensorMapEncodeIm2col TensorMapEncodeTiled CtxGetCurrent
CtxGetLimit CtxPopCurrent CtxPushCurrent StreamGetCtx LinkCreate LinkAddData
LinkComplete LinkDestroy LaunchKernel LaunchCooperativeKernel LaunchKernelEx
DeviceGetCount DeviceGet LibraryLoadData LibraryLoadFromFile LibraryGetKernel
LibraryUnload KernelSetAttribute KernelGetAttribute
OccupancyMaxPotentialClusterSize""".split()
ODD = """# groups, dilation, windows and steps that are not square, 7x7
net odd(image: [6, 45, 37]) {
    x = relu(stem: conv(image, 24, 7, 2))
    x = relu(groups: conv(x, 24, 3, groups = 4))
    x = relu(depth: conv(x, 24, 5, groups = 24))
    x = relu(wide: conv(x, 32, [3, 5], [2, 1], dilation = 2, pad = [2, 4]))
    x = relu(point: conv(x, 17, 1, 2, bias = false))
    return linear: dense(mean(x), 10)
}

train {
    data folder
    batch = 7
}
"""


def stand_in(folder):
    """A libcuda.so.1, where there is no driver."""
    try:
        ctypes.CDLL("libcuda.so.1")
        return {}
    except OSError:
        pass
    source = os.path.join(folder, "driver.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("int cuDriverGetVersion(int *v) { *v = 13000; return 0; }\n")
        file.write("".join(f"int cu{n}(void) {{ return 0; }}\n"
                           for n in DRIVER))
    t.run("cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o",
          os.path.join(folder, "libcuda.so.1"), source).must()
    before = os.environ.get("LD_LIBRARY_PATH", "")
    return {"LD_LIBRARY_PATH": folder + (":" + before if before else "")}


def check(checks, name, device, precision, path, env):
    run = t.run(PLANS, device, precision, path, env=env)
    if run.status and re.search("there is no cuDNN|9.8 is needed", run.err):
        t.skip(run.err.strip())
    checks.equal(run.status, 0, f"{name}: cuDNN takes all of it")
    if run.status:
        print(run.err[-1500:])
        return 0
    rows = [line.split(" ", 3) for line in run.out.splitlines()]
    checks.that(all(int(used) <= int(room) for _, used, room, _ in rows),
                f"{name}: within the planned memory", rows)
    kinds = {row[3].split(" F")[0].split(" B")[0] for row in rows}
    checks.that("convolution" in kinds, f"{name}: {len(rows)} of them", kinds)
    return len(rows)


def main():
    checks = t.Checks()
    folder = t.scratch("cudnn_real")
    # Neither leaks nor what the loader does there is our affair.
    env = {**stand_in(folder), "ASAN_OPTIONS": "detect_leaks=0"}
    odd = os.path.join(folder, "odd.net")
    with open(odd, "w", encoding="utf-8") as file:
        file.write(ODD)
    models = [p for p in sorted(glob.glob(os.path.join(t.MODELS, "*.net")))
              if os.path.basename(p)[:-4] not in SAME]
    models = [p for p in models if re.search(r"\bconv|resnet", open(p).read())]
    total = 0
    for device, numbers in DEVICES.items():
        described = os.path.join(folder, device + ".json")
        with open(described, "w", encoding="utf-8") as file:
            json.dump({**COMMON, **numbers, "deviceName": device}, file)
        for path in [*models, odd]:
            for precision in ("f32", "f16", "bf16"):
                name = f"{os.path.basename(path)} {precision} {device}"
                total += check(checks, name, described, precision, path, env)
    print(f"        {total} convolutions")
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
