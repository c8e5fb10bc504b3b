"""Published weights evaluate to the figures that PyTorch gives on the same
10,000 images (shared/data/README.md). A difference of 2 is rounding."""
import json

import tgctest as t

WANTED = {"resnet20": (8103, 0.87880), "resnet56": (8320, 0.94230)}


def main():
    checks = t.Checks()
    data = t.cifar10()
    for name, (correct, loss) in WANTED.items():
        weights = t.shared("data", "pretrained", name + ".safetensors")
        run = t.run(t.compiled(name), "eval", "--data", data, "--weights",
                    weights, "--json").must()
        result = json.loads(run.out)
        checks.equal(result["total"], 10000, f"{name}: images")
        checks.close(result["correct"], correct, 2, f"{name}: correct")
        checks.close(result["loss"], loss, 1e-3, f"{name}: loss")
    checks.done()


if __name__ == "__main__":
    main()
