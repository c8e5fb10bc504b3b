"""The part `models`: ten training steps of each model on the GPU, with the
losses that the program for the cpu has; and the same bytes when run again."""
import concurrent.futures
import os
import sys

import tgctest as t

STEPS, BATCH = 10, 32
MODELS = ("lenet", "mlp", "fashion_resnet20", "resnet20", "resnet56",
          "resnet110")
PRECISIONS = ("f32", "f16", "bf16")
# Relative, of a loss, in f32: sums are in another order, and each step adds to
# it.
MOST = 1e-3
# In 16 bits: so many times what they change in the cpu's losses; at least:
HALF_TIMES, HALF_LEAST = 3, 2e-3


class Case:
    """A model in a precision, compiled for both."""

    def __init__(self, task, model, precision, data, batch=BATCH):
        self.model, self.precision, self.data = model, precision, data
        self.name = f"{model} {precision}"
        self.path = os.path.join(task.folder, f"{model}.{precision}")
        self.options = ["--set", f"precision={precision}", "--set",
                        f"batch={batch}", "--set", "optimizer.lr=0.001"]
        if not model.startswith("resnet"):
            self.options += ["--set", "data=idx", "--set", "data.samples=640"]
        self.device = ()
        self.message = None


def compile_for_gpu(task, case):
    out = case.path + ".cuda"
    run = task.run(t.TGC, "compile", os.path.join(t.MODELS,
                                                  case.model + ".net"),
                   "--target", f"cuda:{task.gpu['arch']}", *case.options,
                   f"--save-temps={case.path}.temps", "-o", out)
    if run.status:
        case.message = run.err[-2000:]
        return False
    if task.emulated:
        sys.path.append(task.emulator)
        import emulate
        texts = [os.path.join(case.path + ".temps", name)
                 for name in sorted(os.listdir(case.path + ".temps"))
                 if name.endswith(".cu")]
        emulate.emulate(case.path + ".so", texts)
        case.device = ("--device", f"emu:{case.path}.so")
    return True


def compile_both(task, case):
    if not compile_for_gpu(task, case):
        return case
    run = task.run(t.TGC, "compile", os.path.join(t.MODELS,
                                                  case.model + ".net"),
                   *case.options, "-o", case.path + ".cpu")
    if run.status:
        case.message = run.err[-2000:]
    return case


def train(case, steps, name, *more):
    """The command that trains it on the GPU."""
    return (case.path + ".cuda", "train", "--data", case.data, "--steps", steps,
            "--log", f"{case.path}.{name}.log", *case.device, *more)


def losses(task, case, argv, log):
    if os.path.exists(log):
        os.remove(log)
    run = task.run(*argv)
    if run.status:
        case.message = run.err[-2000:]
        return None
    return [row["loss"] for row in t.log_rows(log) if "loss" in row]


def distance(a, b):
    return max(abs(x - y) / abs(x) for x, y in zip(a, b))


def on_cpu(task, case, steps):
    log = case.path + ".cpu.log"
    return losses(task, case, (case.path + ".cpu", "train", "--data", case.data,
                               "--steps", steps, "--log", log), log)


def on_gpu(task, case, steps):
    """Twice: the losses, and whether the weights had the same bytes."""
    folders = [case.path + end for end in (".once", ".again")]
    for folder in folders:
        got = losses(task, case, train(case, steps, "cuda", "--save-dir",
                                       folder, "--overwrite"),
                     case.path + ".cuda.log")
        if got is None:
            return None, False
    return got, t.same_bytes(*[os.path.join(f, "last.safetensors")
                               for f in folders])


def check(task, case, steps, exact):
    """A row; `exact`: the cpu's losses in f32."""
    row = {"what": case.name, "well": False, "steps": steps}
    if case.message is None:
        cpu = on_cpu(task, case, steps)
        gpu, same = on_gpu(task, case, steps) if cpu else (None, False)
    if case.message is not None:
        return {**row, "message": case.message}, None
    most = MOST
    if case.precision != "f32" and exact:
        most = max(HALF_LEAST, HALF_TIMES * distance(exact, cpu))
    far = distance(cpu, gpu)
    row.update(loss_distance=far, allowed=most, same_bytes=same,
               well=far <= most and same and len(gpu) == steps,
               detail=f"losses differ by {far:.1e}, may by {most:.1e}; the "
               f"same bytes again: {'yes' if same else 'NO'}")
    return row, cpu


def cifar(folder):
    """Random records in CIFAR-10's form: what is learnt does not matter."""
    import random
    generator = random.Random(5)
    os.makedirs(folder, exist_ok=True)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for name in names:
        pixels = generator.randbytes(3072 * 10000)
        with open(os.path.join(folder, name), "wb") as file:
            for i in range(10000):
                file.write(bytes([i * 7 % 10]))
                file.write(pixels[3072 * i:3072 * (i + 1)])
    return folder


def idx(task):
    return t.idx_data(os.path.join(task.folder, "idx"), train=640, test=64)


def small(task):
    """LeNet in f16 on the GPU, for who wants something quick."""
    case = Case(task, "lenet", "f16", idx(task))
    if not compile_for_gpu(task, case):
        sys.exit(case.message)
    return case


def cases(task):
    names = MODELS[:1] if task.emulated else MODELS
    steps, batch = (2, 2) if task.emulated else (STEPS, BATCH)
    rgb = None
    for model in names:
        if model.startswith("resnet") and not rgb:
            rgb = cifar(os.path.join(task.folder, "cifar"))
        data = rgb if model.startswith("resnet") else idx(task)
        for precision in PRECISIONS[:2] if task.emulated else PRECISIONS:
            yield Case(task, model, precision, data, batch), steps


def models(task):
    rows, exact = [], None
    listed = list(cases(task))
    with concurrent.futures.ThreadPoolExecutor(
            max(1, (os.cpu_count() or 2) // 2)) as pool:
        compiled = [pool.submit(compile_both, task, case) for case, _ in listed]
        for (case, steps), ready in zip(listed, compiled):
            if task.left() < 30:
                rows.append(task.no_time(case.name))
                continue
            ready.result()
            row, cpu = check(task, case, steps, exact)
            rows.append(row)
            if case.precision == "f32":
                exact = cpu
    return rows
