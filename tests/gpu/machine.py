"""The GPU of this machine, asked of its driver."""
import ctypes
import os
import platform


def attribute(cuda, which, device):
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value


def find():
    """{name, arch, driver, memory_bytes, processors}, or {missing: why}."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"missing": f"no driver: {error}"}
    status = cuda.cuInit(0)
    count, version = ctypes.c_int(), ctypes.c_int()
    if status == 0:
        cuda.cuDeviceGetCount(ctypes.byref(count))
    if status or not count.value:
        return {"missing": f"the driver finds no GPU (cuInit says {status})"}
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    total = ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(device), 0)
    cuda.cuDeviceGetName(name, 255, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    arch = 10 * attribute(cuda, 75, device) + attribute(cuda, 76, device)
    return {"name": name.value.decode(), "arch": f"sm_{arch}",
            "driver": f"{version.value // 1000}.{version.value % 1000 // 10}",
            "memory_bytes": total.value,
            "multiprocessors": attribute(cuda, 16, device), **host()}


def emulated():
    return {"name": "emulated GPU", "arch": "sm_90", "driver": "13.0",
            "memory_bytes": 1 << 34, "multiprocessors": 1, **host()}


def host():
    """In words, with nothing that names the machine."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except (AttributeError, OSError):  # before Python 3.10
        system = "Linux"
    return {"processor": model, "cores": len(os.sched_getaffinity(0)),
            "system": system}


def line(gpu):
    return (f"{gpu['name']} ({gpu['arch']}, {gpu['memory_bytes'] / 2**30:.0f} "
            f"GiB, driver for CUDA {gpu['driver']}); {gpu['cores']} cores of "
            f"{gpu['processor']}, {gpu['system']}")
