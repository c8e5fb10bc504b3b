"""The published weights as people have them, .th files from several GPUs:
evaluated to the last image like the safetensors file that holds the same
numbers (tests/reference/pretrained.py holds that one against PyTorch)."""
import os

import tgctest as t

try:
    import torch
except ImportError:
    t.skip("PyTorch is not installed (python3-torch)")


def state_dict(path):
    tensors, _ = t.load_tensors(path)
    return {"module." + n: torch.frombuffer(v, dtype={
        "f": torch.float32, "q": torch.int64}[v.typecode]).reshape(shape)
        for n, (shape, v) in tensors.items()}


def main():
    checks = t.Checks()
    data = t.cifar10()
    good = t.shared("data", "pretrained", "resnet20.safetensors")
    binary, state = t.compiled("resnet20"), state_dict(good)

    def evaluate(weights):
        return t.run(binary, "eval", "--data", data, "--json", "--weights",
                     weights).must().out
    wanted = evaluate(good)
    folder = t.scratch("weights_pretrained")
    for zipped in (False, True):
        path = os.path.join(folder, f"resnet20-{zipped}.th")
        torch.save({"state_dict": state, "best_prec1": 91.73}, path,
                   _use_new_zipfile_serialization=zipped)
        checks.equal(evaluate(path), wanted, f".th, zip: {zipped}")
    checks.done()


if __name__ == "__main__":
    main()
