#!/usr/bin/python3
"""Writes optimizers.json: the trainings of optimizer_cases.py in PyTorch, in
float64.

    PYTHONPATH=tests/support python3 tests/reference/make_optimizers.py

Needs torch (Debian: python3-torch). For every step the loss; for every tensor
the norm and the projection (cases.py) of its value after the last step.

Muon is written here after its publication (kellerjordan.github.io/posts/muon),
by way of the singular values that its iteration stands for."""
import fnmatch
import json
import os
import tempfile

import torch
import torch.nn.functional as F

import cases
import make_golden
import optimizer_cases as these
import tgctest


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


def optimizers(net, options):
    """A parameter's options: those outside, then those of each group that has
    its name; a group with an optimizer of its own starts from nothing."""
    common = {k: v for k, v in options.items()
              if k not in ("groups", "kind", "clip_norm", "clip_value",
                           "one_cycle", "average", "average_warmup")}
    result = []
    for name, p in net.named_parameters():
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

    def named(self):
        state = self.model.module.state_dict() if self.model else {}
        return {n + ".average": t for n, t in state.items()
                if t.dtype == torch.float64}

    def evaluate(self, x, t):
        if not self.model:
            return None
        return F.cross_entropy(self.model.module.eval()(x), t).item()


def train(case, data):
    options = case["torch"]
    net = make_golden.Tiny().double()
    net.load_state_dict(
        {name: torch.tensor(cases.initial(name, t.shape),
                            dtype=torch.float64).reshape(t.shape)
         for name, t in net.state_dict().items() if t.dtype == torch.float64},
        strict=False)
    steps = optimizers(net, options)
    cycles = [torch.optim.lr_scheduler.OneCycleLR(
        o, total_steps=these.STEPS, **options["one_cycle"])
        for o in steps if "one_cycle" in options]
    x, t = make_golden.read_split(data, "train")
    x = x.float().double()
    losses, norms, average = [], [], Average(options)
    for i in range(these.STEPS):
        part = slice(i * these.BATCH, (i + 1) * these.BATCH)
        net.zero_grad()
        loss = F.cross_entropy(net(x[part]), t[part])
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
    after = dict(net.state_dict(), **average.named())
    net.eval()
    x, t = make_golden.read_split(data, "t10k")
    x = x.float().double()
    return {"loss": losses, "norms": norms,
            "after": make_golden.summary(after),
            "eval": F.cross_entropy(net(x), t).item(),
            "average_eval": average.evaluate(x, t),
            "shapes": {n: list(s.shape) for n, s in net.state_dict().items()
                       if s.dtype == torch.float64}}


def main():
    cases.SIZE, cases.MEAN, cases.STD = these.SIZE, 0, 1
    with tempfile.TemporaryDirectory() as folder:
        data = tgctest.idx_data(folder, these.TRAIN, these.TEST, these.SIZE)
        results = {name: train(case, data)
                   for name, case in these.CASES.items()}
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "optimizers.json"), "w") as file:
        json.dump({"torch": torch.__version__, "cases": results}, file,
                  indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
