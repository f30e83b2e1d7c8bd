"""Matrix products of beliefs with a model's tables, by the fastest kernel at hand."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

LARGE = 1_000_000
"""Multiplications from which oneDNN wins: below, its call costs more than it saves."""

_library = torch.library.Library("arr_coc_agent", "DEF")  # type: ignore[no-untyped-call]
_library.define("dense(Tensor x, Tensor weight) -> Tensor")  # type: ignore[no-untyped-call]
_ONEDNN: bool = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)


def _dense(x: Tensor, weight: Tensor) -> Tensor:
    # oneDNN compiles for the processor it meets; MKL stays with AVX2 on others than Intel's, at half the
    # rate.
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return y


_library.impl("dense", _dense, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake(
    "arr_coc_agent::dense", lambda x, weight: x.new_empty(*x.shape[:-1], weight.shape[0])
)
torch.library.register_vmap(
    "arr_coc_agent::dense",
    lambda info, in_dims, x, weight: (
        torch.matmul(
            x.movedim(in_dims[0], 0) if in_dims[0] is not None else x,
            (weight.movedim(in_dims[1], 0) if in_dims[1] is not None else weight).mT,
        ),
        0,
    ),
)


def product(
    x: Float[Tensor, "*batch inputs"], weight: Float[Tensor, "outputs inputs"]
) -> Float[Tensor, "*batch outputs"]:
    """x weight', without a bias."""
    if torch.compiler.is_compiling() and x.device.type == "cpu" and x.numel() == x.shape[-1]:
        # One row: all the work is to read the table, which a compiled loop does faster than MKL.
        return (x.flatten() * weight).sum(-1).view(*x.shape[:-1], len(weight))
    if (
        _ONEDNN
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.numel() * len(weight) >= LARGE
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
        and not torch.is_autocast_enabled("cpu")
    ):
        y: Tensor = torch.ops.arr_coc_agent.dense(x.contiguous(), weight)
        return y
    return linear(x, weight)
