#!/usr/bin/env python3
"""Compiles CUDA kernels for the emulator.

    emulate.py OUT.so FILE.cu...

The files are what `tgc compile --target cuda --save-temps DIR` leaves, or what
`--emit=cu` prints.  OUT.so is a CUDA driver whose one GPU is the emulator: with

    ./net train --device emu:OUT.so ...

the binary that was compiled with these kernels runs on it.  Needs a C++
compiler; $CXX says which."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..", "..")
INCLUDE = ["-I", HERE, "-I", os.path.join(SOURCE, "codegen"),
           "-I", os.path.join(SOURCE, "runtime")]
CORE = ("emulator.cc", "warp.cc", "memory.cc", "driver.cc", "graph.cc",
        "cudnn.cc")
FLAGS = ["-std=c++17", "-fPIC", "-g1", "-w", "-fno-strict-aliasing"]
# -fsanitize=thread: a call before each access; memory.cc has the functions.
# Sums and products stay apart: whether a GPU contracts them is its own matter.
KERNEL_FLAGS = ["-O1", "-fsanitize=thread", "-ffp-contract=off",
                "-fno-math-errno", "-DTGC_EMULATED", "-x", "c++"]
# -fno-gnu-unique: kernels of two objects in one process may have one name.
KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:'
                    r'__launch_bounds__\((\d+)[^)]*\)\s+)?(\w+)\s*\(')
DYNAMIC = re.compile(r'extern\s+__shared__\s+[^;]*?\b(\w+)\s*\[\s*\]')


def compiler():
    names = [os.environ.get("CXX"), "g++", "c++", "g++-12"]
    return next((n for n in names if n and shutil.which(n.split()[0])), None)


class Failed(Exception):
    pass


def run_all(commands):
    """All at once, as many as there are processors."""
    left, running, most = list(commands), [], os.cpu_count() or 1
    while left or running:
        while left and len(running) < most:
            running.append(subprocess.Popen(left.pop(0),
                                            stderr=subprocess.PIPE))
        done = running.pop(0)
        text = done.communicate()[1].decode(errors="replace")
        if done.returncode:
            for other in running:
                other.kill()
                other.wait()
            raise Failed(text[:4000])


def is_fresh(out):
    """Newer than all that it may be made of."""
    parts = [os.path.join(HERE, n) for n in os.listdir(HERE)]
    parts += [os.path.join(SOURCE, "runtime", n)
              for n in ("cuda_api.h", "cudnn_api.h")]
    return os.path.exists(out) and all(
        os.path.getmtime(p) < os.path.getmtime(out) for p in parts
        if p.endswith((".cc", ".h")))


def core_objects(cxx, folder):
    """The emulator itself; $TGC_EMULATOR is a folder to keep it in."""
    kept = os.environ.get("TGC_EMULATOR") or folder
    objects = [os.path.join(kept, name + ".o") for name in CORE]
    stale = [(n, o) for n, o in zip(CORE, objects) if not is_fresh(o)]
    run_all([*cxx.split(), *FLAGS, "-O2", *INCLUDE, "-c", "-o",
             f"{out}.{os.getpid()}", os.path.join(HERE, name)]
            for name, out in stale)
    for _, out in stale:
        os.replace(f"{out}.{os.getpid()}", out)
    return objects


def wrapped(text, path):
    """The text as it is, and a line for each of its kernels."""
    names = sorted(set(DYNAMIC.findall(text)))
    head = "".join(f"#define {name} emu_dynamic_shared\n" for name in names)
    if '"cuda_emulated.h"' not in text:  # the prelude does
        head += '#include "cuda_prelude.cuh"\n'
    tail = "".join(f"EMU_KERNEL({name}, {threads or 0})\n"
                   for threads, name in KERNEL.findall(text))
    return f'{head}#line 1 "{path}"\n{text}\n{tail}'


def emulate(out, files, defines=()):
    cxx = compiler()
    if not cxx:
        raise Failed("there is no C++ compiler")
    with tempfile.TemporaryDirectory(prefix="emulate-") as folder:
        objects, commands = core_objects(cxx, folder), []
        for i, path in enumerate(files):
            source = os.path.join(folder, f"text_{i}.cc")
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(source, "w", encoding="utf-8") as file:
                file.write(wrapped(text, path))
            objects.append(os.path.join(folder, f"text_{i}.o"))
            commands.append([*cxx.split(), *FLAGS, *KERNEL_FLAGS,
                             *(["-fno-gnu-unique"] if "clang" not in cxx
                               else []),
                             *[f"-D{d}" for d in defines], *INCLUDE, "-c",
                             "-o", objects[-1], source])
        shared = os.path.join(folder, "shared.cc")
        with open(shared, "w", encoding="utf-8") as file:
            file.write('#include "emulator.h"\nalignas(128) thread_local char '
                       "emu_dynamic_shared[EMU_SHARED_MOST];\n")
        objects.append(shared)
        run_all(commands)
        run_all([[*cxx.split(), *FLAGS, *INCLUDE, "-shared", "-Wl,-z,defs", "-o",
                  out + ".new",
                  *objects, "-ldl"]])
        os.replace(out + ".new", out)


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        emulate(sys.argv[1], sys.argv[2:])
    except (Failed, OSError) as error:
        print(f"emulate.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
