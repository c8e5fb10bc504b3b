#!/usr/bin/python3
"""Writes optimizers.json: the trainings of optimizer_cases.py in PyTorch, in
float64, and how far the same in float32 is from that.

    PYTHONPATH=tests/support python3 tests/reference/make_optimizers.py

Needs torch (Debian: python3-torch). For every step the loss; for every tensor
the norm and the projection (cases.py) of its value after the last step.

Muon is written here after its publication (kellerjordan.github.io/posts/muon),
by way of the singular values that its iteration stands for."""
import fnmatch
import json
import math
import os
import tempfile

import torch
import torch.nn.functional as F

import cases
import draws
import make_golden
import make_schedules
import optimizer_cases as these
import tgctest


class Unit(torch.nn.Module):
    """Two convolutions of a stage of models/speed_cifar.net."""

    def __init__(self, cin, cout):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.norm1 = torch.nn.BatchNorm2d(cout, momentum=0.4)
        self.second = torch.nn.Module()
        self.second.conv = torch.nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.second.norm = torch.nn.BatchNorm2d(cout, momentum=0.4)

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.second.norm(self.second.conv(x)))


class Speed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.whiten = torch.nn.Conv2d(1, 8, 2)
        self.stage1, self.stage2 = Unit(8, 4), Unit(4, 8)
        self.stage3, self.head = Unit(8, 8), torch.nn.Linear(8, 10, bias=False)

    def forward(self, x):
        x = self.stage2(self.stage1(F.gelu(self.whiten(x))))
        x = F.max_pool2d(self.stage3(x), 3).flatten(1)
        return self.head(x) / 9


class Part(torch.nn.Module):
    """Attention and MLP of models/vit_cifar.net."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = (torch.nn.LayerNorm(width) for _ in range(2))
        self.attention, self.mlp = torch.nn.Module(), torch.nn.Module()
        for name in ("query", "key", "value", "out"):
            setattr(self.attention, name,
                    torch.nn.Linear(width, width, bias=name != "key"))
        self.mlp.up = torch.nn.Linear(width, 4 * width)
        self.mlp.down = torch.nn.Linear(4 * width, width)
        self.heads = heads

    def attend(self, x):
        a, (n, tokens, width) = self.attention, x.shape
        q, k, v = (layer(x).reshape(n, tokens, self.heads, -1).transpose(1, 2)
                   for layer in (a.query, a.key, a.value))
        share = q @ k.transpose(2, 3) / (width / self.heads)**0.5
        x = share.softmax(3) @ v
        return a.out(x.transpose(1, 2).reshape(n, tokens, width))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.mlp.down(F.gelu(self.mlp.up(self.norm2(x))))


class Vit(torch.nn.Module):
    def __init__(self, width=8, heads=2, patch=7):
        super().__init__()
        self.patches = torch.nn.Conv2d(1, width, patch, patch)
        self.positions = torch.nn.Module()
        self.positions.weight = torch.nn.Parameter(
            torch.zeros((28 // patch)**2, width))
        self.blocks = torch.nn.Sequential(Part(width, heads),
                                          Part(width, heads))
        self.norm = torch.nn.LayerNorm(width)
        self.head = torch.nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions.weight
        return self.head(self.norm(self.blocks(x)).mean(1))


NETS = {"speed": Speed, "vit": Vit}


class Muon(torch.optim.Optimizer):
    """The iteration x -> a x + b (x x') x + c (x x')^2 x leaves the singular
    vectors as they are and takes each singular value s to
    a s + b s^3 + c s^5."""

    def __init__(self, params, lr, momentum=0.95, nesterov=True,
                 weight_decay=0, ns_steps=5):
        super().__init__(params, dict(
            lr=lr, momentum=momentum, nesterov=nesterov,
            weight_decay=weight_decay, ns_steps=ns_steps))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                self.step_one(group, p)

    def step_one(self, group, p):
        mu = group["momentum"]
        buffer = self.state[p].setdefault("buffer", torch.zeros_like(p))
        buffer.mul_(mu).add_(p.grad)
        d = p.grad + mu * buffer if group["nesterov"] else buffer
        matrix = d.reshape(len(d), -1)
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        s = s / (matrix.square().sum().sqrt() + 1e-7)
        for _ in range(group["ns_steps"]):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        scale = max(1, matrix.shape[0] / matrix.shape[1])**0.5
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(group["lr"] * scale * (u @ torch.diag(s) @ v).reshape(p.shape))


KINDS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam,
         "adamw": torch.optim.AdamW, "muon": Muon}


def frozen(options, name):
    return any(fnmatch.fnmatchcase(name, x) for x in options.get("frozen", ()))


def optimizers(net, options):
    """A parameter's options: those outside, then those of each group that has
    its name; a group with an optimizer of its own starts from nothing."""
    common = {k: v for k, v in options.items()
              if k not in ("groups", "kind", "clip_norm", "clip_value",
                           "one_cycle", "average", "average_warmup",
                           "schedule", "label_smoothing", "mixing",
                           "test_flip", "frozen")}
    result = []
    for name, p in net.named_parameters():
        if frozen(options, name):
            continue
        kind, own = options["kind"], dict(common)
        for patterns, other, changes in options.get("groups", ()):
            if any(fnmatch.fnmatchcase(name, x) for x in patterns):
                kind, own = (other, {}) if other else (kind, own)
                own.update(changes)
        own["lr"] *= own.pop("lr_factor", 1)
        result.append(KINDS[kind]([p], **own))
    return result


class Average:
    """torch.optim.swa_utils.AveragedModel; buffers are averaged, too."""

    def __init__(self, options):
        self.decay, self.model = options.get("average"), None
        self.warmup, self.steps = options.get("average_warmup"), 0

    def mean(self, average, new, _):
        d = self.decay
        if self.warmup:  # after `steps` steps before this one
            d = min(d, (1 + self.steps) / (10 + self.steps))
        return d * average + (1 - d) * new

    def step(self, net):
        if not self.decay:
            return
        if not self.model:
            self.model = torch.optim.swa_utils.AveragedModel(
                net, avg_fn=self.mean, use_buffers=True)
        self.model.update_parameters(net)
        self.steps += 1

    def named(self, options):
        state = self.model.module.state_dict() if self.model else {}
        return {n + ".average": t for n, t in state.items()
                if t.is_floating_point() and not frozen(options, n)}

    def evaluate(self, options, x, t):
        if not self.model:
            return None
        return evaluate(options, self.model.module, x, t)


def evaluate(options, net, x, t):
    net.eval()
    scores = net(x)
    if options.get("test_flip"):
        scores = (scores + net(x.flip(3))) / 2
    return F.cross_entropy(scores, t).item()


class Batches:
    """Images and labels in the order of the file, mixed where asked; seed 0."""

    def __init__(self, options, data, real):
        self.x, self.t = make_golden.read_split(data, "train")
        self.x = self.x.float().to(real)
        self.mixing = draws.Mixing(**options.get("mixing", {}))
        self.smoothing = options.get("label_smoothing", 0)

    def loss(self, net, i):
        n, size = these.BATCH, these.SIZE
        x, t = (v[i * n:(i + 1) * n] for v in (self.x, self.t))
        kind, weight, shift, box = self.mixing.draw(0, 0, i, n, size, size)
        if kind == "mixup":
            x = weight * x + (1 - weight) * x.roll(-shift, 0)
        elif kind == "cutmix":
            y, (top, bottom), (left, right) = x.clone(), *box
            y[..., top:bottom, left:right] = x.roll(-shift, 0)[
                ..., top:bottom, left:right]
            x = y
        scores = net(x)
        own, other = (F.cross_entropy(scores, v, label_smoothing=self.smoothing)
                      for v in (t, t.roll(-shift, 0)))
        return weight * own + (1 - weight) * other


def set_rates(options, steps):
    """For each step a list of the rates of all optimizers; or nothing."""
    if "schedule" not in options:
        return []
    factors = make_schedules.product(options["schedule"], options["lr"],
                                     these.STEPS)
    start = [o.param_groups[0]["lr"] / options["lr"] for o in steps]
    return [[f * s for s in start] for f in factors]


def started(case, real):
    salt = case.get("salt", "")
    net = NETS.get(case.get("net"), make_golden.Tiny)().to(real)
    net.load_state_dict(
        {name: torch.tensor(cases.initial(name, t.shape, salt),
                            dtype=real).reshape(t.shape)
         for name, t in net.state_dict().items() if t.is_floating_point()},
        strict=False)
    return net


def train(case, data, real):
    options, net = case["torch"], started(case, real)
    steps = optimizers(net, options)
    cycles = [torch.optim.lr_scheduler.OneCycleLR(
        o, total_steps=these.STEPS, **options["one_cycle"])
        for o in steps if "one_cycle" in options]
    rates, batches = set_rates(options, steps), Batches(options, data, real)
    losses, norms, average = [], [], Average(options)
    for i in range(these.STEPS):
        for optimizer, lr in zip(steps, rates[i] if rates else ()):
            optimizer.param_groups[0]["lr"] = lr
        net.zero_grad()
        loss = batches.loss(net, i)
        loss.backward()
        if "clip_value" in options:
            torch.nn.utils.clip_grad_value_(net.parameters(),
                                            options["clip_value"])
        if "clip_norm" in options:
            norms.append(torch.nn.utils.clip_grad_norm_(
                net.parameters(), options["clip_norm"]).item())
        for optimizer in steps + cycles:
            optimizer.step()
        losses.append(loss.item())
        average.step(net)
    after = dict(net.state_dict(), **average.named(options))
    x, t = make_golden.read_split(data, "t10k")
    x = x.float().to(real)
    return {"loss": losses, "norms": norms,
            "after": make_golden.summary(
                {n: s.double() for n, s in after.items()
                 if s.is_floating_point()}),
            "eval": evaluate(options, net, x, t),
            "average_eval": average.evaluate(options, x, t),
            "shapes": {n: list(s.shape) for n, s in net.state_dict().items()
                       if s.is_floating_point()}}


def golden(case, data):
    """In float64, and how far PyTorch's own float32 is from that."""
    exact, rounded = (train(case, data, real)
                      for real in (torch.float64, torch.float32))
    far = [abs(a - b) / b for a, b in zip(rounded["loss"], exact["loss"])]
    tensors = []
    for name, wanted in exact["after"].items():
        got, of = rounded["after"][name], name.removesuffix(".average")
        n = math.prod(exact["shapes"][of])
        tensors.append(max(
            abs(got["norm"] - wanted["norm"]),
            abs(got["projection"] - wanted["projection"]) / math.sqrt(n)) /
            max(wanted["norm"], 1e-6))
    return dict(exact, f32=[max(far), max(tensors)])


def main():
    cases.SIZE, cases.MEAN, cases.STD = these.SIZE, 0, 1
    with tempfile.TemporaryDirectory() as folder:
        data = tgctest.idx_data(folder, these.TRAIN, these.TEST, these.SIZE)
        results = {name: golden(case, data)
                   for name, case in these.CASES.items()}
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "optimizers.json"), "w") as file:
        json.dump({"torch": torch.__version__, "cases": results}, file,
                  indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
