"""The page of a run: one file that asks for nothing else, with figures that
other files bear out, pictures that are those of the data set, and damaged logs
survived. A Chromium, where there is one, finds no error in it."""
import base64
import csv
import html
import html.parser
import json
import os
import re
import shutil
import struct
import zlib

import tgctest as t

TEST, SIZE = 90, 28
VOID = {"meta", "link", "img", "br", "line", "polyline", "circle"}


class Page(html.parser.HTMLParser):
    """Tags must close in order; addresses must lie in the page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.links, self.images = [], [], [], []
        self.cells, self.words, self.polylines = [], [], 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.polylines += tag == "polyline"
        for key, value in attrs:
            if key in ("src", "href", "xlink:href", "data", "action"):
                self.links.append(value)
                if tag == "img":
                    self.images.append((dict(attrs)["alt"], value))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class")))

    def handle_startendtag(self, tag, attrs):
        if tag not in VOID:
            self.wrong.append(tag)
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()[0] != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1][1] in ("right", "wrong"):
            self.cells.append((self.open[-1][1], int(data)))


def png_pixels(link):
    """Grey bytes of a PNG of 8 bits without filters; its sums checked."""
    data = base64.b64decode(link.split(",", 1)[1])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, head = 8, b"", None
    while at < len(data):
        size, = struct.unpack_from(">I", data, at)
        name, body = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(
            name + body)
        head = body if name == b"IHDR" else head
        packed += body if name == b"IDAT" else b""
        at += 12 + size
    wide, tall, bits, kind = struct.unpack_from(">IIBB", head)
    assert (wide, tall, bits, kind) == (SIZE, SIZE, 8, 0)
    rows = zlib.decompress(packed)
    assert all(rows[y * (SIZE + 1)] == 0 for y in range(SIZE))
    return b"".join(rows[y * (SIZE + 1) + 1:(y + 1) * (SIZE + 1)]
                    for y in range(SIZE))


class Fixture:
    def __init__(self):
        self.folder = t.scratch("report")
        self.data = t.idx_data(os.path.join(self.folder, "data"), 200, TEST)
        self.binary = t.compiled(
            os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"))
        self.save = os.path.join(self.folder, "run")
        self.out = t.run(self.binary, "train", "--data", self.data,
                         "--save-dir", self.save, "--epochs", "4").must().out

    def report(self, *more, folder=None):
        return t.run(self.binary, "report", "--save-dir", folder or self.save,
                     *more)

    def page(self, folder=None):
        with open(os.path.join(folder or self.save, "report.html"),
                  encoding="utf-8") as file:
            return file.read()


def check_page(checks, f):
    page = Page(f.page())
    checks.that(not page.wrong and not page.open, "tags close in order",
                (page.wrong, page.open))
    checks.that(page.links and all(link.startswith("data:")
                                   for link in page.links),
                "nothing lies outside the page",
                [link[:60] for link in page.links if link[:5] != "data:"])
    checks.that(not re.search(r"https?:|url\(|@import|<script", f.page()),
                "and no style asks for more")
    checks.equal(page.polylines, 6, "the curves")
    return page


def check_figures(checks, f, page):
    with open(os.path.join(f.save, "predictions.csv"), newline="") as file:
        rows = [(int(r["label"]), int(r["predicted"]))
                for r in csv.DictReader(file)]
    with open(os.path.join(f.data, "t10k-labels-idx1-ubyte"), "rb") as file:
        labels = file.read()[8:]
    checks.equal([r[0] for r in rows], list(labels), "predictions: the labels")
    right = sum(a == b for a, b in rows)
    best = json.loads(t.run(f.binary, "eval", "--data", f.data, "--json",
                            "--weights", os.path.join(
                                f.save, "best.safetensors")).must().out)
    checks.equal(right, best["correct"], "predictions are the best weights'")
    checks.equal(sum(n for kind, n in page.cells if kind == "right"), right,
                 "the matrix: what is right")
    checks.equal(sum(n for kind, n in page.cells if kind == "wrong"),
                 TEST - right, "and what is not")
    words = " ".join(page.words)
    checks.that(f"{100 * right / TEST:.2f} %" in words, "the accuracy")
    checks.that("optimizer.lr" in words and "tiny.net:" in words,
                "settings and their origin")
    with open(os.path.join(f.data, "t10k-images-idx3-ubyte"), "rb") as file:
        images = file.read()[16:]
    wrong = [i for i, (a, b) in enumerate(rows) if a != b]
    shown = [int(alt.split()[-1]) for alt, _ in page.images]
    checks.that(len(shown) == min(48, len(wrong)) and set(shown) <= set(wrong),
                "wrong images are shown", (shown, wrong))
    checks.that(all(png_pixels(link) == images[i * SIZE**2:(i + 1) * SIZE**2]
                    for i, (_, link) in zip(shown, page.images)),
                "and are those of the data set")


def check_command(checks, f):
    before = f.page()
    f.report().must()
    checks.that(f.page() == before, "report makes the same page again")
    moved = os.path.join(f.folder, "moved")
    os.rename(f.data, moved)
    run = f.report().must()
    checks.that("no pictures" in run.out and "<img" not in f.page() and
                "What is taken" in f.page(), "without the data: no pictures",
                run.out)
    f.report("--data", moved).must()
    checks.that(f.page() == before, "--data: with pictures again")
    os.rename(moved, f.data)
    checks.refused(f.report(folder=f.data), "run.json", "a folder of no run")
    checks.refused(t.run(f.binary, "report"), "--save-dir", "no folder")
    checks.refused(f.report("--data", f.folder), "train-images|t10k-images",
                   "--data without the files")


def check_damage(checks, f):
    """Logs cut anywhere, foreign words in them: a page all the same."""
    copy = os.path.join(f.folder, "damaged")
    for name, damage in [
            ("run.json", lambda b: b[:300]), ("run.json", lambda b: b""),
            ("run.json", lambda b: b.replace(b"tiny", b"<script>alert(1)<")),
            ("epochs.csv", lambda b: b[:130]), ("epochs.csv", lambda b: b""),
            ("epochs.csv", lambda b: b.replace(b",", b",,")),
            ("epochs.csv", lambda b: b + b"\n1e300,nan,inf,-inf,x,,,,,\n" * 5),
            ("steps.jsonl", lambda b: b[:77]),
            ("steps.jsonl", lambda b: b"{}\n[[[[\n" + b),
            ("predictions.csv", lambda b: b[:-3]),
            ("predictions.csv", lambda b: b + b"90,2147483647,5\n"),
            ("predictions.csv", lambda b: b + b"90,-7,5\n"),
            ("predictions.csv", lambda b: b.replace(b"\n1,", b"\n9,"))]:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(f.save, copy)
        path = os.path.join(copy, name)
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(damage(data))
        run = f.report(folder=copy)
        page = Page(f.page(copy))
        checks.that(run.status == 0 and not page.wrong and not page.open and
                    "<script" not in f.page(copy),
                    f"{name} damaged: a page", (run.status, run.err))


def check_chromium(checks, f):
    for browser in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(browser):
            break
    else:
        print("        (no Chromium here: it is not asked)")
        return
    picture = os.path.join(f.folder, "page.png")
    run = t.run(browser, "--headless", "--no-sandbox", "--disable-gpu",
                "--enable-logging=stderr", "--window-size=1100,2600",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--user-data-dir=" + os.path.join(f.folder, "browser"),
                "--screenshot=" + picture,
                "file://" + os.path.join(f.save, "report.html"), timeout=120)
    checks.that(os.path.getsize(picture) > 30000, "Chromium shows the page")
    checks.that("CONSOLE" not in run.err, "and finds no error in it",
                [l for l in run.err.splitlines() if "CONSOLE" in l])
    check_width(checks, f, browser)


def check_width(checks, f, browser):
    """The page is as wide as its window, a telephone's too."""
    path = os.path.join(f.folder, "framed.html")
    for width in (1200, 400):
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                f"<iframe id=page style='width:{width}px;height:900px;border:0'"
                f' srcdoc="{html.escape(f.page())}"></iframe><script>'
                "page.onload = () => document.title = 'wide ' + "
                "page.contentDocument.documentElement.scrollWidth</script>")
        run = t.run(browser, "--headless", "--no-sandbox", "--disable-gpu",
                    "--window-size=1400,1000", "--dump-dom",
                    "--user-data-dir=" + os.path.join(f.folder, "browser"),
                    "file://" + path, timeout=120).must()
        found = re.search(r"<title>wide (\d+)</title>", run.out)
        checks.that(found and int(found[1]) <= width,
                    f"{width} pixels: nothing lies outside the window",
                    found and found[1])


def crafted(f, name, rows, steps=100, skips=0, state="done", **facts):
    """The folder of a run of which its logs say this: rows of epochs."""
    save = shutil.copytree(f.save, os.path.join(f.folder, name))
    with open(os.path.join(save, "run.json"), encoding="utf-8") as file:
        about = json.load(file)
    for section, values in (
            ("machine", {"cores": 8, "threads": 8, "memory_bytes": 16e9,
                         "planned_bytes": 4e9}),
            ("settings", {"batch": 128, "data.classes": 10}), *facts.items()):
        about[section].update({k: str(v) for k, v in values.items()})
    with open(os.path.join(save, "run.json"), "w", encoding="utf-8") as file:
        json.dump(about, file)
    with open(os.path.join(save, "result.json"), encoding="utf-8") as file:
        result = json.load(file)
    with open(os.path.join(save, "result.json"), "w") as file:
        json.dump(dict(result, state=state), file)
    with open(os.path.join(save, "steps.jsonl"), "w") as file:
        for i in range(1, steps + 1):
            file.write(json.dumps({"step": i, "epoch": 1, "loss": 2.0,
                                   "correct": 5, "lr": 0.3, "data_ms": 1.0,
                                   "step_ms": 9.0, "loss_scale": 1.0,
                                   "skips": min(i, skips)}) + "\n")
    names = ("epoch step loss accuracy test_loss test_accuracy lr images "
             "seconds data_seconds step_seconds eval_seconds best").split()
    with open(os.path.join(save, "epochs.csv"), "w") as file:
        file.write(",".join(names) + "\n")
        for i, row in enumerate(rows, 1):
            row = dict({"epoch": i, "step": 10 * i, "lr": 0.3, "images": 1280,
                        "test_loss": 1.0, "seconds": 100, "data_seconds": 1,
                        "step_seconds": 90, "eval_seconds": 5, "best": 0},
                       **row)
            file.write(",".join(str(row[n]) for n in names) + "\n")
    return save


def learning(n, **change):
    """Epochs that nobody can say anything about."""
    return [dict({"loss": 1 - 0.02 * i, "accuracy": 0.6 + 0.01 * i,
                  "test_accuracy": 0.6 + 0.01 * min(i, n - 3)}, **change)
            for i in range(n)]


def check_rules(checks, f):
    """Each rule, at the logs of a run, says what to change, in figures."""
    said = {}
    flat = learning(4) + [{"loss": 0.8, "accuracy": 0.7,
                           "test_accuracy": 0.63}] * 11
    rising = [{"loss": 1 - 0.02 * i, "accuracy": 0.6 + 0.02 * i,
               "test_accuracy": 0.6 + 0.02 * i} for i in range(12)]
    for name, pattern, save in (
            ("nothing to say", None, crafted(f, "fine", learning(12))),
            ("diverged", r"After 14 steps, at a learning rate of 0\.3, .*third "
             r"of the rate \(--lr 0\.1\).*warmup_epochs=1.*clip_norm",
             crafted(f, "blew", learning(1), steps=14, state="diverged")),
            ("a rising loss", r"rose from 0\.9 to 1\.9: .*smaller learning rate",
             crafted(f, "rose", learning(6) + [
                 {"loss": 1.9, "accuracy": 0.5, "test_accuracy": 0.5}])),
            ("nothing learned", r"After 3 epochs the loss, 2\.3, is no "
             r"better than guessing among 10 classes \(2\.3\).*ten times",
             crafted(f, "guess", learning(3, loss=2.3, accuracy=0.1,
                                          test_accuracy=0.1))),
            ("skipped steps", r"5 % of the steps were skipped.*bf16",
             crafted(f, "skips", learning(12), skips=5)),
            ("waiting", r"40 % of the training time was spent waiting for data"
             r".*--threads", crafted(f, "waits", learning(
                 12, data_seconds=40, step_seconds=60))),
            ("idle cores", r"2 of the machine's 8 cores.*--threads",
             crafted(f, "idle", learning(12), machine={"threads": 2})),
            ("by heart", r"99\.5 % of the training images are right, but "
             r"80\.0 % of the test images.*augmentation",
             crafted(f, "heart", learning(8, accuracy=0.995,
                                          test_accuracy=0.8))),
            ("flat", r"stayed at 63\.00 % for 10 epochs.*--patience 10",
             crafted(f, "flat", flat)),
            ("rising still", r"still rising .*by 18\.0 points in the last 10 "
             r"evaluations.*--epochs 24", crafted(f, "rises", rising)),
            ("evaluation", r"40 % of the time went into evaluation.*"
             r"eval_every=5", crafted(f, "evals", learning(
                 12, seconds=150, eval_seconds=60))),
            ("memory left", r"took 954 MiB of 14\.9 GiB.*batches of 16.*"
             r"batch=64", crafted(f, "memory", learning(12),
                                  settings={"batch": 16},
                                  machine={"planned_bytes": 1e9}))):
        f.report(folder=save).must()
        part = re.search(r"<div class=advice>\n(.*?)</div>", f.page(save), re.S)
        said[name] = re.findall(r"<p>(.*?)</p>", part[1]) if part else []
        good = (len(said[name]) == 1 and
                re.search(pattern, html.unescape(said[name][0]))
                if pattern else not said[name])
        checks.that(good, f"advice: {name}", said[name])


def check_advice(checks, f):
    checks.that("report: " in f.out, "a run ends with its page", f.out[-400:])
    save = os.path.join(f.folder, "still")
    run = t.run(f.binary, "train", "--data", f.data, "--save-dir", save,
                "--epochs", "12", "--lr", "0").must()
    checks.that("advice:" in run.out and "has stayed at" in run.out,
                "a rate of 0: the accuracy is flat", run.out[-800:])
    checks.that("has stayed at" in f.page(save), "on the page too")


def main():
    checks = t.Checks()
    f = Fixture()
    page = check_page(checks, f)
    check_figures(checks, f, page)
    check_command(checks, f)
    check_damage(checks, f)
    check_advice(checks, f)
    check_rules(checks, f)
    if not t.SANITIZED:
        check_chromium(checks, f)
    checks.done()


if __name__ == "__main__":
    main()
