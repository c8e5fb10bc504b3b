"""The short trainings that are compared with PyTorch, as both sides see them:
make_golden.py (needs torch) writes golden.json, small_nets.py compares tgc's
run of the same with it. Data and initial weights come from here, so that
nothing large is stored."""
import array
import random

TRAIN, TEST, SIZE = 300, 70, 28
MEAN, STD = 0.3, 0.35

# name: the net, and the settings in which the cases differ
CASES = {
    "mlp": dict(net="mlp", lr=0.05, momentum=0.0, weight_decay=0.0,
                nesterov=False, label_smoothing=0.0, batch=32, steps=8),
    "mlp_momentum": dict(net="mlp", lr=0.02, momentum=0.9, weight_decay=1e-2,
                         nesterov=False, label_smoothing=0.0, batch=32, steps=8),
    "lenet": dict(net="lenet", lr=0.02, momentum=0.9, weight_decay=1e-3,
                  nesterov=False, label_smoothing=0.0, batch=32, steps=8),
    "tiny": dict(net="tiny", lr=0.05, momentum=0.9, weight_decay=1e-3,
                 nesterov=False, label_smoothing=0.0, batch=32, steps=8),
    "tiny_nesterov": dict(net="tiny", lr=0.05, momentum=0.9, weight_decay=1e-3,
                          nesterov=True, label_smoothing=0.0, batch=32, steps=8),
    "tiny_smoothed": dict(net="tiny", lr=0.05, momentum=0.9, weight_decay=1e-3,
                          nesterov=False, label_smoothing=0.2, batch=32, steps=8),
    # A batch in four parts; the tenth step is the epoch's last, with twelve
    # images left: a part of eight and one of four.
    "lenet_parts": dict(net="lenet", lr=0.02, momentum=0.9, weight_decay=1e-3,
                        nesterov=False, label_smoothing=0.0, batch=32, steps=10,
                        accumulate=4),
    "tiny_parts": dict(net="tiny", lr=0.05, momentum=0.9, weight_decay=1e-3,
                       nesterov=False, label_smoothing=0.1, batch=32, steps=10,
                       accumulate=4),
    # All of ResNet-20's gradient. One image pair, and initial values (`salt`)
    # for which no relu's operand is so close to 0 that float32 could decide it
    # the other way: then every gradient is the float64 one up to rounding.
    "resnet20": dict(net="resnet20", lr=0.01, momentum=0.9, weight_decay=1e-4,
                     nesterov=False, label_smoothing=0.0, batch=2, steps=1,
                     salt="45"),
}


def initial(name, shape, salt=""):
    """Numbers for a state, the same wherever they are made: float32 values
    that a seeded generator gives; spread by the fan-in for weights."""
    count = 1
    for d in shape:
        count *= d
    generator = random.Random(name + salt)
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
