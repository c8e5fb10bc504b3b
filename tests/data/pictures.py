"""Pictures decoded and resized as Pillow does it, bit for bit: JPEG of every
sort of sampling, progressive, grey, CMYK; PNG of every colour type, interlaced,
with alpha, of 1 and of 16 bits. Files that are cut anywhere, changed anywhere,
or lie about their size are named as damaged, and never crash the reader."""
import os
import random
import struct
import subprocess
import sys
import zlib

import tgctest as t

DUMP = os.path.join(t.BUILD, "tests", "data", "picture_dump")
if t.run(sys.executable, "-c", "import PIL.Image, numpy").status:
    t.skip("needs python3-pil and python3-numpy")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402


def dump(path, c, h, w, resize):
    done = subprocess.run([DUMP, *map(str, (c, h, w, resize)), path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr.decode()


def photograph(h, w, seed=1):
    """Smooth, with edges, in colours."""
    y, x = np.mgrid[0:h, 0:w]
    g = np.random.RandomState(seed)
    planes = [127 + 100 * np.sin(x / (3 + 5 * g.rand()) + k) *
              np.cos(y / (3 + 5 * g.rand())) + g.randint(-20, 20, (h, w))
              for k in range(3)]
    return np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8)


def wanted(path, c, h, w, resize):
    """The picture that just covers h x w, and of that the middle."""
    image = Image.open(path).convert("RGB" if c == 3 else "L")
    if resize and image.size != (w, h):
        wide, high = image.size
        if w * high >= h * wide:
            size = (w, w * high // wide)
        else:
            size = (h * wide // high, h)
        image = image.resize(size, Image.BILINEAR)
        left, top = (size[0] - w) // 2, (size[1] - h) // 2
        image = image.crop((left, top, left + w, top + h))
    pixels = np.asarray(image)
    return (pixels[None] if c == 1 else pixels.transpose(2, 0, 1)).tobytes()


def pictures(folder):
    """(name, path) of files as programs write them."""
    rgb = Image.fromarray(photograph(37, 53))
    grey, alpha = rgb.convert("L"), rgb.convert("L").rotate(90).resize(rgb.size)
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    both = Image.merge("LA", (grey, alpha))
    palette = rgb.quantize(17)
    inks = Image.fromarray(np.dstack([photograph(37, 53, 2),
                                      photograph(37, 53, 3)[:, :, :1]]), "CMYK")
    files = []

    def save(name, image, **options):
        path = os.path.join(folder, name)
        image.save(path, **options)
        files.append((name, path))

    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        save(f"{name}.jpg", rgb, quality=90, subsampling=sampling)
    save("progressive.jpg", rgb, quality=80, progressive=True)
    save("grey.jpg", grey)
    save("cmyk.jpg", inks)
    save("restart.jpg", rgb, quality=70, optimize=True)
    save("rgb.png", rgb)
    save("grey.png", grey)
    save("rgba.png", rgba)
    save("la.png", both)
    save("palette.png", palette)
    save("palette4.png", rgb.quantize(5), bits=4)
    save("palette_clear.png", palette, transparency=3)
    save("bits.png", grey.convert("1"))
    path = os.path.join(folder, "interlaced.png")
    write_interlaced(path, np.asarray(rgb))
    return files + [("interlaced.png", path)]


def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def write_png(path, width, height, depth, colour, interlace, raw, more=b""):
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
            ">IIBBBBB", width, height, depth, colour, 0, 0, interlace)) + more +
            chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def write_interlaced(path, pixels):
    """Adam7, PNG specification 8.2."""
    raw = b""
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
                         (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = pixels[y::dy, x::dx]
        if part.shape[0] and part.shape[1]:
            raw += b"".join(b"\0" + row.tobytes() for row in part)
    write_png(path, pixels.shape[1], pixels.shape[0], 8, 2, 1, raw)


def against_pillow(checks, folder):
    for name, path in pictures(folder):
        for c, h, w, resize in ((3, 37, 53, 0), (1, 37, 53, 0), (3, 16, 16, 1),
                                (3, 64, 64, 1), (1, 31, 20, 1), (3, 20, 61, 1),
                                (3, 36, 36, 1), (3, 1, 1, 1)):
            status, got, error = dump(path, c, h, w, resize)
            right = wanted(path, c, h, w, resize)
            checks.that(status == 0 and got == right,
                        f"{name} to {c}x{h}x{w}: Pillow's bytes",
                        error or far(got, right))
    wide = photograph(11, 13).astype(np.uint16)[:, :, 0] * 257 + 3
    path = os.path.join(folder, "wide.png")
    write_png(path, 13, 11, 16, 0, 0, b"".join(
        b"\0" + row.astype(">u2").tobytes() for row in wide))
    status, got, error = dump(path, 1, 11, 13, 0)
    right = np.round(wide / 257.0).astype(np.uint8).tobytes()
    checks.that(status == 0 and got == right, "16 bits become the nearest 8",
                error or far(got, right))


def far(got, right):
    if len(got) != len(right):
        return f"{len(got)} bytes, not {len(right)}"
    a, b = (np.frombuffer(x, np.uint8).astype(int) for x in (got, right))
    return f"{(a != b).sum()} of {len(a)} differ, by at most {abs(a - b).max()}"


def damaged(checks, folder):
    """A cut file is damaged wherever it is cut; a changed one gives some
    picture or a message, but the reader lives."""
    generator = random.Random(1)
    broken = os.path.join(folder, "broken")
    for name in ("420.jpg", "progressive.jpg", "rgb.png", "palette.png"):
        with open(os.path.join(folder, name), "rb") as file:
            whole = file.read()
        last = len(whole) - (3 if name.endswith("jpg") else 13)
        wrong = []
        for cut in [0, 1, 2, 3, 4, 20] + [generator.randrange(30, last)
                                          for _ in range(25)] + [last]:
            with open(broken, "wb") as file:
                file.write(whole[:cut])
            status, _, error = dump(broken, 3, 37, 53, 0)
            if status != 1 or "broken is damaged: " not in error:
                wrong.append((cut, status, error))
        checks.that(not wrong, f"{name} cut short is damaged", wrong[:3])
        wrong = []
        for _ in range(60):
            changed = bytearray(whole)
            for _ in range(generator.randrange(1, 4)):
                changed[generator.randrange(len(changed))] = \
                    generator.randrange(256)
            with open(broken, "wb") as file:
                file.write(changed)
            status, out, error = dump(broken, 3, 37, 53, 1)
            if not (status == 0 and len(out) == 3 * 37 * 53 or
                    status == 1 and "broken" in error):
                wrong.append((status, error))
        checks.that(not wrong, f"{name} changed: a picture or a message",
                    wrong[:3])
    lies(checks, folder, broken)


def lies(checks, folder, broken):
    write_png(broken, 60000, 60000, 8, 2, 0, b"\0")
    status, _, error = dump(broken, 3, 8, 8, 1)
    checks.that(status == 1 and "60000x60000 pixels" in error,
                "a PNG that claims 3.6 G pixels", error)
    with open(os.path.join(folder, "420.jpg"), "rb") as file:
        jpeg = file.read()
    at = jpeg.index(b"\xff\xc0") + 5
    with open(broken, "wb") as file:
        file.write(jpeg[:at] + b"\xff\x00\xff\x00" + jpeg[at + 4:])
    status, _, error = dump(broken, 3, 8, 8, 1)
    checks.that(status == 1 and "65280x65280 pixels" in error,
                "a JPEG that claims 4.2 G pixels", error)
    # A progressive JPEG with its scans a thousand times over.
    with open(os.path.join(folder, "progressive.jpg"), "rb") as file:
        jpeg = file.read()
    first = jpeg.index(b"\xff\xda")
    second = jpeg.index(b"\xff\xda", first + 2)
    with open(broken, "wb") as file:
        file.write(jpeg[:first] + 1000 * jpeg[first:second] + b"\xff\xd9")
    status, _, error = dump(broken, 3, 37, 53, 0)
    checks.that(status == 1 and "is damaged" in error,
                "a JPEG of a thousand scans", error)
    for text, data in (("an empty file", b""), ("a text", b"no picture at all"),
                       ("a GIF", b"GIF89a" + bytes(100))):
        with open(broken, "wb") as file:
            file.write(data)
        status, _, error = dump(broken, 3, 8, 8, 1)
        checks.that(status == 1 and "broken is damaged: it is " in error, text,
                    error)
    status, _, error = dump(os.path.join(folder, "rgb.png"), 3, 32, 32, 0)
    checks.that(status == 1 and "has 37x53 pixels (height, width), but the "
                "model takes 32x32; data.resize = 32" in error,
                "another size without resize", error)


def main():
    checks = t.Checks()
    folder = t.scratch("data_pictures")
    against_pillow(checks, folder)
    damaged(checks, folder)
    checks.done()


if __name__ == "__main__":
    main()
