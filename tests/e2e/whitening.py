"""init = whiten: the filters of a first layer against the patches of the
training images, added up here from the file; the same for any number of
threads; not changed by training, when frozen; kept by --init."""
import math
import os

import tgctest as t

SIZE, IMAGES, EPS, MEAN, STD = 28, 60, 5e-4, 0.3, 0.35
PATCH = [(y, x) for y in range(2) for x in range(3)]
NET = f"""
net white(image: [1, {SIZE}, {SIZE}]) {{
    x = relu(first: conv(image, 9, [2, 3], pad = 0, init = whiten))
    return fc: dense(mean(x), 10)
}}
train {{
    data idx {{ mean = [{MEAN}], std = [{STD}], crop = 3, flip = horizontal }}
    optimizer sgd {{ lr = 0.1, momentum = 0.9 }}
    frozen = "first.weight"
    batch = 12  epochs = 2
}}
"""


def products(pixels):
    """Means over all patches, without augmentation."""
    x = [(p / 255 - MEAN) / STD for p in pixels]
    sums = [[0.0] * len(PATCH) for _ in PATCH]
    places = 0
    for image in range(0, len(x), SIZE * SIZE):
        for y in range(SIZE - 1):
            for column in range(SIZE - 2):
                at = image + y * SIZE + column
                patch = [x[at + dy * SIZE + dx] for dy, dx in PATCH]
                places += 1
                for i, a in enumerate(patch):
                    for k in range(i + 1):
                        sums[i][k] += a * patch[k]
    return [[sums[max(i, k)][min(i, k)] / places for k in range(len(PATCH))]
            for i in range(len(PATCH))]


def check_filters(checks, filters, c):
    n = len(PATCH)
    answers = [[sum(c[i][j] * f[j] for j in range(n)) for i in range(n)]
               for f in filters]
    falling = []
    for k, f in enumerate(filters[:n]):
        length = math.sqrt(sum(v * v for v in f))
        value = sum(a * b for a, b in zip(f, answers[k])) / length**2
        falling.append(value)
        checks.close(length * math.sqrt(value + EPS), 1, 1e-5,
                     f"filter {k + 1}: one over the root of {value:.2e} + eps")
        far = max(abs(a - value * v) for a, v in zip(answers[k], f)) / length
        checks.that(far < 1e-6, f"filter {k + 1}: an eigenvector", far)
        checks.that(max(f, key=abs) > 0, f"filter {k + 1}: its sign", f)
    checks.equal(falling, sorted(falling, reverse=True), "the strongest first")
    checks.equal([[-v for v in f] for f in filters[:len(filters) - n]],
                 filters[n:], "then the negatives")


def main():
    checks = t.Checks()
    folder = t.scratch("whitening")
    data = t.idx_data(os.path.join(folder, "data"), IMAGES, 10, SIZE)
    net, binary = os.path.join(folder, "white.net"), os.path.join(folder, "w")
    with open(net, "w") as file:
        file.write(NET)
    t.run(t.TGC, "compile", net, "-o", binary).must()

    def train(save, *more):
        t.run(binary, "train", "--data", data, "--save-dir",
              os.path.join(folder, save), *more).must()
        last = os.path.join(folder, save, "last.safetensors")
        return last, list(t.load_tensors(last)[0]["first.weight"][1])

    start, flat = train("start", "--steps", 0, "--threads", 1)
    n = len(PATCH)
    with open(os.path.join(data, "train-images-idx3-ubyte"), "rb") as file:
        c = products(file.read()[16:])
    check_filters(checks, [flat[i:i + n] for i in range(0, len(flat), n)], c)
    other, _ = train("threads", "--steps", 0, "--threads", 3)
    checks.that(t.same_bytes(start, other), "the same with three threads")
    whole, after = train("whole")
    checks.equal(after, flat, "training leaves them")
    train("parts", "--steps", 3)
    parts, _ = train("parts", "--resume", os.path.join(folder, "parts"))
    checks.that(t.same_bytes(whole, parts), "stopped and resumed: same bytes")
    tensors, _ = t.load_tensors(start)
    for i in range(len(flat)):
        tensors["first.weight"][1][i] = i
    given = os.path.join(folder, "given.safetensors")
    t.save_tensors(given, tensors)
    _, kept = train("given", "--steps", 0, "--init", given)
    checks.equal(kept, [float(i) for i in range(len(flat))],
                 "weights from a file come after")
    checks.done()


if __name__ == "__main__":
    main()
