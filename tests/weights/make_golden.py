#!/usr/bin/python3
"""Writes golden/: files of weights from PyTorch and NumPy, and beside each one
what dump.c must print of it, according to them. And small ones for the fuzzer
to start from, tests/fuzz/corpus_weights/.

    python3 tests/weights/make_golden.py

Made with PyTorch 1.13 and NumPy 1.24 (Debian 12: python3-torch)."""
import io
import os
import zipfile

import numpy as np
import torch

from expected import lines
from samples import LEGACY, ZIP, expected, tensors

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


def path(name):
    return os.path.join(FOLDER, name)


def write(name, text):
    with open(path(name) + ".txt", "w", encoding="ascii") as file:
        file.write(text)


def few(*names):
    return {n: t for n, t in tensors().items() if n in names}


def make_torch():
    whole = tensors()
    torch.save(whole, path("zip.pt"))
    write("zip.pt", expected(ZIP, whole))
    torch.save(whole, path("old.pt"), _use_new_zipfile_serialization=False)
    write("old.pt", expected(LEGACY, whole))
    # As training scripts for CIFAR keep them, from several GPUs.
    layer = torch.nn.BatchNorm2d(3)
    torch.manual_seed(1)
    torch.nn.init.normal_(layer.weight)
    state = torch.nn.DataParallel(layer).state_dict()
    torch.save({"state_dict": state, "best_prec1": np.float64(91.7),
                "epoch": 7, "best": torch.tensor(0.5), "arch": "resnet20"},
               path("resnet.th"), _use_new_zipfile_serialization=False)
    write("resnet.th", expected(LEGACY, layer.state_dict()))
    for protocol in (3, 4):
        some = few("plain.weight", "turned", "counter")
        some["not a tensor"] = {"a": [1, 2.5, None, True, b"x", -1, 2 ** 70,
                                      {1, 2}, frozenset([3])]}
        name = f"protocol{protocol}.pt"
        torch.save({"model": some}, path(name), pickle_protocol=protocol)
        write(name, expected(ZIP, some))
        name = f"old_protocol{protocol}.pt"
        torch.save({"model": some}, path(name), pickle_protocol=protocol,
                   _use_new_zipfile_serialization=False)
        write(name, expected(LEGACY, some))


def arrays():
    base = np.arange(24, dtype="<f4").reshape(2, 3, 4) / 4 - 2
    return {
        "layer1.0.weight": base, "fortran": np.asfortranarray(base),
        "half": base.astype("<f2"), "double": base.astype("<f8"),
        "scalar": np.float32(0.125), "none": np.zeros((0, 3), "<f4"),
        "long": np.arange(5), "bool": np.array([True, False]),
        "bytes": np.arange(4, dtype="u1"), "short": np.arange(3, dtype="<i2"),
        "a/b": np.ones(1, "<f4"),
    }


def make_numpy():
    kind, whole = "NumPy's .npz", arrays()
    text = lines(kind, whole)
    np.savez(path("stored.npz"), note="text", **whole)
    write("stored.npz", text)
    np.savez_compressed(path("packed.npz"), note="text", **whole)
    write("packed.npz", text)
    some = {f"version{v}": np.arange(6.0).reshape(2, 3) for v in (1, 2, 3)}
    with zipfile.ZipFile(path("versions.npz"), "w") as archive:
        for v in (1, 2, 3):
            file = io.BytesIO()
            np.lib.format.write_array(file, some[f"version{v}"], (v, 0))
            archive.writestr(f"version{v}.npy", file.getvalue())
    write("versions.npz", lines(kind, some))


def make_seeds():
    folder = os.path.join(FOLDER, "..", "..", "fuzz", "corpus_weights")
    os.makedirs(folder, exist_ok=True)
    one = {"a": torch.arange(4.0).reshape(2, 2).t()}
    for zipped, name in ((True, "small.pt"), (False, "small.th")):
        torch.save(one, os.path.join(folder, name),
                   _use_new_zipfile_serialization=zipped)
    np.savez(os.path.join(folder, "small.npz"), a=np.ones(2, "<f4"))
    header = b'{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}'
    with open(os.path.join(folder, "small.safetensors"), "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header + b"\0<\0@")


def main():
    os.makedirs(FOLDER, exist_ok=True)
    make_seeds()
    make_torch()
    make_numpy()


if __name__ == "__main__":
    main()
