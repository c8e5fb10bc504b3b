#!/usr/bin/python3
"""Writes schedules.json: the learning rates of schedule_cases.py as PyTorch's
schedulers give them, one a step.

    python3 tests/reference/make_schedules.py

Needs torch (Debian: python3-torch)."""
import json
import os

import torch

import schedule_cases as these


def rates(schedulers, lr, steps):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr)
    made = [getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
            for name, options in schedulers]
    result = []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in made:
            scheduler.step()
    return result


def product(schedulers, lr, steps):
    """A warm-up is a factor. (Chained, torch's restarts forget the other
    scheduler's factor, since they set the rate instead of changing it.)"""
    result = rates(schedulers[:1], lr, steps)
    for extra in schedulers[1:]:
        result = [a * b for a, b in zip(result, rates([extra], 1, steps))]
    return result


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    cases = {name: product(case["torch"], these.LR * case.get("scale", 1),
                           these.STEPS)
             for name, case in these.CASES.items()}
    with open(os.path.join(here, "schedules.json"), "w") as file:
        json.dump({"torch": torch.__version__, "cases": cases}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
