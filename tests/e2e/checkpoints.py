"""Checkpoints that are not what they should be are refused with a sentence
that names the file and the trouble; a disk that is full or a folder that
cannot be written costs no earlier checkpoint."""
import array
import json
import os
import resource
import shutil
import signal
import struct

import tgctest as t


class Fixture:
    def __init__(self):
        self.folder = t.scratch("checkpoints")
        self.data = t.idx_data(os.path.join(self.folder, "data"))
        self.binary = t.compiled(
            os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"))
        self.save = os.path.join(self.folder, "save")
        self.train("--steps", "14").must()
        self.good = os.path.join(self.save, "last.safetensors")
        self.tensors, self.metadata = t.load_tensors(self.good)

    def train(self, *more, save=None, **how):
        return t.run(self.binary, "train", "--data", self.data, "--save-dir",
                     save or self.save,
                     *([] if "--resume" in more else ["--overwrite"]), *more,
                     **how)

    def path(self, name):
        return os.path.join(self.folder, name + ".safetensors")

    def three_ways(self, checks, path, pattern, text):
        """As --resume, --init, and --weights: each refuses."""
        scrap = os.path.join(self.folder, "scrap")
        for verb, run in (
                ("resume", self.train("--resume", path, "--steps", "20",
                                      save=scrap)),
                ("init", self.train("--init", path, "--steps", "2",
                                    save=scrap)),
                ("eval", t.run(self.binary, "eval", "--data", self.data,
                               "--weights", path))):
            checks.refused(run, pattern, f"{text} ({verb})")


def raw_parts(path):
    with open(path, "rb") as file:
        raw = file.read()
    size, = struct.unpack_from("<Q", raw)
    return json.loads(raw[8:8 + size]), raw[8 + size:], raw


def broken_files(f):
    """(name, what the message must say, function that writes the file)"""
    header, data, raw = raw_parts(f.good)
    names = [n for n in header if n != "__metadata__"]
    weight = "layer1.conv1.weight"

    def cut(size):
        return lambda path: open(path, "wb").write(raw[:size])

    def changed(change):
        def write(path):
            copy = json.loads(json.dumps(header))
            t.write_safetensors(path, change(copy) or copy, data)
        return write

    def edit(name, **entry):
        return changed(lambda h: h[name].update(entry))

    begin, end = header[weight]["data_offsets"]
    last = max(names, key=lambda n: header[n]["data_offsets"][1])
    shape = header[weight]["shape"]
    return [
        ("empty", "empty|short|truncated|header", cut(0)),
        ("half a header", "short|truncated|header|beyond", cut(60)),
        ("cut in the data", "truncated|short|beyond", cut(len(raw) - 5)),
        ("header size lies", "header", lambda p: open(p, "wb").write(
            struct.pack("<Q", 1 << 62) + raw[8:])),
        ("header is no JSON", "header|JSON", lambda p: t.write_safetensors(
            p, b"{\"a\": [1, 2", data)),
        ("deeply nested header", "header|JSON|nest|deep",
         lambda p: t.write_safetensors(p, b"[" * 100000, data)),
        ("offsets beyond the end", last, edit(
            last, data_offsets=[1 << 40, (1 << 40) + 4])),
        ("offsets backwards", "layer1.conv1.weight", edit(
            weight, data_offsets=[end, begin])),
        ("negative offset", "layer1.conv1.weight", edit(
            weight, data_offsets=[-4, end])),
        ("overlapping tensors", "overlap|hole|offset", edit(
            weight, data_offsets=[0, end - begin] if begin else
            [4, end - begin + 4])),
        ("extra bytes after the last tensor", "hole|extra|after|bytes|covered",
         lambda p: open(p, "wb").write(raw + bytes(64))),
        ("wrong shape", "layer1.conv1.weight", edit(
            weight, shape=shape[1:] + shape[:1])
         if shape[1:] + shape[:1] != shape else
            edit(weight, shape=[4, 4, 9, 1])),
        ("shape overflows", "layer1.conv1.weight", edit(
            weight, shape=[1 << 62, 1 << 62, 3, 3])),
        ("unknown dtype", "layer1.conv1.weight", edit(weight, dtype="Q7")),
        ("other dtype", "layer1.conv1.weight", edit(weight, dtype="I32")),
        ("no such tensor", "layer1.conv1.weight", without(f, weight)),
        ("an extra tensor", "layer9.conv1.weight", with_extra(f)),
    ]


def without(f, name):
    def write(path):
        rest = {n: v for n, v in f.tensors.items() if n != name}
        t.save_tensors(path, rest, f.metadata)
    return write


def with_extra(f):
    def write(path):
        more = dict(f.tensors)
        more["layer9.conv1.weight"] = ([2, 2], array.array("f", [1, 2, 3, 4]))
        t.save_tensors(path, more, f.metadata)
    return write


def check_broken(checks, f):
    for name, pattern, write in broken_files(f):
        path = f.path(name.replace(" ", "_"))
        write(path)
        f.three_ways(checks, path, pattern, name)
    f.three_ways(checks, f.path("nowhere"), "nowhere", "no such file")
    f.three_ways(checks, f.folder, "director|regular|read|holds no checkpoint",
                 "a directory")


def check_other_model(checks, f):
    """Weights of a net of another depth."""
    deeper = t.compiled("resnet", "-D", "depth=14", "--set", "batch=4")
    save = os.path.join(f.folder, "deeper")
    run = t.run(deeper, "train", "--data", f.data, "--save-dir", save,
                "--steps", "1")
    checks.refused(run, "data", "CIFAR net on a folder without CIFAR files")
    f.three_ways(checks, t.shared("data", "pretrained", "resnet20.safetensors"),
                 "layer|weights only", "weights of another net")


def limit_file_size(size):
    def apply():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return apply


def check_full_disk(checks, f):
    save = os.path.join(f.folder, "full")
    shutil.copytree(f.save, save)
    kept = f.path("kept")
    last = os.path.join(save, "last.safetensors")
    shutil.copy(last, kept)
    resumed = ("--resume", last, "--steps", "30")
    run = f.train(*resumed, save=save, limit=limit_file_size(4096))
    checks.refused(run, "last.safetensors|best.safetensors",
                   "a write that fails names the file")
    checks.that(t.same_bytes(last, kept), "the old checkpoint survives")
    litter = [n for n in os.listdir(save)
              if n.endswith(".tmp") or n.startswith(".")]
    checks.that(not litter, "nothing half-written is left", litter)
    check_small_disk(checks, f, kept)
    f.train(*resumed, save=save).must()
    checks.that(True, "and can be resumed")


def check_small_disk(checks, f, kept):
    """The same on a real file system that is full."""
    disk = os.path.join(f.folder, "disk")
    os.makedirs(disk)
    if t.run("mount", "-t", "tmpfs", "-o", "size=64k", "tgc-test",
             disk).status != 0:
        print("        (cannot mount a small file system here: one check less)")
        return
    try:
        last = os.path.join(disk, "last.safetensors")
        shutil.copy(kept, last)
        room = os.statvfs(disk)
        with open(os.path.join(disk, "ballast"), "wb") as file:
            file.write(bytes(room.f_bavail * room.f_bsize - 8192))
        run = f.train("--resume", last, "--steps", "30", save=disk)
        checks.refused(run, "space", "a full disk is named")
        checks.that(t.same_bytes(last, kept), "full disk: the old one survives")
    finally:
        t.run("umount", disk)


def check_folders(checks, f):
    blocked = os.path.join(f.folder, "file")
    open(blocked, "w").close()
    run = f.train("--steps", "2", save=os.path.join(blocked, "save"))
    checks.refused(run, "file", "a save folder that cannot be made")
    run = f.train("--steps", "2", "--log", os.path.join(blocked, "log"))
    checks.refused(run, "log", "a log that cannot be opened")
    if os.getuid() != 0:
        closed = os.path.join(f.folder, "closed")
        os.mkdir(closed, 0o500)
        checks.refused(f.train("--steps", "2", save=closed), "closed",
                       "a folder that cannot be written")


def main():
    checks = t.Checks()
    f = Fixture()
    check_broken(checks, f)
    check_full_disk(checks, f)
    check_folders(checks, f)
    check_other_model(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
