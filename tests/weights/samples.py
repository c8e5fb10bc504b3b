"""State dicts in PyTorch that have everything that a reader can get wrong."""
import torch

from expected import lines

ZIP, LEGACY = "PyTorch's zip format", "PyTorch's format before 1.6"


def tensors():
    """Small numbers, exact in every type."""
    base = torch.arange(24.0).reshape(2, 3, 4) / 4 - 2
    long = torch.arange(40.0)
    return {
        "plain.weight": base.clone(),
        "plain.bias": torch.tensor([1.5, -2.25]),
        "scalar": torch.tensor(0.125),
        "none": torch.zeros(0, 3),
        "half": base.half(), "bfloat": base.bfloat16(), "double": base.double(),
        "turned": base.clone().permute(2, 0, 1),
        "channels_last": torch.arange(48.0).reshape(2, 3, 4, 2).contiguous(
            memory_format=torch.channels_last),
        "part": long[3:30].reshape(3, 9)[:, 2:8:3],
        "shared": long[5:9], "all": long,
        "spread": torch.tensor([[1.0], [2.0]]).expand(2, 5),
        "parameter": torch.nn.Parameter(base[0].clone()),
        "counter": torch.tensor(7), "mask": torch.tensor([True, False, True]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "int": torch.arange(5, dtype=torch.int32),
        "short": torch.arange(3, dtype=torch.int16),
        "complex": torch.zeros(2, dtype=torch.complex64),
        "eight": torch.arange(2.0).reshape(1, 1, 1, 2, 1, 1, 1, 1),
    }


def array(tensor):
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy(), "BF16"
    return tensor.numpy()


def expected(kind, state_dict):
    return lines(kind, {n: array(t) for n, t in state_dict.items()
                        if isinstance(t, torch.Tensor)})
