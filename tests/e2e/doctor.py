"""tgc doctor in environments that are made up: what is there, what is not,
what to type, and the status. usage: doctor.py FAKE_NVRTC"""
import os
import re
import stat
import sys

import tgctest as t

FOLDER = t.scratch("doctor")
NVRTC = os.path.abspath(sys.argv[1])
CC = os.environ.get("CC", "cc")

CUDA = """
#include <stdio.h>
#include <string.h>
int cuInit(unsigned flags) { (void)flags; return RESULT; }
int cuDriverGetVersion(int *v) { *v = 12080; return 0; }
int cuGetErrorName(int e, const char **s) { (void)e; *s = "NAME"; return 0; }
int cuGetErrorString(int e, const char **s) { (void)e; *s = "text"; return 0; }
int cuDeviceGetCount(int *n) { *n = 2; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetName(char *s, int n, int d)
{ snprintf(s, n, "Made-up %c", 'A' + d); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d)
{ *v = a == 75 ? 8 + d : a == 76 ? 6 * !d : 0; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *)(long)d; return 0; }
int cuMemGetInfo_v2(size_t *f, size_t *n)
{ *f = 60000000000; *n = 80000000000; return 0; }
"""


def path(*name):
    return os.path.join(FOLDER, *name)


def folder(*name):
    os.makedirs(path(*name), exist_ok=True)
    return path(*name)


def doctor(*argv, **env):
    """Where nothing of this machine's user is found by chance."""
    env = {"HOME": folder("home"), "TMPDIR": folder("tmp"), "CC": CC, **env}
    return t.run(t.TGC, "doctor", *argv, env=env, cwd=folder("here"))


def row(run, name):
    """State and the text behind the name, of the row with this name."""
    found = re.search(rf"^(ok|-|MISSING) +{name} +(.*(\n {{28}}.*)*)",
                      run.out, re.M)
    return (found[1], found[2]) if found else (None, run.out + run.err)


def check_whole(checks):
    run = doctor()
    checks.equal((run.status, run.err), (0, ""), "a machine with everything")
    version = t.run(*CC.split(), "--version").must().out.split("\n")[0]
    checks.equal(row(run, "C compiler"), ("ok", version), "its compiler")
    for name, pattern in (("OpenMP", r"up to \d+ threads"),
                          ("oneDNN", r"version \d+\.\d+\.\d+$"),
                          ("zlib", r"version 1\.\d+"),
                          ("libjpeg-turbo", r"libjpeg\.so\.\d+$"),
                          ("libpng", r"libpng16\.so\.16$"),
                          ("runtime library", r".*/libtgcrt.a$"),
                          ("processor", r".+, \d+ cores?"),
                          ("memory", r"[\d.]+ GB, [\d.]+ GB of it available"),
                          ("disk", r"[\d.]+ GB free"),
                          ("cache", r"/.*/tgc, [\d.]+ GB free")):
        state, text = row(run, name)
        checks.that(state == "ok" and re.match(pattern, text), name, text)
    rows = re.findall(r"^(?:ok|-|MISSING) ", run.out, re.M)
    checks.equal(run.out.count("\n          for     "), len(rows),
                 "each says what it is for")
    checks.equal(os.listdir(path("tmp")), [], "nothing is left in TMPDIR")


def check_lacking(checks):
    lost = doctor(XDG_CACHE_HOME="", HOME="")
    checks.equal((lost.status, row(lost, "cache")[0]), (0, "-"),
                 "no place for a cache")
    file = os.path.join(path("a file"), "below")
    open(path("a file"), "w").close()
    checks.that("a file" in row(doctor(XDG_CACHE_HOME=file), "cache")[1],
                "a place that is none")
    no_path = doctor(PATH=folder("empty"), CC="cc")
    checks.refused(no_path, "lacks: C compiler, OpenMP, oneDNN, zlib",
                   "no C compiler on the path")
    checks.that("get it  apt-get install gcc libc6-dev" in no_path.out and
                "not tried: that takes a C compiler" in no_path.out,
                "what to type", no_path.out)
    no_such = doctor(CC="gcc-99 -m32")
    checks.refused(no_such, "lacks: C compiler", "CC that is not there")
    checks.that("gcc-99" in row(no_such, "C compiler")[1], "which is named")
    wrapper = path("cc-without")
    with open(wrapper, "w") as file:
        file.write('#!/bin/sh\ncase " $* " in *" -ldnnl "*)\n'
                   'echo "some words"; '
                   'echo "/usr/bin/ld: cannot find -ldnnl: No such file" >&2\n'
                   f'exit 1;; esac\nexec {CC} "$@"\n')
    os.chmod(wrapper, stat.S_IRWXU)
    no_dnnl = doctor(CC=wrapper)
    checks.refused(no_dnnl, r"lacks: oneDNN\n$", "no oneDNN")
    checks.equal(row(no_dnnl, "oneDNN"),
                 ("MISSING", "/usr/bin/ld: cannot find -ldnnl: No such file"),
                 "what the linker says")
    checks.that("get it  apt-get install libdnnl-dev\n" in no_dnnl.out,
                "its package")
    checks.refused(doctor(TGC_RUNTIME=folder("empty")),
                   r"lacks: runtime library\n$", "no runtime library")
    checks.refused(doctor(TMPDIR=path("none")), "lacks:.*temporary folder",
                   "no temporary folder")
    checks.equal(os.listdir(path("tmp")), [], "nothing is left in TMPDIR")


def library(name, text):
    with open(path("library.c"), "w") as file:
        file.write(text)
    t.run(*CC.split(), "-shared", "-fPIC", "-w", "-o", path("lib", name),
          path("library.c")).must()


def driver(result):
    """All that cuda_api.h asks for; what is not above does nothing."""
    with open(os.path.join(t.SOURCE, "runtime", "cuda_api.h")) as file:
        names = re.findall(r"X\((cu\w+),", file.read())
    text = CUDA.replace("RESULT", str(result))
    library("libcuda.so.1", text + "".join(
        f"int {n}() {{ return 0; }}\n" for n in names if n + "(" not in text))


def cudnn(version):
    with open(os.path.join(t.SOURCE, "runtime", "cudnn_api.h")) as file:
        names = re.findall(r"X\((cudnn\w+),", file.read())
    names += ["cudnnGetErrorString", "cudnnGetLastErrorString"]
    text = f"long cudnnGetVersion() {{ return {version}; }}\n"
    library("libcudnn.so.9",
            text + "".join(f"int {n}() {{ return 0; }}\n" for n in names))


def check_gpu(checks):
    lib = folder("lib")
    env = {"LD_LIBRARY_PATH": lib, "TGC_NVRTC": NVRTC, "TGC_CUDNN": ""}
    driver(0)
    for name in ("libjpeg.so.62", "libjpeg.so.8"):
        with open(path("lib", name), "w") as file:
            file.write("no library")
    cudnn(91002)
    run = doctor("--target", "cuda", **env)
    checks.equal((run.status, run.err), (0, ""), "a machine with two GPUs")
    checks.equal(row(run, "CUDA driver"), ("ok", "CUDA 12.8"), "its driver")
    checks.equal(row(run, "GPUs"),
                 ("ok", "0: Made-up A, sm_86, 80.0 GB, 60.0 GB of it free\n" +
                  28 * " " + "1: Made-up B, sm_90, 80.0 GB, 60.0 GB of it free"),
                 "its GPUs")
    checks.that(row(run, "NVRTC")[0] == "ok", "NVRTC", row(run, "NVRTC"))
    checks.equal(row(run, "libjpeg-turbo"),
                 ("-", "none of libjpeg.so.62 libjpeg.so.8"),
                 "libraries that cannot be opened")
    checks.equal(row(run, "cuDNN"), ("ok", "version 9.10.2"), "cuDNN")
    cudnn(8907)
    checks.equal(row(doctor("--target", "cuda", **env), "cuDNN"),
                 ("-", "the cuDNN here is version 8.9, and version 9 is needed"),
                 "an old cuDNN")
    driver(100)
    checks.refused(doctor("--target", "cuda", **env),
                   "target cuda lacks: CUDA driver, GPUs", "no GPU")
    checks.equal(doctor(**env).status, 0, "which target cpu does without")
    library("libcuda.so.1", "int cuInit() { return 0; }")
    old = doctor("--target", "cuda", **env)
    checks.that("older than CUDA 11.4" in row(old, "CUDA driver")[1],
                "a driver that is too old", row(old, "CUDA driver"))
    none = doctor("--target", "cuda", **dict(env, TGC_NVRTC=path("none.so")))
    checks.refused(none, "lacks:.*NVRTC", "no NVRTC")
    checks.that("get it  apt-get install libnvrtc11.2" in none.out and
                re.search(r"TGC_NVRTC names .*none\.so",
                          row(none, "NVRTC")[1]),
                "where it was looked for, and its package")


def check_data(checks):
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for place in (("home", "data"), ("elsewhere",)):
        for name in names:
            with open(os.path.join(folder(*place, "cifar-10-batches-bin"),
                                   name), "wb") as file:
                file.truncate(30730000)
    found = path("home", "data", "cifar-10-batches-bin")
    checks.equal(row(doctor(), "CIFAR-10"), ("ok", found), "data below ~/data")
    os.truncate(os.path.join(found, names[2]), 1000)
    state, text = row(doctor(), "CIFAR-10")
    checks.that(state == "-" and text.endswith("data_batch_3.bin has not its "
                                               "size"), "a cut file", text)
    os.unlink(os.path.join(found, names[5]))
    checks.that("test_batch.bin is missing" in row(doctor(), "CIFAR-10")[1],
                "a missing file")
    checks.equal(row(doctor(path("elsewhere")), "CIFAR-10"),
                 ("ok", path("elsewhere", "cifar-10-batches-bin")),
                 "data in a folder that is named")
    checks.equal(row(doctor(path("elsewhere", "cifar-10-batches-bin")),
                     "CIFAR-10")[0], "ok", "or that is the folder itself")
    t.idx_data(folder("home", "datasets", "fashion-mnist"), 5, 5, compress=True)
    state, text = row(doctor(), "Fashion-MNIST")
    checks.that(state == "ok" and "fashion" in text, "packed IDX files", text)


def main():
    checks = t.Checks()
    check_whole(checks)
    check_lacking(checks)
    check_gpu(checks)
    check_data(checks)
    checks.refused(doctor("--targets", "cuda"), "did you mean --target",
                   "an unknown option")
    checks.done()


if __name__ == "__main__":
    main()
