"""A folder of class folders: the same weights as from raw arrays of the same
pixels; decoded once, into a cache that is made anew when it, or what it was made
from, has changed; every kind of bad folder is refused by name."""
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

import tgctest as t

if t.run(sys.executable, "-c", "import PIL.Image, numpy").status:
    t.skip("needs python3-pil and python3-numpy")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

NET = """
net small(image: [3, 12, 12]) {
    x = relu(bn1: batch_norm(conv1: conv(image, 6, 3, 2, bias = false)))
    return linear: dense(mean(x, over = [height, width]), 3)
}

train {
    data folder { crop = 2   flip = horizontal }
    optimizer sgd { lr = 0.1, momentum = 0.9 }
    batch = 8   epochs = 3
}
"""
CLASSES = ["ant", "bee", "cat"]
COUNT = {"train": (20, 25, 30), "test": (7, 8, 9)}


def pixels(rng, label, h=12, w=12):
    image = rng.randint(0, 120, (h, w, 3))
    image[:, :, label] += 100
    return image.astype(np.uint8)


def make(folder, size=lambda rng: (12, 12), save=None):
    """DIR/train/ant/000.png ..; the pixels and labels, in the order of the
    names."""
    rng = np.random.RandomState(5)
    made = {}
    for split, counts in COUNT.items():
        images, labels = [], []
        for label, (name, count) in enumerate(zip(CLASSES, counts)):
            place = os.path.join(folder, split, name, "deeper" * (label == 1))
            os.makedirs(place)
            for i in range(count):
                image = pixels(rng, label, *size(rng))
                path = os.path.join(place, f"{i:03d}")
                (save or (lambda p, x: Image.fromarray(x).save(p + ".PNG")))(
                    path, image)
                images.append(image)
                labels.append(label)
        made[split] = images, labels
    return made


def jpeg(path, image):
    Image.fromarray(image).save(path + ".jpg", quality=95)


def write_raw(folder, made):
    os.makedirs(folder)
    for split, (images, labels) in made.items():
        stem = os.path.join(folder, split)
        np.stack(images).transpose(0, 3, 1, 2).tofile(stem + "_images.bin")
        np.array(labels, np.uint8).tofile(stem + "_labels.bin")


class Bench:
    """A binary, a folder for caches, and runs of one with the other."""

    def __init__(self, folder):
        self.folder, self.n = folder, 0
        self.cache = os.path.join(folder, "cache")

    def run(self, binary, data, *more, cache=None):
        self.n += 1
        self.save = os.path.join(self.folder, f"run{self.n}")
        return t.run(binary, "train", "--data", data, "--save-dir", self.save,
                     *more, env={"XDG_CACHE_HOME": cache or self.cache})

    def weights(self, binary, data, *more, **options):
        self.run(binary, data, *more, **options).must()
        return t.load_tensors(os.path.join(self.save, "last.safetensors"))[0]

    def files(self):
        return sorted(glob.glob(os.path.join(self.cache, "tgc", "*")))


def compile_net(folder, name, text):
    path = os.path.join(folder, name + ".net")
    with open(path, "w") as file:
        file.write(text)
    binary = os.path.join(folder, name)
    t.run(t.TGC, "compile", path, "-o", binary).must()
    return binary


def against_raw(checks, b, binary, raw):
    data = os.path.join(b.folder, "png")
    made = make(data)
    write_raw(os.path.join(b.folder, "raw"), made)
    wanted = b.weights(raw, os.path.join(b.folder, "raw"))
    got = b.weights(binary, data)
    checks.that(got == wanted, "PNG files: the weights of the same raw pixels")
    files = b.files()
    checks.equal(len(files), 2, "a cache for the training and the test pictures")
    checks.that(b.weights(binary, data, "--set", "data.cache=memory") == wanted,
                "in memory: the same")
    checks.that(b.weights(binary, data, "--threads", 1) == wanted,
                "one thread: the same")
    return data, wanted


def caching(checks, b, binary, data, wanted):
    before = {f: os.stat(f).st_mtime_ns for f in b.files()}
    # What lies in a picture does not matter while its name, size and time stay.
    victim = os.path.join(data, "train", "ant", "003.PNG")
    info, whole = os.stat(victim), open(victim, "rb").read()
    with open(victim, "r+b") as file:
        file.write(bytes(info.st_size))
    os.utime(victim, ns=(info.st_atime_ns, info.st_mtime_ns))
    checks.that(b.weights(binary, data) == wanted and
                {f: os.stat(f).st_mtime_ns for f in b.files()} == before,
                "a second run reads the cache, not the pictures")
    os.utime(victim)
    checks.refused(b.run(binary, data), r"003.PNG is damaged: it is neither",
                   "a picture with another time is read again")
    with open(victim, "wb") as file:
        file.write(whole)
    for text, change in (("a changed byte", lambda f: f.seek(500) and f.write(b"?")),
                         ("a changed head", lambda f: f.write(b"???")),
                         ("a changed sum", lambda f: f.seek(-3, 2) and f.write(b"??")),
                         ("its end cut off", lambda f: f.truncate(1000)),
                         ("nothing in it", lambda f: f.truncate(0))):
        b.weights(binary, data)
        for path in b.files():
            with open(path, "r+b") as file:
                change(file)
        kept = {f: open(f, "rb").read() for f in b.files()}
        checks.that(b.weights(binary, data) == wanted and all(
            open(f, "rb").read() != kept[f] for f in b.files()),
                    f"a cache with {text}: made anew")
    blocked = os.path.join(b.folder, "blocked")
    open(blocked, "w").close()
    run = b.run(binary, data, cache=blocked)
    checks.that(run.status == 0 and "no cache of decoded pictures" in run.out and
                t.load_tensors(os.path.join(b.save, "last.safetensors"))[0]
                == wanted, "no cache can be written: memory, and a note",
                run.out + run.err)
    checks.equal(len(b.files()), 2, "nothing else is left in the cache")


def mixed_sizes(checks, b, binary):
    """Resume with everything switched on; evaluation takes the middle."""
    data = os.path.join(b.folder, "mixed")
    make(data, size=lambda rng: (rng.randint(14, 40), rng.randint(14, 40)),
         save=jpeg)
    checks.refused(b.run(binary, data), r"\.jpg has \d+x\d+ pixels .*but the "
                   r"model takes 12x12; data.resize = 12 would", "mixed sizes")
    checks.refused(b.run(binary, data, "--set", "data.resize=10"),
                   "data.resize = 10 is smaller than .* 12x12", "resize too small")
    more = ("--set", "data.resize=16", "--set", "data.validation=0.2", "--set",
            "data.fraction=0.8", "--set", "data.augment=rotate(10), "
            "resized_crop(0.3, 1), flip(alternate), jitter(0.4, 0.4, 0.4), "
            "cutout(3)")
    whole = b.weights(binary, data, *more)
    page = os.path.join(b.save, "report.html")
    with open(page, encoding="utf-8") as file:
        before = file.read()
    os.remove(page)
    again = t.run(binary, "report", "--save-dir", b.save,
                  env={"XDG_CACHE_HOME": b.cache})
    with open(page, encoding="utf-8") as file:
        checks.that(again.status == 0 and "note" not in again.out and
                    "No pictures" not in before and
                    file.read() == before,
                    "the report made again is the same",
                    again.out + again.err)
    run = b.run(binary, data, *more, "--steps", 8).must()
    checks.that("48 training and 15 validation images" in run.out,
                "60 are left of 75; 80 % of them train", run.out)
    t.run(binary, "train", "--data", data, "--resume", b.save,
          env={"XDG_CACHE_HOME": b.cache}).must()
    checks.that(t.load_tensors(os.path.join(b.save, "last.safetensors"))[0]
                == whole, "resumed with everything switched on: equal weights")
    for steps in ("crop(0), flip", "flip, crop(2), cutout(4)", "rotate(5)"):
        b.run(binary, data, "--set", "data.resize=14", "--set",
              f"data.augment={steps}").must()


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def bad_folders(checks, b, binary):
    whole = os.path.join(b.folder, "png")

    def refused(text, change, message, *more):
        data = os.path.join(b.folder, "bad")
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(whole, data)
        change(data)
        checks.refused(b.run(binary, data, *more), message, text)

    path = os.path.join
    refused("no folder test", lambda d: shutil.rmtree(path(d, "test")),
            "no folder test, val or validation in .*data.validation=0.1")
    refused("no folder train", lambda d: shutil.rmtree(path(d, "train")),
            "no folder train in ")
    refused("an empty class", lambda d: [
        os.unlink(f) for f in glob.glob(path(d, "train", "cat", "*"))],
            "train/cat has no pictures in it")
    refused("a class too many", lambda d: os.mkdir(path(d, "train", "dog")),
            r"train has 4 class folders \(ant, bee, cat, dog\), but the model "
            "has 3 classes")
    refused("a class too few", lambda d: shutil.rmtree(path(d, "train", "ant")),
            r"has 2 class folders \(bee, cat\)")
    refused("an unknown class to test", lambda d: os.rename(
        path(d, "test", "ant"), path(d, "test", "aunt")),
            "test has a folder aunt, but .*train has none")
    refused("a picture cut short", lambda d: cut(path(d, "test", "cat",
                                                      "004.PNG")),
            "test/cat/004.PNG is damaged: .*data.damaged = skip")
    refused("a file that is no picture", lambda d: shutil.copy(
        __file__, path(d, "train", "ant", "a.jpg")),
            "ant/a.jpg is damaged: it is neither JPEG nor PNG")
    refused("a pipe by the name of a folder", lambda d: (
        shutil.rmtree(path(d, "train", "cat")),
        os.mkfifo(path(d, "train", "cat"))), "has 2 class folders")
    refused("a split that leaves a class empty", lambda d: None,
            r"data.validation = 0.02 leaves class \d \(\w+\), which has \d+ "
            "images, none", "--set", "data.validation=0.02")

    data = os.path.join(b.folder, "bad")
    shutil.rmtree(data)
    shutil.copytree(whole, data)
    for name in ("002", "017"):
        cut(path(data, "train", "cat", name + ".PNG"))
    checks.refused(b.run(binary, data), "cat/002.PNG is damaged",
                   "of two damaged ones the first is named")
    for turn in ("decoded", "from the cache"):
        run = b.run(binary, data, "--set", "data.damaged=skip").must()
        checks.that("73 training and 24 test" in run.out and
                    "note: 2 of 75 pictures are damaged and left out: "
                    "002.PNG, 017.PNG" in run.out, f"skipped, {turn}: counted "
                    "and named", run.out)
    checks.refused(b.run(binary, data), "cat/002.PNG is damaged",
                   "a cache with skipped pictures is not taken without skip")


def without_split(checks, b, binary):
    data = os.path.join(b.folder, "flat")
    shutil.copytree(os.path.join(b.folder, "png", "train"), data)
    run = b.run(binary, data, "--set", "data.validation=0.2")
    checks.that(run.status == 0 and "60 training and 15 validation" in run.out,
                "class folders alone, with a part held out", run.out + run.err)


def interrupted(checks, b, binary):
    data = os.path.join(b.folder, "many")
    rng = np.random.RandomState(1)
    for label, name in enumerate(CLASSES):
        os.makedirs(os.path.join(data, "train", name))
        os.makedirs(os.path.join(data, "test", name))
        picture = os.path.join(data, "train", name, "a")
        jpeg(picture, pixels(rng, label, 700, 700))
        for i in range(250):
            os.link(picture + ".jpg", os.path.join(data, "train", name,
                                                   f"{i}.jpg"))
    cache = os.path.join(b.folder, "cache2")
    process = subprocess.Popen(
        [binary, "train", "--data", data, "--set", "data.resize=12",
         "--threads", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, XDG_CACHE_HOME=cache))
    time.sleep(0.5)
    alive = process.poll() is None
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1].decode()
    checks.that(alive and process.returncode in (1, 130) and
                "stopped while decoding pictures" in error,
                "Ctrl-C while decoding", f"{alive} {process.returncode} {error}")
    checks.equal(glob.glob(os.path.join(cache, "tgc", "*")), [],
                 "and nothing is left behind")


def main():
    checks = t.Checks()
    b = Bench(t.scratch("pictures"))
    binary = compile_net(b.folder, "small", NET)
    raw = compile_net(b.folder, "small_raw", NET.replace("folder", "raw"))
    data, wanted = against_raw(checks, b, binary, raw)
    caching(checks, b, binary, data, wanted)
    mixed_sizes(checks, b, binary)
    bad_folders(checks, b, binary)
    without_split(checks, b, binary)
    interrupted(checks, b, binary)
    checks.done()


if __name__ == "__main__":
    main()
