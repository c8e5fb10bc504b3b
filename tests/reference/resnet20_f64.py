"""ResNet-20 compiled with precision = f64 against PyTorch's float64 gradient at
the first batch: with no rounding to speak of, autodiff, every expansion, fusion
and the generated kernels must give each parameter's gradient to float32's last
digits (the reference is stored as float32). resnet20.py is the same in
float32."""
import array
import json
import os

import tgctest as t

GRADIENT = 1e-6


def as_f64(path, folder):
    tensors, _ = t.load_tensors(path)
    wide = {name: (shape, array.array("d", values))
            for name, (shape, values) in tensors.items()
            if not name.endswith("num_batches_tracked")}
    out = os.path.join(folder, "init.safetensors")
    t.save_tensors(out, wide)
    return out


def main():
    checks = t.Checks()
    if t.SANITIZED:
        t.skip("minutes in a sanitized build, where it finds nothing new")
    with open(t.shared("reference", "resnet20-sgd.json")) as file:
        reference = json.load(file)
    settings, truth = reference["settings"], reference["results"]["float64"]
    gradient, _ = t.load_tensors(
        t.shared("reference", "resnet20-grad-step0.safetensors"))
    data = t.cifar10()
    folder = t.scratch("resnet20_f64")
    init = as_f64(t.shared("reference", "resnet20-init.safetensors"), folder)
    binary = t.compiled("resnet20", "--set", "precision=f64")
    log = os.path.join(folder, "log")
    t.run(binary, "train", "--data", data, "--init", init, "--no-augment",
          "--no-shuffle", "--lr", settings["lr"], "--steps", 1, "--save-dir",
          folder, "--log", log).must()

    loss = t.log_rows(log)[0]["loss"]
    checks.close(loss, truth["loss"][0], 1e-6, "loss of the first step")
    before, _ = t.load_tensors(init)
    after, _ = t.load_tensors(os.path.join(folder, "last.safetensors"))
    worst = 0.0
    for name, (_, wanted) in gradient.items():
        weight, slot = before[name][1], after[name + ".momentum"][1]
        off = [m - settings["weight_decay"] * w - g
               for m, w, g in zip(slot, weight, wanted)]
        far = t.norm(off) / t.norm(wanted)
        worst = max(worst, far)
        checks.that(far <= GRADIENT, f"gradient of {name}: {far:.1e}")
    print(f"        worst gradient {worst:.2e}")
    checks.done()


if __name__ == "__main__":
    main()
