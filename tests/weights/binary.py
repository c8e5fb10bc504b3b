"""A training binary takes weights in every format, with the same result, and
says what does not fit. usage: binary.py TINY"""
import array
import os
import struct
import sys
import zipfile

import tgctest as t

TINY = sys.argv[1]
DESCR = {"f": "<f4", "d": "<f8", "q": "<i8", "i": "<i4"}


def write_npz(path, tensors, packed=False):
    """By hand, so that it needs no NumPy."""
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, (shape, values) in tensors.items():
            shape = "".join(f"{n}, " for n in shape)
            head = (f"{{'descr': '{DESCR[values.typecode]}', 'fortran_order': "
                    f"False, 'shape': ({shape}), }}\n").encode()
            archive.writestr(name + ".npy", b"\x93NUMPY\1\0" + struct.pack(
                "<H", len(head)) + head + values.tobytes())


def write_torch(path, tensors, zipped):
    import torch
    torch.save({"epoch": 1, "state_dict": {
        "module." + n: torch.tensor(v.tolist()).reshape(shape)
        for n, (shape, v) in tensors.items()}}, path,
        _use_new_zipfile_serialization=zipped)


class Fixture:
    def __init__(self):
        self.folder = t.scratch("weights_binary")
        self.data = t.idx_data(self.path("data"))
        self.train("run", "--epochs", 1).must()
        self.good = self.path("run", "last.safetensors")
        tensors, self.metadata = t.load_tensors(self.good)
        self.all = tensors
        self.weights = {n: v for n, v in tensors.items()
                        if not n.endswith(".momentum")}

    def path(self, *name):
        return os.path.join(self.folder, *name)

    def train(self, name, *more):
        return t.run(TINY, "train", "--data", self.data, "--save-dir",
                     self.path(name),
                     *([] if "--resume" in more else ["--overwrite"]), *more)

    def evaluate(self, weights):
        return t.run(TINY, "eval", "--data", self.data, "--json", "--weights",
                     weights)


def changed(tensors, name, shape, values):
    return dict(tensors, **{name: (shape, values)})


def doubled(tensors):
    return {n: (shape, array.array("d", v)) for n, (shape, v) in tensors.items()}


def check_same(checks, f, path, text):
    wanted, got = f.evaluate(f.good).must(), f.evaluate(path)
    checks.equal(got.out + got.err, wanted.out, text + ": eval")
    start = [f.train(name, "--init", init, "--steps", "2").must()
             for name, init in (("wanted", f.good), ("got", path))]
    checks.that(start and t.same_bytes(f.path("wanted", "last.safetensors"),
                                       f.path("got", "last.safetensors")),
                text + ": --init")


def check_formats(checks, f):
    npz = f.path("weights.npz")
    for text, tensors in (("float32", f.weights), ("float64", doubled(f.weights)),
                          ("module.", {"module." + n: v
                                       for n, v in f.weights.items()})):
        for packed in (False, True):
            write_npz(npz, tensors, packed)
            check_same(checks, f, npz, f".npz, {text}, packed: {packed}")
    double = f.path("double.safetensors")
    t.save_tensors(double, doubled(f.weights))
    check_same(checks, f, double, "safetensors, float64")
    try:
        for zipped in (False, True):
            write_torch(f.path("weights.th"), f.weights, zipped)
            check_same(checks, f, f.path("weights.th"), f"zip: {zipped}, .th")
    except ImportError:
        print("        (PyTorch is not installed: its files are left out)")


def check_refused(checks, f):
    npz = f.path("wrong.npz")

    def no(text, pattern, tensors, command=f.evaluate):
        write_npz(npz, tensors)
        checks.refused(command(npz), pattern, text)
    name = next(n for n, (shape, _) in f.weights.items() if len(shape) == 2)
    shape, values = f.weights[name]
    no("turned", f"does not fit.*{name} is F32\\[784,10\\] there",
       changed(f.weights, name, shape[::-1], values))
    no("of integers", f"{name} is I32", changed(
        f.weights, name, shape, array.array("i", bytes(4 * len(values)))))
    no("too large a number", "cannot hold", changed(
        f.weights, name, shape, array.array("d", [1e40] * len(values))))
    no("less", f"missing: {name}",
       {n: v for n, v in f.weights.items() if n != name})
    no("more", "not in this model: more",
       changed(f.weights, "more", [1], array.array("f", [0])))
    no("no checkpoint", "holds weights only", f.all,
       lambda path: f.train("resumed", "--resume", path))
    double = f.path("double.safetensors")
    t.save_tensors(double, doubled(f.all), f.metadata)
    checks.refused(f.train("resumed", "--resume", double),
                   "of another shape or type", "a checkpoint of other types")


def check_part(checks, f):
    """The named part is the file's, the rest starts as it would without; what
    is asked for must fit."""
    other = f.path("other.npz")
    classes = {n: ([shape[0] + 1] + shape[1:], v + v[:len(v) // shape[0]])
               for n, (shape, v) in f.weights.items() if n.startswith("fc.")}
    mean = {"norm.running_mean": ([1], array.array("f", [0.25]))}
    write_npz(other, {**classes, **mean, "more": ([1], array.array("f", [0]))})

    def start(name, *options):
        run = f.train(name, "--steps", "0", *options)
        return run, t.load_tensors(f.path(name, "last.safetensors"))[0]
    fresh = start("fresh")[1]
    for options in (["--skip", "fc.*"], ["--load", "norm.*"],
                    ["--load", "*", "--skip", "fc.weight  fc.bias"]):
        run, got = start("part", "--init", other, *options)
        text = " ".join(options)
        checks.that("other.npz: 1 tensor loaded; 2 left as they start: "
                    "fc.weight, fc.bias; 1 there that is of no use: more\n"
                    in run.must().out, text + ": the report", run.out)
        checks.equal(got["norm.running_mean"], mean["norm.running_mean"],
                     text + ": what was loaded")
        checks.equal({n: v for n, v in got.items() if n != "norm.running_mean"},
                     {n: v for n, v in fresh.items()
                      if n != "norm.running_mean"}, text + ": what was not")
    for options, pattern in (
            (["--load", "fc.*"], "fc.weight is F32\\[11,784\\] there.*--skip"),
            (["--skip", "fc.* zzz"], 'has a name like "zzz"'),
            (["--skip", "norm.*"], "of another shape.*--skip")):
        checks.refused(f.train("part", "--init", other, *options), pattern,
                       " ".join(options))
    checks.refused(f.train("part", "--skip", "fc.*"), "--init FILE",
                   "--skip without --init")


def main():
    checks = t.Checks()
    f = Fixture()
    check_formats(checks, f)
    check_refused(checks, f)
    check_part(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
