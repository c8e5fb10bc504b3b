"""What the test scripts share: running tgc and its binaries, tiny data sets,
safetensors, and a list of checks that goes on after a failure.

Only Python's standard library. The environment comes from CTest; by hand:

    TGC_BUILD=build python3 tests/e2e/resume.py
"""
import array
import gzip
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("TGC_SOURCE") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(
    os.environ.get("TGC_BUILD") or os.path.join(SOURCE, "build"))
TGC = os.environ.get("TGC") or os.path.join(BUILD, "tgc")
MODELS = os.path.join(SOURCE, "models")
SHARED = os.environ.get("TGC_SHARED") or os.path.join(SOURCE, "..", "shared")
SANITIZED = bool(os.environ.get("TGC_SANITIZE"))
FASHION = "/usr/share/datasets/fashion-mnist"


# ---- outcomes ---------------------------------------------------------------


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


class Checks:
    """Prints each check, counts failures, and leaves with the status."""

    def __init__(self):
        self.failed = 0

    def that(self, condition, text, detail=""):
        print(("ok      " if condition else "FAILED  ") + text)
        if not condition:
            self.failed += 1
            if detail:
                print("        " + str(detail).strip().replace("\n", "\n        "))
        sys.stdout.flush()
        return bool(condition)

    def equal(self, got, wanted, text):
        return self.that(got == wanted, text, f"got {got!r}, wanted {wanted!r}")

    def close(self, got, wanted, tolerance, text):
        return self.that(abs(got - wanted) <= tolerance, text,
                         f"got {got!r}, wanted {wanted!r} within {tolerance}")

    def refused(self, run, pattern, text):
        """Status 1, a message that matches, nothing of a crash."""
        good = run.status == 1 and re.search(pattern, run.err, re.I | re.S)
        return self.that(good, text, f"status {run.status}, wanted 1 and a "
                         f"message like /{pattern}/\n{run.err[-1500:]}")

    def done(self):
        sys.exit(1 if self.failed else 0)


# ---- running ----------------------------------------------------------------


class Run:
    def __init__(self, argv, done):
        self.argv, self.status = argv, done.returncode
        self.out, self.err = done.stdout, done.stderr

    def must(self):
        """This run is a precondition: without it there is nothing to test."""
        if self.status != 0:
            sys.exit(f"failed ({self.status}): {' '.join(self.argv)}\n"
                     f"{self.out[-3000:]}\n{self.err[-6000:]}")
        return self


def run(*argv, env=None, cwd=None, timeout=600, limit=None):
    """limit: called in the child before exec, e.g. to set resource limits."""
    argv = [str(a) for a in argv]
    full = dict(os.environ, **(env or {}))
    try:
        done = subprocess.run(argv, env=full, cwd=cwd, timeout=timeout,
                              stdin=subprocess.DEVNULL, preexec_fn=limit,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", errors="replace")
    except FileNotFoundError as missing:  # as a shell would say it
        done = subprocess.CompletedProcess(argv, 127, "", str(missing))
    return Run(argv, done)


def scratch(name):
    """An empty folder in the build tree."""
    path = os.path.join(BUILD, "tests", "scratch", name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def compiled(model, *options):
    """The training binary of models/MODEL.net, or of a path, compiled once in
    this build for these options."""
    path = model if os.path.sep in model else os.path.join(MODELS, model + ".net")
    name = os.path.basename(path)[:-4] + "".join(
        re.sub(r"[^\w.=-]", "_", o) for o in options)
    folder = os.path.join(BUILD, "tests", "binaries")
    os.makedirs(folder, exist_ok=True)
    binary = os.path.join(folder, name)
    runtime = os.path.join(BUILD, "runtime", "libtgcrt.a")
    newest = max(os.path.getmtime(p) for p in [
        TGC, path, runtime if os.path.exists(runtime) else TGC] + [
        os.path.join(MODELS, f) for f in os.listdir(MODELS)])
    if not os.path.exists(binary) or os.path.getmtime(binary) < newest:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            fresh = os.path.join(temporary, name)
            run(TGC, "compile", path, "-o", fresh, *options).must()
            os.rename(fresh, binary)
    return binary


def log_rows(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


# ---- data -------------------------------------------------------------------


def write_idx(path, dims, data):
    head = struct.pack(">BBBB", 0, 0, 8, len(dims))
    head += b"".join(struct.pack(">I", d) for d in dims)
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "wb") as file:
        file.write(head + data)


def idx_data(folder, train=200, test=90, size=28, seed=1, compress=False):
    """Images whose class can be learnt: a bright bar at a row of the label's."""
    os.makedirs(folder, exist_ok=True)
    generator = random.Random(seed)
    for split, count in (("train", train), ("t10k", test)):
        labels = bytes(generator.randrange(10) for _ in range(count))
        images = bytearray(generator.randbytes(count * size * size))
        for i in range(len(images)):
            images[i] >>= 2
        for i, label in enumerate(labels):
            at = i * size * size + (2 + 2 * label) * size
            images[at:at + 2 * size] = b"\xe0" * (2 * size)
        end = ".gz" if compress else ""
        stem = os.path.join(folder, split)
        write_idx(stem + "-images-idx3-ubyte" + end, [count, size, size],
                  bytes(images))
        write_idx(stem + "-labels-idx1-ubyte" + end, [count], labels)
    return folder


def cifar10():
    """The CIFAR-10 binary files, unpacked once for all builds."""
    given = os.environ.get("TGC_CIFAR10")
    folder = given or os.path.join(SOURCE, "build", "cifar10")
    last = os.path.join(folder, "batches.meta.txt")
    if os.path.exists(last):
        return folder
    script = os.path.join(SHARED, "data", "cifar10", "unpack")
    if not os.path.exists(script):
        skip("no CIFAR-10: set TGC_CIFAR10 to a folder with the binary files")
    probe = run(sys.executable, "-c", "import numpy, PIL")
    if probe.status != 0:
        skip("unpacking CIFAR-10 needs python3-numpy and python3-pil")
    os.makedirs(folder, exist_ok=True)
    run(sys.executable, script, folder).must()
    return folder


def shared(*parts):
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path):
        skip(f"no {'/'.join(parts)}: set TGC_SHARED to the folder with it")
    return path


# ---- safetensors ------------------------------------------------------------

ARRAY = {"F32": "f", "F64": "d", "I64": "q", "I32": "i", "U8": "B"}


def read_safetensors(path):
    """{name: (its entry of the header, its bytes)} and the metadata."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    return {name: (entry, data[slice(*entry["data_offsets"])])
            for name, entry in header.items()}, metadata


def tensor_bytes(path):
    """{name: bytes}"""
    return {name: data for name, (_, data) in read_safetensors(path)[0].items()}


def load_tensors(path):
    """{name: (shape, array)} and the metadata."""
    found, metadata = read_safetensors(path)
    tensors = {}
    for name, (entry, data) in found.items():
        values = array.array(ARRAY[entry["dtype"]])
        values.frombytes(data)
        tensors[name] = (entry["shape"], values)
    return tensors, metadata


def save_tensors(path, tensors, metadata=None):
    """tensors: {name: (shape, array)}, written in this order."""
    kind = {code: name for name, code in ARRAY.items()}
    header, at = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, (shape, values) in tensors.items():
        size = len(values) * values.itemsize
        header[name] = {"dtype": kind[values.typecode], "shape": shape,
                        "data_offsets": [at, at + size]}
        at += size
    write_safetensors(path, header,
                      b"".join(v.tobytes() for _, v in tensors.values()))


def write_safetensors(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def norm(values):
    return sum(v * v for v in values) ** 0.5


def same_bytes(a, b):
    with open(a, "rb") as first, open(b, "rb") as second:
        return first.read() == second.read()
