"""Training images that stay on the device: every kind of window (crop, flip
either way, cutout, in any order), the last, smaller batch, epochs, resuming:
the same bytes as with batches from the host.  usage: kept.py"""
import json
import os
import sys

import tgctest as t
from training import compile_both

OPTIONS = ("--set", "data=idx", "--set", "data.samples=7", "--set", "batch=3",
           "--set", "tail=keep", "-D", "width=24", "-D", "hidden=1")
WINDOWS = ("crop(3), flip, cutout(8)", "flip(alternate), crop(5)",
           "cutout(40)", "")
COLOURS = "crop(3), jitter(0.2, 0.2)"  # more than a window


class Fixture:
    def __init__(self):
        self.folder = t.scratch("emulator_kept")
        self.data = t.idx_data(os.path.join(self.folder, "data"), train=7,
                               test=4)
        self.cpu, self.cuda, library = compile_both(self.folder, "mlp", OPTIONS)
        self.device = ("--device", f"emu:{library}")
        info = t.run(self.cuda, "info", "--json").must().out
        arena = json.loads(info)["arena_bytes"]
        self.small = {"TGC_EMU_MEMORY": str(arena + 2**20)}

    def last(self, name):
        return os.path.join(self.folder, name, "last.safetensors")

    def train(self, name, *more, binary=None, env=None):
        """Whether the images were kept."""
        out = t.run(binary or self.cuda, "train", "--data", self.data,
                    "--save-dir", os.path.join(self.folder, name),
                    "--overwrite", "--epochs", 3,
                    *(() if binary else self.device), *more,
                    env=env).must().out
        return "images stay on the GPU" in out


def augment(text):
    return ("--set", f"data.augment={text}") if text else ("--no-augment",)


def main():
    checks = t.Checks()
    f = Fixture()
    for text in WINDOWS:
        checks.that(f.train("kept", *augment(text)), f"{text}: on the device")
        checks.that(not f.train("host", *augment(text), env=f.small),
                    "no room there: from the host")
        checks.that(t.same_bytes(f.last("kept"), f.last("host")),
                    "the same bytes")
    text = WINDOWS[0]
    f.train("kept", *augment(text))
    f.train("check", *augment(text), "--check")
    checks.that(t.same_bytes(f.last("kept"), f.last("check")),
                "kernel by kernel: the same bytes")
    f.train("parts", *augment(text), "--steps", 4)
    t.run(f.cuda, "train", "--data", f.data, "--resume", f.last("parts"),
          *f.device).must()
    checks.that(t.same_bytes(f.last("kept"), f.last("parts")),
                "stopped and resumed: the same bytes")
    f.train("cpu", *augment(text), binary=f.cpu)
    a, b = (t.load_tensors(f.last(name))[0] for name in ("cpu", "kept"))
    worst = max(abs(x - y) for n in a for x, y in zip(a[n][1], b[n][1]))
    checks.that(worst < 1e-5, "the weights of the cpu", worst)
    checks.that(not f.train("colours", *augment(COLOURS)),
                f"{COLOURS}: from the host")
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
