"""Networks: an ensemble that is evaluated as one, and a plain one."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init


class Ensemble(nn.Module):
    """Members of one shape, each with its own weights: hidden layers, and a linear path beside them.

    The linear path learns most of a smooth world from a few steps; the hidden layers what is left.
    """

    def __init__(
        self, members: int, inputs: int, outputs: int, hidden: int, depth: int, generator: torch.Generator
    ) -> None:
        super().__init__()

        def matrix(rows: int, columns: int, gain: float = 1.0) -> nn.Parameter:
            drawn = torch.randn(members, rows, columns, generator=generator)
            return nn.Parameter(gain * drawn / rows**0.5)

        widths = [inputs] + [hidden] * depth
        self.hidden = nn.ParameterList([matrix(m, n) for m, n in pairwise(widths)])
        self.biases = nn.ParameterList([torch.zeros(members, 1, hidden) for _ in range(depth)])
        self.last, self.direct = matrix(hidden, outputs), matrix(inputs, outputs, 0.1)
        self.last_bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Float[Tensor, "members rows inputs"]) -> Float[Tensor, "members rows outputs"]:
        """Every member on rows of its own."""
        h = x
        for weight, bias in zip(self.hidden, self.biases, strict=True):
            h = functional.silu(torch.baddbmm(bias, h, weight))
        return torch.baddbmm(torch.baddbmm(self.last_bias, x, self.direct), h, self.last)


def mlp(inputs: int, outputs: int, hidden: int, generator: torch.Generator) -> nn.Sequential:
    """Two hidden layers, drawn with `generator`."""
    widths = [(inputs, hidden), (hidden, hidden), (hidden, outputs)]
    # Not drawn by torch first, whose luck is the caller's.
    layers = [skip_init(nn.Linear, rows, columns) for rows, columns in widths]  # type: ignore[no-untyped-call]
    net = nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(0, layer.in_features**-0.5, generator=generator)
                layer.bias.zero_()
    return net
