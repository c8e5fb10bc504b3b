"""tgc compile --target cuda: images, the cache and the messages, with a library
that stands in for NVRTC (fake_nvrtc.c), so that they show on any machine."""
import os
import re
import sys

import tgctest as t

TINY = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")
FAKE = os.path.abspath(sys.argv[1])


class Place:
    """A folder with a cache, a counter of compiles and outputs."""

    def __init__(self, folder):
        self.folder = folder
        self.cache = os.path.join(folder, "cache", "deep")
        self.count_file = os.path.join(folder, "count")

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, name, *options, target="cuda", model=TINY, **env):
        env = {"TGC_NVRTC": FAKE, "XDG_CACHE_HOME": self.cache,
               "FAKE_NVRTC_COUNT": self.count_file, **env}
        return t.run(t.TGC, "compile", model, "--target", target, "-o",
                     self.path(name), *options, env=env)

    def compiles(self):
        """How many there were since the last call."""
        if not os.path.exists(self.count_file):
            return 0
        n = os.path.getsize(self.count_file)
        os.unlink(self.count_file)
        return n

    def entries(self):
        folder = os.path.join(self.cache, "tgc")
        return sorted(os.path.join(folder, n) for n in os.listdir(folder))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def check_cache(checks, p):
    """What is compiled is a unit of kernels for a GPU.  How many there are."""
    run = p.compile("cold", "-v")
    said = re.search(r"^tgc: sm_90: .* 0 of (\d+) units from the cache$",
                     run.err, re.M)
    units = int(said.group(1)) if said else 0
    checks.that(units > 1, "kernels come in units", run.err)
    checks.equal((run.status, p.compiles()), (0, 5 * units),
                 "four GPUs and PTX are compiled")
    checks.equal(len(p.entries()), 5 * units, "and kept")
    run = p.compile("cached", "-v")
    checks.equal((run.status, p.compiles()), (0, 0), "then taken from the cache")
    checks.equal(run.err.count(f"{units} of {units} units from the cache"), 5,
                 "-v says so")
    checks.that(read(p.path("cold")) == read(p.path("cached")),
                "with the same program, byte for byte")
    p.compile("one", target="cuda:sm_90")
    checks.equal(p.compiles(), 0, "one GPU of those is in the cache, too")
    p.compile("other", FAKE_NVRTC_VERSION="13010")
    checks.equal(p.compiles(), 5 * units,
                 "another NVRTC has entries of its own")
    p.compile("batch", "--set", "batch=3")
    checks.that(p.compiles() > 5, "other kernels have, too")
    return units


def check_shared(checks, p):
    """Models that have most kernels in common have most units in common: not
    those that do the same for all weights at once."""
    resnet = os.path.join(t.MODELS, "resnet.net")
    counts = []
    for depth in (14, 20, 26):
        p.compile("resnet", "-D", f"depth={depth}", target="cuda:sm_90",
                  model=resnet).must()
        counts.append(p.compiles())
    checks.that(counts[0] > 5 and counts[1] < counts[0] and
                2 * counts[2] < counts[0],
                "deeper ResNets take units of shallower ones", counts)
    text = ""
    with open(resnet) as file:
        text = file.read()
    moved = p.path("moved.net")
    with open(moved, "w") as file:
        file.write("\n\n# two lines further down\n" + text)
    p.compile("resnet", "-D", "depth=26", target="cuda:sm_90",
              model=moved).must()
    checks.equal(p.compiles(), 0, "lines and names of the model do not matter")


def check_damage(checks, p, units):
    def cut(data):
        return data[:-1]

    def flip(data):
        return data[:50] + bytes([data[50] ^ 1]) + data[51:]

    def lie(data):  # a length that is not there
        return data[:24] + b"\xff" * 8 + data[32:]

    wanted = read(p.path("cold"))
    for what, damage in [("cut short", cut), ("with a flipped bit", flip),
                         ("with a wrong length", lie), ("empty", lambda d: b""),
                         ("longer", lambda d: d + b"x")]:
        for path in p.entries():
            data = damage(read(path))
            with open(path, "wb") as file:
                file.write(data)
        run = p.compile("damaged")
        checks.equal((run.status, p.compiles()), (0, 5 * units),
                     f"entries {what} are made anew")
        checks.that(read(p.path("damaged")) == wanted, "to the same program")
        p.compile("damaged")
        checks.equal(p.compiles(), 0, "and are good again")


def check_no_cache(checks, p, units):
    blocked = p.path("blocked")
    with open(blocked, "w") as file:
        file.write("a file where the folder should be")
    for what, env in [("a cache that cannot be written",
                       {"XDG_CACHE_HOME": blocked}),
                      ("no place for a cache",
                       {"XDG_CACHE_HOME": "", "HOME": ""})]:
        run = p.compile("uncached", **env)
        checks.equal((run.status, p.compiles()), (0, 5 * units),
                     f"{what} is no mistake")


def check_messages(checks, p, units):
    for name in ("cuda:sm_70", "cuda:", "cuda:sm_900", "cuda:compute_90",
                 "cuda:90", "gpu"):
        run = p.compile("bad", target=name)
        checks.refused(run, "no target .*sm_80.*sm_90.*sm_120",
                       f"--target {name} is refused with the list")
    run = p.compile("bad", TGC_NVRTC=p.path("nowhere"))
    checks.refused(run, "libnvrtc.*TGC_NVRTC names a file .*nowhere",
                   "TGC_NVRTC leads nowhere")
    run = p.compile("bad", TGC_NVRTC=t.TGC)
    checks.refused(run, "libnvrtc", "something else for NVRTC")
    run = p.compile("bad", target="cuda:sm_120", FAKE_NVRTC_VERSION="12000")
    checks.refused(run, "12.0.*does not know sm_120", "an NVRTC too old")
    checks.that(not os.path.exists(p.path("bad")), "no program is left")
    run = p.compile("older", FAKE_NVRTC_VERSION="12000")
    checks.equal((run.status, p.compiles()), (0, 3 * units),
                 "without a name it makes what it can")
    checks.that("sm_100" in run.err and "sm_120" in run.err,
                "and says what it cannot", run.err)
    for emit, target in (("cu", "cpu"), ("ptx", "cpu"), ("c", "cuda")):
        run = t.run(t.TGC, "compile", TINY, "--target", target,
                    f"--emit={emit}")
        checks.refused(run, "target cuda", f"--emit={emit} for {target}")


def check_refusal(checks, p):
    """The message names the op and its line; the source is kept."""
    before = set(os.listdir(p.folder))
    tmp = p.path("tmp")
    os.mkdir(tmp)
    run = p.compile("refused", "--set", "batch=5", TMPDIR=tmp,
                    FAKE_NVRTC_REFUSE="tgc_gemm<")
    checks.refused(run, r"refuses the kernel of \w*(matmul|conv).*tiny\.net:\d+:\d+"
                   r".*kernels\.cu, line \d+.*planted", "a kernel that NVRTC "
                   "refuses is named with its line")
    line = int(re.search(r"kernels\.cu, line (\d+)", run.err).group(1))
    kept = [os.path.join(tmp, d, "kernels.cu") for d in os.listdir(tmp)]
    checks.that(len(kept) == 1 and b"tgc_gemm<" in read(kept[0]),
                "its source is kept", kept)
    checks.that(b"tgc_gemm<" in read(kept[0]).split(b"\n")[line - 1],
                "with the line that the message means")
    checks.equal(set(os.listdir(p.folder)) - before, {"tmp", "count"},
                 "and nothing else")


def check_full_disk(checks, p):
    """A small file system without room, for what is made and for the cache."""
    disk = p.path("disk")
    os.mkdir(disk)
    if t.run("mount", "-t", "tmpfs", "-o", "size=64k", "tgc-test",
             disk).status != 0:
        print("        (cannot mount a small file system here: one check less)")
        return
    try:
        run = p.compile("full", "--set", "batch=6", TMPDIR=disk)
        checks.refused(run, f"cannot write.*{disk}.*No space left",
                       "a full disk is named")
        checks.equal(os.listdir(disk), [], "and nothing is left there")
        checks.that(not os.path.exists(p.path("full")), "nor a program")
        for size in (60000, 4000):
            with open(os.path.join(disk, "ballast"), "wb") as file:
                file.write(bytes(size))
            run = p.compile("full", "--set", "batch=6", XDG_CACHE_HOME=disk,
                            CCACHE_DISABLE="1")  # whose cache is there, too
            checks.that(run.status == 0, "a cache without room is no mistake",
                        run.err)
        folder = os.path.join(disk, "tgc")
        left = os.listdir(folder) if os.path.isdir(folder) else []
        checks.that(all(n.endswith(".image") for n in left),
                    "and nothing half written stays in it", left)
    finally:
        t.run("umount", disk)


def main():
    checks = t.Checks()
    p = Place(t.scratch("cuda_compiling"))
    units = check_cache(checks, p)
    check_shared(checks, p)
    check_damage(checks, p, units)
    check_no_cache(checks, p, units)
    check_messages(checks, p, units)
    check_refusal(checks, p)
    check_full_disk(checks, p)
    checks.done()


main()
