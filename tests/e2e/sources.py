"""The same images from IDX files, NumPy arrays and raw arrays give the same
weights, bit for bit; files that lie are refused with what is wrong; a share of
the training images is held out, and runs with it resume to the same bits."""
import array
import csv
import json
import os
import shutil
import struct

import tgctest as t

TINY = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")


def npy(path, descr, shape, data, fortran=False):
    """As numpy.lib.format writes version 1."""
    text = (f"{{'descr': '{descr}', 'fortran_order': {fortran}, "
            f"'shape': ({', '.join(map(str, shape))},), }}")
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) +
                   text.encode() + data)


def read_idx(folder, split):
    with open(os.path.join(folder, f"{split}-images-idx3-ubyte"), "rb") as file:
        images = file.read()[16:]
    with open(os.path.join(folder, f"{split}-labels-idx1-ubyte"), "rb") as file:
        return images, list(file.read()[8:])


def integers(code, values):
    return array.array(code, values).tobytes()


def write_npy(folder, idx, shape=(28, 28), descr="<i8", code="q"):
    os.makedirs(folder, exist_ok=True)
    for split, name in (("train", "train"), ("t10k", "test")):
        images, labels = read_idx(idx, split)
        stem = os.path.join(folder, name)
        npy(stem + "_images.npy", "|u1", (len(labels), *shape), images)
        npy(stem + "_labels.npy", descr, (len(labels),), integers(code, labels))
    return folder


def write_raw(folder, idx, code):
    os.makedirs(folder, exist_ok=True)
    for split, name in (("train", "train"), ("t10k", "test")):
        images, labels = read_idx(idx, split)
        stem = os.path.join(folder, name)
        with open(stem + "_images.bin", "wb") as file:
            file.write(images)
        with open(stem + "_labels.bin", "wb") as file:
            file.write(integers(code, labels))
    return folder


def train(binary, data, save, *more):
    t.run(binary, "train", "--data", data, "--save-dir", save, "--steps", 30,
          "--seed", 3, *more).must()
    return t.load_tensors(os.path.join(save, "last.safetensors"))[0]


def same_weights(checks, folder, idx):
    wanted = train(t.compiled(TINY), idx, os.path.join(folder, "idx.run"))
    arrays, raw = (t.compiled(TINY, "--set", f"data={kind}")
                   for kind in ("npy", "raw"))
    for i, (shape, descr, code) in enumerate((
            ((28, 28), "<i8", "q"), ((1, 28, 28), "<i4", "i"),
            ((28, 28, 1), "|u1", "B"))):
        data = write_npy(os.path.join(folder, f"npy{i}"), idx, shape, descr, code)
        got = train(arrays, data, os.path.join(folder, f"npy{i}.run"))
        checks.that(got == wanted, f"npy {shape}, labels {descr}: as from IDX")
    for code in "Biq":
        data = write_raw(os.path.join(folder, "raw" + code), idx, code)
        got = train(raw, data, os.path.join(folder, f"raw{code}.run"))
        checks.that(got == wanted, f"raw, labels {code}: as from IDX")
    return arrays, raw


def refusals(checks, folder, idx, arrays, raw):
    whole = write_npy(os.path.join(folder, "whole"), idx)
    images, labels = read_idx(idx, "train")
    n = len(labels)
    pixels, names = "train_images.npy", "train_labels.npy"

    def cut(data):
        with open(os.path.join(data, pixels), "r+b") as file:
            file.truncate(5000)

    cases = [
        ("half images", pixels, ("<f2", (n, 14, 28), images),
         r"train_images.npy holds neither bytes.*np.uint8"),
        ("another size", pixels, ("|u1", (n, 14, 56), images),
         r"an array \[200,14,56\], but the model takes images \[n,1,28,28\]"),
        ("Fortran order", pixels, ("|u1", (n, 28, 28), images, True),
         r"train_images.npy is in Fortran order.*ascontiguousarray"),
        ("a shape that claims more", pixels, ("|u1", (2 * n, 28, 28), images),
         r"train_images.npy has \d+ bytes, 156800 too few"),
        ("a shape beyond numbers", pixels,
         ("|u1", (1 << 40, 1 << 30, 28), images), r"too large|larger than"),
        ("fewer labels", names, ("<i8", (n - 1,), integers("q", labels[1:])),
         r"holds 200 images, but .*train_labels.npy 199 labels"),
        ("a label too high", names,
         ("<i8", (n,), integers("q", labels[:-1] + [10])),
         r"the label of image 199 \(counted from 0\) is 10, but .* 10 classes"),
        ("a label below 0", names,
         ("<i4", (n,), integers("i", [-1] + labels[1:])),
         r"the label of image 0 .* is -1"),
        ("one-hot labels", names, ("|u1", (n, 10), bytes(10 * n)),
         r"train_labels.npy has 2 dimensions"),
        ("float labels", names, ("<f4", (n,), integers("f", labels)),
         r"does not hold labels of type.*np.int64"),
        ("big-endian labels", names, (">i8", (n,), integers("q", labels)),
         r"not little-endian"),
    ]
    for i, (text, name, what, message) in enumerate(cases):
        data = shutil.copytree(whole, os.path.join(folder, f"bad{i}"))
        npy(os.path.join(data, name), *what)
        checks.refused(t.run(arrays, "train", "--data", data), message, text)
    data = shutil.copytree(whole, os.path.join(folder, "cut"))
    cut(data)
    checks.refused(t.run(arrays, "train", "--data", data),
                   r"train_images.npy has 5000 bytes", "a file cut short")
    data = write_raw(os.path.join(folder, "rawbad"), idx, "B")
    with open(os.path.join(data, "train_images.bin"), "ab") as file:
        file.write(b"x")
    checks.refused(t.run(raw, "train", "--data", data),
                   r"156801 bytes, which is no whole number of images",
                   "raw images with a byte too many")


def check_names(checks, save):
    """Every log says that it was not the test images that were counted."""
    with open(os.path.join(save, "epochs.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    checks.that(rows and all(float(r["val_accuracy"]) >= 0 and
                             float(r["val_loss"]) > 0 for r in rows) and
                not any(k.startswith("test") for k in rows[0]),
                "epochs.csv has val_loss and val_accuracy", rows[:1])
    with open(os.path.join(save, "result.json"), encoding="utf-8") as file:
        result = json.load(file)
    best = max(float(r["val_accuracy"]) for r in rows)
    checks.that(result["images"] == "validation" and
                abs(result["best_accuracy"] - best) < 1e-6,
                "result.json: the best of them, of validation images", result)
    with open(os.path.join(save, "events.out.tfevents.0.tgc"), "rb") as file:
        events = file.read()
    checks.that(b"loss/val" in events and b"accuracy/val" in events and
                b"/test" not in events, "TensorBoard's tags say val")
    with open(os.path.join(save, "report.html"), encoding="utf-8") as file:
        page = file.read()
    checks.that("best validation accuracy" in page and
                page.count(">validation</span>") == 2,
                "the report names both curves")


def held_out(checks, folder, idx):
    binary = t.compiled(TINY)
    more = ("--set", "data.validation=0.15", "--set", "data.fraction=0.6",
            "--set", "data.augment=resized_crop, flip(alternate), rotate(10), "
            "jitter(0.3, 0.3), cutout(4)")
    whole = os.path.join(folder, "held")
    run = t.run(binary, "train", "--data", idx, "--save-dir", whole, *more).must()
    checks.that("102 training and 30 validation images" in run.out,
                "170 are left of 200, and 60 % of them are used", run.out)
    checks.that("accuracy on the validation images" in run.out and
                "note: the test images were not used; eval --data DIR "
                "--weights " in run.out,
                "the last lines name the validation images, and what counts "
                "the test images", run.out)
    check_names(checks, whole)
    again = os.path.join(folder, "held.again")
    t.run(binary, "train", "--data", idx, "--save-dir", again, "--steps", 9,
          *more).must()
    t.run(binary, "train", "--data", idx, "--resume", again).must()
    checks.that(t.same_bytes(os.path.join(whole, "last.safetensors"),
                             os.path.join(again, "last.safetensors")),
                "resumed with a split, a fraction and every augmentation: "
                "equal bytes")
    checks.refused(t.run(binary, "train", "--data", idx, "--resume", again,
                         "--set", "data.split_seed=1"), "data.split_seed = 0",
                   "a resumed run cannot choose other images")
    weights = os.path.join(whole, "last.safetensors")
    test = t.run(binary, "eval", "--data", idx, "--weights", weights).must()
    checks.that(" of 90 test images correct" in test.out, "eval counts the test images",
                test.out)
    held = t.run(binary, "eval", "--data", idx, "--weights", weights,
                 "--validation", "--set", "data.validation=0.15").must()
    checks.that(" of 30 validation images correct" in held.out,
                "eval --validation counts those held out", held.out)
    same = t.run(binary, "eval", "--data", idx, "--weights", weights,
                 "--validation").must()
    checks.equal(same.out, held.out, "which the checkpoint knows, too")
    checks.refused(t.run(binary, "train", "--data", idx, "--set",
                         "data.validation=0.01"), r"leaves class \d.*larger",
                   "a split that leaves a class empty")
    # The tail's graph is compiled for what fraction and validation leave.
    tail = t.compiled(TINY, "--set", "tail=keep", "--set", "data.samples=200",
                      "--set", "data.validation=0.15", "--set",
                      "data.fraction=0.6")
    run = t.run(tail, "train", "--data", idx, "--epochs", 2).must()
    checks.that("done after step 14" in run.out, "102 images: 7 steps an epoch",
                run.out)


def main():
    checks = t.Checks()
    folder = t.scratch("sources")
    idx = t.idx_data(os.path.join(folder, "idx"))
    arrays, raw = same_weights(checks, folder, idx)
    refusals(checks, folder, idx, arrays, raw)
    held_out(checks, folder, idx)
    checks.done()


if __name__ == "__main__":
    main()
