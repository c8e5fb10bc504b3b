#!/usr/bin/python3
"""Prints how far float32 alone carries ResNet-20's first gradient from the
float64 one, on the batch of shared/reference: norm of the difference over norm,
the worst parameter.

    make_floor.py SHARED CIFAR_FOLDER        (needs torch)

A relu whose operand is within rounding of 0 decides the other way, and one such
pixel early in the net moves gradients by about 1e-3. Printed here:

    float64, convolution results stored as float32   1.8e-03
    float32, plain layout                            2.1e-03
    float32, channels last                           9.2e-03
"""
import os
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F


class Stored(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.float().double()

    @staticmethod
    def backward(context, gradient):
        return gradient


def worst(net, x, t, truth):
    F.cross_entropy(net.train()(x), t).backward()
    return max(((p.grad.double() - truth[n]).norm() / truth[n].norm()).item()
               for n, p in net.named_parameters())


def main():
    shared, data = sys.argv[1:]
    sys.path.insert(0, os.path.join(shared, "reference"))
    import make_reference as reference
    stem = os.path.join(shared, "reference", "resnet20-")
    x, t = (v[:128] for v in reference.records(data, "data_batch_1.bin"))
    truth = {n: g.double() for n, g in
             reference.load(stem + "grad-step0.safetensors").items()}

    def fresh():
        net = reference.ResNet(20)
        net.load_state_dict(reference.load(stem + "init.safetensors"))
        return net

    net = fresh().double()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, y: Stored.apply(y))
    print(f"float64, convolution results stored as float32   "
          f"{worst(net, x.double(), t, truth):.1e}")
    print(f"float32, plain layout                            "
          f"{worst(fresh(), x, t, truth):.1e}")
    last = dict(memory_format=torch.channels_last)
    print(f"float32, channels last                           "
          f"{worst(fresh().to(**last), x.contiguous(**last), t, truth):.1e}")


if __name__ == "__main__":
    main()
