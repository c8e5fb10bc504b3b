"""What the installed PyTorch and NumPy write now, read back; and files of
theirs that are no weights. usage: torch_files.py DUMP"""
import os
import sys

import tgctest as t

try:
    import numpy as np
    import torch
except ImportError as missing:
    t.skip(f"{missing.name} is not installed")

from expected import lines
from samples import LEGACY, ZIP, expected, tensors

DUMP = sys.argv[1]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 3)
        self.norm = torch.nn.BatchNorm2d(5)
        self.double()

    def forward(self, x):
        return self.norm(self.conv(x))


class Runs:
    """A pickle of it would run a command, where pickles are run."""

    def __reduce__(self):
        return os.system, ("touch ran-a-command",)


def check_reads(checks, folder):
    shapes = {"whole": lambda d: d, "state_dict": lambda d: {
        "state_dict": d, "optimizer": {"state": {0: torch.ones(3)}}},
        "model_state_dict": lambda d: {"model_state_dict": d, "x": [d, d]},
        "module": lambda d: {"module." + n: v for n, v in d.items()}}
    for state in (tensors(), Net().state_dict()):
        for shape, wrap in shapes.items():
            for kind in (ZIP, LEGACY):
                path = os.path.join(folder, "file.pt")
                torch.save(wrap(state), path,
                           _use_new_zipfile_serialization=kind == ZIP)
                run = t.run(DUMP, path)
                checks.equal(run.out + run.err, expected(kind, state),
                             f"{len(state)} tensors, {shape}, {kind}")


def check_numpy(checks, folder):
    random = np.random.RandomState(3)
    arrays = {f"a{i}": random.standard_normal(random.randint(0, 5, i))
              .astype("<f4", order="FC"[i % 2]) for i in range(8)}
    for save in (np.savez, np.savez_compressed):
        path = os.path.join(folder, "file.npz")
        save(path, **arrays)
        run = t.run(DUMP, path)
        checks.equal(run.out + run.err, lines("NumPy's .npz", arrays),
                     save.__name__)


def refused(checks, folder, text, pattern, save):
    path = os.path.join(folder, "refused")
    with open(path, "wb") as file:
        save(file)
    checks.refused(t.run(DUMP, path, cwd=folder), pattern, text)


def check_torch_refused(checks, folder):
    def no(text, pattern, value, **options):
        refused(checks, folder, text, pattern,
                lambda file: torch.save(value, file, **options))
    for zipped in (True, False):
        old = {"_use_new_zipfile_serialization": zipped}
        no("a command", r"asks for (posix|os)\.system.*nothing in it was run",
           {"a": Runs()}, **old)
        no("a whole model", "Net|\"module\"", Net(), **old)
        no("no state dict", "holds no state dict.*epoch, lr",
           {"epoch": 3, "lr": 0.1}, **old)
        no("a tensor alone", "holds no state dict", torch.ones(3), **old)
        no("quantized", "asks for torch\\.", {"a": torch.quantize_per_tensor(
            torch.ones(2), 0.1, 0, torch.quint8)}, **old)
        no("sparse", "asks for torch\\.", {"a": torch.ones(2).to_sparse()},
           **old)
    no("protocol 0", "uses the pickle opcode|asks for", {"a": torch.ones(2)},
       pickle_protocol=0)
    no("protocol 5", "protocol 5", {"a": torch.ones(2)}, pickle_protocol=5)
    script = os.path.join(folder, "script.pt")
    torch.jit.script(torch.nn.Linear(2, 2)).save(script)
    checks.refused(t.run(DUMP, script), "__torch__", "TorchScript")
    checks.that(not os.path.exists(os.path.join(folder, "ran-a-command")),
                "nothing was run")


def check_numpy_refused(checks, folder):
    def no(text, pattern, array):
        refused(checks, folder, text, pattern,
                lambda file: np.savez(file, a=array))
    no("objects", "Python objects.*never", np.array([{}, Runs()], object))
    no("big-endian", "not little-endian.*>f4", np.ones(2, ">f4"))
    no("structured", "structured", np.zeros(2, [("x", "<f4")]))
    no("dates", "no plain numbers", np.zeros(2, "<M8[s]"))
    no("past float32", "a in .* F32 cannot hold", np.array([1e300, 1]))
    refused(checks, folder, "one array", "without a name.*np.savez",
            lambda file: np.save(file, np.ones(3)))


def main():
    checks = t.Checks()
    folder = t.scratch("weights_torch")
    check_reads(checks, folder)
    check_numpy(checks, folder)
    check_torch_refused(checks, folder)
    check_numpy_refused(checks, folder)
    checks.done()


if __name__ == "__main__":
    main()
