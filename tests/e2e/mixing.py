"""Training with mixup, cutmix and label smoothing against plain Python: the
random numbers, the order of the epoch, the images, two labels and a weight in
the loss, and the weights after each step. The net is one dense layer."""
import math
import os

import draws
import tgctest as t

SIZE, CLASSES, BATCH, SAMPLES, SEED, LR, SMOOTH = 6, 10, 8, 44, 5, 0.5, 0.1
ALPHA, PADDING, STEPS = 0.4, 2, 9
NET = f"""
net one(image: [1, {SIZE}, {SIZE}]) {{
    return fc: dense(flatten(image), {CLASSES})
}}
train {{
    data idx {{ augment = "crop({PADDING}), flip", mixup = {ALPHA}, cutmix = 1,
               cutmix_share = 0.3, mixup_share = 0.4 }}
    loss cross_entropy {{ label_smoothing = {SMOOTH} }}
    optimizer sgd {{ lr = {LR} }}
    batch = {BATCH}  epochs = 2  seed = {SEED}
}}
"""


# ---- random numbers ---------------------------------------------------------

SHUFFLE, AUGMENT = 1, 2
MIXING = draws.Mixing(mixup=ALPHA, mixup_share=0.4, cutmix=1, cutmix_share=0.3)


def word(stream, step, element):
    return draws.word(SEED, stream, step, element)


def order(epoch):
    o = list(range(SAMPLES))
    for i in range(SAMPLES - 1, 0, -1):
        j = draws.below(word(SHUFFLE, epoch, i), i + 1)
        o[i], o[j] = o[j], o[i]
    return o


# ---- images -----------------------------------------------------------------


def augmented(images, sample, epoch):
    """[SIZE][SIZE] floats: cut out of a black border, perhaps mirrored."""
    down, right, mirror = (word(AUGMENT, epoch, 16 * sample + i)
                           for i in range(3))
    places = 2 * PADDING + 1
    dy, dx = draws.below(down, places) - PADDING, draws.below(right, places) - PADDING
    image = images[sample * SIZE * SIZE:(sample + 1) * SIZE * SIZE]

    def at(y, x):
        inside = 0 <= y < SIZE and 0 <= x < SIZE
        return image[y * SIZE + x] / 255 if inside else 0.0

    rows = [[at(y + dy, x + dx) for x in range(SIZE)] for y in range(SIZE)]
    return [row[::-1] for row in rows] if mirror >> 31 else rows


def batch_of(images, labels, epoch, batch):
    """[(pixels, label, other)], the weight, what was done"""
    samples = order(epoch)[batch * BATCH:(batch + 1) * BATCH]
    plain = [augmented(images, s, epoch) for s in samples]
    kind, weight, shift, box = MIXING.draw(SEED, epoch, batch, BATCH, SIZE, SIZE)
    rows = []
    for i in range(BATCH):
        k = (i + shift) % BATCH
        image = [list(row) for row in plain[i]]
        for y in range(SIZE):
            for x in range(SIZE):
                if kind == "mixup":
                    image[y][x] = (weight * image[y][x] +
                                   (1 - weight) * plain[k][y][x])
                elif kind == "cutmix" and box[0][0] <= y < box[0][1] and \
                        box[1][0] <= x < box[1][1]:
                    image[y][x] = plain[k][y][x]
        rows.append((sum(image, []), labels[samples[i]], labels[samples[k]]))
    return rows, weight, kind


# ---- the net ----------------------------------------------------------------


def step(weight, bias, rows, mix):
    """The loss; weights and biases are changed in place."""
    loss = 0.0
    grad_w = [[0.0] * (SIZE * SIZE) for _ in range(CLASSES)]
    grad_b = [0.0] * CLASSES
    for pixels, label, other in rows:
        z = [sum(w * p for w, p in zip(weight[c], pixels)) + bias[c]
             for c in range(CLASSES)]
        top = max(z)
        total = math.log(sum(math.exp(v - top) for v in z)) + top
        target = [SMOOTH / CLASSES + (1 - SMOOTH) * (
            mix * (c == label) + (1 - mix) * (c == other))
            for c in range(CLASSES)]
        loss += sum(q * (total - v) for q, v in zip(target, z)) / BATCH
        for c in range(CLASSES):
            g = (math.exp(z[c] - total) - target[c]) / BATCH
            grad_b[c] += g
            for i, p in enumerate(pixels):
                grad_w[c][i] += g * p
    for c in range(CLASSES):
        bias[c] -= LR * grad_b[c]
        weight[c] = [w - LR * g for w, g in zip(weight[c], grad_w[c])]
    return loss


def main():
    checks = t.Checks()
    folder = t.scratch("mixing")
    data = t.idx_data(os.path.join(folder, "data"), SAMPLES, 9, size=28)
    # The pictures are made for 28 x 28; smaller ones here, from any bytes.
    images = bytes(word(9, 0, i) & 255 for i in range(SAMPLES * SIZE * SIZE))
    for split, n in (("train", SAMPLES), ("t10k", 9)):
        t.write_idx(os.path.join(data, split + "-images-idx3-ubyte"),
                    [n, SIZE, SIZE], images[:n * SIZE * SIZE])
    with open(os.path.join(data, "train-labels-idx1-ubyte"), "rb") as file:
        labels = file.read()[8:]
    net = os.path.join(folder, "one.net")
    with open(net, "w") as file:
        file.write(NET)
    binary, log = os.path.join(folder, "one"), os.path.join(folder, "log")
    t.run(t.TGC, "compile", net, "-o", binary).must()

    def train(steps, save, *more):
        t.run(binary, "train", "--data", data, "--steps", steps, "--save-dir",
              os.path.join(folder, save), "--log", log, *more).must()
        return t.load_tensors(os.path.join(folder, save,
                                           "last.safetensors"))[0]

    start = train(0, "start")
    flat = start["fc.weight"][1]
    weight = [list(flat[c * SIZE**2:(c + 1) * SIZE**2]) for c in range(CLASSES)]
    bias = list(start["fc.bias"][1])
    after = train(STEPS, "whole")
    kinds = set()
    for i, row in enumerate(t.log_rows(log)):
        rows, mix, kind = batch_of(images, labels, i // 5, i % 5)
        kinds.add(kind)
        wanted = step(weight, bias, rows, mix)
        checks.close(row["loss"], wanted, 1e-5, f"step {i + 1}: {kind}, "
                     f"weight {mix:.3f}: the loss")
    checks.equal(kinds, {"none", "mixup", "cutmix"}, "each way of mixing")
    error = max(abs(a - b) for a, b in zip(after["fc.weight"][1],
                                           sum(weight, [])))
    checks.that(error < 1e-5, "the weights", error)
    train(4, "parts")
    train(STEPS, "parts", "--resume", os.path.join(folder, "parts"))
    checks.that(t.same_bytes(*(os.path.join(folder, n, "last.safetensors")
                               for n in ("whole", "parts"))),
                "stopped and resumed: the same bytes")
    checks.done()


if __name__ == "__main__":
    main()
