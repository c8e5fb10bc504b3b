"""The short trainings that are compared with PyTorch, as both sides see them:
make_golden.py (needs torch) writes golden.json, small_nets.py compares tgc's
run of the same with it. Data and initial weights come from here, so that
nothing large is stored."""
import array
import random

BATCH, STEPS, TRAIN, TEST, SIZE = 32, 8, 300, 70, 28
MEAN, STD = 0.3, 0.35

# name: the net, and the settings in which the cases differ
CASES = {
    "mlp": dict(net="mlp", lr=0.05, momentum=0.0, weight_decay=0.0,
                nesterov=False, label_smoothing=0.0),
    "mlp_momentum": dict(net="mlp", lr=0.02, momentum=0.9, weight_decay=1e-2,
                         nesterov=False, label_smoothing=0.0),
    "lenet": dict(net="lenet", lr=0.02, momentum=0.9, weight_decay=1e-3,
                  nesterov=False, label_smoothing=0.0),
    "tiny": dict(net="tiny", lr=0.05, momentum=0.9, weight_decay=1e-3,
                 nesterov=False, label_smoothing=0.0),
    "tiny_nesterov": dict(net="tiny", lr=0.05, momentum=0.9, weight_decay=1e-3,
                          nesterov=True, label_smoothing=0.0),
    "tiny_smoothed": dict(net="tiny", lr=0.05, momentum=0.9, weight_decay=1e-3,
                          nesterov=False, label_smoothing=0.2),
}


def initial(name, shape):
    """Numbers for a state, the same wherever they are made: float32 values
    that a seeded generator gives; spread by the fan-in for weights."""
    count = 1
    for d in shape:
        count *= d
    generator = random.Random(name)
    if name.endswith("running_mean"):
        values = [0.0] * count
    elif name.endswith("running_var"):
        values = [1.0] * count
    elif len(shape) == 1 and name.endswith("weight"):
        values = [generator.uniform(0.5, 1.5) for _ in range(count)]
    elif len(shape) == 1:
        values = [generator.uniform(-0.2, 0.2) for _ in range(count)]
    else:
        spread = (6 * shape[0] / count) ** 0.5
        values = [generator.uniform(-spread, spread) for _ in range(count)]
    return array.array("f", values)


def projection(name, values):
    """The sum of values with signs that depend on the position: one number
    that no wrong or misplaced element leaves as it is."""
    signs = random.Random("signs " + name).getrandbits(len(values))
    return sum(v if signs >> i & 1 else -v for i, v in enumerate(values))
