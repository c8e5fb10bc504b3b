"""Convolutions by cuDNN or by tgc's kernels, whichever was measured to be faster:
a program with copies of its training step times both (on the emulator, where the
stand-in for cuDNN takes as long as it is told), and writes a file; a compile that
reads it gives each convolution to whom it says, and the program computes the
same.  usage: choosing.py"""
import json
import os
import re
import sys

import gpu
import tgctest as t

MOST = 1e-5  # relative, of a loss: sums may be in another order
NET = """param layers = 2

net two(image: [1, 28, 28]) {
    x = relu(bn1: batch_norm(conv1: conv(image, 4, 3, 4, bias = false)))
    for i in 2 .. layers {
        x = relu(bn{i}: batch_norm(conv{i}: conv(x, 6, 3, bias = false)))
    }
    return fc: dense(mean(x, over = [height, width]), 10)
}

train {
    data idx { samples = 200 }
    optimizer sgd { lr = 0.01, momentum = 0.9 }
    batch = 2
}
"""
NOWHERE = "/nowhere/libcudnn.so.9"


class Fixture:
    def __init__(self):
        self.folder = t.scratch("emulator_choosing")
        self.data = t.idx_data(self.path("data"), train=7, test=4)
        with open(self.path("two.net"), "w", encoding="utf-8") as file:
            file.write(NET)
        self.library = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, name, *options, target="cuda:sm_90", **env):
        return t.run(t.TGC, "compile", self.path("two.net"), "--target", target,
                     *options, "-o", self.path(name),
                     env={"XDG_CACHE_HOME": self.path("cache"), **env})

    def build(self, name, *options):
        """A program with the emulator of its kernels: the device's options."""
        temps = self.path(name + ".temps")
        self.compile(name, *options, f"--save-temps={temps}").must()
        return gpu.build(self.path(name + ".so"),
                         os.path.join(temps, "kernels.cu"))

    def tune(self, name, library, tiles):
        return t.run(self.path(name), "bench", "--steps", 2, "--tune",
                     self.path(tiles), "--device", f"emu:{library}",
                     env={"TGC_CUDNN": library})

    def losses(self, name, *device, **env):
        t.run(self.path(name), "train", "--data", self.data, "--steps", 3,
              "--log", self.path("log"), *device, env=env).must()
        return [row["loss"] for row in t.log_rows(self.path("log"))]

    def convolutions(self, name):
        info = t.run(self.path(name), "info", "--json").must().out
        return json.loads(info)["convolutions"]


def rows_of(path):
    """Rows of convolutions: name -> (who, tile, best, other)."""
    with open(path, encoding="utf-8") as file:
        found = re.findall(r"^product (conv\w*_f32_\w+_by_\w+) (\S+) (\S+) "
                           r"(\S+) (\S+)$", file.read(), re.M)
    return {name: (who, tile, float(best), float(other))
            for name, who, tile, best, other in found}


def kind_of(name):
    return name.split("_f32")[0]


def check_copies(checks, f):
    """Graphs of the program that measures."""
    plan = f.compile("plan", "--cudnn", "--tunable", "--emit=plan").must()
    with open(f.path("plan"), encoding="utf-8") as file:
        graphs = re.findall(r"^graph (train\S*):", file.read(), re.M)
    names = [g.split(".", 2)[2] for g in graphs if g.count(".") == 2]
    kinds = sorted(kind_of(n) for n in names if n != "all")
    checks.equal(kinds, ["conv", "conv", "conv_grad_input", "conv_grad_weight",
                         "conv_grad_weight"],
                 "a copy of the step for each convolution")
    checks.that({"train", "train.base", "train.cudnn.all"} < set(graphs),
                "as it is, and with all of cuDNN's", graphs)
    for options in (("--tunable",), ("--cudnn",)):
        f.compile("plan", *options, "--emit=plan").must()
        with open(f.path("plan"), encoding="utf-8") as file:
            checks.that("graph train." not in file.read(),
                        f"none with {options[0]} alone", plan.err)
    return set(names) - {"all"}


def check_measuring(checks, f, names):
    """Whoever is faster here: times of the emulator mean nothing, and how it is
    chosen by them is tested in runtime/choose_test.c."""
    run = f.tune("tunable", f.library, "tiles").must()
    rows = rows_of(f.path("tiles"))
    checks.equal(set(rows), names, "a row for each")
    checks.that(all(who in ("cudnn", "tgc") and tile in ("-", "all") and
                    best > 0 and other > 0
                    for who, tile, best, other in rows.values()),
                "who, how, and times", rows)
    cudnn = sum(row[0] == "cudnn" for row in rows.values())
    checks.that(f"5 convolutions timed, {cudnn} of them for cuDNN" in run.out,
                "it says so", run.out)
    with open(f.path("tiles"), encoding="utf-8") as file:
        mixed = file.read()
    f.compile("chosen", "--cudnn", "--tune-file", f.path("tiles")).must()
    by = [c["by"] for c in f.convolutions("chosen")
          if c["why"].startswith("timed: ")]
    checks.equal({"cuDNN": "cudnn" in mixed, "tgc": cudnn < 5},
                 {who: who in by for who in ("cuDNN", "tgc")},
                 "the next program is so")


def file_text(rows):
    """A file of tiles; its sum is FNV-1a."""
    text = "tgc-tiles 1\ndevice sm_90 emulated GPU\n" + "".join(
        f"product {name} {who} - 1.000 2.000\n"
        for name, who in sorted(rows.items()))
    h = 0xcbf29ce484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return text + f"end {len(rows)} {h:016x}\n"


def write_rows(f, rows):
    with open(f.path("mix"), "w", encoding="utf-8") as file:
        file.write(file_text(rows))
    return "--tune-file", f.path("mix")


def check_mixture(checks, f, names):
    """Each is whose the file says, and it computes the same."""
    rows = {n: "tgc" if kind_of(n) == "conv_grad_input" or "_4x1x" in n
            else "cudnn" for n in names}
    file = write_rows(f, rows)
    library = f.build("mixed", "--cudnn", *file)
    f.compile("again", "--cudnn", *file).must()
    checks.that(t.same_bytes(f.path("mixed"), f.path("again")),
                "the same file gives the same program")
    found = f.convolutions("mixed")
    whose = {(c["by"], c.get("call", c["kernel"])) for c in found}
    checks.equal(sorted(by for by, _ in whose), ["cuDNN"] * 2 + ["tgc"] * 4,
                 "whose they are; conv1's kernel is another in evaluation")
    for c in found:
        other = "tgc" if c["by"] == "cuDNN" else "cuDNN"
        checks.equal(c["why"], f"timed: a step of 1.0 us so, of 2.0 us by "
                     f"{other}", f"why: {c['kernel']}")
    text = t.run(f.path("mixed"), "info").must().out
    checks.that(re.search(r"cuDNN .*convolution F32.*; timed: a step", text),
                "info says it, too", text)
    on_gpu = f.losses("mixed", "--device", f"emu:{library}", TGC_CUDNN=library)
    f.compile("cpu", target="cpu").must()
    on_cpu = f.losses("cpu")
    worst = max(abs(a - b) / abs(b) for a, b in zip(on_gpu, on_cpu))
    checks.that(len(on_gpu) == 3 and worst < MOST, "the losses of the cpu",
                (on_gpu, on_cpu))


def check_defaults(checks, f, names):
    """What was not timed is cuDNN's; without cuDNN, rows say nothing."""
    file = write_rows(f, {})
    f.compile("none", "--cudnn", *file).must()
    checks.equal({c["by"] for c in f.convolutions("none")}, {"cuDNN"},
                 "nothing was timed: cuDNN's, as the setting says")
    file = write_rows(f, {n: "tgc" for n in names})
    library = f.build("ours", "--cudnn", *file)
    checks.equal({c["by"] for c in f.convolutions("ours")}, {"tgc"},
                 "none is faster by cuDNN")
    checks.equal(len(f.losses("ours", "--device", f"emu:{library}",
                              TGC_CUDNN=NOWHERE)), 3,
                 "and the program does without it")
    f.compile("plain").must()
    f.compile("off", *write_rows(f, {n: "cudnn" for n in names})).must()
    checks.that(t.same_bytes(f.path("plain"), f.path("off")),
                "not asked for: the file gives nothing to cuDNN")


def check_shown(checks, f, names):
    """Commands that show what would be compiled go by the cache's file, too."""
    def shown(*options):
        return t.run(t.TGC, "memory", f.path("two.net"), "--target",
                     "cuda:sm_90", *options,
                     env={"XDG_CACHE_HOME": f.path("shown")}).must().out
    plain, cudnn = shown(), shown("--cudnn")
    checks.that(plain != cudnn, "cuDNN's workspaces are in the table")
    write_rows(f, {n: "tgc" for n in names})
    os.makedirs(f.path("shown/tgc"), exist_ok=True)
    os.rename(f.path("mix"), f.path("shown/tgc/tiles-sm_90"))
    checks.equal(shown("--cudnn"), plain, "none is cuDNN's: none there")


def check_again(checks, f, names):
    """From what was chosen, to be timed as a whole."""
    rows = {n: "tgc" if kind_of(n) == "conv" else "cudnn" for n in names}
    file = write_rows(f, rows)
    f.compile("plan", "--cudnn", "--tunable", *file, "--emit=plan").must()
    with open(f.path("plan"), encoding="utf-8") as text:
        graphs = re.findall(r"^graph (train\.\S*):", text.read(), re.M)
    other = {"tgc": "cudnn", "cudnn": "tgc"}
    checks.equal(set(graphs), {"train.base", "train.tgc.all", "train.cudnn.all",
                               *(f"train.{other[who]}.{n}"
                                 for n, who in rows.items())},
                 "copies with each the other way")
    library = f.build("second", "--cudnn", "--tunable", *file)
    f.tune("second", library, "second.tiles").must()
    checks.equal(set(rows_of(f.path("second.tiles"))), names, "all timed again")


def check_autotune(checks, f):
    """The whole, on the emulator as the system's driver.  In 16 bits there is one
    convolution to choose, so there is no second round, whatever is faster.  Steps
    that are timed alone add to the sums of a batch's parts again and again, and
    must not spoil what is timed after them."""
    half = ("--cudnn", "--set", "precision=f16", "-D", "layers=1", "--set",
            "accumulate=2")
    folder = f.path("driver")
    os.mkdir(folder)
    library = f.build("half", *half, "--tunable")
    os.symlink(library, os.path.join(folder, "libcuda.so.1"))
    env = {"LD_LIBRARY_PATH": folder, "TGC_CUDNN": library}
    run = f.compile("auto", *half, "--autotune", **env)
    checks.that(run.status == 0 and "1 convolution timed" in run.out + run.err,
                "--autotune chooses", run.err)
    why = [c["why"] for c in f.convolutions("auto")]
    checks.that(any(w.startswith("timed: ") for w in why), "and says why", why)
    f.compile("later", *half).must()
    checks.that(t.same_bytes(f.path("auto"), f.path("later")),
                "a later compile takes it: the same program")
    run = f.compile("bad", *half, "--autotune", **{**env, "TGC_CUDNN": NOWHERE})
    checks.refused(run, "--autotune: .*there is no cuDNN here",
                   "--autotune without cuDNN")


# In the place of the C compiler: what it "links" is a program that says that it
# was run, and writes the file of tiles that it is given.
COMPILER = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
case $out in *.o) : >"$out"; exit ;; esac
cat >"$out" <<END
#!/bin/sh
echo "\\$1 \\$2" >>{log}
cp {tiles} "\\$3"
END
chmod +x "$out"
"""


def check_rounds(checks, f, names):
    """A mixture is timed once more, as a whole."""
    cc, log = f.path("cc"), f.path("rounds")
    with open(cc, "w", encoding="utf-8") as file:
        file.write(COMPILER.format(log=log, tiles=f.path("mix")))
    os.chmod(cc, 0o755)
    half = {n: "tgc" if kind_of(n) == "conv" else "cudnn" for n in names}
    for what, rows, options, rounds in (
            ("a mixture", half, ("--cudnn",), 2),
            ("all cuDNN's", dict.fromkeys(names, "cudnn"), ("--cudnn",), 1),
            ("all tgc's", dict.fromkeys(names, "tgc"), ("--cudnn",), 1),
            ("not asked for", half, (), 1)):
        write_rows(f, rows)
        open(log, "w", encoding="utf-8").close()
        f.compile("rounds.out", *options, "--autotune", "--tune-file",
                  f.path("rounds.tiles"), CC=cc).must()
        with open(log, encoding="utf-8") as file:
            checks.equal(file.read(), "bench --tune\n" * rounds,
                         f"{what}: timed in {rounds}")


def main():
    checks = t.Checks()
    f = Fixture()
    names = check_copies(checks, f)
    f.library = f.build("tunable", "--cudnn", "--tunable")
    check_measuring(checks, f, names)
    check_mixture(checks, f, names)
    check_defaults(checks, f, names)
    check_shown(checks, f, names)
    check_again(checks, f, names)
    check_rounds(checks, f, names)
    check_autotune(checks, f)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
