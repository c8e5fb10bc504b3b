"""tgc compile --target cuda: images, the cache and the messages, with a library
that stands in for NVRTC (fake_nvrtc.c), so that they show on any machine."""
import os
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

    def compile(self, name, *options, target="cuda", **env):
        env = {"TGC_NVRTC": FAKE, "XDG_CACHE_HOME": self.cache,
               "FAKE_NVRTC_COUNT": self.count_file, **env}
        return t.run(t.TGC, "compile", TINY, "--target", target, "-o",
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
    run = p.compile("cold")
    checks.equal((run.status, p.compiles()), (0, 5),
                 "four GPUs and PTX are compiled")
    checks.equal(len(p.entries()), 5, "and kept")
    run = p.compile("cached", "-v")
    checks.equal((run.status, p.compiles()), (0, 0), "then taken from the cache")
    checks.that("from the cache" in run.err, "-v says so", run.err)
    checks.that(read(p.path("cold")) == read(p.path("cached")),
                "with the same program, byte for byte")
    p.compile("one", target="cuda:sm_90")
    checks.equal(p.compiles(), 0, "one GPU of those is in the cache, too")
    p.compile("other", FAKE_NVRTC_VERSION="13010")
    checks.equal(p.compiles(), 5, "another NVRTC has entries of its own")
    p.compile("batch", "--set", "batch=3")
    checks.equal(p.compiles(), 5, "other kernels have, too")


def check_damage(checks, p):
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
        checks.equal((run.status, p.compiles()), (0, 5),
                     f"entries {what} are made anew")
        checks.that(read(p.path("damaged")) == wanted, "to the same program")
        p.compile("damaged")
        checks.equal(p.compiles(), 0, "and are good again")


def check_no_cache(checks, p):
    blocked = p.path("blocked")
    with open(blocked, "w") as file:
        file.write("a file where the folder should be")
    for what, env in [("a cache that cannot be written",
                       {"XDG_CACHE_HOME": blocked}),
                      ("no place for a cache",
                       {"XDG_CACHE_HOME": "", "HOME": ""})]:
        run = p.compile("uncached", **env)
        checks.equal((run.status, p.compiles()), (0, 5), f"{what} is no mistake")


def check_messages(checks, p):
    for name in ("cuda:sm_70", "cuda:", "cuda:sm_900", "cuda:compute_90",
                 "cuda:90", "gpu"):
        run = p.compile("bad", target=name)
        checks.refused(run, "no target .*sm_80.*sm_90.*sm_120",
                       f"--target {name} is refused with the list")
    run = p.compile("bad", TGC_NVRTC=p.path("nowhere"))
    checks.refused(run, "libnvrtc.*install", "no NVRTC: what to install")
    run = p.compile("bad", TGC_NVRTC=t.TGC)
    checks.refused(run, "libnvrtc", "something else for NVRTC")
    run = p.compile("bad", target="cuda:sm_120", FAKE_NVRTC_VERSION="12000")
    checks.refused(run, "12.0.*does not know sm_120", "an NVRTC too old")
    checks.that(not os.path.exists(p.path("bad")), "no program is left")
    run = p.compile("older", FAKE_NVRTC_VERSION="12000")
    checks.equal((run.status, p.compiles()), (0, 3),
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
                    FAKE_NVRTC_REFUSE="tgc_gemm<k")
    checks.refused(run, r"refuses the kernel of (matmul|conv).*tiny\.net:\d+:\d+"
                   r".*kernels\.cu, line \d+.*planted", "a kernel that NVRTC "
                   "refuses is named with its line")
    kept = [os.path.join(tmp, d, "kernels.cu") for d in os.listdir(tmp)]
    checks.that(len(kept) == 1 and b"tgc_gemm<k" in read(kept[0]),
                "its source is kept", kept)
    checks.equal(set(os.listdir(p.folder)) - before, {"tmp", "count"},
                 "and nothing else")


def main():
    checks = t.Checks()
    p = Place(t.scratch("cuda_compiling"))
    check_cache(checks, p)
    check_damage(checks, p)
    check_no_cache(checks, p)
    check_messages(checks, p)
    check_refusal(checks, p)
    checks.done()


main()
