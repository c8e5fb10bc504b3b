"""A text classifier on the emulator: rows of a table are read, and gradients
added up into them, as on the cpu; stopped and resumed, the same bytes."""
import os
import sys

import gpu
import tgctest as t

sys.path.append(os.path.join(t.SOURCE, "tests", "e2e"))
import tokens  # noqa: E402

STEPS, FAR = 8, 100  # words are FAR apart in a table of 5003 rows


def main():
    checks = t.Checks()
    folder = t.scratch("emulator_rows")
    data = tokens.write(os.path.join(folder, "data"), "<i4", far=FAR)
    text = tokens.NET.replace("50, 6", "5003, 20").replace("[11, 6]",
                                                           "[11, 20]")
    name = os.path.join(folder, "words")
    cpu = tokens.compiled(folder, "words", text)
    cuda = name + ".cuda"
    t.run(t.TGC, "compile", name + ".net", "--target", "cuda:sm_90", "-o", cuda,
          f"--save-temps={name}.temps").must()
    texts = sorted(os.path.join(name + ".temps", f)
                   for f in os.listdir(name + ".temps") if f.endswith(".cu"))
    device = ("--device", f"emu:{gpu.build(name + '.so', *texts)}")

    def train(binary, save, steps, *more):
        log = os.path.join(folder, save + ".jsonl")
        where = os.path.join(folder, save)
        last = os.path.join(where, "last.safetensors")
        t.run(binary, "train", "--data", data, "--steps", steps, "--log", log,
              "--no-report", "--resume" if os.path.exists(last)
              else "--save-dir", where, *more).must()
        return [row["loss"] for row in t.log_rows(log)], last

    wanted, _ = train(cpu, "cpu", STEPS)
    got, whole = train(cuda, "whole", STEPS, *device)
    checks.that(len(got) == STEPS and
                all(abs(a - b) < 1e-5 * a for a, b in zip(wanted, got)),
                "the losses of the cpu", (wanted, got))
    train(cuda, "parts", STEPS // 2, *device)
    _, parts = train(cuda, "parts", STEPS, *device)
    checks.that(t.same_bytes(whole, parts), "stopped and resumed: the same bytes")
    checks.done()


if __name__ == "__main__":
    main()
