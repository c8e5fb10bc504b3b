"""Tiles that are measured: a program with several of each product times them
(here on the emulator, whose times mean nothing), writes a file, and a compile
that reads it takes them; --autotune does all three; and what is wrong with such
a file, or with the machine, is said.  usage: tuning.py"""
import os
import re
import sys

import gpu
import tgctest as t

MODEL = os.path.join(t.MODELS, "mlp.net")
OPTIONS = ("-D", "width=24", "-D", "hidden=1", "--set", "batch=3", "--set",
           "data=idx")
MOST = 1e-5  # relative, of a loss: sums may be in another order


def sum_of(text):
    """FNV-1a, written down once more."""
    h = 0xcbf29ce484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return h


def file_text(rows, arch="sm_90", device="emulated GPU", version=1):
    head = f"tgc-tiles {version}\ndevice {arch} {device}\n"
    body = head + "".join(
        f"product {name} {who} {tile} 1.000 2.000\n"
        for name, who, tile in sorted(rows))
    return body + f"end {len(rows)} {sum_of(body):016x}\n"


class Fixture:
    def __init__(self):
        self.folder = t.scratch("emulator_tuning")
        self.cache = self.path("cache")
        self.tiles = self.path("tiles")
        self.data = t.idx_data(self.path("data"), train=7, test=4)
        temps = self.path("temps")
        self.compile("tunable", "--tunable", f"--save-temps={temps}").must()
        self.library = gpu.build(self.path("libcuda.so.1"),
                                 os.path.join(temps, "kernels.cu"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, name, *options, target="cuda:sm_90", **env):
        return t.run(t.TGC, "compile", MODEL, "--target", target, *OPTIONS,
                     *options, "-o", self.path(name),
                     env={"XDG_CACHE_HOME": self.cache, **env})

    def kernels(self, *options):
        run = self.compile("kernels.cu", "--emit=cu", *options).must()
        with open(self.path("kernels.cu")) as file:
            return file.read(), run.err

    def tune(self, path, name="tunable", device=True, env=None):
        where = ("--device", f"emu:{self.library}") if device else ()
        return t.run(self.path(name), "bench", "--steps", 1, "--tune", path,
                     *where, env=env)

    def write(self, text, path=None):
        path = path or self.tiles
        with open(path, "w") as file:
            file.write(text)
        return path

    def losses(self, name, *device):
        t.run(self.path(name), "train", "--data", self.data, "--steps", 3,
              "--log", self.path("log"), *device).must()
        return [row["loss"] for row in t.log_rows(self.path("log"))]


def products(text):
    """Names of kernels of products -> tile."""
    found = {}
    for m in re.finditer(r"^struct (\w+)_p \{(.*?)^\};", text, re.S | re.M):
        size = {k: int(v) for k, v in re.findall(
            r"int (BM|BN|TM|TN) = (\d+);", m.group(2))}
        found[m.group(1)] = "{BM}x{BN}/{TM}x{TN}".format(**size)
    return found


def rows_of(path):
    with open(path) as file:
        return [line.split() for line in file if line.startswith("product ")]


def check_measuring(checks, f):
    """What the program writes."""
    model = products(f.kernels()[0])
    run = f.tune(f.tiles)
    checks.that(run.status == 0 and re.search(
        r"\d+ products timed on emulated GPU", run.out), "a program measures",
        run.out + run.err)
    rows = rows_of(f.tiles)
    checks.that(len(rows) >= 3 and {r[1] for r in rows} <= set(model),
                "each row is of a kernel that the model's compile has", rows)
    checks.that(all(0 < float(r[4]) <= float(r[5]) for r in rows),
                "nothing is taken that is slower", rows)
    with open(f.tiles) as file:
        text = file.read()
    body = text[:text.index("end ")]
    checks.equal(text[len(body):], f"end {len(rows)} {sum_of(body):016x}\n",
                 "the last line is the number of rows and a sum")
    checks.that(f.tune(f.tiles).status == 0, "and again, into the same file")
    checks.equal([r[1] for r in rows_of(f.tiles)], [r[1] for r in rows],
                 "with the same rows")
    return model


def check_choice(checks, f, model):
    """A compile takes what the file says, and no more."""
    other = {n: "32x32/2x4" if tile != "32x32/2x4" else "16x64/2x4"
             for n, tile in model.items()}
    f.write(file_text([(n, "tgc", tile) for n, tile in other.items()]))
    text, _ = f.kernels("--tune-file", f.tiles)
    checks.equal(sorted(products(text).values()), sorted(other.values()),
                 "tiles as in the file")
    checks.that(not set(products(text)) & set(model), "in kernels of other "
                "names")
    for name in ("a", "b"):
        run = f.compile(name, "--tune-file", f.tiles, "-v").must()
    checks.that(t.same_bytes(f.path("a"), f.path("b")),
                "the same file gives the same program")
    checks.that(f"tiles of {len(model)} products, measured on emulated GPU "
                "(sm_90)" in run.err, "-v says what was taken", run.err)
    plain, _ = f.kernels()
    for what, rows in (
            ("for other kernels", [("conv_0123456789", "tgc", "16x64/2x4")]),
            ("of tiles that there are not", [(n, "tgc", "7x7/1x1")
                                             for n in model]),
            ("of who is not known", [(n, "nobody", other[n]) for n in model]),
            ("of nothing", [])):
        f.write(file_text(rows))
        checks.that(f.kernels("--tune-file", f.tiles)[0] == plain,
                    f"rows {what} change nothing")
    return other


def check_training(checks, f, other):
    """Other tiles compute the same."""
    f.write(file_text([(n, "tgc", tile) for n, tile in other.items()]))
    temps = f.path("tuned.temps")
    f.compile("tuned", "--tune-file", f.tiles, f"--save-temps={temps}").must()
    library = gpu.build(f.path("tuned.so"), os.path.join(temps, "kernels.cu"))
    f.compile("cpu", target="cpu").must()
    on_gpu = f.losses("tuned", "--device", f"emu:{library}")
    on_cpu = f.losses("cpu")
    worst = max(abs(a - b) / abs(b) for a, b in zip(on_gpu, on_cpu))
    checks.that(len(on_gpu) == 3 and worst < MOST, "the losses of the cpu",
                (on_gpu, on_cpu))


def damaged(model):
    good = file_text([(n, "tgc", "16x64/2x4") for n in model])
    return [("cut short", good[:-30], "damaged"),
            ("with a changed number", good.replace("1.000", "0.900", 1),
             "damaged"),
            ("with text after its end", good + "more\n", "damaged"),
            ("with a row too long", good.replace("product ", "product " +
                                                 "x" * 3000, 1), "damaged"),
            ("with a time that is none", good.replace("1.000", "nan", 1),
             "damaged"),
            ("empty", "", "no file of tiles"),
            ("of something else", "\x00\x01\x02\n" * 9, "no file of tiles"),
            ("of another version", file_text([], version=2),
             "another version.*measure again")]


def check_bad_files(checks, f, model):
    plain, _ = f.kernels()
    kept = os.path.join(f.cache, "tgc", "tiles-sm_90")
    for what, text, message in damaged(model):
        f.write(text)
        checks.refused(f.compile("bad", "--tune-file", f.tiles),
                       rf"tiles .*cannot be used: .*{message}",
                       f"a file {what}: refused where it was named")
        checks.refused(f.tune(f.tiles), rf"--tune.*{message}.*remove",
                       "and not written over")
        with open(f.tiles) as file:
            checks.equal(file.read(), text, "it is as it was")
        f.write(text, kept)
        again, said = f.kernels()
        checks.that(again == plain and re.search(message, said),
                    "in the cache: a warning, and as without it", said)
    f.write(file_text([(n, "tgc", "32x32/2x4") for n in model]), kept)
    checks.that(f.kernels()[0] != plain, "one in the cache is taken")
    os.unlink(kept)
    f.write(file_text([], arch="sm_80", device="NVIDIA A100"))
    checks.refused(f.compile("bad", "--tune-file", f.tiles),
                   r"of sm_80 \(NVIDIA A100\), not of sm_90", "another GPU's")
    checks.refused(f.tune(f.tiles), r"another GPU \(NVIDIA A100, sm_80; this "
                   "is emulated GPU, sm_90.*another name", "nor measured into")
    checks.refused(f.compile("bad", "--tune-file", f.path("none")),
                   "no such file.*--autotune", "a file that is not there")
    checks.that(not os.path.exists(f.path("bad")), "no program is left")


def check_refusals(checks, f):
    out = f.path("out")
    f.compile("plain").must()
    checks.refused(f.tune(out, "plain"), "--tunable", "a program of one tile")
    checks.refused(f.tune(out, "cpu", device=False), "for a GPU",
                   "a program for the cpu")
    checks.refused(f.tune(out, device=False, env={"LD_LIBRARY_PATH": ""}),
                   "there is no GPU driver here", "no driver")
    checks.refused(f.tune(os.path.join(f.folder, "nowhere", "x")),
                   "cannot write .*nowhere", "a file that cannot be written")
    checks.that(not os.path.exists(out), "nothing is written")
    for option in (("--autotune",), ("--tunable",), ("--tune-file", f.tiles)):
        checks.refused(f.compile("bad", *option, target="cpu"),
                       "for --target cuda", f"{option[0]} for the cpu")
    checks.refused(f.compile("bad", "--tunable", "--autotune"),
                   "--tunable is for a program that is to be measured", "both")


def check_autotune(checks, f):
    """All in one: on the emulator as the system's driver, and without any."""
    tmp = f.path("tmp")
    os.mkdir(tmp)
    run = f.compile("bad", "--autotune", TMPDIR=tmp, LD_LIBRARY_PATH="")
    checks.refused(run, "--autotune: .*there is no GPU driver here",
                   "--autotune without a GPU")
    checks.equal(len(run.err.strip().split("\n")), 1, "in one sentence")
    checks.that(not os.listdir(tmp) and not os.path.exists(f.path("bad")),
                "and leaves nothing", os.listdir(tmp))
    run = f.compile("auto", "--autotune", TMPDIR=tmp, LD_LIBRARY_PATH=f.folder)
    kept = os.path.join(f.cache, "tgc", "tiles-sm_90")
    checks.that(run.status == 0 and os.path.exists(kept) and
                "products timed on emulated GPU" in run.err,
                "--autotune keeps tiles in the cache", run.err)
    checks.equal(os.listdir(tmp), [], "and nothing else")
    f.compile("later").must()
    checks.that(t.same_bytes(f.path("auto"), f.path("later")),
                "a later compile takes them: the same program")


def main():
    checks = t.Checks()
    f = Fixture()
    model = check_measuring(checks, f)
    other = check_choice(checks, f, model)
    check_training(checks, f, other)
    check_bad_files(checks, f, model)
    check_refusals(checks, f)
    check_autotune(checks, f)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
