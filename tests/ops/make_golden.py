"""Writes golden.h: what PyTorch computes, in float64, for a few ops.

    python3 tests/ops/make_golden.py > tests/ops/golden.h

Operand i's element k is sin(1.3 k + i), with two digits where ties matter;
labels are k mod classes.  For each result r the gradient that comes back is
cos(0.7 k + r); gradients of float operands follow the results.
"""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def operand(i, shape, coarse):
    k = torch.arange(int(torch.tensor(shape).prod()))
    v = torch.sin(1.3 * k + i)
    if coarse:
        v = torch.round(v * 2) / 2
    return v.reshape(shape).requires_grad_()


def pad(x, low, high, value=0.0):
    pads = []
    for a, b in zip(reversed(low), reversed(high)):
        pads += [a, b]
    return F.pad(x, pads, value=value)


def conv(stride, low, high, dilation, groups):
    f = [F.conv1d, F.conv2d, F.conv3d][len(stride) - 1]
    return lambda x, w: f(pad(x, low, high), w, stride=stride,
                          dilation=dilation, groups=groups)


def batch_norm(x, gamma, beta):
    y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)
    axes = [d for d in range(x.dim()) if d != 1]
    return y, x.mean(axes), x.var(axes, unbiased=False)


def cross_entropy(smoothing):
    def run(logits):
        label = torch.arange(logits[:, 0].numel()) % logits.shape[1]
        return F.cross_entropy(logits, label.reshape(logits[:, 0].shape),
                               reduction="none", label_smoothing=smoothing)
    return run


def ints(v):
    return "[" + ",".join(map(str, v)) + "]"


def conv_case(x, w, stride, low, high, dilation, groups):
    return ("conv", [x, w], f"stride={ints(stride)}, pad_low={ints(low)}, "
            f"pad_high={ints(high)}, dilation={ints(dilation)}, "
            f"groups={groups}", conv(stride, low, high, dilation, groups), False)


CASES = [
    conv_case([2, 3, 5, 4], [4, 3, 3, 3], [1, 1], [1, 1], [1, 1], [1, 1], 1),
    conv_case([1, 4, 7, 8], [6, 2, 3, 2], [2, 3], [1, 0], [0, 2], [1, 2], 2),
    conv_case([3, 2, 9], [5, 2, 3], [2], [2], [1], [3], 1),
    conv_case([1, 2, 4, 5, 3], [2, 1, 3, 2, 2], [2, 1, 1], [1, 0, 1],
              [0, 1, 1], [1, 2, 1], 2),
    ("max_pool", [[2, 2, 6, 5]], "size=[3,2], stride=[2,2], dilation=[1,1], "
     "pad_low=[1,1], pad_high=[1,1]",
     lambda x: F.max_pool2d(x, (3, 2), (2, 2), (1, 1)), True),
    ("avg_pool", [[2, 2, 6, 5]], "size=[3,2], stride=[2,1], dilation=[1,1], "
     "pad_low=[1,1], pad_high=[1,1]",
     lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 1)), False),
    ("avg_pool", [[2, 2, 6, 5]], "size=[3,2], stride=[2,1], dilation=[1,1], "
     "pad_low=[1,1], pad_high=[1,1], count_include_pad=false",
     lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 1),
                            count_include_pad=False), False),
    ("batch_norm", [[3, 2, 4, 3], [2], [2]], "eps=1e-5", batch_norm, False),
    ("softmax_cross_entropy", [[5, 4]], "smoothing=0", cross_entropy(0.0),
     False),
    ("softmax_cross_entropy", [[5, 4]], "smoothing=0.1", cross_entropy(0.1),
     False),
    ("softmax_cross_entropy", [[2, 3, 2, 2]], "smoothing=0.3",
     cross_entropy(0.3), False),
    ("log_softmax", [[3, 5]], "axis=1", lambda x: F.log_softmax(x, 1), False),
    ("reduce_max", [[3, 7]], "axes=[1]", lambda x: torch.amax(x, 1), True),
    ("max", [[3, 7], [3, 7]], "", torch.maximum, True),
    ("layer_norm", [[2, 3, 4], [4], [4]], "axes=[2], eps=1e-5",
     lambda x, w, b: F.layer_norm(x, (4,), w, b, eps=1e-5), False),
    ("gelu", [[3, 7]], "", F.gelu, False),
    ("relu", [[3, 7]], "", F.relu, True),
]


def numbers(name, values):
    text = [f"{v:.15g}" for v in values]
    lines, line = [], "    "
    for t in text:
        if len(line) + len(t) > 76:
            lines.append(line.rstrip())
            line = "    "
        line += t + ", "
    lines.append(line.rstrip())
    print(f"static const double {name}[] = {{")
    print("\n".join(lines))
    print("};")


def main():
    print("/* golden.h: written by make_golden.py; do not edit. */")
    print("/* clang-format off */")
    rows = []
    for number, (op, shapes, attrs, run, coarse) in enumerate(CASES):
        operands = [operand(i, s, coarse) for i, s in enumerate(shapes)]
        results = run(*operands)
        if not isinstance(results, tuple):
            results = (results,)
        total = 0
        values = []
        for r, result in enumerate(results):
            k = torch.arange(result.numel())
            weight = torch.cos(0.7 * k + r).reshape(result.shape)
            total = total + (result * weight).sum()
            values += result.flatten().tolist()
        for grad in torch.autograd.grad(total, operands):
            values += grad.flatten().tolist()
        numbers(f"golden_{number}", values)
        types = [f"f64{ints(s)}" for s in shapes]
        if op == "softmax_cross_entropy":
            types.append(f"i32{ints(shapes[0][:1] + shapes[0][2:])}")
        rows.append((op, f"({', '.join(types)}) {{{attrs}}}", coarse, number,
                     len(values)))
    print("static const Golden goldens[] = {")
    for op, sample, coarse, number, count in rows:
        print(f'    {{"{op}", "{sample}",\n     {str(coarse).lower()}, '
              f"golden_{number}, {count}}},")
    print("};")


main()
