"""Stock `safetensors` opens what tgc writes, and PyTorch takes it into a module
of its own, and what tgc export writes by torch.load: the names, the shapes and
the numbers.

`safetensors` is looked for in this Python, or in the one that the environment
variable TGC_ONNX_PYTHON names."""
import json
import os
import sys
import zipfile

import tgctest as t

READ = """
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], "numpy") as file:
    print(json.dumps({"metadata": file.metadata(), "tensors": {
        n: [str(v.dtype), list(v.shape), v.ravel().astype("<f8").tolist()]
        for n in file.keys() for v in [file.get_tensor(n)]}}))
"""
STOCK = next((p for p in (sys.executable, os.environ.get("TGC_ONNX_PYTHON"))
              if p and t.run(p, "-c", "import safetensors, numpy").status == 0),
             None)


def check_stock(checks, path):
    run = t.run(STOCK, "-c", READ, path).must()
    got = json.loads(run.out)
    tensors, metadata = t.load_tensors(path)
    kind = {"f": "float32", "d": "float64", "q": "int64"}
    wanted = {n: [kind[v.typecode], list(shape), [float(x) for x in v]]
              for n, (shape, v) in tensors.items()}
    checks.equal(sorted(got["tensors"]), sorted(wanted), "names")
    checks.equal([n for n in wanted if got["tensors"].get(n) != wanted[n]], [],
                 f"types, shapes and numbers of {len(wanted)} tensors")
    checks.equal(got["metadata"], metadata, "metadata")


def torch_loss(tensors, data, count):
    """The mean loss over the test images of a LeNet of PyTorch's that takes
    the weights by name; None where there is no PyTorch."""
    try:
        import torch
        from torch import nn
    except ImportError:
        return None
    net = nn.Sequential()
    for name, layer in (("conv1", nn.Conv2d(1, 6, 5, padding=2)),
                        ("r1", nn.ReLU()), ("p1", nn.MaxPool2d(2)),
                        ("conv2", nn.Conv2d(6, 16, 5)), ("r2", nn.ReLU()),
                        ("p2", nn.MaxPool2d(2)), ("flat", nn.Flatten()),
                        ("fc1", nn.Linear(400, 120)), ("r3", nn.ReLU()),
                        ("fc2", nn.Linear(120, 84)), ("r4", nn.ReLU()),
                        ("fc3", nn.Linear(84, 10))):
        net.add_module(name, layer)
    state = {n: torch.tensor(v.tolist(), dtype=torch.float32).reshape(shape)
             for n, (shape, v) in tensors.items()}
    missing = net.load_state_dict(state, strict=False).missing_keys
    with open(os.path.join(data, "t10k-images-idx3-ubyte"), "rb") as file:
        images = torch.frombuffer(bytearray(file.read()[16:]), dtype=torch.uint8)
    with open(os.path.join(data, "t10k-labels-idx1-ubyte"), "rb") as file:
        labels = torch.frombuffer(bytearray(file.read()[8:]), dtype=torch.uint8)
    x = (images.reshape(count, 1, 28, 28).float() / 255 - 0.286) / 0.353
    with torch.no_grad():
        loss = nn.functional.cross_entropy(net(x), labels.long())
    return missing, loss.item()


LOAD = """
import json, sys, torch
import inspect
only = {"weights_only": True} if "weights_only" in inspect.signature(
    torch.load).parameters else {}
state = torch.load(sys.argv[1], **only)
print(json.dumps([torch.__version__, {
    n: [str(v.dtype), list(v.shape), v.is_contiguous(), v.flatten().tolist()]
    for n, v in state.items()}]))
"""


def check_exported(checks, folder, path):
    """The weights alone: torch.load, old and new, and safetensors again."""
    tensors, _ = t.load_tensors(path)
    kept = {n: v for n, v in tensors.items()
            if n.endswith((".weight", ".bias"))}
    wanted = {n: ["torch.float32", list(shape), True, [float(x) for x in v]]
              for n, (shape, v) in kept.items()}
    for name in ("lenet.pth", "lenet.safetensors"):
        out = os.path.join(folder, name)
        t.run(t.TGC, "export", os.path.join(t.MODELS, "lenet.net"), "--weights",
              path, "-o", out).must()
    again, metadata = t.load_tensors(out)
    checks.that(again == kept and metadata == {"format": "pt"},
                "exported as safetensors: the weights, and nothing else",
                (sorted(again), metadata))
    out = os.path.join(folder, "lenet.pth")
    for python in filter(None, {sys.executable,
                                os.environ.get("TGC_TORCH_PYTHON")}):
        if t.run(python, "-c", "import torch").status:
            continue
        version, got = json.loads(t.run(python, "-c", LOAD, out).must().out)
        checks.that(got == wanted, f"torch.load of {version}: the same weights",
                    sorted(got))
    with zipfile.ZipFile(out) as file:
        checks.equal(file.testzip(), None, "a sound zip")
    round_trip = os.path.join(folder, "again.safetensors")
    t.run(t.TGC, "export", os.path.join(t.MODELS, "lenet.net"), "--weights",
          out, "-o", round_trip).must()
    checks.that(t.load_tensors(round_trip)[0] == kept,
                "tgc reads what it wrote")
    missing = t.run(t.TGC, "export", os.path.join(t.MODELS, "mlp.net"),
                    "--weights", path, "-o", os.path.join(folder, "bad.pth"))
    checks.refused(missing, "does not fit", "weights of another net")
    checks.that(not os.path.exists(os.path.join(folder, "bad.pth")),
                "and nothing is left behind")


def main():
    checks = t.Checks()
    folder = t.scratch("weights_stock")
    data = t.idx_data(os.path.join(folder, "data"), test=90)
    binary = t.compiled("lenet", "--set", "data=idx", "--set", "average=ema")
    t.run(binary, "train", "--data", data, "--steps", 3, "--save-dir",
          os.path.join(folder, "run")).must()
    path = os.path.join(folder, "run", "last.safetensors")
    check_exported(checks, folder, path)
    loss = torch_loss(t.load_tensors(path)[0], data, 90)
    if not STOCK and not loss:
        print("        (neither PyTorch nor safetensors here)")
    if STOCK:
        check_stock(checks, path)
    if loss:
        run = t.run(binary, "eval", "--data", data, "--weights", path, "--json")
        checks.equal(loss[0], [], "PyTorch finds every weight under its name")
        checks.close(json.loads(run.must().out)["loss"], loss[1], 1e-5,
                     "and computes the same loss")
    checks.done()


if __name__ == "__main__":
    main()
