#!/usr/bin/env python3
"""The peer of accuracy.py: one epoch of models/resnet20.net in PyTorch, from
the checkpoint of the epoch before. Needs torch and numpy. Prints one JSON line.
With --start it only writes the weights that a seed starts from.

The same recipe step by step: weights He normal, biases as PyTorch makes them
(tgc starts from the same distributions), images in a new order every epoch
without the partial batch at its end, a window cut at random out of the image
with four black pixels around it, mirrored with probability 1/2, normalised;
SGD with momentum 0.9 and weight decay 1e-4, the rate 0.1, a tenth of it after
each milestone. Channels-last, which is faster on CPUs."""
import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH, RATE, CROP = 128, 0.1, 4


class Basic(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.stride, self.new = stride, cout - cin

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.new or self.stride > 1:
            half = self.new // 2
            x = F.pad(x[:, :, ::self.stride, ::self.stride],
                      (0, 0, 0, 0, half, self.new - half))
        return F.relu(y + x)


class Resnet(nn.Module):
    def __init__(self, depth=20):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        width = 16
        for s, channels in enumerate((16, 32, 64)):
            blocks = []
            for i in range((depth - 2) // 6):
                blocks.append(Basic(width, channels, 2 if s and not i else 1))
                width = channels
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def read(folder, files):
    """Pixels [N,3,32,32] and labels of CIFAR-10's binary files."""
    rows = np.concatenate([
        np.fromfile(os.path.join(folder, name), np.uint8).reshape(-1, 3073)
        for name in files])
    return (torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy()),
            torch.from_numpy(rows[:, 0].astype(np.int64)))


def normalised(pixels):
    mean = torch.tensor(MEAN).reshape(1, 3, 1, 1)
    std = torch.tensor(STD).reshape(1, 3, 1, 1)
    x = (pixels.float() / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


def augmented(padded, which, random):
    """padded: all images with their border; which: those of the batch."""
    n, size = len(which), 32
    place = torch.randint(0, 2 * CROP + 1, (2, n), generator=random)
    mirror = torch.rand(n, generator=random) < 0.5
    step = torch.arange(size)
    rows = place[0][:, None] + step
    columns = torch.where(mirror[:, None], step.flip(0), step) + place[1][:, None]
    return padded[which[:, None, None, None],
                  torch.arange(3)[None, :, None, None],
                  rows[:, None, :, None], columns[:, None, None, :]]


def rate(a, done):
    """After `done` epochs; milestones are shares of the training."""
    return RATE * 0.1 ** sum(done >= at * a.epochs for at in a.at)


def train(a, net, optimizer, random):
    pixels, label = read(a.data, [f"data_batch_{i}.bin" for i in range(1, 6)])
    padded = F.pad(pixels, (CROP,) * 4)
    order = torch.randperm(len(label), generator=random)
    batches = len(label) // BATCH
    net.train()
    for i in range(min(batches, a.steps or batches)):
        which = order[i * BATCH:(i + 1) * BATCH]
        for group in optimizer.param_groups:
            group["lr"] = rate(a, a.epoch + i / batches)
        loss = F.cross_entropy(
            net(normalised(augmented(padded, which, random))), label[which])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


@torch.no_grad()
def evaluate(a, net):
    pixels, label = read(a.data, ["test_batch.bin"])
    net.eval()
    correct, loss = 0, 0.0
    for at in range(0, len(label), 500):
        scores = net(normalised(pixels[at:at + 500]))
        t = label[at:at + 500]
        correct += (scores.argmax(1) == t).sum().item()
        loss += F.cross_entropy(scores, t, reduction="sum").item()
    return {"correct": correct, "total": len(label), "loss": loss / len(label)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--checkpoint")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epoch", type=int, help="from 0")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--at", type=json.loads)
    parser.add_argument("--start")
    parser.add_argument("--steps", type=int, help="of the epoch, to try it")
    a = parser.parse_args()
    torch.manual_seed(a.seed)
    random = torch.Generator().manual_seed(a.seed)
    net = Resnet().to(memory_format=torch.channels_last)
    if a.start:
        torch.save(net.state_dict(), a.start)
        return
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=0.9,
                                weight_decay=1e-4)
    if a.epoch:
        before = torch.load(a.checkpoint)
        net.load_state_dict(before["net"])
        optimizer.load_state_dict(before["optimizer"])
        random.set_state(before["random"])
    begin = time.monotonic()
    train(a, net, optimizer, random)
    seconds = time.monotonic() - begin
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(),
                "random": random.get_state()}, a.checkpoint)
    print(json.dumps({**evaluate(a, net), "seconds": seconds,
                      "version": torch.__version__}))


if __name__ == "__main__":
    main()
