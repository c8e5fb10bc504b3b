"""Rows of numbers instead of images: a text classifier with an embedding held
to PyTorch over 20 steps; the same bytes from every type of array and any number
of threads; numbers that no row of the table has, and arrays that do not fit."""
import array
import json
import math
import os
import random
import struct
import sys

import tgctest as t

try:
    import torch
except ImportError:
    torch = None

WORDS, LENGTH, CLASSES, TRAIN, TEST, STEPS = 50, 11, 4, 400, 90, 20
NET = """
net words(text: [11]) {
    x = embed1: embed(text, 50, 6)
    x = x + position: weight(x, [11, 6])
    x = relu(fc1: dense(x, 9))
    return fc2: dense(flatten(x), 4)
}

train {
    data npy
    optimizer sgd { lr = 0.2, momentum = 0.9, weight_decay = 1e-3 }
    batch = 32   epochs = 3
}
"""
CODES = {"<i4": "i", "<i8": "q", "<f4": "f", "<f8": "d", "|u1": "B"}


def npy(path, descr, shape, data):
    dims = "".join(f"{d}, " for d in shape)
    head = (f"{{'descr': '{descr}', 'fortran_order': False, "
            f"'shape': ({dims}), }}")
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) +
                   head.encode() + array.array(CODES[descr], data).tobytes())


def texts(count, seed):
    """Each class likes words of its own; words come several times a text."""
    r, rows, labels = random.Random(seed), [], []
    for _ in range(count):
        label = r.randrange(CLASSES)
        rows.append([r.randrange(WORDS) if r.random() < 0.5
                     else 12 * label + r.randrange(12) for _ in range(LENGTH)])
        labels.append(label)
    return rows, labels


def write(folder, descr, change=None, shape=(LENGTH,), far=1):
    os.makedirs(folder, exist_ok=True)
    for split, count, seed in (("train", TRAIN, 1), ("test", TEST, 2)):
        rows, labels = texts(count, seed)
        numbers = [x * far for row in rows for x in row]
        if change and split == "train":
            numbers[100] = change
        npy(os.path.join(folder, split + "_images.npy"), descr,
            (count, *shape), numbers)
        npy(os.path.join(folder, split + "_labels.npy"), "<i8", (count,), labels)
    return folder


def compiled(folder, name, text, *options):
    path = os.path.join(folder, name + ".net")
    with open(path, "w") as file:
        file.write(text)
    binary = os.path.join(folder, name)
    t.run(t.TGC, "compile", path, "-o", binary, *options).must()
    return binary


def start_values(folder, words=WORDS):
    r = random.Random(7)
    shapes = {"embed1.weight": [words, 6], "position.weight": [LENGTH, 6],
              "fc1.weight": [9, 6], "fc1.bias": [9],
              "fc2.weight": [CLASSES, 9 * LENGTH], "fc2.bias": [CLASSES]}
    start = {}
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        start[name] = shape, array.array(
            "f", (r.uniform(-0.5, 0.5) for _ in range(count)))
    path = os.path.join(folder, "init.safetensors")
    t.save_tensors(path, start)
    return path, start


def of_pytorch(start, far=1):
    """Losses of the steps, and the weights after the last, in float64."""
    w = {n: torch.tensor(v.tolist(), dtype=torch.float64).reshape(shape)
         .requires_grad_() for n, (shape, v) in start.items()}
    rows, labels = (torch.tensor(x) for x in texts(TRAIN, 1))
    rows = rows * far
    optimizer = torch.optim.SGD(w.values(), lr=0.2, momentum=0.9,
                                weight_decay=1e-3)
    losses, batches, f = [], TRAIN // 32, torch.nn.functional
    for step in range(STEPS):
        at = step % batches * 32
        x = f.embedding(rows[at:at + 32], w["embed1.weight"])
        x = f.linear(x + w["position.weight"], w["fc1.weight"], w["fc1.bias"])
        x = f.linear(f.relu(x).flatten(1), w["fc2.weight"], w["fc2.bias"])
        loss = f.cross_entropy(x, labels[at:at + 32])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, w


def check_pytorch(checks, save, log, start, far=1):
    if not torch:
        print("        (no PyTorch here: it is not asked)")
        return
    losses, weights = of_pytorch(start, far)
    got = [row["loss"] for row in t.log_rows(log)]
    checks.equal(len(got), STEPS, "steps")
    checks.that(all(abs(a - b) < 1e-5 * b for a, b in zip(got, losses)),
                f"losses of {STEPS} steps are PyTorch's", (got, losses))
    tensors, _ = t.load_tensors(os.path.join(save, "last.safetensors"))
    for name, wanted in weights.items():
        far = max(abs(a - b) for a, b in zip(
            tensors[name][1], wanted.detach().flatten().tolist()))
        checks.that(far < 1e-5, f"{name} after them: {far:.1e}")


def check_training(checks, folder, binary):
    init, start = start_values(folder)
    tensors = {}
    for name, descr, more in (("i64", "<i8", ["--threads", 2]),
                              ("i64, one thread", "<i8", ["--threads", 1]),
                              ("i32", "<i4", []), ("f32", "<f4", []),
                              ("f64", "<f8", [])):
        data = write(os.path.join(folder, "data" + descr[1:]), descr)
        save = os.path.join(folder, "run" + name[:3] + str(len(tensors)))
        log = save + ".jsonl"
        t.run(binary, "train", "--data", data, "--init", init, "--no-shuffle",
              "--steps", STEPS, "--save-dir", save, "--log", log, *more).must()
        tensors[name], _ = t.load_tensors(os.path.join(save,
                                                       "last.safetensors"))
        checks.that(tensors[name] == tensors["i64"], f"{name}: the same bytes")
        if name == "i64":
            check_pytorch(checks, save, log, start)
    page = os.path.join(folder, "report.html")
    save = os.path.join(folder, "whole")
    run = t.run(binary, "train", "--data", data, "--save-dir", save).must()
    checks.that("400 training and 90 test samples" in run.out and
                "samples/s" in run.out and "images" not in run.out and
                "img" not in run.out, "they are called samples", run.out)
    with open(os.path.join(save, "report.html"), encoding="utf-8") as file:
        page = file.read()
    checks.that("the data are numbers" in page and "<img" not in page and
                "test samples: " in page,
                "the report shows no pictures")
    run = t.run(binary, "eval", "--data", data, "--json", "--weights",
                os.path.join(save, "best.safetensors")).must()
    checks.that(json.loads(run.out)["correct"] > TEST // 2, "it has learned",
                run.out)
    check_onnx(checks, folder, json.loads(run.out))


SCORES = """
import json, sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
x = np.load(sys.argv[2] + "/test_images.npy").astype(np.float32)
scores, = session.run(None, {"image": x.reshape(len(x), 1, 1, -1)})
print(json.dumps(scores.astype(float).tolist()))
"""


def check_onnx(checks, folder, best):
    """The exported net counts as many right, with the same loss."""
    path = os.path.join(folder, "words.onnx")
    t.run(t.TGC, "export", os.path.join(folder, "words.net"), "--weights",
          os.path.join(folder, "whole", "best.safetensors"), "-o", path).must()
    for python in filter(None, (os.environ.get("TGC_ONNX_PYTHON"),
                                sys.executable)):
        if t.run(python, "-c", "import onnxruntime").status == 0:
            break
    else:
        print("        (no onnxruntime here: it is not asked)")
        return
    data = os.path.join(folder, "datai8")
    scores = json.loads(t.run(python, "-c", SCORES, path, data).must().out)
    _, labels = texts(TEST, 2)
    loss = sum(math.log(sum(math.exp(x - row[k]) for x in row))
               for row, k in zip(scores, labels)) / TEST
    checks.equal(sum(row.index(max(row)) == k for row, k in zip(scores, labels)),
                 best["correct"], "onnxruntime: right")
    checks.close(loss, best["loss"], 1e-5, "onnxruntime: loss")


def check_bad(checks, folder, binary):
    def refused(name, message, *change, options=(), **more):
        data = write(os.path.join(folder, "bad"), *change, **more)
        checks.refused(t.run(binary, "train", "--data", data, "--save-dir",
                             os.path.join(folder, "none"), *options),
                       message, name)
    for what, descr, number in (
            ("a word that no row has", "<i8", WORDS), ("below 0", "<i8", -1),
            ("far away", "<i8", 2**40 + 3), ("a part", "<f4", 2.5),
            ("not a number", "<f8", float("nan"))):
        refused(what, r"train_images.npy: number 100 \(counted from 0\) is "
                + str(number).replace("1099511627779", r"1.09951163e\+12") +
                ", but the model's table has 50 rows, 0 to 49", descr, number)
    refused("bytes", r"train_images.npy holds rows of bytes.*np.int32", "|u1")
    refused("another shape", r"array \[400,1,1,11,1\], but the model takes "
            r"numbers \[n,11\]", "<i4", shape=(1, 1, LENGTH, 1))
    refused("steps for pictures", r"data are numbers, not pictures", "<i4",
            options=["--set", "data.augment=flip"])
    path = os.path.join(folder, "flip.net")
    with open(path, "w") as file:
        file.write(NET.replace("batch =", "test_flip = true batch ="))
    checks.refused(t.run(t.TGC, "compile", path, "-o", path + ".out"),
                   r"flip.net:2:17: error: test_flip mirrors images", "test_flip")


def check_many(checks, folder):
    """A vocabulary of tens of thousands, of which a batch has few words."""
    far, words = 601, 30011
    binary = compiled(folder, "many", NET.replace("50, 6", f"{words}, 6"))
    init, start = start_values(folder, words)
    data = write(os.path.join(folder, "many.data"), "<i4", far=far)
    last = []
    for threads in (1, 2, 3):
        save = os.path.join(folder, f"many.run{threads}")
        log = save + ".jsonl"
        t.run(binary, "train", "--data", data, "--init", init, "--no-shuffle",
              "--steps", STEPS, "--save-dir", save, "--log", log,
              "--threads", threads, "--no-report").must()
        last.append(os.path.join(save, "last.safetensors"))
    check_pytorch(checks, save, log, start, far)
    checks.that(all(t.same_bytes(last[0], other) for other in last[1:]),
                f"{words} words: the same bytes with any number of threads")


def check_features(checks, folder):
    """Numbers that are no rows: normalised, finite, held by float32."""
    binary = compiled(folder, "features", NET.replace(
        "embed1: embed(text, 50, 6)", "text").replace(
        "x = x + position: weight(x, [11, 6])", "").replace(
        "flatten(x)", "x").replace(
        "data npy", "data npy { mean = [24.5]  std = [14.4] }"))
    data = write(os.path.join(folder, "features.data"), "<f4", 0.25)
    save = os.path.join(folder, "features.run")
    run = t.run(binary, "train", "--data", data, "--save-dir", save).must()
    checks.that("nan" not in run.out, "numbers of any kind are trained with",
                run.out)
    for what, descr, number, message in (
            ("an integer that float32 has not", "<i8", 2**24 + 1,
             "16777217, which float32 does not hold exactly"),
            ("not a number", "<f8", float("nan"), "nan, which is no finite"),
            ("too large", "<f8", 1e300, r"1e\+300, which is no finite")):
        checks.refused(t.run(binary, "train", "--data",
                             write(os.path.join(folder, "bad"), descr, number),
                             "--save-dir", os.path.join(folder, "none")),
                       r"number 100 \(counted from 0\) is " + message, what)


def check_inside(checks, folder):
    """An embedding of what the net computed: the loss is found out."""
    binary = compiled(folder, "inside", NET.replace(
        "embed(text, 50, 6)", "embed(text + 1, 50, 6)"))
    data = write(os.path.join(folder, "inside.data"), "<i4", 49)
    checks.refused(t.run(binary, "train", "--data", data, "--save-dir",
                         os.path.join(folder, "inside.run")),
                   "the loss is -?nan: the first op", "computed numbers")


def main():
    checks = t.Checks()
    folder = t.scratch("tokens")
    binary = compiled(folder, "words", NET)
    check_training(checks, folder, binary)
    t.run(binary, "bench", "--steps", 2).must()
    check_bad(checks, folder, binary)
    check_many(checks, folder)
    check_features(checks, folder)
    check_inside(checks, folder)
    checks.done()


if __name__ == "__main__":
    main()
