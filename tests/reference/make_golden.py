#!/usr/bin/python3
"""Writes golden.json: the trainings of cases.py in PyTorch, in float64.

    PYTHONPATH=tests/support python3 tests/reference/make_golden.py

Needs torch (Debian: python3-torch). For every step the loss and how many of
the batch were right; for every tensor the norm and the projection (cases.py)
of the first gradient and of the value after the last step; and an evaluation
of the test images."""
import json
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import cases
import tgctest


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, 24), nn.Linear(24, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Lenet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Basic(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.stride, self.grow = stride, cout - cin

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        s, g = self.stride, self.grow
        return F.relu(y + F.pad(x[:, :, ::s, ::s],
                                (0, 0, 0, 0, g // 2, g - g // 2)))


class Resnet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        width = 16
        for s, channels in enumerate((16, 32, 64)):
            blocks = []
            for i in range(3):
                blocks.append(Basic(width, channels, 2 if s and not i else 1))
                width = channels
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1, self.layer2 = Basic(4, 4, 1), Basic(4, 8, 2)
        self.linear = nn.Linear(8, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer2(self.layer1(x)).mean((2, 3)))


def read_split(folder, split):
    def read(name, head):
        with open(os.path.join(folder, name), "rb") as file:
            return np.frombuffer(file.read()[head:], np.uint8)
    labels = read(split + "-labels-idx1-ubyte", 8)
    images = read(split + "-images-idx3-ubyte", 16)
    images = images.reshape(-1, 1, cases.SIZE, cases.SIZE) / 255.0
    return (torch.tensor((images - cases.MEAN) / cases.STD),
            torch.tensor(labels.astype(np.int64)))


def summary(tensors):
    rows = {}
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float64:
            values = tensor.detach().flatten().tolist()
            rows[name] = {"norm": tgctest.norm(values),
                          "projection": cases.projection(name, values)}
    return rows


NETS = {"mlp": Mlp, "lenet": Lenet, "tiny": Tiny, "resnet20": Resnet20}


def nearest_relu(net, x):
    """The smallest |operand| of any relu: how far rounding may go. The running
    statistics are left as they are."""
    smallest, relu = [], F.relu
    kept = {n: b.clone() for n, b in net.named_buffers()}
    F.relu = lambda v: (smallest.append(v.abs().min().item()), relu(v))[1]
    net(x)
    F.relu = relu
    for name, buffer in net.named_buffers():
        buffer.copy_(kept[name])
    return min(smallest)


def backward(net, x, t, case):
    """Adds the gradients of the batch's mean loss, part by part; the loss, and
    how many are right."""
    size = case["batch"] // case.get("accumulate", 1)
    sum_of, right = 0, 0
    for xs, ts in zip(x.split(size), t.split(size)):
        y = net(xs)
        loss = F.cross_entropy(y, ts, label_smoothing=case["label_smoothing"])
        share = len(ts) / len(t)
        (loss * share).backward()
        sum_of += loss.item() * share
        right += (y.argmax(1) == ts).sum().item()
    return sum_of, right


def train(case, data):
    net = NETS[case["net"]]().double()
    salt = case.get("salt", "")
    state = {name: torch.tensor(cases.initial(name, t.shape, salt),
                                dtype=torch.float64).reshape(t.shape)
             for name, t in net.state_dict().items()
             if t.dtype == torch.float64}
    net.load_state_dict(state, strict=False)
    optimizer = torch.optim.SGD(
        net.parameters(), case["lr"], momentum=case["momentum"],
        weight_decay=case["weight_decay"], nesterov=case["nesterov"])
    x, t = read_split(data, "train")
    losses, right, gradient = [], [], None
    near = nearest_relu(net, x[:case["batch"]]) if salt else None
    for i in range(case["steps"]):
        part = slice(i * case["batch"], (i + 1) * case["batch"])
        optimizer.zero_grad()
        loss, correct = backward(net, x[part], t[part], case)
        gradient = gradient or summary(
            {n: p.grad for n, p in net.named_parameters()})
        optimizer.step()
        losses.append(loss)
        right.append(correct)
    net.eval()
    x, t = read_split(data, "t10k")
    y = net(x)
    return {"settings": case, "nearest_relu": near, "loss": losses, "correct": right,
            "gradient": gradient, "after": summary(net.state_dict()),
            "eval": {"correct": (y.argmax(1) == t).sum().item(),
                     "total": len(t), "loss": F.cross_entropy(y, t).item()},
            "shapes": {n: list(s.shape) for n, s in net.state_dict().items()
                       if s.dtype == torch.float64}}


def main():
    with tempfile.TemporaryDirectory() as folder:
        data = tgctest.idx_data(folder, cases.TRAIN, cases.TEST, cases.SIZE)
        results = {name: train(case, data)
                   for name, case in cases.CASES.items()}
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "golden.json"), "w") as file:
        json.dump({"torch": torch.__version__, "cases": results}, file,
                  indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
