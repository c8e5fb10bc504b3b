"""`tgc export` writes a file that says what the net is, and that onnxruntime
computes the same scores from as tgc and PyTorch do.

onnxruntime is looked for in this Python, or in the one that the environment
variable TGC_ONNX_PYTHON names. Without it the file alone is checked."""
import array
import json
import math
import os
import random
import sys

import protobuf as pb
import tgctest as t

HERE = os.path.dirname(os.path.abspath(__file__))
FLOAT, INT64, BOOL = 1, 7, 9
RUNNER = next((p for p in (os.environ.get("TGC_ONNX_PYTHON"), sys.executable)
               if p and t.run(p, "-c", "import onnxruntime").status == 0), None)


def export(net, weights, path, *more):
    return t.run(t.TGC, "export", net, "--weights", weights, "-o", path, *more)


# ---- the file ---------------------------------------------------------------


def shape_of(value):
    """Of a ValueInfoProto: numbers, and the names of open dimensions."""
    tensor = pb.one(pb.one(value, 2), 1)
    dims = [next(pb.fields(d)) for d in pb.every(pb.one(tensor, 2), 1)]
    return pb.one(tensor, 1), [v if k == 1 else v.decode() for k, v in dims]


def check_file(checks, path, weights, shape, ops):
    """What a reader relies on: names, shapes, the weights' bytes, and that
    every node reads what is there already."""
    with open(path, "rb") as file:
        model = file.read()
    graph = pb.one(model, 7)
    opset = pb.one(model, 8)
    text = os.path.basename(path)
    checks.equal((pb.one(model, 1), pb.one(opset, 2)), (8, 17),
                 f"{text}: versions of the format and of the ops")
    meta = {pb.text(e, 1): pb.text(e, 2) for e in pb.every(model, 14)}
    checks.that("data.mean" in meta and "data.std" in meta,
                f"{text}: how images are normalised", meta)
    checks.equal([(pb.text(v, 1),) + shape_of(v) for v in pb.every(graph, 11)],
                 [("image", FLOAT, ["batch"] + shape)], f"{text}: the input")
    checks.equal([(pb.text(v, 1),) + shape_of(v) for v in pb.every(graph, 12)],
                 [("scores", FLOAT, ["batch", 10])], f"{text}: the output")
    tensors, known = {}, {"image"}
    for tensor in pb.every(graph, 5):
        tensors[pb.text(tensor, 8)] = (pb.every(tensor, 1), pb.one(tensor, 9))
        known.add(pb.text(tensor, 8))
    kept = {n: (s, v.tobytes()) for n, (s, v) in weights.items()}
    checks.equal([n for n in kept if tensors.get(n) != kept[n]], [],
                 f"{text}: {len(kept)} weights, bit by bit")
    names, late = set(), []
    for node in pb.every(graph, 1):
        names.add(pb.text(node, 4))
        late += [n.decode() for n in pb.every(node, 1) if n.decode() not in known]
        known.update(n.decode() for n in pb.every(node, 2))
    checks.equal((late, "scores" in known), ([], True),
                 f"{text}: operands come before their users")
    checks.that(set(ops) <= names, f"{text}: its ops", sorted(names))


# ---- the scores -------------------------------------------------------------


def log_softmax(row):
    top = max(row)
    low = top + math.log(sum(math.exp(v - top) for v in row))
    return [v - low for v in row]


def runtime_scores(folder, path, images, parts):
    """Rows of ten, of all images, given in batches of these sizes."""
    each = len(images) // sum(parts)
    argv, at = [], 0
    for i, n in enumerate(parts):
        stem = os.path.join(folder, f"batch{i}")
        with open(stem, "wb") as file:
            images[at:at + n * each].tofile(file)
        at += n * each
        argv += [n, stem, stem + ".scores"]
    t.run(RUNNER, os.path.join(HERE, "onnx_scores.py"), path, *argv).must()
    scores = array.array("f")
    for i, n in enumerate(parts):
        with open(argv[3 * i + 2], "rb") as file:
            scores.fromfile(file, 10 * n)
    return [scores[i:i + 10].tolist() for i in range(0, len(scores), 10)]


def own_scores(folder, binary, weights, pixels):
    """log softmax of one image, from the loss of each of the ten labels."""
    row = []
    for label in range(10):
        t.write_idx(os.path.join(folder, "t10k-images-idx3-ubyte"), [1, 28, 28],
                    pixels)
        t.write_idx(os.path.join(folder, "t10k-labels-idx1-ubyte"), [1],
                    bytes([label]))
        run = t.run(binary, "eval", "--data", folder, "--weights", weights,
                    "--json").must()
        row.append(-json.loads(run.out)["loss"])
    return row


def normalised(pixels, mean, std):
    return array.array("f", [(p / 255 - mean) / std for p in pixels])


def check_scores(checks, folder, binary, weights, path, mean, std):
    """Against the program that tgc compiles, which is another way: lowered,
    fused, folded, through oneDNN."""
    text = os.path.basename(path)
    generator = random.Random(5)
    pixels = [generator.randbytes(28 * 28) for _ in range(4)]
    images = normalised(b"".join(pixels), mean, std)
    got = runtime_scores(folder, path, images, [3, 1])
    data = os.path.join(folder, "one")
    os.makedirs(data, exist_ok=True)
    worst = 0
    for i in (0, 3):
        wanted = own_scores(data, binary, weights, pixels[i])
        worst = max([worst] + [abs(a - b) for a, b in
                               zip(log_softmax(got[i]), wanted)])
    checks.that(worst <= 1e-4, f"{text}: scores as tgc's to 1e-4", worst)
    split = runtime_scores(folder, path, images, [1, 2, 1])
    checks.that(max(abs(a - b) for x, y in zip(got, split)
                    for a, b in zip(x, y)) <= 1e-5,
                f"{text}: the same in batches of other sizes", (got, split))


def check_net(checks, net, shape, ops, mean, std):
    name = os.path.basename(net)[:-4]
    folder = t.scratch("onnx_" + name)
    data = t.idx_data(os.path.join(folder, "data"))
    binary = t.compiled(net, "--set", "data=idx")
    t.run(binary, "train", "--data", data, "--steps", 12, "--save-dir",
          os.path.join(folder, "run")).must()
    weights = os.path.join(folder, "run", "last.safetensors")
    path = os.path.join(folder, name + ".onnx")
    export(net, weights, path).must()
    kept = {n: v for n, v in t.load_tensors(weights)[0].items()
            if not n.endswith(".momentum")}
    check_file(checks, path, kept, shape, ops)
    if RUNNER:
        check_scores(checks, folder, binary, weights, path, mean, std)
    return weights


# ---- published weights ------------------------------------------------------


def torch_scores(weights, images):
    """ResNet-20 as PyTorch computes it; None where there is no PyTorch."""
    try:
        import torch
        from torch.nn import functional as F
    except ImportError:
        return None
    w = {n: torch.tensor(v.tolist()).reshape(s)
         for n, (s, v) in t.load_tensors(weights)[0].items()}

    def norm(x, at):
        return F.batch_norm(x, w[at + ".running_mean"], w[at + ".running_var"],
                            w[at + ".weight"], w[at + ".bias"])

    def block(x, at, stride):
        y = F.relu(norm(F.conv2d(x, w[at + ".conv1.weight"], None, stride, 1),
                        at + ".bn1"))
        y = norm(F.conv2d(y, w[at + ".conv2.weight"], None, 1, 1), at + ".bn2")
        if stride > 1:
            more = x.shape[1] // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more, more))
        return F.relu(y + x)
    with torch.no_grad():
        x = torch.tensor(images.tolist()).reshape(-1, 3, 32, 32)
        x = F.relu(norm(F.conv2d(x, w["conv1.weight"], None, 1, 1), "bn1"))
        for s in (1, 2, 3):
            for i in range(3):
                x = block(x, f"layer{s}.{i}", 2 if s > 1 and i == 0 else 1)
        return F.linear(x.mean((2, 3)), w["linear.weight"],
                        w["linear.bias"]).tolist()


def check_published(checks):
    weights = os.path.join(t.SHARED, "data", "pretrained", "resnet20.safetensors")
    if not os.path.exists(weights):
        print("        (no published weights: set TGC_SHARED)")
        return
    folder = t.scratch("onnx_published")
    path = os.path.join(folder, "resnet20.onnx")
    net = os.path.join(t.MODELS, "resnet20.net")
    export(net, weights, path).must()
    tensors = t.load_tensors(weights)[0]
    check_file(checks, path, tensors, [3, 32, 32], ["Conv", "Gemm"])
    generator = random.Random(7)
    images = array.array("f", [generator.gauss(0, 1) for _ in range(5 * 3072)])
    wanted = torch_scores(weights, images)
    if RUNNER and wanted:
        got = runtime_scores(folder, path, images, [4, 1])
        worst = max(abs(a - b) for x, y in zip(got, wanted)
                    for a, b in zip(x, y))
        checks.that(worst <= 1e-4, "resnet20: PyTorch's scores to 1e-4", worst)


# ---- what is refused --------------------------------------------------------


def check_refused(checks, folder, net, weights):
    path = os.path.join(folder, "refused.onnx")
    other = os.path.join(t.MODELS, "lenet.net")
    short = os.path.join(folder, "short.safetensors")
    tensors, metadata = t.load_tensors(weights)
    t.save_tensors(short, {n: v for n, v in tensors.items()
                           if n != "f.bias"}, metadata)
    for argv, pattern, text in (
            ((other, weights, path), "does not fit lenet.*is missing",
             "weights of another net"),
            ((net, short, path), "f.bias is missing", "a weight that is missing"),
            ((net, net, path), "every.net", "weights that are none"),
            ((net, folder + "/none", path), "none", "no such weights"),
            ((net, weights, path, "--average"), "no average.*setting average",
             "an average that is not there"),
            ((net, weights, os.path.join(folder, "no", "x.onnx")),
             "x.onnx", "a folder that is not there"),
            ((net + "x", weights, path), "every.netx", "no such net")):
        checks.refused(export(*argv), pattern, text)
    checks.equal([f for f in os.listdir(folder) if "refused" in f], [],
                 "nothing is left behind")
    with open(path, "w") as file:
        file.write("precious")
    export(other, weights, path)
    with open(path) as file:
        checks.equal(file.read(), "precious", "nothing is overwritten")
    checks.refused(t.run(t.TGC, "export", net, "-o", path), "--weights",
                   "--weights left out")


def check_average(checks, folder, net):
    """--average: the average in the place of the weights."""
    binary = t.compiled(net, "--set", "average=ema")
    data = t.idx_data(os.path.join(folder, "data"))
    t.run(binary, "train", "--data", data, "--steps", 5, "--save-dir",
          os.path.join(folder, "run")).must()
    weights = os.path.join(folder, "run", "last.safetensors")
    path = os.path.join(folder, "average.onnx")
    export(net, weights, path, "--average").must()
    tensors = t.load_tensors(weights)[0]
    kept = {n: tensors.get(n + ".average", v) for n, v in tensors.items()
            if not n.endswith((".average", ".momentum"))
            and not n.startswith(("tgc.", "optimizer."))}
    checks.that(any(kept[n] != tensors[n] for n in kept), "there is an average")
    check_file(checks, path, kept, [1, 28, 28], ["Conv"])


def main():
    checks = t.Checks()
    every = os.path.join(HERE, "Inputs", "every.net")
    weights = check_net(
        checks, every, [1, 28, 28],
        ["Conv", "MaxPool", "AveragePool", "Gemm", "Softmax", "Slice", "Pad",
         "Erf", "Sigmoid", "Tanh", "Exp", "Log", "Abs", "Sqrt", "Min", "Max"],
        0.4, 0.2)
    for name, ops, mean, std in (
            ("lenet", ["Conv", "Gemm"], 0.286, 0.353),
            ("mlp", ["Relu", "Gemm"], 0.286, 0.353)):
        check_net(checks, os.path.join(t.MODELS, name + ".net"), [1, 28, 28],
                  ops, mean, std)
    check_published(checks)
    check_refused(checks, t.scratch("onnx_refused"), every, weights)
    check_average(checks, t.scratch("onnx_average"), every)
    if not RUNNER:
        print("        (no onnxruntime: the files were checked, not run; "
              "TGC_ONNX_PYTHON names a Python that has it)")
    checks.done()


if __name__ == "__main__":
    main()
